/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two communicators: on one the fixed-size and variable-size notes (who wants what, how it
 * went), taken as they come; on the other nothing but file content, for which a receive is
 * posted before it is asked for, so that it never waits in MPI's own memory.
 */
#include "drain/move/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_FETCH = 1, TAG_FETCHED, TAG_CALL, TAG_ANSWER };

#define SLOTS 4096 /* fetches of this node under way; tags go to 32767 at least */
#define NOTES 64   /* notes taken before the rest gets its turn */

int net_open(struct net *n, const struct transport *calls, const struct transport *data,
	struct queue *requests, struct queue *jobs, struct ebt_err *err)
{
	memset(n, 0, sizeof(*n));
	n->calls = calls;
	n->data = data;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->changed, NULL);
	queue_init(&n->out);
	queue_init(&n->asked);
	n->requests = requests;
	n->jobs = jobs;
	n->n_slots = SLOTS;
	n->slots = calloc(SLOTS, sizeof(*n->slots));
	return n->slots ? 0 : ebt_fail(err, -ENOMEM, "messages");
}

void net_close(struct net *n)
{
	queue_destroy(&n->out);
	queue_destroy(&n->asked);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	free(n->active);
	free(n->slots);
}

static void submit(struct net *n, struct net_op *op, int kind)
{
	op->kind = kind;
	op->n_req = 0;
	queue_put(kind == NET_FETCH ? &n->asked : &n->out, &op->item);
}

void net_start(struct net *n, struct net_fetch *f)
{
	f->done = false;
	submit(n, &f->op, NET_FETCH);
}

int net_wait(struct net *n, struct net_fetch *f)
{
	struct ebt_digest got;

	{
		SCOPED_LOCK(&n->lock);
		while (!f->done)
			pthread_cond_wait(&n->changed, &n->lock);
	}
	if (f->code < 0)
		return f->code;
	got = digest_bytes(f->to, f->want.len);
	return digest_equal(got, f->digest) ? 0 : -EIO;
}

int net_fail(const struct net_fetch *f, int code, const char *name, struct ebt_err *err)
{
	if (f->code < 0 && f->refused)
		return ebt_failx(err, code, "%s: is not what was scanned on node %d",
			name, f->op.node);
	return ebt_fail(err, code, "%s: from node %d", name, f->op.node);
}

void net_call(struct net *n, struct net_call *c)
{
	c->done = false;
	submit(n, &c->op, NET_CALL);
}

void net_wait_call(struct net *n, struct net_call *c)
{
	SCOPED_LOCK(&n->lock);
	while (!c->done)
		pthread_cond_wait(&n->changed, &n->lock);
}

void net_send(struct net *n, struct net_data *d)
{
	submit(n, &d->op, NET_DATA);
}

void net_answer(struct net *n, struct net_job *j)
{
	submit(n, &j->op, NET_ANSWER);
}

/* Main thread from here on. */

static void wake(struct net *n, bool *done)
{
	SCOPED_LOCK(&n->lock);
	*done = true;
	pthread_cond_broadcast(&n->changed);
}

static void post_fetch(struct net *n, struct net_fetch *f)
{
	while (n->slots[n->next_slot % n->n_slots])
		n->next_slot++;
	f->want.slot = n->next_slot++ % n->n_slots;
	n->slots[f->want.slot] = f;
	n->used_slots++;
	MPI_Irecv(f->to, (int)f->want.len, MPI_BYTE, f->op.node, (int)f->want.slot,
		n->data->comm, &f->op.req[0]);
	MPI_Isend(&f->want, sizeof(f->want), MPI_BYTE, f->op.node, TAG_FETCH,
		n->calls->comm, &f->op.req[1]);
	f->op.n_req = 2;
}

static void post_data(struct net *n, struct net_data *d)
{
	MPI_Isend(d->data, d->note.code < 0 ? 0 : (int)d->len, MPI_BYTE, d->op.node,
		(int)d->note.slot, n->data->comm, &d->op.req[0]);
	MPI_Isend(&d->note, sizeof(d->note), MPI_BYTE, d->op.node, TAG_FETCHED,
		n->calls->comm, &d->op.req[1]);
	d->op.n_req = 2;
}

static void post_call(struct net *n, struct net_call *c)
{
	c->id = n->next_id++;
	memcpy(c->request.data, &c->id, sizeof(c->id));
	c->next = n->waiting;
	n->waiting = c;
	MPI_Isend(c->request.data, (int)c->request.len, MPI_BYTE, c->op.node, TAG_CALL,
		n->calls->comm, &c->op.req[0]);
	c->op.n_req = 1;
}

static void post_answer(struct net *n, struct net_job *j)
{
	memcpy(j->answer.data, &j->id, sizeof(j->id));
	MPI_Isend(j->answer.data, (int)j->answer.len, MPI_BYTE, j->op.node, TAG_ANSWER,
		n->calls->comm, &j->op.req[0]);
	j->op.n_req = 1;
}

/* False if there is no memory to keep account of it. */
static bool post(struct net *n, struct net_op *op)
{
	if (n->n_active == n->cap_active) {
		size_t cap = n->cap_active ? 2 * n->cap_active : 64;
		struct net_op **more = realloc(n->active, cap * sizeof(*more));

		if (!more)
			return false;
		n->active = more;
		n->cap_active = cap;
	}
	switch (op->kind) {
	case NET_FETCH:
		post_fetch(n, (struct net_fetch *)op);
		break;
	case NET_DATA:
		post_data(n, (struct net_data *)op);
		break;
	case NET_CALL:
		post_call(n, (struct net_call *)op);
		break;
	case NET_ANSWER:
		post_answer(n, (struct net_job *)op);
		break;
	case NET_LOCAL: /* never gets here */
		return true;
	}
	n->active[n->n_active++] = op;
	return true;
}

