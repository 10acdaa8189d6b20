/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes onto what was made. The order is the kernel's: chown clears set-id bits
 * and capabilities, an ACL changes the mode, writing changes times; so owner, xattrs,
 * mode, times. Files in bulk come by here once each: only calls that change something
 * are made.
 */
#include "attr/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fsio/fsio.h"

#define MODE_UNKNOWN UINT32_MAX

uint32_t attr_mode(const struct manifest_entry *e, uint32_t uid, uint32_t gid)
{
	uint32_t mode = e->mode & 07777;

	/* A set-id bit is a word of the owner's. It must not speak for anybody else. */
	if (uid != e->uid)
		mode &= ~(uint32_t)S_ISUID;
	if (gid != e->gid)
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

struct attr_made attr_made_file(void)
{
	SCOPED_FD int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct attr_made made = {.uid = geteuid(), .gid = getegid(), .mode = 0600};
	char text[4096];
	unsigned mask;
	ssize_t n = fd < 0 ? -1 : fsio_read(fd, text, sizeof(text) - 1, 0);
	const char *line;

	/* umask(2) can only be asked by changing it, for all threads. */
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nUmask:");
	if (line && sscanf(line, "\nUmask: %o", &mask) == 1)
		made.mode = 0666 & ~mask;
	return made;
}

/* Not what a file system says that is at its end. */
static bool refuses(int code)
{
	return code == -EOPNOTSUPP || code == -EPERM || code == -EACCES ||
	       code == -EINVAL || code == -ENOSYS || code == -ENOSPC ||
	       code == -EDQUOT || code == -E2BIG || code == -ERANGE ||
	       code == -EOVERFLOW;
}

/* @code, or 0: that is left out. */
static int lose(struct attr_loss *loss, enum attr_lost kind, int code)
{
	if (code >= 0 || !loss || !refuses(code))
		return code;
	if (!loss->code[kind])
		loss->code[kind] = code;
	return 0;
}

/* fsio_xattrs_bring: the worst of what cannot be left out. */
struct bringing {
	struct attr_loss *loss;
	int failed;
};

static void refused(void *arg, const char *name, int code)
{
	struct bringing *b = arg;
	enum attr_lost kind = strncmp(name, "user.", 5) == 0	   ? ATTR_LOST_USER
			      : strncmp(name, "trusted.", 8) == 0  ? ATTR_LOST_TRUSTED
			      : strncmp(name, "security.", 9) == 0 ? ATTR_LOST_SECURITY
			      : strcmp(name, "system.posix_acl_default") == 0
				      ? ATTR_LOST_DEFAULT_ACL
				      : ATTR_LOST_ACL;
	int r = lose(b->loss, kind, code);

	if (r < 0)
		b->failed = r;
}

static int fail_owner(const struct manifest_entry *e, int code, struct ebt_err *err)
{
	return ebt_fail(err, code,
		"cannot be given to its owner %u:%u (see --no-owner)", e->uid, e->gid);
}

static void times_of(const struct manifest_entry *e, struct timespec times[2])
{
	times[0] = (struct timespec){.tv_sec = e->atime, .tv_nsec = e->atime_ns};
	times[1] = (struct timespec){.tv_sec = e->mtime, .tv_nsec = e->mtime_ns};
}

/* Give the file away as far as we may; @now follows. */
static int set_owner(int fd, const struct manifest_entry *e, struct attr_made *now)
{
	/* The usual case first, without asking who we are: that is a system call, too. */
	if (e->no_owner || (now->uid == e->uid && now->gid == e->gid))
		return 0;
	if (geteuid() == 0) {
		if (fchown(fd, e->uid, e->gid) < 0)
			return -errno;
		now->uid = e->uid;
	} else {
		if (now->gid == e->gid)
			return 0;
		/* EINVAL: a group that our user namespace does not map. */
		if (fchown(fd, (uid_t)-1, e->gid) < 0)
			return errno == EPERM || errno == EINVAL ? 0 : -errno;
	}
	now->gid = e->gid;
	now->mode &= ~(uint32_t)(S_ISUID | S_ISGID);
	return 0;
}

static int set_xattrs(int fd, const struct manifest_entry *e, enum fsio_others others,
	struct attr_made *now, struct attr_loss *loss)
{
	struct bringing b = {.loss = loss};
	int r;

	if (!e->xattrs_len && !others)
		return 0;
	/*
	 * user.* wants permission to write by mode, however @fd was opened, xattr(7). A
	 * root that may not give files away may be one by name only.
	 */
	if (e->xattrs_len && (geteuid() != 0 || e->no_owner) &&
		!(now->mode & S_IWUSR)) {
		if (fchmod(fd, (now->mode & 07777) | S_IWUSR) < 0 && !loss)
			return -errno;
	}
	if (loss)
		r = fsio_xattrs_bring(
			fd, e->xattrs, e->xattrs_len, others, refused, &b);
	else
		r = fsio_xattrs_set(fd, e->xattrs, e->xattrs_len, others);
	if (r == 0)
		r = b.failed;
	now->mode = MODE_UNKNOWN;
	return r;
}

/*
 * A set-id bit is given only to whom the file belongs in truth: some file systems take a
 * chown(2) and forget it, and files of a squashed root belong to somebody else.
 */
static int ask_owner(int fd, struct attr_made *now)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	now->uid = st.st_uid;
	now->gid = st.st_gid;
	return 0;
}

