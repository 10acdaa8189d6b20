/* SPDX-License-Identifier: BSD-3-Clause */
#include "archive/index.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manifest/manifest.h"
#include "suite.h"

#define HEAD "EBT-INDEX 1 100000 99840 1700000000.000000005 "

/* What was found, as index_put writes it. */
struct found {
	struct buf text;
	unsigned n;
	unsigned stop; /* at this one */
};

static int found(void *arg, const struct index_head *head, const struct index_member *m,
	struct ebt_err *err)
{
	struct found *f = arg;

	if (f->n == 0 && index_put_head(&f->text, head, err) < 0)
		return -EDOM;
	if (++f->n == f->stop)
		return ebt_failx(err, -EINTR, "enough");
	return index_put(&f->text, m, err);
}

/* @text in pieces of @piece bytes. */
static int read_pieces(const char *text, size_t len, size_t piece, struct found *f,
	struct ebt_err *err)
{
	SCOPED(index_reader_freep) struct index_reader *r = NULL;
	int code = index_reader_new(found, f, &r, err);

	for (size_t at = 0; code == 0 && at < len; at += piece)
		code = index_feed(
			r, text + at, len - at < piece ? len - at : piece, err);
	return code == 0 ? index_finish(r, err) : code;
}

static int read_text(const char *text, struct ebt_err *err)
{
	struct found f = {0};
	int code = read_pieces(text, strlen(text), 1 << 20, &f, err);

	buf_release(&f.text);
	return code;
}

