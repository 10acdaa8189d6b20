/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks and entries as bytes. Numbers are little-endian, strings carry their length and a
 * final NUL, so that they can be used where they lie. A task is decoded into one block: the
 * struct, its arrays by falling alignment, a copy of the strings.
 */
#include "journal/journal_format.h"
#include "drain/task.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define NS_PER_S   1000000000u
#define SOURCE_LEN (JOURNAL_SOURCE_LEN + 9)
#define PIECE_LEN  29

static int damaged(struct ebt_err *err, const char *what)
{
	return ebt_failx(err, -EBADMSG, "a task of a drain is damaged: %s", what);
}

static void put_string(struct buf *out, const char *s)
{
	size_t len = strlen(s);

	if (len > UINT32_MAX - 1)
		out->failed = true;
	buf_put32(out, (uint32_t)len);
	buf_put(out, s, len + 1);
}

/* NULL if it is not what put_string wrote. */
static const char *get_string(struct reader *r)
{
	size_t len = reader_get32(r);
	const char *p = reader_take(r, len + 1);

	return p && memchr(p, '\0', len + 1) == p + len ? p : NULL;
}

void drain_entry_encode(
	const struct manifest_entry *e, const char *name, struct buf *out)
{
	buf_put8(out, e->kind);
	buf_put16(out, (uint16_t)e->mode);
	buf_put32(out, e->uid);
	buf_put32(out, e->gid);
	buf_put32(out, e->nlink);
	buf_put64(out, e->size);
	buf_put64(out, e->allocated);
	buf_put64(out, (uint64_t)e->mtime);
	buf_put32(out, e->mtime_ns);
	buf_put64(out, (uint64_t)e->atime);
	buf_put32(out, e->atime_ns);
	put_string(out, name);
	put_string(out, e->target ? e->target : "");
	buf_put32(out, e->xattrs_len);
	buf_put(out, e->xattrs, e->xattrs_len);
}

static const char *entry_flaw(const struct manifest_entry *e)
{
	if (e->kind != MANIFEST_DIR && e->kind != MANIFEST_FILE &&
		e->kind != MANIFEST_SYMLINK)
		return "kind";
	/* The root is the one entry without a name. */
	if (!e->name ||
		!(manifest_path_ok(e->name) || (!*e->name && e->kind == MANIFEST_DIR)))
		return "name";
	if ((e->kind == MANIFEST_SYMLINK) != (e->target != NULL))
		return "target";
	if (e->size > INT64_MAX || (e->kind != MANIFEST_FILE && e->size))
		return "size";
	if (e->mode > 07777)
		return "mode";
	if (e->mtime_ns >= NS_PER_S || e->atime_ns >= NS_PER_S)
		return "time";
	return NULL;
}

int drain_entry_decode(struct reader *r, struct manifest_entry *e, struct ebt_err *err)
{
	struct manifest_entry got = {.parent = MANIFEST_ROOT, .group = MANIFEST_NONE};
	const char *flaw;

	got.kind = reader_get8(r);
	got.mode = reader_get16(r);
	got.uid = reader_get32(r);
	got.gid = reader_get32(r);
	got.nlink = reader_get32(r);
	got.size = reader_get64(r);
	got.allocated = reader_get64(r);
	got.mtime = (int64_t)reader_get64(r);
	got.mtime_ns = reader_get32(r);
	got.atime = (int64_t)reader_get64(r);
	got.atime_ns = reader_get32(r);
	got.name = get_string(r);
	got.target = get_string(r);
	if (got.target && !*got.target)
		got.target = NULL;
	got.xattrs_len = reader_get32(r);
	if (got.xattrs_len)
		got.xattrs = reader_take(r, got.xattrs_len);
	if (r->failed)
		return damaged(err, "length");
	flaw = entry_flaw(&got);
	if (flaw)
		return damaged(err, flaw);
	*e = got;
	return 0;
}

void drain_name_put(struct buf *out, const struct drain_name *n)
{
	buf_put8(out, n->marks);
	buf_put(out, n->path, strlen(n->path) + 1);
	buf_put(out, n->of, strlen(n->of) + 1);
	buf_put(out, n->was, strlen(n->was) + 1);
	buf_put(out, n->ending, strlen(n->ending) + 1);
}

const char *drain_name_next(const char *at, struct drain_name *out)
{
	out->marks = (uint8_t)*at++;
	out->path = at;
	at += strlen(at) + 1;
	out->of = at;
	at += strlen(at) + 1;
	out->was = at;
	at += strlen(at) + 1;
	out->ending = at;
	return at + strlen(at) + 1;
}

