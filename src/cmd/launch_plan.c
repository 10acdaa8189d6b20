/* SPDX-License-Identifier: BSD-3-Clause */
#include "cmd/launch_plan.h"

#include <ctype.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* Slurm's number of the step that is an interactive shell: SLURM_INTERACTIVE_STEP of slurm.h. */
#define INTERACTIVE_STEP "4294967290"
#define PRINT_MOST	 4096

/*
 * Variables of the launchers that set up MPI. Those of PMI come from Slurm's own steps, too, and with
 * its cray_shasta that of HPE Cray PALS.
 */
static const char *const launched_by[] = {
	"OMPI_COMM_WORLD_SIZE", /* Open MPI */
	"MPI_LOCALNRANKS",	/* Hydra, Intel MPI, MVAPICH */
	"ALPS_APP_PE",
	"FLUX_TASK_RANK",
};
static const char *const pmi[] = {"PMI_RANK", "PMI_SIZE", "PMI_FD", "PMI_PORT",
	"PMIX_RANK", "PMIX_NAMESPACE", "PALS_RANKID"};

/* What says how the tasks of another step are to be; a name ending in * is the start of several. */
static const char *const of_tasks[] = {"PALS_*", "PMI2_*", "PMIX_GDS_MODULE",
	"PMIX_HOSTNAME", "PMIX_NAMESPACE", "PMIX_PTL_MODULE", "PMIX_RANK",
	"PMIX_SECURITY_MODE", "PMIX_SERVER_*", "PMI_APPNUM", "PMI_CONTROL_*", "PMI_FD",
	"PMI_ID", "PMI_JOBID", "PMI_LOCAL_*", "PMI_PORT", "PMI_RANK",
	"PMI_SHARED_SECRET", "PMI_SIZE", "PMI_SPAWNED", "PMI_UNIVERSE_SIZE",
	"SLURM_ARBITRARY_*", "SLURM_BCAST*", "SLURM_COMPRESS", "SLURM_CPUS_PER_*",
	"SLURM_CPU_BIND*", "SLURM_DISTRIBUTION", "SLURM_DIST_*", "SLURM_EPILOG",
	"SLURM_EXACT", "SLURM_EXCLUSIVE", "SLURM_EXPORT_ENV", "SLURM_GPUS_PER_SOCKET",
	"SLURM_GPUS_PER_TASK", "SLURM_GPU_BIND", "SLURM_HINT", "SLURM_HOSTFILE",
	"SLURM_KILL_BAD_EXIT", "SLURM_LABELIO", "SLURM_MEM_BIND*", "SLURM_MEM_PER_GPU",
	"SLURM_MULTI_PROG", "SLURM_NO_KILL", "SLURM_NPROCS", "SLURM_NTASKS*",
	"SLURM_OPEN_MODE", "SLURM_OVERCOMMIT", "SLURM_PROLOG", "SLURM_RELATIVE",
	"SLURM_REMOTE_CWD", "SLURM_SEND_LIBS", "SLURM_SPREAD_JOB", "SLURM_STDERRMODE",
	"SLURM_STDINMODE", "SLURM_STDOUTMODE", "SLURM_STEP_GRES", "SLURM_TASK_EPILOG",
	"SLURM_TASK_PROLOG", "SLURM_TEST_EXEC", "SLURM_THREADS*", "SLURM_TRES_BIND",
	"SLURM_TRES_PER_TASK", "SLURM_UNBUFFEREDIO", "SLURM_WAIT",
	"SLURM_WAIT_FOR_CHILDREN", "SLURM_WHOLE", "SLURM_WORKING_DIR", "SRUN_*"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *value_of(const char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++) {
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	}
	return NULL;
}

/* Not set and empty are the same. */
static const char *set_to(const char *const *env, const char *name)
{
	const char *value = value_of(env, name);

	return value && *value ? value : NULL;
}

static unsigned number(const char *const *env, const char *name)
{
	const char *value = value_of(env, name);
	unsigned long n = value ? strtoul(value, NULL, 10) : 0;

	return n > 1000000 ? 0 : (unsigned)n;
}

static const char *first_set(const char *const *env, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (value_of(env, names[i]))
			return names[i];
	}
	return NULL;
}

/*
 * A shell in the allocation, from salloc or srun --pty, is a step of one task, which may come with
 * a PMI that nobody asked for.
 */
