/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

static void a_fresh_store_holds_what_was_brought(void)
{
	char tmp[64], id[33];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_A);
	SCOPED_MANIFEST struct manifest *kept = NULL;
	struct stat a, b;

	fixture_publish(tmp, ID_A, everything, STORE_REFUSE);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
	CU_ASSERT_EQUAL(fixture_incoming(tmp), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "a/f", &a, 0), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "b/hard", &b, 0), 0);
	CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
	CU_ASSERT_STRING_EQUAL(id, "");
	CU_ASSERT_EQUAL(store_manifest(s, &kept, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(kept != NULL, true);
	CU_ASSERT_TRUE(digest_equal(manifest_digest(kept), manifest_digest(m)));
}

static void count_step(void *arg)
{
	++*(int *)arg;
}

static void a_fresh_tree_takes_one_rename_for_each_name_at_its_top(void)
{
	char tmp[64];
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_A);
	SCOPED_STORE struct store *s = NULL;
	int top = 0, top_dirs = 0, steps = 0;

	close(suite_tmpdir(tmp));
	s = fixture_open(tmp);
	fixture_prepare(s, ID_A, m, NULL, everything, STORE_REFUSE);
	s->step = count_step;
	s->step_arg = &steps;
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->entries[i].parent != MANIFEST_ROOT)
			continue;
		top++;
		top_dirs += m->entries[i].kind == MANIFEST_DIR;
	}
	/* Attributes of what was renamed; roots, manifest twice, record, the rest of incoming. */
	CU_ASSERT_EQUAL(steps, top + top_dirs + 5);
}

static void directories_keep_mode_and_time(void)
{
	char tmp[64], path[1024];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(everything, ID_A);
	struct stat st;

	fixture_publish(tmp, ID_A, everything, STORE_REFUSE);
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->entries[i].kind != MANIFEST_DIR)
			continue;
		manifest_path(m, i, path, sizeof(path));
		CU_ASSERT_EQUAL(fstatat(dir, path, &st, 0), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, m->entries[i].mode);
		CU_ASSERT_EQUAL(st.st_mtim.tv_sec, 1000000000);
		CU_ASSERT_EQUAL(st.st_mtim.tv_nsec, 123456789);
	}
}

static void merging_replaces_files_and_keeps_strangers(void)
{
	static const struct item first[] = {DIRECTORY("d", 0555), PLAIN("d/old", "old"),
		PLAIN("d/both", "first"), DIRECTORY("d/sub", 0755),
		PLAIN("d/sub/x", "x")};
	static const struct item second[] = {DIRECTORY("d", 0550),
		PLAIN("d/both", "second"), DIRECTORY("d/sub", 0500),
		PLAIN("d/sub/y", "y"), DIRECTORY("d/new", 0755), PLAIN("d/new/z", "z")};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *b = fixture_manifest(ITEMS(second), ID_B);
	SCOPED_MANIFEST struct manifest *both = NULL;
	struct stat st;

	fixture_publish(tmp, ID_A, ITEMS(first), STORE_REFUSE);
	CU_ASSERT_EQUAL(fchmodat(dir, "d/sub", 0700, 0), 0);
	fixture_write(dir, "d/sub/mine", "not EBT's");
	fixture_publish(tmp, ID_B, ITEMS(second), STORE_ALWAYS);
	CU_ASSERT_EQUAL(fixture_verify(tmp, b), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "d/sub/mine", &st, 0), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "d/old", &st, 0), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "d", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mtim.tv_sec, 1000000000);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	CU_ASSERT_EQUAL_FATAL(store_manifest(s, &both, NULL), 0);
	CU_ASSERT_EQUAL(both->count, 8);
	CU_ASSERT_EQUAL(fixture_verify(tmp, both), 0);
}

