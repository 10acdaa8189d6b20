/* SPDX-License-Identifier: BSD-3-Clause */
#include "scan/scan.h"
#include "stage/roots.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define MAX 8

struct expected {
	const char *base;
	unsigned flags;
	const char *name;
};

/* NULL ends the lists; the working directory is /w. */
struct row {
	const char *sources[MAX];
	struct expected roots[MAX];
};

static const struct row plain[] = {
	{{"a"}, {{"/w", 0, "a"}}},
	{{"a/b/c"}, {{"/w/a/b", 0, "c"}}},
	{{"/x"}, {{"/", 0, "x"}}},
	{{"/x/y"}, {{"/x", 0, "y"}}},
	{{"..."}, {{"/w", 0, "..."}}},
	{{".hidden"}, {{"/w", 0, ".hidden"}}},
	{{"sp ace\n*"}, {{"/w", 0, "sp ace\n*"}}},
	{{"-"}, {{"/w", 0, "-"}}},
	/* a slash at the end follows links */
	{{"a/"}, {{"/w", SCAN_FOLLOW, "a"}}},
	{{"/x/"}, {{"/", SCAN_FOLLOW, "x"}}},
	{{"/x/y///"}, {{"/x", SCAN_FOLLOW, "y"}}},
	/* content */
	{{"."}, {{"/w", SCAN_FOLLOW, ""}}},
	{{"a/."}, {{"/w/a", SCAN_FOLLOW, ""}}},
	{{"a/./"}, {{"/w/a", SCAN_FOLLOW, ""}}},
	{{"/x/.."}, {{"/x/..", SCAN_FOLLOW, ""}}},
	{{".."}, {{"/w/..", SCAN_FOLLOW, ""}}},
	{{"/"}, {{"/", SCAN_FOLLOW, ""}}},
	{{"//"}, {{"/", SCAN_FOLLOW, ""}}},
	/* one place has one name */
	{{"./a"}, {{"/w", 0, "a"}}},
	{{".//a/.//./b"}, {{"/w/a", 0, "b"}}},
	{{"a//b", "a/b", "./a/b/"},
		{{"/w/a", 0, "b"}, {"/w/a", 0, "b"}, {"/w/a", SCAN_FOLLOW, "b"}}},
	{{"/./x", "//x", "/x"}, {{"/", 0, "x"}, {"/", 0, "x"}, {"/", 0, "x"}}},
	{{"./.", ".//", "/w/."}, {{"/w", SCAN_FOLLOW, ""}, {"/w", SCAN_FOLLOW, ""},
					 {"/w", SCAN_FOLLOW, ""}}},
	{{"/.", "/./"}, {{"/", SCAN_FOLLOW, ""}, {"/", SCAN_FOLLOW, ""}}},
	{{".a/.b"}, {{"/w/.a", 0, ".b"}}},
	{{"./a/.././b"}, {{"/w/a/..", 0, "b"}}},
	{{"a/./.."}, {{"/w/a/..", SCAN_FOLLOW, ""}}},
	/* ".." inside stays: links make it more than text */
	{{"a/../b"}, {{"/w/a/..", 0, "b"}}},
	{{"../b"}, {{"/w/..", 0, "b"}}},
	/* several, in order, doubles too */
	{{"b", "a", "b", "/x/a"},
		{{"/w", 0, "b"}, {"/w", 0, "a"}, {"/w", 0, "b"}, {"/x", 0, "a"}}},
};