static bool in_shell(const char *const *env)
{
	const char *step = value_of(env, "SLURM_STEP_ID");

	if (!step)
		step = value_of(env, "SLURM_STEPID");
	return number(env, "SLURM_STEP_NUM_TASKS") == 1 &&
	       ((step && strcmp(step, INTERACTIVE_STEP) == 0) ||
		       value_of(env, "SLURM_PTY_PORT"));
}

static bool is_launched(const char *const *env, struct launch_place *p)
{
	p->why = first_set(env, launched_by, COUNT(launched_by));
	/* What it says of Slurm and of PMI may be of the step in which Flux runs. */
	if (p->why || set_to(env, "FLUX_URI"))
		return p->why;
	if (!in_shell(env))
		p->why = first_set(env, pmi, COUNT(pmi));
	/* Several tasks without a PMI: each of them finds that out, and says so. */
	if (!p->why && number(env, "SLURM_STEP_NUM_TASKS") > 1)
		p->why = "SLURM_STEP_NUM_TASKS";
	return p->why;
}

static int find_slurm(
	const char *const *env, struct launch_place *p, struct ebt_err *err)
{
	p->by = LAUNCH_SRUN;
	p->why = "SLURM_JOB_ID";
	/* In a step srun itself has set it. */
	if (!value_of(env, "SLURM_STEP_ID"))
		p->type = set_to(env, "SLURM_MPI_TYPE");
	if (number(env, "SLURM_HET_SIZE") > 1)
		return ebt_failx(err, -EPROTO,
			"SLURM_HET_SIZE is %u: in a job of several kinds of nodes "
			"EBT_HOSTS, or a line of srun, has to say which",
			number(env, "SLURM_HET_SIZE"));
	p->nodes = number(env, "SLURM_JOB_NUM_NODES");
	if (!p->nodes)
		p->nodes = number(env, "SLURM_NNODES");
	return p->nodes ? 0
			: ebt_failx(err, -EPROTO,
				  "SLURM_JOB_ID is set, but neither "
				  "SLURM_JOB_NUM_NODES nor SLURM_NNODES: the number of "
				  "nodes is not known");
}

static int find_pbs(const char *const *env, struct launch_place *p, struct ebt_err *err)
{
	p->by = LAUNCH_MPIEXEC;
	p->why = "PBS_NODEFILE";
	p->hosts = set_to(env, "PBS_NODEFILE");
	/* As pbsdsh starts them, one on each node: each would start one on each node. */
	return number(env, "PBS_NODENUM") == 0
		       ? 0
		       : ebt_failx(err, -EPROTO,
				 "PBS_NODENUM is %u: start the command from the job's "
				 "script, once, and it starts itself on all nodes",
				 number(env, "PBS_NODENUM"));
}

int launch_find(const char *const *env, struct launch_place *p, struct ebt_err *err)
{
	*p = (struct launch_place){.own = set_to(env, "EBT_LAUNCHER")};
	if (is_launched(env, p))
		return 0;
	if (set_to(env, "EBT_HOSTS")) {
		p->by = LAUNCH_MPIEXEC;
		p->why = "EBT_HOSTS";
		p->hosts = set_to(env, "EBT_HOSTS");
		return 0;
	}
	if (set_to(env, "FLUX_URI")) {
		p->by = LAUNCH_FLUX;
		p->why = "FLUX_URI";
		return 0;
	}
	if (set_to(env, "SLURM_JOB_ID"))
		return find_slurm(env, p, err);
	return set_to(env, "PBS_NODEFILE") ? find_pbs(env, p, err) : 0;
}

static bool is_host(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) &&
			(i == 0 || !name[i] || !strchr("-._", name[i])))
			return false;
	}
	return len > 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* 1: it is a new one. The set has its own copies. */
static int note_host(void **seen, const char *name, size_t len)
{
	SCOPED_FREE char *copy = strndup(name, len);
	char **node = copy ? tsearch(copy, seen, by_name) : NULL;

	if (!node)
		return -ENOMEM;
	if (*node != copy)
		return 0;
	(void)TAKE(copy);
	return 1;
}

