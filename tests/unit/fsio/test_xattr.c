/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

static int new_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	return fd;
}

/*
 * False where the file system under TMPDIR has no user attributes: nothing to test
 * then.
 */
static bool set(int fd, const char *name, const char *value)
{
	if (fsetxattr(fd, name, value, strlen(value), 0) == 0)
		return true;
	CU_ASSERT_EQUAL(errno, EOPNOTSUPP);
	return false;
}

static void a_file_without_attributes_packs_to_nothing(void)
{
	SCOPED_BUF struct buf b = {0};
	char path[64], file[80];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = new_file(dir, "f");

	snprintf(file, sizeof(file), "%s/f", path);
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(fd, &b), 0);
	CU_ASSERT_EQUAL(fsio_xattrs_get_at(file, &b), 0);
	CU_ASSERT_EQUAL(b.len, 0);
	CU_ASSERT_PTR_NULL(b.data);
}

static void a_file_system_without_attributes_has_none(void)
{
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL(fsio_xattrs_get_at("/proc/self/status", &b), 0);
	CU_ASSERT_EQUAL(b.len, 0);
}

static void attributes_are_packed_sorted_whatever_the_order_of_setting(void)
{
	SCOPED_BUF struct buf a = {0}, b = {0};
	char path[64], file[80];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int one = new_file(dir, "one");
	SCOPED_FD int two = new_file(dir, "two");

	if (!set(one, "user.a", "1") || !set(one, "user.bb", "") ||
		!set(one, "user.c", "3"))
		return;
	set(two, "user.c", "3");
	set(two, "user.bb", "");
	set(two, "user.a", "1");
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(one, &a), 0);
	snprintf(file, sizeof(file), "%s/two", path);
	CU_ASSERT_EQUAL(fsio_xattrs_get_at(file, &b), 0);
	CU_ASSERT_EQUAL_FATAL(a.len, b.len);
	CU_ASSERT_EQUAL(a.len, 3 * 6 + 6 + 7 + 6 + 2);
	CU_ASSERT_EQUAL(memcmp(a.data, b.data, a.len), 0);
	CU_ASSERT_EQUAL(memcmp(a.data, "\6\0\1\0\0\0user.a1", 13), 0);
}

static void long_lists_and_values_come_whole(void)
{
	SCOPED_BUF struct buf a = {0}, b = {0};
	char path[64], name[64], value[2000];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int one = new_file(dir, "one");
	SCOPED_FD int two = new_file(dir, "two");

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	if (!set(one, "user.value", value))
		return;
	/*
	 * Names of 50 bytes: more than the first buffer holds, if the file system takes
	 * them.
	 */
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "user.%045d", i);
		if (fsetxattr(one, name, "", 0, 0) < 0)
			break;
	}
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(one, &a), 0);
	CU_ASSERT_TRUE(a.len > sizeof(value));
	CU_ASSERT_EQUAL(fsio_xattrs_set(two, a.data, a.len, FSIO_OTHERS_KEEP), 0);
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(two, &b), 0);
	CU_ASSERT_EQUAL_FATAL(a.len, b.len);
	CU_ASSERT_EQUAL(memcmp(a.data, b.data, a.len), 0);
}

static void exact_removes_the_others(void)
{
	SCOPED_BUF struct buf a = {0}, b = {0};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int one = new_file(dir, "one");
	SCOPED_FD int two = new_file(dir, "two");

	if (!set(one, "user.a", "1") || !set(two, "user.b", "2"))
		return;
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(one, &a), 0);
	CU_ASSERT_EQUAL(fsio_xattrs_set(two, a.data, a.len, FSIO_OTHERS_REMOVE), 0);
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(two, &b), 0);
	CU_ASSERT_EQUAL_FATAL(a.len, b.len);
	CU_ASSERT_EQUAL(memcmp(a.data, b.data, a.len), 0);
	CU_ASSERT_EQUAL(fsio_xattrs_set(two, NULL, 0, FSIO_OTHERS_REMOVE), 0);
	CU_ASSERT_EQUAL(flistxattr(two, NULL, 0), 0);
}

static void an_o_path_descriptor_will_do(void)
{
	SCOPED_BUF struct buf a = {0}, b = {0};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = new_file(dir, "f");
	SCOPED_FD int at = openat(dir, "f", O_PATH | O_CLOEXEC);

	if (!set(fd, "user.a", "1"))
		return;
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(fd, &a), 0);
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(at, &b), 0);
	CU_ASSERT_EQUAL(a.len, b.len);
}

static void damaged_or_foreign_attributes_are_refused_whole(void)
{
	static const struct {
		const char *packed;
		size_t len;
	} bad[] = {
		{"\6\0\1\0\0\0user.a", 12},	 /* value missing */
		{"\6\0\1\0\0", 5},		 /* cut in the header */
		{"\377\377\1\0\0\0user.a1", 13}, /* name longer than all */
		{"\6\0\1\0\0\0user\0a1", 13},	 /* NUL in a name */
		{"\0\0\0\0\0\0", 6},		 /* no name */
		{"\6\0\1\0\0\0user.a1\13\0\0\0\0\0trusted.lov", 30},
		{"\20\0\0\0\0\0security.selinux", 22},
	};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = new_file(dir, "f");

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(fsio_xattrs_set(fd, bad[i].packed, bad[i].len,
					FSIO_OTHERS_KEEP),
			-EBADMSG);
	CU_ASSERT_EQUAL(fsio_xattrs_get_fd(fd, &(struct buf){0}), 0);
	CU_ASSERT_TRUE(fgetxattr(fd, "user.a", NULL, 0) < 0);
}

static const struct test tests[] = {
	TEST(a_file_without_attributes_packs_to_nothing),
	TEST(a_file_system_without_attributes_has_none),
	TEST(attributes_are_packed_sorted_whatever_the_order_of_setting),
	TEST(long_lists_and_values_come_whole),
	TEST(exact_removes_the_others),
	TEST(an_o_path_descriptor_will_do),
	TEST(damaged_or_foreign_attributes_are_refused_whole),
};
SUITE("fsio_xattr", tests)
