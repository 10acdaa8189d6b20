/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A growable byte buffer, and little-endian numbers into and out of it: the base of every
 * format that leaves a process (manifest, records, messages). Writing never fails visibly
 * until asked: a failed allocation is remembered and buf_ok tells. Reading never passes the
 * end: the reader remembers that it tried, and every later value reads as zero.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/scope.h"

struct buf {
	unsigned char *data;
	size_t len, cap;
	bool failed; /* out of memory at some point */
};

static inline bool buf_ok(const struct buf *b)
{
	return !b->failed;
}
void buf_release(struct buf *b); /* frees the bytes, leaves an empty buffer */
/* An array of @n, or NULL, and what they hold. */
void buf_free_array(struct buf *b, size_t n);
#define SCOPED_BUF SCOPED(buf_release)

/* Room for @len more bytes, counted as written; NULL when memory is short. */
void *buf_extend(struct buf *b, size_t len);
void buf_put(struct buf *b, const void *data, size_t len);
/* A name as text_percent writes it. */
void buf_put_percent(struct buf *b, const char *name);
void buf_put8(struct buf *b, uint8_t v);
void buf_put16(struct buf *b, uint16_t v);
void buf_put32(struct buf *b, uint32_t v);
void buf_put64(struct buf *b, uint64_t v);
void buf_put_digest(struct buf *b, struct ebt_digest d);
/* Formatted text without its NUL, at most 511 bytes at a time. */
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Overwrite 4 bytes at @at, which were written before. */
void buf_patch32(struct buf *b, size_t at, uint32_t v);

struct reader {
	const unsigned char *data;
	size_t len, at;
	bool failed; /* something was asked for beyond the end */
};

static inline struct reader reader_of(const void *data, size_t len)
{
	return (struct reader){.data = data, .len = len};
}
static inline size_t reader_left(const struct reader *r)
{
	return r->len - r->at;
}
/* The next @len bytes in place, NULL beyond the end. */
const void *reader_take(struct reader *r, size_t len);
uint8_t reader_get8(struct reader *r);
uint16_t reader_get16(struct reader *r);
uint32_t reader_get32(struct reader *r);
uint64_t reader_get64(struct reader *r);
struct ebt_digest reader_get_digest(struct reader *r);

#endif
