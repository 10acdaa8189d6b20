/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which reader reads from which OST. With at least as many OSTs as readers each OST has one
 * reader: an object is read by one client in one direction, and no two readers stand in one
 * queue while another OST is idle. With fewer, the OSTs' bytes are laid in a row in the
 * order of OSTs and the readers take equal parts of it.
 *
 * OSTs go to readers in runs of neighbours: files are mostly striped over neighbours, so a
 * reader's stripes touch and are one segment. Where that leaves a reader more than 5 % above
 * what largest first would give, largest first it is.
 *
 * A file is dealt this way if its stripes are whole leaves of the digest. Where a part of a
 * composite layout ends within a leaf, that leaf goes with the part before. Past
 * PLAN_STRIPES_MAX pieces of files (96 MiB of segments) the rest of the files count as
 * files of unknown layout.
 */
#include "plan/plan_internal.h"

#include <string.h>

void plan_osts_release(struct plan_osts *o)
{
	free(o->use);
	free(o->ost);
	free(o->slot);
	*o = (struct plan_osts){0};
}

static uint64_t leaf_up(uint64_t x)
{
	return x > UINT64_MAX - DIGEST_LEAF
		       ? UINT64_MAX
		       : (x + DIGEST_LEAF - 1) / DIGEST_LEAF * DIGEST_LEAF;
}

/* Which of the layout's objects has byte @off of the file, which part @p has. */
static uint32_t object_at(const struct pfs_part *p, uint64_t off)
{
	return p->first + (uint32_t)(off / p->stripe_size % p->stripe_count);
}

bool plan_stripes_next(struct plan_stripes *w, struct plan_stripe *s)
{
	const struct pfs_layout *l = w->layout;
	const struct pfs_part *p;
	uint64_t end = w->end;

	if (w->off >= w->end)
		return false;
	while (w->part < l->n_parts && leaf_up(l->parts[w->part].end) <= w->off)
		w->part++;
	p = w->part < l->n_parts ? &l->parts[w->part] : NULL;
	s->off = w->off;
	s->ost = MANIFEST_NONE;
	if (p && leaf_up(p->start) > w->off) {
		end = leaf_up(p->start);
	} else if (p) {
		uint64_t stripe = w->off / p->stripe_size;

		s->ost = object_at(p, w->off);
		end = leaf_up(p->end);
		if (p->stripe_count > 1 && (stripe + 1) * p->stripe_size < end)
			end = (stripe + 1) * p->stripe_size;
	}
	if (end > w->end)
		end = w->end;
	s->len = end - w->off;
	w->off = end;
	return true;
}

/* Pieces that [off, off + len) has at most. */
static uint64_t most_stripes(const struct pfs_layout *l, uint64_t off, uint64_t len)
{
	uint64_t n = 1;

	for (uint32_t k = 0; k < l->n_parts; k++) {
		const struct pfs_part *p = &l->parts[k];
		uint64_t a = off > p->start ? off : p->start;
		uint64_t b = off + len < p->end ? off + len : p->end;

		if (a < b)
			n += p->stripe_count == 1 ? 2 : (b - a) / p->stripe_size + 3;
	}
	return n;
}

static bool is_usable(
	const struct manifest_entry *e, const struct pfs_layout *l, uint64_t *room)
{
	const struct manifest_extent whole = {0, e->size};
	const struct manifest_extent *x = e->n_extents ? e->extents : &whole;
	uint32_t n = e->n_extents ? e->n_extents : 1;
	uint64_t stripes = 0;

	for (uint32_t k = 0; k < l->n_parts; k++) {
		if (l->parts[k].stripe_count > 1 &&
			l->parts[k].stripe_size % DIGEST_LEAF)
			return false;
	}
	for (uint32_t k = 0; k < n && stripes <= *room; k++)
		stripes += most_stripes(l, x[k].off, x[k].len);
	if (l->n_parts == 0 || stripes > *room)
		return false;
	*room -= stripes;
	return true;
}

