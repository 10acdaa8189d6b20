/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain: rank r passes everything on to rank r + 1, parcel j in step r + j. One
 * peer in each direction, and every link carries each byte once; but the last rank
 * waits for nodes - 2 steps before its first parcel arrives. Best where there are few
 * nodes or very much data.
 */
#include "plan/schedule_internal.h"

static int chain_prepare(struct schedule *s, struct ebt_err *err)
{
	s->steps = s->parcels + s->nodes - 2;
	return 0;
}

static bool chain_next(struct schedule_cursor *c, struct schedule_hop *hop)
{
	bool send = c->side == SCHEDULE_SEND;

	if (c->pos == c->s->parcels || c->rank == (send ? c->s->nodes - 1 : 0))
		return false;
	hop->peer = send ? c->rank + 1 : c->rank - 1;
	hop->step = (send ? c->rank : c->rank - 1) + c->pos;
	hop->parcel = c->pos++;
	return true;
}

const struct schedule_ops schedule_chain_ops = {
	.prepare = chain_prepare,
	.next = chain_next,
};
