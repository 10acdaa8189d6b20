/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goes through the members as unarchive_entry.c does, by what the index says of them, and follows
 * the same rules for names. The table of names is the one that is used there.
 */
#include "archive/picks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/unarchive_internal.h"
#include "base/text.h"
#include "codec/frames.h"

#define BLOCK	 512u
#define END_MARK 1024u

struct picks {
	struct picks_archive archive;
	picks_wants_fn wants;
	void *arg;
	struct index_reader *reader;
	struct names *names; /* NULL after the end */
	struct pick *of;
	size_t n, room;
	uint64_t members;
	uint64_t where;	     /* members and directories that were made up */
	uint64_t end;	     /* of the last member */
	uint64_t all, bytes; /* to be read of all, and of what is picked */
	uint64_t frame;	     /* of a compressed archive: those before it are counted */
	char path[PATH_MAX], above[PATH_MAX];
};

struct ebt_digest picks_name(const char *path, const char *link)
{
	struct ebt_digest of[2] = {digest_bytes(path, strlen(path)), {0}};

	if (link)
		of[1] = digest_bytes(link, strlen(link));
	return digest_bytes(of, sizeof(of));
}

static int refuse(const char *path, const char *what, struct ebt_err *err)
{
	char name[256];

	return ebt_failx(
		err, -ENOTSUP, "%s: %s", text_name(path, name, sizeof(name)), what);
}

static int fail_memory(struct ebt_err *err)
{
	return ebt_fail(err, -ENOMEM, "index of an archive");
}

static int check_head(
	const struct picks *p, const struct index_head *h, struct ebt_err *err)
{
	if (h->size != p->archive.size || h->mtime != p->archive.mtime ||
		h->mtime_ns != p->archive.mtime_ns)
		return ebt_failx(err, -ESTALE,
			"of an archive with another size or time of change");
	return 0;
}

/*
 * The directories above p->path. Those that were not there are made up when this member comes: *made
 * of them, and *wanted if one is.
 */
static int take_above(
	struct picks *p, uint64_t *made, bool *wanted, struct ebt_err *err)
{
	enum names_kind kind;
	const char *slash;
	size_t len;

	*made = 0;
	*wanted = false;
	for (slash = strchr(p->path, '/'); slash; slash = strchr(slash + 1, '/')) {
		len = (size_t)(slash - p->path);
		kind = names_get(p->names, p->path, len, NULL);
		if (kind == NAMES_DIR)
			continue;
		if (kind != NAMES_NONE)
			return refuse(
				p->path, "its name leads through no directory", err);
		memcpy(p->above, p->path, len);
		p->above[len] = '\0';
		*wanted = *wanted || p->wants(p->arg, p->above, true);
		++*made;
		if (names_put(p->names, p->path, len, NAMES_DIR, 0) < 0)
			return fail_memory(err);
	}
	return 0;
}

/* It is the first of its name, and a link's file came before it, and will come out if it does. */
static int check_name(const struct picks *p, const struct index_member *m, bool wanted,
	struct ebt_err *err)
{
	enum names_kind was = names_get(p->names, p->path, strlen(p->path), NULL);

	if (was != NAMES_NONE && (was != NAMES_DIR || m->type != INDEX_DIR))
		return refuse(p->path, "more than one member of that name", err);
	if (!m->link)
		return 0;
	if (names_get(p->names, m->link, strlen(m->link), NULL) != NAMES_FILE)
		return refuse(p->path, "a hard link to no file before it", err);
	return wanted && !p->wants(p->arg, m->link, false)
		       ? refuse(p->path, "a hard link to what is left out", err)
		       : 0;
}

static enum names_kind kind_of_type(enum index_type type)
{
	return type == INDEX_DIR       ? NAMES_DIR
	       : type == INDEX_SYMLINK ? NAMES_SYMLINK
				       : NAMES_FILE;
}

static int add(struct picks *p, const struct pick *pick, struct ebt_err *err)
{
	size_t room = p->room ? 2 * p->room : 64;
	struct pick *of;

	if (p->n == p->room) {
		of = reallocarray(p->of, room, sizeof(*of));
		if (!of)
			return fail_memory(err);
		p->of = of;
		p->room = room;
	}
	p->of[p->n++] = *pick;
	return 0;
}

