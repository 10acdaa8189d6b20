/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two trees (Sanders, Speck, Traeff, Parallel Computing 2009). In a binary tree the
 * leaves never send, so build two over ranks 1..M such that whoever is inner in one is
 * a leaf in the other, and send even parcels down one and odd parcels down the other.
 * The reader stays outside and feeds both roots. Every rank receives each parcel once,
 * and sends no more parcels than there are, an odd number rounded up.
 *
 * Trees are in-order over positions 1..M, so parents and children are arithmetic:
 *
 *	          8            odd positions are leaves, even ones inner nodes
 *	      4       10
 *	    2   6   9    11    M = 11
 *	   1 3 5 7
 *
 * Edge (t, v) brings tree t's parcels to rank v. Two edges conflict if they share the
 * receiver or the sender. Each has one conflict of the first kind and at most one of
 * the second, so conflicts form paths and even cycles, and two colours do. Even steps
 * are for one colour, odd steps for the other: parcel number j of tree t crosses its
 * edge in step first + 2 j. The table holds first, two bytes a node; everything else is
 * computed when asked for.
 */
#include "plan/schedule_internal.h"

#include <string.h>

#define UNCOLOURED 0xff

struct edge {
	uint32_t tree, to;
};

static uint32_t below(const struct schedule *s)
{
	return s->nodes - 1; /* M */
}

/* Position of rank @v in tree @t and back. Tree 1 differs so as to flip the parity. */
static uint32_t position(const struct schedule *s, uint32_t t, uint32_t v)
{
	uint32_t m = below(s);

	if (t == 0)
		return v;
	if (m % 2 == 0)
		return m + 1 - v;
	return v == 1 ? m : v - 1;
}

static uint32_t rank_at(const struct schedule *s, uint32_t t, uint32_t at)
{
	uint32_t m = below(s);

	if (t == 0)
		return at;
	if (m % 2 == 0)
		return m + 1 - at;
	return at == m ? 1 : at + 1;
}

static uint32_t floor_pow2(uint32_t n)
{
	return 1u << (31 - __builtin_clz(n));
}

/* Position of the parent of position @at, 0 for the root. */
static uint32_t parent_at(uint32_t m, uint32_t at)
{
	uint64_t up = at, height = at & -at;

	if (at == floor_pow2(m))
		return 0;
	/* Positions past M are not there; what hangs below them moves up. */
	do {
		up = (up - height) | 2 * height;
		height *= 2;
	} while (up > m);
	return (uint32_t)up;
}

/* Positions of the children of @at into @child; returns how many. */
static uint32_t children_at(uint32_t m, uint32_t at, uint32_t child[2])
{
	uint32_t height = at & -at, right = m - at < height - 1 ? m - at : height - 1;

	if (height == 1)
		return 0;
	child[0] = at - height / 2;
	if (right == 0)
		return 1;
	child[1] = at + floor_pow2(right);
	return 2;
}

static uint32_t sender(const struct schedule *s, struct edge e)
{
	uint32_t up = parent_at(below(s), position(s, e.tree, e.to));

	return up ? rank_at(s, e.tree, up) : 0;
}

static uint8_t *first_of(const struct schedule *s, struct edge e)
{
	return &s->table[2 * (size_t)e.to + e.tree];
}

static struct edge same_receiver(struct edge e)
{
	return (struct edge){.tree = !e.tree, .to = e.to};
}

/* The other edge with the same sender; false if there is none. */
static bool same_sender(const struct schedule *s, struct edge e, struct edge *other)
{
	uint32_t m = below(s), at = position(s, e.tree, e.to), up = parent_at(m, at);
	uint32_t child[2];

	if (up == 0) {
		other->tree = !e.tree;
		other->to = rank_at(s, other->tree, floor_pow2(m));
		return true;
	}
	if (children_at(m, up, child) < 2)
		return false;
	other->tree = e.tree;
	other->to = rank_at(s, e.tree, child[child[0] == at]);
	return true;
}

/* Colour the path of conflicts that starts at @e with a shared sender or receiver. */
static void colour_path(const struct schedule *s, struct edge e, bool by_sender)
{
	uint8_t colour = *first_of(s, e);

	for (;; by_sender = !by_sender) {
		if (!by_sender)
			e = same_receiver(e);
		else if (!same_sender(s, e, &e))
			return;
		if (*first_of(s, e) != UNCOLOURED)
			return;
		colour = !colour;
		*first_of(s, e) = colour;
	}
}

static void colour_from(const struct schedule *s, struct edge e)
{
	if (*first_of(s, e) != UNCOLOURED)
		return;
	*first_of(s, e) = 0;
	colour_path(s, e, false);
	colour_path(s, e, true);
}

