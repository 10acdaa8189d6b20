/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/ebt_drain_options.h"
#include "cmd/drain_cmd.h"
#include "pfs/pfs.h"
#include "plan/place.h"

static int parse_conflict(const char *s, enum ebt_conflict *out, struct ebt_err *err)
{
	static const char *const words[] = {
		"auto", "error", "merge", "newest", "suffix", NULL};
	int word = 0, r = cmd_parse_word(s, words, &word, err);

	*out = (enum ebt_conflict)word;
	return r;
}

static int parse_overwrite(const char *s, enum ebt_overwrite *out, struct ebt_err *err)
{
	static const char *const words[] = {
		"auto", "refuse", "always", "update", "keep", NULL};
	int word = 0, r = cmd_parse_word(s, words, &word, err);

	*out = (enum ebt_overwrite)word;
	return r;
}

static int parse_memory(const char *s, uint64_t *out, struct ebt_err *err)
{
	int r = text_parse_size(s, out, err);

	if (r == 0 && *out < CMD_DRAIN_MEMORY_MIN)
		r = ebt_failx(err, -EINVAL, "%s: at least %uM is needed", s,
			CMD_DRAIN_MEMORY_MIN >> 20);
	return r;
}

static int parse_stripe_size(const char *s, uint64_t *out, struct ebt_err *err)
{
	int r = text_parse_size(s, out, err);

	if (r == 0 && *out == 0)
		r = ebt_failx(err, -EINVAL, "%s: must be a multiple of %uK", s,
			PLACE_STRIPE_UNIT >> 10);
	return r;
}

static int parse_operations(const char *s, double *out, struct ebt_err *err)
{
	unsigned v;
	int r = cmd_parse_number(s, 1, 1000000000, &v, err);

	if (r == 0)
		*out = v;
	return r;
}

static int parse_watch(const char *s, double *out, struct ebt_err *err)
{
	int r = text_parse_time(s, out, err);

	if (r == 0 && !(*out > 0 && *out <= 1e6))
		r = ebt_failx(
			err, -EINVAL, "%s: must be above zero and at most 1e6 s", s);
	return r;
}

static int parse_settle_max(const char *s, uint64_t *out, struct ebt_err *err)
{
	int r = text_parse_size(s, out, err);

	/* As good as nothing, which stands for the default. */
	if (r == 0 && *out == 0)
		*out = 1;
	return r;
}

static int parse_pool(const char *s, const char **out, struct ebt_err *err)
{
	*out = s;
	return pfs_pool_name_ok(s)
		       ? 0
		       : ebt_failx(err, -EINVAL, "'%s': no pool has such a name", s);
}

/* Looked at here, so that a wrong one is a matter of usage. */
static int add_pack(struct cmd_drain *o, const char *value, struct ebt_err *err)
{
	const char **more;
	int r = o->patterns ? 0 : patterns_new(&o->patterns, err);

	if (r == 0)
		r = patterns_add(o->patterns, value, err);
	if (r < 0)
		return r;
	more = reallocarray(o->pack, o->drain.n_pack + 1, sizeof(*more));
	if (!more)
		return ebt_fail(err, -ENOMEM, "patterns");
	o->drain.pack = o->pack = more;
	o->pack[o->drain.n_pack++] = value;
	return 0;
}

static void take_flag(void *arg, int opt)
{
	struct cmd_drain *o = arg;
	struct ebt_drain_options *d = &o->drain;

	switch ((enum opt_flag)opt) {
	case OPT_DRY_RUN:
		d->dry_run = true;
		break;
	case OPT_NO_OWNER:
		d->no_owner = true;
		break;
	case OPT_KEEP_GROUP:
		d->keep_group = true;
		break;
	case OPT_NO_XATTRS:
		d->no_xattrs = true;
		break;
	case OPT_MISSING_OK:
		d->missing_ok = true;
		break;
	case OPT_DELETE:
		d->free_local = true;
		break;
	case OPT_STRICT:
		d->strict = true;
		break;
	case OPT_ATOMIC:
		d->atomic = true;
		break;
	case OPT_LOCAL_DEST:
		d->local_dest = true;
		break;
	case OPT_VERIFY:
		d->verify = true;
		break;
	case OPT_RESTART:
		d->restart = true;
		break;
	}
}

