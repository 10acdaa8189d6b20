/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/buf.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

void buf_free_array(struct buf *b, size_t n)
{
	for (size_t i = 0; b && i < n; i++)
		buf_release(&b[i]);
	free(b);
}

void *buf_extend(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 256;
	void *p;

	if (b->failed || len > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return NULL;
	}
	while (cap < b->len + len)
		cap *= 2;
	if (cap != b->cap) {
		p = realloc(b->data, cap);
		if (!p) {
			b->failed = true;
			return NULL;
		}
		b->data = p;
		b->cap = cap;
	}
	p = b->data + b->len;
	b->len += len;
	return p;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	void *p = buf_extend(b, len);

	if (p && len)
		memcpy(p, data, len);
}

void buf_put8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, sizeof(v));
}

void buf_put16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put_digest(struct buf *b, struct ebt_digest d)
{
	buf_put64(b, d.lo);
	buf_put64(b, d.hi);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_put(b, line, strlen(line));
}

void buf_patch32(struct buf *b, size_t at, uint32_t v)
{
	v = htole32(v);
	if (!b->failed)
		memcpy(b->data + at, &v, sizeof(v));
}

const void *reader_take(struct reader *r, size_t len)
{
	const void *p = r->data + r->at;

	if (r->failed || len > r->len - r->at) {
		r->failed = true;
		return NULL;
	}
	r->at += len;
	return p;
}

uint8_t reader_get8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);

	return p ? *p : 0;
}

uint16_t reader_get16(struct reader *r)
{
	const void *p = reader_take(r, 2);
	uint16_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

uint32_t reader_get32(struct reader *r)
{
	const void *p = reader_take(r, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

uint64_t reader_get64(struct reader *r)
{
	const void *p = reader_take(r, 8);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

struct ebt_digest reader_get_digest(struct reader *r)
{
	struct ebt_digest d;

	d.lo = reader_get64(r);
	d.hi = reader_get64(r);
	return d;
}

void buf_put_percent(struct buf *b, const char *name)
{
	size_t len = text_percent(name, NULL);
	unsigned char *at = buf_extend(b, len + 1);

	if (!at)
		return;
	text_percent(name, (char *)at);
	b->len--; /* the NUL */
}
