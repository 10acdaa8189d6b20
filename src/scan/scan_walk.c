/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of the walk. An object costs one lstat and one listxattr; files are not opened,
 * but for the few large ones that are mostly hole, whose map has to be known to plan well.
 *
 * Where content may be read ahead a file is opened first, and all else is asked of the open one:
 * to the server of a parallel file system looking and opening are one request. Only what its
 * directory calls a file is opened unseen.
 *
 * There is no listxattrat(2) before Linux 6.13, and a long path costs a step for each of its
 * components. So a thread parts with the working directory of the process, which needs no
 * privilege, see unshare(2), and then stands in the directory whose names it looks at. Where
 * a container forbids that, paths do as well.
 *
 * Of what was listed only the directory is ever opened by a path, and that one may be longer than
 * a call takes: it is opened in parts then, and followed nowhere.
 */
#include "scan/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "fsio/fsio.h"

#define BATCH	     256 /* names of one directory that a thread takes at once */
#define SPARSE_HOLES (64ull << 20) /* bytes of hole that make a map worth an open */
#define SPARSE_SHARE 8		   /* and less than 1/8 of the file allocated */

struct walker {
	struct scan *s;
	struct manifest *m;
	struct scan_item *found; /* new directories, handed over after each item */
	struct buf xattrs;
	char *path; /* SCAN_PATH_SIZE bytes: of the object at hand, or its directory */
	int dirfd;  /* which has it, and its last component is its name there; or
			AT_FDCWD, and it goes by the whole */
	struct ebt_err err;
	pthread_t thread;
	bool started;
	bool own_thread; /* else the caller's, which shares its working directory */
	bool moves;	 /* has a working directory of its own */
	bool inside;	 /* which is dirfd */
	bool noatime;	 /* opening so was allowed last time */
};

static int fail_path(struct walker *w, const char *path, int code, const char *what)
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
static int unread(struct walker *w, enum scan_unread kind, const char *name,
	const char *path, int code, const char *what)
{
	int r = fail_path(w, path, code, what);

	if (!w->s->unread || code == -ENOMEM || code == -EMFILE)
		return r;
	w->s->unread(w->s->unread_arg, kind, name, &w->err);
	return 0;
}

/* The call that failed with @code says that what was there is not any more. */
static bool gone(const struct walker *w, int code)
{
	if (!w->s->shrinks || code != -ENOENT)
		return false;
	if (w->s->vanished)
		__atomic_add_fetch(w->s->vanished, 1, __ATOMIC_RELAXED);
	return true;
}

/* Bytes that a whole path may have, with its NUL. */
static size_t room(const struct walker *w)
{
	return w->s->deep ? SCAN_PATH_SIZE : PATH_MAX;
}

/* The path of item @it, "base/path" or one of both, in w->path. */
static int set_path(struct walker *w, const struct scan_item *it)
{
	const char *base = w->s->bases[it->base];
	int len = snprintf(w->path, SCAN_PATH_SIZE, "%s%s%s",
		strcmp(base, "/") == 0 ? "" : base, *it->path ? "/" : "", it->path);

	if (len == 0)
		strcpy(w->path, "/");
	return (size_t)len < room(w) ? 0 : fail_path(w, w->path, -ENAMETOOLONG, "path");
}

/* By what calls know the object at hand, whose whole path @path is, in w->dirfd. */
static const char *name_at_hand(const struct walker *w, const char *path)
{
	return w->dirfd == AT_FDCWD ? path : strrchr(path, '/') + 1;
}