/* Where OST @index is in the list, or would be. */
static uint32_t place_of(const struct plan_osts *o, uint32_t index)
{
	uint32_t lo = 0, hi = o->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (o->ost[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int add_ost(struct plan_osts *o, uint32_t index)
{
	uint32_t at = place_of(o, index);

	if (at < o->count && o->ost[at].index == index)
		return 0;
	if (o->count == o->cap) {
		uint32_t cap = o->cap ? 2 * o->cap : 64;
		struct plan_ost *more = reallocarray(o->ost, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		o->ost = more;
		o->cap = cap;
	}
	memmove(&o->ost[at + 1], &o->ost[at], (o->count - at) * sizeof(*o->ost));
	o->ost[at] = (struct plan_ost){.index = index};
	o->count++;
	return 0;
}

const struct pfs_layout *plan_layout_of(const struct plan_layouts *l, uint32_t entry)
{
	uint32_t lo = 0, hi = l ? l->count : 0, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (l->of[mid].entry < entry)
			lo = mid + 1;
		else
			hi = mid;
	}
	return l && lo < l->count && l->of[lo].entry == entry ? l->of[lo].layout : NULL;
}

int64_t plan_ost_at(const struct plan_layouts *l, uint32_t entry, uint64_t off)
{
	const struct pfs_layout *of = plan_layout_of(l, entry);

	for (uint32_t k = 0; of && k < of->n_parts; k++) {
		const struct pfs_part *p = &of->parts[k];

		if (off >= p->start && off < p->end)
			return of->osts[object_at(p, off)];
	}
	return -1;
}

/* Which layouts are used, and the list of all their OSTs. */
static int list_osts(const struct manifest *m, const uint64_t *need,
	struct plan_osts *o, struct ebt_err *err)
{
	const struct plan_layouts *all = o->layouts;
	uint64_t room = PLAN_STRIPES_MAX;
	uint32_t most = 1;
	int r = 0;

	o->use = calloc(all->count, sizeof(*o->use));
	if (!o->use)
		return ebt_fail(err, -ENOMEM, "plan of OSTs");
	for (uint32_t k = 0; k < all->count; k++) {
		const struct pfs_layout *l = all->of[k].layout;
		uint32_t i = all->of[k].entry;

		o->use[k] = i < m->count && manifest_moves(m, need, i) &&
			    is_usable(&m->entries[i], l, &room);
		if (!o->use[k])
			continue;
		if (l->n_osts > most)
			most = l->n_osts;
		for (uint32_t j = 0; j < l->n_osts && r == 0; j++)
			r = add_ost(o, l->osts[j]);
	}
	o->slot = reallocarray(NULL, most, sizeof(*o->slot));
	if (r < 0 || !o->slot)
		return ebt_fail(err, -ENOMEM, "plan of OSTs");
	return 0;
}

const struct pfs_layout *plan_osts_layout(
	struct plan_osts *o, uint32_t i, uint32_t *next)
{
	const struct plan_layouts *all = o->layouts;
	const struct pfs_layout *l;

	if (o->count == 0)
		return NULL;
	while (*next < all->count && all->of[*next].entry < i)
		++*next;
	if (*next == all->count || all->of[*next].entry != i || !o->use[*next])
		return NULL;
	l = all->of[*next].layout;
	for (uint32_t k = 0; k < l->n_osts; k++)
		o->slot[k] = place_of(o, l->osts[k]);
	return l;
}

/* Bytes of each OST; those that hold none go from the list. */
static void weigh_osts(const struct manifest *m, struct plan_osts *o)
{
	uint32_t next = 0, kept = 0;

	for (uint32_t k = 0; k < o->layouts->count; k++) {
		uint32_t i = o->layouts->of[k].entry;
		const struct pfs_layout *l = plan_osts_layout(o, i, &next);
		const struct manifest_entry *e = &m->entries[i];
		const struct manifest_extent whole = {0, l ? e->size : 0};
		const struct manifest_extent *x =
			l && e->n_extents ? e->extents : &whole;
		uint32_t n = l && e->n_extents ? e->n_extents : 1;

		for (uint32_t j = 0; l && j < n; j++) {
			struct plan_stripes w = {l, x[j].off, x[j].off + x[j].len, 0};
			struct plan_stripe s;

			while (plan_stripes_next(&w, &s)) {
				if (s.ost == MANIFEST_NONE)
					continue;
				o->ost[o->slot[s.ost]].bytes += s.len;
				o->bytes += s.len;
			}
		}
	}
	for (uint32_t k = 0; k < o->count; k++) {
		if (o->ost[k].bytes)
			o->ost[kept++] = o->ost[k];
	}
	o->count = kept;
	for (uint32_t k = 1; k < kept; k++)
		o->ost[k].base = o->ost[k - 1].base + o->ost[k - 1].bytes;
}

static uint64_t largest(const uint64_t *load, uint32_t n)
{
	uint64_t most = 0;

	for (uint32_t j = 0; j < n; j++)
		most = load[j] > most ? load[j] : most;
	return most;
}

/* Runs of neighbours: each reader takes what comes next to its part of what is left. */
static void deal_runs(struct plan_osts *o, uint32_t readers, uint64_t *load)
{
	uint64_t left = o->bytes;
	uint32_t k = 0;

	memset(load, 0, readers * sizeof(*load));
	for (uint32_t j = 0; j < readers; j++) {
		uint64_t share = left / (readers - j);

		do {
			load[j] += o->ost[k].bytes;
			o->ost[k++].reader = j;
		} while (o->count - k > readers - j - 1 &&
			 (j + 1 == readers || load[j] + o->ost[k].bytes / 2 <= share));
		left -= load[j];
	}
}

static int by_bytes(const void *a, const void *b)
{
	const struct plan_ost *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int by_index(const void *a, const void *b)
{
	const struct plan_ost *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

/* The reader with the least, in a heap: on equal terms the lower number. */
static void sink(uint32_t *heap, uint32_t n, const uint64_t *load)
{
	uint32_t i = 0, top = heap[0], child;

	for (; (child = 2 * i + 1) < n; i = child) {
		uint32_t a = heap[child], b = child + 1 < n ? heap[child + 1] : a;

		if (load[b] < load[a] || (load[b] == load[a] && b < a)) {
			a = b;
			child++;
		}
		if (load[top] < load[a] || (load[top] == load[a] && top < a))
			break;
		heap[i] = a;
	}
	heap[i] = top;
}

/* Largest first, to the reader that has least. */
static void deal_largest(
	struct plan_osts *o, uint32_t readers, uint64_t *load, uint32_t *heap)
{
	memset(load, 0, readers * sizeof(*load));
	for (uint32_t j = 0; j < readers; j++)
		heap[j] = j;
	qsort(o->ost, o->count, sizeof(*o->ost), by_bytes);
	for (uint32_t k = 0; k < o->count; k++) {
		o->ost[k].reader = heap[0];
		load[heap[0]] += o->ost[k].bytes;
		sink(heap, readers, load);
	}
	qsort(o->ost, o->count, sizeof(*o->ost), by_index);
}

static int choose_readers(
	struct plan_osts *o, const struct plan *p, uint64_t *load, struct ebt_err *err)
{
	uint32_t n = p->n_streams;
	SCOPED_FREE uint32_t *heap = NULL;
	uint64_t best;

	heap = reallocarray(NULL, n, sizeof(*heap));
	if (!heap)
		return ebt_fail(err, -ENOMEM, "plan of OSTs");
	deal_largest(o, n, load, heap);
	best = largest(load, n);
	/* What lies on no OST fills up readers that have less. */
	if (best < p->bytes / n)
		best = p->bytes / n;
	deal_runs(o, n, load);
	if (largest(load, n) > best + best / 20)
		deal_largest(o, n, load, heap);
	return 0;
}

int plan_osts_deal(const struct manifest *m, const uint64_t *need, const struct plan *p,
	struct plan_osts *o, uint64_t *load, struct ebt_err *err)
{
	uint64_t before = 0;
	int r;

	if (!o->layouts || o->layouts->count == 0 || p->n_streams < 2)
		return 0;
	r = list_osts(m, need, o, err);
	if (r < 0)
		return r;
	weigh_osts(m, o);
	o->shared = o->count < p->n_streams;
	if (!o->shared)
		return choose_readers(o, p, load, err);
	for (uint32_t j = 0; j < p->n_streams; j++) {
		unsigned __int128 mark = (unsigned __int128)o->bytes * (j + 1);

		load[j] = (uint64_t)(mark / p->n_streams) - before;
		before += load[j];
	}
	return 0;
}
