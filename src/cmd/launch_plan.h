/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where is this process, and which command starts one rank on each node of its allocation? Pure:
 * from variables of the environment and what files and programs say to the words of a command.
 *
 * Slurm and Flux know the nodes of a job; for PBS and EBT_HOSTS it is the mpiexec of the MPI that
 * reaches the names in a file. Sources: srun(1), section INPUT ENVIRONMENT VARIABLES, of Slurm
 * 22.05; flux-run(1); the manuals of Hydra and of Open MPI 4.1; PBS Professional's qsub(1).
 */
#ifndef CMD_LAUNCH_PLAN_H
#define CMD_LAUNCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "ebt/err.h"

enum launch_by {
	LAUNCH_NOT, /* no allocation, or a launcher has started this process */
	LAUNCH_SRUN,
	LAUNCH_FLUX,
	LAUNCH_MPIEXEC,
};

struct launch_place {
	enum launch_by by;
	const char *why;   /* the variable that says so, or NULL */
	const char *type;  /* of SRUN: the --mpi that the user has chosen, or NULL */
	unsigned nodes;	   /* of SRUN; otherwise others know: 0 */
	const char *hosts; /* of MPIEXEC: path of a file that names nodes */
	const char *own;   /* EBT_LAUNCHER: words to begin with instead, or NULL */
};

/*
 * @env as environ(7); *out points into it. -EPROTO: an allocation in which one cannot know what is
 * meant.
 */
int launch_find(const char *const *env, struct launch_place *out, struct ebt_err *err);

/*
 * The names in a file of hosts, each once and in their order, a line each, into @out, and how
 * many in *n. What follows a name, slots and comments, is left out. -EINVAL: none, or what
 * cannot be a name.
 */
int launch_hosts(const char *text, size_t len, struct buf *out, unsigned *n,
	struct ebt_err *err);

enum launch_mpi {
	LAUNCH_MPICH,
	LAUNCH_OMPI,
	LAUNCH_CRAY, /* its MPICH: Slurm's default is made for it */
	LAUNCH_OTHER,
};

/* The --mpi of srun that the MPI understands; NULL: not known. */
const char *launch_pmi(enum launch_mpi mpi);
/* The same if `srun --mpi=list`, which printed @list, names it; NULL: it does not. */
const char *launch_srun_type(enum launch_mpi mpi, const char *list);

struct launch_how {
	enum launch_mpi mpi;
	const char *mpiexec;   /* its mpiexec */
	const char *srun_type; /* NULL: Slurm's default */
	unsigned nodes;
	const char *hosts; /* path of a file with their names, for MPIEXEC */
	bool verbose;	   /* what a launcher has to say beside errors is shown */
	bool bar;	   /* standard error is a terminal that shows progress */
	const char *
		program; /* to start, and all it gets, without its name, NULL at the end */
	const char *const *args;
	const char *const *env; /* some variables have to be named to be passed on */
};

/* Words, each with its NUL, and pointers to them with a NULL at the end. */
struct launch_command {
	struct buf words, argv;
};
static inline const char *const *launch_argv(const struct launch_command *c)
{
	return (const char *const *)(const void *)c->argv.data;
}
void launch_command_release(struct launch_command *c);
/* -EINVAL: EBT_LAUNCHER is wrong. */
int launch_words(const struct launch_place *p, const struct launch_how *how,
	struct launch_command *out, struct ebt_err *err);

/*
 * Does variable "NAME=VALUE" or "NAME" go to the launcher? Not what was said of the tasks of some
 * other step (how many, how bound, where their output goes), nor the PMI of one.
 */
bool launch_keeps(const char *variable);

/* As a shell takes it. For people: what is beyond 4 KiB is left out. */
void launch_print(const char *const *argv, struct buf *out);

#endif
