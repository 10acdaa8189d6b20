/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manifest as bytes, in a store's .ebt/manifest and between ranks. All numbers are
 * little-endian, nothing is aligned or padded. A header, the sources, the entries in
 * order, a digest:
 *
 *	header
 *	   0   8  magic, "EBT-MAN\n"
 *	   8   2  version, 1; a reader refuses any other
 *	  10   2  length of the header, 88, or 64 without what follows the id; the
 *	          sources come behind it
 *	  12   4  flags: bit 0 set for a tree, clear for a flat manifest; others are 0
 *	  16   4  number of sources
 *	  20   4  number of entries, at most 2^32 - 2
 *	  24   8  length of sources and entries together
 *	  32  32  id of the run that wrote it: 32 lower-case hex digits, or all 0
 *	  64   8  unit to which the store cuts times, nanoseconds; 0: it keeps none
 *	  72   8  earliest time it holds, seconds, signed
 *	  80   8  latest time it holds, seconds, signed
 *	source
 *	   0   2  length of the path
 *	   2      the path: absolute, no final '/', each one only once
 *	entry
 *	   0   4  length of this record with these 4 bytes, at least what it takes
 *	   4   1  kind: 1 directory, 2 file, 3 symbolic link
 *	   5   1  bit 0 set: owner and group were not given to the copy; between ranks
 *	          only, bit 1: the node that looked at it has its content, bit 2: it is a
 *	          member of an archive, bit 3: an earlier batch brought it, bit 4: it
 *	          takes the place of what one brought; others are 0 and not looked at
 *	   6   2  mode, permission bits
 *	   8   2  length of the name, n
 *	  10   2  length of the link target, t; 0 unless a symbolic link
 *	  12   4  parent: number of an entry further up, 2^32 - 1 for the top
 *	  16   4  group: number of the entry with the first name of this inode, its
 *	          own for the first; 2^32 - 1 without hard links
 *	  20   4  source: number of a source
 *	  24   4  user
 *	  28   4  group
 *	  32   4  links the source had
 *	  36   4  mtime, nanoseconds
 *	  40   4  atime, nanoseconds
 *	  44   4  length of the extended attributes, x
 *	  48   4  number of data extents, d
 *	  52   8  mtime, seconds, signed
 *	  60   8  atime, seconds, signed
 *	  68   8  size; 0 unless a file
 *	  76   8  bytes the source occupied
 *	  84   8  device of the source: number of the node that looked at it, and in the
 *	          low half its device there
 *	  92   8  inode of the source, on that node
 *	 100  16  digest of the content: low half, high half; base/digest.h says how
 *	 116   n  name: one component in a tree, a path below the store if flat
 *	       t  link target
 *	       x  extended attributes: u16 length of the name, u32 length of the value,
 *	          name, value; names ascending
 *	      16d data extents: offset, length
 *	       8  last change of the source's inode, nanoseconds since 1970; not there in
 *	          manifests of older programs
 *	of a tree, and not there either in those of older programs, the copy in the store:
 *	       8  inode, 0 if nothing is known of it
 *	       8  last change of its inode, nanoseconds since 1970
 *	       4  user
 *	       4  group
 *	       4  mode
 *	digest
 *	   0  16  XXH3-128 of all bytes before it: low half, high half
 *
 * Entries of a tree stand in the order of their paths, component by component, '/'
 * below every other byte; a directory comes right before what it holds. What a later
 * minor change adds goes to the end of the header or of a record, where a reader of
 * this version skips it.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "manifest/manifest_internal.h"

#define MAGIC	      "EBT-MAN\n"
#define HEADER_MIN    64
#define HEADER_LEN    88
#define ENTRY_LEN     116
#define EXTENT_LEN    16
#define TAIL_LEN      8
#define COPY_LEN      28
#define FLAG_TREE     1u
#define NO_OWNER      1u
/* Nanoseconds: an hour, of which every unit is a part. */
#define TIME_UNIT_MAX 3600000000000ull

/* Marks that travel, and as which bits. */
static const struct {
	uint8_t mark, bit;
} marks[] = {
	{MANIFEST_AHEAD, 2},
	{MANIFEST_MEMBER, 4},
	{MANIFEST_HERE, 8},
	{MANIFEST_AGAIN, 16},
};
#define MARKS (sizeof(marks) / sizeof(marks[0]))

static unsigned char bits_of(const struct manifest_entry *e)
{
	unsigned bits = e->no_owner ? NO_OWNER : 0;

	for (size_t i = 0; i < MARKS; i++)
		bits |= e->marks & marks[i].mark ? marks[i].bit : 0;
	return (unsigned char)bits;
}

