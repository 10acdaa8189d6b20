/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attribute is host-endian and packed: magic, pattern @4, object id and sequence @8,
 * stripe size @24, count @28, offset or generation @30; V3 and SPECIFIC have 16 bytes of
 * pool name @32. Then 24 bytes per stripe: object id, sequence, generation, OST index @20.
 *
 * Composite: magic, size of all @4, number of components @14, mirrors @16, then 48 bytes each:
 * id, flags @4, start @8, end @16, place @24 and length @28 of a layout of the form above.
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

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#define FLAG_INIT   0x10u
#define FLAG_LISTED 0x10000000u /* ours: the server was told which OSTs */

static size_t head_of(uint32_t magic)
{
	return magic == LOV_MAGIC_V1 ? LOV_HEAD_V1 : LOV_HEAD_V3;
}

struct lov *lov_new(unsigned n_parts, unsigned n_stripes)
{
	struct lov *l = calloc(1, sizeof(*l) + n_parts * sizeof(*l->part) +
					  n_stripes * sizeof(*l->stripe));

	if (!l)
		return NULL;
	l->n_parts = n_parts;
	l->n_stripes = n_stripes;
	l->part = (struct lov_part *)(l + 1);
	l->stripe = (struct lov_stripe *)(l->part + n_parts);
	return l;
}

/* A list of OSTs behind the head. */
static int parse_list(
	const unsigned char *p, size_t len, struct lov_wish *out, struct lov_want *w)
{
	if (w->count == 0 || w->count == LOV_ANY || w->mdt ||
		len != LOV_HEAD_V3 + (size_t)w->count * LOV_ENTRY ||
		w->count > LOV_MAX_STRIPES - out->n_ost)
		return -EINVAL;
	w->entries = true;
	w->first = out->n_ost;
	for (unsigned i = 0; i < w->count; i++)
		out->ost[out->n_ost++] =
			get32(p + LOV_HEAD_V3 + (size_t)i * LOV_ENTRY + 20);
	return 0;
}

static int parse_plain(
	const unsigned char *p, size_t len, struct lov_wish *out, struct lov_want *w)
{
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
	pattern = get32(p + 4);
	if (pattern & ~(LOV_PATTERN_RAID0 | LOV_PATTERN_OVERSTRIPE | LOV_PATTERN_MDT))
		return -EINVAL;
	w->overstripe = pattern & LOV_PATTERN_OVERSTRIPE;
	w->mdt = pattern & LOV_PATTERN_MDT;
	w->stripe_size = get32(p + 24);
	w->count = get16(p + 28);
	w->offset = get16(p + 30);
	if (w->stripe_size % LOV_SIZE_UNIT)
		return -EINVAL;
	if (w->count != LOV_ANY && w->count > LOV_MAX_STRIPES)
		return -EINVAL;
	if (magic != LOV_MAGIC_V1)
		memcpy(w->pool, p + LOV_HEAD_V1, LOV_POOL_NAME - 1);
	if (magic == LOV_MAGIC_SPECIFIC)
		return parse_list(p, len, out, w);
	/* A layout read from a file: its start is not taken for a wish. */
	if (len > head_of(magic) && w->offset == 0)
		w->offset = LOV_ANY;
	return 0;
}

static int parse_component(
	const unsigned char *lov, size_t len, unsigned k, struct lov_wish *out)
{
	const unsigned char *c = lov + LOV_HEAD_V1 + (size_t)k * LOV_COMPONENT;
	struct lov_want *w = &out->part[k];
	uint32_t at = get32(c + 24), size = get32(c + 28);
	int r;

	if (get32(c + 4) & ~FLAG_INIT)
		return -EOPNOTSUPP;
	if (at > len || size > len - at)
		return -EINVAL;
	r = parse_plain(lov + at, size, out, w);
	if (r < 0)
		return r;
	w->start = get64(c + 8);
	w->end = get64(c + 16);
	if (w->start >= w->end || w->start != (k ? out->part[k - 1].end : 0))
		return -EINVAL;
	if (w->end != UINT64_MAX &&
		w->end % (w->stripe_size ? w->stripe_size : LOV_SIZE_UNIT))
		return -EINVAL;
	return w->mdt && (k || w->end > LOV_MDT_MAX) ? -EINVAL : 0;
}

