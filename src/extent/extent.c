/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One set: adding, asking, walking. Touching ranges are one range, so a search looks
 * for ranges that end at or behind a place.
 */
#include "extent/extent_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void extents_release(struct extents *s)
{
	free(s->x);
	*s = (struct extents){0};
}

void extents_clear(struct extents *s)
{
	s->count = 0;
}

int extents_reserve(struct extents *s, size_t count)
{
	size_t cap = s->cap ? s->cap : 4;
	struct extent *x;

	if (count <= s->cap)
		return 0;
	if (count > SIZE_MAX / sizeof(*x) / 2)
		return -ENOMEM;
	while (cap < count)
		cap *= 2;
	x = realloc(s->x, cap * sizeof(*x));
	if (!x)
		return -ENOMEM;
	s->x = x;
	s->cap = cap;
	return 0;
}

/* The first range that ends at @off or behind it. */
static size_t find(const struct extents *s, uint64_t off)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (extent_end(&s->x[mid]) < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int extents_add(struct extents *s, uint64_t off, uint64_t len)
{
	uint64_t end;
	size_t i, j;
	int r;

	if (__builtin_add_overflow(off, len, &end))
		return -EOVERFLOW;
	if (len == 0)
		return 0;
	if (s->count == 0 || extent_end(&s->x[s->count - 1]) < off)
		i = s->count;
	else if (s->x[s->count - 1].off <= off)
		i = s->count - 1;
	else
		i = find(s, off);
	for (j = i; j < s->count && s->x[j].off <= end; j++)
		;
	if (i == j) {
		r = extents_reserve(s, s->count + 1);
		if (r < 0)
			return r;
	} else {
		if (s->x[i].off < off)
			off = s->x[i].off;
		if (extent_end(&s->x[j - 1]) > end)
			end = extent_end(&s->x[j - 1]);
	}
	if (j < s->count)
		memmove(&s->x[i + 1], &s->x[j], (s->count - j) * sizeof(*s->x));
	s->count = s->count + 1 - (j - i);
	s->x[i] = (struct extent){off, end - off};
	return 0;
}

uint64_t extents_bytes(const struct extents *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->count; i++)
		sum += s->x[i].len;
	return sum;
}

uint64_t extents_end(const struct extents *s)
{
	return s->count ? extent_end(&s->x[s->count - 1]) : 0;
}

bool extents_equal(const struct extents *a, const struct extents *b)
{
	if (a->count != b->count)
		return false;
	return a->count == 0 || memcmp(a->x, b->x, a->count * sizeof(*a->x)) == 0;
}

bool extents_cover(const struct extents *s, uint64_t off, uint64_t len)
{
	struct extents_walk w;
	struct extent x;

	if (len == 0)
		return true;
	extents_walk_start(s, off, len, &w);
	return extents_walk_next(&w, &x) && x.off == off && x.len == len;
}

void extents_walk_start(
	const struct extents *s, uint64_t off, uint64_t len, struct extents_walk *w)
{
	*w = (struct extents_walk){.s = s, .i = find(s, off), .off = off};
	if (__builtin_add_overflow(off, len, &w->end))
		w->end = UINT64_MAX;
}

bool extents_walk_next(struct extents_walk *w, struct extent *x)
{
	for (; w->i < w->s->count; w->i++) {
		if (w->s->x[w->i].off >= w->end)
			return false;
		if (extent_common(&w->s->x[w->i], w->off, w->end, x)) {
			w->i++;
			return true;
		}
	}
	return false;
}
