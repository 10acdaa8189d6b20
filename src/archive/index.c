/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *	EBT-INDEX 1 SIZE UNPACKED SECONDS.NANOSECONDS MEMBERS
 *	HEADER DATA PACKED SIZE f|d|l PATH
 *	HEADER DATA 0 0 h PATH TARGET
 *
 * as struct index_head and struct index_member have it, one space between words, names as
 * text_percent writes them. Lines are parsed where they lie; only one that a piece of input cuts is put together first. Names
 * are decoded into memory that was taken for the longest of them.
 */
#include "archive/index.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest.h"

#define MAGIC	    "EBT-INDEX"
#define BLOCK	    512u
#define END	    1024u /* bytes of the end mark of an archive */
#define NUMBERS	    128u /* bytes of a line beside its names; a few more than it can have */
/* A byte of a name takes at most three. */
#define LINE_LENGTH (2 * 3 * (size_t)MANIFEST_PATH_MAX + NUMBERS)

struct index_reader {
	index_fn found;
	void *arg;
	struct index_head head;
	bool begun;	  /* the head is there */
	bool failed;	  /* no more is taken */
	uint64_t members; /* read so far */
	uint64_t end;	  /* byte of the stream where the last of them ends */
	struct buf line;  /* the beginning of one that was cut */
	char *path, *link;
};

static uint64_t padded(uint64_t len)
{
	return (len + BLOCK - 1) / BLOCK * BLOCK;
}

/* What stands for itself in a name. */
static bool plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '%';
}

static const char *name_flaw(const char *path)
{
	if (!path || !manifest_path_ok(path))
		return "a path that leads to nothing below a directory";
	if (strlen(path) > MANIFEST_PATH_MAX)
		return "a path that is too long";
	return NULL;
}

static const char *head_flaw(const struct index_head *h)
{
	if (h->mtime_ns > 999999999)
		return "a time with too many nanoseconds";
	if (h->unpacked > INT64_MAX || h->size > INT64_MAX)
		return "an archive that is too large";
	if (h->unpacked % BLOCK != 0 || h->unpacked < END)
		return "a size that no archive has";
	if (h->members > (h->unpacked - END) / BLOCK)
		return "more members than the archive has room for";
	return NULL;
}

static const char *member_flaw(const struct index_member *m)
{
	const char *flaw = name_flaw(m->path);

	if (flaw)
		return flaw;
	if ((m->type == INDEX_HARDLINK) != (m->link != NULL))
		return "a target of what is no hard link, or none of one";
	if (m->link) {
		flaw = name_flaw(m->link);
		if (flaw)
			return flaw;
		if (strcmp(m->path, m->link) == 0)
			return "a hard link to itself";
	}
	if (m->type != INDEX_FILE && (m->packed || m->size))
		return "content of what is no file";
	if (m->packed > m->size || m->size > INT64_MAX)
		return "a size that no file has";
	if (m->header % BLOCK != 0 || m->data % BLOCK != 0)
		return "a place where nothing begins in an archive";
	if (m->data > INT64_MAX || m->data < BLOCK || m->header > m->data - BLOCK)
		return "content where the header is";
	return NULL;
}

static int finish_put(struct buf *out, struct ebt_err *err)
{
	return buf_ok(out) ? 0 : ebt_fail(err, -ENOMEM, "index of an archive");
}

int index_put_head(struct buf *out, const struct index_head *h, struct ebt_err *err)
{
	const char *flaw = head_flaw(h);

	if (flaw)
		return ebt_failx(err, -EINVAL, "index of an archive: %s", flaw);
	buf_printf(out,
		MAGIC " %d %" PRIu64 " %" PRIu64 " %" PRId64 ".%09" PRIu32 " %" PRIu64
		      "\n",
		INDEX_VERSION, h->size, h->unpacked, h->mtime, h->mtime_ns, h->members);
	return finish_put(out, err);
}

int index_put(struct buf *out, const struct index_member *m, struct ebt_err *err)
{
	const char *flaw = member_flaw(m);

	if (flaw)
		return ebt_failx(err, -EINVAL, "index of an archive: %s", flaw);
	buf_printf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %c ",
		m->header, m->data, m->packed, m->size, m->type);
	buf_put_percent(out, m->path);
	if (m->link) {
		buf_put8(out, ' ');
		buf_put_percent(out, m->link);
	}
	buf_put8(out, '\n');
	return finish_put(out, err);
}

