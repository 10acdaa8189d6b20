/* SPDX-License-Identifier: BSD-3-Clause */
/* Names that replace nothing, also where the file system cannot promise that for a rename. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

static int flags_code, link_code; /* errno that a call fails with; 0: it works */
static bool
	somebody_is_faster; /* "to" appears right before the call that gives the name */

int __wrap_renameat2(
	int fromdir, const char *from, int todir, const char *to, unsigned flags);
int __real_renameat2(
	int fromdir, const char *from, int todir, const char *to, unsigned flags);
int __wrap_renameat(int fromdir, const char *from, int todir, const char *to);
int __real_renameat(int fromdir, const char *from, int todir, const char *to);
int __wrap_linkat(int fromdir, const char *from, int todir, const char *to, int flags);
int __real_linkat(int fromdir, const char *from, int todir, const char *to, int flags);

static void put(int dir, const char *name, const char *text)
{
	SCOPED_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	CU_ASSERT_FATAL(fd >= 0 && write(fd, text, 1) == 1);
}

static char first_of(int dir, const char *name)
{
	SCOPED_FD int fd = openat(dir, name, O_RDONLY);
	char c = '-';

	return fd >= 0 && read(fd, &c, 1) == 1 ? c : '-';
}

static void race(int dir, const char *to)
{
	if (somebody_is_faster)
		put(dir, to, "S");
	somebody_is_faster = false;
}

int __wrap_renameat2(
	int fromdir, const char *from, int todir, const char *to, unsigned flags)
{
	errno = flags_code;
	if (flags && flags_code)
		return -1;
	race(todir, to);
	return __real_renameat2(fromdir, from, todir, to, flags);
}

int __wrap_renameat(int fromdir, const char *from, int todir, const char *to)
{
	race(todir, to);
	return __real_renameat(fromdir, from, todir, to);
}

int __wrap_linkat(int fromdir, const char *from, int todir, const char *to, int flags)
{
	errno = link_code;
	if (link_code)
		return -1;
	race(todir, to);
	return __real_linkat(fromdir, from, todir, to, flags);
}

static void begin(int dir, int no_flags, int no_links)
{
	flags_code = no_flags;
	link_code = no_links;
	somebody_is_faster = false;
	put(dir, "from", "O");
}

static const int lacking[] = {0, EINVAL, ENOSYS, EOPNOTSUPP};
#define LACKING (sizeof(lacking) / sizeof(lacking[0]))

static void a_free_name_is_given(void)
{
	for (size_t i = 0; i < LACKING; i++) {
		for (size_t k = 0; k < LACKING; k++) {
			char path[64];
			SCOPED_FD int dir = suite_tmpdir(path);
			struct stat st;

			begin(dir, lacking[i], lacking[k]);
			CU_ASSERT_EQUAL(fsio_name_new(dir, "from", "to"), 0);
			CU_ASSERT_EQUAL(first_of(dir, "to"), 'O');
			CU_ASSERT_EQUAL(fstatat(dir, "to", &st, 0), 0);
			CU_ASSERT_EQUAL(st.st_nlink, 1);
			CU_ASSERT(faccessat(dir, "from", F_OK, 0) < 0);
		}
	}
}

static void a_name_that_is_taken_stays(void)
{
	for (size_t i = 0; i < LACKING; i++) {
		for (size_t k = 0; k < LACKING; k++) {
			char path[64];
			SCOPED_FD int dir = suite_tmpdir(path);

			begin(dir, lacking[i], lacking[k]);
			put(dir, "to", "T");
			CU_ASSERT_EQUAL(fsio_name_new(dir, "from", "to"), -EEXIST);
			CU_ASSERT_EQUAL(first_of(dir, "to"), 'T');
			CU_ASSERT_EQUAL(first_of(dir, "from"), 'O');
		}
	}
}

/* Between a look and a rename it would be replaced. */
static void who_is_faster_loses_nothing(void)
{
	for (size_t i = 0; i < LACKING; i++) {
		char path[64];
		SCOPED_FD int dir = suite_tmpdir(path);

		begin(dir, lacking[i], 0);
		somebody_is_faster = true;
		CU_ASSERT_EQUAL(fsio_name_new(dir, "from", "to"), -EEXIST);
		CU_ASSERT_EQUAL(first_of(dir, "to"), 'S');
		CU_ASSERT_EQUAL(first_of(dir, "from"), 'O');
	}
}

static void a_symlink_gets_its_name_itself(void)
{
	for (size_t i = 0; i < LACKING; i++) {
		char path[64], to[8] = "";
		SCOPED_FD int dir = suite_tmpdir(path);

		begin(dir, lacking[i], 0);
		CU_ASSERT_EQUAL_FATAL(symlinkat("from", dir, "link"), 0);
		CU_ASSERT_EQUAL(fsio_name_new(dir, "link", "to"), 0);
		CU_ASSERT_EQUAL(readlinkat(dir, "to", to, sizeof(to)), 4);
		CU_ASSERT(faccessat(dir, "link", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	}
}

static void other_errors_are_told(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	begin(dir, EACCES, 0);
	CU_ASSERT_EQUAL(fsio_name_new(dir, "from", "to"), -EACCES);
	flags_code = EINVAL;
	link_code = ENOSPC;
	CU_ASSERT_EQUAL(fsio_name_new(dir, "from", "to"), -ENOSPC);
	link_code = 0;
	CU_ASSERT_EQUAL(fsio_name_new(dir, "none", "to"), -ENOENT);
}

static const struct test tests[] = {
	TEST(a_free_name_is_given),
	TEST(a_name_that_is_taken_stays),
	TEST(who_is_faster_loses_nothing),
	TEST(a_symlink_gets_its_name_itself),
	TEST(other_errors_are_told),
};
SUITE("fsio_name", tests)
