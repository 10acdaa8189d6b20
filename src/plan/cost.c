/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All schedules move n = S/b parcels over every link and differ in the fill: how many
 * hops the last parcel still has to go when the reader has sent it. A hop takes alpha +
 * b/B. With R streams served in turn the same holds, but a parcel waits at each hop for
 * those of the other streams, so each hop of the fill counts R times:
 *
 *	chain      n + R (N - 2)        two-tree  n + R (2 L - 1)
 *	circulant  n + R (L - 1)        binomial  n (L + R - 1) / R
 *
 * where L is log2(N), rounded up. With several streams this is on the safe side: first
 * parcels run through idle nodes and wait for nobody. Simulations show a quarter to a
 * half of that fill, and with a chain of many parcels as little as (N - 2) / R hops.
 *
 * Reading and writing run beside the links, so the slowest of the three sets the pace;
 * only the first parcel's read and the last one's write stand by themselves.
 */
#include "plan/cost.h"

#include <math.h>

#include "plan/plan.h"

#define PARCELS_PER_STREAM 4	 /* at least, where the data are enough for that */
#define LEVEL_ALGO	   1.02	 /* within this the simpler schedule is preferred */
#define LEVEL_CHAIN	   1.15	 /* and within this the chain: see cost_choose */
#define LEVEL_PARCEL	   1.005 /* and the larger parcel */

static uint32_t rounds_of(uint32_t nodes)
{
	return nodes < 2 ? 0 : 32 - (uint32_t)__builtin_clz(nodes - 1);
}

static uint32_t streams_of(uint32_t nodes, uint32_t readers)
{
	return readers < 1 ? 1 : readers > nodes ? nodes : readers;
}

double cost_bound(
	const struct cost_model *c, uint64_t bytes, uint32_t nodes, uint32_t readers)
{
	double s = (double)bytes;
	double local = fmax(s / (streams_of(nodes, readers) * c->read), s / c->write);

	return nodes > 1 ? fmax(s / c->link, local) : local;
}

/* Hops that the fill adds. */
static double fill_of(enum schedule_algo algo, uint32_t nodes, uint32_t streams)
{
	double rounds = rounds_of(nodes);

	if (algo == SCHEDULE_CHAIN || nodes == 2)
		return (double)streams * (nodes - 2);
	if (algo == SCHEDULE_TWO_TREE)
		return streams * (2 * rounds - 1);
	if (algo == SCHEDULE_CIRCULANT)
		return streams * (rounds - 1);
	return 0; /* binomial and MPI have theirs in every parcel */
}

double cost_sends(enum schedule_algo algo, uint32_t nodes, uint32_t readers)
{
	double streams = streams_of(nodes, readers);

	if (nodes <= 1)
		return 0;
	if (algo == SCHEDULE_BINOMIAL)
		return (rounds_of(nodes) + streams - 1) / streams;
	if (algo == SCHEDULE_MPI_BCAST)
		return 2.0 * (nodes - 1) / nodes;
	return 1;
}

double cost_predict(const struct cost_model *c, enum schedule_algo algo, uint64_t bytes,
	uint32_t nodes, uint32_t readers, uint64_t parcel)
{
	uint32_t streams = streams_of(nodes, readers);
	double s = (double)bytes, share = ceil(s / streams);
	double b = fmin((double)parcel, share), rounds = rounds_of(nodes);
	double n, body, hop, first, last;

	if (bytes == 0)
		return 0;
	if (nodes <= 1)
		return cost_bound(c, bytes, nodes, readers);
	n = ceil(s / b);
	hop = c->latency + b / c->link;
	body = n * c->latency + s / c->link;
	first = b / c->read;
	last = b / c->write;
	if (algo == SCHEDULE_BINOMIAL)
		body *= cost_sends(algo, nodes, readers);
	if (algo ==
		SCHEDULE_MPI_BCAST) /* scatter and ring allgather, parcel by parcel */
		body = n * (rounds + nodes - 1) * c->latency +
		       2 * s / c->link * (nodes - 1) / nodes;
	body = fmax(first + body, s / (streams * c->read));
	body = fmax(body, first + s / c->write - last);
	return body + fill_of(algo, nodes, streams) * hop + last;
}

