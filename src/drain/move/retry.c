/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that a target failed, once more on others. Which target it was a write of one object
 * knows; a call for the whole file, as its creation, does not say. Then the file system is
 * asked, whose answer may be seconds old, and where it suspects nobody the targets are tried.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drain/move/lead.h"

/* A file of one byte on one target; with @wish NULL an empty one where the file system likes. */
static int try_target(struct lead *c, const struct pfs_stripes *wish)
{
	struct drain *d = c->m->d;
	char temp[sizeof(c->temp)];
	bool kept = true;
	int r = 0, fd;

	lead_temp(c->m, temp, sizeof(temp));
	move_count(&d->rep->creates);
	if (wish)
		move_count(&d->rep->layouts);
	fd = pfs_create(d->dest.pfs, c->dirfd, temp, 0600, wish, NULL, &kept, NULL);
	if (fd < 0)
		return fd;
	/* One that lies elsewhere says nothing. */
	if (wish && kept && (pwrite(fd, "", 1, 0) < 0 || fsync(fd) < 0))
		r = -errno;
	move_count(&d->rep->others);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (unlinkat(c->dirfd, temp, 0) < 0)
		log_warn(&d->job.log, "%s: cannot remove %s: %s", c->t->e.name, temp,
			strerror(errno));
	return r;
}

static enum health_why why_of(int code)
{
	return code == -ENOSPC	? HEALTH_FULL
	       : code == -EROFS ? HEALTH_READONLY
				: HEALTH_FAILING;
}

/* Marks those targets of the file that take nothing. */
static void try_targets(struct lead *c)
{
	struct drain *d = c->m->d;
	uint32_t ost;
	struct pfs_stripes wish = {.size = PLACE_STRIPE_SIZE,
		.count = 1,
		.osts = &ost,
		.pool = c->t->pool < d->at.n_pools ? d->at.pools[c->t->pool].name
						   : NULL};

	/* Not the targets' fault: no inodes left, say. */
	if (try_target(c, NULL) < 0)
		return;
	for (uint32_t i = 0; i < c->t->stripe_count && !move_stopped(c->m); i++) {
		int code;

		if (health_is_bad(&c->m->health, c->t->targets[i]))
			continue;
		ost = place_index(d->at.place, c->t->targets[i]);
		code = try_target(c, &wish);
		if (lead_target_fails(code))
			health_mark(&c->m->health, c->t->targets[i], why_of(code));
	}
}

/* Marks those targets of the file of which the file system says that they take nothing. */
static uint32_t ask_for_targets(struct lead *c, enum health_why why)
{
	SCOPED_TARGETS struct pfs_targets *now = NULL;
	struct move *m = c->m;
	uint32_t found = 0;

	if (pfs_targets(m->d->dest.pfs, m->d->dest.visible, &now, NULL) <= 0)
		return 0;
	for (uint32_t i = 0; i < c->t->stripe_count; i++) {
		uint32_t index = place_index(m->d->at.place, c->t->targets[i]);

		for (size_t k = 0; k < now->count; k++) {
			if (now->target[k].index != index ||
				pfs_target_usable(&now->target[k]))
				continue;
			health_mark(&m->health, c->t->targets[i], why);
			found++;
		}
	}
	return found;
}

/* Full, or failing: nothing new goes there from now on. @good targets before the attempt. */
static void blame(struct lead *c, const struct move_result *res, uint32_t good)
{
	enum health_why why = res->why ? res->why : why_of(res->code);
	struct health *h = &c->m->health;

	/* That was found out already, perhaps for a better reason. */
	if (why == HEALTH_SLOW)
		return;
	if (res->target != PLACE_NONE)
		health_mark(h, res->target, why);
	else if (c->m->d->at.targets && ask_for_targets(c, why) == 0 &&
		 health_good(h, drain_place_of(&c->m->d->at, c->t), NULL, 0) >= good)
		try_targets(c);
}

/* Errors after which no other file would fare better. */
static bool for_all(const struct lead *c, const struct move_result *res)
{
	if (res->code == -EDQUOT || res->side == MOVE_ALL)
		return true;
	return res->side == MOVE_TARGET && !c->m->d->at.targets &&
	       (res->code == -ENOSPC || res->code == -EROFS);
}

