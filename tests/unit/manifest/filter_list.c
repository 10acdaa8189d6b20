/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filter_list RULES [-0]: paths on stdin, each ended by NUL, a directory with a final
 * '/' and before what it holds. Those that a walk under the rules in file RULES comes
 * by are printed the same way, one a line. For filter_rsync.sh, which compares with the
 * real thing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fsio/fsio.h"
#include "manifest/filter.h"

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len && strncmp(path, dir, len) == 0 && path[len] == '/';
}

static void list(const struct filter *f)
{
	SCOPED_FREE char *line = NULL;
	char out[4096] = ""; /* the directory last left out */
	size_t cap = 0;
	ssize_t len;

	while ((len = getdelim(&line, &cap, '\0', stdin)) > 1) {
		bool is_dir = line[len - 2] == '/';

		if (is_dir)
			line[len - 2] = '\0';
		if (is_below(line, out))
			continue;
		if (filter_wants(f, line, is_dir))
			printf("%s%s\n", line, is_dir ? "/" : "");
		else if (is_dir)
			snprintf(out, sizeof(out), "%s", line);
	}
}

int main(int argc, char **argv)
{
	SCOPED(filter_freep) struct filter *f = NULL;
	SCOPED_BUF struct buf rules = {0};
	struct ebt_err err;
	int r;

	if (argc < 2)
		return 2;
	r = fsio_load(AT_FDCWD, argv[1], 1 << 20, &rules, &err);
	if (r == 0)
		r = filter_new(&f, &err);
	if (r == 0)
		r = filter_add_text(
			f, (const char *)rules.data, rules.len, argc > 2, &err);
	if (r < 0) {
		fprintf(stderr, "filter_list: %s\n", err.text);
		return 1;
	}
	list(f);
	return 0;
}
