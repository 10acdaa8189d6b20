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
#include "base/text.h"
#include "codec/frames.h"
#include "drain/drain_internal.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"
#include "transport/transport.h"

/* Nodes up to which each may talk to each in an exchange: fewer endpoints would gain nothing. */
#define STRAIGHT 64

static void name_node(struct drain *d)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	if (d->o->run.per_rank)
		snprintf(
			d->node_name, sizeof(d->node_name), "%s.%d", host, d->job.rank);
	else
		snprintf(d->node_name, sizeof(d->node_name), "%s", host);
}

/* STORE, whose lock we have. */
static int look_at_store(struct drain *d, struct ebt_err *err)
{
	d->storefd = store_dirfd(d->store);
	d->store_path = strdup(store_real_path(d->store));
	return d->store_path ? 0
			     : ebt_fail(err, -ENOMEM, "STORE %s", store_path(d->store));
}

/* STORE only to look at: a lock would be a file in it, and so would be one of our own. */
static int peek_store(struct drain *d, const char *path, struct ebt_err *err)
{
	SCOPED_FD int own = -1;
	struct stat st;

	d->storefd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->storefd < 0)
		return errno == ENOENT ? 0 : ebt_fail(err, -errno, "STORE %s", path);
	d->store_path = realpath(path, NULL);
	if (!d->store_path)
		return ebt_fail(err, -errno, "STORE %s", path);
	own = drain_own_open(d->store_path);
	if (own < 0 && fstatat(d->storefd, ".ebt", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : ebt_fail(err, -errno, "%s/.ebt", path);
	if (own < 0)
		return ebt_failx(err, -EPERM,
			"%s/.ebt is a link, no directory, not ours or open to others",
			path);
	return drain_journal_read(d, own, err);
}

/* STORE itself. One that is missing is a mistake unless the user says not. */
static int find_store(struct drain *d, struct ebt_err *err)
{
	char path[PATH_MAX];
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
	return d->o->dry_run ? peek_store(d, path, err)
			     : store_name(path, STORE_CREATE, &d->store, err);
}

/* The lock, with the store made if needed. */
struct locking {
	struct drain *d;
	struct job_claim claim;
	char name[512];
};

static int take(void *arg, uint64_t *key, struct ebt_err *err)
{
	struct locking *l = arg;
	struct drain *d = l->d;
	int r = d->store ? 0 : place_rules_check(&d->at.rules, err);

	if (r == 0 && !d->store)
		r = find_store(d, err);
	if (r < 0 || d->o->dry_run)
		return r;
	l->claim.name = text_name(store_path(d->store), l->name, sizeof(l->name));
	r = store_lock(d->store, err);
	*key = store_identity(d->store);
	return r;
}

static void give_back(void *arg)
{
	struct locking *l = arg;

	if (l->d->store)
		store_unlock(l->d->store);
}

static int open_store_all(struct drain *d, struct ebt_err *err)
{
	struct locking l = {.d = d};
	int r;

	l.claim = (struct job_claim){.take = take, .give_back = give_back, .arg = &l};
	r = job_claim_all(&d->job, &l.claim, err);
	if (r == 0 && d->store)
		r = look_at_store(d, err);
	return r;
}

static const struct journal_head *head_of(const struct drain *d)
{
	return d->proof.journal ? journal_head(d->proof.journal) : NULL;
}

/* Another drain that is not finished would lose its proofs, and we its files. */
static int check_journal(const struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h = head_of(d);

	if (!h || drain_journal_same(d) || h->finished || d->o->restart)
		return 0;
	return ebt_failx(err, -EBUSY,
		"%s holds the journal of a drain to %s%s that is not finished (finish "
		"it, or "
		"forget it with --restart)",
		d->store_path, h->dest,
		h->atomic && !d->o->atomic ? " with --atomic" : "");
}

/* One id for all: that of the lowest node that has worked for this dest, or a new one. */
static int agree_id_all(struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h = head_of(d);
	int from = INT_MAX, r;

	r = job_agree_all(&d->job, check_journal(d, err), err);
	if (r < 0)
		return r;
	if (drain_journal_same(d))
		from = d->job.node;
	transport_reduce_all(&d->job.nodes, &from, 1, MPI_INT, MPI_MIN);
	d->dest.known = from != INT_MAX;
	if (from == INT_MAX)
		return job_new_id_all(&d->job, d->id, err);
	if (from == d->job.node)
		memcpy(d->id, h->id, sizeof(d->id));
	transport_bcast_all(&d->job.nodes, d->id, sizeof(d->id), from);
	return 0;
}

struct freeing {
	struct drain *d;
	const uint64_t *done;
};

static int free_local(void *arg, struct ebt_err *err)
{
	const struct freeing *f = arg;

	return drain_free(f->d, f->done, err);
}

/*
 * Collective. All that was to be done is. The journal ends before local files go: a later run
 * is not to take what that does to their directories for something new.
 */
static int end_all(struct drain *d, bool finished, uint64_t *done, struct ebt_err *err)
{
	int lost = d->proof.splits_lost;
	int r = d->pack.of && d->o->free_local ? pack_note_home(d, done, err) : 0;

	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = job_agree_all(
			&d->job, finished ? drain_journal_finish(d, err) : 0, err);

	if (r < 0 || !d->o->free_local)
		return r;
	if (d->o->conflict != EBT_CONFLICT_ERROR || d->pack.patterns)
		transport_reduce_all(&d->job.nodes, &lost, 1, MPI_INT, MPI_MAX);
	d->proof.splits_lost = lost;
	return job_away_all(&d->job, free_local, &(struct freeing){d, done}, err);
}

/* Collective. A bit for each output, set when it is in place. */
static int new_done_all(struct drain *d, uint64_t **done, struct ebt_err *err)
{
	*done = calloc((size_t)d->out.m->count / 64 + 1, sizeof(**done));
	return job_agree_all(
		&d->job, *done ? 0 : ebt_fail(err, -ENOMEM, "results"), err);
}

/* What --pack says, the same on all nodes. */
static int open_patterns(struct drain *d, struct ebt_err *err)
{
	SCOPED(frame_packer_freep) struct frame_packer *packer = NULL;
	int r = d->o->n_pack ? patterns_new(&d->pack.patterns, err) : 0;

	for (size_t i = 0; i < d->o->n_pack && r == 0; i++)
		r = patterns_add(d->pack.patterns, d->o->pack[i], err);
	if (r == 0 && d->o->n_pack)
		r = header_maker_new(&d->pack.maker, err);
	/* Better now than when all is planned. */
	if (r == 0 && pack_compresses(d))
		r = frame_packer_new(PACK_LEVEL, &packer, err);
	return r;
}

static int open_all(struct drain *d, struct ebt_err *err)
{
	int r;

	name_node(d);
	r = job_agree_all(&d->job, open_patterns(d, err), err);
	if (r < 0)
		return r;
	/*
	 * A project's directory says which group pays for what is in it. The user's own may have
	 * no room there at all.
	 */
	d->dest.inherits = d->o->no_owner || (geteuid() != 0 && !d->o->keep_group);
	d->at.rules = (struct place_rules){
		.stripe_count = d->o->stripe_count,
		.max_stripe_count = d->o->max_stripe_count,
		.stripe_size = d->o->stripe_size,
	};
	r = open_store_all(d, err);
	if (r == 0 && !d->o->dry_run)
		r = drain_journal_open(d, err);
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = drain_dest_resolve_all(d, err);
	if (r == 0)
		r = agree_id_all(d, err);
	return r < 0 ? r : drain_dest_open_all(d, err);
}

/* What belongs to one pass. */
static void pass_release(struct drain *d)
{
	pack_release(d);
	for (uint32_t i = 0; d->out.was && i < d->out.m->count; i++)
		free(d->out.was[i]);
	free(TAKE(d->out.was));
	drain_detours_free(d);
	manifest_free(TAKE(d->out.m));
	free(TAKE(d->out.verdict));
	free(TAKE(d->out.marks));
	free(TAKE(d->out.lacks));
	free(TAKE(d->out.partial));
	buf_release(&d->out.unread);
	for (uint32_t i = 0; i < d->own.n_dirs; i++)
		free(d->own.dirs[i].path);
	free(TAKE(d->own.dirs));
	d->own.n_dirs = 0;
	buf_release(&d->own.dirs_text);
	drain_missing_free(&d->missing);
	drain_task_free_list(TAKE(d->own.shared));
	drain_task_free_list(TAKE(d->tasks));
	drain_pools_free(d);
	pfs_targets_free(TAKE(d->at.targets));
}

static void drain_close(struct drain *d)
{
	pass_release(d);
	drain_forget(d);
	journal_close(d->proof.journal);
	buf_release(&d->proof.lost);
	buf_release(&d->looks);
	drain_losses_release(d);
	buf_release(&d->pass.gone);
	buf_release(&d->pass.waiting);
	pthread_mutex_destroy(&d->lost_lock);
	if (!d->store && d->storefd >= 0)
		close(d->storefd);
	store_close(d->store);
	free(d->pass.proven);
	free(d->store_path);
	free(d->dest.path);
	free(d->dest.visible);
	buf_release(&d->dest.made);
	if (d->dest.fd >= 0)
		close(d->dest.fd);
	if (d->calls.comm != MPI_COMM_NULL) {
		MPI_Comm_free(&d->calls.comm);
		MPI_Comm_free(&d->data.comm);
	}
	header_maker_free(d->pack.maker);
	patterns_free(d->pack.patterns);
	job_close(&d->job);
}

static int scan(void *arg, struct ebt_err *err)
{
	struct drain *d = arg;
	int r = drain_outputs(d, err);

	/* Of the run: further passes count it again. A watch goes on with a journal that is good. */
	if (d->proof.doubt.code && !d->rep->passes)
		drain_look(d, EBT_LOOK_DOUBT, ".ebt/drain", NULL, "%s",
			d->proof.doubt.text);
	else if (d->proof.doubt.code && d->o->watch <= 0)
		drain_look_quietly(d, EBT_LOOK_DOUBT, ".ebt/drain", NULL);
	if (r == 0 && d->o->watch > 0)
		r = drain_settle(d, err);
	if (r == 0)
		r = drain_mark_unread(d, err);
	if (r == 0 && d->o->watch <= 0)
		r = pack_pick(d, err);
	return r;
}

static int scan_all(struct drain *d, struct ebt_err *err)
{
	int r;

	watch_doing(d->job.nodes.watch, "scanning");
	d->pass.unsettled = 0;
	r = job_away_all(&d->job, scan, d, err);
	d->rep->scan += job_lap_all(&d->job);
	return r;
}

/* From the scan to the first byte. */
static int plan_all(struct drain *d, struct ebt_err *err)
{
	int r;

	watch_doing(d->job.nodes.watch, "merging");
	r = d->pack.patterns ? pack_names_all(d, err) : 0;
	if (r == 0)
		r = drain_merge_all(d, err);
	drain_note(d, "merged");
	if (r == 0)
		drain_lose_before(d);
	if (r == 0)
		r = drain_plan_all(d, err);
	drain_note(d, "planned");
	d->rep->merge += job_lap_all(&d->job);
	return r;
}

/* What a later run may still bring. */
static uint64_t unfinished(const struct ebt_drain_report *rep)
{
	return rep->looks[EBT_LOOK_MISSING] + rep->looks[EBT_LOOK_TORN] +
	       rep->looks[EBT_LOOK_GREW];
}

static int carry_out_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *done = NULL;
	uint64_t v[3], failed; /* not done, unsettled, not proven */
	int r = new_done_all(d, &done, err);

	watch_doing(d->job.nodes.watch, "writing");
	if (r == 0)
		r = drain_dirs_make_all(d, err);
	drain_note(d, "directories made");
	if (r == 0)
		drain_drop_missing(d);
	if (r == 0) {
		pack_draft(d);
		r = drain_move_all(d, done, err);
		pack_draft_end(d);
	}
	if (r == 0)
		r = pack_finish_all(d, done, err);
	d->rep->move += job_lap_all(&d->job);
	v[0] = unfinished(d->rep) +
	       d->pass.n_waiting; /* in this pass, the merge included */
	v[1] = d->pass.unsettled;
	v[2] = !d->proof.journaled || d->proof.lost.len;
	transport_reduce_all(&d->job.nodes, v, 3, MPI_UINT64_T, MPI_SUM);
	/* A further pass knows from the journals what this one has put in place. */
	d->pass.again = r == 0 && d->pass.turn == DRAIN_TRY && v[1] && !v[2];
	drain_let_go(d, !d->pass.again);
	watch_doing(d->job.nodes.watch, "publishing");
	failed = v[0];
	d->pass.complete = !failed;
	if (r == 0)
		r = drain_dirs_finish_all(d, err);
	drain_losses_all(d);
	if (r == 0 && d->pass.again) {
		d->rep->publish += job_lap_all(&d->job);
		return 0;
	}
	if (r == 0 && d->o->atomic && failed)
		r = ebt_failx(err, -EIO,
			"%s: %llu file%s not done, so nothing of it is shown",
			d->dest.path, (unsigned long long)failed,
			failed == 1 ? "" : "s");
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
	uint64_t missing = unfinished(d->rep);
	int r;

	for (const struct drain_task *t = d->tasks; t; t = t->next)
		missing++;
	for (uint32_t i = 0; i < d->own.n_dirs; i++)
		missing += !d->own.dirs[i].exists && !d->own.dirs[i].present;
	transport_reduce_all(&d->job.nodes, &missing, 1, MPI_UINT64_T, MPI_SUM);
	if (missing)
		return ebt_failx(err, -EEXIST,
			"DEST %s exists, and %llu of what is to be drained is not in "
			"it: an atomic "
			"drain makes it as a whole",
			d->dest.path, (unsigned long long)missing);
	if (d->o->dry_run)
		return 0;
	r = new_done_all(d, &done, err);
	return r < 0 ? r : end_all(d, true, done, err);
}

