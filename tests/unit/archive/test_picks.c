/* SPDX-License-Identifier: BSD-3-Clause */
#include "archive/picks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "codec/frames.h"
#include "suite.h"

#define SCOPED_PICKS SCOPED(picks_freep) struct picks *
#define SIZE	     10240
#define HEAD	     "EBT-INDEX 1 10240 10240 7.000000009 "

static const struct picks_archive archive = {SIZE, 7, 9};

/* Wanted is what holds none of the letters of @arg; as all that is above it. */
static bool wants(void *arg, const char *path, bool dir)
{
	return !strpbrk(path, arg);
}

/* @lines: of members, with places that are filled in. NULL: -EBADMSG and such, in *err. */
static struct picks *pick(
	const char *unwanted, const char *index, size_t piece, struct ebt_err *err)
{
	SCOPED_PICKS p = NULL;
	size_t len = strlen(index);
	int r = picks_new(&archive, wants, (void *)unwanted, &p, err);

	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = picks_feed(p, index + at, len - at < piece ? len - at : piece, err);
	if (r == 0)
		r = picks_finish(p, err);
	return r == 0 ? TAKE(p) : NULL;
}

struct line {
	char type;
	const char *path, *link;
	unsigned packed;
};

/* The index of SIZE bytes that has these lines, the last one as long as it takes. */
static void index_of(const struct line *lines, size_t n, struct buf *out)
{
	unsigned at = 0, room = SIZE - 1024 - 512 * (unsigned)n;

	buf_printf(out, HEAD "%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		unsigned packed = lines[i].packed, head = 512;

		/* A header may be of any length. */
		if (i == n - 1)
			head += room - (packed + 511) / 512 * 512;
		buf_printf(out, "%u %u %u %u %c %s%s%s\n", at, at + head, packed,
			packed, lines[i].type, lines[i].path, lines[i].link ? " " : "",
			lines[i].link ? lines[i].link : "");
		room -= (packed + 511) / 512 * 512;
		at += head + (packed + 511) / 512 * 512;
	}
	buf_put8(out, 0);
}

/* The serial numbers of what is picked, "!" behind those that are not wanted; or the refusal. */
static void expect(
	const struct line *lines, size_t n, const char *unwanted, const char *serials)
{
	static const size_t pieces[] = {1, 7, 100000};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		SCOPED_BUF struct buf index = {0};
		SCOPED_BUF struct buf out = {0};
		SCOPED_PICKS p = NULL;
		struct ebt_err err = {0};
		const struct pick *of;
		size_t count;

		index_of(lines, n, &index);
		p = pick(unwanted, (const char *)index.data, pieces[i], &err);
		if (!p) {
			if (!strstr(err.text, serials) || !*serials)
				printf("%s, not %s\n", err.text, serials);
			CU_ASSERT(*serials && strstr(err.text, serials));
			continue;
		}
		CU_ASSERT_EQUAL(picks_members(p), n);
		of = picks_list(p, &count);
		for (size_t at = 0; at < count; at++)
			buf_printf(&out, "%s%u%s", at ? " " : "",
				(unsigned)of[at].serial, of[at].wanted ? "" : "!");
		buf_put8(&out, 0);
		if (strcmp((char *)out.data, serials) != 0)
			printf("%s, not %s\n", (char *)out.data, serials);
		CU_ASSERT_STRING_EQUAL(out.data, serials);
		CU_ASSERT_EQUAL(of[count].end, SIZE);
		CU_ASSERT_EQUAL(of[count].header, SIZE - 1024);
	}
}
#define EXPECT(unwanted, serials, ...)                                                 \
	do {                                                                           \
		static const struct line lines_[] = {__VA_ARGS__};                     \
		expect(lines_, sizeof(lines_) / sizeof(lines_[0]), unwanted, serials); \
	} while (0)

static void what_is_wanted_is_picked(void)
{
	EXPECT("x", "0 1 3", {'d', "d"}, {'f', "d/a", NULL, 700}, {'f', "d/x"},
		{'l', "l"});
	EXPECT("", "0 1", {'d', "d"}, {'f', "d/a"});
	EXPECT("d", "", {'d', "d"}, {'f', "d/a"});
	EXPECT("x", "0", {'f', "a"}, {'d', "x"}, {'f', "x/a"});
}

