/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

static const struct timespec as_brought[2] = {
	{.tv_sec = 1}, {.tv_sec = 1000000000, .tv_nsec = 123456789}};

static void restore_time(int dir, const char *name)
{
	CU_ASSERT_EQUAL(utimensat(dir, name, as_brought, AT_SYMLINK_NOFOLLOW), 0);
}

static void flip_a_byte(int dir)
{
	SCOPED_FD int fd = openat(dir, "big", O_WRONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(fsio_write(fd, "!", 1, 300001), 0);
	restore_time(dir, "big");
}

static void swap_two_leaves(int dir)
{
	static char a[DIGEST_LEAF], b[DIGEST_LEAF];
	SCOPED_FD int fd = openat(dir, "big", O_RDWR | O_CLOEXEC);

	CU_ASSERT_EQUAL(fsio_read(fd, a, sizeof(a), 0), DIGEST_LEAF);
	CU_ASSERT_EQUAL(fsio_read(fd, b, sizeof(b), DIGEST_LEAF), DIGEST_LEAF);
	CU_ASSERT_EQUAL(fsio_write(fd, b, sizeof(b), 0), 0);
	CU_ASSERT_EQUAL(fsio_write(fd, a, sizeof(a), DIGEST_LEAF), 0);
	restore_time(dir, "big");
}

static void truncate_it(int dir)
{
	SCOPED_FD int fd = openat(dir, "big", O_WRONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(ftruncate(fd, 1000), 0);
	restore_time(dir, "big");
}

static void punch_a_hole(int dir)
{
	SCOPED_FD int fd = openat(dir, "big", O_WRONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 400000), 0);
	restore_time(dir, "big");
}

static void change_mode(int dir)
{
	CU_ASSERT_EQUAL(fchmodat(dir, "a/ro/g", 0600, 0), 0);
}

static void change_mode_of_directory(int dir)
{
	CU_ASSERT_EQUAL(fchmodat(dir, "b", 0700, 0), 0);
}

static void touch(int dir)
{
	struct timespec times[2] = {as_brought[0], as_brought[1]};

	times[1].tv_nsec++;
	CU_ASSERT_EQUAL(utimensat(dir, "empty", times, 0), 0);
}

static void lose(int dir)
{
	CU_ASSERT_EQUAL(unlinkat(dir, "empty", 0), 0);
}

static void lose_a_directory(int dir)
{
	CU_ASSERT_EQUAL(fchmodat(dir, "b", 0700, 0), 0);
	CU_ASSERT_EQUAL(unlinkat(dir, "b/empty", AT_REMOVEDIR), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, "b", 0550, 0), 0);
}

static void turn_link(int dir)
{
	CU_ASSERT_EQUAL(unlinkat(dir, "a/link", 0), 0);
	CU_ASSERT_EQUAL(symlinkat("f2", dir, "a/link"), 0);
	restore_time(dir, "a/link");
}

static void replace_by_link(int dir)
{
	CU_ASSERT_EQUAL(unlinkat(dir, "empty", 0), 0);
	CU_ASSERT_EQUAL(symlinkat("/dev/null", dir, "empty"), 0);
}

static void break_hard_link(int dir)
{
	CU_ASSERT_EQUAL(unlinkat(dir, "a/f", 0), 0);
	fixture_write(dir, "a/f", "one inode");
	CU_ASSERT_EQUAL(fchmodat(dir, "a/f", 0640, 0), 0);
	restore_time(dir, "a/f");
}

static void tell(void *arg, const char *path, const char *what)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s: %s; ", path, what);
}

