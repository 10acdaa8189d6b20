/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/source.h"
#include "suite.h"

static int file_with(int dir, const char *text)
{
	int fd = openat(dir, "f", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static struct manifest_entry entry_of(int fd)
{
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(fstat(fd, &st), 0);
	return (struct manifest_entry){.kind = MANIFEST_FILE,
		.size = (uint64_t)st.st_size,
		.ino = st.st_ino,
		.mtime = st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st.st_mtim.tv_nsec,
		.changed = manifest_time(st.st_ctim)};
}

static void a_file_is_read_where_its_content_begins(void)
{
	char tmp[64], got[8] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED(source_close) struct source s =
		source_of_file(file_with(dir, "abcdef"), 2);

	CU_ASSERT_EQUAL(source_read(&s, 1, got, 2, NULL), 2);
	CU_ASSERT_STRING_EQUAL(got, "de");
	/* It has no more. */
	CU_ASSERT_EQUAL(source_read(&s, 3, got, 5, NULL), 1);
}

static void a_file_that_changed_is_told(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED(source_close) struct source s = source_of_file(file_with(dir, "abc"), 0);
	struct manifest_entry e = entry_of(s.fd);
	struct stat now;

	CU_ASSERT_EQUAL(source_state(&s, &e, 0, NULL), SOURCE_SAME);
	CU_ASSERT_EQUAL(pwrite(s.fd, "d", 1, 3), 1);
	CU_ASSERT_EQUAL(source_state(&s, &e, 0, &now), SOURCE_CHANGED);
	CU_ASSERT_EQUAL(now.st_size, 4);
}

static void content_without_size_is_odd(void)
{
	SCOPED(source_close) struct source s =
		source_of_file(open("/proc/self/status", O_RDONLY | O_CLOEXEC), 0);
	struct manifest_entry e = entry_of(s.fd);

	CU_ASSERT_EQUAL(e.size, 0);
	CU_ASSERT_EQUAL(source_state(&s, &e, 0, NULL), SOURCE_ODD);
}

static void of_a_member_the_archive_must_be_the_same(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED(source_close) struct source s = source_of_file(file_with(dir, "abc"), 1);
	struct manifest_entry e = entry_of(s.fd);

	e.marks = MANIFEST_MEMBER;
	e.size = 2;
	e.ino = 1;
	e.mtime = 7;
	CU_ASSERT_EQUAL(source_state(&s, &e, 3, NULL), SOURCE_SAME);
	e.changed++;
	CU_ASSERT_EQUAL(source_state(&s, &e, 3, NULL), SOURCE_CHANGED);
}

static void memory_is_what_it_is(void)
{
	struct source s = source_of_memory((const unsigned char *)"abcdef");
	struct manifest_entry e = {.kind = MANIFEST_FILE, .size = 6};
	char got[4] = "";

	CU_ASSERT_EQUAL(source_read(&s, 3, got, 3, NULL), 3);
	CU_ASSERT_STRING_EQUAL(got, "def");
	CU_ASSERT_EQUAL(source_state(&s, &e, 0, NULL), SOURCE_SAME);
}

struct counting {
	struct source_feed feed;
	uint64_t next;
};

static int count(
	struct source_feed *f, uint64_t off, void *to, size_t len, struct ebt_err *err)
{
	struct counting *c = (struct counting *)f;

	if (off != c->next)
		return ebt_failx(err, -EPROTO, "out of turn");
	memset(to, 'x', len);
	c->next += len;
	return 0;
}

static void a_feed_says_itself_what_failed(void)
{
	struct counting c = {.feed.read = count};
	struct source s = source_of_feed(&c.feed);
	struct ebt_err err = {0};
	char got[3] = "";

	CU_ASSERT_EQUAL(source_read(&s, 0, got, 2, &err), 2);
	CU_ASSERT_STRING_EQUAL(got, "xx");
	CU_ASSERT_EQUAL(source_read(&s, 5, got, 2, &err), -EPROTO);
	CU_ASSERT_STRING_EQUAL(err.text, "out of turn");
}

static const struct test tests[] = {
	TEST(a_file_is_read_where_its_content_begins),
	TEST(a_file_that_changed_is_told),
	TEST(content_without_size_is_odd),
	TEST(of_a_member_the_archive_must_be_the_same),
	TEST(memory_is_what_it_is),
	TEST(a_feed_says_itself_what_failed),
};
SUITE("source", tests)
