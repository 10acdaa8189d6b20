/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a schedule consists of. An algorithm is four functions over it; schedule.c picks
 * the set when a schedule is made and takes care of the cases in which nothing moves,
 * so these see at least two nodes and one parcel.
 */
#ifndef PLAN_SCHEDULE_INTERNAL_H
#define PLAN_SCHEDULE_INTERNAL_H

#include "plan/schedule.h"

struct schedule_ops {
	/* Fills steps and whatever start needs. */
	int (*prepare)(struct schedule *s, struct ebt_err *err);
	/* Work out what depends on rank and side. NULL: nothing does. */
	void (*start)(struct schedule_cursor *c);
	/* Reset what next has moved, pos excepted. NULL: there is nothing else. */
	void (*rewind)(struct schedule_cursor *c);
	bool (*next)(struct schedule_cursor *c, struct schedule_hop *hop);
};

extern const struct schedule_ops schedule_chain_ops;
extern const struct schedule_ops schedule_two_tree_ops; /* from three nodes on */
extern const struct schedule_ops schedule_circulant_ops;
extern const struct schedule_ops schedule_binomial_ops;

struct schedule {
	const struct schedule_ops *ops;
	uint64_t parcels, steps;
	uint32_t nodes;
	uint32_t rounds; /* log2 of nodes, rounded up */
	uint32_t
		skip[33]; /* circulant: distance to the peer of each round, and nodes */
	uint32_t lead;	  /* circulant: rounds left out of the first phase */
	uint8_t *
		table; /* circulant: base of each rank; two-tree: first step of edges */
};

#endif
