/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "attr/attr.h"
#include "fsio/fsio.h"
#include "suite.h"

static const unsigned char packed[] = "\11\0\1\0\0\0user.testv";

static struct manifest_entry entry(uint32_t mode)
{
	return (struct manifest_entry){.name = "f",
		.kind = MANIFEST_FILE,
		.mode = mode,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime = -5,
		.mtime_ns = 999999999,
		.atime = 7,
		.group = MANIFEST_NONE};
}

static int new_file(int dir, const struct attr_made *made)
{
	int fd = openat(dir, "f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, made->mode);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	return fd;
}

static void a_new_file_looks_as_promised(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	mode_t old = umask(027);
	struct attr_made made = attr_made_file();
	SCOPED_FD int fd = new_file(dir, &made);
	struct stat st;

	umask(old);
	CU_ASSERT_EQUAL(made.mode, 0640);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, made.mode);
	CU_ASSERT_EQUAL(st.st_uid, made.uid);
	CU_ASSERT_EQUAL(st.st_gid, made.gid);
}

static void mode_and_times_are_set(void)
{
	static const uint32_t modes[] = {
		0644, 0, 0400, 0444, 04755, 02755, 01666, 06711};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct attr_made made = attr_made_file();
	struct stat st;

	for (size_t i = 0; i < 2 * sizeof(modes) / sizeof(modes[0]); i++) {
		struct manifest_entry e = entry(modes[i / 2]);
		SCOPED_FD int fd = new_file(dir, &made);

		CU_ASSERT_EQUAL(attr_set(fd, &e, i % 2 ? &made : NULL, NULL), 0);
		CU_ASSERT_EQUAL(fstat(fd, &st), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, e.mode);
		CU_ASSERT_EQUAL(st.st_mtim.tv_sec, -5);
		CU_ASSERT_EQUAL(st.st_mtim.tv_nsec, 999999999);
		CU_ASSERT_EQUAL(st.st_atim.tv_sec, 7);
		CU_ASSERT_EQUAL(unlinkat(dir, "f", 0), 0);
	}
}

static void attributes_of_a_read_only_file_are_set(void)
{
	char tmp[64], value[8];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct attr_made made = {.uid = geteuid(), .gid = getegid(), .mode = 0444};
	struct manifest_entry e = entry(0444);
	SCOPED_FD int fd = new_file(dir, &made);
	struct stat st;

	e.xattrs = packed;
	e.xattrs_len = sizeof(packed) - 1;
	CU_ASSERT_EQUAL(attr_set(fd, &e, &made, NULL), 0);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0444);
	if (fgetxattr(fd, "user.test", value, sizeof(value)) < 0)
		CU_ASSERT_EQUAL(errno, EOPNOTSUPP);
}

static void an_existing_file_loses_other_attributes(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct attr_made made = attr_made_file();
	struct manifest_entry e = entry(0600);
	SCOPED_FD int fd = new_file(dir, &made);

	if (fsetxattr(fd, "user.other", "", 0, 0) < 0)
		return; /* none here */
	CU_ASSERT_EQUAL(attr_set(fd, &e, NULL, NULL), 0);
	CU_ASSERT_TRUE(fgetxattr(fd, "user.other", NULL, 0) < 0);
}

static void the_owner_is_set_as_root_only(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct attr_made made = attr_made_file();
	struct manifest_entry e = entry(06755);
	SCOPED_FD int fd = new_file(dir, &made);
	struct stat st;

	e.uid = 12345;
	e.gid = 12346;
	CU_ASSERT_EQUAL(attr_set(fd, &e, &made, NULL), 0);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(st.st_uid, 12345);
		CU_ASSERT_EQUAL(st.st_gid, 12346);
		CU_ASSERT_EQUAL(st.st_mode & 07777, 06755);
	} else {
		CU_ASSERT_EQUAL(st.st_uid, geteuid());
		CU_ASSERT_EQUAL(st.st_mode & 07777, 0755); /* no set-id for us */
	}
}

static void the_owner_can_be_left_alone(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct attr_made made = attr_made_file();
	struct manifest_entry e = entry(06755), link = entry(0777);
	SCOPED_FD int fd = new_file(dir, &made);
	struct stat st;

	e.uid = link.uid = 12345;
	e.gid = link.gid = 12346;
	e.no_owner = link.no_owner = true;
	link.name = "l";
	CU_ASSERT_EQUAL(attr_set(fd, &e, &made, NULL), 0);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_uid, geteuid());
	CU_ASSERT_EQUAL(st.st_gid, getegid());
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0755);
	CU_ASSERT_EQUAL(symlinkat("nowhere", dir, "l"), 0);
	CU_ASSERT_EQUAL(attr_set_link(dir, &link, NULL), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_EQUAL(st.st_uid, geteuid());
}

/* 0, a negative code of attr_set, or 1 where a user namespace cannot be had. */
static int set_in_a_namespace(int fd, const struct manifest_entry *e)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && setresuid(12345, 12345, 12345) < 0)
			_exit(99);
		if (unshare(CLONE_NEWUSER) < 0)
			_exit(255);
		_exit(-attr_set(fd, e, NULL, NULL));
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status) == 255 ? 1 : -WEXITSTATUS(status);
}

/* Containers without root map the user's own group and no other. */
static void a_group_that_a_container_does_not_know_is_left_alone(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct attr_made made = attr_made_file();
	struct manifest_entry e = entry(0640);
	SCOPED_FD int fd = new_file(dir, &made);
	struct stat st;
	int r;

	if (geteuid() == 0)
		CU_ASSERT_EQUAL(fchown(fd, 12345, getegid()), 0);
	e.gid = 12346;
	r = set_in_a_namespace(fd, &e);
	if (r == 1)
		return; /* user namespaces are switched off here */
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_gid, getegid());
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
}

static void a_symlink_gets_its_time(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct manifest_entry e = entry(0777);
	struct stat st;

	e.kind = MANIFEST_SYMLINK;
	CU_ASSERT_EQUAL(symlinkat("nowhere", dir, "f"), 0);
	CU_ASSERT_EQUAL(attr_set_link(dir, &e, NULL), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_EQUAL(st.st_mtim.tv_sec, -5);
}

static const struct test tests[] = {
	TEST(a_new_file_looks_as_promised),
	TEST(mode_and_times_are_set),
	TEST(attributes_of_a_read_only_file_are_set),
	TEST(an_existing_file_loses_other_attributes),
	TEST(the_owner_is_set_as_root_only),
	TEST(the_owner_can_be_left_alone),
	TEST(a_group_that_a_container_does_not_know_is_left_alone),
	TEST(a_symlink_gets_its_time),
};
SUITE("attr", tests)
