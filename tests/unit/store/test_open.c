/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

/* In place of the C library's: a file system may not have it. */
static int flock_fails;

int flock(int fd, int operation)
{
	errno = flock_fails;
	return flock_fails ? -1 : (int)syscall(SYS_flock, fd, operation);
}

static void a_new_store_is_private(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = fixture_open(fixture_dest(tmp, "x/y", dest));
	struct stat st;

	CU_ASSERT_EQUAL(fstatat(dir, "x/y", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	CU_ASSERT_EQUAL(fstatat(dir, "x/y/.ebt", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	CU_ASSERT_STRING_EQUAL(store_path(s), dest);
}

static void an_existing_directory_keeps_its_mode(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct stat st;

	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0755), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, "d", 02755, 0), 0);
	store_close(fixture_open(fixture_dest(tmp, "d", dest)));
	CU_ASSERT_EQUAL(fstatat(dir, "d", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 02755);
	CU_ASSERT_EQUAL(fstatat(dir, "d/.ebt", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700); /* no set-gid handed down */
}

static void what_is_no_store_is_not_made_one_unasked(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store *s = NULL;

	CU_ASSERT_EQUAL(store_open(tmp, STORE_EXISTING, &s, NULL), -ENOENT);
	CU_ASSERT_EQUAL(
		store_open(fixture_dest(tmp, "d", dest), STORE_EXISTING, &s, NULL),
		-ENOENT);
	CU_ASSERT_EQUAL(faccessat(dir, ".ebt", F_OK, 0), -1);
	CU_ASSERT_PTR_NULL(s);
}

static void a_second_run_is_kept_out(void)
{
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_STORE struct store *s = fixture_open(tmp);
	struct store *other = NULL;
	struct ebt_err err;

	CU_ASSERT_EQUAL(store_open(tmp, STORE_CREATE, &other, &err), -EWOULDBLOCK);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "in use by another run"));
	store_close(TAKE(s));
	CU_ASSERT_EQUAL(store_open(tmp, STORE_CREATE, &other, NULL), 0);
	store_close(other);
}

static void a_lock_that_is_given_back_is_another_runs(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = NULL;
	SCOPED_STORE struct store *other = NULL;

	fixture_dest(tmp, "x/y", dest);
	CU_ASSERT_EQUAL_FATAL(store_name(dest, STORE_CREATE, &s, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_name(dest, STORE_CREATE, &other, NULL), 0);
	CU_ASSERT_EQUAL(faccessat(dir, "x", F_OK, 0), -1);
	CU_ASSERT_EQUAL(store_lock(s, NULL), 0);
	CU_ASSERT_EQUAL(store_lock(other, NULL), -EWOULDBLOCK);
	CU_ASSERT_TRUE(store_locked(s));
	CU_ASSERT_FALSE(store_locked(other));
	CU_ASSERT_NOT_EQUAL(store_identity(s), 0);
	CU_ASSERT_EQUAL(store_identity(s), store_identity(other));
	store_unlock(s);
	CU_ASSERT_EQUAL(store_lock(other, NULL), 0);
	CU_ASSERT_EQUAL(store_lock(s, NULL), -EWOULDBLOCK);
	store_close(TAKE(other));
	/* What it made the first time is still its own to remove. */
	CU_ASSERT_EQUAL(store_lock(s, NULL), 0);
	CU_ASSERT_EQUAL(store_abandon(s, ID_A, NULL), 0);
	CU_ASSERT_EQUAL(faccessat(dir, "x", F_OK, 0), -1);
}

static void stores_are_told_apart(void)
{
	char tmp[64], a[128], b[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *one = fixture_open(fixture_dest(tmp, "a", a));
	SCOPED_STORE struct store *two = fixture_open(fixture_dest(tmp, "b", b));

	CU_ASSERT(dir >= 0);
	CU_ASSERT_NOT_EQUAL(store_identity(one), store_identity(two));
}

static void a_planted_link_is_refused(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store *s = NULL;
	struct ebt_err err;

	CU_ASSERT_EQUAL(mkdirat(dir, "elsewhere", 0700), 0);
	CU_ASSERT_EQUAL(symlinkat("elsewhere", dir, ".ebt"), 0);
	CU_ASSERT_EQUAL(store_open(tmp, STORE_CREATE, &s, &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ".ebt is a link"));
	CU_ASSERT_EQUAL(unlinkat(dir, ".ebt", 0), 0);
	fixture_write(dir, ".ebt", "a file");
	CU_ASSERT_EQUAL(store_open(tmp, STORE_CREATE, &s, NULL), -EPERM);
}

static void a_store_open_to_others_is_refused(void)
{
	static const mode_t modes[] = {0770, 0702, 0704, 0777, 0710};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store *s = NULL;

	CU_ASSERT_EQUAL(mkdirat(dir, ".ebt", 0700), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		CU_ASSERT_EQUAL(fchmodat(dir, ".ebt", modes[i], 0), 0);
		CU_ASSERT_EQUAL(store_open(tmp, STORE_CREATE, &s, NULL), -EPERM);
	}
	CU_ASSERT_EQUAL(fchmodat(dir, ".ebt", 0700, 0), 0);
	CU_ASSERT_EQUAL(store_open(tmp, STORE_CREATE, &s, NULL), 0);
	store_close(s);
}

static void a_store_of_somebody_else_is_refused(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store *s = NULL;

	if (geteuid() != 0)
		return; /* cannot be set up */
	CU_ASSERT_EQUAL(mkdirat(dir, ".ebt", 0700), 0);
	CU_ASSERT_EQUAL(fchownat(dir, ".ebt", 12345, 12345, 0), 0);
	CU_ASSERT_EQUAL(store_open(tmp, STORE_CREATE, &s, NULL), -EPERM);
}

#define NOBODY 65534

/* What store_open says to user @uid, who has to be us unless we are root. */
static int open_as(uid_t uid, const char *dest)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct store *s = NULL;
		int r;

		if (geteuid() != uid && setresuid(uid, uid, uid) < 0)
			_exit(99);
		r = store_open(dest, STORE_CREATE, &s, NULL);
		store_close(s);
		_exit(r < 0 ? -r : 0);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void a_directory_whose_content_others_could_replace_is_refused(void)
{
	static const struct {
		mode_t mode;
		int result;
	} cases[] = {{0777, -EPERM}, {0702, -EPERM}, {0703, -EPERM}, {01777, 0},
		{0755, 0}, {0700, 0}};
	uid_t uid = geteuid() == 0 ? NOBODY : geteuid();
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	CU_ASSERT_EQUAL(fchmod(dir, 0711), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0700), 0);
	CU_ASSERT_EQUAL(fchownat(dir, "d", uid, (gid_t)-1, 0), 0);
	fixture_dest(tmp, "d", dest);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(fchmodat(dir, "d", cases[i].mode, 0), 0);
		CU_ASSERT_EQUAL(open_as(uid, dest), cases[i].result);
	}
}

static void a_link_of_somebody_else_is_not_followed_to_the_store(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store *s = NULL;
	struct ebt_err err;

	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0700), 0);
	CU_ASSERT_EQUAL(symlinkat("d", dir, "link"), 0);
	fixture_dest(tmp, "link", dest);
	CU_ASSERT_EQUAL(store_open(dest, STORE_CREATE, &s, NULL), 0);
	store_close(TAKE(s));
	if (geteuid() != 0)
		return; /* cannot be set up */
	CU_ASSERT_EQUAL(fchownat(dir, "link", NOBODY, NOBODY, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_EQUAL(store_open(dest, STORE_CREATE, &s, &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "link of another user"));
	strcat(dest, "//");
	CU_ASSERT_EQUAL(store_open(dest, STORE_CREATE, &s, NULL), -EPERM);
}

static void many_may_look_and_one_may_change(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	SCOPED_STORE struct store *one = NULL;
	SCOPED_STORE struct store *two = NULL;
	struct store *other = NULL;

	CU_ASSERT_EQUAL(store_open(tmp, STORE_READ, &one, NULL), -EWOULDBLOCK);
	store_close(TAKE(s));
	CU_ASSERT_EQUAL(unlinkat(dir, ".ebt/lock", 0), 0);
	CU_ASSERT_EQUAL_FATAL(store_open(tmp, STORE_READ, &one, NULL), 0);
	CU_ASSERT_EQUAL(faccessat(dir, ".ebt/lock", F_OK, 0), 0);
	CU_ASSERT_EQUAL(store_open(tmp, STORE_READ, &two, NULL), 0);
	CU_ASSERT_EQUAL(store_open(tmp, STORE_EXISTING, &other, NULL), -EWOULDBLOCK);
	store_close(TAKE(one));
	store_close(TAKE(two));
	CU_ASSERT_EQUAL(store_open(tmp, STORE_EXISTING, &s, NULL), 0);
}

static void without_locks_there_is_no_store_and_nothing_is_left(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store *s = NULL;
	struct ebt_err err;

	flock_fails = ENOSYS;
	CU_ASSERT_EQUAL(
		store_open(fixture_dest(tmp, "a/b", dest), STORE_CREATE, &s, &err),
		-ENOSYS);
	flock_fails = 0;
	CU_ASSERT_PTR_NULL(strstr(err.text, "another run"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "has no flock"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/a/b: "));
	CU_ASSERT_EQUAL(faccessat(dir, "a", F_OK, 0), -1);
}

static void an_empty_store_has_no_manifest(void)
{
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_STORE struct store *s = fixture_open(tmp);
	struct manifest *m = (struct manifest *)tmp;
	char id[33] = "x";

	CU_ASSERT_EQUAL(store_manifest(s, &m, NULL), 0);
	CU_ASSERT_PTR_NULL(m);
	CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
	CU_ASSERT_STRING_EQUAL(id, "");
}

static const struct test tests[] = {
	TEST(a_new_store_is_private),
	TEST(an_existing_directory_keeps_its_mode),
	TEST(what_is_no_store_is_not_made_one_unasked),
	TEST(a_second_run_is_kept_out),
	TEST(a_lock_that_is_given_back_is_another_runs),
	TEST(stores_are_told_apart),
	TEST(a_planted_link_is_refused),
	TEST(a_store_open_to_others_is_refused),
	TEST(a_store_of_somebody_else_is_refused),
	TEST(a_directory_whose_content_others_could_replace_is_refused),
	TEST(a_link_of_somebody_else_is_not_followed_to_the_store),
	TEST(many_may_look_and_one_may_change),
	TEST(without_locks_there_is_no_store_and_nothing_is_left),
	TEST(an_empty_store_has_no_manifest),
};
SUITE("store_open", tests)
