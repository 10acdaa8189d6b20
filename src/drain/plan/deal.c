/* SPDX-License-Identifier: BSD-3-Clause */
/* Each task gets the place that the placement has for it, and goes to its lead. */
#include <errno.h>
#include <stdlib.h>

#include "drain/plan/plan.h"
#include "transport/transport.h"

/* What has no content goes round the targets: its lead is the node that writes there. */
static uint32_t any_target(const struct drain *d, uint64_t n)
{
	uint32_t at = (uint32_t)(n % d->at.n_targets);

	while (!place_has(d->at.place, at))
		at = (at + 1) % d->at.n_targets;
	return at;
}

struct deal {
	struct drain *d;
	struct buf *out;
	struct share *shares;
	uint64_t others;
};

/* Its pool's targets one after the other, from the one that its small files are due at. */
static void run_of_targets(
	const struct place *p, uint32_t first, uint32_t n, uint32_t *to)
{
	for (uint32_t i = 0; i < n; i++) {
		to[i] = first;
		first = place_next(p, first);
	}
}

/* Usable target @k of a pool, round and round; PLACE_NONE: it has none. */
static uint32_t in_turn(
	const struct drain_at *at, const struct drain_pool *pool, uint32_t k)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < at->n_targets; i++)
		n += pool->in[i] && pfs_target_usable(&at->targets->target[i]);
	if (n == 0)
		return PLACE_NONE;
	k %= n;
	for (uint32_t i = 0;; i++) {
		if (!pool->in[i] || !pfs_target_usable(&at->targets->target[i]))
			continue;
		if (k-- == 0)
			return i;
	}
}

/* Who writes a file that is placed, or created plainly. */
static uint32_t lead_of_file(
	struct deal *x, struct drain_task *t, struct place_stripes *s, uint32_t *room)
{
	struct drain *d = x->d;
	struct drain_choice c;
	struct share *share;
	struct place *p;
	uint32_t target;

	drain_pool_choose(&d->at, t, &c);
	share = &x->shares[share_of(&d->at, c.pool)];
	p = c.pool == DRAIN_NO_POOL ? d->at.leads : d->at.pools[c.pool].place;
	t->pool = (uint8_t)c.pool;
	t->tier = (uint8_t)c.tier;
	if (t->big && c.early) {
		t->early_target =
			in_turn(&d->at, &d->at.pools[c.early_pool], share->next_big);
		t->early = t->early_target == PLACE_NONE ? 0 : (uint8_t)c.early;
	}
	if (t->big) {
		t->targets = (uint32_t *)place_big(p, share->next_big++, s);
		target = t->targets[0];
	} else {
		target = place_small(p, (uint32_t)d->job.node, share->dealt_bytes,
			share->dealt_files, c.bytes);
		share->dealt_bytes += c.bytes;
		share->dealt_files++;
		s->count = c.stripes ? c.stripes : 1;
		if (s->count > place_usable(p))
			s->count = place_usable(p);
		s->size = c.stripe_size ? c.stripe_size : d->at.rules.stripe_size;
		run_of_targets(p, target, s->count, room);
		t->targets = room;
	}
	if (c.pool == DRAIN_NO_POOL) {
		t->targets = NULL;
		s->count = 0;
	}
	return place_writer(p, target, t->sources[0].node);
}

/* Its place and its lead. */
static void deal_task(struct deal *x, struct drain_task *t)
{
	uint32_t room[PLACE_STRIPES_MAX], lead;
	struct place_stripes s = {.size = x->d->at.rules.stripe_size};
	struct drain *d = x->d;

	if (plan_has_content(t))
		lead = lead_of_file(x, t, &s, room);
	else
		lead = place_writer(d->at.place,
			any_target(d, x->others++ + (uint64_t)d->job.node),
			t->sources[0].node);
	t->stripe_count = s.count;
	t->stripe_size = s.size;
	drain_task_encode(t, &x->out[lead]);
	t->targets = NULL;
	t->stripe_count = 0;
}

static int take_tasks(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct reader r = reader_of(b->data, b->len);
	struct drain_task ***tail = arg;
	int code = 0;

	while (reader_left(&r) && code == 0) {
		code = drain_task_decode(&r, *tail, err);
		if (code == 0)
			*tail = &(**tail)->next;
	}
	return code;
}

int plan_deal_all(struct drain *d, struct drain_task *list, struct share *shares,
	struct ebt_err *err)
{
	uint32_t nodes = (uint32_t)d->job.n_nodes;
	SCOPED_FREE struct buf *out = calloc(nodes, sizeof(*out));
	struct deal x = {.d = d, .out = out, .shares = shares};
	struct drain_task **tail = &d->tasks;
	int r = out ? 0 : ebt_fail(err, -ENOMEM, "tasks");

	for (struct drain_task *t = list; t && r == 0; t = t->next)
		deal_task(&x, t);
	for (uint32_t i = 0; i < nodes && r == 0; i++)
		r = buf_ok(&out[i]) ? 0 : ebt_fail(err, -ENOMEM, "tasks");
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_exchange_all(&d->job.nodes, out, take_tasks, &tail, err);
	return r;
}
