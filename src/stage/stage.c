/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A staging run from end to end: scan, check, plan, stream, publish, report. Between the
 * steps all nodes agree, so that a failure anywhere is the same failure everywhere.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "pack/parcel.h"
#include "stage/report.h"
#include "stage/roots.h"
#include "stage/run.h"
#include "stage/stream.h"
#include "transport/transport.h"

double stage_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int stage_stopped(const struct stage *st, struct ebt_err *err)
{
	int sig = st->o->stopped ? st->o->stopped(st->o->stopped_arg) : 0;

	return sig ? ebt_failx(err, -EINTR, "stopped by signal %d (%s)", sig, strsignal(sig)) : 0;
}

void stage_failing(struct stage *st, const struct ebt_err *err)
{
	double timeout = st->o->timeout > 0 ? st->o->timeout : EBT_STAGE_TIMEOUT;

	if (!st->told_failing && st->o->failing)
		st->o->failing(st->o->failing_arg, timeout, err ? err->text : NULL);
	st->told_failing = true;
}

int stage_agree_all(struct stage *st, int code, struct ebt_err *err)
{
	/* Before waiting for the others, which may be what fails next. */
	if (code < 0)
		stage_failing(st, err);
	code = transport_agree_all(st->nodes, code, err);
	if (code < 0)
		stage_failing(st, err);
	return code;
}

void stage_progress(struct stage *st, enum ebt_stage_phase phase, uint64_t bytes,
	uint64_t total)
{
	struct ebt_stage_progress p = {
		.phase = phase,
		.entries = __atomic_load_n(&st->entries_found, __ATOMIC_RELAXED),
		.bytes = bytes,
		.total = total,
		.seconds = stage_now() - st->began,
	};

	if (st->node == 0 && st->o->progress)
		st->o->progress(st->o->progress_arg, &p);
}

unsigned stage_io_threads(const struct ebt_stage_options *o)
{
	if (o->io_threads > STREAM_THREADS)
		return STREAM_THREADS;
	return o->io_threads ? o->io_threads : EBT_STAGE_IO_THREADS;
}

unsigned stage_write_threads(const struct ebt_stage_options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (o->write_threads)
		return o->write_threads > STREAM_THREADS ? STREAM_THREADS : o->write_threads;
	return cpus < 1 ? 1 : cpus > 4 ? 4 : (unsigned)cpus;
}

unsigned stage_window(const struct ebt_stage_options *o)
{
	return o->window ? o->window : 1;
}

uint64_t stage_memory(const struct ebt_stage_options *o)
{
	return o->memory ? o->memory : EBT_STAGE_MEMORY;
}

int stage_roots(const struct ebt_stage_options *o, struct buf *out, struct ebt_err *err)
{
	SCOPED_FREE char *cwd = getcwd(NULL, 0);

	if (!cwd)
		return ebt_fail(err, -errno, "working directory");
	return roots_encode(o->sources, o->n_sources, o->relative, cwd, out, err);
}

static void find_cost(struct stage *st)
{
	const struct ebt_stage_options *o = st->o;

	st->cost = (struct cost_model){
		.link = o->link,
		.latency = o->latency > 0 ? o->latency : COST_LATENCY,
		.read = COST_READ,
		.write = COST_WRITE,
	};
	if (st->cost.link <= 0 && st->node == 0)
		st->cost.link = stage_find_link();
	if (st->cost.link <= 0) {
		st->cost.link = COST_LINK;
		st->link_assumed = true;
	}
	/* Nodes could find different rates, and would plan differently. */
	transport_bcast_all(st->nodes, &st->cost, sizeof(st->cost), 0);
	transport_bcast_all(st->nodes, &st->link_assumed, sizeof(st->link_assumed), 0);
}

static int add_rules(struct filter *f, struct reader *r, struct ebt_err *err)
{
	uint8_t kind = reader_get8(r);
	uint64_t len = reader_get64(r);
	const char *text = reader_take(r, len + 1);

	switch (kind) {
	case EBT_EXCLUDE:
	case EBT_INCLUDE:
		return filter_add(f, kind == EBT_INCLUDE, text, err);
	default:
		return filter_add_text(f, text, len, kind == EBT_RULES_NULL, err);
	}
}

/* Only the first rank has read the user's rules: one open of each file, not one a node. */
static int build_filter_all(struct stage *st, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	struct reader rd;
	int r;

	for (size_t i = 0; st->node == 0 && i < st->o->n_rules; i++) {
		buf_put8(&b, (uint8_t)st->o->rules[i].kind);
		buf_put64(&b, st->o->rules[i].len);
		buf_put(&b, st->o->rules[i].text, st->o->rules[i].len);
		buf_put8(&b, 0);
	}
	r = stage_agree_all(st, buf_ok(&b) ? 0 : ebt_fail(err, -ENOMEM, "filter"), err);
	if (r == 0)
		r = transport_bcast_buf_all(st->nodes, &b, 0, err);
	if (r < 0 || !b.len)
		return r;
	r = filter_new(&st->filter, err);
	for (rd = reader_of(b.data, b.len); r == 0 && reader_left(&rd);)
		r = add_rules(st->filter, &rd, err);
	return stage_agree_all(st, r, err);
}

/* With several nodes a message says whose it is. */
static void log_through(void *arg, enum log_level level, const char *text)
{
	const struct stage *st = arg;
	char host[64] = "", line[1200];

	if (st->n_nodes > 1) {
		gethostname(host, sizeof(host) - 1);
		snprintf(line, sizeof(line), "%s (rank %d on %s)", text, st->rank, host);
		text = line;
	}
	st->o->log(st->o->log_arg, (enum ebt_log_level)level, text);
}