static void who_makes_up_a_directory_that_is_wanted_is_picked(void)
{
	EXPECT("x", "0! 1! 2", {'f', "d/x"}, {'f', "d/y/x", NULL, 5}, {'f', "d/y/a"});
	EXPECT("x", "0! 2", {'f', "d/y/x"}, {'f', "d/x"}, {'f', "d/y/a"});
	EXPECT("x", "1", {'f', "x/d/a"}, {'f', "a"}, {'f', "x/b"});
	EXPECT("x", "0! 1", {'f', "d/x"}, {'d', "d"});
}

static void a_link_is_picked_with_its_file(void)
{
	EXPECT("x", "0 2", {'f', "a", NULL, 3}, {'f', "x"}, {'h', "b", "a"});
	EXPECT("x", "0 2", {'f', "a"}, {'h', "x", "a"}, {'h', "b", "a"});
	EXPECT("x", "0 1 2", {'f', "a"}, {'h', "b", "a"}, {'h', "c", "b"});
	EXPECT("x", "left out", {'f', "x"}, {'h', "b", "x"});
	EXPECT("x", "left out", {'f', "a"}, {'h', "x", "a"}, {'h', "c", "x"});
	EXPECT("x", "1", {'f', "x"}, {'f', "a"}, {'h', "xx", "x"});
}

static void what_members_have_to_do_with_each_other_is_refused(void)
{
	EXPECT("", "more than one", {'f', "a"}, {'f', "a"});
	EXPECT("x", "more than one", {'f', "x"}, {'f', "x"});
	EXPECT("x", "more than one", {'f', "x"}, {'d', "x"});
	EXPECT("x", "more than one", {'d', "x"}, {'f', "x"});
	EXPECT("x", "more than one", {'f', "x/a"}, {'l', "x"});
	EXPECT("", "0 1", {'d', "d"}, {'d', "d"});
	EXPECT("", "no directory", {'f', "a"}, {'f', "a/b"});
	EXPECT("", "no directory", {'l', "a"}, {'d', "a/b"});
	EXPECT("", "no directory", {'f', "b"}, {'h', "a", "b"}, {'f', "a/b"});
	EXPECT("", "no file", {'h', "a", "b"}, {'f', "b"});
	EXPECT("x", "no file", {'h', "x", "y"});
	EXPECT("", "no file", {'d', "d"}, {'h', "a", "d"});
	EXPECT("", "no file", {'l', "l"}, {'h', "a", "l"});
	EXPECT("x", "own", {'f', ".ebt/x"});
}

