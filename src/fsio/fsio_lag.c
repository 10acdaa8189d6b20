/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Views that lag. A client of a network file system may answer from what it remembers: that a
 * name is missing, seconds or a minute after another machine made it, and sizes and times as
 * they were. Two things go to the server all the same: statx(2) with AT_STATX_FORCE_SYNC, of
 * what was found, and a change of a directory. mkdir(2) of a name that is there says EEXIST,
 * and with that answer the client forgets what it believed. If it succeeds nobody made the
 * name, and what it made is removed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"

#define FIRST_MS   10 /* of waiting, doubled each time */
#define LONGEST_MS 320

static struct timespec time_of(struct statx_timestamp t)
{
	return (struct timespec){.tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec};
}

int fsio_stat_now(int dirfd, const char *name, struct stat *out)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
	struct statx x;

	if (statx(dirfd, name, flags | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x) <
		0) {
		/* EPERM: what some containers say to calls that they do not know. */
		if (errno != ENOSYS && errno != EPERM)
			return -errno;
		return fstatat(dirfd, name, out, flags) < 0 ? -errno : 0;
	}
	*out = (struct stat){
		.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.st_ino = x.stx_ino,
		.st_mode = x.stx_mode,
		.st_nlink = x.stx_nlink,
		.st_uid = x.stx_uid,
		.st_gid = x.stx_gid,
		.st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor),
		.st_size = (off_t)x.stx_size,
		.st_blksize = x.stx_blksize,
		.st_blocks = (blkcnt_t)x.stx_blocks,
		.st_atim = time_of(x.stx_atime),
		.st_mtim = time_of(x.stx_mtime),
		.st_ctim = time_of(x.stx_ctime),
	};
	return 0;
}

static int open_start(int dirfd, const char *path, size_t len)
{
	SCOPED_FREE char *start = strndup(path, len);
	int fd;

	if (!start)
		return -ENOMEM;
	if (dirfd != AT_FDCWD)
		return fsio_open_beneath(dirfd, start, O_PATH | O_DIRECTORY);
	fd = open(*start ? start : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* 1: the server has @name. 0: it does not tell. -ENOENT: it has not. */
static int ask(int above, const char *name, size_t len)
{
	SCOPED_FREE char *leaf = strndup(name, len);

	/* Nobody else makes names there, and so no view of it lags. */
	if (!leaf || fsio_is_local(above))
		return -ENOENT;
	if (mkdirat(above, leaf, 0700) < 0)
		return errno == EEXIST;
	unlinkat(above, leaf, AT_REMOVEDIR);
	return -ENOENT;
}

/* The first component that is missing here, the last one at the latest. */
static int ask_for(int dirfd, const char *path)
{
	SCOPED_FD int above = open_start(dirfd, path, 0);
	const char *rest, *p = path + strspn(path, "/");
	size_t len;
	int fd;

	for (; above >= 0 && *p; p = rest) {
		len = strcspn(p, "/");
		rest = p + len + strspn(p + len, "/");
		if (!*rest)
			return ask(above, p, len);
		fd = open_start(dirfd, path, (size_t)(p - path) + len);
		if (fd == -ENOENT || fd == -ESTALE)
			return ask(above, p, len);
		scope_close(&above);
		above = fd;
	}
	return above < 0 ? above : -ENOENT;
}

bool fsio_lags(struct fsio_lag *l, int dirfd, const char *path,
	const struct fsio_patience *p, int code)
{
	unsigned ms = l->tries < 6 ? FIRST_MS << l->tries : LONGEST_MS;
	int r;

	if ((code != -ENOENT && code != -ESTALE) || l->waited_ms >= FSIO_LAG_MS ||
		(p->stopped && p->stopped(p->arg)))
		return false;
	r = ask_for(dirfd, path);
	if (r < 0)
		return false;
	/* That the name is there is known here too now. */
	if (l->tries++ == 0 && r == 1)
		return true;
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000l}, NULL);
	l->waited_ms += ms;
	return true;
}
