/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/journal_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest.h"

#define MAGIC	    "EBT-DRN\n"
#define MAGIC_LEN   8
#define RECORD_HEAD 5
#define ID_LEN	    32
#define NS_PER_S    1000000000u

static size_t begin_record(struct buf *out, enum journal_kind kind)
{
	size_t at = out->len;

	buf_put32(out, 0);
	buf_put8(out, (uint8_t)kind);
	return at;
}

static void end_record(struct buf *out, size_t at)
{
	size_t len = out->len - at - RECORD_HEAD;

	if (len > UINT32_MAX)
		out->failed = true;
	if (!buf_ok(out))
		return;
	buf_patch32(out, at, (uint32_t)len);
	buf_put_digest(out, digest_bytes(out->data + at, out->len - at));
}

void journal_put_head(struct buf *out, const char *id, const char *dest, bool atomic)
{
	size_t at;

	buf_put(out, MAGIC, MAGIC_LEN);
	buf_put32(out, JOURNAL_VERSION);
	at = begin_record(out, JOURNAL_HEAD);
	buf_put(out, id, ID_LEN);
	buf_put8(out, atomic);
	buf_put(out, dest, strlen(dest) + 1);
	end_record(out, at);
}

void journal_put_source(struct buf *out, const struct journal_source *s)
{
	buf_put64(out, s->where);
	buf_put64(out, s->ino);
	buf_put64(out, s->size);
	buf_put64(out, (uint64_t)s->mtime);
	buf_put32(out, s->mtime_ns);
}

bool journal_get_source(struct reader *r, struct journal_source *s)
{
	s->where = reader_get64(r);
	s->ino = reader_get64(r);
	s->size = reader_get64(r);
	s->mtime = (int64_t)reader_get64(r);
	s->mtime_ns = reader_get32(r);
	return s->mtime_ns < NS_PER_S;
}

void journal_put_seal(struct buf *out, const struct journal_seal *s)
{
	size_t at, len;
	const char *name = s->names;

	at = begin_record(out, s->lacks ? JOURNAL_SEAL_LACKS
			       : s->of	? JOURNAL_SEAL_AS
			       : s->ino ? JOURNAL_SEAL_INO
					: JOURNAL_SEAL);
	if (s->lacks) {
		buf_put8(out, s->lacks);
		buf_put8(out, s->of != NULL);
	}
	if (s->lacks || s->of || s->ino)
		buf_put64(out, s->ino);
	buf_put64(out, s->size);
	buf_put64(out, (uint64_t)s->mtime);
	buf_put32(out, s->mtime_ns);
	buf_put32(out, s->n_names + (s->of != NULL));
	buf_put32(out, s->n_sources);
	for (uint32_t i = 0; i < s->n_sources; i++)
		journal_put_source(out, &s->sources[i]);
	if (s->of)
		buf_put(out, s->of, strlen(s->of) + 1);
	for (uint32_t i = 0; i < s->n_names; i++, name += len) {
		len = strlen(name) + 1;
		buf_put(out, name, len);
	}
	end_record(out, at);
}

void journal_put_end(struct buf *out)
{
	end_record(out, begin_record(out, JOURNAL_END));
}

void journal_put_split(struct buf *out, const char *paths, uint32_t n)
{
	size_t at = begin_record(out, JOURNAL_SPLIT), len;

	buf_put32(out, n);
	for (; n > 0; n--, paths += len) {
		len = strlen(paths) + 1;
		buf_put(out, paths, len);
	}
	end_record(out, at);
}

void journal_put_frame(struct buf *list, const struct journal_frame *f)
{
	buf_put32(list, f->packed);
	buf_put_digest(list, f->digest);
}

struct journal_frame journal_frame(const struct journal_frames *f, uint32_t i)
{
	struct reader r =
		reader_of(f->list + (size_t)i * JOURNAL_FRAME_LEN, JOURNAL_FRAME_LEN);
	struct journal_frame one = {.packed = reader_get32(&r)};

	one.digest = reader_get_digest(&r);
	return one;
}

void journal_put_frames(struct buf *out, const struct journal_frames *f)
{
	size_t at = begin_record(out, JOURNAL_FRAMES);

	buf_put64(out, f->ino);
	buf_put_digest(out, f->version);
	buf_put32(out, f->first);
	buf_put32(out, f->n);
	buf_put(out, f->list, (size_t)f->n * JOURNAL_FRAME_LEN);
	buf_put(out, f->path, strlen(f->path) + 1);
	end_record(out, at);
}

