/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/stage_cmd.h"
#include "plan/plan.h"

enum {
	OPT_FILES_FROM = CMD_OPT_OWN,
	OPT_UNPACK,
	OPT_CONCATENATED,
	OPT_AT,
	OPT_NO_OWNER,
	OPT_NO_XATTRS,
	OPT_OVERWRITE,
	OPT_READERS,
	OPT_IO_THREADS,
	OPT_WRITE_THREADS,
	OPT_ALGO,
	OPT_COMPRESS,
	OPT_PARCEL,
	OPT_WINDOW,
	OPT_MEMORY,
	OPT_BATCH,
	OPT_KEEP_FREE,
	OPT_LINK,
	OPT_LATENCY,
	OPT_FABRIC,
	OPT_SIMULATE,
	OPT_LIST,
	OPT_VERIFY,
	OPT_RECOVER,
	OPT_GIVE_UP,
	OPT_DOCTOR,
};

static const struct option long_options[] = {
	{"relative", no_argument, NULL, 'R'},
	{"files-from", required_argument, NULL, OPT_FILES_FROM},
	{"unpack", optional_argument, NULL, OPT_UNPACK},
	{"at", required_argument, NULL, OPT_AT},
	{"concatenated", no_argument, NULL, OPT_CONCATENATED},
	{"no-owner", no_argument, NULL, OPT_NO_OWNER},
	{"no-xattrs", no_argument, NULL, OPT_NO_XATTRS},
	{"overwrite", required_argument, NULL, OPT_OVERWRITE},
	{"readers", required_argument, NULL, OPT_READERS},
	{"io-threads", required_argument, NULL, OPT_IO_THREADS},
	{"write-threads", required_argument, NULL, OPT_WRITE_THREADS},
	{"algo", required_argument, NULL, OPT_ALGO},
	{"compress", required_argument, NULL, OPT_COMPRESS},
	{"parcel", required_argument, NULL, OPT_PARCEL},
	{"window", required_argument, NULL, OPT_WINDOW},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"keep-free", required_argument, NULL, OPT_KEEP_FREE},
	{"link", required_argument, NULL, OPT_LINK},
	{"latency", required_argument, NULL, OPT_LATENCY},
	{"fabric", required_argument, NULL, OPT_FABRIC},
	{"dry-run", no_argument, NULL, 'n'},
	{"simulate", required_argument, NULL, OPT_SIMULATE},
	{"list", no_argument, NULL, OPT_LIST},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"recover", no_argument, NULL, OPT_RECOVER},
	{"give-up", no_argument, NULL, OPT_GIVE_UP},
	{"doctor", no_argument, NULL, OPT_DOCTOR},
	CMD_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

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

static int parse_tuning(
	struct cmd_stage *o, int opt, const char *arg, struct ebt_err *err)
{
	struct ebt_stage_options *s = &o->stage;
	enum schedule_algo algo;
	int r;

	switch (opt) {
	case OPT_READERS:
		return cmd_parse_auto(arg, 1 << 20, &s->readers, err);
	case OPT_IO_THREADS:
		return cmd_parse_number(arg, 1, 64, &s->io_threads, err);
	case OPT_WRITE_THREADS:
		return cmd_parse_number(arg, 1, 64, &s->write_threads, err);
	case OPT_KEEP_FREE:
		return parse_keep_free(arg, s, err);
	case OPT_BATCH:
		return cmd_parse_number(arg, 1, 1 << 20, &s->batch, err);
	case OPT_ALGO:
		s->algo = arg;
		return schedule_parse(arg, &algo, err);
	case OPT_COMPRESS:
		return parse_compress(arg, &s->compress, err);
	case OPT_PARCEL:
		return parse_parcel(arg, &s->parcel, err);
	case OPT_WINDOW:
		return cmd_parse_number(arg, 1, 16, &s->window, err);
	case OPT_MEMORY:
		r = text_parse_size(arg, &s->memory, err);
		if (r == 0 && s->memory < (2 << 20))
			r = ebt_failx(err, -EINVAL, "%s: at least 2M is needed", arg);
		return r;
	case OPT_LINK:
		return text_parse_rate(arg, &s->link, err);
	case OPT_LATENCY:
		return text_parse_time(arg, &s->latency, err);
	case OPT_FABRIC:
		return parse_fabric(arg, &s->fabric, err);
	}
	return ebt_failx(err, -EINVAL, "unknown option");
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

static int parse_one(void *arg, int opt, const char *value, struct ebt_err *err)
{
	struct cmd_stage *o = arg;

	switch (opt) {
	case 'R':
		o->stage.relative = true;
		return 0;
	case 'n':
		o->stage.dry_run = true;
		return 0;
	case OPT_FILES_FROM:
		o->files_from = value;
		return 0;
	case OPT_UNPACK:
		return add_unpack(o, value, err);
	case OPT_AT:
		o->stage.at = value;
		return *value == '/' ? 0
				     : ebt_failx(err, -EINVAL,
					       "'%s': must be an absolute path", value);
	case OPT_CONCATENATED:
		o->stage.concatenated = true;
		return 0;
	case OPT_NO_OWNER:
		o->stage.no_owner = true;
		return 0;
	case OPT_NO_XATTRS:
		o->stage.no_xattrs = true;
		return 0;
	case OPT_OVERWRITE:
		return cmd_parse_overwrite(value, &o->stage.overwrite, err);
	case OPT_SIMULATE:
		o->mode = STAGE_SIMULATE;
		o->simulate = value;
		return 0;
	case OPT_LIST:
		o->mode = STAGE_LIST;
		return 0;
	case OPT_VERIFY:
		o->mode = STAGE_VERIFY;
		return 0;
	case OPT_RECOVER:
		o->mode = STAGE_RECOVER;
		return 0;
	case OPT_GIVE_UP:
		o->stage.give_up = true;
		return 0;
	case OPT_DOCTOR:
		o->mode = STAGE_DOCTOR;
		return 0;
	default:
		return parse_tuning(o, opt, value, err);
	}
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
	int r;

	memset(o, 0, sizeof(*o));
	o->common.run = &o->stage.run;
	r = cmd_parse_options(argc, argv, ":Rn" CMD_COMMON_SHORT, long_options,
		&o->common, parse_one, o, err);
	if (r == 0)
		r = parse_operands(o, argv + optind, argc - optind, err);
	return r < 0 ? r : cmd_done_check(&o->common, undone(o), err);
}

bool cmd_stage_piped(const struct cmd_stage *o)
{
	return unpacks_input(o) || (o->files_from && strcmp(o->files_from, "-") == 0) ||
	       cmd_rules_piped(&o->common);
}
