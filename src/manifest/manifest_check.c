/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a manifest must be like. The first half looks at an entry by itself: it guards
 * manifest_add and manifest_decode alike. The second half looks at how entries hang
 * together, and is for what comes from outside: sorted, parents before children, no
 * path longer than MANIFEST_PATH_MAX, groups with a head. Linear: climbing from one
 * entry to the next is paid for by the descent that came before.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest_internal.h"

#define NS_PER_S 1000000000u

bool manifest_path_ok(const char *p)
{
	size_t len;

	for (;; p++) {
		len = strcspn(p, "/");
		if (len == 0 ||
			(p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.'))))
			return false;
		p += len;
		if (!*p)
			return true;
	}
}

static const char *name_flaw(const char *name, bool tree)
{
	if (!name || strlen(name) > MANIFEST_PATH_MAX)
		return "the name is missing or too long";
	if (!manifest_path_ok(name))
		return "the name has an empty part, \".\" or \"..\" in it";
	if (tree && strchr(name, '/'))
		return "the name has a '/' in it";
	return NULL;
}

/* As fsio_xattrs_get_fd packs them: whole records, names ascending. */
static bool xattrs_ok(const unsigned char *data, size_t len)
{
	struct reader r = reader_of(data, len);
	const char *last = NULL, *name;
	size_t last_len = 0, name_len, value_len;
	int c;

	while (reader_left(&r) > 0) {
		name_len = reader_get16(&r);
		value_len = reader_get32(&r);
		name = reader_take(&r, name_len);
		reader_take(&r, value_len);
		if (r.failed || name_len == 0 || memchr(name, '\0', name_len))
			return false;
		if (last) {
			c = memcmp(
				last, name, last_len < name_len ? last_len : name_len);
			if (c > 0 || (c == 0 && last_len >= name_len))
				return false;
		}
		last = name;
		last_len = name_len;
	}
	return true;
}

static bool extents_ok(const struct manifest_entry *e)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < e->n_extents; i++) {
		const struct manifest_extent *x = &e->extents[i];

		if (x->off % DIGEST_LEAF || x->len == 0 || (i > 0 && x->off <= end))
			return false;
		if (x->off > e->size || x->len > e->size - x->off)
			return false;
		end = x->off + x->len;
		if (end % DIGEST_LEAF && end != e->size)
			return false;
	}
	return true;
}

const char *manifest_flaw(const struct manifest *m, const struct manifest_entry *e)
{
	const char *flaw = name_flaw(e->name, m->tree);
	size_t len;

	if (flaw)
		return flaw;
	if (e->kind != MANIFEST_DIR && e->kind != MANIFEST_FILE &&
		e->kind != MANIFEST_SYMLINK)
		return "neither directory, file nor symbolic link";
	if (e->kind == MANIFEST_SYMLINK) {
		len = e->target ? strlen(e->target) : 0;
		if (len == 0 || len > MANIFEST_PATH_MAX)
			return "a symbolic link whose target is missing or too long";
	} else if (e->target) {
		return "a link target without a symbolic link";
	}
	if (e->kind != MANIFEST_FILE && (e->size || e->n_extents))
		return "content without a file";
	if (e->size > INT64_MAX)
		return "larger than a file can be";
	if (e->mode > 07777)
		return "a mode that is more than permission bits";
	if (e->mtime_ns >= NS_PER_S || e->atime_ns >= NS_PER_S)
		return "a time with a second or more of nanoseconds";
	if (e->source >= m->n_sources)
		return "a source that is not in the manifest";
	if (e->xattrs_len && (!e->xattrs || !xattrs_ok(e->xattrs, e->xattrs_len)))
		return "damaged extended attributes";
	if (e->n_extents && (!e->extents || !extents_ok(e)))
		return "data extents out of order or out of bounds";
	return NULL;
}

static const char *group_flaw(const struct manifest *m, uint32_t i)
{
	const struct manifest_entry *e = &m->entries[i], *head;

	if (e->group == MANIFEST_NONE)
		return NULL;
	if (e->group > i || e->kind != MANIFEST_FILE)
		return "a hard link to what does not come before it";
	head = &m->entries[e->group];
	if (head->group != e->group || head->kind != MANIFEST_FILE)
		return "a hard link to what is not the first name of a file";
	if (head->size != e->size)
		return "hard links that differ in size";
	return NULL;
}

