/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control: MPI's own broadcast, parcel by parcel, streams in turn; where parcels may be
 * compressed their headers first, as the length is not known then. All nodes go through
 * the parcels in step, and look every BATCH parcels whether one of them has failed. A reader
 * that has failed in between broadcasts empty parcels until then.
 */
#include <errno.h>
#include <string.h>

#include "stream/stream_internal.h"
#include "transport/transport.h"

#define BATCH 16

/* The parcel to broadcast or to receive into, with one reference; NULL after a failure. */
static struct parcel *get_parcel(struct stream *s, struct channel *c, uint64_t seq)
{
	struct transport_pause pause = TRANSPORT_PAUSE;
	struct parcel *p;

	while (!stream_failed(s)) {
		if (!c->packer) {
			p = pool_try(c->pool);
			if (p) {
				p->stream = c->index;
				p->seq = seq;
				return p;
			}
		} else {
			while ((p = (struct parcel *)queue_poll(&c->filled)))
				c->held[p->seq & c->mask] = p;
			p = c->held[seq & c->mask];
			c->held[seq & c->mask] = NULL;
			if (p)
				return p;
		}
		stream_tick(s);
		transport_pause(&s->in->job->nodes, &pause, false);
	}
	return NULL;
}

static void bcast(struct stream *s, void *data, uint64_t len, uint32_t from)
{
	struct transport_pause pause = TRANSPORT_PAUSE;
	MPI_Request req;
	int done = 0;

	MPI_Ibcast(data, (int)len, MPI_BYTE, (int)from, s->in->job->nodes.comm, &req);
	while (!done) {
		MPI_Test(&req, &done, MPI_STATUS_IGNORE);
		stream_tick(s);
		transport_pause(&s->in->job->nodes, &pause, done);
	}
}

static void bcast_one(struct stream *s, struct channel *c, uint64_t seq, void *spare)
{
	const struct plan *plan = s->in->plan;
	uint32_t from = plan->streams[c->index].reader;
	uint64_t len = plan_parcel_bytes(plan, c->index, seq);
	struct parcel *p = get_parcel(s, c, seq);
	struct parcel_header *h = p ? p->header : spare;
	struct ebt_err err = {0};
	int r;

	if (!p)
		*h = (struct parcel_header){
			.magic = PARCEL_MAGIC, .flags = PARCEL_ABORT};
	if (s->in->compress.on) {
		bcast(s, h, sizeof(*h), from);
		if (h->length < len)
			len = h->length;
		bcast(s, h + 1, len, from);
	} else {
		bcast(s, h, sizeof(*h) + len, from);
	}
	if (!p)
		return;
	if (c->packer)
		stream_count_send(s, p);
	else
		s->res->bytes_in += h->length;
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

void carry_bcast_all(struct stream *s)
{
	const struct plan *plan = s->in->plan;
	SCOPED_FREE void *spare = malloc(plan->parcel + sizeof(struct parcel_header));
	uint64_t most = 0;
	int failed = !spare;

	for (uint32_t i = 0; i < s->n_channels; i++) {
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
				&s->in->job->nodes, &failed, 1, MPI_INT, MPI_MAX);
			if (failed)
				break;
		}
		for (uint32_t i = 0; i < s->n_channels; i++) {
			if (seq < plan->streams[i].n_parcels)
				bcast_one(s, &s->channels[i], seq, spare);
		}
	}
	if (failed)
		stream_fail(s, -ECANCELED,
			&(struct ebt_err){.code = -ECANCELED,
				.text = "stopped, another node failed"});
	for (uint32_t i = 0; i < s->n_channels; i++) {
		struct channel *c = &s->channels[i];

		for (uint64_t k = 0; c->packer && k <= c->mask; k++) {
			if (c->held[k])
				parcel_unref(c->held[k]);
		}
	}
}
