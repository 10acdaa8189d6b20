/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI, what starts its ranks, and what it goes over. UCX is asked for a context as MPI would make
 * one, with its variables: what it lists then is what it would use. Its headers are not needed, as
 * the calls for that have been the same since its first version.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "cmd/cmd.h"
#include "cmd/doctor.h"
#include "job/job.h"

extern char **environ;

#define OUTPUT	    65536 /* bytes */
#define LIBRARY	    128
#define UCX_LIBRARY "libucp.so.0"

void doctor_look_mpi(const struct doctor_dest *d, struct doctor_line *line)
{
	char library[LIBRARY];

	doctor_say(line, DOCTOR_OK, "running with %s, built with %s",
		cmd_mpi_library(library, sizeof(library)), EBT_MPI);
}

void doctor_look_launcher(const struct doctor_dest *d, struct doctor_line *line)
{
	if (*EBT_MPIEXEC != '/')
		doctor_say(line, DOCTOR_UNKNOWN, "the build found no mpiexec");
	else if (access(EBT_MPIEXEC, X_OK) < 0)
		doctor_say(line, DOCTOR_MISSING, "%s, that of this MPI: %s",
			EBT_MPIEXEC, strerror(errno));
	else
		doctor_say(line, DOCTOR_OK, "%s, that of this MPI", EBT_MPIEXEC);
}

/* The last line of @text, without what ends it. */
static const char *last_line(char *text)
{
	size_t len = strlen(text);
	char *at;

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	at = strrchr(text, '\n');
	return at ? at + 1 : text;
}

static void ask_srun(struct doctor_line *line)
{
	static const char *const argv[] = {"srun", "--mpi=list", NULL};
	SCOPED_FREE char *out = calloc(1, OUTPUT);
	int r = out ? cmd_ask(argv, out, OUTPUT) : -ENOMEM;

	if (r == CMD_NOT_FOUND)
		doctor_say(
			line, DOCTOR_MISSING, "in a job of Slurm without srun in PATH");
	else if (r != 0)
		doctor_say(line, DOCTOR_UNKNOWN,
			"Slurm: srun --mpi=list ends with %d: %.300s", r,
			r < 0 ? strerror(-r) : last_line(out));
	else
		doctor_say_pmi(line, cmd_launch_mpi(), out);
}

static void ask_flux(struct doctor_line *line)
{
	char path[PATH_MAX];

	if (!doctor_find_program("flux", path))
		doctor_say(
			line, DOCTOR_MISSING, "in a job of Flux without flux in PATH");
	else if (cmd_launch_mpi() == LAUNCH_OMPI)
		doctor_say(line, DOCTOR_UNKNOWN,
			"Flux: whether flux run has PMIx only a run tells");
	else
		doctor_say(line, DOCTOR_OK, "Flux: flux run, which has PMI itself");
}

static void look_for_hosts(const struct launch_place *p, struct doctor_line *line)
{
	if (access(p->hosts, R_OK) < 0)
		doctor_say(line, DOCTOR_MISSING, "%s, %.300s: %s", p->why, p->hosts,
			strerror(errno));
	else
		doctor_say(line, DOCTOR_OK, "%s: mpiexec, on hosts of %.300s", p->why,
			p->hosts);
}

/* As the commands themselves see it. */
void doctor_look_job(const struct doctor_dest *d, struct doctor_line *line)
{
	struct launch_place p;
	struct ebt_err err = {0};

	if (launch_find((const char *const *)environ, &p, &err) < 0)
		doctor_say(line, DOCTOR_MISSING, "%.400s", err.text);
	else if (p.by == LAUNCH_NOT && p.why)
		doctor_say(line, DOCTOR_OK, "started by a launcher (%s)", p.why);
	else if (p.by == LAUNCH_NOT)
		doctor_say(line, DOCTOR_OK,
			"in no job of Slurm, PBS or Flux, and no EBT_HOSTS");
	else if (p.own)
		doctor_say(line, DOCTOR_UNKNOWN, "%s: by EBT_LAUNCHER, %.300s", p.why,
			p.own);
	else if (p.by == LAUNCH_SRUN)
		ask_srun(line);
	else if (p.by == LAUNCH_FLUX)
		ask_flux(line);
	else
		look_for_hosts(&p, line);
}

