/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A staging run from end to end: scan, check, plan, stream, publish, report. Between the
 * steps all nodes agree, so that a failure anywhere is the same failure everywhere.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "pack/parcel.h"
#include "stage/report.h"
#include "stage/run.h"
#include "stream/stream.h"
#include "transport/transport.h"

static void find_cost(struct stage *st)
{
	const struct ebt_stage_options *o = st->o;

	st->cost = (struct cost_model){
		.link = o->link,
		.latency = o->latency > 0 ? o->latency : COST_LATENCY,
		.read = COST_READ,
		.write = COST_WRITE,
		.flat = o->fabric == EBT_FABRIC_FLAT,
	};
	if (st->cost.link <= 0 && st->job.node == 0)
		st->cost.link = job_find_link();
	if (st->cost.link <= 0) {
		st->cost.link = COST_LINK;
		st->link_assumed = true;
	}
	/* Nodes could find different rates, and would plan differently. */
	transport_bcast_all(&st->job.nodes, &st->cost, sizeof(st->cost), 0);
	transport_bcast_all(
		&st->job.nodes, &st->link_assumed, sizeof(st->link_assumed), 0);
}

int stage_open_all(struct stage *st, MPI_Comm comm, const struct ebt_stage_options *o,
	struct ebt_err *err)
{
	int r;

	memset(st, 0, sizeof(*st));
	st->o = o;
	st->treefd = -1;
	st->beside = TRANSPORT_NONE;
	r = job_open_all(&st->job, comm, &o->run, err);
	if (r == 0 && st->job.nodes.comm != MPI_COMM_NULL)
		find_cost(st);
	return r;
}

void stage_close(struct stage *st)
{
	if (st->treefd >= 0)
		close(st->treefd);
	stage_scan_close(st);
	if (st->beside.comm != MPI_COMM_NULL)
		MPI_Comm_free(&st->beside.comm);
	stage_batch_release(&st->b);
	pool_memory_free(&st->memory);
	stage_kept_release(&st->before);
	buf_release(&st->roots);
	buf_release(&st->archives);
	manifest_free(st->old);
	store_close(st->store);
	job_close(&st->job);
}

/* For -vv: where the time before the stream goes. */
static void note_step(const struct stage *st, const char *step)
{
	if (st->job.node == 0)
		log_debug(
			&st->job.log, "%8.4f s %s", clock_now() - st->job.began, step);
}

static void note_plan(const struct stage *st)
{
	const struct plan *p = st->b.plan;
	char bytes[TEXT_SIZE], parcel[TEXT_SIZE];

	if (st->job.node == 0 && p)
		log_debug(&st->job.log,
			"batch %u: %s, %u readers, %s in parcels of %s, predicted "
			"%.4f s",
			st->batches, text_size((double)p->bytes, bytes), p->n_streams,
			schedule_name(p->algo), text_size((double)p->parcel, parcel),
			p->predicted);
}

/* The next batch, from the scan to its plan. */
static int plan_all(
	struct stage *st, struct stage_times *t, bool *more, struct ebt_err *err)
{
	int r;

	watch_doing(st->job.nodes.watch, "scanning");
	r = stage_scan_next_all(st, more, err);
	note_step(st, "scanned");
	if (r == 0)
		r = stage_compare_all(st, err);
	note_step(st, "compared");
	if (r == 0)
		r = stage_layouts_all(st, err);
	note_step(st, "layouts known");
	if (r == 0)
		r = job_agree_all(&st->job, stage_plan_all(st, err), err);
	note_step(st, "planned");
	note_plan(st);
	if (r == 0 && st->store)
		r = stage_space_all(st, err);
	note_step(st, "space checked");
	if (st->b.m)
		memcpy(st->b.m->id, st->id, sizeof(st->id));
	t->scan += job_lap_all(&st->job);
	return r;
}

static int abandon(void *arg, struct ebt_err *err)
{
	struct stage *st = arg;

	return store_abandon(st->store, st->id, err);
}

/*
 * Collective. Nothing of the run is left. Where ranks share a machine one may have made the
 * directory in which the stores of others lie, and has to wait until these are gone.
 */
static void abandon_all(struct stage *st)
{
	bool locked = st->store && store_locked(st->store);
	struct ebt_err err = {0};
	int again = st->o->run.per_rank;

	if (locked)
		store_limit_removal(
			st->store, st->o->run.hurried, st->o->run.hurried_arg);
	if (locked && job_away(&st->job, "cleaning up", store_path(st->store), abandon,
			      st, &err) < 0)
		log_warn(&st->job.log, "cleaning up: %s", err.text);
	while (again) {
		transport_barrier_all(&st->job.nodes);
		again = st->store && store_unmake(st->store);
		transport_reduce_all(&st->job.nodes, &again, 1, MPI_INT, MPI_MAX);
	}
}

