/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "fsio/fsio.h"

int cmd_slurp(const char *path, char **text, size_t *len, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	FILE *f = NULL;
	char name[512], piece[65536];
	size_t n;
	int r = 0;

	text_name(path, name, sizeof(name));
	if (strcmp(path, "-") == 0)
		f = stdin;
	else if (fsio_cwd_gone(path))
		return ebt_failx(err, -ENOENT, "%s: " FSIO_CWD_GONE, name);
	else
		f = fopen(path, "re");
	if (!f)
		return ebt_fail(err, -errno, "%s", name);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_put(&b, piece, n);
	if (ferror(f))
		r = ebt_fail(err, errno ? -errno : -EIO, "%s", name);
	if (f != stdin)
		fclose(f);
	*len = b.len;
	buf_put8(&b, 0);
	if (r == 0 && !buf_ok(&b))
		r = ebt_fail(err, -ENOMEM, "%s", name);
	if (r < 0)
		return r;
	*text = (char *)b.data;
	b.data = NULL;
	return 0;
}

int cmd_load_lines(const struct cmd_common *c, const char *path, char **text,
	size_t *len, struct ebt_err *err)
{
	int r = cmd_slurp(path, text, len, err);
	char name[512];

	/* Cut at the newlines it would end with its first NUL, and the rest be lost. */
	if (r == 0 && !c->null && memchr(*text, '\0', *len))
		return ebt_failx(err, -EINVAL,
			"%s: has NUL bytes in it: do its lines end in them? (see "
			"--null)",
			strcmp(path, "-") == 0 ? "standard input"
					       : text_name(path, name, sizeof(name)));
	return r;
}

static int load_rule(const struct cmd_common *c, const struct cmd_rule *rule,
	struct cmd_rules *in, size_t i, struct ebt_err *err)
{
	struct ebt_filter_rule *out = &in->rules[in->n_rules++];
	int r;

	if (rule->kind != CMD_RULE_FILE) {
		out->kind = rule->kind == CMD_RULE_INCLUDE ? EBT_INCLUDE : EBT_EXCLUDE;
		out->text = rule->text;
		out->len = strlen(rule->text);
		return 0;
	}
	r = cmd_load_lines(c, rule->text, &in->texts[i], &out->len, err);
	out->text = in->texts[i];
	out->kind = c->null ? EBT_RULES_NULL : EBT_RULES;
	return r;
}

int cmd_load_rules(
	const struct cmd_common *c, struct cmd_rules *in, struct ebt_err *err)
{
	int r = 0;

	memset(in, 0, sizeof(*in));
	in->rules = calloc(c->n_rules + 1, sizeof(*in->rules));
	in->texts = calloc(c->n_rules + 1, sizeof(*in->texts));
	if (!in->rules || !in->texts)
		return ebt_fail(err, -ENOMEM, "options");
	for (size_t i = 0; i < c->n_rules && r == 0; i++)
		r = load_rule(c, &c->rules[i], in, i, err);
	return r;
}

void cmd_rules_release(struct cmd_rules *in)
{
	for (size_t i = 0; in->texts && i < in->n_rules; i++)
		free(in->texts[i]);
	free(in->texts);
	free(in->rules);
}

enum cmd_input cmd_input_of(const char *path)
{
	static const char *const input[] = {
		"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"};

	for (size_t i = 0; i < sizeof(input) / sizeof(input[0]); i++) {
		if (path && strcmp(path, input[i]) == 0)
			return CMD_INPUT_PIPED;
	}
	return path && (strncmp(path, "/dev/fd/", 8) == 0 ||
			       strncmp(path, "/proc/self/fd/", 14) == 0)
		       ? CMD_INPUT_OURS
		       : CMD_INPUT_NONE;
}

enum cmd_input cmd_rules_input(const struct cmd_common *c)
{
	enum cmd_input most = CMD_INPUT_NONE;

	for (size_t i = 0; i < c->n_rules; i++) {
		enum cmd_input now = c->rules[i].kind == CMD_RULE_FILE
					     ? cmd_input_of(c->rules[i].text)
					     : CMD_INPUT_NONE;

		most = now > most ? now : most;
	}
	return most;
}
