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
 *    directory changes its mtime. Those that came with another one have theirs since the run
 *    was sealed; left are the ones that existed and the ones that were renamed themselves.
 *
 * Then what is in place is looked at for the manifest, see store_copies.c, the prepared manifest
 * gets its name, and only when it says what is there the record goes. All of that was tried
 * before the record was written, see store_seal.c and store_try.c: what can still fail is what
 * others change meanwhile, or the medium itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

enum moved {
	MOVED = 0,
	MOVE_NONE = 1,	/* nothing in incoming under this name */
	MOVE_MERGE = 2, /* a directory that exists on both sides */
};

struct publication {
	struct store *s;
	const struct manifest *m;
	enum store_overwrite how;
	uint64_t *left; /* bit an entry: directories of pass 2 */
	uint64_t *
		moved; /* bit an entry: what pass 1 brought to its place, and directories */
	bool any;      /* something was moved */
	bool all;      /* all of them */
	bool no_xattrs;
};

/* What ends the trouble, for those who can end it. */
static const char *remedy(int code)
{
	switch (code) {
	case -EEXIST:
		return ": it was put there meanwhile, move it away";
	case -ENOTDIR:
	case -ELOOP:
		return ": no directory any more, move it away";
	case -EXDEV:
	case -EBUSY:
		return ": something is mounted there, unmount it";
	case -EROFS:
		return ": mount it writable";
	case -EACCES:
	case -EPERM:
		return ": give us the right to change it";
	case -ENOSPC:
	case -EDQUOT:
		return ": make room";
	case -EMFILE:
		return ": raise the limit of open files";
	}
	return "";
}

/* What cannot be published, in full, and what it would take. */
static int fail(const struct publication *p, int code, const char *doing, uint32_t i,
	struct ebt_err *err)
{
	struct ebt_err why = {0};

	store_fail(p->s, code, doing, p->m, i, &why);
	return ebt_failx(err, code, "%.900s%s", why.text, remedy(code));
}

