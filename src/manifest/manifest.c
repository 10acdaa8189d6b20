/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Building manifests. Nothing is ever taken out again, so a string costs its bytes and no more.
 * Sources are found through a hash table, as one run may name a hundred thousand.
 */
#include "manifest/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "manifest/manifest_internal.h"

int manifest_new_in(int dirfd, struct manifest **out, struct ebt_err *err)
{
	struct manifest *m = calloc(1, sizeof(*m));

	if (!m)
		return ebt_fail(err, -ENOMEM, "manifest");
	m->times = FSIO_TIMES_EXACT;
	m->room = dirfd;
	*out = m;
	return 0;
}

int manifest_new(struct manifest **out, struct ebt_err *err)
{
	return manifest_new_in(-1, out, err);
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	manifest_free_room(m);
	free(m->sources);
	free(m->slots);
	free(m);
}

static void *block_copy(struct manifest *m, const void *data, size_t len, size_t align)
{
	void *p = manifest_alloc(m, len, align);

	return p ? memcpy(p, data, len) : NULL;
}

static int grow(struct manifest *m, struct ebt_err *err)
{
	size_t cap = (size_t)m->cap + m->cap / 2 + 64;

	if (m->count == MANIFEST_COUNT_MAX)
		return ebt_fail(
			err, -EOVERFLOW, "manifest: more than %u entries", m->count);
	return manifest_reserve(
		m, cap < MANIFEST_COUNT_MAX ? cap : MANIFEST_COUNT_MAX, err);
}

int manifest_put(
	struct manifest *m, const struct manifest_entry *e, struct ebt_err *err)
{
	struct manifest_entry *n;
	int r;

	if (m->count == m->cap) {
		r = grow(m, err);
		if (r < 0)
			return r;
	}
	n = &m->entries[m->count];
	*n = *e;
	n->name = block_copy(m, e->name, strlen(e->name) + 1, 1);
	n->target = NULL;
	n->xattrs = NULL;
	n->extents = NULL;
	if (e->target)
		n->target = block_copy(m, e->target, strlen(e->target) + 1, 1);
	if (e->xattrs_len)
		n->xattrs = block_copy(m, e->xattrs, e->xattrs_len, 1);
	if (e->n_extents)
		n->extents =
			block_copy(m, e->extents, e->n_extents * sizeof(*e->extents),
				_Alignof(struct manifest_extent));
	if (!n->name || (e->target && !n->target) || (e->xattrs_len && !n->xattrs) ||
		(e->n_extents && !n->extents))
		return ebt_fail(err, -ENOMEM, "manifest: %u entries", m->count);
	manifest_passed(m, m->count++);
	return 0;
}

int manifest_add(
	struct manifest *m, const struct manifest_entry *e, struct ebt_err *err)
{
	struct manifest_entry copy = *e;
	const char *flaw;
	char name[256];

	if (!m->tree) {
		copy.parent = MANIFEST_ROOT;
		copy.group = MANIFEST_NONE;
	}
	flaw = manifest_flaw(m, &copy);
	if (flaw)
		return ebt_failx(err, -EINVAL, "%s: %s",
			text_name(e->name ? e->name : "", name, sizeof(name)), flaw);
	return manifest_put(m, &copy, err);
}

/* The slot that holds @path of @len bytes, or the free one where it belongs. */
static uint32_t *slot_of(const struct manifest *m, const char *path, size_t len)
{
	size_t at = digest_bytes(path, len).lo;

	for (;; at++) {
		uint32_t *slot = &m->slots[at & (m->n_slots - 1)];
		const char *have = *slot ? m->sources[*slot - 1] : NULL;

		if (!have || (strncmp(have, path, len) == 0 && have[len] == '\0'))
			return slot;
	}
}

/* Room for one more source, and at least half of the slots free after it. */
static int grow_sources(struct manifest *m)
{
	SCOPED_FREE uint32_t *old = NULL;
	uint32_t n = m->n_slots ? m->n_slots * 2 : 16;
	const char **p;

	if (m->n_sources >= UINT32_MAX / 4)
		return -EOVERFLOW;
	if (m->n_sources == m->sources_cap) {
		p = realloc(m->sources, (m->sources_cap * 2 + 8) * sizeof(*p));
		if (!p)
			return -ENOMEM;
		m->sources = p;
		m->sources_cap = m->sources_cap * 2 + 8;
	}
	if (m->n_sources + 1 <= m->n_slots / 2)
		return 0;
	old = m->slots;
	m->slots = calloc(n, sizeof(*m->slots));
	if (!m->slots) {
		m->slots = TAKE(old);
		return -ENOMEM;
	}
	m->n_slots = n;
	for (uint32_t i = 0; i < m->n_sources; i++)
		*slot_of(m, m->sources[i], strlen(m->sources[i])) = i + 1;
	return 0;
}

