/* SPDX-License-Identifier: BSD-3-Clause */
#include "cmd/launch_plan.h"

#include <errno.h>
#include <string.h>

#include "suite.h"

#define ENV(...)                                                                       \
	(const char *[])                                                               \
	{                                                                              \
		__VA_ARGS__, NULL                                                      \
	}

#define JOB "SLURM_JOB_ID=7", "SLURM_JOB_NUM_NODES=3"

static enum launch_by by(const char *const *env)
{
	struct launch_place p;

	CU_ASSERT_EQUAL_FATAL(launch_find(env, &p, NULL), 0);
	return p.by;
}

static void each_allocation_has_its_launcher(void)
{
	struct launch_place p;

	CU_ASSERT_EQUAL(by(ENV("HOME=/root")), LAUNCH_NOT);
	CU_ASSERT_EQUAL(by(ENV("SLURM_JOB_ID=7", "SLURM_NNODES=3")), LAUNCH_SRUN);
	CU_ASSERT_EQUAL(by(ENV("PBS_NODEFILE=/n", "PBS_JOBID=7")), LAUNCH_MPIEXEC);
	CU_ASSERT_EQUAL(by(ENV("EBT_HOSTS=/n")), LAUNCH_MPIEXEC);
	CU_ASSERT_EQUAL(by(ENV("FLUX_URI=local:///x")), LAUNCH_FLUX);
	/* Flux inside of Slurm; a file that the user names before all. */
	CU_ASSERT_EQUAL(
		by(ENV("SLURM_JOB_ID=7", "SLURM_NNODES=3", "FLUX_URI=x")), LAUNCH_FLUX);
	CU_ASSERT_EQUAL(by(ENV("SLURM_JOB_ID=7", "SLURM_NNODES=3", "EBT_HOSTS=/n")),
		LAUNCH_MPIEXEC);
	CU_ASSERT_EQUAL(
		by(ENV("EBT_HOSTS=", "SLURM_JOB_ID=", "PBS_NODEFILE=")), LAUNCH_NOT);
	/* Which launcher, not whether. */
	CU_ASSERT_EQUAL(by(ENV("EBT_LAUNCHER=ibrun")), LAUNCH_NOT);

	launch_find(ENV("PBS_NODEFILE=/n/f", "EBT_LAUNCHER=a b"), &p, NULL);
	CU_ASSERT_STRING_EQUAL(p.hosts, "/n/f");
	CU_ASSERT_STRING_EQUAL(p.why, "PBS_NODEFILE");
	CU_ASSERT_STRING_EQUAL(p.own, "a b");
	/* What the user has chosen, and not srun for its step. */
	launch_find(ENV("SLURM_JOB_ID=7", "SLURM_NNODES=3", "SLURM_MPI_TYPE=pmix_v4"),
		&p, NULL);
	CU_ASSERT_STRING_EQUAL(p.type, "pmix_v4");
	launch_find(ENV("SLURM_JOB_ID=7", "SLURM_NNODES=3", "SLURM_MPI_TYPE=none",
			    "SLURM_STEP_ID=0"),
		&p, NULL);
	CU_ASSERT_PTR_NULL(p.type);
	/* The job has them, not the step of a shell. */
	launch_find(ENV("SLURM_JOB_ID=7", "SLURM_NNODES=1", "SLURM_JOB_NUM_NODES=3"),
		&p, NULL);
	CU_ASSERT_EQUAL(p.nodes, 3);
}

