/* SPDX-License-Identifier: BSD-3-Clause */
/* A range of a file, laid out like a file of its own: each stripe becomes a part. */
#include <errno.h>
#include <stdlib.h>

#include "pfs/pfs.h"

/* The bytes of a file on one object from @off on: where they end, and which OST; false: on none. */
static bool stripe_at(const struct pfs_layout *l, uint32_t *part, uint64_t off,
	uint64_t *end, uint32_t *ost)
{
	const struct pfs_part *p;
	uint64_t stripe;

	while (*part < l->n_parts && l->parts[*part].end <= off)
		++*part;
	if (*part == l->n_parts) {
		*end = UINT64_MAX;
		return false;
	}
	p = &l->parts[*part];
	*end = p->start;
	if (off < p->start)
		return false;
	stripe = off / p->stripe_size;
	*ost = l->osts[p->first + (uint32_t)(stripe % p->stripe_count)];
	*end = p->end;
	if (p->stripe_count > 1 && (stripe + 1) * p->stripe_size < *end)
		*end = (stripe + 1) * p->stripe_size;
	return true;
}

/* Goes through [@at, @at + @len): how many parts it needs, and with @out what they are. */
static uint64_t cut(const struct pfs_layout *l, uint64_t at, uint64_t len,
	uint64_t most, struct pfs_layout *out)
{
	uint64_t n = 0, end = 0;
	uint32_t part = 0, ost = 0;

	for (uint64_t off = at; off < at + len && n <= most; off = end) {
		bool on = stripe_at(l, &part, off, &end, &ost);

		if (end > at + len)
			end = at + len;
		if (!on)
			continue;
		if (out) {
			out->osts[n] = ost;
			out->parts[n] = (struct pfs_part){.start = off - at,
				.end = end - at,
				.stripe_size = l->parts[part].stripe_size,
				.stripe_count = 1,
				.first = (uint32_t)n};
		}
		n++;
	}
	return n;
}

int pfs_layout_range(const struct pfs_layout *l, uint64_t at, uint64_t len,
	uint32_t most, struct pfs_layout **out)
{
	struct pfs_layout *made;
	uint64_t n;

	if (len > UINT64_MAX - at)
		return 0;
	n = cut(l, at, len, most, NULL);
	if (n > most)
		return 0;
	made = malloc(sizeof(*made) + n * (sizeof(made->parts[0]) + sizeof(uint32_t)));
	if (!made)
		return -ENOMEM;
	made->n_parts = made->n_osts = (uint32_t)n;
	made->osts = (uint32_t *)&made->parts[n];
	cut(l, at, len, most, made);
	*out = made;
	return 1;
}
