/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control: MPI's own broadcast, parcel by parcel, streams in turn. All nodes go through
 * the parcels in step, and look every BATCH parcels whether one of them has failed. A reader
 * that has failed in between broadcasts empty parcels until then.
 */
#include <errno.h>
#include <string.h>

#include "stage/stream.h"
#include "transport/transport.h"

#define BATCH 16

/* The parcel to broadcast or to receive into, with one reference; NULL after a failure. */
static struct parcel *get_parcel(struct stream *s, struct flow *f, uint64_t seq)
{
	struct transport_pause pause = {0};
	struct parcel *p;

	while (!stream_failed(s)) {
		if (!f->packer) {
			p = pool_try(f->pool);
			if (p) {
				p->stream = f->index;
				p->seq = seq;
				return p;
			}
		} else {
			while ((p = (struct parcel *)queue_poll(&f->filled)))
				f->held[p->seq & f->mask] = p;
			p = f->held[seq & f->mask];
			f->held[seq & f->mask] = NULL;
			if (p)
				return p;
		}
		stream_tick(s);
		transport_pause(&pause, false);
	}
	return NULL;
}

static void bcast_one(struct stream *s, struct flow *f, uint64_t seq, void *spare)
{
	const struct plan *plan = s->st->plan;
	uint64_t len =
		plan_parcel_bytes(plan, f->index, seq) + sizeof(struct parcel_header);
	struct parcel *p = get_parcel(s, f, seq);
	struct parcel_header *h = p ? p->header : spare;
	struct transport_pause pause = {0};
	struct ebt_err err = {0};
	MPI_Request req;
	int done = 0, r;

	if (!p)
		*h = (struct parcel_header){
			.magic = PARCEL_MAGIC, .flags = PARCEL_ABORT};
	MPI_Ibcast(h, (int)len, MPI_BYTE, (int)plan->streams[f->index].reader,
		s->st->job.nodes, &req);
	while (!done) {
		MPI_Test(&req, &done, MPI_STATUS_IGNORE);
		stream_tick(s);
		transport_pause(&pause, done);
	}
	if (!p)
		return;
	if (f->packer)
		s->st->self.bytes_out += h->length;
	else
		s->st->self.bytes_in += h->length;
	r = h->flags & PARCEL_ABORT
		    ? ebt_failx(&err, -ECANCELED, "stopped, another node failed")
		    : stream_check_header(s, p, &err);
	if (r < 0) {
		stream_fail(s, r, &err);
		parcel_unref(p);
		return;
	}
	stream_write(s, p);
}

void flow_bcast_all(struct stream *s)
{
	const struct plan *plan = s->st->plan;
	SCOPED_FREE void *spare = malloc(plan->parcel + sizeof(struct parcel_header));
	uint64_t most = 0;
	int failed = !spare;

	for (uint32_t i = 0; i < s->n_flows; i++) {
		if (plan->streams[i].n_parcels > most)
			most = plan->streams[i].n_parcels;
	}
	if (failed)
		stream_fail(s, -ENOMEM,
			&(struct ebt_err){.code = -ENOMEM, .text = "no memory"});
	for (uint64_t seq = 0; seq <= most; seq++) {
		if (seq % BATCH == 0 || seq == most) {
			failed = stream_failed(s);
			transport_reduce_all(
				s->st->job.nodes, &failed, 1, MPI_INT, MPI_MAX);
			if (failed)
				break;
		}
		for (uint32_t i = 0; i < s->n_flows; i++) {
			if (seq < plan->streams[i].n_parcels)
				bcast_one(s, &s->flows[i], seq, spare);
		}
	}
	if (failed)
		stream_fail(s, -ECANCELED,
			&(struct ebt_err){.code = -ECANCELED,
				.text = "stopped, another node failed"});
	for (uint32_t i = 0; i < s->n_flows; i++) {
		struct flow *f = &s->flows[i];

		for (uint64_t k = 0; f->packer && k <= f->mask; k++) {
			if (f->held[k])
				parcel_unref(f->held[k]);
		}
	}
}
