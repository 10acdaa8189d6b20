/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXTENT_EXTENT_INTERNAL_H
#define EXTENT_EXTENT_INTERNAL_H

#include "extent/extent.h"

static inline uint64_t extent_end(const struct extent *x)
{
	return x->off + x->len;
}

/* What @x has in common with [off, end): true and *out if that is anything. */
static inline bool extent_common(
	const struct extent *x, uint64_t off, uint64_t end, struct extent *out)
{
	uint64_t from = x->off > off ? x->off : off;
	uint64_t to = extent_end(x) < end ? extent_end(x) : end;

	if (from >= to)
		return false;
	*out = (struct extent){from, to - from};
	return true;
}

/* Room for @count ranges in all. -ENOMEM. */
int extents_reserve(struct extents *s, size_t count);

#endif
