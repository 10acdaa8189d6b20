/* SPDX-License-Identifier: BSD-3-Clause */
/* Giving up leaves a manifest of what is in place, wherever it or the publication was cut off. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

#define SAID_BYTES 4096

static void collect(void *arg, enum log_level level, const char *text)
{
	char *said = arg;

	strncat(said, text, SAID_BYTES - strlen(said) - 1);
	strncat(said, "\n", SAID_BYTES - strlen(said) - 1);
}

static int give_up(struct store *s)
{
	struct store_gave_up gave;

	return store_give_up(s, NULL, &gave, NULL);
}

static const struct item before[] = {DIRECTORY("a", 0755), PLAIN("a/f", "old"),
	PLAIN("a/kept", "kept"), DIRECTORY("a/ro", 0555), PLAIN("a/ro/old", "old"),
	PLAIN("big", "old")};

/* A store with an earlier run and a stranger's, and a committed run of everything. */
static void committed(const char *dest)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);

	fixture_publish(dest, ID_A, ITEMS(before), STORE_REFUSE);
	SCOPED_STORE struct store *s = fixture_open(dest);
	CU_ASSERT_EQUAL(mkdirat(store_dirfd(s), "b", 0700), 0);
	fixture_write(store_dirfd(s), "b/stranger", "stays");
	fixture_prepare(s, ID_B, m, NULL, everything, STORE_ALWAYS);
}

/* Entries of the store's manifest that are files or links; UINT32_MAX: it has none. */
static uint32_t listed(const char *dest, const char *wanted, bool *there)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	SCOPED_MANIFEST struct manifest *m = NULL;
	uint32_t n = 0;

	CU_ASSERT_EQUAL_FATAL(store_manifest(s, &m, NULL), 0);
	*there = m && manifest_find(m, wanted) != MANIFEST_NONE;
	for (uint32_t i = 0; m && i < m->count; i++)
		n += m->entries[i].kind != MANIFEST_DIR;
	return m ? n : UINT32_MAX;
}

/* Regular files and links on disk, by the snapshot's lines. */
static uint32_t on_disk(const char *dest)
{
	SCOPED_FREE char *text = fixture_snapshot(dest);
	uint32_t n = 0;

	for (char *p = text; (p = strstr(p, " links ")); p++)
		n++;
	return n;
}

/* Whatever it went through: no record, no tree, and the manifest is what is there. */
static void check_given_up(const char *dest)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	SCOPED_MANIFEST struct manifest *m = NULL;
	char id[33];
	bool there;

	CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
	CU_ASSERT_STRING_EQUAL(id, "");
	CU_ASSERT_EQUAL(fixture_incoming(dest), 0);
	CU_ASSERT_EQUAL_FATAL(store_manifest(s, &m, NULL), 0);
	CU_ASSERT_EQUAL(fixture_verify(dest, m), 0);
	/* Nothing is said of inodes but of what was there before. */
	for (uint32_t i = 0; i < m->count; i++) {
		struct stat st;
		char path[1024];

		if (!m->entries[i].copy.ino)
			continue;
		manifest_path(m, i, path, sizeof(path));
		CU_ASSERT_EQUAL(
			fstatat(store_dirfd(s), path, &st, AT_SYMLINK_NOFOLLOW), 0);
		CU_ASSERT_TRUE(manifest_untouched(
			&m->entries[i], st.st_ino, manifest_time(st.st_ctim)));
	}
	store_close(TAKE(s));
	/* All but b/stranger came by EBT's hand. */
	CU_ASSERT_EQUAL(listed(dest, "b/stranger", &there) + 1, on_disk(dest));
	CU_ASSERT_FALSE(there);
}

static void given_up_anywhere_the_manifest_says_what_is_there(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	bool died = true;
	int k;

	for (k = 0; died; k++) {
		committed(fixture_dest(tmp, "t", dest));
		died = fixture_publish_until(dest, k);
		CU_ASSERT_FALSE(fixture_until(dest, 1000000, give_up));
		check_given_up(dest);
		CU_ASSERT_FALSE(fixture_until(dest, 1000000, give_up)); /* once more */
		check_given_up(dest);
		CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "t", NULL), 0);
	}
	CU_ASSERT_TRUE(k > 12); /* it did stop in many places */
}