int manifest_add_source(
	struct manifest *m, const char *path, uint32_t *index, struct ebt_err *err)
{
	size_t len = strlen(path);
	uint32_t *slot;
	char name[256], *copy;
	int r;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (path[0] != '/' || len > MANIFEST_PATH_MAX)
		return ebt_failx(err, -EINVAL,
			"%s: not an absolute path that EBT can keep",
			text_name(path, name, sizeof(name)));
	r = grow_sources(m);
	if (r < 0)
		return ebt_fail(err, r, "manifest: %u sources", m->n_sources);
	slot = slot_of(m, path, len);
	if (!*slot) {
		copy = manifest_alloc(m, len + 1, 1);
		if (!copy)
			return ebt_fail(
				err, -ENOMEM, "manifest: %u sources", m->n_sources);
		memcpy(copy, path, len);
		copy[len] = '\0';
		m->sources[m->n_sources++] = copy;
		*slot = m->n_sources;
	}
	*index = *slot - 1;
	return 0;
}

/* Sources of @from in @to: an index for each, which the caller frees. */
static int map_sources(struct manifest *to, const struct manifest *from, uint32_t **map,
	struct ebt_err *err)
{
	int r = 0;

	*map = calloc(from->n_sources + 1, sizeof(**map));
	if (!*map)
		return ebt_fail(err, -ENOMEM, "manifest: %u sources", from->n_sources);
	for (uint32_t i = 0; i < from->n_sources && r == 0; i++)
		r = manifest_add_source(to, from->sources[i], &(*map)[i], err);
	return r;
}

int manifest_append(
	struct manifest *to, const struct manifest *from, struct ebt_err *err)
{
	SCOPED_FREE uint32_t *map = NULL;
	SCOPED_FREE char *path = NULL;
	int r;

	if (to->tree)
		return ebt_failx(
			err, -EINVAL, "manifest: a tree takes no further entries");
	path = from->tree ? malloc(MANIFEST_PATH_SIZE) : NULL;
	if (from->tree && !path)
		return ebt_fail(err, -ENOMEM, "manifest");
	r = map_sources(to, from, &map, err);
	for (uint32_t i = 0; i < from->count && r == 0; i++) {
		struct manifest_entry e = from->entries[i];

		e.source = map[e.source];
		if (e.group != MANIFEST_NONE &&
			(from->tree || e.marks & MANIFEST_LINKED)) {
			e.marks |= MANIFEST_LINKED;
			e.group += to->groups;
		}
		if (from->tree) {
			r = manifest_path(from, i, path, MANIFEST_PATH_SIZE);
			if (r < 0)
				return ebt_fail(err, r, "manifest");
			e.name = path;
			e.parent = MANIFEST_ROOT;
		}
		r = manifest_put(to, &e, err);
	}
	to->groups += from->tree ? from->count : from->groups;
	return r;
}

int manifest_split(const struct manifest *from, struct manifest *linked,
	struct manifest **rest, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *others = NULL;
	SCOPED_FREE uint32_t *to_linked = NULL;
	SCOPED_FREE uint32_t *to_others = NULL;
	int r = manifest_new(&others, err);

	if (r == 0)
		r = map_sources(linked, from, &to_linked, err);
	if (r == 0)
		r = map_sources(others, from, &to_others, err);
	for (uint32_t i = 0; i < from->count && r == 0; i++) {
		struct manifest_entry e = from->entries[i];
		bool link = e.kind == MANIFEST_FILE && e.nlink > 1;

		e.source = (link ? to_linked : to_others)[e.source];
		r = manifest_put(link ? linked : others, &e, err);
	}
	if (r == 0)
		*rest = TAKE(others);
	return r;
}

void manifest_sum_digest(struct manifest *m, uint32_t i, struct ebt_digest part)
{
	struct ebt_digest *d = &m->entries[i].digest;

	/*
	 * The halves are sums of their own: nobody reads one before all have added
	 * theirs.
	 */
	__atomic_fetch_add(&d->lo, part.lo, __ATOMIC_RELAXED);
	__atomic_fetch_add(&d->hi, part.hi, __ATOMIC_RELAXED);
}

void manifest_count(const struct manifest *m, struct manifest_totals *totals)
{
	struct manifest_totals t = {0};

	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];

		if (e->kind == MANIFEST_DIR) {
			t.dirs++;
		} else if (e->kind == MANIFEST_SYMLINK) {
			t.symlinks++;
		} else if (!manifest_has_data(m, i)) {
			t.links++;
		} else {
			t.files++;
			t.bytes += e->size;
			t.data += manifest_data(e);
		}
		manifest_passed(m, i);
	}
	*totals = t;
}
