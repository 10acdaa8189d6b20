/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio_internal.h"
#include "suite.h"

typedef int open_fn(int dirfd, const char *path, int flags);
static open_fn *const ways[] = {fsio_open_beneath, fsio_open_beneath_slowly};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void must(int r)
{
	if (r < 0)
		exit(99);
}

/* a/b/file, links to a, to the file, to the outside, and back up. */
static int make_tree(void)
{
	char path[64];
	int top = suite_tmpdir(path), fd;

	must(mkdirat(top, "a", 0700));
	must(mkdirat(top, "a/b", 0700));
	fd = openat(top, "a/b/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(fd);
	must(write(fd, "text", 4) == 4 ? 0 : -1);
	close(fd);
	must(symlinkat("a", top, "to_a"));
	must(symlinkat("file", top, "a/b/to_file"));
	must(symlinkat("/tmp", top, "a/out"));
	must(symlinkat("loop", top, "a/loop"));
	return top;
}

static void what_lies_below_is_opened(void)
{
	SCOPED_FD int top = make_tree();
	char got[8];

	for (size_t i = 0; i < WAYS; i++) {
		SCOPED_FD int fd = ways[i](top, "a/b/file", O_RDONLY);
		SCOPED_FD int dir = ways[i](top, "a/b", O_RDONLY | O_DIRECTORY);
		SCOPED_FD int slash = ways[i](top, "a/b/", O_PATH | O_DIRECTORY);

		CU_ASSERT(fd >= 0 && read(fd, got, sizeof(got)) == 4);
		CU_ASSERT(dir >= 0 && faccessat(dir, "file", F_OK, 0) == 0);
		CU_ASSERT(slash >= 0 && faccessat(slash, "file", F_OK, 0) == 0);
		CU_ASSERT(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	}
}

static void the_empty_path_is_the_directory_itself(void)
{
	SCOPED_FD int top = make_tree();
	struct stat a, b;

	for (size_t i = 0; i < WAYS; i++) {
		SCOPED_FD int path = openat(top, ".", O_PATH | O_CLOEXEC);
		SCOPED_FD int fd = ways[i](path, "", O_RDONLY | O_DIRECTORY);

		CU_ASSERT(fd >= 0 && fstat(fd, &a) == 0 && fstat(top, &b) == 0);
		CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
		/* Open to be listed, which O_PATH is not. */
		CU_ASSERT(fd >= 0 && fsync(fd) == 0);
	}
}

static void no_link_is_followed_wherever_it_stands(void)
{
	static const char *const links[] = {
		"to_a", "to_a/b", "to_a/b/file", "a/b/to_file", "a/out", "a/out/x", "a/loop"};
	SCOPED_FD int top = make_tree();

	for (size_t i = 0; i < WAYS; i++) {
		for (size_t k = 0; k < sizeof(links) / sizeof(links[0]); k++) {
			int r = ways[i](top, links[k], O_RDONLY);

			CU_ASSERT(r == -ELOOP || r == -ENOTDIR);
			r = ways[i](top, links[k], O_PATH);
			CU_ASSERT(r == -ELOOP || r == -ENOTDIR);
		}
	}
}

static void nothing_leads_out(void)
{
	static const char *const paths[] = {"..", "../x", "/tmp", "a/../../x", "a/b/../../.."};
	SCOPED_FD int top = make_tree();

	for (size_t i = 0; i < WAYS; i++) {
		for (size_t k = 0; k < sizeof(paths) / sizeof(paths[0]); k++)
			CU_ASSERT_EQUAL(ways[i](top, paths[k], O_RDONLY), -EXDEV);
	}
}

static void what_is_missing_or_no_directory_says_so(void)
{
	SCOPED_FD int top = make_tree();

	for (size_t i = 0; i < WAYS; i++) {
		CU_ASSERT_EQUAL(ways[i](top, "a/none", O_RDONLY), -ENOENT);
		CU_ASSERT_EQUAL(ways[i](top, "none/b", O_RDONLY), -ENOENT);
		CU_ASSERT_EQUAL(ways[i](top, "a/b/file/x", O_RDONLY), -ENOTDIR);
		CU_ASSERT_EQUAL(ways[i](top, "a/b/file", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	}
}

static const struct test tests[] = {
	TEST(what_lies_below_is_opened),
	TEST(the_empty_path_is_the_directory_itself),
	TEST(no_link_is_followed_wherever_it_stands),
	TEST(nothing_leads_out),
	TEST(what_is_missing_or_no_directory_says_so),
};
SUITE("fsio_beneath", tests)
