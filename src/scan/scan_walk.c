/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of the walk. An object costs one lstat and one listxattr; files are not opened,
 * but for the few large ones that are mostly hole, whose map has to be known to plan well.
 *
 * There is no listxattrat(2) before Linux 6.13, and a long path costs a step for each of its
 * components. So a thread parts with the working directory of the process, which needs no
 * privilege, see unshare(2), and then stands in the directory whose names it looks at. Where
 * a container forbids that, paths do as well.
 */
#include "scan/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/text.h"
#include "fsio/fsio.h"

#define BATCH 256                   /* names of one directory that a thread takes at once */
#define SPARSE_HOLES (64ull << 20)  /* bytes of hole that make a map worth an open */
#define SPARSE_SHARE 8              /* and less than 1/8 of the file allocated */

struct walker {
	struct scan *s;
	struct manifest *m;
	struct scan_item *found; /* new directories, handed over after each item */
	struct buf xattrs;
	struct ebt_err err;
	pthread_t thread;
	bool started;
	bool own_thread; /* else the caller's, which shares its working directory */
	bool moves;      /* has a working directory of its own */
	bool inside;     /* which is the one of the object at hand */
};

struct scan_item *scan_item_new(uint32_t base, unsigned flags, const char *path,
	const char *names, uint32_t names_len)
{
	size_t len = strlen(path);
	struct scan_item *it = malloc(sizeof(*it) + len + 1 + names_len);

	if (!it)
		return NULL;
	it->next = NULL;
	it->base = base;
	it->flags = (uint8_t)flags;
	it->names = names_len;
	it->path_len = (uint32_t)len;
	memcpy(it->path, path, len + 1);
	if (names_len)
		memcpy(it->path + len + 1, names, names_len);
	return it;
}

void scan_push(struct scan *s, struct scan_item *list)
{
	struct scan_item *it;
	SCOPED_LOCK(&s->lock);

	while ((it = list)) {
		list = it->next;
		it->next = s->items;
		s->items = it;
		s->n_items++;
	}
	pthread_cond_broadcast(&s->changed);
}

static int fail_path(struct walker *w, const char *path, int code, const char *what)
{
	char name[EBT_ERR_TEXT - 160]; /* what, why and on which rank have to fit as well */

	return ebt_fail(&w->err, code, "%s: %s", text_name(path, name, sizeof(name)), what);
}

/* Asked after a call that failed. */
static bool gone(const struct walker *w)
{
	return w->s->shrinks && errno == ENOENT;
}

/* "base/path" or "base/path/name", any part of which but base may be empty. */
static int join(struct walker *w, char *out, const char *base, const char *path,
	const char *name)
{
	int len = snprintf(out, PATH_MAX, "%s%s%s%s%s", strcmp(base, "/") == 0 ? "" : base,
		*path ? "/" : "", path, *name ? "/" : "", name);

	if (len == 0)
		strcpy(out, "/");
	return len < PATH_MAX ? 0 : fail_path(w, out, -ENAMETOOLONG, "path");
}

static void skip(struct scan *s, enum scan_skip kind, const char *path)
{
	SCOPED_LOCK(&s->lock);
	if (s->skipped.count[kind]++ == 0)
		s->skipped.name[kind] = strdup(path);
}

/*
 * Device numbers of network file systems may differ from node to node; hard links must be
 * known all the same. What lies on the device of a base gets the number of that base.
 */
static uint64_t portable_dev(const struct scan *s, dev_t dev)
{
	for (uint32_t i = 0; i < s->n_bases && i < SCAN_DEVS; i++) {
		if (s->base_devs[i] == dev)
			return i;
	}
	return (1ull << 63) | dev;
}

