/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The digest of a file on disk. Leaves of zeros count as nothing, so holes are skipped
 * unread; a file that occupies its full size has none, and is not asked for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "store/store_internal.h"

struct summing {
	int fd;
	unsigned char *data; /* STORE_BUFFER */
	bool (*stopped)(void *arg);
	void *arg;
	struct ebt_digest sum;
};

/* Leaves of [off, stop), off at a leaf's start, read and summed up. */
static int add_range(struct summing *s, uint64_t off, uint64_t stop)
{
	size_t want, len;
	ssize_t n;

	for (; off < stop; off += want) {
		if (s->stopped && s->stopped(s->arg))
			return -EINTR;
		want = stop - off < STORE_BUFFER ? stop - off : STORE_BUFFER;
		n = fsio_read(s->fd, s->data, want, off);
		if (n < 0)
			return (int)n;
		if ((size_t)n < want)
			return 1;
		for (size_t at = 0; at < want; at += len) {
			len = want - at < DIGEST_LEAF ? want - at : DIGEST_LEAF;
			s->sum = digest_sum(s->sum, digest_leaf(s->data + at, len,
							    (off + at) / DIGEST_LEAF));
		}
	}
	return 0;
}

int store_digest(int fd, uint64_t size, void *data, bool (*stopped)(void *arg),
	void *arg, struct ebt_digest *digest)
{
	struct summing s = {.fd = fd, .data = data, .stopped = stopped, .arg = arg};
	uint64_t off = 0, start = 0, stop = size;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size < size)
		return 1;
	while (off < size) {
		if ((uint64_t)st.st_blocks * 512 < size) {
			r = fsio_next_data(fd, off, size, &start, &stop);
			if (r != 0)
				break;
			start -= start % DIGEST_LEAF;
			off = start > off ? start : off;
			stop += (DIGEST_LEAF - stop % DIGEST_LEAF) % DIGEST_LEAF;
			stop = stop < size ? stop : size;
		}
		r = add_range(&s, off, stop);
		if (r != 0)
			return r;
		off = stop;
	}
	if (r < 0)
		return r;
	*digest = s.sum;
	return 0;
}

int store_open_file(int dirfd, const char *name, const struct stat *st, bool *opened)
{
	/* O_NONBLOCK: what was a file may be a FIFO by now. */
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	SCOPED_FD int at = -1;
	char proc[32];
	int fd = openat(dirfd, name, flags);

	*opened = false;
	if (fd >= 0 || errno != EACCES || st->st_uid != geteuid())
		return fd < 0 ? -errno : fd;
	at = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		return -EACCES;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", at);
	if (chmod(proc, (st->st_mode & 07777) | S_IRUSR) < 0)
		return -EACCES;
	fd = open(proc, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		chmod(proc, st->st_mode & 07777);
		return -EACCES;
	}
	*opened = true;
	return fd;
}
