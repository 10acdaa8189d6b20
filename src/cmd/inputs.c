/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "cmd/cmd.h"

/* A file or, for "-", standard input, whole, with a NUL after it. */
static int slurp(const char *path, char **text, size_t *len, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char name[512], piece[65536];
	size_t n;
	int r = 0;

	text_name(path, name, sizeof(name));
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

static int load_names(const struct cmd_options *o, struct cmd_inputs *in, struct ebt_err *err)
{
	char end = o->null ? '\0' : '\n', *p, *stop, *next;
	const char **more;
	size_t len, n = o->n_sources;
	int r;

	r = slurp(o->files_from, &in->names, &len, err);
	if (r < 0)
		return r;
	for (p = in->names; p < in->names + len; p++)
		n += *p == end;
	more = realloc(in->sources, (n + 2) * sizeof(*more));
	if (!more)
		return ebt_fail(err, -ENOMEM, "--files-from");
	in->sources = more;
	stop = in->names + len;
	for (p = in->names; p < stop; p = next) {
		char *at = memchr(p, end, (size_t)(stop - p));

		next = at ? at + 1 : stop;
		if (at)
			*at = '\0';
		if (*p) /* empty lines are separators, not names */
			in->sources[in->n_sources++] = p;
	}
	return 0;
}

static int load_rule(const struct cmd_options *o, const struct cmd_rule *rule,
	struct cmd_inputs *in, size_t i, struct ebt_err *err)
{
	struct ebt_filter_rule *out = &in->rules[in->n_rules++];
	int r;

	if (rule->kind != CMD_RULE_FILE) {
		out->kind = rule->kind == CMD_RULE_INCLUDE ? EBT_INCLUDE : EBT_EXCLUDE;
		out->text = rule->text;
		out->len = strlen(rule->text);
		return 0;
	}
	r = slurp(rule->text, &in->texts[i], &out->len, err);
	out->text = in->texts[i];
	out->kind = o->null ? EBT_RULES_NULL : EBT_RULES;
	return r;
}

int cmd_load_inputs(const struct cmd_options *o, struct cmd_inputs *in, struct ebt_err *err)
{
	int r = 0;

	memset(in, 0, sizeof(*in));
	in->sources = calloc(o->n_sources + 1, sizeof(*in->sources));
	in->rules = calloc(o->n_rules + 1, sizeof(*in->rules));
	in->texts = calloc(o->n_rules + 1, sizeof(*in->texts));
	if (!in->sources || !in->rules || !in->texts)
		return ebt_fail(err, -ENOMEM, "options");
	for (size_t i = 0; i < o->n_sources; i++)
		in->sources[in->n_sources++] = o->sources[i];
	if (o->files_from)
		r = load_names(o, in, err);
	for (size_t i = 0; i < o->n_rules && r == 0; i++)
		r = load_rule(o, &o->rules[i], in, i, err);
	return r;
}

void cmd_inputs_release(struct cmd_inputs *in)
{
	for (size_t i = 0; in->texts && i < in->n_rules; i++)
		free(in->texts[i]);
	free(in->texts);
	free(in->rules);
	free(in->sources);
	free(in->names);
}