/* All content of the batch into incoming of all nodes. */
static int stream_into_all(struct stage *st, bool more, struct ebt_err *err)
{
	struct stream_input in = {
		.job = &st->job,
		.id = st->id,
		.m = st->b.m,
		.need = stage_moves(st),
		.plan = st->b.plan,
		.io_threads = stage_io_threads(st->o),
		.write_threads = stage_write_threads(st->o),
		.window = stage_window(st->o),
		.memory = &st->memory,
		.ahead = st->b.ahead,
		.feed = st->b.feed,
		.compress = st->compress,
		.watch = &st->watch,
		.before = st->sum.bytes,
	};
	struct stream_result res = {0};
	int r = st->treefd < 0 ? store_begin(st->store, st->id, &st->treefd, err) : 0;

	if (r == 0 && !st->memory.at)
		r = pool_memory_new(&st->memory, stage_pool(st), err);
	if (r == 0)
		r = store_can_hold(st->store, st->b.m, st->b.need, err);
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	stage_warn_times_all(st);
	watch_doing(st->job.nodes.watch, "streaming");
	in.treefd = st->treefd;
	r = stream_all(&in, &res, err);
	st->self.reader |= res.reader;
	st->self.bytes_read += res.bytes_read;
	st->self.bytes_in += res.bytes_in;
	st->self.bytes_out += res.bytes_out;
	st->self.bytes_saved += res.bytes_saved;
	st->self.bytes_written += res.bytes_written;
	st->self.seconds += res.seconds;
	stage_rates_add(st, &res);
	stage_compress_note(st);
	if (r == 0 && more)
		stage_rates_all(st, &res);
	__atomic_add_fetch(&st->reopened, res.reopened, __ATOMIC_RELAXED);
	stage_scan_keep(st, TAKE(st->b.ahead));
	return r;
}

struct done {
	struct stage *st;
	bool more;
};

static int done(void *arg, struct ebt_err *err)
{
	const struct done *d = arg;

	int r = stage_here_finish(d->st, err);

	return r < 0 ? r : stage_batch_done(d->st, d->more, err);
}

static int join(void *arg, struct ebt_err *err)
{
	return stage_batch_join(arg, err);
}

/* Batch after batch, while the walk goes on; in the end st->b is of all. */
static int bring_batches_all(
	struct stage *st, struct stage_times *t, struct ebt_err *err)
{
	bool more = true;
	int r = stage_scan_open_all(st, err);

	while (r == 0 && more) {
		r = plan_all(st, t, &more, err);
		if (r == 0)
			r = stream_into_all(st, more, err);
		if (r == 0)
			r = job_away_all(&st->job, done, &(struct done){st, more}, err);
		t->stream += job_lap_all(&st->job);
	}
	stage_scan_close(st);
	manifest_free(TAKE(st->old));
	if (r == 0)
		r = job_away_all(&st->job, join, st, err);
	return r < 0 ? r : stage_compare_end_all(st, err);
}

/* The store is open. Whatever fails before the commit leaves the node as it was. */
static int bring_all(struct stage *st, struct stage_times *t, struct ebt_err *err)
{
	bool keep = false;
	int r;

	note_step(st, "store open");
	r = bring_batches_all(st, t, err);
	watch_doing(st->job.nodes.watch, "publishing");
	if (r == 0)
		r = stage_origins_all(st, err);
	if (r == 0)
		r = stage_publish_all(st, &keep, err);
	t->publish = job_lap_all(&st->job);
	if (r < 0 && !keep)
		abandon_all(st);
	return r;
}

/* Scanned and planned, as one batch. */
static int dry_run_all(struct stage *st, struct stage_times *t, struct ebt_err *err)
{
	bool more;
	int r = stage_scan_open_all(st, err);

	if (r == 0)
		r = plan_all(st, t, &more, err);
	return r < 0 ? r : stage_batch_done(st, false, err);
}

static int run_all(struct stage *st, struct ebt_stage_report *rep, struct ebt_err *err)
{
	struct stage_times t = {0};
	int r;

	t.start = job_lap_all(&st->job);
	r = job_new_id_all(&st->job, st->id, err);
	if (r == 0)
		r = stage_compress_open_all(st, err);
	if (r < 0)
		return r;
	if (st->o->dry_run) {
		r = dry_run_all(st, &t, err);
	} else {
		r = stage_open_store_all(st, true, NULL, err);
		if (r == 0)
			r = bring_all(st, &t, err);
		else
			abandon_all(st);
	}
	if (r == 0)
		r = stage_report_all(st, &t, rep, err);
	return r;
}

int ebt_stage_all(MPI_Comm comm, const struct ebt_stage_options *o,
	struct ebt_stage_report *report, struct ebt_err *err)
{
	SCOPED(stage_close) struct stage st;
	int r;

	memset(report, 0, sizeof(*report));
	r = stage_open_all(&st, comm, o, err);
	if (r == 0 && st.job.nodes.comm != MPI_COMM_NULL)
		r = run_all(&st, report, err);
	return job_result_all(&st.job, r, err);
}
