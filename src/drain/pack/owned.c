/* SPDX-License-Identifier: BSD-3-Clause */
/* All members of an archive, on the node that owns its name. */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drain/pack/pack.h"

static int compare(const void *a, const void *b)
{
	const struct pack_item *x = a, *y = b;
	int r = manifest_path_compare(x->key, y->key);

	if (r)
		return r;
	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

void pack_sort(struct pack_owned *o)
{
	if (o->n)
		qsort(o->item, o->n, sizeof(*o->item), compare);
}

int pack_lay_out(struct pack_owned *o, struct ebt_err *err)
{
	uint64_t end = 0;
	int r = 0;

	for (size_t i = 0; i < o->n && r == 0; i++) {
		o->item[i].header = end;
		r = members_end(&end, o->item[i].room, o->item[i].packed, err);
	}
	o->bytes = end + MEMBERS_END;
	return r;
}

size_t pack_find(const struct pack_owned *o, const char *key)
{
	size_t lo = 0, hi = o->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (manifest_path_compare(o->item[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool pack_is_key(const struct pack_owned *o, size_t i, const char *key)
{
	return i < o->n && strcmp(o->item[i].key, key) == 0;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(a, b);
}

int pack_add_named(struct pack_owned *o, const char *path)
{
	return tsearch(path, &o->named, compare_paths) ? 0 : -ENOMEM;
}

bool pack_is_named(const struct pack_owned *o, const char *path)
{
	return tfind(path, &o->named, compare_paths) != NULL;
}

static void no_free(void *path)
{
}

void pack_drop_named(struct pack_owned *o)
{
	tdestroy(TAKE(o->named), no_free);
}

bool pack_is_bare(const struct pack_owned *o)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->item[i].type != INDEX_DIR)
			return false;
	}
	return true;
}

#define ENDING "/.ebt"

char *pack_freed_key(const char *name)
{
	size_t size = sizeof(PACK_KEYS) + sizeof(ENDING) + strlen(name);
	char *path = malloc(size);

	if (path)
		snprintf(path, size, PACK_KEYS "%s" ENDING, name);
	return path;
}

int pack_freed_name(const char *key, char **name)
{
	size_t len = strlen(key), begin = strlen(PACK_KEYS), end = strlen(ENDING);

	*name = NULL;
	if (len <= begin + end || strncmp(key, PACK_KEYS, begin) != 0 ||
		strcmp(key + len - end, ENDING) != 0)
		return 0;
	*name = strndup(key + begin, len - begin - end);
	return *name ? 0 : -ENOMEM;
}

void pack_owned_free(struct pack_owned *o)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->item[i].renamed)
			free((char *)o->item[i].path);
	}
	pack_drop_named(o);
	buf_free_array(o->kept, o->n_kept);
	free(o->item);
	free(o->as);
	free(o->path);
	free(o);
}
