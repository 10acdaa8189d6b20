/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>

#include "manifests.h"
#include "suite.h"

static void directories_stand_right_before_what_they_hold(void)
{
	SCOPED_MANIFEST struct manifest *m =
		tree_of("b a.b/x a/y/z a-b a.b/ a a/y/ a/x a/ \xff \x01 a\x01 aa");

	/*
	 * "a" twice is one source object that was a file at first: the later mention
	 * counts
	 */
	CU_ASSERT_STRING_EQUAL(
		paths_of(m), "\x01 a/ a/x a/y/ a/y/z a\x01 a-b a.b/ a.b/x aa b \xff");
	CU_ASSERT_EQUAL(m->entries[1].parent, MANIFEST_ROOT);
	CU_ASSERT_EQUAL(m->entries[2].parent, 1);
	CU_ASSERT_EQUAL(m->entries[3].parent, 1);
	CU_ASSERT_EQUAL(m->entries[4].parent, 3);
	CU_ASSERT_STRING_EQUAL(m->entries[4].name, "z");
	CU_ASSERT_EQUAL(m->entries[8].parent, 7);
	CU_ASSERT_EQUAL(m->entries[9].parent, MANIFEST_ROOT);
}

static int by_path(const void *a, const void *b)
{
	const unsigned char *p = *(const unsigned char *const *)a;
	const unsigned char *q = *(const unsigned char *const *)b;

	while (*p && *p == *q)
		p++, q++;
	return (*p == '/' ? 0 : *p ? *p : -1) - (*q == '/' ? 0 : *q ? *q : -1);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* Long common beginnings, all lengths around words of eight bytes, in random order. */
static void the_order_is_that_of_components(void)
{
	enum { N = 3000 };
	static char paths[N][80], *sorted[N];
	SCOPED_MANIFEST struct manifest *m = empty();
	uint64_t seed = 1;
	char got[80];

	for (uint32_t i = 0; i < N; i++) {
		static const char *const tops[] = {"top", "top/second-level-dir",
			"top-3", "top/second-level-dir.d"};
		uint32_t len = next_random(&seed) % 20;
		size_t at = (size_t)snprintf(paths[i], sizeof(paths[i]), "%s/",
			tops[next_random(&seed) % 4]);

		for (uint32_t k = 0; k < len; k++)
			paths[i][at++] = "abz.-~\x01\xe9"[next_random(&seed) % 8];
		snprintf(paths[i] + at, sizeof(paths[i]) - at, "%x", i);
		sorted[i] = paths[i];
		add(m, "/src", paths[i]);
	}
	for (size_t i = 0; i < 4; i++)
		add(m, "/src",
			(const char *[]){"top/", "top-3/", "top/second-level-dir/",
				"top/second-level-dir.d/"}[i]);
	arrange(m);
	qsort(sorted, N, sizeof(sorted[0]), by_path);
	CU_ASSERT_EQUAL(m->count, N + 4);
	for (uint32_t i = 0, k = 0; i < m->count; i++) {
		if (m->entries[i].kind == MANIFEST_DIR)
			continue;
		manifest_path(m, i, got, sizeof(got));
		if (strcmp(got, sorted[k++]) != 0) {
			CU_FAIL("out of order");
			break;
		}
	}
}

static void two_objects_under_one_name_are_an_error_that_names_both(void)
{
	static const struct {
		const char *first, *second;
	} cases[] = {
		{"a/x", "a/x"}, {"a/x/", "a/x"}, {"a/x@", "a/x/"}, {"a/x@", "a/x@"}};
	struct ebt_err err;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		SCOPED_MANIFEST struct manifest *m = empty();

		add(m, "/p", "a/");
		add(m, "/q", "a/");
		add(m, "/p", cases[i].first);
		add(m, "/q", cases[i].second);
		CU_ASSERT_EQUAL(manifest_arrange(m, &err), -EEXIST);
		CU_ASSERT_STRING_EQUAL(
			err.text, "a/x: comes from both /p/a/x and /q/a/x");
		CU_ASSERT_FALSE(m->tree);
		CU_ASSERT_EQUAL(m->count, 4);
		CU_ASSERT_STRING_EQUAL(m->entries[2].name, "a/x");
		CU_ASSERT_EQUAL(m->entries[2].parent, MANIFEST_ROOT);
	}
}

static void a_conflict_is_said_in_one_safe_line(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	char name[3000];
	struct ebt_err err;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	name[0] = '\n';
	add(m, "/p", name);
	add(m, "/q", name);
	CU_ASSERT_EQUAL(manifest_arrange(m, &err), -EEXIST);
	CU_ASSERT_PTR_NULL(strchr(err.text, '\n'));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, " and /q/\\nnnn"));
}

