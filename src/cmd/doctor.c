/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The probes and their order. First a process makes the scratch directory in DEST, then all
 * probes run, then a process takes it away. Each of these three takes DOCTOR_SECONDS at most, so
 * a file system that hangs costs that and a few lines, and the rest is told.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/scope.h"
#include "base/text.h"
#include "cmd/doctor.h"
#include "cmd/stage_cmd.h"

#define SCHEMA "\"schema\":\"ebt.stage/1\""

static const struct doctor_probe {
	const char *topic;
	doctor_look_fn *look;
	bool in_dest;	     /* needs the scratch directory */
	const char *without; /* what it means that this is missing */
} probes[] = {
	{"mpi", doctor_look_mpi, false, ""},
	{"launcher", doctor_look_launcher, false,
		"ranks that another MPI starts are refused"},
	{"job", doctor_look_job, false,
		"ranks of several nodes do not find each other"},
	{"ucx", doctor_look_ucx, false, "by UCX MPI does not reach other nodes"},
	{"link", doctor_look_link, false, ""},
	{"compression", doctor_look_compression, false, "--compress does without"},
	{"archives", doctor_look_archives, false, "archives that need it are refused"},
	{"lustre", doctor_look_lustre, false,
		"files are not placed by storage targets"},
	{"memory", doctor_look_memory, false, "say a smaller --memory"},
	{"files", doctor_look_files, false, "large jobs may run out of them"},
	{"dest", doctor_look_dest, true,
		"all would have one store, unless DEST has %h"},
	{"store", doctor_look_store, true, "nothing can be staged there"},
	{"space", doctor_look_room, true, "nothing can be staged there"},
	{"xattrs", doctor_look_xattrs, true, "sources with such need --no-xattrs"},
	{"acls", doctor_look_acls, true, "sources with such need --no-xattrs"},
	{"times", doctor_look_times, true,
		"times are cut to that, and so compared later"},
	{"tmpfile", doctor_look_tmpfile, true, "lists of many files stay in memory"},
	{"links", doctor_look_links, true, "sources with hard links cannot be staged"},
	{"holes", doctor_look_holes, true, "files with holes take all of their size"},
	{"rename", doctor_look_rename, true,
		"what others make in that moment may be replaced"},
	{"namespaces", doctor_look_namespaces, false,
		"no user can mount DEST over the old paths"},
	{"overlay", doctor_look_overlay, true,
		"DEST cannot be laid over what it is a copy of"},
	{"fuse", doctor_look_fuse, true, "no user can show files through FUSE"},
};
#define PROBES (sizeof(probes) / sizeof(probes[0]))

/* What a process and this one have in common. */
struct task {
	const struct doctor_probe *probe;
	struct doctor_dest *dest;
	struct doctor_line line;
	int code; /* of taking away */
};
struct shared {
	struct doctor_dest dest;
	struct task task[PROBES];
};

static void shared_release(struct shared **s)
{
	if (*s)
		munmap(*s, sizeof(**s));
}

static void run_enter(void *arg)
{
	struct task *t = arg;

	doctor_enter(t->dest);
}

static void run_look(void *arg)
{
	struct task *t = arg;

	t->probe->look(t->dest, &t->line);
}

static void run_leave(void *arg)
{
	struct task *t = arg;

	t->code = doctor_leave(t->dest);
}

/* Why @try has no result, as text; "" where it has one. */
static const char *no_result(const struct doctor_try *try, char text[80])
{
	text[0] = '\0';
	if (try->end == DOCTOR_LATE)
		snprintf(text, 80, "no answer within %d s", DOCTOR_SECONDS);
	else if (try->end == DOCTOR_DIED && try->code < 0)
		snprintf(text, 80, "no process for it: %s", strerror(-try->code));
	else if (try->end == DOCTOR_DIED)
		snprintf(text, 80, "its process died (signal %d)", try->code);
	return text;
}

/* DEST and the scratch directory. Else why not, for whoever cannot do without. */
static int enter(struct shared *s, const char *dest, struct ebt_err *err)
{
	struct task task = {.dest = &s->dest};
	struct doctor_try try = {.fn = run_enter, .arg = &task};
	char id[33], why[80], shown[320];
	int r = fsio_random_id(id, err);

	if (r < 0)
		return r;
	if (strlen(dest) >= sizeof(s->dest.path))
		return ebt_fail(err, -ENAMETOOLONG, "DEST");
	strcpy(s->dest.path, dest);
	snprintf(s->dest.scratch, sizeof(s->dest.scratch), ".ebt-doctor-%s", id);
	doctor_try_all(&try, 1, DOCTOR_SECONDS);
	if (*no_result(&try, why)) {
		s->dest.code = -ETIMEDOUT;
		return ebt_failx(err, -ETIMEDOUT, "%s: %s",
			text_name(dest, shown, sizeof(shown)), why);
	}
	return s->dest.code < 0 ? ebt_failx(err, s->dest.code, "%s", s->dest.why) : 0;
}

