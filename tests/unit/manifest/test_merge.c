/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "manifests.h"
#include "suite.h"

static struct manifest *merge(const struct manifest *base, const struct manifest *top)
{
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};
	struct manifest *m = NULL;
	struct ebt_err err;

	must(manifest_unite(
		     (const struct manifest *const[]){base, top}, 2, -1, &m, &err),
		&err);
	/* decoding checks the shape, so every merge in here is checked as well */
	must(manifest_encode(m, &b, &err), &err);
	CU_ASSERT_EQUAL(manifest_decode(b.data, b.len, &back, NULL), 0);
	return m;
}

static void both_sides_are_there(void)
{
	static const struct {
		const char *base, *top, *both;
	} cases[] = {
		{"", "", ""},
		{"a", "", "a"},
		{"", "a", "a"},
		{"a c", "b d", "a b c d"},
		{"d/ d/a d/c", "d/ d/b e", "d/ d/a d/b d/c e"},
		{"d/ d/x/ d/x/1", "d/ d/x/ d/x/2 d/y", "d/ d/x/ d/x/1 d/x/2 d/y"},
		{"a/ a/x a-b", "a/ a/y a.b", "a/ a/x a/y a-b a.b"},
		{"a/ a/b/ a/b/c", "a/ a/b.c b/ b/b", "a/ a/b/ a/b/c a/b.c b/ b/b"},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		SCOPED_MANIFEST struct manifest *base = tree_of(cases[i].base);
		SCOPED_MANIFEST struct manifest *top = tree_of(cases[i].top);
		SCOPED_MANIFEST struct manifest *m = merge(base, top);

		CU_ASSERT_STRING_EQUAL(paths_of(m), cases[i].both);
	}
}

static void what_replaces_a_directory_takes_its_content_away(void)
{
	static const struct {
		const char *base, *top, *both;
	} cases[] = {
		{"d/ d/a d/e/ d/e/f z", "d", "d z"},
		{"d/ d/a d/e/ d/e/f", "d@", "d"},
		{"d/ d/e/ d/e/f d/e/g d/h", "d/ d/e", "d/ d/e d/h"},
		{"d", "d/ d/a", "d/ d/a"},
		{"d@ e", "d/", "d/ e"},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		SCOPED_MANIFEST struct manifest *base = tree_of(cases[i].base);
		SCOPED_MANIFEST struct manifest *top = tree_of(cases[i].top);
		SCOPED_MANIFEST struct manifest *m = merge(base, top);

		CU_ASSERT_STRING_EQUAL(paths_of(m), cases[i].both);
	}
}

static void the_top_entry_wins(void)
{
	SCOPED_MANIFEST struct manifest *base = empty();
	SCOPED_MANIFEST struct manifest *top = empty();
	SCOPED_MANIFEST struct manifest *m = NULL;
	char path[64];

	add_full(base, "/old", "d/", (struct manifest_entry){.mode = 0700});
	add_full(base, "/old", "d/a", (struct manifest_entry){.size = 1});
	add(base, "/old", "d/b");
	add_full(top, "/new", "d/", (struct manifest_entry){.mode = 0755});
	add_full(top, "/new", "d/a", (struct manifest_entry){.size = 2});
	memset(base->id, 'b', 32);
	memset(top->id, 'c', 32);
	arrange(base);
	arrange(top);
	m = merge(base, top);
	CU_ASSERT_EQUAL(m->entries[0].mode, 0755);
	CU_ASSERT_EQUAL(m->entries[1].size, 2);
	CU_ASSERT_EQUAL(m->id[0], 'c');
	manifest_source_path(m, 1, path, sizeof(path));
	CU_ASSERT_STRING_EQUAL(path, "/new/d/a");
	manifest_source_path(m, 2, path, sizeof(path));
	CU_ASSERT_STRING_EQUAL(path, "/old/d/b");
}

static void sources_that_nothing_needs_are_forgotten(void)
{
	SCOPED_MANIFEST struct manifest *base = empty();
	SCOPED_MANIFEST struct manifest *top = empty();
	SCOPED_MANIFEST struct manifest *m = NULL;

	add(base, "/old", "a");
	add(top, "/new", "a");
	arrange(base);
	arrange(top);
	m = merge(base, top);
	CU_ASSERT_EQUAL(m->n_sources, 1);
	CU_ASSERT_STRING_EQUAL(m->sources[0], "/new");
}

