/* SPDX-License-Identifier: BSD-3-Clause */
/* Ends, headers and sizes of tars, and where their content lies. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "archive/unarchive_internal.h"
#include "archives.h"
#include "suite.h"

static void zeros(struct buf *b, size_t n)
{
	memset(buf_extend(b, n), 0, n);
}

static void a_tar_ends_with_its_mark(void)
{
	static const size_t marks[] = {1024, 1536, 10240, 200000, 1024 + 7};
	SCOPED_BUF struct buf whole = {0};

	tar_file(&whole, "f", "x");
	tar_file(&whole, "g", "y");
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		SCOPED_BUF struct buf b = {0};

		buf_put(&b, whole.data, whole.len);
		zeros(&b, marks[i]);
		expect(&b, TELL_CONTENT, "f f 1 <x>\nf g 1 <y>\n");
		buf_put8(&b, 'x');
		expect_failure(&b, "more data behind the end");
	}
	expect_failure(&whole, "without its end mark");
	zeros(&whole, 512);
	expect_failure(&whole, "without its end mark");
}

static void every_cut_of_a_tar_is_seen(void)
{
	SCOPED_BUF struct buf b = {0};
	size_t len;

	tar_file(&b, "f", "x");
	tar_dir(&b, "d");
	tar_file(&b, "g", "content");
	tar_end(&b);
	for (len = b.len - 1; len > 0; len -= len > 90 ? 90 : len) {
		struct buf cut = {.data = b.data, .len = len};

		expect_failure(&cut, "");
	}
	for (len = 0; len < b.len; len += 512) {
		struct buf cut = {.data = b.data, .len = len};

		expect_failure(&cut, "");
	}
}

static void an_empty_tar_has_nothing_in_it(void)
{
	SCOPED_BUF struct buf b = {0};

	expect_failure(&b, "empty");
	tar_end(&b);
	expect(&b, 0, "");
	b.len = 512;
	expect_failure(&b, "end mark");
}

static void several_tars_are_one_only_if_it_is_asked_for(void)
{
	const struct unarchive_options o = {.concatenated = true};
	SCOPED_BUF struct buf b = {0};

	tar_file(&b, "f", "x");
	zeros(&b, 10240);
	tar_file(&b, "f", "again");
	tar_end(&b);
	expect_failure(&b, "--concatenated");
	for (int source = SOURCE_FILE; source <= SOURCE_PIPE; source++) {
		SCOPED_BUF struct buf out = {0};
		SCOPED_BUF struct buf bad = {0};
		struct ebt_err err;

		CU_ASSERT_EQUAL(
			tell(&b, (enum source)source, &o, TELL_CONTENT, &out, &err), 0);
		CU_ASSERT_STRING_EQUAL(out.data, "f f 1 <x>\nf f again 5 <again>\n");
		b.len -= 512;
		CU_ASSERT(tell(&b, (enum source)source, &o, 0, &bad, &err) < 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "end mark"));
		b.len += 512;
	}
}

static void garbage_among_several_tars_is_told(void)
{
	const struct unarchive_options o = {.concatenated = true};
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};
	struct ebt_err err;

	tar_file(&b, "f", "x");
	tar_end(&b);
	memset(buf_extend(&b, 1024), 'g', 1024);
	CU_ASSERT(tell(&b, SOURCE_FILE, &o, 0, &out, &err) < 0);
}

static void a_damaged_header_is_no_place_to_go_on_from(void)
{
	SCOPED_BUF struct buf b = {0};

	tar_file(&b, "f", "x");
	tar_file(&b, "g", "y");
	tar_file(&b, "h", "z");
	tar_end(&b);
	b.data[1024 + 3] ^= 1;
	expect_failure(&b, "after 1 members");
}

static void malformed_records_are_an_error(void)
{
	static const char *const bad[] = {"20 path=short\n", "path=x\n", "12 path=xyz!",
		"99999999999999999999 path=x\n", "7 =x\n\n\n", "x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf records = {0};

		buf_put(&records, bad[i], strlen(bad[i]));
		tar_pax(&b, &records);
		tar_file(&b, "f", "x");
		tar_end(&b);
		/* Some are taken for a record of no meaning; then they have none. */
		if (i != 4)
			expect_failure(&b, "");
	}
}

static void parts_of_several_volumes_are_refused(void)
{
	for (int pax = 0; pax < 2; pax++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf records = {0};

		if (pax) {
			pax_record(&records, "GNU.volume.offset", "512", 3);
			tar_pax(&b, &records);
			tar_file(&b, "GNUFileParts/f.1", "x");
		} else {
			tar_gnu(&b, "f", 'M', 1);
			tar_content(&b, "x", 1);
		}
		tar_end(&b);
		expect_failure(&b, "several archives");
	}
	{
		SCOPED_BUF struct buf b = {0};

		/* A label is none, and a directory of that name neither. */
		tar_gnu(&b, "label", 'V', 0);
		tar_file(&b, "GNUFileParts/f", "x");
		tar_end(&b);
		expect(&b, 0, "d GNUFileParts implied\nf GNUFileParts/f 1\n");
	}
}

