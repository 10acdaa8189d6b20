/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From incoming into place. Two passes over the manifest, each of which may be cut off
 * anywhere and repeated:
 *
 * 1. Move. What has no counterpart in the store goes with one rename, a directory with
 *    all it holds. Where directories exist on both sides their entries move one by one.
 *    What is no longer in incoming was moved before, or never brought.
 * 2. Directories get their attributes, from the end of the manifest to its start and so
 *    the deepest first: they could be read-only afterwards, and a rename into a
 *    directory changes its mtime.
 *
 * Then the merged manifest is saved, and only when it says what is there the record goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

enum moved {
	MOVED = 0,
	MOVE_NONE = 1,  /* nothing in incoming under this name */
	MOVE_MERGE = 2, /* a directory that exists on both sides */
};

static int move_one(
	const struct manifest_entry *e, int from, int to, enum store_overwrite how)
{
	struct stat st;
	int r = fsio_rename_new(from, e->name, to, e->name);

	if (r == 0)
		return MOVED;
	/* NOREPLACE is checked before the source: ask whether there is one. */
	if (r == -EEXIST && fstatat(from, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == -ENOENT)
		return MOVE_NONE;
	if (r != -EEXIST)
		return r;
	if (e->kind == MANIFEST_DIR)
		return MOVE_MERGE;
	if (how == STORE_REFUSE)
		return -EEXIST;
	return renameat(from, e->name, to, e->name) < 0 ? -errno : MOVED;
}

/*
 * Pass 1. Entries before @bare have nothing in incoming: only directories may be
 * missing.
 */
static int move_all(struct store *s, const struct manifest *m, enum store_overwrite how,
	struct ebt_err *err)
{
	SCOPED_FD int tree =
		openat(s->runfd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	SCOPED_WALK struct store_walk src = {.m = m, .root = tree, .flags = O_PATH};
	SCOPED_WALK struct store_walk dst = {
		.m = m, .root = s->dirfd, .flags = O_PATH, .force = true};
	uint32_t i = 0, bare = 0;
	int from, to, r;

	if (tree < 0)
		return ebt_fail(err, -errno, "%s: incoming tree", s->path);
	while (i < m->count) {
		const struct manifest_entry *e = &m->entries[i];

		if (i < bare && e->kind != MANIFEST_DIR) {
			i++;
			continue;
		}
		to = store_walk_to(&dst, e->parent);
		if (to < 0)
			return store_fail(s, to, "enter the directory of", m, i, err);
		r = MOVE_NONE;
		if (i >= bare) {
			from = store_walk_to(&src, e->parent);
			r = from < 0 ? from : move_one(e, from, to, how);
		}
		if (r < 0)
			return store_fail(s, r, "publish", m, i, err);
		if (r == MOVED) {
			store_step(s);
			i = manifest_subtree_end(m, i);
			continue;
		}
		if (r == MOVE_NONE && e->kind == MANIFEST_DIR) {
			if (mkdirat(to, e->name, 0700) == 0)
				store_step(s);
			else if (errno != EEXIST)
				return store_fail(s, -errno, "mkdir", m, i, err);
			if (i >= bare)
				bare = manifest_subtree_end(m, i);
		}
		i++;
	}
	return 0;
}

/* The attributes of directory @i; 1: it is not ours and stays as it is. */
static int set_directory(struct store *s, struct store_walk *w, uint32_t i, struct buf *kept,
	struct ebt_err *err)
{
	struct manifest_entry *e = &w->m->entries[i];
	int fd = store_walk_to(w, i), r;
	size_t len = kept ? kept->len : 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return store_fail(s, fd < 0 ? fd : -errno, "enter", w->m, i, err);
	if (geteuid() != 0 && st.st_uid != geteuid())
		return 1;
	r = store_set_directory(fd, e, kept, err);
	if (r == 0 && kept)
		r = fsio_xattrs_get_fd(fd, kept);
	if (r < 0)
		return store_fail(s, r, "attributes of", w->m, i, err);
	if (kept)
		e->xattrs_len = (uint32_t)(kept->len - len);
	store_step(s);
	return 0;
}

/*
 * Pass 2. @kept: directories that exist keep their extended attributes, and as the manifest
 * says what is there, they go into it. They lie in *kept.
 */
static int set_directories(struct store *s, struct manifest *m, struct buf *kept,
	const struct log *log, struct ebt_err *err)
{
	SCOPED_WALK struct store_walk w = {
		.m = m, .root = s->dirfd, .flags = O_RDONLY, .force = true};
	uint64_t foreign = 0;
	size_t at = 0;
	int r;

	for (uint32_t i = m->count; i-- > 0;) {
		if (m->entries[i].kind != MANIFEST_DIR)
			continue;
		r = set_directory(s, &w, i, kept, err);
		if (r < 0)
			return r;
		foreign += (unsigned)r;
	}
	/* Only now does the buffer stay where it is. */
	for (uint32_t i = m->count; kept && i-- > 0;) {
		if (m->entries[i].kind != MANIFEST_DIR || !m->entries[i].xattrs_len)
			continue;
		m->entries[i].xattrs = kept->data + at;
		at += m->entries[i].xattrs_len;
	}
	if (foreign)
		log_warn(log,
			"%s: %llu directories belong to others and stay as they are",
			s->path, (unsigned long long)foreign);
	return 0;
}

/* The node was started anew: was everything on the medium by then? */
static int check_after_reboot(struct store *s, const struct manifest *m,
	const struct log *log, struct ebt_err *err)
{
	SCOPED_FD int tree =
		openat(s->runfd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	SCOPED_FREE uint64_t *need = NULL;
	struct store_verify v = {.m = m, .skip_dirs = true, .threads = 4};
	uint64_t bad = 0;
	int r;

	if (tree < 0)
		return ebt_fail(err, -errno, "%s: incoming tree", s->path);
	r = store_load_need(s, m, &need, err);
	if (r < 0)
		return r;
	log_info(log, "%s: the node was restarted, reading what run %s had brought",
		s->path, s->id);
	v.roots[0] = tree;
	v.roots[1] = s->dirfd;
	v.need = need;
	r = store_verify_run(&v, &bad, err);
	if (r < 0)
		return r;
	if (bad)
		return ebt_failx(err, -EBADMSG,
			"%s: run %s lost %llu files when the node went down", s->path,
			s->id, (unsigned long long)bad);
	return 0;
}

static int save_merged(struct store *s, const struct manifest *m, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *old = NULL;
	SCOPED_MANIFEST struct manifest *merged = NULL;
	int r = store_manifest(s, &old, err);

	if (r == 0 && old)
		r = manifest_merge(old, m, &merged, err);
	if (r < 0)
		return r;
	return manifest_save(merged ? merged : m, s->ebtfd, "manifest", err);
}

int store_publish(struct store *s, const struct log *log, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_BUF struct buf kept = {0};
	struct store_record rec = {0};
	char boot[40];
	int r = store_record_load(s, &rec, err);

	if (r == 0)
		return ebt_failx(err, -ENOENT, "%s: nothing was committed", s->path);
	if (r > 0)
		r = store_open_run(s, rec.id, err);
	if (r == 0)
		r = manifest_load(s->runfd, "manifest", &m, err);
	if (r == 0 && (store_boot_id(boot) < 0 || strcmp(boot, rec.boot) != 0))
		r = check_after_reboot(s, m, log, err);
	if (r == 0)
		r = move_all(s, m, rec.how, err);
	if (r == 0)
		r = set_directories(s, m, store_no_xattrs(s) ? &kept : NULL, log, err);
	if (r == 0)
		r = save_merged(s, m, err);
	if (r < 0)
		return r;
	store_step(s);
	r = store_record_drop(s, err);
	if (r < 0)
		return r;
	store_step(s);
	return store_remove_run(s, rec.id, err);
}