static int parse_composite(const unsigned char *p, size_t len, struct lov_wish *out)
{
	uint32_t total;
	int r = 0;

	if (len < LOV_HEAD_V1)
		return -EINVAL;
	total = get32(p + 4);
	out->composite = true;
	out->n_parts = get16(p + 14);
	if (get16(p + 16))
		return -EOPNOTSUPP;
	if (total > len || out->n_parts == 0 || out->n_parts > LOV_PARTS_MAX ||
		total < LOV_HEAD_V1 + (size_t)out->n_parts * LOV_COMPONENT)
		return -EINVAL;
	for (unsigned k = 0; k < out->n_parts && r == 0; k++)
		r = parse_component(p, total, k, out);
	if (r == 0 && out->part[out->n_parts - 1].end != UINT64_MAX)
		r = -EINVAL;
	return r;
}

int lov_parse_wish(const void *bytes, size_t len, struct lov_wish *out)
{
	int r;

	memset(out, 0, offsetof(struct lov_wish, ost));
	if (len >= sizeof(uint32_t) && get32(bytes) == LOV_MAGIC_COMPOSITE)
		return parse_composite(bytes, len, out);
	out->n_parts = 1;
	r = parse_plain(bytes, len, out, &out->part[0]);
	out->part[0].end = UINT64_MAX;
	return r == 0 && out->part[0].mdt ? -EINVAL : r;
}

/* Returns where the entries begin. */
static size_t print_head(
	const struct lov_want *w, uint32_t magic, uint64_t file, unsigned char *p)
{
	size_t len = head_of(magic);

	memset(p, 0, len);
	put32(p, magic);
	put32(p + 4, w->mdt ? LOV_PATTERN_MDT
			    : LOV_PATTERN_RAID0 |
				      (w->overstripe ? LOV_PATTERN_OVERSTRIPE : 0));
	put64(p + 8, file);
	put32(p + 24, w->stripe_size);
	put16(p + 28, w->count);
	put16(p + 30, w->offset);
	if (magic != LOV_MAGIC_V1)
		memcpy(p + LOV_HEAD_V1, w->pool, LOV_POOL_NAME);
	return len;
}

static size_t begin_composite(unsigned n, unsigned char *p)
{
	size_t len = LOV_HEAD_V1 + (size_t)n * LOV_COMPONENT;

	memset(p, 0, len);
	put32(p, LOV_MAGIC_COMPOSITE);
	put16(p + 14, (uint16_t)n);
	return len;
}

/* Component @k is what lies between @at and @len; the whole ends there. */
static void print_component(const struct lov_want *w, unsigned k, uint32_t flags,
	size_t at, size_t len, unsigned char *p)
{
	unsigned char *c = p + LOV_HEAD_V1 + (size_t)k * LOV_COMPONENT;

	put32(c, k + 1);
	put32(c + 4, flags);
	put64(c + 8, w->start);
	put64(c + 16, w->end);
	put32(c + 24, (uint32_t)at);
	put32(c + 28, (uint32_t)(len - at));
	put32(p + 4, (uint32_t)len);
}

static uint32_t magic_of(const struct lov_want *w, bool v3)
{
	return w->pool[0] || v3 ? LOV_MAGIC_V3 : LOV_MAGIC_V1;
}

size_t lov_print_wish(const struct lov_wish *w, void *bytes)
{
	unsigned char *p = bytes;
	size_t len;

	if (!w->composite)
		return print_head(&w->part[0], magic_of(&w->part[0], false), 0, p);
	len = begin_composite(w->n_parts, p);
	for (unsigned k = 0; k < w->n_parts; k++) {
		const struct lov_want *part = &w->part[k];
		size_t at = len;

		len += print_head(part, magic_of(part, false), 0, p + at);
		print_component(part, k, 0, at, len, p);
	}
	return len;
}

static size_t print_stripes(
	const struct lov *l, const struct lov_want *w, unsigned char *p)
{
	memset(p, 0, (size_t)w->count * LOV_ENTRY);
	for (unsigned i = 0; i < w->count; i++, p += LOV_ENTRY) {
		put64(p, l->stripe[w->first + i].id);
		put32(p + 20, l->stripe[w->first + i].ost);
	}
	return (size_t)w->count * LOV_ENTRY;
}

size_t lov_print(const struct lov *l, bool v3, uint64_t file, void *bytes)
{
	unsigned char *p = bytes;
	size_t len = l->composite ? begin_composite(l->n_parts, p) : 0;

	for (unsigned k = 0; k < l->n_parts; k++) {
		struct lov_want w = l->part[k].w;
		bool ready = l->part[k].ready;
		size_t at = len;

		w.offset = LOV_ANY;
		w.count = w.mdt ? 0 : w.count;
		len += print_head(&w, magic_of(&w, v3), file, p + at);
		if (ready)
			len += print_stripes(l, &w, p + len);
		if (l->composite)
			print_component(&w, k, ready ? FLAG_INIT : 0, at, len, p);
	}
	return len;
}

