/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
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
	static const char *const links[] = {"to_a", "to_a/b", "to_a/b/file",
		"a/b/to_file", "a/out", "a/out/x", "a/loop"};
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
	static const char *const paths[] = {
		"..", "../x", "/tmp", "a/../../x", "a/b/../../.."};
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
		CU_ASSERT_EQUAL(
			ways[i](top, "a/b/file", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	}
}

#define LONG (5 * PATH_MAX)

/*
 * Directories within each other until their path has LONG bytes, with names of @name bytes, each
 * made in the one before. @path gets it, of LONG + NAME_MAX + 64 bytes. The last one, open.
 */
static int make_deep(int top, size_t name, char *path)
{
	int at = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;
	size_t len = 0;

	must(at);
	while (len < LONG) {
		if (len)
			path[len++] = '/';
		memset(path + len, 'd', name);
		path[len + name] = '\0';
		must(mkdirat(at, path + len, 0700));
		next = openat(at, path + len, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		must(next);
		close(at);
		at = next;
		len += name;
	}
	return at;
}

/* What the end of the test could not remove by its path. */
static void drop_deep(int top, char *path, size_t name)
{
	path[name] = '\0';
	must(fsio_remove_tree(top, path, NULL));
}

static void a_path_may_be_longer_than_one_call_takes(void)
{
	/* Parts end behind a name, within one, and with the longest names there are. */
	static const size_t names[] = {15, 63, 255};
	SCOPED_FREE char *path = malloc(LONG + NAME_MAX + 64);
	char got[8];

	must(path ? 0 : -1);
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		char tmp[64];
		SCOPED_FD int top = suite_tmpdir(tmp);
		SCOPED_FD int deep = make_deep(top, names[k], path);
		size_t len = strlen(path);
		struct stat a, b;

		must(fstat(deep, &a));
		{
			SCOPED_FD int fd = openat(
				deep, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			must(fd < 0 || write(fd, "text", 4) != 4 ? -1 : 0);
		}
		for (size_t i = 0; i < WAYS; i++) {
			SCOPED_FD int dir = ways[i](top, path, O_PATH | O_DIRECTORY);
			SCOPED_FD int fd = -1;
			SCOPED_FD int slashes = -1;

			CU_ASSERT(dir >= 0 && fstat(dir, &b) == 0);
			CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
			strcpy(path + len, "/file");
			fd = ways[i](top, path, O_RDONLY);
			CU_ASSERT(fd >= 0 && read(fd, got, sizeof(got)) == 4);
			CU_ASSERT(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
			CU_ASSERT_EQUAL(
				ways[i](top, path, O_RDONLY | O_DIRECTORY), -ENOTDIR);
			strcpy(path + len, "/none");
			CU_ASSERT_EQUAL(ways[i](top, path, O_RDONLY), -ENOENT);
			strcpy(path + len, "//////");
			slashes = ways[i](top, path, O_RDONLY);
			CU_ASSERT(slashes >= 0 && fstat(slashes, &b) == 0);
			CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
			path[len] = '\0';
		}
		drop_deep(top, path, names[k]);
	}
}

/* Around those that one call takes, and two. */
static void no_length_is_refused(void)
{
	SCOPED_FREE char *path = malloc(3 * PATH_MAX);
	SCOPED_FD int top = make_tree();

	must(path ? 0 : -1);
	for (size_t i = 0; i < WAYS; i++) {
		for (size_t n = 0; n < 32; n++) {
			size_t len = (n / 16 + 1) * PATH_MAX - 12 + n % 16;

			for (size_t k = 0; k < len; k += 2)
				memcpy(path + k, "./", 2);
			strcpy(path + len - (len % 2), "a/b/file");
			SCOPED_FD int fd = ways[i](top, path, O_RDONLY);

			CU_ASSERT(fd >= 0);
			memset(path, '/', len);
			memcpy(path, "a", 1);
			strcpy(path + len, "b/file");
			SCOPED_FD int slashes = ways[i](top, path, O_RDONLY);

			CU_ASSERT(slashes >= 0);
		}
	}
}

static void no_link_is_followed_far_down_either(void)
{
	SCOPED_FREE char *path = malloc(2 * LONG + 2 * NAME_MAX + 64);
	char tmp[64];
	SCOPED_FD int top = suite_tmpdir(tmp);
	SCOPED_FD int deep = -1;
	size_t len, n = 0;

	must(path ? 0 : -1);
	deep = make_deep(top, 200, path);
	len = strlen(path);
	must(symlinkat("/tmp", deep, "out"));
	must(symlinkat(".", deep, "itself"));
	for (size_t i = 0; i < WAYS; i++) {
		int r;

		strcpy(path + len, "/out");
		r = ways[i](top, path, O_RDONLY);
		CU_ASSERT(r == -ELOOP || r == -ENOTDIR);
		r = ways[i](top, path, O_PATH);
		CU_ASSERT(r == -ELOOP || r == -ENOTDIR);
		/* As a part of a path that goes on. */
		for (n = 0; n < PATH_MAX; n += 7)
			memcpy(path + len + n, "/itself", 8);
		r = ways[i](top, path, O_PATH | O_DIRECTORY);
		CU_ASSERT(r == -ELOOP || r == -ENOTDIR);
		path[len] = '\0';
	}
	/* And above the end of a part, where one was exchanged for a link. */
	memset(path, 'd', 200);
	path[200] = '\0';
	must(renameat(top, path, top, "real"));
	must(symlinkat("real", top, path));
	path[200] = '/';
	for (size_t i = 0; i < WAYS; i++) {
		int r = ways[i](top, path, O_PATH | O_DIRECTORY);

		CU_ASSERT(r == -ELOOP || r == -ENOTDIR);
	}
	must(fsio_remove_tree(top, "real", NULL));
}

static void no_long_path_leads_out(void)
{
	SCOPED_FREE char *path = malloc(LONG + 64);
	SCOPED_FD int top = make_tree();

	must(path ? 0 : -1);
	for (size_t i = 0; i < WAYS; i++) {
		memset(path, '/', LONG);
		strcpy(path + LONG, "tmp");
		CU_ASSERT_EQUAL(ways[i](top, path, O_RDONLY), -EXDEV);
		for (size_t n = 0; n < LONG; n += 2)
			memcpy(path + n, "./", 3);
		strcpy(path + LONG, "../x");
		CU_ASSERT_EQUAL(ways[i](top, path, O_RDONLY), -EXDEV);
		memset(path, 'x', LONG);
		path[LONG] = '\0';
		CU_ASSERT_EQUAL(ways[i](top, path, O_RDONLY), -ENAMETOOLONG);
	}
}

static const struct test tests[] = {
	TEST(what_lies_below_is_opened),
	TEST(the_empty_path_is_the_directory_itself),
	TEST(no_link_is_followed_wherever_it_stands),
	TEST(nothing_leads_out),
	TEST(what_is_missing_or_no_directory_says_so),
	TEST(a_path_may_be_longer_than_one_call_takes),
	TEST(no_length_is_refused),
	TEST(no_link_is_followed_far_down_either),
	TEST(no_long_path_leads_out),
};
SUITE("fsio_beneath", tests)