/*
 * MPI's blocking calls spin. Communicators are therefore made without them as far as that is
 * possible: only finding out who shares a node has no non-blocking form.
 */
static void open_comms_all(struct stage *st, MPI_Comm comm)
{
	int lane = 0, lanes;
	MPI_Request req;

	MPI_Comm_idup(comm, &st->comm, &req);
	transport_wait(&req);
	/* Transport has no way to pass an MPI error on; what is made from it inherits this. */
	MPI_Comm_set_errhandler(st->comm, MPI_ERRORS_ARE_FATAL);
	MPI_Comm_rank(st->comm, &st->rank);
	if (!st->o->per_rank) {
		transport_barrier_all(st->comm);
		MPI_Comm_split_type(
			st->comm, MPI_COMM_TYPE_SHARED, st->rank, MPI_INFO_NULL, &st->local);
		MPI_Comm_rank(st->local, &lane);
	}
	lanes = lane;
	transport_reduce_all(st->comm, &lanes, 1, MPI_INT, MPI_MAX);
	if (lanes) {
		MPI_Comm_split(st->comm, lane == 0 ? 0 : MPI_UNDEFINED, st->rank, &st->nodes);
	} else {
		MPI_Comm_idup(st->comm, &st->nodes, &req);
		transport_wait(&req);
	}
}

int stage_open_all(struct stage *st, MPI_Comm comm, const struct ebt_stage_options *o,
	struct ebt_err *err)
{
	memset(st, 0, sizeof(*st));
	st->o = o;
	st->treefd = -1;
	st->local = MPI_COMM_NULL;
	st->began = stage_now();
	if (o->log)
		st->log = (struct log){.fn = log_through,
			.arg = st,
			.max = (enum log_level)o->log_max};
	open_comms_all(st, comm);
	if (st->nodes == MPI_COMM_NULL)
		return 0;
	MPI_Comm_rank(st->nodes, &st->node);
	MPI_Comm_size(st->nodes, &st->n_nodes);
	find_cost(st);
	return build_filter_all(st, err);
}

void stage_close(struct stage *st)
{
	if (st->treefd >= 0)
		close(st->treefd);
	plan_free(st->plan);
	free(st->need);
	manifest_free(st->m);
	store_close(st->store);
	filter_free(st->filter);
	if (st->nodes != MPI_COMM_NULL)
		MPI_Comm_free(&st->nodes);
	if (st->local != MPI_COMM_NULL)
		MPI_Comm_free(&st->local);
	MPI_Comm_free(&st->comm);
}

int stage_result_all(struct stage *st, int code, struct ebt_err *err)
{
	return transport_agree_all(st->comm, st->nodes == MPI_COMM_NULL ? 0 : code, err);
}

/* Seconds of the step that just ended, of the slowest node. */
static double lap_all(struct stage *st)
{
	double t = stage_now() - st->began;

	transport_reduce_all(st->nodes, &t, 1, MPI_DOUBLE, MPI_MAX);
	st->began = stage_now();
	return t;
}

/* For -vv: where the time before the stream goes. */
static void note_step(const struct stage *st, const char *step)
{
	if (st->node == 0)
		log_debug(&st->log, "%8.4f s %s", stage_now() - st->began, step);
}

static int new_id_all(struct stage *st, struct ebt_err *err)
{
	int r = stage_agree_all(st, st->node == 0 ? fsio_random_id(st->id, err) : 0, err);

	transport_bcast_all(st->nodes, st->id, sizeof(st->id), 0);
	return r;
}

static int plan_all(struct stage *st, struct stage_times *t, struct ebt_err *err)
{
	int r;

	note_step(st, "store open");
	r = stage_scan_all(st, err);
	note_step(st, "scanned");
	if (r == 0)
		r = stage_compare_all(st, err);
	note_step(st, "compared");
	if (r == 0)
		r = stage_agree_all(st, stage_plan_all(st, err), err);
	note_step(st, "planned");
	if (r == 0 && st->store)
		r = stage_space_all(st, err);
	note_step(st, "space checked");
	if (st->m)
		memcpy(st->m->id, st->id, sizeof(st->id));
	t->scan = lap_all(st);
	return r;
}

static void abandon(struct stage *st)
{
	struct ebt_err err = {0};

	if (store_abandon(st->store, st->id, &err) < 0)
		log_warn(&st->log, "cleaning up: %s", err.text);
}

/* The store is open. Whatever fails before the commit leaves the node as it was. */
static int bring_all(struct stage *st, struct stage_times *t, struct ebt_err *err)
{
	bool committed = false;
	int r;

	r = plan_all(st, t, err);
	if (r == 0)
		r = stage_stream_all(st, err);
	t->stream = lap_all(st);
	if (r == 0)
		r = stage_publish_all(st, &committed, err);
	t->publish = lap_all(st);
	if (r < 0 && !committed)
		abandon(st);
	return r;
}

static int run_all(struct stage *st, struct ebt_stage_report *rep, struct ebt_err *err)
{
	struct stage_times t = {0};
	int r;

	t.start = lap_all(st);
	r = new_id_all(st, err);
	if (r < 0)
		return r;
	if (st->o->dry_run) {
		r = plan_all(st, &t, err);
	} else {
		r = stage_open_store_all(st, true, NULL, err);
		if (r == 0)
			r = bring_all(st, &t, err);
		else if (st->store)
			abandon(st);
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
	if (r == 0 && st.nodes != MPI_COMM_NULL)
		r = run_all(&st, report, err);
	return stage_result_all(&st, r, err);
}
