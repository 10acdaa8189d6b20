/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From entry to entry of a manifest with the directories in between kept open. Each
 * component is opened by itself and no link is followed, so nobody can lead us out of
 * the store.
 *
 * The stack holds one level for each component of the current directory. Only the last
 * KEEP of them have a descriptor, one more while the next is opened: several walks at once fit
 * into a limit that leaves a few dozen. When a walk comes back to a level whose descriptor was
 * given up, the path is opened anew from the root, which happens once in KEEP levels.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "store/store_internal.h"

#define KEEP 8

void store_walk_release(struct store_walk *w)
{
	for (size_t i = 0; i < w->depth; i++)
		scope_close(&w->levels[i].fd);
	scope_free(&w->levels);
	w->levels = NULL;
	w->depth = w->cap = 0;
}

void store_open_up(int parent, const char *name)
{
	SCOPED_FD int fd =
		openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char proc[32];

	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & 0700) == 0700)
		return;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	chmod(proc, (st.st_mode & 07777) | 0700);
}

static int open_level(const struct store_walk *w, int parent, const char *name)
{
	int fd;

	if (w->force && geteuid() != 0)
		store_open_up(parent, name);
	fd = openat(parent, name, w->flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Open levels [from, depth): the one before has a descriptor or is the root. */
static int open_levels(struct store_walk *w, size_t from)
{
	int fd = from > 0 ? w->levels[from - 1].fd : w->root;

	for (size_t i = from; i < w->depth; i++) {
		fd = open_level(w, fd, w->m->entries[w->levels[i].dir].name);
		if (fd < 0) {
			w->stuck = w->levels[i].dir;
			w->depth = i;
			return fd;
		}
		w->levels[i].fd = fd;
		if (i >= KEEP)
			scope_close(&w->levels[i - KEEP].fd);
		if (i >= KEEP)
			w->levels[i - KEEP].fd = -1;
	}
	return fd;
}

static int reserve(struct store_walk *w, size_t depth)
{
	size_t cap = depth > 16 ? depth * 2 : 16;
	struct store_level *p;

	if (depth <= w->cap)
		return 0;
	p = realloc(w->levels, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	w->levels = p;
	w->cap = cap;
	return 0;
}

static void pop(struct store_walk *w)
{
	scope_close(&w->levels[--w->depth].fd);
}

void store_walk_passed(struct store_walk *w, uint32_t i)
{
	uint32_t far = i > w->near ? i - w->near : w->near - i;

	if (far < MANIFEST_WINDOW)
		return;
	manifest_let_go(w->m);
	w->near = i;
}

int store_walk_to(struct store_walk *w, uint32_t dir)
{
	const struct manifest_entry *e = w->m->entries;
	size_t depth = 0, from;
	uint32_t d;

	manifest_passed(w->m, w->steps++);
	if (w->depth > 0 && w->levels[w->depth - 1].dir == dir &&
		w->levels[w->depth - 1].fd >= 0)
		return w->levels[w->depth - 1].fd;
	for (d = dir; d != MANIFEST_ROOT; d = e[d].parent)
		depth++;
	while (w->depth > depth)
		pop(w);
	/* The ancestor of @dir as deep as our top; then both up until they meet. */
	d = dir;
	for (size_t i = depth; i > w->depth; i--)
		d = e[d].parent;
	for (; w->depth > 0 && w->levels[w->depth - 1].dir != d; d = e[d].parent)
		pop(w);
	if (depth == 0)
		return w->root;
	w->stuck = dir;
	if (reserve(w, depth) < 0)
		return -ENOMEM;
	from = w->depth;
	d = dir;
	for (size_t i = depth; i > from; i--, d = e[d].parent)
		w->levels[i - 1] = (struct store_level){.dir = d, .fd = -1};
	w->depth = depth;
	if (from > 0 && w->levels[from - 1].fd < 0)
		from = 0; /* nothing above it is open either, see open_levels */
	return open_levels(w, from);
}

char *store_entry_path(const struct manifest *m, uint32_t i)
{
	SCOPED_FREE char *path = NULL;
	void *p;

	for (size_t size = 256;; size *= 2) {
		p = realloc(path, size);
		if (!p)
			return NULL;
		path = p;
		if (manifest_path(m, i, path, size) >= 0)
			return TAKE(path);
	}
}

int store_fail(const struct store *s, int code, const char *doing,
	const struct manifest *m, uint32_t i, struct ebt_err *err)
{
	SCOPED_FREE char *path = NULL;
	char root[512], shown[512];

	if (i == MANIFEST_ROOT)
		return ebt_fail(err, code, "%s %s", doing,
			text_name(s->path, root, sizeof(root)));
	path = store_entry_path(m, i);
	return ebt_fail(err, code, "%s %s/%s", doing,
		text_name(s->path, root, sizeof(root)),
		text_name(path ? path : m->entries[i].name, shown, sizeof(shown)));
}

int store_fail_walk(const struct store *s, int code, const struct store_walk *w,
	struct ebt_err *err)
{
	return store_fail(s, code, "enter", w->m, w->stuck, err);
}
