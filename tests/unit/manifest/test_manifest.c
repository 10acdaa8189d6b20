/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>

#include "manifests.h"
#include "suite.h"

static void a_source_is_kept_once(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	uint32_t a, b, c, d;

	CU_ASSERT_EQUAL(manifest_add_source(m, "/p/a", &a, NULL), 0);
	CU_ASSERT_EQUAL(manifest_add_source(m, "/p/b", &b, NULL), 0);
	CU_ASSERT_EQUAL(manifest_add_source(m, "/p/a//", &c, NULL), 0);
	CU_ASSERT_EQUAL(manifest_add_source(m, "/", &d, NULL), 0);
	CU_ASSERT_EQUAL(a, 0);
	CU_ASSERT_EQUAL(b, 1);
	CU_ASSERT_EQUAL(c, 0);
	CU_ASSERT_EQUAL(d, 2);
	CU_ASSERT_STRING_EQUAL(m->sources[2], "/");
	CU_ASSERT_EQUAL(manifest_add_source(m, "relative", &d, NULL), -EINVAL);
	CU_ASSERT_EQUAL(manifest_add_source(m, "", &d, NULL), -EINVAL);
}

static void many_sources_keep_their_numbers(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	char path[32];
	uint32_t index, wrong = 0;

	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 100000; i++) {
			snprintf(path, sizeof(path), "/pfs/run-%u", i);
			if (manifest_add_source(m, path, &index, NULL) < 0 ||
				index != i)
				wrong++;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(m->n_sources, 100000);
}

static void an_entry_that_cannot_be_is_refused(void)
{
	static const struct manifest_extent touching[] = {
		{0, 131072}, {131072, 131072}};
	static const struct manifest_extent odd[] = {{1000, 131072}};
	static const struct manifest_extent beyond[] = {{131072, 1 << 20}};
	static const struct manifest_extent wraps[] = {{131072, UINT64_MAX - 131071}};
	static const unsigned char half[] = {4, 0, 1, 0, 0, 0, 'u', 's'};
	char longest[MANIFEST_PATH_MAX + 2];
	const struct manifest_entry bad[] = {
		{.name = NULL, .kind = MANIFEST_FILE},
		{.name = "", .kind = MANIFEST_FILE},
		{.name = ".", .kind = MANIFEST_DIR},
		{.name = "..", .kind = MANIFEST_DIR},
		{.name = "a/../b", .kind = MANIFEST_FILE},
		{.name = "a/..", .kind = MANIFEST_FILE},
		{.name = "./a", .kind = MANIFEST_FILE},
		{.name = "/a", .kind = MANIFEST_FILE},
		{.name = "a/", .kind = MANIFEST_DIR},
		{.name = "a//b", .kind = MANIFEST_DIR},
		{.name = longest, .kind = MANIFEST_DIR},
		{.name = "a", .kind = 0},
		{.name = "a", .kind = 4},
		{.name = "a", .kind = MANIFEST_SYMLINK},
		{.name = "a", .kind = MANIFEST_SYMLINK, .target = ""},
		{.name = "a", .kind = MANIFEST_SYMLINK, .target = longest},
		{.name = "a", .kind = MANIFEST_FILE, .target = "b"},
		{.name = "a", .kind = MANIFEST_DIR, .size = 1},
		{.name = "a", .kind = MANIFEST_FILE, .size = 1ull << 63},
		{.name = "a", .kind = MANIFEST_FILE, .mode = S_IFREG | 0644},
		{.name = "a", .kind = MANIFEST_FILE, .mtime_ns = 1000000000},
		{.name = "a", .kind = MANIFEST_FILE, .atime_ns = 1000000000},
		{.name = "a", .kind = MANIFEST_FILE, .source = 1},
		{.name = "a",
			.kind = MANIFEST_FILE,
			.xattrs = half,
			.xattrs_len = sizeof(half)},
		{.name = "a",
			.kind = MANIFEST_FILE,
			.size = 1 << 20,
			.extents = touching,
			.n_extents = 2},
		{.name = "a",
			.kind = MANIFEST_FILE,
			.size = 1 << 20,
			.extents = odd,
			.n_extents = 1},
		{.name = "a",
			.kind = MANIFEST_FILE,
			.size = 1 << 20,
			.extents = beyond,
			.n_extents = 1},
		{.name = "a",
			.kind = MANIFEST_FILE,
			.size = 1 << 20,
			.extents = wraps,
			.n_extents = 1},
	};
	SCOPED_MANIFEST struct manifest *m = empty();
	struct ebt_err err;

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	add(m, "/src", "good");
	for (size_t i = 0; i < LENGTH(bad); i++) {
		err.text[0] = '\0';
		CU_ASSERT_EQUAL(manifest_add(m, &bad[i], &err), -EINVAL);
		CU_ASSERT(strlen(err.text) > 0);
	}
	CU_ASSERT_EQUAL(m->count, 1);
}

