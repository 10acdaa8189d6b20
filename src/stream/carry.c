/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Carrying out over MPI what flow.h says is due: a receive is posted and its sender told by a
 * word of control, a send is started, a failure is passed on. All in one loop that never waits.
 *
 * A non-blocking barrier tells when all nodes have settled, at the end of a good run and of a
 * bad one. No parcel is left behind; a late word of a failure may be, and is known by its run's
 * ID to the next one.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "flow/flow.h"
#include "stream/stream_internal.h"
#include "transport/transport.h"

/* Collect in transport uses tag 0 on the same communicator. */
#define TAG_CONTROL 1
#define TAG_DATA    2

enum op_kind { OP_SEND, OP_RECV, OP_EMPTY, OP_CONTROL };

struct control {
	uint32_t kind;
	char run[20]; /* start of the run's ID: what an earlier run left unread is not ours */
};
enum { CONTROL_CREDIT = 1, CONTROL_ABORT = 2 };

struct op {
	enum op_kind kind;
	struct flow_hop hop;
	struct parcel *parcel; /* OP_SEND, OP_RECV */
};

/* Nothing is allocated once transfers have begun: a node could not say so any more. */
struct carrier {
	struct stream *s;
	struct flow *flow;
	struct control credit, abort; /* never change, many sends share one */
	struct parcel_header empty;   /* likewise */
	const struct transport
		*t;	   /* TAG_CONTROL and TAG_DATA are ours while the loop runs */
	MPI_Request *reqs; /* reqs[i] belongs to ops[i] */
	struct op *ops;
	int *done; /* for MPI_Testsome */
	MPI_Status *status;
	int n, cap;
	unsigned sending; /* content, and since when */
	double sends_since;
	MPI_Request ctl_req; /* the one receive for control messages */
	struct control ctl_in;
};

static void add_op(struct carrier *c, MPI_Request req, struct op op)
{
	/* Room for all that can be under way was made in carrier_new. */
	assert(c->n < c->cap);
	c->reqs[c->n] = req;
	c->ops[c->n++] = op;
}

/* @word: credit or abort. */
static void send_control(struct carrier *c, uint32_t node, const struct control *word)
{
	MPI_Request req;
	int done;

	MPI_Isend(word, sizeof(*word), MPI_BYTE, (int)node, TAG_CONTROL, c->t->comm,
		&req);
	MPI_Test(&req, &done, MPI_STATUS_IGNORE);
	if (done)
		return;
	if (c->n == c->cap)
		transport_wait(c->t, &req, (int)node);
	else
		add_op(c, req, (struct op){.kind = OP_CONTROL});
}

static void start_abort(struct carrier *c)
{
	if (flow_aborting(c->flow))
		return;
	flow_abort(c->flow);
	job_failing(c->s->in->job, stream_failed(c->s) ? &c->s->err : NULL);
	stream_close_pools(c->s);
	for (uint32_t i = 0; i < flow_peers(c->flow); i++)
		send_control(c, flow_peer(c->flow, i), &c->abort);
}

static void take_credit(struct carrier *c, uint32_t node)
{
	struct ebt_err err = {0};
	int r = flow_credit(c->flow, node);

	if (r < 0)
		stream_fail(c->s, ebt_fail(&err, r, "peers"), &err);
}

static bool poll_control(struct carrier *c)
{
	bool moved = false;
	MPI_Status status;
	int done;

	for (;;) {
		MPI_Test(&c->ctl_req, &done, &status);
		if (!done)
			return moved;
		moved = true;
		if (memcmp(c->ctl_in.run, c->credit.run, sizeof(c->ctl_in.run)) != 0)
			;
		else if (c->ctl_in.kind == CONTROL_ABORT)
			start_abort(c);
		else
			take_credit(c, (uint32_t)status.MPI_SOURCE);
		MPI_Irecv(&c->ctl_in, sizeof(c->ctl_in), MPI_BYTE, MPI_ANY_SOURCE,
			TAG_CONTROL, c->t->comm, &c->ctl_req);
	}
}

/* A parcel is here, to be sent on @sends times, with one reference that becomes the writers'. */
static void keep(
	struct carrier *c, struct channel *ch, struct parcel *p, unsigned sends)
{
	if (sends) {
		assert(!ch->held[p->seq & ch->mask]);
		parcel_ref(p, (int)sends);
		ch->held[p->seq & ch->mask] = p;
	}
	if (c->s->tuner)
		tuner_came(c->s->tuner, p, sends);
	stream_write(c->s, p);
}