/* Three names of one inode, "a" first, and its content's digest with "a". */
static struct manifest *three_links(void)
{
	static const struct manifest_extent data[] = {{131072, 131072}};
	struct manifest_entry e = {.nlink = 3, .ino = 9, .size = 1 << 20};
	struct manifest *m = empty();

	e.extents = data;
	e.n_extents = 1;
	add_full(m, "/src", "a", e);
	add_full(m, "/src", "b", e);
	add_full(m, "/src", "c", e);
	arrange(m);
	manifest_sum_digest(m, 0, (struct ebt_digest){.lo = 42});
	return m;
}

static void a_split_group_keeps_what_is_left_together(void)
{
	SCOPED_MANIFEST struct manifest *base = three_links();
	SCOPED_MANIFEST struct manifest *top = tree_of("a 0");
	SCOPED_MANIFEST struct manifest *m = merge(base, top);

	CU_ASSERT_STRING_EQUAL(paths_of(m), "0 a b c");
	CU_ASSERT_EQUAL(m->entries[1].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(m->entries[2].group, 2);
	CU_ASSERT_EQUAL(m->entries[3].group, 2);
	CU_ASSERT_EQUAL(m->entries[2].digest.lo, 42);
	CU_ASSERT_EQUAL(m->entries[2].n_extents, 1);
	CU_ASSERT(manifest_has_data(m, 2));
	CU_ASSERT(!manifest_has_data(m, 3));
}

static void the_last_name_left_is_no_group(void)
{
	SCOPED_MANIFEST struct manifest *base = three_links();
	SCOPED_MANIFEST struct manifest *top = tree_of("a c");
	SCOPED_MANIFEST struct manifest *m = merge(base, top);

	CU_ASSERT_STRING_EQUAL(paths_of(m), "a b c");
	CU_ASSERT_EQUAL(m->entries[1].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(m->entries[1].digest.lo, 42);
}

static void groups_of_both_sides_stay_apart(void)
{
	SCOPED_MANIFEST struct manifest *base = three_links();
	SCOPED_MANIFEST struct manifest *top = empty();
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct manifest_entry e = {.nlink = 2, .ino = 9, .size = 3};

	add_full(top, "/src", "b", e);
	add_full(top, "/src", "d", e);
	arrange(top);
	m = merge(base, top);
	CU_ASSERT_STRING_EQUAL(paths_of(m), "a b c d");
	CU_ASSERT_EQUAL(m->entries[0].group, 0);
	CU_ASSERT_EQUAL(m->entries[1].group, 1);
	CU_ASSERT_EQUAL(m->entries[2].group, 0);
	CU_ASSERT_EQUAL(m->entries[3].group, 1);
}

static void only_trees_merge(void)
{
	SCOPED_MANIFEST struct manifest *flat = empty();
	SCOPED_MANIFEST struct manifest *tree = tree_of("a");
	struct manifest *m = NULL;

	CU_ASSERT_EQUAL(manifest_unite((const struct manifest *const[]){flat, tree}, 2,
				-1, &m, NULL),
		-EINVAL);
	CU_ASSERT_EQUAL(manifest_unite((const struct manifest *const[]){tree, flat}, 2,
				-1, &m, NULL),
		-EINVAL);
	CU_ASSERT_PTR_NULL(m);
}

/* What the store makes of times is true of a part of it, too. */
static void a_part_keeps_what_is_said_of_times(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a b");
	SCOPED_MANIFEST struct manifest *part = NULL;
	const uint64_t keep = 1;

	m->times = (struct fsio_times){.min = 0, .max = 1000, .unit = 2000000000};
	CU_ASSERT_EQUAL_FATAL(manifest_select(m, &keep, -1, &part, NULL), 0);
	CU_ASSERT_EQUAL(part->count, 1);
	CU_ASSERT_EQUAL(part->times.unit, 2000000000);
	CU_ASSERT_EQUAL(part->times.max, 1000);
}

static const struct test tests[] = {
	TEST(both_sides_are_there),
	TEST(what_replaces_a_directory_takes_its_content_away),
	TEST(the_top_entry_wins),
	TEST(sources_that_nothing_needs_are_forgotten),
	TEST(a_split_group_keeps_what_is_left_together),
	TEST(the_last_name_left_is_no_group),
	TEST(groups_of_both_sides_stay_apart),
	TEST(only_trees_merge),
	TEST(a_part_keeps_what_is_said_of_times),
};
SUITE("manifest_merge", tests)
