/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "plan/plan.h"

enum {
	OPT_FILES_FROM = 256,
	OPT_EXCLUDE,
	OPT_INCLUDE,
	OPT_EXCLUDE_FROM,
	OPT_NO_XATTRS,
	OPT_PER_RANK,
	OPT_OVERWRITE,
	OPT_READERS,
	OPT_IO_THREADS,
	OPT_WRITE_THREADS,
	OPT_ALGO,
	OPT_PARCEL,
	OPT_WINDOW,
	OPT_MEMORY,
	OPT_TIMEOUT,
	OPT_LINK,
	OPT_LATENCY,
	OPT_SIMULATE,
	OPT_LIST,
	OPT_VERIFY,
	OPT_RECOVER,
	OPT_JSON,
	OPT_PROGRESS,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"relative", no_argument, NULL, 'R'},
	{"files-from", required_argument, NULL, OPT_FILES_FROM},
	{"null", no_argument, NULL, '0'},
	{"exclude", required_argument, NULL, OPT_EXCLUDE},
	{"include", required_argument, NULL, OPT_INCLUDE},
	{"exclude-from", required_argument, NULL, OPT_EXCLUDE_FROM},
	{"no-xattrs", no_argument, NULL, OPT_NO_XATTRS},
	{"per-rank", no_argument, NULL, OPT_PER_RANK},
	{"overwrite", required_argument, NULL, OPT_OVERWRITE},
	{"readers", required_argument, NULL, OPT_READERS},
	{"io-threads", required_argument, NULL, OPT_IO_THREADS},
	{"write-threads", required_argument, NULL, OPT_WRITE_THREADS},
	{"algo", required_argument, NULL, OPT_ALGO},
	{"parcel", required_argument, NULL, OPT_PARCEL},
	{"window", required_argument, NULL, OPT_WINDOW},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"link", required_argument, NULL, OPT_LINK},
	{"latency", required_argument, NULL, OPT_LATENCY},
	{"dry-run", no_argument, NULL, 'n'},
	{"simulate", required_argument, NULL, OPT_SIMULATE},
	{"list", no_argument, NULL, OPT_LIST},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"recover", no_argument, NULL, OPT_RECOVER},
	{"json", no_argument, NULL, OPT_JSON},
	{"progress", required_argument, NULL, OPT_PROGRESS},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static int parse_number(const char *s, uint64_t least, uint64_t most, unsigned *out,
	struct ebt_err *err)
{
	uint64_t v;
	int r = text_parse_count(s, &v, err);

	if (r < 0)
		return r;
	if (v < least || v > most)
		return ebt_failx(err, -EINVAL, "%s: must be from %llu to %llu", s,
			(unsigned long long)least, (unsigned long long)most);
	*out = (unsigned)v;
	return 0;
}

/* One of @words (NULL-terminated) as its index. */
static int parse_word(const char *s, const char *const *words, int *out, struct ebt_err *err)
{
	char all[128] = "";

	for (int i = 0; words[i]; i++) {
		if (strcmp(s, words[i]) == 0) {
			*out = i;
			return 0;
		}
		strcat(all, i ? ", " : "");
		strcat(all, words[i]);
	}
	return ebt_failx(err, -EINVAL, "'%s': must be one of %s", s, all);
}

static int add_rule(struct cmd_options *o, int kind, const char *text, struct ebt_err *err)
{
	struct cmd_rule *more = realloc(o->rules, (o->n_rules + 1) * sizeof(*more));

	if (!more)
		return ebt_fail(err, -ENOMEM, "options");
	o->rules = more;
	more[o->n_rules].kind = kind;
	more[o->n_rules++].text = text;
	return 0;
}

static int parse_parcel(const char *s, uint64_t *out, struct ebt_err *err)
{
	int r = text_parse_size(s, out, err);

	if (r == 0 && (*out < PLAN_PARCEL_MIN || *out > PLAN_PARCEL_MAX || *out % PLAN_PARCEL_MIN))
		r = ebt_failx(err, -EINVAL, "%s: must be a multiple of 128K from 128K to 8M", s);
	return r;
}

