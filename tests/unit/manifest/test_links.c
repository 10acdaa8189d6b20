/* SPDX-License-Identifier: BSD-3-Clause */
#include "manifests.h"
#include "suite.h"

#define DEV manifest_dev(0, 1)

/* One of three names of an inode, as the walk of node 0 saw it. */
static struct manifest_entry one_name(void)
{
	return (struct manifest_entry){.nlink = 3,
		.dev = DEV,
		.ino = 7,
		.size = 10,
		.mtime = 5,
		.mtime_ns = 6,
		.changed = 8,
		.mode = 0600,
		.uid = 1,
		.gid = 2,
		.xattrs = (const unsigned char *)"\1\0\0\0\0\0a",
		.xattrs_len = 7};
}

static void names_of_one_inode_become_a_group(void)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_MANIFEST struct manifest *m = empty();
	struct manifest_entry e = one_name(), other_dev = e, alone = e;

	other_dev.dev = manifest_dev(0, 2);
	alone.nlink = 1;
	add_full(m, "/src", "z", e);
	e.atime = 4; /* somebody read it meanwhile */
	add_full(m, "/src", "d/b", e);
	add(m, "/src", "d/");
	add_full(m, "/src", "d/a", e);
	add_full(m, "/src", "e", other_dev);
	add_full(m, "/src", "f", alone);
	arrange(m);
	CU_ASSERT_STRING_EQUAL(paths_of(m), "d/ d/a d/b e f z");
	CU_ASSERT_EQUAL(m->entries[1].group, 1);
	CU_ASSERT_EQUAL(m->entries[2].group, 1);
	CU_ASSERT_EQUAL(m->entries[3].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(m->entries[4].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(m->entries[5].group, 1);
	CU_ASSERT_EQUAL(m->entries[5].atime, 4);
	CU_ASSERT_EQUAL(m->entries[5].parent, MANIFEST_ROOT);
	CU_ASSERT(manifest_has_data(m, 1));
	CU_ASSERT(!manifest_has_data(m, 2));
	CU_ASSERT(manifest_has_data(m, 3));
	CU_ASSERT(!manifest_has_data(m, 0));
	CU_ASSERT_EQUAL(manifest_doubts(m, &d, NULL), 0);
	CU_ASSERT_EQUAL(d.n, 0);
}

static void a_second_link_outside_is_no_group(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	struct manifest_entry e = {.nlink = 2, .dev = 1, .ino = 7};

	add_full(m, "/src", "a", e);
	add_full(m, "/src", "a", e);
	arrange(m);
	CU_ASSERT_EQUAL(m->count, 1);
	CU_ASSERT_EQUAL(m->entries[0].group, MANIFEST_NONE);
}

/* How a second name was seen, beside one that is as one_name says. */
enum verdict { GROUP, DOUBT, SEPARATE };

static enum verdict judge(const struct manifest_entry *second)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_MANIFEST struct manifest *m = empty();

	add_full(m, "/src", "a", one_name());
	add_full(m, "/src", "b", *second);
	arrange(m);
	CU_ASSERT_EQUAL_FATAL(manifest_doubts(m, &d, NULL), 0);
	if (m->entries[1].group == 0) {
		CU_ASSERT_EQUAL(d.n, 0);
		return GROUP;
	}
	/* Who is not of a group keeps what was seen of it. */
	CU_ASSERT_EQUAL(m->entries[0].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(m->entries[1].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(m->entries[1].mode, second->mode);
	CU_ASSERT_EQUAL(m->entries[1].size, second->size);
	if (d.n) {
		CU_ASSERT_EQUAL(d.first[1], 2);
		CU_ASSERT_EQUAL(d.members[0], 0);
		CU_ASSERT_EQUAL(d.members[1], 1);
	}
	return d.n ? DOUBT : SEPARATE;
}

static void a_group_needs_a_node_that_saw_the_same_of_all_names(void)
{
	struct manifest_entry e = one_name();

	CU_ASSERT_EQUAL(judge(&e), GROUP);
#define SEEN(field, value, verdict)                                                    \
	do {                                                                           \
		e = one_name();                                                        \
		e.field = (value);                                                     \
		CU_ASSERT_EQUAL(judge(&e), verdict);                                   \
	} while (0)
	SEEN(dev, manifest_dev(0, 2), SEPARATE);
	SEEN(dev, manifest_dev(1, 1), DOUBT); /* the same number, of another kernel */
	SEEN(dev, manifest_dev(1, 2), DOUBT); /* another, of another kernel */
	SEEN(ino, 8, SEPARATE);
	SEEN(size, 11, SEPARATE);
	SEEN(mtime, 6, SEPARATE);
	SEEN(mtime_ns, 7, SEPARATE);
	SEEN(changed, 9, DOUBT);
	SEEN(mode, 0644, DOUBT);
	SEEN(uid, 3, DOUBT);
	SEEN(gid, 3, DOUBT);
	SEEN(nlink, 2, GROUP);
	SEEN(nlink, 1, SEPARATE);
	SEEN(xattrs, (const unsigned char *)"\1\0\0\0\0\0b", DOUBT);
	SEEN(xattrs_len, 0, DOUBT);
#undef SEEN
}

static void more_names_than_links_are_in_doubt(void)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_MANIFEST struct manifest *m = empty();
	struct manifest_entry e = one_name();

	for (const char *name = "abcd"; *name; name++)
		add_full(m, "/src", (char[]){*name, '\0'}, e);
	arrange(m);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(m->entries[i].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(manifest_doubts(m, &d, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(d.n, 1);
	CU_ASSERT_EQUAL(d.first[1], 4);
}

/* Two file systems that two nodes number the other way round, each with links of its own. */
static void swapped_numbers_mix_nothing_up(void)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_MANIFEST struct manifest *m = empty();
	struct manifest_entry e = one_name();

	e.nlink = 2;
	add_full(m, "/src", "A-0", e);
	e.dev = manifest_dev(1, 2);
	add_full(m, "/src", "A-1", e);
	e.size = 20;
	e.dev = manifest_dev(0, 2);
	add_full(m, "/src", "B-0", e);
	e.dev = DEV;
	add_full(m, "/src", "B-0-too", e); /* numbered as A by the same node */
	e.dev = manifest_dev(1, 1);
	add_full(m, "/src", "B-1", e);
	arrange(m);
	CU_ASSERT_EQUAL(manifest_doubts(m, &d, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(d.n, 2);
	CU_ASSERT_EQUAL(d.first[1] - d.first[0] + d.first[2] - d.first[1], 5);
	for (uint32_t c = 0; c < 2; c++) {
		for (uint32_t k = d.first[c]; k < d.first[c + 1]; k++)
			CU_ASSERT_EQUAL(m->entries[d.members[k]].size,
				m->entries[d.members[d.first[c]]].size);
	}
}

static void what_was_found_becomes_groups(void)
{
	enum { N = 7 };
	/* of a: c and e; of b: nothing; of d: g; f is not as the walk saw it */
	static const uint32_t found[N] = {MANIFEST_LINK_OF, MANIFEST_LINK_OTHER,
		MANIFEST_LINK_OF, MANIFEST_LINK_OF + 3, MANIFEST_LINK_OF,
		MANIFEST_LINK_APART, MANIFEST_LINK_OF + 3};
	static const uint32_t groups[N] = {0, MANIFEST_NONE, 0, 3, 0, MANIFEST_NONE, 3};
	static const uint32_t modes[N] = {0600, 0601, 0600, 0603, 0600, 0605, 0603};
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_MANIFEST struct manifest *m = empty();
	uint32_t one = 0;

	for (uint32_t i = 0; i < N; i++) {
		struct manifest_entry e = one_name();

		e.dev = manifest_dev(i, i);
		e.mode += i;
		add_full(m, "/src", (char[]){(char)('a' + i), '\0'}, e);
	}
	arrange(m);
	CU_ASSERT_EQUAL(manifest_doubts(m, &d, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(d.n, 1);
	CU_ASSERT_EQUAL(manifest_settle(m, &d, found, &one), 1);
	CU_ASSERT_EQUAL(one, 5);
	CU_ASSERT_STRING_EQUAL(paths_of(m), "a b c d e f g");
	for (uint32_t i = 0; i < N; i++) {
		CU_ASSERT_EQUAL(m->entries[i].group, groups[i]);
		CU_ASSERT_EQUAL(m->entries[i].mode, modes[i]);
	}
}

static void what_nobody_looked_at_stays_apart(void)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_MANIFEST struct manifest *m = empty();
	struct manifest_entry e = one_name();
	uint32_t one = 9;

	add_full(m, "/src", "a", e);
	e.dev = manifest_dev(1, 1);
	add_full(m, "/src", "b", e);
	arrange(m);
	CU_ASSERT_EQUAL(manifest_doubts(m, &d, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(d.n, 1);
	CU_ASSERT_EQUAL(manifest_settle(m, &d, (uint32_t[]){0, 0}, &one), 2);
	CU_ASSERT_EQUAL(one, 0);
	CU_ASSERT_EQUAL(m->entries[0].group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(m->entries[1].group, MANIFEST_NONE);
}

/* Names reached by several mounts are more than the links; a part of them needs no new look. */
static void what_was_settled_is_not_in_doubt_again(void)
{
	static const uint32_t found[] = {
		MANIFEST_LINK_OF, MANIFEST_LINK_OF, MANIFEST_LINK_OF, MANIFEST_LINK_OF};
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_MANIFEST struct manifest *m = empty();
	SCOPED_MANIFEST struct manifest *again = empty();
	uint32_t one;

	for (const char *name = "abcd"; *name; name++)
		add_full(m, "/src", (char[]){*name, '\0'}, one_name());
	arrange(m);
	CU_ASSERT_EQUAL(manifest_doubts(m, &d, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(d.n, 1);
	CU_ASSERT_EQUAL(manifest_settle(m, &d, found, &one), 0);
	for (uint32_t i = 0; i < m->count; i++)
		add_full(again, "/src", m->entries[i].name, m->entries[i]);
	arrange(again);
	for (uint32_t i = 0; i < m->count; i++)
		CU_ASSERT_EQUAL(again->entries[i].group, 0);
}

static void numbers_of_inodes_are_compared_on_one_node_only(void)
{
	static const struct {
		uint32_t node;
		uint64_t ino;
		time_t ctime, mtime;
		bool unchanged;
	} cases[] = {{3, 7, 1, 5, true}, {3, 7, 2, 5, true}, /* it got a link */
		{3, 8, 1, 5, false}, {3, 8, 2, 5, false},    /* another file */
		{4, 7, 1, 5, true}, {4, 7, 2, 5, true}, {4, 8, 1, 5, true},
		{4, 8, 2, 5, false}, /* another file, or changed behind our back */
		{3, 7, 1, 6, false}, {4, 7, 1, 6, false}, {4, 8, 1, 6, false}};
	const struct manifest_entry e = {.kind = MANIFEST_FILE,
		.dev = manifest_dev(3, 1),
		.ino = 7,
		.mtime = 5,
		.changed = 1000000000};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct stat st = {.st_mode = S_IFREG | 0644,
			.st_ino = cases[i].ino,
			.st_ctim.tv_sec = cases[i].ctime,
			.st_mtim.tv_sec = cases[i].mtime};

		CU_ASSERT_EQUAL(manifest_unchanged_on(cases[i].node, &e, &st),
			cases[i].unchanged);
	}
}

/* Of two batches, one with links that only a look could tell: they stay what they are. */
static void links_of_a_tree_stay_links_when_it_is_joined(void)
{
	SCOPED_MANIFEST struct manifest *all = empty();
	struct ebt_err err;

	for (int round = 0; round < 2; round++) {
		SCOPED_MANIFEST struct manifest *m = empty();
		const char *const names[2][4] = {
			{"a/", "a/x", "a/y", "a/z"}, {"a/", "a/b", "a/c", "a/w"}};

		/* Nothing says that they are links, but for what was found. */
		for (int i = 0; i < 4; i++)
			add(m, "/s", names[round][i]);
		must(manifest_arrange(m, &err), &err);
		m->entries[1].group = m->entries[2].group = 1;
		must(manifest_append(all, m, &err), &err);
	}
	must(manifest_arrange(all, &err), &err);
	CU_ASSERT_EQUAL_FATAL(all->count, 7);
	for (uint32_t i = 0; i < all->count; i++) {
		const struct manifest_entry *e = &all->entries[i];

		CU_ASSERT_EQUAL(e->marks, 0);
		if (strchr("bc", e->name[0]))
			CU_ASSERT_EQUAL(e->group, manifest_find(all, "a/b"))
		else if (strchr("xy", e->name[0]))
			CU_ASSERT_EQUAL(e->group, manifest_find(all, "a/x"))
		else
			CU_ASSERT_EQUAL(e->group, MANIFEST_NONE);
	}
}

static const struct test tests[] = {
	TEST(links_of_a_tree_stay_links_when_it_is_joined),
	TEST(names_of_one_inode_become_a_group),
	TEST(a_second_link_outside_is_no_group),
	TEST(a_group_needs_a_node_that_saw_the_same_of_all_names),
	TEST(more_names_than_links_are_in_doubt),
	TEST(swapped_numbers_mix_nothing_up),
	TEST(what_was_found_becomes_groups),
	TEST(what_nobody_looked_at_stays_apart),
	TEST(what_was_settled_is_not_in_doubt_again),
	TEST(numbers_of_inodes_are_compared_on_one_node_only),
};
SUITE("manifest_links", tests)