static void what_a_launcher_started_starts_nothing(void)
{
	CU_ASSERT_EQUAL(by(ENV(JOB, "PMI_RANK=0", "PMI_SIZE=3")), LAUNCH_NOT);
	CU_ASSERT_EQUAL(by(ENV(JOB, "PMIX_RANK=0")), LAUNCH_NOT);
	CU_ASSERT_EQUAL(by(ENV("EBT_HOSTS=/n", "OMPI_COMM_WORLD_SIZE=1")), LAUNCH_NOT);
	CU_ASSERT_EQUAL(by(ENV("FLUX_URI=x", "FLUX_TASK_RANK=2")), LAUNCH_NOT);
	/* Several tasks, and no PMI. */
	CU_ASSERT_EQUAL(
		by(ENV(JOB, "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_ID=0")), LAUNCH_NOT);
	/* One: as good as a script. With PMI it was meant as one rank. */
	CU_ASSERT_EQUAL(
		by(ENV(JOB, "SLURM_STEP_NUM_TASKS=1", "SLURM_STEP_ID=0")), LAUNCH_SRUN);
	CU_ASSERT_EQUAL(by(ENV(JOB, "SLURM_STEP_NUM_TASKS=1", "SLURM_STEP_ID=0",
				"PMI_RANK=0", "PMI_SIZE=1")),
		LAUNCH_NOT);
}

static void a_shell_in_the_allocation_is_no_launcher(void)
{
	CU_ASSERT_EQUAL(by(ENV(JOB, "SLURM_STEP_NUM_TASKS=1", "SLURM_STEPID=4294967290",
				"PMI_RANK=0", "PMI_SIZE=1")),
		LAUNCH_SRUN);
	CU_ASSERT_EQUAL(by(ENV(JOB, "SLURM_STEP_NUM_TASKS=1", "SLURM_STEP_ID=0",
				"SLURM_PTY_PORT=1", "PMIX_RANK=0")),
		LAUNCH_SRUN);
	/* As Slurm's cray_shasta has it. */
	CU_ASSERT_EQUAL(by(ENV(JOB, "SLURM_STEP_NUM_TASKS=1", "SLURM_PTY_PORT=1",
				"PMI_RANK=0", "PMI_SIZE=1", "PALS_RANKID=0")),
		LAUNCH_SRUN);
	CU_ASSERT_EQUAL(by(ENV("PBS_NODEFILE=/n", "PALS_RANKID=0")), LAUNCH_NOT);
	/* mpiexec from that shell, of one rank, too. */
	CU_ASSERT_EQUAL(by(ENV(JOB, "SLURM_STEP_NUM_TASKS=1", "SLURM_PTY_PORT=1",
				"PMI_SIZE=1", "MPI_LOCALNRANKS=1")),
		LAUNCH_NOT);
	/* srun from it, of several. */
	CU_ASSERT_EQUAL(by(ENV(JOB, "SLURM_STEP_NUM_TASKS=3", "SLURM_PTY_PORT=1",
				"PMI_SIZE=3")),
		LAUNCH_NOT);
}

static void what_cannot_be_known_is_refused(void)
{
	struct launch_place p;

	CU_ASSERT_EQUAL(launch_find(ENV("SLURM_JOB_ID=7"), &p, NULL), -EPROTO);
	CU_ASSERT_EQUAL(launch_find(ENV("SLURM_JOB_ID=7", "SLURM_NNODES=x"), &p, NULL),
		-EPROTO);
	CU_ASSERT_EQUAL(launch_find(ENV(JOB, "SLURM_HET_SIZE=2"), &p, NULL), -EPROTO);
	/* pbsdsh: one on each node. */
	CU_ASSERT_EQUAL(launch_find(ENV("PBS_NODEFILE=/n", "PBS_NODENUM=1"), &p, NULL),
		-EPROTO);
	CU_ASSERT_EQUAL(
		launch_find(ENV("PBS_NODEFILE=/n", "PBS_NODENUM=0"), &p, NULL), 0);
}

static void hosts_are(const char *text, unsigned n, const char *want)
{
	SCOPED_BUF struct buf out = {0};
	unsigned got;

	CU_ASSERT_EQUAL_FATAL(launch_hosts(text, strlen(text), &out, &got, NULL), 0);
	CU_ASSERT_EQUAL(got, n);
	buf_put8(&out, 0);
	CU_ASSERT_STRING_EQUAL((const char *)out.data, want);
}

