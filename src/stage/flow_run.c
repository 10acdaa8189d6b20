/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Carrying out schedules over MPI, all flows of a node in one loop and one order.
 *
 * A parcel is only sent into a receive that is known to be posted: posting one sends a credit
 * to the peer that the schedule names. So a send that has been started always completes, and
 * nothing piles up in MPI's own buffers. Receives are granted one at a time: two peers that send
 * to one node at once share its link, and a transfer that is not yet due delays one that others
 * wait for. From the same peer a few may be granted ahead, since they come one after the other.
 *
 * Winding down: whoever fails tells all its peers (flows connect everybody), stops posting, and
 * answers each credit it has or still gets with an empty parcel. Then every posted receive
 * completes, and a non-blocking barrier tells when all nodes are done, which is also how a
 * good run ends. No parcel is left behind; a late word of a failure may be, and is known by its
 * run's ID to the next one.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "stage/stream.h"
#include "transport/transport.h"

/* Collect in transport uses tag 0 on the same communicator. */
#define TAG_CONTROL 1
#define TAG_DATA 2 /* plus the number of the stream */

enum op_kind { OP_SEND, OP_RECV, OP_CONTROL };

struct control {
	uint32_t kind, flow;
	char run[16]; /* start of the run's ID: what an earlier run left unread is not ours */
};
enum { CONTROL_CREDIT = 1, CONTROL_ABORT = 2 };

struct op {
	enum op_kind kind;
	struct flow *flow;
	struct parcel *parcel;
	struct control *control; /* OP_CONTROL: freed when sent */
	struct parcel_header *empty; /* OP_SEND of an abort: freed when sent */
};

struct loop {
	struct stream *s;
	MPI_Comm comm;     /* tags from TAG_CONTROL on are ours while the loop runs */
	MPI_Request *reqs; /* reqs[i] belongs to ops[i] */
	struct op *ops;
	int *done;         /* for MPI_Testsome */
	MPI_Status *status;
	int n, cap;
	MPI_Request ctl_req; /* the one receive for control messages */
	struct control ctl_in;
	unsigned sending, window;
	unsigned posted;   /* receives under way, all from posted_from */
	int posted_from;
	bool aborting;
};

static void add_op(struct loop *l, MPI_Request req, struct op op)
{
	/* Room for all that can be under way was made in loop_open. */
	assert(l->n < l->cap);
	l->reqs[l->n] = req;
	l->ops[l->n++] = op;
}

static void send_control(struct loop *l, int node, uint32_t kind, uint32_t flow)
{
	struct control *c = malloc(sizeof(*c));
	MPI_Request req;
	int done;

	if (!c) /* eight bytes: a process that has not even these cannot wind down in order */
		abort();
	*c = (struct control){.kind = kind, .flow = flow};
	memcpy(c->run, l->s->st->id, sizeof(c->run));
	MPI_Isend(c, sizeof(*c), MPI_BYTE, node, TAG_CONTROL, l->comm, &req);
	MPI_Test(&req, &done, MPI_STATUS_IGNORE);
	if (done) {
		free(c);
		return;
	}
	if (l->n == l->cap) {
		transport_wait(&req);
		free(c);
		return;
	}
	add_op(l, req, (struct op){.kind = OP_CONTROL, .control = c});
}

static void start_abort(struct loop *l)
{
	if (l->aborting)
		return;
	l->aborting = true;
	job_failing(&l->s->st->job, stream_failed(l->s) ? &l->s->err : NULL);
	for (uint32_t i = 0; i < l->s->n_flows; i++) {
		struct flow *f = &l->s->flows[i];

		pool_close(f->pool);
		for (uint32_t k = 0; k < f->n_peers; k++)
			send_control(l, f->peers[k].node, CONTROL_ABORT, i);
		for (uint32_t k = 0; k < f->n_up; k++)
			send_control(l, f->up[k], CONTROL_ABORT, i);
	}
}

static bool poll_control(struct loop *l)
{
	bool moved = false;
	struct flow_peer *p;
	MPI_Status status;
	int done;

	for (;;) {
		MPI_Test(&l->ctl_req, &done, &status);
		if (!done)
			return moved;
		moved = true;
		if (memcmp(l->ctl_in.run, l->s->st->id, sizeof(l->ctl_in.run)) != 0) {
			;
		} else if (l->ctl_in.kind == CONTROL_ABORT) {
			start_abort(l);
		} else {
			p = flow_peer(&l->s->flows[l->ctl_in.flow], status.MPI_SOURCE);
			assert(p);
			p->credits++;
		}
		MPI_Irecv(&l->ctl_in, sizeof(l->ctl_in), MPI_BYTE, MPI_ANY_SOURCE, TAG_CONTROL,
			l->comm, &l->ctl_req);
	}
}