void journal_put_packed(struct buf *out, const struct journal_packed *p)
{
	size_t at = begin_record(out, JOURNAL_PACKED);

	buf_put64(out, p->ino);
	buf_put8(out, p->older);
	buf_put32(out, p->n);
	buf_put(out, p->keys, (size_t)p->n * JOURNAL_KEY_LEN);
	buf_put(out, p->path, strlen(p->path) + 1);
	end_record(out, at);
}

static bool get_head(struct reader *r, uint32_t version, struct journal_head *h)
{
	const char *id = reader_take(r, ID_LEN);
	uint8_t atomic = reader_get8(r);
	size_t len = reader_left(r);
	const char *dest = reader_take(r, len);

	if (r->failed || atomic > 1 || len < 2 || dest[0] != '/' ||
		memchr(dest, '\0', len) != dest + len - 1)
		return false;
	memcpy(h->id, id, ID_LEN);
	h->id[ID_LEN] = '\0';
	h->dest = dest;
	h->atomic = atomic;
	h->finished = false;
	h->version = version;
	return strspn(h->id, "0123456789abcdef") == ID_LEN;
}

/* Exactly @n names, and what may be opened below a directory. */
static bool names_ok(const char *p, size_t len, uint32_t n)
{
	const char *end = p + len, *stop;

	for (; n > 0; n--, p = stop + 1) {
		stop = memchr(p, '\0', (size_t)(end - p));
		if (!stop || !manifest_path_ok(p))
			return false;
	}
	return p == end;
}

/* 1, 0: damaged, or -ENOMEM. */
static int get_seal(struct reader *r, struct journal_scan *s, struct journal_seal *seal,
	struct ebt_err *err)
{
	struct journal_source *p;
	size_t len;

	seal->of = NULL;
	seal->size = reader_get64(r);
	seal->mtime = (int64_t)reader_get64(r);
	seal->mtime_ns = reader_get32(r);
	seal->n_names = reader_get32(r);
	seal->n_sources = reader_get32(r);
	if (r->failed || seal->mtime_ns >= NS_PER_S || seal->n_names == 0 ||
		seal->n_sources > reader_left(r) / JOURNAL_SOURCE_LEN)
		return 0;
	if (seal->n_sources > s->sources_cap) {
		p = realloc(s->sources, seal->n_sources * sizeof(*p));
		if (!p)
			return ebt_fail(err, -ENOMEM, "journal");
		s->sources = p;
		s->sources_cap = seal->n_sources;
	}
	for (uint32_t i = 0; i < seal->n_sources; i++) {
		if (!journal_get_source(r, &s->sources[i]))
			return 0;
	}
	seal->sources = s->sources;
	len = reader_left(r);
	seal->names = reader_take(r, len);
	return names_ok(seal->names, len, seal->n_names);
}

/* The same, of which the first name is what the job called it. */
static int get_seal_as(struct reader *r, struct journal_scan *s,
	struct journal_seal *seal, struct ebt_err *err)
{
	int rc;

	seal->ino = reader_get64(r);
	rc = get_seal(r, s, seal, err);
	if (rc <= 0)
		return rc;
	if (seal->n_names < 2 || seal->n_sources == 0)
		return 0;
	seal->of = seal->names;
	seal->names += strlen(seal->names) + 1;
	seal->n_names--;
	return 1;
}

/* One of these two, of a target without some attributes. */
static int get_seal_lacks(struct reader *r, struct journal_scan *s,
	struct journal_seal *seal, struct ebt_err *err)
{
	uint8_t as;

	seal->lacks = reader_get8(r);
	as = reader_get8(r);
	if (!seal->lacks || seal->lacks > JOURNAL_LACKS || as > 1)
		return 0;
	if (as)
		return get_seal_as(r, s, seal, err);
	seal->ino = reader_get64(r);
	return get_seal(r, s, seal, err);
}

static bool get_split(struct reader *r, struct journal_record *rec)
{
	size_t len;

	rec->n_paths = reader_get32(r);
	len = reader_left(r);
	rec->paths = reader_take(r, len);
	return !r->failed && rec->n_paths && names_ok(rec->paths, len, rec->n_paths);
}

static bool get_frames(struct reader *r, struct journal_frames *f)
{
	size_t len;

	f->ino = reader_get64(r);
	f->version = reader_get_digest(r);
	f->first = reader_get32(r);
	f->n = reader_get32(r);
	if (r->failed || f->n > reader_left(r) / JOURNAL_FRAME_LEN)
		return false;
	f->list = reader_take(r, (size_t)f->n * JOURNAL_FRAME_LEN);
	len = reader_left(r);
	f->path = reader_take(r, len);
	return f->n <= UINT32_MAX - f->first && names_ok(f->path, len, 1);
}