static void take_bits(struct manifest_entry *e, unsigned bits)
{
	unsigned got = 0;

	e->no_owner = bits & NO_OWNER;
	for (size_t i = 0; i < MARKS; i++)
		got |= bits & marks[i].bit ? marks[i].mark : 0;
	e->marks = (uint8_t)got;
}

static void put16(unsigned char **p, uint16_t v)
{
	v = htole16(v);
	memcpy(*p, &v, sizeof(v));
	*p += sizeof(v);
}

static void put32(unsigned char **p, uint32_t v)
{
	v = htole32(v);
	memcpy(*p, &v, sizeof(v));
	*p += sizeof(v);
}

static void put64(unsigned char **p, uint64_t v)
{
	v = htole64(v);
	memcpy(*p, &v, sizeof(v));
	*p += sizeof(v);
}

/* The part of a record that has the same length for all. */
static void put_fixed(unsigned char *p, const struct manifest_entry *e, size_t len,
	size_t name, size_t target)
{
	put32(&p, (uint32_t)len);
	*p++ = e->kind;
	*p++ = bits_of(e);
	put16(&p, (uint16_t)e->mode);
	put16(&p, (uint16_t)name);
	put16(&p, (uint16_t)target);
	put32(&p, e->parent);
	put32(&p, e->group);
	put32(&p, e->source);
	put32(&p, e->uid);
	put32(&p, e->gid);
	put32(&p, e->nlink);
	put32(&p, e->mtime_ns);
	put32(&p, e->atime_ns);
	put32(&p, e->xattrs_len);
	put32(&p, e->n_extents);
	put64(&p, (uint64_t)e->mtime);
	put64(&p, (uint64_t)e->atime);
	put64(&p, e->size);
	put64(&p, e->allocated);
	put64(&p, e->dev);
	put64(&p, e->ino);
	put64(&p, e->digest.lo);
	put64(&p, e->digest.hi);
}

static void put_copy(unsigned char *p, const struct manifest_copy *c)
{
	put64(&p, c->ino);
	put64(&p, c->changed);
	put32(&p, c->uid);
	put32(&p, c->gid);
	put32(&p, c->mode);
}

static size_t entry_len(bool tree, const struct manifest_entry *e)
{
	return ENTRY_LEN + strlen(e->name) + (e->target ? strlen(e->target) : 0) +
	       e->xattrs_len + (size_t)e->n_extents * EXTENT_LEN + TAIL_LEN +
	       (tree ? COPY_LEN : 0);
}

static int put_entry(
	struct buf *out, bool tree, const struct manifest_entry *e, struct ebt_err *err)
{
	size_t name = strlen(e->name), target = e->target ? strlen(e->target) : 0;
	size_t len = entry_len(tree, e);
	char shown[256];
	unsigned char *p;

	if (len > UINT32_MAX)
		return ebt_fail(err, -EOVERFLOW, "%s: too many extents or attributes",
			text_name(e->name, shown, sizeof(shown)));
	p = buf_extend(out, len);
	if (!p)
		return ebt_fail(err, -ENOMEM, "manifest");
	put_fixed(p, e, len, name, target);
	p += ENTRY_LEN;
	memcpy(p, e->name, name);
	p += name;
	if (target)
		memcpy(p, e->target, target);
	p += target;
	if (e->xattrs_len)
		memcpy(p, e->xattrs, e->xattrs_len);
	p += e->xattrs_len;
	for (uint32_t i = 0; i < e->n_extents; i++) {
		put64(&p, e->extents[i].off);
		put64(&p, e->extents[i].len);
	}
	put64(&p, e->changed);
	if (tree)
		put_copy(p, &e->copy);
	return 0;
}

static void put_header(struct buf *out, const struct manifest *m, uint64_t body)
{
	char id[32] = {0};

	memcpy(id, m->id, strlen(m->id));
	buf_put(out, MAGIC, 8);
	buf_put16(out, MANIFEST_VERSION);
	buf_put16(out, HEADER_LEN);
	buf_put32(out, m->tree ? FLAG_TREE : 0);
	buf_put32(out, m->n_sources);
	buf_put32(out, m->count);
	buf_put64(out, body);
	buf_put(out, id, sizeof(id));
	buf_put64(out, m->times.unit);
	buf_put64(out, (uint64_t)m->times.min);
	buf_put64(out, (uint64_t)m->times.max);
}