/* What ucp.h of all versions begins its parameters with: what is set, and the one that is a must. */
struct ucp_params {
	uint64_t fields, features;
	uint64_t later[126];
};
#define UCP_FEATURES 1u /* UCP_PARAM_FIELD_FEATURES */
#define UCP_TAG	     1u /* UCP_FEATURE_TAG */

struct ucp {
	void (*version)(unsigned *major, unsigned *minor, unsigned *release);
	int (*read_config)(const char *prefix, const char *file, void **config);
	int (*init)(unsigned major, unsigned minor, const struct ucp_params *params,
		const void *config, void **context);
	void (*print)(const void *context, FILE *out);
	const char *(*status)(int code);
};

static bool find_ucp(void *lib, struct ucp *u)
{
	*(void **)&u->version = dlsym(lib, "ucp_get_version");
	*(void **)&u->read_config = dlsym(lib, "ucp_config_read");
	*(void **)&u->init = dlsym(lib, "ucp_init_version");
	*(void **)&u->print = dlsym(lib, "ucp_context_print_info");
	*(void **)&u->status = dlsym(lib, "ucs_status_string");
	return u->version && u->read_config && u->init && u->print && u->status;
}

static void say_ucx(struct doctor_line *line, const char *whose, const char *info)
{
	doctor_say_ucx(line, whose, info, getenv("UCX_TLS"), getenv("UCX_NET_DEVICES"));
}

/* The process ends after that: what was opened goes with it. */
static void ask_ucp(void *lib, bool of_mpi, struct doctor_line *line)
{
	const struct ucp_params params = {.fields = UCP_FEATURES, .features = UCP_TAG};
	SCOPED_FREE char *info = NULL;
	void *config = NULL, *context = NULL;
	unsigned major = 0, minor = 0, release = 0;
	char whose[64];
	struct ucp u;
	size_t len;
	FILE *out;
	int r;

	if (!find_ucp(lib, &u)) {
		doctor_say(line, DOCTOR_UNKNOWN, UCX_LIBRARY " is another library");
		return;
	}
	u.version(&major, &minor, &release);
	snprintf(whose, sizeof(whose), "UCX %u.%u.%u%s", major, minor, release,
		of_mpi ? "" : " (perhaps not MPI's)");
	r = u.read_config(NULL, NULL, &config);
	if (r == 0)
		r = u.init(major, minor, &params, config, &context);
	if (r != 0) {
		say_ucx(line, whose, "");
		doctor_say_more(line, u.status(r));
		return;
	}
	out = open_memstream(&info, &len);
	if (!out) {
		doctor_say(line, DOCTOR_UNKNOWN, "%s: %s", whose, strerror(errno));
		return;
	}
	u.print(context, out);
	fclose(out);
	say_ucx(line, whose, info);
}

void doctor_look_ucx(const struct doctor_dest *d, struct doctor_line *line)
{
	void *of_mpi = dlopen(UCX_LIBRARY, RTLD_LAZY | RTLD_NOLOAD);
	void *lib = of_mpi ? of_mpi : dlopen(UCX_LIBRARY, RTLD_LAZY);
	SCOPED_FREE char *out = lib ? NULL : calloc(1, OUTPUT);
	char path[PATH_MAX];
	static const char *const argv[] = {"ucx_info", "-d", NULL};

	if (lib)
		ask_ucp(lib, of_mpi, line);
	else if (!doctor_find_program("ucx_info", path))
		doctor_say(line, DOCTOR_UNKNOWN,
			"neither " UCX_LIBRARY " nor ucx_info is found");
	else if (out && cmd_ask(argv, out, OUTPUT) == 0)
		say_ucx(line, "UCX of ucx_info", out);
	else
		doctor_say(line, DOCTOR_UNKNOWN, "ucx_info -d fails");
}

void doctor_look_link(const struct doctor_dest *d, struct doctor_line *line)
{
	char name[JOB_LINK_NAME];
	double rate = job_find_link_named(name);

	doctor_say_link(line, rate, name);
}