static void what_is_added_is_copied(void)
{
	char name[] = "a", target[] = "b";
	struct manifest_entry e = {.name = name,
		.target = target,
		.kind = MANIFEST_SYMLINK,
		.parent = 17,
		.group = 4};
	SCOPED_MANIFEST struct manifest *m = empty();

	CU_ASSERT_EQUAL(manifest_add_source(m, "/src", &e.source, NULL), 0);
	CU_ASSERT_EQUAL(manifest_add(m, &e, NULL), 0);
	name[0] = target[0] = '?';
	CU_ASSERT_STRING_EQUAL(m->entries[0].name, "a");
	CU_ASSERT_STRING_EQUAL(m->entries[0].target, "b");
	CU_ASSERT_EQUAL(m->entries[0].parent, MANIFEST_ROOT);
	CU_ASSERT_EQUAL(m->entries[0].group, MANIFEST_NONE);
}

static void appending_renumbers_sources(void)
{
	SCOPED_MANIFEST struct manifest *to = empty();
	SCOPED_MANIFEST struct manifest *from = empty();
	char path[64];

	add(to, "/one", "a");
	add(from, "/two", "b");
	add(from, "/one", "c");
	CU_ASSERT_EQUAL(manifest_append(to, from, NULL), 0);
	arrange(to);
	CU_ASSERT_STRING_EQUAL(paths_of(to), "a b c");
	CU_ASSERT_EQUAL(to->n_sources, 2);
	CU_ASSERT_EQUAL(manifest_source_path(to, 1, path, sizeof(path)), 6);
	CU_ASSERT_STRING_EQUAL(path, "/two/b");
	CU_ASSERT_EQUAL(manifest_source_path(to, 2, path, sizeof(path)), 6);
	CU_ASSERT_STRING_EQUAL(path, "/one/c");
	CU_ASSERT_EQUAL(manifest_append(to, from, NULL), -EINVAL);
}

