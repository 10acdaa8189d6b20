/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the default layout of the destination leaves to choose: which targets inside its pools.
 *
 *	[0, 256K)  on the metadata server        nothing to choose
 *	[256K, 8M) 1 of pool "flash"             ends early: taken in turn, if the file is big
 *	[8M, end)  2 of pool "disk"              placed: a list of two targets of "disk"
 *
 * Components that end within DRAIN_EARLY bytes hold little of any file, and the file system's
 * round robin fills their targets alike. Of the others the one that holds most of a file, if
 * that is DRAIN_HEAVY or more, decides about its place. A big file with such a place brings as
 * much to the component before as every other does, but is one of few: these go round that
 * pool's targets by themselves, as the file system deals out all files alike, short or long.
 * Everything else about its layout stays
 * as the default has it. A file without such a component is created plainly, without a word
 * about layouts: a request less counts more. So are files where the default has kinds of
 * components that we do not know, or a pool whose members nobody tells.
 *
 * Each pool has a placement of its own over its targets, and the files that are created plainly
 * one over virtual targets, one a writer, which deals out the work of writing them. Pools that
 * overlap do not know of each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/drain_internal.h"
#include "transport/transport.h"

#define ARCHIVE_STRIPE (1u << 20) /* bytes: what a client sends as one request */

/* What the first node has found out, as all get it. */
struct found {
	struct pfs_policy policy;
	uint32_t n_pools; /* and behind it the pools, n_targets bytes each */
	char name[PFS_RULES_MAX][PFS_POOL_NAME];
	bool tiered;
};

void drain_pools_free(struct drain *d)
{
	for (uint32_t k = 0; k < d->at.n_pools; k++) {
		place_free(d->at.pools[k].place);
		free(d->at.pools[k].in);
	}
	free(TAKE(d->at.pools));
	free(TAKE(d->at.writes));
	d->at.n_pools = 0;
	place_free(TAKE(d->at.leads));
	d->at.place = NULL;
	d->at.tiered = false;
}

/* The targets of @name, if they are known, become a pool. */
static int find_pool(
	struct drain *d, const char *name, struct found *f, struct ebt_err *err)
{
	SCOPED_FREE bool *in = NULL;
	struct drain_pool *more;
	int r = 1;

	for (uint32_t k = 0; k < d->at.n_pools; k++) {
		if (strcmp(f->name[k], name) == 0)
			return 1;
	}
	in = calloc(d->at.targets->count + 1, sizeof(*in));
	more = reallocarray(d->at.pools, d->at.n_pools + 1, sizeof(*more));
	if (more)
		d->at.pools = more;
	if (!in || !more)
		return ebt_fail(err, -ENOMEM, "pools");
	if (*name)
		r = pfs_pool(
			d->dest.pfs, d->dest.visible, name, d->at.targets, in, err);
	else
		memset(in, true, d->at.targets->count);
	if (r < 0)
		return r;
	if (r == 0) {
		log_warn(&d->job.log,
			"%s: the targets of pool %s are not known: its files are "
			"placed by the file system",
			d->dest.path, name);
		return 0;
	}
	strcpy(f->name[d->at.n_pools], name);
	d->at.pools[d->at.n_pools] = (struct drain_pool){.in = TAKE(in)};
	f->n_pools = ++d->at.n_pools;
	return 1;
}

static bool can_choose(const struct pfs_rule *rule)
{
	return !rule->on_mdt && !rule->overstriped;
}

/* The first node. Without targets there is nothing to ask for. */
static int find_pools(struct drain *d, struct found *f, struct ebt_err *err)
{
	const char *pool = d->o->pool ? d->o->pool : "";
	int r = 0;

	if (!d->o->pool)
		pfs_policy_at(d->dest.pfs, d->dest.visible, &f->policy);
	if (d->o->pool && !pfs_pool_name_ok(pool))
		return ebt_failx(err, -EINVAL, "\"%s\" is no name of a pool", pool);
	f->tiered = f->policy.strange || f->policy.composite ||
		    f->policy.rule[0].overstriped;
	if (!f->tiered) {
		/* One range: all of it is ours to choose, but for the pool. */
		if (f->policy.n_rules && !d->o->pool)
			pool = f->policy.rule[0].pool;
		r = find_pool(d, pool, f, err);
		if (r == 0 && d->o->pool)
			return ebt_failx(err, -ENOENT,
				"%s: no pool \"%s\", or its targets are not known",
				d->dest.path, pool);
		f->tiered = r == 0;
	}
	for (uint32_t k = 0;
		f->tiered && !f->policy.strange && k < f->policy.n_rules && r >= 0;
		k++) {
		if (f->policy.composite && can_choose(&f->policy.rule[k]))
			r = find_pool(d, f->policy.rule[k].pool, f, err);
	}
	if (r >= 0 && d->at.n_pools == 0)
		r = find_pool(d, "", f, err);
	return r < 0 ? r : 0;
}

