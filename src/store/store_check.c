/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is there before a run: names in the way, files that need not come again. Only
 * directories that exist on both sides are entered; a fresh DEST costs one lstat for
 * each name at the top, whatever lies below.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "store/store_internal.h"

#define CONFLICTS_MAX 1000 /* counted up to here */

/* lstat of entry @i here: 1, 0 if there is nothing, or a negative errno. */
static int look(struct store_walk *w, uint32_t i, int *dirfd, struct stat *st)
{
	const struct manifest_entry *e = &w->m->entries[i];
	int fd = store_walk_to(w, e->parent);

	if (fd < 0)
		return fd;
	*dirfd = fd;
	if (fstatat(fd, e->name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

static bool conflicts(const struct store *s, const struct manifest_entry *e,
	const struct stat *st, dev_t dev, enum store_overwrite how)
{
	bool dir = e->kind == MANIFEST_DIR;

	if (e->parent == MANIFEST_ROOT && strcmp(e->name, STORE_OWN) == 0)
		return true;
	/* Nothing can be renamed onto another file system that is mounted here. */
	if (dir && S_ISDIR(st->st_mode))
		return st->st_dev != dev;
	if (how == STORE_REFUSE)
		return true;
	return dir || S_ISDIR(st->st_mode);
}

/*
 * May something be put into @dirfd, in place of what @old describes if that is not NULL?
 * A directory of ours gets the bits that it lacks. One of somebody else's, an earlier
 * user's or the administrator's, must let us by its mode, and a sticky one lets nothing
 * be replaced but what is ours. Publishing would find out when others have renamed.
 */
static int may_put(int dirfd, const struct stat *old)
{
	uid_t me = geteuid();
	struct stat dir;

	if (me == 0)
		return 0;
	if (fstat(dirfd, &dir) < 0)
		return -errno;
	if (dir.st_uid == me)
		return 0;
	if (faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	return old && dir.st_mode & S_ISVTX && old->st_uid != me ? -EPERM : 0;
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

int store_conflicts(struct store *s, const struct manifest *m, enum store_overwrite how,
	unsigned max, char *text, size_t size, uint64_t *n, struct ebt_err *err)
{
	SCOPED_WALK struct store_walk w = {.m = m, .root = s->dirfd, .flags = O_PATH};
	uint64_t found = 0;
	struct stat st, top;
	uint32_t i = 0;
	int dirfd, code, r;

	if (fstat(s->dirfd, &top) < 0)
		return ebt_fail(err, -errno, "%s", s->path);
	if (size)
		text[0] = '\0';
	while (i < m->count && found < CONFLICTS_MAX) {
		r = look(&w, i, &dirfd, &st);
		if (r < 0)
			return store_fail(s, r, "look at", m, i, err);
		if (r == 1 && conflicts(s, &m->entries[i], &st, top.st_dev, how)) {
			if (found++ < max)
				add_name(m, i, text, size);
			r = 0;
		} else if (r == 0 || m->entries[i].kind != MANIFEST_DIR) {
			code = may_put(dirfd, r ? &st : NULL);
			if (code < 0)
				return store_fail(s, code, "put in place", m, i, err);
		}
		i = r ? i + 1 : manifest_subtree_end(m, i);
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
			store_diff(dirfd, &m->entries[i], &st, &scratch) != 0)
			need_all(m, i, end, need);
		else if (idents)
			idents[i] = (struct store_ident){
				.dev = st.st_dev, .ino = st.st_ino};
		i = end;
	}
	need_groups(m, idents, need);
	return 0;
}
