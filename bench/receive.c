/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does receiving straight into the mapped target beat a buffer that is written? Rank 0 sends
 * SIZE bytes in parcels to rank 1, which hashes each and has it in a file on tmpfs at the end:
 *
 *   buffer   receive into a buffer that is used again, hash, pwrite
 *   mapped   receive into a shared mapping of the preallocated file, hash there
 *   populate the same, with the parcel's pages made by MADV_POPULATE_WRITE first
 *
 * Prints CPU seconds per GiB of rank 1, user and system, and the wall time; the best of ROUNDS.
 *
 *   mpicc -O2 -o receive bench/receive.c -lxxhash && mpiexec -n 2 ./receive /dev/shm/FILE
 */
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "leave.h"

#define SIZE   (1ul << 30)
#define ROUNDS 5

enum way { BUFFER, MAPPED, POPULATE, WAYS };
static const char *const names[] = {"buffer", "mapped", "populate"};

static double cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void die(const char *what)
{
	perror(what);
	MPI_Abort(MPI_COMM_WORLD, 1);
}

static void send_all(size_t parcel)
{
	char *data = malloc(parcel);

	memset(data, 'x', parcel);
	for (size_t at = 0; at < SIZE; at += parcel)
		MPI_Send(data, (int)parcel, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
	free(data);
}

static void receive_all(enum way way, size_t parcel, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	char *buffer = malloc(parcel), *map = NULL, *to = buffer;
	volatile XXH64_hash_t sink = 0;

	if (fd < 0)
		die(path);
	if (way != BUFFER) {
		if (ftruncate(fd, SIZE) < 0)
			die(path);
		map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			die("mmap");
	}
	for (size_t at = 0; at < SIZE; at += parcel) {
		if (map)
			to = map + at;
		if (way == POPULATE && madvise(to, parcel, MADV_POPULATE_WRITE) < 0)
			die("populate");
		MPI_Recv(to, (int)parcel, MPI_BYTE, 0, 0, MPI_COMM_WORLD,
			MPI_STATUS_IGNORE);
		sink ^= XXH3_128bits(to, parcel).low64;
		if (!map && pwrite(fd, to, parcel, (off_t)at) != (ssize_t)parcel)
			die("pwrite");
	}
	if (map)
		munmap(map, SIZE);
	close(fd);
	unlink(path);
	free(buffer);
}

int main(int argc, char **argv)
{
	static const size_t parcels[] = {256 << 10, 1 << 20, 4 << 20};
	int rank;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (argc != 2)
		die("usage: receive FILE");
	for (size_t i = 0; i < sizeof(parcels) / sizeof(parcels[0]); i++) {
		for (int way = 0; way < WAYS; way++) {
			double cpu = 1e9, wall = 1e9;

			for (int round = 0; round < ROUNDS; round++) {
				double c, w;

				patient_barrier();
				c = cpu_now();
				w = MPI_Wtime();
				if (rank == 0)
					send_all(parcels[i]);
				else
					receive_all(way, parcels[i], argv[1]);
				c = cpu_now() - c;
				w = MPI_Wtime() - w;
				cpu = c < cpu ? c : cpu;
				wall = w < wall ? w : wall;
			}
			if (rank == 1)
				printf("%7zu KiB %-8s %.3f CPU s/GiB, %.3f s\n",
					parcels[i] >> 10, names[way], cpu, wall);
		}
	}
	leave(0);
}
