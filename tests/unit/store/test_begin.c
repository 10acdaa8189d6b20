/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixture.h"

static const struct item one[] = {DIRECTORY("d", 0555), PLAIN("d/f", "x")};

static bool exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void incoming_is_private(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	SCOPED_FD int tree = -1;
	struct stat st;

	CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
	CU_ASSERT_EQUAL(fstat(tree, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	CU_ASSERT_EQUAL(st.st_gid, getegid());
	CU_ASSERT_EQUAL(fstatat(dir, ".ebt/incoming/" ID_A, &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
}

static void an_id_is_used_once_and_is_no_path(void)
{
	static const char *const bad[] = {"", "..", "../../etc", "0123", ID_A "0",
		"0123456789ABCDEF0123456789abcdef", "0123456789abcde/0123456789abcdef"};
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_STORE struct store *s = fixture_open(tmp);
	SCOPED_FD int tree = -1;
	int other = -1;

	CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
	CU_ASSERT_EQUAL(store_begin(s, ID_A, &other, NULL), -EEXIST);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(store_begin(s, bad[i], &other, NULL), -EINVAL);
		CU_ASSERT_EQUAL(store_has_incoming(s, bad[i]), -EINVAL);
		CU_ASSERT_EQUAL(store_abandon(s, bad[i], NULL), -EINVAL);
	}
	CU_ASSERT_EQUAL(other, -1);
}

static void only_a_sealed_run_counts(void)
{
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(one), ID_A);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	SCOPED_FD int tree = -1;

	CU_ASSERT_EQUAL(store_has_incoming(s, ID_A), 0);
	CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
	CU_ASSERT_EQUAL(store_has_incoming(s, ID_A), 0);
	CU_ASSERT_EQUAL(store_seal(s, m, NULL, false, NULL), 0);
	CU_ASSERT_EQUAL(store_has_incoming(s, ID_A), 1);
}

static void cleaning_keeps_what_it_is_told_to(void)
{
	char tmp[64], id[33];
	close(suite_tmpdir(tmp));
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(one), ID_A);
	SCOPED_STORE struct store *s = fixture_open(tmp);

	fixture_prepare(s, ID_A, m, NULL, ITEMS(one), -1);
	fixture_prepare(s, ID_B, m, NULL, ITEMS(one), STORE_REFUSE);
	CU_ASSERT_EQUAL(store_clean(s, ID_B, NULL), 0);
	CU_ASSERT_EQUAL(store_has_incoming(s, ID_A), 0);
	CU_ASSERT_EQUAL(store_has_incoming(s, ID_B), 1);
	CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
	CU_ASSERT_STRING_EQUAL(id, ID_B);
	CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 0);
	CU_ASSERT_EQUAL(fixture_incoming(tmp), 0);
	CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
	CU_ASSERT_STRING_EQUAL(id, "");
}

static void a_run_given_up_leaves_no_trace(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(one), ID_A);
	SCOPED_STORE struct store *s = fixture_open(fixture_dest(tmp, "d", dest));

	fixture_prepare(s, ID_A, m, NULL, ITEMS(one), STORE_REFUSE);
	CU_ASSERT_EQUAL(store_uncommit(s, ID_A, NULL), 0);
	CU_ASSERT_EQUAL(store_abandon(s, ID_A, NULL), 0);
	CU_ASSERT_FALSE(exists(dir, "d"));
}

static bool at_once(void *arg)
{
	return true;
}

static void a_run_given_up_in_a_hurry_goes_with_the_next_cleaning(void)
{
	char tmp[64], dest[128], id[33];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(one), ID_A);
	SCOPED_STORE struct store *s = fixture_open(fixture_dest(tmp, "d", dest));

	fixture_prepare(s, ID_A, m, NULL, ITEMS(one), -1);
	store_limit_removal(s, at_once, NULL);
	CU_ASSERT_EQUAL(store_abandon(s, ID_A, NULL), 1);
	CU_ASSERT_EQUAL(store_has_incoming(s, ID_A), 0);
	CU_ASSERT_EQUAL(fixture_incoming(dest), 1);
	CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 1);
	store_close(s);
	s = fixture_open(dest);
	CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
	CU_ASSERT_STRING_EQUAL(id, "");
	CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 0);
	CU_ASSERT_EQUAL(fixture_incoming(dest), 0);
	CU_ASSERT_TRUE(exists(dir, "d"));
}

static void a_record_is_taken_back_before_what_it_speaks_of_goes(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(one), ID_A);
	SCOPED_STORE struct store *s = fixture_open(tmp);

	fixture_prepare(s, ID_A, m, NULL, ITEMS(one), STORE_REFUSE);
	CU_ASSERT_EQUAL(store_abandon(s, ID_A, NULL), -EBUSY);
	CU_ASSERT_EQUAL(store_has_incoming(s, ID_A), 1);
	CU_ASSERT_EQUAL(store_uncommit(s, ID_B, NULL), 0);
	CU_ASSERT_TRUE(exists(dir, ".ebt/publish"));
	CU_ASSERT_EQUAL(store_uncommit(s, ID_A, NULL), 0);
	CU_ASSERT_FALSE(exists(dir, ".ebt/publish"));
	CU_ASSERT_EQUAL(store_has_incoming(s, ID_A), 1);
	CU_ASSERT_EQUAL(store_uncommit(s, ID_A, NULL), 0);
}

