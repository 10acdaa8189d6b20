/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From "all data in place" to "visible". Between the agreements lie the two promises: nobody
 * writes a record before everybody has verified everything, nobody renames before everybody
 * has written the record.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "stage/stage_internal.h"
#include "transport/transport.h"

#define NODES_NAMED 3
#define PATH_SHOWN  600

/* Do all nodes have the same header and entries [@from, @to)? */
static bool same_all(const struct stage *st, uint32_t from, uint32_t to)
{
	struct ebt_digest d = manifest_digest_range(st->b.m, from, to);
	uint64_t both[4] = {d.lo, d.hi, ~d.lo, ~d.hi};

	/* The maximum of a number and of its complement agree only if all are equal. */
	transport_reduce_all(&st->job.nodes, both, 4, MPI_UINT64_T, MPI_MAX);
	return both[0] == ~both[2] && both[1] == ~both[3];
}

static int compare_digests(const void *a, const void *b)
{
	const struct ebt_digest *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* The commonest of @n digests, of several the first node's or any. Sorts them. */
static struct ebt_digest commonest(struct ebt_digest *all, int n)
{
	struct ebt_digest first = all[0], best = first;
	int most = 0, run = 0;

	qsort(all, (size_t)n, sizeof(*all), compare_digests);
	for (int i = 0; i < n; i++) {
		run = i > 0 && digest_equal(all[i], all[i - 1]) ? run + 1 : 1;
		if (run < most || (run == most && !digest_equal(all[i], first)))
			continue;
		most = run;
		best = all[i];
	}
	return best;
}

/* The first nodes that @differs of, as people know them: "rank 3 on n034, 2 more". */
static void name_nodes_all(
	const struct stage *st, const bool *differs, char *out, size_t size)
{
	struct {
		char host[64];
		int rank;
	} who;
	size_t len = 0;
	int n = 0;

	for (int i = 0; i < st->job.n_nodes; i++) {
		if (!differs[i] || ++n > NODES_NAMED)
			continue;
		memset(&who, 0, sizeof(who));
		gethostname(who.host, sizeof(who.host) - 1);
		who.rank = st->job.rank;
		transport_bcast_all(&st->job.nodes, &who, sizeof(who), i);
		len += (size_t)snprintf(out + len, size - len, "%srank %d on %s",
			len ? ", " : "", who.rank, who.host);
	}
	if (n > NODES_NAMED)
		snprintf(out + len, size - len, ", %d more", n - NODES_NAMED);
}

/* Entry @i is not the same everywhere. Fails on the nodes that are not like most. */
static int blame_all(struct stage *st, uint32_t i, struct ebt_err *err)
{
	struct ebt_digest mine = manifest_digest_range(st->b.m, i, i + 1), best;
	int n = st->job.n_nodes, r;
	SCOPED_FREE struct ebt_digest *all = calloc(2 * (size_t)n, sizeof(*all));
	SCOPED_FREE bool *differs = calloc((size_t)n, sizeof(*differs));
	char path[PATH_SHOWN], shown[PATH_SHOWN], nodes[NODES_NAMED * 96 + 32] = "";

	r = all && differs ? 0 : ebt_fail(err, -ENOMEM, "digests");
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	transport_allgather_all(&st->job.nodes, &mine, sizeof(mine), all);
	memcpy(all + n, all, (size_t)n * sizeof(*all));
	best = commonest(all + n, n);
	for (int k = 0; k < n; k++)
		differs[k] = !digest_equal(all[k], best);
	name_nodes_all(st, differs, nodes, sizeof(nodes));
	if (!differs[st->job.node])
		return 0;
	if (manifest_path(st->b.m, i, path, sizeof(path)) < 0)
		snprintf(path, sizeof(path), "%.500s", st->b.m->entries[i].name);
	return ebt_failx(err, -EBADMSG, "%s: not what other nodes received: %s",
		text_name(path, shown, sizeof(shown)), nodes);
}

/* All nodes hold the same content, attributes and names: one number says so. */
static int agree_digest_all(struct stage *st, struct ebt_err *err)
{
	uint32_t lo = 0, hi = st->b.m->count, middle;

	if (same_all(st, lo, hi))
		return 0;
	/* Sources and counts travelled with the list of entries, long before. */
	if (!same_all(st, 0, 0))
		return ebt_failx(
			err, -EBADMSG, "nodes do not agree on what is to be staged");
	/* The first entry that differs lies in [lo, hi). Halves: as many digests as entries. */
	while (hi - lo > 1) {
		middle = lo + (hi - lo) / 2;
		if (same_all(st, lo, middle))
			lo = middle;
		else
			hi = middle;
	}
	return blame_all(st, lo, err);
}

const char *stage_way_out(const struct stage *st, char out[STAGE_WAY_OUT])
{
	char dest[256];

	snprintf(out, STAGE_WAY_OUT,
		" (to give it up: ebt-stage %s--recover --give-up %s)",
		st->o->run.per_rank ? "--per-rank " : "",
		text_name(st->o->dest, dest, sizeof(dest)));
	return out;
}

static int publish(void *arg, struct ebt_err *err)
{
	struct stage *st = arg;

	return store_publish(st->store, &st->job.log, err);
}

int stage_finish(struct stage *st, struct ebt_err *err)
{
	struct ebt_err why = {0};
	char out[STAGE_WAY_OUT];
	int r = job_away(
		&st->job, "publishing", store_path(st->store), publish, st, &why);

	return r == 0 ? 0
		      : ebt_failx(err, r, "%.600s; the next run tries again%s",
				why.text, stage_way_out(st, out));
}

/*
 * Somebody could not commit. No record may be left where trees are removed afterwards: that
 * could be on another node, and a death in between would leave it there.
 */
static bool uncommit_all(struct stage *st)
{
	struct ebt_err err = {0};
	int r = store_uncommit(st->store, st->id, &err);

	if (r < 0)
		log_warn(&st->job.log, "cleaning up: %s", err.text);
	return job_agree_all(&st->job, r, &err) == 0;
}

static int seal(void *arg, struct ebt_err *err)
{
	struct stage *st = arg;
	int r = store_seal(st->store, st->b.m, st->b.need, st->o->no_xattrs, err);

	/* Somebody may have made a target meanwhile; after the commit there is no way back. */
	if (r == 0)
		r = stage_check_conflicts(st, err);
	return r < 0 ? r : store_try(st->store, st->b.m, st->b.need, err);
}

static int commit(void *arg, struct ebt_err *err)
{
	struct stage *st = arg;

	return store_commit(st->store, st->id, stage_policy(st), err);
}

int stage_publish_all(struct stage *st, bool *keep, struct ebt_err *err)
{
	const char *store;
	int r;

	r = job_agree_all(&st->job, agree_digest_all(st, err), err);
	if (r < 0)
		return r;
	store = store_path(st->store);
	r = job_away(&st->job, "sealing", store, seal, st, err);
	if (r == 0)
		r = job_stopped(&st->job, err);
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	r = job_away(&st->job, "committing", store, commit, st, err);
	r = job_agree_all(&st->job, r, err);
	if (r < 0) {
		*keep = !uncommit_all(st);
		return r;
	}
	*keep = true;
	return job_agree_all(&st->job, stage_finish(st, err), err);
}
