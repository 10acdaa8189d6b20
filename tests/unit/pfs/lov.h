/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes lustre.lov attributes by hand, from the offsets alone. */
#ifndef TESTS_UNIT_PFS_LOV_H
#define TESTS_UNIT_PFS_LOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LOV_V1	      0x0bd10bd0u
#define LOV_V3	      0x0bd30bd0u
#define LOV_SPECIFIC  0x0bd50bd0u
#define LOV_COMPOSITE 0x0bd60bd0u
#define LOV_FOREIGN   0x0bd70bd0u
#define LOV_EXTENDING 0x0bd80bd0u

#define LOV_STALE  0x1u
#define LOV_PREFER 0x2u
#define LOV_INIT   0x10u

#define LOV_EOF UINT64_MAX

struct lov {
	unsigned char data[16384];
	size_t len;
};

static inline void lov_put16(struct lov *b, size_t at, unsigned v)
{
	uint16_t w = (uint16_t)v;

	memcpy(b->data + at, &w, sizeof(w));
}
static inline void lov_put32(struct lov *b, size_t at, uint32_t v)
{
	memcpy(b->data + at, &v, sizeof(v));
}
static inline void lov_put64(struct lov *b, size_t at, uint64_t v)
{
	memcpy(b->data + at, &v, sizeof(v));
}

/* Appends a V1 or V3 layout whose objects are on OSTs @ost, @ost + 1, ...; its offset. */
static inline size_t lov_plain(
	struct lov *b, uint32_t magic, uint32_t size, unsigned count, uint32_t ost)
{
	size_t at = b->len, entries = at + (magic == LOV_V3 ? 48 : 32);

	b->len = entries + 24 * (size_t)count;
	memset(b->data + at, 0xee, b->len - at); /* what nobody should look at */
	lov_put32(b, at, magic);
	lov_put32(b, at + 4, 1);
	lov_put32(b, at + 24, size);
	lov_put16(b, at + 28, count);
	lov_put16(b, at + 30, 0xffff);
	if (magic == LOV_V3)
		memcpy(b->data + at + 32, "pool", 5);
	for (unsigned i = 0; i < count; i++)
		lov_put32(b, entries + 24 * (size_t)i + 20, ost + i);
	return at;
}

/* The head of a composite layout of @n components, to be filled by lov_component. */
static inline void lov_composite(struct lov *b, unsigned n)
{
	b->len = 32 + 48 * (size_t)n;
	memset(b->data, 0, b->len);
	lov_put32(b, 0, LOV_COMPOSITE);
	lov_put16(b, 14, n);
	lov_put32(b, 4, (uint32_t)b->len);
}

/* Component @i: what was appended last, from @at on. */
static inline void lov_component(struct lov *b, unsigned i, uint32_t flags,
	uint64_t start, uint64_t end, size_t at)
{
	size_t entry = 32 + 48 * (size_t)i;

	lov_put32(b, entry, i + 1);
	lov_put32(b, entry + 4, flags);
	lov_put64(b, entry + 8, start);
	lov_put64(b, entry + 16, end);
	lov_put32(b, entry + 24, (uint32_t)at);
	lov_put32(b, entry + 28, (uint32_t)(b->len - at));
	lov_put32(b, 4, (uint32_t)b->len);
}

/* A progressive layout: [0, 1M) on OST 3, [1M, 1G) on 10..13, the rest not yet there. */
static inline void lov_progressive(struct lov *b)
{
	size_t at;

	lov_composite(b, 3);
	at = lov_plain(b, LOV_V1, 1 << 20, 1, 3);
	lov_component(b, 0, LOV_INIT, 0, 1 << 20, at);
	at = lov_plain(b, LOV_V3, 4 << 20, 4, 10);
	lov_component(b, 1, LOV_INIT, 1 << 20, 1 << 30, at);
	at = lov_plain(b, LOV_V3, 4 << 20, 0, 0);
	lov_put16(b, at + 28, 0xffff); /* all OSTs, once there is data */
	lov_component(b, 2, 0, 1 << 30, LOV_EOF, at);
}

#endif
