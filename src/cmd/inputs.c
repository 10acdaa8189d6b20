/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "cmd/cmd.h"

int cmd_slurp(const char *path, char **text, size_t *len, struct ebt_err *err)
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
	r = cmd_slurp(rule->text, &in->texts[i], &out->len, err);
	out->text = in->texts[i];
	out->kind = c->null ? EBT_RULES_NULL : EBT_RULES;
	return r;
}

int cmd_load_rules(const struct cmd_common *c, struct cmd_rules *in, struct ebt_err *err)
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