/* What reading it costs: of large content nothing but what comes along with the header. */
static uint64_t cost(const struct pick *pick, bool whole)
{
	uint64_t content = pick->end - pick->data, most;

	most = whole ? INPUT_SKIP : INPUT_BLOCK;
	return pick->data - pick->header + (content < most ? content : most);
}

/* Of a compressed archive: frames as a drain makes them, each of which is decoded whole. */
static uint64_t cost_frames(struct picks *p, const struct pick *pick, uint64_t unpacked)
{
	uint64_t piece = frames_piece(unpacked), first = pick->header / piece;
	uint64_t content = pick->end - pick->data, end = pick->data;

	end += pick->wanted || content < INPUT_BLOCK ? content : INPUT_BLOCK;
	first = first > p->frame ? first : p->frame;
	p->frame = (end + piece - 1) / piece;
	return first < p->frame ? (p->frame - first) * piece : 0;
}

static int take(void *arg, const struct index_head *head, const struct index_member *m,
	struct ebt_err *err)
{
	struct picks *p = arg;
	struct pick pick = {.header = m->header,
		.data = m->data,
		.end = m->data + (m->packed + BLOCK - 1) / BLOCK * BLOCK,
		.size = m->size,
		.serial = p->members,
		.where = p->where,
		.type = m->type};
	const char *flaw = names_normalise(m->path, p->path);
	bool made_wanted, packed;
	uint64_t made;
	int r = check_head(p, head, err);

	if (r < 0)
		return r;
	if (flaw || strcmp(m->path, p->path) != 0)
		return refuse(m->path, flaw ? flaw : "another path", err);
	r = take_above(p, &made, &made_wanted, err);
	if (r < 0)
		return r;
	pick.wanted = p->wants(p->arg, p->path, m->type == INDEX_DIR);
	r = check_name(p, m, pick.wanted, err);
	if (r < 0)
		return r;
	if (names_put(p->names, p->path, strlen(p->path), kind_of_type(m->type), 0) < 0)
		return fail_memory(err);
	p->members++;
	p->where += made + 1;
	p->end = pick.end;
	packed = head->unpacked != head->size;
	p->all += packed ? pick.end - pick.header : cost(&pick, true);
	if (!pick.wanted && !made_wanted)
		return 0;
	p->bytes += packed ? cost_frames(p, &pick, head->unpacked)
			   : cost(&pick, pick.wanted);
	pick.name = picks_name(p->path, m->link);
	return add(p, &pick, err);
}

int picks_new(const struct picks_archive *archive, picks_wants_fn wants, void *arg,
	struct picks **out, struct ebt_err *err)
{
	SCOPED(picks_freep) struct picks *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return fail_memory(err);
	p->archive = *archive;
	p->wants = wants;
	p->arg = arg;
	r = names_new(&p->names, err);
	if (r == 0)
		r = index_reader_new(take, p, &p->reader, err);
	if (r < 0)
		return r;
	*out = TAKE(p);
	return 0;
}

void picks_free(struct picks *p)
{
	if (!p)
		return;
	index_reader_free(p->reader);
	names_free(p->names);
	free(p->of);
	free(p);
}

int picks_feed(struct picks *p, const void *data, size_t len, struct ebt_err *err)
{
	return index_feed(p->reader, data, len, err);
}

int picks_finish(struct picks *p, struct ebt_err *err)
{
	const struct index_head *head;
	struct pick mark = {0};
	int r = index_finish(p->reader, err);

	if (r < 0)
		return r;
	/* Without members nobody has looked at it. */
	head = index_head(p->reader);
	r = check_head(p, head, err);
	if (r == 0 && head->unpacked - p->end != END_MARK)
		r = ebt_failx(err, -ENOTSUP,
			"of an archive that has more than its members and a mark");
	if (r < 0)
		return r;
	mark.header = p->end;
	mark.data = mark.end = head->unpacked;
	if (head->unpacked != head->size)
		p->bytes += cost_frames(p, &mark, head->unpacked);
	r = add(p, &mark, err);
	if (r < 0)
		return r;
	p->n--;
	names_free(TAKE(p->names));
	index_reader_free(TAKE(p->reader));
	return 0;
}

bool picks_pay(const struct picks *p)
{
	return p->bytes <= p->all / 2;
}

uint64_t picks_members(const struct picks *p)
{
	return p->members;
}

const struct pick *picks_list(const struct picks *p, size_t *n)
{
	*n = p->n;
	return p->of;
}
