/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Since every node keeps one order over all streams (order.h), a transfer waits for
 * exactly three things: the transfer before it out of the sender, the one before it
 * into the receiver and the parcel's arrival at the sender. All three come earlier in
 * the common order. So going through the transfers in that order and taking the latest
 * of three times gives what a simulation with events and queues would, without either:
 * some 10^7 transfers a second.
 *
 * Arrival times are kept only for parcels that may still be sent on. Those of one
 * stream at one node lie within 2 log2(nodes) numbers of each other, in any schedule;
 * the ring of that many slots is checked, so a schedule that sends what has not arrived
 * is found out. Memory: about 100 bytes and one ring (512 bytes at 9,000 nodes) a node
 * and stream, and 8 bytes per parcel.
 */
#include "plan/simulate.h"

#include <math.h>

struct sim_node {
	double sent, received; /* when its link is free again in that direction */
	double written;	       /* when its writer is done with what it has */
	uint64_t out, in;      /* bytes */
};

struct sim_flow { /* what a rank still has to send of one stream */
	struct schedule_cursor cursor;
	uint64_t parcel;
	uint32_t peer;
};

struct sim_arrival {
	double at;
	uint64_t number; /* of the parcel, plus one; 0: none yet */
};

struct sim_stream {
	struct schedule *schedule;
	uint64_t *ends;	 /* ends[k]: bytes before parcel k */
	uint64_t *steps; /* by rank: of its next send, UINT64_MAX after the last */
	struct sim_flow *flows;	      /* by rank */
	struct sim_arrival *arrivals; /* by rank, a ring each */
	uint64_t parcels, stored;     /* stored: handed to the reader's own writer */
};

struct sim {
	const struct plan *p;
	const struct cost_model *c;
	struct sim_node *nodes;
	struct sim_stream *streams;
	uint64_t transfers;
	uint32_t ring; /* slots, a power of two */
};

static void sim_release(struct sim *s)
{
	for (uint32_t j = 0; s->streams && j < s->p->n_streams; j++) {
		schedule_free(s->streams[j].schedule);
		free(s->streams[j].ends);
		free(s->streams[j].steps);
		free(s->streams[j].flows);
		free(s->streams[j].arrivals);
	}
	free(s->streams);
	free(s->nodes);
}

static struct sim_arrival *arrival_of(const struct sim *s, const struct sim_stream *st,
	uint32_t rank, uint64_t parcel)
{
	return &st->arrivals[(size_t)rank * s->ring + (parcel & (s->ring - 1))];
}

static uint64_t length_of(const struct sim_stream *st, uint64_t parcel)
{
	return st->ends[parcel + 1] - st->ends[parcel];
}

static double read_time(
	const struct sim *s, const struct sim_stream *st, uint64_t parcel)
{
	return (double)st->ends[parcel + 1] / s->c->read;
}

static void write_parcel(
	const struct sim *s, struct sim_node *n, double at, uint64_t bytes)
{
	n->written = fmax(n->written, at) + (double)bytes / s->c->write;
}

/* What a reader has read itself by @until goes to its writer, between the others. */
static void store_own(struct sim *s, uint32_t stream, double until)
{
	struct sim_stream *st = &s->streams[stream];
	struct sim_node *n = &s->nodes[s->p->streams[stream].reader];

	for (; st->stored < st->parcels; st->stored++) {
		double at = read_time(s, st, st->stored);

		if (at > until)
			return;
		write_parcel(s, n, at, length_of(st, st->stored));
	}
}

static void store_arrived(struct sim *s, uint32_t node, double at, uint64_t bytes)
{
	const struct plan_stream *streams = s->p->streams;

	for (uint32_t j = 0; j < s->p->n_streams && streams[j].reader <= node; j++) {
		if (streams[j].reader == node)
			store_own(s, j, at);
	}
	write_parcel(s, &s->nodes[node], at, bytes);
}

/* When @rank gets hold of a parcel; negative if it has not by now. */
static double held_since(const struct sim *s, const struct sim_stream *st,
	uint32_t rank, uint64_t parcel)
{
	const struct sim_arrival *a;

	if (rank == 0)
		return read_time(s, st, parcel);
	a = arrival_of(s, st, rank, parcel);
	return a->number == parcel + 1 ? a->at : -1;
}

static int transfer(struct sim *s, uint32_t stream, uint32_t rank, struct ebt_err *err)
{
	struct sim_stream *st = &s->streams[stream];
	const struct sim_flow *f = &st->flows[rank];
	struct sim_node *from = &s->nodes[plan_node(s->p, stream, rank)];
	uint32_t to_node = plan_node(s->p, stream, f->peer);
	struct sim_node *to = &s->nodes[to_node];
	uint64_t bytes = length_of(st, f->parcel);
	double at = held_since(s, st, rank, f->parcel);

	if (at < 0)
		return ebt_failx(err, -EPROTO,
			"%s: rank %u sends parcel %llu too early",
			schedule_name(s->p->algo), rank, (unsigned long long)f->parcel);
	at = fmax(at, fmax(from->sent, to->received));
	at += s->c->latency + (double)bytes / s->c->link;
	from->sent = at;
	to->received = at;
	from->out += bytes;
	to->in += bytes;
	*arrival_of(s, st, f->peer, f->parcel) =
		(struct sim_arrival){at, f->parcel + 1};
	store_arrived(s, to_node, at, bytes);
	s->transfers++;
	return 0;
}

