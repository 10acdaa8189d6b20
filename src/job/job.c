/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a run on a communicator, and what its steps need all along: agreement, stop
 * requests, messages, the clock.
 */
#include "job/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "fsio/fsio.h"
#include "transport/transport.h"

int job_stopped(const struct job *j, struct ebt_err *err)
{
	int sig = j->run->stopped ? j->run->stopped(j->run->stopped_arg) : 0;

	return sig ? ebt_failx(err, -EINTR, "stopped by signal %d (%s)", sig,
			     strsignal(sig))
		   : 0;
}

void job_failing(struct job *j, const struct ebt_err *err)
{
	double timeout = j->run->timeout > 0 ? j->run->timeout : EBT_TIMEOUT;
	/* What only follows from a failure elsewhere is no cause. */
	bool cause = err && err->code != -ECANCELED && err->code != -EINTR;

	if (!j->told_failing && j->run->failing)
		j->run->failing(j->run->failing_arg, timeout, cause ? err->text : NULL);
	j->told_failing = true;
	watch_hurry(j->nodes.watch);
}

int job_agree_all(struct job *j, int code, struct ebt_err *err)
{
	/* Before waiting for the others, which may be what fails next. */
	if (code < 0)
		job_failing(j, err);
	code = transport_agree_all(&j->nodes, code, err);
	if (code < 0)
		job_failing(j, err);
	return code;
}

void job_progress(struct job *j, enum ebt_phase phase, uint64_t bytes, uint64_t total)
{
	struct ebt_progress p = {
		.phase = phase,
		.entries = __atomic_load_n(&j->entries_found, __ATOMIC_RELAXED),
		.bytes = bytes,
		.total = total,
		.seconds = clock_now() - j->began,
	};

	if (j->node == 0 && j->run->progress)
		j->run->progress(j->run->progress_arg, &p);
}

double job_lap_all(struct job *j)
{
	double t = clock_now() - j->began;

	transport_reduce_all(&j->nodes, &t, 1, MPI_DOUBLE, MPI_MAX);
	j->began = clock_now();
	return t;
}

int job_new_id_all(struct job *j, char id[33], struct ebt_err *err)
{
	int r = job_agree_all(j, j->node == 0 ? fsio_random_id(id, err) : 0, err);

	transport_bcast_all(&j->nodes, id, 33, 0);
	return r;
}

int job_add_rule(
	struct filter *f, const struct ebt_filter_rule *rule, struct ebt_err *err)
{
	switch (rule->kind) {
	case EBT_EXCLUDE:
	case EBT_INCLUDE:
		return filter_add(f, rule->kind == EBT_INCLUDE, rule->text, err);
	default:
		return filter_add_text(
			f, rule->text, rule->len, rule->kind == EBT_RULES_NULL, err);
	}
}

static int take_rule(struct filter *f, struct reader *r, struct ebt_err *err)
{
	struct ebt_filter_rule rule = {.kind = reader_get8(r)};

	rule.len = reader_get64(r);
	rule.text = reader_take(r, rule.len + 1);
	return job_add_rule(f, &rule, err);
}

/* Only the first rank has read the user's rules: one open of each file, not one a node. */
/* @r: what failed here before, if it is not 0. */
static int build_filter_all(struct job *j, int r, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	struct reader rd;

	for (size_t i = 0; j->node == 0 && i < j->run->n_rules; i++) {
		buf_put8(&b, (uint8_t)j->run->rules[i].kind);
		buf_put64(&b, j->run->rules[i].len);
		buf_put(&b, j->run->rules[i].text, j->run->rules[i].len);
		buf_put8(&b, 0);
	}
	if (r == 0 && !buf_ok(&b))
		r = ebt_fail(err, -ENOMEM, "filter");
	r = job_agree_all(j, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&j->nodes, &b, 0, err);
	if (r < 0 || !b.len)
		return r;
	r = filter_new(&j->filter, err);
	for (rd = reader_of(b.data, b.len); r == 0 && reader_left(&rd);)
		r = take_rule(j->filter, &rd, err);
	return job_agree_all(j, r, err);
}

