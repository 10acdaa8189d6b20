/* SPDX-License-Identifier: BSD-3-Clause */
#include "archive/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define SCOPED_PATTERNS SCOPED(patterns_freep)

static struct patterns *parse(const char *const *texts)
{
	struct patterns *p = NULL;

	CU_ASSERT_EQUAL_FATAL(patterns_new(&p, NULL), 0);
	for (; *texts; texts++)
		CU_ASSERT_EQUAL(patterns_add(p, *texts, NULL), 0);
	return p;
}

/* The name of the archive that @path goes into, "" for none. */
static const char *where(const struct patterns *p, const char *path, bool dir)
{
	uint32_t i = patterns_match(p, path, dir);

	return i == PATTERN_NONE ? "" : patterns_archive(p, i)->name;
}

static void the_last_sign_splits_pattern_and_name(void)
{
	SCOPED_PATTERNS struct patterns *p =
		parse((const char *[]){"a=b=x/y.tar", "*.npy=arrays.tar.zst", NULL});

	CU_ASSERT_EQUAL_FATAL(patterns_count(p), 2);
	CU_ASSERT_STRING_EQUAL(patterns_archive(p, 0)->name, "x/y.tar");
	CU_ASSERT_FALSE(patterns_archive(p, 0)->zstd);
	CU_ASSERT(patterns_archive(p, 1)->zstd);
	CU_ASSERT_STRING_EQUAL(where(p, "d/a=b", false), "x/y.tar");
	CU_ASSERT_STRING_EQUAL(where(p, "a", false), "");
}

static void patterns_match_as_in_filters(void)
{
	static const struct {
		const char *pattern, *path;
		bool dir, matches;
	} cases[] = {
		{"logs/**", "logs/a", false, true},
		{"logs/**", "logs/a/b", false, true},
		{"logs/**", "logs/a", true, true},
		{"logs/**", "logs", true, false},
		{"logs/**", "old/logs/a", false, true},
		{"logs/**", "mylogs/a", false, false},
		{"logs/***", "logs", true, true},
		{"/logs/**", "old/logs/a", false, false},
		{"/logs/**", "logs/a", false, true},
		{"*.npy", "x.npy", false, true},
		{"*.npy", "a/b/x.npy", false, true},
		{"*.npy", "a.npy/x", false, false},
		{"out/", "out", true, true},
		{"out/", "out", false, false},
		{"!", "!", false, true},
		{"!", "a", false, false},
		{"- x", "- x", false, true},
		{"- x", "x", false, false},
		{"+ x", "+ x", false, true},
		{"#a", "#a", false, true},
		{"rank[0-3]", "rank2", false, true},
		{"rank[0-3]", "rank4", false, false},
		{"a\nb", "a\nb", false, true},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED_PATTERNS struct patterns *p = NULL;

		CU_ASSERT_EQUAL(patterns_new(&p, NULL), 0);
		snprintf(text, sizeof(text), "%s=a.tar", cases[i].pattern);
		CU_ASSERT_EQUAL(patterns_add(p, text, NULL), 0);
		if ((patterns_match(p, cases[i].path, cases[i].dir) == 0) !=
			cases[i].matches) {
			CU_FAIL("a pattern matches otherwise");
			printf("%s: %s\n", cases[i].pattern, cases[i].path);
		}
	}
}

static void the_first_that_matches_decides(void)
{
	SCOPED_PATTERNS struct patterns *p = parse((const char *[]){"*.log=logs.tar",
		"a/**=a.tar", "**=rest.tar", "never=never.tar", NULL});

	CU_ASSERT_STRING_EQUAL(where(p, "a/x.log", false), "logs.tar");
	CU_ASSERT_STRING_EQUAL(where(p, "a/x", false), "a.tar");
	CU_ASSERT_STRING_EQUAL(where(p, "never", false), "rest.tar");
}