static int set_mode(int fd, uint32_t mode, struct attr_loss *loss)
{
	struct stat st;

	if (fchmod(fd, mode) < 0)
		return lose(loss, ATTR_LOST_MODE, -errno);
	/* An inherited bit goes, without a word, where we are not in that group. */
	if (loss && S_ISGID & mode && fstat(fd, &st) == 0 && !(st.st_mode & S_ISGID))
		return lose(loss, ATTR_LOST_MODE, -EPERM);
	return 0;
}

static int set_all(int fd, const struct manifest_entry *e, const struct attr_made *made,
	enum fsio_others others, struct attr_loss *loss, struct ebt_err *err)
{
	struct attr_made now;
	struct timespec times[2];
	struct stat st;
	uint32_t mode, gid, handed;
	int r, left;

	if (made) {
		now = *made;
	} else {
		if (fstat(fd, &st) < 0)
			return ebt_fail(err, -errno, "attributes");
		now = (struct attr_made){
			.uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode & 07777};
	}
	gid = now.gid;
	handed = others == FSIO_OTHERS_KEEP_ACLS ? now.mode & S_ISGID : 0;
	r = lose(loss, ATTR_LOST_OWNER, set_owner(fd, e, &now));
	if (r < 0)
		return fail_owner(e, r, err);
	/* That bit is about the group that came with it. */
	if (now.gid != gid)
		handed = 0;
	if (e->mode & (S_ISUID | S_ISGID)) {
		r = ask_owner(fd, &now);
		if (r < 0)
			return ebt_fail(err, r, "attributes");
	}
	left = set_xattrs(fd, e, others, &now, loss);
	if (left < 0 && left != -ENOTSUP)
		return ebt_fail(err, left, "extended attributes");
	mode = attr_mode(e, now.uid, now.gid) | handed;
	r = mode != now.mode ? set_mode(fd, mode, loss) : 0;
	if (r < 0)
		return ebt_fail(err, r, "mode");
	times_of(e, times);
	r = lose(loss, ATTR_LOST_TIMES, futimens(fd, times) < 0 ? -errno : 0);
	if (r < 0)
		return ebt_fail(err, r, "times");
	return left < 0 ? ebt_fail(err, left, "extended attributes (see --no-xattrs)")
			: 0;
}

int attr_set(int fd, const struct manifest_entry *e, const struct attr_made *made,
	struct ebt_err *err)
{
	return set_all(
		fd, e, made, made ? FSIO_OTHERS_KEEP : FSIO_OTHERS_REMOVE, NULL, err);
}

int attr_bring(int fd, const struct manifest_entry *e, const struct attr_made *made,
	struct attr_loss *loss, struct ebt_err *err)
{
	return set_all(fd, e, made, made ? FSIO_OTHERS_KEEP : FSIO_OTHERS_KEEP_ACLS,
		loss, err);
}

int attr_set_directory(
	int fd, const struct manifest_entry *e, bool keep, struct ebt_err *err)
{
	return set_all(
		fd, e, NULL, keep ? FSIO_OTHERS_KEEP : FSIO_OTHERS_REMOVE, NULL, err);
}

int attr_bring_link(int dirfd, const struct manifest_entry *e, struct attr_loss *loss,
	struct ebt_err *err)
{
	struct timespec times[2];
	int r = 0;

	if (geteuid() == 0 && !e->no_owner &&
		fchownat(dirfd, e->name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = lose(loss, ATTR_LOST_OWNER, -errno);
	if (r < 0)
		return fail_owner(e, r, err);
	times_of(e, times);
	if (utimensat(dirfd, e->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = lose(loss, ATTR_LOST_TIMES, -errno);
	return r < 0 ? ebt_fail(err, r, "times") : 0;
}

int attr_set_link(int dirfd, const struct manifest_entry *e, struct ebt_err *err)
{
	return attr_bring_link(dirfd, e, NULL, err);
}
