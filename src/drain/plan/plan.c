/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From verdicts to tasks. Every node makes tasks of the files whose content it has
 * (tasks.c), and the owners of paths of those that several nodes have. Big files are told
 * to all nodes, of small ones only how many there are; from that everybody computes the same
 * placement (plan/place.h), and tasks go to their leads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "drain/plan/plan.h"
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

#define AMOUNTS 4
/* What one node has to drain, and sums over all. */
struct amount {
	uint64_t bytes, files;	   /* AMOUNTS */
	uint64_t archives, packed; /* those of its names, and what is in them */
};

static void count(
	const struct drain *d, const struct drain_task *list, struct amount *a)
{
	*a = (struct amount){.archives = d->rep->archives, .packed = d->rep->packed};
	for (const struct drain_task *t = list; t; t = t->next) {
		if (!plan_has_content(t))
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
		r = pfs_targets(d->dest.pfs, d->dest.visible, &d->at.targets, err);
	if (r > 0) {
		size = sizeof(*got) + d->at.targets->count * sizeof(got->target[0]);
		buf_put(&b, d->at.targets, size);
	}
	if (!buf_ok(&b))
		r = ebt_fail(err, -ENOMEM, "targets");
	r = job_agree_all(&d->job, r < 0 ? r : 0, err);
	if (r == 0)
		r = transport_bcast_buf_all(&d->job.nodes, &b, 0, err);
	if (r == 0 && d->job.node != 0 && b.len)
		d->at.targets = (struct pfs_targets *)TAKE(b.data);
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

static bool any_usable(const struct drain_at *at)
{
	for (size_t i = 0; i < at->targets->count; i++) {
		if (pfs_target_usable(&at->targets->target[i]))
			return true;
	}
	return false;
}

/* All, if none is: the file system may know better, and each file that finds no room is named. */
static uint32_t usable_targets(const struct drain_at *at)
{
	bool any = at->targets && any_usable(at);
	uint32_t n = 0;

	for (size_t i = 0; at->targets && i < at->targets->count; i++)
		n += !any || pfs_target_usable(&at->targets->target[i]);
	return n;
}

/*
 * Collective, d->at.writes has room: which nodes have something to write, how many these are, and
 * how much the fullest has. A file of several nodes is known to the owner of its path only.
 */
static int find_holders_all(struct drain *d, const struct drain_task *list,
	uint64_t *most, uint32_t *holders, struct ebt_err *err)
{
	int nodes = d->job.n_nodes;
	SCOPED_FREE uint64_t *have = calloc((size_t)nodes, sizeof(*have));
	int r = job_agree_all(
		&d->job, have ? 0 : ebt_fail(err, -ENOMEM, "writers"), err);

	*most = *holders = 0;
	if (r < 0)
		return r;
	for (const struct drain_task *t = list; t; t = t->next) {
		for (uint32_t i = 0; plan_has_content(t) && i < t->n_pieces; i++)
			have[t->sources[t->pieces[i].source].node] += t->pieces[i].len;
	}
	transport_reduce_all(&d->job.nodes, have, nodes, MPI_UINT64_T, MPI_SUM);
	for (int i = 0; i < nodes; i++) {
		d->at.writes[i] = have[i] > 0;
		*holders += have[i] > 0;
		*most = have[i] > *most ? have[i] : *most;
	}
	return 0;
}

/* How many nodes write: by the cost model, the same on all nodes. */
static int choose_writers_all(struct drain *d, const struct amount *all,
	const struct amount *most, uint32_t holders, uint32_t *writers,
	struct ebt_err *err)
{
	struct place_rates rates = rates_of(d);
	uint32_t nodes = (uint32_t)d->job.n_nodes, usable = usable_targets(&d->at);
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
	transport_bcast_all(&d->job.nodes, &rates, sizeof(rates), 0);
	*writers = d->o->writers < nodes ? d->o->writers : nodes;
	if (d->at.targets && d->o->strict && !any_usable(&d->at))
		return ebt_failx(err, -ENOSPC, "%s: no storage target takes files",
			d->dest.path);
	/* Without targets to own, every writer is as good as another. */
	w.holders = holders;
	w.targets = d->at.targets		  ? usable
		    : nodes < DRAIN_PLAIN_WRITERS ? nodes
						  : DRAIN_PLAIN_WRITERS;
	r = place_cost(&w, &rates, *writers, &c, err);
	if (r < 0)
		return r;
	*writers = c.chosen.writers;
	if (!c.is_home)
		free(TAKE(d->at.writes));
	d->rep->direct = c.is_direct;
	d->rep->home = c.is_home;
	d->rep->predicted = c.chosen.seconds;
	d->rep->predicted_owners = c.owners.seconds;
	d->rep->predicted_direct = c.direct.seconds;
	return 0;
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

	if (d->job.node == 0 && !d->at.targets && statvfs(d->dest.visible, &v) == 0 &&
		v.f_blocks)
		have = (uint64_t)v.f_bavail * v.f_frsize;
	tight = bytes > have;
	transport_bcast_all(&d->job.nodes, &tight, sizeof(tight), 0);
	d->at.tight = tight;
	if (tight && d->job.node == 0) {
		text_size((double)bytes, a);
		text_size((double)have, b);
		ebt_failx(&why, -ENOSPC, "%s needed, %s free", a, b);
		if (d->o->strict)
			r = ebt_failx(err, -ENOSPC, "%s: %s", d->dest.path, why.text);
		else
			plan_say_tight(d, why.text);
	}
	return job_agree_all(&d->job, r, err);
}

/* The first that it is in: EBT_DRAIN_NO_POOL is a number of none. */
static uint32_t pool_of(const struct drain_at *at, uint32_t target)
{
	for (uint32_t k = 0; at->targets && k < at->n_pools; k++) {
		if (at->pools[k].in[target])
			return k;
	}
	return at->targets ? EBT_DRAIN_NO_POOL : 0;
}

/* A later pass of the same drain adds up, and may have more of them. */
static int report_targets(struct drain *d, struct ebt_err *err)
{
	struct ebt_drain_report *rep = d->rep;
	struct ebt_drain_target *t;

	rep->writers = place_writers(d->at.place);
	if (rep->target && rep->n_targets >= d->at.n_targets)
		return 0;
	t = realloc(rep->target, ((size_t)d->at.n_targets + 1) * sizeof(*t));
	if (!t)
		return ebt_fail(err, -ENOMEM, "report");
	rep->target = t;
	for (uint32_t i = rep->n_targets; i < d->at.n_targets; i++) {
		t[i] = (struct ebt_drain_target){
			.index = d->at.targets ? d->at.targets->target[i].index : i,
			.pool = pool_of(&d->at, i),
			.unused = d->at.targets &&
				  !pfs_target_usable(&d->at.targets->target[i])};
	}
	rep->n_targets = d->at.n_targets;
	return 0;
}

int drain_plan_all(struct drain *d, struct ebt_err *err)
{
	SCOPED(drain_task_list_freep) struct drain_task *list = NULL;
	SCOPED_BUF struct buf big = {0};
	struct amount all, most;
	struct share *shares;
	uint32_t writers = 0, holders, usable, n_big = 0;
	uint64_t min;
	int r;

	free(d->at.writes);
	d->at.writes = calloc((size_t)d->job.n_nodes, sizeof(*d->at.writes));
	r = d->at.writes ? drain_make_tasks(d, &list, err)
			 : ebt_fail(err, -ENOMEM, "writers");
	r = job_agree_all(&d->job, r, err);
	if (r < 0)
		return r;
	count(d, list, &all);
	most = all;
	transport_reduce_all(&d->job.nodes, &all, AMOUNTS, MPI_UINT64_T, MPI_SUM);
	transport_reduce_all(&d->job.nodes, &most, AMOUNTS, MPI_UINT64_T, MPI_MAX);
	r = find_holders_all(d, list, &most.bytes, &holders, err);
	if (r < 0)
		return r;
	d->at.total_bytes = all.bytes;
	r = load_targets_all(d, err);
	if (r == 0)
		r = drain_pools_all(d, err);
	if (r == 0)
		r = check_space_all(d, all.bytes, err);
	if (r < 0)
		return r;
	if (!d->at.targets && d->o->stripe_count && d->job.node == 0)
		log_warn(&d->job.log, "%s: files cannot be placed on this file system",
			d->dest.path);
	r = job_agree_all(&d->job,
		choose_writers_all(d, &all, &most, holders, &writers, err), err);
	if (r < 0)
		return r;
	d->at.rules.plain = !d->at.targets;
	usable = d->at.targets ? usable_targets(&d->at) : writers;
	min = place_big_min(all.bytes, all.files, usable);
	r = shares_of_big_all(d, list, min, &big, &n_big, err);
	shares = r == 0 ? shares_new(d) : NULL;
	if (r == 0)
		r = shares_place_all(d, list, writers, &big, shares, err);
	if (r == 0)
		r = job_agree_all(&d->job, report_targets(d, err), err);
	if (r == 0 && d->o->dry_run) {
		if (d->job.node == 0)
			r = drain_describe(d,
				&(struct drain_summary){.files = all.files,
					.big = n_big,
					.archives = all.archives,
					.packed = all.packed},
				err);
		r = job_agree_all(&d->job, r, err);
	}
	if (r == 0)
		r = plan_deal_all(d, list, shares, err);
	shares_free(shares, d->at.n_pools + 1);
	return r;
}