static void several_patterns_share_an_archive(void)
{
	SCOPED_PATTERNS struct patterns *p = parse(
		(const char *[]){"*.a=one.tar", "*.b=two.tar", "*.c=one.tar", NULL});

	CU_ASSERT_EQUAL(patterns_count(p), 2);
	CU_ASSERT_EQUAL(patterns_match(p, "x.a", false), 0);
	CU_ASSERT_EQUAL(patterns_match(p, "x.b", false), 1);
	CU_ASSERT_EQUAL(patterns_match(p, "x.c", false), 0);
	CU_ASSERT_EQUAL(patterns_match(p, "x.d", false), PATTERN_NONE);
}

static void nothing_matches_without_patterns(void)
{
	SCOPED_PATTERNS struct patterns *p = parse((const char *[]){NULL});

	CU_ASSERT_EQUAL(patterns_count(p), 0);
	CU_ASSERT_EQUAL(patterns_count(NULL), 0);
	CU_ASSERT_EQUAL(patterns_match(p, "a", false), PATTERN_NONE);
	CU_ASSERT_EQUAL(patterns_match(NULL, "a", false), PATTERN_NONE);
}

static void what_is_wrong_is_said(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "PATTERN=NAME"},
		{"logs.tar", "PATTERN=NAME"},
		{"=logs.tar", "no pattern"},
		{"a=", "no name"},
		{"a=/abs.tar", "below DEST"},
		{"a=../up.tar", "\"..\""},
		{"a=x/../y.tar", "\"..\""},
		{"a=./y.tar", "\".\""},
		{"a=x//y.tar", "empty part"},
		{"a=y.tar/", "empty part"},
		{"a=y.tgz", ".tar.zst"},
		{"a=y.tar.gz", ".tar.zst"},
		{"a=y.zst", ".tar.zst"},
		{"a=.tar", ".tar.zst"},
		{"a=tar", ".tar.zst"},
		{"a=in.tar/x.tar", "below another"},
		{"a=in.tar.idx/x.tar", "below another"},
	};
	SCOPED_PATTERNS struct patterns *p =
		parse((const char *[]){"old=in.tar", "old=d/e/f.tar", NULL});
	struct ebt_err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(patterns_add(p, bad[i].text, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, bad[i].says));
		CU_ASSERT_EQUAL(strncmp(err.text, bad[i].text, strlen(bad[i].text)), 0);
	}
	CU_ASSERT_EQUAL(patterns_count(p), 2);
	CU_ASSERT_EQUAL(patterns_match(p, "a", false), PATTERN_NONE);
	CU_ASSERT_EQUAL(patterns_add(p, "a=d/e.tar", NULL), 0);
}

static void lengths_have_bounds(void)
{
	SCOPED_PATTERNS struct patterns *p = parse((const char *[]){NULL});
	SCOPED_FREE char *text = malloc(9000);

	/* The index, NAME.idx, must have a name too. */
	memset(text, 'a', 9000);
	memcpy(text, "x=", 2);
	strcpy(text + 2 + 251 - 4, ".tar");
	CU_ASSERT_EQUAL(patterns_add(p, text, NULL), 0);
	memset(text + 2, 'a', 300);
	strcpy(text + 2 + 252 - 4, ".tar");
	CU_ASSERT_EQUAL(patterns_add(p, text, NULL), -EINVAL);
	memset(text, 'a', 9000);
	strcpy(text + 4096, "=b.tar");
	CU_ASSERT_EQUAL(patterns_add(p, text, NULL), 0);
	memset(text, 'a', 5000);
	strcpy(text + 4097, "=b.tar");
	CU_ASSERT_EQUAL(patterns_add(p, text, NULL), -EINVAL);
}

static const struct test tests[] = {
	TEST(the_last_sign_splits_pattern_and_name),
	TEST(patterns_match_as_in_filters),
	TEST(the_first_that_matches_decides),
	TEST(several_patterns_share_an_archive),
	TEST(nothing_matches_without_patterns),
	TEST(what_is_wrong_is_said),
	TEST(lengths_have_bounds),
};
SUITE("archive_pattern", tests)
