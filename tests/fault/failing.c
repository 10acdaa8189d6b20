/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before the C library by tests, for failures that are hard to come by. On rank
 * EBT_TEST_RANK, or on "any", and with memory only for the command itself, not for libraries of
 * MPI:
 *
 *   EBT_TEST_SIZE, EBT_TEST_NUMBER   of allocations of exactly that many bytes the one of that
 *                                    number, from 0, and all after it find no memory
 *   EBT_TEST_NO_CALLS                no memory for what other nodes ask to be written
 *   EBT_TEST_UNREADABLE              files whose paths end so cannot be read:
 *   EBT_TEST_CODE                    EIO, or that errno
 *   EBT_TEST_UNMAPPED                nor can it be told where those have data
 *   EBT_TEST_DO                      a command for the shell, to be run before files are read
 *   EBT_TEST_READ                    whose paths end so, or looked at, whose names end as
 *   EBT_TEST_LOOK                    this says, the first so many
 *   EBT_TEST_TIMES                   times (1)
 *   EBT_TEST_EARLY                   a signal of that number comes when MPI_Init begins
 *   EBT_TEST_DROWSY                  sleeps of 0.1 s take twice as long
 *   EBT_TEST_INODES                  inode numbers are larger by that
 *   EBT_TEST_AT                      of the calls that change a file system, the one of that
 *                                    number, from 1:
 *   EBT_TEST_NAPS                    takes so many seconds longer, or
 *   EBT_TEST_DIES                    the process is killed, "before" it or "after" it, or
 *   EBT_TEST_ERROR                   it fails with that errno, and with EBT_TEST_ON so do all
 *                                    that come after it
 *   EBT_TEST_CALLS                   only calls of these names count, ",linkat,write,"; write
 *                                    is one to what a store keeps for itself
 *   EBT_TEST_HIT                     a file that the name of the call is written to
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drain/move/net.h"

static const char *setting(const char *name)
{
	const char *rank = getenv("EBT_RANK"), *wanted = getenv("EBT_TEST_RANK");

	if (!rank || !wanted ||
		(strcmp(rank, wanted) != 0 && strcmp(wanted, "any") != 0))
		return NULL;
	return getenv(name);
}

static int of_command(void *caller)
{
	Dl_info info;

	return dladdr(caller, &info) && strstr(info.dli_fname, "/ebt-");
}

