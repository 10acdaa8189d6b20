/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file of which several nodes have a part. What only one of them has is taken from it. Where
 * they overlap, this holds:
 *
 *   A node-local file system tells data from hole by blocks of MERGE_BLOCK bytes. Whoever
 *   writes one byte of a block has the rest of it as zeros. So zero bytes count as not
 *   written; versions agree if at every byte they are equal or one of them is zero; and the
 *   result is their bitwise or. Anything else is a conflict.
 *
 * Zeros that somebody meant are not told from zeros that nobody wrote: where another node has
 * something else, that is taken.
 *
 * Equal ranges are found by digests, so only blocks that differ are ever compared as bytes.
 */
#include "drain/merge/overlap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void merge_parts_release(struct merge_parts *p)
{
	buf_release(&p->part);
	buf_release(&p->sources);
}

/* A source at the next place where it begins or ends to have data. */
struct cursor {
	uint64_t at;
	uint32_t source;
	bool inside;
};

struct sweep {
	const struct extents *x;
	struct cursor *heap; /* the smallest place first */
	size_t *next;	     /* of each source: its range at hand */
	uint32_t n;
	uint32_t *active, n_active; /* sources, ascending */
};

static void sift(struct sweep *s, uint32_t i)
{
	struct cursor c = s->heap[i];
	uint32_t k;

	for (; (k = 2 * i + 1) < s->n; i = k) {
		if (k + 1 < s->n && s->heap[k + 1].at < s->heap[k].at)
			k++;
		if (s->heap[k].at >= c.at)
			break;
		s->heap[i] = s->heap[k];
	}
	s->heap[i] = c;
}

static void toggle(struct sweep *s, uint32_t source, bool on)
{
	uint32_t lo = 0, hi = s->n_active, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->active[mid] < source)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (on) {
		memmove(s->active + lo + 1, s->active + lo,
			(s->n_active - lo) * sizeof(*s->active));
		s->active[lo] = source;
		s->n_active++;
	} else {
		s->n_active--;
		memmove(s->active + lo, s->active + lo + 1,
			(s->n_active - lo) * sizeof(*s->active));
	}
}

/* The first cursor goes on to its next place, or leaves. */
static void step(struct sweep *s)
{
	struct cursor *c = &s->heap[0];
	const struct extents *x = &s->x[c->source];
	size_t *i = &s->next[c->source];

	toggle(s, c->source, !c->inside);
	c->inside = !c->inside;
	if (c->inside) {
		c->at = x->x[*i].off + x->x[*i].len;
	} else if (++*i < x->count) {
		c->at = x->x[*i].off;
	} else {
		*c = s->heap[--s->n];
		if (!s->n)
			return;
	}
	sift(s, 0);
}

int merge_sweep(const struct extents *x, uint32_t n, struct merge_parts *out)
{
	SCOPED_FREE struct cursor *heap = calloc((size_t)n + 1, sizeof(*heap));
	SCOPED_FREE uint32_t *active = calloc((size_t)n + 1, sizeof(*active));
	SCOPED_FREE size_t *next = calloc((size_t)n + 1, sizeof(*next));
	struct sweep s = {.x = x, .heap = heap, .next = next, .active = active};
	uint64_t at = 0;

	if (!heap || !active || !next)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (x[i].count)
			heap[s.n++] = (struct cursor){.at = x[i].x[0].off, .source = i};
	}
	for (uint32_t i = s.n / 2; i-- > 0;)
		sift(&s, i);
	while (s.n) {
		uint64_t to = s.heap[0].at;

		if (s.n_active && to > at) {
			struct merge_part p = {.off = at,
				.len = to - at,
				.first = out->sources.len / sizeof(*active),
				.n = s.n_active};

			buf_put(&out->part, &p, sizeof(p));
			buf_put(&out->sources, active, s.n_active * sizeof(*active));
		}
		at = to;
		step(&s);
	}
	return buf_ok(&out->part) && buf_ok(&out->sources) ? 0 : -ENOMEM;
}

static bool is_zero(struct ebt_digest d)
{
	return d.lo == 0 && d.hi == 0;
}

static int compare_votes(const void *a, const void *b)
{
	const struct merge_vote *v = a, *w = b;

	if (is_zero(v->digest) != is_zero(w->digest))
		return is_zero(v->digest) ? 1 : -1;
	if (v->digest.hi != w->digest.hi)
		return v->digest.hi < w->digest.hi ? -1 : 1;
	if (v->digest.lo != w->digest.lo)
		return v->digest.lo < w->digest.lo ? -1 : 1;
	return v->source < w->source ? -1 : v->source > w->source;
}

uint32_t merge_count_votes(struct merge_vote *v, uint32_t *n)
{
	uint32_t kinds = 0;

	qsort(v, *n, sizeof(*v), compare_votes);
	while (*n && is_zero(v[*n - 1].digest))
		--*n;
	for (uint32_t i = 0; i < *n; i++)
		kinds += i == 0 || !digest_equal(v[i].digest, v[i - 1].digest);
	return kinds;
}

static bool clashes(unsigned char a, unsigned char b)
{
	return a && b && a != b;
}

/* Version @b does not agree at byte @off with those before it: with which, and how far. */
static void describe(const unsigned char *const *version, uint32_t b, uint32_t off,
	uint32_t len, struct merge_clash *clash)
{
	uint32_t a = 0;

	while (!clashes(version[a][off], version[b][off]))
		a++;
	*clash = (struct merge_clash){.a = a, .b = b, .off = off, .end = off + 1};
	for (uint32_t i = off; i < len; i++) {
		if (clashes(version[a][i], version[b][i]))
			clash->end = i + 1;
	}
}

int merge_or(const unsigned char *const *version, uint32_t n, uint32_t len,
	unsigned char *out, uint32_t *whole, struct merge_clash *clash)
{
	memset(out, 0, len);
	for (uint32_t k = 0; k < n; k++) {
		for (uint32_t i = 0; i < len; i++) {
			if (clashes(out[i], version[k][i])) {
				describe(version, k, i, len, clash);
				return 1;
			}
			out[i] |= version[k][i];
		}
	}
	for (*whole = 0; *whole < n; ++*whole) {
		if (memcmp(version[*whole], out, len) == 0)
			break;
	}
	return 0;
}

void merge_add_piece(
	struct buf *pieces, uint64_t off, uint64_t len, uint32_t source, bool overlaps)
{
	struct drain_piece p = {.off = off,
		.from = off,
		.len = len,
		.source = source,
		.overlaps = overlaps};

	buf_put(pieces, &p, sizeof(p));
}

static int compare_pieces(const void *a, const void *b)
{
	const struct drain_piece *p = a, *q = b;

	if (p->off != q->off)
		return p->off < q->off ? -1 : 1;
	return p->source < q->source ? -1 : p->source > q->source;
}

uint32_t merge_join_pieces(struct buf *pieces)
{
	struct drain_piece *p = (struct drain_piece *)pieces->data;
	size_t n = pieces->len / sizeof(*p), to = 0;

	if (!n)
		return 0;
	qsort(p, n, sizeof(*p), compare_pieces);
	for (size_t i = 1; i < n; i++) {
		if (!p[i].overlaps && !p[to].overlaps && p[i].source == p[to].source &&
			p[i].off == p[to].off + p[to].len)
			p[to].len += p[i].len;
		else
			p[++to] = p[i];
	}
	pieces->len = (to + 1) * sizeof(*p);
	return (uint32_t)(to + 1);
}
