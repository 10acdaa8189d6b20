/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of the walk, and what they do with directories.
 *
 * There is no listxattrat(2) before Linux 6.13, and a long path costs a step for each of its
 * components. So a thread parts with the working directory of the process, which needs no
 * privilege, see unshare(2), and then stands in the directory whose names it looks at. Where
 * a container forbids that, paths do as well.
 *
 * Of what was listed only the directory is ever opened by a path, and that one may be longer than
 * a call takes: it is opened in parts then, and followed nowhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "scan/scan_internal.h"

#define BATCH 256 /* names of one directory that a thread takes at once */

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
	return (size_t)len < room(w)
		       ? 0
		       : scan_fail_path(w, w->path, -ENAMETOOLONG, "path");
}

static void skip(struct scan *s, enum scan_skip kind, const char *path)
{
	SCOPED_LOCK(&s->lock);
	if (s->skipped.count[kind]++ == 0)
		s->skipped.name[kind] = strdup(path);
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
 * One wanted object whose lstat is known. @name: below DEST; @fd as of scan_see. A directory
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
	r = scan_add(w, it->base, path, followed, st, fd, &e);
	if (r < 0 || e.kind != MANIFEST_DIR || (it->flags & SCAN_PARENT))
		return r;
	dir = scan_item_new(it->base, follow, name, NULL, 0);
	if (!dir)
		return scan_fail_path(w, path, -ENOMEM, "scan");
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

	if (filtered && !may_want(w->s, it->path, DT_UNKNOWN))
		return 0;
	if (fstatat(AT_FDCWD, path, &st,
		    it->flags & (SCAN_FOLLOW | SCAN_PARENT) ? 0 : AT_SYMLINK_NOFOLLOW) <
		0)
		return scan_unread(w, SCAN_UNREAD, it->path, path, -errno, "stat");
	if (filtered && !wants(w->s, it->path, DT_UNKNOWN, &st))
		return 0;
	if (it->path_len)
		return found(w, it, it->path, path, &st, -1);
	/* The content of a directory, without the directory. */
	if (!S_ISDIR(st.st_mode))
		return scan_fail_path(w, path, -ENOTDIR, "open");
	dir = scan_item_new(it->base, SCAN_FOLLOW, "", NULL, 0);
	if (!dir)
		return scan_fail_path(w, path, -ENOMEM, "scan");
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
	return scan_unread(w, SCAN_UNREAD, name, name, -ENAMETOOLONG, "path");
}

/* @leaf, @name below DEST, of an object that was listed as @type. */
static int see_name(struct walker *w, const struct scan_item *it, const char *name,
	unsigned char type, const char *leaf)
{
	SCOPED_FD int fd = -1;
	struct stat st;

	if (scan_see(w, type, name, leaf, &st, &fd) < 0) {
		/* What cannot be known any more: it may have been one to be left out. */
		if (scan_gone(w, -errno) ||
			(errno == ENOENT && type == DT_UNKNOWN &&
				filter_wants(w->s->filter, name, false) !=
					filter_wants(w->s->filter, name, true)))
			return 0;
		return scan_unread(w, SCAN_UNREAD, name, w->path, -errno, "stat");
	}
	return wants(w->s, name, type, &st) ? found(w, it, name, w->path, &st, fd) : 0;
}

/* The same, for the watch to see. */
static int do_name(struct walker *w, const struct scan_item *it, size_t len,
	unsigned char type, const char *leaf)
{
	const char *name = add_leaf(w, it, len, leaf);
	struct activity_call call;
	int r;

	if (!name)
		return too_long(w, it, leaf);
	activity_begin(w->s->activity, &call, "looking at", activity_text, w->path, 0);
	r = see_name(w, it, name, type, leaf);
	activity_end(w->s->activity, &call);
	return r;
}

static bool leaves(const struct scan *s)
{
	return __atomic_load_n(&s->ending, __ATOMIC_ACQUIRE) ||
	       (s->most && __atomic_load_n(&s->entries, __ATOMIC_RELAXED) >= s->most);
}

