/* SPDX-License-Identifier: BSD-3-Clause */
/* What a publication needs is found out before the record, and without a trace. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

#define STRANGER 12345

static const struct item items[] = {DIRECTORY("d", 0555), PLAIN("d/f", "x"),
	DIRECTORY("d/sub", 0500), PLAIN("d/sub/g", "y"), DIRECTORY("new", 0555),
	DIRECTORY("new/deep", 0511), PLAIN("new/deep/h", "z")};

/* The run of @items, sealed, in a store that has d and d/sub. */
static struct store *sealed(const char *dest, struct manifest **m)
{
	static const struct item before[] = {
		DIRECTORY("d", 0555), PLAIN("d/old", "old"), DIRECTORY("d/sub", 0500)};
	SCOPED_STORE struct store *s = NULL;

	fixture_publish(dest, ID_A, ITEMS(before), STORE_REFUSE);
	*m = fixture_manifest(ITEMS(items), ID_B);
	s = fixture_open(dest);
	fixture_prepare(s, ID_B, *m, NULL, ITEMS(items), -1);
	return TAKE(s);
}

static void directories_are_as_they_will_be_before_they_are_renamed(void)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = sealed(tmp, &m);
	struct stat st;

	CU_ASSERT_PTR_NOT_NULL(s);
	CU_ASSERT_EQUAL(fstatat(dir, ".ebt/incoming/" ID_B "/tree/new", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0555);
	CU_ASSERT_EQUAL(
		fstatat(dir, ".ebt/incoming/" ID_B "/tree/new/deep", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0511);
	CU_ASSERT_EQUAL(st.st_mtim.tv_sec, 1000000000);
}

static void a_trial_leaves_no_trace(void)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_FREE char *before = NULL;
	SCOPED_FREE char *after = NULL;
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_STORE struct store *s = sealed(tmp, &m);

	before = fixture_snapshot(tmp);
	CU_ASSERT_EQUAL(store_try(s, m, NULL, NULL), 0);
	after = fixture_snapshot(tmp);
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(store_commit(s, ID_B, STORE_REFUSE, NULL), 0);
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
}

static void die_at_zero(void *arg)
{
	int *left = arg;

	if ((*left)-- == 0)
		_exit(9);
}

/* In a process that dies when the trial is in the directory of number @k. */
static bool try_until(const char *dest, const struct manifest *m, int k)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct store *s = NULL;

		if (store_open(dest, STORE_EXISTING, &s, NULL) < 0 ||
			store_open_run(s, ID_B, NULL) < 0)
			_exit(2);
		s->step = die_at_zero;
		s->step_arg = &k;
		_exit(store_try(s, m, NULL, NULL) < 0 ? 3 : 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	return WEXITSTATUS(status) == 9;
}

static void a_trial_that_is_killed_is_removed_by_the_next_run(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	bool died = true;
	int k;

	for (k = 0; died; k++) {
		SCOPED_MANIFEST struct manifest *m = NULL;
		SCOPED_FREE char *before = NULL;
		SCOPED_FREE char *during = NULL;
		SCOPED_FREE char *after = NULL;
		struct store *s = sealed(fixture_dest(tmp, "d", dest), &m);

		store_close(s);
		before = fixture_snapshot(dest);
		died = try_until(dest, m, k);
		during = fixture_snapshot(dest);
		CU_ASSERT_EQUAL(strstr(during, ".ebt-trial-" ID_B) != NULL, died);
		s = fixture_open(dest);
		CU_ASSERT_EQUAL(store_clean(s, NULL, NULL), 0);
		store_close(s);
		after = fixture_snapshot(dest);
		CU_ASSERT_PTR_NULL(strstr(after, "trial"));
		if (!died)
			CU_ASSERT_STRING_EQUAL(before, after);
		CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "d", NULL), 0);
	}
	CU_ASSERT_EQUAL(k, 4); /* the store, d and d/sub, then none */
}

static void a_mount_is_seen_before_the_record(void)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	char tmp[64], text[256], sub[128], file[128], shown[256];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_STORE struct store *s = sealed(tmp, &m);
	struct ebt_err err = {0};
	uint64_t n;

	fixture_dest(tmp, "d/sub", sub);
	fixture_dest(tmp, "d/f", file);
	/* The same file system, so the same st_dev. */
	if (mount(fixture_dest(tmp, ".ebt", shown), sub, NULL, MS_BIND, NULL) < 0) {
		perror("not tried: mount");
		return;
	}
	CU_ASSERT_EQUAL(
		store_conflicts(s, m, NULL, STORE_ALWAYS, 5, text, 256, &n, &err),
		-EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/d/sub: "));
	CU_ASSERT_EQUAL(store_try(s, m, NULL, &err), -EXDEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/d/sub: "));
	CU_ASSERT_EQUAL(umount(sub), 0);
	CU_ASSERT_EQUAL(store_try(s, m, NULL, NULL), 0);
	fixture_write(dir, "d/f", "in the way");
	fixture_write(dir, "other", "");
	CU_ASSERT_EQUAL(
		mount(fixture_dest(tmp, "other", shown), file, NULL, MS_BIND, NULL), 0);
	CU_ASSERT_EQUAL(
		store_conflicts(s, m, NULL, STORE_ALWAYS, 5, text, 256, &n, NULL),
		-EBUSY);
	/* Of no concern where it stays. */
	CU_ASSERT_EQUAL(store_conflicts(s, m, (uint64_t[]){0}, STORE_UPDATE, 5, text,
				256, &n, NULL),
		0);
	CU_ASSERT_EQUAL(umount(file), 0);
	CU_ASSERT_EQUAL(
		store_conflicts(s, m, NULL, STORE_ALWAYS, 5, text, 256, &n, NULL), 0);
}

static void old_kernels_tell_the_mount_as_well(void)
{
	SCOPED_FD int root = open("/", O_PATH | O_CLOEXEC);
	SCOPED_FD int proc = open("/proc", O_PATH | O_CLOEXEC);
	struct fsio_place a, b;
	uint64_t id = 0;

	CU_ASSERT_EQUAL(fsio_place_of(root, "", &a), 0);
	CU_ASSERT_EQUAL(fsio_mount_of_fd(root, &id), 0);
	CU_ASSERT_EQUAL(a.mount, id);
	CU_ASSERT_EQUAL(fsio_place_of(root, "proc", &b), 0);
	CU_ASSERT_NOT_EQUAL(a.mount, b.mount);
	CU_ASSERT_EQUAL(fsio_mount_of_fd(proc, &id), 0);
	CU_ASSERT_EQUAL(b.mount, id);
}

/* All is written before the record: afterwards there need be no room. */
static void the_manifest_needs_no_room_any_more(void)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_MANIFEST struct manifest *kept = NULL;
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_STORE struct store *s = sealed(tmp, &m);
	struct rlimit old, none;
	struct ebt_err err = {0};

	CU_ASSERT_EQUAL(store_commit(s, ID_B, STORE_REFUSE, NULL), 0);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &none), 0);
	CU_ASSERT_EQUAL(store_publish(s, NULL, &err), 0);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
	CU_ASSERT_STRING_EQUAL(err.text, "");
	CU_ASSERT_EQUAL_FATAL(store_manifest(s, &kept, NULL), 0);
	CU_ASSERT_EQUAL(kept->count, m->count + 1);
	CU_ASSERT_EQUAL(fixture_verify(tmp, kept), 0);
}

