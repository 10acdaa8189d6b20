/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests that run on several ranks. Every rank runs every test; after each one the ranks
 * compare notes, so that a check which fails anywhere fails the test everywhere.
 *
 * Never leave a test early (no _FATAL checks, no return before a collective call): the other
 * ranks would wait for ever.
 */
#ifndef TESTS_MPI_RANKS_H
#define TESTS_MPI_RANKS_H

#include <CUnit/CUnit.h>
#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

struct mpi_test {
	const char *name;
	void (*run)(MPI_Comm comm);
};
#define MPI_TEST(fn)                                                                   \
	{                                                                              \
#fn, fn                                                                \
	}

/* Each ends in a NULL name. */
extern const struct mpi_test transport_tests[], job_tests[], stage_tests[],
	recover_tests[];
extern const struct mpi_test drain_merge_tests[];

/* Collective: a new empty directory, the same on all ranks of this one machine. */
void mpi_tmpdir_all(MPI_Comm comm, char path[64]);
/* Collective: true if all ranks have the same bytes. */
bool mpi_same_all(MPI_Comm comm, const void *data, size_t len);
int mpi_rank(MPI_Comm comm);
int mpi_size(MPI_Comm comm);

#endif