uint64_t manifest_body(const struct manifest *m)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < m->n_sources; i++)
		len += 2 + strlen(m->sources[i]);
	for (uint32_t i = 0; i < m->count; i++) {
		len += entry_len(m->tree, &m->entries[i]);
		manifest_passed(m, i);
	}
	return len;
}

int manifest_encode_head(
	const struct manifest *m, uint64_t body, struct buf *out, struct ebt_err *err)
{
	put_header(out, m, body);
	for (uint32_t i = 0; i < m->n_sources; i++) {
		size_t len = strlen(m->sources[i]);

		buf_put16(out, (uint16_t)len);
		buf_put(out, m->sources[i], len);
	}
	return buf_ok(out) ? 0 : ebt_fail(err, -ENOMEM, "manifest");
}

int manifest_encode_some(const struct manifest *m, uint32_t *at, size_t enough,
	struct buf *out, struct ebt_err *err)
{
	int r = 0;

	while (r == 0 && *at < m->count && out->len < enough) {
		r = put_entry(out, m->tree, &m->entries[*at], err);
		manifest_passed(m, (*at)++);
	}
	return r;
}

int manifest_encode(const struct manifest *m, struct buf *out, struct ebt_err *err)
{
	size_t start = out->len;
	uint32_t at = 0;
	uint64_t body;
	int r = manifest_encode_head(m, 0, out, err);

	if (r == 0)
		r = manifest_encode_some(m, &at, SIZE_MAX, out, err);
	if (r < 0)
		return r;
	body = out->len - start - HEADER_LEN;
	buf_patch32(out, start + 24, (uint32_t)body);
	buf_patch32(out, start + 28, (uint32_t)(body >> 32));
	buf_put_digest(out, digest_bytes(out->data + start, out->len - start));
	return buf_ok(out) ? 0
			   : ebt_fail(err, -ENOMEM, "manifest: %u entries", m->count);
}

struct ebt_digest manifest_digest_range(
	const struct manifest *m, uint32_t from, uint32_t to)
{
	struct digest_run run = {0};
	unsigned char fixed[ENTRY_LEN + TAIL_LEN], *tail;
	uint64_t shape[3] = {m->tree, m->n_sources, m->count};

	digest_run_add(&run, digest_bytes(shape, sizeof(shape)));
	digest_run_add(&run, digest_bytes(m->id, strlen(m->id)));
	for (uint32_t i = 0; i < m->n_sources; i++)
		digest_run_add(
			&run, digest_bytes(m->sources[i], strlen(m->sources[i])));
	for (uint32_t i = from; i < to; i++) {
		const struct manifest_entry *e = &m->entries[i];
		size_t name = strlen(e->name),
		       target = e->target ? strlen(e->target) : 0;

		put_fixed(fixed, e, 0, name, target);
		tail = fixed + ENTRY_LEN;
		put64(&tail, e->changed);
		digest_run_add(&run, digest_bytes(fixed, sizeof(fixed)));
		digest_run_add(&run, digest_bytes(e->name, name));
		if (target)
			digest_run_add(&run, digest_bytes(e->target, target));
		if (e->xattrs_len)
			digest_run_add(&run, digest_bytes(e->xattrs, e->xattrs_len));
		if (e->n_extents)
			digest_run_add(
				&run, digest_bytes(e->extents,
					      e->n_extents * sizeof(*e->extents)));
		manifest_passed(m, i);
	}
	return digest_run_end(&run);
}

struct ebt_digest manifest_digest(const struct manifest *m)
{
	return manifest_digest_range(m, 0, m->count);
}

int manifest_damaged(struct ebt_err *err, const char *what)
{
	return ebt_failx(err, -EBADMSG, "manifest damaged: %s", what);
}

static bool get_id(struct reader *r, char id[33])
{
	const char *p = reader_take(r, 32);
	static const char none[32];

	if (!p)
		return false;
	if (memcmp(p, none, 32) == 0)
		return true;
	memcpy(id, p, 32);
	return strspn(id, "0123456789abcdef") == 32;
}

/* Stores of before say nothing: their times were taken for held. */
static bool get_times(struct reader *r, struct fsio_times *t)
{
	t->unit = reader_get64(r);
	t->min = (int64_t)reader_get64(r);
	t->max = (int64_t)reader_get64(r);
	return !r->failed && t->min < t->max && t->unit <= TIME_UNIT_MAX;
}

/* Where decode puts together what is not in memory as it is in the record. */
struct manifest_scratch {
	char name[MANIFEST_PATH_MAX + 1], target[MANIFEST_PATH_MAX + 1];
	struct manifest_extent *extents;
	size_t cap;
};

