/* SPDX-License-Identifier: BSD-3-Clause */
/* What a drain will do, and what it did. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "transport/transport.h"

#define LINES	32 /* targets named */
#define TARGETS 64 /* summed up at a time */

/* Bytes that are to go to a target, of those that are placed. */
static uint64_t planned(const struct drain_at *at, uint32_t target)
{
	uint64_t sum = 0;

	for (uint32_t k = 0; k < at->n_pools; k++)
		sum += place_planned(at->pools[k].place, target);
	return sum;
}

/* Of the pool that is least so. */
static double level(const struct drain_at *at)
{
	double most = 0;

	for (uint32_t k = 0; k < at->n_pools; k++) {
		double one = place_level(at->pools[k].place);

		most = one > most ? one : most;
	}
	return most;
}

static void say_targets(struct buf *b, const struct drain_at *at)
{
	char size[TEXT_SIZE];
	uint32_t n = 0;

	for (uint32_t i = 0; i < at->n_targets; i++) {
		uint64_t bytes = planned(at, i);

		if (at->targets && !pfs_target_usable(&at->targets->target[i])) {
			buf_printf(b,
				"  %s %u: not used (full, read-only, degraded or "
				"inactive)\n",
				"OST", place_index(at->place, i));
			continue;
		}
		if (n++ < LINES)
			buf_printf(b, "  %s %u: %s\n", at->targets ? "OST" : "writer",
				place_index(at->place, i),
				text_size((double)bytes, size));
	}
	if (n > LINES)
		buf_printf(b, "  ... and %u more\n", n - LINES);
}

int drain_describe(
	struct drain *d, const struct drain_summary *all, struct ebt_err *err)
{
	struct ebt_drain_report *rep = d->rep;
	SCOPED_BUF struct buf b = {0};
	char size[TEXT_SIZE];

	buf_printf(&b, "%llu files, %s, from %d node%s to %s (%s)\n",
		(unsigned long long)all->files,
		text_size((double)d->at.total_bytes, size), d->job.n_nodes,
		d->job.n_nodes == 1 ? "" : "s", d->dest.path, pfs_name(d->dest.pfs));
	if (all->archives)
		buf_printf(&b, "%llu archive%s of %llu outputs\n",
			(unsigned long long)all->archives,
			all->archives == 1 ? "" : "s", (unsigned long long)all->packed);
	buf_printf(&b,
		"%u writer%s, %s; predicted %.3f s with an owner for each target, %.3f "
		"s from "
		"where files are\n",
		rep->writers, rep->writers == 1 ? "" : "s",
		rep->home     ? "where the files are"
		: rep->direct ? "files from where they are"
			      : "each target has one",
		rep->predicted_owners, rep->predicted_direct);
	buf_printf(&b,
		"%u big file%s placed one by one, largest target by its share %.3f\n",
		all->big, all->big == 1 ? "" : "s", level(&d->at));
	if (d->at.tiered)
		buf_printf(&b,
			"layouts of files are those of the directory; targets are "
			"chosen in its pools, for what lies behind the first %s of a "
			"file\n",
			text_size(DRAIN_EARLY, size));
	say_targets(&b, &d->at);
	buf_put8(&b, 0);
	if (!buf_ok(&b))
		return ebt_fail(err, -ENOMEM, "plan");
	rep->plan = (char *)TAKE(b.data);
	return 0;
}

static void sum_targets(struct drain *d)
{
	struct ebt_drain_report *rep = d->rep;
	uint32_t n = rep->n_targets;
	uint32_t least = n, some;
	double v[4 * TARGETS];

	/* A node that failed early has none: then nobody tells. */
	transport_reduce_all(&d->job.nodes, &least, 1, MPI_UINT32_T, MPI_MIN);
	if (!least)
		return;
	for (uint32_t at = 0; at < least; at += some) {
		struct ebt_drain_target *t = rep->target + at;

		some = least - at < TARGETS ? least - at : TARGETS;
		for (uint32_t i = 0; i < some; i++) {
			v[4 * i] = (double)t[i].bytes;
			v[4 * i + 1] = (double)t[i].objects;
			v[4 * i + 2] = t[i].seconds;
			v[4 * i + 3] = t[i].avoided;
		}
		transport_reduce_all(
			&d->job.nodes, v, (int)(4 * some), MPI_DOUBLE, MPI_SUM);
		for (uint32_t i = 0; i < some; i++) {
			t[i].bytes = (uint64_t)v[4 * i];
			t[i].objects = (uint64_t)v[4 * i + 1];
			t[i].seconds = v[4 * i + 2];
			t[i].avoided = v[4 * i + 3] > 0;
		}
	}
	rep->n_targets = least;
}

void drain_report_all(struct drain *d)
{
	struct ebt_drain_report *rep = d->rep;
	uint64_t *const fields[] = {&rep->files, &rep->dirs, &rep->symlinks,
		&rep->links, &rep->bytes, &rep->skipped, &rep->unchanged,
		&rep->in_place, &rep->dropped, &rep->conflicts, &rep->retries,
		&rep->refused, &rep->freed, &rep->moved, &rep->creates, &rep->layouts,
		&rep->opens, &rep->setattrs, &rep->renames, &rep->mkdirs, &rep->others,
		&rep->reopened, &rep->archives, &rep->packed};
	enum { N = sizeof(fields) / sizeof(fields[0]) };
	uint64_t v[N];
	struct rusage use;

	for (int i = 0; i < N; i++)
		v[i] = *fields[i];
	transport_reduce_all(&d->job.nodes, v, N, MPI_UINT64_T, MPI_SUM);
	for (int i = 0; i < N; i++)
		*fields[i] = v[i];
	transport_reduce_all(
		&d->job.nodes, rep->looks, EBT_LOOKS, MPI_UINT64_T, MPI_SUM);
	sum_targets(d);
	getrusage(RUSAGE_SELF, &use);
	rep->max_rss = (uint64_t)use.ru_maxrss * 1024;
	transport_reduce_all(&d->job.nodes, &rep->max_rss, 1, MPI_UINT64_T, MPI_MAX);
	memcpy(rep->id, d->id, sizeof(rep->id));
	rep->root = d->dest.path ? strdup(d->dest.path) : NULL;
	rep->nodes = (uint32_t)d->job.n_nodes;
	rep->pfs = pfs_name(d->dest.pfs);
	rep->seconds = rep->scan + rep->merge + rep->move + rep->publish;
}

void ebt_drain_report_free(struct ebt_drain_report *report)
{
	free(report->root);
	free(report->target);
	free(report->plan);
	free(report->named);
	free(report->named_bytes);
	memset(report, 0, sizeof(*report));
}
