/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

static void finish(const char *dest)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	struct ebt_err err = {0};
	char id[33];

	CU_ASSERT_EQUAL_FATAL(store_pending(s, id, NULL, NULL), 0);
	if (id[0]) {
		CU_ASSERT_STRING_EQUAL(id, ID_B);
		CU_ASSERT_EQUAL(store_has_incoming(s, id), 1);
		CU_ASSERT_EQUAL(store_publish(s, NULL, &err), 0);
		CU_ASSERT_STRING_EQUAL(err.text, "");
	}
	CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 0);
}

/*
 * A store with an earlier run and a stranger's file, and a committed run of everything.
 */
static void committed(const char *dest)
{
	static const struct item before[] = {DIRECTORY("a", 0555), PLAIN("a/f", "old"),
		PLAIN("a/kept", "kept"), DIRECTORY("a/ro", 0555),
		PLAIN("a/ro/old", "old"), PLAIN("big", "old")};
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);

	fixture_publish(dest, ID_A, ITEMS(before), STORE_REFUSE);
	SCOPED_STORE struct store *s = fixture_open(dest);
	fixture_write(store_dirfd(s), "stranger", "stays");
	CU_ASSERT_EQUAL(futimens(store_dirfd(s), NULL), 0);
	/* Its time must be the same each time. */
	CU_ASSERT_EQUAL(utimensat(store_dirfd(s), "stranger",
				(struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0),
		0);
	fixture_prepare(s, ID_B, m, NULL, everything, STORE_ALWAYS);
}

static void an_interruption_anywhere_is_made_good(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);
	SCOPED_FREE char *expected = NULL;
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	bool died = true;
	int k;

	committed(fixture_dest(tmp, "expected", dest));
	CU_ASSERT_FALSE(fixture_publish_until(dest, 1000000));
	expected = fixture_snapshot(dest);
	for (k = 0; died; k++) {
		SCOPED_FREE char *got = NULL;
		SCOPED_MANIFEST struct manifest *merged = NULL;

		committed(fixture_dest(tmp, "dest", dest));
		died = fixture_publish_until(dest, k);
		finish(dest);
		got = fixture_snapshot(dest);
		CU_ASSERT_STRING_EQUAL(got, expected);
		CU_ASSERT_EQUAL(fixture_verify(dest, m), 0);
		CU_ASSERT_EQUAL(fixture_incoming(dest), 0);
		SCOPED_STORE struct store *s = fixture_open(dest);
		CU_ASSERT_EQUAL_FATAL(store_manifest(s, &merged, NULL), 0);
		CU_ASSERT_EQUAL(fixture_verify(dest, merged), 0);
		CU_ASSERT_EQUAL(merged->count, m->count + 2);
		store_close(TAKE(s));
		CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "dest", NULL), 0);
	}
	CU_ASSERT_TRUE(k > 15); /* it did stop in many places */
}

#define STRANGER 12345

/* A committed run of a tree with directories of others, and ones that others may write to. */
static struct manifest *foreign(const char *dest)
{
	static const struct item before[] = {
		DIRECTORY("b", 0700), PLAIN("b/old", "old")};
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);

	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].kind == MANIFEST_DIR) {
			m->entries[i].uid = m->entries[i].gid = STRANGER;
			m->entries[i].mode |= 0020;
		}
	fixture_publish(dest, ID_A, ITEMS(before), STORE_REFUSE);
	SCOPED_STORE struct store *s = fixture_open(dest);
	fixture_prepare(s, ID_B, m, NULL, everything, STORE_ALWAYS);
	return TAKE(m);
}

/* What stops a run that finds them there must not stop the one that made them. */
static void directories_of_others_are_no_obstacle_to_the_run_that_brings_them(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	bool died = true;

	if (fixture_needs_root())
		return;
	CU_ASSERT_EQUAL(fchmod(dir, 0711), 0);
	for (int k = 0; died; k++) {
		CU_ASSERT_EQUAL(mkdirat(dir, "d", 0755), 0);
		SCOPED_MANIFEST struct manifest *m =
			foreign(fixture_dest(tmp, "d", dest));

		died = fixture_publish_until(dest, k);
		finish(dest);
		CU_ASSERT_EQUAL(fixture_verify(dest, m), 0);
		CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "d", NULL), 0);
	}
}

static void two_interruptions_are_no_worse_than_one(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);
	char tmp[64], dest[128];
	close(suite_tmpdir(tmp));

	committed(fixture_dest(tmp, "d", dest));
	CU_ASSERT_TRUE(fixture_publish_until(dest, 12));
	CU_ASSERT_TRUE(fixture_publish_until(dest, 3));
	CU_ASSERT_TRUE(fixture_publish_until(dest, 0));
	finish(dest);
	CU_ASSERT_EQUAL(fixture_verify(dest, m), 0);
}

