/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flat to tree, in n log n and with 24 bytes per entry besides the manifest itself:
 *
 *	sort       the entries stay where they are, keys with indices are sorted
 *	merge      of a run of equal paths one entry, the winner, keeps its place
 *	parents    the entry before is below, beside or is the parent: climb from there
 *	permute    entries move to their places, those without a place fall off the end
 *	groups     names that one node proved to be one inode: manifest_links.c
 *
 * Whatever can fail comes before permute. Names become the last component of the path
 * they are in: nothing is copied, and the string of a path stays as long as the
 * manifest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "manifest/manifest_internal.h"

#define SHOWN 320 /* bytes of a path in a message that holds three */

static int fail_conflict(
	const struct manifest *m, uint32_t i, uint32_t k, struct ebt_err *err)
{
	char name[SHOWN], a[SHOWN], b[SHOWN];
	SCOPED_FREE char *path = malloc(2 * MANIFEST_PATH_MAX + 2);
	const char *first = "?", *second = "?";

	if (!path)
		return ebt_fail(err, -ENOMEM, "manifest");
	if (m->entries[i].source > m->entries[k].source) {
		uint32_t swap = i;

		i = k;
		k = swap;
	}
	if (manifest_source_path(m, i, path, 2 * MANIFEST_PATH_MAX + 2) >= 0)
		first = text_name(path, a, sizeof(a));
	if (manifest_source_path(m, k, path, 2 * MANIFEST_PATH_MAX + 2) >= 0)
		second = text_name(path, b, sizeof(b));
	return ebt_failx(err, -EEXIST, "%s: comes from both %s and %s",
		text_name(m->entries[i].name, name, sizeof(name)), first, second);
}

/*
 * The one entry that stays of @n that name one path: of the latest source, and of that
 * the last mention. What other sources have there must be directories, as must that
 * entry be.
 */
static int pick_winner(const struct manifest *m, const struct sort_key *run, size_t n,
	size_t *winner, struct ebt_err *err)
{
	const struct manifest_entry *w, *e;
	size_t best = 0;

	for (size_t i = 1; i < n; i++) {
		if (m->entries[run[i].index].source >=
			m->entries[run[best].index].source)
			best = i;
	}
	w = &m->entries[run[best].index];
	for (size_t i = 0; i < n; i++) {
		e = &m->entries[run[i].index];
		if (e->source != w->source &&
			(e->kind != MANIFEST_DIR || w->kind != MANIFEST_DIR))
			return fail_conflict(m, run[i].index, run[best].index, err);
	}
	*winner = best;
	return 0;
}

static void swap_keys(struct sort_key *a, struct sort_key *b)
{
	struct sort_key t = *a;

	*a = *b;
	*b = t;
}

/* Moves one entry per path to the front, in order, and says how many there are. */
static int merge_equal(const struct manifest *m, struct sort_key *keys, size_t *kept,
	struct ebt_err *err)
{
	size_t to = 0, end, winner;
	int r;

	for (size_t i = 0; i < m->count; i = end) {
		const char *name = m->entries[keys[i].index].name;

		for (end = i + 1; end < m->count; end++) {
			if (strcmp(name, m->entries[keys[end].index].name) != 0)
				break;
		}
		winner = 0;
		if (end - i > 1) {
			r = pick_winner(m, keys + i, end - i, &winner, err);
			if (r < 0)
				return r;
		}
		swap_keys(&keys[to++], &keys[i + winner]);
	}
	*kept = to;
	return 0;
}

/* True if @dir is what comes before the last '/' of @path, which is at @len. */
static bool is_parent(const char *dir, const char *path, size_t len)
{
	return strncmp(dir, path, len) == 0 && dir[len] == '\0';
}

/* @near: what was found where the directory of @path should be, NULL for nothing. */
static int fail_parent(const char *path, const char *near, struct ebt_err *err)
{
	SCOPED_FREE char *dir = strdup(path);
	char a[SHOWN], b[SHOWN];

	if (!dir)
		return ebt_fail(err, -ENOMEM, "manifest");
	text_name(path, a, sizeof(a));
	if (near)
		return ebt_failx(err, -EINVAL, "%s: %s is no directory", a,
			text_name(near, b, sizeof(b)));
	*strrchr(dir, '/') = '\0';
	return ebt_failx(err, -EINVAL, "%s: its directory %s is not in the manifest", a,
		text_name(dir, b, sizeof(b)));
}

