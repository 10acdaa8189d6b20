/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories are listed straight by getdents64: readdir would add an fstat, which is a round
 * trip to the server for each directory of a parallel file system.
 */
#include "fsio/fsio.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"

#define LIST_BYTES                                                                     \
	32768 /* what glibc uses; a request of this size suits Lustre and NFS */

int fsio_list(
	int fd, int (*fn)(void *arg, const char *name, unsigned char d_type), void *arg)
{
	SCOPED_FREE char *data = malloc(LIST_BYTES);
	const struct dirent64 *d;
	ssize_t n, at;
	int r;

	if (!data)
		return -ENOMEM;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		n = getdents64(fd, data, LIST_BYTES);
		if (n < 0 && errno == ENOENT) /* the directory itself was removed */
			return 0;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (at = 0; at < n; at += d->d_reclen) {
			d = (const struct dirent64 *)(data + at);
			if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
				continue;
			r = fn(arg, d->d_name, d->d_type);
			if (r != 0)
				return r;
		}
	}
}

bool fsio_cwd_gone(const char *path)
{
	char cwd[1];

	/* Room for nothing: where there is one, it does not fit. */
	return path[0] != '/' && !getcwd(cwd, sizeof(cwd)) && errno == ENOENT;
}
