/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the storage targets do while the drain runs. Writers tell what they start and finish; a
 * target on which things fail, or take an order of magnitude longer than elsewhere, is bad
 * from then on: nothing new is placed there. What is found here travels to the other nodes
 * with the rounds of the move. Thread-safe.
 */
#ifndef DRAIN_MOVE_HEALTH_H
#define DRAIN_MOVE_HEALTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/scope.h"
#include "ebt/err.h"
#include "plan/place.h"

/*
 * Slow is what takes HEALTH_FACTOR times as long as a byte takes on the average of all
 * targets, and HEALTH_GRACE seconds more: short hiccups are everyday life on a shared system.
 */
#define HEALTH_FACTOR  8.0
#define HEALTH_GRACE   0.5
/* Or, where objects are small, so many of them take HEALTH_LATE_S seconds more on the average. */
#define HEALTH_SEVERAL 4
/*
 * Late is what takes so many times as long as an object, once so many have been written here, and
 * so many seconds: a busy processor makes nothing late.
 */
#define HEALTH_LATE    3.0
#define HEALTH_LATE_S  0.1
#define HEALTH_OBJECTS 8
/* Before the average is taken for one, this many bytes must have been written. */
#define HEALTH_BYTES   (4u << 20)

struct health_op { /* of a writer, on its stack while it is under way */
	struct health_op *next, **prev;
	double began;
	uint64_t bytes;
	uint32_t target;
};

struct health_target {
	struct health_op *ops;
	double busy;	  /* seconds in finished operations */
	uint64_t bytes;	  /* of them */
	uint64_t objects; /* written to the end */
	bool told;	  /* the user knows that it is bad */
};

struct health {
	pthread_mutex_t lock;
	struct health_target *target; /* lock */
	bool *bad;		      /* lock */
	uint8_t *why;		      /* lock: enum health_why, found out here */
	uint32_t n;
	uint64_t counter; /* lock: of substitutes */
	bool passive;	  /* nothing can be placed: measures only */
	double pace;	  /* lock: seconds a byte, mean of all nodes; 0: not known */
	const struct place *place;
	const struct log *log;
};

int health_init(struct health *h, const struct place *p, uint32_t n_targets,
	const struct log *log, struct ebt_err *err);
void health_release(struct health *h);

void health_begin(
	struct health *h, uint32_t target, uint64_t bytes, struct health_op *op);
void health_end(struct health *h, struct health_op *op);
/* An object is complete there. */
void health_wrote(struct health *h, uint32_t target);
bool health_is_bad(struct health *h, uint32_t target);
/* Why a target is bad. The higher one is told if nodes differ. */
enum health_why {
	HEALTH_SLOW = 1,
	HEALTH_FAILING,
	HEALTH_READONLY,
	HEALTH_FULL,
	HEALTH_LYING, /* gives back other bytes than were written */
};
/* From now on nothing new goes there, here at once and elsewhere after the next round. */
void health_mark(struct health *h, uint32_t target, enum health_why why);
/*
 * Something there has been under way several times as long as an object takes here on average:
 * before it is known to be slow nothing more should wait for it that can lie elsewhere.
 */
bool health_is_late(struct health *h, uint32_t target);
/*
 * Its objects took no longer than HEALTH_LATE of them take on all nodes, as far as the rounds have
 * told; false while it has none.
 */
bool health_is_proven(struct health *h, uint32_t target);
/* Marks what is too slow. Called now and then, and before a target is chosen. */
void health_look(struct health *h);
/*
 * In place of bad targets in @targets others of placement @p; false if there are not enough.
 * *changed counts replacements. @bytes of an object.
 */
bool health_replace(struct health *h, const struct place *p, uint32_t *targets,
	uint32_t n, uint64_t bytes, uint64_t *changed);

/*
 * Good targets of @p into @targets, @n at most, beginning at another one each time; with
 * @targets NULL only their number.
 */
uint32_t health_good(
	struct health *h, const struct place *p, uint32_t *targets, uint32_t n);

/*
 * A round between the nodes: what was found out here, and back in the sums over all nodes. A
 * vote counts nodes in 12 bits for each reason; where more agree only the reason is told
 * wrong. With @says this node tells the user, once a target.
 */
void health_votes(
	struct health *h, uint64_t *votes, uint64_t *busy_us, uint64_t *bytes);
void health_learn(struct health *h, const uint64_t *votes, uint64_t busy_us,
	uint64_t bytes, bool says);

#endif