static void a_target_that_appeared_meanwhile_is_not_replaced(void)
{
	static const struct item items[] = {DIRECTORY("d", 0755), PLAIN("d/f", "ours")};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	struct ebt_err err;

	fixture_prepare(s, ID_A, m, NULL, ITEMS(items), STORE_REFUSE);
	CU_ASSERT_EQUAL(mkdirat(dir, "d", 0700), 0);
	fixture_write(dir, "d/f", "theirs");
	CU_ASSERT_EQUAL(store_publish(s, NULL, &err), -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/d/f"));
	/* Once it is out of the way, publishing goes on. */
	CU_ASSERT_EQUAL(unlinkat(dir, "d/f", 0), 0);
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
}

static void a_link_in_place_of_a_directory_is_not_followed(void)
{
	static const struct item items[] = {DIRECTORY("d", 0755), PLAIN("d/f", "ours")};
	static const enum store_overwrite how[] = {STORE_REFUSE, STORE_ALWAYS};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	struct stat st;

	CU_ASSERT_EQUAL(mkdirat(dir, "victim", 0700), 0);
	for (size_t i = 0; i < 2; i++) {
		SCOPED_STORE struct store *s =
			fixture_open(fixture_dest(tmp, i ? "two" : "one", dest));

		fixture_prepare(s, ID_A, m, NULL, ITEMS(items), (int)how[i]);
		CU_ASSERT_EQUAL(symlinkat("../victim", store_dirfd(s), "d"), 0);
		CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), -ENOTDIR);
		CU_ASSERT_EQUAL(fstatat(dir, "victim/f", &st, 0), -1);
	}
}

static void what_was_not_brought_stays(void)
{
	static const struct item first[] = {DIRECTORY("d", 0555),
		PLAIN("d/same", "same"), PLAIN("d/changed", "old"),
		DIRECTORY("e", 0555), PLAIN("e/same", "same")};
	static const struct item second[] = {DIRECTORY("d", 0555),
		PLAIN("d/same", "same"),
		{.path = "d/changed",
			.kind = MANIFEST_FILE,
			.mode = 0644,
			.text = "new",
			.age = 5},
		DIRECTORY("e", 0555), PLAIN("e/same", "same")};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(second), ID_B);
	uint64_t need[1] = {0};
	struct stat before, after;

	fixture_publish(tmp, ID_A, ITEMS(first), STORE_REFUSE);
	CU_ASSERT_EQUAL(fstatat(dir, "d/same", &before, 0), 0);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	CU_ASSERT_EQUAL(store_compare(s, m, need, NULL), 0);
	CU_ASSERT_EQUAL(need[0], (uint64_t)1 << manifest_find(m, "d/changed"));
	fixture_prepare(s, ID_B, m, need, ITEMS(second), STORE_UPDATE);
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "d/same", &after, 0), 0);
	CU_ASSERT_EQUAL(before.st_ino, after.st_ino);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
}

static void directories_that_nobody_brought_are_made(void)
{
	static const struct item items[] = {
		DIRECTORY("d", 0755), DIRECTORY("d/empty", 0555)};
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_FD int tree = -1;
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	SCOPED_STORE struct store *s = fixture_open(tmp);
	uint64_t need[1] = {0};

	CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
	CU_ASSERT_EQUAL(store_seal(s, m, need, false, NULL), 0);
	CU_ASSERT_EQUAL(store_commit(s, ID_A, STORE_UPDATE, NULL), 0);
	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
}