int index_reader_new(
	index_fn found, void *arg, struct index_reader **out, struct ebt_err *err)
{
	SCOPED(index_reader_freep) struct index_reader *r = calloc(1, sizeof(*r));

	if (r) {
		r->path = malloc(MANIFEST_PATH_SIZE);
		r->link = malloc(MANIFEST_PATH_SIZE);
	}
	if (!r || !r->path || !r->link)
		return ebt_fail(err, -ENOMEM, "index of an archive");
	r->found = found;
	r->arg = arg;
	*out = TAKE(r);
	return 0;
}

void index_reader_free(struct index_reader *r)
{
	if (!r)
		return;
	buf_release(&r->line);
	free(r->path);
	free(r->link);
	free(r);
}

const struct index_head *index_head(const struct index_reader *r)
{
	return r->begun ? &r->head : NULL;
}

/* What is left of a line; each of the calls below moves it on, or leaves p NULL. */
struct rest {
	const char *p, *end;
};

static void expect(struct rest *r, const char *text)
{
	size_t n = strlen(text);

	if (r->p && (size_t)(r->end - r->p) >= n && memcmp(r->p, text, n) == 0)
		r->p += n;
	else
		r->p = NULL;
}

/* Digits, and no more than there need be. */
static uint64_t get_number(struct rest *r)
{
	const char *start = r->p;
	uint64_t v = 0;
	unsigned digit;

	for (; r->p && r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
		digit = (unsigned)(*r->p - '0');
		if (v > (UINT64_MAX - digit) / 10 || (v == 0 && r->p > start)) {
			r->p = NULL;
			return 0;
		}
		v = v * 10 + digit;
	}
	if (r->p == start)
		r->p = NULL;
	return v;
}

/* Just nine digits. */
static uint32_t get_ns(struct rest *r)
{
	uint32_t v = 0;

	for (int i = 0; r->p && i < 9; i++) {
		if (r->p == r->end || *r->p < '0' || *r->p > '9')
			r->p = NULL;
		else
			v = v * 10 + (uint32_t)(*r->p++ - '0');
	}
	return v;
}

