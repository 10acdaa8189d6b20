/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static const struct item items[] = {DIRECTORY("d", 0755), PLAIN("d/f", "x"),
	DIRECTORY("d/sub", 0755), PLAIN("d/sub/g", "y"), LINK("l", "d/f"),
	PLAIN("new\nline", "")};

static uint64_t conflicts(
	const char *tmp, enum store_overwrite how, unsigned max, char text[256])
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	uint64_t n = 99;
	int r = store_conflicts(s, m, NULL, how, max, text, 256, &n, NULL);

	CU_ASSERT_EQUAL(r, n > 0);
	return n;
}

static void an_empty_directory_has_no_conflicts(void)
{
	char tmp[64], text[256];
	close(suite_tmpdir(tmp));

	CU_ASSERT_EQUAL(conflicts(tmp, STORE_REFUSE, 5, text), 0);
	CU_ASSERT_STRING_EQUAL(text, "");
}

static void directories_may_exist_and_files_may_not(void)
{
	char tmp[64], text[256];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0700), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "d/sub", 0700), 0);
	fixture_write(dir, "d/other", "no matter");
	CU_ASSERT_EQUAL(conflicts(tmp, STORE_REFUSE, 5, text), 0);
	fixture_write(dir, "d/sub/g", "in the way");
	fixture_write(dir, "new\nline", "in the way");
	CU_ASSERT_EQUAL(conflicts(tmp, STORE_REFUSE, 5, text), 2);
	CU_ASSERT_STRING_EQUAL(text, "d/sub/g\nnew\\nline\n");
	CU_ASSERT_EQUAL(conflicts(tmp, STORE_REFUSE, 1, text), 2);
	CU_ASSERT_STRING_EQUAL(text, "d/sub/g\n");
	CU_ASSERT_EQUAL(conflicts(tmp, STORE_ALWAYS, 5, text), 0);
}

static void a_directory_is_replaced_by_nothing_else(void)
{
	char tmp[64], text[256];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	CU_ASSERT_EQUAL(mkdirat(dir, "l", 0700), 0);
	CU_ASSERT_EQUAL(symlinkat("l", dir, "d"), 0);
	CU_ASSERT_EQUAL(conflicts(tmp, STORE_ALWAYS, 5, text), 2);
	CU_ASSERT_STRING_EQUAL(text, "d\nl\n");
	CU_ASSERT_EQUAL(conflicts(tmp, STORE_UPDATE, 5, text), 2);
}

static void names_that_do_not_fit_are_counted_all_the_same(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64], text[4];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	uint64_t n;

	fixture_write(dir, "d", "");
	fixture_write(dir, "l", "");
	fixture_write(dir, "new\nline", "");
	CU_ASSERT_EQUAL(
		store_conflicts(s, m, NULL, STORE_REFUSE, 9, text, 4, &n, NULL), 1);
	CU_ASSERT_EQUAL(n, 3);
	CU_ASSERT_EQUAL(
		store_conflicts(s, m, NULL, STORE_REFUSE, 9, NULL, 0, &n, NULL), 1);
}

static const struct item linked[] = {PLAIN("f", "content"),
	{.path = "h1", .kind = MANIFEST_FILE, .mode = 0644, .text = "h", .inode = 3},
	{.path = "h2", .kind = MANIFEST_FILE, .mode = 0644, .text = "h", .inode = 3},
	LINK("l", "target")};

/* Names that are needed after @spoil was done to a complete store. */
static void needed_after(void (*spoil)(int dir), const char *expected)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(linked), ID_A);
	char tmp[64], text[256] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = NULL;
	uint64_t need[1] = {0};

	fixture_publish(tmp, ID_A, ITEMS(linked), STORE_REFUSE);
	spoil(dir);
	s = fixture_open(tmp);
	CU_ASSERT_EQUAL(store_compare(s, m, need, NULL), 0);
	for (uint32_t i = 0; i < m->count; i++)
		if (need[0] >> i & 1)
			sprintf(text + strlen(text), "%s ", m->entries[i].name);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static void nothing(int dir)
{
}

static void touch(int dir)
{
	CU_ASSERT_EQUAL(utimensat(dir, "f", NULL, 0), 0);
}

static void change_mode(int dir)
{
	CU_ASSERT_EQUAL(fchmodat(dir, "f", 0600, 0), 0);
}