static void directories_of_several_sources_merge(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	struct manifest_entry later = {.mode = 0700};

	/*
	 * the order in which ranks found them does not matter, that of the sources does
	 */
	add(m, "/one", "other");
	add_full(m, "/two", "d/", later);
	add(m, "/two", "d/b");
	add(m, "/one", "d/");
	add(m, "/one", "d/a");
	arrange(m);
	CU_ASSERT_STRING_EQUAL(paths_of(m), "d/ d/a d/b other");
	CU_ASSERT_EQUAL(m->entries[0].mode, 0700);
	CU_ASSERT_EQUAL(m->entries[0].source, 1);
}

static void what_is_mentioned_twice_is_taken_once(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("d/ d/a d/ d/a s@ s@ d/a");

	CU_ASSERT_STRING_EQUAL(paths_of(m), "d/ d/a s");
}

static void a_missing_directory_is_named(void)
{
	static const struct {
		const char *names, *text;
	} cases[] = {
		{"a/ a/b/c", "a/b/c: its directory a/b is not in the manifest"},
		{"x/y", "x/y: its directory x is not in the manifest"},
		{"a/ ab/c", "ab/c: its directory ab is not in the manifest"},
		{"a a/b", "a/b: a is no directory"},
		{"a@ a/b", "a/b: a is no directory"},
	};
	struct ebt_err err;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		SCOPED_MANIFEST struct manifest *m = empty();
		char names[64], *save = NULL;

		strcpy(names, cases[i].names);
		for (char *n = strtok_r(names, " ", &save); n;
			n = strtok_r(NULL, " ", &save))
			add(m, "/src", n);
		CU_ASSERT_EQUAL(manifest_arrange(m, &err), -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.text, cases[i].text);
	}
}

static void a_very_deep_tree_is_no_trouble(void)
{
	enum { DEPTH = 20000 };
	SCOPED_MANIFEST struct manifest *m = empty();
	char path[2 * DEPTH + 1];

	for (size_t i = DEPTH; i > DEPTH - 200; i--) {
		for (size_t k = 0; k < i; k++)
			memcpy(path + 2 * k, "d/", 2);
		path[2 * i] = '\0';
		add(m, "/src", path);
	}
	/* all but the deepest 200 directories are missing */
	CU_ASSERT_EQUAL(manifest_arrange(m, NULL), -EINVAL);
	for (size_t i = 1; i <= 300; i++) {
		path[2 * i] = '\0';
		path[2 * i - 1] = '/';
		add(m, "/src", path);
		path[2 * i] = 'd';
	}
	CU_ASSERT_EQUAL(manifest_arrange(m, NULL), -EINVAL);
	m->count = 0;
	for (size_t i = 300; i > 0; i--) {
		path[2 * i] = '\0';
		path[2 * i - 1] = '/';
		add(m, "/src", path);
	}
	CU_ASSERT_EQUAL(manifest_arrange(m, NULL), 0);
	CU_ASSERT_EQUAL(m->entries[299].parent, 298);
	CU_ASSERT_EQUAL(manifest_subtree_end(m, 0), 300);
}

static void *arrange_it(void *arg)
{
	return manifest_arrange(arg, NULL) == 0 ? arg : NULL;
}

/* Each directory within the one before: each sorts after it by one more component. */
static void nor_does_it_need_much_stack(void)
{
	enum { DEPTH = 8000, STACK = 128 << 10 };
	SCOPED_MANIFEST struct manifest *m = empty();
	char path[2 * DEPTH + 1];
	pthread_attr_t attr;
	void *done = NULL;
	pthread_t thread;

	for (size_t k = 0; k < DEPTH; k++)
		memcpy(path + 2 * k, "d/", 2);
	path[2 * DEPTH] = '\0';
	for (size_t i = DEPTH; i > 0; i--) {
		path[2 * i] = '\0';
		add(m, "/src", path);
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	if (pthread_create(&thread, &attr, arrange_it, m) != 0)
		exit(99);
	pthread_join(thread, &done);
	pthread_attr_destroy(&attr);
	CU_ASSERT_PTR_EQUAL(done, m);
	CU_ASSERT_EQUAL(m->entries[0].parent, MANIFEST_ROOT);
	for (uint32_t i = 1; i < DEPTH; i++)
		CU_ASSERT_EQUAL(m->entries[i].parent, i - 1);
}

static void nothing_is_a_tree_too(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();

	CU_ASSERT_EQUAL(manifest_arrange(m, NULL), 0);
	CU_ASSERT_TRUE(m->tree);
	CU_ASSERT_EQUAL(manifest_arrange(m, NULL), 0);
}

static const struct test tests[] = {
	TEST(directories_stand_right_before_what_they_hold),
	TEST(the_order_is_that_of_components),
	TEST(two_objects_under_one_name_are_an_error_that_names_both),
	TEST(a_conflict_is_said_in_one_safe_line),
	TEST(directories_of_several_sources_merge),
	TEST(what_is_mentioned_twice_is_taken_once),
	TEST(a_missing_directory_is_named),
	TEST(a_very_deep_tree_is_no_trouble),
	TEST(nor_does_it_need_much_stack),
	TEST(nothing_is_a_tree_too),
};
SUITE("manifest_arrange", tests)