void manifest_decoding_release(struct manifest_decoding *d)
{
	if (d->scratch)
		free(d->scratch->extents);
	free(d->scratch);
}

int manifest_decode_head(struct manifest_decoding *d, const void *data, size_t size,
	uint64_t total, size_t *used, struct ebt_err *err)
{
	struct reader r = reader_of(data, size);
	const void *magic = reader_take(&r, 8);
	uint16_t version, len;
	uint32_t flags;

	if (!magic || memcmp(magic, MAGIC, 8) != 0)
		return ebt_failx(err, -EBADMSG, "not a manifest");
	version = reader_get16(&r);
	if (!r.failed && version != MANIFEST_VERSION)
		return ebt_failx(err, -EPROTONOSUPPORT,
			"manifest of version %u; this program knows version %u",
			version, MANIFEST_VERSION);
	len = reader_get16(&r);
	flags = reader_get32(&r);
	d->sources = reader_get32(&r);
	d->count = reader_get32(&r);
	d->body = reader_get64(&r);
	if (!get_id(&r, d->m->id) || len < HEADER_MIN || flags & ~FLAG_TREE)
		return manifest_damaged(err, "header");
	if (len >= HEADER_LEN && !get_times(&r, &d->m->times))
		return manifest_damaged(err, "times");
	reader_take(&r, len - (len < HEADER_LEN ? HEADER_MIN : HEADER_LEN));
	if (r.failed || total < (uint64_t)len + DIGEST_BYTES ||
		d->body != total - len - DIGEST_BYTES)
		return manifest_damaged(err, "length");
	/*
	 * What is said to follow fits what does follow: no large allocation for a small
	 * lie.
	 */
	if (d->count > MANIFEST_COUNT_MAX ||
		(uint64_t)d->sources * 2 + (uint64_t)d->count * ENTRY_LEN > d->body)
		return manifest_damaged(err, "number of entries");
	d->m->tree = flags & FLAG_TREE;
	d->scratch = calloc(1, sizeof(*d->scratch));
	if (!d->scratch)
		return ebt_fail(err, -ENOMEM, "manifest");
	*used = len;
	return manifest_reserve(d->m, d->count, err);
}

/*
 * A string out of @len bytes of @r, with its NUL, in @scratch. NULL if it holds a NUL.
 */
static const char *get_string(struct reader *r, size_t len, char *scratch)
{
	const void *p = reader_take(r, len);

	if (!p || memchr(p, '\0', len))
		return NULL;
	memcpy(scratch, p, len);
	scratch[len] = '\0';
	return scratch;
}

static int get_source(
	struct reader *r, struct manifest *m, char *scratch, struct ebt_err *err)
{
	size_t len = reader_get16(r);
	const char *path = get_string(r, len, scratch);
	uint32_t index, next = m->n_sources;
	int rc;

	if (!path || path[0] != '/' || (len > 1 && path[len - 1] == '/'))
		return manifest_damaged(err, "source");
	rc = manifest_add_source(m, path, &index, err);
	return rc == 0 && index != next
		       ? manifest_damaged(err, "a source that is there twice")
		       : rc;
}

static int get_extents(struct reader *r, struct manifest_entry *e,
	struct manifest_scratch *s, struct ebt_err *err)
{
	struct manifest_extent *p;

	if (reader_left(r) / EXTENT_LEN < e->n_extents)
		return manifest_damaged(err, "extents");
	if (e->n_extents > s->cap) {
		p = realloc(s->extents, e->n_extents * sizeof(*p));
		if (!p)
			return ebt_fail(err, -ENOMEM, "manifest");
		s->extents = p;
		s->cap = e->n_extents;
	}
	for (uint32_t i = 0; i < e->n_extents; i++) {
		s->extents[i].off = reader_get64(r);
		s->extents[i].len = reader_get64(r);
	}
	e->extents = s->extents;
	return 0;
}

static void get_fixed(
	struct reader *r, struct manifest_entry *e, size_t *name, size_t *target)
{
	e->kind = reader_get8(r);
	take_bits(e, reader_get8(r));
	e->mode = reader_get16(r);
	*name = reader_get16(r);
	*target = reader_get16(r);
	e->parent = reader_get32(r);
	e->group = reader_get32(r);
	e->source = reader_get32(r);
	e->uid = reader_get32(r);
	e->gid = reader_get32(r);
	e->nlink = reader_get32(r);
	e->mtime_ns = reader_get32(r);
	e->atime_ns = reader_get32(r);
	e->xattrs_len = reader_get32(r);
	e->n_extents = reader_get32(r);
	e->mtime = (int64_t)reader_get64(r);
	e->atime = (int64_t)reader_get64(r);
	e->size = reader_get64(r);
	e->allocated = reader_get64(r);
	e->dev = reader_get64(r);
	e->ino = reader_get64(r);
	e->digest = reader_get_digest(r);
}

