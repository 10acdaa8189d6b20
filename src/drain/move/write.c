/* SPDX-License-Identifier: BSD-3-Clause */
/* Content onto a file that its lead has open: object by object, each by the node that owns its target. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drain/move/lead.h"

/* That holds object @k of a file in one component, as far as it is known. */
static uint32_t target_of(const struct lead *c, uint32_t k)
{
	if (c->in_turn)
		return c->target;
	return c->placed && k < c->t->stripe_count ? c->t->targets[k] : PLACE_NONE;
}

/* Object @k of what @t has. The node that writes it. */
static int fill_object(const struct lead *c, const struct drain_task *t, uint32_t k,
	bool can_move, struct move_object *o)
{
	const struct drain *d = c->m->d;
	const struct lead_object *part = c->objects ? &c->objects[k] : NULL;

	*o = (struct move_object){
		.t = t,
		.fd = c->fd,
		.uid = c->made.uid,
		.end = UINT64_MAX,
		.stripe_count = c->count,
		.stripe_size = c->size,
		.number = k,
		.target = target_of(c, k),
		.can_move = can_move,
	};
	if (part) {
		o->start = part->start;
		o->end = part->end;
		o->stripe_count = part->stripe_count;
		o->stripe_size = part->stripe_size;
		o->number = part->number;
		o->target = part->target;
		return (int)part->node;
	}
	return o->target == PLACE_NONE ? d->job.node
				       : (int)place_writer(drain_place_of(&d->at, c->t),
						 o->target, c->t->sources[0].node);
}

int lead_hand_out(
	struct lead *c, const struct move_object *o, int node, struct lead_hand *h)
{
	struct drain *d = c->m->d;
	SCOPED_FREE char *path = NULL;

	h->remote = node != d->job.node;
	h->local.o = *o;
	if (!h->remote) {
		h->local.op.kind = NET_LOCAL;
		queue_put(&c->m->objects, &h->local.op.item);
		return 0;
	}
	if (asprintf(&path, "%s%s%s", c->l->dir, *c->l->dir ? "/" : "", c->temp) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	move_encode_object(o, path, &h->call.request);
	if (!buf_ok(&h->call.request)) {
		buf_release(&h->call.request);
		return -ENOMEM;
	}
	h->call.op.node = node;
	net_call(&c->m->net, &h->call);
	return 0;
}

void lead_take_back(struct lead *c, struct lead_hand *h, struct move_result *one)
{
	if (h->remote) {
		net_wait_call(&c->m->net, &h->call);
		move_decode_result(&h->call.answer, one);
		buf_release(&h->call.answer);
		buf_release(&h->call.request);
		return;
	}
	SCOPED_LOCK(&c->m->lock);
	while (!h->local.done)
		pthread_cond_wait(&c->m->changed, &c->m->lock);
	*one = h->local.result;
}

void lead_show(const struct lead *c, struct activity_call *call, const char *what)
{
	struct drain *d = c->m->d;

	activity_begin(&d->job.activity, call, what, drain_show_path, d,
		(uintptr_t)c->t->e.name);
}

int lead_sync(struct lead *c)
{
	struct activity_call call;
	int r;

	lead_show(c, &call, "syncing");
	r = fsync(c->fd) < 0 ? -errno : 0;
	activity_end(&c->m->d->job.activity, &call);
	return r;
}

static void write_striped(struct lead *c, const struct drain_task *t, bool can_move,
	struct move_result *res)
{
	SCOPED_FREE struct lead_hand *hands = calloc(c->count, sizeof(*hands));
	struct move_result one;
	uint64_t bytes = 0;
	uint32_t n = 0;
	bool mine = false;
	int r;

	if (!hands) {
		res->code = drain_fail(
			c->m->d, c->t->e.name, -ENOMEM, "objects", &res->err);
		return;
	}
	for (; n < c->count; n++) {
		struct move_object o;
		int node = fill_object(c, t, n, can_move, &o);

		if (lead_hand_out(c, &o, node, &hands[n]) < 0) {
			res->code = drain_fail(
				c->m->d, c->t->e.name, -ENOMEM, "objects", &res->err);
			break;
		}
		mine |= !hands[n].remote;
	}
	for (uint32_t i = 0; i < n; i++) {
		lead_take_back(c, &hands[i], &one);
		bytes += one.bytes;
		if (one.code < 0 && res->code == 0)
			*res = one;
	}
	res->bytes = bytes;
	/* Those written here share the descriptor; others have synced theirs. */
	if (res->code == 0 && mine && (r = lead_sync(c)) < 0) {
		res->code = drain_fail(c->m->d, c->t->e.name, r, "sync", &res->err);
		res->side = MOVE_TARGET;
		res->target = PLACE_NONE;
	}
}

void lead_set_size(struct lead *c, uint64_t size, struct move_result *res)
{
	struct activity_call call;
	int r;

	move_count(&c->m->d->rep->setattrs);
	lead_show(c, &call, "sizing");
	r = ftruncate(c->fd, (off_t)size) < 0 ? -errno : 0;
	activity_end(&c->m->d->job.activity, &call);
	if (r == 0)
		return;
	res->code = drain_fail(c->m->d, c->t->e.name, r, "size", &res->err);
	res->side = MOVE_TARGET;
	/* Of several it is any of them. */
	if (c->count == 1)
		res->target = target_of(c, 0);
}

void lead_write(struct lead *c, const struct drain_task *t, bool can_move,
	struct move_result *res)
{
	struct move_object o;

	if (c->count > 1) {
		write_striped(c, t, can_move, res);
		return;
	}
	fill_object(c, t, 0, can_move, &o);
	o.sync = true;
	move_write_object(c->l, &o, res);
}