static const struct index_member members[] = {
	{0, 512, 0, 0, INDEX_DIR, "d", NULL},
	{512, 2048, 700, 700, INDEX_FILE, "d/a b%c", NULL},
	{3072, 3584, 0, 0, INDEX_SYMLINK, "d/\xc3\xbc\n\xff\x7f~!", NULL},
	{3584, 4096, 0, 0, INDEX_HARDLINK, "h", "d/a b%c"},
	{4096, 5632, 1000, 9ull << 40, INDEX_FILE, "sparse", NULL},
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

static const char text_of_members[] = "EBT-INDEX 1 8000 7680 -5.000000001 5\n"
				      "0 512 0 0 d d\n"
				      "512 2048 700 700 f d/a%20b%25c\n"
				      "3072 3584 0 0 l d/%C3%BC%0A%FF%7F~!\n"
				      "3584 4096 0 0 h h d/a%20b%25c\n"
				      "4096 5632 1000 9895604649984 f sparse\n";

static void put_members(struct buf *b)
{
	struct index_head head = {.size = 8000,
		.unpacked = 7680,
		.mtime = -5,
		.mtime_ns = 1,
		.members = MEMBERS};

	CU_ASSERT_EQUAL(index_put_head(b, &head, NULL), 0);
	for (size_t i = 0; i < MEMBERS; i++)
		CU_ASSERT_EQUAL(index_put(b, &members[i], NULL), 0);
}

static void the_index_is_written_as_its_page_says(void)
{
	SCOPED_BUF struct buf b = {0};

	put_members(&b);
	buf_put8(&b, 0);
	CU_ASSERT_STRING_EQUAL((char *)b.data, text_of_members);
}

static void an_index_comes_back_in_pieces_of_any_size(void)
{
	const size_t len = sizeof(text_of_members) - 1;

	for (size_t piece = 1; piece <= len; piece++) {
		struct found f = {0};

		CU_ASSERT_EQUAL(read_pieces(text_of_members, len, piece, &f, NULL), 0);
		CU_ASSERT_EQUAL(f.n, MEMBERS);
		CU_ASSERT_EQUAL(f.text.len, len);
		CU_ASSERT_EQUAL(memcmp(f.text.data, text_of_members, len), 0);
		buf_release(&f.text);
	}
}

static void an_index_may_be_of_nothing(void)
{
	CU_ASSERT_EQUAL(read_text("EBT-INDEX 1 1024 1024 0.000000000 0\n", NULL), 0);
}

static void who_reads_may_stop(void)
{
	struct found f = {.stop = 2};
	struct ebt_err err;

	CU_ASSERT_EQUAL(read_pieces(text_of_members, sizeof(text_of_members) - 1, 1000,
				&f, &err),
		-EINTR);
	CU_ASSERT_STRING_EQUAL(err.text, "enough");
	CU_ASSERT_EQUAL(f.n, 2);
	buf_release(&f.text);
}

static void first_lines_are_strict(void)
{
	static const struct {
		const char *text;
		int code;
	} bad[] = {
		{"", -EBADMSG},
		{"\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0.000000000 0", -EBADMSG},
		{"EBT-INDEX 2 1024 1024 0.000000000 0\n", -EPROTONOSUPPORT},
		{"EBT-INDEX 2 something else\n", -EPROTONOSUPPORT},
		{"EBT-INDEX 0 1024 1024 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 01 1024 1024 0.000000000 0\n", -EBADMSG},
		{"ebt-index 1 1024 1024 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1  1024 1024 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0.000000000 0 \n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0.000000000 0\r\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0.00000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0.0000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 -0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 +1.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 9223372036854775808.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1025 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 512 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 0 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0.000000000 1\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1536 0.000000000 1\n", -EBADMSG},
		{"EBT-INDEX 1 9223372036854775808 1024 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 9223372036854775808 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 18446744073709551616 1024 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 0x400 1024 0.000000000 0\n", -EBADMSG},
		{"EBT-INDEX 1 1024 1024 0.000000000 -0\n", -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(read_text(bad[i].text, NULL), bad[i].code);
		if (read_text(bad[i].text, NULL) != bad[i].code)
			printf("%s\n", bad[i].text);
	}
}

static const char *const good_lines[] = {
	"0 512 0 0 d d",
	"0 98816 0 0 f a",
	"0 512 98304 98304 f a",
	"0 512 98303 9223372036854775807 f a",
	"0 512 0 0 h a b",
	"0 512 0 0 l -",
};
static const char *const bad_lines[] = {
	"",
	"0 512 0 0 d",
	"0 512 0 0 d ",
	"0 512 0 0 d  d",
	"0 512 0 0 d d ",
	"0 512 0 0 d d e",
	" 0 512 0 0 d d",
	"00 512 0 0 d d",
	"0 0512 0 0 d d",
	"-0 512 0 0 d d",
	"0 512 0 0 x d",
	"0 512 0 0 D d",
	"0 512 0 0  d",
	"0 512 0 0 dd d",
	"0 512 1 1 d d",
	"0 512 0 1 l d",
	"0 512 1 0 f d",
	"0 512 0 9223372036854775808 f d",
	"0 512 98305 98305 f d", /* the end mark lies there */
	"0 99328 0 0 f d",
	"0 512 18446744073709551615 18446744073709551615 f d",
	"0 512 18446744073709551616 0 f d",
	"0 18446744073709551104 0 0 f d",
	"512 1024 0 0 d d", /* not at the beginning */
	"0 0 0 0 d d",
	"0 511 0 0 d d",
	"0 700 0 0 d d",
	"0 512 0 0 h a",
	"0 512 0 0 h a ",
	"0 512 0 0 h a a",
	"0 512 0 0 h a ../b",
	"0 512 0 0 h a /b",
	"0 512 0 0 f /a",
	"0 512 0 0 f a/",
	"0 512 0 0 f a//b",
	"0 512 0 0 f ..",
	"0 512 0 0 f a/../b",
	"0 512 0 0 f ./a",
	"0 512 0 0 f %2E%2E",
	"0 512 0 0 f a%2Fb",
	"0 512 0 0 f %41",
	"0 512 0 0 f a%",
	"0 512 0 0 f a%0",
	"0 512 0 0 f a%0g",
	"0 512 0 0 f a%0a",
	"0 512 0 0 f a%00",
	"0 512 0 0 f a\x7f",
	"0 512 0 0 f a\xc3\xbc",
	"0 512 0 0 f a\tb",
	"0 512 0 0 f a\r",
};

static void lines_of_members_are_strict(void)
{
	char text[256];

	for (size_t i = 0; i < sizeof(good_lines) / sizeof(good_lines[0]); i++) {
		snprintf(text, sizeof(text), HEAD "1\n%s\n", good_lines[i]);
		CU_ASSERT_EQUAL(read_text(text, NULL), 0);
		if (read_text(text, NULL) != 0)
			printf("refused: %s\n", good_lines[i]);
	}
	for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
		snprintf(text, sizeof(text), HEAD "1\n%s\n", bad_lines[i]);
		CU_ASSERT_EQUAL(read_text(text, NULL), -EBADMSG);
		if (read_text(text, NULL) != -EBADMSG)
			printf("taken: %s\n", bad_lines[i]);
	}
}

static void members_are_in_order_and_all_there(void)
{
	struct ebt_err err;

	CU_ASSERT_EQUAL(
		read_text(HEAD "2\n0 512 1 1 f a\n1024 1536 0 0 d b\n", NULL), 0);
	CU_ASSERT_EQUAL(
		read_text(HEAD "2\n0 512 1 1 f a\n512 1024 0 0 d b\n", &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "line 3"));
	CU_ASSERT_EQUAL(read_text(HEAD "2\n0 512 0 0 f a\n1024 1536 0 0 d b\n", NULL),
		-EBADMSG);
	CU_ASSERT_EQUAL(
		read_text(HEAD "2\n0 512 0 0 f a\n0 512 0 0 d b\n", NULL), -EBADMSG);
	CU_ASSERT_EQUAL(read_text(HEAD "2\n0 512 0 0 f a\n", NULL), -EBADMSG);
	CU_ASSERT_EQUAL(
		read_text(HEAD "1\n0 512 0 0 f a\n512 1024 0 0 d b\n", NULL), -EBADMSG);
	CU_ASSERT_EQUAL(read_text(HEAD "1\n0 512 0 0 f a\n\n", NULL), -EBADMSG);
	CU_ASSERT_EQUAL(read_text(HEAD "1\n0 512 0 0 f a", NULL), -EBADMSG);
}

static void a_nul_ends_nothing(void)
{
	static const char text[] = HEAD "1\n0 512 0 0 f a\0b\n";
	static const char type[] = HEAD "1\n0 512 0 0 \0 a\n";
	struct found f = {0};

	CU_ASSERT_EQUAL(read_pieces(text, sizeof(text) - 1, 1000, &f, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(read_pieces(type, sizeof(type) - 1, 1000, &f, NULL), -EBADMSG);
	buf_release(&f.text);
}

static void after_a_failure_nothing_is_taken(void)
{
	SCOPED(index_reader_freep) struct index_reader *r = NULL;
	struct found f = {0};

	CU_ASSERT_EQUAL(index_reader_new(found, &f, &r, NULL), 0);
	CU_ASSERT_PTR_NULL(index_head(r));
	CU_ASSERT_EQUAL(index_feed(r, HEAD "1\nx\n", strlen(HEAD) + 4, NULL), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(index_head(r));
	CU_ASSERT_EQUAL(index_feed(r, "0 512 0 0 f a\n", 14, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(index_finish(r, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(f.n, 0);
}

static void the_longest_names_come_back(void)
{
	static char path[MANIFEST_PATH_SIZE + 1], link[MANIFEST_PATH_SIZE];
	struct index_member m = {0, 512, 0, 0, INDEX_HARDLINK, path, link};
	struct index_head head = {.size = 2048, .unpacked = 2048, .members = 1};
	SCOPED_BUF struct buf b = {0};
	struct found f = {0};

	memset(path, 0xff, MANIFEST_PATH_MAX);
	memset(link, ' ', MANIFEST_PATH_MAX);
	CU_ASSERT_EQUAL(index_put_head(&b, &head, NULL), 0);
	CU_ASSERT_EQUAL(index_put(&b, &m, NULL), 0);
	CU_ASSERT(b.len > 6 * (size_t)MANIFEST_PATH_MAX);
	CU_ASSERT_EQUAL(read_pieces((char *)b.data, b.len, 4096, &f, NULL), 0);
	CU_ASSERT_EQUAL(f.text.len, b.len);
	CU_ASSERT_EQUAL(memcmp(f.text.data, b.data, b.len), 0);
	buf_release(&f.text);
	path[MANIFEST_PATH_MAX] = 'x';
	CU_ASSERT_EQUAL(index_put(&b, &m, NULL), -EINVAL);
}

static void a_line_without_end_is_given_up(void)
{
	SCOPED(index_reader_freep) struct index_reader *r = NULL;
	static char a[65536];
	struct found f = {0};
	int code = 0;
	unsigned n = 0;

	memset(a, 'a', sizeof(a));
	CU_ASSERT_EQUAL(index_reader_new(found, &f, &r, NULL), 0);
	for (; code == 0 && n < 100; n++)
		code = index_feed(r, a, sizeof(a), NULL);
	CU_ASSERT_EQUAL(code, -EBADMSG);
	CU_ASSERT(n < 10);
}

static void what_could_not_be_read_is_not_written(void)
{
	static const struct index_member bad[] = {
		{0, 512, 0, 0, INDEX_FILE, NULL, NULL},
		{0, 512, 0, 0, INDEX_FILE, "", NULL},
		{0, 512, 0, 0, INDEX_FILE, "a/../b", NULL},
		{0, 512, 0, 0, INDEX_FILE, "a", "b"},
		{0, 512, 0, 0, INDEX_HARDLINK, "a", NULL},
		{0, 512, 5, 4, INDEX_FILE, "a", NULL},
		{0, 512, 5, 5, INDEX_DIR, "a", NULL},
		{0, 0, 0, 0, INDEX_FILE, "a", NULL},
		{1, 513, 0, 0, INDEX_FILE, "a", NULL},
	};
	struct index_head head = {.size = 2048, .unpacked = 2048, .members = 3};
	SCOPED_BUF struct buf b = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(index_put(&b, &bad[i], NULL), -EINVAL);
	CU_ASSERT_EQUAL(index_put_head(&b, &head, NULL), -EINVAL);
	head.members = 0;
	head.mtime_ns = 1000000000;
	CU_ASSERT_EQUAL(index_put_head(&b, &head, NULL), -EINVAL);
	CU_ASSERT_EQUAL(b.len, 0);
}

static const struct test tests[] = {
	TEST(the_index_is_written_as_its_page_says),
	TEST(an_index_comes_back_in_pieces_of_any_size),
	TEST(an_index_may_be_of_nothing),
	TEST(who_reads_may_stop),
	TEST(first_lines_are_strict),
	TEST(lines_of_members_are_strict),
	TEST(members_are_in_order_and_all_there),
	TEST(a_nul_ends_nothing),
	TEST(after_a_failure_nothing_is_taken),
	TEST(the_longest_names_come_back),
	TEST(a_line_without_end_is_given_up),
	TEST(what_could_not_be_read_is_not_written),
};
SUITE("archive_index", tests)