static void nothing_leaks_from_a_shared_directory_into_files(void)
{
	static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255,
		2, 0, 7, 0, 57, 48, 0, 0, 4, 0, 7, 0, 255, 255, 255, 255, 16, 0, 7, 0,
		255, 255, 255, 255, 32, 0, 7, 0, 255, 255, 255, 255};
	static const struct item items[] = {
		DIRECTORY("d", 0755), PLAIN("d/f", "x"), DIRECTORY("d/e", 0700)};
	char tmp[64], path[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);

	CU_ASSERT_EQUAL(fchmod(dir, 03777), 0);
	if (fsetxattr(dir, "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		return; /* no ACLs here */
	fixture_publish(tmp, ID_A, ITEMS(items), STORE_REFUSE);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
	CU_ASSERT_TRUE(getxattr(fixture_dest(tmp, "d/f", path),
			       "system.posix_acl_access", NULL, 0) < 0);
	CU_ASSERT_TRUE(getxattr(fixture_dest(tmp, "d/e", path),
			       "system.posix_acl_default", NULL, 0) < 0);
	CU_ASSERT_TRUE(getxattr(fixture_dest(tmp, ".ebt", path),
			       "system.posix_acl_default", NULL, 0) < 0);
}

/* Sealed without attributes; published by a later process. */
static void publish_without_xattrs(const char *dest, const char *id, struct items items)
{
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(items, id);
	SCOPED_STORE struct store *s = fixture_open(dest);
	SCOPED_FD int tree = -1;
	struct ebt_err err = {0};

	CU_ASSERT_EQUAL(store_begin(s, id, &tree, NULL), 0);
	fixture_bring(tree, m, NULL, items);
	CU_ASSERT_EQUAL(store_seal(s, m, NULL, true, NULL), 0);
	CU_ASSERT_EQUAL(store_commit(s, id, STORE_ALWAYS, NULL), 0);
	store_close(TAKE(s));
	s = fixture_open(dest);
	CU_ASSERT_EQUAL(store_publish(s, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(err.text, "");
}

static void directories_keep_their_xattrs_if_those_were_left_behind(void)
{
	static const struct item first[] = {
		{.path = "d", .kind = MANIFEST_DIR, .mode = 0755, .xattr = "brought"},
		DIRECTORY("d/plain", 0755),
		{.path = "e", .kind = MANIFEST_DIR, .mode = 0755, .xattr = "replaced"}};
	static const struct item second[] = {DIRECTORY("d", 0750), PLAIN("d/f", "x"),
		DIRECTORY("d/plain", 0755), DIRECTORY("own", 0700),
		PLAIN("own/f", "y")};
	static const struct item third[] = {DIRECTORY("e", 0755)};
	char tmp[64], path[128], value[16] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct stat st;

	CU_ASSERT_EQUAL(mkdirat(dir, "own", 0700), 0);
	if (setxattr(fixture_dest(tmp, "own", path), "user.mine", "stays", 5, 0) < 0)
		return; /* no attributes here */
	fixture_publish(tmp, ID_A, ITEMS(first), STORE_REFUSE);
	publish_without_xattrs(tmp, ID_B, ITEMS(second));
	CU_ASSERT_EQUAL(getxattr(path, "user.mine", value, sizeof(value)), 5);
	CU_ASSERT_EQUAL(getxattr(fixture_dest(tmp, "d", path), "user.test", value,
				sizeof(value)),
		7);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0750);
	/* And nothing looks damaged because of that. */
	SCOPED_STORE struct store *s = fixture_open(tmp);
	CU_ASSERT_EQUAL_FATAL(store_manifest(s, &m, NULL), 0);
	CU_ASSERT_EQUAL(fixture_verify(tmp, m), 0);
	store_close(TAKE(s));
	/* With attributes, a directory gets those of the source, and only those. */
	fixture_publish(
		tmp, "00000000000000000000000000000000", ITEMS(third), STORE_ALWAYS);
	CU_ASSERT_TRUE(
		getxattr(fixture_dest(tmp, "e", path), "user.test", NULL, 0) < 0);
}

static void our_own_name_cannot_be_published(void)
{
	static const struct item items[] = {
		DIRECTORY(".ebt", 0755), PLAIN(".ebt/lock", "x")};
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_FD int tree = -1;
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	SCOPED_STORE struct store *s = fixture_open(tmp);

	CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
	CU_ASSERT_EQUAL(store_seal(s, m, NULL, false, NULL), -EINVAL);
}

static void without_a_record_nothing_is_published(void)
{
	char tmp[64];
	close(suite_tmpdir(tmp));
	SCOPED_FD int tree = -1;
	SCOPED_STORE struct store *s = fixture_open(tmp);

	CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
	CU_ASSERT_EQUAL(
		store_commit(s, ID_A, STORE_REFUSE, NULL), -ENOENT); /* not sealed */
}

/* In a sticky store anybody may make directories: one that came after the last look. */
static void a_directory_that_others_made_meanwhile_is_not_filled(void)
{
	static const struct item items[] = {DIRECTORY("d", 0755), PLAIN("d/f", "x")};
	uint64_t nothing[1] = {0};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	struct ebt_err err;
	struct stat st;

	if (fixture_needs_root())
		return;
	CU_ASSERT_EQUAL(fchmod(dir, 01777), 0);
	for (int bare = 0; bare < 2; bare++) {
		SCOPED_STORE struct store *s = fixture_open(tmp);
		SCOPED_FD int tree = -1;

		if (bare) {
			CU_ASSERT_EQUAL(store_begin(s, ID_A, &tree, NULL), 0);
			CU_ASSERT_EQUAL(store_seal(s, m, nothing, false, NULL), 0);
			CU_ASSERT_EQUAL(store_commit(s, ID_A, STORE_UPDATE, NULL), 0);
		} else {
			fixture_prepare(s, ID_A, m, NULL, ITEMS(items), STORE_REFUSE);
		}
		CU_ASSERT_EQUAL(mkdirat(dir, "d", 0700), 0);
		CU_ASSERT_EQUAL(fchownat(dir, "d", 12345, 12345, 0), 0);
		CU_ASSERT_EQUAL(store_publish(s, NULL, &err), -EPERM);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/d: others could replace"));
		CU_ASSERT_EQUAL(faccessat(dir, "d/f", F_OK, 0), -1);
		CU_ASSERT_EQUAL(fstatat(dir, "d", &st, 0), 0);
		CU_ASSERT_EQUAL(st.st_uid, 12345); /* it does not pass for ours */
		CU_ASSERT_EQUAL(unlinkat(dir, "d", AT_REMOVEDIR), 0);
		CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
		CU_ASSERT_EQUAL(faccessat(dir, "d/f", F_OK, 0), bare ? -1 : 0);
		store_close(TAKE(s));
		CU_ASSERT_EQUAL(fsio_remove_tree(dir, "d", NULL), 0);
	}
}

/* We stage what is his at its source. In the store it is to be ours. */
static void a_directory_of_the_owner_of_the_source_is_not_ours(void)
{
	static const struct item items[] = {DIRECTORY("d", 0755), PLAIN("d/f", "x")};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	int status = 0;
	pid_t pid;

	if (fixture_needs_root())
		return;
	CU_ASSERT_EQUAL(fchmod(dir, 01777), 0);
	CU_ASSERT_EQUAL(fchown(dir, 65534, 65534), 0);
	pid = fork();
	if (pid == 0) {
		SCOPED_STORE struct store *s = NULL;
		SCOPED_MANIFEST struct manifest *m = NULL;

		if (setegid(65534) < 0 || seteuid(65534) < 0)
			_exit(99);
		m = fixture_manifest(ITEMS(items), ID_A);
		m->entries[manifest_find(m, "d")].uid = 12345;
		s = fixture_open(tmp);
		fixture_prepare(s, ID_A, m, NULL, ITEMS(items), STORE_REFUSE);
		if (seteuid(0) < 0 || mkdirat(dir, "d", 0755) < 0 ||
			fchownat(dir, "d", 12345, 12345, 0) < 0 || seteuid(65534) < 0)
			_exit(98);
		_exit(-store_publish(s, NULL, NULL));
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), EPERM);
}

static const struct test tests[] = {
	TEST(a_fresh_store_holds_what_was_brought),
	TEST(a_fresh_tree_takes_one_rename_for_each_name_at_its_top),
	TEST(directories_keep_mode_and_time),
	TEST(merging_replaces_files_and_keeps_strangers),
	TEST(a_target_that_appeared_meanwhile_is_not_replaced),
	TEST(a_link_in_place_of_a_directory_is_not_followed),
	TEST(what_was_not_brought_stays),
	TEST(directories_that_nobody_brought_are_made),
	TEST(nothing_leaks_from_a_shared_directory_into_files),
	TEST(directories_keep_their_xattrs_if_those_were_left_behind),
	TEST(our_own_name_cannot_be_published),
	TEST(without_a_record_nothing_is_published),
	TEST(a_directory_that_others_made_meanwhile_is_not_filled),
	TEST(a_directory_of_the_owner_of_the_source_is_not_ours),
};
SUITE("store_publish", tests)