static int pass_all(struct drain *d, struct ebt_err *err)
{
	int r = scan_all(d, err);

	d->rep->passes++;
	d->pass.again = false;
	if (r == 0 && d->o->watch > 0 && drain_nothing_new_all(d)) {
		drain_note(d, "nothing new");
		return 0;
	}
	drain_forget(d);
	d->pass.complete = false;
	if (r == 0)
		r = plan_all(d, err);
	if (r == 0 && d->dest.published)
		return complete_all(d, err);
	if (r == 0 && !d->o->dry_run)
		r = carry_out_all(d, err);
	/* What is without attributes is told by each pass again. */
	if (r == 0 && d->o->watch > 0 && d->pass.complete && !d->lossy)
		drain_remember(d);
	return r;
}

/* All nodes: the first to be told to stop tells the others. */
static bool stopped_all(struct drain *d)
{
	int stop = job_stopped(&d->job, NULL) < 0;

	transport_reduce_all(&d->job.nodes, &stop, 1, MPI_INT, MPI_MAX);
	return stop != 0;
}

/*
 * Until the next pass; false if there is to be none. By the clock of the first node: each by
 * its own, some would ask once more whether to stop, and the others not be there.
 */
static bool wait_all(struct drain *d)
{
	double until = clock_now() + d->o->watch;
	int now[2]; /* somebody is to stop, the time is up */

	for (;;) {
		now[0] = job_stopped(&d->job, NULL) < 0;
		now[1] = d->job.node == 0 && clock_now() >= until;
		transport_reduce_all(&d->job.nodes, now, 2, MPI_INT, MPI_MAX);
		if (now[0] || now[1])
			return !now[0];
		job_nap(&d->job, 0.2);
	}
}

