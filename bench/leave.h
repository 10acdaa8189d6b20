/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the programs of the bench end. MPI_Finalize of MPICH up to 4.1 over UCX disconnects
 * from all peers and then waits in a PMI barrier without making progress; a rank that comes
 * a little later may need an answer from one that already sits there, and spins for ever
 * (pmodels/mpich pull request 6596 removed the barrier). So: agree that all are done, tell
 * the process manager what MPI_Finalize would tell it, and go.
 */
#ifndef BENCH_LEAVE_H
#define BENCH_LEAVE_H

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A barrier that leaves the cores to those who still work. */
static inline void patient_barrier(void)
{
	MPI_Request req;
	int done = 0;

	MPI_Ibarrier(MPI_COMM_WORLD, &req);
	for (;;) {
		MPI_Test(&req, &done, MPI_STATUS_IGNORE);
		if (done)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
}

/* Ends all ranks. Launchers drop what they have not read of a rank's words by then. */
static inline void give_up(void)
{
	fflush(NULL);
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	MPI_Abort(MPI_COMM_WORLD, 1);
	_exit(1);
}

/* Collective: ends all ranks, each with @status. */
static inline void leave(int status)
{
	static const char bye[] = "cmd=finalize\n";
	const char *pmi = getenv("PMI_FD");
	char answer[64];
	int fd;

	fflush(NULL);
	patient_barrier();
	if (!pmi) {
		MPI_Finalize();
		exit(status);
	}
	fd = atoi(pmi);
	if (write(fd, bye, strlen(bye)) != (ssize_t)strlen(bye) ||
		read(fd, answer, sizeof(answer)) <= 0)
		_exit(99);
	_exit(status);
}

#endif