static int take_value(void *arg, int opt, const char *value, struct ebt_err *err)
{
	struct cmd_drain *o = arg;
	struct ebt_drain_options *d = &o->drain;

	switch ((enum opt_value)opt) {
	case OPT_PACK:
		return add_pack(o, value, err);
	case OPT_CONFLICT:
		return parse_conflict(value, &d->conflict, err);
	case OPT_OVERWRITE:
		return parse_overwrite(value, &d->overwrite, err);
	case OPT_STRIPE_COUNT:
		return cmd_parse_auto(value, PLACE_STRIPES_MAX, &d->stripe_count, err);
	case OPT_MAX_STRIPE_COUNT:
		return cmd_parse_number(
			value, 1, PLACE_STRIPES_MAX, &d->max_stripe_count, err);
	case OPT_STRIPE_SIZE:
		return parse_stripe_size(value, &d->stripe_size, err);
	case OPT_POOL:
		return parse_pool(value, &d->pool, err);
	case OPT_WRITERS:
		return cmd_parse_auto(value, 1 << 20, &d->writers, err);
	case OPT_CREATORS:
		return cmd_parse_auto(value, 1 << 20, &d->creators, err);
	case OPT_CREATES:
		return cmd_parse_number(value, 1, 1 << 20, &d->creates, err);
	case OPT_IO_THREADS:
		return cmd_parse_number(value, 1, 64, &d->io_threads, err);
	case OPT_MEMORY:
		return parse_memory(value, &d->memory, err);
	case OPT_RATE:
		return text_parse_rate(value, &d->rate, err);
	case OPT_LINK:
		return text_parse_rate(value, &d->link, err);
	case OPT_OST_RATE:
		return text_parse_rate(value, &d->ost_rate, err);
	case OPT_MDS_RATE:
		return parse_operations(value, &d->mds_rate, err);
	case OPT_LATENCY:
		return text_parse_time(value, &d->latency, err);
	case OPT_WATCH:
		return parse_watch(value, &d->watch, err);
	case OPT_SETTLE:
		return cmd_parse_wait(value, &d->settle, err);
	case OPT_SETTLE_MAX:
		return parse_settle_max(value, &d->settle_max, err);
	case OPT_SIMULATE:
		o->simulate = value;
		return 0;
	}
	return ebt_failx(err, -EINVAL, "unknown option");
}

/* Options that say something about each other. */
static int check(const struct cmd_drain *o, struct ebt_err *err)
{
	const struct ebt_drain_options *d = &o->drain;
	struct place_rules rules = {
		.stripe_count = d->stripe_count,
		.max_stripe_count = d->max_stripe_count,
		.stripe_size = d->stripe_size,
	};

	if (d->watch > 0 && d->atomic)
		return ebt_failx(err, -EINVAL,
			"--watch shows files one by one, --atomic all at once");
	if (d->watch > 0 && d->free_local && d->conflict == EBT_CONFLICT_MERGE)
		return ebt_failx(err, -EINVAL,
			"--watch --delete would free pieces that --conflict=merge "
			"needs later");
	if (d->strict && d->overwrite == EBT_OVERWRITE_KEEP)
		return ebt_failx(err, -EINVAL,
			"--strict brings all or nothing, --overwrite=keep leaves out");
	if (d->watch > 0 && d->dry_run)
		return ebt_failx(err, -EINVAL, "--watch has no --dry-run");
	return place_rules_check(&rules, err);
}

static int parse_operands(struct cmd_drain *o, char **args, int n, struct ebt_err *err)
{
	if (o->common.help || o->common.version)
		return 0;
	if (o->simulate)
		return n == 0 ? 0
			      : ebt_failx(err, -EINVAL, "--simulate takes no operands");
	if (n == 0)
		return ebt_failx(err, -EINVAL, "no STORE and no DEST");
	if (n == 1)
		return ebt_failx(err, -EINVAL, "no DEST after '%s'", args[0]);
	if (n > 2)
		return ebt_failx(
			err, -EINVAL, "one STORE and one DEST, not '%s' too", args[2]);
	o->drain.store = args[0];
	o->drain.dest = args[1];
	return check(o, err);
}

/* The option with which nothing is done, or not to its end. */
static const char *undone(const struct cmd_drain *o)
{
	if (o->simulate)
		return "--simulate";
	if (o->drain.watch > 0)
		return "--watch";
	return o->drain.dry_run ? "--dry-run" : NULL;
}

void cmd_drain_release(struct cmd_drain *o)
{
	free(o->pack);
	patterns_free(o->patterns);
	cmd_common_release(&o->common);
}

int cmd_drain_parse(int argc, char **argv, struct cmd_drain *o, struct ebt_err *err)
{
	const struct cmd_own own = {take_flag, take_value, o};
	int r;

	memset(o, 0, sizeof(*o));
	o->common.run = &o->drain.run;
	r = cmd_parse_options(
		argc, argv, SHORT_OPTIONS, long_options, &own, &o->common, err);
	if (r == 0)
		r = parse_operands(o, argv + optind, argc - optind, err);
	return r < 0 ? r : cmd_done_check(&o->common, undone(o), err);
}

static const char head[] =
	"Usage: ebt-drain [OPTION]... STORE DEST\n"
	"       ebt-drain --simulate=NAME=VALUE,...\n"
	"Bring what a job left in STORE on every node to DEST on a shared file "
	"system.\n"
	"What ebt-stage put there and nobody changed stays behind. Run again after a\n"
	"kill, it finishes what was left.\n"
	"In an allocation it starts itself, with one rank on each node.\n";

static const char tail[] =
	"\n"
	"Sizes take K, M, G (1024), rates K, M, G (1000) and bit, times us, ms, s, m, "
	"h.\n"
	"Exit status: 0 all is in DEST under its own name; 4 all is there, some under\n"
	"another name; 3 some of it is missing or torn; 1 failed; 2 wrong usage. What "
	"is\n"
	"not as it should be is named. The same on every rank.\n";

void cmd_drain_help(FILE *out)
{
	fputs(head, out);
	print_options(out);
	fputs(tail, out);
}
