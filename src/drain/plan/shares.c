/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Placement, pool by pool. Big files are told to all nodes, of small ones only how many there
 * are; from that everybody computes the same.
 */
#include <errno.h>
#include <stdlib.h>

#include "drain/plan/plan.h"
#include "transport/transport.h"

#define TURNS_FILES 8 /* in turn, a target: for fewer it is not worth the waiting */

static int take_big(void *arg, const struct buf *b, struct ebt_err *err)
{
	buf_put(arg, b->data, b->len);
	return buf_ok(arg) ? 0 : ebt_fail(err, -ENOMEM, "big files");
}

/* A big file, as all nodes know it. */
struct big_file {
	struct place_file f;
	uint64_t pool;
};

/* In the order of nodes; ids name node and place in it. */
int shares_of_big_all(struct drain *d, struct drain_task *list, uint64_t big_min,
	struct buf *all, uint32_t *n_all, struct ebt_err *err)
{
	SCOPED_BUF struct buf mine = {0};
	uint64_t n = 0;
	int r;

	for (struct drain_task *t = list; t; t = t->next) {
		struct drain_choice c;
		struct big_file big;

		drain_pool_choose(&d->at, t, &c);
		t->big = plan_has_content(t) && c.pool != DRAIN_NO_POOL &&
			 c.bytes >= big_min;
		if (!t->big)
			continue;
		big = (struct big_file){.f = {.size = c.bytes,
						.id = (uint64_t)d->job.node << 32 | n,
						.home = t->sources[0].node,
						.stripe_size = c.stripe_size,
						.stripes = c.stripes},
			.pool = c.pool};
		buf_put(&mine, &big, sizeof(big));
		n++;
	}
	r = job_agree_all(
		&d->job, buf_ok(&mine) ? 0 : ebt_fail(err, -ENOMEM, "big files"), err);
	if (r == 0)
		r = transport_collect_all(&d->job.nodes, &mine, take_big, all, err);
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&d->job.nodes, all, 0, err);
	*n_all = (uint32_t)(all->len / sizeof(struct big_file));
	return r;
}

void shares_free(struct share *s, uint32_t n)
{
	for (uint32_t k = 0; s && k < n; k++) {
		buf_release(&s[k].big);
		free(s[k].each);
		free(s[k].bytes);
		free(s[k].files);
	}
	free(s);
}

struct share *shares_new(const struct drain *d)
{
	struct share *s = calloc(d->at.n_pools + 1, sizeof(*s));
	size_t nodes = (size_t)d->job.n_nodes;
	bool ok = s != NULL;

	for (uint32_t k = 0; ok && k <= d->at.n_pools; k++) {
		s[k].each = calloc(nodes, sizeof(*s[k].each));
		s[k].bytes = calloc(nodes, sizeof(*s[k].bytes));
		s[k].files = calloc(nodes, sizeof(*s[k].files));
		ok = s[k].each && s[k].bytes && s[k].files;
	}
	if (ok)
		return s;
	shares_free(s, d->at.n_pools + 1);
	return NULL;
}

/* Big files by their pools; this node's own begin at next_big. */
static int split_big(const struct drain *d, const struct buf *all, struct share *s)
{
	const struct big_file *b = (const struct big_file *)all->data;
	size_t n = all->len / sizeof(*b);
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		struct share *to = &s[share_of(&d->at, (uint32_t)b[i].pool)];

		to->next_big += b[i].f.id >> 32 < (uint64_t)d->job.node;
		to->total++;
		buf_put(&to->big, &b[i].f, sizeof(b[i].f));
		ok &= buf_ok(&to->big);
	}
	return ok ? 0 : -ENOMEM;
}

/* Collective. Small files of all nodes. */
static int gather_small_all(
	struct drain *d, const struct drain_task *list, struct share *s)
{
	SCOPED_FREE struct small *mine = calloc(d->at.n_pools + 1, sizeof(*mine));
	bool ok = mine != NULL;
	int r;

	for (const struct drain_task *t = list; t && ok; t = t->next) {
		struct drain_choice c;
		struct small *a;

		if (!plan_has_content(t) || t->big)
			continue;
		drain_pool_choose(&d->at, t, &c);
		a = &mine[share_of(&d->at, c.pool)];
		a->bytes += c.bytes;
		a->files++;
		a->squares += (double)c.bytes * (double)c.bytes;
		a->max = c.bytes > a->max ? c.bytes : a->max;
	}
	r = job_agree_all(&d->job, ok ? 0 : -ENOMEM, NULL);
	for (uint32_t k = 0; k <= d->at.n_pools && r == 0; k++) {
		transport_allgather_all(
			&d->job.nodes, &mine[k], sizeof(mine[k]), s[k].each);
		for (int i = 0; i < d->job.n_nodes; i++) {
			const struct small *a = &s[k].each[i];

			s[k].bytes[i] = a->bytes;
			s[k].files[i] = a->files;
			s[k].total += a->files;
			s[k].small_files += a->files;
			s[k].small_squares += a->squares;
			if (a->max > s[k].small_max)
				s[k].small_max = a->max;
		}
	}
	return r;
}

