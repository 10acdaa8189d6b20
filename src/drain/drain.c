/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A drain from end to end, once or again and again. Between the steps all nodes agree, so that
 * a failure anywhere is the same failure everywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "drain/drain_internal.h"
#include "fsio/fsio.h"
#include "transport/transport.h"

static void name_node(struct drain *d)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	if (d->o->run.per_rank)
		snprintf(d->node_name, sizeof(d->node_name), "%s.%d", host, d->job.rank);
	else
		snprintf(d->node_name, sizeof(d->node_name), "%s", host);
}

/* STORE itself, with its lock. One that is missing is a mistake unless the user says not. */
static int open_store(struct drain *d, struct ebt_err *err)
{
	char path[PATH_MAX], pending[33] = "";
	struct stat st;
	int r = job_expand(d->o->store, "STORE", d->job.rank, path, sizeof(path), err);

	if (r < 0)
		return r;
	if (stat(path, &st) < 0) {
		if (errno != ENOENT || !d->o->missing_ok)
			return ebt_fail(err, -errno, "STORE %s", path);
	} else if (!S_ISDIR(st.st_mode)) {
		return ebt_fail(err, -ENOTDIR, "STORE %s", path);
	}
	r = store_open(path, true, &d->store, err);
	if (r < 0)
		return r;
	d->store_path = realpath(path, NULL);
	if (!d->store_path)
		return ebt_fail(err, -errno, "STORE %s", path);
	r = store_pending(d->store, pending, NULL, err);
	if (r == 0 && pending[0])
		return ebt_failx(err, -EINPROGRESS,
			"%s: a publication was cut short here (see ebt-stage --recover)", path);
	return r;
}

static int open_journal(struct drain *d, struct ebt_err *err)
{
	SCOPED_FD int dot = openat(store_dirfd(d->store), ".ebt",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dot < 0)
		return ebt_fail(err, -errno, "%s/.ebt", d->store_path);
	return journal_open(dot, &d->journal, err);
}

/* The journal's drain went where this one goes. */
static bool same_drain(const struct drain *d, const struct journal_head *h)
{
	return h && strcmp(h->dest, d->root) == 0 && h->atomic == d->o->atomic;
}

/* Another drain that is not finished would lose its proofs, and we its files. */
static int check_journal(const struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h = journal_head(d->journal);

	if (!h || same_drain(d, h) || h->finished || d->o->restart)
		return 0;
	return ebt_failx(err, -EBUSY,
		"%s holds the journal of a drain to %s%s that is not finished (finish it, or "
		"forget it with --restart)",
		d->store_path, h->dest, h->atomic && !d->o->atomic ? " with --atomic" : "");
}

/* One id for all: that of the lowest node that has worked for this dest, or a new one. */
static int agree_id_all(struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h = journal_head(d->journal);
	int from = INT_MAX, r;

	r = job_agree_all(&d->job, check_journal(d, err), err);
	if (r < 0)
		return r;
	if (same_drain(d, h))
		from = d->job.node;
	transport_reduce_all(d->job.nodes, &from, 1, MPI_INT, MPI_MIN);
	d->known = from != INT_MAX;
	if (from == INT_MAX)
		return job_new_id_all(&d->job, d->id, err);
	if (from == d->job.node)
		memcpy(d->id, h->id, sizeof(d->id));
	transport_bcast_all(d->job.nodes, d->id, sizeof(d->id), from);
	return 0;
}

static int begin_journal(struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h = journal_head(d->journal);
	bool same = same_drain(d, h);
	int r;

	if (d->published || (same && !h->finished && strcmp(h->id, d->id) == 0))
		return 0;
	r = journal_begin(d->journal, d->id, d->root, d->o->atomic, same, err);
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	/* A full store is a good reason to drain it. */
	if (!d->unjournaled)
		log_warn(&d->job.log, "%s: no room for a journal: a drain that is killed begins anew, "
			"with --overwrite=update", d->store_path);
	d->unjournaled = true;
	journal_close(TAKE(d->journal));
	return 0;
}

/* A store that had no room for a journal may have some by now. */
static int retry_journal(struct drain *d, struct ebt_err *err)
{
	int r = d->journal ? 0 : open_journal(d, err);

	return r < 0 ? r : begin_journal(d, err);
}

/* The end has no room in a full store: then the next run sees that all is there. */
static int finish_journal(struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h = d->journal ? journal_head(d->journal) : NULL;
	int r = h && !h->finished ? journal_finish(d->journal, err) : 0;

	return r == -ENOSPC || r == -EDQUOT ? 0 : r;
}

