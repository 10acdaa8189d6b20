/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lustre layouts from the attribute "lustre.lov", which any user may read, which needs no
 * open file and no library, and which is the whole layout where the old ioctl shows a part.
 * Host-endian and packed:
 *
 *	V1, V3      magic .. stripe size @24, count @28, then an entry of 24 bytes an object
 *	            at 32 (V1) or 48 (V3, after the name of a pool); its OST index @20
 *	composite   magic, total size .. number of components @14, then 48 bytes each: flags
 *	            @4, range of the file @8, place of a V1 or V3 layout of its own @24
 *
 * Data on the metadata target, archived data, components not there yet: no objects, and only
 * components with objects count. The ranges of mirrors overlap; so the file is cut
 * wherever a component begins or ends, and each piece goes to the best component there.
 * That is quadratic in the number of components, of which 64 KiB hold 1364 at most.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pfs/lov.h"
#include "pfs/pfs_internal.h"

#define FLAG_STALE	 0x1u
#define FLAG_PREFER_READ 0x2u
#define FLAG_PARITY	 0x80u /* of other components, no data */

/* A component with objects. */
struct component {
	struct pfs_part part;
	const unsigned char *entries; /* in the attribute */
	bool prefer;
};

struct components {
	struct component *v;
	uint32_t count;
	uint32_t n_osts;
};

/* A V1 or V3 layout for [start, end). @c has room for one more. */
static int add_plain(struct components *c, const unsigned char *p, size_t len,
	uint64_t start, uint64_t end, bool prefer)
{
	struct component *k = &c->v[c->count];
	uint32_t magic, pattern, size, count;
	size_t head;

	if (len < HEAD_LEN)
		return -EBADMSG;
	magic = pfs_get32(p);
	pattern = pfs_get32(p + 4);
	size = pfs_get32(p + 24);
	count = pfs_get16(p + 28);
	if (magic != MAGIC_V1 && magic != MAGIC_V3)
		return -EBADMSG;
	head = magic == MAGIC_V1 ? HEAD_LEN : HEAD_V3_LEN;
	if (len < head)
		return -EBADMSG;
	if (pattern & (PATTERN_MDT | PATTERN_RELEASED) || count == 0)
		return 0;
	/* What else there may be one day, it does not deal bytes out the way we count. */
	if ((pattern & ~PATTERN_OVERSTRIPED) != PATTERN_RAID0)
		return -EBADMSG;
	if (size == 0 || count > (len - head) / ENTRY_LEN)
		return -EBADMSG;
	*k = (struct component){.part = {.start = start,
					.end = end,
					.stripe_size = size,
					.stripe_count = count,
					.first = c->n_osts},
		.entries = p + head,
		.prefer = prefer};
	c->count++;
	c->n_osts += count;
	return 0;
}

static int add_component(struct components *c, const unsigned char *lov, size_t len,
	const unsigned char *entry)
{
	uint32_t flags = pfs_get32(entry + 4);
	uint64_t start = pfs_get64(entry + 8), end = pfs_get64(entry + 16);
	uint32_t at = pfs_get32(entry + 24), size = pfs_get32(entry + 28);

	if (start > end || at > len || size > len - at)
		return -EBADMSG;
	if (!(flags & FLAG_INIT) || flags & (FLAG_STALE | FLAG_PARITY) || start == end)
		return 0;
	if (size >= sizeof(uint32_t) && pfs_get32(lov + at) == MAGIC_FOREIGN)
		return 0;
	return add_plain(c, lov + at, size, start, end, flags & FLAG_PREFER_READ);
}

int pfs_lustre_composite(
	const unsigned char *lov, size_t len, uint32_t *total, uint32_t *n)
{
	if (len < HEAD_LEN)
		return -EBADMSG;
	*total = pfs_get32(lov + 4);
	*n = pfs_get16(lov + 14);
	if (*total > len || *total < HEAD_LEN || *n == 0 ||
		*n > (*total - HEAD_LEN) / COMPONENT_LEN)
		return -EBADMSG;
	return 0;
}

static int add_composite(struct components *c, const unsigned char *lov, size_t len)
{
	uint32_t total, n;
	int r = pfs_lustre_composite(lov, len, &total, &n);

	if (r < 0)
		return r;
	c->v = calloc(n, sizeof(*c->v));
	if (!c->v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = add_component(
			c, lov, total, lov + HEAD_LEN + (size_t)i * COMPONENT_LEN);
	/* Two components never share objects: what says so would only eat memory. */
	if (r == 0 && c->n_osts > total / ENTRY_LEN)
		r = -EBADMSG;
	return r;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static const struct component *best_at(const struct components *c, uint64_t offset)
{
	const struct component *best = NULL;

	for (uint32_t i = 0; i < c->count; i++) {
		const struct component *k = &c->v[i];

		if (offset < k->part.start || offset >= k->part.end)
			continue;
		if (!best || (k->prefer && !best->prefer))
			best = k;
	}
	return best;
}

/* @l has room for as many parts as there are pieces between cuts. */
static void cut_parts(const struct components *c, uint64_t *cuts, struct pfs_layout *l)
{
	const struct component *last = NULL;
	size_t n = 0;

	for (uint32_t i = 0; i < c->count; i++) {
		cuts[n++] = c->v[i].part.start;
		cuts[n++] = c->v[i].part.end;
	}
	qsort(cuts, n, sizeof(*cuts), by_value);
	for (size_t i = 0; i + 1 < n; i++) {
		const struct component *k;

		if (cuts[i] == cuts[i + 1])
			continue;
		k = best_at(c, cuts[i]);
		if (k && k == last) {
			l->parts[l->n_parts - 1].end = cuts[i + 1];
		} else if (k) {
			l->parts[l->n_parts] = k->part;
			l->parts[l->n_parts].start = cuts[i];
			l->parts[l->n_parts++].end = cuts[i + 1];
		}
		last = k;
	}
}

static int make_layout(const struct components *c, struct pfs_layout **out)
{
	size_t n_cuts = 2 * (size_t)c->count, n = 0;
	SCOPED_FREE uint64_t *cuts = calloc(n_cuts + 1, sizeof(*cuts));
	struct pfs_layout *l = calloc(1, sizeof(*l) + n_cuts * sizeof(l->parts[0]) +
						 c->n_osts * sizeof(l->osts[0]));

	if (!cuts || !l) {
		free(l);
		return -ENOMEM;
	}
	l->osts = (uint32_t *)(l->parts + n_cuts);
	l->n_osts = c->n_osts;
	for (uint32_t i = 0; i < c->count; i++)
		for (uint32_t k = 0; k < c->v[i].part.stripe_count; k++)
			l->osts[n++] =
				pfs_get32(c->v[i].entries + (size_t)k * ENTRY_LEN + 20);
	cut_parts(c, cuts, l);
	*out = l;
	return 0;
}

int pfs_lustre_parse(const void *lov, size_t len, struct pfs_layout **out)
{
	SCOPED_FREE struct component *many = NULL;
	struct component one;
	struct components c = {.v = &one};
	int r;

	if (len < sizeof(uint32_t) || len > PFS_LOV_MAX)
		return -EBADMSG;
	if (pfs_get32(lov) == MAGIC_COMPOSITE) {
		c.v = NULL;
		r = add_composite(&c, lov, len);
		many = c.v;
	} else {
		r = add_plain(&c, lov, len, 0, UINT64_MAX, false);
	}
	return r < 0 ? r : make_layout(&c, out);
}
