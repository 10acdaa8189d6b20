/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before the C library by tests, for failures that are hard to come by. On rank
 * EBT_TEST_RANK:
 *
 *   EBT_TEST_SIZE, EBT_TEST_NUMBER   of allocations of exactly that many bytes the one of that
 *                                    number, from 0, and all after it find no memory
 *   EBT_TEST_NO_CALLS                no memory for what other nodes ask to be written
 *   EBT_TEST_UNREADABLE              files whose paths end so cannot be read: EIO
 *   EBT_TEST_UNMAPPED                nor can it be told where those have data
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "drain/net.h"

static const char *setting(const char *name)
{
	const char *rank = getenv("PMI_RANK"), *wanted = getenv("EBT_TEST_RANK");

	return rank && wanted && strcmp(rank, wanted) == 0 ? getenv(name) : NULL;
}

void *malloc(size_t size)
{
	static void *(*next)(size_t);
	static unsigned long fatal, number, seen;

	if (!next) {
		const char *s = setting("EBT_TEST_SIZE"), *n = setting("EBT_TEST_NUMBER");

		fatal = s ? strtoul(s, NULL, 10) : 0;
		number = n ? strtoul(n, NULL, 10) : 0;
		*(void **)&next = dlsym(RTLD_NEXT, "malloc");
	}
	if (fatal && size == fatal &&
		__atomic_fetch_add(&seen, 1, __ATOMIC_RELAXED) >= number) {
		errno = ENOMEM;
		return NULL;
	}
	return next(size);
}

void *calloc(size_t n, size_t size)
{
	static void *(*next)(size_t, size_t);
	static int no_calls;

	if (!next) {
		no_calls = setting("EBT_TEST_NO_CALLS") != NULL;
		*(void **)&next = dlsym(RTLD_NEXT, "calloc");
	}
	if (no_calls && n == 1 && size == sizeof(struct net_job)) {
		errno = ENOMEM;
		return NULL;
	}
	return next(n, size);
}

/* The file's path ends as the setting says. */
static int meant(int fd, const char *name)
{
	const char *wrong = setting(name);
	char proc[64], path[4096];
	ssize_t n;

	if (!wrong)
		return 0;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, path, sizeof(path));
	return n >= (ssize_t)strlen(wrong) &&
		memcmp(path + n - strlen(wrong), wrong, strlen(wrong)) == 0;
}

ssize_t pread(int fd, void *to, size_t len, off_t off)
{
	ssize_t (*next)(int, void *, size_t, off_t);

	if (meant(fd, "EBT_TEST_UNREADABLE")) {
		errno = EIO;
		return -1;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "pread64");
	return next(fd, to, len, off);
}

off_t lseek(int fd, off_t off, int whence)
{
	off_t (*next)(int, off_t, int);

	if (whence == SEEK_DATA && meant(fd, "EBT_TEST_UNMAPPED")) {
		errno = EIO;
		return -1;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "lseek64");
	return next(fd, off, whence);
}
