/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before the C library by tests: a file system with quotas that are used up, below
 * EBT_TEST_DEST, whatever is there really.
 *
 *   EBT_TEST_QUOTA      who has how many bytes left for each new file, ",group 5678 0,project 7
 *                       100000,": it may have no more, and with 0 nothing new is made at all
 *   EBT_TEST_PROJECTS   directories whose paths end so have that project, and what is in them,
 *                       ",/dest/sub 7,"
 *   EBT_TEST_CODE       what a project's quota says: EDQUOT if it is not set, XFS has ENOSPC
 *   EBT_TEST_ANSWERS    quotactl_fd(2) tells of "all", of "own" as an ordinary user may ask, of
 *                       none where this is not set; "old": only quotactl(2) does, of all
 *   EBT_TEST_ASKED      a file that a line is written to for each question
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FULL (1ull << 30) /* bytes that somebody with a quota may have */

static const char *const types[] = {"user", "group", "project"};

static const char *setting(const char *name)
{
	const char *s = getenv(name);

	return s ? s : "";
}

/* Bytes that @id has left, false if it has no limit. */
static bool left_of(int type, uint32_t id, uint64_t *left)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), ",%s %u ", types[type], id);
	at = strstr(setting("EBT_TEST_QUOTA"), key);
	if (at)
		*left = strtoull(at + strlen(key), NULL, 10);
	return at != NULL;
}

/* The path of @fd, if it is in question. */
static bool path_of(int fd, char path[PATH_MAX])
{
	const char *dest = setting("EBT_TEST_DEST");
	char proc[64];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = *dest ? readlink(proc, path, PATH_MAX - 1) : -1;
	path[n > 0 ? n : 0] = '\0';
	return n > 0 && strncmp(path, dest, strlen(dest)) == 0;
}

/* Of directory @path or one above it. */
static uint32_t project_of(const char *path)
{
	const char *at = setting("EBT_TEST_PROJECTS");

	while (at && *at == ',' && at[1]) {
		const char *space = strchr(++at, ' ');
		size_t n = space ? (size_t)(space - at) : 0;

		for (const char *p = path; n && (p = strchr(p, '/')); p++) {
			if (strncmp(p, at, n) == 0 && (p[n] == '/' || !p[n]))
				return (uint32_t)strtoul(space, NULL, 10);
		}
		at = strchr(at, ',');
	}
	return 0;
}

/* True, with errno: what counts for these cannot be so large. */
static bool refused(const uint32_t id[3], uint64_t bytes)
{
	uint64_t left;

	for (int type = 0; type < 3; type++) {
		if ((type == 2 && !id[type]) || !left_of(type, id[type], &left) ||
			(left && bytes <= left))
			continue;
		errno = type == 2 && *setting("EBT_TEST_CODE") ? ENOSPC : EDQUOT;
		return true;
	}
	return false;
}

/* Something new, in the directory @fd. */
static bool refuses_in(int fd)
{
	char path[PATH_MAX];
	struct stat st;

	if (!path_of(fd, path) || fstat(fd, &st) < 0)
		return false;
	return refused(
		(uint32_t[]){geteuid(), st.st_mode & S_ISGID ? st.st_gid : getegid(),
			project_of(path)},
		0);
}

/* A file that is to have @bytes. */
static bool refuses_to(int fd, uint64_t bytes)
{
	char path[PATH_MAX];
	struct stat st;

	if (!path_of(fd, path) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	return refused((uint32_t[]){st.st_uid, st.st_gid, project_of(path)}, bytes);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	int (*next)(int, const char *, mode_t);

	*(void **)&next = dlsym(RTLD_NEXT, "mkdirat");
	return refuses_in(dir) ? -1 : next(dir, name, mode);
}

int symlinkat(const char *target, int dir, const char *name)
{
	int (*next)(const char *, int, const char *);

	*(void **)&next = dlsym(RTLD_NEXT, "symlinkat");
	return refuses_in(dir) ? -1 : next(target, dir, name);
}

int openat64(int dir, const char *name, int flags, ...)
{
	int (*next)(int, const char *, int, ...);
	mode_t mode = 0;
	va_list ap;

	*(void **)&next = dlsym(RTLD_NEXT, "openat64");
	va_start(ap, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (flags & O_CREAT && refuses_in(dir))
		return -1;
	return next(dir, name, flags, mode);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	ssize_t (*next)(int, const void *, size_t, off64_t);

	*(void **)&next = dlsym(RTLD_NEXT, "pwrite64");
	return refuses_to(fd, (uint64_t)at + len) ? -1 : next(fd, data, len, at);
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...);
	char path[PATH_MAX];
	struct fsxattr *x;
	va_list ap;

	*(void **)&next = dlsym(RTLD_NEXT, "ioctl");
	va_start(ap, request);
	x = va_arg(ap, void *);
	va_end(ap);
	if (request != FS_IOC_FSGETXATTR || !path_of(fd, path))
		return next(fd, request, x);
	*x = (struct fsxattr){.fsx_projid = project_of(path)};
	x->fsx_xflags = x->fsx_projid ? FS_XFLAG_PROJINHERIT : 0;
	return 0;
}

/* Once more for each call: who had asked before shows. */
static void note(int type, uint32_t id)
{
	const char *path = setting("EBT_TEST_ASKED");
	FILE *f = *path ? fopen(path, "ae") : NULL;

	if (!f)
		return;
	fprintf(f, "%s %u\n", types[type], id);
	fclose(f);
}

static int answer(int cmd, uint32_t id, struct dqblk *q, const char *how)
{
	int type = cmd & 0xff;
	uint64_t left;

	if (cmd != (int)QCMD((unsigned)Q_GETQUOTA, type) || type > 2) {
		errno = EINVAL;
		return -1;
	}
	if (strcmp(how, "own") == 0 && type == 2) {
		errno = EPERM;
		return -1;
	}
	note(type, id);
	*q = (struct dqblk){.dqb_valid = QIF_ALL, .dqb_curspace = 12345};
	if (!left_of(type, id, &left))
		return 0;
	q->dqb_bhardlimit = FULL / 1024;
	q->dqb_curspace = FULL - left;
	return 0;
}

long syscall(long number, ...)
{
	long (*next)(long, ...), a[6];
	const char *how = setting("EBT_TEST_ANSWERS");
	char path[PATH_MAX];
	va_list ap;

	*(void **)&next = dlsym(RTLD_NEXT, "syscall");
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number != SYS_quotactl_fd)
		return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (!path_of((int)a[0], path) || !*how || strcmp(how, "old") == 0) {
		errno = ENOSYS;
		return -1;
	}
	return answer((int)a[1], (uint32_t)a[2], (struct dqblk *)a[3], how);
}

int quotactl(int cmd, const char *device, int id, caddr_t to)
{
	if (strcmp(setting("EBT_TEST_ANSWERS"), "old") != 0 ||
		strncmp(device, "/dev/block/", 11) != 0) {
		errno = ENOTBLK;
		return -1;
	}
	return answer(cmd, (uint32_t)id, (struct dqblk *)to, "all");
}
