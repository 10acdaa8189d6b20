/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

static int count_one(void *arg, const char *name, unsigned char d_type)
{
	++*(int *)arg;
	return 0;
}

static void what_was_saved_is_loaded(void)
{
	SCOPED_BUF struct buf b = {0};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	int names = 0;

	CU_ASSERT_EQUAL(fsio_save(dir, "f", "old and long", 12, NULL), 0);
	CU_ASSERT_EQUAL(fsio_save(dir, "f", "new", 3, NULL), 0);
	CU_ASSERT_EQUAL(fsio_load(dir, "f", 3, &b, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(b.len, 3);
	CU_ASSERT_EQUAL(memcmp(b.data, "new", 3), 0);
	CU_ASSERT_EQUAL(fsio_list(dir, count_one, &names), 0);
	CU_ASSERT_EQUAL(names, 1);
}

static void nothing_is_a_content_too(void)
{
	SCOPED_BUF struct buf b = {0};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(fsio_save(dir, "f", "", 0, NULL), 0);
	CU_ASSERT_EQUAL(fsio_load(dir, "f", 0, &b, NULL), 0);
	CU_ASSERT_EQUAL(b.len, 0);
}

static void a_saved_file_is_ours_alone(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	struct stat st;

	CU_ASSERT_EQUAL(fsio_save(dir, "f", "x", 1, NULL), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "f", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
}

static void saving_over_a_link_replaces_the_link(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	struct stat st;

	CU_ASSERT_EQUAL(symlinkat("elsewhere", dir, "f"), 0);
	CU_ASSERT_EQUAL(fsio_save(dir, "f", "x", 1, NULL), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_TRUE(S_ISREG(st.st_mode));
	CU_ASSERT_EQUAL(fstatat(dir, "elsewhere", &st, 0), -1);
}

static void a_name_in_a_subdirectory_is_saved_there(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(mkdirat(dir, "sub", 0700), 0);
	CU_ASSERT_EQUAL(fsio_save(dir, "sub/f", "x", 1, NULL), 0);
	CU_ASSERT_EQUAL(faccessat(dir, "sub/f", F_OK, 0), 0);
	CU_ASSERT_EQUAL(fsio_save(dir, "none/f", "x", 1, NULL), -ENOENT);
}

static void a_failed_save_leaves_the_old_content_alone(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	int names = 0;

	CU_ASSERT_EQUAL(mkdirat(dir, "f", 0700), 0);
	CU_ASSERT_EQUAL(fsio_save(dir, "f", "x", 1, NULL), -EISDIR);
	CU_ASSERT_EQUAL(fsio_list(dir, count_one, &names), 0);
	CU_ASSERT_EQUAL(names, 1);
}

static void what_a_death_left_is_removed_and_nothing_else(void)
{
	static const char *const kept[] = {"f", ".0123.new", ".new",
		"0123456789abcdef0123456789abcdef.new",
		".0123456789abcdef0123456789abcdeX.new",
		".0123456789abcdef0123456789abcdef.old"};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	int names = 0;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		CU_ASSERT_EQUAL(fsio_save(dir, kept[i], "x", 1, NULL), 0);
	CU_ASSERT_EQUAL(
		symlinkat("f", dir, ".0123456789abcdef0123456789abcdef.new"), 0);
	CU_ASSERT_EQUAL(fsio_save_clean(dir), 0);
	CU_ASSERT_EQUAL(fsio_list(dir, count_one, &names), 0);
	CU_ASSERT_EQUAL(names, sizeof(kept) / sizeof(kept[0]));
}

static void loading_refuses_what_is_no_plain_small_file(void)
{
	SCOPED_BUF struct buf b = {0};
	struct ebt_err err;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(fsio_save(dir, "f", "abcd", 4, NULL), 0);
	CU_ASSERT_EQUAL(symlinkat("f", dir, "link"), 0);
	CU_ASSERT_EQUAL(mkfifoat(dir, "pipe", 0600), 0);
	CU_ASSERT_EQUAL(fsio_load(dir, "f", 3, &b, &err), -EFBIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "read f:"));
	CU_ASSERT_EQUAL(fsio_load(dir, "link", 99, &b, NULL), -ELOOP);
	CU_ASSERT_EQUAL(fsio_load(dir, "pipe", 99, &b, NULL), -EINVAL);
	CU_ASSERT_EQUAL(fsio_load(dir, ".", 99, &b, NULL), -EISDIR);
	CU_ASSERT_EQUAL(fsio_load(dir, "none", 99, &b, NULL), -ENOENT);
	CU_ASSERT_EQUAL(b.len, 0);
}

static void a_file_that_says_it_is_empty_is_read_nevertheless(void)
{
	SCOPED_BUF struct buf b = {0};
	SCOPED_FD int dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CU_ASSERT_EQUAL(fsio_load(dir, "status", 1 << 20, &b, NULL), 0);
	CU_ASSERT_TRUE(b.len > 100);
}

static void two_ids_differ(void)
{
	char a[33], b[33];

	CU_ASSERT_EQUAL(fsio_random_id(a, NULL), 0);
	CU_ASSERT_EQUAL(fsio_random_id(b, NULL), 0);
	CU_ASSERT_EQUAL(strspn(a, "0123456789abcdef"), 32);
	CU_ASSERT_EQUAL(strlen(b), 32);
	CU_ASSERT_STRING_NOT_EQUAL(a, b);
}

static const struct test tests[] = {
	TEST(what_was_saved_is_loaded),
	TEST(nothing_is_a_content_too),
	TEST(a_saved_file_is_ours_alone),
	TEST(saving_over_a_link_replaces_the_link),
	TEST(a_name_in_a_subdirectory_is_saved_there),
	TEST(a_failed_save_leaves_the_old_content_alone),
	TEST(what_a_death_left_is_removed_and_nothing_else),
	TEST(loading_refuses_what_is_no_plain_small_file),
	TEST(a_file_that_says_it_is_empty_is_read_nevertheless),
	TEST(two_ids_differ),
};
SUITE("fsio_save", tests)
