/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events in a heap. Four for a transfer: the credit before it, its arrival, the word to its
 * sender, and the end of its writing; some 5 million a second. Memory: of a node and stream two
 * cursors (200 bytes) and two bytes per parcel.
 */
#include "flow/simulate.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "flow/flow.h"

enum kind { CREDIT, ARRIVED, SENT, FILLED, WRITTEN };

struct event {
	double at; /* when it is noticed */
	uint64_t seq;
	uint32_t node; /* that notices it */
	uint32_t peer; /* CREDIT: who granted it; SENT: to whom; ARRIVED: from whom */
	uint32_t stream;
	enum kind kind;
};

struct channel {	  /* one stream at one node */
	uint8_t *refs;	  /* of each parcel: sends to complete, and its writing */
	uint32_t buffers; /* free ones */
	uint64_t next;	  /* reader: to be filled */
	double read;	  /* reader: until when it reads */
	bool reading;
};

struct node {
	struct flow *flow;
	struct channel *channels;
	double busy;		     /* with messages, until then */
	double sends, recvs;	     /* when its link is free again in that direction */
	const struct node *sends_to; /* until then, or NULL */
	double writes;		     /* when its writer is done with what it has */
	uint64_t out, in;	     /* bytes */
	uint32_t leaf;
};

struct trunk {
	double up, down; /* free again */
};

struct sim {
	const struct plan *p;
	const struct cost_model *c;
	struct simulate_machine m;
	struct node *nodes;
	struct trunk *trunks;
	struct schedule **schedules;	 /* of each stream */
	struct schedule_cursor *cursors; /* by rank: of its sends, of its receives */
	uint64_t **lengths;		 /* of each stream: bytes of its parcels */
	struct event *heap;
	size_t count, cap;
	uint64_t transfers;
	double written, received;
	int code; /* -ENOMEM once an event had no room */
};

static void sim_release(struct sim *s)
{
	for (uint32_t i = 0; s->nodes && i < s->p->nodes; i++) {
		struct node *n = &s->nodes[i];

		for (uint32_t j = 0; n->channels && j < s->p->n_streams; j++)
			free(n->channels[j].refs);
		free(n->channels);
		flow_free(n->flow);
	}
	for (uint32_t j = 0; j < s->p->n_streams; j++) {
		if (s->schedules)
			schedule_free(s->schedules[j]);
		if (s->lengths)
			free(s->lengths[j]);
	}
	free(s->schedules);
	free(s->lengths);
	free(s->cursors);
	free(s->nodes);
	free(s->trunks);
	free(s->heap);
}

#define HEAP 4 /* children of a place */

static void push(struct sim *s, struct event e)
{
	struct event *more;
	size_t i, up;

	if (s->count == s->cap) {
		more = realloc(s->heap, (2 * s->cap + 1024) * sizeof(*more));
		if (!more) {
			s->code = -ENOMEM;
			return;
		}
		s->heap = more;
		s->cap = 2 * s->cap + 1024;
	}
	for (i = s->count++; i > 0; i = up) {
		up = (i - 1) / HEAP;
		if (s->heap[up].at <= e.at)
			break;
		s->heap[i] = s->heap[up];
	}
	s->heap[i] = e;
}

static struct event pop(struct sim *s)
{
	struct event first = s->heap[0], last = s->heap[--s->count];
	size_t i = 0, child, least;

	while ((child = HEAP * i + 1) < s->count) {
		least = child;
		for (size_t k = child + 1; k < child + HEAP && k < s->count; k++) {
			if (s->heap[k].at < s->heap[least].at)
				least = k;
		}
		if (last.at <= s->heap[least].at)
			break;
		s->heap[i] = s->heap[least];
		i = least;
	}
	s->heap[i] = last;
	return first;
}

/* When a word of @from for @to can leave that is due at @at. */
static double speak(
	const struct sim *s, const struct node *from, const struct node *to, double at)
{
	return s->m.queued && from->sends_to == to ? fmax(at, from->sends) : at;
}

