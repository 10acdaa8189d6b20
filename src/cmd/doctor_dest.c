/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the file system of DEST can do, by doing it: in a scratch directory of ours, mode 0700,
 * under a name that nobody knows before. Every probe has a directory of its own in it, and all goes
 * in the end. Nothing is followed there, and a scratch directory that is not the one that was made
 * is not entered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"
#include "cmd/doctor.h"
#include "job/job.h"
#include "store/store.h"

#define ROOM	    (64u << 10) /* bytes of memory in a file, for trial */
#define LEAVE_TRIES 8
#define HOLE	    (8u << 20)
#define MOUNTINFO   (4u << 20) /* bytes */

#define STORE_OWN "/.ebt"

/* @path loses its last component. */
static void go_up(char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0)
		strcpy(path, ".");
	else
		path[len] = '\0';
}

static int open_dir(const char *path, int flags)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);

	return fd < 0 ? -errno : fd;
}

static int open_place(const struct doctor_dest *d)
{
	return open_dir(d->in, 0);
}

/* The nearest directory on the way to d->path. A descriptor or a negative errno. */
static int find_place(struct doctor_dest *d, struct ebt_err *err)
{
	char shown[320];
	struct stat st;
	int fd;

	strcpy(d->at, d->path);
	while ((fd = open_dir(d->at, 0)) == -ENOENT) {
		if (lstat(d->at, &st) == 0)
			return ebt_failx(err, -ENOENT, "%s: a link that leads nowhere",
				text_name(d->at, shown, sizeof(shown)));
		if (strcmp(d->at, ".") == 0)
			break;
		go_up(d->at);
	}
	return fd < 0 ? ebt_fail(err, fd, "%s", text_name(d->at, shown, sizeof(shown)))
		      : fd;
}

/*
 * In a store the scratch directory is where a drain does not look for outputs. The descriptor of
 * d->in, or a negative errno.
 */
static int choose_place(struct doctor_dest *d, int place)
{
	SCOPED_FD int at = place;
	SCOPED_FD int own = -1;
	struct stat st;

	strcpy(d->in, d->at);
	if (strlen(d->at) + sizeof(STORE_OWN) > sizeof(d->in))
		return TAKE_FD(at);
	strcat(d->in, STORE_OWN);
	own = open_dir(d->in, O_NOFOLLOW);
	if (own >= 0 && fstat(own, &st) == 0 && st.st_uid == geteuid())
		return TAKE_FD(own);
	strcpy(d->in, d->at);
	return TAKE_FD(at);
}

