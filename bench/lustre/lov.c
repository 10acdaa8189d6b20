/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attribute is host-endian and packed: magic, pattern @4, object id and sequence @8,
 * stripe size @24, count @28, offset or generation @30; V3 and SPECIFIC have 16 bytes of
 * pool name @32. Then 24 bytes a stripe: object id, sequence, generation, OST index @20.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "lov.h"

static uint16_t get16(const unsigned char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put16(unsigned char *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put64(unsigned char *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

static size_t head_of(uint32_t magic)
{
	return magic == LOV_MAGIC_V1 ? LOV_HEAD_V1 : LOV_HEAD_V3;
}

int lov_parse_wish(const void *bytes, size_t len, struct lov_wish *out)
{
	const unsigned char *p = bytes;
	uint32_t magic, pattern;

	if (len < LOV_HEAD_V1)
		return -EINVAL;
	magic = get32(p);
	if (magic != LOV_MAGIC_V1 && magic != LOV_MAGIC_V3 &&
		magic != LOV_MAGIC_SPECIFIC)
		return magic >> 24 == 0x0b && (magic & 0xffff) == 0x0bd0 ? -EOPNOTSUPP
									 : -EINVAL;
	if (len < head_of(magic))
		return -EINVAL;
	memset(out, 0, offsetof(struct lov_wish, ost));
	out->magic = magic;
	pattern = get32(p + 4);
	if (pattern & ~(LOV_PATTERN_RAID0 | LOV_PATTERN_OVERSTRIPE))
		return pattern & 0x100 ? -EOPNOTSUPP : -EINVAL;
	out->overstripe = pattern & LOV_PATTERN_OVERSTRIPE;
	out->stripe_size = get32(p + 24);
	out->count = get16(p + 28);
	out->offset = get16(p + 30);
	if (out->stripe_size % LOV_SIZE_UNIT)
		return -EINVAL;
	if (out->count != LOV_ANY && out->count > LOV_MAX_STRIPES)
		return -EINVAL;
	if (magic != LOV_MAGIC_V1)
		memcpy(out->pool, p + LOV_HEAD_V1, LOV_POOL_NAME - 1);
	if (magic == LOV_MAGIC_SPECIFIC) {
		if (out->count == 0 || out->count == LOV_ANY ||
			len != LOV_HEAD_V3 + (size_t)out->count * LOV_ENTRY)
			return -EINVAL;
		for (unsigned i = 0; i < out->count; i++)
			out->ost[i] =
				get32(p + LOV_HEAD_V3 + (size_t)i * LOV_ENTRY + 20);
		out->entries = true;
	} else if (len > head_of(magic) && out->offset == 0) {
		/* A layout read from a file: its start is not taken for a wish. */
		out->offset = LOV_ANY;
	}
	return 0;
}

size_t lov_print_wish(const struct lov_wish *w, void *bytes)
{
	size_t len = w->pool[0] ? LOV_HEAD_V3 : LOV_HEAD_V1;
	unsigned char *p = bytes;

	memset(p, 0, len);
	put32(p, w->pool[0] ? LOV_MAGIC_V3 : LOV_MAGIC_V1);
	put32(p + 4, LOV_PATTERN_RAID0 | (w->overstripe ? LOV_PATTERN_OVERSTRIPE : 0));
	put32(p + 24, w->stripe_size);
	put16(p + 28, w->count);
	put16(p + 30, w->offset);
	if (w->pool[0])
		memcpy(p + LOV_HEAD_V1, w->pool, LOV_POOL_NAME);
	return len;
}

size_t lov_print(const struct lov *l, uint32_t magic, uint64_t file, void *bytes)
{
	size_t head = head_of(magic), len = head + (size_t)l->count * LOV_ENTRY;
	unsigned char *p = bytes;

	memset(p, 0, len);
	put32(p, magic);
	put32(p + 4, LOV_PATTERN_RAID0 | (l->overstripe ? LOV_PATTERN_OVERSTRIPE : 0));
	put64(p + 8, file);
	put32(p + 24, l->stripe_size);
	put16(p + 28, l->count);
	put16(p + 30, LOV_ANY);
	if (magic != LOV_MAGIC_V1)
		memcpy(p + LOV_HEAD_V1, l->pool, LOV_POOL_NAME);
	for (unsigned i = 0; i < l->count; i++) {
		put64(p + head + (size_t)i * LOV_ENTRY, l->stripe[i].id);
		put32(p + head + (size_t)i * LOV_ENTRY + 20, l->stripe[i].ost);
	}
	return len;
}

int lov_parse(const void *bytes, size_t len, struct lov **out)
{
	const unsigned char *p = bytes;
	size_t head, count;
	struct lov *l;

	if (len < LOV_HEAD_V1)
		return -EINVAL;
	head = head_of(get32(p));
	count = get16(p + 28);
	if (len != head + count * LOV_ENTRY || count == 0 || get32(p + 24) == 0)
		return -EINVAL;
	l = calloc(1, sizeof(*l) + count * sizeof(l->stripe[0]));
	if (!l)
		return -ENOMEM;
	l->stripe_size = get32(p + 24);
	l->count = (uint16_t)count;
	l->overstripe = get32(p + 4) & LOV_PATTERN_OVERSTRIPE;
	if (head == LOV_HEAD_V3)
		memcpy(l->pool, p + LOV_HEAD_V1, LOV_POOL_NAME - 1);
	for (size_t i = 0; i < count; i++) {
		memcpy(&l->stripe[i].id, p + head + i * LOV_ENTRY, sizeof(uint64_t));
		l->stripe[i].ost = get32(p + head + i * LOV_ENTRY + 20);
	}
	*out = l;
	return 0;
}

struct lov_piece lov_piece_at(const struct lov *l, uint64_t offset)
{
	uint64_t unit = offset / l->stripe_size, in = offset % l->stripe_size;

	return (struct lov_piece){.stripe = (unsigned)(unit % l->count),
		.at = unit / l->count * l->stripe_size + in,
		.len = l->stripe_size - in};
}

uint64_t lov_file_offset(const struct lov *l, unsigned stripe, uint64_t at)
{
	uint64_t round = at / l->stripe_size;

	return (round * l->count + stripe) * l->stripe_size + at % l->stripe_size;
}

uint64_t lov_object_size(const struct lov *l, unsigned stripe, uint64_t offset)
{
	uint64_t whole = offset / l->stripe_size, rest = offset % l->stripe_size;
	uint64_t units = whole / l->count + (whole % l->count > stripe);

	return units * l->stripe_size + (whole % l->count == stripe ? rest : 0);
}