static void job_free(struct net_job *j)
{
	buf_release(&j->request);
	buf_release(&j->answer);
	free(j);
}

/*
 * A fetch is complete when its data and the note about it are both in; a call when its
 * request is out and the answer in. The second one of the two wakes the caller.
 */
static void completed(struct net *n, struct net_op *op)
{
	struct net_fetch *f = (struct net_fetch *)op;
	struct net_data *d = (struct net_data *)op;

	switch (op->kind) {
	case NET_FETCH:
		op->n_req = 0;
		/* After the note the slot may be another fetch's. */
		if (n->slots[f->want.slot] != f)
			wake(n, &f->done);
		break;
	case NET_DATA:
		d->sent(d);
		break;
	case NET_CALL:
		op->n_req = 0;
		if (((struct net_call *)op)->answer.len)
			wake(n, &((struct net_call *)op)->done);
		break;
	case NET_ANSWER:
		job_free((struct net_job *)op);
		break;
	case NET_LOCAL:
		break;
	}
}

static void fetched(struct net *n, const struct net_fetched *note)
{
	struct net_fetch *f = n->slots[note->slot];

	f->code = note->code;
	f->refused = note->refused;
	f->digest = note->digest;
	n->slots[note->slot] = NULL;
	n->used_slots--;
	if (f->op.n_req == 0)
		wake(n, &f->done);
}

static void answered(struct net *n, struct buf *b)
{
	struct net_call **at = &n->waiting, *c;
	uint64_t id;

	memcpy(&id, b->data, sizeof(id));
	while ((*at)->id != id)
		at = &(*at)->next;
	c = *at;
	*at = c->next;
	c->answer = *b;
	*b = (struct buf){0};
	if (c->op.n_req == 0)
		wake(n, &c->done);
}

static void wanted(
	struct net *n, struct net_request *q, int node, const struct net_wanted *want)
{
	q->node = node;
	q->want = *want;
	queue_put(n->requests, &q->item);
}

static void called(struct net *n, struct net_job *j, int node, struct buf *b)
{
	j->op.node = node;
	memcpy(&j->id, b->data, sizeof(j->id));
	j->request = *b;
	*b = (struct buf){0};
	queue_put(n->jobs, &j->op.item);
}

/* What a note needs. Nothing, or all of it. */
struct intake {
	struct buf bytes;
	struct net_request *request;
	struct net_job *job;
};

static void intake_release(struct intake *in)
{
	buf_release(&in->bytes);
	free(in->request);
	if (in->job)
		job_free(in->job);
}

static bool make_room(struct intake *in, int tag, size_t len)
{
	if (!buf_extend(&in->bytes, len))
		return false;
	if (tag == TAG_FETCH)
		return (in->request = calloc(1, sizeof(*in->request)));
	if (tag != TAG_CALL)
		return true;
	in->job = calloc(1, sizeof(*in->job));
	if (!in->job || !buf_extend(&in->job->answer, NET_ANSWER_ROOM))
		return false;
	in->job->answer.len = 0;
	return true;
}

/* The next note, if there is one. */
static bool take_note(struct net *n)
{
	SCOPED(intake_release) struct intake in = {0};
	MPI_Request req;
	int len, source;

	if (!n->note_there)
		MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, n->calls->comm, &n->note_there,
			&n->note, &n->note_status);
	if (!n->note_there)
		return false;
	MPI_Get_count(&n->note_status, MPI_BYTE, &len);
	if (!make_room(&in, n->note_status.MPI_TAG, (size_t)len)) {
		n->starved = true;
		return false;
	}
	n->note_there = false;
	source = n->note_status.MPI_SOURCE;
	MPI_Imrecv(in.bytes.data, len, MPI_BYTE, &n->note, &req);
	transport_wait(n->calls, &req, source);
	switch (n->note_status.MPI_TAG) {
	case TAG_FETCH:
		wanted(n, TAKE(in.request), source, (const void *)in.bytes.data);
		break;
	case TAG_FETCHED:
		fetched(n, (const void *)in.bytes.data);
		break;
	case TAG_CALL:
		called(n, TAKE(in.job), source, &in.bytes);
		break;
	case TAG_ANSWER:
		answered(n, &in.bytes);
		break;
	}
	return true;
}

/* What is to be posted next, NULL if there is nothing. */
static struct net_op *next_op(struct net *n)
{
	struct queue_item *it;

	if (n->kept)
		return TAKE(n->kept);
	it = queue_poll(&n->out);
	if (!it && n->used_slots < n->n_slots)
		it = queue_poll(&n->asked);
	return (struct net_op *)it;
}

static bool arrived(struct net_op *op)
{
	int done = 1, one;

	for (int i = 0; i < op->n_req; i++) {
		MPI_Test(&op->req[i], &one, MPI_STATUS_IGNORE);
		done &= one;
	}
	return done;
}

bool net_step(struct net *n)
{
	struct net_op *op;
	bool moved = false;

	while ((op = next_op(n))) {
		if (!post(n, op)) {
			n->kept = op;
			n->starved = true;
			break;
		}
		moved = true;
	}
	for (size_t i = 0; i < n->n_active;) {
		op = n->active[i];
		if (!arrived(op)) {
			i++;
			continue;
		}
		n->active[i] = n->active[--n->n_active];
		completed(n, op);
		moved = true;
	}
	for (int i = 0; i < NOTES && take_note(n); i++)
		moved = true;
	return moved;
}
