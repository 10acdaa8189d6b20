/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before the C library by tests: what looks at names on rank EBT_TEST_RANK gets other
 * numbers than elsewhere, as from another kernel.
 *
 *   EBT_TEST_DEVICES=N:N:...    a device of this list has the number of the next one in it
 *   EBT_TEST_INODE=NAME:N       what has this name in its directory has this inode number
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *setting(const char *name)
{
	const char *rank = getenv("EBT_RANK"), *wanted = getenv("EBT_TEST_RANK");

	return rank && wanted && strcmp(rank, wanted) == 0 ? getenv(name) : NULL;
}

static dev_t device_after(const char *list, dev_t dev)
{
	const dev_t first = strtoull(list, NULL, 10);
	char *end;

	for (const char *at = list; *at; at = end + 1) {
		if (strtoull(at, &end, 10) == dev)
			return *end ? strtoull(end + 1, NULL, 10) : first;
		if (!*end)
			break;
	}
	return dev;
}

/* @name: in its directory. */
static void renumber(const char *name, struct stat *st)
{
	const char *devices = setting("EBT_TEST_DEVICES");
	const char *inode = setting("EBT_TEST_INODE");

	if (devices)
		st->st_dev = device_after(devices, st->st_dev);
	if (inode && strncmp(inode, name, strlen(name)) == 0 &&
		inode[strlen(name)] == ':')
		st->st_ino = strtoull(inode + strlen(name) + 1, NULL, 10);
}

int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	const char *slash = strrchr(path, '/');
	int (*next)(int, const char *, struct stat *, int);
	int r;

	*(void **)&next = dlsym(RTLD_NEXT, "fstatat64");
	r = next(dirfd, path, st, flags);
	if (r == 0)
		renumber(slash ? slash + 1 : path, st);
	return r;
}

int fstat(int fd, struct stat *st)
{
	char link[64], path[PATH_MAX] = "";
	int (*next)(int, struct stat *);
	const char *slash;
	int r;

	*(void **)&next = dlsym(RTLD_NEXT, "fstat64");
	r = next(fd, st);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (r == 0 && readlink(link, path, sizeof(path) - 1) > 0) {
		slash = strrchr(path, '/');
		renumber(slash ? slash + 1 : path, st);
	}
	return r;
}
