/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/common_options.h"

int cmd_parse_number(const char *s, uint64_t least, uint64_t most, unsigned *out,
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

int cmd_parse_auto(const char *s, uint64_t most, unsigned *out, struct ebt_err *err)
{
	*out = 0;
	return strcmp(s, "auto") == 0 ? 0 : cmd_parse_number(s, 1, most, out, err);
}

int cmd_parse_word(
	const char *s, const char *const *words, int *out, struct ebt_err *err)
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

int cmd_parse_overwrite(const char *s, enum ebt_overwrite *out, struct ebt_err *err)
{
	static const char *const words[] = {"auto", "refuse", "always", "update", NULL};
	int word = 0, r = cmd_parse_word(s, words, &word, err);

	*out = (enum ebt_overwrite)word;
	return r;
}

int cmd_parse_spec(const char *spec,
	int (*pair)(
		void *arg, const char *name, const char *value, struct ebt_err *err),
	void *arg, struct ebt_err *err)
{
	SCOPED_FREE char *copy = strdup(spec);
	struct ebt_err why = {0};
	char *save = NULL, *value;
	int r;

	if (!copy)
		return ebt_fail(err, -ENOMEM, "--simulate");
	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		value = strchr(p, '=');
		if (!value)
			return ebt_failx(
				err, -EINVAL, "--simulate: '%s' is not NAME=VALUE", p);
		*value++ = '\0';
		r = pair(arg, p, value, &why);
		if (r < 0)
			return ebt_failx(err, r, "--simulate: %s: %s", p, why.text);
	}
	return 0;
}

static int add_rule(
	struct cmd_common *c, int kind, const char *text, struct ebt_err *err)
{
	struct cmd_rule *more = realloc(c->rules, (c->n_rules + 1) * sizeof(*more));

	if (!more)
		return ebt_fail(err, -ENOMEM, "options");
	c->rules = more;
	more[c->n_rules].kind = kind;
	more[c->n_rules++].text = text;
	return 0;
}

static int parse_timeout(const char *s, double *out, struct ebt_err *err)
{
	int r = text_parse_time(s, out, err);

	if (r == 0 && !(*out > 0 && *out <= 1e6))
		r = ebt_failx(
			err, -EINVAL, "%s: must be above zero and at most 1e6 s", s);
	return r;
}

int cmd_parse_wait(const char *s, double *out, struct ebt_err *err)
{
	double v;
	int r = text_parse_time(s, &v, err);

	if (r == 0 && !(v >= 0 && v <= 1e6))
		return ebt_failx(err, -EINVAL, "%s: must be at most 1e6 s", s);
	if (r == 0)
		*out = v > 0 ? v : -1;
	return r;
}

/* false: not one of the common ones. */
static bool take_flag(struct cmd_common *c, int opt)
{
	switch ((enum cmd_flag)opt) {
	case CMD_OPT_NULL:
		c->null = true;
		return true;
	case CMD_OPT_VERBOSE:
		c->verbose++;
		return true;
	case CMD_OPT_HELP:
		c->help = true;
		return true;
	case CMD_OPT_VERSION:
		c->version = true;
		return true;
	case CMD_OPT_PER_RANK:
		c->run->per_rank = true;
		return true;
	case CMD_OPT_NO_LAUNCH:
		c->no_launch = true;
		return true;
	case CMD_OPT_JSON:
		c->json = true;
		return true;
	}
	return false;
}

/* 1: not one of the common ones. */
static int take_value(
	struct cmd_common *c, int opt, const char *value, struct ebt_err *err)
{
	static const char *const when[] = {"auto", "always", "never", NULL};
	int word = 0, r;

	switch ((enum cmd_value)opt) {
	case CMD_OPT_EXCLUDE:
		return add_rule(c, CMD_RULE_EXCLUDE, value, err);
	case CMD_OPT_INCLUDE:
		return add_rule(c, CMD_RULE_INCLUDE, value, err);
	case CMD_OPT_EXCLUDE_FROM:
		return add_rule(c, CMD_RULE_FILE, value, err);
	case CMD_OPT_LAUNCHED:
		return cmd_parse_number(value, 1, 1 << 20, &c->launched, err);
	case CMD_OPT_TIMEOUT:
		return parse_timeout(value, &c->run->timeout, err);
	case CMD_OPT_STALL:
		return cmd_parse_wait(value, &c->run->stall, err);
	case CMD_OPT_STALL_END:
		r = cmd_parse_wait(value, &c->run->stall_end, err);
		if (c->run->stall_end < 0)
			c->run->stall_end = 0;
		return r;
	case CMD_OPT_WAIT:
		return cmd_parse_wait(value, &c->run->wait, err);
	case CMD_OPT_DONE:
		c->done = value;
		return 0;
	case CMD_OPT_PROGRESS:
		r = cmd_parse_word(value, when, &word, err);
		c->progress = (enum cmd_when)word;
		return r;
	}
	return 1;
}

static int take(const struct option *o, const char *value, const struct cmd_own *own,
	struct cmd_common *c, struct ebt_err *err)
{
	int r;

	if (o->has_arg == no_argument) {
		if (!take_flag(c, o->val))
			own->flag(own->arg, o->val);
		return 0;
	}
	r = take_value(c, o->val, value, err);
	return r > 0 ? own->value(own->arg, o->val, value, err) : r;
}

int cmd_parse_options(int argc, char **argv, const char *shorts,
	const struct option *options, const struct cmd_own *own, struct cmd_common *c,
	struct ebt_err *err)
{
	const struct option *o;
	struct ebt_err why = {0};
	int opt, r;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, shorts, options, NULL)) != -1) {
		if (opt == ':')
			return ebt_failx(
				err, -EINVAL, "%s needs a value", argv[optind - 1]);
		if (opt == '?')
			return ebt_failx(
				err, -EINVAL, "unknown option %s", argv[optind - 1]);
		o = options;
		while (o->val != opt)
			o++;
		r = take(o, optarg, own, c, &why);
		if (r < 0)
			return ebt_failx(err, r, "--%s: %s", o->name, why.text);
	}
	return 0;
}

void cmd_common_release(struct cmd_common *c)
{
	free(c->rules);
	c->rules = NULL;
}