static void each_host_is_named_once(void)
{
	SCOPED_BUF struct buf out = {0};
	unsigned n;

	hosts_are("n1\nn0\n", 2, "n1\nn0\n");
	hosts_are("n1\nn0\nn1\nn2\nn0", 3, "n1\nn0\nn2\n");
	hosts_are("# all\n\n  n1:4\nn-0.a_b slots=2\r\n\tn1 # again\n", 2,
		"n1\nn-0.a_b\n");
	hosts_are("n1\r\n\r\nn2\r\n", 2, "n1\nn2\n");
	CU_ASSERT_EQUAL(launch_hosts("", 0, &out, &n, NULL), -EINVAL);
	CU_ASSERT_EQUAL(launch_hosts("#\n", 2, &out, &n, NULL), -EINVAL);
	/* Nothing that ssh could take for an option, nor what a shell would. */
	CU_ASSERT_EQUAL(launch_hosts("-oX\n", 4, &out, &n, NULL), -EINVAL);
	CU_ASSERT_EQUAL(launch_hosts("a;b\n", 4, &out, &n, NULL), -EINVAL);
	CU_ASSERT_EQUAL(launch_hosts(":4\n", 3, &out, &n, NULL), -EINVAL);
	CU_ASSERT_EQUAL(launch_hosts("a\0b\n", 4, &out, &n, NULL), -EINVAL);
}

static void words_are(
	const struct launch_place *p, const struct launch_how *how, const char *want)
{
	SCOPED(launch_command_release) struct launch_command c = {0};
	SCOPED_BUF struct buf text = {0};

	CU_ASSERT_EQUAL_FATAL(launch_words(p, how, &c, NULL), 0);
	launch_print(launch_argv(&c), &text);
	buf_put8(&text, 0);
	CU_ASSERT_STRING_EQUAL((const char *)text.data, want);
}

static struct launch_how how_of(enum launch_mpi mpi)
{
	static const char *const args[] = {"-n", "a b", "", "it's", NULL};
	static const char *const env[] = {"HOME=/root", "EBT_PFS=plain", "UCX_TLS=tcp",
		"LD_LIBRARY_PATH=/l", "EBTX=1", "EBT_BROKEN", NULL};

	return (struct launch_how){.mpi = mpi,
		.mpiexec = "/m/mpiexec",
		.srun_type = mpi == LAUNCH_OMPI ? "pmix" : "pmi2",
		.nodes = 3,
		.hosts = "/n/f",
		.verbose = true,
		.program = "/b/ebt",
		.args = args,
		.env = env};
}
#define ARGS "/b/ebt --launched=3 -n 'a b' '' 'it'\\''s'"
#define SRUN(type)                                                                     \
	"srun " type "--overlap --kill-on-bad-exit=1 --nodes=3 --ntasks=3 "            \
	"--ntasks-per-node=1 --cpu-bind=none --export=ALL --input=0 "

static void slurm_is_told_what_the_mpi_understands(void)
{
	struct launch_place p = {.by = LAUNCH_SRUN};
	struct launch_how how = how_of(LAUNCH_MPICH);

	words_are(&p, &how, SRUN("--mpi=pmi2 ") ARGS);
	how.srun_type = "pmix";
	words_are(&p, &how, SRUN("--mpi=pmix ") ARGS);
	how.verbose = false;
	how.bar = true;
	how.srun_type = NULL;
	words_are(&p, &how,
		SRUN("") "--quiet --unbuffered /b/ebt --launched=3 --progress=always "
			 "-n 'a b' '' "
			 "'it'\\''s'");
}