/* With several nodes a message says whose it is. */
static void log_through(void *arg, enum log_level level, const char *text)
{
	const struct job *j = arg;
	char host[64] = "", line[1200];

	if (j->n_nodes > 1) {
		gethostname(host, sizeof(host) - 1);
		snprintf(line, sizeof(line), "%s (rank %d on %s)", text, j->rank, host);
		text = line;
	}
	j->run->log(j->run->log_arg, (enum ebt_log_level)level, text);
}

/*
 * MPI's blocking calls spin. Communicators are therefore made without them as far as that is
 * possible: only finding out who shares a node has no non-blocking form.
 */
static void open_comms_all(struct job *j, MPI_Comm comm)
{
	struct transport from = transport_of(comm, NULL);
	int key = job_switch_key(
		getenv("SLURM_TOPOLOGY_ADDR"), getenv("SLURM_TOPOLOGY_ADDR_PATTERN"));
	int lane = 0, first = key, some[2]; /* not known; shares a node */
	MPI_Comm made;
	MPI_Request req;

	MPI_Comm_idup(comm, &made, &req);
	transport_wait(&from, &req, TRANSPORT_ANY);
	transport_errors_end(made);
	j->comm = transport_of(made, NULL);
	j->rank = j->comm.rank;
	if (!j->run->per_rank) {
		transport_barrier_all(&j->comm);
		MPI_Comm_split_type(j->comm.comm, MPI_COMM_TYPE_SHARED, j->rank,
			MPI_INFO_NULL, &j->local);
		MPI_Comm_rank(j->local, &lane);
	}
	some[0] = key < 0;
	some[1] = lane;
	transport_reduce_all(&j->comm, some, 2, MPI_INT, MPI_MAX);
	/* The first rank stays the first, and with it its switch. */
	if (!some[0])
		transport_bcast_all(&j->comm, &first, sizeof(first), 0);
	key = some[0] ? j->rank : (int)(((uint32_t)key - (uint32_t)first) & INT32_MAX);
	if (some[1] || !some[0]) {
		MPI_Comm_split(j->comm.comm, lane == 0 ? 0 : MPI_UNDEFINED, key, &made);
	} else {
		MPI_Comm_idup(j->comm.comm, &made, &req);
		transport_wait(&j->comm, &req, TRANSPORT_ANY);
	}
	j->nodes = made == MPI_COMM_NULL ? TRANSPORT_NONE : transport_of(made, NULL);
}

int job_open_all(
	struct job *j, MPI_Comm comm, const struct ebt_run *run, struct ebt_err *err)
{
	int r;

	memset(j, 0, sizeof(*j));
	activity_init(&j->activity);
	j->run = run;
	j->local = MPI_COMM_NULL;
	j->began = clock_now();
	if (run->log)
		j->log = (struct log){.fn = log_through,
			.arg = j,
			.max = (enum log_level)run->log_max};
	open_comms_all(j, comm);
	if (j->nodes.comm == MPI_COMM_NULL)
		return 0;
	j->node = j->nodes.rank;
	j->n_nodes = j->nodes.size;
	r = job_watch_open(j, err);
	j->comm.watch = j->nodes.watch;
	return build_filter_all(j, r, err);
}

void job_take_routes_all(struct job *j)
{
	transport_routes_open_all(&j->nodes, &j->routes);
	j->nodes.routes = &j->routes;
}

void job_close(struct job *j)
{
	filter_free(j->filter);
	watch_close(j->nodes.watch);
	activity_destroy(&j->activity);
	if (j->nodes.routes)
		transport_routes_close(&j->routes);
	if (j->nodes.comm != MPI_COMM_NULL)
		MPI_Comm_free(&j->nodes.comm);
	if (j->local != MPI_COMM_NULL)
		MPI_Comm_free(&j->local);
	MPI_Comm_free(&j->comm.comm);
}

int job_result_all(struct job *j, int code, struct ebt_err *err)
{
	return transport_agree_all(
		&j->comm, j->nodes.comm == MPI_COMM_NULL ? 0 : code, err);
}
