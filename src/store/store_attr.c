/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes onto what was made. The order is the kernel's: chown clears set-id bits
 * and capabilities, an ACL changes the mode, writing changes times; so owner, xattrs,
 * mode, times. Files in bulk come by here once each: only calls that change something
 * are made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define MODE_UNKNOWN UINT32_MAX

uint32_t store_mode(const struct manifest_entry *e, uint32_t uid, uint32_t gid)
{
	uint32_t mode = e->mode & 07777;

	/* A set-id bit is a word of the owner's. It must not speak for anybody else. */
	if (uid != e->uid)
		mode &= ~(uint32_t)S_ISUID;
	if (gid != e->gid)
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

struct store_made store_made_file(void)
{
	SCOPED_FD int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct store_made made = {.uid = geteuid(), .gid = getegid(), .mode = 0600};
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

static int fail(
	const struct manifest_entry *e, int code, const char *what, struct ebt_err *err)
{
	char shown[512];

	return ebt_fail(
		err, code, "%s of %s", what, text_name(e->name, shown, sizeof(shown)));
}

static void times_of(const struct manifest_entry *e, struct timespec times[2])
{
	times[0] = (struct timespec){.tv_sec = e->atime, .tv_nsec = e->atime_ns};
	times[1] = (struct timespec){.tv_sec = e->mtime, .tv_nsec = e->mtime_ns};
}

/* Give the file away as far as we may; @now follows. */
static int set_owner(int fd, const struct manifest_entry *e, struct store_made *now)
{
	/* The usual case first, without asking who we are: that is a system call, too. */
	if (now->uid == e->uid && now->gid == e->gid)
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

static int set_xattrs(
	int fd, const struct manifest_entry *e, bool exact, struct store_made *now)
{
	int r;

	if (!e->xattrs_len && !exact)
		return 0;
	/*
	 * user.* wants permission to write by mode, however @fd was opened, xattr(7).
	 */
	if (e->xattrs_len && geteuid() != 0 && !(now->mode & S_IWUSR)) {
		if (fchmod(fd, (now->mode & 07777) | S_IWUSR) < 0)
			return -errno;
	}
	r = fsio_xattrs_set(fd, e->xattrs, e->xattrs_len, exact);
	now->mode = MODE_UNKNOWN;
	/* A file is new, and the run can still fail; a directory is published already. */
	return r == -ENOTSUP && exact ? 0 : r;
}

static int set_all(int fd, const struct manifest_entry *e, const struct store_made *made,
	bool exact, struct ebt_err *err)
{
	struct store_made now;
	struct timespec times[2];
	struct stat st;
	uint32_t mode;
	int r;

	if (made) {
		now = *made;
	} else {
		if (fstat(fd, &st) < 0)
			return fail(e, -errno, "attributes", err);
		now = (struct store_made){
			.uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode & 07777};
	}
	r = set_owner(fd, e, &now);
	if (r < 0)
		return fail(e, r, "owner", err);
	r = set_xattrs(fd, e, exact, &now);
	if (r < 0)
		return fail(e, r, "extended attributes", err);
	mode = store_mode(e, now.uid, now.gid);
	if (mode != now.mode && fchmod(fd, mode) < 0)
		return fail(e, -errno, "mode", err);
	times_of(e, times);
	return futimens(fd, times) < 0 ? fail(e, -errno, "times", err) : 0;
}

int store_set_attributes(int fd, const struct manifest_entry *e,
	const struct store_made *made, struct ebt_err *err)
{
	return set_all(fd, e, made, !made, err);
}

int store_set_directory(int fd, const struct manifest_entry *e, bool keep, struct ebt_err *err)
{
	return set_all(fd, e, NULL, !keep, err);
}

int store_set_link_attributes(
	int dirfd, const struct manifest_entry *e, struct ebt_err *err)
{
	struct timespec times[2];

	if (geteuid() == 0 &&
		fchownat(dirfd, e->name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(e, -errno, "owner", err);
	times_of(e, times);
	if (utimensat(dirfd, e->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(e, -errno, "times", err);
	return 0;
}
