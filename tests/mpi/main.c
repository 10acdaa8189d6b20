/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUnit on every rank, talking on the first one. Exit status on every rank: 0 all passed, 1 a
 * check failed on any rank, 99 broken set-up. An argument runs only the tests whose names
 * contain it. A rank that waits for too long ends the job.
 */
#include "ranks.h"

#include <CUnit/Basic.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/transport.h"

#define SECONDS 150
#define TESTS	80
#define TMPDIRS 64

static const struct mpi_test *tests[TESTS];
static unsigned n_tests, current;
static char tmpdirs[TMPDIRS][64];
static int n_tmpdirs;

int mpi_rank(MPI_Comm comm)
{
	int rank;

	MPI_Comm_rank(comm, &rank);
	return rank;
}

int mpi_size(MPI_Comm comm)
{
	int size;

	MPI_Comm_size(comm, &size);
	return size;
}

bool mpi_same_all(MPI_Comm comm, const void *data, size_t len)
{
	char *first = malloc(len + 1);
	int same;

	if (!first)
		MPI_Abort(comm, 99);
	memcpy(first, data, len);
	MPI_Bcast(first, (int)len, MPI_BYTE, 0, comm);
	same = memcmp(first, data, len) == 0;
	free(first);
	MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_LAND, comm);
	return same;
}

void mpi_tmpdir_all(MPI_Comm comm, char path[64])
{
	const char *base = getenv("TMPDIR");

	if (mpi_rank(comm) == 0) {
		if (!base || strlen(base) > 40)
			base = "/tmp";
		snprintf(path, 64, "%s/ebt-mpi-XXXXXX", base);
		if (n_tmpdirs == TMPDIRS || !mkdtemp(path)) {
			perror(path);
			MPI_Abort(comm, 99);
		}
		strcpy(tmpdirs[n_tmpdirs++], path);
	}
	MPI_Bcast(path, 64, MPI_BYTE, 0, comm);
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tmpdirs(void)
{
	for (int i = 0; i < n_tmpdirs; i++)
		nftw(tmpdirs[i], drop, 16, FTW_DEPTH | FTW_PHYS);
}

/* CUnit's tests take no argument, but it runs them in the order in which they were added. */
static void run_current(void)
{
	const struct mpi_test *t = tests[current++];
	unsigned before = CU_get_number_of_failures();
	int failed, all;

	t->run(MPI_COMM_WORLD);
	failed = (int)(CU_get_number_of_failures() - before);
	MPI_Allreduce(&failed, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	if (all != failed)
		CU_FAIL("on another rank");
}

static int add_tests(CU_pSuite suite, const struct mpi_test *t, const char *wanted)
{
	for (; t->name; t++) {
		if (wanted && !strstr(t->name, wanted))
			continue;
		if (n_tests == TESTS || !CU_add_test(suite, t->name, run_current))
			return -1;
		tests[n_tests++] = t;
	}
	return 0;
}

/* The first rank's were printed by CUnit. */
static void print_failures(int rank)
{
	for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext)
		fprintf(stderr, "rank %d: %s: %s:%u: %s\n", rank, f->pTest->pName,
			f->strFileName, f->uiLineNumber, f->strCondition);
}

static int setup(const char *wanted)
{
	CU_pSuite transport, job, stage, recover, drain;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return -1;
	transport = CU_add_suite("transport", NULL, NULL);
	job = CU_add_suite("job", NULL, NULL);
	stage = CU_add_suite("stage", NULL, NULL);
	recover = CU_add_suite("recover", NULL, NULL);
	drain = CU_add_suite("drain_merge", NULL, NULL);
	if (!transport || !job || !stage || !recover || !drain ||
		add_tests(transport, transport_tests, wanted) < 0 ||
		add_tests(job, job_tests, wanted) < 0 ||
		add_tests(stage, stage_tests, wanted) < 0 ||
		add_tests(recover, recover_tests, wanted) < 0 ||
		add_tests(drain, drain_merge_tests, wanted) < 0)
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	int rank, provided, status = 0;
	CU_ErrorCode ran;

	MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
	rank = mpi_rank(MPI_COMM_WORLD);
	alarm(SECONDS);
	if (setup(argc > 1 ? argv[1] : NULL) < 0)
		MPI_Abort(MPI_COMM_WORLD, 99);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	/* The second form prints nothing at all. */
	ran = rank == 0 ? CU_basic_run_tests() : CU_run_all_tests();
	if (ran != CUE_SUCCESS || current != n_tests)
		MPI_Abort(MPI_COMM_WORLD, 99);
	if (CU_get_number_of_failures())
		status = 1;
	if (rank != 0)
		print_failures(rank);
	MPI_Allreduce(MPI_IN_PLACE, &status, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	remove_tmpdirs();
	CU_cleanup_registry();
	transport_leave_all(status, status == 0, NULL, NULL);
}
