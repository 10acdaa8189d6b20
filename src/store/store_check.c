/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is there before a run: names in the way, files that need not come again. Only
 * directories that exist on both sides are entered; a fresh DEST costs one lstat for
 * each name at the top, whatever lies below.
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

#define CONFLICTS_MAX 1000 /* counted up to here */

/* lstat of entry @i here: 1, 0 if there is nothing, or a negative errno. */
static int look(struct store_walk *w, uint32_t i, int *dirfd, struct stat *st)
{
	const struct manifest_entry *e = &w->m->entries[i];
	int fd = store_walk_to(w, e->parent);

	store_walk_passed(w, i);
	if (fd < 0)
		return fd;
	*dirfd = fd;
	if (fstatat(fd, e->name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

static bool conflicts(const struct manifest_entry *e, const struct stat *st,
	enum store_overwrite how, bool needed)
{
	bool dir = e->kind == MANIFEST_DIR;

	if (e->parent == MANIFEST_ROOT && strcmp(e->name, STORE_OWN) == 0)
		return true;
	if (dir && S_ISDIR(st->st_mode))
		return false;
	if (how == STORE_REFUSE && needed)
		return true;
	return dir || S_ISDIR(st->st_mode);
}

/* The last directory of the store that was asked whether it takes something. */
struct asked {
	uint64_t mount; /* of the store */
	bool known;
	uint32_t dir;
	struct stat st;
	struct manifest *old; /* the store's, once it is needed */
};
static void asked_release(struct asked *a)
{
	manifest_free(a->old);
}

/*
 * May something be put into @dirfd, directory @dir, in place of what @old describes if that is
 * not NULL? A directory of ours gets the bits that it lacks. One of somebody else's, an earlier
 * user's or the administrator's, must let us by its mode, and a sticky one lets nothing
 * be replaced but what is ours. Publishing would find out when others have renamed; store_try
 * asks the kernel, but only when everything has been brought.
 */
static int may_put(struct asked *a, uint32_t dir, int dirfd, const struct stat *old)
{
	struct fsio_place place;
	uid_t me = geteuid();
	int r;

	if (!a->known || a->dir != dir) {
		if (fstat(dirfd, &a->st) < 0)
			return -errno;
		r = fsio_place_of(dirfd, "", &place);
		if (r == 0)
			r = fsio_place_refuses(&place, a->mount);
		if (r < 0)
			return r;
		/* Root of a user namespace may be refused as well. */
		if ((me == 0 || a->st.st_uid != me) &&
			faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0)
			return -errno;
		a->dir = dir;
		a->known = true;
	}
	if (!old || me == 0 || a->st.st_uid == me)
		return 0;
	return a->st.st_mode & S_ISVTX && old->st_uid != me ? -EPERM : 0;
}

/* What is there under the name of @e: may it be entered, or taken away? */
static int may_change(const struct asked *a, int dirfd, const struct manifest_entry *e,
	const struct stat *st)
{
	struct fsio_place place;
	int r = fsio_place_of(dirfd, e->name, &place);

	if (r < 0)
		return r;
	/* A directory of somebody else's keeps its attributes, whatever its flags. */
	if (S_ISDIR(st->st_mode) && !store_may_change(st))
		place.fixed = false;
	return fsio_place_refuses(&place, a->mount);
}

/* "STORE/PATH: others could replace what is in it: ..." */
static int refuse(const struct store *s, const struct manifest *m, uint32_t i,
	enum store_danger danger, const struct stat *st, struct ebt_err *err)
{
	SCOPED_FREE char *path = store_entry_path(m, i);
	SCOPED_FREE char *whole = NULL;
	struct ebt_err why;

	if (!path || asprintf(&whole, "%s/%s", s->path, path) < 0) {
		whole = NULL;
		return ebt_fail(err, -ENOMEM, "%s", s->path);
	}
	store_refuse(whole, whole, danger, st, &why);
	return ebt_failx(err, -EPERM, "%.800s%s", why.text,
		s->way.guard.closed ? ""
				    : "; mode 0700 of the store would keep them out");
}

/* What manifest @old says of the directory that is entry @i of @m, if it still looks so. */
static const struct manifest_entry *named(const struct manifest *old,
	const struct manifest *m, uint32_t i, const struct stat *st)
{
	SCOPED_FREE char *path = old ? store_entry_path(m, i) : NULL;
	uint32_t at = path ? manifest_find(old, path) : MANIFEST_NONE;
	const struct manifest_entry *e =
		old && at != MANIFEST_NONE ? &old->entries[at] : NULL;

	return e && e->kind == MANIFEST_DIR && e->uid == st->st_uid &&
			       attr_mode(e, st->st_uid, st->st_gid) ==
				       (st->st_mode & 07777)
		       ? e
		       : NULL;
}

/*
 * Directory @i of @m exists, and is to be filled. A tree may hold directories of others, or
 * ones that others may write to. Where nobody else gets into the store that does no harm,
 * provided that staging brought them: *old is the store's manifest, loaded when it is needed.
 */
static int may_enter(struct store *s, const struct manifest *m, uint32_t i, int dirfd,
	const struct stat *st, struct manifest **old, struct ebt_err *err)
{
	const char *name = m->entries[i].name;
	enum store_danger danger = store_danger(&s->way.guard, dirfd, name, st);
	int r = 0;

	if (danger == STORE_FOREIGN && s->way.guard.closed) {
		if (!*old)
			r = store_manifest(s, old, err);
		if (r < 0)
			return r;
		s->way.guard.named = named(*old, m, i, st);
		danger = store_danger(&s->way.guard, dirfd, name, st);
		s->way.guard.named = NULL;
	}
	return danger ? refuse(s, m, i, danger, st, err) : 0;
}

/*
 * What was there when the run looked was good then. In a sticky directory others may have made
 * more since. But a publication that goes on after a crash finds what it has made itself, with
 * the owner and the mode that it is to have, or on the way there.
 */
int store_may_merge(struct store *s, const struct manifest *m, uint32_t i, int dirfd,
	struct ebt_err *err)
{
	struct store_guard *g = &s->way.guard;
	enum store_danger danger;
	struct stat st;

	if (g->closed)
		return 0;
	if (fstatat(dirfd, m->entries[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return store_fail(s, -errno, "look at", m, i, err);
	g->named = &m->entries[i];
	danger = store_danger(g, dirfd, m->entries[i].name, &st);
	g->named = NULL;
	return danger ? refuse(s, m, i, danger, &st, err) : 0;
}

static void add_name(const struct manifest *m, uint32_t i, char *text, size_t size)
{
	SCOPED_FREE char *path = store_entry_path(m, i);
	size_t len = size ? strlen(text) : 0;

	/* text_name needs room for "..." even if nothing else fits. */
	if (!path || len + 8 > size)
		return;
	text_name(path, text + len, size - len - 1);
	strcat(text, "\n");
}

/* Entry @i: 1 and *found if it is in the way, 1 if something is there, 0 if nothing is. */
static int check_entry(struct store *s, struct store_walk *w, struct asked *a,
	uint32_t i, const uint64_t *need, enum store_overwrite how, bool *found,
	struct ebt_err *err)
{
	const struct manifest_entry *e = &w->m->entries[i];
	struct stat st;
	int dirfd, code = 0, r = look(w, i, &dirfd, &st);

	*found = false;
	if (r < 0)
		return store_fail(s, r, "look at", w->m, i, err);
	if (r == 1 && conflicts(e, &st, how, manifest_needed(need, i))) {
		*found = true;
		return 1;
	}
	/* What stays, or may stay as far as is known by now, is not touched. */
	if (r == 1 && e->kind != MANIFEST_DIR &&
		(need ? !manifest_needed(need, i) : how == STORE_UPDATE))
		return 1;
	if (r == 1)
		code = may_change(a, dirfd, e, &st);
	if (code < 0)
		return code == -EXDEV ? store_fail(s, -EBUSY, "something is mounted on",
						w->m, i, err)
				      : store_fail(s, code, "change", w->m, i, err);
	if (r == 1 && e->kind == MANIFEST_DIR) {
		code = may_enter(s, w->m, i, dirfd, &st, &a->old, err);
		return code < 0 ? code : 1;
	}
	code = may_put(a, e->parent, dirfd, r ? &st : NULL);
	return code < 0 ? store_fail(s, code, "put in place", w->m, i, err) : r;
}

int store_conflicts(struct store *s, const struct manifest *m, const uint64_t *need,
	enum store_overwrite how, unsigned max, char *text, size_t size, uint64_t *n,
	struct ebt_err *err)
{
	SCOPED_WALK struct store_walk w = {.m = m, .root = s->dirfd, .flags = O_PATH};
	struct fsio_place top;
	SCOPED(asked_release) struct asked asked = {0};
	uint64_t found = 0;
	uint32_t i = 0;
	bool in_the_way;
	int r;

	r = fsio_place_of(s->dirfd, "", &top);
	if (r < 0)
		return ebt_fail(err, r, "%s", s->path);
	asked.mount = top.mount;
	if (size)
		text[0] = '\0';
	while (i < m->count && found < CONFLICTS_MAX) {
		r = check_entry(s, &w, &asked, i, need, how, &in_the_way, err);
		if (r < 0)
			return r;
		if (in_the_way && found++ < max)
			add_name(m, i, text, size);
		/* Nothing, or something else, has no names below it. */
		i = r && !in_the_way ? i + 1 : manifest_subtree_end(m, i);
	}
	*n = found;
	return found > 0;
}

/* All below a directory that is missing: marked without looking. */
static void need_all(
	const struct manifest *m, uint32_t from, uint32_t end, uint64_t *need)
{
	for (uint32_t i = from; i < end; i++)
		if (m->entries[i].kind != MANIFEST_DIR)
			manifest_need(need, i);
}

/*
 * A group of hard links is needed whole: by any of its names, or because they are
 * apart.
 */
static void need_groups(
	const struct manifest *m, const struct store_ident *idents, uint64_t *need)
{
	if (!idents)
		return;
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].group != MANIFEST_NONE &&
			(manifest_needed(need, i) || store_ident_differs(m, idents, i)))
			manifest_need(need, m->entries[i].group);
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].group != MANIFEST_NONE &&
			manifest_needed(need, m->entries[i].group))
			manifest_need(need, i);
}

int store_compare(
	struct store *s, const struct manifest *m, uint64_t *need, struct ebt_err *err)
{
	SCOPED_WALK struct store_walk w = {.m = m, .root = s->dirfd, .flags = O_PATH};
	SCOPED_FREE struct store_ident *idents = NULL;
	SCOPED_BUF struct buf scratch = {0};
	uint32_t end, i = 0;
	struct stat st;
	int dirfd, r;

	if (store_idents_new(m, &idents) < 0)
		return ebt_fail(err, -ENOMEM, "comparison");
	while (i < m->count) {
		r = look(&w, i, &dirfd, &st);
		if (r < 0)
			return store_fail(s, r, "look at", m, i, err);
		if (m->entries[i].kind == MANIFEST_DIR && r == 1 &&
			S_ISDIR(st.st_mode)) {
			i++;
			continue;
		}
		end = manifest_subtree_end(m, i);
		/*
		 * What cannot be compared, as an attribute that we may not read,
		 * differs.
		 */
		if (r == 0 || m->entries[i].kind == MANIFEST_DIR ||
			store_diff(dirfd, m, &m->entries[i], &st, &scratch) != 0)
			need_all(m, i, end, need);
		else if (idents)
			idents[i] = (struct store_ident){
				.dev = st.st_dev, .ino = st.st_ino};
		i = end;
	}
	need_groups(m, idents, need);
	return 0;
}
