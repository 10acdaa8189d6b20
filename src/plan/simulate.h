/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Run a plan on a virtual cluster: the same schedules, cursors and parcels as a real
 * run, with links that have a rate and a latency, readers and writers that have a rate.
 * Pure.
 *
 * Model: a node sends one parcel at a time and receives one at a time, both over all
 * streams in the order of order.h; a transfer of s bytes holds the two links for
 * latency + s / link. A reader reads ahead without limit, a writer writes in the order
 * of arrival. Of mpi-bcast only the formula is evaluated.
 */
#ifndef PLAN_SIMULATE_H
#define PLAN_SIMULATE_H

#include <stdint.h>

#include "plan/cost.h"
#include "plan/plan.h"

struct simulate_result {
	double seconds;	   /* until the last node has written its last parcel */
	uint64_t most_out; /* bytes sent by the most loaded link, and whose it is */
	uint32_t most_out_node;
	uint64_t most_in; /* the same for receiving */
	uint32_t most_in_node;
	uint64_t transfers;
};

int simulate_plan(const struct plan *p, const struct cost_model *c,
	struct simulate_result *out, struct ebt_err *err);

#endif
