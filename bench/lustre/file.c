/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open files and their data. The kernel caches none of it: each read and write comes here
 * and is cut along the stripes; a part of a composite layout that has no objects yet reads as
 * zeros, and gets them by the first write. A file made with FASYNC among the flags has no objects until
 * its layout is set, as on the real file system, where writing to it then fails; any other
 * open gives it objects by the default.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "emul.h"

struct handle {
	struct inode *inode;
	bool append;
};

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/* Objects for a file that has none, if it is opened the usual way. */
static int want_objects(struct client *c, struct inode *dir, struct inode *i, int flags)
{
	SCOPED_FREE struct lov_wish *w = NULL;

	if (!S_ISREG(i->type) || flags & FASYNC)
		return 0;
	pthread_mutex_lock(&i->lock);
	if (i->lov) {
		pthread_mutex_unlock(&i->lock);
		return 0;
	}
	pthread_mutex_unlock(&i->lock);
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	place_default(c->e, dir, w);
	return place_objects(c->e, i, w);
}

/* A handle, with the inode in use. */
static int use(struct client *c, struct inode *i, int flags, struct handle **out)
{
	struct handle *h = malloc(sizeof(*h));
	int r = h ? inode_use(i, c->index) : -ENOMEM;

	if (r < 0) {
		free(h);
		return r;
	}
	*h = (struct handle){.inode = i, .append = flags & O_APPEND};
	*out = h;
	return 0;
}

static void drop(struct client *c, struct handle *h)
{
	inode_unuse(h->inode, c->index);
	free(h);
}

static int open_inode(struct client *c, struct inode *dir, struct inode *i, int flags,
	struct handle **out)
{
	int r;

	md_open(c, i);
	r = want_objects(c, dir, i, flags);
	if (r == 0)
		r = use(c, i, flags, out);
	if (r == 0 && flags & O_TRUNC) {
		r = file_truncate(c, i, 0);
		if (r < 0)
			drop(c, *out);
	}
	return r;
}

static void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct handle *h = NULL;
	int r = open_inode(c, &c->e->inodes.root, inode_of(c->e, ino), fi->flags, &h);

	if (r < 0)
		fuse_reply_err(req, -r);
	else if (reply_open(req, (uint64_t)(uintptr_t)h) < 0)
		drop(c, h);
}

/* 1: it was there already */
static int make_file(
	fuse_req_t req, struct inode *dir, const char *name, mode_t mode, int flags)
{
	SCOPED_FD int fd = -1;

	mode = ns_mode(req, dir, mode);
	fd = openat(dir->fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
		mode & 07777);
	if (fd < 0 && errno == EEXIST && !(flags & O_EXCL))
		return 1;
	return fd < 0 ? -errno : ns_give(req, dir, name, mode);
}

static int create(fuse_req_t req, struct inode *dir, const char *name, mode_t mode,
	int flags, struct inode **i, struct handle **h)
{
	struct client *c = client_of(req);
	int there = make_file(req, dir, name, mode, flags), r;

	if (there < 0)
		return there;
	r = inode_lookup(c->e, dir, name, true, i);
	if (r < 0)
		return r;
	if (there) {
		r = open_inode(c, dir, *i, flags, h);
	} else {
		md_made(c, *i);
		r = want_objects(c, dir, *i, flags);
		if (r == 0)
			r = use(c, *i, flags, h);
		if (r < 0)
			unlinkat(dir->fd, name, 0);
	}
	if (r < 0) {
		inode_forget(c->e, *i, 1);
		inode_unref(c->e, *i);
	}
	return r;
}

static void file_create(fuse_req_t req, fuse_ino_t parent, const char *name,
	mode_t mode, struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct inode *dir = inode_of(c->e, parent), *i;
	struct fuse_entry_param entry;
	struct handle *h = NULL;
	int r;

	md_request(c, MDS_CREATE);
	r = create(req, dir, name, mode, fi->flags, &i, &h);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	r = ns_entry(c, i, &entry);
	if (r < 0    ? fuse_reply_err(req, -r),
		true : reply_create(req, &entry, (uint64_t)(uintptr_t)h) < 0) {
		drop(c, h);
		inode_forget(c->e, i, 1);
	}
	inode_unref(c->e, i);
}

static void file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	drop(client_of(req), handle_of(fi));
	fuse_reply_err(req, 0);
}

static void file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t at,
	struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct inode *i = handle_of(fi)->inode;
	SCOPED_FREE char *data = NULL;
	uint64_t end = inode_size(i), offset = (uint64_t)at;
	size_t done = 0;
	int r = 0;

	if (offset >= end)
		size = 0;
	else if (size > end - offset)
		size = (size_t)(end - offset);
	data = malloc(size ? size : 1);
	if (!data)
		r = -ENOMEM;
	while (r == 0 && done < size) {
		struct lov_piece p = lov_piece_at(i->lov, offset + done);

		if (p.len > size - done)
			p.len = size - done;
		if (p.part->ready)
			r = object_read(i->objects[p.stripe], c->index, data + done,
				p.len, p.at);
		else
			memset(data + done, 0, p.len);
		if (r == 0)
			done += p.len;
	}
	if (r < 0 && done == 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, data, done);
}

