/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of nodes: by switch where all know theirs, else by rank. */
#include <stdio.h>
#include <stdlib.h>

#include "job/job.h"
#include "ranks.h"

#define MOST 64

/* Opens a run and puts the ranks of its nodes, in their order, into @ranks. */
static void nodes_of(MPI_Comm comm, int ranks[MOST])
{
	const struct ebt_run run = {.per_rank = true};
	struct ebt_err err = {0};
	struct job j;
	int rank = mpi_rank(comm);

	CU_ASSERT_EQUAL(job_open_all(&j, comm, &run, &err), 0);
	CU_ASSERT_EQUAL(j.n_nodes, mpi_size(comm));
	MPI_Allgather(&rank, 1, MPI_INT, ranks, 1, MPI_INT, j.nodes.comm);
	job_close(&j);
}

/* Rank r lies at switch r modulo @switches; -1: it does not know. */
static void lie_at(int rank, int switches)
{
	char address[64];

	unsetenv("SLURM_TOPOLOGY_ADDR");
	unsetenv("SLURM_TOPOLOGY_ADDR_PATTERN");
	if (switches < 0)
		return;
	snprintf(address, sizeof(address), "core.s%d.n%d", rank % switches, rank);
	setenv("SLURM_TOPOLOGY_ADDR", address, 1);
	setenv("SLURM_TOPOLOGY_ADDR_PATTERN", "switch.switch.node", 1);
}

static void nodes_of_a_switch_are_neighbours(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), ranks[MOST] = {0};

	for (int switches = 1; switches <= 3 && size <= MOST; switches++) {
		int changes = 0;

		lie_at(rank, switches);
		nodes_of(comm, ranks);
		CU_ASSERT_EQUAL(ranks[0], 0);
		for (int i = 1; i < size; i++) {
			if (ranks[i] % switches == ranks[i - 1] % switches)
				CU_ASSERT(ranks[i] > ranks[i - 1])
			else
				changes++;
		}
		CU_ASSERT_EQUAL(changes, (switches < size ? switches : size) - 1);
	}
	lie_at(rank, -1);
}

static void ranks_decide_where_one_does_not_know(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), ranks[MOST] = {0};

	for (int some = 0; some < 2 && size <= MOST; some++) {
		lie_at(rank, some && rank < size - 1 ? 2 : -1);
		nodes_of(comm, ranks);
		for (int i = 0; i < size; i++)
			CU_ASSERT_EQUAL(ranks[i], i);
	}
	lie_at(rank, -1);
}

const struct mpi_test job_tests[] = {
	MPI_TEST(nodes_of_a_switch_are_neighbours),
	MPI_TEST(ranks_decide_where_one_does_not_know),
	{0},
};
