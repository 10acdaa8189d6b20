/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Schedules: for one reader's stream, who receives each parcel from whom, and in which
 * order. Pure arithmetic on (rank, nodes, parcel): every rank computes its own part and
 * all agree without a word.
 *
 * Ranks here are relative to the reader: 0 is the reader, rank r stands for node
 * (reader + r) mod nodes. Time is cut into steps; in one step a rank sends at most one
 * parcel and receives at most one. Each rank works off its sends in step order and its
 * receives in step order and never skips ahead; then no clock is needed, nothing
 * deadlocks, and a parcel is always received before it is to be sent on. For several
 * streams at once see order.h.
 *
 *   chain      rank r receives from r-1: steps parcels + nodes - 2
 *   two-tree   two trees, inner nodes of one are leaves of the other, two colours
 *   circulant  ceil(log2 nodes) peers a rank, parcels + ceil(log2 nodes) - 1 steps
 *   binomial   each parcel down a binomial tree, root sends log2(nodes) copies
 *
 * mpi-bcast is not a schedule; it is MPI's own and only named here.
 */
#ifndef PLAN_SCHEDULE_H
#define PLAN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"

enum schedule_algo {
	SCHEDULE_AUTO = 0,
	SCHEDULE_CHAIN,
	SCHEDULE_TWO_TREE,
	SCHEDULE_CIRCULANT,
	SCHEDULE_BINOMIAL,
	SCHEDULE_MPI_BCAST,
};
#define SCHEDULE_ALGOS 6

const char *schedule_name(enum schedule_algo algo); /* "chain", "two-tree", ... */
int schedule_parse(const char *name, enum schedule_algo *algo, struct ebt_err *err);

/* One transfer as one of its two ends sees it. */
struct schedule_hop {
	uint64_t step;	 /* ascending along a cursor */
	uint64_t parcel; /* number in the stream */
	uint32_t peer;	 /* relative rank: receiver of a send, sender of a receive */
};

/* Immutable once made, so threads may share it. Memory: at most two bytes a node. */
struct schedule;

/* @nodes >= 1, @parcels may be 0. AUTO and MPI_BCAST are -EINVAL here. */
int schedule_new(enum schedule_algo algo, uint32_t nodes, uint64_t parcels,
	struct schedule **out, struct ebt_err *err);
void schedule_free(struct schedule *s);
DEFINE_SCOPED(struct schedule, schedule_free)

/* Steps until the last parcel is everywhere. */
uint64_t schedule_steps(const struct schedule *s);

enum schedule_side { SCHEDULE_SEND, SCHEDULE_RECV };

/* Walks the sends or the receives of one rank. Small and copyable, owns nothing. */
struct schedule_cursor {
	const struct schedule *s;
	uint64_t pos; /* algorithm's own progress */
	uint32_t rank;
	enum schedule_side side;
	union { /* what the algorithm worked out for this rank and side */
		struct {
			int64_t shift;	 /* parcel number that slot 0 stands for now */
			uint32_t round;	 /* of the phase */
			int8_t slot[32]; /* parcel of each round, less shift */
		} circulant;
		struct {
			uint64_t done; /* parcels past edge 1; pos counts edge 0 */
			uint32_t edges;
			struct {
				uint32_t peer;
				uint16_t tree;
				uint16_t first; /* step of its first parcel */
			} edge[2];
		} tree;
		struct {
			uint32_t first, rounds; /* of each parcel it takes part in */
		} binomial;
	};
};

/* Circulant takes O(nodes) time, the others next to none. */
void schedule_start(const struct schedule *s, uint32_t rank, enum schedule_side side,
	struct schedule_cursor *c);
/* The next hop of this rank, false at the end. */
bool schedule_next(struct schedule_cursor *c, struct schedule_hop *hop);
/*
 * Back to the start, of the same schedule or of @s, which may differ from it in the
 * number of parcels only. Cheap: what schedule_start worked out for the rank still
 * holds.
 */
void schedule_restart(struct schedule_cursor *c, const struct schedule *s);

#endif
