/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ebt-stage: options in, one library call, a report out. Everything that the user reads is
 * printed by the first rank; every rank exits with the same status.
 */
#include <errno.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "transport/transport.h"

static void print_log(void *arg, enum ebt_log_level level, const char *text)
{
	static const char *const names[] = {"", "warning: ", "", ""};

	fprintf(stderr, "%s: %s%s\n", CMD_NAME, names[level], text);
}

static void usage_error(const struct ebt_err *err)
{
	fprintf(stderr, "%s: %s\nTry '%s --help'.\n", CMD_NAME, err->text, CMD_NAME);
}

/* The first rank reads, all learn whether it could. */
static int load_inputs_all(struct cmd_options *o, struct cmd_inputs *in, int rank,
	struct ebt_err *err)
{
	int r = rank == 0 ? cmd_load_inputs(o, in, err) : 0;

	r = transport_agree_all(MPI_COMM_WORLD, r, err);
	if (r < 0)
		return r;
	o->stage.sources = in->sources;
	o->stage.n_sources = in->n_sources;
	o->stage.run.rules = in->rules;
	o->stage.run.n_rules = in->n_rules;
	return 0;
}

static int stage(struct cmd_options *o, int rank, struct ebt_err *err)
{
	SCOPED(cmd_inputs_release) struct cmd_inputs in = {0};
	SCOPED(ebt_stage_report_free) struct ebt_stage_report rep = {0};
	struct cmd_progress progress = {0};
	int r;

	r = load_inputs_all(o, &in, rank, err);
	if (r < 0)
		return r;
	if (o->progress == CMD_ALWAYS || (o->progress == CMD_AUTO && isatty(STDERR_FILENO))) {
		o->stage.run.progress = cmd_progress;
		o->stage.run.progress_arg = &progress;
	}
	r = ebt_stage_all(MPI_COMM_WORLD, &o->stage, &rep, err);
	if (rank != 0)
		return r;
	cmd_progress_end(&progress);
	if (r == 0 && o->stage.dry_run)
		cmd_print_plan(o, &rep);
	else if (r == 0)
		cmd_print_result(o, &rep);
	return r;
}

static int verify(struct cmd_options *o, int rank, struct ebt_err *err)
{
	uint64_t bad = 0;
	int r = ebt_stage_verify_all(MPI_COMM_WORLD, &o->stage, &bad, err);

	if (r == 0 && bad)
		r = ebt_failx(err, -EBADMSG, "%llu difference%s from the manifest",
			(unsigned long long)bad, bad == 1 ? "" : "s");
	if (r == 0 && rank == 0)
		puts(o->json ? "{\"schema\":\"ebt.stage/1\",\"type\":\"verify\",\"different\":0}"
			     : "every file is as the manifest says");
	return r;
}

static int recover(struct cmd_options *o, int rank, struct ebt_err *err)
{
	uint32_t done = 0;
	int r = ebt_stage_recover_all(MPI_COMM_WORLD, &o->stage, &done, err);

	if (r == 0 && rank == 0)
		printf(o->json ? "{\"schema\":\"ebt.stage/1\",\"type\":\"recover\",\"finished\":%u}\n"
			       : "publications finished on %u nodes\n",
			done);
	return r;
}

static int run(struct cmd_options *o, int rank, struct ebt_err *err)
{
	o->stage.run.log = print_log;
	o->stage.run.log_max = o->verbose > 1 ? EBT_LOG_DEBUG : o->verbose ? EBT_LOG_INFO : EBT_LOG_WARN;
	o->stage.run.stopped = cmd_stopped;
	o->stage.run.failing = cmd_watchdog;
	switch (o->mode) {
	case CMD_VERIFY:
		return verify(o, rank, err);
	case CMD_RECOVER:
		return recover(o, rank, err);
	default:
		return stage(o, rank, err);
	}
}

/* A report that could not be written is a failed run to whoever reads it. */
static int output_agree_all(int rank, struct ebt_err *err)
{
	int r = 0;

	if (rank == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		r = ebt_fail(err, errno ? -errno : -EIO, "standard output");
	return transport_agree_all(MPI_COMM_WORLD, r, err);
}

/* What needs no other node, and so no MPI: answers at once, also outside a job. */
static int run_alone(const struct cmd_options *o)
{
	struct ebt_err err = {0};
	int r;

	switch (o->mode) {
	case CMD_HELP:
		cmd_help(stdout);
		r = 0;
		break;
	case CMD_VERSION:
		printf("%s (EBT) %s\nmanifest format 1, %s\n", CMD_NAME, EBT_VERSION, EBT_MPI);
		r = 0;
		break;
	case CMD_LIST:
		r = cmd_list(o, &err);
		break;
	default:
		r = cmd_simulate(o, &err);
		break;
	}
	if (r == 0 && fflush(stdout) != 0)
		r = ebt_fail(&err, -errno, "standard output");
	if (r == 0)
		return CMD_DONE;
	if (r == -EINVAL && o->mode == CMD_SIMULATE) {
		usage_error(&err);
		return CMD_USAGE;
	}
	cmd_print_error(o, &err);
	return CMD_FAILED;
}

int main(int argc, char **argv)
{
	SCOPED(cmd_options_release) struct cmd_options o;
	int rank, provided, status, r, usage;
	struct ebt_err err = {0};

	usage = cmd_parse(argc, argv, &o, &err);
	if (usage == 0 && o.mode != CMD_STAGE && o.mode != CMD_VERIFY && o.mode != CMD_RECOVER)
		return run_alone(&o);
	/* The default of 50 us would double the shortest sleeps of the progress loop. */
	prctl(PR_SET_TIMERSLACK, 1000UL);
	cmd_catch_signals(o.stage.run.timeout > 0 ? o.stage.run.timeout : EBT_TIMEOUT);
	MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
	/* Modes and times come from the sources, not from the caller's habits. */
	umask(0);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (usage < 0) {
		if (rank == 0)
			usage_error(&err);
		status = CMD_USAGE;
	} else {
		r = run(&o, rank, &err);
		if (r == 0)
			r = output_agree_all(rank, &err);
		if (r < 0 && rank == 0)
			cmd_print_error(&o, &err);
		status = r < 0 ? CMD_FAILED : CMD_DONE;
	}
	/* Does not return, so what scopes would release is released here. */
	cmd_options_release(&o);
	transport_leave_all(status);
}
