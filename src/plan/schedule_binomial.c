/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The binomial tree: in round k of a parcel every rank below 2^k, all of which hold it
 * by then, sends it 2^k ranks ahead. Optimal for one parcel; with more of them the
 * reader's link still carries log2(nodes) copies of each, so this is for tiny data and
 * for comparison.
 */
#include "plan/schedule_internal.h"

static int binomial_prepare(struct schedule *s, struct ebt_err *err)
{
	s->steps = s->parcels * s->rounds;
	return 0;
}

static void binomial_start(struct schedule_cursor *c)
{
	uint32_t rank = c->rank;
	uint32_t arrival = rank ? 31 - (uint32_t)__builtin_clz(rank) : 0;
	uint32_t k = rank ? arrival + 1 : 0;

	if (c->side == SCHEDULE_RECV) {
		c->binomial.first = arrival;
		c->binomial.rounds = rank > 0;
		return;
	}
	c->binomial.first = k;
	while (k < c->s->rounds && rank + (1ull << k) < c->s->nodes)
		k++;
	c->binomial.rounds = k - c->binomial.first;
}

static bool binomial_next(struct schedule_cursor *c, struct schedule_hop *hop)
{
	uint64_t parcel;
	uint32_t round;

	if (c->binomial.rounds == 0)
		return false;
	parcel = c->pos / c->binomial.rounds;
	if (parcel == c->s->parcels)
		return false;
	round = c->binomial.first + (uint32_t)(c->pos++ % c->binomial.rounds);
	hop->parcel = parcel;
	hop->step = parcel * c->s->rounds + round;
	hop->peer = c->side == SCHEDULE_SEND ? c->rank + (1u << round)
					     : c->rank - (1u << round);
	return true;
}

const struct schedule_ops schedule_binomial_ops = {
	.prepare = binomial_prepare,
	.start = binomial_start,
	.next = binomial_next,
};
