/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small files whole. fsio_save gives what rename(2) gives: a reader finds the old
 * content or the new. The two syncs around the rename extend that to a crash of the
 * machine: the file's before it (or a new name could stand for empty content), the
 * directory's after it (or the caller could act on a record that is gone after the
 * reboot).
 */
#include "fsio/fsio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"

static int fail(struct ebt_err *err, int code, const char *doing, const char *name)
{
	char shown[256];

	return ebt_fail(
		err, code, "%s %s", doing, text_name(name, shown, sizeof(shown)));
}

int fsio_open_whole(int dirfd, const char *name, struct stat *st, struct ebt_err *err)
{
	/* O_NONBLOCK: a planted FIFO must not hang us. */
	SCOPED_FD int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, st) < 0)
		return fail(err, -errno, "read", name);
	if (!S_ISREG(st->st_mode))
		return fail(
			err, S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL, "read", name);
	return TAKE_FD(fd);
}

int fsio_load(
	int dirfd, const char *name, size_t max, struct buf *out, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	struct stat st;
	size_t want;
	ssize_t n;
	void *p;
	SCOPED_FD int fd = fsio_open_whole(dirfd, name, &st, err);

	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max)
		return fail(err, -EFBIG, "read", name);
	/*
	 * One byte more than expected: the read that meets the end of file proves it.
	 */
	want = (size_t)st.st_size + 1;
	for (;;) {
		p = buf_extend(&b, want);
		if (!p)
			return fail(err, -ENOMEM, "read", name);
		b.len -= want;
		n = fsio_read(fd, p, want, b.len);
		if (n < 0)
			return fail(err, (int)n, "read", name);
		b.len += (size_t)n;
		if (b.len > max)
			return fail(err, -EFBIG, "read", name);
		if ((size_t)n < want)
			break;
		want = max - b.len < 65536 ? max - b.len + 1 : 65536;
	}
	buf_put(out, b.data, b.len);
	return buf_ok(out) ? 0 : fail(err, -ENOMEM, "read", name);
}

/* The directory that holds @name, open, and the last component in *base. */
static int open_parent(int dirfd, const char *name, const char **base)
{
	SCOPED_FREE char *dir = NULL;
	const char *slash = strrchr(name, '/');
	int fd;

	*base = slash ? slash + 1 : name;
	dir = slash == name ? strdup("/")
	      : slash	    ? strndup(name, (size_t)(slash - name))
			    : strdup(".");
	if (!dir)
		return -ENOMEM;
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void fsio_save_drop(struct fsio_saving *sv)
{
	if (sv->fd >= 0)
		close(TAKE_FD(sv->fd));
	if (sv->dir >= 0)
		unlinkat(sv->dir, sv->temp, 0);
	if (sv->dir >= 0)
		close(TAKE_FD(sv->dir));
	scope_free(&sv->name);
	sv->name = NULL;
}

int fsio_save_open(
	int dirfd, const char *name, struct fsio_saving *sv, struct ebt_err *err)
{
	const char *base;
	char id[33];
	int r = fsio_random_id(id, err);

	*sv = (struct fsio_saving){.dir = -1, .fd = -1};
	if (r < 0)
		return r;
	snprintf(sv->temp, sizeof(sv->temp), ".%s.new", id);
	sv->name = strdup(name);
	if (!sv->name)
		return fail(err, -ENOMEM, "write", name);
	sv->dir = open_parent(dirfd, name, &base);
	if (sv->dir >= 0)
		sv->fd = openat(sv->dir, sv->temp,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (sv->fd >= 0)
		return 0;
	r = sv->dir < 0 ? sv->dir : -errno;
	if (sv->dir >= 0)
		close(TAKE_FD(sv->dir));
	fsio_save_drop(sv);
	return fail(err, r, "write", name);
}

/* The file is whole and gets its name. */
static int put_in_place(struct fsio_saving *sv)
{
	const char *slash = strrchr(sv->name, '/');

	if (fsync(sv->fd) < 0)
		return -errno;
	/* Some network file systems report a lost write only here. */
	if (close(TAKE_FD(sv->fd)) < 0)
		return -errno;
	return renameat(sv->dir, sv->temp, sv->dir, slash ? slash + 1 : sv->name) < 0
		       ? -errno
		       : 0;
}

int fsio_save_close(struct fsio_saving *sv, struct ebt_err *err)
{
	int r = put_in_place(sv);

	if (r < 0) {
		fail(err, r, "write", sv->name);
		fsio_save_drop(sv);
		return r;
	}
	/* EINVAL: the file system does not sync directories, as some in user space. */
	if (fsync(sv->dir) < 0 && errno != EINVAL)
		r = fail(err, -errno, "sync the directory of", sv->name);
	close(TAKE_FD(sv->dir));
	fsio_save_drop(sv);
	return r;
}

int fsio_save(
	int dirfd, const char *name, const void *data, size_t len, struct ebt_err *err)
{
	struct fsio_saving sv;
	int r = fsio_save_open(dirfd, name, &sv, err);

	if (r < 0)
		return r;
	r = fsio_write(sv.fd, data, len, 0);
	if (r == 0)
		return fsio_save_close(&sv, err);
	fsio_save_drop(&sv);
	return fail(err, r, "write", name);
}

static int clean_one(void *arg, const char *name, unsigned char d_type)
{
	const int *dirfd = arg;

	if (strlen(name) != FSIO_SAVE_TEMP - 1 || name[0] != '.' ||
		strspn(name + 1, "0123456789abcdef") != 32 ||
		strcmp(name + 33, ".new") != 0)
		return 0;
	return unlinkat(*dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int fsio_save_clean(int dirfd)
{
	return fsio_list(dirfd, clean_one, &dirfd);
}

int fsio_random_id(char id[33], struct ebt_err *err)
{
	unsigned char bytes[16];

	/* Up to 256 bytes come whole once the pool is ready, getrandom(2). */
	while (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		if (errno != EINTR)
			return ebt_fail(err, -errno, "getrandom");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* What a file system says that knows no such flag. */
static bool is_unknown(int code)
{
	return code == -EINVAL || code == -ENOSYS || code == -EOPNOTSUPP;
}

int fsio_name_new(int dirfd, const char *from, const char *to)
{
	int r = renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) < 0 ? -errno : 0;

	if (!is_unknown(r))
		return r;
	r = linkat(dirfd, from, dirfd, to, 0) < 0 ? -errno : 0;
	/* vfat, FUSE and others have no hard links. */
	if (is_unknown(r) || r == -EPERM || r == -EMLINK)
		return fsio_rename_new(dirfd, from, dirfd, to);
	if (r == 0 && unlinkat(dirfd, from, 0) < 0)
		r = -errno;
	return r;
}

int fsio_rename_new(int fromdir, const char *from, int todir, const char *to)
{
	struct stat st;

	if (renameat2(fromdir, from, todir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (!is_unknown(-errno))
		return -errno;
	if (fstatat(todir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(fromdir, from, todir, to) < 0 ? -errno : 0;
}
