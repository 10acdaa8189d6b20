/* SPDX-License-Identifier: BSD-3-Clause */
#include "pack/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fsio/fsio.h"
#include "suite.h"

/* A file of @size bytes that all are @byte, as the walk sees it. */
static struct manifest_entry look_at(int dirfd, const char *name, int *fd)
{
	struct manifest_entry e = {.kind = MANIFEST_FILE, .group = MANIFEST_NONE};
	struct stat st;

	*fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	CU_ASSERT_FATAL(*fd >= 0 && fstat(*fd, &st) == 0);
	e.size = (uint64_t)st.st_size;
	e.dev = manifest_dev(3, st.st_dev);
	e.ino = st.st_ino;
	e.changed = manifest_time(st.st_ctim);
	e.mtime = st.st_mtim.tv_sec;
	e.mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	return e;
}

static void make(int dirfd, const char *name, size_t size, int byte)
{
	SCOPED_FD int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	SCOPED_FREE char *data = malloc(size + 1);

	CU_ASSERT_FATAL(fd >= 0 && data);
	memset(data, byte, size);
	CU_ASSERT_FATAL(fsio_write(fd, data, size, 0) == 0);
}

static void what_was_read_is_there_under_all_its_names(void)
{
	SCOPED(ahead_freep) struct ahead *a = NULL;
	struct manifest_entry e, last = {0};
	const unsigned char *data;
	SCOPED_FD int fd = -1;
	char path[64], name[16];
	SCOPED_FD int dirfd = suite_tmpdir(path);

	CU_ASSERT_FATAL(ahead_new(64 << 20, false, &a, NULL) == 0);
	/* More than the first table holds. */
	for (int i = 0; i < 3000; i++) {
		SCOPED_FD int one = -1;

		snprintf(name, sizeof(name), "f%d", i);
		make(dirfd, name, (size_t)i, i);
		e = look_at(dirfd, name, &one);
		CU_ASSERT_PTR_NULL(ahead_find(a, &e));
		CU_ASSERT_EQUAL(ahead_read(a, one, &e), 1);
		data = ahead_find(a, &e);
		CU_ASSERT_PTR_NOT_NULL_FATAL(data);
		CU_ASSERT(i == 0 || (data[0] == (i & 255) && data[i - 1] == (i & 255)));
		last = e;
	}
	CU_ASSERT_FATAL(linkat(dirfd, "f2999", dirfd, "again", 0) == 0);
	e = look_at(dirfd, "again", &fd);
	/* One inode, but its change is known: the link has changed the time of that. */
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), e.changed == last.changed);
	e.changed = last.changed;
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 1);
	CU_ASSERT_PTR_EQUAL(ahead_find(a, &e), ahead_find(a, &last));
}

static void what_is_not_as_it_was_seen_is_not_there(void)
{
	SCOPED(ahead_freep) struct ahead *a = NULL;
	struct manifest_entry e;
	SCOPED_FD int fd = -1;
	char path[64];
	SCOPED_FD int dirfd = suite_tmpdir(path);

	CU_ASSERT_FATAL(ahead_new(64 << 20, false, &a, NULL) == 0);
	make(dirfd, "f", 1000, 'x');
	e = look_at(dirfd, "f", &fd);
	e.size = 999; /* it has grown since */
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 0);
	e.size = 1001; /* it has shrunk */
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 0);
	e.size = 0; /* as files below /proc say */
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 0);
	e.size = 1000;
	e.mtime++;
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 0);
	e.mtime--;
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 1);
	e.mtime_ns ^= 1;
	CU_ASSERT_PTR_NULL(ahead_find(a, &e));
}

static void large_and_sparse_files_wait_for_the_plan(void)
{
	SCOPED(ahead_freep) struct ahead *a = NULL;
	struct manifest_entry e;
	SCOPED_FD int fd = -1;
	char path[64];
	SCOPED_FD int dirfd = suite_tmpdir(path);

	CU_ASSERT_FATAL(ahead_new(64 << 20, false, &a, NULL) == 0);
	make(dirfd, "f", AHEAD_FILE_MAX + 1, 'x');
	e = look_at(dirfd, "f", &fd);
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 0);
	e.size = AHEAD_FILE_MAX;
	e.n_extents = 1;
	CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 0);
	CU_ASSERT_EQUAL(ahead_memory(a), 0);
}

static void memory_has_a_bound_and_a_dry_run_the_same(void)
{
	const uint64_t bound = 20 << 20;
	uint64_t files[2] = {0};
	char path[64];
	SCOPED_FD int dirfd = suite_tmpdir(path);

	make(dirfd, "f", AHEAD_FILE_MAX, 'x');
	for (int dry = 0; dry < 2; dry++) {
		SCOPED(ahead_freep) struct ahead *a = NULL;
		SCOPED_FD int fd = -1;
		struct manifest_entry e = look_at(dirfd, "f", &fd);
		int r;

		CU_ASSERT_FATAL(ahead_new(bound, dry, &a, NULL) == 0);
		for (;; files[dry]++) {
			e.ino++; /* other files */
			r = ahead_read(a, fd, &e);
			if (r < 0)
				break;
			/* That is not the inode that was opened. */
			CU_ASSERT_EQUAL(r, dry);
			CU_ASSERT_FATAL(files[dry] < 100);
		}
		CU_ASSERT_EQUAL(r, -ENOSPC);
		CU_ASSERT(ahead_memory(a) <= bound);
		CU_ASSERT(ahead_memory(a) > bound - (5 << 20));
	}
	CU_ASSERT_EQUAL(files[0], files[1]);
	CU_ASSERT_EQUAL(files[0], 16);
}

static void what_was_cleared_makes_room_for_as_much(void)
{
	SCOPED(ahead_freep) struct ahead *a = NULL;
	struct manifest_entry e;
	SCOPED_FD int fd = -1;
	char path[64];
	SCOPED_FD int dirfd = suite_tmpdir(path);
	uint64_t taken = 0;

	CU_ASSERT_FATAL(ahead_new(20 << 20, true, &a, NULL) == 0);
	make(dirfd, "f", AHEAD_FILE_MAX, 'x');
	e = look_at(dirfd, "f", &fd);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 16; i++) {
			e.ino++;
			CU_ASSERT_EQUAL(ahead_read(a, fd, &e), 1);
		}
		CU_ASSERT_PTR_NOT_NULL(ahead_find(a, &e));
		CU_ASSERT(round == 0 || ahead_memory(a) == taken);
		taken = ahead_memory(a);
		ahead_clear(a);
		CU_ASSERT_PTR_NULL(ahead_find(a, &e));
	}
}

static const struct test tests[] = {
	TEST(what_was_cleared_makes_room_for_as_much),
	TEST(what_was_read_is_there_under_all_its_names),
	TEST(what_is_not_as_it_was_seen_is_not_there),
	TEST(large_and_sparse_files_wait_for_the_plan),
	TEST(memory_has_a_bound_and_a_dry_run_the_same),
};
SUITE("pack_ahead", tests)