void *malloc(size_t size)
{
	static void *(*next)(size_t);
	static unsigned long fatal, number, seen;

	if (!next) {
		const char *s = setting("EBT_TEST_SIZE"),
			   *n = setting("EBT_TEST_NUMBER");

		fatal = s ? strtoul(s, NULL, 10) : 0;
		number = n ? strtoul(n, NULL, 10) : 0;
		*(void **)&next = dlsym(RTLD_NEXT, "malloc");
	}
	if (fatal && size == fatal && of_command(__builtin_return_address(0)) &&
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
	if (no_calls && n == 1 && size == sizeof(struct net_job) &&
		of_command(__builtin_return_address(0))) {
		errno = ENOMEM;
		return NULL;
	}
	return next(n, size);
}

static int ends(const char *path, ssize_t n, const char *name)
{
	const char *end = setting(name);

	return end && n >= (ssize_t)strlen(end) &&
	       memcmp(path + n - strlen(end), end, strlen(end)) == 0;
}

/* The file's path ends as the setting says. */
static int meant(int fd, const char *name)
{
	char proc[64], path[4096];

	if (!setting(name))
		return 0;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return ends(path, readlink(proc, path, sizeof(path)), name);
}

/* Whoever else works on the files does so now. */
static void others_work(void)
{
	static unsigned long seen;
	const char *command = setting("EBT_TEST_DO"),
		   *times = setting("EBT_TEST_TIMES");
	unsigned long most = times ? strtoul(times, NULL, 10) : 1;
	char sh[] = "sh", c[] = "-c", path[] = "PATH=/usr/bin:/bin";
	char *const args[] = {sh, c, (char *)command, NULL};
	char *const env[] = {path, NULL};
	int status;
	pid_t pid;

	if (!command || __atomic_fetch_add(&seen, 1, __ATOMIC_RELAXED) >= most)
		return;
	if (posix_spawn(&pid, "/bin/sh", NULL, NULL, args, env) != 0 ||
		waitpid(pid, &status, 0) < 0 || status != 0)
		fprintf(stderr, "EBT_TEST_DO: failed\n");
}

ssize_t pread(int fd, void *to, size_t len, off_t off)
{
	ssize_t (*next)(int, void *, size_t, off_t);
	const char *code = setting("EBT_TEST_CODE");

	if (meant(fd, "EBT_TEST_UNREADABLE")) {
		errno = code ? atoi(code) : EIO;
		return -1;
	}
	if (meant(fd, "EBT_TEST_READ"))
		others_work();
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

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)
{
	int (*next)(int *, char ***, int, int *);
	const char *sig = setting("EBT_TEST_EARLY");

	*(void **)&next = dlsym(RTLD_NEXT, "MPI_Init_thread");
	if (sig)
		kill(getpid(), atoi(sig));
	return next(argc, argv, required, provided);
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
	int (*next)(const struct timespec *, struct timespec *);
	struct timespec longer = *time;

	if (time->tv_sec == 0 && time->tv_nsec == 100000000 &&
		setting("EBT_TEST_DROWSY"))
		longer.tv_nsec = 200000000;
	*(void **)&next = dlsym(RTLD_NEXT, "nanosleep");
	return next(&longer, left);
}

static void renumber(struct stat *st)
{
	const char *more = setting("EBT_TEST_INODES");

	st->st_ino += more ? strtoul(more, NULL, 10) : 0;
}

#define RENUMBERS(of, call, name, params, args)                                        \
	of int call params                                                             \
	{                                                                              \
		int(*next) params, r;                                                  \
		*(void **)&next = dlsym(RTLD_NEXT, name);                              \
		r = next args;                                                         \
		if (r == 0)                                                            \
			renumber(st);                                                  \
		return r;                                                              \
	}

/* By the names that they have for files of any size. */
RENUMBERS(, fstat, "fstat64", (int fd, struct stat *st), (fd, st))
RENUMBERS(, stat, "stat64", (const char *path, struct stat *st), (path, st))
RENUMBERS(, lstat, "lstat64", (const char *path, struct stat *st), (path, st))
RENUMBERS(static, stat_at, "fstatat64",
	(int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags))

int fstatat(int fd, const char *path, struct stat *st, int flags)
{
	if (ends(path, (ssize_t)strlen(path), "EBT_TEST_LOOK"))
		others_work();
	return stat_at(fd, path, st, flags);
}

int statx(int fd, const char *path, int flags, unsigned mask, struct statx *x)
{
	int (*next)(int, const char *, int, unsigned, struct statx *), r;
	struct stat st;

	*(void **)&next = dlsym(RTLD_NEXT, "statx");
	r = next(fd, path, flags, mask, x);
	if (r < 0)
		return r;
	st.st_ino = x->stx_ino;
	renumber(&st);
	x->stx_ino = st.st_ino;
	return r;
}

enum strike { NONE, DIE_AFTER, FAIL };

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* What happens to this call, if it is not killed right here. FAIL: errno is set. */
static enum strike strike(const char *call)
{
	static unsigned long seen;
	const char *at = setting("EBT_TEST_AT"), *calls = setting("EBT_TEST_CALLS");
	const char *dies = setting("EBT_TEST_DIES"), *code = setting("EBT_TEST_ERROR");
	const char *hit = setting("EBT_TEST_HIT");
	unsigned long n;
	char name[32];
	FILE *f;

	snprintf(name, sizeof(name), ",%s,", call);
	if (!at || (calls && !strstr(calls, name)))
		return NONE;
	n = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
	if (n < strtoul(at, NULL, 10) ||
		(n > strtoul(at, NULL, 10) && !setting("EBT_TEST_ON")))
		return NONE;
	f = hit ? fopen(hit, "ae") : NULL;
	if (f) {
		fprintf(f, "%s\n", call);
		fclose(f);
	}
	if (setting("EBT_TEST_NAPS")) {
		sleep((unsigned)atoi(setting("EBT_TEST_NAPS")));
		return NONE;
	}
	if (!dies) {
		errno = code ? atoi(code) : EIO;
		return FAIL;
	}
	if (strcmp(dies, "before") == 0)
		die();
	return DIE_AFTER;
}

#define STRIKES(type, call, params, args)                                              \
	type call params                                                               \
	{                                                                              \
		static type(*next) params;                                             \
		enum strike s = strike(#call);                                         \
		type r;                                                                \
		if (!next)                                                             \
			*(void **)&next = dlsym(RTLD_NEXT, #call);                     \
		if (s == FAIL)                                                         \
			return -1;                                                     \
		r = next args;                                                         \
		if (s == DIE_AFTER)                                                    \
			die();                                                         \
		return r;                                                              \
	}

STRIKES(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d))
STRIKES(int, renameat2, (int a, const char *b, int c, const char *d, unsigned e),
	(a, b, c, d, e))
STRIKES(int, linkat, (int a, const char *b, int c, const char *d, int e),
	(a, b, c, d, e))
STRIKES(int, symlinkat, (const char *a, int b, const char *c), (a, b, c))
STRIKES(int, unlinkat, (int a, const char *b, int c), (a, b, c))
STRIKES(int, mkdir, (const char *a, mode_t b), (a, b))
STRIKES(int, mkdirat, (int a, const char *b, mode_t c), (a, b, c))
STRIKES(int, fsync, (int a), (a))
STRIKES(int, fchmod, (int a, mode_t b), (a, b))
STRIKES(int, fchown, (int a, uid_t b, gid_t c), (a, b, c))
STRIKES(int, futimens, (int a, const struct timespec b[2]), (a, b))
/* As the commands call them, for files of any size. */
STRIKES(int, ftruncate64, (int a, off64_t b), (a, b))
STRIKES(ssize_t, pwrite64, (int a, const void *b, size_t c, off64_t d), (a, b, c, d))

/* What a store keeps for itself. MPI writes to its shared memory, which is no file that lasts. */
static bool of_a_store(int fd)
{
	char proc[64], path[4096];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return strstr(path, "/.ebt/") != NULL;
}

ssize_t write(int fd, const void *data, size_t len)
{
	static ssize_t (*next)(int, const void *, size_t);
	enum strike s = NONE;
	int code = errno;
	ssize_t r;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "write");
	if (setting("EBT_TEST_AT") && of_a_store(fd))
		s = strike("write");
	if (s == FAIL)
		return -1;
	errno = code;
	r = next(fd, data, len);
	if (s == DIE_AFTER)
		die();
	return r;
}
