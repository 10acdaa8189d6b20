/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets as bytes. As a set has one form and a number has one form, equal sets are equal
 * bytes; whatever else is read is refused.
 */
#include "extent/extent_internal.h"

#include <errno.h>

#define NUMBER_BITS 7 /* in a byte; the top bit says that more follow */

static void put_number(struct buf *b, uint64_t v)
{
	for (; v >> NUMBER_BITS; v >>= NUMBER_BITS)
		buf_put8(b, (uint8_t)(v | 0x80));
	buf_put8(b, (uint8_t)v);
}

static int get_number(struct reader *r, uint64_t *out)
{
	uint64_t v = 0;
	uint8_t byte;

	for (unsigned shift = 0; shift < 64; shift += NUMBER_BITS) {
		byte = reader_get8(r);
		if (r->failed || (shift == 63 && byte > 1))
			return -EBADMSG;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (byte == 0 && shift > 0)
			return -EBADMSG; /* there is a shorter form */
		*out = v;
		return 0;
	}
	return -EBADMSG;
}

void extents_encode(const struct extents *s, struct buf *b)
{
	uint64_t at = 0;

	put_number(b, s->count);
	for (size_t i = 0; i < s->count; i++) {
		put_number(b, s->x[i].off - at);
		put_number(b, s->x[i].len);
		at = extent_end(&s->x[i]);
	}
}

/* Appends the next range, which neither touches the one before nor is empty. */
static int get_range(struct reader *r, struct extents *s)
{
	uint64_t gap, len, off;

	if (get_number(r, &gap) < 0 || get_number(r, &len) < 0)
		return -EBADMSG;
	if (len == 0 || (gap == 0 && s->count > 0))
		return -EBADMSG;
	if (__builtin_add_overflow(extents_end(s), gap, &off))
		return -EBADMSG;
	return extents_add(s, off, len);
}

int extents_decode(struct reader *r, struct extents *s)
{
	SCOPED_EXTENTS struct extents got = {0};
	struct extents old = *s;
	uint64_t count;
	int res;

	/*
	 * A range takes two bytes at least, so no number makes us ask for much memory.
	 */
	if (get_number(r, &count) < 0 || count > reader_left(r) / 2)
		return -EBADMSG;
	res = extents_reserve(&got, (size_t)count);
	for (uint64_t i = 0; i < count && res == 0; i++)
		res = get_range(r, &got);
	if (res < 0)
		return res == -EOVERFLOW ? -EBADMSG : res;
	*s = got;
	got = old;
	return 0;
}