static void next_send(struct sim_stream *st, uint32_t rank)
{
	struct sim_flow *f = &st->flows[rank];
	struct schedule_hop hop;

	st->steps[rank] = UINT64_MAX;
	if (!schedule_next(&f->cursor, &hop))
		return;
	st->steps[rank] = hop.step;
	f->parcel = hop.parcel;
	f->peer = hop.peer;
}

static int run(struct sim *s, struct ebt_err *err)
{
	uint64_t steps = 0;

	for (uint32_t j = 0; j < s->p->n_streams; j++) {
		if (schedule_steps(s->streams[j].schedule) > steps)
			steps = schedule_steps(s->streams[j].schedule);
	}
	for (uint64_t step = 0; step < steps; step++) {
		for (uint32_t j = 0; j < s->p->n_streams; j++) {
			struct sim_stream *st = &s->streams[j];

			for (uint32_t rank = 0; rank < s->p->nodes; rank++) {
				if (st->steps[rank] != step)
					continue;
				int r = transfer(s, j, rank, err);

				if (r < 0)
					return r;
				next_send(st, rank);
			}
		}
	}
	for (uint32_t j = 0; j < s->p->n_streams; j++)
		store_own(s, j, INFINITY);
	return 0;
}

static int set_up_stream(struct sim *s, uint32_t stream, struct ebt_err *err)
{
	const struct plan_stream *from = &s->p->streams[stream];
	struct sim_stream *st = &s->streams[stream];
	uint32_t nodes = s->p->nodes;
	int r = schedule_new(s->p->algo, nodes, from->n_parcels, &st->schedule, err);

	if (r < 0)
		return r;
	st->parcels = from->n_parcels;
	st->ends = calloc(from->n_parcels + 1, sizeof(*st->ends));
	st->steps = calloc(nodes, sizeof(*st->steps));
	st->flows = calloc(nodes, sizeof(*st->flows));
	st->arrivals = calloc((size_t)nodes * s->ring, sizeof(*st->arrivals));
	if (!st->ends || !st->steps || !st->flows || !st->arrivals)
		return ebt_fail(err, -ENOMEM, "simulation of %u nodes", nodes);
	for (uint64_t k = 0; k < from->n_parcels; k++)
		st->ends[k + 1] = st->ends[k] + plan_parcel_bytes(s->p, stream, k);
	return 0;
}

static int set_up(struct sim *s, struct ebt_err *err)
{
	uint32_t nodes = s->p->nodes, streams = s->p->n_streams;

	for (s->ring = 2; s->ring < 64 && 1ull << s->ring / 2 <= nodes;)
		s->ring *= 2;
	s->nodes = calloc(nodes, sizeof(*s->nodes));
	s->streams = calloc((size_t)streams + 1, sizeof(*s->streams));
	if (!s->nodes || !s->streams)
		return ebt_fail(err, -ENOMEM, "simulation of %u nodes", nodes);
	for (uint32_t j = 0; j < streams; j++) {
		int r = set_up_stream(s, j, err);

		if (r < 0)
			return r;
	}
	/* Cursors of a rank differ between streams by the number of parcels alone. */
	for (uint32_t rank = 0; rank < nodes && streams > 0; rank++) {
		struct schedule_cursor c;

		schedule_start(s->streams[0].schedule, rank, SCHEDULE_SEND, &c);
		for (uint32_t j = 0; j < streams; j++) {
			schedule_restart(&c, s->streams[j].schedule);
			s->streams[j].flows[rank].cursor = c;
			next_send(&s->streams[j], rank);
		}
	}
	return 0;
}

/* MPI's own broadcast has no schedule of ours to run: there are only formulas. */
static int estimate_mpi(struct sim *s, double *seconds, struct ebt_err *err)
{
	const struct plan *p = s->p;

	*seconds = cost_predict(
		s->c, p->algo, p->bytes, p->nodes, p->n_streams, p->parcel);
	s->nodes = calloc(p->nodes, sizeof(*s->nodes));
	if (!s->nodes)
		return ebt_fail(err, -ENOMEM, "simulation of %u nodes", p->nodes);
	for (uint32_t i = 0; i < p->nodes; i++) {
		int r = plan_link_bytes(p, i, &s->nodes[i].out, &s->nodes[i].in, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static struct simulate_result sum_up(const struct sim *s)
{
	struct simulate_result result = {.transfers = s->transfers};

	for (uint32_t i = 0; i < s->p->nodes; i++) {
		const struct sim_node *n = &s->nodes[i];

		result.seconds = fmax(result.seconds, n->written);
		if (n->out > result.most_out) {
			result.most_out = n->out;
			result.most_out_node = i;
		}
		if (n->in > result.most_in) {
			result.most_in = n->in;
			result.most_in_node = i;
		}
	}
	return result;
}

int simulate_plan(const struct plan *p, const struct cost_model *c,
	struct simulate_result *out, struct ebt_err *err)
{
	SCOPED(sim_release) struct sim s = {.p = p, .c = c};
	double seconds = 0;
	int r;

	if (p->algo == SCHEDULE_MPI_BCAST) {
		r = estimate_mpi(&s, &seconds, err);
	} else {
		r = set_up(&s, err);
		if (r == 0)
			r = run(&s, err);
	}
	if (r < 0)
		return r;
	*out = sum_up(&s);
	out->seconds = fmax(out->seconds, seconds);
	return 0;
}
