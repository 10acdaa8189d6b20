/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rates that were measured in a batch, in place of those that were assumed, for the batches that
 * follow. Pure: what all nodes measured goes in, the cost model comes out, the same everywhere.
 */
#ifndef PLAN_RATES_H
#define PLAN_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/cost.h"

/* Work of one kind on one node. Only that counts which is long enough to tell a rate. */
struct rates_busy {
	uint64_t bytes;
	double seconds; /* of all threads that did it */
};
/* A file of which a piece is this long, or that has several, is. */
#define RATES_PIECE (1u << 20)

/* Bytes per second with @threads of them at work, 0 where that was too little. */
double rates_of(const struct rates_busy *b, unsigned threads);

/* What all nodes have measured; each rate 0 where nobody could. */
struct rates_measured {
	double read;	  /* of one reader, their mean */
	double write;	  /* of the slowest store */
	double link;	  /* of the slowest sender, */
	uint32_t slowest; /* which is this node, */
	double others;	  /* and the mean of the other ones */
	uint32_t readers; /* that the batch had */
};

/* What was learnt from batch to batch. Starts from zeros. */
struct rates {
	bool read, write, link; /* is measured */
	uint32_t best;		/* readers with which most was read in all */
	double got;		/* bytes per second of all of them */
	uint32_t most; /* readers that more of them did not help; 0: not known */
	bool has_leaf;
	uint32_t
		leaf; /* the node that is much slower in sending than others, if one is, */
	double sends; /* and what it sends */
};

/*
 * Into *c; the rate of the link only if it was @link_assumed. Where more readers read no more in all,
 * it is not readers that are lacking: r->most bounds them from then on. Of a node that is a leaf
 * nothing is measured any more; it stays one unless a slower one is found.
 */
void rates_learn(struct rates *r, const struct rates_measured *m, bool link_assumed,
	struct cost_model *c);

#endif