static const struct row relative[] = {
	{{"a"}, {{"/w", 0, "a"}}},
	{{"a/b/c"}, {{"/w", SCAN_PARENT, "a"}, {"/w", SCAN_PARENT, "a/b"},
			    {"/w", 0, "a/b/c"}}},
	{{"/x/y"}, {{"/", SCAN_PARENT, "x"}, {"/", 0, "x/y"}}},
	{{".//a/.///b"}, {{"/w", SCAN_PARENT, "a"}, {"/w", 0, "a/b"}}},
	{{"a/b/"}, {{"/w", SCAN_PARENT, "a"}, {"/w", SCAN_FOLLOW, "a/b"}}},
	{{"..a/b.."}, {{"/w", SCAN_PARENT, "..a"}, {"/w", 0, "..a/b.."}}},
	/* parents come once where neighbours share them */
	{{"a/b/c", "a/b/d", "a/x"},
		{{"/w", SCAN_PARENT, "a"}, {"/w", SCAN_PARENT, "a/b"},
			{"/w", 0, "a/b/c"}, {"/w", 0, "a/b/d"}, {"/w", 0, "a/x"}}},
	/* a name that starts alike is another one */
	{{"ab/c", "a/c"}, {{"/w", SCAN_PARENT, "ab"}, {"/w", 0, "ab/c"},
				  {"/w", SCAN_PARENT, "a"}, {"/w", 0, "a/c"}}},
	{{"a", "a/c"}, {{"/w", 0, "a"}, {"/w", SCAN_PARENT, "a"}, {"/w", 0, "a/c"}}},
	/* the same name, absolute and not, lies in two places */
	{{"a/b", "/a/b"}, {{"/w", SCAN_PARENT, "a"}, {"/w", 0, "a/b"},
				  {"/", SCAN_PARENT, "a"}, {"/", 0, "a/b"}}},
};

static bool root_is(
	const struct expected *want, const char *base, unsigned flags, const char *name)
{
	if (want->base && base && strcmp(base, want->base) == 0 &&
		flags == want->flags && strcmp(name, want->name) == 0)
		return true;
	printf("base %s flags %u name %s\n", base, flags, name);
	return false;
}

static void check_row(const struct row *row, bool rel)
{
	const char *bases[MAX] = {NULL}, *name;
	SCOPED_BUF struct buf b = {0};
	uint32_t n_bases, n_roots, base;
	unsigned flags;
	struct reader r;
	size_t n = 0;

	while (n < MAX && row->sources[n])
		n++;
	CU_ASSERT_EQUAL_FATAL(roots_encode(row->sources, n, rel, "/w", &b, NULL), 0);
	r = reader_of(b.data, b.len);
	n_bases = reader_get32(&r);
	CU_ASSERT_FATAL(n_bases <= MAX);
	for (uint32_t i = 0; i < n_bases; i++) {
		bases[i] = (const char *)r.data + r.at;
		reader_take(&r, strlen(bases[i]) + 1);
	}
	n_roots = reader_get32(&r);
	CU_ASSERT_FATAL(n_roots < MAX);
	for (uint32_t i = 0; i < n_roots; i++) {
		base = reader_get32(&r);
		flags = reader_get8(&r);
		name = (const char *)r.data + r.at;
		reader_take(&r, strlen(name) + 1);
		CU_ASSERT(base < n_bases &&
			  root_is(&row->roots[i], bases[base], flags, name));
	}
	CU_ASSERT_PTR_NULL(row->roots[n_roots].base);
	CU_ASSERT_EQUAL(reader_left(&r), 0);
	CU_ASSERT_FALSE(r.failed);
}

static void sources_go_under_their_last_component(void)
{
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		check_row(&plain[i], false);
}

static void relative_sources_keep_their_path(void)
{
	for (size_t i = 0; i < sizeof(relative) / sizeof(relative[0]); i++)
		check_row(&relative[i], true);
}

static void the_working_directory_may_be_the_top(void)
{
	static const char *const one[] = {"a"};

	for (int rel = 0; rel < 2; rel++) {
		SCOPED_BUF struct buf b = {0};

		CU_ASSERT_EQUAL(roots_encode(one, 1, rel, "/", &b, NULL), 0);
		CU_ASSERT_STRING_EQUAL((const char *)b.data + 4, "/");
	}
}

static void neighbours_share_their_base(void)
{
	static const char *const many[] = {"a/x", "a/y", "a/z"};
	SCOPED_BUF struct buf b = {0};
	struct reader r;

	CU_ASSERT_EQUAL(roots_encode(many, 3, false, "/w", &b, NULL), 0);
	r = reader_of(b.data, b.len);
	CU_ASSERT_EQUAL(reader_get32(&r), 1);
}

static void no_sources_are_no_roots(void)
{
	SCOPED_BUF struct buf b = {0};
	struct reader r;

	CU_ASSERT_EQUAL(roots_encode(NULL, 0, false, "/w", &b, NULL), 0);
	r = reader_of(b.data, b.len);
	CU_ASSERT_EQUAL(reader_get32(&r), 0);
	CU_ASSERT_EQUAL(reader_get32(&r), 0);
	CU_ASSERT_EQUAL(reader_left(&r), 0);
}

