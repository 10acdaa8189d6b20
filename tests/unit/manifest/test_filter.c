/* SPDX-License-Identifier: BSD-3-Clause */
#include "manifest/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "suite.h"

#define LENGTH(a)     (sizeof(a) / sizeof((a)[0]))
#define SCOPED_FILTER SCOPED(filter_freep)

static struct filter *empty(void)
{
	struct filter *f = NULL;

	if (filter_new(&f, NULL) < 0)
		exit(99);
	return f;
}

static struct filter *rules(const char *text)
{
	struct filter *f = empty();

	if (filter_add_text(f, text, strlen(text), false, NULL) < 0)
		exit(99);
	return f;
}

enum kind { PLAIN, DIR };
enum verdict { OUT, IN };

/*
 * What rsync 3 does with these. filter_rsync.sh asks the rsync at hand, about much
 * more.
 */
static const struct {
	const char *rules, *path;
	enum kind kind;
	enum verdict verdict;
} cases[] = {
	{"*.o", "x.o", PLAIN, OUT},
	{"*.o", "a/b.o", PLAIN, OUT},
	{"*.o", ".d", DIR, IN},
	{"foo", "a/foo", DIR, OUT},
	{"foo", "bar/foo", PLAIN, OUT},
	{"foo", "x.o", PLAIN, IN},
	{"/foo", "foo", PLAIN, OUT},
	{"/foo", "a/foo", DIR, IN},
	{"foo/", "a/foo", DIR, OUT},
	{"foo/", "foo", PLAIN, IN},
	{"foo/bar", "a/foo/bar", PLAIN, OUT},
	{"foo/bar", "a/foo/x/bar", PLAIN, IN},
	{"/foo/bar", "a/foo/bar", PLAIN, IN},
	{"/foo/bar", "a/foo/x/bar", PLAIN, IN},
	{"a/foo", "a/foo", DIR, OUT},
	{"a/foo", "foo", PLAIN, IN},
	{"/a/foo/", "a/foo", DIR, OUT},
	{"/a/foo/", "foo", PLAIN, IN},
	{"foo/*/bar", "a/foo/x/bar", PLAIN, OUT},
	{"foo/*/bar", "a/foo/bar", PLAIN, IN},
	{"/a/foo/**/bar", "a/foo/x/y/bar", PLAIN, OUT},
	{"/a/foo/**/bar", "a/foo/x/bar", PLAIN, OUT},
	{"/a/foo/**/bar", "a/foo/bar", PLAIN, IN},
	{"/a/**/bar", "a/foo/x/bar", PLAIN, OUT},
	{"/a/**/bar", "a/foo/bar", PLAIN, OUT},
	{"/a/**/bar", "bar", DIR, IN},
	{"foo/**", "a/foo/bar", PLAIN, OUT},
	{"foo/**", "a/foo/x", DIR, OUT},
	{"foo/**", "foo", PLAIN, IN},
	{"foo/***", "a/foo", DIR, OUT},
	{"foo/***", "foo", PLAIN, IN},
	{"/a/***", "a", DIR, OUT},
	{"/a/***", "a1", PLAIN, IN},
	{"/a/**", "a/foo", DIR, OUT},
	{"/a/**", "a/b.o", PLAIN, OUT},
	{"/a/**", "a", DIR, IN},
	{"a/*", "a/b.o", PLAIN, OUT},
	{"a/*", "a/b", PLAIN, OUT},
	{"a/*", "a", DIR, IN},
	{"/a/*", "a/b.o", PLAIN, OUT},
	{"/a/*", "a/foo", DIR, OUT},
	{"/a/*", "a", DIR, IN},
	{"*/foo", "bar/foo", PLAIN, OUT},
	{"*/foo", "a/foo", DIR, OUT},
	{"*/foo", "foo", PLAIN, IN},
	{"**/foo", "bar/foo", PLAIN, OUT},
	{"**/foo", "a/foo", DIR, OUT},
	{"**/foo", "x.o", PLAIN, IN},
	{"**foo", "bar/foo", PLAIN, OUT},
	{"**foo", "a/foo", DIR, OUT},
	{"**foo", "x.o", PLAIN, IN},
	{"**/bar", "a/foo/bar", PLAIN, OUT},
	{"**/bar", "a/foo/x/bar", PLAIN, OUT},
	{"**/bar", "a", DIR, IN},
	{"a**bar", "a/foo/bar", PLAIN, OUT},
	{"a**bar", "a/foo/x/y/bar", PLAIN, OUT},
	{"a**bar", "bar", DIR, IN},
	{"a/**r", "a/foo/bar", PLAIN, OUT},
	{"a/**r", "a/foo/x/y/bar", PLAIN, OUT},
	{"a/**r", "bar", DIR, IN},
	{"fo?", "a/foo", DIR, OUT},
	{"fo?", "foo", PLAIN, OUT},
	{"fo?", "q?", PLAIN, IN},
	{"fo[no]", "a/foo", DIR, OUT},
	{"fo[no]", "bar/foo", PLAIN, OUT},
	{"fo[no]", "[x]", PLAIN, IN},
	{"[!a-z]*", "[x]", PLAIN, OUT},
	{"[!a-z]*", "#hash", PLAIN, OUT},
	{"[!a-z]*", "a-1", PLAIN, IN},
	{"[^a-z]*", "#hash", PLAIN, OUT},
	{"[^a-z]*", ".hid", PLAIN, OUT},
	{"[^a-z]*", "a-1", PLAIN, IN},
	{"[[:upper:]]*", "Makefile", PLAIN, OUT},
	{"[[:upper:]]*", "A1", PLAIN, OUT},
	{"[[:upper:]]*", "[x]", PLAIN, IN},
	{"[[:digit:]]", "[x]", PLAIN, IN},
	{"[[:digit:]]", "long.tar.gz", PLAIN, IN},
	{"*[[:digit:]]", "a-1", PLAIN, OUT},
	{"*[[:digit:]]", "a]1", PLAIN, OUT},
	{"*[[:digit:]]", "[x]", PLAIN, IN},
	{"a[]-]1", "a-1", PLAIN, OUT},
	{"a[]-]1", "a]1", PLAIN, OUT},
	{"a[]-]1", "a1", PLAIN, IN},
	{"a[!-]1", "a!1", PLAIN, OUT},
	{"a[!-]1", "a^1", PLAIN, OUT},
	{"a[!-]1", "a-1", PLAIN, IN},
	{"a[-a]1", "a-1", PLAIN, OUT},
	{"a[-a]1", "a]1", PLAIN, IN},
	{"a[a-]1", "a-1", PLAIN, OUT},
	{"a[a-]1", "a]1", PLAIN, IN},
	{"a[\\]]1", "a]1", PLAIN, OUT},
	{"a[\\]]1", "a1", PLAIN, IN},
	{"a[!]]1", "a!1", PLAIN, OUT},
	{"a[!]]1", "a^1", PLAIN, OUT},
	{"a[!]]1", "a]1", PLAIN, IN},
	{"a[\\^]1", "a^1", PLAIN, OUT},
	{"a[\\^]1", "a]1", PLAIN, IN},
	{"[[]x]", "[x]", PLAIN, OUT},
	{"[[]x]", "x.c", PLAIN, IN},
	{"[x]", "a/foo/x", DIR, OUT},
	{"[x]", "[x]", PLAIN, IN},
	{"\\[x\\]", "[x]", PLAIN, OUT},
	{"\\[x\\]", "x.c", PLAIN, IN},
	{"back\\slash", "back\\slash", PLAIN, OUT},
	{"back\\slash", "bar/a", PLAIN, IN},
	{"back\\slash*", "back\\slash", PLAIN, IN},
	{"back\\slash*", "bar/a", PLAIN, IN},
	{"back\\\\slash*", "back\\slash", PLAIN, OUT},
	{"back\\\\slash*", "bar/a", PLAIN, IN},
	{"st*r", "st*r", PLAIN, OUT},
	{"st*r", "bar", DIR, IN},
	{"st\\*r", "st*r", PLAIN, OUT},
	{"st\\*r", "bar", DIR, IN},
	{"q?", "q?", PLAIN, OUT},
	{"q?", "a", DIR, IN},
	{"q\\?", "q?", PLAIN, OUT},
	{"q\\?", "back\\slash", PLAIN, IN},
	{"*", "a]1", PLAIN, OUT},
	{"*", "Makefile", PLAIN, OUT},
	{"**", "long.tar.gz", PLAIN, OUT},
	{"**", "#hash", PLAIN, OUT},
	{"***", "st*r", PLAIN, OUT},
	{"***", "bar", DIR, OUT},
	{"/", "a", DIR, IN},
	{"/", "a/b", PLAIN, IN},
	{"//", "a", DIR, IN},
	{"//", "a/b", PLAIN, IN},
	{"/*/", "bar", DIR, OUT},
	{"/*/", "a", DIR, OUT},
	{"/*/", "foo", PLAIN, IN},
	{"*/", ".d", DIR, OUT},
	{"*/", "a", DIR, OUT},
	{"*/", "foo", PLAIN, IN},
	{".*", ".d", DIR, OUT},
	{".*", ".hid", PLAIN, OUT},
	{".*", "x.c", PLAIN, IN},
	{".d/.*", ".d/.e", PLAIN, OUT},
	{".d/.*", ".d", DIR, IN},
	{"?hid", ".hid", PLAIN, OUT},
	{"?hid", "q?", PLAIN, IN},
	{"[.]hid", ".hid", PLAIN, OUT},
	{"[.]hid", ".d", DIR, IN},
	{"#hash", "#hash", PLAIN, IN},
	{"#hash", "back\\slash", PLAIN, IN},
	{"sp ace", "sp ace", PLAIN, OUT},
	{"sp ace", "a", DIR, IN},
	{"sp ace ", "sp ace", PLAIN, IN},
	{"sp ace ", "Makefile", PLAIN, IN},
	{"*.tar.*", "long.tar.gz", PLAIN, OUT},
	{"*.tar.*", "bar", DIR, IN},
	{"*.tar.gz", "long.tar.gz", PLAIN, OUT},
	{"*.tar.gz", "bar", DIR, IN},
	{"long**gz", "long.tar.gz", PLAIN, OUT},
	{"long**gz", "foo", PLAIN, IN},
	{"/**/x", "a/foo/x", DIR, OUT},
	{"/**/x", "x.c", PLAIN, IN},
	{"x/", "a/foo/x", DIR, OUT},
	{"x/", "x.c", PLAIN, IN},
	{"x/**", "a/foo/x/y", DIR, OUT},
	{"x/**", "a/foo/x/bar", PLAIN, OUT},
	{"x/**", "x.c", PLAIN, IN},
	{"b[a-", "bar", DIR, IN},
	{"b[a-", "b-c", PLAIN, IN},
	{"b[[:foo:]]c", "bar/foo", PLAIN, IN},
	{"b[[:foo:]]c", "foo", PLAIN, IN},
	{"b[a-z", "bar", DIR, IN},
	{"b[a-z", "b-c", PLAIN, IN},
	{"b\\-c", "b-c", PLAIN, IN},
	{"b\\-c", "a/b", PLAIN, IN},
	{"b\\-[c]", "b-c", PLAIN, OUT},
	{"b\\-[c]", "[x]", PLAIN, IN},
	{"b?c", "b-c", PLAIN, OUT},
	{"b?c", "a/b", PLAIN, IN},
	{"a?b", "a/b", PLAIN, IN},
	{"a?b", "a/b.o", PLAIN, IN},
	{"a[/]b", "a/b", PLAIN, IN},
	{"a[/]b", "[x]", PLAIN, IN},
	{"a*b", "a/b", PLAIN, IN},
	{"a*b", "a", DIR, IN},
	{"a**b", "a/b", PLAIN, OUT},
	{"a**b", "a", DIR, IN},
	{"/a/b", "a/b", PLAIN, OUT},
	{"/a/b", "a", DIR, IN},
	{"./foo", "foo", PLAIN, IN},
	{"./foo", "a/foo", DIR, IN},
	{"a/foo/x/y/bar", "a/foo/x/y/bar", PLAIN, OUT},
	{"a/foo/x/y/bar", "a/foo/x/bar", PLAIN, IN},
	{"o/x/y/bar", "a/foo/x/y/bar", PLAIN, IN},
	{"o/x/y/bar", "a/foo/x/bar", PLAIN, IN},
	{"a/**/", "a/foo", DIR, OUT},
	{"a/**/", "a", DIR, IN},
	{"*?*?*?*?*", "st*r", PLAIN, OUT},
	{"*?*?*?*?*", "back\\slash", PLAIN, OUT},
	{"*?*?*?*?*", "q?", PLAIN, IN},
	{"+ */\n+ *.c\n*", ".d/.e", PLAIN, OUT},
	{"+ */\n+ *.c\n*", "st*r", PLAIN, OUT},
	{"+ */\n+ *.c\n*", "a", DIR, IN},
	{"+ foo/\n+ foo/bar\n*", "back\\slash", PLAIN, OUT},
	{"+ foo/\n+ foo/bar\n*", "q?", PLAIN, OUT},
	{"+ /a/\n+ /a/foo/***\n*", "a!1", PLAIN, OUT},
	{"+ /a/\n+ /a/foo/***\n*", "sp ace", PLAIN, OUT},
	{"+ /a/\n+ /a/foo/***\n*", "a", DIR, IN},
	{"+ x.c\n- *.c\n- *.o", "a/b.o", PLAIN, OUT},
	{"+ x.c\n- *.c\n- *.o", "x.o", PLAIN, OUT},
	{"+ x.c\n- *.c\n- *.o", ".d", DIR, IN},
	{"foo\n!\nbar", "bar", DIR, OUT},
	{"foo\n!\nbar", "a/foo/bar", PLAIN, OUT},
	{"foo\n!\nbar", "a", DIR, IN},
	{"; foo\n#hash\nbar", "bar", DIR, OUT},
	{"; foo\n#hash\nbar", "a/foo/bar", PLAIN, OUT},
	{"; foo\n#hash\nbar", "a", DIR, IN},
	{"- #hash", "#hash", PLAIN, OUT},
	{"- #hash", "back\\slash", PLAIN, IN},
	{"+ **.o\n- **", "Makefile", PLAIN, OUT},
	{"+ **.o\n- **", "a1", PLAIN, OUT},
	{"+ **.o\n- **", "x.o", PLAIN, IN},
	{"+ **/\n+ b*\n- *", "a^1", PLAIN, OUT},
	{"+ **/\n+ b*\n- *", "st*r", PLAIN, OUT},
	{"+ **/\n+ b*\n- *", "b-c", PLAIN, IN},
};