/* The best parcel size for one schedule, or the given one, and what it costs. */
static double best_parcel(const struct cost_model *c, enum schedule_algo algo,
	uint64_t bytes, uint32_t nodes, uint32_t readers, uint64_t *parcel)
{
	uint64_t few =
		bytes / (PARCELS_PER_STREAM * (uint64_t)streams_of(nodes, readers));
	double least = INFINITY;
	uint64_t largest = PLAN_PARCEL_MIN, b;

	if (*parcel)
		return cost_predict(c, algo, bytes, nodes, readers, *parcel);
	while (largest < PLAN_PARCEL_MAX && 2 * largest <= few)
		largest *= 2;
	for (b = PLAN_PARCEL_MIN; b <= largest; b *= 2)
		least = fmin(least, cost_predict(c, algo, bytes, nodes, readers, b));
	/* The optimum is flat: larger parcels mean fewer messages at the same cost. */
	for (b = largest; b > PLAN_PARCEL_MIN; b /= 2) {
		if (cost_predict(c, algo, bytes, nodes, readers, b) <=
			LEVEL_PARCEL * least)
			break;
	}
	*parcel = b;
	return cost_predict(c, algo, bytes, nodes, readers, b);
}

void cost_choose(const struct cost_model *c, uint64_t bytes, uint32_t nodes,
	uint32_t readers, enum schedule_algo *algo, uint64_t *parcel)
{
	/*
	 * Simplest first. Two trees make do with four peers a node. But with several
	 * streams circulant rides out delays better: in simulations of 1,000 nodes with
	 * 16 readers, 1 % of the transfers late by five times their length, 1.5 S/B
	 * against 2.9. Its steps cross switches all the time, though: where uplinks are
	 * fewer than nodes it took 1.7 to 2.5 S/B with 64 to 256 nodes in the order of the
	 * switches, two trees 1.07 to 1.10. So it is for fabrics that are known to be flat.
	 *
	 * The chain gets a start. Its nodes always receive from the same peer, so receives
	 * are posted ahead and a delay is made up for; the others switch peers at every
	 * step and pass a delay on to all who wait in step. On 8 emulated nodes that
	 * made 1.3 to 1.5 S/B of a predicted 1.01, where the chain held 1.03.
	 */
	bool several = streams_of(nodes, readers) > 1;
	enum schedule_algo order[] = {SCHEDULE_CHAIN, SCHEDULE_BINOMIAL,
		several ? SCHEDULE_CIRCULANT : SCHEDULE_TWO_TREE,
		several ? SCHEDULE_TWO_TREE : SCHEDULE_CIRCULANT};
	uint64_t sizes[4];
	double costs[4], least = INFINITY;
	int n = 4;

	if (*algo == SCHEDULE_AUTO && nodes <= 1)
		*algo = SCHEDULE_CHAIN;
	if (*algo != SCHEDULE_AUTO) {
		best_parcel(c, *algo, bytes, nodes, readers, parcel);
		return;
	}
	if (!c->flat) {
		order[2] = SCHEDULE_TWO_TREE;
		n = 3;
	}
	for (int i = 0; i < n; i++) {
		sizes[i] = *parcel;
		costs[i] = best_parcel(c, order[i], bytes, nodes, readers, &sizes[i]);
		least = fmin(least, costs[i]);
	}
	for (int i = 0; i < n; i++) {
		double level = order[i] == SCHEDULE_CHAIN ? LEVEL_CHAIN : LEVEL_ALGO;

		if (costs[i] <= level * least) {
			*algo = order[i];
			*parcel = sizes[i];
			return;
		}
	}
}
