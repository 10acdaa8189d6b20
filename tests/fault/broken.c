/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before the C library by tests, for a local disk that has bad blocks: on rank
 * EBT_TEST_RANK calls about some names fail with EIO. EBT_TEST_BROKEN says which, as
 * ":call:name:call:name:" with the last component of the name: open of a directory, list (once
 * it has given three names), stat, readlink, xattr.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool broken(const char *call, const char *path)
{
	const char *rank = getenv("EBT_RANK"), *wanted = getenv("EBT_TEST_RANK");
	const char *all = getenv("EBT_TEST_BROKEN"), *slash = strrchr(path, '/');
	char one[512];

	if (!rank || !wanted || !all || strcmp(rank, wanted) != 0)
		return false;
	snprintf(one, sizeof(one), ":%s:%s:", call, slash ? slash + 1 : path);
	return strstr(all, one) != NULL;
}

int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...);
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if ((flags & O_DIRECTORY) && broken("open", path)) {
		errno = EIO;
		return -1;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "open64");
	return next(path, flags, mode);
}

struct dirent *readdir(DIR *dir)
{
	static unsigned given;
	struct dirent *(*next)(DIR *), *d;
	char proc[64], path[4096];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", dirfd(dir));
	n = readlink(proc, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	*(void **)&next = dlsym(RTLD_NEXT, "readdir64");
	d = next(dir);
	if (!d || !broken("list", path) || d->d_name[0] == '.')
		return d;
	if (given++ < 3)
		return d;
	errno = EIO;
	return NULL;
}

int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	int (*next)(int, const char *, struct stat *, int);

	if (broken("stat", path)) {
		errno = EIO;
		return -1;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "fstatat64");
	return next(dirfd, path, st, flags);
}

ssize_t readlinkat(int dirfd, const char *path, char *to, size_t len)
{
	ssize_t (*next)(int, const char *, char *, size_t);

	if (broken("readlink", path)) {
		errno = EIO;
		return -1;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "readlinkat");
	return next(dirfd, path, to, len);
}

ssize_t llistxattr(const char *path, char *to, size_t len)
{
	ssize_t (*next)(const char *, char *, size_t);

	if (broken("xattr", path)) {
		errno = EIO;
		return -1;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "llistxattr");
	return next(path, to, len);
}
