/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

static void missing_directories_are_made_and_the_last_is_open(void)
{
	char path[64], deep[128];
	SCOPED_FD int dir = suite_tmpdir(path);
	struct stat a, b;

	snprintf(deep, sizeof(deep), "%s//a/b/../b/c/", path);
	SCOPED_FD int fd = fsio_mkdirs(deep, 0750, NULL);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(fstat(fd, &a), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "a/b/c", &b, 0), 0);
	CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
	CU_ASSERT_EQUAL(fsync(fd), 0); /* not O_PATH */
}

static void existing_directories_keep_their_mode(void)
{
	char path[64], sub[128];
	SCOPED_FD int dir = suite_tmpdir(path);
	struct stat st;

	CU_ASSERT_EQUAL(mkdirat(dir, "a", 0711), 0);
	snprintf(sub, sizeof(sub), "%s/a/b", path);
	SCOPED_FD int fd = fsio_mkdirs(sub, 0700, NULL);
	CU_ASSERT_TRUE(fd >= 0);
	CU_ASSERT_EQUAL(fstatat(dir, "a", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0711);
	CU_ASSERT_EQUAL(fstatat(dir, "a/b", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
}

static void a_path_may_be_longer_than_one_system_call_takes(void)
{
	char path[64], deep[6000], *p = deep;
	SCOPED_FD int dir = suite_tmpdir(path);

	p += sprintf(p, "%s", path);
	while (p - deep < 5500)
		p += sprintf(p, "/%0200d", 0);
	SCOPED_FD int fd = fsio_mkdirs(deep, 0700, NULL);
	CU_ASSERT_TRUE(fd >= 0);
	/* The clean-up at exit uses paths. */
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, p - 200, NULL), 0);
}

static void a_file_on_the_way_is_an_error_that_names_the_path(void)
{
	struct ebt_err err = {0};
	char path[64], sub[128];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(mknodat(dir, "f", S_IFREG | 0600, 0), 0);
	snprintf(sub, sizeof(sub), "%s/f/b", path);
	CU_ASSERT_EQUAL(fsio_mkdirs(sub, 0700, &err), -ENOTDIR);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, sub));
	CU_ASSERT_EQUAL(fsio_mkdirs("", 0700, NULL), -ENOENT);
}

static int count_until(void *arg, const char *name, unsigned char d_type)
{
	int *left = arg;

	CU_ASSERT_STRING_NOT_EQUAL(name, ".");
	CU_ASSERT_STRING_NOT_EQUAL(name, "..");
	return --*left == 0 ? 7 : 0;
}

static void a_listing_starts_anew_and_stops_where_told(void)
{
	char path[64], name[16];
	SCOPED_FD int dir = suite_tmpdir(path);
	int left = 1000;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CU_ASSERT_EQUAL(mknodat(dir, name, S_IFREG | 0600, 0), 0);
	}
	CU_ASSERT_EQUAL(fsio_list(dir, count_until, &left), 0);
	CU_ASSERT_EQUAL(left, 900);
	left = 3;
	CU_ASSERT_EQUAL(fsio_list(dir, count_until, &left), 7);
	left = 1000;
	CU_ASSERT_EQUAL(fsio_list(dir, count_until, &left), 0);
	CU_ASSERT_EQUAL(left, 900);
}

static const struct test tests[] = {
	TEST(missing_directories_are_made_and_the_last_is_open),
	TEST(existing_directories_keep_their_mode),
	TEST(a_path_may_be_longer_than_one_system_call_takes),
	TEST(a_file_on_the_way_is_an_error_that_names_the_path),
	TEST(a_listing_starts_anew_and_stops_where_told),
};
SUITE("fsio_dirs", tests)
