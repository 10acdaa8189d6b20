/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Removing a tree with one descriptor, however deep it is: the way down is remembered
 * as names with device and inode, and the way up is "..", checked against them, so that
 * a directory moved away meanwhile stops us instead of leading us elsewhere. Each
 * directory is listed once: what is no directory goes at once, the others' names are
 * kept. Memory: the names of the subdirectories along the current path.
 */
#include "fsio/fsio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"

#define RESCANS 8 /* how often others may refill a directory under our hands */

struct level {
	dev_t dev;
	ino_t ino;
	struct buf dirs; /* names of subdirectories still to go, each with its NUL */
	size_t at;	 /* in dirs: the one we are in or enter next */
	bool listed;
	unsigned scans;
};

struct removal {
	int top; /* directory that holds @name; the caller's */
	const char *name;
	int fd; /* directory we are in, that of the last level */
	struct level *levels;
	size_t depth, cap;
	char what[256]; /* name of the last thing that failed, for the message */
	bool moved;	/* it was that somebody moved a directory away */
	bool (*enough)(void *arg); /* NULL: never */
	void *enough_arg;
};

static void removal_release(struct removal *rm)
{
	scope_close(&rm->fd);
	for (size_t i = 0; i < rm->depth; i++)
		buf_release(&rm->levels[i].dirs);
	free(rm->levels);
}

static int gone_wrong(struct removal *rm, int code, const char *name)
{
	text_name(name, rm->what, sizeof(rm->what));
	return code;
}

/* The directory we are in has another parent now: nothing below that one is ours to remove. */
static int moved(struct removal *rm)
{
	rm->moved = true;
	return -ESTALE;
}

/*
 * Give the directory @name the bits we need; O_PATH, as what is there may be a link by
 * now.
 */
static int open_up(int dirfd, const char *name)
{
	SCOPED_FD int fd =
		openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char proc[32];

	if (fd < 0)
		return -errno;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return chmod(proc, 0700) < 0 ? -errno : 0;
}

/*
 * Go into @name below @dirfd: a new level. -ENOENT, -ENOTDIR if it is no directory any
 * more.
 */
static int descend(struct removal *rm, int dirfd, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	SCOPED_FD int fd = openat(dirfd, name, flags);
	struct level *p;
	struct stat st;
	size_t cap;

	if (fd < 0 && errno == EACCES && open_up(dirfd, name) == 0)
		fd = openat(dirfd, name, flags);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) != 0700)
		fchmod(fd, 0700); /* if it is not ours, removing will say so */
	if (rm->depth == rm->cap) {
		cap = rm->cap ? rm->cap * 2 : 16;
		p = realloc(rm->levels, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		rm->levels = p;
		rm->cap = cap;
	}
	rm->levels[rm->depth++] = (struct level){.dev = st.st_dev, .ino = st.st_ino};
	scope_close(&rm->fd);
	rm->fd = TAKE_FD(fd);
	return 0;
}

static int remove_name(void *arg, const char *name, unsigned char d_type)
{
	struct removal *rm = arg;
	struct level *l = &rm->levels[rm->depth - 1];

	if (rm->enough && rm->enough(rm->enough_arg))
		return 1;
	if (d_type != DT_DIR) {
		if (unlinkat(rm->fd, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return gone_wrong(rm, -errno, name);
	}
	buf_put(&l->dirs, name, strlen(name) + 1);
	return buf_ok(&l->dirs) ? 0 : gone_wrong(rm, -ENOMEM, name);
}

/* Back to the parent of the finished level, whose directory is then removed there. */
static int ascend(struct removal *rm)
{
	struct level *l = &rm->levels[rm->depth - 1], *up = l - 1;
	bool last = rm->depth == 1;
	SCOPED_FD int fd = -1;
	struct stat st;
	const char *name;

	if (!last) {
		fd = openat(rm->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return gone_wrong(rm, -errno, "..");
		if (st.st_dev != up->dev || st.st_ino != up->ino)
			return moved(rm);
	}
	name = last ? rm->name : (const char *)up->dirs.data + up->at;
	if (unlinkat(last ? rm->top : fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		if ((errno != ENOTEMPTY && errno != EEXIST) || l->scans == RESCANS)
			return gone_wrong(rm, -errno, name);
		buf_release(&l->dirs); /* filled meanwhile: once more */
		l->at = 0;
		l->listed = false;
		return 0;
	}
	buf_release(&l->dirs);
	rm->depth--;
	if (!last)
		up->at += strlen(name) + 1;
	scope_close(&rm->fd);
	rm->fd = TAKE_FD(fd);
	return 0;
}

/* One move in the tree: list, go down, or go up. */
static int step(struct removal *rm)
{
	struct level *l = &rm->levels[rm->depth - 1];
	const char *name;
	int r;

	if (!l->listed) {
		l->listed = true;
		l->scans++;
		return fsio_list(rm->fd, remove_name, rm);
	}
	if (l->at == l->dirs.len)
		return ascend(rm);
	name = (const char *)l->dirs.data + l->at;
	r = descend(rm, rm->fd, name);
	if (r == -ENOTDIR || r == -ELOOP)
		r = unlinkat(rm->fd, name, 0) < 0 ? -errno : -ENOENT;
	if (r == -ENOENT) {
		l->at += strlen(name) + 1;
		return 0;
	}
	return r < 0 ? gone_wrong(rm, r, name) : 0;
}

int fsio_remove_tree_until(int dirfd, const char *name, bool (*enough)(void *arg),
	void *arg, struct ebt_err *err)
{
	SCOPED(removal_release) struct removal rm = {
		.top = dirfd,
		.name = name,
		.fd = -1,
		.enough = enough,
		.enough_arg = arg,
	};
	char shown[256];
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	r = -errno;
	if (r == -EISDIR) {
		gone_wrong(&rm, 0, name);
		r = descend(&rm, dirfd, name);
	}
	while (r == 0 && rm.depth > 0)
		r = step(&rm);
	if (r >= 0 || (r == -ENOENT && rm.depth == 0))
		return r > 0;
	text_name(name, shown, sizeof(shown));
	if (rm.moved)
		return ebt_failx(err, r,
			"remove %s: a directory in it was moved meanwhile", shown);
	if (rm.depth > 0)
		return ebt_fail(err, r, "remove %s (at %s)", shown, rm.what);
	return ebt_fail(err, r, "remove %s", shown);
}

int fsio_remove_tree(int dirfd, const char *name, struct ebt_err *err)
{
	return fsio_remove_tree_until(dirfd, name, NULL, NULL, err);
}