/*
 * Entry @i as the one after @i - 1, whose path is *path_len bytes long: a first child
 * of it, or a later sibling of it or of one of its ancestors.
 */
static const char *order_flaw(const struct manifest *m, uint32_t i, size_t *path_len)
{
	const struct manifest_entry *e = &m->entries[i];
	uint32_t k = i - 1;
	size_t len = *path_len;

	if (i == 0) {
		*path_len = strlen(e->name);
		return e->parent == MANIFEST_ROOT
			       ? NULL
			       : "a parent that does not come before";
	}
	if (e->parent == k) {
		if (m->entries[k].kind != MANIFEST_DIR)
			return "a parent that is no directory";
		*path_len = len + 1 + strlen(e->name);
	} else {
		for (; m->entries[k].parent != e->parent; k = m->entries[k].parent) {
			if (m->entries[k].parent == MANIFEST_ROOT)
				return "a parent out of order";
			len -= strlen(m->entries[k].name) + 1;
		}
		if (strcmp(m->entries[k].name, e->name) >= 0)
			return "names out of order";
		*path_len = len - strlen(m->entries[k].name) + strlen(e->name);
	}
	return *path_len > MANIFEST_PATH_MAX ? "a path that is too long" : NULL;
}

const char *manifest_shape_flaw(const struct manifest *m, uint32_t *at)
{
	const char *flaw = NULL;
	size_t path_len = 0;

	for (uint32_t i = 0; i < m->count && !flaw; i++) {
		const struct manifest_entry *e = &m->entries[i];

		*at = i;
		if (m->tree) {
			flaw = order_flaw(m, i, &path_len);
			if (!flaw)
				flaw = group_flaw(m, i);
		} else if (e->parent != MANIFEST_ROOT || e->group != MANIFEST_NONE) {
			flaw = "a parent or group before there is a tree";
		}
		manifest_passed(m, i);
	}
	return flaw;
}

int manifest_drop_single_groups(struct manifest *m, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *shared =
		calloc((size_t)m->count / 64 + 1, sizeof(*shared));
	uint32_t g;

	if (!shared)
		return ebt_fail(err, -ENOMEM, "manifest: %u entries", m->count);
	for (uint32_t i = 0; i < m->count; i++) {
		g = m->entries[i].group;
		if (g != MANIFEST_NONE && g != i)
			shared[g / 64] |= 1ull << (g % 64);
		manifest_passed(m, i);
	}
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->entries[i].group == i && !(shared[i / 64] >> (i % 64) & 1))
			m->entries[i].group = MANIFEST_NONE;
		manifest_passed(m, i);
	}
	return 0;
}

/* Not the digest, to which others may be adding. */
static bool unchanged(
	const struct manifest_entry *e, uint64_t ino, const struct stat *st)
{
	bool link = e->kind == MANIFEST_SYMLINK;

	return (link ? S_ISLNK(st->st_mode) : S_ISREG(st->st_mode)) &&
	       (link || (uint64_t)st->st_size == e->size) &&
	       st->st_mtim.tv_sec == e->mtime &&
	       (uint32_t)st->st_mtim.tv_nsec == e->mtime_ns &&
	       (!ino || st->st_ino == ino);
}

bool manifest_unchanged(const struct manifest_entry *e, const struct stat *st)
{
	return unchanged(e, e->ino, st);
}

bool manifest_unchanged_on(
	uint32_t node, const struct manifest_entry *e, const struct stat *st)
{
	bool elsewhere =
		node != manifest_node(e) && manifest_time(st->st_ctim) == e->changed;

	return unchanged(e, elsewhere ? 0 : e->ino, st);
}

bool manifest_same_time(const struct manifest *m, const struct manifest_entry *e,
	int64_t sec, uint32_t ns)
{
	const struct timespec t = {.tv_sec = e->mtime, .tv_nsec = (long)e->mtime_ns};
	struct timespec held = fsio_time_held(&m->times, t);

	return held.tv_sec == sec && (uint32_t)held.tv_nsec == ns;
}
