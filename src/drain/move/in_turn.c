/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small files that need no place: created without a word about their layout, a request less each,
 * they go to the targets in turn. First one a target is placed: so a slow target keeps only its
 * owner waiting, where with turns each node would soon have some files there. When every target
 * has shown that it keeps up, or that it is bad, turns begin; if that takes long the next files
 * are placed as well. Where a file came to lie its client knows
 * for the asking, so that slow and failing targets are found out as ever, and a file that came to
 * lie on one of those, or where others wait already, is created anew with a place. Once that is
 * dearer than a place for each, or the turns turn out to be none (a default that names a target, a
 * server that prefers some), what is left is placed.
 */
#include "drain/move/lead.h"

#define TURNS_FACTOR 2 /* times its part: no target gets more, over all nodes */
#define TURNS_GRACE  8 /* files, and these */
/*
 * Of so many targets one may be bad: a file on it costs its creation and removal, and a placed
 * one's requests, all others a request less than that. That is even at a third of the targets.
 */
#define TURNS_BAD    4

bool lead_goes_in_turn(const struct lead *c)
{
	const struct drain_task *t = c->t;

	return __atomic_load_n(&c->m->turns, __ATOMIC_RELAXED) == TURNS_ON && !t->big &&
	       t->stripe_count == 1;
}

void lead_ends_hold(struct move *m)
{
	SCOPED_LOCK(&m->lock);

	if (m->hold)
		pthread_cond_broadcast(&m->changed);
	m->hold = false;
}

void lead_denies_turns(struct move *m)
{
	__atomic_store_n(&m->no_turns, true, __ATOMIC_RELAXED);
}

/* Bad ones are none to wait for, nor those where nothing is left to be written. */
static bool proven_locked(struct move *m)
{
	for (uint32_t i = 0; i + 1 < m->n_queues; i++) {
		if ((m->queue[i] || m->in_work[i]) && !health_is_bad(&m->health, i) &&
			!health_is_proven(&m->health, i))
			return false;
	}
	return true;
}

void lead_turns_vote(struct move *m, uint64_t *v)
{
	SCOPED_LOCK(&m->lock);

	v[TURNS_UNPROVEN] = m->turns == TURNS_FIRST && !proven_locked(m);
	v[TURNS_DENIED] = __atomic_load_n(&m->no_turns, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < m->d->at.n_targets; i++)
		v[TURNS_GOT + i] = m->got_turns[i];
}

/* Alike on all nodes, give or take a round: where only some place, that does not come out level. */
static bool go_on(struct move *m, const uint64_t *v)
{
	const struct place *p = m->d->at.place;
	uint32_t usable = place_usable(p);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < m->d->at.n_targets; i++)
		sum += v[TURNS_GOT + i];
	for (uint32_t i = 0; i < m->d->at.n_targets; i++) {
		if (v[TURNS_GOT + i] > TURNS_FACTOR * sum / usable + TURNS_GRACE)
			return false;
	}
	return !v[TURNS_DENIED] &&
	       (usable - health_good(&m->health, p, NULL, 0)) * TURNS_BAD <= usable;
}

void lead_turns_learn(struct move *m, const uint64_t *v)
{
	enum move_turns to = m->turns;

	if (to == TURNS_FIRST && !v[TURNS_UNPROVEN])
		to = TURNS_ON;
	if (to == TURNS_ON && !go_on(m, v))
		to = TURNS_OFF;
	if (to == m->turns)
		return;
	__atomic_store_n(&m->turns, to, __ATOMIC_RELAXED);
	lead_ends_hold(m);
}

bool lead_went_in_turn(struct lead *c, const struct pfs_layout *got)
{
	const struct drain *d = c->m->d;

	c->target = PLACE_NONE;
	if (got && got->n_parts == 1 && got->parts[0].start == 0 &&
		got->parts[0].end == UINT64_MAX && got->parts[0].stripe_count == 1)
		c->target = drain_position_of(&d->at, got->osts[got->parts[0].first]);
	if (c->target == PLACE_NONE) {
		lead_denies_turns(c->m);
		return true;
	}
	{
		SCOPED_LOCK(&c->m->lock);
		c->m->got_turns[c->target]++;
	}
	if (!health_is_bad(&c->m->health, c->target) &&
		!health_is_late(&c->m->health, c->target))
		return true;
	/* A late one is none to be replaced as bad ones are. */
	if (c->t->targets[0] == c->target)
		c->t->targets[0] = place_next(d->at.place, c->target);
	return false;
}
