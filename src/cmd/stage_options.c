/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/ebt_stage_options.h"
#include "cmd/stage_cmd.h"
#include "plan/plan.h"

/* A size, or a share of the file system as "5%"; 0: nothing. */
static int parse_keep_free(
	const char *text, struct ebt_stage_options *s, struct ebt_err *err)
{
	char *end;
	double share = strtod(text, &end);
	int r;

	s->keep_free = 0;
	if (end != text && strcmp(end, "%") == 0) {
		if (!(share >= 0 && share < 100))
			return ebt_failx(err, -EINVAL, "%s: must be below 100%%", text);
		s->keep_free_share = share > 0 ? share / 100 : -1;
		return 0;
	}
	r = text_parse_size(text, &s->keep_free, err);
	if (r == 0 && !s->keep_free)
		s->keep_free_share = -1;
	return r;
}

static int parse_parcel(const char *s, uint64_t *out, struct ebt_err *err)
{
	int r = text_parse_size(s, out, err);

	if (r == 0 && (*out < PLAN_PARCEL_MIN || *out > PLAN_PARCEL_MAX ||
			      *out % PLAN_PARCEL_MIN))
		r = ebt_failx(err, -EINVAL,
			"%s: must be a multiple of 128K from 128K to 8M", s);
	return r;
}

static int parse_fabric(const char *s, enum ebt_fabric *out, struct ebt_err *err)
{
	static const char *const words[] = {"unknown", "flat", "tapered", NULL};
	int word = 0, r = cmd_parse_word(s, words, &word, err);

	*out = (enum ebt_fabric)word;
	return r;
}

static int parse_compress(const char *s, const char **out, struct ebt_err *err)
{
	struct ebt_err why = {0};

	*out = s;
	/* What is not built in is as wrong as what there never was. */
	if (ebt_stage_compress_check(s, &why) < 0)
		return ebt_failx(err, -EINVAL, "%s", why.text);
	return 0;
}

static int parse_algo(const char *s, const char **out, struct ebt_err *err)
{
	enum schedule_algo algo;

	*out = s;
	return schedule_parse(s, &algo, err);
}

static int parse_memory(const char *s, uint64_t *out, struct ebt_err *err)
{
	int r = text_parse_size(s, out, err);

	if (r == 0 && *out < (2 << 20))
		r = ebt_failx(err, -EINVAL, "%s: at least 2M is needed", s);
	return r;
}

static int parse_at(const char *s, const char **out, struct ebt_err *err)
{
	*out = s;
	return *s == '/' ? 0
			 : ebt_failx(err, -EINVAL, "'%s': must be an absolute path", s);
}

static int add_unpack(struct cmd_stage *o, const char *pattern, struct ebt_err *err)
{
	const char **more = reallocarray(o->unpack, o->n_unpack + 1, sizeof(*more));

	if (!more)
		return ebt_fail(err, -ENOMEM, "options");
	o->unpack = more;
	o->unpack[o->n_unpack++] = pattern ? pattern : "";
	o->stage.unpack = o->unpack;
	o->stage.n_unpack = o->n_unpack;
	return 0;
}

void cmd_stage_release(struct cmd_stage *o)
{
	free(o->unpack);
	o->unpack = NULL;
	cmd_common_release(&o->common);
}

/* Does it take standard input for an archive? */
static bool unpacks_input(const struct cmd_stage *o)
{
	for (size_t i = 0; i < o->n_unpack; i++) {
		if (strcmp(o->unpack[i], "-") == 0)
			return true;
	}
	return false;
}

static void take_flag(void *arg, int opt)
{
	struct cmd_stage *o = arg;

	switch ((enum opt_flag)opt) {
	case OPT_RELATIVE:
		o->stage.relative = true;
		break;
	case OPT_CONCATENATED:
		o->stage.concatenated = true;
		break;
	case OPT_NO_OWNER:
		o->stage.no_owner = true;
		break;
	case OPT_NO_XATTRS:
		o->stage.no_xattrs = true;
		break;
	case OPT_DRY_RUN:
		o->stage.dry_run = true;
		break;
	case OPT_LIST:
		o->mode = STAGE_LIST;
		break;
	case OPT_VERIFY:
		o->mode = STAGE_VERIFY;
		break;
	case OPT_RECOVER:
		o->mode = STAGE_RECOVER;
		break;
	case OPT_GIVE_UP:
		o->stage.give_up = true;
		break;
	case OPT_DOCTOR:
		o->mode = STAGE_DOCTOR;
		break;
	}
}

static int take_value(void *arg, int opt, const char *value, struct ebt_err *err)
{
	struct cmd_stage *o = arg;
	struct ebt_stage_options *s = &o->stage;

	switch ((enum opt_value)opt) {
	case OPT_FILES_FROM:
		o->files_from = value;
		return 0;
	case OPT_UNPACK:
		return add_unpack(o, value, err);
	case OPT_AT:
		return parse_at(value, &s->at, err);
	case OPT_OVERWRITE:
		return cmd_parse_overwrite(value, &s->overwrite, err);
	case OPT_READERS:
		return cmd_parse_auto(value, 1 << 20, &s->readers, err);
	case OPT_IO_THREADS:
		return cmd_parse_number(value, 1, 64, &s->io_threads, err);
	case OPT_WRITE_THREADS:
		return cmd_parse_number(value, 1, 64, &s->write_threads, err);
	case OPT_KEEP_FREE:
		return parse_keep_free(value, s, err);
	case OPT_BATCH:
		return cmd_parse_number(value, 1, 1 << 20, &s->batch, err);
	case OPT_ALGO:
		return parse_algo(value, &s->algo, err);
	case OPT_COMPRESS:
		return parse_compress(value, &s->compress, err);
	case OPT_PARCEL:
		return parse_parcel(value, &s->parcel, err);
	case OPT_WINDOW:
		return cmd_parse_number(value, 1, 16, &s->window, err);
	case OPT_MEMORY:
		return parse_memory(value, &s->memory, err);
	case OPT_LINK:
		return text_parse_rate(value, &s->link, err);
	case OPT_LATENCY:
		return text_parse_time(value, &s->latency, err);
	case OPT_FABRIC:
		return parse_fabric(value, &s->fabric, err);
	case OPT_SIMULATE:
		o->mode = STAGE_SIMULATE;
		o->simulate = value;
		return 0;
	}
	return ebt_failx(err, -EINVAL, "unknown option");
}

