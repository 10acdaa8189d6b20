/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hard links: which names are one inode.
 *
 * Every kernel numbers its devices for itself, and some file systems number inodes anew on
 * each node. So it takes one node to prove that names are one inode: it looked at all of them
 * and saw one device, one inode, the same attributes, and at least as many links as there are
 * names. The walk is such a look where one node came by all the names, which costs nothing
 * more. Names that have inode number, size and time in common, but were seen by several nodes
 * or fall short of that proof, are in doubt, and some node has to look at all of them again.
 *
 * Where file systems are mounted plays no part: what has the same inode number by chance is
 * told apart by the look, and what is one inode has one size and one time on all nodes.
 *
 * Cost: n log n and 24 bytes for each name of an inode with several.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest_internal.h"

/* Gets names of one class, in the order of the manifest: a group, or in doubt. */
typedef void class_fn(void *arg, const struct sort_key *keys, size_t n, bool proven);

static bool may_be_linked(const struct manifest_entry *e)
{
	return e->kind == MANIFEST_FILE && e->nlink > 1 && e->group == MANIFEST_NONE;
}

/* All names of an inode have it in common, on whatever nodes they were seen. */
static uint64_t class_of(const struct manifest_entry *e)
{
	/* Names in an archive are links of each other alone, and one node has seen them all. */
	const uint64_t same[] = {e->ino, e->size, (uint64_t)e->mtime, e->mtime_ns,
		e->marks & MANIFEST_MEMBER ? e->dev : UINT64_MAX};

	return digest_bytes(same, sizeof(same)).lo;
}

static bool seen_alike(const struct manifest_entry *a, const struct manifest_entry *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime == b->mtime && a->mtime_ns == b->mtime_ns &&
	       a->changed == b->changed && a->mode == b->mode && a->uid == b->uid &&
	       a->gid == b->gid && a->xattrs_len == b->xattrs_len &&
	       (!a->xattrs_len || memcmp(a->xattrs, b->xattrs, a->xattrs_len) == 0);
}

static bool is_proven(const struct manifest *m, const struct sort_key *keys, size_t n)
{
	const struct manifest_entry *head = &m->entries[keys[0].index], *e;

	for (size_t i = 0; i < n; i++) {
		e = &m->entries[keys[i].index];
		if (e->nlink < n || !seen_alike(head, e))
			return false;
	}
	return true;
}

static void visit_class(const struct manifest *m, struct sort_key *keys,
	struct sort_key *tmp, size_t n, class_fn *fn, void *arg)
{
	uint32_t node = manifest_node(&m->entries[keys[0].index]);
	size_t end;

	for (size_t i = 0; i < n; i++) {
		if (manifest_node(&m->entries[keys[i].index]) != node) {
			fn(arg, keys, n, false);
			return;
		}
	}
	/* One node saw them all: its numbers tell file systems apart. */
	for (size_t i = 0; i < n; i++)
		keys[i].key = m->entries[keys[i].index].dev;
	sort_keys(keys, tmp, n);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && keys[end].key == keys[i].key; end++)
			;
		if (end - i > 1)
			fn(arg, keys + i, end - i, is_proven(m, keys + i, end - i));
	}
}

/* @keys has room for all names that may be linked, @tmp for half of them. */
static void visit_classes(const struct manifest *m, struct sort_key *keys,
	struct sort_key *tmp, class_fn *fn, void *arg)
{
	size_t n = 0, end;

	for (uint32_t i = 0; i < m->count; i++) {
		if (may_be_linked(&m->entries[i]))
			keys[n++] = (struct sort_key){
				.key = class_of(&m->entries[i]), .index = i};
	}
	sort_keys(keys, tmp, n);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && keys[end].key == keys[i].key; end++)
			;
		if (end - i > 1)
			visit_class(m, keys + i, tmp, end - i, fn, arg);
	}
}

/* Entry @i is a further name of @head, and becomes like it. */
static void join(struct manifest *m, uint32_t head, uint32_t i)
{
	struct manifest_entry *e = &m->entries[i], old = *e;

	m->entries[head].group = head;
	*e = m->entries[head];
	e->name = old.name;
	e->parent = old.parent;
	e->source = old.source;
	e->marks = old.marks;
}

static void group_proven(void *arg, const struct sort_key *keys, size_t n, bool proven)
{
	for (size_t i = 1; proven && i < n; i++)
		join(arg, keys[0].index, keys[i].index);
}

void find_groups(struct manifest *m, struct sort_key *keys, struct sort_key *tmp)
{
	visit_classes(m, keys, tmp, group_proven, m);
}

static void keep_doubt(void *arg, const struct sort_key *keys, size_t n, bool proven)
{
	struct manifest_doubts *d = arg;
	uint32_t at = d->first[d->n];

	if (proven)
		return;
	for (size_t i = 0; i < n; i++)
		d->members[at++] = keys[i].index;
	d->first[++d->n] = at;
}

int manifest_doubts(
	const struct manifest *m, struct manifest_doubts *out, struct ebt_err *err)
{
	SCOPED_FREE struct sort_key *keys = NULL;
	SCOPED_FREE struct sort_key *tmp = NULL;
	size_t n = 0;

	*out = (struct manifest_doubts){0};
	for (uint32_t i = 0; i < m->count; i++)
		n += may_be_linked(&m->entries[i]);
	if (n < 2)
		return 0;
	keys = calloc(n, sizeof(*keys));
	tmp = calloc(n / 2 + 1, sizeof(*tmp));
	out->members = calloc(n, sizeof(*out->members));
	out->first = calloc(n / 2 + 1, sizeof(*out->first));
	if (!keys || !tmp || !out->members || !out->first) {
		manifest_doubts_release(out);
		return ebt_fail(err, -ENOMEM, "hard links: %zu names", n);
	}
	visit_classes(m, keys, tmp, keep_doubt, out);
	return 0;
}

void manifest_doubts_release(struct manifest_doubts *d)
{
	free(d->members);
	free(d->first);
	*d = (struct manifest_doubts){0};
}

/* The members in [head, end) that were found to be links of the first of them. */
static void group_found(struct manifest *m, const struct manifest_doubts *d,
	const uint32_t *found, uint32_t head, uint32_t end)
{
	struct manifest_entry *e = &m->entries[d->members[head]];
	uint32_t names = 0;

	for (uint32_t k = head; k < end; k++)
		names += found[k] == found[head];
	/* Through several mounts there are more: whoever arranges it again needs no look. */
	if (e->nlink < names)
		e->nlink = names;
	for (uint32_t k = head + 1; k < end; k++) {
		if (found[k] == found[head])
			join(m, d->members[head], d->members[k]);
	}
}

uint64_t manifest_settle(struct manifest *m, const struct manifest_doubts *d,
	const uint32_t *found, uint32_t *one)
{
	uint64_t apart = 0;

	for (uint32_t c = 0; c < d->n; c++) {
		uint32_t first = d->first[c], end = d->first[c + 1];

		for (uint32_t k = first; k < end; k++) {
			if (found[k] == MANIFEST_LINK_OF + (k - first))
				group_found(m, d, found, k, end);
			else if (found[k] <= MANIFEST_LINK_APART && apart++ == 0)
				*one = d->members[k];
		}
	}
	return apart;
}