/* What find_pools did, on the other nodes. */
static int take_pools(struct drain *d, const struct found *f, const struct buf *b,
	struct ebt_err *err)
{
	size_t n = d->at.targets->count;

	d->at.pools = calloc(f->n_pools + 1, sizeof(*d->at.pools));
	for (uint32_t k = 0; d->at.pools && k < f->n_pools; k++) {
		d->at.pools[k].in = malloc(n + 1);
		if (!d->at.pools[k].in)
			return ebt_fail(err, -ENOMEM, "pools");
		d->at.n_pools++;
		memcpy(d->at.pools[k].in, b->data + sizeof(*f) + k * n, n);
	}
	return d->at.pools ? 0 : ebt_fail(err, -ENOMEM, "pools");
}

int drain_pools_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_FREE struct found *f = calloc(1, sizeof(*f));
	SCOPED_BUF struct buf b = {0};
	int r = f ? 0 : ebt_fail(err, -ENOMEM, "pools");

	if (r == 0 && d->job.node == 0 && d->at.targets)
		r = find_pools(d, f, err);
	if (r == 0 && d->job.node == 0) {
		buf_put(&b, f, sizeof(*f));
		for (uint32_t k = 0; k < d->at.n_pools; k++)
			buf_put(&b, d->at.pools[k].in, d->at.targets->count);
	}
	if (r == 0 && !buf_ok(&b))
		r = ebt_fail(err, -ENOMEM, "pools");
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&d->job.nodes, &b, 0, err);
	if (r < 0)
		return r;
	memcpy(f, b.data, sizeof(*f));
	if (d->job.node != 0 && d->at.targets)
		r = take_pools(d, f, &b, err);
	d->at.policy = f->policy;
	d->at.tiered = f->tiered;
	for (uint32_t k = 0; k < d->at.n_pools && r == 0; k++)
		memcpy(d->at.pools[k].name, f->name[k], PFS_POOL_NAME);
	/* Without targets of the file system: one placement, of virtual ones. */
	if (!d->at.targets && r == 0) {
		d->at.pools = calloc(1, sizeof(*d->at.pools));
		d->at.n_pools = d->at.pools != NULL;
		if (!d->at.pools)
			r = ebt_fail(err, -ENOMEM, "pools");
	}
	return job_agree_all(&d->job, r, err);
}

static uint32_t pool_of(const struct drain_at *at, const char *name)
{
	for (uint32_t k = 0; k < at->n_pools; k++) {
		if (strcmp(at->pools[k].name, name) == 0)
			return k;
	}
	return DRAIN_NO_POOL;
}

/* A stripe size fits the end of its component, or the file system refuses it. */
static uint32_t stripe_size(const struct drain_at *at, const struct pfs_rule *rule)
{
	uint64_t size =
		at->rules.stripe_size ? at->rules.stripe_size : rule->stripe_size;

	if (!size)
		size = PLACE_STRIPE_SIZE;
	while (rule->end != UINT64_MAX && rule->end % size && size > PLACE_STRIPE_UNIT)
		size = size / 2 / PLACE_STRIPE_UNIT * PLACE_STRIPE_UNIT;
	return (uint32_t)size;
}

static uint32_t stripes(const struct drain_at *at, const struct pfs_rule *rule)
{
	uint32_t most = at->rules.max_stripe_count, n = rule->count ? rule->count : 1;

	if (at->rules.stripe_count)
		n = at->rules.stripe_count;
	if (most && n > most)
		n = most;
	return n < PLACE_STRIPES_MAX ? n : PLACE_STRIPES_MAX;
}

/*
 * A default of one range and one stripe says nothing: it is what a file system has that nobody
 * has set up, and large files in one stripe would be slow. With a pool the stripe size is a
 * rule, and more stripes than one are.
 */
