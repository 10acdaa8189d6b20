/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories: making paths, listing. Listing goes straight to getdents64: readdir
 * would add an fstat, which is a round trip to the server for each directory of a
 * parallel file system.
 */
#include "fsio/fsio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"

#define LIST_BYTES                                                                     \
	32768 /* what glibc uses; a request of this size suits Lustre and NFS */

/*
 * May something be made in @dirfd that only we are to rename? Not where another user owns
 * the directory, nor where others may write and nothing (sticky) keeps them to their own.
 * Root is trusted to know whose directories it names.
 */
static bool trusted(int dirfd)
{
	struct stat st;

	if (geteuid() == 0)
		return true;
	if (fstat(dirfd, &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0))
		return false;
	return !(st.st_mode & S_IWOTH) || (st.st_mode & S_ISVTX);
}

/*
 * Open component @name, made if missing. Links are followed: the user named this path.
 */
static int enter(int dirfd, const char *name, mode_t mode, int flags)
{
	int fd = openat(dirfd, name, flags | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	if (!trusted(dirfd))
		return -EPERM;
	/*
	 * EEXIST: somebody else was faster. A dangling link fails in the second open.
	 */
	if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dirfd, name, flags | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int fsio_mkdirs(const char *path, mode_t mode, struct ebt_err *err)
{
	SCOPED_FREE char *copy = strdup(path);
	SCOPED_FD int fd = -1;
	char *save = NULL, *name, *next, shown[512];
	int sub;

	if (!copy)
		return ebt_fail(err, -ENOMEM, "mkdir");
	if (!*path)
		return ebt_fail(err, -ENOENT, "mkdir ''");
	name = strtok_r(copy, "/", &save);
	/* O_PATH: directories on the way need only be passable, not readable. */
	fd = open(*path == '/' ? "/" : ".",
		(name ? O_PATH : O_RDONLY) | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ebt_fail(
			err, -errno, "mkdir %s", text_name(path, shown, sizeof(shown)));
	for (; name; name = next) {
		next = strtok_r(NULL, "/", &save);
		sub = enter(fd, name, mode, next ? O_PATH : O_RDONLY);
		if (sub == -EPERM && !trusted(fd))
			return ebt_failx(err, sub,
				"mkdir %s: others could replace it, the directory above is "
				"another user's or writable by all without sticky bit",
				text_name(path, shown, sizeof(shown)));
		if (sub < 0)
			return ebt_fail(err, sub, "mkdir %s",
				text_name(path, shown, sizeof(shown)));
		scope_close(&fd);
		fd = sub;
	}
	return TAKE_FD(fd);
}

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