static void patterns_mean_what_they_mean_to_rsync(void)
{
	for (size_t i = 0; i < LENGTH(cases); i++) {
		SCOPED_FILTER struct filter *f = rules(cases[i].rules);
		bool wanted = filter_wants(f, cases[i].path, cases[i].kind == DIR);

		if (wanted != (cases[i].verdict == IN))
			fprintf(stderr, "'%s' on %s\n", cases[i].rules, cases[i].path);
		CU_ASSERT_EQUAL(wanted, cases[i].verdict == IN);
	}
}

static void without_rules_everything_is_wanted(void)
{
	SCOPED_FILTER struct filter *f = empty();

	CU_ASSERT_TRUE(filter_wants(NULL, "a/b", false));
	CU_ASSERT_TRUE(filter_wants(f, "a/b", false));
}

/* As rsync takes --exclude and --include, see FILTER RULES in rsync(1). */
static void a_single_rule_may_say_what_it_is_but_is_no_comment(void)
{
	SCOPED_FILTER struct filter *f = empty();

	CU_ASSERT_EQUAL(filter_add(f, true, "keep", NULL), 0);
	CU_ASSERT_EQUAL(filter_add(f, false, "+ keeper", NULL), 0);
	CU_ASSERT_EQUAL(filter_add(f, true, "- a", NULL), 0);
	CU_ASSERT_EQUAL(filter_add(f, false, "#x", NULL), 0);
	CU_ASSERT_EQUAL(filter_add(f, false, "kee*", NULL), 0);
	CU_ASSERT_FALSE(filter_wants(f, "a", false));
	CU_ASSERT_TRUE(filter_wants(f, "- a", false));
	CU_ASSERT_FALSE(filter_wants(f, "#x", false));
	CU_ASSERT_TRUE(filter_wants(f, "keep", false));
	CU_ASSERT_TRUE(filter_wants(f, "keeper", false));
	CU_ASSERT_FALSE(filter_wants(f, "keen", false));
	CU_ASSERT_EQUAL(filter_add(f, false, "- ", NULL), -EINVAL);
	CU_ASSERT_EQUAL(filter_add(f, false, "!", NULL), 0);
	CU_ASSERT_TRUE(filter_wants(f, "keen", false));
	CU_ASSERT_TRUE(filter_wants(f, "a", false));
}