/* Again and again; what a stop request leaves undone is for a last drain without watching. */
static int watch_all(struct drain *d, struct ebt_err *err)
{
	int r;

	do {
		pass_release(d);
		/* What the last pass could not do is what counts, and what it left out. */
		drain_looks_forget(d);
		d->rep->skipped = d->rep->unchanged = 0;
		/* A store that had no room for a journal may have some by now. */
		r = job_agree_all(&d->job, drain_journal_begin(d, err), err);
		if (r == 0)
			r = pass_all(d, err);
		/* Calls may be interrupted for other reasons, which is a failure. */
		if (r == -EINTR && stopped_all(d)) {
			drain_looks_forget(d);
			return 0;
		}
	} while (r == 0 && wait_all(d));
	return r;
}

/* What is not as it was scanned is looked for once more, when all else is done. See again.c. */
static int settle_all(struct drain *d, struct ebt_err *err)
{
	struct ebt_drain_report *rep = d->rep, first;
	double since, pause = 0;
	int r;

	d->pass.turn =
		d->o->atomic || d->o->strict || d->o->dry_run ? DRAIN_ONCE : DRAIN_TRY;
	r = pass_all(d, err);
	since = clock_now();
	first = *rep;
	while (r == 0 && d->pass.again) {
		pass_release(d);
		drain_looks_forget(d);
		rep->skipped = rep->unchanged = 0;
		r = drain_again_wait_all(d, since, &pause, err);
		rep->publish += job_lap_all(&d->job);
		if (r == 0)
			r = pass_all(d, err);
		/* What is in place by now is so by this run. */
		rep->in_place = first.in_place;
		rep->conflicts = first.conflicts;
		rep->dropped = first.dropped;
	}
	if (r == 0)
		drain_tell_gone(d);
	return r;
}