/* Over @n good targets or as many as there are; with none the file system may choose. */
static void restripe(struct lead *c, uint32_t n, uint64_t size)
{
	uint32_t *targets = calloc((size_t)n + 1, sizeof(*targets));

	if (!targets)
		return;
	c->t->stripe_count = health_good(
		&c->m->health, drain_place_of(&c->m->d->at, c->t), targets, n);
	c->t->stripe_size = size;
	free(TAKE(c->wide));
	c->wide = c->t->targets = targets;
}

/*
 * A second try has time to make up: over all good targets, so that none of them has much more
 * to do than the others. Not against the user's word.
 */
static void widen(struct lead *c)
{
	const struct place_rules *rules = &c->m->d->at.rules;
	uint64_t parts = c->t->e.size / PLACE_STRIPE_SIZE;
	uint32_t n =
		health_good(&c->m->health, drain_place_of(&c->m->d->at, c->t), NULL, 0);

	/* Nor against the default layout of the directory. */
	if (rules->stripe_count || rules->stripe_size || !c->t->stripe_count ||
		c->t->tier || c->m->d->at.policy.rule[0].count > 1)
		return;
	if (rules->max_stripe_count && n > rules->max_stripe_count)
		n = rules->max_stripe_count;
	if (n > parts)
		n = (uint32_t)parts;
	if (n > c->t->stripe_count)
		restripe(c, n, PLACE_STRIPE_SIZE);
}

/*
 * The file system chose, as nothing else was left, and what it chose did not work either. That is
 * about all files where there is no other pool, and it is no matter of room: smaller ones may fit.
 */
static void none_left(struct lead *c, struct move_result *res)
{
	const struct drain *d = c->m->d;
	struct ebt_err last = res->err;
	uint32_t others = 0;

	for (uint32_t k = 0; k < d->at.n_pools; k++)
		others += health_good(&c->m->health, d->at.pools[k].place, NULL, 0);
	ebt_failx(&res->err, res->code,
		"%s: no storage target is left that works: %.800s", d->dest.path,
		last.text);
	if (!others && !move_other_layout(c->l) && res->code != -ENOSPC)
		res->side = MOVE_ALL;
}

void lead_file(struct lead *c, struct move_result *res)
{
	SCOPED_FREE uint32_t *osts =
		calloc((size_t)c->m->d->at.n_targets + 1, sizeof(*osts));
	struct move *m = c->m;
	const struct place *place = drain_place_of(&m->d->at, c->t);
	uint64_t changed;
	uint32_t good = 0;
	bool first = true;

	*res = (struct move_result){.target = PLACE_NONE};
	if (!osts) {
		res->code = drain_fail(
			c->m->d, c->t->e.name, -ENOMEM, "targets", &res->err);
		return;
	}
	if (c->t->stripe_count && move_other_layout(c->l))
		c->t->stripe_count = c->t->tier = 0;
	for (int i = 0; i < MOVE_TRIES; first = false) {
		changed = 0;
		health_look(&m->health);
		good = health_good(&m->health, place, NULL, 0);
		if (m->d->at.targets && c->t->stripe_count &&
			!health_replace(&m->health, place, c->t->targets,
				c->t->stripe_count, c->t->e.size / c->t->stripe_count,
				&changed))
			restripe(c, c->t->stripe_count, c->t->stripe_size);
		else if (!first)
			widen(c);
		c->in_turn = first && lead_goes_in_turn(c);
		if (!first)
			c->t->early = 0;
		if (changed || !first)
			__atomic_add_fetch(&m->d->rep->retries, 1, __ATOMIC_RELAXED);
		for (int k = 0; k < MOVE_AGAINS; k++) {
			lead_try_file(c, osts,
				i + 1 < MOVE_TRIES && m->d->at.targets != NULL, res);
			if (res->code == 0 || res->side != MOVE_AGAIN)
				break;
		}
		if (res->code == 0 || res->side != MOVE_TARGET || !m->d->at.targets ||
			for_all(c, res))
			return;
		if (move_stopped(m)) {
			/* It would have been tried again: it is not what ends the drain. */
			res->side = MOVE_NOBODY;
			return;
		}
		/* Who refused a file that was for nobody in particular is not known. */
		if (c->in_turn && res->target == PLACE_NONE)
			lead_denies_turns(m);
		else
			blame(c, res, good);
		/* As long as bad targets are found out the next try has better ones. */
		i += health_good(&m->health, place, NULL, 0) >= good;
	}
	if (!good)
		none_left(c, res);
}