static void a_pattern_that_cannot_match_is_refused(void)
{
	static char longest[FILTER_PATTERN_MAX + 2];
	SCOPED_FILTER struct filter *f = empty();
	struct ebt_err err;

	memset(longest, '[', FILTER_PATTERN_MAX + 1);
	CU_ASSERT_EQUAL(filter_add(f, false, "", &err), -EINVAL);
	CU_ASSERT_EQUAL(filter_add_text(f, "- \n", 3, false, &err), -EINVAL);
	CU_ASSERT_EQUAL(filter_add_text(f, "a\0b\n", 4, false, &err), -EINVAL);
	CU_ASSERT_EQUAL(filter_add(f, false, longest, &err), -ENAMETOOLONG);
	longest[FILTER_PATTERN_MAX] = '\0';
	CU_ASSERT_EQUAL(filter_add(f, false, longest, &err), 0);
	memset(longest, '?', FILTER_PATTERN_MAX);
	CU_ASSERT_EQUAL(filter_add(f, false, longest, &err), 0);
	CU_ASSERT_TRUE(filter_wants(f, "a", false));
	memset(longest, 'x', FILTER_PATTERN_MAX);
	CU_ASSERT_FALSE(filter_wants(f, longest, false));
}

static void a_backslash_at_the_end_matches_nothing(void)
{
	SCOPED_FILTER struct filter *f = empty();
	SCOPED_FREE char *text = malloc(3); /* not a byte more, for the sanitizer */

	memcpy(text, "a*\\", 3);
	CU_ASSERT_EQUAL(filter_add_text(f, text, 3, false, NULL), 0);
	CU_ASSERT_TRUE(filter_wants(f, "a", false));
	CU_ASSERT_TRUE(filter_wants(f, "a\\", false));
}