static void members_are_counted_as_if_all_were_read(void)
{
	static const struct line lines[] = {
		{'f', "d/e/x"}, {'f', "d/a"}, {'f', "x/y"}, {'f', "f/a"}, {'f', "b"}};
	SCOPED_BUF struct buf index = {0};
	SCOPED_PICKS p = NULL;
	const struct pick *of;
	size_t n;

	index_of(lines, 5, &index);
	p = pick("x", (const char *)index.data, 100, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	of = picks_list(p, &n);
	CU_ASSERT_EQUAL_FATAL(n, 4);
	CU_ASSERT_EQUAL(of[0].where, 0);
	CU_ASSERT_EQUAL(of[1].where, 3);
	CU_ASSERT_EQUAL(of[2].where, 6);
	CU_ASSERT_EQUAL(of[3].where, 8);
	CU_ASSERT_EQUAL(of[3].header, 2048);
}

static void an_index_of_another_archive_is_refused(void)
{
	static const struct {
		const char *text;
		int code;
	} bad[] = {
		{"EBT-INDEX 1 10241 10240 7.000000009 1\n0 9216 0 0 f a\n", -ESTALE},
		{"EBT-INDEX 1 10240 10240 8.000000009 1\n0 9216 0 0 f a\n", -ESTALE},
		{"EBT-INDEX 1 10240 10240 7.000000008 1\n0 9216 0 0 f a\n", -ESTALE},
		{"EBT-INDEX 1 10240 10240 8.000000009 0\n", -ESTALE},
		{"EBT-INDEX 1 10240 20480 7.000000009 1\n0 9216 0 0 f a\n", -ENOTSUP},
		/* Something lies between the last member and the mark. */
		{HEAD "1\n0 9215 0 0 f a\n", -EBADMSG},
		{HEAD "1\n0 8704 0 0 f a\n", -ENOTSUP},
		{HEAD "0\n", -ENOTSUP},
		/* Damaged, cut. */
		{HEAD "2\n0 9216 0 0 f a\n", -EBADMSG},
		{HEAD "1\n0 9216 0 0 f a\n9216 9728 0 0 f b\n", -EBADMSG},
		{HEAD "1\n0 9216 0 0 f a", -EBADMSG},
		{HEAD "1\n0 9216 0 0 f ../a\n", -EBADMSG},
		{"", -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ebt_err err = {0};

		CU_ASSERT_PTR_NULL(pick("", bad[i].text, 1000, &err));
		if (err.code != bad[i].code)
			printf("%zu: %d %s\n", i, err.code, err.text);
		CU_ASSERT_EQUAL(err.code, bad[i].code);
	}
}

static bool pays(const char *unwanted, const struct line *lines, size_t n)
{
	SCOPED_BUF struct buf index = {0};
	SCOPED_PICKS p = NULL;

	index_of(lines, n, &index);
	p = pick(unwanted, (const char *)index.data, 100, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return picks_pay(p);
}

static void it_pays_where_half_need_not_be_read(void)
{
	static const struct line one[] = {
		{'f', "a", NULL, 3000}, {'f', "x", NULL, 3000}, {'f', "y", NULL, 1000}};

	CU_ASSERT(!pays("", one, 3));
	CU_ASSERT(!pays("y", one, 3));
	CU_ASSERT(pays("xy", one, 3));
	CU_ASSERT(pays("axy", one, 3));
}

/* Frames are decoded whole, each once however many members it has; that with the mark as well. */
static void compressed_it_pays_where_half_need_not_be_decoded(void)
{
	static const struct {
		const char *unwanted;
		bool pays;
	} cases[] = {{"bcdef", true}, {"cdef", true}, {"def", false}, {"abcdef", true},
		{"abef", true}, {"g", false}};
	const unsigned long long frame = FRAMES_PIECE;
	SCOPED_BUF struct buf index = {0};

	/* Six frames; in the first of them are many small ones. */
	buf_printf(
		&index, "EBT-INDEX 1 10240 %llu 7.000000009 1029\n", 6 * frame + 1024);
	for (unsigned i = 0; i < 1024; i++)
		buf_printf(&index, "%u %u 0 0 f a%u\n", i * 512, i * 512 + 512, i);
	for (unsigned i = 0; i < 5; i++) {
		unsigned long long at = i ? (i + 1) * frame : 1024 * 512ull;

		buf_printf(&index, "%llu %llu %llu %llu f %c\n", at, at + 512,
			(i + 2) * frame - at - 512, (i + 2) * frame - at - 512,
			'b' + i);
	}
	buf_put8(&index, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED_PICKS p =
			pick(cases[i].unwanted, (const char *)index.data, 1000, NULL);

		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		CU_ASSERT_EQUAL(picks_pay(p), cases[i].pays);
	}
}

static void an_archive_without_members_has_an_index(void)
{
	const struct picks_archive empty = {1024, 7, 9};
	static const char index[] = "EBT-INDEX 1 1024 1024 7.000000009 0\n";
	SCOPED_PICKS p = NULL;
	size_t n;

	CU_ASSERT_EQUAL(picks_new(&empty, wants, (void *)"", &p, NULL), 0);
	CU_ASSERT_EQUAL(picks_feed(p, index, sizeof(index) - 1, NULL), 0);
	CU_ASSERT_EQUAL(picks_finish(p, NULL), 0);
	CU_ASSERT_EQUAL(picks_list(p, &n)->header, 0);
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT(picks_pay(p));
}

static const struct test tests[] = {
	TEST(what_is_wanted_is_picked),
	TEST(who_makes_up_a_directory_that_is_wanted_is_picked),
	TEST(a_link_is_picked_with_its_file),
	TEST(what_members_have_to_do_with_each_other_is_refused),
	TEST(members_are_counted_as_if_all_were_read),
	TEST(an_index_of_another_archive_is_refused),
	TEST(it_pays_where_half_need_not_be_read),
	TEST(compressed_it_pays_where_half_need_not_be_decoded),
	TEST(an_archive_without_members_has_an_index),
};
SUITE("archive_picks", tests)