static void received(struct carrier *c, const struct op *op)
{
	struct parcel *p = op->parcel;
	struct ebt_err err = {0};
	int r;

	if (!(p->header->flags & PARCEL_ABORT) && !flow_aborting(c->flow)) {
		r = stream_check_header(c->s, p, &err);
		if (r == 0) {
			c->s->res->bytes_in += p->header->length;
			keep(c, &c->s->channels[op->hop.stream], p,
				flow_arrived(c->flow, &op->hop));
			return;
		}
		stream_fail(c->s, r, &err);
	}
	flow_came_empty(c->flow);
	parcel_unref(p);
	start_abort(c);
}

static void completed(struct carrier *c, const struct op *op)
{
	switch (op->kind) {
	case OP_RECV:
		received(c, op);
		return;
	case OP_SEND:
		if (--c->sending == 0)
			c->s->res->link.seconds += clock_now() - c->sends_since;
		if (c->s->tuner)
			tuner_sent(c->s->tuner, op->parcel, op->hop.last);
		flow_sent(c->flow, &op->hop);
		parcel_unref(op->parcel);
		return;
	case OP_EMPTY:
		flow_went_empty(c->flow);
		return;
	case OP_CONTROL:
		return;
	}
}

static bool poll_ops(struct carrier *c)
{
	struct op op;
	int n, at;

	if (!c->n)
		return false;
	MPI_Testsome(c->n, c->reqs, &n, c->done, c->status);
	if (n <= 0)
		return false;
	/*
	 * Completed ones are MPI_REQUEST_NULL now. They are handled in the order in which they
	 * were started, then the gaps close; handling may add ops behind them.
	 */
	for (int i = 0; i < n; i++) {
		op = c->ops[c->done[i]];
		completed(c, &op);
	}
	at = 0;
	for (int i = 0; i < c->n; i++) {
		if (c->reqs[i] == MPI_REQUEST_NULL)
			continue;
		c->reqs[at] = c->reqs[i];
		c->ops[at++] = c->ops[i];
	}
	c->n = at;
	return true;
}

static bool take_filled(struct carrier *c, struct channel *ch)
{
	struct parcel *p;
	bool moved = false;

	if (!ch->packer)
		return false;
	while ((p = (struct parcel *)queue_poll(&ch->filled))) {
		keep(c, ch, p, flow_filled(c->flow, 0, ch->index, p->seq));
		moved = true;
	}
	return moved;
}

static bool post_receives(struct carrier *c)
{
	uint64_t room = c->s->in->plan->parcel + sizeof(struct parcel_header);
	struct op op = {.kind = OP_RECV};
	uint32_t part, stream;
	bool moved = false;
	struct parcel *p;
	MPI_Request req;

	while (flow_may_receive(c->flow, &part, &stream)) {
		p = pool_try(c->s->channels[stream].pool);
		if (!p)
			break;
		flow_receive(c->flow, &op.hop);
		p->stream = op.hop.stream;
		p->seq = op.hop.seq;
		op.parcel = p;
		MPI_Irecv(p->header, (int)room, MPI_BYTE, (int)op.hop.node, TAG_DATA,
			c->t->comm, &req);
		add_op(c, req, op);
		send_control(c, op.hop.node, &c->credit);
		moved = true;
	}
	return moved;
}

static bool start_sends(struct carrier *c)
{
	struct op op = {.kind = OP_SEND};
	struct parcel **held;
	bool moved = false;
	MPI_Request req;

	while (flow_send(c->flow, &op.hop)) {
		struct channel *ch = &c->s->channels[op.hop.stream];

		held = &ch->held[op.hop.seq & ch->mask];
		op.parcel = *held;
		if (op.hop.last)
			*held = NULL;
		MPI_Isend(op.parcel->header,
			(int)(sizeof(*op.parcel->header) + op.parcel->header->length),
			MPI_BYTE, (int)op.hop.node, TAG_DATA, c->t->comm, &req);
		stream_count_send(c->s, op.parcel);
		if (c->s->tuner)
			tuner_sends(c->s->tuner, op.parcel);
		c->s->res->link.bytes += op.parcel->header->length;
		if (c->sending++ == 0)
			c->sends_since = clock_now();
		add_op(c, req, op);
		moved = true;
	}
	return moved;
}

/* Winding down: an empty parcel for each receive that somebody has posted for us. */
static bool answer_credits(struct carrier *c)
{
	bool moved = false;
	MPI_Request req;
	uint32_t node;

	while (c->n < c->cap && flow_answer(c->flow, &node)) {
		MPI_Isend(&c->empty, sizeof(c->empty), MPI_BYTE, (int)node, TAG_DATA,
			c->t->comm, &req);
		add_op(c, req, (struct op){.kind = OP_EMPTY});
		moved = true;
	}
	return moved;
}

/* Parcels that will not be sent any more go back, one reference for each send. */
static void drop_held(struct carrier *c, struct channel *ch)
{
	for (uint64_t i = 0; i <= ch->mask; i++) {
		struct parcel *p = ch->held[i];

		if (!p)
			continue;
		ch->held[i] = NULL;
		for (unsigned n = flow_forget(c->flow, 0, ch->index, p->seq); n; n--)
			parcel_unref(p);
	}
}