/* When the last byte of a transfer that starts at @at is there. */
static double carry(
	struct sim *s, struct node *from, struct node *to, double at, uint64_t bytes)
{
	double end, b = (double)bytes;
	struct trunk *up, *down;

	at = speak(s, to, from, at) + s->m.handshake;
	at = fmax(at, fmax(from->sends, to->recvs));
	end = at + b / s->c->link;
	if (s->trunks && from->leaf != to->leaf) {
		up = &s->trunks[from->leaf];
		down = &s->trunks[to->leaf];
		up->up = fmax(up->up, at) + b / s->m.trunk;
		down->down = fmax(down->down, at) + b / s->m.trunk;
		end = fmax(end, fmax(up->up, down->down));
	}
	from->sends = end;
	from->sends_to = to;
	to->recvs = end;
	return end + s->c->latency;
}

static uint64_t length_of(const struct sim *s, uint32_t stream, uint64_t seq)
{
	return s->lengths[stream][seq];
}

/* The reader goes on with its next parcel if it has a buffer for it. */
static void fill(struct sim *s, uint32_t node, uint32_t stream, double now)
{
	struct channel *ch = &s->nodes[node].channels[stream];

	if (s->p->streams[stream].reader != node || ch->reading || !ch->buffers ||
		ch->next == s->p->streams[stream].n_parcels)
		return;
	ch->buffers--;
	ch->reading = true;
	ch->read = fmax(ch->read, now) + (double)length_of(s, stream, ch->next) *
						 (1 / s->c->read + s->m.pack);
	push(s, (struct event){.at = ch->read,
			.seq = ch->next++,
			.node = node,
			.stream = stream,
			.kind = FILLED});
}

static void drop(
	struct sim *s, uint32_t node, uint32_t stream, uint64_t seq, double now)
{
	struct channel *ch = &s->nodes[node].channels[stream];

	if (--ch->refs[seq])
		return;
	ch->buffers++;
	fill(s, node, stream, now);
}

/* A parcel is at @node: it is written, and kept for @sends. */
static void keep(struct sim *s, uint32_t node, uint32_t stream, uint64_t seq,
	unsigned sends, double now)
{
	struct node *n = &s->nodes[node];

	n->channels[stream].refs[seq] = (uint8_t)(sends + 1);
	n->writes = fmax(n->writes, now) +
		    (double)length_of(s, stream, seq) * (1 / s->c->write + s->m.unpack);
	s->written = fmax(s->written, n->writes);
	push(s, (struct event){.at = n->writes,
			.seq = seq,
			.node = node,
			.stream = stream,
			.kind = WRITTEN});
}

/* Time that a node spends on one more message. */
static double spend(const struct sim *s, struct node *n, double now)
{
	n->busy = fmax(n->busy, now) + s->m.message;
	return n->busy;
}

static void send_parcel(
	struct sim *s, uint32_t node, const struct flow_hop *h, double now)
{
	struct node *from = &s->nodes[node], *to = &s->nodes[h->node];
	uint64_t bytes =
		(uint64_t)((double)length_of(s, h->stream, h->seq) * s->m.ratio);
	double there = carry(s, from, to, spend(s, from, now), bytes);
	struct event e = {.at = there + s->m.poll, .seq = h->seq, .stream = h->stream};

	from->out += bytes;
	to->in += bytes;
	s->transfers++;
	s->received = fmax(s->received, there);
	e.kind = ARRIVED;
	e.node = h->node;
	e.peer = node;
	push(s, e);
	e.kind = SENT;
	e.node = node;
	e.peer = h->node;
	push(s, e);
}

/* All that a node can do now. */
static void turn(struct sim *s, uint32_t node, double now)
{
	struct node *n = &s->nodes[node];
	uint32_t part, stream;
	struct flow_hop hop;

	while (flow_may_receive(n->flow, &part, &stream) &&
		n->channels[stream].buffers) {
		n->channels[stream].buffers--;
		flow_receive(n->flow, &hop);
		push(s, (struct event){.at = speak(s, n, &s->nodes[hop.node],
						     spend(s, n, now)) +
					     s->c->latency + s->m.poll,
				.node = hop.node,
				.peer = node,
				.kind = CREDIT});
	}
	while (flow_send(n->flow, &hop))
		send_parcel(s, node, &hop, now);
}

