/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From verdicts to tasks. Every node makes tasks of the files whose content it has
 * (plan_tasks.c), and the owners of paths of those that several nodes have. Big files are told
 * to all nodes, of small ones only how many there are; from that everybody computes the same
 * placement (plan/place.h), and tasks go to their leads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "plan/place_cost.h"
#include "transport/transport.h"

/* Bytes that come to lie on targets: holes do not. */
static uint64_t weight(const struct drain_task *t)
{
	uint64_t sum;

	if (t->in_place || t->e.kind != MANIFEST_FILE)
		return 0;
	sum = drain_task_bytes(t, 0, t->e.size);
	return sum < t->e.size ? sum : t->e.size;
}

static bool has_content(const struct drain_task *t)
{
	return !t->in_place && t->e.kind == MANIFEST_FILE;
}

#define AMOUNTS 2
/* What one node has to drain, and sums over all. */
struct amount {
	uint64_t bytes, files; /* AMOUNTS: what all nodes sum up first */
	uint64_t small_bytes, small_files, small_max;
	double small_squares; /* sum of the squares of their bytes */
};

static void count(const struct drain_task *list, struct amount *a)
{
	*a = (struct amount){0};
	for (const struct drain_task *t = list; t; t = t->next) {
		if (!has_content(t))
			continue;
		a->bytes += weight(t);
		a->files++;
	}
}

static int load_targets_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	const struct pfs_targets *got;
	size_t size;
	int r = 0;

	if (d->job.node == 0)
		r = pfs_targets(d->pfs, d->visible, &d->targets, err);
	if (r > 0) {
		size = sizeof(*got) + d->targets->count * sizeof(got->target[0]);
		buf_put(&b, d->targets, size);
	}
	if (!buf_ok(&b))
		r = ebt_fail(err, -ENOMEM, "targets");
	r = job_agree_all(&d->job, r < 0 ? r : 0, err);
	if (r == 0)
		r = transport_bcast_buf_all(d->job.nodes, &b, 0, err);
	if (r == 0 && d->job.node != 0 && b.len)
		d->targets = (struct pfs_targets *)TAKE(b.data);
	return r;
}

/* The user's figures or what is assumed. */
static struct place_rates rates_of(const struct drain *d)
{
	const struct ebt_drain_options *o = d->o;
	struct place_rates r = PLACE_RATES;
	double link = o->link > 0 ? o->link : job_find_link();

	if (link > 0)
		r.link = link;
	if (o->ost_rate > 0)
		r.ost = o->ost_rate;
	if (o->mds_rate > 0)
		r.mds = o->mds_rate;
	if (o->latency > 0)
		r.latency = o->latency;
	return r;
}

static bool any_usable(const struct drain *d)
{
	for (size_t i = 0; i < d->targets->count; i++) {
		if (pfs_target_usable(&d->targets->target[i]))
			return true;
	}
	return false;
}

/* All, if none is: the file system may know better, and each file that finds no room is named. */
static uint32_t usable_targets(const struct drain *d)
{
	bool any = d->targets && any_usable(d);
	uint32_t n = 0;

	for (size_t i = 0; d->targets && i < d->targets->count; i++)
		n += !any || pfs_target_usable(&d->targets->target[i]);
	return n;
}

/* Collective, d->writes has room: which nodes have something to write, and how many. */
static uint32_t find_holders_all(struct drain *d, bool mine)
{
	uint32_t n = 0;

	transport_allgather_all(d->job.nodes, &mine, sizeof(mine), d->writes);
	for (int i = 0; i < d->job.n_nodes; i++)
		n += d->writes[i];
	return n;
}

/* How many nodes write: by the cost model, the same on all nodes. */
static int choose_writers_all(struct drain *d, const struct amount *all,
	const struct amount *most, uint32_t holders, uint32_t *writers,
	struct ebt_err *err)
{
	struct place_rates rates = rates_of(d);
	uint32_t nodes = (uint32_t)d->job.n_nodes, usable = usable_targets(d);
	struct place_work w = {
		.bytes = all->bytes,
		.files = all->files,
		.most_bytes = most->bytes,
		.most_files = most->files,
		.nodes = nodes,
	};
	struct place_choice c = {0};
	int r;