/* Takes @len off what may still be written. */
static int charge_quota(struct client *c, int64_t len)
{
	int64_t left = c->e->sw.quota;

	do {
		if (left < 0 || c->index < 0)
			return 0;
		if (left < len)
			return -EDQUOT;
	} while (!atomic_compare_exchange_weak(&c->e->sw.quota, &left, left - len));
	return 0;
}

static void file_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
	off_t at, struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct handle *h = handle_of(fi);
	struct inode *i = h->inode;
	uint64_t offset = h->append ? inode_size(i) : (uint64_t)at;
	size_t done = 0;
	int r = i->lov ? place_range(c, i, offset, offset + size) : -EBADF;

	while (r == 0 && done < size) {
		struct lov_piece p = lov_piece_at(i->lov, offset + done);

		if (p.len > size - done)
			p.len = size - done;
		r = charge_quota(c, (int64_t)p.len);
		if (r == 0)
			r = object_write(i->objects[p.stripe], c->index, data + done,
				p.len, p.at);
		if (r == 0)
			done += p.len;
	}
	if (done)
		inode_touch(i);
	if (r < 0 && done == 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, done);
}

static void file_fsync(
	fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct inode *i = handle_of(fi)->inode;
	int r = 0;

	for (unsigned k = 0; i->lov && k < i->lov->n_stripes; k++) {
		int here = i->objects[k] ? object_sync(i->objects[k], c->index) : 0;

		if (r == 0)
			r = here;
	}
	fuse_reply_err(req, -r);
}

static void file_fsyncdir(
	fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

int file_truncate(struct client *c, struct inode *i, uint64_t size)
{
	int r = want_objects(c, &c->e->inodes.root, i, 0);

	if (r == 0)
		r = inode_use(i, c->index);
	if (r < 0)
		return r;
	r = size ? place_range(c, i, 0, size) : 0;
	for (unsigned n = 0; r == 0 && n < i->lov->n_parts; n++) {
		const struct lov_part *p = &i->lov->part[n];

		for (unsigned k = 0; p->ready && r == 0 && k < p->w.count; k++)
			r = object_truncate(i->objects[p->w.first + k], c->index,
				lov_object_size(p, k, size));
	}
	if (r == 0)
		inode_touch(i);
	inode_unuse(i, c->index);
	return r;
}

/* The first data at or behind @offset, in any object. */
static int64_t seek_data(struct inode *i, uint64_t offset)
{
	int64_t best = -ENXIO;

	for (unsigned n = 0; n < i->lov->n_parts; n++) {
		const struct lov_part *p = &i->lov->part[n];

		for (unsigned k = 0; p->ready && k < p->w.count; k++) {
			int64_t at = object_seek(i->objects[p->w.first + k],
				lov_object_size(p, k, offset), SEEK_DATA);
			int64_t found;

			if (at < 0)
				continue;
			found = (int64_t)lov_file_offset(p, k, (uint64_t)at);
			if (best < 0 || found < best)
				best = found;
		}
	}
	return best;
}

/* Follows the data from stripe unit to stripe unit. */
static int64_t seek_hole(struct inode *i, uint64_t offset, uint64_t end)
{
	while (offset < end) {
		struct lov_piece p = lov_piece_at(i->lov, offset);
		int64_t at = p.part->ready ? object_seek(i->objects[p.stripe], p.at,
						     SEEK_HOLE)
					   : -ENXIO;

		if (at < 0) /* beyond the end of the object */
			return (int64_t)offset;
		if ((uint64_t)at < p.at + p.len) {
			offset += (uint64_t)at - p.at;
			break;
		}
		offset += p.len;
	}
	return (int64_t)(offset < end ? offset : end);
}

static void file_lseek(
	fuse_req_t req, fuse_ino_t ino, off_t at, int whence, struct fuse_file_info *fi)
{
	struct inode *i = handle_of(fi)->inode;
	uint64_t end = inode_size(i), offset = (uint64_t)at;
	int64_t r = -ENXIO;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		r = -EINVAL;
	else if (offset < end)
		r = whence == SEEK_DATA ? seek_data(i, offset)
					: seek_hole(i, offset, end);
	if (r < 0)
		fuse_reply_err(req, (int)-r);
	else
		fuse_reply_lseek(req, r);
}

void file_ops(struct fuse_lowlevel_ops *ops)
{
	ops->open = file_open;
	ops->create = file_create;
	ops->release = file_release;
	ops->flush = file_flush;
	ops->read = file_read;
	ops->write = file_write;
	ops->fsync = file_fsync;
	ops->fsyncdir = file_fsyncdir;
	ops->lseek = file_lseek;
}