static void grow(int dir)
{
	struct timespec times[2] = {
		{.tv_sec = 1}, {.tv_sec = 1000000000, .tv_nsec = 123456789}};

	fixture_write(dir, "f", "content and more");
	CU_ASSERT_EQUAL(utimensat(dir, "f", times, 0), 0);
}

static void turn_link(int dir)
{
	CU_ASSERT_EQUAL(unlinkat(dir, "l", 0), 0);
	CU_ASSERT_EQUAL(symlinkat("targex", dir, "l"), 0);
}

static void remove_second_name(int dir)
{
	CU_ASSERT_EQUAL(unlinkat(dir, "h2", 0), 0);
}

static void part_names(int dir)
{
	struct timespec times[2] = {
		{.tv_sec = 1}, {.tv_sec = 1000000000, .tv_nsec = 123456789}};

	remove_second_name(dir);
	fixture_write(dir, "h2", "h");
	CU_ASSERT_EQUAL(fchmodat(dir, "h2", 0644, 0), 0);
	CU_ASSERT_EQUAL(utimensat(dir, "h2", times, 0), 0);
}

static void what_differs_is_needed(void)
{
	static const struct {
		void (*spoil)(int dir);
		const char *needed;
	} cases[] = {
		{nothing, ""},
		{touch, "f "},
		{change_mode, "f "},
		{grow, "f "},
		{turn_link, "l "},
		{remove_second_name, "h1 h2 "},
		{part_names, "h1 h2 "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		needed_after(cases[i].spoil, cases[i].needed);
}

static void everything_below_a_missing_directory_is_needed(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_STORE struct store *s = fixture_open(tmp);
	uint64_t need[1] = {0};

	CU_ASSERT_EQUAL(store_compare(s, m, need, NULL), 0);
	for (uint32_t i = 0; i < m->count; i++)
		CU_ASSERT_EQUAL(need[0] >> i & 1, m->entries[i].kind != MANIFEST_DIR);
}

#define STRANGER 12345

/* store_conflicts of @items as user STRANGER; root has to become somebody who may be refused. */
static int conflicts_of_stranger(const char *tmp)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		SCOPED_STORE struct store *s = NULL;
		char text[256];
		uint64_t n = 0;

		if (setegid(STRANGER) < 0 || seteuid(STRANGER) < 0)
			_exit(99);
		SCOPED_MANIFEST struct manifest *m =
			fixture_manifest(ITEMS(items), ID_A);
		if (store_open(tmp, STORE_CREATE, &s, NULL) < 0)
			_exit(98);
		_exit(-store_conflicts(
			s, m, NULL, STORE_ALWAYS, 5, text, 256, &n, NULL));
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* Found out while publishing, it would be too late for all or nothing. */
static void what_cannot_be_put_in_place_is_refused_in_time(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	if (geteuid() != 0)
		return; /* cannot be set up */
	CU_ASSERT_EQUAL(fchown(dir, STRANGER, STRANGER), 0);
	CU_ASSERT_EQUAL(conflicts_of_stranger(tmp), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0755), 0);
	CU_ASSERT_EQUAL(conflicts_of_stranger(tmp), -EACCES);
	CU_ASSERT_EQUAL(fchmodat(dir, "d", 01777, 0), 0);
	CU_ASSERT_EQUAL(conflicts_of_stranger(tmp), 0);
	fixture_write(dir, "d/f", "of root, in a sticky directory");
	CU_ASSERT_EQUAL(conflicts_of_stranger(tmp), -EPERM);
	CU_ASSERT_EQUAL(fchownat(dir, "d/f", STRANGER, STRANGER, 0), 0);
	CU_ASSERT_EQUAL(conflicts_of_stranger(tmp), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, "d", 0, 0), 0);
	CU_ASSERT_EQUAL(fchownat(dir, "d", STRANGER, STRANGER, 0), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, "d", 0555, 0), 0); /* ours: publishing opens it */
	CU_ASSERT_EQUAL(conflicts_of_stranger(tmp), 0);
}

/* What store_conflicts says after directory "d" of the store at @tmp was changed. */
static int conflicts_with(const char *tmp, int dir, mode_t top, mode_t mode, uid_t uid,
	struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	SCOPED_STORE struct store *s = NULL;
	uint64_t n;

	CU_ASSERT_EQUAL(fchmod(dir, top), 0);
	CU_ASSERT_EQUAL(fchownat(dir, "d", uid, uid, 0), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, "d", mode, 0), 0);
	s = fixture_open(tmp);
	return store_conflicts(s, m, NULL, STORE_ALWAYS, 0, NULL, 0, &n, err);
}