int drain_beside(
	const char *path, const char *ending, unsigned k, char *out, size_t cap)
{
	const char *base = text_base(path);
	size_t dir = (size_t)(base - path), len = strlen(base), end;
	char number[16] = "";

	if (k > 1)
		snprintf(number, sizeof(number), ".%u", k);
	end = strlen(ending) + strlen(number);
	if (end > NAME_MAX - 1)
		return -ENAMETOOLONG;
	/* Not inside of a character of UTF-8. */
	if (len + end > NAME_MAX)
		len = NAME_MAX - end;
	while (len > 1 && base[len] && ((unsigned char)base[len] & 0xc0) == 0x80)
		len--;
	if (dir + len + end >= cap)
		return -ENAMETOOLONG;
	snprintf(out, cap, "%.*s%s%s", (int)(dir + len), path, ending, number);
	return 0;
}

static size_t names_len(const char *p, uint32_t n)
{
	struct drain_name name;
	const char *at = p;

	for (; n > 0; n--)
		at = drain_name_next(at, &name);
	return (size_t)(at - p);
}

void drain_task_encode(const struct drain_task *t, struct buf *out)
{
	size_t names = names_len(t->names, t->n_names);

	if (names > UINT32_MAX)
		out->failed = true;
	buf_put32(out, t->n_sources);
	buf_put32(out, t->n_pieces);
	/* Stripes without targets are no placement. */
	buf_put32(out, t->targets ? t->stripe_count : 0);
	buf_put32(out, t->n_names);
	buf_put32(out, (uint32_t)names);
	buf_put8(out, t->in_place);
	buf_put8(out, t->contested);
	buf_put8(out, t->big);
	buf_put8(out, t->lacks);
	buf_put8(out, t->tier);
	buf_put8(out, t->pool);
	buf_put8(out, t->early);
	buf_put32(out, t->early_target);
	buf_put64(out, t->stripe_size);
	buf_put32(out, t->archive);
	drain_entry_encode(&t->e, t->e.name, out);
	for (uint32_t i = 0; i < t->n_sources; i++) {
		journal_put_source(out, &t->sources[i].file);
		buf_put32(out, t->sources[i].node);
		buf_put32(out, t->sources[i].entry);
		buf_put8(out, t->sources[i].of);
	}
	for (uint32_t i = 0; i < t->n_pieces; i++) {
		buf_put64(out, t->pieces[i].off);
		buf_put64(out, t->pieces[i].len);
		buf_put64(out, t->pieces[i].from);
		buf_put32(out, t->pieces[i].source);
		buf_put8(out, t->pieces[i].overlaps);
	}
	for (uint32_t i = 0; t->targets && i < t->stripe_count; i++)
		buf_put32(out, t->targets[i]);
	buf_put(out, t->names, names);
}

/* What comes before the arrays. */
struct head {
	struct drain_task t;
	uint32_t names; /* bytes */
};

static int get_head(struct reader *r, struct head *h, struct ebt_err *err)
{
	struct drain_task *t = &h->t;
	uint8_t in_place, contested, big;
	uint64_t need;
	int rc;

	t->n_sources = reader_get32(r);
	t->n_pieces = reader_get32(r);
	t->stripe_count = reader_get32(r);
	t->n_names = reader_get32(r);
	h->names = reader_get32(r);
	in_place = reader_get8(r);
	contested = reader_get8(r);
	big = reader_get8(r);
	t->lacks = reader_get8(r);
	t->tier = reader_get8(r);
	t->pool = reader_get8(r);
	t->early = reader_get8(r);
	t->early_target = reader_get32(r);
	t->stripe_size = reader_get64(r);
	t->archive = reader_get32(r);
	t->in_place = in_place;
	t->contested = contested;
	t->big = big;
	rc = drain_entry_decode(r, &t->e, err);
	if (rc < 0)
		return rc;
	if (t->e.kind == MANIFEST_DIR)
		return damaged(err, "kind");
	/* What is said to follow fits what does: no large allocation for a small lie. */
	need = (uint64_t)t->n_sources * SOURCE_LEN + (uint64_t)t->n_pieces * PIECE_LEN +
	       (uint64_t)t->stripe_count * 4 + h->names;
	if (need > reader_left(r) || t->n_names > h->names || t->n_names == 0 ||
		t->n_sources == 0)
		return damaged(err, "numbers");
	if (in_place > 1 || contested > 1 || big > 1 || t->lacks > JOURNAL_LACKS)
		return damaged(err, "marks");
	return 0;
}

