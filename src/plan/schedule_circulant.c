/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The circulant graph broadcast (J. L. Traeff, doi 10.1145/3735139). q = log2(nodes)
 * rounds form a phase. In round k every rank sends to the rank skip[k] ahead and
 * receives from the one skip[k] behind; skip halves from nodes down to 1, rounding up.
 * Which parcel moves repeats from phase to phase, raised by q: a rank receives the
 * parcels of a phase in an order of its own, its slots, one of them new to the phase
 * and the others still of the phase before (negative). All parcels are everywhere after
 * parcels + q - 1 rounds, and no broadcast can do with fewer.
 *
 * A slot follows from the base of ranks further back: write r as a sum of skips,
 * largest first; base(r) is the index of the last one. We scan for it, O(nodes) a rank.
 * There are faster constructions, but this one can be read, and the tests check its
 * conditions.
 */
#include "plan/schedule_internal.h"

#include <assert.h>

static int circulant_prepare(struct schedule *s, struct ebt_err *err)
{
	uint32_t q = s->rounds, k = 0;

	s->skip[q] = s->nodes;
	for (uint32_t i = q; i-- > 0;)
		s->skip[i] = s->skip[i + 1] / 2 + s->skip[i + 1] % 2;
	s->steps = s->parcels - 1 + q;
	/* The last phase must end with the last round, so the first one starts late. */
	s->lead = (uint32_t)((q - (s->parcels - 1) % q) % q);
	s->table = malloc(s->nodes);
	if (!s->table)
		return ebt_fail(err, -ENOMEM, "schedule of %u nodes", s->nodes);
	s->table[0] = (uint8_t)q;
	for (uint32_t r = 1; r < s->nodes; r++) {
		while (k + 1 < q && s->skip[k + 1] <= r)
			k++;
		s->table[r] = r == s->skip[k] ? (uint8_t)k : s->table[r - s->skip[k]];
	}
	return 0;
}

/* The set of bases, as bits, of the ranks from @from to before @to behind @rank. */
static uint64_t bases_behind(
	const struct schedule *s, uint32_t rank, uint32_t from, uint32_t to)
{
	uint64_t set = 0;
	uint32_t d = from;

	for (; d < to && d <= rank; d++)
		set |= 1ull << s->table[rank - d];
	for (; d < to; d++)
		set |= 1ull << s->table[s->nodes - (d - rank)];
	return set;
}

/* What @rank receives in rounds 0 to @rounds - 1 of a phase, less its shift. */
static void receive_slots(
	const struct schedule *s, uint32_t rank, uint32_t rounds, int8_t *slot)
{
	uint32_t q = s->rounds, own = s->table[rank];
	uint64_t used = 1ull << own;

	for (uint32_t k = 0; k < rounds; k++) {
		uint32_t far = s->skip[k + 1];
		uint64_t set = bases_behind(s, rank, s->skip[k], far) & ~used;
		uint32_t e;

		if (!set)
			set = bases_behind(s, rank, far, far + 1) & ~used;
		assert(set);
		e = 63 - (uint32_t)__builtin_clzll(set);
		used |= 1ull << e;
		slot[k] = (int8_t)(e == q ? (int)own : (int)e - (int)q);
	}
}

static uint32_t ahead(const struct schedule *s, uint32_t rank, uint32_t distance)
{
	return (uint32_t)(((uint64_t)rank + distance) % s->nodes);
}

static void circulant_start(struct schedule_cursor *c)
{
	const struct schedule *s = c->s;
	int8_t theirs[32];

	if (c->side == SCHEDULE_RECV) {
		receive_slots(s, c->rank, s->rounds, c->circulant.slot);
		return;
	}
	/* What a rank sends in round k is what its peer of that round receives. */
	for (uint32_t k = 0; k < s->rounds; k++) {
		c->circulant.slot[k] = (int8_t)k;
		if (c->rank == 0)
			continue;
		receive_slots(s, ahead(s, c->rank, s->skip[k]), k + 1, theirs);
		c->circulant.slot[k] = theirs[k];
	}
}

static void circulant_rewind(struct schedule_cursor *c)
{
	c->circulant.shift = -(int64_t)c->s->lead;
	c->circulant.round = c->s->lead;
	if (c->rank == 0 && c->side == SCHEDULE_RECV)
		c->pos = c->s->steps; /* the reader holds everything already */
}

static bool circulant_next(struct schedule_cursor *c, struct schedule_hop *hop)
{
	const struct schedule *s = c->s;

	while (c->pos < s->steps) {
		uint32_t k = c->circulant.round;
		int64_t parcel = c->circulant.slot[k] + c->circulant.shift;
		uint64_t peer = (uint64_t)c->rank + s->skip[k];

		hop->step = c->pos++;
		if (++c->circulant.round == s->rounds) {
			c->circulant.round = 0;
			c->circulant.shift += s->rounds;
		}
		if (parcel < 0)
			continue; /* of a phase before the first */
		if (c->side == SCHEDULE_RECV)
			peer = (uint64_t)c->rank + s->nodes - s->skip[k];
		if (peer >= s->nodes)
			peer -= s->nodes;
		if (c->side == SCHEDULE_SEND && peer == 0)
			continue;
		hop->peer = (uint32_t)peer;
		/* Numbers past the end stand for the last parcel. */
		hop->parcel = (uint64_t)parcel < s->parcels ? (uint64_t)parcel
							    : s->parcels - 1;
		return true;
	}
	return false;
}

const struct schedule_ops schedule_circulant_ops = {
	.prepare = circulant_prepare,
	.start = circulant_start,
	.rewind = circulant_rewind,
	.next = circulant_next,
};