/* Killed at each of its own steps it leaves what can be finished, or what is given up. */
static void giving_up_can_be_cut_off_anywhere(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);
	char tmp[64], dest[128], id[33];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	int pending = 0, given = 0, k;
	bool died = true;

	for (k = 0; died; k++) {
		for (int again = 0; again < 2; again++) {
			committed(fixture_dest(tmp, "t", dest));
			CU_ASSERT_TRUE(fixture_publish_until(dest, 5));
			died = fixture_until(dest, k, give_up);
			SCOPED_STORE struct store *s = fixture_open(dest);
			CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
			store_close(TAKE(s));
			if (again) {
				CU_ASSERT_FALSE(fixture_until(dest, 1000000, give_up));
				check_given_up(dest);
			} else if (id[0]) {
				pending++;
				CU_ASSERT_FALSE(fixture_publish_until(dest, 1000000));
				CU_ASSERT_EQUAL(fixture_verify(dest, m), 0);
			} else {
				given++;
				s = fixture_open(dest);
				CU_ASSERT_TRUE(store_has_given_up(s, ID_B));
				CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 0);
				store_close(TAKE(s));
				check_given_up(dest);
			}
			CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "t", NULL), 0);
		}
	}
	CU_ASSERT_EQUAL(pending, 2); /* manifest written, ID written */
	CU_ASSERT_TRUE(given >= 3);
}

static void what_was_replaced_or_is_gone_is_named(void)
{
	char tmp[64], dest[128], said[SAID_BYTES] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct log log = {.fn = collect, .arg = said, .max = LOG_LEVEL_WARN};
	struct store_gave_up gave;
	bool there;

	committed(fixture_dest(tmp, "t", dest));
	/* Up to the renames' end, then one of the new is lost. */
	CU_ASSERT_TRUE(fixture_publish_until(dest, 12));
	CU_ASSERT_EQUAL(unlinkat(dir, "t/a/f", 0), 0);
	SCOPED_STORE struct store *s = fixture_open(dest);
	CU_ASSERT_EQUAL(store_give_up(s, &log, &gave, NULL), 1);
	CU_ASSERT_STRING_EQUAL(gave.id, ID_B);
	CU_ASSERT_EQUAL(gave.replaced, 1);
	CU_ASSERT_EQUAL(gave.missing, 1);
	CU_ASSERT_FALSE(gave.complete);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(said, "/t/big: replaced; the version before is gone\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "/t/a/f: gone, "));
	store_close(TAKE(s));
	check_given_up(dest);
	CU_ASSERT_TRUE(listed(dest, "a/kept", &there) > 0 && there);
	CU_ASSERT_TRUE(listed(dest, "a/f", &there) > 0 && !there);
}

static void what_is_in_the_way_is_left_and_not_listed(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store_gave_up gave;
	struct stat st;
	bool there;

	committed(fixture_dest(tmp, "t", dest));
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "t/a", NULL), 0);
	fixture_write(dir, "t/a", "a file where the run has a directory");
	SCOPED_STORE struct store *s = fixture_open(dest);
	CU_ASSERT_TRUE(store_publish(s, NULL, NULL) < 0);
	CU_ASSERT_EQUAL(store_give_up(s, NULL, &gave, NULL), 1);
	CU_ASSERT_EQUAL(gave.in_place, 0);
	store_close(TAKE(s));
	CU_ASSERT_EQUAL(listed(dest, "a", &there), 1); /* big */
	CU_ASSERT_FALSE(there);
	CU_ASSERT_EQUAL(fstatat(dir, "t/a", &st, 0), 0);
	CU_ASSERT_EQUAL(fixture_incoming(dest), 0);
}

static void a_store_that_had_nothing_has_no_manifest_afterwards(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_B);
	char tmp[64], dest[128];
	close(suite_tmpdir(tmp));
	SCOPED_STORE struct store *s = fixture_open(fixture_dest(tmp, "t", dest));
	struct store_gave_up gave;
	bool there;

	fixture_prepare(s, ID_B, m, NULL, everything, STORE_REFUSE);
	CU_ASSERT_EQUAL(store_give_up(s, NULL, &gave, NULL), 1);
	CU_ASSERT_EQUAL(gave.in_place, 0);
	store_close(TAKE(s));
	CU_ASSERT_EQUAL(listed(dest, "a", &there), UINT32_MAX);
	s = fixture_open(dest);
	CU_ASSERT_TRUE(store_has_given_up(s, ID_B));
	CU_ASSERT_FALSE(store_has_given_up(s, ID_A));
	CU_ASSERT_EQUAL(store_give_up(s, NULL, &gave, NULL), 0);
	CU_ASSERT_STRING_EQUAL(gave.id, "");
}