static void giving_up_leaves_a_directory_that_was_there(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_FD int tree = -1;

	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0755), 0);
	SCOPED_STORE struct store *s = fixture_open(fixture_dest(tmp, "d", dest));
	CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
	CU_ASSERT_EQUAL(store_abandon(s, ID_A, NULL), 0);
	CU_ASSERT_TRUE(exists(dir, "d"));
	CU_ASSERT_FALSE(exists(dir, "d/.ebt"));
}

static void giving_up_keeps_what_other_runs_published(void)
{
	static const struct item two[] = {PLAIN("g", "y")};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(two), ID_B);
	SCOPED_MANIFEST struct manifest *kept = NULL;
	SCOPED_STORE struct store *s = NULL;

	fixture_publish(fixture_dest(tmp, "d", dest), ID_A, ITEMS(one), STORE_REFUSE);
	s = fixture_open(dest);
	fixture_prepare(s, ID_B, m, NULL, ITEMS(two), -1);
	CU_ASSERT_EQUAL(store_abandon(s, ID_B, NULL), 0);
	CU_ASSERT_EQUAL(store_manifest(s, &kept, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kept);
	CU_ASSERT_EQUAL(fixture_verify(dest, kept), 0);
	CU_ASSERT_FALSE(exists(dir, "d/g"));
}

/* In place of the C library's: before @going_for is made, directory @going goes, once. */
static const char *going, *going_for;

int mkdirat(int fd, const char *name, mode_t mode)
{
	if (going && strcmp(name, going_for) == 0) {
		CU_ASSERT_EQUAL(rmdir(going), 0);
		going = NULL;
	}
	return (int)syscall(SYS_mkdirat, fd, name, mode);
}

/* By a run that gives up, which made them: the next one makes them anew. */
static void directories_that_go_while_a_store_is_opened_are_made_again(void)
{
	static const char *const cases[][2] = {
		{"a", "b"}, {"a/b", "c"}, {"a/b/c", ".ebt"}};
	char tmp[64], dest[128], gone[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED_STORE struct store *s = NULL;

		going_for = cases[i][1];
		going = fixture_dest(tmp, cases[i][0], gone);
		s = fixture_open(fixture_dest(tmp, "a/b/c", dest));
		CU_ASSERT_PTR_NULL(going);
		CU_ASSERT_TRUE(exists(dir, "a/b/c/.ebt/lock"));
		CU_ASSERT_EQUAL(store_abandon(s, ID_A, NULL), 0);
		CU_ASSERT_FALSE(exists(dir, "a"));
	}
}

static void what_another_store_lies_in_goes_with_the_last(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *a = fixture_open(fixture_dest(tmp, "x/y/a", dest));
	SCOPED_STORE struct store *b = fixture_open(fixture_dest(tmp, "x/y/b", dest));

	CU_ASSERT_FALSE(store_unmake(a)); /* not given up */
	CU_ASSERT_EQUAL(store_abandon(a, ID_A, NULL), 0);
	CU_ASSERT_FALSE(exists(dir, "x/y/a"));
	CU_ASSERT_TRUE(exists(dir, "x/y/b/.ebt"));
	CU_ASSERT_FALSE(store_unmake(a));
	CU_ASSERT_EQUAL(store_abandon(b, ID_A, NULL), 0);
	CU_ASSERT_TRUE(exists(dir, "x/y"));
	CU_ASSERT_TRUE(store_unmake(a));
	CU_ASSERT_FALSE(exists(dir, "x"));
}

/* A record or manifest that was being saved when the process died. */
static void cleaning_removes_what_was_being_saved(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = fixture_open(tmp);

	fixture_write(dir, ".ebt/." ID_A ".new", "half");
	fixture_write(dir, ".ebt/." ID_B ".old", "not ours");
	fixture_write(dir, ".ebt/manifest", "stays");
	CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 0);
	CU_ASSERT_FALSE(exists(dir, ".ebt/." ID_A ".new"));
	CU_ASSERT_TRUE(exists(dir, ".ebt/." ID_B ".old"));
	CU_ASSERT_TRUE(exists(dir, ".ebt/manifest"));
	CU_ASSERT_TRUE(exists(dir, ".ebt/lock"));
}

static const struct test tests[] = {
	TEST(incoming_is_private),
	TEST(an_id_is_used_once_and_is_no_path),
	TEST(only_a_sealed_run_counts),
	TEST(cleaning_keeps_what_it_is_told_to),
	TEST(cleaning_removes_what_was_being_saved),
	TEST(a_run_given_up_leaves_no_trace),
	TEST(a_run_given_up_in_a_hurry_goes_with_the_next_cleaning),
	TEST(a_record_is_taken_back_before_what_it_speaks_of_goes),
	TEST(directories_that_go_while_a_store_is_opened_are_made_again),
	TEST(what_another_store_lies_in_goes_with_the_last),
	TEST(giving_up_leaves_a_directory_that_was_there),
	TEST(giving_up_keeps_what_other_runs_published),
};
SUITE("store_begin", tests)