/* Nothing of us stays; what does is named. */
static void leave(struct shared *s)
{
	struct task *task = &s->task[0];
	struct doctor_try try = {.fn = run_leave, .arg = task};
	char why[80], shown[320];

	task->code = 0;
	doctor_try_all(&try, 1, DOCTOR_SECONDS);
	if (try.end == DOCTOR_DIED && try.code < 0) {
		/* Where no process can be had this one has to do it. */
		run_leave(task);
		try.end = DOCTOR_DONE;
	}
	no_result(&try, why);
	if (*why || task->code < 0)
		fprintf(stderr, "%s: %s/%s is left: %s\n", cmd_program.name,
			text_name(s->dest.in, shown, sizeof(shown)), s->dest.scratch,
			*why ? why : strerror(-task->code));
}

/* @dest_code, @dest_why: as enter left them. */
static void look(struct shared *s, int dest_code, const char *dest_why)
{
	struct doctor_try try[PROBES];
	struct task *task[PROBES];
	size_t n = 0;
	char why[80];

	for (size_t i = 0; i < PROBES; i++) {
		struct task *t = &s->task[i];

		t->probe = &probes[i];
		t->dest = &s->dest;
		if (t->probe->in_dest && dest_code < 0) {
			doctor_say(&t->line, DOCTOR_UNKNOWN, "DEST cannot be tried");
			continue;
		}
		try[n] = (struct doctor_try){.fn = run_look, .arg = t};
		task[n++] = t;
	}
	doctor_try_all(try, n, DOCTOR_SECONDS);
	for (size_t i = 0; i < n; i++)
		if (*no_result(&try[i], why))
			doctor_say(&task[i]->line, DOCTOR_UNKNOWN, "%s", why);
	for (size_t i = 0; i < PROBES; i++) {
		struct task *t = &s->task[i];

		if (t->probe->look == doctor_look_dest && dest_code < 0)
			doctor_say(&t->line,
				dest_code == -ETIMEDOUT ? DOCTOR_UNKNOWN
							: DOCTOR_MISSING,
				"%.400s", dest_why);
		else if (t->line.state == DOCTOR_MISSING && *t->probe->without)
			doctor_say_more(&t->line, t->probe->without);
	}
}

static void print(const struct shared *s, bool json)
{
	unsigned count[3] = {0};
	char out[DOCTOR_PRINTED], path[6 * PATH_MAX + 3];

	for (size_t i = 0; i < PROBES; i++) {
		count[s->task[i].line.state]++;
		fputs(doctor_format(probes[i].topic, &s->task[i].line, json, out),
			stdout);
	}
	if (json)
		printf("{" SCHEMA ",\"type\":\"diagnosis\",\"dest\":%s,\"ok\":%u,"
		       "\"missing\":%u,\"unknown\":%u}\n",
			text_json(s->dest.path, path, sizeof(path)), count[DOCTOR_OK],
			count[DOCTOR_MISSING], count[DOCTOR_UNKNOWN]);
	else
		printf("%u ok, %u missing, %u unknown\n", count[DOCTOR_OK],
			count[DOCTOR_MISSING], count[DOCTOR_UNKNOWN]);
}

int cmd_stage_doctor(const struct cmd_stage *o, struct ebt_err *err)
{
	SCOPED(shared_release) struct shared *s = doctor_shared(1, sizeof(*s));
	const char *tmp = getenv("TMPDIR"), *dest = o->stage.dest;
	sigset_t all, before;
	int r;

	if (!s)
		return ebt_fail(err, -ENOMEM, "doctor");
	if (!dest)
		dest = tmp && *tmp ? tmp : "/tmp";
	/* Stop signals wait until the scratch directory is gone. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	r = enter(s, dest, err);
	look(s, r, err->text);
	if (s->dest.ino)
		leave(s);
	sigprocmask(SIG_SETMASK, &before, NULL);
	print(s, o->common.json);
	return r;
}
