/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two sets. Both are in order, so one pass over the two gives union, difference and
 * what they have in common. Results are built beside the old set and swapped in when
 * complete.
 */
#include "extent/extent_internal.h"

#include <errno.h>

static void swap_in(struct extents *s, struct extents *result)
{
	struct extents old = *s;

	*s = *result;
	*result = old;
}

int extents_unite(struct extents *s, const struct extents *other)
{
	SCOPED_EXTENTS struct extents sum = {0};
	size_t i = 0, j = 0;
	int r;

	if (other->count == 0)
		return 0;
	r = extents_reserve(&sum, s->count + other->count);
	while (r == 0 && (i < s->count || j < other->count)) {
		bool mine = j == other->count ||
			    (i < s->count && s->x[i].off < other->x[j].off);
		const struct extent *x = mine ? &s->x[i++] : &other->x[j++];

		r = extents_add(&sum, x->off, x->len);
	}
	if (r == 0)
		swap_in(s, &sum);
	return r;
}

int extents_subtract(struct extents *s, const struct extents *other)
{
	SCOPED_EXTENTS struct extents rest = {0};
	size_t j = 0;
	int r = 0;

	for (size_t i = 0; i < s->count && r == 0; i++) {
		uint64_t off = s->x[i].off, end = extent_end(&s->x[i]);

		while (j < other->count && extent_end(&other->x[j]) <= off)
			j++;
		/* The last one may reach into the next of @s too, so j stays. */
		for (size_t k = j; k < other->count && other->x[k].off < end && r == 0;
			k++) {
			if (other->x[k].off > off)
				r = extents_add(&rest, off, other->x[k].off - off);
			off = extent_end(&other->x[k]);
		}
		if (off < end && r == 0)
			r = extents_add(&rest, off, end - off);
	}
	if (r == 0)
		swap_in(s, &rest);
	return r;
}

int extents_remove(struct extents *s, uint64_t off, uint64_t len)
{
	struct extent one = {off, len};
	struct extents set = {.x = &one, .count = 1};
	uint64_t end;

	if (__builtin_add_overflow(off, len, &end))
		return -EOVERFLOW;
	return len == 0 ? 0 : extents_subtract(s, &set);
}

void extents_overlap_start(
	const struct extents *a, const struct extents *b, struct extents_overlap *o)
{
	*o = (struct extents_overlap){.a = a, .b = b};
}

bool extents_overlap_next(struct extents_overlap *o, struct extent *x)
{
	while (o->i < o->a->count && o->j < o->b->count) {
		const struct extent *a = &o->a->x[o->i], *b = &o->b->x[o->j];
		bool common = extent_common(a, b->off, extent_end(b), x);

		if (extent_end(a) <= extent_end(b))
			o->i++;
		else
			o->j++;
		if (common)
			return true;
	}
	return false;
}

bool extents_overlap_first(
	const struct extents *a, const struct extents *b, struct extent *first)
{
	struct extents_overlap o;
	struct extent x;

	extents_overlap_start(a, b, &o);
	if (!extents_overlap_next(&o, &x))
		return false;
	if (first)
		*first = x;
	return true;
}