static void handle(struct sim *s, const struct event *e)
{
	struct node *n = &s->nodes[e->node];
	struct flow_hop hop = {.seq = e->seq, .stream = e->stream, .node = e->peer};
	double now = e->at;

	switch (e->kind) {
	case CREDIT:
		now = spend(s, n, now);
		if (flow_credit(n->flow, e->peer) < 0)
			s->code = -ENOMEM;
		break;
	case ARRIVED:
		now = spend(s, n, now);
		keep(s, e->node, e->stream, e->seq, flow_arrived(n->flow, &hop), now);
		break;
	case SENT:
		flow_sent(n->flow, &hop);
		drop(s, e->node, e->stream, e->seq, now);
		break;
	case FILLED:
		n->channels[e->stream].reading = false;
		keep(s, e->node, e->stream, e->seq,
			flow_filled(n->flow, 0, e->stream, e->seq), now);
		fill(s, e->node, e->stream, now);
		break;
	case WRITTEN:
		drop(s, e->node, e->stream, e->seq, now);
		break;
	}
	turn(s, e->node, now);
}

static int run(struct sim *s, struct ebt_err *err)
{
	for (uint32_t j = 0; j < s->p->n_streams; j++)
		fill(s, s->p->streams[j].reader, j, 0);
	for (uint32_t i = 0; i < s->p->nodes; i++)
		turn(s, i, 0);
	while (s->count && s->code == 0) {
		struct event e = pop(s);

		handle(s, &e);
	}
	if (s->code < 0)
		return ebt_fail(err, s->code, "simulation of %u nodes", s->p->nodes);
	for (uint32_t i = 0; i < s->p->nodes; i++) {
		if (!flow_settled(s->nodes[i].flow))
			return ebt_failx(err, -EPROTO,
				"%s: node %u waits for ever for node %u",
				schedule_name(s->p->algo), i,
				flow_waits_for(s->nodes[i].flow));
	}
	return 0;
}

/* Nodes to switches: in order, or each its place in a fixed random order. */
static int place_nodes(struct sim *s)
{
	uint32_t nodes = s->p->nodes, leaf = s->m.leaf;
	SCOPED_FREE uint32_t *at = calloc(nodes, sizeof(*at));
	uint64_t x = 88172645463325252ull; /* xorshift64, Marsaglia 2003 */

	s->trunks = calloc((nodes + leaf - 1) / leaf, sizeof(*s->trunks));
	if (!at || !s->trunks)
		return -ENOMEM;
	if (s->m.trunk <= 0)
		s->m.trunk = s->c->link * leaf;
	for (uint32_t i = 0; i < nodes; i++)
		at[i] = i;
	for (uint32_t i = nodes; i > 1 && s->m.shuffled; i--) {
		uint32_t k, held = at[i - 1];

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		k = (uint32_t)(x % i);
		at[i - 1] = at[k];
		at[k] = held;
	}
	for (uint32_t i = 0; i < nodes; i++)
		s->nodes[i].leaf = at[i] / leaf;
	return 0;
}

static int set_up_stream(struct sim *s, uint32_t j, struct ebt_err *err)
{
	const struct plan_stream *from = &s->p->streams[j];
	int r = schedule_new(
		s->p->algo, s->p->nodes, from->n_parcels, &s->schedules[j], err);

	if (r < 0)
		return r;
	s->lengths[j] = calloc(from->n_parcels + 1, sizeof(**s->lengths));
	if (!s->lengths[j])
		return -ENOMEM;
	for (uint64_t k = 0; k < from->n_parcels; k++)
		s->lengths[j][k] = plan_parcel_bytes(s->p, j, k);
	return 0;
}

/* @cursors: scratch, two a stream. */
static int set_up_node(struct sim *s, uint32_t i, uint32_t buffers,
	struct schedule_cursor *cursors, struct ebt_err *err)
{
	struct node *n = &s->nodes[i];
	uint32_t streams = s->p->n_streams;

