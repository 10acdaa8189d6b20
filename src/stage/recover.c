/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery: what a run that died left is finished or removed, alike on all nodes. Of one run
 * a node holds
 *
 *   N  nothing, or a tree that is not sealed
 *   S  the sealed tree
 *   R  the sealed tree, or what is not renamed of it, and the record
 *   P  everything in place, and the store's manifest has the ID of the run
 *   G  given up: `.ebt/gave_up` has the ID, the manifest what was in place by then
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
 *   in giving up (one step, R or S to G)  what was there, or G
 *
 * G beside R, S or P stays as it is, and the others go on as if it were not there: R beside G is
 * finished, S beside G removed. So it does not matter in which order nodes that can finish and a
 * node that cannot come to their ends, and whoever gives up needs nobody.
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
 * that is missing here goes into *mine, and *commit says so. Of a run that was given up a sealed
 * tree may be left for a moment: it has lost what is in place.
 */
static int find_part(struct stage *st, const struct pending *p, const char *published,
	struct pending *mine, bool *commit, struct ebt_err *err)
{
	char store[512];
	int sealed;

	if (strcmp(mine->id, p->id) == 0 || strcmp(published, p->id) == 0)
		return 0;
	text_name(store_path(st->store), store, sizeof(store));
	if (store_has_given_up(st->store, p->id)) {
		log_warn(&st->job.log,
			"%s: run %s was given up here, and is finished on other nodes",
			store, p->id);
		return 0;
	}
	sealed = store_has_incoming(st->store, p->id);
	if (sealed < 0)
		return ebt_fail(err, sealed, "%s", store);
	if (!sealed || mine->id[0])
		return ebt_failx(err, -ENODATA,
			"%s: has nothing of run %s, which other nodes were "
			"publishing%s",
			store, p->id, stage_way_out(st, (char[STAGE_WAY_OUT]){0}));
	*mine = *p;
	*commit = true;
	return 0;
}

/* The record on every node that takes part in a publication; nothing unless all can do it. */
static int commit_all(struct stage *st, const struct pending *all,
	const char *published, struct pending *mine, struct ebt_err *err)
{
	const char *seen = "";
	bool commit = false;
	int r = 0;

	/* Nearly always they are all of one run. */
	for (int i = 0; i < st->job.n_nodes && r == 0; i++) {
		if (!all[i].id[0] || strcmp(all[i].id, seen) == 0)
			continue;
		seen = all[i].id;
		r = find_part(st, &all[i], published, mine, &commit, err);
	}
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	if (commit)
		r = store_commit(st->store, mine->id, mine->how, err);
	return job_agree_all(&st->job, r, err);
}

static bool stopped(void *arg)
{
	return job_stopped(arg, NULL) < 0;
}

/* What dead runs left may be large: a stop request does not wait for it. */
static int clean(void *arg, struct ebt_err *err)
{
	struct stage *st = arg;
	int r;

	store_limit_removal(st->store, stopped, &st->job);
	r = store_clean(st->store, NULL, err);
	store_limit_removal(st->store, NULL, NULL);
	return r > 0 ? job_stopped(&st->job, err) : r;
}

struct looking {
	struct stage *st;
	char *published; /* 33 bytes */
	struct pending *mine;
};

/*
 * The run in the store's manifest goes into published. One that cannot be read is said before
 * anything moves: what is brought is merged into it, and publishing it again would be too late.
 */
static int look(void *arg, struct ebt_err *err)
{
	const struct looking *l = arg;
	struct stage *st = l->st;
	SCOPED_MANIFEST struct manifest *own = NULL;
	struct ebt_err why = {0};
	char out[STAGE_WAY_OUT];
	int r = store_manifest(st->store, &own, err);

	if (r < 0)
		return r;
	strcpy(l->published, own ? own->id : "");
	r = store_pending(st->store, l->mine->id, &l->mine->how, &why);
	return r == 0 ? 0
		      : ebt_failx(err, r, "%.600s%s", why.text, stage_way_out(st, out));
}

/* Collective. Finishes what has begun anywhere, on *done nodes, and removes the rest. */
static int roll_forward_all(struct stage *st, uint32_t *done, struct ebt_err *err)
{
	SCOPED_FREE struct pending *all = NULL;
	struct pending mine = {0};
	char published[33] = "";
	bool any = false;
	uint32_t n = 0;
	int r;

	r = job_away(&st->job, NULL, NULL, look,
		&(struct looking){st, published, &mine}, err);
	all = calloc((size_t)st->job.n_nodes, sizeof(*all));
	if (r == 0 && !all)
		r = ebt_fail(err, -ENOMEM, "recovery");
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	transport_allgather_all(&st->job.nodes, &mine, sizeof(mine), all);
	for (int i = 0; i < st->job.n_nodes; i++)
		any |= all[i].id[0] != '\0';
	if (any)
		r = commit_all(st, all, published, &mine, err);
	if (r < 0)
		return r;
	if (mine.id[0]) {
		log_warn(&st->job.log,
			"%s: finishing the publication of run %s, which was cut short",
			store_path(st->store), mine.id);
		r = stage_finish(st, err);
		n = r == 0;
	}
	if (r == 0)
		r = job_away(&st->job, NULL, NULL, clean, st, err);
	transport_reduce_all(&st->job.nodes, &n, 1, MPI_UINT32_T, MPI_SUM);
	if (done)
		*done = n;
	return job_agree_all(&st->job, r, err);
}

int stage_open_store_all(
	struct stage *st, bool create, uint32_t *recovered, struct ebt_err *err)
{
	int r = stage_lock_all(st, create ? STORE_CREATE : STORE_EXISTING, err);

	return r < 0 ? r : roll_forward_all(st, recovered, err);
}

struct giving_up {
	struct stage *st;
	uint32_t *n;
};

static int give_up_here(void *arg, struct ebt_err *err)
{
	const struct giving_up *g = arg;
	struct stage *st = g->st;
	struct store_gave_up gave;
	char store[512];
	int r = store_give_up(st->store, &st->job.log, &gave, err);

	if (r <= 0)
		return r;
	*g->n = 1;
	text_name(store_path(st->store), store, sizeof(store));
	if (!gave.id[0])
		log_warn(&st->job.log, "%s: gave up a run of which nothing is left",
			store);
	else if (gave.complete)
		log_warn(&st->job.log, "%s: run %s was in place already", store,
			gave.id);
	else
		log_warn(&st->job.log,
			"%s: gave up run %s, of which %llu files and links are in "
			"place "
			"and %llu are removed",
			store, gave.id, (unsigned long long)gave.in_place,
			(unsigned long long)gave.removed);
	return 0;
}

int stage_give_up_all(struct stage *st, uint32_t *done, struct ebt_err *err)
{
	struct ebt_err why = {0};
	uint32_t n = 0;
	int r = stage_lock_all(st, STORE_EXISTING, err), here;

	/* Whoever can gives up, and needs nobody for it. */
	here = st->store && store_locked(st->store)
		       ? job_away(&st->job, NULL, NULL, give_up_here,
				 &(struct giving_up){st, &n}, &why)
		       : 0;
	if (r == 0 && here < 0) {
		r = here;
		if (err)
			*err = why;
	}
	transport_reduce_all(&st->job.nodes, &n, 1, MPI_UINT32_T, MPI_SUM);
	*done = n;
	return job_agree_all(&st->job, r, err);
}