	/* Nodes could find different link rates. */
	transport_bcast_all(d->job.nodes, &rates, sizeof(rates), 0);
	*writers = d->o->writers < nodes ? d->o->writers : nodes;
	if (d->targets && d->o->strict && !any_usable(d))
		return ebt_failx(
			err, -ENOSPC, "%s: no storage target takes files", d->root);
	/* Without targets to own, every writer is as good as another. */
	w.holders = holders;
	w.targets = d->targets			  ? usable
		    : nodes < DRAIN_PLAIN_WRITERS ? nodes
						  : DRAIN_PLAIN_WRITERS;
	r = place_cost(&w, &rates, *writers, &c, err);
	if (r < 0)
		return r;
	*writers = c.chosen.writers;
	if (!c.is_home)
		free(TAKE(d->writes));
	d->rep->direct = c.is_direct;
	d->rep->home = c.is_home;
	d->rep->predicted = c.chosen.seconds;
	d->rep->predicted_owners = c.owners.seconds;
	d->rep->predicted_direct = c.direct.seconds;
	return 0;
}

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

/* Collective. Every node's big files, in the order of nodes; ids name node and place in it. */
static int share_big_all(struct drain *d, struct drain_task *list, uint64_t big_min,
	struct buf *all, struct ebt_err *err)
{
	SCOPED_BUF struct buf mine = {0};
	uint64_t n = 0;
	int r;

	for (struct drain_task *t = list; t; t = t->next) {
		struct drain_choice c;
		struct big_file big;

		drain_pool_choose(d, t, &c);
		t->big =
			has_content(t) && c.pool != DRAIN_NO_POOL && c.bytes >= big_min;
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
		r = transport_collect_all(d->job.nodes, &mine, take_big, all, err);
	r = job_agree_all(&d->job, r, err);
	return r < 0 ? r : transport_bcast_buf_all(d->job.nodes, all, 0, err);
}

/* What goes to one pool, or by the file system's choice wherever it goes. */
struct share {
	struct buf big;	     /* struct place_file */
	struct amount *each; /* of each node */
	uint64_t *bytes, *files;
	uint64_t small_max, small_files, total;
	double small_squares;
	/* Of this node, when it deals them out. */
	uint32_t next_big;
	uint64_t dealt_bytes, dealt_files;
};

static void shares_free(struct share *s, uint32_t n)
{
	for (uint32_t k = 0; s && k < n; k++) {
		buf_release(&s[k].big);
		free(s[k].each);
		free(s[k].bytes);
		free(s[k].files);
	}
	free(s);
}

/* One for each pool, and one for what is created plainly. */
static struct share *shares_new(const struct drain *d)
{
	struct share *s = calloc(d->n_pools + 1, sizeof(*s));
	size_t nodes = (size_t)d->job.n_nodes;
	bool ok = s != NULL;