static int enter(struct doctor_dest *d, struct ebt_err *err)
{
	SCOPED_FD int place = -1;
	char path[PATH_MAX], shown[320];
	struct stat st;
	int r = job_expand(d->path, "DEST", 0, path, sizeof(path), err);

	if (r < 0)
		return r;
	strcpy(d->path, path);
	place = find_place(d, err);
	if (place < 0)
		return place;
	place = choose_place(d, place);
	if (mkdirat(place, d->scratch, 0700) < 0 ||
		fstatat(place, d->scratch, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return ebt_fail(err, -errno, "nothing can be made in %s",
			text_name(d->at, shown, sizeof(shown)));
	d->dev = st.st_dev;
	d->ino = st.st_ino;
	return 0;
}

void doctor_enter(struct doctor_dest *d)
{
	struct ebt_err err = {0};

	d->code = enter(d, &err);
	strcpy(d->why, err.text);
}

static int open_scratch(const struct doctor_dest *d)
{
	SCOPED_FD int place = open_place(d);
	SCOPED_FD int fd = -1;
	struct stat st;

	if (place < 0)
		return place;
	fd = openat(place, d->scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return st.st_dev == d->dev && st.st_ino == d->ino ? TAKE_FD(fd) : -ESTALE;
}

static int remove_one(void *arg, const char *name, unsigned char d_type)
{
	const int *scratch = arg;

	return fsio_remove_tree(*scratch, name, NULL);
}

/*
 * By its descriptor, and an empty directory by its name: where others may rename it they cannot have
 * us remove another one.
 */
int doctor_leave(const struct doctor_dest *d)
{
	SCOPED_FD int place = open_place(d);
	SCOPED_FD int scratch = open_scratch(d);
	int r = scratch < 0 ? scratch : 0;

	/* Some file systems leave names out of a list that shrinks. */
	for (int i = 0; i < LEAVE_TRIES && r == 0; i++) {
		r = fsio_list(scratch, remove_one, &scratch);
		if (r < 0 || unlinkat(place, d->scratch, AT_REMOVEDIR) == 0)
			return r;
		r = errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
	}
	return r < 0 ? r : -ENOTEMPTY;
}

int doctor_room_for(const struct doctor_dest *d, const char *name)
{
	SCOPED_FD int scratch = open_scratch(d);
	int fd;

	if (scratch < 0)
		return scratch;
	if (mkdirat(scratch, name, 0700) < 0)
		return -errno;
	fd = openat(scratch, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* @dir: of doctor_room_for. Something else than what is tried has failed. */
static int new_file(int dir, const char *name, struct doctor_line *line)
{
	int fd = dir < 0 ? dir
			 : openat(dir, name,
				   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				   0600);

	if (fd < 0)
		doctor_say(line, DOCTOR_UNKNOWN, "no file for a trial: %s",
			strerror(dir < 0 ? -dir : errno));
	return fd;
}

void doctor_look_dest(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int place = open_place(d);
	SCOPED_BUF struct buf b = {0};
	struct fsio_place where;
	char type[64] = "";

	if (place < 0) {
		doctor_say(line, DOCTOR_UNKNOWN, "%s", strerror(-place));
		return;
	}
	if (fsio_place_of(place, "", &where) == 0 &&
		fsio_load(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO, &b, NULL) == 0) {
		buf_put8(&b, 0);
		if (buf_ok(&b))
			doctor_mount_type(
				(char *)b.data, where.mount, type, sizeof(type));
	}
	doctor_say_place(line, &(struct doctor_place){.path = d->path,
				       .at = d->at,
				       .type = type,
				       .local = fsio_is_local(place),
				       .in_memory = fsio_in_memory(place)});
}

/* What is wrong, where the path of the trial says nothing. */
static const char *without_path(const char *text, const char *path)
{
	size_t len = strlen(path);

	return strncmp(text, path, len) == 0 && text[len] == ':'
		       ? text + len + 1 + strspn(text + len + 1, " ")
		       : text;
}

/* One is opened, with all that is asked of the way there, and of locks. */
void doctor_look_store(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED(store_closep) struct store *s = NULL;
	SCOPED_FD int dir = doctor_room_for(d, "store");
	struct ebt_err err = {0};
	char path[PATH_MAX + 128];

	if (dir < 0) {
		doctor_say(line, DOCTOR_UNKNOWN, "not tried: %s", strerror(-dir));
		return;
	}
	snprintf(path, sizeof(path), "%s/%s/store", d->in, d->scratch);
	if (store_open(path, STORE_CREATE, &s, &err) == 0)
		doctor_say(line, DOCTOR_OK,
			"one can be locked there, and no other user can exchange it");
	else
		doctor_say(
			line, DOCTOR_MISSING, "%.400s", without_path(err.text, path));
}

void doctor_look_room(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int place = open_place(d);
	struct statvfs st;

	if (place < 0 || fstatvfs(place, &st) < 0) {
		doctor_say(line, DOCTOR_UNKNOWN, "%s", strerror(errno));
		return;
	}
	doctor_say_room(line,
		&(struct doctor_room){.total = (uint64_t)st.f_blocks * st.f_frsize,
			.avail = (uint64_t)st.f_bavail * st.f_frsize,
			.files = st.f_files,
			.favail = st.f_favail,
			.in_memory = fsio_in_memory(place)});
}

/* True if file @fd has attribute @name, after it was given that. */
static int keeps_attribute(int fd, const char *name, const void *value, size_t len)
{
	SCOPED_BUF struct buf packed = {0};
	SCOPED_BUF struct buf got = {0};
	struct fsio_xattr x;
	struct reader r;
	int code;

	buf_put16(&packed, (uint16_t)strlen(name));
	buf_put32(&packed, (uint32_t)len);
	buf_put(&packed, name, strlen(name));
	buf_put(&packed, value, len);
	if (!buf_ok(&packed))
		return -ENOMEM;
	code = fsio_xattrs_set(fd, packed.data, packed.len, FSIO_OTHERS_KEEP);
	if (code < 0)
		return code;
	code = fsio_xattrs_get_fd(fd, &got);
	r = reader_of(got.data, got.len);
	while (code == 0 && fsio_xattrs_next(&r, &x) == 1)
		if (strcmp(x.name, name) == 0)
			return 1;
	return code;
}

static void say_attribute(struct doctor_line *line, int code, const char *what)
{
	if (code == 1)
		doctor_say(line, DOCTOR_OK, "%s are kept", what);
	else if (code == 0)
		doctor_say(line, DOCTOR_MISSING, "%s are taken and forgotten", what);
	else
		doctor_say(line,
			code == -ENOTSUP || code == -EPERM || code == -EINVAL
				? DOCTOR_MISSING
				: DOCTOR_UNKNOWN,
			"%s: %s", what, strerror(-code));
}

void doctor_look_xattrs(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "xattrs");
	SCOPED_FD int fd = new_file(dir, "f", line);

	if (fd >= 0)
		say_attribute(line, keeps_attribute(fd, "user.ebt", "trial", 5),
			"attributes in user.");
}

/* As acl(5) and the kernel's posix_acl_xattr.h have it, all little-endian. */
static void put_acl(struct buf *b, uint16_t tag, uint16_t perm, uint32_t id)
{
	buf_put16(b, tag);
	buf_put16(b, perm);
	buf_put32(b, id);
}

void doctor_look_acls(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "acls");
	SCOPED_FD int fd = new_file(dir, "f", line);
	SCOPED_BUF struct buf acl = {0};

	if (fd < 0)
		return;
	buf_put32(&acl, 2);
	put_acl(&acl, 0x01, 6, UINT32_MAX); /* the owner */
	put_acl(&acl, 0x02, 4, geteuid());  /* more than a mode can say */
	put_acl(&acl, 0x04, 0, UINT32_MAX); /* the group */
	put_acl(&acl, 0x10, 4, UINT32_MAX); /* the mask */
	put_acl(&acl, 0x20, 0, UINT32_MAX); /* others */
	say_attribute(line,
		buf_ok(&acl) ? keeps_attribute(
				       fd, "system.posix_acl_access", acl.data, acl.len)
			     : -ENOMEM,
		"POSIX ACLs");
}

void doctor_look_times(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "times");
	SCOPED_FD int fd = new_file(dir, "f", line);
	struct fsio_times times;

	if (fd < 0)
		return;
	fsio_times_find(fd, &times);
	doctor_say_times(line, &times);
}

/* What large manifests lie in. */
void doctor_look_tmpfile(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "tmpfile");
	SCOPED_FD int fd = -1;
	void *room;

	if (dir < 0) {
		doctor_say(line, DOCTOR_UNKNOWN, "not tried: %s", strerror(-dir));
		return;
	}
	fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		doctor_say(line, DOCTOR_MISSING, "O_TMPFILE: %s", strerror(errno));
		return;
	}
	room = fsio_room_new(dir, ROOM);
	if (room)
		doctor_say(line, DOCTOR_OK, "O_TMPFILE, with room that is promised");
	else
		doctor_say(line, DOCTOR_MISSING, "O_TMPFILE, but no room is promised");
	fsio_room_free(room, ROOM);
}

