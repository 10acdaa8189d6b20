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
#define TAG_DATA    2 /* plus the number of the stream */

enum op_kind { OP_SEND, OP_RECV, OP_CONTROL };

struct control {
	uint32_t kind, flow;
	char run[16]; /* start of the run's ID: what an earlier run left unread is not ours */
};
enum { CONTROL_CREDIT = 1, CONTROL_ABORT = 2 };

struct op {
	enum op_kind kind;
	struct flow *flow;
	struct parcel
		*parcel; /* OP_SEND without one: the empty one of a node winding down */
};

/* Nothing is allocated once transfers have begun: a node could not say so any more. */
struct flow_loop {
	struct stream *s;
	struct control *credits,
		*aborts; /* of each flow; never change, many sends share one */
	struct parcel_header empty; /* likewise */
	MPI_Comm comm;	   /* tags from TAG_CONTROL on are ours while the loop runs */
	MPI_Request *reqs; /* reqs[i] belongs to ops[i] */
	struct op *ops;
	int *done; /* for MPI_Testsome */
	MPI_Status *status;
	int n, cap;
	MPI_Request ctl_req; /* the one receive for control messages */
	struct control ctl_in;
	unsigned sending, window;
	unsigned posted; /* receives under way, all from posted_from */
	int posted_from;
	bool aborting;
};

static void add_op(struct flow_loop *l, MPI_Request req, struct op op)
{
	/* Room for all that can be under way was made in loop_open. */
	assert(l->n < l->cap);
	l->reqs[l->n] = req;
	l->ops[l->n++] = op;
}

/* @word: one of credits or aborts. */
static void send_control(struct flow_loop *l, int node, const struct control *word)
{
	MPI_Request req;
	int done;

	MPI_Isend(word, sizeof(*word), MPI_BYTE, node, TAG_CONTROL, l->comm, &req);
	MPI_Test(&req, &done, MPI_STATUS_IGNORE);
	if (done)
		return;
	if (l->n == l->cap)
		transport_wait(&req);
	else
		add_op(l, req, (struct op){.kind = OP_CONTROL});
}

static void start_abort(struct flow_loop *l)
{
	if (l->aborting)
		return;
	l->aborting = true;
	job_failing(&l->s->st->job, stream_failed(l->s) ? &l->s->err : NULL);
	for (uint32_t i = 0; i < l->s->n_flows; i++) {
		struct flow *f = &l->s->flows[i];

		pool_close(f->pool);
		for (uint32_t k = 0; k < f->n_peers; k++)
			send_control(l, f->peers[k].node, &l->aborts[i]);
		for (uint32_t k = 0; k < f->n_up; k++)
			send_control(l, f->up[k], &l->aborts[i]);
	}
}

static bool poll_control(struct flow_loop *l)
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
		MPI_Irecv(&l->ctl_in, sizeof(l->ctl_in), MPI_BYTE, MPI_ANY_SOURCE,
			TAG_CONTROL, l->comm, &l->ctl_req);
	}
}

/* A parcel is here, with one reference that becomes the writers'. */
static void arrived(struct flow_loop *l, struct flow *f, struct parcel *p)
{
	unsigned uses = f->uses[p->seq];

	if (uses) {
		assert(!f->held[p->seq & f->mask]);
		parcel_ref(p, (int)uses);
		f->held[p->seq & f->mask] = p;
	}
	stream_write(l->s, p);
}

static void received(struct flow_loop *l, struct op *op)
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

static void completed(struct flow_loop *l, struct op *op)
{
	switch (op->kind) {
	case OP_RECV:
		received(l, op);
		return;
	case OP_SEND:
		l->sending--;
		if (op->parcel)
			parcel_unref(op->parcel);
		return;
	case OP_CONTROL:
		return;
	}
}

static bool poll_ops(struct flow_loop *l)
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

static bool take_filled(struct flow_loop *l, struct flow *f)
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

static bool post_receives(struct flow_loop *l)
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
		MPI_Irecv(p->header, (int)room, MPI_BYTE, next->node,
			TAG_DATA + (int)p->stream, l->comm, &req);
		add_op(l, req,
			(struct op){.kind = OP_RECV, .flow = next->flow, .parcel = p});
		l->posted++;
		l->posted_from = next->node;
		send_control(l, next->node, &l->credits[p->stream]);
		stream_advance(l->s, next);
		moved = true;
	}
	return moved;
}

/* The next sends, while their parcels are here and their receivers wait for them. */
static bool start_sends(struct flow_loop *l)
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
		MPI_Isend(p->header, (int)(sizeof(*p->header) + p->header->length),
			MPI_BYTE, peer->node, TAG_DATA + (int)f->index, l->comm, &req);
		add_op(l, req, (struct op){.kind = OP_SEND, .flow = f, .parcel = p});
		l->sending++;
		l->s->st->self.bytes_out += p->header->length;
		stream_advance(l->s, next);
		moved = true;
	}
	return moved;
}