	for (uint32_t k = 0; ok && k <= d->n_pools; k++) {
		s[k].each = calloc(nodes, sizeof(*s[k].each));
		s[k].bytes = calloc(nodes, sizeof(*s[k].bytes));
		s[k].files = calloc(nodes, sizeof(*s[k].files));
		ok = s[k].each && s[k].bytes && s[k].files;
	}
	if (ok)
		return s;
	shares_free(s, d->n_pools + 1);
	return NULL;
}

static uint32_t share_of(const struct drain *d, uint32_t pool)
{
	return pool == DRAIN_NO_POOL ? d->n_pools : pool;
}

/* Big files by their pools; this node's own begin at next_big. */
static int split_big(const struct drain *d, const struct buf *all, struct share *s)
{
	const struct big_file *b = (const struct big_file *)all->data;
	size_t n = all->len / sizeof(*b);
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		struct share *to = &s[share_of(d, (uint32_t)b[i].pool)];

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
	SCOPED_FREE struct amount *mine = calloc(d->n_pools + 1, sizeof(*mine));
	bool ok = mine != NULL;
	int r;

	for (const struct drain_task *t = list; t && ok; t = t->next) {
		struct drain_choice c;
		struct amount *a;

		if (!has_content(t) || t->big)
			continue;
		drain_pool_choose(d, t, &c);
		a = &mine[share_of(d, c.pool)];
		a->small_bytes += c.bytes;
		a->small_files++;
		a->small_squares += (double)c.bytes * (double)c.bytes;
		a->small_max = c.bytes > a->small_max ? c.bytes : a->small_max;
	}
	r = job_agree_all(&d->job, ok ? 0 : -ENOMEM, NULL);
	for (uint32_t k = 0; k <= d->n_pools && r == 0; k++) {
		transport_allgather_all(
			d->job.nodes, &mine[k], sizeof(mine[k]), s[k].each);
		for (int i = 0; i < d->job.n_nodes; i++) {
			const struct amount *a = &s[k].each[i];

			s[k].bytes[i] = a->small_bytes;
			s[k].files[i] = a->small_files;
			s[k].total += a->small_files;
			s[k].small_files += a->small_files;
			s[k].small_squares += a->small_squares;
			if (a->small_max > s[k].small_max)
				s[k].small_max = a->small_max;
		}
	}
	return r;
}

/* Of @pool, or of all where nothing goes to it; with NULL virtual ones, one a writer. */
static uint32_t fill_targets(const struct drain *d, const struct drain_pool *pool,
	bool any, uint32_t writers, struct place_target *t)
{
	uint32_t n = 0;

	if (!d->targets || !pool) {
		for (; n < writers; n++)
			t[n] = (struct place_target){
				.avail = UINT64_MAX, .index = n, .usable = true};
		return n;
	}
	for (; n < d->targets->count; n++) {
		const struct pfs_target *from = &d->targets->target[n];

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

static void say_tight(struct drain *d, const char *text)
{
	if (d->job.node == 0 && !d->said_tight)
		log_warn(&d->job.log, "%s: %s: what fits is brought", d->root, text);
	d->said_tight = true;
}

static int place_share(struct drain *d, const struct share *s, uint32_t writers,
	struct drain_pool *pool, struct place **out, struct ebt_err *err)
{
	size_t most = d->n_targets > writers ? d->n_targets : writers;
	SCOPED_FREE struct place_target *targets = calloc(most + 1, sizeof(*targets));
	struct place_input in = {.big = (const struct place_file *)s->big.data,
		.n_big = (uint32_t)(s->big.len / sizeof(struct place_file)),
		.small_bytes = s->bytes,
		.small_files = s->files,
		.small_max = s->small_max,
		.targets = targets,
		.rules = d->rules,
		.nodes = (uint32_t)d->job.n_nodes,
		.writers = writers,
		.writes = d->writes};
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
	if (r == -ENOSPC && d->targets && pool && !d->o->strict) {
		say_tight(d, whose.text);
		d->tight = true;
		forget_room(pool, targets, in.n_targets);
		r = place_new(&in, out, &whose);
	}
	if (r < 0 && err)
		*err = whose;
	return r;
}

static int place_all(struct drain *d, const struct drain_task *list, uint32_t writers,
	const struct buf *big, struct share *s, struct ebt_err *err)
{
	int r = s ? split_big(d, big, s) : -ENOMEM;

	d->n_targets = d->targets ? (uint32_t)d->targets->count : writers;
	r = job_agree_all(&d->job, r < 0 ? ebt_fail(err, r, "placement") : 0, err);
	if (r < 0)
		return r;
	r = gather_small_all(d, list, s);
	if (r < 0)
		return ebt_fail(err, r, "placement");
	for (uint32_t k = 0; k < d->n_pools && r == 0; k++)
		r = place_share(
			d, &s[k], writers, &d->pools[k], &d->pools[k].place, err);
	if (r == 0 && d->tiered)
		r = place_share(d, &s[d->n_pools], writers, NULL, &d->leads, err);
	d->place = d->pools[0].place;
	d->in_turn = r == 0 && drain_may_go_in_turn(d) &&
		     place_in_turn(d->place, s[0].small_files, s[0].small_squares);
	return job_agree_all(&d->job, r, err);
}

/* What has no content goes round the targets: its lead is the node that writes there. */
static uint32_t any_target(const struct drain *d, uint64_t n)
{
	uint32_t at = (uint32_t)(n % d->n_targets);

	while (!place_has(d->place, at))
		at = (at + 1) % d->n_targets;
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
	const struct drain *d, const struct drain_pool *pool, uint32_t k)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n_targets; i++)
		n += pool->in[i] && pfs_target_usable(&d->targets->target[i]);
	if (n == 0)
		return PLACE_NONE;
	k %= n;
	for (uint32_t i = 0;; i++) {
		if (!pool->in[i] || !pfs_target_usable(&d->targets->target[i]))
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

	drain_pool_choose(d, t, &c);
	share = &x->shares[share_of(d, c.pool)];
	p = c.pool == DRAIN_NO_POOL ? d->leads : d->pools[c.pool].place;
	t->pool = (uint8_t)c.pool;
	t->tier = (uint8_t)c.tier;
	if (t->big && c.early) {
		t->early_target = in_turn(d, &d->pools[c.early_pool], share->next_big);
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
		s->size = c.stripe_size ? c.stripe_size : d->rules.stripe_size;
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
	struct place_stripes s = {.size = x->d->rules.stripe_size};
	struct drain *d = x->d;

	if (has_content(t))
		lead = lead_of_file(x, t, &s, room);
	else
		lead = place_writer(d->place,
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

static int deal_all(struct drain *d, struct drain_task *list, struct share *shares,
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
		r = transport_exchange_all(d->job.nodes, out, take_tasks, &tail, err);
	return r;
}

/*
 * Where the file system tells only its free space. With strict an error: better now than in the
 * middle. Else what fits comes, as df may be wrong, or room come back.
 */
static int check_space_all(struct drain *d, uint64_t bytes, struct ebt_err *err)
{
	char a[TEXT_SIZE], b[TEXT_SIZE];
	struct ebt_err why;
	struct statvfs v;
	uint64_t have = UINT64_MAX;
	int tight, r = 0;

	if (d->job.node == 0 && !d->targets && statvfs(d->visible, &v) == 0 &&
		v.f_blocks)
		have = (uint64_t)v.f_bavail * v.f_frsize;
	tight = bytes > have;
	transport_bcast_all(d->job.nodes, &tight, sizeof(tight), 0);
	d->tight = tight;
	if (tight && d->job.node == 0) {
		text_size((double)bytes, a);
		text_size((double)have, b);
		ebt_failx(&why, -ENOSPC, "%s needed, %s free", a, b);
		if (d->o->strict)
			r = ebt_failx(err, -ENOSPC, "%s: %s", d->root, why.text);
		else
			say_tight(d, why.text);
	}
	return job_agree_all(&d->job, r, err);
}

/* A later pass of the same drain adds up, and may have more of them. */
static int report_targets(struct drain *d, struct ebt_err *err)
{
	struct ebt_drain_report *rep = d->rep;
	struct ebt_drain_target *t;

	rep->writers = place_writers(d->place);
	if (rep->target && rep->n_targets >= d->n_targets)
		return 0;
	t = realloc(rep->target, ((size_t)d->n_targets + 1) * sizeof(*t));
	if (!t)
		return ebt_fail(err, -ENOMEM, "report");
	rep->target = t;
	for (uint32_t i = rep->n_targets; i < d->n_targets; i++) {
		t[i] = (struct ebt_drain_target){
			.index = d->targets ? d->targets->target[i].index : i,
			.unused = d->targets &&
				  !pfs_target_usable(&d->targets->target[i])};
	}
	rep->n_targets = d->n_targets;
	return 0;
}

int drain_plan_all(struct drain *d, struct ebt_err *err)
{
	SCOPED(drain_task_list_freep) struct drain_task *list = NULL;
	SCOPED_BUF struct buf big = {0};
	struct amount all, most;
	struct share *shares;
	uint32_t writers = 0, holders, usable;
	uint64_t min;
	int r;

	free(d->writes);
	d->writes = calloc((size_t)d->job.n_nodes, sizeof(*d->writes));
	r = d->writes ? drain_make_tasks(d, &list, err)
		      : ebt_fail(err, -ENOMEM, "writers");
	r = job_agree_all(&d->job, r, err);
	if (r < 0)
		return r;
	count(list, &all);
	most = all;
	holders = find_holders_all(d, all.bytes > 0);
	transport_reduce_all(d->job.nodes, &all, AMOUNTS, MPI_UINT64_T, MPI_SUM);
	transport_reduce_all(d->job.nodes, &most, AMOUNTS, MPI_UINT64_T, MPI_MAX);
	d->total_bytes = all.bytes;
	r = load_targets_all(d, err);
	if (r == 0)
		r = drain_pools_all(d, err);
	if (r == 0)
		r = check_space_all(d, all.bytes, err);
	if (r < 0)
		return r;
	if (!d->targets && d->o->stripe_count && d->job.node == 0)
		log_warn(&d->job.log, "%s: files cannot be placed on this file system",
			d->root);
	r = job_agree_all(&d->job,
		choose_writers_all(d, &all, &most, holders, &writers, err), err);
	if (r < 0)
		return r;
	d->rules.plain = !d->targets;
	usable = d->targets ? usable_targets(d) : writers;
	min = place_big_min(all.bytes, all.files, usable);
	r = share_big_all(d, list, min, &big, err);
	shares = r == 0 ? shares_new(d) : NULL;
	if (r == 0)
		r = place_all(d, list, writers, &big, shares, err);
	if (r == 0)
		r = job_agree_all(&d->job, report_targets(d, err), err);
	if (r == 0 && d->o->dry_run) {
		if (d->job.node == 0)
			r = drain_describe(d, all.files,
				(uint32_t)(big.len / sizeof(struct big_file)), err);
		r = job_agree_all(&d->job, r, err);
	}
	if (r == 0)
		r = deal_all(d, list, shares, err);
	shares_free(shares, d->n_pools + 1);
	return r;
}
