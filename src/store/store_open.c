/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a store. The way to it is walked by store_way.c; from `.ebt` on nothing is taken on
 * trust: in a directory where others may write, a planted link or directory would let them
 * read or replace what we bring.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define LOCK_TRIES 16

static int complain(
	const struct store *s, int code, const char *what, struct ebt_err *err)
{
	char shown[512];

	return ebt_fail(
		err, code, "%s%s", text_name(s->path, shown, sizeof(shown)), what);
}

/*
 * What a parent hands down would reach every file: default ACL, the group with set-gid.
 */
static int disinherit(int fd)
{
	struct stat st;

	fremovexattr(fd, "system.posix_acl_default");
	fremovexattr(fd, "system.posix_acl_access");
	if (fstat(fd, &st) < 0 ||
		(st.st_gid != getegid() && fchown(fd, (uid_t)-1, getegid()) < 0))
		return -errno;
	return fchmod(fd, 0700) < 0 ? -errno : 0;
}

int store_private_dir(int dirfd, const char *name, bool *made)
{
	SCOPED_FD int fd = -1;
	bool fresh = mkdirat(dirfd, name, 0700) == 0;
	int r;

	if (!fresh && errno != EEXIST)
		return -errno;
	if (made)
		*made = fresh;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fresh) {
		r = disinherit(fd);
		if (r < 0)
			return r;
	}
	return TAKE_FD(fd);
}

static int check_own(const struct store *s, int fd, struct ebt_err *err)
{
	char shown[512];
	struct stat st;

	if (fd == -ELOOP || fd == -ENOTDIR)
		return complain(
			s, -EPERM, "/" STORE_OWN " is a link or no directory", err);
	if (fd == -ENOENT)
		return complain(s, -ENOENT, " is no store, it has no " STORE_OWN, err);
	if (fd < 0)
		return complain(s, fd, "/" STORE_OWN, err);
	if (fstat(fd, &st) < 0)
		return complain(s, -errno, "/" STORE_OWN, err);
	text_name(s->path, shown, sizeof(shown));
	if (st.st_uid != geteuid())
		return ebt_failx(err, -EPERM,
			"%s/" STORE_OWN ": belongs to user %u, not to us", shown,
			(unsigned)st.st_uid);
	if (st.st_mode & 077)
		return ebt_failx(err, -EPERM,
			"%s/" STORE_OWN ": open to others (mode %04o)", shown,
			(unsigned)(st.st_mode & 07777));
	return 0;
}

/*
 * The lock file; -EROFS if only a file system that nobody can write to has none. To read, a
 * descriptor for reading is enough.
 */
static int open_lock(int ebtfd, enum store_use use)
{
	int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, fd = -1;

	if (use == STORE_READ)
		fd = openat(ebtfd, "lock", O_RDONLY | flags);
	if (fd < 0 && (use != STORE_READ || errno == ENOENT))
		fd = openat(ebtfd, "lock", O_RDWR | O_CREAT | flags, 0600);
	return fd < 0 ? -errno : fd;
}