/* Of @pool, or of all where nothing goes to it; with NULL virtual ones, one a writer. */
static uint32_t fill_targets(const struct drain *d, const struct drain_pool *pool,
	bool any, uint32_t writers, struct place_target *t)
{
	uint32_t n = 0;

	if (!d->at.targets || !pool) {
		for (; n < writers; n++)
			t[n] = (struct place_target){
				.avail = UINT64_MAX, .index = n, .usable = true};
		return n;
	}
	for (; n < d->at.targets->count; n++) {
		const struct pfs_target *from = &d->at.targets->target[n];

		t[n] = (struct place_target){.avail = from->avail,
			.index = from->index,
			.usable = pfs_target_usable(from) && (any || pool->in[n])};
	}
	return n;
}

/*
 * What fits is to come: as if there were room, where there is none of what the file system says.
 * Files that find none are named when they are tried.
 */
static void forget_room(
	const struct drain_pool *pool, struct place_target *t, uint32_t n)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++)
		any |= t[i].usable && t[i].avail;
	for (uint32_t i = 0; i < n; i++) {
		t[i].usable = any ? t[i].usable && t[i].avail : pool->in[i];
		t[i].avail = UINT64_MAX;
	}
}

void plan_say_tight(struct drain *d, const char *text)
{
	if (d->job.node == 0 && !d->at.said_tight)
		log_warn(&d->job.log, "%s: %s: what fits is brought", d->dest.path,
			text);
	d->at.said_tight = true;
}

static int place_share(struct drain *d, const struct share *s, uint32_t writers,
	struct drain_pool *pool, struct place **out, struct ebt_err *err)
{
	size_t most = d->at.n_targets > writers ? d->at.n_targets : writers;
	SCOPED_FREE struct place_target *targets = calloc(most + 1, sizeof(*targets));
	struct place_input in = {.big = (const struct place_file *)s->big.data,
		.n_big = (uint32_t)(s->big.len / sizeof(struct place_file)),
		.small_bytes = s->bytes,
		.small_files = s->files,
		.small_max = s->small_max,
		.targets = targets,
		.rules = d->at.rules,
		.nodes = (uint32_t)d->job.n_nodes,
		.writers = writers,
		.writes = d->at.writes};
	struct ebt_err why = {0}, whose = {0};
	int r;

	if (!targets)
		return ebt_fail(err, -ENOMEM, "placement");
	in.n_targets = fill_targets(d, pool, s->total == 0, writers, targets);
	r = place_new(&in, out, &why);
	if (r < 0 && pool && pool->name[0])
		ebt_failx(&whose, r, "pool %s: %.800s", pool->name, why.text);
	else if (r < 0)
		whose = why;
	if (r == -ENOSPC && d->at.targets && pool && !d->o->strict) {
		plan_say_tight(d, whose.text);
		d->at.tight = true;
		forget_room(pool, targets, in.n_targets);
		r = place_new(&in, out, &whose);
	}
	if (r < 0 && err)
		*err = whose;
	return r;
}

/* Where small files go may be left to the file system, if that levels them: move/in_turn.c. */
static bool may_go_in_turn(const struct drain *d, uint64_t files)
{
	const struct pfs_rule *rule = &d->at.policy.rule[0];

	/* All that the user, the default or want of room says about places is another rule. */
	return d->at.targets && !d->at.tiered && !d->at.tight && !d->o->pool &&
	       !d->at.rules.stripe_count && !d->at.rules.stripe_size &&
	       rule->count <= 1 &&
	       files >= (uint64_t)TURNS_FILES * place_usable(d->at.place);
}

int shares_place_all(struct drain *d, const struct drain_task *list, uint32_t writers,
	const struct buf *big, struct share *s, struct ebt_err *err)
{
	int r = s ? split_big(d, big, s) : -ENOMEM;

	d->at.n_targets = d->at.targets ? (uint32_t)d->at.targets->count : writers;
	r = job_agree_all(&d->job, r < 0 ? ebt_fail(err, r, "placement") : 0, err);
	if (r < 0)
		return r;
	r = gather_small_all(d, list, s);
	if (r < 0)
		return ebt_fail(err, r, "placement");
	for (uint32_t k = 0; k < d->at.n_pools && r == 0; k++)
		r = place_share(
			d, &s[k], writers, &d->at.pools[k], &d->at.pools[k].place, err);
	if (r == 0 && d->at.tiered)
		r = place_share(d, &s[d->at.n_pools], writers, NULL, &d->at.leads, err);
	d->at.place = d->at.pools[0].place;
	d->at.in_turn =
		r == 0 && may_go_in_turn(d, s[0].small_files) &&
		place_in_turn(d->at.place, s[0].small_files, s[0].small_squares);
	return job_agree_all(&d->job, r, err);
}
