/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small files that need no place: created without a word about their layout, a request less each,
 * they go to the targets in turn. Where one came to lie its client knows for the asking, so that
 * slow and failing targets are found out as ever, and a file that came to lie on one of those, or
 * where others wait already, is created anew with a place. Once that is dearer than a place for
 * each, or the turns turn out to be none (a default that names a target, a server that prefers
 * some), what is left is placed.
 */
#include "drain/move/lead.h"

#define TURNS_FACTOR 2 /* times its part: no target gets more */
#define TURNS_GRACE  8 /* files, and these */
/*
 * Of so many targets one may be bad: a file on it costs its creation and removal, and a placed
 * one's requests, all others a request less than that. That is even at a third of the targets.
 */
#define TURNS_BAD    4

bool drain_may_go_in_turn(const struct drain *d)
{
	const struct pfs_rule *rule = &d->at.policy.rule[0];

	/* All that the user, the default or want of room says about places is another rule. */
	return d->at.targets && !d->at.tiered && !d->at.tight && !d->o->pool &&
	       !d->at.rules.stripe_count && !d->at.rules.stripe_size &&
	       rule->count <= 1;
}

uint32_t drain_position_of(const struct drain *d, uint32_t ost)
{
	for (uint32_t i = 0; i < d->at.n_targets; i++) {
		if (d->at.targets->target[i].index == ost)
			return i;
	}
	return PLACE_NONE;
}

bool lead_goes_in_turn(const struct lead *c, uint32_t good)
{
	const struct drain_task *t = c->t;
	uint32_t usable = place_usable(c->m->d->at.place);

	return __atomic_load_n(&c->m->in_turn, __ATOMIC_RELAXED) && !t->big &&
	       t->stripe_count == 1 && (usable - good) * TURNS_BAD <= usable;
}

void lead_ends_turns(struct move *m)
{
	__atomic_store_n(&m->in_turn, false, __ATOMIC_RELAXED);
}

/* As far as this node can tell, which is not the only one that creates files. */
static bool in_turn(struct move *m, uint32_t target)
{
	uint32_t usable = place_usable(m->d->at.place);
	SCOPED_LOCK(&m->lock);

	m->n_turns++;
	return ++m->turns[target] <= TURNS_FACTOR * m->n_turns / usable + TURNS_GRACE;
}

bool lead_went_in_turn(struct lead *c, const struct pfs_layout *got)
{
	const struct drain *d = c->m->d;

	c->target = PLACE_NONE;
	if (got && got->n_parts == 1 && got->parts[0].start == 0 &&
		got->parts[0].end == UINT64_MAX && got->parts[0].stripe_count == 1)
		c->target = drain_position_of(d, got->osts[got->parts[0].first]);
	if (c->target == PLACE_NONE || !in_turn(c->m, c->target))
		lead_ends_turns(c->m);
	if (c->target == PLACE_NONE ||
		(!health_is_bad(&c->m->health, c->target) &&
			!health_is_late(&c->m->health, c->target)))
		return true;
	/* A late one is none to be replaced as bad ones are. */
	if (c->t->targets[0] == c->target)
		c->t->targets[0] = place_next(d->at.place, c->target);
	return false;
}
