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

static void only_what_is_relative_needs_a_working_directory(void)
{
	SCOPED_FD int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(mkdirat(dir, "gone", 0700), 0);
	CU_ASSERT_EQUAL(fchdir(dir), 0);
	CU_ASSERT_EQUAL(chdir("gone"), 0);
	CU_ASSERT_FALSE(fsio_cwd_gone("a"));
	CU_ASSERT_EQUAL(unlinkat(dir, "gone", AT_REMOVEDIR), 0);
	CU_ASSERT_TRUE(fsio_cwd_gone("a"));
	CU_ASSERT_TRUE(fsio_cwd_gone("../a"));
	CU_ASSERT_FALSE(fsio_cwd_gone(path));
	CU_ASSERT_EQUAL(fchdir(back), 0);
}

static const struct test tests[] = {
	TEST(a_listing_starts_anew_and_stops_where_told),
	TEST(only_what_is_relative_needs_a_working_directory),
};
SUITE("fsio_dirs", tests)
