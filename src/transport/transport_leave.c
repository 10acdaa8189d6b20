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
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/transport_internal.h"

#define ANSWER_MS 10000 /* after which the process manager does not speak PMI-1 */

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
	return strstr(text, "Open MPI") ? 1.0 - TRANSPORT_WORDS_MS * 1e-3 : 0;
}

/* One rank for all, so that the launcher is not told as often as there are ranks. */
static void abort_all(const struct transport *t, int status)
{
	transport_await_reader(STDOUT_FILENO);
	transport_await_reader(STDERR_FILENO);
	transport_barrier_all(t);
	if (t->rank != 0)
		transport_pause_ms(ANSWER_MS);
	transport_abort(status);
}

void transport_leave_all(int status, bool good, int (*stopped)(void *arg), void *arg)
{
	struct transport world = transport_of(MPI_COMM_WORLD, NULL);
	static const char bye[] = "cmd=finalize\n";
	struct pollfd wait = {.fd = transport_pmi_fd(), .events = POLLIN};
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
