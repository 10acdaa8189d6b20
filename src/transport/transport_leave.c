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
#include "transport/transport.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 10000 /* after which the process manager does not speak PMI-1 */

/* The library in use, not the one compiled against: sites swap them by ABI compatibility. */
static bool finalize_hangs(void)
{
	char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
	const char *at;
	int len, major = 0, minor = 0;

	MPI_Get_library_version(text, &len);
	at = strstr(text, "MPICH Version:");
	if (!at || !strstr(text, "ch4:ucx") || sscanf(at, "MPICH Version: %d.%d", &major, &minor) != 2)
		return false;
	return major < 4 || (major == 4 && minor < 2);
}

void transport_leave_all(int status)
{
	static const char bye[] = "cmd=finalize\n";
	const char *pmi = getenv("PMI_FD");
	struct pollfd wait = {.events = POLLIN};
	char answer[64];
	int fd;

	fflush(NULL);
	if (!pmi || !finalize_hangs()) {
		MPI_Finalize();
		exit(status);
	}
	transport_barrier_all(MPI_COMM_WORLD);
	fd = atoi(pmi);
	/* Without its answer the process manager takes the exit for a crash, rightly. */
	wait.fd = fd;
	if (write(fd, bye, strlen(bye)) == (ssize_t)strlen(bye) &&
		poll(&wait, 1, ANSWER_MS) == 1 && read(fd, answer, sizeof(answer)) > 0)
		_exit(status);
	_exit(EXIT_FAILURE);
}
