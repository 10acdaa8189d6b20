/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seek table: a skippable frame with the lengths of all frames before it, and a foot by which
 * it is found from the end of the file.
 *
 *	u32 skippable magic, u32 length of the rest
 *	n times: u32 packed, u32 plain, with bit 7 of flags also u32 checksum
 *	u32 n, u8 flags, u32 seekable magic
 */
#include "codec/frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SKIPPABLE_MAGIC 0x184D2A5Eu
#define SEEKABLE_MAGIC	0x8F92EAB1u
#define HEAD		8 /* bytes before the entries */
#define CHECKSUMS	0x80u
#define RESERVED	0x7cu /* flags: of a later format */
#define PIECE_MAX	(1u << 31)

void frames_release(struct frames *f)
{
	int saved = errno;

	free(f->edges);
	*f = (struct frames){0};
	errno = saved;
}

uint32_t frames_piece(uint64_t total)
{
	uint32_t piece = FRAMES_PIECE;

	while (piece < PIECE_MAX && total / piece >= FRAMES_MAX)
		piece *= 2;
	return piece;
}

/* Room for @n frames. */
static int reserve(struct frames *f, uint32_t n, struct ebt_err *err)
{
	struct frames_edge *p;

	if (n < f->cap)
		return 0;
	p = realloc(f->edges, ((size_t)n + 1) * sizeof(*p));
	if (!p)
		return ebt_fail(err, -ENOMEM, "places of %" PRIu32 " frames", n);
	if (!f->edges)
		p[0] = (struct frames_edge){0};
	f->edges = p;
	f->cap = n + 1;
	return 0;
}

int frames_add(struct frames *f, uint32_t packed, uint32_t plain, struct ebt_err *err)
{
	struct frames_edge end = frames_end(f);
	int r;

	if (f->n == FRAMES_MAX || packed > INT64_MAX - end.packed ||
		plain > INT64_MAX - end.plain)
		return ebt_failx(err, -EOVERFLOW,
			"compressed file of more than %" PRIu32 " frames", f->n);
	if (f->n + 1 >= f->cap) {
		r = reserve(f, f->n < 64 ? 64 : f->n * 2, err);
		if (r < 0)
			return r;
	}
	f->edges[++f->n] = (struct frames_edge){
		.packed = end.packed + packed, .plain = end.plain + plain};
	return 0;
}

uint32_t frames_find(const struct frames *f, uint64_t off)
{
	uint32_t lo = 0, hi = f->n, mid;

	/* The first that ends behind @off: one without content has no byte. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (f->edges[mid + 1].plain <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t frames_largest(const struct frames *f)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < f->n; i++)
		if (frames_plain(f, i) > most)
			most = frames_plain(f, i);
	return most;
}

static uint64_t table_size(uint32_t n, unsigned flags)
{
	return HEAD + (uint64_t)n * (flags & CHECKSUMS ? 12 : 8) + FRAMES_FOOT;
}

uint64_t frames_table_size(uint32_t n)
{
	return table_size(n, 0);
}

int frames_put_table(const struct frames *f, struct buf *out, struct ebt_err *err)
{
	buf_put32(out, SKIPPABLE_MAGIC);
	buf_put32(out, (uint32_t)(table_size(f->n, 0) - HEAD));
	for (uint32_t i = 0; i < f->n; i++) {
		buf_put32(out, frames_packed(f, i));
		buf_put32(out, frames_plain(f, i));
	}
	buf_put32(out, f->n);
	buf_put8(out, 0);
	buf_put32(out, SEEKABLE_MAGIC);
	if (!buf_ok(out))
		return ebt_fail(err, -ENOMEM, "seek table of %" PRIu32 " frames", f->n);
	return 0;
}

int frames_foot(const unsigned char foot[FRAMES_FOOT], uint64_t size, uint64_t *len,
	struct ebt_err *err)
{
	struct reader r = reader_of(foot, FRAMES_FOOT);
	uint32_t n = reader_get32(&r);
	unsigned flags = reader_get8(&r);

	if (size < HEAD + FRAMES_FOOT || reader_get32(&r) != SEEKABLE_MAGIC)
		return FRAMES_NONE;
	if (flags & RESERVED)
		return ebt_failx(err, -EPROTONOSUPPORT,
			"seek table with flags 0x%02x, which are of a later format",
			flags);
	if (n > FRAMES_MAX || table_size(n, flags) > size)
		return ebt_failx(err, -EBADMSG,
			"seek table of %" PRIu32 " frames in a file of %" PRIu64
			" bytes",
			n, size);
	*len = table_size(n, flags);
	return FRAMES_TABLE;
}

static int get_entries(struct reader *r, uint32_t n, unsigned flags, struct frames *f,
	struct ebt_err *err)
{
	uint32_t packed, plain;
	int code = reserve(f, n, err);

	for (uint32_t i = 0; code == 0 && i < n; i++) {
		packed = reader_get32(r);
		plain = reader_get32(r);
		if (flags & CHECKSUMS)
			reader_get32(r);
		if (packed == 0)
			return ebt_failx(err, -EBADMSG,
				"seek table: frame %" PRIu32 " has no bytes", i);
		code = frames_add(f, packed, plain, err);
	}
	return code;
}

int frames_get_table(const void *table, uint64_t len, uint64_t size, struct frames *out,
	struct ebt_err *err)
{
	SCOPED_FRAMES struct frames f = {0};
	struct reader r;
	const unsigned char *foot;
	uint64_t want = 0;
	int code;

	if (len < HEAD + FRAMES_FOOT || len > size)
		return ebt_failx(err, -EBADMSG,
			"seek table of %" PRIu64 " bytes in a file of %" PRIu64, len,
			size);
	foot = (const unsigned char *)table + len - FRAMES_FOOT;
	code = frames_foot(foot, size, &want, err);
	if (code < 0)
		return code;
	r = reader_of(table, len);
	if (code == FRAMES_NONE || want != len || reader_get32(&r) != SKIPPABLE_MAGIC ||
		reader_get32(&r) != len - HEAD)
		return ebt_failx(err, -EBADMSG, "seek table: not what its end says");
	code = get_entries(&r,
		(uint32_t)((len - HEAD - FRAMES_FOOT) / (foot[4] & CHECKSUMS ? 12 : 8)),
		foot[4], &f, err);
	if (code < 0)
		return code;
	if (frames_end(&f).packed != size - len)
		return ebt_failx(err, -EBADMSG,
			"seek table: frames of %" PRIu64 " bytes, where %" PRIu64
			" are before it",
			frames_end(&f).packed, size - len);
	*out = f;
	f = (struct frames){0};
	return 0;
}
