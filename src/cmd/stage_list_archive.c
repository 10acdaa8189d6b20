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
#include "stage/archives.h"

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

/* As a run would name them: all operands are archives here, whatever the patterns say. */
static int name_all(const struct cmd_stage *o, struct buf *names, struct ebt_err *err)
{
	struct ebt_stage_options all = o->stage;
	SCOPED_FREE const char **unpack = calloc(o->n_unpack + 1, sizeof(*unpack));
	SCOPED_BUF struct buf none = {0};

	if (!unpack)
		return ebt_fail(err, -ENOMEM, "options");
	for (size_t i = 0; i < o->n_unpack; i++)
		unpack[i] = strcmp(o->unpack[i], "-") == 0 ? "-" : "";
	unpack[o->n_unpack] = "";
	all.unpack = unpack;
	all.n_unpack = o->n_unpack + 1;
	all.sources = o->sources;
	all.n_sources = o->n_sources;
	return stage_roots(&all, &none, names, err);
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
	SCOPED(filter_freep) struct filter *filter = NULL;
	SCOPED_BUF struct buf names = {0};
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
	int r = name_all(o, &names, err);

	if (r == 0)
		r = archives_deal(&names, 0, 1, &in, err);
	if (r == 0)
		r = load_filter(o, &filter, err);
	in.filter = filter;
	if (r == 0)
		r = list_all(o, &in, err);
	free(in.archives);
	free(in.numbers);
	return r;
}