static size_t string_room(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

/* @at moves on behind the copy. */
static void *place(char **at, const void *data, size_t len)
{
	void *to = *at;

	if (!data)
		return NULL;
	memcpy(to, data, len);
	*at += len;
	return to;
}

/* The block, with the strings of the head in it and room for the arrays. */
static struct drain_task *new_task(const struct head *h, char **names)
{
	const struct manifest_entry *e = &h->t.e;
	size_t name = string_room(e->name), target = string_room(e->target);
	size_t sources = h->t.n_sources * sizeof(*h->t.sources);
	size_t pieces = h->t.n_pieces * sizeof(*h->t.pieces);
	size_t targets = h->t.stripe_count * sizeof(*h->t.targets);
	struct drain_task *t = malloc(sizeof(*t) + sources + pieces + targets + name +
				      target + e->xattrs_len + h->names);
	char *at;

	if (!t)
		return NULL;
	*t = h->t;
	at = (char *)(t + 1);
	t->sources = (struct drain_source *)at;
	at += sources;
	t->pieces = h->t.n_pieces ? (struct drain_piece *)at : NULL;
	at += pieces;
	t->targets = h->t.stripe_count ? (uint32_t *)at : NULL;
	at += targets;
	t->e.name = place(&at, e->name, name);
	t->e.target = place(&at, e->target, target);
	t->e.xattrs = place(&at, e->xattrs, e->xattrs_len);
	*names = at;
	t->names = at;
	return t;
}

static int get_arrays(struct reader *r, struct drain_task *t, struct ebt_err *err)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < t->n_sources; i++) {
		struct drain_source *s = &t->sources[i];

		if (!journal_get_source(r, &s->file))
			return damaged(err, "time of a source");
		s->node = reader_get32(r);
		s->entry = reader_get32(r);
		s->of = reader_get8(r);
		if (s->of > DRAIN_OF_FRAME)
			return damaged(err, "kind of a source");
	}
	for (uint32_t i = 0; i < t->n_pieces; i++) {
		struct drain_piece *p = &t->pieces[i];
		uint8_t overlaps;

		p->off = reader_get64(r);
		p->len = reader_get64(r);
		p->from = reader_get64(r);
		p->source = reader_get32(r);
		overlaps = reader_get8(r);
		p->overlaps = overlaps;
		if (p->source >= t->n_sources || overlaps > 1 || p->off < before ||
			p->off > t->e.size || p->len > t->e.size - p->off ||
			p->from > INT64_MAX - p->len)
			return damaged(err, "pieces");
		before = p->off;
	}
	for (uint32_t i = 0; i < t->stripe_count; i++)
		t->targets[i] = reader_get32(r);
	return 0;
}

/* A string within the @left bytes, which it counts; NULL if it has no end. */
static const char *take_string(const char **at, size_t *left)
{
	const char *s = *at, *stop = *left ? memchr(s, '\0', *left) : NULL;

	if (!stop)
		return NULL;
	*left -= (size_t)(stop + 1 - s);
	*at = stop + 1;
	return s;
}

static bool name_ok(
	const char **at, size_t *left, const struct drain_task *t, bool first)
{
	const char *path, *of, *was, *ending;

	if (!*left)
		return false;
	++*at;
	--*left;
	path = take_string(at, left);
	of = path ? take_string(at, left) : NULL;
	was = of ? take_string(at, left) : NULL;
	ending = was ? take_string(at, left) : NULL;
	return ending && manifest_path_ok(path) &&
	       (!first || strcmp(path, t->e.name) == 0) &&
	       (!*of || manifest_path_ok(of)) && (!*was || manifest_path_ok(was)) &&
	       !strchr(ending, '/');
}

static int get_names(struct reader *r, struct drain_task *t, char *to, uint32_t len,
	struct ebt_err *err)
{
	const char *p = reader_take(r, len), *at = to;
	size_t left = len;

	if (!p)
		return damaged(err, "length");
	memcpy(to, p, len);
	for (uint32_t i = 0; i < t->n_names; i++) {
		if (!name_ok(&at, &left, t, i == 0))
			return damaged(err, "names");
	}
	return left ? damaged(err, "names") : 0;
}

int drain_task_decode(struct reader *r, struct drain_task **out, struct ebt_err *err)
{
	struct head h = {0};
	SCOPED_TASK struct drain_task *t = NULL;
	char *names;
	int rc = get_head(r, &h, err);

	if (rc < 0)
		return rc;
	t = new_task(&h, &names);
	if (!t)
		return ebt_fail(err, -ENOMEM, "task of %s", h.t.e.name);
	rc = get_arrays(r, t, err);
	if (rc == 0)
		rc = get_names(r, t, names, h.names, err);
	if (rc < 0)
		return rc;
	*out = TAKE(t);
	return 0;
}

int drain_task_copy(
	const struct drain_task *t, struct drain_task **out, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	struct reader r;

	drain_task_encode(t, &b);
	if (!buf_ok(&b))
		return ebt_fail(err, -ENOMEM, "task of %s", t->e.name);
	r = reader_of(b.data, b.len);
	return drain_task_decode(&r, out, err);
}

uint64_t drain_task_bytes(const struct drain_task *t, uint64_t start, uint64_t end)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < t->n_pieces; i++) {
		const struct drain_piece *p = &t->pieces[i];
		uint64_t a = p->off > start ? p->off : start;
		uint64_t b = p->off + p->len < end ? p->off + p->len : end;

		sum += a < b ? b - a : 0;
	}
	return sum;
}

void drain_task_free(struct drain_task *t)
{
	free(t);
}

void drain_task_free_list(struct drain_task *t)
{
	struct drain_task *next;

	for (; t; t = next) {
		next = t->next;
		drain_task_free(t);
	}
}
