/* SPDX-License-Identifier: BSD-3-Clause */
/* Which file system a path lies on, from the text of /proc/self/mountinfo; proc(5). */
#include <stdio.h>
#include <string.h>

#include "pfs/pfs_internal.h"

#define FIELDS 64 /* of a line; those after the tags are counted from " - " */

/* Cuts @line at its blanks. Number of fields. */
static int cut(char *line, char *fields[FIELDS])
{
	char *rest = NULL;
	int n = 0;

	for (char *f = strtok_r(line, " ", &rest); f && n < FIELDS;
		f = strtok_r(NULL, " ", &rest))
		fields[n++] = f;
	return n;
}

static bool octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' &&
	       s[2] >= '0' && s[2] <= '7';
}

/* In place: the kernel writes blanks and backslashes as \ooo. */
static char *unescape(char *s)
{
	char *to = s;

	for (const char *from = s; *from; to++) {
		if (*from == '\\' && octal(from + 1)) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				     (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
	return s;
}

/* How well a mount point covers @path: its length, 0 if it does not. */
static size_t covers(const char *point, const char *path)
{
	size_t len = strlen(point);

	if (strcmp(point, "/") == 0)
		return 1;
	if (strncmp(point, path, len) != 0 || (path[len] && path[len] != '/'))
		return 0;
	return len;
}

/* The source of the mount in @line if it is at least as good as *best, else NULL. */
static char *better(
	char *line, unsigned major, unsigned minor, const char *path, size_t *best)
{
	char *fields[FIELDS];
	int n = cut(line, fields), dash = 6, end = 0;
	unsigned a, b;
	size_t score;

	while (dash < n && strcmp(fields[dash], "-") != 0)
		dash++;
	if (dash + 2 >= n)
		return NULL;
	score = covers(unescape(fields[4]), path);
	if (sscanf(fields[2], "%u:%u%n", &a, &b, &end) == 2 && !fields[2][end] &&
		a == major && b == minor)
		score += 1u << 20;
	if (score == 0 || score < *best)
		return NULL;
	*best = score;
	return unescape(fields[dash + 2]);
}

int pfs_mount_source(const char *mountinfo, unsigned major, unsigned minor,
	const char *path, char *source, size_t size)
{
	SCOPED_FREE char *text = strdup(mountinfo);
	const char *found = NULL;
	char *rest = NULL;
	size_t best = 0;

	if (!text)
		return 0;
	for (char *line = strtok_r(text, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		const char *s = better(line, major, minor, path, &best);

		found = s ? s : found;
	}
	if (!found || strlen(found) >= size)
		return 0;
	strcpy(source, found);
	return 1;
}