/* The rest of the names is for the next round. */
static int put_back(struct walker *w, const struct scan_item *it, const char *names,
	size_t names_len)
{
	struct scan_item *rest = scan_item_new(
		it->base, it->flags, it->path, names, (uint32_t)names_len);

	if (!rest)
		return scan_fail_path(w, w->path, -ENOMEM, "scan");
	scan_push(w->s, rest);
	return 0;
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
		unsigned char type = (unsigned char)names[at];

		if (leaves(w->s)) {
			r = put_back(w, it, names + at, names_len - at);
			break;
		}
		at++;
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

/* For activity_begin: @arg is the scan, @index the address of an item. */
static void show_item(const void *arg, uint64_t index, char *out, size_t size)
{
	const struct scan *s = arg;
	const struct scan_item *it = (const void *)(uintptr_t)index;
	char base[256], path[256];

	snprintf(out, size, "%s/%s", text_name(s->bases[it->base], base, sizeof(base)),
		text_name(it->path, path, sizeof(path)));
}

/* w->path is that of @it until its last names are looked at. */
static int do_dir(struct walker *w, const struct scan_item *it, int fd)
{
	SCOPED_BUF struct buf names = {0};
	struct activity *a = w->s->activity;
	struct activity_call call;
	size_t len = strlen(w->path);
	struct dirent *d;
	unsigned n = 0, seen = 0;
	DIR *dir = fdopendir(fd);
	int r = 0;

	if (!dir) {
		r = scan_unread(w, SCAN_UNREAD, it->path, w->path, -errno, "open");
		close(fd);
		return r;
	}
	/* A thread asks for some names at a time; each call for itself would be too many. */
	activity_begin(a, &call, "listing", show_item, w->s, (uintptr_t)it);
	while (r == 0) {
		errno = 0;
		d = readdir(dir);
		/* What it told before is there nevertheless. */
		if (!d && errno)
			r = scan_unread(
				w, SCAN_UNREAD, it->path, w->path, -errno, "list");
		if (!d)
			break;
		if (++seen % BATCH == 0) {
			activity_end(a, &call);
			activity_begin(
				a, &call, "listing", show_item, w->s, (uintptr_t)it);
		}
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
	activity_end(a, &call);
	if (r == 0 && !buf_ok(&names))
		r = scan_fail_path(w, w->path, -ENOMEM, "list");
	if (r == 0)
		r = flush_batch(w, it, fd, &names, true);
	closedir(dir);
	return r;
}

static int do_item(struct walker *w, const struct scan_item *it)
{
	struct activity *a = w->s->activity;
	struct activity_call call;
	bool stop;
	int fd, r;

	r = set_path(w, it);
	if (r < 0)
		return r;
	if (it->flags & SCAN_ROOT) {
		activity_begin(a, &call, "looking at", activity_text, w->path, 0);
		r = do_root(w, it);
		activity_end(a, &call);
		return r;
	}
	activity_begin(a, &call, "opening", activity_text, w->path, 0);
	/* A root with a trailing slash may be a link; below it nothing is followed. */
	fd = scan_open_dir(w, it, w->path,
		O_DIRECTORY | (it->flags & SCAN_FOLLOW ? 0 : O_NOFOLLOW), &stop);
	activity_end(a, &call);
	if (fd < 0 && (stop || (*it->path && scan_gone(w, fd))))
		return stop ? fd : 0;
	if (fd < 0)
		return scan_unread(w, SCAN_UNREAD, it->path, w->path, fd, "open");
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
	while (!s->items && s->busy && !s->code && !leaves(s))
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->code || !s->items || leaves(s))
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
		if (r < 0)
			scan_fail(s, r, &w->err);
	}
	return NULL;
}

void scan_end(struct scan *s)
{
	SCOPED_LOCK(&s->lock);
	__atomic_store_n(&s->ending, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&s->changed);
}

static void set_busy(struct scan *s, unsigned n)
{
	SCOPED_LOCK(&s->lock);
	s->busy = n;
}

void scan_round(struct scan *s, struct scan_shards *shards)
{
	struct walker w[SCAN_THREADS];
	unsigned started = 0, threads = shards->n;

	set_busy(s, threads);
	__atomic_store_n(&s->entries, 0, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < threads; i++) {
		w[i] = (struct walker){.s = s,
			.m = &shards->m[i],
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
		set_busy(s, 1);
		w[0].own_thread = false;
		walk(&w[0]);
	}
	for (unsigned i = 0; i < threads; i++) {
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
		buf_release(&w[i].xattrs);
		free(w[i].path);
	}
}