static int take_host(const char *line, size_t len, void **seen, struct buf *out,
	unsigned *n, struct ebt_err *err)
{
	char shown[64], name[65];
	size_t first = 0, last;
	int r;

	while (first < len && isblank((unsigned char)line[first]))
		first++;
	for (last = first; last < len && !isspace((unsigned char)line[last]) &&
			   line[last] != ':' && line[last] != '#';)
		last++;
	if (first == last &&
		(first == len || line[first] == '#' || line[first] == '\r'))
		return 0;
	if (!is_host(line + first, last - first)) {
		snprintf(name, sizeof(name), "%.*s", (int)(len - first), line + first);
		return ebt_failx(err, -EINVAL, "'%s' is no name of a host",
			text_name(name, shown, sizeof(shown)));
	}
	r = note_host(seen, line + first, last - first);
	if (r < 0)
		return ebt_fail(err, r, "hosts");
	if (r == 0)
		return 0;
	buf_put(out, line + first, last - first);
	buf_put8(out, '\n');
	*n += 1;
	return 0;
}

int launch_hosts(
	const char *text, size_t len, struct buf *out, unsigned *n, struct ebt_err *err)
{
	void *seen = NULL;
	int r = 0;

	*n = 0;
	for (size_t at = 0, end; at < len && r == 0; at = end + 1) {
		const char *nl = memchr(text + at, '\n', len - at);

		end = nl ? (size_t)(nl - text) : len;
		r = take_host(text + at, end - at, &seen, out, n, err);
	}
	tdestroy(seen, free);
	if (r == 0 && !buf_ok(out))
		r = ebt_fail(err, -ENOMEM, "hosts");
	if (r == 0 && *n == 0)
		r = ebt_failx(err, -EINVAL, "names no host");
	return r;
}

void launch_command_release(struct launch_command *c)
{
	buf_release(&c->words);
	buf_release(&c->argv);
}

static void add(struct launch_command *c, const char *word)
{
	buf_put(&c->words, word, strlen(word) + 1);
}

static void add_pair(struct launch_command *c, const char *name, const char *value)
{
	buf_put(&c->words, name, strlen(name));
	add(c, value);
}

static void add_number(struct launch_command *c, const char *name, unsigned n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	add_pair(c, name, text);
}

/* Is @word one of the words of @text, or the start of one with a version? */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += len) {
		if ((p == text || isspace((unsigned char)p[-1])) &&
			(!p[len] || isspace((unsigned char)p[len]) ||
				strncmp(p + len, "_v", 2) == 0))
			return true;
	}
	return false;
}

const char *launch_pmi(enum launch_mpi mpi)
{
	if (mpi == LAUNCH_MPICH)
		return "pmi2";
	return mpi == LAUNCH_OMPI ? "pmix" : NULL;
}

const char *launch_srun_type(enum launch_mpi mpi, const char *list)
{
	const char *type = launch_pmi(mpi);

	return type && has_word(list, type) ? type : NULL;
}

/*
 * Beside whatever else the job runs, on all cores of the node; of the standard input as of any
 * other job of MPI: it is the first rank's.
 */
static void srun_words(const struct launch_how *how, struct launch_command *c)
{
	add(c, "srun");
	if (how->srun_type)
		add_pair(c, "--mpi=", how->srun_type);
	add(c, "--overlap");
	add(c, "--kill-on-bad-exit=1");
	add_number(c, "--nodes=", how->nodes);
	add_number(c, "--ntasks=", how->nodes);
	add(c, "--ntasks-per-node=1");
	add(c, "--cpu-bind=none");
	add(c, "--export=ALL");
	add(c, "--input=0");
	if (!how->verbose)
		add(c, "--quiet");
	/* A bar has no lines, for which Slurm would wait. */
	if (how->bar)
		add(c, "--unbuffered");
}

static void flux_words(const struct launch_how *how, struct launch_command *c)
{
	add(c, "flux");
	add(c, "run");
	add_number(c, "--nodes=", how->nodes);
	add(c, "--tasks-per-node=1");
	add(c, "--setopt=cpu-affinity=off");
	add(c, "--input=0");
}

/* Open MPI passes on only what it is told to. */
static void name_variables(const struct launch_how *how, struct launch_command *c)
{
	for (const char *const *v = how->env; v && *v; v++) {
		const char *end = strchr(*v, '=');

		if (!end ||
			(strncmp(*v, "EBT_", 4) != 0 && strncmp(*v, "UCX_", 4) != 0 &&
				strncmp(*v, "LD_LIBRARY_PATH=", 16) != 0))
			continue;
		add(c, "-x");
		buf_put(&c->words, *v, (size_t)(end - *v));
		buf_put8(&c->words, 0);
	}
}

