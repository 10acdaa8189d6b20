/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "scan/scan.h"
#include "suite.h"

/* The entries of one root @name below @base. */
static struct manifest *scan_root(const char *base, const char *name, unsigned flags)
{
	SCOPED(scan_shards_release) struct scan_shards shards = {0};
	SCOPED(scan_release) struct scan s = {0};
	struct manifest *m = NULL;

	scan_init(&s);
	s.bases = calloc(1, sizeof(*s.bases));
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.bases);
	s.bases[0] = base;
	s.n_bases = 1;
	scan_push(&s, scan_item_new(0, SCAN_ROOT | flags, name, NULL, 0));
	CU_ASSERT_EQUAL_FATAL(scan_shards_new(&shards, 1, NULL), 0);
	scan_round(&s, &shards);
	CU_ASSERT_EQUAL_FATAL(s.code, 0);
	CU_ASSERT_EQUAL_FATAL(scan_shards_join(&shards, &m, NULL), 0);
	return m;
}

static const struct manifest_entry *entry_of(const struct manifest *m, const char *name)
{
	for (uint32_t i = 0; i < m->count; i++) {
		if (strcmp(m->entries[i].name, name) == 0)
			return &m->entries[i];
	}
	CU_FAIL_FATAL("no such entry");
	return NULL;
}

/* A directory with a directory in it, and a link to the first; false: no attributes here. */
static bool make_linked(const char *tmp, int dir)
{
	char path[128];

	CU_ASSERT_EQUAL(mkdirat(dir, "real", 0700), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "real/below", 0700), 0);
	CU_ASSERT_EQUAL(symlinkat("real", dir, "link"), 0);
	snprintf(path, sizeof(path), "%s/real", tmp);
	if (setxattr(path, "user.test", "value", 5, 0) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/real/below", tmp);
	return setxattr(path, "user.test", "other", 5, 0) == 0;
}

static void a_directory_reached_by_a_link_has_its_own_attributes(void)
{
	static const unsigned flags[] = {SCAN_FOLLOW, SCAN_PARENT};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	if (!make_linked(tmp, dir))
		return;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		SCOPED_MANIFEST struct manifest *direct =
			scan_root(tmp, "real", flags[i]);
		SCOPED_MANIFEST struct manifest *linked =
			scan_root(tmp, "link", flags[i]);
		const struct manifest_entry *want = entry_of(direct, "real");
		const struct manifest_entry *got = entry_of(linked, "link");

		CU_ASSERT_EQUAL(got->kind, MANIFEST_DIR);
		CU_ASSERT(want->xattrs_len > 0);
		CU_ASSERT_EQUAL_FATAL(got->xattrs_len, want->xattrs_len);
		CU_ASSERT_EQUAL(memcmp(got->xattrs, want->xattrs, want->xattrs_len), 0);
		CU_ASSERT_EQUAL(linked->count, flags[i] == SCAN_FOLLOW ? 2 : 1);
	}
}

static void a_link_that_is_not_followed_is_one(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = NULL;

	make_linked(tmp, dir);
	m = scan_root(tmp, "link", 0);
	CU_ASSERT_EQUAL(m->count, 1);
	CU_ASSERT_EQUAL(m->entries[0].kind, MANIFEST_SYMLINK);
	CU_ASSERT_EQUAL(m->entries[0].xattrs_len, 0);
}

static void a_long_path_does_not_hide_the_reason(void)
{
	SCOPED(scan_release) struct scan s = {0};
	struct manifest *m = NULL;
	struct ebt_err err = {0};
	char path[PATH_MAX - 96];

	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 100 ? 'x' : '/';
	path[sizeof(path) - 1] = '\0';
	scan_init(&s);
	CU_ASSERT_EQUAL(scan_tree(&s, path, 1, &m, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(err.text, "...: stat: No such file or directory"));
}

struct removal {
	int dir, calls;
};

/* Called before each item: the root, its content, and then what is gone by now. */
static int remove_before_third(void *arg, struct ebt_err *err)
{
	struct removal *r = arg;

	if (++r->calls == 3) {
		unlinkat(r->dir, "goes/file", 0);
		unlinkat(r->dir, "goes", AT_REMOVEDIR);
	}
	return 0;
}

static void what_goes_away_is_a_failure_only_where_nothing_may(void)
{
	for (int shrinks = 0; shrinks < 2; shrinks++) {
		SCOPED(scan_release) struct scan s = {.shrinks = shrinks};
		SCOPED_MANIFEST struct manifest *m = NULL;
		char tmp[64];
		SCOPED_FD int dir = suite_tmpdir(tmp);
		struct removal removal = {.dir = dir};

		CU_ASSERT_EQUAL(mkdirat(dir, "goes", 0700), 0);
		CU_ASSERT_EQUAL(mknodat(dir, "goes/file", S_IFREG | 0600, 0), 0);
		scan_init(&s);
		s.stopped = remove_before_third;
		s.stopped_arg = &removal;
		CU_ASSERT_EQUAL(scan_tree(&s, tmp, 1, &m, NULL), shrinks ? 0 : -ENOENT);
		CU_ASSERT(!shrinks || m->count == 1);
	}
}

static void a_tree_that_is_not_there_is_a_failure_in_any_case(void)
{
	SCOPED(scan_release) struct scan s = {.shrinks = true};
	struct manifest *m = NULL;

	scan_init(&s);
	CU_ASSERT_EQUAL(scan_tree(&s, "/nothing/there", 1, &m, NULL), -ENOENT);
}

/* 4 MiB with 1 MiB of data at its end. */
static bool make_holed(int dir)
{
	static const char data[1 << 20] = "data";
	SCOPED_FD int fd = openat(dir, "holed", O_RDWR | O_CREAT, 0600);
	struct stat st;

	CU_ASSERT_EQUAL(pwrite(fd, data, sizeof(data), 3 << 20), sizeof(data));
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	return st.st_blocks * 512 <= 2 << 20 && lseek(fd, 0, SEEK_DATA) == 3 << 20;
}

static void data_are_looked_for_between_holes_as_large_as_asked_for(void)
{
	static const struct {
		bool sparse;
		uint64_t holes;
		uint32_t n;
	} cases[] = {{false, 0, 0}, {true, 0, 0}, {false, 2 << 20, 1},
		{true, 2 << 20, 1}, {false, 5 << 20, 0}};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	if (!make_holed(dir))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED(scan_release) struct scan s = {
			.map_sparse = cases[i].sparse, .map_holes = cases[i].holes};
		SCOPED_MANIFEST struct manifest *m = NULL;
		const struct manifest_entry *e;

		scan_init(&s);
		CU_ASSERT_EQUAL_FATAL(scan_tree(&s, tmp, 1, &m, NULL), 0);
		e = entry_of(m, "holed");
		CU_ASSERT_EQUAL_FATAL(e->n_extents, cases[i].n);
		CU_ASSERT(!e->n_extents || e->extents[0].off == 3 << 20);
	}
}

static const struct test tests[] = {
	TEST(a_directory_reached_by_a_link_has_its_own_attributes),
	TEST(a_link_that_is_not_followed_is_one),
	TEST(a_long_path_does_not_hide_the_reason),
	TEST(what_goes_away_is_a_failure_only_where_nothing_may),
	TEST(a_tree_that_is_not_there_is_a_failure_in_any_case),
	TEST(data_are_looked_for_between_holes_as_large_as_asked_for),
};
SUITE("scan_walk", tests)
