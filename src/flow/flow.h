/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One node's part in carrying the streams of plans: what it may receive and send, and when.
 * Pure: what has happened goes in, what is to be done comes out. stream/carry.c does it with
 * MPI, flow/simulate.c on a clock of its own.
 *
 * A parcel is only sent into a receive that its receiver has posted: for each one it grants a
 * credit to the node that its schedule names. So a send that was started always completes, and
 * nothing piles up below. Both ends of a link work off its transfers in the same order, that of
 * order.h, so a credit need not say what it is for.
 *
 * Receives are granted to one node at a time: two that send to one at once share its link, and a
 * transfer that is not yet due delays one that others wait for. To the same node a few may be
 * granted ahead, since they come one after the other.
 *
 * Plans come in parts, one behind the other in the common order: the next one's first parcels
 * travel while the last ones of the one before are still on their way.
 *
 * Winding down: a node that fails tells all its peers, stops receiving, and answers each credit
 * that it has or still gets with an empty parcel. So every posted receive completes, and who
 * gets one or is told winds down as well.
 */
#ifndef FLOW_FLOW_H
#define FLOW_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"
#include "plan/plan.h"

/* Receives granted at once to one peer. Some simulations with more took 1.5 times as long. */
#define FLOW_AHEAD	 3
/*
 * Buffers that a stream needs on a node: 3 held for sending on, 1 to receive, the rest for overlap.
 * Above so many more do not help.
 */
#define FLOW_PARCELS_MIN 8
#define FLOW_PARCELS_MAX 64

struct flow;

/* A parcel and who is at the other end. */
struct flow_hop {
	uint64_t seq;	 /* of its stream */
	uint32_t part;	 /* in the order of flow_add, from 0 */
	uint32_t stream; /* of its plan */
	uint32_t node;
	bool last; /* of the sends of this parcel from here */
};

/* @window: sends under way at a time. */
int flow_new(uint32_t node, unsigned window, struct flow **out, struct ebt_err *err);
void flow_free(struct flow *f);
DEFINE_SCOPED(struct flow, flow_free)

/*
 * A further part, behind those before; @plan must last until it is over. @cursors: of each
 * stream the cursor of this node's sends, then that of its receives; NULL: they are made here.
 * Memory: one byte per parcel.
 */
int flow_add(struct flow *f, const struct plan *plan,
	const struct schedule_cursor *cursors, struct ebt_err *err);

/* What has happened. */
/* @node has posted a receive for us. -ENOMEM: nothing more can be sent to it. */
int flow_credit(struct flow *f, uint32_t node);
/* A parcel is here, received (@hop as from flow_receive) or read. How often it is to be sent. */
unsigned flow_arrived(
	struct flow *f, const struct flow_hop *hop); /* what was posted has come */
unsigned flow_filled(struct flow *f, uint32_t part, uint32_t stream, uint64_t seq);
void flow_sent(struct flow *f, const struct flow_hop *hop);
/* Winding down. An empty parcel came for a receive, an empty one went out. */
void flow_abort(struct flow *f);
void flow_came_empty(struct flow *f);
void flow_went_empty(struct flow *f);
/* The parcel will not be sent any more: how often it still was to be. */
unsigned flow_forget(struct flow *f, uint32_t part, uint32_t stream, uint64_t seq);

/*
 * What is to be done. The part and stream to which the next receive belongs, if one may be
 * posted now: the caller needs a buffer of it. Then flow_receive takes it.
 */
bool flow_may_receive(const struct flow *f, uint32_t *part, uint32_t *stream);
void flow_receive(struct flow *f, struct flow_hop *hop);
/* The next send, if its parcel is here and its receiver waits for it. False: none. */
bool flow_send(struct flow *f, struct flow_hop *hop);
/* Winding down: a node to which an empty parcel is to go. False: none for now. */
bool flow_answer(struct flow *f, uint32_t *node);

bool flow_aborting(const struct flow *f);
/* Nothing is under way from here, and nothing more will be unless flow_add is called. */
bool flow_settled(const struct flow *f);
/* Parts that are over on this node: all is here, and all that is to be sent has been. */
uint32_t flow_parts_over(const struct flow *f);

/*
 * For a message about a wait: the node from which the next parcel is due, and the one to which
 * the next one is to go but which has not granted it. FLOW_NOBODY: none.
 */
#define FLOW_NOBODY UINT32_MAX
uint32_t flow_waits_for(const struct flow *f);
uint32_t flow_waits_on(const struct flow *f);

/* Nodes at the other end of any hop so far; both ways means one entry. */
uint32_t flow_peers(const struct flow *f);
uint32_t flow_peer(const struct flow *f, uint32_t i);

#endif