/* The node that the next parcel is to come from, or the one that does not take it. */
static int waits_for(const struct carrier *c)
{
	uint32_t node = flow_waits_for(c->flow);

	if (node == FLOW_NOBODY)
		node = flow_waits_on(c->flow);
	return node == FLOW_NOBODY ? TRANSPORT_ANY : (int)node;
}

static bool turn_once(struct carrier *c)
{
	bool moved = poll_control(c);

	moved |= poll_ops(c);
	if (stream_failed(c->s))
		start_abort(c);
	if (flow_aborting(c->flow))
		return moved | answer_credits(c);
	for (uint32_t i = 0; i < c->s->n_channels; i++)
		moved |= take_filled(c, &c->s->channels[i]);
	moved |= post_receives(c);
	return moved | start_sends(c);
}

static void say(struct control *word, const struct stream *s, uint32_t kind)
{
	*word = (struct control){.kind = kind};
	memcpy(word->run, s->in->id, sizeof(word->run));
}

int carrier_new(struct stream *s, struct carrier **out, struct ebt_err *err)
{
	SCOPED(carrier_freep) struct carrier *c = calloc(1, sizeof(*c));
	size_t cap;
	int r;

	if (!c)
		return ebt_fail(err, -ENOMEM, "transfers");
	c->s = s;
	c->t = &s->in->job->nodes;
	c->ctl_req = MPI_REQUEST_NULL;
	c->empty = (struct parcel_header){.magic = PARCEL_MAGIC, .flags = PARCEL_ABORT};
	say(&c->credit, s, CONTROL_CREDIT);
	say(&c->abort, s, CONTROL_ABORT);
	r = flow_new((uint32_t)s->in->job->node, s->in->window, &c->flow, err);
	if (r == 0)
		r = flow_add(c->flow, s->in->plan, NULL, err);
	if (r < 0)
		return r;
	/* Receives, sends in flight or answered credits, and control messages on their way. */
	cap = s->in->window + FLOW_AHEAD + flow_peers(c->flow) * (FLOW_AHEAD + 2) + 64;
	c->cap = (int)cap;
	c->reqs = calloc(cap, sizeof(*c->reqs));
	c->ops = calloc(cap, sizeof(*c->ops));
	c->done = calloc(cap, sizeof(*c->done));
	c->status = calloc(cap, sizeof(*c->status));
	if (!c->reqs || !c->ops || !c->done || !c->status)
		return ebt_fail(err, -ENOMEM, "%zu transfers at a time", cap);
	*out = TAKE(c);
	return 0;
}

void carrier_free(struct carrier *c)
{
	if (!c)
		return;
	flow_free(c->flow);
	free(c->reqs);
	free(c->ops);
	free(c->done);
	free(c->status);
	free(c);
}

/* What is still under way was sent to nodes that are done too: it only has to be noticed. */
static void finish(struct carrier *c)
{
	for (int i = 0; i < c->n; i++) {
		transport_wait(c->t, &c->reqs[i],
			c->ops[i].parcel ? (int)c->ops[i].hop.node : TRANSPORT_ANY);
		completed(c, &c->ops[i]);
	}
	c->n = 0;
	MPI_Cancel(&c->ctl_req);
	MPI_Wait(&c->ctl_req, MPI_STATUS_IGNORE);
}

void carrier_run_all(struct carrier *c)
{
	struct transport_pause pause = TRANSPORT_PAUSE;
	MPI_Request barrier = MPI_REQUEST_NULL;
	struct stream *s = c->s;
	int over = 0;

	MPI_Irecv(&c->ctl_in, sizeof(c->ctl_in), MPI_BYTE, MPI_ANY_SOURCE, TAG_CONTROL,
		c->t->comm, &c->ctl_req);
	while (!over) {
		bool moved = turn_once(c);

		stream_tick(s);
		if (barrier == MPI_REQUEST_NULL && flow_settled(c->flow))
			MPI_Ibarrier(c->t->comm, &barrier);
		if (barrier != MPI_REQUEST_NULL)
			MPI_Test(&barrier, &over, MPI_STATUS_IGNORE);
		pause.peer = moved ? TRANSPORT_ANY : waits_for(c);
		transport_pause(c->t, &pause, moved);
	}
	if (flow_aborting(c->flow)) {
		struct ebt_err err = {0};

		/* Counts only where nothing failed: others know the cause. */
		stream_fail(s,
			ebt_failx(&err, -ECANCELED, "stopped, another node failed"),
			&err);
		for (uint32_t i = 0; i < s->n_channels; i++)
			drop_held(c, &s->channels[i]);
	}
	finish(c);
}
