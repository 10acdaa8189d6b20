/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files in several components. Their objects are not there when the file is created: the first
 * component has some, the others get theirs when somebody writes there, a request each, or all
 * at once when the file gets its size. So it gets that first. Then its layout, which the client
 * has for the asking, says where each object really lies, and that decides who writes it: the
 * owner of its target, as long as it lies in a pool that is placed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drain/move/lead.h"

uint64_t move_other_layout(struct move_lane *l)
{
	const struct drain *d = l->m->d;
	struct pfs_policy p;
	char path[40];

	/* Directories that this drain made have the layout of dest, unless the user has another. */
	if (!d->at.targets || d->dest.fresh || d->o->pool || l->dirfd < 0)
		return 0;
	if (!l->asked) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", l->dirfd);
		pfs_policy_at(d->dest.pfs, path, &p);
		if (memcmp(&p, &d->at.policy, sizeof(p)) != 0)
			l->layout = digest_bytes(&p, sizeof(p)).lo | 1;
		l->asked = true;
	}
	return l->layout;
}

/* The placement of the pool that the component from @start on is of. */
static const struct place *place_of(const struct drain_at *at, uint64_t start)
{
	const struct pfs_policy *p = &at->policy;

	for (uint32_t k = 0; k < p->n_rules; k++) {
		if (p->rule[k].start != start)
			continue;
		for (uint32_t i = 0; i < at->n_pools; i++) {
			if (strcmp(at->pools[i].name, p->rule[k].pool) == 0)
				return at->pools[i].place;
		}
	}
	return NULL;
}

static void add(struct lead *c, const struct lead_object *o)
{
	const struct drain *d = c->m->d;
	const struct place *p = place_of(&d->at, o->start);
	struct lead_object *to = &c->objects[c->count++];

	*to = *o;
	to->node = (uint32_t)d->job.node;
	if (o->target != PLACE_NONE && p && place_has(p, o->target))
		to->node = place_writer(p, o->target, c->t->sources[0].node);
}

/* What has no object of ours to name, as data on the metadata server. */
static void add_gap(struct lead *c, uint64_t start, uint64_t end)
{
	struct lead_object o = {
		.start = start, .end = end, .stripe_count = 1, .target = PLACE_NONE};

	if (start < end && start < c->t->e.size)
		add(c, &o);
}

static void add_part(
	struct lead *c, const struct pfs_layout *l, const struct pfs_part *part)
{
	const struct drain *d = c->m->d;

	if (part->start >= c->t->e.size)
		return;
	for (uint32_t k = 0; k < part->stripe_count; k++) {
		struct lead_object o = {.start = part->start,
			.end = part->end,
			.stripe_size = part->stripe_size,
			.stripe_count = part->stripe_count,
			.number = k,
			.target = drain_position_of(&d->at, l->osts[part->first + k])};

		add(c, &o);
	}
}

/* Is the component that was placed on just those targets? */
static bool is_kept(const struct lead *c, const struct pfs_layout *l, uint32_t *osts)
{
	const struct drain *d = c->m->d;
	struct pfs_stripes wish = drain_pool_wish(&d->at, c->t, osts);

	return pfs_layout_keeps(l, &wish);
}

int lead_take_parts(struct lead *c)
{
	SCOPED_FREE uint32_t *osts = calloc(c->t->stripe_count + 1, sizeof(*osts));
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct drain *d = c->m->d;
	uint64_t at = 0;

	if (!osts)
		return -ENOMEM;
	/* Not known: its lead writes it from end to end. */
	if (pfs_layout_of(d->dest.pfs, c->fd, &l) <= 0) {
		move_count(&d->rep->refused);
		return 0;
	}
	c->placed = is_kept(c, l, osts);
	if (!c->placed)
		move_count(&d->rep->refused);
	c->objects = calloc((size_t)l->n_osts + l->n_parts + 1, sizeof(*c->objects));
	if (!c->objects)
		return -ENOMEM;
	c->count = 0;
	for (uint32_t k = 0; k < l->n_parts; at = l->parts[k++].end) {
		add_gap(c, at, l->parts[k].start);
		add_part(c, l, &l->parts[k]);
	}
	add_gap(c, at, UINT64_MAX);
	return 0;
}