static bool get_packed(struct reader *r, struct journal_packed *p)
{
	uint8_t older;
	size_t len;

	p->ino = reader_get64(r);
	older = reader_get8(r);
	p->n = reader_get32(r);
	if (r->failed || older > 1 || p->n > reader_left(r) / JOURNAL_KEY_LEN)
		return false;
	p->older = older;
	p->keys = reader_take(r, (size_t)p->n * JOURNAL_KEY_LEN);
	len = reader_left(r);
	p->path = reader_take(r, len);
	return names_ok(p->path, len, 1);
}

static int get_payload(struct journal_scan *s, struct reader *r,
	struct journal_record *rec, struct ebt_err *err)
{
	/* The head comes first and only then; nothing comes after the end. */
	if ((rec->kind == JOURNAL_HEAD) != (s->last == 0) || s->last == JOURNAL_END)
		return 0;
	rec->seal.lacks = 0;
	switch (rec->kind) {
	case JOURNAL_HEAD:
		return get_head(r, s->version, &rec->head);
	case JOURNAL_SEAL:
		rec->seal.ino = 0;
		return get_seal(r, s, &rec->seal, err);
	case JOURNAL_SEAL_LACKS:
		return get_seal_lacks(r, s, &rec->seal, err);
	case JOURNAL_SEAL_INO:
		rec->seal.ino = reader_get64(r);
		return rec->seal.ino ? get_seal(r, s, &rec->seal, err) : 0;
	case JOURNAL_SEAL_AS:
		return get_seal_as(r, s, &rec->seal, err);
	case JOURNAL_END:
		return reader_left(r) == 0;
	case JOURNAL_SPLIT:
		return get_split(r, rec);
	case JOURNAL_FRAMES:
		return get_frames(r, &rec->frames);
	case JOURNAL_PACKED:
		return get_packed(r, &rec->packed);
	}
	return 0;
}

/* 1: the bytes are a journal's. */
static int get_start(struct reader *r, uint32_t *version, struct ebt_err *err)
{
	const void *magic = reader_take(r, MAGIC_LEN);

	*version = reader_get32(r);
	if (r->failed || memcmp(magic, MAGIC, MAGIC_LEN) != 0 || *version == 0)
		return 0;
	if (*version > JOURNAL_VERSION)
		return ebt_failx(err, -EPROTONOSUPPORT,
			"journal of version %u; this program knows version %u",
			*version, JOURNAL_VERSION);
	return 1;
}

int journal_scan_next(
	struct journal_scan *s, struct journal_record *rec, struct ebt_err *err)
{
	struct reader r = {.data = s->data, .len = s->len, .at = s->at}, payload;
	const unsigned char *bytes;
	uint32_t len;
	int rc;

	if (s->at == s->len) /* where there are no bytes at all, data is NULL */
		return 0;
	if (s->at == 0) {
		rc = get_start(&r, &s->version, err);
		if (rc <= 0)
			return rc;
	}
	rec->start = r.at;
	len = reader_get32(&r);
	rec->kind = reader_get8(&r);
	bytes = reader_take(&r, len);
	if (!bytes || reader_left(&r) < DIGEST_BYTES)
		return 0;
	if (!digest_equal(digest_bytes(s->data + rec->start, (size_t)RECORD_HEAD + len),
		    reader_get_digest(&r)))
		return 0;
	payload = reader_of(bytes, len);
	rc = get_payload(s, &payload, rec, err);
	if (rc <= 0)
		return rc;
	rec->end = s->at = r.at;
	s->last = rec->kind;
	return 1;
}

bool journal_scan_torn(const struct journal_scan *s)
{
	size_t at = s->at, left = s->len - s->at, i = 0;
	struct reader r;
	uint32_t len;

	while (i < left && !s->data[at + i])
		i++;
	if (i == left)
		return true;
	if (at == 0 && left < MAGIC_LEN + sizeof(uint32_t))
		return memcmp(s->data, MAGIC, left < MAGIC_LEN ? left : MAGIC_LEN) == 0;
	r = (struct reader){.data = s->data, .len = s->len, .at = at};
	if (at == 0 && get_start(&r, &(uint32_t){0}, NULL) <= 0)
		return false;
	if (reader_left(&r) < RECORD_HEAD)
		return true;
	/* A record that ends before the file does was written as a whole. */
	len = reader_get32(&r);
	return len + (uint64_t)DIGEST_BYTES + 1 > reader_left(&r);
}

void journal_scan_release(struct journal_scan *s)
{
	int saved = errno;

	free(s->sources);
	errno = saved;
	s->sources = NULL;
	s->sources_cap = 0;
}
