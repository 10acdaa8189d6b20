/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery: what a run that died left is finished or removed, alike on all nodes. Of one run
 * a node holds
 *
 *   N  nothing, or a tree that is not sealed
 *   S  the sealed tree
 *   R  the sealed tree, or what is not renamed of it, and the record
 *   P  everything in place, and the store's manifest has the ID of the run
 *
 * and these are found together after a death
 *
 *   before all have sealed              N S    removed
 *   while records are written           S R    finished, all had everything
 *   after a commit that failed, while
 *     records are taken back            S R    finished
 *     trees are removed, no record left N S    removed
 *   while files are renamed             R P    finished
 *   in here, see below                  S R, then R P, or N S
 *
 * To finish is two steps, S to R on all nodes, then R to P: were they mixed, P on one node and
 * S on another would look like a run that had not committed. N beside R is left by no death:
 * the storage was emptied, or the nodes are not the ones of that run. Then nothing is touched.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "stage/stage_internal.h"
#include "transport/transport.h"

/* A publication that began somewhere: its run, "" for none, and what it may replace. */
struct pending {
	char id[33];
	enum store_overwrite how;
};

/*
 * What this node has of publication @p; published is the ID of the store's manifest. A record
 * that is missing here goes into *mine, and *commit says so.
 */
static int find_part(struct stage *st, const struct pending *p, const char *published,
	struct pending *mine, bool *commit, struct ebt_err *err)
{
	char store[512];
	int sealed;

	if (strcmp(mine->id, p->id) == 0 || strcmp(published, p->id) == 0)
		return 0;
	text_name(store_path(st->store), store, sizeof(store));
	sealed = store_has_incoming(st->store, p->id);
	if (sealed < 0)
		return ebt_fail(err, sealed, "%s", store);
	if (!sealed || mine->id[0])
		return ebt_failx(err, -ENODATA,
			"%s: has nothing of run %s, which other nodes were publishing%s",
			store, p->id, stage_way_out(st, (char[STAGE_WAY_OUT]){0}));
	*mine = *p;
	*commit = true;
	return 0;
}

/* The record on every node that takes part in a publication; nothing unless all can do it. */
static int commit_all(struct stage *st, const struct pending *all, struct pending *mine,
	struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *own = NULL;
	bool commit = false;
	int r = store_manifest(st->store, &own, err);

	for (int i = 0; i < st->job.n_nodes && r == 0; i++) {
		if (all[i].id[0])
			r = find_part(st, &all[i], own ? own->id : "", mine, &commit, err);
	}
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	if (commit)
		r = store_commit(st->store, mine->id, mine->how, err);
	return job_agree_all(&st->job, r, err);
}

/* Collective. Finishes what has begun anywhere, on *done nodes, and removes the rest. */
static int roll_forward_all(struct stage *st, uint32_t *done, struct ebt_err *err)
{
	SCOPED_FREE struct pending *all = NULL;
	struct pending mine = {0};
	bool any = false;
	uint32_t n = 0;
	int r;

	r = store_pending(st->store, mine.id, &mine.how, err);
	all = calloc((size_t)st->job.n_nodes, sizeof(*all));
	if (r == 0 && !all)
		r = ebt_fail(err, -ENOMEM, "recovery");
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	transport_allgather_all(st->job.nodes, &mine, sizeof(mine), all);
	for (int i = 0; i < st->job.n_nodes; i++)
		any |= all[i].id[0] != '\0';
	if (any)
		r = commit_all(st, all, &mine, err);
	if (r < 0)
		return r;
	if (mine.id[0]) {
		log_warn(&st->job.log, "%s: finishing the publication of run %s, which was cut short",
			store_path(st->store), mine.id);
		r = stage_finish(st, err);
		n = r == 0;
	}
	if (r == 0)
		r = store_clean(st->store, NULL, err);
	transport_reduce_all(st->job.nodes, &n, 1, MPI_UINT32_T, MPI_SUM);
	if (done)
		*done = n;
	return job_agree_all(&st->job, r, err);
}

int stage_open_store_all(struct stage *st, bool create, uint32_t *recovered,
	struct ebt_err *err)
{
	char path[PATH_MAX];
	int r;

	r = job_expand(st->o->dest, "DEST", st->job.rank, path, sizeof(path), err);
	if (r == 0)
		r = store_open(path, create, &st->store, err);
	r = job_agree_all(&st->job, r, err);
	return r < 0 ? r : roll_forward_all(st, recovered, err);
}
