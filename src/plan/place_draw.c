/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small files. First the quotas: as water finds its level over uneven ground, they
 * fill each target up to the same load for its weight, or to its room. Then the two
 * lines:
 *
 *	node        0         1      2           3
 *	kept        ====|     ===    =====|      ==        on the node's own targets
 *	surplus         ---                ----            laid end to end ...
 *	deficit               ..                 .....     ... faces these, end to end
 *
 * Both lines have one length, since quotas and small files have. A file lies where the
 * files before it on its node end, and its middle decides, so each end of a stretch is
 * off by half a file at most. A target has two stretches at most: one of its owner's
 * files, which its owner lays down target by target, and one of others'.
 *
 * Where a node's own stretch ends, not the middle of the file decides but a point that
 * differs from node to node: if all nodes had 1.3 files too many and gave away one,
 * the targets that wait for those would get a quarter less than they should. The
 * points lie as the fractions of the multiples of the golden ratio, evenly among any
 * number of nodes next to each other.
 *
 * With more writers than targets a file is written from where it is, whatever its
 * target; then everything is surplus, and nodes next to each other share a target.
 */
#include <errno.h>

#include "base/text.h"
#include "plan/place_internal.h"

#define HALVINGS 80 /* of the range of levels: more than a double resolves */

/*
 * What @s may still take. A file too many at either end of two stretches must fit too.
 */
static uint64_t cap_of(const struct place_slot *s, uint64_t small_max)
{
	uint64_t room = s->room > s->load ? s->room - s->load : 0;

	return room > 2 * small_max ? room - 2 * small_max : 0;
}

static uint64_t quota_at(const struct place_slot *s, uint64_t small_max, double level)
{
	double miss = level * s->weight - (double)s->load;
	uint64_t cap = cap_of(s, small_max);

	if (miss <= 0)
		return 0;
	return miss >= (double)cap ? cap : (uint64_t)miss;
}

/* Sets the quotas for a level and returns their sum. */
static unsigned __int128 fill_to(struct place *p, uint64_t small_max, double level)
{
	unsigned __int128 sum = 0;

	for (uint32_t i = 0; i < p->n_slots; i++) {
		p->slots[i].quota = quota_at(&p->slots[i], small_max, level);
		sum += p->slots[i].quota;
	}
	return sum;
}

static int fill(struct place *p, uint64_t cost, uint64_t small_max, struct ebt_err *err)
{
	double lo = 0, hi = (double)cost, least = p->slots[0].weight;
	unsigned __int128 caps = 0;
	char a[TEXT_SIZE], b[TEXT_SIZE];
	uint64_t miss;

	for (uint32_t i = 0; i < p->n_slots; i++) {
		caps += cap_of(&p->slots[i], small_max);
		hi += (double)p->slots[i].load;
		least = p->slots[i].weight < least ? p->slots[i].weight : least;
	}
	if (caps < cost)
		return ebt_fail(err, -ENOSPC,
			"small files need %s and the %u usable targets have room for "
			"%s",
			text_size((double)cost, a), p->n_slots,
			text_size((double)caps, b));
	hi = hi / least * (1 + 1e-9) + 1; /* whatever rounding did to it */
	for (int i = 0; i < HALVINGS; i++) {
		double level = (lo + hi) / 2;

		if (fill_to(p, small_max, level) > cost)
			hi = level;
		else
			lo = level;
	}
	/* What rounding left over: of the order of a byte per target. */
	miss = cost - (uint64_t)fill_to(p, small_max, lo);
	for (uint32_t i = 0; miss > 0; i = (i + 1) % p->n_slots) {
		struct place_slot *s = &p->slots[i];
		uint64_t more = cap_of(s, small_max) - s->quota;
		uint64_t part = miss / p->n_slots + 1;

		if (s->quota == 0 && (double)s->load >= hi * s->weight)
			continue; /* above the level */
		more = more < part ? more : part;
		more = more < miss ? more : miss;
		s->quota += more;
		miss -= more;
	}
	return 0;
}

/* What each node keeps on its own targets, and what its targets then miss. */
static void draw_nodes(struct place *p, const struct place_input *in)
{
	uint64_t sum = 0, cost, own;

	for (uint32_t i = 0; i < p->nodes; i++) {
		uint32_t w = p->writer_at[i];

		cost = in->small_bytes[i] + p->file_cost * in->small_files[i];
		own = 0;
		if (w != PLACE_NONE && p->writers <= p->n_slots)
			own = p->slots[place_first_slot(p, w + 1)].edge -
			      p->slots[place_first_slot(p, w)].edge;
		p->keep[i] = cost < own ? cost : own;
		p->surplus[i] = sum;
		sum += cost - p->keep[i];
	}
}

static void draw_slots(struct place *p)
{
	uint64_t sum = 0, left;

	for (uint32_t i = 0, w = 0; w < p->writers && p->writers <= p->n_slots; w++) {
		left = p->keep[p->writer_node[w]];
		for (; i < place_first_slot(p, w + 1); i++) {
			uint64_t taken =
				left < p->slots[i].quota ? left : p->slots[i].quota;

			p->slots[i].deficit = sum;
			sum += p->slots[i].quota - taken;
			left -= taken;
		}
	}
	for (uint32_t i = 0; i < p->n_slots && p->writers > p->n_slots; i++) {
		p->slots[i].deficit = sum;
		sum += p->slots[i].quota;
	}
	p->slots[p->n_slots].deficit = sum;
}

int place_draw(struct place *p, const struct place_input *in, struct ebt_err *err)
{
	uint64_t cost = 0, edge = 0;
	int r;

	p->keep = calloc(p->nodes, sizeof(*p->keep));
	p->surplus = calloc(p->nodes, sizeof(*p->surplus));
	if (!p->keep || !p->surplus)
		return ebt_fail(err, -ENOMEM, "placement from %u nodes", p->nodes);
	for (uint32_t i = 0; in->small_bytes && i < p->nodes; i++)
		cost += in->small_bytes[i] + p->file_cost * in->small_files[i];
	if (cost == 0)
		return 0;
	r = fill(p, cost, in->small_max, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < p->n_slots; i++) {
		p->slots[i].edge = edge;
		edge += p->slots[i].quota;
	}
	p->slots[p->n_slots].edge = edge;
	draw_nodes(p, in);
	draw_slots(p);
	return 0;
}

/* The slot whose stretch of a line holds @at: the first that ends behind it. */
static uint32_t find(const struct place *p, uint64_t at, bool deficit)
{
	uint32_t lo = 0, hi = p->n_slots - 1;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct place_slot *next = &p->slots[mid + 1];

		if ((deficit ? next->deficit : next->edge) <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t place_small(const struct place *p, uint32_t node, uint64_t bytes,
	uint64_t files, uint64_t size)
{
	uint64_t at = bytes + p->file_cost * files, keep = p->keep[node];
	uint64_t cost = size + p->file_cost, middle = at + cost / 2;
	uint64_t part =
		(uint64_t)((unsigned __int128)(node * PLACE_GOLDEN) * cost >> 64);
	uint32_t slot;

	if (at + part < keep) {
		slot = place_first_slot(p, p->writer_at[node]);
		middle = middle < keep ? middle : keep - 1;
		slot = find(p, p->slots[slot].edge + middle, false);
	} else {
		middle = middle > keep ? middle - keep : 0;
		slot = find(p, p->surplus[node] + middle, true);
	}
	return p->slots[slot].target;
}