static void told_after(void (*spoil)(int dir), const char *expected)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_A);
	char tmp[64], text[1024] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	uint64_t bad = 99;

	fixture_publish(tmp, ID_A, everything, STORE_REFUSE);
	spoil(dir);
	CU_ASSERT_EQUAL(store_verify(dir, m, 3, tell, text, &bad, NULL), 0);
	CU_ASSERT_EQUAL(bad, 1);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static void every_kind_of_damage_is_named(void)
{
	static const struct {
		void (*spoil)(int dir);
		const char *told;
	} cases[] = {
		{flip_a_byte, "big: content; "},
		{swap_two_leaves, "big: content; "},
		{punch_a_hole, "big: content; "},
		{truncate_it, "big: size; "},
		{change_mode, "a/ro/g: mode; "},
		{change_mode_of_directory, "b: mode; "},
		{touch, "empty: mtime; "},
		{lose, "empty: missing; "},
		{lose_a_directory, "b/empty: missing; "},
		{turn_link, "a/link: link target; "},
		{replace_by_link, "empty: kind; "},
		{break_hard_link, "b/hard: hard links; "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		told_after(cases[i].spoil, cases[i].told);
}

static void an_extra_attribute_is_found(void)
{
	static const struct item items[] = {{.path = "f",
		.kind = MANIFEST_FILE,
		.mode = 0644,
		.text = "x",
		.xattr = "value"}};
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64], path[128];
	close(suite_tmpdir(tmp));

	fixture_publish(tmp, ID_A, ITEMS(items), STORE_REFUSE);
	/* Also where the file system has none: then none are missed. */
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
	fixture_dest(tmp, "f", path);
	if (setxattr(path, "user.more", "", 0, 0) < 0)
		return;
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 1);
	CU_ASSERT_EQUAL(removexattr(path, "user.more"), 0);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
	CU_ASSERT_EQUAL(setxattr(path, "user.test", "other", 5, 0), 0);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 1);
}

static void a_link_in_place_of_a_directory_is_not_followed(void)
{
	static const struct item items[] = {DIRECTORY("d", 0755), PLAIN("d/f", "x")};
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	fixture_publish(tmp, ID_A, ITEMS(items), STORE_REFUSE);
	CU_ASSERT_EQUAL(renameat(dir, "d", dir, "e"), 0);
	CU_ASSERT_EQUAL(symlinkat("e", dir, "d"), 0);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 2);
}

static void a_file_that_its_owner_may_not_read_is_verified(void)
{
	static const struct item items[] = {
		{.path = "f", .kind = MANIFEST_FILE, .mode = 0044, .text = "x"}};
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct stat st;

	fixture_publish(tmp, ID_A, ITEMS(items), STORE_REFUSE);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "f", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0044);
}

static void holes_count_as_the_zeros_they_are(void)
{
	char tmp[64], data[10] = "0123456789";
	SCOPED_FREE void *buffer = malloc(STORE_BUFFER);
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_FD int fd = openat(dir, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	const uint64_t size = 40ull * DIGEST_LEAF + 17, at = 21ull * DIGEST_LEAF + 5;
	SCOPED_FREE char *leaf = calloc(1, DIGEST_LEAF);
	struct ebt_digest got, expected;

	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)size), 0);
	CU_ASSERT_EQUAL(store_digest(fd, size, buffer, NULL, NULL, &got), 0);
	CU_ASSERT_TRUE(digest_equal(got, (struct ebt_digest){0}));
	CU_ASSERT_EQUAL(fsio_write(fd, data, sizeof(data), at), 0);
	memcpy(leaf + 5, data, sizeof(data));
	expected = digest_leaf(leaf, DIGEST_LEAF, 21);
	CU_ASSERT_EQUAL(store_digest(fd, size, buffer, NULL, NULL, &got), 0);
	CU_ASSERT_TRUE(digest_equal(got, expected));
	CU_ASSERT_EQUAL(store_digest(fd, size + 1, buffer, NULL, NULL, &got), 1);
}

static const struct test tests[] = {
	TEST(every_kind_of_damage_is_named),
	TEST(an_extra_attribute_is_found),
	TEST(a_link_in_place_of_a_directory_is_not_followed),
	TEST(a_file_that_its_owner_may_not_read_is_verified),
	TEST(holes_count_as_the_zeros_they_are),
};
SUITE("store_verify", tests)
