/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that the user reads is printed by the first rank; every rank exits with the same
 * status.
 */
#include <errno.h>
#include <mpi.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "transport/transport.h"

static int uncaught; /* why stop signals are not caught, or 0 */

static void print_log(void *arg, enum ebt_log_level level, const char *text)
{
	static const char *const names[] = {"", "warning: ", "", ""};

	fprintf(stderr, "%s: %s%s\n", cmd_program.name, names[level], text);
}

/*
 * The soft limit is 1024 for the sake of select(2), which nothing here uses. What the hard one
 * allows is there for MPI's connections, files in flight and trees that are deep.
 */
static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int cmd_start(int *argc, char ***argv, const struct cmd_common *c)
{
	double timeout = c->run->timeout;
	int rank, provided;

	allow_files();
	/* The default of 50 us would double the shortest sleeps of the progress loop. */
	prctl(PR_SET_TIMERSLACK, 1000UL);
	uncaught = cmd_catch_signals(timeout > 0 ? timeout : EBT_TIMEOUT);
	MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	cmd_grant(transport_grace());
	cmd_rank(rank);
	return rank;
}

void cmd_connect(const struct cmd_common *c)
{
	c->run->log = print_log;
	c->run->log_max = c->verbose > 1 ? EBT_LOG_DEBUG
			  : c->verbose	 ? EBT_LOG_INFO
					 : EBT_LOG_WARN;
	c->run->stopped = cmd_stopped;
	c->run->hurried = cmd_hurried;
	c->run->failing = cmd_watchdog;
	c->run->stalled = cmd_stalled;
}

void cmd_show_progress(const struct cmd_common *c, struct cmd_progress *p)
{
	if (c->progress == CMD_ALWAYS ||
		(c->progress == CMD_AUTO && isatty(STDERR_FILENO))) {
		c->run->progress = cmd_progress;
		c->run->progress_arg = p;
	}
}

static void usage_error(const struct ebt_err *err)
{
	fprintf(stderr, "%s: %s\nTry '%s --help'.\n", cmd_program.name, err->text,
		cmd_program.name);
}

void cmd_print_error(const struct cmd_common *c, const struct ebt_err *err)
{
	char text[2 * EBT_ERR_TEXT];

	fprintf(stderr, "%s: %s\n", cmd_program.name, err->text);
	if (c->json)
		printf("{\"schema\":\"%s\",\"type\":\"error\",\"code\":%d,\"text\":%s}"
		       "\n",
			cmd_program.schema, err->code,
			text_json(err->text, text, sizeof(text)));
}

/*
 * A report that could not be written is a failed run to whoever reads it. A run that was not
 * @whole is not done.
 */
static int end_all(
	const struct cmd_common *c, int rank, bool whole, struct ebt_err *err)
{
	struct transport world = transport_of(MPI_COMM_WORLD, NULL);
	int r = 0;

	if (rank == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		r = ebt_fail(err, errno ? -errno : -EIO, "standard output");
	if (r == 0 && rank == 0 && whole && c->done)
		r = cmd_done_end(c, err);
	return transport_agree_all(&world, r, err);
}

/* What can fail before anything has begun. */
static int begin_all(const struct cmd_common *c, int rank, struct ebt_err *err)
{
	struct transport world = transport_of(MPI_COMM_WORLD, NULL);
	int r = uncaught ? ebt_fail(err, uncaught, "a thread that waits for signals")
			 : 0;

	if (r == 0 && rank == 0 && c->done)
		r = cmd_done_begin(c, err);
	return transport_agree_all(&world, r, err);
}

int cmd_run_all(const struct cmd_common *c, int rank, int usage,
	int (*run)(void *arg, int rank, struct ebt_err *err), void *arg,
	struct ebt_err *err)
{
	int r, told;

	if (usage < 0) {
		if (rank == 0)
			usage_error(err);
		return CMD_USAGE;
	}
	if (cmd_check_launch_all(c) < 0)
		return CMD_FAILED;
	r = begin_all(c, rank, err);
	if (r == 0)
		r = run(arg, rank, err);
	told = r < 0 ? r : end_all(c, rank, cmd_is_good(r), err);
	if (told < 0 && rank == 0)
		cmd_print_error(c, err);
	return told < 0 ? CMD_FAILED : r;
}

int cmd_end_alone(const struct cmd_common *c, bool usage, int r, struct ebt_err *err)
{
	if (r == 0 && fflush(stdout) != 0)
		r = ebt_fail(err, -errno, "standard output");
	if (r == 0)
		return CMD_DONE;
	if (r == -EINVAL && usage) {
		usage_error(err);
		return CMD_USAGE;
	}
	cmd_print_error(c, err);
	return CMD_FAILED;
}
