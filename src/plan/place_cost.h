/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a drain should take, and so how many nodes write. Three ways:
 *
 *	owners	each target has one writing node; the rest moves there first
 *	direct	more nodes than targets write, files from where they are
 *	home	owners, but only nodes that have something
 *
 * Owners keep a target's load in one hand and touch the PFS from few nodes; direct
 * saves the way over the links and has more hands for the metadata of many small
 * files. Where few nodes have all, as the first one of many jobs, their links are what
 * everything has to pass, to other nodes or to the PFS: home saves the detour. All stages run side by side, so the slowest one sets the pace.
 */
#ifndef PLAN_PLACE_COST_H
#define PLAN_PLACE_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "ebt/err.h"

#define PLACE_WRITERS_MAX 256 /* of the choice: more clients add load, not speed */
#define PLACE_FILE_OPS	  5   /* create, layout, attributes, close, rename */

struct place_rates {
	double ost;	  /* bytes per second of one target */
	double shared;	  /* what it gives to several nodes, relative to one alone */
	double writer;	  /* bytes per second one node gets into the PFS */
	double link;	  /* bytes per second of a node and direction */
	double read;	  /* bytes per second one node reads of its store */
	double mds;	  /* metadata operations per second of the PFS */
	double latency;	  /* seconds of one such operation */
	double in_flight; /* operations that one writer has under way */
};

/*
 * What is assumed where nothing is known: targets of a busy PFS, a quarter of what
 * they are rated at; one metadata server; a node with four streams; fabric and stores
 * as in cost.h.
 */
#define PLACE_RATE_OST	     1e9
#define PLACE_RATE_SHARED    0.9
#define PLACE_RATE_WRITER    4e9
#define PLACE_RATE_LINK	     25e9
#define PLACE_RATE_READ	     4e9
#define PLACE_RATE_MDS	     10e3
#define PLACE_RATE_LATENCY   1e-3
#define PLACE_RATE_IN_FLIGHT 16
#define PLACE_RATES                                                                    \
	{                                                                              \
		PLACE_RATE_OST, PLACE_RATE_SHARED, PLACE_RATE_WRITER, PLACE_RATE_LINK, \
			PLACE_RATE_READ, PLACE_RATE_MDS, PLACE_RATE_LATENCY,           \
			PLACE_RATE_IN_FLIGHT                                           \
	}

/* What there is to drain. */
struct place_work {
	uint64_t bytes, files;
	uint64_t most_bytes, most_files; /* on the node that has most */
	uint32_t nodes, targets;	 /* both >= 1 */
	uint32_t holders;		 /* nodes that have any bytes; 0: not known */
};

struct place_prediction {
	uint32_t writers;
	double seconds;
	double moved;	  /* bytes that change nodes */
	const char *pace; /* what sets it: "targets", "links", "metadata", ... */
};

struct place_choice {
	struct place_prediction owners, direct, chosen;
	bool is_direct; /* more writers than targets */
	bool is_home;	/* the nodes that have any bytes, and no others */
};

/* With @writers nodes, 1 to all; up to as many as targets they are owners. */
void place_predict(const struct place_work *w, const struct place_rates *r,
	uint32_t writers, struct place_prediction *out);
/*
 * The fastest way; home where it makes no difference, and else owners. @writers: 0, or fixed by the
 * user and only predicted. -EINVAL for rates that are none or more writers than nodes.
 */
int place_cost(const struct place_work *w, const struct place_rates *r,
	uint32_t writers, struct place_choice *out, struct ebt_err *err);

#endif