/* A chain of directories, with a file at its end. */
static struct items deep(unsigned n)
{
	static struct item chain[32];
	static char paths[32][128];

	for (unsigned i = 0; i <= n; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s%s%s", i ? paths[i - 1] : "",
			i ? "/" : "", i < n ? "d" : "f");
		chain[i] = i < n ? (struct item)DIRECTORY(paths[i], 0755)
				 : (struct item)PLAIN(paths[i], "x");
	}
	return (struct items){chain, n + 1};
}

static void limit_files(int n)
{
	static struct rlimit old;
	struct rlimit few;

	if (!old.rlim_max)
		CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	if (n)
		few.rlim_cur = (rlim_t)n;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
}

static void what_the_trial_could_open_suffices_to_publish(void)
{
	struct items chain = deep(20);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(chain, ID_B);
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	int refused = 0, r = -1;

	for (int n = dir + 6; r < 0 && n < dir + 64; n++) {
		fixture_publish(
			fixture_dest(tmp, "t", dest), ID_A, chain, STORE_REFUSE);
		SCOPED_STORE struct store *s = fixture_open(dest);

		fixture_prepare(s, ID_B, m, NULL, chain, -1);
		limit_files(n);
		r = store_try(s, m, NULL, NULL);
		limit_files(0);
		refused += r == -EMFILE;
		if (r == 0) {
			CU_ASSERT_EQUAL(store_commit(s, ID_B, STORE_ALWAYS, NULL), 0);
			limit_files(n);
			r = store_publish(s, NULL, NULL);
			limit_files(0);
			CU_ASSERT_EQUAL(r, 0);
		}
		CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "t", NULL), 0);
	}
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_TRUE(refused > 3);
}

/* As user STRANGER: try, commit and publish @items; what the first that failed said. */
static int publish_as_stranger(const char *tmp)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct store *s = NULL;
		int r;

		if (setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
			_exit(99);
		SCOPED_MANIFEST struct manifest *m =
			fixture_manifest(ITEMS(items), ID_B);
		if (store_open(tmp, STORE_CREATE, &s, NULL) < 0)
			_exit(98);
		fixture_prepare(s, ID_B, m, NULL, ITEMS(items), -1);
		r = store_try(s, m, NULL, NULL);
		if (r < 0)
			_exit(-r);
		if (store_commit(s, ID_B, STORE_REFUSE, NULL) < 0 ||
			store_publish(s, NULL, NULL) < 0)
			_exit(97);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void somebody_else_s_directories_are_tried_too(void)
{
	static const struct {
		mode_t mode; /* of d, which is root's */
		int code;
	} cases[] = {{0755, -EACCES}, {0733, 0}, {01777, 0}};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	if (geteuid() != 0) {
		puts("not tried: only root can become somebody who is refused");
		return;
	}
	CU_ASSERT_EQUAL(fchmod(dir, 0755), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(mkdirat(dir, "t", 0700), 0);
		CU_ASSERT_EQUAL(fchownat(dir, "t", STRANGER, STRANGER, 0), 0);
		CU_ASSERT_EQUAL(mkdirat(dir, "t/d", 0700), 0);
		CU_ASSERT_EQUAL(fchmodat(dir, "t/d", cases[i].mode, 0), 0);
		CU_ASSERT_EQUAL(publish_as_stranger(fixture_dest(tmp, "t", dest)),
			cases[i].code);
		CU_ASSERT_EQUAL_FATAL(fsio_remove_tree(dir, "t", NULL), 0);
	}
}

static const struct test tests[] = {
	TEST(directories_are_as_they_will_be_before_they_are_renamed),
	TEST(a_trial_leaves_no_trace),
	TEST(a_trial_that_is_killed_is_removed_by_the_next_run),
	TEST(a_mount_is_seen_before_the_record),
	TEST(old_kernels_tell_the_mount_as_well),
	TEST(the_manifest_needs_no_room_any_more),
	TEST(what_the_trial_could_open_suffices_to_publish),
	TEST(somebody_else_s_directories_are_tried_too),
};
SUITE("store_try", tests)