static void open_comms_all(struct drain *d)
{
	const struct transport *t = &d->job.nodes;
	MPI_Comm made[2];
	MPI_Request req[2];

	for (int i = 0; i < 2; i++)
		MPI_Comm_idup(t->comm, &made[i], &req[i]);
	for (int i = 0; i < 2; i++)
		transport_wait(t, &req[i], TRANSPORT_ANY);
	d->calls = transport_of(made[0], t->watch);
	d->data = transport_of(made[1], t->watch);
	if (t->size > STRAIGHT)
		job_take_routes_all(&d->job);
}

static int drain_all(struct drain *d, struct ebt_err *err)
{
	int r;

	open_comms_all(d);
	transport_barrier_all(&d->job.nodes);
	d->rep->start = job_lap_all(&d->job);
	r = open_all(d, err);
	if (r == 0)
		r = d->o->watch > 0 && !d->o->dry_run ? watch_all(d, err)
						      : settle_all(d, err);
	drain_report_all(d);
	drain_root_release(d,
		d->rep->files + d->rep->dirs + d->rep->symlinks + d->rep->links == 0);
	return r < 0 ? r : drain_looks_all(d, err);
}

int ebt_drain_all(MPI_Comm comm, const struct ebt_drain_options *o,
	struct ebt_drain_report *report, struct ebt_err *err)
{
	struct ebt_drain_options all = *o; /* with what options say of others */
	struct drain d = {.o = &all,
		.dest.fd = -1,
		.storefd = -1,
		.rep = report,
		.calls = TRANSPORT_NONE};
	int parts[2], r; /* bytes are missing; names differ */