/* Also behind a good one, and then nothing comes out. */
static void refused(const char *source, bool rel, int code)
{
	const char *const both[] = {"good", source};
	SCOPED_BUF struct buf b = {0};
	struct ebt_err err = {0};

	CU_ASSERT_EQUAL(roots_encode(both, 2, rel, "/w", &b, &err), code);
	CU_ASSERT_EQUAL(err.code, code);
	CU_ASSERT(err.text[0] != '\0');
	CU_ASSERT_EQUAL(b.len, 0);
}

static void what_cannot_be_a_source_is_refused(void)
{
	static char slashes[PATH_MAX + 100], longest[PATH_MAX + 100];

	memset(slashes, '/', sizeof(slashes) - 1);
	memset(longest, 'x', sizeof(longest) - 1);
	refused("..", true, -EINVAL);
	refused("../a", true, -EINVAL);
	refused("a/../b", true, -EINVAL);
	refused("a/..", true, -EINVAL);
	refused("/..", true, -EINVAL);
	for (int rel = 0; rel < 2; rel++) {
		refused("", rel, -ENOENT);
		refused(slashes, rel, -ENAMETOOLONG);
		refused(longest, rel, -ENAMETOOLONG);
	}
}

/* With the working directory before it just short enough, and one byte more. */
static void paths_up_to_the_limit_are_taken(void)
{
	size_t fits = PATH_MAX - 1 - strlen("/w/");
	char name[PATH_MAX];
	const char *const one[] = {name};

	for (int rel = 0; rel < 2; rel++) {
		SCOPED_BUF struct buf b = {0};

		memset(name, 'x', sizeof(name));
		name[fits] = '\0';
		CU_ASSERT_EQUAL(roots_encode(one, 1, rel, "/w", &b, NULL), 0);
		name[fits] = 'x';
		name[fits + 1] = '\0';
		CU_ASSERT_EQUAL(
			roots_encode(one, 1, rel, "/w", &b, NULL), -ENAMETOOLONG);
	}
}

static bool meet(const char *a, const char *b, const char *c, bool whole)
{
	const char *const all[] = {a, b, c};
	SCOPED_BUF struct buf list = {0};
	size_t n = c ? 3 : b ? 2 : 1;

	CU_ASSERT_FATAL(roots_encode(all, n, whole, "/w", &list, NULL) == 0);
	return roots_meet(&list);
}

static void sources_meet_where_they_give_one_name(void)
{
	CU_ASSERT_FALSE(meet("a", NULL, NULL, false));
	CU_ASSERT_FALSE(meet("a/.", NULL, NULL, false));
	CU_ASSERT_FALSE(meet("a", "b", "c", false));
	CU_ASSERT(meet("a/.", "b/.", NULL, false));
	CU_ASSERT(meet("a/.", "b", NULL, false));
	CU_ASSERT(meet("x/a", "c", "y/a", false));
	CU_ASSERT_FALSE(meet("a/b", "a", NULL, false)); /* b and a */
	/* with their whole paths */
	CU_ASSERT(meet("a/b", "a", NULL, true));
	CU_ASSERT(meet("a", "c", "a/b/d", true));
	CU_ASSERT(meet("/a/x", "a/x", NULL, true));
	CU_ASSERT_FALSE(meet("a/b", "a/c", "a/b!", true));
	CU_ASSERT_FALSE(meet("a", "a!/b", "a.b", true));
	/* in whose order "a" stands right before what lies in it, not before "a!" */
	CU_ASSERT(meet("a!", "a/b", "a", true));
	CU_ASSERT_FALSE(meet("a/b/c", "a/bc", "a/b/d", true));
}

static const struct test tests[] = {
	TEST(sources_meet_where_they_give_one_name),
	TEST(sources_go_under_their_last_component),
	TEST(relative_sources_keep_their_path),
	TEST(the_working_directory_may_be_the_top),
	TEST(neighbours_share_their_base),
	TEST(no_sources_are_no_roots),
	TEST(what_cannot_be_a_source_is_refused),
	TEST(paths_up_to_the_limit_are_taken),
};
SUITE("stage_roots", tests)