static void dumps_of_directories_are_directories(void)
{
	SCOPED_BUF struct buf b = {0};

	tar_gnu(&b, "d/", 'D', 6);
	tar_content(&b, "Yf\0Nx\0", 6);
	tar_file(&b, "d/f", "x");
	tar_end(&b);
	expect(&b, TELL_CONTENT, "d d\nf d/f 1 <x>\n");
}

static void long_names_of_all_kinds_are_read(void)
{
	SCOPED_BUF struct buf b = {0};
	char name[301];

	memset(name, 'n', 300);
	name[150] = '/';
	name[300] = '\0';
	tar_gnu(&b, "././@LongLink", 'L', 301);
	tar_content(&b, name, 301);
	tar_gnu(&b, "././@LongLink", 'K', 301);
	tar_content(&b, name, 301);
	tar_header(&b, "short", '2', 0, "short too");
	tar_end(&b);
	{
		SCOPED_BUF struct buf expected = {0};

		name[150] = '\0';
		buf_printf(&expected, "d %s implied\n", name);
		name[150] = '/';
		buf_printf(&expected, "l %s -> ", name);
		buf_put(&expected, name, 300);
		buf_put(&expected, "\n", 2);
		expect(&b, 0, (char *)expected.data);
	}
}

/* A letter and an accent, or one letter: to a file system these are two names. */
static void names_are_the_bytes_that_are_written(void)
{
	static const char apart[] = "cafe\xcc\x81", one[] = "caf\xc3\xa9";
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf records = {0};

	for (int i = 0; i < 2; i++) {
		const char *name = i ? one : apart;

		records.len = 0;
		pax_record(&records, "path", name, strlen(name));
		tar_pax(&b, &records);
		tar_header(&b, "short", '0', 1, "");
		tar_content(&b, i ? "y" : "x", 1);
	}
	records.len = 0;
	pax_record(&records, "path", "hard", 4);
	pax_record(&records, "linkpath", apart, strlen(apart));
	tar_pax(&b, &records);
	tar_header(&b, "short", '1', 0, "s");
	records.len = 0;
	pax_record(&records, "linkpath", apart, strlen(apart));
	tar_pax(&b, &records);
	tar_header(&b, "soft", '2', 0, "s");
	tar_end(&b);
	expect(&b, TELL_CONTENT,
		"f cafe\xcc\x81 1 <x>\n"
		"f caf\xc3\xa9 1 <y>\n"
		"f hard = cafe\xcc\x81 0\n"
		"l soft -> cafe\xcc\x81\n");
}

static void headers_without_end_are_not_kept(void)
{
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};
	SCOPED_FREE char *body = calloc(1, 1 << 20);
	struct ebt_err err;

	memset(body, 'n', (1 << 20) - 1);
	for (int i = 0; i < 24; i++) {
		tar_gnu(&b, "././@LongLink", 'L', 1 << 20);
		tar_content(&b, body, 1 << 20);
	}
	tar_file(&b, "f", "x");
	tar_end(&b);
	CU_ASSERT(tell(&b, SOURCE_FILE, NULL, 0, &out, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "16 MiB"));
}

static void times_and_owners_are_as_they_are_written(void)
{
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf records = {0};

	pax_record(&records, "mtime", "4294967297.123456789", 20);
	pax_record(&records, "uid", "3000000", 7);
	pax_record(&records, "gid", "4294967294", 10);
	tar_pax(&b, &records);
	tar_file(&b, "f", "");
	records.len = 0;
	pax_record(&records, "mtime", "-77", 3);
	tar_pax(&b, &records);
	tar_file(&b, "g", "");
	records.len = 0;
	pax_record(&records, "mtime", "-5.25", 5);
	tar_pax(&b, &records);
	tar_file(&b, "h", "");
	records.len = 0;
	pax_record(&records, "mtime", "-0.000000001999", 15);
	tar_pax(&b, &records);
	tar_file(&b, "i", "");
	tar_end(&b);
	expect(&b, TELL_TIMES | TELL_OWNERS,
		"f f 0 3000000:4294967294 4294967297.123456789\n"
		"f g 0 1000:100 -77.000000000\n"
		"f h 0 1000:100 -6.750000000\n"
		"f i 0 1000:100 -1.999999999\n");
}

