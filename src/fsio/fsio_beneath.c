/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening what lies below a directory, whatever others do to the tree meanwhile. Since Linux
 * 5.6 that is one call, openat2(2). Before, and where a container's seccomp profile does not
 * know the call, every component is opened with O_NOFOLLOW, which costs a call each.
 *
 * The kernel takes fewer than PATH_MAX bytes in a call, though trees may be deeper. A longer path
 * is walked in parts: the directory that the first one ends at is held, and the next one begins
 * there. Each part stays below the directory that it begins at, so all of them do.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio_internal.h"

#define TRIES 16 /* EAGAIN: a rename somewhere raced with the walk */

/* Component [path, path + len), which must not lead upwards. */
static int open_one(int dirfd, const char *path, size_t len, int flags)
{
	char name[256];
	int fd;

	if (len >= sizeof(name))
		return -ENAMETOOLONG;
	memcpy(name, path, len);
	name[len] = '\0';
	if (strcmp(name, "..") == 0)
		return -EXDEV;
	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* With O_PATH and O_NOFOLLOW the kernel opens a link itself. */
static int refuse_link(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISLNK(st.st_mode) ? -ELOOP : 0;
}

int fsio_open_beneath_slowly(int dirfd, const char *path, int flags)
{
	SCOPED_FD int fd = -1;
	const char *rest;
	size_t len;
	int sub, r;

	if (*path == '/')
		return -EXDEV;
	if (!*path)
		path = ".";
	for (;; path = rest) {
		len = strcspn(path, "/");
		rest = path + len + strspn(path + len, "/");
		/* "x/" means that x is a directory. */
		sub = open_one(fd < 0 ? dirfd : fd, path, len,
			*rest ? O_PATH | O_DIRECTORY
			      : flags | (rest > path + len ? O_DIRECTORY : 0));
		if (sub < 0)
			return sub;
		scope_close(&fd);
		fd = sub;
		if (*rest)
			continue;
		r = flags & O_PATH ? refuse_link(fd) : 0;
		return r < 0 ? r : TAKE_FD(fd);
	}
}

/* A path that fits one call. */
static int open_at_once(int dirfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve =
			RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	if (!*path)
		path = ".";
	for (int i = 0; i < TRIES; i++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	if (fd >= 0)
		return (int)fd;
	/* EPERM: what older seccomp profiles answer to calls they do not know. */
	if (errno == ENOSYS || errno == EPERM || errno == EAGAIN)
		return fsio_open_beneath_slowly(dirfd, path, flags);
	return -errno;
}

static int open_in_parts(int dirfd, const char *path, int flags)
{
	SCOPED_FD int at = -1;
	char part[PATH_MAX];
	size_t len;
	int fd;

	/* What would be cut off it leads out, and is not to be a part without a name. */
	if (*path == '/')
		return -EXDEV;
	while (strlen(path) >= PATH_MAX) {
		for (len = PATH_MAX - 1; len > 0 && path[len] != '/'; len--)
			;
		if (!len)
			return -ENAMETOOLONG;
		memcpy(part, path, len);
		part[len] = '\0';
		fd = open_at_once(at < 0 ? dirfd : at, part, O_PATH | O_DIRECTORY);
		if (fd < 0)
			return fd;
		scope_close(&at);
		at = fd;
		path += len + strspn(path + len, "/");
	}
	return open_at_once(at < 0 ? dirfd : at, path, flags);
}

int fsio_open_beneath(int dirfd, const char *path, int flags)
{
	return strlen(path) < PATH_MAX ? open_at_once(dirfd, path, flags)
				       : open_in_parts(dirfd, path, flags);
}