size_t lov_save(const struct lov *l, void *bytes)
{
	unsigned char *p = bytes;
	size_t len = begin_composite(l->n_parts, p);

	put16(p + 16, l->composite);
	for (unsigned k = 0; k < l->n_parts; k++) {
		const struct lov_want *w = &l->part[k].w;
		size_t at = len;

		len += print_head(w, LOV_MAGIC_V3, 0, p + at);
		len += print_stripes(l, w, p + len);
		print_component(w, k,
			(l->part[k].ready ? FLAG_INIT : 0) |
				(w->entries ? FLAG_LISTED : 0),
			at, len, p);
	}
	return len;
}

static void load_part(const unsigned char *p, unsigned k, struct lov *l, unsigned *n)
{
	const unsigned char *c = p + LOV_HEAD_V1 + (size_t)k * LOV_COMPONENT;
	const unsigned char *head = p + get32(c + 24), *entry = head + LOV_HEAD_V3;
	struct lov_part *part = &l->part[k];

	part->ready = get32(c + 4) & FLAG_INIT;
	part->w = (struct lov_want){.start = get64(c + 8),
		.end = get64(c + 16),
		.stripe_size = get32(head + 24),
		.count = get16(head + 28),
		.offset = get16(head + 30),
		.overstripe = get32(head + 4) & LOV_PATTERN_OVERSTRIPE,
		.mdt = get32(head + 4) & LOV_PATTERN_MDT,
		.entries = get32(c + 4) & FLAG_LISTED,
		.first = *n};
	memcpy(part->w.pool, head + LOV_HEAD_V1, LOV_POOL_NAME - 1);
	for (unsigned i = 0; i < part->w.count; i++, entry += LOV_ENTRY)
		l->stripe[(*n)++] = (struct lov_stripe){
			.ost = get32(entry + 20), .id = get64(entry)};
}

int lov_load(const void *bytes, size_t len, struct lov **out)
{
	const unsigned char *p = bytes;
	unsigned parts, n = 0;
	size_t heads;
	struct lov *l;

	if (len < LOV_HEAD_V1 || get32(p) != LOV_MAGIC_COMPOSITE || get32(p + 4) != len)
		return -EINVAL;
	parts = get16(p + 14);
	heads = LOV_HEAD_V1 + (size_t)parts * (LOV_COMPONENT + LOV_HEAD_V3);
	if (len < heads)
		return -EINVAL;
	l = lov_new(parts, (unsigned)((len - heads) / LOV_ENTRY));
	if (!l)
		return -ENOMEM;
	l->composite = get16(p + 16);
	for (unsigned k = 0; k < parts; k++)
		load_part(p, k, l, &n);
	*out = l;
	return 0;
}

struct lov_part *lov_part_at(const struct lov *l, uint64_t offset)
{
	unsigned k = 0;

	while (k + 1 < l->n_parts && offset >= l->part[k].w.end)
		k++;
	return &l->part[k];
}

struct lov_piece lov_piece_at(const struct lov *l, uint64_t offset)
{
	const struct lov_part *p = lov_part_at(l, offset);
	uint64_t unit = offset / p->w.stripe_size, in = offset % p->w.stripe_size;
	uint64_t len = p->w.stripe_size - in;

	return (struct lov_piece){.part = p,
		.stripe = p->w.first + (unsigned)(unit % p->w.count),
		.at = unit / p->w.count * p->w.stripe_size + in,
		.len = len < p->w.end - offset ? len : p->w.end - offset};
}

uint64_t lov_file_offset(const struct lov_part *p, unsigned stripe, uint64_t at)
{
	uint64_t size = p->w.stripe_size, round = at / size;

	return (round * p->w.count + stripe) * size + at % size;
}

uint64_t lov_object_size(const struct lov_part *p, unsigned stripe, uint64_t offset)
{
	uint64_t whole, rest, units, count = p->w.count;

	if (offset <= p->w.start)
		return 0;
	if (offset > p->w.end)
		offset = p->w.end;
	whole = offset / p->w.stripe_size;
	rest = offset % p->w.stripe_size;
	units = whole / count + (whole % count > stripe);
	return units * p->w.stripe_size + (whole % count == stripe ? rest : 0);
}
