/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies to open and create, made by hand: libfuse learned to ask for parallel direct
 * writes in 3.15 only. The kernel takes them since 6.2, older ones ignore the bit.
 */
#include <linux/fuse.h>
#include <string.h>

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "emul.h"

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

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
