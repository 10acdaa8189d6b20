/* SPDX-License-Identifier: BSD-3-Clause */
/* From verdicts to tasks: what the steps of planning have in common. */
#ifndef DRAIN_PLAN_PLAN_H
#define DRAIN_PLAN_PLAN_H

#include "drain/drain_internal.h"

/* What one node has of small files. */
struct small {
	uint64_t bytes, files, max;
	double squares; /* sum of the squares of their bytes */
};

/* What goes to one pool, or by the file system's choice wherever it goes. */
struct share {
	struct buf big;	    /* struct place_file */
	struct small *each; /* of each node */
	uint64_t *bytes, *files;
	uint64_t small_max, small_files, total;
	double small_squares;
	/* Of this node, when it deals them out. */
	uint32_t next_big;
	uint64_t dealt_bytes, dealt_files;
};

static inline bool plan_has_content(const struct drain_task *t)
{
	return !t->in_place && t->e.kind == MANIFEST_FILE;
}

/* Of files that go to @pool, or by the file system's choice with DRAIN_NO_POOL. */
static inline uint32_t share_of(const struct drain_at *at, uint32_t pool)
{
	return pool == DRAIN_NO_POOL ? at->n_pools : pool;
}

/* shares.c. One for each pool, and one for what is created plainly; NULL: no memory. */
struct share *shares_new(const struct drain *d);
void shares_free(struct share *s, uint32_t n);
/*
 * Collective. Sets t->big of those in @list that have @big_min bytes, and tells all nodes of
 * them: *all is for shares_place_all, *n how many they are.
 */
int shares_of_big_all(struct drain *d, struct drain_task *list, uint64_t big_min,
	struct buf *all, uint32_t *n, struct ebt_err *err);
/* Collective. Fills @s, NULL where one node had no memory for it, and places what is in it. */
int shares_place_all(struct drain *d, const struct drain_task *list, uint32_t writers,
	const struct buf *big, struct share *s, struct ebt_err *err);
/* On the first node: not all will find room, said once. */
void plan_say_tight(struct drain *d, const char *text);
/* deal.c. Collective. Tasks of @list, placed, to their leads: d->tasks. */
int plan_deal_all(struct drain *d, struct drain_task *list, struct share *shares,
	struct ebt_err *err);

#endif
