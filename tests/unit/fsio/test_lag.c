/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

/* Says stop when it was asked often enough. */
static bool tired(void *arg)
{
	int *left = arg;

	return (*left)-- <= 0;
}

static void what_works_or_is_no_matter_of_views_is_final(void)
{
	static const int codes[] = {0, 7, -EACCES, -ENOTDIR, -ELOOP, -EIO};
	struct fsio_patience p = {0};
	struct fsio_lag lag = {0};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		CU_ASSERT_FALSE(fsio_lags(&lag, AT_FDCWD, "/proc/self", &p, codes[i]));
	CU_ASSERT_EQUAL(lag.tries, 0);
}

/* No view of a local file system lags, so nothing is made there to ask. */
static void what_a_local_directory_does_not_have_is_missing(void)
{
	char path[64], name[96];
	SCOPED_FD int top = suite_tmpdir(path);
	struct fsio_patience p = {0};
	struct fsio_lag lag = {0};
	struct stat before, after;

	if (!fsio_is_local(top))
		return;
	fstat(top, &before);
	snprintf(name, sizeof(name), "%s/none/below", path);
	CU_ASSERT_FALSE(fsio_lags(&lag, top, "none", &p, -ENOENT));
	CU_ASSERT_FALSE(fsio_lags(&lag, top, "none/below/it", &p, -ENOENT));
	CU_ASSERT_FALSE(fsio_lags(&lag, AT_FDCWD, name, &p, -ESTALE));
	fstat(top, &after);
	CU_ASSERT(memcmp(&before.st_mtim, &after.st_mtim, sizeof(after.st_mtim)) == 0);
	CU_ASSERT_EQUAL(lag.waited_ms, 0);
}

/* Below /proc, which is no disk's. mkdir(2) of what is there says so. */
static void a_name_that_is_there_is_tried_again_at_once_and_then_waited_for(void)
{
	struct fsio_patience p = {0};
	struct fsio_lag lag = {0};

	CU_ASSERT_TRUE(fsio_lags(&lag, AT_FDCWD, "/proc/self", &p, -ENOENT));
	CU_ASSERT_EQUAL(lag.waited_ms, 0);
	CU_ASSERT_TRUE(fsio_lags(&lag, AT_FDCWD, "/proc/self", &p, -ENOENT));
	CU_ASSERT(lag.waited_ms > 0);
}

static void a_server_that_does_not_tell_is_asked_until_the_end(void)
{
	int left = 3;
	struct fsio_patience p = {.stopped = tired, .arg = &left};
	struct fsio_lag lag = {0};
	int n = 0;

	while (fsio_lags(&lag, AT_FDCWD, "/proc/no such/d", &p, -ENOENT))
		n++;
	CU_ASSERT_EQUAL(n, 3);
	CU_ASSERT(lag.waited_ms > 0);
	p.stopped = NULL;
	lag.waited_ms = FSIO_LAG_MS;
	CU_ASSERT_FALSE(fsio_lags(&lag, AT_FDCWD, "/proc/no such/d", &p, -ENOENT));
}

static void what_the_server_says_is_what_stat_says(void)
{
	char path[64];
	SCOPED_FD int top = suite_tmpdir(path);
	SCOPED_FD int fd = openat(top, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	struct stat a, b;

	CU_ASSERT_EQUAL(write(fd, "text", 4), 4);
	CU_ASSERT_EQUAL(symlinkat("file", top, "link"), 0);
	for (int i = 0; i < 3; i++) {
		const char *name = i == 0 ? "file" : i == 1 ? "link" : "";

		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		CU_ASSERT_EQUAL(fsio_stat_now(top, name, &a), 0);
		CU_ASSERT_EQUAL(
			fstatat(top, name, &b, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), 0);
		CU_ASSERT(a.st_dev == b.st_dev && a.st_ino == b.st_ino &&
			  a.st_mode == b.st_mode && a.st_nlink == b.st_nlink &&
			  a.st_uid == b.st_uid && a.st_gid == b.st_gid &&
			  a.st_size == b.st_size && a.st_blocks == b.st_blocks);
		CU_ASSERT(memcmp(&a.st_mtim, &b.st_mtim, sizeof(a.st_mtim)) == 0);
		CU_ASSERT(memcmp(&a.st_ctim, &b.st_ctim, sizeof(a.st_ctim)) == 0);
	}
	CU_ASSERT_EQUAL(fsio_stat_now(top, "none", &a), -ENOENT);
}

static const struct test tests[] = {
	TEST(what_works_or_is_no_matter_of_views_is_final),
	TEST(what_a_local_directory_does_not_have_is_missing),
	TEST(a_name_that_is_there_is_tried_again_at_once_and_then_waited_for),
	TEST(a_server_that_does_not_tell_is_asked_until_the_end),
	TEST(what_the_server_says_is_what_stat_says),
};
SUITE("fsio_lag", tests)