static void get_copy(struct reader *r, struct manifest_copy *c)
{
	c->ino = reader_get64(r);
	c->changed = reader_get64(r);
	c->uid = reader_get32(r);
	c->gid = reader_get32(r);
	c->mode = reader_get32(r);
}

static int get_entry(struct reader *all, struct manifest *m, struct manifest_scratch *s,
	struct ebt_err *err)
{
	struct manifest_entry e = {0};
	size_t name_len, target_len;
	uint32_t len = reader_get32(all);
	const char *flaw;
	struct reader r;
	int rc;

	if (len < ENTRY_LEN || len - 4 > reader_left(all))
		return manifest_damaged(err, "length of an entry");
	r = reader_of(reader_take(all, len - 4), len - 4);
	get_fixed(&r, &e, &name_len, &target_len);
	e.name = get_string(&r, name_len, s->name);
	if (!e.name)
		return manifest_damaged(err, "name of an entry");
	if (target_len) {
		e.target = get_string(&r, target_len, s->target);
		if (!e.target)
			return manifest_damaged(err, "target of a link");
	}
	if (e.xattrs_len)
		e.xattrs = reader_take(&r, e.xattrs_len);
	rc = get_extents(&r, &e, s, err);
	if (rc < 0)
		return rc;
	if (reader_left(&r) >= TAIL_LEN)
		e.changed = reader_get64(&r);
	if (m->tree && reader_left(&r) >= COPY_LEN)
		get_copy(&r, &e.copy);
	if (r.failed)
		return manifest_damaged(err, "length of an entry");
	flaw = manifest_flaw(m, &e);
	if (flaw)
		return manifest_damaged(err, flaw);
	return manifest_put(m, &e, err);
}

/* Is the record at hand, with its length in @width bytes at its start, there as a whole? */
static bool is_whole(const struct reader *r, size_t width)
{
	struct reader look = *r;

	if (reader_left(r) < width)
		return false;
	if (width == 2)
		return reader_get16(&look) <= reader_left(&look);
	/* One that is shorter than its own length can be told as it is. */
	return reader_get32(&look) <= reader_left(r);
}

int manifest_decode_some(struct manifest_decoding *d, const void *data, size_t len,
	size_t *used, struct ebt_err *err)
{
	struct reader r = reader_of(data, len);
	int rc = 0;

	while (rc == 0 && d->m->n_sources < d->sources && is_whole(&r, 2))
		rc = get_source(&r, d->m, d->scratch->name, err);
	while (rc == 0 && d->m->n_sources == d->sources && !manifest_decoded(d) &&
		is_whole(&r, 4))
		rc = get_entry(&r, d->m, d->scratch, err);
	*used = r.at;
	return rc;
}

int manifest_decode_end(struct manifest_decoding *d, struct ebt_err *err)
{
	const char *flaw;
	uint32_t at;

	if (!manifest_decoded(d))
		return manifest_damaged(err, "length of an entry");
	flaw = manifest_shape_flaw(d->m, &at);
	return flaw ? manifest_damaged(err, flaw) : 0;
}

int manifest_decode(
	const void *data, size_t len, struct manifest **out, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED(manifest_decoding_release) struct manifest_decoding d = {0};
	const unsigned char *p = data;
	struct reader tail;
	size_t head, body;
	int rc = manifest_new(&m, err);

	d.m = m;
	if (rc == 0)
		rc = manifest_decode_head(&d, data, len, len, &head, err);
	if (rc < 0)
		return rc;
	tail = reader_of(p + len - DIGEST_BYTES, DIGEST_BYTES);
	if (!digest_equal(
		    reader_get_digest(&tail), digest_bytes(data, len - DIGEST_BYTES)))
		return manifest_damaged(err, "digest");
	rc = manifest_decode_some(&d, p + head, d.body, &body, err);
	if (rc == 0)
		rc = manifest_decode_end(&d, err);
	if (rc == 0 && body < d.body)
		rc = manifest_damaged(err, "more than it says");
	if (rc < 0)
		return rc;
	*out = TAKE(m);
	return 0;
}
