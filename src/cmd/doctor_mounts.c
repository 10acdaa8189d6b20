/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a user may mount for himself: tried in user and mount namespaces that are this process's
 * alone and go with it, so no mount is ever seen outside. Mounts of a new user namespace do not
 * spread to others, see mount_namespaces(7).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/scope.h"
#include "cmd/doctor.h"

static int write_text(const char *path, const char *text)
{
	SCOPED_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* This process keeps its uid and gid in its own namespaces. *step: what failed. */
static int own_namespaces(const char **step)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];
	int r;

	*step = "unshare";
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	*step = "setgroups";
	r = write_text("/proc/self/setgroups", "deny");
	if (r < 0)
		return r;
	*step = "uid_map";
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	r = write_text("/proc/self/uid_map", map);
	if (r < 0)
		return r;
	*step = "gid_map";
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return write_text("/proc/self/gid_map", map);
}

/* "; user.max_user_namespaces is 0": what an administrator has set against it. */
static void add_cause(struct doctor_line *line)
{
	static const struct {
		const char *path, *name;
		long bad;
	} settings[] = {
		{"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", 0},
		{"/proc/sys/kernel/unprivileged_userns_clone",
			"kernel.unprivileged_userns_clone", 0},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
			"kernel.apparmor_restrict_unprivileged_userns", 1},
	};
	char text[80];
	long v;

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		FILE *f = fopen(settings[i].path, "re");

		if (f && fscanf(f, "%ld", &v) == 1 && v == settings[i].bad) {
			snprintf(text, sizeof(text), "%s is %ld", settings[i].name, v);
			doctor_say_more(line, text);
		}
		if (f)
			fclose(f);
	}
}

void doctor_look_namespaces(const struct doctor_dest *d, struct doctor_line *line)
{
	const char *step;
	int r = own_namespaces(&step);

	/* Some systems let anybody have one, but nobody do anything in it. */
	if (r == 0 && mount("/", "/", NULL, MS_BIND | MS_REC, NULL) < 0) {
		step = "mount in it";
		r = -errno;
	}
	if (r == 0) {
		doctor_say(line, DOCTOR_OK, "user and mount namespaces of one's own");
		return;
	}
	doctor_say(line, r == -ENOENT ? DOCTOR_UNKNOWN : DOCTOR_MISSING, "%s: %s", step,
		strerror(-r));
	add_cause(line);
}

/* A file of the lower directory is changed through the overlay, and then is in the upper. */
static int try_overlay(const char **step)
{
	SCOPED_FD int fd = -1;
	struct stat st;

	*step = "mount";
	if (mount("overlay", "m", "overlay", MS_NOSUID | MS_NODEV,
		    "lowerdir=l,upperdir=u,workdir=w,userxattr") < 0)
		return -errno;
	*step = "write through it";
	fd = open("m/f", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || write(fd, "x", 1) < 0 ||
		fstatat(AT_FDCWD, "u/f", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		mkdir("m/d", 0700) < 0)
		return -errno;
	return 0;
}

void doctor_look_overlay(const struct doctor_dest *d, struct doctor_line *line)
{
	static const char *const dirs[] = {"l", "u", "w", "m"};
	SCOPED_FD int dir = doctor_room_for(d, "overlay");
	SCOPED_FD int fd = -1;
	const char *step = "make directories";
	int r = dir < 0 ? dir : fchdir(dir) < 0 ? -errno : 0;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && r == 0; i++)
		r = mkdir(dirs[i], 0700) < 0 ? -errno : 0;
	if (r == 0) {
		fd = open("l/f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		r = fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = own_namespaces(&step);
	if (r < 0) {
		doctor_say(
			line, DOCTOR_UNKNOWN, "not tried: %s: %s", step, strerror(-r));
		return;
	}
	r = try_overlay(&step);
	umount2("m", MNT_DETACH);
	if (r == 0)
		doctor_say(
			line, DOCTOR_OK, "with DEST as its upper, in a user namespace");
	else
		doctor_say(line, DOCTOR_MISSING, "%s: %s", step, strerror(-r));
}

/*
 * Nobody answers what is mounted, and nobody asks: it goes with the descriptor. That has to be one
 * of the namespace that mounts.
 */
static int try_fuse(void)
{
	SCOPED_FD int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[128];
	int r;

	if (fd < 0)
		return -errno;
	snprintf(options, sizeof(options),
		"fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd, (unsigned)geteuid(),
		(unsigned)getegid());
	r = mount("ebt", "fuse", "fuse", MS_NOSUID | MS_NODEV, options) < 0 ? -errno
									    : 0;
	if (r == 0)
		umount2("fuse", MNT_DETACH);
	return r;
}

void doctor_look_fuse(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FD int dir = doctor_room_for(d, "fuse");
	SCOPED_FD int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	const char *step = "directory";
	int r;

	if (fd < 0) {
		doctor_say(line, DOCTOR_MISSING, "/dev/fuse: %s", strerror(errno));
		return;
	}
	r = dir < 0 ? dir : fchdir(dir) < 0 ? -errno : 0;
	if (r == 0)
		r = mkdir("fuse", 0700) < 0 ? -errno : 0;
	if (r == 0)
		r = own_namespaces(&step);
	if (r < 0) {
		doctor_say(line, DOCTOR_UNKNOWN, "/dev/fuse opens; not tried: %s: %s",
			step, strerror(-r));
		return;
	}
	r = try_fuse();
	if (r == 0)
		doctor_say(
			line, DOCTOR_OK, "/dev/fuse, and a mount in a user namespace");
	else
		doctor_say(line, DOCTOR_MISSING, "/dev/fuse opens; mount: %s",
			strerror(-r));
}