static void paths_fit_or_are_refused(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	SCOPED_FREE char *own = NULL;
	char path[64];

	add(m, "/", "d/");
	add(m, "/", "d/e/");
	add(m, "/", "d/e/file");
	arrange(m);
	CU_ASSERT_EQUAL(manifest_path(m, 2, path, 9), 8);
	CU_ASSERT_STRING_EQUAL(path, "d/e/file");
	CU_ASSERT_EQUAL(manifest_path(m, 2, path, 8), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(manifest_path(m, 2, path, 0), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(manifest_source_path(m, 2, path, 10), 9);
	CU_ASSERT_STRING_EQUAL(path, "/d/e/file");
	CU_ASSERT_EQUAL(manifest_source_path(m, 2, path, 9), -ENAMETOOLONG);
	own = manifest_path_new(m, 2);
	CU_ASSERT(own && strcmp(own, "d/e/file") == 0);
}

static void every_entry_is_found_and_nothing_else(void)
{
	static const char *absent[] = {"", "/", "a/", "/a", "a//x", "b", "a/x/y", "a/a",
		"a/y/z/", "zz", "a/xx", "a/w", "A"};
	SCOPED_MANIFEST struct manifest *m =
		tree_of("a/ a/x a/y/ a/y/z a-b a.b/ a.b/x c/ c/d/ c/d/e/ c/d/e/f z@");
	SCOPED_MANIFEST struct manifest *none = tree_of("");
	char path[64];

	for (uint32_t i = 0; i < m->count; i++) {
		CU_ASSERT(manifest_path(m, i, path, sizeof(path)) > 0);
		CU_ASSERT_EQUAL(manifest_find(m, path), i);
	}
	for (size_t i = 0; i < LENGTH(absent); i++)
		CU_ASSERT_EQUAL(manifest_find(m, absent[i]), MANIFEST_NONE);
	CU_ASSERT_EQUAL(manifest_find(none, "a"), MANIFEST_NONE);
}

static void subtrees_end_where_they_should(void)
{
	SCOPED_MANIFEST struct manifest *m =
		tree_of("a/ a/x a/y/ a/y/z b/ c/ c/d/ c/d/e");
	static const uint32_t ends[] = {4, 2, 4, 4, 5, 8, 8, 8};

	CU_ASSERT_EQUAL(m->count, LENGTH(ends));
	for (uint32_t i = 0; i < m->count; i++)
		CU_ASSERT_EQUAL(manifest_subtree_end(m, i), ends[i]);
}

static void content_is_counted_once_an_inode(void)
{
	static const struct manifest_extent data[] = {{0, 131072}, {1 << 20, 100}};
	struct manifest_entry link = {.nlink = 2, .dev = 1, .ino = 2, .size = 1000};
	struct manifest_entry sparse = {
		.nlink = 1, .size = (1 << 20) + 100, .extents = data, .n_extents = 2};
	SCOPED_MANIFEST struct manifest *m = empty();
	struct manifest_totals t;

	add(m, "/src", "d/");
	add(m, "/src", "s@");
	add_full(m, "/src", "d/a", link);
	add_full(m, "/src", "d/b", link);
	add_full(m, "/src", "sparse", sparse);
	arrange(m);
	manifest_count(m, &t);
	CU_ASSERT_EQUAL(t.files, 2);
	CU_ASSERT_EQUAL(t.dirs, 1);
	CU_ASSERT_EQUAL(t.symlinks, 1);
	CU_ASSERT_EQUAL(t.links, 1);
	CU_ASSERT_EQUAL(t.bytes, 1000 + (1 << 20) + 100);
	CU_ASSERT_EQUAL(t.data, 1000 + 131072 + 100);
}

static void *sum_up(void *m)
{
	for (int i = 0; i < 10000; i++)
		manifest_sum_digest(
			m, 0, (struct ebt_digest){.lo = UINT64_MAX, .hi = 3});
	return NULL;
}

static void digests_are_summed_by_any_thread(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a");
	pthread_t threads[4];

	for (size_t i = 0; i < LENGTH(threads); i++) {
		if (pthread_create(&threads[i], NULL, sum_up, m) != 0)
			exit(99);
	}
	for (size_t i = 0; i < LENGTH(threads); i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(m->entries[0].digest.lo, (uint64_t)-40000);
	CU_ASSERT_EQUAL(m->entries[0].digest.hi, 120000);
}

static void the_digest_sees_every_change(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a/ a/x a/y@");
	SCOPED_MANIFEST struct manifest *same = tree_of("a/ a/x a/y@");
	SCOPED_MANIFEST struct manifest *other = tree_of("a/ a/x a/z@");
	struct ebt_digest d = manifest_digest(m);

	CU_ASSERT(digest_equal(d, manifest_digest(same)));
	CU_ASSERT(!digest_equal(d, manifest_digest(other)));
	m->entries[1].mtime_ns++;
	CU_ASSERT(!digest_equal(d, manifest_digest(m)));
	m->entries[1].mtime_ns--;
	manifest_sum_digest(m, 1, (struct ebt_digest){.lo = 1});
	CU_ASSERT(!digest_equal(d, manifest_digest(m)));
	memset(same->id, 'a', 32);
	CU_ASSERT(!digest_equal(d, manifest_digest(same)));
}

static void the_digest_of_a_range_sees_its_entries_and_no_others(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a/ a/x a/y a/z b");
	SCOPED_MANIFEST struct manifest *other = tree_of("a/ a/x a/y a/z b");

	CU_ASSERT(digest_equal(
		manifest_digest_range(m, 0, m->count), manifest_digest(m)));
	other->entries[2].mode ^= 1;
	for (uint32_t from = 0; from < m->count; from++) {
		for (uint32_t to = from; to <= m->count; to++) {
			bool same = digest_equal(manifest_digest_range(m, from, to),
				manifest_digest_range(other, from, to));

			CU_ASSERT_EQUAL(same, from > 2 || to <= 2);
		}
	}
	memset(other->id, 'a', 32);
	CU_ASSERT(!digest_equal(
		manifest_digest_range(m, 0, 0), manifest_digest_range(other, 0, 0)));
}

static const struct test tests[] = {
	TEST(a_source_is_kept_once),
	TEST(many_sources_keep_their_numbers),
	TEST(an_entry_that_cannot_be_is_refused),
	TEST(what_is_added_is_copied),
	TEST(appending_renumbers_sources),
	TEST(paths_fit_or_are_refused),
	TEST(every_entry_is_found_and_nothing_else),
	TEST(subtrees_end_where_they_should),
	TEST(content_is_counted_once_an_inode),
	TEST(digests_are_summed_by_any_thread),
	TEST(the_digest_sees_every_change),
	TEST(the_digest_of_a_range_sees_its_entries_and_no_others),
};
SUITE("manifest", tests)