static int64_t get_seconds(struct rest *r)
{
	bool before = r->p && r->p < r->end && *r->p == '-';
	uint64_t v;

	if (before)
		r->p++;
	v = get_number(r);
	/* Which leaves out a second that no clock shows. */
	if (v > INT64_MAX || (before && v == 0))
		r->p = NULL;
	return r->p ? (before ? -(int64_t)v : (int64_t)v) : 0;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* A name up to a blank or the end, decoded into @out. */
static void get_name(struct rest *r, char *out)
{
	size_t n = 0;
	int high, low, c;

	for (; r->p && r->p < r->end && *r->p != ' '; out[n++] = (char)c) {
		c = (unsigned char)*r->p++;
		if (c == '%') {
			high = r->end - r->p >= 2 ? hex_value(r->p[0]) : -1;
			low = high >= 0 ? hex_value(r->p[1]) : -1;
			c = high * 16 + low;
			/* What stands for itself must not be coded. */
			if (low < 0 || c == 0 || plain((unsigned char)c)) {
				r->p = NULL;
				return;
			}
			r->p += 2;
		} else if (!plain((unsigned char)c)) {
			r->p = NULL;
			return;
		}
		if (n == MANIFEST_PATH_MAX) {
			r->p = NULL;
			return;
		}
	}
	out[n] = '\0';
}

static int fail(struct index_reader *r, const char *what, struct ebt_err *err)
{
	r->failed = true;
	if (!r->begun)
		return ebt_failx(
			err, -EBADMSG, "index of an archive: line 1: %s", what);
	return ebt_failx(err, -EBADMSG, "index of an archive: line %" PRIu64 ": %s",
		r->members + 2, what);
}

static int parse_head(struct index_reader *r, struct rest *rest, struct ebt_err *err)
{
	struct index_head *h = &r->head;
	uint64_t version;
	const char *flaw;

	expect(rest, MAGIC " ");
	version = get_number(rest);
	if (rest->p && version > INDEX_VERSION) {
		r->failed = true;
		return ebt_failx(err, -EPROTONOSUPPORT,
			"index of an archive: version %" PRIu64
			", only %d is known here",
			version, INDEX_VERSION);
	}
	expect(rest, " ");
	h->size = get_number(rest);
	expect(rest, " ");
	h->unpacked = get_number(rest);
	expect(rest, " ");
	h->mtime = get_seconds(rest);
	expect(rest, ".");
	h->mtime_ns = get_ns(rest);
	expect(rest, " ");
	h->members = get_number(rest);
	if (rest->p != rest->end || version == 0)
		return fail(r, "none of an index", err);
	flaw = head_flaw(h);
	if (flaw)
		return fail(r, flaw, err);
	r->begun = true;
	return 0;
}

static enum index_type get_type(struct rest *r)
{
	char c = r->p && r->p < r->end ? *r->p++ : '\0';

	if (c != INDEX_FILE && c != INDEX_DIR && c != INDEX_SYMLINK &&
		c != INDEX_HARDLINK)
		r->p = NULL;
	return (enum index_type)c;
}

/* Fields of a line as they stand there. */
static void get_member(
	struct index_reader *r, struct rest *rest, struct index_member *m)
{
	m->header = get_number(rest);
	expect(rest, " ");
	m->data = get_number(rest);
	expect(rest, " ");
	m->packed = get_number(rest);
	expect(rest, " ");
	m->size = get_number(rest);
	expect(rest, " ");
	m->type = get_type(rest);
	expect(rest, " ");
	get_name(rest, r->path);
	m->path = r->path;
	if (m->type == INDEX_HARDLINK) {
		expect(rest, " ");
		get_name(rest, r->link);
		m->link = r->link;
	}
}

static int parse_member(struct index_reader *r, struct rest *rest, struct ebt_err *err)
{
	struct index_member m = {0};
	uint64_t most = r->head.unpacked - END; /* where the last may end */
	const char *flaw;
	int code;

	if (r->members == r->head.members)
		return fail(r, "more members than the first line says", err);
	get_member(r, rest, &m);
	if (rest->p != rest->end)
		return fail(r, "none of a member", err);
	flaw = member_flaw(&m);
	if (flaw)
		return fail(r, flaw, err);
	if (m.header != r->end)
		return fail(r, "not where the member before ends", err);
	if (m.data > most || padded(m.packed) > most - m.data)
		return fail(r, "a member beyond the end of the archive", err);
	code = r->found(r->arg, &r->head, &m, err);
	if (code != 0) {
		r->failed = true;
		return code;
	}
	r->end = m.data + padded(m.packed);
	r->members++;
	return 0;
}

static int parse_line(
	struct index_reader *r, const char *line, size_t len, struct ebt_err *err)
{
	struct rest rest = {.p = line, .end = line + len};

	return r->begun ? parse_member(r, &rest, err) : parse_head(r, &rest, err);
}

/* A line that goes on in the next piece. */
static int keep(
	struct index_reader *r, const char *data, size_t len, struct ebt_err *err)
{
	if (len > LINE_LENGTH - r->line.len)
		return fail(r, "a line that is too long", err);
	buf_put(&r->line, data, len);
	if (!buf_ok(&r->line)) {
		r->failed = true;
		return ebt_fail(err, -ENOMEM, "index of an archive");
	}
	return 0;
}

int index_feed(
	struct index_reader *r, const void *data, size_t len, struct ebt_err *err)
{
	const char *p = data, *end = p + len, *nl;
	int code = 0;

	if (r->failed)
		return fail(r, "read on after a failure", err);
	for (; code == 0 && p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			return keep(r, p, (size_t)(end - p), err);
		if (r->line.len == 0) {
			code = parse_line(r, p, (size_t)(nl - p), err);
			continue;
		}
		code = keep(r, p, (size_t)(nl - p), err);
		if (code == 0)
			code = parse_line(r, (char *)r->line.data, r->line.len, err);
		r->line.len = 0;
	}
	return code;
}

int index_finish(struct index_reader *r, struct ebt_err *err)
{
	if (r->failed)
		return fail(r, "read on after a failure", err);
	if (r->line.len)
		return fail(r, "cut", err);
	if (!r->begun)
		return fail(r, "missing", err);
	if (r->members != r->head.members)
		return fail(r, "missing", err);
	return 0;
}