/* Data of a large file that is mostly hole, in leaves. One extent at least. */
static int map_sparse(struct walker *w, const char *path, struct manifest_entry *e,
	struct buf *map)
{
	struct manifest_extent x = {0}, *all;
	uint64_t start, stop, end;
	SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd < 0)
		return fail_path(w, path, -errno, "open");
	for (uint64_t at = 0; at < e->size; at = x.off + x.len) {
		r = fsio_next_data(fd, at, e->size, &start, &stop);
		if (r < 0)
			return fail_path(w, path, r, "seek");
		if (r == 1)
			break;
		x.off = start / DIGEST_LEAF * DIGEST_LEAF;
		end = (stop + DIGEST_LEAF - 1) / DIGEST_LEAF * DIGEST_LEAF;
		x.len = (end < e->size ? end : e->size) - x.off;
		all = (struct manifest_extent *)map->data;
		if (map->len && all[map->len / sizeof(x) - 1].off +
			all[map->len / sizeof(x) - 1].len >= x.off)
			all[map->len / sizeof(x) - 1].len =
				x.off + x.len - all[map->len / sizeof(x) - 1].off;
		else
			buf_put(map, &x, sizeof(x));
	}
	/* All hole: one leaf of zeros keeps it a file with content, like any other. */
	if (!map->len) {
		x = (struct manifest_extent){.off = 0, .len = DIGEST_LEAF};
		buf_put(map, &x, sizeof(x));
	}
	if (!buf_ok(map))
		return fail_path(w, path, -ENOMEM, "map of holes");
	e->extents = (const struct manifest_extent *)map->data;
	e->n_extents = (uint32_t)(map->len / sizeof(x));
	return 0;
}

/* @followed: @path names a directory that a link may lead to. */
static int get_xattrs(struct walker *w, const char *path, bool followed)
{
	char itself[PATH_MAX + 2];
	int r;

	/* The link's own attributes are none that travel. */
	if (followed) {
		snprintf(itself, sizeof(itself), "%s/.", path);
		path = itself;
	} else if (w->inside) {
		path = strrchr(path, '/') + 1;
	}
	r = fsio_xattrs_get_at(path, &w->xattrs);
	return r < 0 ? fail_path(w, path, r, "extended attributes") : 0;
}

/*
 * What lstat does not tell: link target, attributes, map. @path is the source, @followed if
 * that was by stat.
 */
static int add_entry(struct walker *w, const char *path, bool followed, struct manifest_entry *e)
{
	SCOPED_BUF struct buf map = {0};
	char target[PATH_MAX];
	ssize_t n;
	int r;

	w->xattrs.len = 0;
	if (e->kind == MANIFEST_SYMLINK) {
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0 && gone(w))
			return 0;
		if (n < 0)
			return fail_path(w, path, -errno, "readlink");
		target[n] = '\0';
		e->target = target;
	} else if (!w->s->no_xattrs) {
		r = get_xattrs(w, path, followed && e->kind == MANIFEST_DIR);
		if (r < 0)
			return r == -ENOENT && w->s->shrinks ? 0 : r;
		e->xattrs = w->xattrs.len ? w->xattrs.data : NULL;
		e->xattrs_len = (uint32_t)w->xattrs.len;
	}
	if (w->s->map_sparse && e->kind == MANIFEST_FILE &&
		e->size > e->allocated + SPARSE_HOLES &&
		e->allocated < e->size / SPARSE_SHARE) {
		r = map_sparse(w, path, e, &map);
		if (r < 0)
			return r;
	}
	if (w->s->found)
		__atomic_add_fetch(w->s->found, 1, __ATOMIC_RELAXED);
	return manifest_add(w->m, e, &w->err);
}

static void fill_entry(const struct scan *s, const struct stat *st, struct manifest_entry *e)
{
	e->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	e->allocated = (uint64_t)st->st_blocks * 512;
	e->dev = portable_dev(s, st->st_dev);
	e->ino = st->st_ino;
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
}

