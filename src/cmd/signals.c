/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stop signals are noted and asked for by the run, which winds down in order on all ranks.
 * They are blocked from the first line of main, in all threads that come later too, so nothing
 * happens to a process on its way to MPI_Init, and whatever handlers MPI or others set (MPICH
 * takes SIGUSR1) are never called: one thread takes the signals with sigwait(3), as soon as
 * they come.
 *
 * The watchdog is for when winding down does not work, a hung file system for example: it ends
 * the whole job. What is left then is invisible and goes with the next run.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "cmd/cmd.h"
#include "transport/transport.h"

#define TURNS	4    /* ranks that end a job one after the other */
#define TURN_MS 1000 /* for one of them: it lets words be read, and the launcher acts */

static sigset_t stops, before;
static int stop_signal; /* atomic */
static double stop_time;
static double stop_timeout, stop_grace;
static pthread_once_t watchdog_once = PTHREAD_ONCE_INIT;
static double watchdog_seconds;
static char watchdog_text[EBT_ERR_TEXT];
static int watchdog_rank; /* atomic */
static pthread_mutex_t stall_lock = PTHREAD_MUTEX_INITIALIZER;
static char
	stall_text[EBT_ERR_TEXT]; /* stall_lock: what the run stands still for, or "" */

/* Before the constructors of libraries: that of UCX catches SIGHUP, however it came. */
static bool hangup_ignored;

static void look_at_hangup(void)
{
	struct sigaction now;

	hangup_ignored =
		sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}
__attribute__((section(".preinit_array"), used)) static void (*const look_first)(
	void) = look_at_hangup;

void cmd_block_signals(void)
{
	/* USR1 and USR2 are what batch systems send ahead of the end of a job. */
	static const int signals[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGXCPU};

	sigemptyset(&stops);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&stops, signals[i]);
	/* As with nohup(1). sigwait(3) would get it nevertheless. */
	if (hangup_ignored) {
		sigdelset(&stops, SIGHUP);
		signal(SIGHUP, SIG_IGN);
	}
	pthread_sigmask(SIG_BLOCK, &stops, &before);
}

const sigset_t *cmd_stop_signals(void)
{
	return &stops;
}

void cmd_unblock_signals(void)
{
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The watchdog is armed also where nobody asks: in a call that hangs, or waiting for one. */
static void *await_signal(void *arg)
{
	int sig;

	while (sigwait(&stops, &sig) != 0)
		;
	stop_time = clock_now();
	__atomic_store_n(&stop_signal, sig, __ATOMIC_RELEASE);
	cmd_watchdog(NULL, stop_timeout, NULL);
	return NULL;
}

int cmd_catch_signals(double timeout)
{
	pthread_t thread;
	int r;

	signal(SIGPIPE, SIG_IGN);
	/* A write beyond the limit of file sizes then fails, and is reported. */
	signal(SIGXFSZ, SIG_IGN);
	/* Whoever opens a file whose lease we hold makes the kernel send it. */
	signal(SIGIO, SIG_IGN);
	stop_timeout = timeout;
	r = pthread_create(&thread, NULL, await_signal, NULL);
	if (r == 0)
		pthread_detach(thread);
	return -r;
}

int cmd_stopped(void *arg)
{
	return __atomic_load_n(&stop_signal, __ATOMIC_ACQUIRE);
}

void cmd_grant(double grace)
{
	stop_grace = grace;
}

bool cmd_hurried(void *arg)
{
	return stop_grace > 0 && cmd_stopped(arg) &&
	       clock_now() - stop_time > stop_grace;
}

void cmd_rank(int rank)
{
	__atomic_store_n(&watchdog_rank, rank, __ATOMIC_RELEASE);
}

static void note_stall(const char *text)
{
	SCOPED_LOCK(&stall_lock);
	snprintf(stall_text, sizeof(stall_text), "%s", text);
}

void cmd_stalled(void *arg, enum ebt_stall how, const char *text)
{
	note_stall(how == EBT_STALL_GOES ? "" : text);
	fprintf(stderr, "%s: %s\n", cmd_program.name, text);
	if (how == EBT_STALL_END)
		transport_abort(CMD_FAILED);
}

/*
 * The job is ended by a rank that knows why, else by the first one, by the next if that cannot, and
 * so on: one line for all of them.
 */
static void await_turn(void)
{
	int rank = __atomic_load_n(&watchdog_rank, __ATOMIC_ACQUIRE);
	long turn = rank < TURNS ? rank : TURNS;
	long ms = watchdog_text[0] ? turn * TURN_MS / 10 : (turn + 1) * TURN_MS;

	nanosleep(
		&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000},
		NULL);
}

static void *watch(void *arg)
{
	char host[64] = "", stall[EBT_ERR_TEXT];
	struct timespec t = {.tv_sec = (time_t)watchdog_seconds,
		.tv_nsec =
			(long)((watchdog_seconds - (double)(time_t)watchdog_seconds) *
				1e9)};

	while (nanosleep(&t, &t) < 0)
		;
	await_turn();
	{
		SCOPED_LOCK(&stall_lock);
		memcpy(stall, stall_text, sizeof(stall));
	}
	gethostname(host, sizeof(host) - 1);
	if (watchdog_text[0])
		fprintf(stderr, "%s: %s\n", cmd_program.name, watchdog_text);
	fprintf(stderr,
		"%s: on %s: did not wind down within %g s%s%s, ending the job\n",
		cmd_program.name, host, watchdog_seconds, stall[0] ? ", " : "", stall);
	transport_abort(CMD_FAILED);
}

static void start_watch(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, watch, NULL) == 0)
		pthread_detach(thread);
}

void cmd_watchdog(void *arg, double timeout, const char *text)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	SCOPED_LOCK(&lock);

	if (watchdog_seconds == 0)
		watchdog_seconds = timeout;
	if (text && !watchdog_text[0])
		snprintf(watchdog_text, sizeof(watchdog_text), "%s", text);
	pthread_once(&watchdog_once, start_watch);
}
