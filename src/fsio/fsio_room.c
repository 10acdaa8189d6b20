/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that lies in files. Its pages may leave memory at any time and come back when they are
 * touched, so what is gone through in order costs a few of them, however large it is.
 *
 * Who writes to a mapping has no call that could fail: without room for a page it is a signal
 * that ends the process. So all room is taken when the file is made, and only on file systems
 * that keep what they promise then: with others, as ZFS and Btrfs, a page that was promised may
 * still find no room for its copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include "base/scope.h"
#include "fsio/fsio.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342 /* statfs(2) */
#endif

#define SHARE 8 /* one part in so many of what is free: others write there as well */

static bool keeps_promises(int dirfd, size_t len)
{
	struct statfs st;

	if (fstatfs(dirfd, &st) < 0)
		return false;
	/* A tmpfs without a bound counts no blocks. */
	if (st.f_blocks && (uint64_t)st.f_bavail * (uint64_t)st.f_bsize / SHARE < len)
		return false;
	switch ((uint32_t)st.f_type) {
	case TMPFS_MAGIC:
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
		return true;
	}
	return false;
}

void *fsio_room_new(int dirfd, size_t len)
{
	SCOPED_FD int fd = -1;
	void *p;

	if (dirfd < 0 || !keeps_promises(dirfd, len))
		return NULL;
	fd = openat(dirfd, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || fallocate(fd, 0, 0, (off_t)len) < 0)
		return NULL;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

void fsio_room_free(void *p, size_t len)
{
	if (p)
		munmap(p, len);
}

void fsio_room_let_go(void *p, size_t len)
{
	/* Of a shared mapping: the file keeps what is in the pages. */
	madvise(p, len, MADV_DONTNEED);
}
