/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Run a plan on a virtual cluster: what every node does is decided by flow.h as in a real run,
 * and takes simulated time. Pure.
 *
 * Model. A transfer of s bytes takes handshake + latency + s / link, of both ends' links s / link;
 * a credit takes latency. Between switches a transfer also passes the sending side's trunk and the
 * receiving side's, which serve one after the other. A node notices what has come after poll, and
 * spends message on each parcel and word, sent or come. With queued, a credit, and the word that a
 * receiver is ready for a transfer, which precedes it, wait for the parcel on its way to the same
 * node: MPI over TCP has one queue for each pair of nodes, and such a word in front of all that is
 * long. A reader fills one parcel after the other
 * at its rate, a node writes what it gets at its own, both as far as there are buffers. A node
 * has one send under way, as is the default. Compressing takes a reader's time, uncompressing that of
 * writing. Of mpi-bcast only the formula is evaluated.
 */
#ifndef FLOW_SIMULATE_H
#define FLOW_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/cost.h"
#include "plan/plan.h"

/* Beyond the rates of the cost model. Zeros: a perfect machine. Times in seconds. */
struct simulate_machine {
	double poll, message, handshake;
	uint32_t
		leaf; /* nodes of a switch, in the order of the nodes; 0: there is but one */
	double trunk; /* bytes per second and direction of one; 0: as its nodes together */
	bool shuffled;	 /* nodes lie at any switch, not in their order */
	bool queued;	 /* words wait behind parcels to the same node */
	uint64_t memory; /* bytes of buffers of a node; 0: as many as are of use */
	double ratio;	 /* bytes that travel for one of content; 0: 1 */
	double pack,
		unpack; /* seconds a byte of content, of a reader and of any node */
};

struct simulate_result {
	double seconds;	   /* until the last node has written its last parcel */
	double received;   /* until the last node has its last parcel */
	uint64_t most_out; /* bytes sent by the most loaded link, and whose it is */
	uint32_t most_out_node;
	uint64_t most_in; /* the same for receiving */
	uint32_t most_in_node;
	uint64_t transfers;
};

int simulate_plan(const struct plan *p, const struct cost_model *c,
	const struct simulate_machine *machine, struct simulate_result *out,
	struct ebt_err *err);

#endif
