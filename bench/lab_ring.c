/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calibration of the emulated cluster: lab_ring BYTES_PER_SECOND SECONDS. Every rank sends to
 * the next and receives from the one before, so that all links are busy in both directions.
 * One send in flight, a few receives posted ahead, a short sleep when nothing moved: with
 * more ranks than cores a spinning wait would measure the cores. Prints what the slowest and
 * the average rank reached; status 1 if the slowest stays below 95 % of the rate.
 */
#include "leave.h"

#define PIECE  (128 << 10)
#define AHEAD  3
#define ENOUGH 95.0
#define SETTLE 8 /* pieces before the clock starts: connections, full token buckets */

static char out[PIECE], in[AHEAD][PIECE];

/* Passes @n pieces on and takes as many. */
static void shift(int n, int from, int to)
{
	MPI_Request send = MPI_REQUEST_NULL, recv[AHEAD];
	int sent = 0, got = 0, posted = 0, done, moved;

	for (; posted < AHEAD && posted < n; posted++)
		MPI_Irecv(in[posted], PIECE, MPI_BYTE, from, 0, MPI_COMM_WORLD,
			&recv[posted]);
	while (sent < n || got < n) {
		moved = 0;
		if (sent < n) {
			if (send == MPI_REQUEST_NULL)
				MPI_Isend(out, PIECE, MPI_BYTE, to, 0, MPI_COMM_WORLD,
					&send);
			MPI_Test(&send, &done, MPI_STATUS_IGNORE);
			sent += done;
			moved |= done;
		}
		if (got < n) {
			int slot = got % AHEAD;

			MPI_Test(&recv[slot], &done, MPI_STATUS_IGNORE);
			got += done;
			moved |= done;
			if (done && posted < n) {
				MPI_Irecv(in[slot], PIECE, MPI_BYTE, from, 0,
					MPI_COMM_WORLD, &recv[slot]);
				posted++;
			}
		}
		if (!moved)
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
}

int main(int argc, char **argv)
{
	double rate, seconds, t, share, slowest, sum;
	int rank, size, n;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	rate = argc > 1 ? atof(argv[1]) : 0;
	seconds = argc > 2 ? atof(argv[2]) : 3;
	n = (int)(rate * seconds / PIECE) + 1;
	if (rate <= 0 || seconds <= 0) {
		if (rank == 0)
			fprintf(stderr, "usage: lab_ring BYTES_PER_SECOND SECONDS\n");
		leave(2);
	}
	shift(SETTLE, (rank + size - 1) % size, (rank + 1) % size);
	MPI_Barrier(MPI_COMM_WORLD);
	t = MPI_Wtime();
	shift(n, (rank + size - 1) % size, (rank + 1) % size);
	t = MPI_Wtime() - t;
	share = 100.0 * n * PIECE / t / rate;
	MPI_Allreduce(&share, &slowest, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
	MPI_Allreduce(&share, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
	if (rank == 0)
		printf("%d nodes, all links busy both ways for %.1f s: slowest %.1f %% "
		       "of "
		       "the rate, average %.1f %%\n",
			size, t, slowest, sum / size);
	leave(slowest < ENOUGH);
}