static int parse_tuning(struct cmd_options *o, int opt, const char *arg, struct ebt_err *err)
{
	struct ebt_stage_options *s = &o->stage;
	enum schedule_algo algo;
	int r;

	switch (opt) {
	case OPT_READERS:
		s->readers = 0;
		return strcmp(arg, "auto") == 0 ? 0 : parse_number(arg, 1, 1 << 20, &s->readers, err);
	case OPT_IO_THREADS:
		return parse_number(arg, 1, 64, &s->io_threads, err);
	case OPT_WRITE_THREADS:
		return parse_number(arg, 1, 64, &s->write_threads, err);
	case OPT_ALGO:
		s->algo = arg;
		return schedule_parse(arg, &algo, err);
	case OPT_PARCEL:
		return parse_parcel(arg, &s->parcel, err);
	case OPT_WINDOW:
		return parse_number(arg, 1, 16, &s->window, err);
	case OPT_MEMORY:
		r = text_parse_size(arg, &s->memory, err);
		if (r == 0 && s->memory < (2 << 20))
			r = ebt_failx(err, -EINVAL, "%s: at least 2M is needed", arg);
		return r;
	case OPT_TIMEOUT:
		r = text_parse_time(arg, &s->run.timeout, err);
		if (r == 0 && !(s->run.timeout > 0 && s->run.timeout <= 1e6))
			r = ebt_failx(err, -EINVAL, "%s: must be above zero and at most 1e6 s", arg);
		return r;
	case OPT_LINK:
		return text_parse_rate(arg, &s->link, err);
	case OPT_LATENCY:
		return text_parse_time(arg, &s->latency, err);
	}
	return ebt_failx(err, -EINVAL, "unknown option");
}

static int parse_one(struct cmd_options *o, int opt, const char *arg, struct ebt_err *err)
{
	static const char *const overwrite[] = {"refuse", "always", "update", NULL};
	static const char *const when[] = {"auto", "always", "never", NULL};
	int word = 0, r;

	switch (opt) {
	case 'R':
		o->stage.relative = true;
		return 0;
	case '0':
		o->null = true;
		return 0;
	case 'n':
		o->stage.dry_run = true;
		return 0;
	case 'v':
		o->verbose++;
		return 0;
	case 'h':
		o->mode = CMD_HELP;
		return 0;
	case OPT_VERSION:
		o->mode = CMD_VERSION;
		return 0;
	case OPT_FILES_FROM:
		o->files_from = arg;
		return 0;
	case OPT_EXCLUDE:
		return add_rule(o, CMD_RULE_EXCLUDE, arg, err);
	case OPT_INCLUDE:
		return add_rule(o, CMD_RULE_INCLUDE, arg, err);
	case OPT_EXCLUDE_FROM:
		return add_rule(o, CMD_RULE_FILE, arg, err);
	case OPT_NO_XATTRS:
		o->stage.no_xattrs = true;
		return 0;
	case OPT_PER_RANK:
		o->stage.run.per_rank = true;
		return 0;
	case OPT_OVERWRITE:
		r = parse_word(arg, overwrite, &word, err);
		o->stage.overwrite = (enum ebt_overwrite)word;
		return r;
	case OPT_SIMULATE:
		o->mode = CMD_SIMULATE;
		o->simulate = arg;
		return 0;
	case OPT_LIST:
		o->mode = CMD_LIST;
		return 0;
	case OPT_VERIFY:
		o->mode = CMD_VERIFY;
		return 0;
	case OPT_RECOVER:
		o->mode = CMD_RECOVER;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_PROGRESS:
		r = parse_word(arg, when, &word, err);
		o->progress = (enum cmd_when)word;
		return r;
	default:
		return parse_tuning(o, opt, arg, err);
	}
}

static const char *option_name(int opt)
{
	for (const struct option *p = long_options; p->name; p++) {
		if (p->val == opt)
			return p->name;
	}
	return "?";
}

/* What is left after the options: SOURCE... DEST, or a store. */
static int parse_operands(struct cmd_options *o, char **args, int n, struct ebt_err *err)
{
	if (o->mode == CMD_HELP || o->mode == CMD_VERSION)
		return 0;
	if (o->mode == CMD_SIMULATE)
		return n == 0 ? 0 : ebt_failx(err, -EINVAL, "--simulate takes no operands");
	if (o->mode != CMD_STAGE) {
		if (n != 1)
			return ebt_failx(err, -EINVAL, "exactly one STORE is needed");
		o->store = args[0];
		o->stage.dest = args[0];
		return 0;
	}
	if (n == 0)
		return ebt_failx(err, -EINVAL, "no SOURCE and no DEST");
	if (n == 1 && !o->files_from)
		return ebt_failx(err, -EINVAL, "no DEST after '%s'", args[0]);
	o->stage.dest = args[n - 1];
	o->sources = (const char **)args;
	o->n_sources = (size_t)n - 1;
	return 0;
}

int cmd_parse(int argc, char **argv, struct cmd_options *o, struct ebt_err *err)
{
	struct ebt_err why = {0};
	int opt, r;

	memset(o, 0, sizeof(*o));
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":R0nvh", long_options, NULL)) != -1) {
		if (opt == ':')
			return ebt_failx(err, -EINVAL, "%s needs a value", argv[optind - 1]);
		if (opt == '?')
			return ebt_failx(err, -EINVAL, "unknown option %s", argv[optind - 1]);
		r = parse_one(o, opt, optarg, &why);
		if (r < 0)
			return ebt_failx(err, r, "--%s: %s", option_name(opt), why.text);
	}
	return parse_operands(o, argv + optind, argc - optind, err);
}

void cmd_options_release(struct cmd_options *o)
{
	free(o->rules);
	o->rules = NULL;
}
