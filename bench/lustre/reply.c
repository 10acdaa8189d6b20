/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What libfuse cannot say, said by hand: parallel direct writes, which it learned in 3.15
 * only, in replies to open and create; and shared maps of files that are read and written
 * directly, in the first reply of a session. Real Lustre has such maps, and sbcast reads its
 * source through one. Kernels older than 6.2 and 6.6 ignore the bits.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "emul.h"

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif

static ssize_t send_reply(int fd, struct iovec *iov, int count, void *data)
{
	struct client *c = data;
	struct fuse_init_out *init;

	if (!c->greeted && count == 2 && iov[1].iov_len >= sizeof(*init)) {
		init = iov[1].iov_base;
		init->flags |= FUSE_INIT_EXT;
		init->flags2 |= FUSE_DIRECT_IO_ALLOW_MMAP >> 32;
		c->greeted = true;
	}
	return writev(fd, iov, count);
}

static ssize_t receive(int fd, void *buf, size_t len, void *data)
{
	return read(fd, buf, len);
}

int reply_attach(struct client *c)
{
	static const struct fuse_custom_io io = {.writev = send_reply, .read = receive};

	return fuse_session_custom_io(c->session, &io, c->fd) < 0 ? -EIO : 0;
}

static struct fuse_open_out open_out(uint64_t handle)
{
	return (struct fuse_open_out){.fh = handle,
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};
}

int reply_open(fuse_req_t req, uint64_t handle)
{
	struct fuse_open_out out = open_out(handle);

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static void split_time(double t, uint64_t *s, uint32_t *ns)
{
	*s = (uint64_t)t;
	*ns = (uint32_t)((t - (double)*s) * 1e9);
}

int reply_create(fuse_req_t req, const struct fuse_entry_param *entry, uint64_t handle)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = {.open = open_out(handle)};
	const struct stat *st = &entry->attr;
	struct fuse_entry_out *e = &out.entry;

	e->nodeid = entry->ino;
	e->generation = entry->generation;
	split_time(entry->entry_timeout, &e->entry_valid, &e->entry_valid_nsec);
	split_time(entry->attr_timeout, &e->attr_valid, &e->attr_valid_nsec);
	e->attr = (struct fuse_attr){.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize};
	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}
