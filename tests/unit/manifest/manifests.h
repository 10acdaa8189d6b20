/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small manifests for tests. Whatever cannot be built ends the test program: status 99.
 */
#ifndef TESTS_UNIT_MANIFEST_MANIFESTS_H
#define TESTS_UNIT_MANIFEST_MANIFESTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

__attribute__((unused)) static void must(int r, const struct ebt_err *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "set-up: %s\n", err->text);
	exit(99);
}

__attribute__((unused)) static struct manifest *empty(void)
{
	struct manifest *m = NULL;
	struct ebt_err err;

	must(manifest_new(&m, &err), &err);
	return m;
}

/*
 * An entry as a scan would find it: "name/" a directory, "name@" a link, else a file.
 */
__attribute__((unused)) static void add_full(struct manifest *m, const char *source,
	const char *name, struct manifest_entry e)
{
	char path[MANIFEST_PATH_MAX + 2];
	size_t len = strlen(name);
	struct ebt_err err;

	must(manifest_add_source(m, source, &e.source, &err), &err);
	memcpy(path, name, len + 1);
	e.name = path;
	e.kind = MANIFEST_FILE;
	if (name[len - 1] == '/' || name[len - 1] == '@') {
		e.kind = name[len - 1] == '/' ? MANIFEST_DIR : MANIFEST_SYMLINK;
		path[len - 1] = '\0';
	}
	if (e.kind == MANIFEST_SYMLINK && !e.target)
		e.target = "elsewhere";
	must(manifest_add(m, &e, &err), &err);
}

__attribute__((unused)) static void add(
	struct manifest *m, const char *source, const char *name)
{
	add_full(m, source, name, (struct manifest_entry){.mode = 0640, .nlink = 1});
}

__attribute__((unused)) static void arrange(struct manifest *m)
{
	struct ebt_err err;

	must(manifest_arrange(m, &err), &err);
}

/* A tree of what the words in @names say, all from "/src". */
__attribute__((unused)) static struct manifest *tree_of(const char *names)
{
	struct manifest *m = empty();
	char *copy = strdup(names), *save = NULL;

	for (char *n = strtok_r(copy, " ", &save); n; n = strtok_r(NULL, " ", &save))
		add(m, "/src", n);
	free(copy);
	arrange(m);
	return m;
}

/* Paths of all entries in order, separated by blanks; a directory with a final '/'. */
__attribute__((unused)) static const char *paths_of(const struct manifest *m)
{
	static char out[65536];
	size_t at = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < m->count; i++) {
		int len = manifest_path(m, i, out + at, sizeof(out) - at - 3);

		if (len < 0)
			return "too long";
		at += (size_t)len;
		if (m->entries[i].kind == MANIFEST_DIR)
			out[at++] = '/';
		out[at++] = ' ';
		out[at] = '\0';
	}
	if (at)
		out[at - 1] = '\0';
	return out;
}

#endif
