/* SPDX-License-Identifier: BSD-3-Clause */
/* Rank 0 makes an MPI error on a copy of a communicator whose errors end the job. */
#include <mpi.h>
#include <unistd.h>

#include "transport/transport.h"

int main(int argc, char **argv)
{
	MPI_Comm comm;
	int rank, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	transport_errors_end(comm);
	MPI_Comm_split(comm, 0, rank, &comm);
	if (rank == 0)
		MPI_Send(NULL, 0, MPI_BYTE, size, 0, comm);
	pause();
}