static void what_was_all_in_place_is_published(void)
{
	char tmp[64], dest[128];
	close(suite_tmpdir(tmp));
	struct store_gave_up gave;
	struct store_record rec = {.id = ID_A, .how = STORE_REFUSE, .boot = "x"};

	fixture_publish(fixture_dest(tmp, "t", dest), ID_A, everything, STORE_REFUSE);
	SCOPED_STORE struct store *s = fixture_open(dest);
	SCOPED_MANIFEST struct manifest *m = NULL;
	CU_ASSERT_EQUAL(store_record_save(s, &rec, NULL), 0);
	CU_ASSERT_EQUAL(store_give_up(s, NULL, &gave, NULL), 1);
	CU_ASSERT_TRUE(gave.complete);
	CU_ASSERT_FALSE(store_has_given_up(s, ID_A));
	CU_ASSERT_EQUAL(store_manifest(s, &m, NULL), 0);
	CU_ASSERT_STRING_EQUAL(m->id, ID_A);
}

static void a_record_that_cannot_be_read_is_no_obstacle(void)
{
	static const char *const records[] = {"rubbish\n", "ebt publish 2\nid x\n"};
	char tmp[64], dest[128], said[SAID_BYTES] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct log log = {.fn = collect, .arg = said, .max = LOG_LEVEL_WARN};
	struct store_gave_up gave;

	for (size_t i = 0; i < 2; i++) {
		committed(fixture_dest(tmp, "t", dest));
		CU_ASSERT_TRUE(fixture_publish_until(dest, 5));
		fixture_write(dir, "t/.ebt/publish", records[i]);
		SCOPED_STORE struct store *s = fixture_open(dest);
		CU_ASSERT_EQUAL(store_give_up(s, &log, &gave, NULL), 1);
		CU_ASSERT_STRING_EQUAL(gave.id, ID_B);
		CU_ASSERT_PTR_NOT_NULL(strstr(said, "/t/.ebt/publish: "));
		store_close(TAKE(s));
		check_given_up(dest);
		CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "t", NULL), 0);
	}
}

static void what_a_restart_damaged_is_not_in_place(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct timespec times[2] = {
		{.tv_sec = 1}, {.tv_sec = 1000000000, .tv_nsec = 123456789}};
	struct store_gave_up gave;
	struct store_record rec;
	bool there;

	committed(fixture_dest(tmp, "t", dest));
	CU_ASSERT_TRUE(fixture_publish_until(dest, 12));
	SCOPED_STORE struct store *s = fixture_open(dest);
	CU_ASSERT_EQUAL_FATAL(store_record_load(s, &rec, NULL), 1);
	strcpy(rec.boot, "00000000-0000-0000-0000-000000000000");
	CU_ASSERT_EQUAL(store_record_save(s, &rec, NULL), 0);
	SCOPED_FD int fd = openat(dir, "t/big", O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(fsio_write(fd, "", 1, 200000), 0);
	CU_ASSERT_EQUAL(futimens(fd, times), 0);
	CU_ASSERT_EQUAL(store_give_up(s, NULL, &gave, NULL), 1);
	CU_ASSERT_EQUAL(gave.missing, 1);
	store_close(TAKE(s));
	CU_ASSERT_TRUE(listed(dest, "big", &there) > 0 && !there);
}

static const struct test tests[] = {
	TEST(given_up_anywhere_the_manifest_says_what_is_there),
	TEST(giving_up_can_be_cut_off_anywhere),
	TEST(what_was_replaced_or_is_gone_is_named),
	TEST(what_is_in_the_way_is_left_and_not_listed),
	TEST(a_store_that_had_nothing_has_no_manifest_afterwards),
	TEST(what_was_all_in_place_is_published),
	TEST(a_record_that_cannot_be_read_is_no_obstacle),
	TEST(what_a_restart_damaged_is_not_in_place),
};
SUITE("store_give_up", tests)
