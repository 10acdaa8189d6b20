/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

#define MIB (1u << 20)

static int new_file(int dir, const char *name)
{
	return openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static void a_read_at_the_end_is_short(void)
{
	char path[64], got[16];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = new_file(dir, "f");

	CU_ASSERT_EQUAL(fsio_write(fd, "hello", 5, 3), 0);
	CU_ASSERT_EQUAL(fsio_read(fd, got, sizeof(got), 4), 4);
	CU_ASSERT_EQUAL(memcmp(got, "ello", 4), 0);
	CU_ASSERT_EQUAL(fsio_read(fd, got, sizeof(got), 100), 0);
}

static void a_pipe_that_cannot_seek_is_an_error(void)
{
	int p[2];
	char c;

	CU_ASSERT_EQUAL_FATAL(pipe2(p, O_CLOEXEC), 0);
	CU_ASSERT_EQUAL(fsio_read(p[0], &c, 1, 0), -ESPIPE);
	CU_ASSERT_EQUAL(fsio_write(p[1], &c, 1, 0), -ESPIPE);
	close(p[0]);
	close(p[1]);
}

static void extents_of_data_cover_all_that_was_written(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = new_file(dir, "f");
	uint64_t start = 0, stop = 0, at = 0;
	bool first = false, second = false;

	CU_ASSERT_EQUAL(fsio_write(fd, "a", 1, 0), 0);
	CU_ASSERT_EQUAL(fsio_write(fd, "b", 1, 4 * MIB + 5), 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 8 * MIB), 0);
	while (fsio_next_data(fd, at, 8 * MIB, &start, &stop) == 0) {
		CU_ASSERT_TRUE_FATAL(start >= at && start < stop && stop <= 8 * MIB);
		first |= start == 0;
		second |= start <= 4 * MIB + 5 && stop > 4 * MIB + 5;
		at = stop;
	}
	CU_ASSERT_TRUE(first);
	CU_ASSERT_TRUE(second);
}

static void extents_end_where_the_caller_says(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = new_file(dir, "f");
	uint64_t start = 0, stop = 0;

	CU_ASSERT_EQUAL(fsio_write(fd, "0123456789", 10, 0), 0);
	CU_ASSERT_EQUAL(fsio_next_data(fd, 2, 7, &start, &stop), 0);
	CU_ASSERT_EQUAL(start, 2);
	CU_ASSERT_EQUAL(stop, 7);
	CU_ASSERT_EQUAL(fsio_next_data(fd, 7, 7, &start, &stop), 1);
	CU_ASSERT_EQUAL(fsio_next_data(fd, 10, MIB, &start, &stop), 1);
}

static void a_device_without_holes_is_all_data(void)
{
	SCOPED_FD int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	uint64_t start = 1, stop = 1;
	int r = fsio_next_data(fd, 0, 100, &start, &stop);

	/* What lseek says about a character device has changed between kernels. */
	CU_ASSERT_TRUE(r == 1 || (r == 0 && start < stop));
}

static const struct test tests[] = {
	TEST(a_read_at_the_end_is_short),
	TEST(a_pipe_that_cannot_seek_is_an_error),
	TEST(extents_of_data_cover_all_that_was_written),
	TEST(extents_end_where_the_caller_says),
	TEST(a_device_without_holes_is_all_data),
};
SUITE("fsio_io", tests)