static int move_one(
	const struct manifest_entry *e, int from, int to, enum store_overwrite how)
{
	struct stat st;
	int r;

	/* A directory that leaves its parent gets a new "..", and must be writable for that. */
	if (e->kind == MANIFEST_DIR && !(e->mode & S_IWUSR) && geteuid() != 0)
		store_open_up(from, e->name);
	r = fsio_rename_new(from, e->name, to, e->name);

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
static int move_all(struct publication *p, struct ebt_err *err)
{
	const struct manifest *m = p->m;
	SCOPED_FD int tree = openat(
		p->s->runfd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	SCOPED_WALK struct store_walk src = {
		.m = m, .root = tree, .flags = O_PATH, .force = true};
	SCOPED_WALK struct store_walk dst = {
		.m = m, .root = p->s->dirfd, .flags = O_PATH, .force = true};
	uint32_t i = 0, bare = 0;
	int from, to, r;

	if (tree < 0)
		return ebt_fail(err, -errno, "%s: incoming tree", p->s->path);
	while (i < m->count) {
		const struct manifest_entry *e = &m->entries[i];

		if (i < bare && e->kind != MANIFEST_DIR) {
			i++;
			continue;
		}
		store_walk_passed(&dst, i);
		to = store_walk_to(&dst, e->parent);
		if (to < 0)
			return fail(p, to, "enter", dst.stuck, err);
		r = MOVE_NONE;
		if (i >= bare) {
			from = store_walk_to(&src, e->parent);
			r = from < 0 ? from : move_one(e, from, to, p->how);
		}
		if (r < 0)
			return fail(p, r, "publish", i, err);
		if (e->kind == MANIFEST_DIR) {
			manifest_need(p->left, i);
			manifest_need(p->moved, i);
		}
		if (r == MOVED) {
			store_step(p->s);
			p->any = true;
			for (uint32_t end = manifest_subtree_end(m, i); i < end; i++)
				manifest_need(p->moved, i);
			continue;
		}
		if (r == MOVE_NONE && e->kind == MANIFEST_DIR) {
			if (mkdirat(to, e->name, 0700) == 0)
				store_step(p->s);
			else if (errno == EEXIST)
				r = MOVE_MERGE;
			else
				return fail(p, -errno, "mkdir", i, err);
			if (i >= bare)
				bare = manifest_subtree_end(m, i);
		}
		if (r == MOVE_MERGE) {
			r = store_may_merge(p->s, m, i, to, err);
			if (r < 0)
				return r;
		}
		i++;
	}
	return 0;
}

/* The attributes of directory @i; 1: it is not ours and stays as it is. */
static int set_directory(
	struct publication *p, struct store_walk *w, uint32_t i, struct ebt_err *err)
{
	int at = store_walk_to(w, i), r;
	SCOPED_FD int fd = -1;
	struct ebt_err why = {0};
	char doing[160];
	struct stat st;

	if (at < 0)
		return fail(p, at, "enter", w->stuck, err);
	if (fstat(at, &st) < 0)
		return fail(p, -errno, "enter", i, err);
	/* Others' may not even be readable for us. */
	if (!store_may_change(&st))
		return 1;
	fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno
		   : attr_set_directory(fd, &p->m->entries[i], p->no_xattrs, &why);
	if (r < 0) {
		snprintf(doing, sizeof(doing), "set attributes (%.100s) of", why.text);
		return fail(p, r, why.text[0] ? doing : "set attributes of", i, err);
	}
	store_step(p->s);
	return 0;
}

/* Pass 2. */
static int set_directories(
	struct publication *p, const struct log *log, struct ebt_err *err)
{
	SCOPED_WALK struct store_walk w = {
		.m = p->m, .root = p->s->dirfd, .flags = O_PATH, .force = true};
	uint64_t foreign = 0;
	int r;

	for (uint32_t i = p->m->count; i-- > 0;) {
		manifest_passed(p->m, i);
		if (p->m->entries[i].kind != MANIFEST_DIR ||
			!(p->all || manifest_needed(p->left, i)))
			continue;
		r = set_directory(p, &w, i, err);
		if (r < 0)
			return r;
		foreign += (unsigned)r;
	}
	if (foreign)
		log_warn(log,
			"%s: %llu directories belong to others and stay as they are",
			p->s->path, (unsigned long long)foreign);
	return 0;
}

/* The node was started anew: was everything on the medium by then? */
static int check_after_reboot(struct store *s, const struct manifest *m,
	const struct log *log, struct ebt_err *err)
{
	SCOPED_FD int tree =
		openat(s->runfd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	SCOPED_FREE uint64_t *need = NULL;
	struct store_verify v = {
		.m = m, .skip_dirs = true, .force = true, .threads = 4};
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

/*
 * Notes what is in place in the manifest that the store will have. If there is no room for it
 * any more the one that was prepared does as well: then what it lists is compared by content.
 */
static void note_copies(
	struct publication *p, struct manifest *m, const struct log *log)
{
	struct ebt_err why = {0};

	if (!p->any)
		return;
	store_note_copies(p->s, m, p->moved);
	if (!store_manifest_prepared(p->s))
		return;
	if (store_prepare_manifest(p->s, m, p->no_xattrs, &why) < 0)
		log_info(log, "%s: inodes are not kept: %s", p->s->path, why.text);
	store_step(p->s);
}

int store_publish(struct store *s, const struct log *log, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_FREE uint64_t *left = NULL;
	SCOPED_FREE uint64_t *moved = NULL;
	struct publication p = {.s = s};
	struct store_record rec = {0};
	char boot[40];
	int r = store_record_load(s, &rec, err);

	if (r == 0)
		return ebt_failx(err, -ENOENT, "%s: nothing was committed", s->path);
	if (r > 0)
		r = store_open_run(s, rec.id, err);
	if (r == 0)
		r = manifest_load_in(store_room(s), s->runfd, "manifest", &m, err);
	if (r < 0)
		return r;
	left = calloc((size_t)m->count / 64 + 1, sizeof(*left));
	moved = calloc((size_t)m->count / 64 + 1, sizeof(*moved));
	if (!left || !moved)
		return ebt_fail(err, -ENOMEM, "%s: publication", s->path);
	p.m = m;
	p.how = rec.how;
	p.left = left;
	p.moved = moved;
	p.no_xattrs = store_no_xattrs(s);
	/* Older versions did not prepare it, nor directories. */
	p.all = !store_manifest_prepared(s);
	if (fsio_boot_id(boot) < 0 || strcmp(boot, rec.boot) != 0) {
		/* Reading everything opens directories that their mode closes. */
		p.all = true;
		r = check_after_reboot(s, m, log, err);
	}
	if (r == 0)
		r = move_all(&p, err);
	if (r == 0)
		r = set_directories(&p, log, err);
	if (r == 0) {
		note_copies(&p, m, log);
		r = store_roots_replace(s, err);
	}
	if (r == 0) {
		store_step(s);
		r = store_replace_manifest(s, m, err);
	}
	if (r < 0)
		return r;
	store_step(s);
	r = store_record_drop(s, err);
	if (r < 0)
		return r;
	store_step(s);
	return store_remove_run(s, rec.id, err);
}
