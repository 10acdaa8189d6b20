/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a plan: the pieces of a parcel, and what the schedules make of it link by
 * link.
 */
#include "plan/plan.h"

#include <assert.h>

void plan_walk_start(
	const struct plan *p, uint32_t stream, uint64_t seq, struct plan_walk *w)
{
	const struct plan_stream *s = &p->streams[stream];

	assert(stream < p->n_streams && seq < s->n_parcels);
	*w = (struct plan_walk){
		.p = p,
		.s = s,
		.skip = s->parcels[seq].skip,
		.segment = s->parcels[seq].segment,
		.left = s->parcels[seq].pieces,
	};
}

bool plan_walk_next(struct plan_walk *w, struct plan_piece *piece)
{
	const struct plan_segment *seg;
	uint64_t len;

	if (w->left == 0)
		return false;
	seg = &w->s->segments[w->segment];
	len = seg->len - w->skip;
	if (len > w->p->parcel - w->at) /* the rest is in the next parcel */
		len = (w->p->parcel - w->at) / DIGEST_LEAF * DIGEST_LEAF;
	*piece = (struct plan_piece){
		.off = seg->off + w->skip,
		.len = (uint32_t)len,
		.at = (uint32_t)w->at,
		.entry = seg->entry,
	};
	w->at += len;
	w->skip = 0; /* only the first piece starts within its segment */
	w->segment++;
	w->left--;
	return true;
}

uint64_t plan_parcel_bytes(const struct plan *p, uint32_t stream, uint64_t seq)
{
	struct plan_walk w;
	struct plan_piece piece;

	plan_walk_start(p, stream, seq, &w);
	while (plan_walk_next(&w, &piece))
		;
	return w.at;
}

/* Bytes that rank @rank of one stream sends. */
static int sent_bytes(const struct plan *p, uint32_t stream, uint32_t rank,
	uint64_t *bytes, struct ebt_err *err)
{
	SCOPED(schedule_freep) struct schedule *s = NULL;
	struct schedule_cursor c;
	struct schedule_hop hop;
	uint64_t sum = 0;
	int r = schedule_new(p->algo, p->nodes, p->streams[stream].n_parcels, &s, err);

	if (r < 0)
		return r;
	schedule_start(s, rank, SCHEDULE_SEND, &c);
	while (schedule_next(&c, &hop))
		sum += plan_parcel_bytes(p, stream, hop.parcel);
	*bytes = sum;
	return 0;
}

int plan_link_bytes(const struct plan *p, uint32_t node, uint64_t *out, uint64_t *in,
	struct ebt_err *err)
{
	uint64_t sent = 0, received = 0;

	assert(node < p->nodes);
	for (uint32_t j = 0; j < p->n_streams && p->nodes > 1; j++) {
		const struct plan_stream *s = &p->streams[j];
		uint32_t rank = plan_rank(p, j, node);
		uint64_t bytes = s->bytes;
		int r = 0;

		received += rank ? s->bytes : 0;
		if (p->algo == SCHEDULE_CHAIN)
			bytes = rank + 1 < p->nodes ? s->bytes : 0;
		else if (p->algo ==
			 SCHEDULE_MPI_BCAST) /* ring; the root scatters first */
			bytes = rank ? s->bytes : 2 * s->bytes;
		else
			r = sent_bytes(p, j, rank, &bytes, err);
		if (r < 0)
			return r;
		sent += bytes;
	}
	*out = sent;
	*in = received;
	return 0;
}