static void mpiexec_words(const struct launch_how *how, struct launch_command *c)
{
	add(c, how->mpiexec);
	if (how->mpi == LAUNCH_OMPI) {
		add(c, "--hostfile");
		add(c, how->hosts);
		add(c, "--map-by");
		add(c, "ppr:1:node");
		add(c, "--bind-to");
		add(c, "none");
		name_variables(how, c);
	} else {
		add(c, "-f");
		add(c, how->hosts);
		add(c, "-ppn");
		add(c, "1");
	}
	add(c, "-n");
	add_number(c, "", how->nodes);
}

/* Words between blanks, in which %n is the number of nodes and %f the file with their names. */
static int own_words(const char *text, const struct launch_how *how,
	struct launch_command *c, struct ebt_err *err)
{
	size_t start = c->words.len;

	for (const char *p = text; *p; p++) {
		if (isspace((unsigned char)*p)) {
			if (p > text && !isspace((unsigned char)p[-1]))
				buf_put8(&c->words, 0);
		} else if (*p != '%') {
			buf_put8(&c->words, (uint8_t)*p);
		} else if (*++p == 'n') {
			buf_printf(&c->words, "%u", how->nodes);
		} else if (*p == 'f' && how->hosts) {
			buf_put(&c->words, how->hosts, strlen(how->hosts));
		} else if (*p == '%') {
			buf_put8(&c->words, '%');
		} else {
			return ebt_failx(err, -EINVAL,
				*p == 'f' ? "EBT_LAUNCHER: %%f, but no file names the "
					    "nodes here"
					  : "EBT_LAUNCHER: a %% that is neither %%n, "
					    "%%f nor %%%%");
		}
	}
	if (c->words.len > start && buf_ok(&c->words) &&
		c->words.data[c->words.len - 1])
		buf_put8(&c->words, 0);
	return c->words.len > start
		       ? 0
		       : ebt_failx(err, -EINVAL, "EBT_LAUNCHER names nothing to start");
}

static int seal(struct launch_command *c, struct ebt_err *err)
{
	const char *end = (const char *)c->words.data + c->words.len, *none = NULL;

	if (!buf_ok(&c->words))
		return ebt_fail(err, -ENOMEM, "command of the launcher");
	for (const char *p = (const char *)c->words.data; p < end; p += strlen(p) + 1)
		buf_put(&c->argv, &p, sizeof(p));
	buf_put(&c->argv, &none, sizeof(none));
	return buf_ok(&c->argv) ? 0 : ebt_fail(err, -ENOMEM, "command of the launcher");
}

int launch_words(const struct launch_place *p, const struct launch_how *how,
	struct launch_command *c, struct ebt_err *err)
{
	int r = 0;

	if (p->own)
		r = own_words(p->own, how, c, err);
	else if (p->by == LAUNCH_SRUN)
		srun_words(how, c);
	else if (p->by == LAUNCH_FLUX)
		flux_words(how, c);
	else
		mpiexec_words(how, c);
	if (r < 0)
		return r;
	add(c, how->program);
	add_number(c, "--launched=", how->nodes);
	if (how->bar)
		add(c, "--progress=always");
	for (const char *const *arg = how->args; *arg; arg++)
		add(c, *arg);
	return seal(c, err);
}

bool launch_keeps(const char *variable)
{
	size_t len = strcspn(variable, "=");

	for (size_t i = 0; i < COUNT(of_tasks); i++) {
		size_t n = strcspn(of_tasks[i], "*");

		if (strncmp(variable, of_tasks[i], n) == 0 &&
			(of_tasks[i][n] == '*' || n == len))
			return false;
	}
	return true;
}

void launch_print(const char *const *argv, struct buf *out)
{
	for (; *argv && out->len < PRINT_MOST; argv++) {
		const char *word = *argv;
		bool plain =
			*word && strspn(word, "abcdefghijklmnopqrstuvwxyz"
					      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					      "0123456789%+,-./:=@_") == strlen(word);

		if (out->len)
			buf_put8(out, ' ');
		for (buf_put(out, "'", !plain); *word; word++) {
			if (*word == '\'')
				buf_put(out, "'\\''", 4);
			else
				buf_put8(out, (uint8_t)*word);
		}
		buf_put(out, "'", !plain);
	}
	if (*argv)
		buf_put(out, " ...", 4);
}
