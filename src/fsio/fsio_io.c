/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers at an offset. The kernel moves at most 2 GiB less a page in one call and
 * may stop early for a signal or at a quota: whoever ignores that loses data only on
 * the day it happens. Calls are capped well below, so that a thread stays
 * interruptible.
 */
#include "fsio/fsio.h"

#include <errno.h>
#include <unistd.h>

#define IO_MAX ((size_t)1 << 30) /* bytes in one system call */

ssize_t fsio_read(int fd, void *data, size_t len, uint64_t off)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, (char *)data + done,
			len - done < IO_MAX ? len - done : IO_MAX, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int fsio_write(int fd, const void *data, size_t len, uint64_t off)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pwrite(fd, (const char *)data + done,
			len - done < IO_MAX ? len - done : IO_MAX, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* POSIX leaves it open; looping would never end */
		done += (size_t)n;
	}
	return 0;
}

int fsio_next_data(int fd, uint64_t off, uint64_t end, uint64_t *start, uint64_t *stop)
{
	off_t data, hole;

	if (off >= end)
		return 1;
	data = lseek(fd, (off_t)off, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return 1;
	if (data < 0 && errno != EINVAL && errno != EOPNOTSUPP)
		return -errno;
	if (data < 0) { /* no support: everything is data */
		*start = off;
		*stop = end;
		return 0;
	}
	if ((uint64_t)data >= end)
		return 1;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole < 0 && errno == ENXIO) /* truncated meanwhile */
		return 1;
	if (hole < 0)
		return -errno;
	*start = (uint64_t)data;
	/* A hole punched between the two calls must not give an empty extent. */
	*stop = hole > data && (uint64_t)hole < end ? (uint64_t)hole : end;
	return 0;
}
