/* SPDX-License-Identifier: BSD-3-Clause */
/* Hard links and ends of cpio archives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archives.h"
#include "suite.h"

#define FILE_MODE 0100644
#define DIR_MODE  0040755
#define LINK_MODE 0120777

static void trailer(struct buf *b, bool crc)
{
	cpio_member(b, crc, "TRAILER!!!", 0, 0, 1, "");
}

static void newc_has_content_with_the_last_name(void)
{
	for (int crc = 0; crc < 2; crc++) {
		SCOPED_BUF struct buf b = {0};

		cpio_member(&b, crc, ".", DIR_MODE, 1, 3, "");
		cpio_member(&b, crc, "one", FILE_MODE, 7, 3, "");
		cpio_member(&b, crc, "two", FILE_MODE, 7, 3, "");
		cpio_member(&b, crc, "d", DIR_MODE, 2, 2, "");
		cpio_member(&b, crc, "d/three", FILE_MODE, 7, 3, "content");
		cpio_member(&b, crc, "other", FILE_MODE, 8, 2, "x");
		cpio_member(&b, crc, "s", LINK_MODE, 9, 1, "target");
		trailer(&b, crc);
		expect(&b, TELL_CONTENT | TELL_OWNERS,
			"f one 0 1000:100\nf two = one 0 1000:100\nd d 1000:100\n"
			"f d/three = one 7 1000:100 <content>\n"
			"f other 1 1000:100 <x>\nl s -> target 1000:100\n");
	}
}

static void odc_has_content_with_every_name(void)
{
	SCOPED_BUF struct buf b = {0};

	cpio_odc(&b, "one", FILE_MODE, 7, 2, 5, "content");
	cpio_odc(&b, "two", FILE_MODE, 7, 2, 5, "content");
	cpio_odc(&b, "TRAILER!!!", 0, 0, 1, 0, "");
	expect(&b, TELL_CONTENT, "f one 7 <content>\nf two = one 7 <content>\n");
}

static void odc_numbers_are_short_and_what_differs_is_no_link(void)
{
	SCOPED_BUF struct buf b = {0};

	cpio_odc(&b, "one", FILE_MODE, 7, 2, 5, "content");
	cpio_odc(&b, "two", FILE_MODE, 7, 2, 6, "another");
	cpio_odc(&b, "three", FILE_MODE, 7, 3, 5, "longer content");
	cpio_odc(&b, "d", DIR_MODE, 8, 2, 5, "");
	cpio_odc(&b, "e", DIR_MODE, 8, 2, 5, "");
	cpio_odc(&b, "s", LINK_MODE, 9, 2, 5, "t");
	cpio_odc(&b, "t", LINK_MODE, 9, 2, 5, "t");
	cpio_odc(&b, "TRAILER!!!", 0, 0, 1, 0, "");
	expect(&b, TELL_CONTENT,
		"f one 7 <content>\nf two 7 <another>\nf three 14 <longer content>\n"
		"d d\nd e\nl s -> t\nl t -> t\n");
}

static void sums_of_content_are_checked(void)
{
	SCOPED_BUF struct buf b = {0};

	cpio_member(&b, true, "f", FILE_MODE, 7, 1, "content");
	trailer(&b, true);
	expect(&b, TELL_CONTENT, "f f 7 <content>\n");
	b.data[112 + 3] ^= 1;
	expect_failure(&b, "checksum");
}

static void every_cut_of_a_cpio_is_seen(void)
{
	for (int crc = 0; crc < 2; crc++) {
		SCOPED_BUF struct buf b = {0};

		cpio_member(&b, crc, "f", FILE_MODE, 7, 1, "content");
		cpio_member(&b, crc, "g", FILE_MODE, 8, 1, "more");
		trailer(&b, crc);
		for (size_t len = 0; len < b.len - 1; len++) {
			struct buf cut = {.data = b.data, .len = len};

			/* The last bytes are but padding. */
			if (len < b.len - 3)
				expect_failure(&cut, "");
		}
	}
}