/*
 * Collective. All that was to be done is. The journal ends before local files go: a later run
 * is not to take what that does to their directories for something new.
 */
static int end_all(struct drain *d, bool finished, const uint64_t *done, struct ebt_err *err)
{
	int r = job_agree_all(&d->job, finished ? finish_journal(d, err) : 0, err);

	if (r == 0 && d->o->free_local)
		r = job_agree_all(&d->job, drain_free(d, done, err), err);
	return r;
}

/* Collective. A bit for each output, set when it is in place. */
static int new_done_all(struct drain *d, uint64_t **done, struct ebt_err *err)
{
	*done = calloc((size_t)d->m->count / 64 + 1, sizeof(**done));
	return job_agree_all(&d->job, *done ? 0 : ebt_fail(err, -ENOMEM, "results"), err);
}

static int open_all(struct drain *d, struct ebt_err *err)
{
	int r;

	name_node(d);
	d->rules = (struct place_rules){
		.stripe_count = d->o->stripe_count,
		.max_stripe_count = d->o->max_stripe_count,
		.stripe_size = d->o->stripe_size,
	};
	r = place_rules_check(&d->rules, err);
	if (r == 0)
		r = open_store(d, err);
	if (r == 0)
		r = open_journal(d, err);
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = drain_dest_resolve_all(d, err);
	if (r == 0)
		r = agree_id_all(d, err);
	if (r == 0)
		r = drain_dest_open_all(d, err);
	if (r == 0 && !d->o->dry_run)
		r = job_agree_all(&d->job, begin_journal(d, err), err);
	return r;
}

/* What belongs to one pass. */
static void pass_release(struct drain *d)
{
	manifest_free(TAKE(d->m));
	free(TAKE(d->verdict));
	free(TAKE(d->suffixed));
	free(TAKE(d->replaces));
	for (uint32_t i = 0; i < d->n_dirs; i++)
		free(d->dirs[i].path);
	free(TAKE(d->dirs));
	d->n_dirs = 0;
	buf_release(&d->dirs_text);
	drain_task_free_list(TAKE(d->shared));
	drain_task_free_list(TAKE(d->tasks));
	place_free(TAKE(d->place));
	pfs_targets_free(TAKE(d->targets));
}

static void drain_close(struct drain *d)
{
	pass_release(d);
	drain_forget(d);
	journal_close(d->journal);
	store_close(d->store);
	free(d->store_path);
	free(d->root);
	free(d->visible);
	if (d->rootfd >= 0)
		close(d->rootfd);
	if (d->calls != MPI_COMM_NULL) {
		MPI_Comm_free(&d->calls);
		MPI_Comm_free(&d->data);
	}
	job_close(&d->job);
}

void drain_note(const struct drain *d, const char *step)
{
	if (d->job.node == 0)
		log_debug(&d->job.log, "%8.4f s %s", clock_now() - d->job.began, step);
}

static int scan_all(struct drain *d, struct ebt_err *err)
{
	int r = drain_outputs(d, err);

	if (r == 0 && d->o->watch > 0)
		r = drain_settle(d, err);
	r = job_agree_all(&d->job, r, err);
	d->rep->scan += job_lap_all(&d->job);
	return r;
}

/* From the scan to the first byte. */
static int plan_all(struct drain *d, struct ebt_err *err)
{
	int r = drain_merge_all(d, err);

	drain_note(d, "merged");
	if (r == 0)
		r = drain_plan_all(d, err);
	drain_note(d, "planned");
	d->rep->merge += job_lap_all(&d->job);
	return r;
}

static int carry_out_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *done = NULL;
	uint64_t failed;
	int r = new_done_all(d, &done, err);

	if (r == 0)
		r = drain_dirs_make_all(d, err);
	drain_note(d, "directories made");
	if (r == 0)
		r = drain_move_all(d, done, err);
	d->rep->move += job_lap_all(&d->job);
	failed = d->rep->failed; /* in this pass, the merge included */
	transport_reduce_all(d->job.nodes, &failed, 1, MPI_UINT64_T, MPI_SUM);
	d->complete = !failed;
	if (r == 0)
		r = drain_dirs_finish_all(d, err);
	if (r == 0 && d->o->atomic && failed)
		r = ebt_failx(err, -EIO, "%s: %llu file%s not done, so nothing of it is shown",
			d->root, (unsigned long long)failed, failed == 1 ? "" : "s");
	else if (r == 0 && d->o->atomic)
		r = drain_dest_publish_all(d, err);
	/* While the job runs its directories are not finished. */
	if (r == 0)
		r = end_all(d, !failed && d->o->watch <= 0, done, err);
	d->rep->publish += job_lap_all(&d->job);
	return r;
}

