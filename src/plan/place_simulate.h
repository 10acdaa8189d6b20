/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Place the outputs of a job that need not exist and write them on a machine that need
 * not exist: the placement of a real run, file by file, with links, targets and a
 * metadata server that have a rate. Pure.
 *
 * Model: files are made by rule, never stored: file i of F lies on one of N nodes, of
 * about the same size or up to @spread times larger and smaller. A node works through
 * its files in order, at as many places at once as its bytes fill targets, since files
 * behind each other have one target; nodes work side by side and those that have more
 * do more at a time. Each file, or piece of a big one, passes the queues of its node's
 * store, the two links if it moves, its writer and its target; each serves in the
 * order of arrival at the first one, with no limit on what waits between. Metadata
 * operations run ahead of the bytes of their file. The first bytes of a file are written by
 * the node that leads it, before the others. Memory: up to some 100 bytes per node
 * and target, and 40 for each place at which nodes work.
 */
#ifndef PLAN_PLACE_SIMULATE_H
#define PLAN_PLACE_SIMULATE_H

#include <stdint.h>

#include "plan/place.h"
#include "plan/place_cost.h"

struct place_machine {
	uint32_t nodes, targets;
	uint64_t files; /* of all nodes */
	uint64_t size;	/* bytes; the median with a spread */
	double spread;	/* 1: all alike; s: log-uniform from size/s to size*s */
	double skew; /* node 0 has this many times the files of another; 1: as others */
	uint32_t writers; /* 0: by the cost model */
	uint32_t slow;	  /* a target that is slower; PLACE_NONE */
	double slow_rate; /* its rate relative to the others */
	bool slow_known;  /* the placement knows it too */
	/*
	 * A default layout whose first component has a pool of its own: so many bytes of each
	 * file go round robin to as many targets more, without being placed; 0: none.
	 */
	uint64_t early;
	uint32_t early_targets;
	double early_rate; /* bytes/s of one; 0: as the others */
	struct place_rules rules;
	struct place_rates rates;
};
#define PLACE_MACHINE                                                                  \
	{                                                                              \
		.nodes = 64, .targets = 16, .files = 100000, .size = 1 << 20,          \
		.spread = 1, .skew = 1, .slow = PLACE_NONE, .slow_rate = 1,            \
		.rates = PLACE_RATES                                                   \
	}

struct place_result {
	struct place_choice choice;
	double seconds;	 /* until the last byte is written */
	double metadata; /* until the last operation is done */
	uint64_t bytes, moved;
	uint64_t mean_target; /* bytes a target, of those that are placed */
	uint64_t most_target_bytes;
	uint64_t mean_early, most_early; /* the same of the others */
	uint64_t most_in, most_out;	 /* out: to nodes and to the PFS */
	uint32_t most_target, most_in_node, most_out_node;
	uint32_t big;	  /* files that everybody would know */
	uint64_t objects; /* of those */
};

int place_simulate(
	const struct place_machine *m, struct place_result *out, struct ebt_err *err);

#endif
