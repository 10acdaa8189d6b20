/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What carrying a file from one node to another costs at least in one thread each, parcel by
 * parcel: rank 0 reads, hashes and writes it to TARGET.0, and sends it; rank 1 receives,
 * hashes and writes it to TARGET.1. MPI's own send and receive, which spin. The clock runs
 * from the first read to the last write; MPI_Init is not in it.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "leave.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static void stop(const char *what, const char *name)
{
	fprintf(stderr, "control_send: %s %s: %s\n", what, name, strerror(errno));
	give_up();
}

static void spill(int fd, const char *name, const char *data, size_t len)
{
	ssize_t n;

	for (size_t at = 0; at < len; at += (size_t)n) {
		n = write(fd, data + at, len - at);
		if (n <= 0)
			stop("write", name);
	}
}

int main(int argc, char **argv)
{
	XXH128_hash_t sum = {0}, one, theirs = {0};
	char name[PATH_MAX], *data;
	long long len = 0, parcel;
	int rank, size, in = -1, out;
	double start;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	parcel = argc == 4 ? atoll(argv[3]) : 0;
	if (size != 2 || parcel <= 0 || parcel > INT_MAX) {
		if (rank == 0)
			fprintf(stderr,
				"usage, with two ranks: control_send FILE TARGET "
				"BYTES_OF_A_PARCEL\n");
		leave(2);
	}
	snprintf(name, sizeof(name), "%s.%d", argv[2], rank);
	out = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		stop("create", name);
	if (rank == 0) {
		struct stat st;

		in = open(argv[1], O_RDONLY | O_CLOEXEC);
		if (in < 0 || fstat(in, &st) < 0)
			stop("open", argv[1]);
		len = st.st_size;
	}
	data = malloc((size_t)parcel);
	if (!data)
		stop("memory for", "a parcel");
	patient_barrier();
	start = MPI_Wtime();
	MPI_Bcast(&len, 1, MPI_LONG_LONG, 0, MPI_COMM_WORLD);
	for (long long at = 0; at < len; at += parcel) {
		size_t n = (size_t)(len - at < parcel ? len - at : parcel);

		if (rank == 0) {
			errno = ENODATA;
			if (pread(in, data, n, at) != (ssize_t)n)
				stop("read", argv[1]);
			MPI_Send(data, (int)n, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
		} else {
			MPI_Recv(data, (int)n, MPI_BYTE, 0, 0, MPI_COMM_WORLD,
				MPI_STATUS_IGNORE);
		}
		one = XXH3_128bits(data, n);
		sum.low64 ^= one.low64;
		sum.high64 += one.high64;
		spill(out, name, data, n);
	}
	if (close(out) < 0)
		stop("close", name);
	patient_barrier();
	start = MPI_Wtime() - start;
	theirs = sum;
	MPI_Bcast(&theirs, sizeof(theirs), MPI_BYTE, 0, MPI_COMM_WORLD);
	errno = EIO;
	if (theirs.low64 != sum.low64 || theirs.high64 != sum.high64)
		stop("content of", name);
	if (rank == 0)
		printf("{\"schema\":\"ebt.control/1\",\"bytes\":%lld,\"parcel\":%lld,"
		       "\"seconds\":%.6f}\n",
			len, parcel, start);
	leave(0);
}