/* Sets parents as places in the order of @keys. */
static int find_parents(
	struct manifest *m, const struct sort_key *keys, size_t n, struct ebt_err *err)
{
	uint32_t at = MANIFEST_ROOT;

	for (size_t i = 0; i < n; i++) {
		struct manifest_entry *e = &m->entries[keys[i].index], *p = NULL;
		const char *slash = strrchr(e->name, '/');
		size_t len = slash ? (size_t)(slash - e->name) : 0;

		if (!slash)
			at = MANIFEST_ROOT;
		for (; at != MANIFEST_ROOT; at = p->parent) {
			p = &m->entries[keys[at].index];
			if (is_parent(p->name, e->name, len))
				break;
		}
		if (slash && at == MANIFEST_ROOT)
			return fail_parent(e->name, NULL, err);
		if (slash && p->kind != MANIFEST_DIR)
			return fail_parent(e->name, p->name, err);
		e->parent = at;
		at = (uint32_t)i;
	}
	return 0;
}

/* entries[i] = old entries[keys[i].index], a cycle at a time. */
static void permute(struct manifest_entry *entries, struct sort_key *keys, size_t n)
{
	for (size_t start = 0; start < n; start++) {
		struct manifest_entry first = entries[start];
		uint32_t i = (uint32_t)start, from;

		if (keys[start].index == start)
			continue;
		while ((from = keys[i].index) != start) {
			entries[i] = entries[from];
			keys[i].index = i;
			i = from;
		}
		entries[i] = first;
		keys[i].index = i;
	}
}

static int order_entries(struct manifest *m, struct sort_key *keys,
	struct sort_key *tmp, size_t *kept, struct ebt_err *err)
{
	int r;

	for (uint32_t i = 0; i < m->count; i++)
		keys[i] = (struct sort_key){.index = i};
	sort_paths(keys, tmp, m->count, m->entries);
	r = merge_equal(m, keys, kept, err);
	if (r < 0)
		return r;
	return find_parents(m, keys, *kept, err);
}

/* Entries that are known to be links get the first one of their group. @first: of each number. */
static void restore_groups(struct manifest *m, uint32_t *first)
{
	for (uint32_t i = 0; i < m->groups; i++)
		first[i] = MANIFEST_NONE;
	for (uint32_t i = 0; i < m->count && m->groups; i++) {
		struct manifest_entry *e = &m->entries[i];

		if (!(e->marks & MANIFEST_LINKED))
			continue;
		if (first[e->group] == MANIFEST_NONE)
			first[e->group] = i;
		e->group = first[e->group];
		e->marks &= (uint8_t)~MANIFEST_LINKED;
	}
	m->groups = 0;
}

int manifest_arrange(struct manifest *m, struct ebt_err *err)
{
	SCOPED_FREE struct sort_key *keys = NULL;
	SCOPED_FREE struct sort_key *tmp = NULL;
	SCOPED_FREE uint32_t *first = NULL;
	size_t kept;
	int r;

	if (m->tree)
		return 0;
	first = malloc(((size_t)m->groups + 1) * sizeof(*first));
	keys = malloc(((size_t)m->count + 1) * sizeof(*keys));
	tmp = malloc(((size_t)m->count / 2 + 1) * sizeof(*tmp));
	if (!keys || !tmp || !first)
		return ebt_fail(err, -ENOMEM, "manifest: %u entries", m->count);
	r = order_entries(m, keys, tmp, &kept, err);
	if (r < 0) {
		for (uint32_t i = 0; i < m->count; i++)
			m->entries[i].parent = MANIFEST_ROOT;
		return r;
	}
	permute(m->entries, keys, m->count);
	m->count = (uint32_t)kept;
	for (uint32_t i = 0; i < m->count; i++) {
		const char *slash = strrchr(m->entries[i].name, '/');

		if (slash)
			m->entries[i].name = slash + 1;
	}
	restore_groups(m, first);
	find_groups(m, keys, tmp);
	m->tree = true;
	return 0;
}
