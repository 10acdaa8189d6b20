/* SPDX-License-Identifier: BSD-3-Clause */
/* Names, kinds and links, by tars made of single headers. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "archive/unarchive_internal.h"
#include "archives.h"
#include "suite.h"

static void names_are_normalised(void)
{
	SCOPED_BUF struct buf b = {0};

	tar_dir(&b, "./");
	tar_dir(&b, ".");
	tar_dir(&b, "./a//b/");
	tar_file(&b, "a/./b/f", "x");
	tar_file(&b, "odd\nname \xff", "y");
	tar_file(&b, ".ebtx", "");
	tar_file(&b, "a/.ebt", "");
	tar_end(&b);
	expect(&b, TELL_CONTENT,
		"d a implied\nd a/b\nf a/b/f 1 <x>\nf odd\\nname \\377 1 <y>\n"
		"f .ebtx 0\nf a/.ebt 0\n");
}

static void bad_names_are_refused(void)
{
	static const struct {
		const char *name, *text;
	} bad[] = {
		{"", "empty"},
		{"..", "\"..\""},
		{"../up", "\"..\""},
		{"d/../../x", "\"..\""},
		{"d/..", "\"..\""},
		{"/abs", "absolute"},
		{"//abs", "absolute"},
		{"/", "absolute"},
		{".ebt", "EBT's own"},
		{".ebt/x", "EBT's own"},
		{"./.ebt//x", "EBT's own"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SCOPED_BUF struct buf b = {0};

		tar_file(&b, "before", "x");
		tar_file(&b, bad[i].name, "x");
		tar_end(&b);
		expect_failure(&b, bad[i].text);
	}
}

static void pax_name(struct buf *b, const char *key, size_t len, size_t part)
{
	SCOPED_BUF struct buf records = {0};
	SCOPED_FREE char *name = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		name[i] = (i + 1) % (part + 1) ? 'n' : '/';
	pax_record(&records, key, name, len);
	tar_pax(b, &records);
}

static void long_names_are_taken_as_far_as_a_system_takes_them(void)
{
	static const struct {
		size_t len, part;
		const char *text;
	} lengths[] = {
		{255, 255, NULL},
		{256, 256, "255"},
		{4095, 200, NULL},
		{4096, 200, "4095"},
		{60000, 200, "4095"},
		{60000, 60000, "255"},
	};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		pax_name(&b, "path", lengths[i].len, lengths[i].part);
		tar_file(&b, "short", "x");
		tar_end(&b);
		if (lengths[i].text)
			expect_failure(&b, lengths[i].text);
		else
			CU_ASSERT_EQUAL(tell(&b, SOURCE_PIPE, NULL, 0, &out, &err), 0);
	}
}

static void targets_of_symlinks_may_be_anything_that_fits(void)
{
	static const size_t lengths[] = {1, 4095, 4096, 9000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		pax_name(&b, "linkpath", lengths[i], 200);
		tar_header(&b, "s", '2', 0, "short");
		tar_end(&b);
		CU_ASSERT_EQUAL(tell(&b, SOURCE_FILE, NULL, 0, &out, &err),
			lengths[i] < PATH_MAX ? 0 : -EINVAL);
	}
	{
		SCOPED_BUF struct buf b = {0};

		tar_header(&b, "up", '2', 0, "../../etc/passwd");
		tar_header(&b, "abs", '2', 0, "/etc/passwd");
		tar_end(&b);
		expect(&b, 0, "l up -> ../../etc/passwd\nl abs -> /etc/passwd\n");
	}
	{
		SCOPED_BUF struct buf b = {0};

		tar_header(&b, "none", '2', 0, "");
		tar_end(&b);
		expect_failure(&b, "without a target");
	}
}

static void nothing_lies_in_what_is_no_directory(void)
{
	static const char *const kinds[][2] = {{"2", "a symbolic link"},
		{"0", "a file"}, {"6", "a FIFO"}, {"3", "device"}};

	for (size_t i = 0; i < 4; i++) {
		SCOPED_BUF struct buf b = {0};

		tar_header(&b, "d/x", kinds[i][0][0], 0, "elsewhere");
		tar_file(&b, "d/x/y", "z");
		tar_end(&b);
		expect_failure(&b, kinds[i][1]);
	}
}

static void another_kind_under_a_name_is_refused(void)
{
	static const char kinds[] = "0526";

	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 4; k++) {
			SCOPED_BUF struct buf b = {0};

			tar_header(&b, "x", kinds[i], 0, "t");
			tar_header(&b, "./x", kinds[k], 0, "t");
			tar_end(&b);
			if (i != k)
				expect_failure(&b, "of that name comes before it");
		}
}

static void the_last_of_a_name_replaces_what_was_there(void)
{
	SCOPED_BUF struct buf b = {0};

	tar_file(&b, "f", "one");
	tar_file(&b, "d/x", "");
	tar_dir(&b, "d");
	tar_header(&b, "s", '2', 0, "one");
	tar_file(&b, "f", "two!");
	tar_header(&b, "s", '2', 0, "two");
	tar_dir(&b, "d");
	tar_end(&b);
	expect(&b, TELL_CONTENT,
		"f f 3 <one>\nd d implied\nf d/x 0\nd d again\nl s -> one\n"
		"f f again 4 <two!>\nl s -> two again\nd d again\n");
}

static void directories_that_are_not_listed_are_made_up(void)
{
	SCOPED_BUF struct buf b = {0};

	tar_file(&b, "a/b/c/f", "x");
	tar_file(&b, "a/b/g", "y");
	tar_dir(&b, "a/h/i");
	tar_end(&b);
	expect(&b, TELL_CONTENT | TELL_OWNERS | TELL_MODES,
		"d a implied 755 nobody\nd a/b implied 755 nobody\n"
		"d a/b/c implied 755 nobody\nf a/b/c/f 1 644 1000:100 <x>\n"
		"f a/b/g 1 644 1000:100 <y>\nd a/h implied 755 nobody\n"
		"d a/h/i 755 1000:100\n");
}

static void hard_links_are_to_files_that_were_there(void)
{
	SCOPED_BUF struct buf b = {0};

	tar_file(&b, "./d/f", "x");
	tar_header(&b, "l", '1', 0, "d//f");
	tar_header(&b, "m", '1', 0, "./l");
	tar_header(&b, "l", '1', 0, "d/f");
	tar_end(&b);
	expect(&b, TELL_CONTENT,
		"d d implied\nf d/f 1 <x>\nf l = d/f 0\nf m = l 0\nf l = d/f again "
		"0\n");
}

static void a_hard_link_to_a_symlink_is_a_symlink(void)
{
	SCOPED_BUF struct buf b = {0};

	tar_header(&b, "s", '2', 0, "../t");
	tar_header(&b, "s2", '2', 0, "u");
	tar_header(&b, "h", '1', 0, "./s");
	tar_header(&b, "h2", '1', 0, "h");
	tar_header(&b, "s2", '1', 0, "h2");
	tar_end(&b);
	expect(&b, 0,
		"l s -> ../t\nl s2 -> u\nl h -> ../t\nl h2 -> ../t\nl s2 -> ../t "
		"again\n");
	b.len -= 1024;
	tar_header(&b, "f", '0', 0, "");
	tar_header(&b, "f", '1', 0, "s");
	tar_end(&b);
	expect_failure(&b, "of that name comes before it");
}

static void other_hard_links_are_refused(void)
{
	static const struct {
		const char *link, *text;
	} bad[] = {
		{"nowhere", "does not come before"},
		{"later", "does not come before"},
		{"l", "to itself"},
		{"./l", "to itself"},
		{"../etc/passwd", "\"..\""},
		{"/etc/passwd", "absolute"},
		{"d", "a directory"},
		{".", "the directory of all"},
		{".ebt/x", "EBT's own"},
		{"s/f", "does not come before"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SCOPED_BUF struct buf b = {0};

		tar_dir(&b, "d");
		tar_file(&b, "d/f", "x");
		tar_header(&b, "s", '2', 0, "d");
		tar_header(&b, "l", '1', 0, bad[i].link);
		tar_file(&b, "later", "x");
		tar_end(&b);
		expect_failure(&b, bad[i].text);
	}
}

static void what_is_neither_file_directory_nor_symlink_is_left_out_and_counted(void)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_FD int fd = -1;
	const char *first;
	struct member m;

	tar_header(&b, "fifo", '6', 0, "");
	tar_header(&b, "d/char", '3', 0, "");
	tar_header(&b, "block", '4', 0, "");
	tar_header(&b, "link", '1', 0, "fifo");
	tar_header(&b, "d/fifo", '6', 0, "");
	tar_file(&b, "f", "");
	tar_end(&b);
	fd = source_open(b.data, b.len, SOURCE_FILE);
	CU_ASSERT_FATAL(
		unarchive_open(fd, "a", &(struct unarchive_options){0}, &u, NULL) == 0);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 1);
	CU_ASSERT_STRING_EQUAL(m.e.name, "f");
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 0);
	CU_ASSERT_EQUAL(unarchive_left(u, UNARCHIVE_FIFO, &first), 3);
	CU_ASSERT_STRING_EQUAL(first, "fifo");
	CU_ASSERT_EQUAL(unarchive_left(u, UNARCHIVE_DEVICE, &first), 2);
	CU_ASSERT_STRING_EQUAL(first, "d/char");
	CU_ASSERT_EQUAL(unarchive_left(u, UNARCHIVE_SOCKET, &first), 0);
	CU_ASSERT_PTR_NULL(first);
	CU_ASSERT_EQUAL(unarchive_left(u, UNARCHIVE_FLAGS, &first), 0);
	CU_ASSERT_EQUAL(unarchive_bytes(u), b.len);
}

static void the_table_of_names_forgets_nothing(void)
{
	SCOPED(names_freep) struct names *n = NULL;
	char path[32];
	uint64_t what;

	CU_ASSERT_FATAL(names_new(&n, NULL) == 0);
	for (unsigned i = 0; i < 20000; i++) {
		int len = snprintf(path, sizeof(path), "d/%u", i);

		CU_ASSERT_EQUAL(names_get(n, path, (size_t)len, NULL), NAMES_NONE);
		CU_ASSERT_FATAL(names_put(n, path, (size_t)len,
					(enum names_kind)(1 + i % 6), i) == 0);
	}
	for (unsigned i = 0; i < 20000; i++) {
		int len = snprintf(path, sizeof(path), "d/%u", i);

		CU_ASSERT_EQUAL(names_get(n, path, (size_t)len, &what),
			(enum names_kind)(1 + i % 6));
		CU_ASSERT_EQUAL(what, i);
	}
	CU_ASSERT_FATAL(names_put(n, "d/7", 3, NAMES_DIR, 1) == 0);
	CU_ASSERT_EQUAL(names_get(n, "d/7", 3, &what), NAMES_DIR);
	CU_ASSERT_EQUAL(names_get(n, "d/77", 3, &what), NAMES_DIR);
}

static const struct test tests[] = {
	TEST(names_are_normalised),
	TEST(bad_names_are_refused),
	TEST(long_names_are_taken_as_far_as_a_system_takes_them),
	TEST(targets_of_symlinks_may_be_anything_that_fits),
	TEST(nothing_lies_in_what_is_no_directory),
	TEST(another_kind_under_a_name_is_refused),
	TEST(the_last_of_a_name_replaces_what_was_there),
	TEST(directories_that_are_not_listed_are_made_up),
	TEST(hard_links_are_to_files_that_were_there),
	TEST(a_hard_link_to_a_symlink_is_a_symlink),
	TEST(other_hard_links_are_refused),
	TEST(what_is_neither_file_directory_nor_symlink_is_left_out_and_counted),
	TEST(the_table_of_names_forgets_nothing),
};
SUITE("archive_names", tests)