static void keep_one_range(const struct drain_at *at, struct drain_choice *c)
{
	const struct pfs_rule *rule = &at->policy.rule[0];

	if (rule->pool[0] || rule->count > 1)
		c->stripe_size = stripe_size(at, rule);
	if (rule->count > 1 && !at->rules.stripe_count)
		c->stripes = stripes(at, rule);
}

/* The early component of one object with most of @t, if that is worth a list. */
static void choose_early(
	const struct drain_at *at, const struct drain_task *t, struct drain_choice *c)
{
	const struct pfs_policy *p = &at->policy;
	uint64_t heaviest = 0;

	for (uint32_t k = 0; k < p->n_rules; k++) {
		uint64_t bytes = drain_task_bytes(t, p->rule[k].start, p->rule[k].end);
		uint32_t pool = pool_of(at, p->rule[k].pool);

		if (p->rule[k].end > DRAIN_EARLY || !can_choose(&p->rule[k]) ||
			p->rule[k].count > 1 || pool == DRAIN_NO_POOL ||
			bytes < DRAIN_HEAVY || bytes < heaviest)
			continue;
		heaviest = bytes;
		c->early = k + 1;
		c->early_pool = pool;
	}
}

/*
 * An archive often is all that comes. With few stripes a target some would have one less than
 * others, and nothing is there to level that: then its stripes are smaller.
 */
static uint32_t archive_stripe(const struct drain_at *at, uint64_t bytes)
{
	uint64_t each = at->targets ? bytes / (at->targets->count + 1) : bytes;

	return each < 20 * (uint64_t)PLACE_STRIPE_SIZE ? ARCHIVE_STRIPE
						       : PLACE_STRIPE_SIZE;
}

void drain_pool_choose(
	const struct drain_at *at, const struct drain_task *t, struct drain_choice *c)
{
	const struct pfs_policy *p = &at->policy;
	uint64_t heaviest = 0;

	*c = (struct drain_choice){.bytes = drain_task_bytes(t, 0, t->e.size)};
	if (c->bytes > t->e.size) /* pieces that overlap */
		c->bytes = t->e.size;
	if (!at->tiered) {
		keep_one_range(at, c);
		if (t->archive && !at->rules.stripe_size && !c->stripe_size)
			c->stripe_size = archive_stripe(at, c->bytes);
		return;
	}
	c->pool = DRAIN_NO_POOL;
	for (uint32_t k = 0; k < p->n_rules && !p->strange && p->composite; k++) {
		uint64_t bytes = drain_task_bytes(t, p->rule[k].start, p->rule[k].end);

		if (p->rule[k].end <= DRAIN_EARLY || bytes < DRAIN_HEAVY ||
			bytes < heaviest)
			continue;
		heaviest = bytes;
		c->tier = k + 1;
	}
	if (!c->tier || !can_choose(&p->rule[c->tier - 1]))
		c->tier = 0;
	if (c->tier)
		c->pool = pool_of(at, p->rule[c->tier - 1].pool);
	if (c->pool == DRAIN_NO_POOL) {
		c->tier = 0;
		return;
	}
	c->bytes = drain_task_bytes(
		t, p->rule[c->tier - 1].start, p->rule[c->tier - 1].end);
	c->stripe_size = stripe_size(at, &p->rule[c->tier - 1]);
	c->stripes = stripes(at, &p->rule[c->tier - 1]);
	choose_early(at, t, c);
}

uint32_t drain_position_of(const struct drain_at *at, uint32_t ost)
{
	for (uint32_t i = 0; i < at->n_targets; i++) {
		if (at->targets->target[i].index == ost)
			return i;
	}
	return PLACE_NONE;
}

struct pfs_stripes drain_pool_wish(
	const struct drain_at *at, const struct drain_task *t, uint32_t *osts)
{
	struct pfs_stripes wish = {.size = (uint32_t)t->stripe_size,
		.count = t->stripe_count,
		.osts = osts};

	for (uint32_t i = 0; i < t->stripe_count; i++)
		osts[i] = place_index(at->place, t->targets[i]);
	if (t->tier) {
		wish.policy = &at->policy;
		wish.rule = t->tier - 1;
		if (t->early) {
			osts[t->stripe_count] = place_index(at->place, t->early_target);
			wish.also = t->early - 1;
			wish.also_osts = &osts[t->stripe_count];
		}
	} else if (t->pool < at->n_pools) {
		wish.pool = at->pools[t->pool].name;
	}
	return wish;
}