static int lock(const struct store *s, int fd, struct ebt_err *err)
{
	char shown[512];

	if (flock(fd, (s->use == STORE_READ ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return ebt_failx(err, -errno, "%s: in use by another run",
			text_name(s->path, shown, sizeof(shown)));
	/*
	 * POSIX locks are no way out: what has no flock mostly has none of them either, and they
	 * end with the first descriptor of the file that any part of the process closes.
	 */
	return complain(s, -errno,
		": nothing keeps a second run out, this file system has no flock "
		"(Lustre has, mounted with -o flock or localflock)",
		err);
}

/*
 * The lock file is made once and never written, so this is the same from whatever node and by
 * whatever path, and of no other store.
 */
static uint64_t identify(int dirfd, int ebtfd, int lockfd)
{
	int fds[] = {dirfd, ebtfd, lockfd};
	uint64_t what[5] = {0};
	struct stat st;

	for (int i = 0; i < 3; i++) {
		if (fstat(fds[i], &st) < 0)
			return 0;
		what[i] = st.st_ino;
	}
	what[3] = (uint64_t)st.st_mtim.tv_sec;
	what[4] = (uint64_t)st.st_mtim.tv_nsec;
	return digest_bytes(what, sizeof(what)).lo;
}

/*
 * One attempt. A run that gives up may remove `.ebt` between our open and our lock: 1,
 * and the caller starts again with the new one.
 */
static int lock_own(struct store *s, struct ebt_err *err)
{
	enum store_use use = s->use;
	SCOPED_FD int fd = -1;
	SCOPED_FD int locked = -1;
	bool made = false;
	struct stat st;
	int r;

	if (use == STORE_CREATE)
		fd = store_private_dir(s->dirfd, STORE_OWN, &made);
	else
		fd = openat(s->dirfd, STORE_OWN,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	s->made_ebt |= made;
	if (fd == -ENOENT)
		return 1;
	r = check_own(s, fd < 0 && use != STORE_CREATE ? -errno : fd, err);
	if (r < 0)
		return r;
	locked = open_lock(fd, use);
	if (locked == -ENOENT)
		return 1;
	if (locked < 0 && !(locked == -EROFS && use == STORE_READ))
		return complain(s, locked, "/" STORE_OWN "/lock", err);
	if (locked >= 0) {
		s->identity = use == STORE_READ ? 0 : identify(s->dirfd, fd, locked);
		r = lock(s, locked, err);
		/* Nobody else can have it then. */
		if (r < 0 && r != -EWOULDBLOCK && s->made_ebt)
			unlinkat(fd, "lock", 0);
		if (r < 0)
			return r;
		if (fstat(locked, &st) < 0 || st.st_nlink == 0)
			return 1;
	}
	s->ebtfd = TAKE_FD(fd);
	s->lockfd = locked < 0 ? -1 : TAKE_FD(locked);
	return 0;
}

/* One attempt, 1: somebody removed it meanwhile. */
static int open_once(struct store *s, struct ebt_err *err)
{
	int r = store_way_open(&s->way, s->path, s->use, err);

	if (r != 0)
		return r;
	scope_close(&s->dirfd);
	s->dirfd = openat(s->way.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return complain(s, -errno, "", err);
	return lock_own(s, err);
}

/* What a store that could not be opened leaves goes, as far as we made it. */
static void remove_made(struct store *s)
{
	if (s->made_ebt && unlinkat(s->dirfd, STORE_OWN, AT_REMOVEDIR) == 0)
		s->made_ebt = false;
	store_way_unmake(&s->way);
}

int store_name(
	const char *path, enum store_use use, struct store **out, struct ebt_err *err)
{
	SCOPED(store_closep) struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return ebt_fail(err, -ENOMEM, "store");
	s->way.fd = s->dirfd = s->ebtfd = s->lockfd = s->runfd = -1;
	s->use = use;
	s->path = strdup(path);
	if (!s->path)
		return ebt_fail(err, -ENOMEM, "store");
	*out = TAKE(s);
	return 0;
}

int store_lock(struct store *s, struct ebt_err *err)
{
	int r = 1;

	s->identity = 0;
	for (int i = 0; r == 1 && i < LOCK_TRIES; i++)
		r = open_once(s, err);
	if (r != 0)
		remove_made(s);
	return r <= 0 ? r : complain(s, -EAGAIN, ": comes and goes", err);
}

void store_unlock(struct store *s)
{
	scope_close(&s->ebtfd);
	scope_close(&s->lockfd);
	s->ebtfd = s->lockfd = -1;
}

bool store_locked(const struct store *s)
{
	return s->ebtfd >= 0;
}

int store_open(
	const char *path, enum store_use use, struct store **out, struct ebt_err *err)
{
	SCOPED(store_closep) struct store *s = NULL;
	int r = store_name(path, use, &s, err);

	if (r == 0)
		r = store_lock(s, err);
	if (r == 0)
		*out = TAKE(s);
	return r;
}

uint64_t store_identity(const struct store *s)
{
	return s->identity;
}

int store_peek(const char *path, struct manifest **m, struct ebt_err *err)
{
	SCOPED(store_way_release) struct store_way way = {.fd = -1};
	int r = store_way_open(&way, path, STORE_READ, err);
	SCOPED_FD int fd = -1;
	char shown[512];

	if (r < 0)
		return r;
	fd = openat(way.fd, STORE_OWN, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return ebt_fail(err, -errno, "%s/" STORE_OWN,
			text_name(path, shown, sizeof(shown)));
	return manifest_load(fd, "manifest", m, err);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	scope_close(&s->runfd);
	scope_close(&s->ebtfd);
	scope_close(&s->lockfd); /* and with it the lock */
	scope_close(&s->dirfd);
	store_way_release(&s->way);
	free(s->path);
	free(s);
}

int store_dirfd(const struct store *s)
{
	return s->dirfd;
}

const char *store_path(const struct store *s)
{
	return s->path;
}

const char *store_real_path(const struct store *s)
{
	return s->way.real;
}