static void reboot(const char *dest)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	struct store_record rec;

	CU_ASSERT_EQUAL_FATAL(store_record_load(s, &rec, NULL), 1);
	strcpy(rec.boot, "00000000-0000-0000-0000-000000000000");
	CU_ASSERT_EQUAL_FATAL(store_record_save(s, &rec, NULL), 0);
}

static void after_a_reboot_whole_files_are_published(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);
	char tmp[64], dest[128];
	close(suite_tmpdir(tmp));

	committed(fixture_dest(tmp, "d", dest));
	CU_ASSERT_TRUE(fixture_publish_until(dest, 5)); /* some are in place already */
	reboot(dest);
	finish(dest);
	CU_ASSERT_EQUAL(fixture_verify(dest, m), 0);
}

static void after_a_reboot_a_damaged_file_stops_everything(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_FREE char *before = NULL;
	SCOPED_FREE char *after = NULL;
	struct timespec times[2] = {
		{.tv_sec = 1}, {.tv_sec = 1000000000, .tv_nsec = 123456789}};
	struct ebt_err err;

	committed(fixture_dest(tmp, "d", dest));
	before = fixture_snapshot(dest);
	SCOPED_FD int fd =
		openat(dir, "d/.ebt/incoming/" ID_B "/tree/big", O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(fsio_write(fd, "", 1, 200000), 0);
	CU_ASSERT_EQUAL(futimens(fd, times), 0);
	reboot(dest);
	SCOPED_STORE struct store *s = fixture_open(dest);
	CU_ASSERT_EQUAL(store_publish(s, NULL, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "lost 1 files"));
	after = fixture_snapshot(dest);
	CU_ASSERT_STRING_EQUAL(before, after);
	/* The only way out: give it up. */
	CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 0);
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(fixture_incoming(dest), 0);
}

static void a_run_sealed_before_a_reboot_is_read_when_committed_after(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = fixture_open(tmp);

	fixture_prepare(s, ID_B, m, NULL, everything, -1);
	fixture_write(dir, ".ebt/incoming/" ID_B "/boot",
		"00000000-0000-0000-0000-000000000000");
	CU_ASSERT_EQUAL(unlinkat(dir, ".ebt/incoming/" ID_B "/tree/empty", 0), 0);
	CU_ASSERT_EQUAL(store_commit(s, ID_B, STORE_ALWAYS, NULL), 0);
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), -EBADMSG);
}

static void a_damaged_record_is_said_to_be_one(void)
{
	static const struct {
		const char *text;
		int code;
	} records[] = {
		{"", -EBADMSG},
		{"rubbish\n", -EBADMSG},
		{"ebt publish 2\nid x\n", -EPROTONOSUPPORT},
		{"ebt publish 1\nid ../../x\noverwrite always\nboot x\n", -EBADMSG},
		{"ebt publish 1\nid " ID_A "\noverwrite perhaps\nboot x\n", -EBADMSG},
		{"ebt publish 1\nid " ID_A "\n", -EBADMSG},
		{"ebt publish 1\nid " ID_A "\noverwrite always\nboot x\n", 0},
	};
	char tmp[64], id[33];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = fixture_open(tmp);

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		fixture_write(dir, ".ebt/publish", records[i].text);
		CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), records[i].code);
	}
}

static void a_damaged_list_of_needs_is_refused(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);
	SCOPED_STORE struct store *s = fixture_open(fixture_dest(tmp, "d", dest));
	uint64_t *got = NULL, need[1] = {0x5a5a};
	const char *name = "d/.ebt/incoming/" ID_B "/need";

	fixture_prepare(s, ID_B, m, need, everything, -1);
	CU_ASSERT_EQUAL(store_load_need(s, m, &got, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(got[0] & 0xffff, 0x5a5a);
	scope_free(&got);
	SCOPED_FD int fd = openat(dir, name, O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL(fsio_write(fd, "!", 1, 12), 0);
	CU_ASSERT_EQUAL(store_load_need(s, m, &got, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(ftruncate(fd, 13), 0);
	CU_ASSERT_EQUAL(store_load_need(s, m, &got, NULL), -EBADMSG);
}

static const struct test tests[] = {
	TEST(an_interruption_anywhere_is_made_good),
	TEST(directories_of_others_are_no_obstacle_to_the_run_that_brings_them),
	TEST(two_interruptions_are_no_worse_than_one),
	TEST(after_a_reboot_whole_files_are_published),
	TEST(after_a_reboot_a_damaged_file_stops_everything),
	TEST(a_run_sealed_before_a_reboot_is_read_when_committed_after),
	TEST(a_damaged_record_is_said_to_be_one),
	TEST(a_damaged_list_of_needs_is_refused),
};
SUITE("store_recover", tests)