/* An atomic drain that was cut short after its rename: all there is to do is to see that. */
static int complete_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *done = NULL;
	uint64_t missing = d->rep->failed;
	int r;

	for (const struct drain_task *t = d->tasks; t; t = t->next)
		missing++;
	for (uint32_t i = 0; i < d->n_dirs; i++)
		missing += !d->dirs[i].exists && !d->dirs[i].present;
	transport_reduce_all(d->job.nodes, &missing, 1, MPI_UINT64_T, MPI_SUM);
	if (missing)
		return ebt_failx(err, -EEXIST,
			"DEST %s exists, and %llu of what is to be drained is not in it: an atomic "
			"drain makes it as a whole",
			d->root, (unsigned long long)missing);
	if (d->o->dry_run)
		return 0;
	r = new_done_all(d, &done, err);
	return r < 0 ? r : end_all(d, true, done, err);
}

static int pass_all(struct drain *d, struct ebt_err *err)
{
	int r = scan_all(d, err);

	d->rep->passes++;
	if (r == 0 && d->o->watch > 0 && drain_nothing_new_all(d)) {
		drain_note(d, "nothing new");
		return 0;
	}
	drain_forget(d);
	d->complete = false;
	if (r == 0)
		r = plan_all(d, err);
	if (r == 0 && d->published)
		return complete_all(d, err);
	if (r == 0 && !d->o->dry_run)
		r = carry_out_all(d, err);
	if (r == 0 && d->o->watch > 0 && d->complete)
		drain_remember(d);
	return r;
}

/* All nodes: the first to be told to stop tells the others. */
static bool wait_all(struct drain *d)
{
	double until = clock_now() + d->o->watch;
	int stop = 0;

	while (!stop && clock_now() < until) {
		stop = job_stopped(&d->job, NULL) < 0;
		transport_reduce_all(d->job.nodes, &stop, 1, MPI_INT, MPI_MAX);
		if (!stop)
			nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	}
	return !stop;
}

/* Again and again; what a stop request leaves undone is for a last drain without watching. */
static int watch_all(struct drain *d, struct ebt_err *err)
{
	int r;

	do {
		pass_release(d);
		/* What the last pass could not do is what counts, and what it left out. */
		d->rep->failed = d->rep->skipped = d->rep->unchanged = 0;
		r = job_agree_all(&d->job, retry_journal(d, err), err);
		if (r == 0)
			r = pass_all(d, err);
		if (r == -EINTR) {
			d->rep->failed = 0;
			return 0;
		}
		/* Something moved on between looking and comparing: the next pass sees more. */
		if (r == -ESTALE)
			r = 0;
	} while (r == 0 && wait_all(d));
	return r;
}

static void open_comms_all(struct drain *d)
{
	MPI_Request req[2];

	MPI_Comm_idup(d->job.nodes, &d->calls, &req[0]);
	MPI_Comm_idup(d->job.nodes, &d->data, &req[1]);
	transport_wait(&req[0]);
	transport_wait(&req[1]);
}

static int drain_all(struct drain *d, struct ebt_err *err)
{
	int r;

	open_comms_all(d);
	transport_barrier_all(d->job.nodes);
	d->rep->start = job_lap_all(&d->job);
	r = open_all(d, err);
	if (r == 0)
		r = d->o->watch > 0 && !d->o->dry_run ? watch_all(d, err) : pass_all(d, err);
	drain_report_all(d);
	return r;
}

int ebt_drain_all(MPI_Comm comm, const struct ebt_drain_options *o,
	struct ebt_drain_report *report, struct ebt_err *err)
{
	struct drain d = {.o = o, .rootfd = -1, .rep = report, .calls = MPI_COMM_NULL};
	int failed, r;

	memset(report, 0, sizeof(*report));
	r = job_open_all(&d.job, comm, &o->run, err);
	if (r == 0 && d.job.nodes != MPI_COMM_NULL)
		r = drain_all(&d, err);
	r = job_result_all(&d.job, r, err);
	failed = report->failed > 0;
	transport_reduce_all(d.job.comm, &failed, 1, MPI_INT, MPI_MAX);
	drain_close(&d);
	return r < 0 ? r : failed;
}