/* A parcel is here, with one reference that becomes the writers'. */
static void arrived(struct loop *l, struct flow *f, struct parcel *p)
{
	unsigned uses = f->uses[p->seq];

	if (uses) {
		assert(!f->held[p->seq & f->mask]);
		parcel_ref(p, (int)uses);
		f->held[p->seq & f->mask] = p;
	}
	stream_write(l->s, p);
}

static void received(struct loop *l, struct op *op)
{
	struct parcel *p = op->parcel;
	struct ebt_err err = {0};
	int r;

	l->posted--;
	if (p->header->flags & PARCEL_ABORT) {
		start_abort(l);
	} else if (!l->aborting) {
		r = stream_check_header(l->s, p, &err);
		if (r == 0) {
			l->s->st->self.bytes_in += p->header->length;
			arrived(l, op->flow, p);
			return;
		}
		stream_fail(l->s, r, &err);
	}
	parcel_unref(p);
}

static void completed(struct loop *l, struct op *op)
{
	switch (op->kind) {
	case OP_RECV:
		received(l, op);
		return;
	case OP_SEND:
		l->sending--;
		if (op->parcel)
			parcel_unref(op->parcel);
		free(op->empty);
		return;
	case OP_CONTROL:
		free(op->control);
		return;
	}
}

static bool poll_ops(struct loop *l)
{
	struct op op;
	int n, at;

	if (!l->n)
		return false;
	MPI_Testsome(l->n, l->reqs, &n, l->done, l->status);
	if (n <= 0)
		return false;
	/*
	 * Completed ones are MPI_REQUEST_NULL now. They are handled in the order in which they
	 * were started, then the gaps close; handling may add ops behind them.
	 */
	for (int i = 0; i < n; i++) {
		op = l->ops[l->done[i]];
		completed(l, &op);
	}
	at = 0;
	for (int i = 0; i < l->n; i++) {
		if (l->reqs[i] == MPI_REQUEST_NULL)
			continue;
		l->reqs[at] = l->reqs[i];
		l->ops[at++] = l->ops[i];
	}
	l->n = at;
	return true;
}

static bool take_filled(struct loop *l, struct flow *f)
{
	struct parcel *p;
	bool moved = false;

	if (!f->packer)
		return false;
	while ((p = (struct parcel *)queue_poll(&f->filled))) {
		arrived(l, f, p);
		moved = true;
	}
	return moved;
}

static bool post_receives(struct loop *l)
{
	uint64_t room = l->s->st->plan->parcel + sizeof(struct parcel_header);
	struct stream_head *next = &l->s->recv;
	bool moved = false;
	struct parcel *p;
	MPI_Request req;

	while (next->flow && l->posted < STREAM_AHEAD &&
		(!l->posted || l->posted_from == next->node)) {
		p = pool_try(next->flow->pool);
		if (!p)
			break;
		p->stream = next->flow->index;
		p->seq = next->seq;
		MPI_Irecv(p->header, (int)room, MPI_BYTE, next->node, TAG_DATA + (int)p->stream,
			l->comm, &req);
		add_op(l, req, (struct op){.kind = OP_RECV, .flow = next->flow, .parcel = p});
		l->posted++;
		l->posted_from = next->node;
		send_control(l, next->node, CONTROL_CREDIT, p->stream);
		stream_advance(l->s, next);
		moved = true;
	}
	return moved;
}

/* The next sends, while their parcels are here and their receivers wait for them. */
static bool start_sends(struct loop *l)
{
	struct stream_head *next = &l->s->send;
	struct flow_peer *peer;
	bool moved = false;
	MPI_Request req;
	struct parcel *p;
	struct flow *f;

	while ((f = next->flow) && l->sending < l->window) {
		p = f->held[next->seq & f->mask];
		peer = flow_peer(f, next->node);
		if (!p || p->seq != next->seq || !peer->credits)
			break;
		peer->credits--;
		if (--f->uses[p->seq] == 0)
			f->held[p->seq & f->mask] = NULL;
		MPI_Isend(p->header, (int)(sizeof(*p->header) + p->header->length), MPI_BYTE,
			peer->node, TAG_DATA + (int)f->index, l->comm, &req);
		add_op(l, req, (struct op){.kind = OP_SEND, .flow = f, .parcel = p});
		l->sending++;
		l->s->st->self.bytes_out += p->header->length;
		stream_advance(l->s, next);
		moved = true;
	}
	return moved;
}

