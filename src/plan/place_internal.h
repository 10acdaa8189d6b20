/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A placement in the making and made. Usable targets are held in slots, in the order
 * of their index, which is the order of their owners as well; only the calls of
 * place.h speak of targets by their position in the input.
 */
#ifndef PLAN_PLACE_INTERNAL_H
#define PLAN_PLACE_INTERNAL_H

#include "plan/place.h"

#define PLACE_GOLDEN 0x9e3779b97f4a7c15ull /* 2^64 / the golden ratio */

struct place_slot {
	uint64_t room;	  /* bytes that may go there */
	uint64_t load;	  /* bytes of big files */
	uint64_t quota;	  /* of small files, in cost */
	uint64_t edge;	  /* sum of the quotas before this one */
	uint64_t deficit; /* sum of what the slots before it miss */
	double weight;	  /* its share of the work, relative */
	uint32_t target;  /* position in the input */
	uint32_t index;
};

struct place {
	struct place_slot *slots; /* and one behind them: the sums of all */
	uint32_t *slot_of;	  /* by target; PLACE_NONE: not usable */
	uint32_t *index;	  /* by target, usable or not */
	uint32_t n_slots, n_targets, nodes, writers;
	uint32_t *writer_node; /* of each writer, ascending */
	uint32_t *writer_at;   /* of each node its number as a writer, or PLACE_NONE */
	double weights;	       /* of all slots */
	uint64_t bytes;	       /* of all files */

	struct place_stripes *stripes; /* of big files */
	size_t *first;		       /* where their targets begin */
	uint32_t *objects;	       /* targets */
	size_t n_objects, max_objects; /* dealt, and what there is memory for */

	uint64_t file_cost; /* what a small file counts beside its bytes */
	uint64_t *keep;	    /* of each node: cost that its own targets take */
	uint64_t *surplus;  /* sum of what the nodes before it have above that */
};

/* Slots of a writer, which is also the number of the first one of the next. */
static inline uint32_t place_first_slot(const struct place *p, uint32_t writer)
{
	uint64_t w = p->writers;

	return (uint32_t)(((uint64_t)writer * p->n_slots + w - 1) / w);
}

/* The most stripes a big file may have, and the fewest where a target takes @share. */
uint32_t place_count_max(const struct place_rules *r, uint64_t size, uint32_t usable);
uint32_t place_count_min(
	const struct place_rules *r, uint64_t size, uint64_t share, uint32_t usable);
/* @count stripes, between these two; plain ranges may do with fewer. */
struct place_stripes place_stripes_of(
	const struct place_rules *r, uint64_t size, uint32_t count);

/* Deal the big files: fills load, stripes, first and objects. */
int place_deal(struct place *p, const struct place_input *in, struct ebt_err *err);
/* Level with the small ones: fills quota, edge, deficit, keep and surplus. */
int place_draw(struct place *p, const struct place_input *in, struct ebt_err *err);

#endif