void doctor_look_links(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "links");
	SCOPED_FD int fd = new_file(dir, "f", line);
	struct stat st;

	if (fd < 0)
		return;
	if (linkat(dir, "f", dir, "g", 0) < 0)
		doctor_say(line, DOCTOR_MISSING, "hard links: %s", strerror(errno));
	else if (fstat(fd, &st) < 0 || st.st_nlink != 2)
		doctor_say(line, DOCTOR_MISSING, "hard links are files of their own");
	else
		doctor_say(line, DOCTOR_OK, "hard links");
}

void doctor_look_holes(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "holes");
	SCOPED_FD int fd = new_file(dir, "f", line);
	uint64_t start = 0, stop;
	struct stat st;
	int r;

	if (fd < 0)
		return;
	/* Where blocks are given out late, only what is on disk tells. */
	r = fsio_write(fd, "x", 1, HOLE);
	if (r == 0 && (fsync(fd) < 0 || fstat(fd, &st) < 0))
		r = -errno;
	if (r == 0)
		r = fsio_next_data(fd, 0, HOLE + 1, &start, &stop);
	if (r < 0)
		doctor_say(
			line, DOCTOR_UNKNOWN, "a file with a hole: %s", strerror(-r));
	else if ((uint64_t)st.st_blocks * 512 >= HOLE)
		doctor_say(line, DOCTOR_MISSING, "holes are filled");
	else if (start == 0)
		doctor_say(
			line, DOCTOR_MISSING, "holes are kept, SEEK_DATA finds none");
	else
		doctor_say(line, DOCTOR_OK, "holes are kept, and found by SEEK_DATA");
}

void doctor_look_rename(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "rename");
	SCOPED_FD int f = new_file(dir, "f", line);
	SCOPED_FD int g = f < 0 ? -1 : new_file(dir, "g", line);
	bool refuses, moves, swaps;

	if (f < 0 || g < 0)
		return;
	refuses =
		renameat2(dir, "f", dir, "g", RENAME_NOREPLACE) < 0 && errno == EEXIST;
	moves = renameat2(dir, "f", dir, "h", RENAME_NOREPLACE) == 0;
	swaps = moves && renameat2(dir, "g", dir, "h", RENAME_EXCHANGE) == 0;
	if (refuses && moves)
		doctor_say(line, DOCTOR_OK, "RENAME_NOREPLACE%s",
			swaps ? ", RENAME_EXCHANGE"
			      : "; no RENAME_EXCHANGE, which nothing needs");
	else
		doctor_say(line, DOCTOR_MISSING, "no RENAME_NOREPLACE%s",
			swaps ? "" : ", no RENAME_EXCHANGE");
}