static void what_is_skipped_to_find_a_header_is_told(void)
{
	SCOPED_BUF struct buf b = {0};
	size_t at;

	cpio_member(&b, false, "f", FILE_MODE, 7, 1, "content");
	at = b.len;
	cpio_member(&b, false, "g", FILE_MODE, 8, 1, "more");
	cpio_member(&b, false, "h", FILE_MODE, 9, 1, "last");
	trailer(&b, false);
	b.data[at + 1] ^= 1;
	expect_failure(&b, "after 1 members");
}

static void more_behind_the_trailer_is_told(void)
{
	SCOPED_BUF struct buf b = {0};

	cpio_member(&b, false, "f", FILE_MODE, 7, 1, "");
	trailer(&b, false);
	memset(buf_extend(&b, 70000), 0, 70000);
	expect(&b, 0, "f f 0\n");
	cpio_member(&b, false, "f", FILE_MODE, 7, 1, "");
	trailer(&b, false);
	expect_failure(&b, "more data behind the end");
}

static void names_of_cpio_are_judged_as_others(void)
{
	static const char *const bad[] = {"../up", "/abs", ".ebt/x", "f/x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SCOPED_BUF struct buf b = {0};

		cpio_member(&b, false, "f", FILE_MODE, 7, 1, "");
		cpio_member(&b, false, bad[i], FILE_MODE, 8, 1, "");
		trailer(&b, false);
		expect_failure(&b, bad[i]);
	}
}

/*
 * libarchive reads the target of a symbolic link and then looks again at the name that it was given
 * before. Each link lies across the border of two blocks that it is given, some bytes before it. Where
 * the name of every other one was comes the name of the end, if what had to stay was moved to the front.
 */
static void names_stay_where_they_are_while_a_target_is_read(void)
{
	enum { BLOCK = 65536, TARGET = 400, LINKS = 8 };
	static const size_t before[] = {200, 500};
	SCOPED_FREE char *content = calloc(1, BLOCK + 1);
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf want = {0};
	char target[TARGET + 1], name[16];
	size_t len, border;

	memset(content, 'c', BLOCK);
	memset(target, 't', TARGET);
	target[TARGET] = '\0';
	for (unsigned i = 0; i < LINKS; i++) {
		border = (i + 1) * (size_t)BLOCK;
		/* Of a file: 110 bytes of header, its name, each with its NUL a multiple of 4. */
		len = border - before[i % 2] - b.len - 110 - 10;
		content[len] = '\0';
		snprintf(name, sizeof(name), "contents%u", i);
		cpio_member(&b, false, name, FILE_MODE, 2 * i + 1, 1, content);
		content[len] = 'c';
		buf_printf(&want, "f %s %zu\n", name, len);
		CU_ASSERT_EQUAL_FATAL(b.len, border - before[i % 2]);
		snprintf(name, sizeof(name), "linkname%02u", i);
		cpio_member(&b, false, name, LINK_MODE, 2 * i + 2, 1, target);
		buf_printf(&want, "l %s -> ", name);
		buf_put(&want, target, TARGET);
		buf_put8(&want, '\n');
	}
	trailer(&b, false);
	for (unsigned i = 1; i + 1 < LINKS; i += 2) {
		border = (i + 2) * (size_t)BLOCK;
		memcpy(b.data + border + before[0] - 2 * before[1] + 110, "TRAILER!!!",
			11);
	}
	buf_put8(&want, 0);
	expect(&b, 0, (const char *)want.data);
}

static const struct test tests[] = {
	TEST(newc_has_content_with_the_last_name),
	TEST(odc_has_content_with_every_name),
	TEST(odc_numbers_are_short_and_what_differs_is_no_link),
	TEST(sums_of_content_are_checked),
	TEST(every_cut_of_a_cpio_is_seen),
	TEST(what_is_skipped_to_find_a_header_is_told),
	TEST(more_behind_the_trailer_is_told),
	TEST(names_of_cpio_are_judged_as_others),
	TEST(names_stay_where_they_are_while_a_target_is_read),
};
SUITE("archive_cpio", tests)