/* What is left after the options: SOURCE... DEST, or a store. */
static int parse_operands(struct cmd_stage *o, char **args, int n, struct ebt_err *err)
{
	if (o->common.help || o->common.version)
		return 0;
	if (o->stage.give_up && o->mode != STAGE_RECOVER)
		return ebt_failx(err, -EINVAL, "--give-up goes with --recover");
	if (o->mode == STAGE_SIMULATE)
		return n == 0 ? 0
			      : ebt_failx(err, -EINVAL, "--simulate takes no operands");
	if (o->mode == STAGE_DOCTOR) {
		o->stage.dest = n > 0 ? args[0] : NULL;
		return n <= 1 ? 0 : ebt_failx(err, -EINVAL, "--doctor takes one DEST");
	}
	if ((o->stage.concatenated || o->stage.at) && !o->n_unpack)
		return ebt_failx(
			err, -EINVAL, "--at and --concatenated go with --unpack");
	if (unpacks_input(o) && o->files_from && strcmp(o->files_from, "-") == 0)
		return ebt_failx(err, -EINVAL,
			"--unpack=- and --files-from=- both want standard input");
	if (o->mode == STAGE_LIST && o->n_unpack) {
		o->sources = (const char **)args;
		o->n_sources = (size_t)n;
		return n || unpacks_input(o)
			       ? 0
			       : ebt_failx(err, -EINVAL, "no ARCHIVE to list");
	}
	if (o->mode != STAGE_RUN) {
		if (n != 1)
			return ebt_failx(err, -EINVAL, "exactly one STORE is needed");
		o->store = args[0];
		o->stage.dest = args[0];
		return 0;
	}
	if (n == 0)
		return ebt_failx(err, -EINVAL, "no SOURCE and no DEST");
	if (n == 1 && !o->files_from && !unpacks_input(o))
		return ebt_failx(err, -EINVAL, "no DEST after '%s'", args[0]);
	o->stage.dest = args[n - 1];
	o->sources = (const char **)args;
	o->n_sources = (size_t)n - 1;
	return 0;
}

/* The option with which nothing is done. */
static const char *undone(const struct cmd_stage *o)
{
	if (o->mode == STAGE_SIMULATE)
		return "--simulate";
	if (o->mode == STAGE_LIST)
		return "--list";
	if (o->mode == STAGE_DOCTOR)
		return "--doctor";
	return o->stage.dry_run ? "--dry-run" : NULL;
}

int cmd_stage_parse(int argc, char **argv, struct cmd_stage *o, struct ebt_err *err)
{
	const struct cmd_own own = {take_flag, take_value, o};
	int r;

	memset(o, 0, sizeof(*o));
	o->common.run = &o->stage.run;
	r = cmd_parse_options(
		argc, argv, SHORT_OPTIONS, long_options, &own, &o->common, err);
	if (r == 0)
		r = parse_operands(o, argv + optind, argc - optind, err);
	return r < 0 ? r : cmd_done_check(&o->common, undone(o), err);
}

enum cmd_input cmd_stage_input(const struct cmd_stage *o)
{
	enum cmd_input a = cmd_input_of(o->files_from), b = cmd_rules_input(&o->common);

	if (a == CMD_INPUT_NONE && unpacks_input(o))
		a = CMD_INPUT_PIPED;
	return a > b ? a : b;
}

static const char head[] =
	"Usage: ebt-stage [OPTION]... SOURCE... DEST\n"
	"       ebt-stage [OPTION]... --files-from=FILE [SOURCE]... DEST\n"
	"       ebt-stage --unpack[=PATTERN] [OPTION]... ARCHIVE... DEST\n"
	"       ebt-stage --unpack --list ARCHIVE...\n"
	"       ebt-stage --list | --verify | --recover [--give-up] STORE\n"
	"       ebt-stage --simulate=NAME=VALUE,...\n"
	"       ebt-stage --doctor [DEST]\n"
	"Copy SOURCEs from a shared file system to DEST on every node of an MPI job.\n"
	"Each byte is read once; nothing is visible before all nodes have verified "
	"all.\n"
	"In an allocation it starts itself, with one rank on each node.\n";

static const char tail[] =
	"\n"
	"Sizes take K, M, G (1024), rates K, M, G (1000) and bit, times us, ms, s, m, "
	"h.\n"
	"Exit status: 0 all done, 1 failed, 2 wrong usage; the same on every rank.\n";

void cmd_stage_help(FILE *out)
{
	fputs(head, out);
	print_options(out);
	fputs(tail, out);
}
