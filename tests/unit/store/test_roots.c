/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fixture.h"

#define HEAD "ebt roots 1\n"

static const struct store_root some[] = {
	{.path = "env", .origin = "/scratch/me/env", .whole = true},
	{.path = "in puts", .origin = "/a/in puts%", .read_only = true},
	{.path = "", .origin = "/x", .from = "/x.tar", .whole = true},
	{.path = "", .from = "/y\n.zip", .whole = true},
};
static const char text[] = HEAD "root env /scratch/me/env whole\n"
				"root in%20puts /a/in%20puts%25 partial read-only\n"
				"root . /x whole derived /x.tar\n"
				"root . - whole derived /y%0A.zip\n";

static void text_and_roots_are_the_same(void)
{
	struct store_roots r = {.of = (struct store_root *)some, .n = 4};
	SCOPED(store_roots_release) struct store_roots got = {0};
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL_FATAL(store_roots_format(&r, &b, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(b.len, strlen(text));
	CU_ASSERT_EQUAL(memcmp(b.data, text, b.len), 0);
	CU_ASSERT_EQUAL_FATAL(store_roots_parse(text, strlen(text), &got, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(got.n, 4);
	for (size_t i = 0; i < 4; i++) {
		CU_ASSERT_STRING_EQUAL(got.of[i].path, some[i].path);
		CU_ASSERT_EQUAL(got.of[i].whole, some[i].whole);
		CU_ASSERT_EQUAL(got.of[i].read_only, some[i].read_only);
		CU_ASSERT_EQUAL(!got.of[i].origin, !some[i].origin);
		CU_ASSERT_EQUAL(!got.of[i].from, !some[i].from);
		if (some[i].origin)
			CU_ASSERT_STRING_EQUAL(got.of[i].origin, some[i].origin);
		if (some[i].from)
			CU_ASSERT_STRING_EQUAL(got.of[i].from, some[i].from);
	}
}

static void what_is_damaged_is_told(void)
{
	static const char *const bad[] = {"", "ebt", "ebt rootz 1\n", HEAD "root\n",
		HEAD "root env /x whole", HEAD "root env x whole\n",
		HEAD "root ../env /x whole\n", HEAD "root /env /x whole\n",
		HEAD "root env /x whole \n", HEAD "root env /x\n",
		HEAD "root env  /x whole\n", HEAD "root env /x some\n",
		HEAD "root env /x whole derived\n",
		HEAD "root env /x whole derived y\n", HEAD "root e%6Ev /x whole\n",
		HEAD "root e%0 /x whole\n", HEAD "root e%00 /x whole\n",
		HEAD "root env /x whole more\n", HEAD "noot env /x whole\n", HEAD "\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SCOPED(store_roots_release) struct store_roots got = {0};

		CU_ASSERT_EQUAL(store_roots_parse(bad[i], strlen(bad[i]), &got, NULL),
			-EBADMSG);
	}
}

static void a_later_version_is_refused(void)
{
	struct store_roots got;

	CU_ASSERT_EQUAL(
		store_roots_parse("ebt roots 2\n", 12, &got, NULL), -EPROTONOSUPPORT);
}

static void begin(struct store *s, const char *id)
{
	SCOPED_FD int tree = -1;

	CU_ASSERT_EQUAL_FATAL(store_begin(s, id, &tree, NULL), 0);
}

/* A run that brings nothing but these. */
static void publish(
	const char *dest, const char *id, const struct store_root *of, size_t n)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest((struct items){0}, id);
	struct store_roots r = {.of = (struct store_root *)of, .n = n};

	begin(s, id);
	CU_ASSERT_EQUAL_FATAL(store_roots_prepare(s, &r, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_seal(s, m, NULL, false, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(s, id, STORE_REFUSE, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_publish(s, NULL, NULL), 0);
}

static void a_second_run_adds_and_says_anew(void)
{
	static const struct store_root more[] = {
		{.path = "b", .origin = "/b", .whole = true},
		{.path = "env", .origin = "/scratch/me/env"},
		{.path = "b", .origin = "/b"},
	};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED(store_roots_release) struct store_roots got = {0};
	SCOPED_STORE struct store *s = NULL;

	(void)dir;
	fixture_dest(tmp, "store", dest);
	publish(dest, ID_A, some, 4);
	publish(dest, ID_B, more, 3);
	s = fixture_open(dest);
	CU_ASSERT_EQUAL_FATAL(store_roots_load(s, &got, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(got.n, 5);
	CU_ASSERT_STRING_EQUAL(got.of[2].path, "in puts");
	CU_ASSERT_STRING_EQUAL(got.of[3].path, "b");
	/* Of several of one run the last. */
	CU_ASSERT_FALSE(got.of[3].whole);
	CU_ASSERT_STRING_EQUAL(got.of[4].path, "env");
	CU_ASSERT_FALSE(got.of[4].whole);
}

static const struct test tests[] = {
	TEST(text_and_roots_are_the_same),
	TEST(what_is_damaged_is_told),
	TEST(a_later_version_is_refused),
	TEST(a_second_run_adds_and_says_anew),
};
SUITE("store_roots", tests)