static void what_others_could_replace_is_not_filled(void)
{
	static const struct {
		mode_t top, mode;
		uid_t uid;
		int result;
	} cases[] = {
		{0755, 0755, 0, 0},
		{0755, 01777, 0, 0},
		{0755, 0777, 0, -EPERM},
		{0755, 0755, STRANGER, -EPERM},
		{01777, 0777, STRANGER, -EPERM},
		/* Nobody gets in, but that of somebody else was his before, perhaps. */
		{0700, 0777, 0, 0},
		{0700, 0755, STRANGER, -EPERM},
	};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct ebt_err err;

	if (fixture_needs_root())
		return;
	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0755), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(conflicts_with(tmp, dir, cases[i].top, cases[i].mode,
					cases[i].uid, &err),
			cases[i].result);
		if (cases[i].result)
			CU_ASSERT_PTR_NOT_NULL(
				strstr(err.text, "/d: others could replace"));
	}
}

static void directories_of_others_that_were_staged_are_filled_again(void)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = NULL;
	struct ebt_err err;

	if (fixture_needs_root())
		return;
	m->entries[manifest_find(m, "d")].uid = STRANGER;
	m->entries[manifest_find(m, "d")].gid = STRANGER;
	m->entries[manifest_find(m, "d")].mode = 0775;
	s = fixture_open(tmp);
	fixture_prepare(s, ID_A, m, NULL, ITEMS(items), STORE_REFUSE);
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
	store_close(TAKE(s));
	CU_ASSERT_EQUAL(conflicts_with(tmp, dir, 0700, 0775, STRANGER, NULL), 0);
	/* Not what was staged. */
	CU_ASSERT_EQUAL(conflicts_with(tmp, dir, 0700, 0777, STRANGER, NULL), -EPERM);
	CU_ASSERT_EQUAL(
		conflicts_with(tmp, dir, 0700, 0775, STRANGER + 1, NULL), -EPERM);
	/* He gets in. */
	CU_ASSERT_EQUAL(conflicts_with(tmp, dir, 0711, 0775, STRANGER, &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "mode 0700 of the store"));
}

/* In a sticky store, under a name that was free: it looks as if we had brought it. */
static void a_file_of_somebody_else_is_not_what_was_staged(void)
{
	int status = 0;
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	pid_t pid;

	if (fixture_needs_root())
		return;
	CU_ASSERT_EQUAL(fchown(dir, STRANGER, STRANGER), 0);
	pid = fork();
	if (pid == 0) {
		SCOPED_STORE struct store *s = NULL;
		uint64_t need[1] = {0}, same[1] = {0};

		if (setegid(STRANGER) < 0 || seteuid(STRANGER) < 0)
			_exit(99);
		SCOPED_MANIFEST struct manifest *m =
			fixture_manifest(ITEMS(linked), ID_A);
		fixture_publish(tmp, ID_A, ITEMS(linked), STORE_REFUSE);
		s = fixture_open(tmp);
		store_compare(s, m, same, NULL);
		if (seteuid(0) < 0 ||
			fchownat(dir, "f", STRANGER + 1, STRANGER, 0) < 0 ||
			seteuid(STRANGER) < 0)
			_exit(98);
		store_compare(s, m, need, NULL);
		_exit(same[0] == 0 && need[0] == 1ull << manifest_find(m, "f") ? 0 : 1);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static const struct test tests[] = {
	TEST(an_empty_directory_has_no_conflicts),
	TEST(directories_may_exist_and_files_may_not),
	TEST(a_directory_is_replaced_by_nothing_else),
	TEST(names_that_do_not_fit_are_counted_all_the_same),
	TEST(what_cannot_be_put_in_place_is_refused_in_time),
	TEST(what_others_could_replace_is_not_filled),
	TEST(directories_of_others_that_were_staged_are_filled_again),
	TEST(a_file_of_somebody_else_is_not_what_was_staged),
	TEST(what_differs_is_needed),
	TEST(everything_below_a_missing_directory_is_needed),
};
SUITE("store_check", tests)
