/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inodes in memory. One stays as long as a kernel knows it, a call uses it or it is open.
 * The table's lock is taken before an inode's, an inode's before an OST's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/scope.h"
#include "emul.h"

const char *inode_path(const struct inode *i, char *out)
{
	snprintf(out, INODE_PATH, "/proc/self/fd/%d", i->fd);
	return out;
}

static int set_up(struct emul *e, struct inode *i, int fd, const struct stat *st)
{
	i->ino = st->st_ino;
	i->type = st->st_mode & S_IFMT;
	i->version = 1;
	i->seen = calloc(e->n_clients, sizeof(*i->seen));
	i->opens_of = calloc(e->n_clients, sizeof(*i->opens_of));
	if (!i->seen || !i->opens_of) {
		free(i->seen);
		free(i->opens_of);
		return -ENOMEM;
	}
	pthread_mutex_init(&i->lock, NULL);
	i->fd = fd;
	return 0;
}

int inodes_open(struct emul *e, int dir)
{
	struct inodes *t = &e->inodes;
	struct stat st;

	if (fstat(dir, &st) < 0)
		return -errno;
	t->dev = st.st_dev;
	t->n_buckets = 1 << 16;
	t->bucket = calloc(t->n_buckets, sizeof(struct inode *));
	if (!t->bucket)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->root.refs = 1;
	return set_up(e, &t->root, dir, &st);
}

static struct inode **find(struct inodes *t, uint64_t ino)
{
	struct inode **link = &t->bucket[ino * 0x9e3779b97f4a7c15u >> 48];

	while (*link && (*link)->ino != ino)
		link = &(*link)->next;
	return link;
}

static int load_part(struct emul *e, struct lov *l, const struct lov_part *p,
	struct object **objects)
{
	int r = 0;

	for (unsigned k = p->w.first; p->ready && k < p->w.first + p->w.count && r == 0;
		k++)
		r = l->stripe[k].ost <= e->n_osts
			    ? object_load(&e->osts[l->stripe[k].ost], l->stripe[k].id,
				      &objects[k])
			    : -EINVAL;
	return r;
}

/* The objects of a file that was forgotten once. */
static int load_layout(struct emul *e, struct inode *i)
{
	SCOPED_FREE unsigned char *bytes = malloc(LOV_BYTES_MAX);
	SCOPED_FREE struct lov *l = NULL;
	char path[INODE_PATH];
	struct object **objects;
	ssize_t len;
	int r = 0;

	if (!bytes)
		return -ENOMEM;
	len = getxattr(inode_path(i, path), EMUL_LOV_XATTR, bytes, LOV_BYTES_MAX);
	if (len < 0)
		return errno == ENODATA ? 0 : -errno;
	r = lov_load(bytes, (size_t)len, &l);
	if (r < 0)
		return r;
	objects = calloc(l->n_stripes, sizeof(struct object *));
	if (!objects)
		return -ENOMEM;
	for (unsigned n = 0; n < l->n_parts && r == 0; n++)
		r = load_part(e, l, &l->part[n], objects);
	if (r < 0) {
		for (unsigned k = 0; k < l->n_stripes; k++)
			if (objects[k])
				object_unref(objects[k]);
		free(objects);
		return r;
	}
	i->objects = objects;
	i->lov = TAKE(l);
	return 0;
}

static void flush_mtime(struct inode *i)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, i->written};
	char path[INODE_PATH];

	if (i->touched)
		utimensat(AT_FDCWD, inode_path(i, path), t, 0);
	i->touched = false;
}

static void release(struct inode *i)
{
	flush_mtime(i);
	for (unsigned k = 0; i->lov && k < i->lov->n_stripes; k++)
		if (i->objects[k])
			object_unref(i->objects[k]);
	free(i->objects);
	free(i->lov);
	free(i->seen);
	free(i->opens_of);
	pthread_mutex_destroy(&i->lock);
	close(i->fd);
	free(i);
}

int inode_lookup(struct emul *e, struct inode *dir, const char *name, bool known,
	struct inode **out)
{
	SCOPED_FD int fd = openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct inodes *t = &e->inodes;
	struct inode **link, *i;
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;

	SCOPED_LOCK(&t->lock);

	link = find(t, st.st_ino);
	if (!*link) {
		i = calloc(1, sizeof(*i));
		if (!i)
			return -ENOMEM;
		r = set_up(e, i, fd, &st);
		if (r < 0) {
			free(i);
			return r;
		}
		fd = -1;
		r = S_ISREG(st.st_mode) ? load_layout(e, i) : 0;
		if (r < 0) {
			release(i);
			return r;
		}
		*link = i;
		t->count++;
	}
	i = *link;
	i->refs++;
	i->lookups += known;
	*out = i;
	return 0;
}