static void times_that_nobody_can_count_are_times_still(void)
{
	static const char *const odd[] = {"99999999999999999999999.9999999999999",
		"-99999999999999999999999.5", "-9223372036854775807.5", "1.", ".5", "-",
		"x"};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf records = {0};

		pax_record(&records, "mtime", odd[i], strlen(odd[i]));
		pax_record(&records, "atime", odd[i], strlen(odd[i]));
		tar_pax(&b, &records);
		tar_file(&b, "f", "");
		tar_end(&b);
		/* Fit for a manifest, that is. */
		expect(&b, 0, "f f 0\n");
	}
}

static void owners_that_cannot_be_are_refused_unless_nobody_asks(void)
{
	static const char *const bad[] = {
		"4294967295", "4294967296", "-1", "99999999999999999999"};
	const struct unarchive_options o = {.no_owner = true};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf records = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		pax_record(&records, "uid", bad[i], strlen(bad[i]));
		tar_pax(&b, &records);
		tar_file(&b, "f", "");
		tar_end(&b);
		/* libarchive takes what is below zero for zero. */
		if (bad[i][0] != '-')
			expect_failure(&b, "owner");
		CU_ASSERT_EQUAL(tell(&b, SOURCE_FILE, &o, TELL_OWNERS, &out, &err), 0);
		CU_ASSERT_STRING_EQUAL(out.data, "f f 0 nobody\n");
	}
}

static void content_lies_where_it_is_said_to(void)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf records = {0};
	SCOPED_FREE char *large = malloc(3000000);
	SCOPED_FD int fd = -1;
	unsigned files = 0;
	struct member m;
	int r;

	pax_record(&records, "comment", "something", 9);
	for (unsigned i = 0; i < 20; i++) {
		char name[16];
		size_t len = i % 3 ? 100 * i : 3000000 - i;

		snprintf(name, sizeof(name), "f%u", i);
		memset(large, (int)('a' + i), len);
		if (i % 2)
			tar_pax(&b, &records);
		tar_header(&b, name, '0', len, "");
		tar_content(&b, large, len);
	}
	tar_end(&b);
	fd = source_open(b.data, b.len, SOURCE_FILE);
	CU_ASSERT_FATAL(lseek(fd, 17, SEEK_SET) == 17);
	CU_ASSERT_FATAL(
		unarchive_open(fd, "a", &(struct unarchive_options){0}, &u, NULL) == 0);
	while ((r = unarchive_next(u, &m, NULL)) > 0) {
		CU_ASSERT_FATAL(m.content);
		CU_ASSERT_FATAL(m.at < b.len && m.e.size <= b.len - m.at);
		CU_ASSERT(b.data[m.at] == 'a' + files);
		CU_ASSERT(b.data[m.at + m.e.size - 1] == 'a' + files);
		CU_ASSERT(b.data[m.at - 1] != 'a' + files);
		files++;
	}
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_EQUAL(files, 20);
	CU_ASSERT_EQUAL(unarchive_bytes(u), b.len);
	CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_CUR), 17);
}

static void what_nobody_reads_of_a_large_member_is_not_read(void)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_FD int fd = memfd_create("large", MFD_CLOEXEC);
	uint64_t size = (uint64_t)1 << 40;
	struct member m;

	tar_gnu(&b, "large", '0', 0);
	/* As GNU tar writes what has more than eleven digits. */
	memset(b.data + 124, 0, 12);
	b.data[124] = 0x80;
	for (int i = 0; i < 8; i++)
		b.data[135 - i] = (unsigned char)(size >> (8 * i));
	tar_sum(&b, 0);
	CU_ASSERT_FATAL(fsio_write(fd, b.data, b.len, 0) == 0);
	b.len = 0;
	tar_file(&b, "f", "x");
	tar_end(&b);
	CU_ASSERT_FATAL(fsio_write(fd, b.data, b.len, 512 + size) == 0);
	CU_ASSERT_FATAL(
		unarchive_open(fd, "a", &(struct unarchive_options){0}, &u, NULL) == 0);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 1);
	CU_ASSERT(m.e.size == size && m.at == 512);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 1);
	CU_ASSERT_EQUAL(m.at, 512 + size + 512);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 0);
}

static void a_large_member_that_is_cut_off_is_seen_though_nobody_reads_it(void)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_FD int fd = memfd_create("large", MFD_CLOEXEC);
	struct ebt_err err;
	struct member m;

	tar_header(&b, "large", '0', (uint64_t)1 << 32, "");
	CU_ASSERT_FATAL(fsio_write(fd, b.data, b.len, 0) == 0);
	CU_ASSERT_FATAL(ftruncate(fd, 1 << 30) == 0);
	CU_ASSERT_FATAL(
		unarchive_open(fd, "a", &(struct unarchive_options){0}, &u, NULL) == 0);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 1);
	CU_ASSERT(unarchive_next(u, &m, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "large"));
}