static void colour_edges(const struct schedule *s)
{
	/* The reader's own first: it is to send parcels in the order it reads them. */
	struct edge root = {.tree = 0, .to = floor_pow2(below(s))};

	memset(s->table, UNCOLOURED, 2 * (size_t)s->nodes);
	colour_from(s, root);
	for (uint32_t v = 1; v < s->nodes; v++) {
		colour_from(s, (struct edge){.tree = 0, .to = v});
		colour_from(s, (struct edge){.tree = 1, .to = v});
	}
}

/*
 * From colours to first steps: an edge starts right after the one that feeds its
 * sender, in steps of its colour. Parents are higher than their children, so tall
 * positions go first. Returns the last first step; it is below 2 log2(nodes) + 2 and so
 * fits a byte.
 */
static uint32_t set_first_steps(const struct schedule *s, uint32_t t)
{
	uint32_t m = below(s), last = 0;

	for (uint64_t height = floor_pow2(m); height > 0; height /= 2) {
		for (uint64_t at = height; at <= m; at += 2 * height) {
			struct edge e = {.tree = t, .to = rank_at(s, t, (uint32_t)at)};
			uint32_t from = sender(s, e);
			uint32_t step = *first_of(s, e);

			if (from) {
				uint32_t fed = *first_of(s, (struct edge){t, from});

				step = fed + 1 + (fed % 2 == step);
			}
			*first_of(s, e) = (uint8_t)step;
			if (step > last)
				last = step;
		}
	}
	return last;
}

static uint64_t parcels_of(const struct schedule *s, uint32_t t)
{
	return s->parcels / 2 + (t == 0 ? s->parcels % 2 : 0);
}

static int two_tree_prepare(struct schedule *s, struct ebt_err *err)
{
	s->table = malloc(2 * (size_t)s->nodes);
	if (!s->table)
		return ebt_fail(err, -ENOMEM, "schedule of %u nodes", s->nodes);
	colour_edges(s);
	s->steps = 0;
	for (uint32_t t = 0; t < 2; t++) {
		uint32_t first = set_first_steps(s, t);
		uint64_t n = parcels_of(s, t);

		if (n > 0 && first + 2 * (n - 1) + 1 > s->steps)
			s->steps = first + 2 * (n - 1) + 1;
	}
	return 0;
}

static void add_edge(struct schedule_cursor *c, uint32_t peer, struct edge e)
{
	uint32_t i = c->tree.edges++;

	c->tree.edge[i].peer = peer;
	c->tree.edge[i].tree = (uint16_t)e.tree;
	c->tree.edge[i].first = *first_of(c->s, e);
}

static void two_tree_start(struct schedule_cursor *c)
{
	const struct schedule *s = c->s;
	uint32_t m = below(s), child[2];

	for (uint32_t t = 0; t < 2; t++) {
		struct edge e = {.tree = t, .to = c->rank};

		if (c->side == SCHEDULE_RECV) {
			if (c->rank > 0)
				add_edge(c, sender(s, e), e);
			continue;
		}
		if (c->rank == 0) {
			e.to = rank_at(s, t, floor_pow2(m));
			add_edge(c, e.to, e);
			continue;
		}
		for (uint32_t i = children_at(m, position(s, t, c->rank), child);
			i-- > 0;) {
			e.to = rank_at(s, t, child[i]);
			add_edge(c, e.to, e);
		}
	}
}

static void two_tree_rewind(struct schedule_cursor *c)
{
	c->tree.done = 0;
}

static bool two_tree_next(struct schedule_cursor *c, struct schedule_hop *hop)
{
	uint64_t *done[2] = {&c->pos, &c->tree.done};
	uint32_t best = 2;

	/* Edges of one rank differ in colour, so their steps are never equal. */
	for (uint32_t i = 0; i < c->tree.edges; i++) {
		uint64_t step = c->tree.edge[i].first + 2 * *done[i];

		if (*done[i] == parcels_of(c->s, c->tree.edge[i].tree))
			continue;
		if (best == 2 || step < hop->step) {
			best = i;
			hop->step = step;
		}
	}
	if (best == 2)
		return false;
	hop->parcel = 2 * (*done[best])++ + c->tree.edge[best].tree;
	hop->peer = c->tree.edge[best].peer;
	return true;
}

const struct schedule_ops schedule_two_tree_ops = {
	.prepare = two_tree_prepare,
	.start = two_tree_start,
	.rewind = two_tree_rewind,
	.next = two_tree_next,
};
