/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an object to its entry. It costs one lstat and one listxattr; files are not opened, but for
 * the few large ones that are mostly hole, whose map has to be known to plan well.
 *
 * Where content may be read ahead a file is opened first, and all else is asked of the open one:
 * to the server of a parallel file system looking and opening are one request. Only what its
 * directory calls a file is opened unseen.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "scan/scan_internal.h"

#define SPARSE_HOLES (64ull << 20) /* bytes of hole that make a map worth an open */
#define SPARSE_SHARE 8		   /* and less than 1/8 of the file allocated */

int scan_fail_path(struct walker *w, const char *path, int code, const char *what)
{
	char name[EBT_ERR_TEXT -
		  160]; /* what, why and on which rank have to fit as well */

	return ebt_fail(
		&w->err, code, "%s: %s", text_name(path, name, sizeof(name)), what);
}

/*
 * Object @name below the base, at @path, cannot be read: a failure, or told to who wants to go on
 * without. What the process lacks is no matter of one object's.
 */
int scan_unread(struct walker *w, enum scan_unread kind, const char *name,
	const char *path, int code, const char *what)
{
	int r = scan_fail_path(w, path, code, what);

	if (!w->s->unread || code == -ENOMEM || code == -EMFILE)
		return r;
	w->s->unread(w->s->unread_arg, kind, name, &w->err);
	return 0;
}

/* The call that failed with @code says that what was there is not any more. */
bool scan_gone(const struct walker *w, int code)
{
	if (!w->s->shrinks || code != -ENOENT)
		return false;
	if (w->s->vanished)
		__atomic_add_fetch(w->s->vanished, 1, __ATOMIC_RELAXED);
	return true;
}

int scan_open_below(const char *base, const char *path, int flags)
{
	SCOPED_FD int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fsio_open_beneath(fd, path, flags);
}

int scan_map_sparse(int fd, struct manifest_entry *e, struct buf *map)
{
	struct manifest_extent x = {0}, *all;
	uint64_t start, stop, end;
	size_t n;
	int r;

	for (uint64_t at = 0; at < e->size; at = x.off + x.len) {
		r = fsio_next_data(fd, at, e->size, &start, &stop);
		if (r < 0)
			return r;
		if (r == 1)
			break;
		x.off = start / DIGEST_LEAF * DIGEST_LEAF;
		end = (stop + DIGEST_LEAF - 1) / DIGEST_LEAF * DIGEST_LEAF;
		x.len = (end < e->size ? end : e->size) - x.off;
		all = (struct manifest_extent *)map->data;
		n = map->len / sizeof(x);
		if (n && all[n - 1].off + all[n - 1].len >= x.off)
			all[n - 1].len = x.off + x.len - all[n - 1].off;
		else
			buf_put(map, &x, sizeof(x));
	}
	/* All hole: one leaf of zeros keeps it a file with content, like any other. */
	if (!map->len) {
		x = (struct manifest_extent){.off = 0, .len = DIGEST_LEAF};
		buf_put(map, &x, sizeof(x));
	}
	if (!buf_ok(map))
		return -ENOMEM;
	e->extents = (const struct manifest_extent *)map->data;
	e->n_extents = (uint32_t)(map->len / sizeof(x));
	return 0;
}

/* By its blocks, which a file system that compresses may have fewer of than data. */
static bool wants_map(const struct scan *s, const struct manifest_entry *e)
{
	uint64_t holes = e->allocated < e->size ? e->size - e->allocated : 0;

	if (e->kind != MANIFEST_FILE)
		return false;
	return (s->map_sparse && holes > SPARSE_HOLES &&
		       e->allocated < e->size / SPARSE_SHARE) ||
	       (s->map_holes && holes >= s->map_holes);
}

/* By what calls know the object at hand, whose whole path @path is, in w->dirfd. */
static const char *name_at_hand(const struct walker *w, const char *path)
{
	return w->dirfd == AT_FDCWD ? path : strrchr(path, '/') + 1;
}

