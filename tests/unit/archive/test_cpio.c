/* SPDX-License-Identifier: BSD-3-Clause */
/* Hard links and ends of cpio archives. */
#include <stdio.h>
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

static const struct test tests[] = {
	TEST(newc_has_content_with_the_last_name),
	TEST(odc_has_content_with_every_name),
	TEST(odc_numbers_are_short_and_what_differs_is_no_link),
	TEST(sums_of_content_are_checked),
	TEST(every_cut_of_a_cpio_is_seen),
	TEST(what_is_skipped_to_find_a_header_is_told),
	TEST(more_behind_the_trailer_is_told),
	TEST(names_of_cpio_are_judged_as_others),
};
SUITE("archive_cpio", tests)