static void lines_end_as_asked(void)
{
	static const char text[] = "a\r\n\r\n\nb\rc\n ";
	static const char null[] = "a\nb\0\0- c\0#d\0\r";
	SCOPED_FILTER struct filter *f = empty();
	SCOPED_FILTER struct filter *n = empty();

	CU_ASSERT_EQUAL(filter_add_text(f, text, sizeof(text) - 1, false, NULL), 0);
	CU_ASSERT_FALSE(filter_wants(f, "a", false));
	CU_ASSERT_FALSE(filter_wants(f, "b", false));
	CU_ASSERT_FALSE(filter_wants(f, "c", false));
	CU_ASSERT_FALSE(filter_wants(f, " ", false));
	CU_ASSERT_TRUE(filter_wants(f, "", false));
	CU_ASSERT_EQUAL(filter_add_text(n, null, sizeof(null) - 1, true, NULL), 0);
	CU_ASSERT_FALSE(filter_wants(n, "a\nb", false));
	CU_ASSERT_FALSE(filter_wants(n, "c", false));
	CU_ASSERT_FALSE(filter_wants(n, "\r", false));
	CU_ASSERT_TRUE(filter_wants(n, "#d", false));
	CU_ASSERT_TRUE(filter_wants(n, "a", false));
}

/*
 * One that tries all ways to deal a's to stars needs longer than the universe for
 * these.
 */
static void hostile_patterns_take_no_time(void)
{
	static const char *const parts[] = {
		"*a", "**a", "a*", "?**", "*[a]", "**/", "*/*"};
	char pattern[4 * 250 + 2], path[4001];
	struct timespec used;

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	for (size_t i = 0; i < LENGTH(parts); i++) {
		SCOPED_FILTER struct filter *f = empty();
		size_t at = 0;

		for (int k = 0; k < 250; k++)
			at += (size_t)sprintf(pattern + at, "%s", parts[i]);
		strcpy(pattern + at, "b");
		CU_ASSERT_EQUAL(filter_add(f, false, pattern, NULL), 0);
		CU_ASSERT_TRUE(filter_wants(f, path, false));
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	CU_ASSERT(used.tv_sec < 10);
}

static const struct test tests[] = {
	TEST(patterns_mean_what_they_mean_to_rsync),
	TEST(without_rules_everything_is_wanted),
	TEST(a_single_rule_may_say_what_it_is_but_is_no_comment),
	TEST(a_pattern_that_cannot_match_is_refused),
	TEST(a_backslash_at_the_end_matches_nothing),
	TEST(lines_end_as_asked),
	TEST(hostile_patterns_take_no_time),
};
SUITE("filter", tests)
