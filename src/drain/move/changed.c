/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sources that change while they are drained. They are asked once more when all of the file is
 * written, and what is not as it was scanned is not done, but in a last pass: see again.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "drain/move/lead.h"

/* Those elsewhere are asked all at once. Parts of archives are asked by themselves. */
int lead_check_sources(struct lead *c, enum net_refused *how, enum net_refused *changed,
	struct ebt_err *err)
{
	const struct drain_task *t = c->t;
	SCOPED_FREE struct move_question *q = calloc(t->n_sources, sizeof(*q));
	char name[DRAIN_PATH];
	uint32_t n = 0;
	int r = 0;

	*how = q ? NET_TAKEN : NET_ODD;
	if (!q)
		return drain_fail(c->m->d, t->e.name, -ENOMEM, "sources", err);
	for (uint32_t i = 0; i < t->n_sources; i++) {
		if (t->sources[i].of != DRAIN_OF_FILE)
			continue;
		q[n].source = t->sources[i];
		q[n++].want.what = NET_CHECK;
	}
	move_ask_all(c->m, &c->l->source, q, n);
	drain_path(c->m->d, t->e.name, name);
	for (uint32_t i = 0, k = 0; i < t->n_sources; i++) {
		enum net_refused refused;

		if (t->sources[i].of != DRAIN_OF_FILE)
			continue;
		refused = q[k].code < 0 ? q[k].refused : NET_TAKEN;
		if (q[k].code < 0 && r == 0)
			r = move_answer(&q[k], name, err);
		if (q[k].code < 0 && !refused)
			refused = NET_ODD;
		if (refused > *how)
			*how = refused;
		if (changed)
			changed[i] = refused;
		k++;
	}
	return r;
}

/*
 * A last pass: the file has changed since it was scanned. If all of it reads the same once more
 * it was that when the first reading ended, holes included, whatever came later. Pieces of
 * several nodes were put together by what they were when they were compared: that is torn.
 */
int lead_take_changed(struct lead *c, enum net_refused how, struct move_result *res)
{
	struct drain_piece all = {.len = c->t->e.size};
	struct drain_task whole = *c->t;
	struct move_object o;
	struct move_result again;

	c->taken = MOVE_TORN;
	if (how != NET_GREW || whole.n_sources > 1 || all.len > c->m->d->o->settle_max)
		return 0;
	whole.pieces = &all;
	whole.n_pieces = all.len > 0;
	o = (struct move_object){.t = &whole,
		.fd = c->fd,
		.end = UINT64_MAX,
		.stripe_count = 1,
		.target = PLACE_NONE};
	move_compare_object(c->l, &o, &again);
	if (again.code < 0 && again.side != MOVE_UNSTEADY) {
		*res = again;
		return again.code;
	}
	/* Also of the second reading nothing was missing. */
	if (again.code == 0) {
		lead_check_sources(c, &how, NULL, NULL);
		if (how <= NET_GREW)
			c->taken = MOVE_GREW;
	}
	return 0;
}