	if (all.atomic || all.strict) {
		all.strict = true;
		if (all.conflict == EBT_CONFLICT_AUTO)
			all.conflict = EBT_CONFLICT_ERROR;
		if (all.overwrite == EBT_OVERWRITE_AUTO)
			all.overwrite = EBT_OVERWRITE_REFUSE;
	}
	if (all.settle == 0)
		all.settle = EBT_DRAIN_SETTLE;
	else if (all.settle < 0)
		all.settle = 0;
	if (!all.settle_max)
		all.settle_max = EBT_DRAIN_SETTLE_MAX;
	memset(report, 0, sizeof(*report));
	pthread_mutex_init(&d.lost_lock, NULL);
	r = job_open_all(&d.job, comm, &o->run, err);
	if (r == 0 && d.job.nodes.comm != MPI_COMM_NULL)
		r = drain_all(&d, err);
	r = job_result_all(&d.job, r, err);
	parts[0] = drain_outcome(report) == EBT_DRAIN_PARTLY;
	parts[1] = drain_outcome(report) == EBT_DRAIN_BESIDE;
	transport_reduce_all(&d.job.comm, parts, 2, MPI_INT, MPI_MAX);
	drain_close(&d);
	return r < 0	  ? r
	       : parts[0] ? EBT_DRAIN_PARTLY
	       : parts[1] ? EBT_DRAIN_BESIDE
			  : EBT_DRAIN_WHOLE;
}