	n->channels = calloc((size_t)streams + 1, sizeof(*n->channels));
	if (!n->channels || flow_new(i, 1, &n->flow, err) < 0)
		return -ENOMEM;
	for (uint32_t j = 0; j < streams; j++) {
		uint32_t rank = plan_rank(s->p, j, i);

		n->channels[j].buffers = buffers;
		n->channels[j].refs = calloc(s->p->streams[j].n_parcels + 1, 1);
		if (!n->channels[j].refs)
			return -ENOMEM;
		/* Those of a rank differ between streams by the number of parcels alone. */
		for (int side = 0; side < 2; side++) {
			cursors[2 * j + side] = s->cursors[2 * (size_t)rank + side];
			schedule_restart(&cursors[2 * j + side], s->schedules[j]);
		}
	}
	return flow_add(n->flow, s->p, cursors, err);
}

static int set_up(struct sim *s, struct ebt_err *err)
{
	uint32_t nodes = s->p->nodes, streams = s->p->n_streams;
	uint64_t buffers = FLOW_PARCELS_MAX;
	SCOPED_FREE struct schedule_cursor *scratch =
		calloc(2 * (size_t)streams + 1, sizeof(*scratch));
	int r = 0;

	s->nodes = calloc(nodes, sizeof(*s->nodes));
	s->schedules = calloc((size_t)streams + 1, sizeof(struct schedule *));
	s->lengths = calloc((size_t)streams + 1, sizeof(uint64_t *));
	s->cursors = calloc(2 * (size_t)nodes, sizeof(*s->cursors));
	if (!scratch || !s->nodes || !s->schedules || !s->lengths || !s->cursors)
		return -ENOMEM;
	if (s->m.leaf)
		r = place_nodes(s);
	for (uint32_t j = 0; j < streams && r == 0; j++)
		r = set_up_stream(s, j, err);
	for (uint32_t rank = 0; rank < nodes && streams && r == 0; rank++) {
		schedule_start(s->schedules[0], rank, SCHEDULE_SEND,
			&s->cursors[2 * (size_t)rank]);
		schedule_start(s->schedules[0], rank, SCHEDULE_RECV,
			&s->cursors[2 * (size_t)rank + 1]);
	}
	if (s->m.memory && streams)
		buffers = s->m.memory / s->p->parcel / streams;
	buffers = buffers < FLOW_PARCELS_MIN   ? FLOW_PARCELS_MIN
		  : buffers > FLOW_PARCELS_MAX ? FLOW_PARCELS_MAX
					       : buffers;
	for (uint32_t i = 0; i < nodes && r == 0; i++)
		r = set_up_node(s, i, (uint32_t)buffers, scratch, err);
	return r;
}

/* MPI's own broadcast has no schedule of ours to run: there are only formulas. */
static int estimate_mpi(struct sim *s, struct ebt_err *err)
{
	const struct plan *p = s->p;

	s->written = cost_predict(
		s->c, p->algo, p->bytes, p->nodes, p->n_streams, p->parcel);
	s->received = s->written;
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
	struct simulate_result result = {.transfers = s->transfers,
		.seconds = s->written,
		.received = s->received};

	for (uint32_t i = 0; i < s->p->nodes; i++) {
		const struct node *n = &s->nodes[i];

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
	const struct simulate_machine *machine, struct simulate_result *out,
	struct ebt_err *err)
{
	SCOPED(sim_release) struct sim s = {.p = p, .c = c};
	int r;

	if (machine)
		s.m = *machine;
	if (s.m.ratio <= 0)
		s.m.ratio = 1;
	if (p->algo == SCHEDULE_MPI_BCAST) {
		r = estimate_mpi(&s, err);
	} else {
		r = set_up(&s, err);
		if (r == -ENOMEM)
			ebt_fail(err, r, "simulation of %u nodes", p->nodes);
		if (r == 0)
			r = run(&s, err);
	}
	if (r < 0)
		return r;
	*out = sum_up(&s);
	return 0;
}
