/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times that stores cannot hold. Nobody can do more about them than to know: the files are
 * right, verifying and updating compare what the store makes of a time.
 */
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "stage/stage_internal.h"
#include "transport/transport.h"

#define TEXT 160

/* Files and links that show another time than their source. */
static uint64_t count_cut(const struct stage *st)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < st->b.m->count; i++) {
		const struct manifest_entry *e = &st->b.m->entries[i];

		n += e->kind != MANIFEST_DIR && manifest_needed(st->b.need, i) &&
		     (!st->b.m->times.unit ||
			     !manifest_same_time(st->b.m, e, e->mtime, e->mtime_ns));
	}
	return n;
}

static const char *date(int64_t t, char out[32])
{
	time_t when = t;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(out, 32, "%Y-%m-%d", &tm))
		snprintf(out, 32, "%lld", (long long)t);
	return out;
}

/* "in steps of 1 s, from 1901-12-13 to 2038-01-19" */
static void describe(const struct fsio_times *h, char out[TEXT])
{
	const struct fsio_times all = FSIO_TIMES_EXACT;
	char from[32], to[32];
	size_t len = 0;

	out[0] = '\0';
	if (h->unit > 1)
		len = (size_t)snprintf(
			out, TEXT, " in steps of %g s", (double)h->unit * 1e-9);
	if (h->min > all.min || h->max < all.max)
		snprintf(out + len, TEXT - len, "%s from %s to %s", len ? "," : "",
			date(h->min, from), date(h->max, to));
}

void stage_warn_times_all(struct stage *st)
{
	uint64_t n = st->warned_times ? 0 : count_cut(st), nodes = n > 0, first;
	char store[512], what[TEXT];

	/* The first of the nodes concerned speaks for all. */
	first = n ? (uint64_t)(st->job.n_nodes - st->job.node) : 0;
	transport_reduce_all(&st->job.nodes, &first, 1, MPI_UINT64_T, MPI_MAX);
	if (!first)
		return;
	st->warned_times = true;
	transport_reduce_all(&st->job.nodes, &nodes, 1, MPI_UINT64_T, MPI_SUM);
	if (first != (uint64_t)(st->job.n_nodes - st->job.node))
		return;
	text_name(store_path(st->store), store, sizeof(store));
	describe(&st->b.m->times, what);
	if (st->b.m->times.unit)
		log_warn(&st->job.log,
			"%s holds times%s: those of %llu files are cut (%llu of %d "
			"nodes)",
			store, what, (unsigned long long)n, (unsigned long long)nodes,
			st->job.n_nodes);
	else
		log_warn(&st->job.log,
			"%s does not keep times: --verify, --overwrite=update and "
			"ebt-drain take all files for changed (%llu of %d nodes)",
			store, (unsigned long long)nodes, st->job.n_nodes);
}
