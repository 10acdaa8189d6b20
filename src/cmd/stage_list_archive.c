/* SPDX-License-Identifier: BSD-3-Clause */
/* --unpack --list: what would be staged of archives, read on this node. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/stage_cmd.h"
#include "job/job.h"
#include "stage/unpack.h"

static int go_on(void *arg, struct ebt_err *err)
{
	return 0;
}

static bool nothing(
	void *arg, const char *path, struct manifest_entry *e, const char **source)
{
	return false;
}

static void turn(void *arg)
{
}

static void say(void *arg, enum log_level level, const char *text)
{
	fprintf(stderr, "%s: %s\n", cmd_program.name, text);
}

/* Absolute, as sources are; what is given as "-" comes from standard input. */
static int name_all(
	const struct cmd_stage *o, char **names, uint32_t *n, struct ebt_err *err)
{
	SCOPED_FREE char *cwd = getcwd(NULL, 0);

	for (size_t i = 0; i < o->n_unpack && !*n; i++) {
		if (strcmp(o->unpack[i], "-") == 0)
			names[(*n)++] = strdup(UNPACK_STDIN);
	}
	for (size_t i = 0; i < o->n_sources; i++) {
		const char *s = o->sources[i];

		if (s[0] == '/')
			names[*n] = strdup(s);
		else if (!cwd || asprintf(&names[*n], "%s/%s", cwd, s) < 0)
			names[*n] = NULL;
		if (!names[(*n)++])
			return ebt_fail(err, cwd ? -ENOMEM : -ENOENT, "%s", s);
	}
	return 0;
}

static int list_all(
	const struct cmd_stage *o, struct unpack_input *in, struct ebt_err *err)
{
	SCOPED(unpack_endp) struct unpack *u = NULL;
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct source_feed *feed;
	int r = manifest_new(&m, err);

	if (r == 0)
		r = unpack_start(in, NULL, &u, err);
	while (r == 0 && !unpack_over(u))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	if (r < 0)
		return r;
	unpack_hold(u, turn, NULL);
	r = unpack_take(u, m, &feed, err);
	if (r == 0)
		r = manifest_arrange(m, err);
	if (r < 0)
		return r;
	cmd_stage_list_manifest(o, m);
	return ferror(stdout) ? ebt_fail(err, -EIO, "standard output") : 0;
}

static int load_filter(
	const struct cmd_stage *o, struct filter **out, struct ebt_err *err)
{
	SCOPED(cmd_rules_release) struct cmd_rules rules = {0};
	SCOPED(filter_freep) struct filter *f = NULL;
	int r = cmd_load_rules(&o->common, &rules, err);

	if (r == 0)
		r = filter_new(&f, err);
	for (size_t i = 0; r == 0 && i < rules.n_rules; i++)
		r = job_add_rule(f, &rules.rules[i], err);
	if (r == 0)
		*out = TAKE(f);
	return r;
}

int cmd_stage_list_archive(const struct cmd_stage *o, struct ebt_err *err)
{
	SCOPED_FREE char **names = calloc(o->n_sources + 1, sizeof(*names));
	SCOPED_FREE uint32_t *numbers = calloc(o->n_sources + 1, sizeof(*numbers));
	SCOPED(filter_freep) struct filter *filter = NULL;
	struct log log = {.fn = say, .max = LOG_LEVEL_WARN};
	uint64_t found = 0;
	struct unpack_input in = {
		.no_owner = o->stage.no_owner,
		.no_xattrs = true,
		.concatenated = o->stage.concatenated,
		.dry = true,
		.found = &found,
		.stopped = go_on,
		.log = &log,
		.brought = nothing,
	};
	int r = names && numbers ? 0 : ebt_fail(err, -ENOMEM, "options");

	if (r == 0)
		r = name_all(o, names, &in.n, err);
	for (uint32_t i = 0; r == 0 && i < in.n; i++)
		numbers[i] = i;
	if (r == 0)
		r = load_filter(o, &filter, err);
	in.filter = filter;
	in.archives = (const char **)names;
	in.numbers = numbers;
	if (r == 0)
		r = list_all(o, &in, err);
	for (uint32_t i = 0; names && i < in.n; i++)
		free(names[i]);
	return r;
}