/* Winding down: an empty parcel for each receive that somebody has posted for us. */
static bool answer_credits(struct loop *l)
{
	bool moved = false;
	MPI_Request req;

	for (uint32_t i = 0; i < l->s->n_flows; i++) {
		struct flow *f = &l->s->flows[i];

		for (uint32_t k = 0; k < f->n_peers; k++) {
			while (f->peers[k].credits && l->n < l->cap) {
				struct parcel_header *h = calloc(1, sizeof(*h));

				if (!h)
					return moved;
				h->magic = PARCEL_MAGIC;
				h->flags = PARCEL_ABORT;
				f->peers[k].credits--;
				MPI_Isend(h, sizeof(*h), MPI_BYTE, f->peers[k].node,
					TAG_DATA + (int)i, l->comm, &req);
				add_op(l, req, (struct op){.kind = OP_SEND, .flow = f, .empty = h});
				l->sending++;
				moved = true;
			}
		}
	}
	return moved;
}

/* Held parcels that will not be sent any more go back. */
static void drop_held(struct flow *f)
{
	for (uint64_t i = 0; i <= f->mask; i++) {
		struct parcel *p = f->held[i];

		if (!p)
			continue;
		f->held[i] = NULL;
		for (; f->uses[p->seq]; f->uses[p->seq]--)
			parcel_unref(p);
	}
}

/* Nothing of this node is under way any more, and nothing more will be started. */
static bool settled(const struct loop *l)
{
	if (l->posted || l->sending)
		return false;
	return l->aborting || (!l->s->recv.flow && !l->s->send.flow);
}

static bool turn_once(struct loop *l)
{
	bool moved = poll_control(l);

	moved |= poll_ops(l);
	if (stream_failed(l->s))
		start_abort(l);
	if (l->aborting)
		return moved | answer_credits(l);
	for (uint32_t i = 0; i < l->s->n_flows; i++)
		moved |= take_filled(l, &l->s->flows[i]);
	moved |= post_receives(l);
	return moved | start_sends(l);
}

static void loop_open(struct loop *l, struct stream *s)
{
	size_t peers = 0;

	memset(l, 0, sizeof(*l));
	l->s = s;
	l->window = stage_window(s->st->o);
	for (uint32_t i = 0; i < s->n_flows; i++)
		peers += s->flows[i].n_peers + s->flows[i].n_up;
	/* Receives, sends in flight or answered credits, and control messages on their way. */
	l->cap = (int)(l->window + STREAM_AHEAD + peers * (STREAM_AHEAD + 2) + 64);
	l->reqs = calloc((size_t)l->cap, sizeof(*l->reqs));
	l->ops = calloc((size_t)l->cap, sizeof(*l->ops));
	l->done = calloc((size_t)l->cap, sizeof(*l->done));
	l->status = calloc((size_t)l->cap, sizeof(*l->status));
	if (!l->reqs || !l->ops || !l->done || !l->status)
		abort(); /* a few KiB, and others wait for us already */
	l->comm = s->st->job.nodes;
	stream_advance(s, &s->send);
	stream_advance(s, &s->recv);
	MPI_Irecv(&l->ctl_in, sizeof(l->ctl_in), MPI_BYTE, MPI_ANY_SOURCE, TAG_CONTROL, l->comm,
		&l->ctl_req);
}

static void loop_close(struct loop *l)
{
	for (int i = 0; i < l->n; i++) {
		transport_wait(&l->reqs[i]);
		completed(l, &l->ops[i]);
	}
	MPI_Cancel(&l->ctl_req);
	MPI_Wait(&l->ctl_req, MPI_STATUS_IGNORE);
	free(l->reqs);
	free(l->ops);
	free(l->done);
	free(l->status);
}

void flow_run_all(struct stream *s)
{
	struct transport_pause pause = {0};
	MPI_Request barrier = MPI_REQUEST_NULL;
	struct loop l;
	int over = 0;

	loop_open(&l, s);
	while (!over) {
		bool moved = turn_once(&l);

		stream_tick(s);
		if (barrier == MPI_REQUEST_NULL && settled(&l))
			MPI_Ibarrier(s->st->job.nodes, &barrier);
		if (barrier != MPI_REQUEST_NULL)
			MPI_Test(&barrier, &over, MPI_STATUS_IGNORE);
		transport_pause(&pause, moved);
	}
	if (l.aborting) {
		struct ebt_err err = {0};

		/* Counts only where nothing failed: others know the cause. */
		stream_fail(s, ebt_failx(&err, -ECANCELED, "stopped, another node failed"), &err);
		for (uint32_t i = 0; i < s->n_flows; i++)
			drop_held(&s->flows[i]);
	}
	loop_close(&l);
}