static void others_are_told_their_way(void)
{
	struct launch_place flux = {.by = LAUNCH_FLUX}, hosts = {.by = LAUNCH_MPIEXEC};
	struct launch_how how = how_of(LAUNCH_MPICH);

	words_are(&flux, &how,
		"flux run --nodes=3 --tasks-per-node=1 --setopt=cpu-affinity=off "
		"--input=0 " ARGS);
	words_are(&hosts, &how, "/m/mpiexec -f /n/f -ppn 1 -n 3 " ARGS);
	how.mpi = LAUNCH_OMPI;
	words_are(&hosts, &how,
		"/m/mpiexec --hostfile /n/f --map-by ppr:1:node --bind-to none "
		"-x EBT_PFS -x UCX_TLS -x LD_LIBRARY_PATH -n 3 " ARGS);
}

static void a_site_has_a_launcher_of_its_own(void)
{
	struct launch_place p = {
		.by = LAUNCH_SRUN, .own = " env A=1  ibrun -n %n 100%% --hosts=%f "};
	struct launch_how how = how_of(LAUNCH_MPICH);
	SCOPED(launch_command_release) struct launch_command c = {0};

	words_are(&p, &how, "env A=1 ibrun -n 3 100% --hosts=/n/f " ARGS);
	p.own = "run";
	words_are(&p, &how, "run " ARGS);
	how.hosts = NULL;
	p.own = "run %f";
	CU_ASSERT_EQUAL(launch_words(&p, &how, &c, NULL), -EINVAL);
	launch_command_release(&c);
	p.own = "run %x";
	CU_ASSERT_EQUAL(launch_words(&p, &how, &c, NULL), -EINVAL);
	launch_command_release(&c);
	p.own = "run %";
	CU_ASSERT_EQUAL(launch_words(&p, &how, &c, NULL), -EINVAL);
	launch_command_release(&c);
	p.own = " \t ";
	CU_ASSERT_EQUAL(launch_words(&p, &how, &c, NULL), -EINVAL);
}

static void what_was_said_of_other_tasks_stays_behind(void)
{
	static const char *const gone[] = {"SLURM_NTASKS_PER_NODE=4", "SLURM_NTASKS=8",
		"SLURM_CPU_BIND=rank", "SLURM_CPU_BIND_LIST=", "SLURM_CPUS_PER_TASK=2",
		"SRUN_CPUS_PER_TASK=2", "SLURM_LABELIO=1", "SLURM_STDOUTMODE=none",
		"SLURM_EXPORT_ENV=NONE", "SLURM_DISTRIBUTION=cyclic", "PMI_RANK=0",
		"PMI_FD", "PMIX_NAMESPACE=x", "SLURM_HOSTFILE=/x", "SRUN_OUTPUT=x",
		"PALS_RANKID=0"};
	static const char *const kept[] = {"SLURM_JOB_ID=7", "SLURM_CONF=/x",
		"SLURM_JOB_NUM_NODES=3", "SLURM_MPI_TYPE=cray_shasta", "PATH=/bin",
		"SLURM_HINTS", "EBT_HOSTS=/n", "SLURM_WAIT4SWITCH=1", "PMI",
		"PMIX_MCA_gds=hash", "PMI_MMAP_SYNC_WAIT_TIME=300", "PMI_FANOUT=8"};

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		CU_ASSERT(!launch_keeps(gone[i]));
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		CU_ASSERT(launch_keeps(kept[i]));
}

static const struct test tests[] = {
	TEST(each_allocation_has_its_launcher),
	TEST(what_a_launcher_started_starts_nothing),
	TEST(a_shell_in_the_allocation_is_no_launcher),
	TEST(what_cannot_be_known_is_refused),
	TEST(each_host_is_named_once),
	TEST(slurm_is_told_what_the_mpi_understands),
	TEST(others_are_told_their_way),
	TEST(a_site_has_a_launcher_of_its_own),
	TEST(what_was_said_of_other_tasks_stays_behind),
};
SUITE("cmd_launch_plan", tests)