/* Winding down: an empty parcel for each receive that somebody has posted for us. */
static bool answer_credits(struct flow_loop *l)
{
	bool moved = false;
	MPI_Request req;

	for (uint32_t i = 0; i < l->s->n_flows; i++) {
		struct flow *f = &l->s->flows[i];

		for (uint32_t k = 0; k < f->n_peers; k++) {
			while (f->peers[k].credits && l->n < l->cap) {
				f->peers[k].credits--;
				MPI_Isend(&l->empty, sizeof(l->empty), MPI_BYTE,
					f->peers[k].node, TAG_DATA + (int)i, l->comm,
					&req);
				add_op(l, req, (struct op){.kind = OP_SEND, .flow = f});
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
static bool settled(const struct flow_loop *l)
{
	if (l->posted || l->sending)
		return false;
	return l->aborting || (!l->s->recv.flow && !l->s->send.flow);
}

static bool turn_once(struct flow_loop *l)
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

static void say(
	struct control *word, const struct stream *s, uint32_t kind, uint32_t flow)
{
	*word = (struct control){.kind = kind, .flow = flow};
	memcpy(word->run, s->st->id, sizeof(word->run));
}

int flow_loop_new(struct stream *s, struct flow_loop **out, struct ebt_err *err)
{
	SCOPED(flow_loop_freep) struct flow_loop *l = calloc(1, sizeof(*l));
	size_t peers = 0, cap;

	if (!l)
		return ebt_fail(err, -ENOMEM, "transfers");
	l->s = s;
	l->comm = s->st->job.nodes;
	l->ctl_req = MPI_REQUEST_NULL;
	l->window = stage_window(s->st->o);
	l->empty = (struct parcel_header){.magic = PARCEL_MAGIC, .flags = PARCEL_ABORT};
	for (uint32_t i = 0; i < s->n_flows; i++)
		peers += s->flows[i].n_peers + s->flows[i].n_up;
	/* Receives, sends in flight or answered credits, and control messages on their way. */
	cap = l->window + STREAM_AHEAD + peers * (STREAM_AHEAD + 2) + 64;
	l->cap = (int)cap;
	l->reqs = calloc(cap, sizeof(*l->reqs));
	l->ops = calloc(cap, sizeof(*l->ops));
	l->done = calloc(cap, sizeof(*l->done));
	l->status = calloc(cap, sizeof(*l->status));
	l->credits = calloc(2 * (size_t)s->n_flows + 1, sizeof(*l->credits));
	if (!l->reqs || !l->ops || !l->done || !l->status || !l->credits)
		return ebt_fail(err, -ENOMEM, "%zu transfers at a time", cap);
	l->aborts = l->credits + s->n_flows;
	for (uint32_t i = 0; i < s->n_flows; i++) {
		say(&l->credits[i], s, CONTROL_CREDIT, i);
		say(&l->aborts[i], s, CONTROL_ABORT, i);
	}
	*out = TAKE(l);
	return 0;
}

void flow_loop_free(struct flow_loop *l)
{
	if (!l)
		return;
	free(l->reqs);
	free(l->ops);
	free(l->done);
	free(l->status);
	free(l->credits);
	free(l);
}

static void loop_start(struct flow_loop *l)
{
	stream_advance(l->s, &l->s->send);
	stream_advance(l->s, &l->s->recv);
	MPI_Irecv(&l->ctl_in, sizeof(l->ctl_in), MPI_BYTE, MPI_ANY_SOURCE, TAG_CONTROL,
		l->comm, &l->ctl_req);
}

/* What is still under way was sent to nodes that are done too: it only has to be noticed. */
static void loop_finish(struct flow_loop *l)
{
	for (int i = 0; i < l->n; i++) {
		transport_wait(&l->reqs[i]);
		completed(l, &l->ops[i]);
	}
	l->n = 0;
	MPI_Cancel(&l->ctl_req);
	MPI_Wait(&l->ctl_req, MPI_STATUS_IGNORE);
}

void flow_run_all(struct flow_loop *l)
{
	struct transport_pause pause = {0};
	MPI_Request barrier = MPI_REQUEST_NULL;
	struct stream *s = l->s;
	int over = 0;

	loop_start(l);
	while (!over) {
		bool moved = turn_once(l);

		stream_tick(s);
		if (barrier == MPI_REQUEST_NULL && settled(l))
			MPI_Ibarrier(l->comm, &barrier);
		if (barrier != MPI_REQUEST_NULL)
			MPI_Test(&barrier, &over, MPI_STATUS_IGNORE);
		transport_pause(&pause, moved);
	}
	if (l->aborting) {
		struct ebt_err err = {0};

		/* Counts only where nothing failed: others know the cause. */
		stream_fail(s,
			ebt_failx(&err, -ECANCELED, "stopped, another node failed"),
			&err);
		for (uint32_t i = 0; i < s->n_flows; i++)
			drop_held(&s->flows[i]);
	}
	loop_finish(l);
}
