/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stop signals are noted and asked for by the run, which winds down in order on all ranks.
 * The watchdog is for when that does not work, a hung file system for example: exiting
 * without MPI_Finalize makes the launcher end the whole job. What is left then is invisible
 * and goes with the next run.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"
#include "cmd/cmd.h"

static volatile sig_atomic_t stop_signal;
static sem_t signalled;
static pthread_once_t watchdog_once = PTHREAD_ONCE_INIT;
static double watchdog_seconds;
static char watchdog_text[EBT_ERR_TEXT];

static void note_signal(int sig)
{
	stop_signal = sig;
	sem_post(&signalled);
}

/* Also where nobody looks at the signal: in a call that hangs, or waiting for a rank that does. */
static void *await_signal(void *arg)
{
	while (sem_wait(&signalled) < 0)
		;
	cmd_watchdog(NULL, *(double *)arg, NULL);
	return NULL;
}

void cmd_catch_signals(double timeout)
{
	static double seconds;
	pthread_t thread;
	/* USR1 and USR2 are what batch systems send ahead of the end of a job. */
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};
	struct sigaction sa = {.sa_handler = note_signal, .sa_flags = SA_RESTART};

	seconds = timeout;
	sem_init(&signalled, 0, 0);
	if (pthread_create(&thread, NULL, await_signal, &seconds) == 0)
		pthread_detach(thread);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* A write beyond the limit of file sizes then fails, and is reported. */
	signal(SIGXFSZ, SIG_IGN);
	/* Whoever opens a file whose lease we hold makes the kernel send it. */
	signal(SIGIO, SIG_IGN);
}

int cmd_stopped(void *arg)
{
	return stop_signal;
}

static void *watch(void *arg)
{
	char host[64] = "";
	struct timespec t = {.tv_sec = (time_t)watchdog_seconds,
		.tv_nsec = (long)((watchdog_seconds - (double)(time_t)watchdog_seconds) * 1e9)};

	while (nanosleep(&t, &t) < 0)
		;
	gethostname(host, sizeof(host) - 1);
	if (watchdog_text[0])
		fprintf(stderr, "%s: %s\n", cmd_program.name, watchdog_text);
	fprintf(stderr, "%s: on %s: did not wind down within %g s, ending the job\n", cmd_program.name,
		host, watchdog_seconds);
	_exit(CMD_FAILED);
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
