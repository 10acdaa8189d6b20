/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Did the launcher and MPI find each other? Where they did not, as with mpiexec of another MPI
 * or srun and a PMI that the MPI library does not know, MPI_Init takes every process for a job
 * of one rank, and each of them would do all of the work on stores that are not its alone. Only
 * the environment tells.
 *
 * The launcher that is closest to the process decides: mpiexec under Slurm starts its proxies
 * with srun, so their step may have more tasks than the job of MPI has ranks. A batch script is
 * in no step and has none of these variables, unlike SLURM_NTASKS.
 */
#include <errno.h>
#include <mpi.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"

/* Seconds: a launcher may end all at the first bad exit, so the message comes first. */
#define SAY_FIRST 2

static const struct launcher {
	const char *size, *rank;
	const char *name;
} launchers[] = {
	{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpiexec of Open MPI"},
	{"PMI_SIZE", "PMI_RANK", "mpiexec of MPICH, srun --mpi=pmi2"},
	{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"},
};

static unsigned long number(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 10) : 0;
}

static int wrong_launcher(const struct launcher *l, unsigned long started,
	const char *library, struct ebt_err *err)
{
	const char *pmi = launch_pmi(cmd_launch_mpi());

	return ebt_failx(err, -EPROTO,
		"started as one rank although %s is %lu: the launcher (%s) does not "
		"fit the "
		"MPI in use (%s). Use %s, with Slurm srun --mpi=%s; where one is "
		"meant, "
		"mpiexec -n 1",
		l->size, started, l->name, library, EBT_MPIEXEC, pmi ? pmi : "pmi2");
}

/* Nodes by the memory that their ranks share. */
static int count_nodes_all(void)
{
	MPI_Comm node;
	int rank, first, nodes;

	MPI_Comm_split_type(
		MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
	MPI_Comm_rank(node, &rank);
	first = rank == 0;
	MPI_Allreduce(&first, &nodes, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	MPI_Comm_free(&node);
	return nodes;
}

/*
 * It was this command itself that chose the launcher. Ranks that are not on all nodes would leave some
 * of them out, and say that all is well.
 */
static int check_own_all(const struct cmd_common *c, int ranks, struct ebt_err *err)
{
	char library[128];
	int nodes, rank;

	if (ranks < (int)c->launched)
		return ebt_failx(err, -EPROTO,
			"started with %u ranks, of which the MPI in use (%s) knows %d: "
			"the launcher that -v shows does not fit it. EBT_LAUNCHER "
			"names "
			"another one, see ebt(7)",
			c->launched, cmd_mpi_library(library, sizeof(library)), ranks);
	nodes = c->run->per_rank ? ranks : count_nodes_all();
	if (nodes >= (int)c->launched)
		return 0;
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	ebt_failx(err, -EPROTO,
		"one rank on each of %u nodes was meant, and the launcher that -v "
		"shows "
		"has put %d ranks on %d nodes. EBT_LAUNCHER names another one, see "
		"ebt(7)",
		c->launched, ranks, nodes);
	return rank == 0 ? -EPROTO : -ESRCH;
}

int cmd_check_launch_all(const struct cmd_common *c)
{
	const struct launcher *l = launchers, *end = l + sizeof(launchers) / sizeof(*l);
	struct ebt_err err = {0};
	char library[128];
	unsigned long started;
	int ranks, r;

	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	while (l < end && number(l->size) == 0)
		l++;
	started = l < end ? number(l->size) : 1;
	if (c->launched)
		r = check_own_all(c, ranks, &err);
	else if (ranks != 1 || started == 1)
		return 0;
	else
		r = wrong_launcher(
			l, started, cmd_mpi_library(library, sizeof(library)), &err);
	if (r == 0)
		return 0;
	/* Known to all of one job, and by the launcher's number where they are several. */
	if (r != -ESRCH && (l == end || number(l->rank) == 0))
		cmd_print_error(c, &err);
	else
		sleep(SAY_FIRST);
	return -EPROTO;
}