static void maybe_release_locked(struct inodes *t, struct inode *i)
{
	if (i->refs || i->lookups)
		return;
	*find(t, i->ino) = i->next;
	t->count--;
	release(i);
}

void inode_unref(struct emul *e, struct inode *i)
{
	SCOPED_LOCK(&e->inodes.lock);

	i->refs--;
	maybe_release_locked(&e->inodes, i);
}

void inode_forget(struct emul *e, struct inode *i, uint64_t lookups)
{
	SCOPED_LOCK(&e->inodes.lock);

	if (i == &e->inodes.root)
		return;
	i->lookups -= lookups < i->lookups ? lookups : i->lookups;
	maybe_release_locked(&e->inodes, i);
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static void sum_locked(struct inode *i, uint64_t *size, uint64_t *blocks)
{
	*size = *blocks = 0;
	for (unsigned n = 0; i->lov && n < i->lov->n_parts; n++) {
		const struct lov_part *p = &i->lov->part[n];

		for (unsigned k = 0; p->ready && k < p->w.count; k++) {
			uint64_t length, space, end;

			object_space(i->objects[p->w.first + k], &length, &space);
			*blocks += space;
			end = length ? lov_file_offset(p, k, length - 1) + 1 : 0;
			if (end > *size)
				*size = end;
		}
	}
}

/* As a file system keeps times that has coarser ones. */
static void cut_times(struct emul *e, struct stat *st)
{
	int unit = e->sw.time_unit;

	if (unit <= 1)
		return;
	st->st_atim.tv_nsec -= st->st_atim.tv_nsec % unit;
	st->st_mtim.tv_nsec -= st->st_mtim.tv_nsec % unit;
	st->st_ctim.tv_nsec -= st->st_ctim.tv_nsec % unit;
}

static void stat_data(struct inode *i, struct stat *st)
{
	uint64_t size, blocks;
	SCOPED_LOCK(&i->lock);

	sum_locked(i, &size, &blocks);
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)blocks;
	if (i->touched) {
		st->st_mtim = i->written;
		if (later(i->written, st->st_ctim))
			st->st_ctim = i->written;
	}
}

int inode_stat(struct emul *e, struct inode *i, struct stat *st)
{
	if (fstatat(i->fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	st->st_blksize = 4 << 20;
	if (S_ISREG(i->type))
		stat_data(i, st);
	cut_times(e, st);
	return 0;
}

uint64_t inode_size(struct inode *i)
{
	SCOPED_LOCK(&i->lock);
	uint64_t size, blocks;

	sum_locked(i, &size, &blocks);
	return size;
}

void inode_touch(struct inode *i)
{
	SCOPED_LOCK(&i->lock);

	clock_gettime(CLOCK_REALTIME, &i->written);
	i->touched = true;
}

static void destroy_objects_locked(struct inode *i)
{
	i->touched = false;
	for (unsigned k = 0; i->lov && k < i->lov->n_stripes; k++)
		if (i->objects[k])
			object_destroy(i->objects[k]);
}

void inode_name_gone(struct inode *i)
{
	struct stat st;
	SCOPED_LOCK(&i->lock);

	if (!S_ISREG(i->type) || fstat(i->fd, &st) < 0 || st.st_nlink)
		return;
	i->deleted = true;
	if (!i->opens)
		destroy_objects_locked(i);
}

int inode_use(struct inode *i, int client)
{
	SCOPED_LOCK(&i->lock);
	unsigned k = 0;
	int r = 0;

	if (i->deleted && !i->opens)
		return -ESTALE;
	for (; i->lov && k < i->lov->n_stripes; k++) {
		r = i->objects[k] ? object_open(i->objects[k]) : 0;
		if (r < 0)
			break;
	}
	if (r < 0) {
		while (k--)
			if (i->objects[k])
				object_close(i->objects[k]);
		return r;
	}
	i->opens++;
	if (client >= 0)
		i->opens_of[client]++;
	return 0;
}

void inode_unuse(struct inode *i, int client)
{
	SCOPED_LOCK(&i->lock);

	for (unsigned k = 0; i->lov && k < i->lov->n_stripes; k++)
		if (i->objects[k])
			object_close(i->objects[k]);
	if (client >= 0)
		i->opens_of[client]--;
	if (--i->opens == 0) {
		flush_mtime(i);
		if (i->deleted)
			destroy_objects_locked(i);
	}
}
