/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a careful user writes without EBT: rank 0 reads the file, one MPI_Bcast, every rank
 * writes it. Commands may run before (rank 0) and after (every rank), which makes it the
 * tar, broadcast, untar of a tree. The clock runs from the first command to the last rank's
 * end; MPI_Init is not in it. Ranks that wait for rank 0 or for the slowest sleep instead of
 * spinning, in favour of this control: with more ranks than cores spinning would count.
 */
#include "leave.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void stop(const char *what, const char *name)
{
	fprintf(stderr, "control_bcast: %s %s: %s\n", what, name, strerror(errno));
	give_up();
}

static void run(const char *cmd)
{
	int status;

	if (!*cmd)
		return;
	errno = ECANCELED;
	status = system(cmd);
	if (status != 0)
		stop("failed", cmd);
}

static char *room(size_t len)
{
	char *p = malloc(len ? len : 1);

	if (!p)
		stop("memory for", "the file");
	return p;
}

static char *slurp(const char *path, long long *len)
{
	struct stat st;
	ssize_t n;
	char *data;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		stop("open", path);
	*len = st.st_size;
	data = room((size_t)*len);
	for (long long at = 0; at < *len; at += n) {
		errno = ENODATA;
		n = read(fd, data + at, (size_t)(*len - at));
		if (n <= 0)
			stop("read", path);
	}
	close(fd);
	return data;
}

static void spill(const char *path, const char *data, long long len)
{
	ssize_t n;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		stop("create", path);
	for (long long at = 0; at < len; at += n) {
		n = write(fd, data + at, (size_t)(len - at));
		if (n <= 0)
			stop("write", path);
	}
	if (close(fd) < 0)
		stop("close", path);
}

int main(int argc, char **argv)
{
	const char *before, *after;
	long long len = 0;
	double start, cast;
	char *data = NULL;
	int rank, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (argc < 3) {
		if (rank == 0)
			fprintf(stderr,
				"usage: control_bcast FILE TARGET [BEFORE [AFTER]]\n");
		leave(2);
	}
	before = argc > 3 ? argv[3] : "";
	after = argc > 4 ? argv[4] : "";
	patient_barrier();
	start = MPI_Wtime();
	if (rank == 0) {
		run(before);
		data = slurp(argv[1], &len);
	}
	patient_barrier();
	cast = MPI_Wtime();
	MPI_Bcast(&len, 1, MPI_LONG_LONG, 0, MPI_COMM_WORLD);
	if (len > INT_MAX) {
		errno = EFBIG;
		stop("broadcast", argv[1]);
	}
	if (rank != 0)
		data = room((size_t)len);
	MPI_Bcast(data, (int)len, MPI_BYTE, 0, MPI_COMM_WORLD);
	cast = MPI_Wtime() - cast;
	MPI_Allreduce(MPI_IN_PLACE, &cast, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	spill(argv[2], data, len);
	free(data);
	run(after);
	patient_barrier();
	if (rank == 0)
		printf("{\"schema\":\"ebt.control/1\",\"nodes\":%d,\"bytes\":%lld,"
		       "\"bcast_seconds\":%.6f,\"seconds\":%.6f}\n",
			size, len, cast, MPI_Wtime() - start);
	leave(0);
}
