/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cost model: what a broadcast should take, and so which schedule and parcel size to use.
 * Symbols as in the literature: S bytes, N nodes, B link rate of a node per direction, alpha
 * the cost of a message, b a parcel, R readers, r what one reader gets from the PFS, W what a
 * node writes locally.
 */
#ifndef PLAN_COST_H
#define PLAN_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/schedule.h"

struct cost_model {
	double link;	/* B, bytes per second and direction */
	double latency; /* alpha, seconds a message */
	double read;	/* r, bytes per second of one reader */
	double write;	/* W, bytes per second of one node */
	bool flat;	/* any nodes may send to any others at once, at that rate */
};

/* What is assumed where nothing is known: a 200 Gbit/s fabric, a busy PFS, DRAM stores. */
#define COST_LINK    25e9
#define COST_LATENCY 20e-6
#define COST_READ    1e9
#define COST_WRITE   4e9

/* No schedule can be faster: max(S/B, S/(R r), S/W), and S/B counts only above one node. */
double cost_bound(
	const struct cost_model *c, uint64_t bytes, uint32_t nodes, uint32_t readers);
/* How often the busiest link sends a byte of the content. */
double cost_sends(enum schedule_algo algo, uint32_t nodes, uint32_t readers);
/* Seconds that @algo should take with parcels of @parcel bytes over @readers streams. */
double cost_predict(const struct cost_model *c, enum schedule_algo algo, uint64_t bytes,
	uint32_t nodes, uint32_t readers, uint64_t parcel);
/*
 * The cheapest schedule and, if *parcel is 0 on entry, its best parcel size: a power of two
 * from 128 KiB to 8 MiB. *algo may come in as SCHEDULE_AUTO or fixed.
 */
void cost_choose(const struct cost_model *c, uint64_t bytes, uint32_t nodes,
	uint32_t readers, enum schedule_algo *algo, uint64_t *parcel);

#endif