/* One object whose lstat is known. @name: below DEST. A directory becomes an item. */
static int found(struct walker *w, const struct scan_item *it, const char *name,
	const char *path, const struct stat *st)
{
	struct manifest_entry e = {.name = name};
	unsigned follow = it->flags & SCAN_ROOT ? it->flags & SCAN_FOLLOW : 0;
	bool followed = follow || (it->flags & SCAN_PARENT);
	struct scan *s = w->s;
	struct scan_item *dir;
	int r;

	if (!(it->flags & SCAN_PARENT) && !filter_wants(s->filter, name, S_ISDIR(st->st_mode)))
		return 0;
	if (strcmp(name, ".ebt") == 0)
		return 0; /* of a store that is staged on: ours, not content */
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
		return ebt_failx(&w->err, -EINVAL, "%s: DEST lies inside a source", path);
	fill_entry(s, st, &e);
	r = manifest_add_source(w->m, s->bases[it->base], &e.source, &w->err);
	if (r == 0)
		r = add_entry(w, path, followed, &e);
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
	char path[PATH_MAX];
	struct scan_item *dir;
	struct stat st;
	int r = join(w, path, w->s->bases[it->base], it->path, "");

	if (r < 0)
		return r;
	if (fstatat(AT_FDCWD, path, &st,
		    it->flags & (SCAN_FOLLOW | SCAN_PARENT) ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return fail_path(w, path, -errno, "stat");
	if (it->path_len)
		return found(w, it, it->path, path, &st);
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

/* @path of directory @it, @len bytes and room for more, gets @leaf added. */
static int do_name(struct walker *w, const struct scan_item *it, int dirfd, char *path,
	size_t len, const char *leaf)
{
	size_t n = strlen(leaf);
	struct stat st;

	if (len + n + 2 > PATH_MAX)
		return fail_path(w, leaf, -ENAMETOOLONG, "path");
	if (len == 0 || path[len - 1] != '/')
		path[len++] = '/';
	memcpy(path + len, leaf, n + 1);
	if (fstatat(dirfd, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return gone(w) ? 0 : fail_path(w, path, -errno, "stat");
	/* The name below DEST is the end of the path of its source. */
	return found(w, it, path + len - (it->path_len ? it->path_len + 1 : 0), path, &st);
}

static int do_names(struct walker *w, const struct scan_item *it, int dirfd, const char *names,
	size_t names_len)
{
	char path[PATH_MAX];
	int r = join(w, path, w->s->bases[it->base], it->path, "");
	size_t len;

	if (r < 0)
		return r;
	len = strlen(path);
	w->inside = w->moves && fchdir(dirfd) == 0;
	for (size_t at = 0; at < names_len && r == 0; at += strlen(names + at) + 1)
		r = do_name(w, it, dirfd, path, len, names + at);
	w->inside = false;
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
		more = scan_item_new(it->base, it->flags, it->path, (const char *)names->data,
			(uint32_t)names->len);
		r = more ? 0 : ebt_fail(&w->err, -ENOMEM, "scan");
		if (more)
			scan_push(w->s, more);
	}
	names->len = 0;
	return r;
}

static int do_dir(struct walker *w, const struct scan_item *it, int fd, const char *path)
{
	SCOPED_BUF struct buf names = {0};
	struct dirent *d;
	unsigned n = 0;
	DIR *dir = fdopendir(fd);
	int r = 0;

	if (!dir) {
		r = fail_path(w, path, -errno, "open");
		close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		d = readdir(dir);
		if (!d && errno)
			r = fail_path(w, path, -errno, "list");
		if (!d)
			break;
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (n == BATCH) {
			r = flush_batch(w, it, fd, &names, false);
			n = 0;
		}
		buf_put(&names, d->d_name, strlen(d->d_name) + 1);
		n++;
	}
	if (r == 0 && !buf_ok(&names))
		r = fail_path(w, path, -ENOMEM, "list");
	if (r == 0)
		r = flush_batch(w, it, fd, &names, true);
	closedir(dir);
	return r;
}

static int do_item(struct walker *w, const struct scan_item *it)
{
	char path[PATH_MAX];
	int fd, r;

	if (it->flags & SCAN_ROOT)
		return do_root(w, it);
	r = join(w, path, w->s->bases[it->base], it->path, "");
	if (r < 0)
		return r;
	/* A root with a trailing slash may be a link; below it nothing is followed. */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
		(it->flags & SCAN_FOLLOW ? 0 : O_NOFOLLOW));
	if (fd < 0)
		return *it->path && gone(w) ? 0 : fail_path(w, path, -errno, "open");
	if (!it->names)
		return do_dir(w, it, fd, path);
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
	while ((it = next_item(s))) {
		r = s->stopped ? s->stopped(s->stopped_arg, &w->err) : 0;
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
		w[i] = (struct walker){.s = s, .m = shards->m[i], .own_thread = true};
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
	}
}
