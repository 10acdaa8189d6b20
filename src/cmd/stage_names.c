/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/stage_cmd.h"

static int read_names(
	const struct cmd_stage *o, struct cmd_names *in, struct ebt_err *err)
{
	char end = o->common.null ? '\0' : '\n', *p, *stop, *next;
	const char **more;
	size_t len, n = o->n_sources;
	int r;

	r = cmd_load_lines(&o->common, o->files_from, &in->names, &len, err);
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

int cmd_stage_load_names(
	const struct cmd_stage *o, struct cmd_names *in, struct ebt_err *err)
{
	memset(in, 0, sizeof(*in));
	in->sources = calloc(o->n_sources + 1, sizeof(*in->sources));
	if (!in->sources)
		return ebt_fail(err, -ENOMEM, "options");
	for (size_t i = 0; i < o->n_sources; i++)
		in->sources[in->n_sources++] = o->sources[i];
	return o->files_from ? read_names(o, in, err) : 0;
}

void cmd_names_release(struct cmd_names *in)
{
	free(in->sources);
	free(in->names);
}