static bool stops(void *arg)
{
	const struct scan *s = arg;

	return s->stopped && s->stopped(s->stopped_arg, NULL) < 0;
}

/* The object at hand, or the directory of @it, which is not. */
static int open_once(
	const struct walker *w, const struct scan_item *it, const char *path, int flags)
{
	int fd;

	flags |= O_RDONLY | O_CLOEXEC;
	if (it && strlen(path) >= PATH_MAX)
		return scan_open_below(w->s->bases[it->base], it->path, flags);
	fd = it ? open(path, flags) : openat(w->dirfd, name_at_hand(w, path), flags);
	return fd < 0 ? -errno : fd;
}

/* A descriptor, or a failure; *stop: it has its text, and is none of the file's. */
int scan_open_dir(struct walker *w, const struct scan_item *it, const char *path,
	int flags, bool *stop)
{
	struct fsio_patience p = {
		.stopped = stops, .arg = w->s, .count = w->s->reopened};
	struct fsio_again again = {0};
	int fd;

	while (fsio_again(&again, &p, fd = open_once(w, it, path, flags)))
		;
	/* A wait that was cut short is no failure of the file's. */
	*stop = fd < 0 && again.tries && stops(w->s);
	return *stop ? w->s->stopped(w->s->stopped_arg, &w->err) : fd;
}

/* The object at hand, a file if its directory is right, to be looked at. -1: not that way. */
static int open_unseen(struct walker *w, const char *leaf)
{
	/* Not to follow a link nor to wait for a FIFO that has taken its place. */
	int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = -1;

	/* Only the owner may leave the access time alone, and who that is shows afterwards. */
	if (w->noatime)
		fd = openat(w->dirfd, leaf, flags | O_NOATIME);
	if (fd < 0 && (!w->noatime || errno == EPERM)) {
		w->noatime = false;
		fd = openat(w->dirfd, leaf, flags);
	}
	return fd;
}

/* @fd: of the file, or -1. */
static int map_sparse(struct walker *w, const char *path, int fd,
	struct manifest_entry *e, struct buf *map)
{
	SCOPED_FD int own = -1;
	bool stop;
	int r;

	if (fd < 0)
		fd = own = scan_open_dir(w, NULL, path, O_NOFOLLOW | O_NONBLOCK, &stop);
	if (fd < 0)
		return stop ? fd : scan_fail_path(w, path, fd, "open");
	r = scan_map_sparse(fd, e, map);
	return r < 0 ? scan_fail_path(w, path, r, "map of holes") : 0;
}

/* @followed: @path names a directory that a link may lead to. */
static int get_xattrs(struct walker *w, const char *path, bool followed)
{
	char other[PATH_MAX + 2];

	/* The link's own attributes are none that travel. */
	if (followed) {
		snprintf(other, sizeof(other), "%s/.", path);
		path = other;
	} else if (w->inside) {
		path = name_at_hand(w, path);
	} else if (strlen(path) >= PATH_MAX) {
		snprintf(other, sizeof(other), "/proc/self/fd/%d/%.*s", w->dirfd,
			NAME_MAX, name_at_hand(w, path));
		path = other;
	}
	return fsio_xattrs_get_at(path, &w->xattrs);
}

static void enter(struct scan *s)
{
	SCOPED_LOCK(&s->gate);
	while (s->frozen)
		pthread_cond_wait(&s->gate_free, &s->gate);
	s->inside++;
}

static void leave(struct scan *s)
{
	SCOPED_LOCK(&s->gate);
	if (--s->inside == 0)
		pthread_cond_broadcast(&s->gate_free);
}

