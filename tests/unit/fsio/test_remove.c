/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

static bool exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void touch(int dir, const char *name)
{
	CU_ASSERT_EQUAL(mknodat(dir, name, S_IFREG | 0600, 0), 0);
}

static void nothing_there_is_fine(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "none", NULL), 0);
}

static void a_tree_goes_and_its_neighbours_stay(void)
{
	char path[64], name[32];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(mkdirat(dir, "t", 0700), 0);
	touch(dir, "tt");
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "t/%d", i);
		CU_ASSERT_EQUAL(mkdirat(dir, name, 0700), 0);
		snprintf(name, sizeof(name), "t/%d/f", i);
		touch(dir, name);
		snprintf(name, sizeof(name), "t/%d/d", i);
		CU_ASSERT_EQUAL(mkdirat(dir, name, 0700), 0);
		snprintf(name, sizeof(name), "t/f%d", i);
		touch(dir, name);
	}
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "t", NULL), 0);
	CU_ASSERT_FALSE(exists(dir, "t"));
	CU_ASSERT_TRUE(exists(dir, "tt"));
}

static void a_file_or_a_link_goes_too(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	touch(dir, "f");
	CU_ASSERT_EQUAL(symlinkat("f", dir, "l"), 0);
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "l", NULL), 0);
	CU_ASSERT_TRUE(exists(dir, "f"));
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "f", NULL), 0);
	CU_ASSERT_FALSE(exists(dir, "f"));
}

static void links_are_not_followed(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(mkdirat(dir, "kept", 0700), 0);
	touch(dir, "kept/f");
	CU_ASSERT_EQUAL(mkdirat(dir, "t", 0700), 0);
	CU_ASSERT_EQUAL(symlinkat("../kept", dir, "t/link"), 0);
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "t", NULL), 0);
	CU_ASSERT_FALSE(exists(dir, "t"));
	CU_ASSERT_TRUE(exists(dir, "kept/f"));
}

static void directories_without_permission_bits_are_no_obstacle(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL(mkdirat(dir, "t", 0700), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "t/ro", 0700), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "t/none", 0700), 0);
	touch(dir, "t/ro/f");
	touch(dir, "t/none/f");
	CU_ASSERT_EQUAL(fchmodat(dir, "t/ro", 0555, 0), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, "t/none", 0000, 0), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, "t", 0000, 0), 0);
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "t", NULL), 0);
	CU_ASSERT_FALSE(exists(dir, "t"));
}

static void a_very_deep_tree_needs_few_descriptors(void)
{
	struct rlimit old, few;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int at = -1;
	int next;

	at = dup(dir);
	for (int i = 0; i < 3000; i++) {
		CU_ASSERT_EQUAL_FATAL(mkdirat(at, "directory", 0700), 0);
		next = openat(at, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CU_ASSERT_TRUE_FATAL(next >= 0);
		close(at);
		at = next;
	}
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)at + 8;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "directory", NULL), 0);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CU_ASSERT_FALSE(exists(dir, "directory"));
}

static bool count_down(void *arg)
{
	int *left = arg;

	return (*left)-- == 0;
}

static void the_rest_stays_when_it_is_enough(void)
{
	char path[64], name[32];
	SCOPED_FD int dir = suite_tmpdir(path);
	int left = 15, there = 0;

	CU_ASSERT_EQUAL(mkdirat(dir, "t", 0700), 0);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "t/%d", i);
		if (i % 3)
			touch(dir, name);
		else
			CU_ASSERT_EQUAL(mkdirat(dir, name, 0700), 0);
	}
	CU_ASSERT_EQUAL(fsio_remove_tree_until(dir, "t", count_down, &left, NULL), 1);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "t/%d", i);
		there += exists(dir, name);
	}
	CU_ASSERT_TRUE(there >= 15 && there < 30);
	left = 1000;
	CU_ASSERT_EQUAL(fsio_remove_tree_until(dir, "t", count_down, &left, NULL), 0);
	CU_ASSERT_FALSE(exists(dir, "t"));
}

static void what_cannot_go_is_named(void)
{
	struct ebt_err err = {0};
	char path[64];
	close(suite_tmpdir(path));
	SCOPED_FD int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CU_ASSERT_TRUE(fsio_remove_tree(proc, "version", &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "remove version"));
}

static const struct test tests[] = {
	TEST(nothing_there_is_fine),
	TEST(a_tree_goes_and_its_neighbours_stay),
	TEST(a_file_or_a_link_goes_too),
	TEST(links_are_not_followed),
	TEST(directories_without_permission_bits_are_no_obstacle),
	TEST(a_very_deep_tree_needs_few_descriptors),
	TEST(the_rest_stays_when_it_is_enough),
	TEST(what_cannot_go_is_named),
};
SUITE("fsio_remove", tests)
