/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a store. DEST itself is named by the user and may be reached by links; from
 * `.ebt` on nothing is taken on trust: in a directory where others may write, a planted
 * link or directory would let them read or replace what we bring.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

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
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fresh) {
		r = disinherit(fd);
		if (r < 0)
			return r;
	}
	if (made)
		*made = fresh;
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
 * One attempt. A run that gives up may remove `.ebt` between our open and our lock: 1,
 * and the caller starts again with the new one.
 */
static int lock_own(struct store *s, bool create, struct ebt_err *err)
{
	SCOPED_FD int fd = -1;
	SCOPED_FD int lock = -1;
	bool made = false;
	struct stat st;
	int r;

	fd = create ? store_private_dir(s->dirfd, STORE_OWN, &made)
		    : openat(s->dirfd, STORE_OWN,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = check_own(s, fd < 0 && !create ? -errno : fd, err);
	if (r < 0)
		return r;
	lock = openat(fd, "lock",
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (lock < 0 && errno == ENOENT)
		return 1;
	if (lock < 0)
		return complain(s, -errno, "/" STORE_OWN "/lock", err);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return complain(s, -errno, ": in use by another run", err);
	if (fstat(lock, &st) < 0 || st.st_nlink == 0)
		return 1;
	s->made_ebt |= made;
	s->ebtfd = TAKE_FD(fd);
	s->lockfd = TAKE_FD(lock);
	return 0;
}

/*
 * DEST as it was opened, @st, is for us alone to fill. 1: it changed meanwhile, try again.
 * Whoever owns a directory, or may write in one that is not sticky, can rename all that is in
 * it; root knows whose directories it names. A link of somebody else's leads wherever he
 * wants, root too: in a sticky directory the kernel may forbid that, see proc(5),
 * protected_symlinks, or not.
 */
static int check_dest(const struct store *s, const struct stat *st, struct ebt_err *err)
{
	SCOPED_FREE char *path = strdup(s->path);
	struct stat name;

	if (!path)
		return complain(s, -ENOMEM, "", err);
	/* With a slash at its end lstat would follow it. */
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	if (lstat(path, &name) < 0)
		return errno == ENOENT ? 1 : complain(s, -errno, "", err);
	if (!S_ISLNK(name.st_mode) &&
		(name.st_dev != st->st_dev || name.st_ino != st->st_ino))
		return 1;
	if (S_ISLNK(name.st_mode) && name.st_uid != geteuid() && name.st_uid != 0)
		return complain(s, -EPERM, ": is a link of another user's", err);
	if (geteuid() == 0)
		return 0;
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return complain(s, -EPERM, ": belongs to another user", err);
	if (st->st_mode & S_IWOTH && !(st->st_mode & S_ISVTX))
		return complain(s, -EPERM,
			": others could replace what is in it, it is writable by all without "
			"sticky bit",
			err);
	return 0;
}

static int open_dest(struct store *s, bool create, struct ebt_err *err)
{
	struct stat st;

	s->dirfd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd >= 0)
		return fstat(s->dirfd, &st) < 0 ? complain(s, -errno, "", err)
						: check_dest(s, &st, err);
	if (errno != ENOENT || !create)
		return complain(s, -errno, "", err);
	s->dirfd = fsio_mkdirs(s->path, 0700, err);
	s->made_dest = s->dirfd >= 0;
	return s->dirfd < 0 ? s->dirfd : 0;
}

int store_open(const char *path, bool create, struct store **out, struct ebt_err *err)
{
	SCOPED(store_closep) struct store *s = calloc(1, sizeof(*s));
	int r = 1;

	if (!s)
		return ebt_fail(err, -ENOMEM, "store");
	s->dirfd = s->ebtfd = s->lockfd = s->runfd = -1;
	s->path = strdup(path);
	if (!s->path)
		return ebt_fail(err, -ENOMEM, "store");
	for (int i = 0; r == 1 && i < LOCK_TRIES; i++) {
		scope_close(&s->dirfd);
		r = open_dest(s, create, err);
		if (r == 0)
			r = lock_own(s, create, err);
	}
	if (r != 0)
		return r < 0 ? r : complain(s, -EAGAIN, ": comes and goes", err);
	*out = TAKE(s);
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	scope_close(&s->runfd);
	scope_close(&s->ebtfd);
	scope_close(&s->lockfd); /* and with it the lock */
	scope_close(&s->dirfd);
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

int store_manifest(struct store *s, struct manifest **m, struct ebt_err *err)
{
	if (faccessat(s->ebtfd, "manifest", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return complain(s, -errno, "/" STORE_OWN "/manifest", err);
		*m = NULL;
		return 0;
	}
	return manifest_load(s->ebtfd, "manifest", m, err);
}
