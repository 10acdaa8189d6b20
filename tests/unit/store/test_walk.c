/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

#define DEPTH 500

/* d/d/d/... in a manifest. */
static struct manifest *deep(void)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_FREE char *path = calloc(2, DEPTH);
	struct manifest_entry e = {.kind = MANIFEST_DIR,
		.mode = 0700,
		.uid = geteuid(),
		.gid = getegid(),
		.nlink = 1,
		.name = path,
		.parent = MANIFEST_ROOT,
		.group = MANIFEST_NONE};
	uint32_t source;

	CU_ASSERT_EQUAL_FATAL(manifest_new(&m, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(manifest_add_source(m, "/source", &source, NULL), 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		memcpy(path + strlen(path), i ? "/d" : "d", i ? 3 : 2);
		e.ino = i + 1;
		CU_ASSERT_EQUAL_FATAL(manifest_add(m, &e, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(manifest_arrange(m, NULL), 0);
	return TAKE(m);
}

static void a_deep_tree_needs_few_descriptors(void)
{
	SCOPED_MANIFEST struct manifest *m = deep();
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_WALK struct store_walk w = {.m = m, .root = dir, .flags = O_PATH};
	struct rlimit old, few;
	struct stat a, b;
	int fd;

	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)dir + 12;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (uint32_t i = 0; i < m->count; i++) {
		fd = store_walk_to(&w, m->entries[i].parent);
		CU_ASSERT_TRUE_FATAL(fd >= 0);
		CU_ASSERT_EQUAL_FATAL(mkdirat(fd, "d", 0700), 0);
	}
	for (uint32_t i = m->count; i-- > 0;) {
		fd = store_walk_to(&w, i);
		CU_ASSERT_TRUE_FATAL(fd >= 0);
		CU_ASSERT_EQUAL(fstat(fd, &a), 0);
		fd = store_walk_to(&w, m->entries[i].parent);
		CU_ASSERT_EQUAL(fstatat(fd, "d", &b, 0), 0);
		CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
	}
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	store_walk_release(&w);
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, "d", NULL), 0);
}

static void any_order_of_directories_will_do(void)
{
	static const struct item items[] = {DIRECTORY("a", 0700),
		DIRECTORY("a/b", 0700), DIRECTORY("a/b/c", 0700), DIRECTORY("d", 0700),
		DIRECTORY("d/b", 0700)};
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64], path[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_WALK struct store_walk w = {.m = m, .root = dir, .flags = O_RDONLY};
	struct stat a, b;

	fixture_bring(dir, m, NULL, ITEMS(items));
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t at = i * 7919 % 13 % m->count;

		CU_ASSERT_EQUAL(fstat(store_walk_to(&w, at), &a), 0);
		CU_ASSERT_TRUE(manifest_path(m, at, path, sizeof(path)) > 0);
		CU_ASSERT_EQUAL(fstatat(dir, path, &b, 0), 0);
		CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
		if (i % 5 == 0)
			CU_ASSERT_EQUAL(store_walk_to(&w, MANIFEST_ROOT), dir);
	}
}

static void a_walk_goes_on_after_a_missing_directory(void)
{
	static const struct item items[] = {DIRECTORY("a", 0700),
		DIRECTORY("a/b", 0700), DIRECTORY("a/b/c", 0700), DIRECTORY("d", 0700)};
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(ITEMS(items), ID_A);
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_WALK struct store_walk w = {.m = m, .root = dir, .flags = O_PATH};

	CU_ASSERT_EQUAL(mkdirat(dir, "a", 0700), 0);
	CU_ASSERT_EQUAL(symlinkat("a", dir, "d"), 0);
	CU_ASSERT_EQUAL(store_walk_to(&w, manifest_find(m, "a/b/c")), -ENOENT);
	CU_ASSERT_TRUE(store_walk_to(&w, manifest_find(m, "a")) >= 0);
	CU_ASSERT_EQUAL(store_walk_to(&w, manifest_find(m, "a/b")), -ENOENT);
	CU_ASSERT_EQUAL(store_walk_to(&w, manifest_find(m, "d")), -ENOTDIR);
	CU_ASSERT_TRUE(store_walk_to(&w, manifest_find(m, "a")) >= 0);
}

static const struct test tests[] = {
	TEST(a_deep_tree_needs_few_descriptors),
	TEST(any_order_of_directories_will_do),
	TEST(a_walk_goes_on_after_a_missing_directory),
};
SUITE("store_walk", tests)