static void pieces_are_read_in_order_and_others_skipped(void)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_FREE unsigned char *data = malloc(1000000);
	SCOPED_FD int fd = -1;
	unsigned char piece[1000];
	struct ebt_err err;
	struct member m;

	for (size_t i = 0; i < 1000000; i++)
		data[i] = (unsigned char)(i / 997);
	tar_header(&b, "f", '0', 1000000, "");
	tar_content(&b, data, 1000000);
	tar_file(&b, "g", "after");
	tar_end(&b);
	fd = source_open(b.data, b.len, SOURCE_PIPE);
	CU_ASSERT_FATAL(
		unarchive_open(fd, "a", &(struct unarchive_options){0}, &u, NULL) == 0);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 1);
	CU_ASSERT_EQUAL(m.at, UNARCHIVE_NOWHERE);
	for (uint64_t at = 500; at < 900000; at += 170001) {
		CU_ASSERT_EQUAL(unarchive_read(u, at, piece, 1000, &err), 0);
		CU_ASSERT(memcmp(piece, data + at, 1000) == 0);
	}
	CU_ASSERT_EQUAL(unarchive_read(u, 700000, piece, 1, &err), -EINVAL);
	CU_ASSERT_EQUAL(unarchive_read(u, 999999, piece, 2, &err), -EINVAL);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 1);
	CU_ASSERT_EQUAL(unarchive_read(u, 0, piece, 5, &err), 0);
	CU_ASSERT(memcmp(piece, "after", 5) == 0);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 0);
}

static bool stop(void *arg)
{
	int *left = arg;

	return (*left)-- <= 0;
}

static void who_waits_for_a_pipe_can_be_stopped(void)
{
	int left = 2, fds[2];
	const struct unarchive_options o = {.stopped = stop, .arg = &left};
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	struct ebt_err err;

	CU_ASSERT_FATAL(pipe2(fds, O_CLOEXEC) == 0);
	CU_ASSERT_EQUAL(unarchive_open(fds[0], "a", &o, &u, &err), -EINTR);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "stopped"));
	close(fds[0]);
	close(fds[1]);
}

static void what_is_no_archive_is_refused_by_its_name(void)
{
	static const struct {
		const char *head;
		size_t len;
		const char *text;
	} bad[] = {
		{"text, and no archive", 20, "no archive"},
		{"\xc7\x71 cpio", 7, "binary cpio"},
		{"\x71\xc7 cpio", 7, "binary cpio"},
		{"\x1f\x9d\x90", 3, "compress"},
		{"LZIP\1", 5, "lzip"},
		{"Rar!\x1a\7", 6, "rar"},
		{"!<arch>\n", 8, "ar archive"},
		{"\x1f\x8b\x08\0", 4, "gzip: cut off"},
	};
	SCOPED_FD int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct unarchive *u = NULL;
	struct ebt_err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		SCOPED_BUF struct buf b = {0};

		buf_put(&b, bad[i].head, bad[i].len);
		expect_failure(&b, bad[i].text);
	}
	CU_ASSERT_EQUAL(
		unarchive_open(dir, "a", &(struct unarchive_options){0}, &u, &err),
		-EISDIR);
}

static const struct test tests[] = {
	TEST(a_tar_ends_with_its_mark),
	TEST(every_cut_of_a_tar_is_seen),
	TEST(an_empty_tar_has_nothing_in_it),
	TEST(several_tars_are_one_only_if_it_is_asked_for),
	TEST(garbage_among_several_tars_is_told),
	TEST(a_damaged_header_is_no_place_to_go_on_from),
	TEST(malformed_records_are_an_error),
	TEST(parts_of_several_volumes_are_refused),
	TEST(dumps_of_directories_are_directories),
	TEST(long_names_of_all_kinds_are_read),
	TEST(names_are_the_bytes_that_are_written),
	TEST(headers_without_end_are_not_kept),
	TEST(times_and_owners_are_as_they_are_written),
	TEST(times_that_nobody_can_count_are_times_still),
	TEST(owners_that_cannot_be_are_refused_unless_nobody_asks),
	TEST(content_lies_where_it_is_said_to),
	TEST(what_nobody_reads_of_a_large_member_is_not_read),
	TEST(a_large_member_that_is_cut_off_is_seen_though_nobody_reads_it),
	TEST(pieces_are_read_in_order_and_others_skipped),
	TEST(who_waits_for_a_pipe_can_be_stopped),
	TEST(what_is_no_archive_is_refused_by_its_name),
};
SUITE("archive_tar", tests)