/* The entry, with its content if that may be read now, to what others may take away. */
static int put_entry(struct walker *w, uint32_t base, int fd, struct manifest_entry *e)
{
	struct scan *s = w->s;
	int r = manifest_add_source(*w->m, s->bases[base], &e->source, &w->err);

	if (r == 0 && fd >= 0) {
		r = s->ahead ? s->ahead(s->ahead_arg, fd, e) : -ENOSPC;
		if (r > 0)
			e->marks |= MANIFEST_AHEAD;
		if (r < 0)
			__atomic_store_n(&s->ahead_over, true, __ATOMIC_RELAXED);
		r = 0;
	}
	if (r < 0)
		return r;
	if (s->found)
		__atomic_add_fetch(s->found, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->entries, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->total, 1, __ATOMIC_RELAXED);
	return manifest_add(*w->m, e, &w->err);
}

static void fill_entry(
	const struct scan *s, const struct stat *st, struct manifest_entry *e)
{
	e->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	e->allocated = (uint64_t)st->st_blocks * 512;
	e->dev = manifest_dev(s->node, st->st_dev);
	e->ino = st->st_ino;
	e->changed = manifest_time(st->st_ctim);
	e->mtime = st->st_mtim.tv_sec;
	e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	e->atime = st->st_atim.tv_sec;
	e->atime_ns = (uint32_t)st->st_atim.tv_nsec;
	e->parent = MANIFEST_ROOT;
	e->group = MANIFEST_NONE;
	e->mode = st->st_mode & 07777;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->nlink = (uint32_t)st->st_nlink;
	e->no_owner = s->no_owner;
}

/* What lstat does not tell: link target, attributes, map, content. */
int scan_add(struct walker *w, uint32_t base, const char *path, bool followed,
	const struct stat *st, int fd, struct manifest_entry *e)
{
	SCOPED_BUF struct buf map = {0};
	char target[PATH_MAX];
	ssize_t n;
	int r;

	fill_entry(w->s, st, e);
	w->xattrs.len = 0;
	if (e->kind == MANIFEST_SYMLINK) {
		n = readlinkat(
			w->dirfd, name_at_hand(w, path), target, sizeof(target) - 1);
		if (n < 0 && scan_gone(w, -errno))
			return 0;
		if (n < 0)
			return scan_unread(
				w, SCAN_UNREAD, e->name, path, -errno, "readlink");
		target[n] = '\0';
		e->target = target;
	} else if (!w->s->no_xattrs) {
		r = fd < 0 ? get_xattrs(w, path, followed && e->kind == MANIFEST_DIR)
			   : fsio_xattrs_get_fd(fd, &w->xattrs);
		if (scan_gone(w, r))
			return 0;
		if (r < 0)
			r = scan_unread(w, SCAN_ATTRIBUTES, e->name, path, r,
				"extended attributes");
		if (r < 0)
			return r;
		e->xattrs = w->xattrs.len ? w->xattrs.data : NULL;
		e->xattrs_len = (uint32_t)w->xattrs.len;
	}
	if (wants_map(w->s, e)) {
		r = map_sparse(w, path, fd, e, &map);
		if (r < 0)
			return r;
	}
	enter(w->s);
	r = put_entry(w, base, fd, e);
	leave(w->s);
	return r;
}

/* What the object at hand is. *fd: it is a file and open, or -1. */
int scan_see(struct walker *w, unsigned char type, const char *name, const char *leaf,
	struct stat *st, int *fd)
{
	const struct scan *s = w->s;
	bool ahead = s->ahead && type == DT_REG &&
		     !__atomic_load_n(&s->ahead_over, __ATOMIC_RELAXED) &&
		     !(s->spared && s->spared(s->ahead_arg, name));

	*fd = ahead ? open_unseen(w, leaf) : -1;
	if (*fd >= 0 && fstat(*fd, st) == 0 && S_ISREG(st->st_mode)) {
		w->noatime |= st->st_uid == geteuid();
		return 0;
	}
	/* Who may not open it may still look at it. */
	scope_close(fd);
	*fd = -1;
	return fstatat(w->dirfd, leaf, st, AT_SYMLINK_NOFOLLOW);
}
