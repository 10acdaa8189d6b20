/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a process. MPI_Finalize of MPICH before 4.2 on UCX closes its connections and then
 * waits in the launcher's barrier, a blocking read without progress. Over TCP closing needs
 * an answer of the peer: a rank that is a little later asks one that already waits, and spins
 * for ever. One run in three hangs that way, with its work long done; no setting of UCX or
 * MPICH avoids it (pmodels/mpich pull request 6596 took the barrier out).
 *
 * So with that library the ranks agree that all is done, tell the process manager what
 * MPI_Finalize would tell it at its end (PMI-1, "cmd=finalize" on the descriptor in PMI_FD),
 * and exit. Hydra and Slurm (srun --mpi=pmi2) answer that. Everywhere else MPI_Finalize does
 * its work.
 *
 * A job that failed is another matter once its launcher was told to stop. The proxies of Hydra
 * (4.0.2: HYD_pmcd_pmip_send_signal sets forced_cleanup) forget the status of each process that
 * ends after they passed a signal on, and mpiexec then says 0, once in three times. Only what
 * an abort says is kept. MPI_Abort says it through the process manager too, but not in a job
 * of one rank, not before MPI_Init has returned, and not without taking the lock of stdout,
 * which a thread that hangs may hold. So where there is PMI-1 it is told directly.
 */
#include "transport/transport.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 10000 /* after which the process manager does not speak PMI-1 */
#define ABORT_S	  1   /* after which it did not understand that it is to end the job */
#define WORDS_MS  300 /* for the words of all ranks on their way to the launcher */

/* The library in use, not the one compiled against: sites swap them by ABI compatibility. */
static bool finalize_hangs(void)
{
	char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
	const char *at;
	int len, major = 0, minor = 0;

	MPI_Get_library_version(text, &len);
	at = strstr(text, "MPICH Version:");
	if (!at || !strstr(text, "ch4:ucx") ||
		sscanf(at, "MPICH Version: %d.%d", &major, &minor) != 2)
		return false;
	return major < 4 || (major == 4 && minor < 2);
}

/* Open MPI kills one second after it passed SIGTERM on, and words need their time. */
double transport_grace(void)
{
	char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
	int len;

	MPI_Get_library_version(text, &len);
	return strstr(text, "Open MPI") ? 1.0 - WORDS_MS * 1e-3 : 0;
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000,
			  .tv_nsec = (long)(ms % 1000) * 1000000},
		NULL);
}

/* Until the launcher has read what this rank wrote: it drops the rest when a job is aborted. */
static void await_reader(int fd)
{
	struct stat st;
	int left;

	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return;
	for (unsigned ms = 0; ms < WORDS_MS; ms++) {
		if (ioctl(fd, FIONREAD, &left) < 0 || left == 0)
			return;
		pause_ms(1);
	}
}

/* The descriptor of PMI-1, or -1. */
static int pmi_fd(void)
{
	const char *pmi = getenv("PMI_FD");

	return pmi ? atoi(pmi) : -1;
}

void transport_abort(int status)
{
	struct pollfd wait = {.fd = pmi_fd(), .events = POLLIN};
	int up = 0, down = 0, null;
	char text[64];

	await_reader(STDOUT_FILENO);
	await_reader(STDERR_FILENO);
	pause_ms(WORDS_MS);
	snprintf(text, sizeof(text), "cmd=abort exitcode=%d\n", status);
	if (wait.fd >= 0 && write(wait.fd, text, strlen(text)) == (ssize_t)strlen(text))
		poll(&wait, 1, ABORT_S * 1000);
	MPI_Initialized(&up);
	MPI_Finalized(&down);
	/* All has been said, and MPI would only add who called it. */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDERR_FILENO);
	/* It takes the lock of stdout, which a thread that hangs may hold. */
	alarm(ABORT_S);
	if (up && !down)
		MPI_Abort(MPI_COMM_WORLD, status);
	_exit(status);
}

/* One rank for all, so that the launcher is not told as often as there are ranks. */
static void abort_all(const struct transport *t, int status)
{
	await_reader(STDOUT_FILENO);
	await_reader(STDERR_FILENO);
	transport_barrier_all(t);
	if (t->rank != 0)
		pause_ms(ANSWER_MS);
	transport_abort(status);
}

void transport_leave_all(int status, bool good, int (*stopped)(void *arg), void *arg)
{
	struct transport world = transport_of(MPI_COMM_WORLD, NULL);
	static const char bye[] = "cmd=finalize\n";
	struct pollfd wait = {.fd = pmi_fd(), .events = POLLIN};
	int stop = !good && stopped && stopped(arg);
	char answer[64];

	fflush(NULL);
	transport_reduce_all(&world, &stop, 1, MPI_INT, MPI_MAX);
	if (stop)
		abort_all(&world, status);
	/* Told since: the others leave as they are, with nothing left to do or to say. */
	if (!good && stopped && stopped(arg))
		transport_abort(status);
	if (wait.fd < 0 || !finalize_hangs()) {
		MPI_Finalize();
		exit(status);
	}
	/* Without its answer the process manager takes the exit for a crash, rightly. */
	if (write(wait.fd, bye, strlen(bye)) == (ssize_t)strlen(bye) &&
		poll(&wait, 1, ANSWER_MS) == 1 &&
		read(wait.fd, answer, sizeof(answer)) > 0)
		_exit(status);
	_exit(EXIT_FAILURE);
}
