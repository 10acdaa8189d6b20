/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding one's way in a tree. Entries know their parents and stand in path order, so
 * what lies below a directory is one range of indices. Both searches here halve that
 * range; a step looks at an entry anywhere in it and climbs to the level that is asked
 * for. That costs log2(entries) times the depth of the tree and needs no table of
 * children.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "manifest/manifest_internal.h"

/* Bytes of the path of entry @i with its NUL. */
static size_t path_size(const struct manifest *m, uint32_t i)
{
	size_t len = 0;

	for (uint32_t k = i; k != MANIFEST_ROOT; k = m->entries[k].parent)
		len += strlen(m->entries[k].name) + 1;
	return len;
}

/* Into @out, which has just that room. */
static void put_path(const struct manifest *m, uint32_t i, char *out, size_t len)
{
	size_t at = len, n;

	for (uint32_t k = i; k != MANIFEST_ROOT; k = m->entries[k].parent) {
		n = strlen(m->entries[k].name);
		out[--at] = k == i ? '\0' : '/';
		at -= n;
		memcpy(out + at, m->entries[k].name, n);
	}
}

int manifest_path(const struct manifest *m, uint32_t i, char *out, size_t size)
{
	size_t len = path_size(m, i);

	if (len > size || len > MANIFEST_PATH_SIZE)
		return -ENAMETOOLONG;
	put_path(m, i, out, len);
	return (int)len - 1;
}

char *manifest_path_new(const struct manifest *m, uint32_t i)
{
	size_t len = path_size(m, i);
	char *path = malloc(len);

	if (path)
		put_path(m, i, path, len);
	return path;
}

int manifest_source_path(const struct manifest *m, uint32_t i, char *out, size_t size)
{
	const char *source = m->sources[m->entries[i].source];
	size_t len = strlen(source);
	int r;

	if (len == 1)
		len = 0; /* "/" has its slash already */
	if (len + 1 >= size)
		return -ENAMETOOLONG;
	r = manifest_path(m, i, out + len + 1, size - len - 1);
	if (r < 0)
		return r;
	memcpy(out, source, len);
	out[len] = '/';
	return (int)len + 1 + r;
}

/* The ancestor of @i, or @i itself, whose parent is @dir. @i lies below @dir. */
static uint32_t climb_to(const struct manifest *m, uint32_t i, uint32_t dir)
{
	while (m->entries[i].parent != dir)
		i = m->entries[i].parent;
	return i;
}

uint32_t manifest_subtree_end(const struct manifest *m, uint32_t i)
{
	uint32_t lo = i + 1, hi = m->count, mid, k;

	assert(m->tree);
	if (m->entries[i].kind != MANIFEST_DIR)
		return i + 1;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		for (k = mid; k > i && k != MANIFEST_ROOT; k = m->entries[k].parent)
			;
		if (k == i)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* strcmp of @name and the @len bytes at @part. */
static int component_compare(const char *name, const char *part, size_t len)
{
	int c = strncmp(name, part, len);

	return c ? c : name[len] != '\0';
}

uint32_t manifest_find(const struct manifest *m, const char *path)
{
	uint32_t dir = MANIFEST_ROOT, found = MANIFEST_NONE, lo = 0, end = m->count;

	assert(m->tree);
	for (;; path++) {
		size_t len = strcspn(path, "/");
		uint32_t hi = end;

		for (found = MANIFEST_NONE; lo < hi && found == MANIFEST_NONE;) {
			uint32_t mid = lo + (hi - lo) / 2, k = climb_to(m, mid, dir);
			int c = component_compare(m->entries[k].name, path, len);

			if (c == 0)
				found = k;
			else if (c < 0)
				lo = mid + 1;
			else
				hi = k;
		}
		path += len;
		if (found == MANIFEST_NONE || *path == '\0')
			return found;
		dir = found;
		lo = found + 1;
		end = manifest_subtree_end(m, found);
	}
}

void manifest_show_path(const void *arg, uint64_t index, char *out, size_t size)
{
	const struct manifest *m = arg;
	char path[PATH_MAX], name[512];

	if (index >= m->count ||
		manifest_path(m, (uint32_t)index, path, sizeof(path)) < 0)
		path[0] = '\0';
	snprintf(out, size, "%s", text_name(path, name, sizeof(name)));
}