static void skip(struct scan *s, enum scan_skip kind, const char *path)
{
	SCOPED_LOCK(&s->lock);
	if (s->skipped.count[kind]++ == 0)
		s->skipped.name[kind] = strdup(path);
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
static int open_source(struct walker *w, const struct scan_item *it, const char *path,
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
		fd = own = open_source(w, NULL, path, O_NOFOLLOW | O_NONBLOCK, &stop);
	if (fd < 0)
		return stop ? fd : fail_path(w, path, fd, "open");
	r = scan_map_sparse(fd, e, map);
	return r < 0 ? fail_path(w, path, r, "map of holes") : 0;
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

/*
 * What lstat does not tell: link target, attributes, map, content. @path is the source, @followed
 * if that was by stat; @fd: open, if it is a file and was opened to be looked at, or -1.
 */
static int add_entry(struct walker *w, const char *path, bool followed, int fd,
	struct manifest_entry *e)
{
	SCOPED_BUF struct buf map = {0};
	char target[PATH_MAX];
	ssize_t n;
	int r;

	w->xattrs.len = 0;
	if (e->kind == MANIFEST_SYMLINK) {
		n = readlinkat(
			w->dirfd, name_at_hand(w, path), target, sizeof(target) - 1);
		if (n < 0 && gone(w, -errno))
			return 0;
		if (n < 0)
			return unread(
				w, SCAN_UNREAD, e->name, path, -errno, "readlink");
		target[n] = '\0';
		e->target = target;
	} else if (!w->s->no_xattrs) {
		r = fd < 0 ? get_xattrs(w, path, followed && e->kind == MANIFEST_DIR)
			   : fsio_xattrs_get_fd(fd, &w->xattrs);
		if (gone(w, r))
			return 0;
		if (r < 0)
			r = unread(w, SCAN_ATTRIBUTES, e->name, path, r,
				"extended attributes");
		if (r < 0)
			return r;
		e->xattrs = w->xattrs.len ? w->xattrs.data : NULL;
		e->xattrs_len = (uint32_t)w->xattrs.len;
	}
	if (w->s->map_sparse && e->kind == MANIFEST_FILE &&
		e->size > e->allocated + SPARSE_HOLES &&
		e->allocated < e->size / SPARSE_SHARE) {
		r = map_sparse(w, path, fd, e, &map);
		if (r < 0)
			return r;
	}
	if (fd >= 0) {
		r = w->s->ahead(w->s->ahead_arg, fd, e);
		e->ahead = r > 0;
		if (r < 0)
			__atomic_store_n(&w->s->ahead_over, true, __ATOMIC_RELAXED);
	}
	if (w->s->found)
		__atomic_add_fetch(w->s->found, 1, __ATOMIC_RELAXED);
	return manifest_add(w->m, e, &w->err);
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

/*
 * Rules decide before anything is asked of a name, which may be gone by then, or be closed to
 * us: false where nothing of @type, as in a listing, can be wanted.
 */
static bool may_want(const struct scan *s, const char *name, unsigned char type)
{
	return filter_wants(s->filter, name, type == DT_DIR) ||
	       (type == DT_UNKNOWN && filter_wants(s->filter, name, true));
}

/* What @type leaves open, or what is no longer what it was in the listing. */
static bool wants(const struct scan *s, const char *name, unsigned char type,
	const struct stat *st)
{
	bool dir = S_ISDIR(st->st_mode);

	return (type != DT_UNKNOWN && dir == (type == DT_DIR)) ||
	       filter_wants(s->filter, name, dir);
}

/*
 * 1 for the folder of a store, which holds its books and not its content: wherever in a tree a
 * store lies, a copy of them would be wrong at its new place. Who names one as a source would
 * get nothing, and is told; so is he whose file would stand where DEST has its own.
 */
static int leave_out(struct walker *w, const struct scan_item *it, const char *name,
	const char *path, const struct stat *st)
{
	const char *slash = strrchr(name, '/');
	char shown[EBT_ERR_TEXT - 160];

	if (strcmp(slash ? slash + 1 : name, ".ebt") != 0)
		return 0;
	if (S_ISDIR(st->st_mode) ? !(it->flags & SCAN_ROOT) : slash != NULL)
		return S_ISDIR(st->st_mode);
	return ebt_failx(&w->err, -EINVAL, "%s: %s",
		text_name(path, shown, sizeof(shown)),
		S_ISDIR(st->st_mode) ? "belongs to a store and is not content"
				     : "a store has no place for a file of this name");
}

/*
 * One wanted object whose lstat is known. @name: below DEST; @fd as of add_entry. A directory
 * becomes an item.
 */
static int found(struct walker *w, const struct scan_item *it, const char *name,
	const char *path, const struct stat *st, int fd)
{
	struct manifest_entry e = {.name = name};
	unsigned follow = it->flags & SCAN_ROOT ? it->flags & SCAN_FOLLOW : 0;
	bool followed = follow || (it->flags & SCAN_PARENT);
	struct scan *s = w->s;
	struct scan_item *dir;
	int r;

	r = leave_out(w, it, name, path, st);
	if (r != 0)
		return r < 0 ? r : 0;
	switch (st->st_mode & S_IFMT) {
	case S_IFDIR:
		e.kind = MANIFEST_DIR;
		break;
	case S_IFREG:
		e.kind = MANIFEST_FILE;
		break;
	case S_IFLNK:
		e.kind = MANIFEST_SYMLINK;
		break;
	case S_IFIFO:
		skip(s, SCAN_FIFO, path);
		return 0;
	case S_IFSOCK:
		skip(s, SCAN_SOCKET, path);
		return 0;
	default:
		skip(s, SCAN_DEVICE, path);
		return 0;
	}
	if (S_ISDIR(st->st_mode) && s->store_ino && st->st_dev == s->store_dev &&
		st->st_ino == s->store_ino)
		return ebt_failx(
			&w->err, -EINVAL, "%s: DEST lies inside a source", path);
	fill_entry(s, st, &e);
	r = manifest_add_source(w->m, s->bases[it->base], &e.source, &w->err);
	if (r == 0)
		r = add_entry(w, path, followed, fd, &e);
	if (r < 0 || e.kind != MANIFEST_DIR || (it->flags & SCAN_PARENT))
		return r;
	dir = scan_item_new(it->base, follow, name, NULL, 0);
	if (!dir)
		return fail_path(w, path, -ENOMEM, "scan");
	dir->next = w->found;
	w->found = dir;
	return 0;
}

static int do_root(struct walker *w, const struct scan_item *it)
{
	bool filtered = it->path_len && !(it->flags & SCAN_PARENT);
	const char *path = w->path;
	struct scan_item *dir;
	struct stat st;
	int r = set_path(w, it);

	if (r < 0)
		return r;
	if (filtered && !may_want(w->s, it->path, DT_UNKNOWN))
		return 0;
	if (fstatat(AT_FDCWD, path, &st,
		    it->flags & (SCAN_FOLLOW | SCAN_PARENT) ? 0 : AT_SYMLINK_NOFOLLOW) <
		0)
		return unread(w, SCAN_UNREAD, it->path, path, -errno, "stat");
	if (filtered && !wants(w->s, it->path, DT_UNKNOWN, &st))
		return 0;
	if (it->path_len)
		return found(w, it, it->path, path, &st, -1);
	/* The content of a directory, without the directory. */
	if (!S_ISDIR(st.st_mode))
		return fail_path(w, path, -ENOTDIR, "open");
	dir = scan_item_new(it->base, SCAN_FOLLOW, "", NULL, 0);
	if (!dir)
		return fail_path(w, path, -ENOMEM, "scan");
	dir->next = w->found;
	w->found = dir;
	return 0;
}

/*
 * The path of directory @it, @len bytes of w->path, gets @leaf added. Returns the name below
 * DEST, which is the end of the path of its source, or NULL if there is no room.
 */
static const char *add_leaf(
	struct walker *w, const struct scan_item *it, size_t len, const char *leaf)
{
	size_t n = strlen(leaf), above = it->path_len ? it->path_len + 1 : 0;
	char *path = w->path;

	if (len + n + 2 > room(w) || above + n > MANIFEST_PATH_MAX)
		return NULL;
	if (len == 0 || path[len - 1] != '/')
		path[len++] = '/';
	memcpy(path + len, leaf, n + 1);
	return path + len - above;
}

/* The path of @leaf in directory @it does not fit. */
static int too_long(struct walker *w, const struct scan_item *it, const char *leaf)
{
	SCOPED_FREE char *name = NULL;

	if (asprintf(&name, "%s%s%s", it->path, it->path_len ? "/" : "", leaf) < 0) {
		name = NULL;
		return ebt_fail(&w->err, -ENOMEM, "scan");
	}
	return unread(w, SCAN_UNREAD, name, name, -ENAMETOOLONG, "path");
}

/* What the object at hand is. *fd: it is a file and open, or -1. */
static int look(struct walker *w, unsigned char type, const char *leaf, struct stat *st,
	int *fd)
{
	bool ahead = w->s->ahead && type == DT_REG &&
		     !__atomic_load_n(&w->s->ahead_over, __ATOMIC_RELAXED);

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

/* @leaf: of an object that was listed as @type. */
static int do_name(struct walker *w, const struct scan_item *it, size_t len,
	unsigned char type, const char *leaf)
{
	const char *name = add_leaf(w, it, len, leaf);
	SCOPED_FD int fd = -1;
	struct stat st;

	if (!name)
		return too_long(w, it, leaf);
	if (look(w, type, leaf, &st, &fd) < 0) {
		/* What cannot be known any more: it may have been one to be left out. */
		if (gone(w, -errno) ||
			(errno == ENOENT && type == DT_UNKNOWN &&
				filter_wants(w->s->filter, name, false) !=
					filter_wants(w->s->filter, name, true)))
			return 0;
		return unread(w, SCAN_UNREAD, name, w->path, -errno, "stat");
	}
	return wants(w->s, name, type, &st) ? found(w, it, name, w->path, &st, fd) : 0;
}

static int do_names(struct walker *w, const struct scan_item *it, int dirfd,
	const char *names, size_t names_len)
{
	int r = set_path(w, it);
	size_t len;

	if (r < 0)
		return r;
	len = strlen(w->path);
	w->dirfd = dirfd;
	w->inside = w->moves && fchdir(dirfd) == 0;
	for (size_t at = 0; at < names_len && r == 0; at += strlen(names + at) + 1) {
		unsigned char type = (unsigned char)names[at++];

		r = do_name(w, it, len, type, names + at);
	}
	w->inside = false;
	w->dirfd = AT_FDCWD;
	return r;
}

static int flush_batch(struct walker *w, const struct scan_item *it, int dirfd,
	struct buf *names, bool last)
{
	struct scan_item *more;
	int r;

	/* The last batch is for this thread, the ones before it for whoever has time. */
	if (last) {
		r = do_names(w, it, dirfd, (const char *)names->data, names->len);
	} else {
		more = scan_item_new(it->base, it->flags, it->path,
			(const char *)names->data, (uint32_t)names->len);
		r = more ? 0 : ebt_fail(&w->err, -ENOMEM, "scan");
		if (more)
			scan_push(w->s, more);
	}
	names->len = 0;
	return r;
}

/* Does @d hold a name to be looked at? @len bytes of w->path are that of directory @it. */
static bool listed(struct walker *w, const struct scan_item *it, size_t len,
	const struct dirent *d)
{
	const char *name;
	bool wanted;

	if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
		return false;
	if (!w->s->filter)
		return true;
	name = add_leaf(w, it, len, d->d_name);
	wanted = !name || may_want(w->s, name, d->d_type);
	w->path[len] = '\0';
	return wanted;
}

/* w->path is that of @it until its last names are looked at. */
static int do_dir(struct walker *w, const struct scan_item *it, int fd)
{
	SCOPED_BUF struct buf names = {0};
	size_t len = strlen(w->path);
	struct dirent *d;
	unsigned n = 0;
	DIR *dir = fdopendir(fd);
	int r = 0;

	if (!dir) {
		r = unread(w, SCAN_UNREAD, it->path, w->path, -errno, "open");
		close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		d = readdir(dir);
		/* What it told before is there nevertheless. */
		if (!d && errno)
			r = unread(w, SCAN_UNREAD, it->path, w->path, -errno, "list");
		if (!d)
			break;
		if (!listed(w, it, len, d))
			continue;
		if (n == BATCH) {
			r = flush_batch(w, it, fd, &names, false);
			n = 0;
		}
		buf_put8(&names, d->d_type);
		buf_put(&names, d->d_name, strlen(d->d_name) + 1);
		n++;
	}
	if (r == 0 && !buf_ok(&names))
		r = fail_path(w, w->path, -ENOMEM, "list");
	if (r == 0)
		r = flush_batch(w, it, fd, &names, true);
	closedir(dir);
	return r;
}

static int do_item(struct walker *w, const struct scan_item *it)
{
	bool stop;
	int fd, r;

	if (it->flags & SCAN_ROOT)
		return do_root(w, it);
	r = set_path(w, it);
	if (r < 0)
		return r;
	/* A root with a trailing slash may be a link; below it nothing is followed. */
	fd = open_source(w, it, w->path,
		O_DIRECTORY | (it->flags & SCAN_FOLLOW ? 0 : O_NOFOLLOW), &stop);
	if (fd < 0 && (stop || (*it->path && gone(w, fd))))
		return stop ? fd : 0;
	if (fd < 0)
		return unread(w, SCAN_UNREAD, it->path, w->path, fd, "open");
	if (!it->names)
		return do_dir(w, it, fd);
	r = do_names(w, it, fd, it->path + it->path_len + 1, it->names);
	close(fd);
	return r;
}

/* The next item, or NULL when there is none and none can come, or this round is over. */
static struct scan_item *next_item(struct scan *s)
{
	struct scan_item *it;
	SCOPED_LOCK(&s->lock);

	s->busy--;
	if (!s->busy && !s->items)
		pthread_cond_broadcast(&s->changed);
	while (!s->items && s->busy && !s->code)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->code || !s->items || (s->deadline > 0 && clock_now() > s->deadline))
		return NULL;
	it = s->items;
	s->items = it->next;
	s->n_items--;
	s->busy++;
	return it;
}

static void *walk(void *arg)
{
	struct walker *w = arg;
	struct scan *s = w->s;
	struct scan_item *it;
	int r;

	w->moves = w->own_thread && unshare(CLONE_FS) == 0;
	w->path = malloc(SCAN_PATH_SIZE);
	while ((it = next_item(s))) {
		r = w->path ? 0 : ebt_fail(&w->err, -ENOMEM, "scan");
		if (r == 0 && s->stopped)
			r = s->stopped(s->stopped_arg, &w->err);
		if (r == 0)
			r = do_item(w, it);
		free(it);
		if (w->found)
			scan_push(s, TAKE(w->found));
		if (r < 0) {
			SCOPED_LOCK(&s->lock);
			if (!s->code) {
				s->code = r;
				s->err = w->err;
			}
			pthread_cond_broadcast(&s->changed);
		}
	}
	return NULL;
}

void scan_round(struct scan *s, struct scan_shards *shards)
{
	struct walker w[SCAN_THREADS];
	unsigned started = 0, threads = shards->n;

	s->busy = threads;
	for (unsigned i = 0; i < threads; i++) {
		w[i] = (struct walker){.s = s,
			.m = shards->m[i],
			.dirfd = AT_FDCWD,
			.noatime = true,
			.own_thread = true};
		w[i].started = pthread_create(&w[i].thread, NULL, walk, &w[i]) == 0;
		started += w[i].started;
		/* A thread that could not be had is one less, no failure. */
		if (!w[i].started) {
			SCOPED_LOCK(&s->lock);
			s->busy--;
			pthread_cond_broadcast(&s->changed);
		}
	}
	if (!started) {
		w[0].own_thread = false;
		s->busy = 1;
		walk(&w[0]);
	}
	for (unsigned i = 0; i < threads; i++) {
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
		buf_release(&w[i].xattrs);
		free(w[i].path);
	}
}
