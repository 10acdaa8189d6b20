/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Archives of which only what is picked is read; and what is picked by an index that lies. All of it
 * is done with the tar as it is, and compressed in frames of several sizes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/picks.h"
#include "archives.h"
#include "codec/frames.h"
#include "suite.h"

#define SCOPED_PICKS SCOPED(picks_freep) struct picks *

/* An archive, and its index as it is made on the way. */
struct made {
	struct buf tar, lines;
	unsigned n;
	uint32_t piece; /* bytes of a frame; 0: not compressed */
};

static void made_release(struct made *m)
{
	buf_release(&m->tar);
	buf_release(&m->lines);
}
#define SCOPED_MADE SCOPED(made_release) struct made

/* What is in the archive from @header on is one member. */
static void line(struct made *m, size_t header, size_t data, uint64_t packed,
	uint64_t size, char type, const char *path, const char *link)
{
	const struct index_member as = {.header = header,
		.data = data,
		.packed = packed,
		.size = size,
		.type = (enum index_type)type,
		.path = path,
		.link = link};

	CU_ASSERT_EQUAL_FATAL(index_put(&m->lines, &as, NULL), 0);
	m->n++;
}

static void file(struct made *m, const char *path, const void *data, size_t len)
{
	size_t at = m->tar.len;

	tar_header(&m->tar, path, '0', len, "");
	tar_content(&m->tar, data, len);
	line(m, at, at + 512, len, len, 'f', path, NULL);
}

static void other(
	struct made *m, char tar, char type, const char *path, const char *link)
{
	size_t at = m->tar.len;

	tar_header(&m->tar, path, tar, 0, link ? link : "");
	line(m, at, at + 512, 0, 0, type, path, type == 'h' ? link : NULL);
}

static const uint32_t pieces[] = {0, 512, 700, 100000, FRAMES_PIECE};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))

/* The archive as it lies on the disk. Empty: this build has no zstd. */
static void lay(const struct made *m, struct buf *out)
{
	SCOPED(frame_packer_freep) struct frame_packer *packer = NULL;
	SCOPED_FRAMES struct frames frames = {0};
	struct ebt_err err = {0};

	if (!m->piece) {
		buf_put(out, m->tar.data, m->tar.len);
		return;
	}
	if (frame_packer_new(1, &packer, &err) < 0) {
		printf("not tried: %s\n", err.text);
		return;
	}
	for (size_t at = 0; at < m->tar.len; at += m->piece) {
		size_t left = m->tar.len - at;
		uint32_t plain = left < m->piece ? (uint32_t)left : m->piece, packed;
		unsigned char *to = buf_extend(out, frame_room(plain));

		CU_ASSERT_FATAL(to != NULL);
		CU_ASSERT_EQUAL_FATAL(frame_pack(packer, m->tar.data + at, plain, to,
					      frame_room(plain), &packed, NULL),
			0);
		out->len -= frame_room(plain) - packed;
		CU_ASSERT_EQUAL_FATAL(frames_add(&frames, packed, plain, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(frames_put_table(&frames, out, NULL), 0);
}

static bool wants(void *arg, const char *path, bool dir)
{
	return !strpbrk(path, arg);
}

/* @size: of the archive as it lies on the disk. */
static struct picks *pick(const struct made *m, size_t size, const char *unwanted)
{
	const struct picks_archive archive = {.size = size};
	SCOPED_PICKS p = NULL;
	SCOPED_BUF struct buf b = {0};
	struct ebt_err err = {0};

	buf_printf(&b, "EBT-INDEX 1 %zu %zu 0.000000000 %u\n", size, m->tar.len, m->n);
	buf_put(&b, m->lines.data, m->lines.len);
	CU_ASSERT_FATAL(picks_new(&archive, wants, (void *)unwanted, &p, NULL) == 0);
	if (picks_feed(p, b.data, b.len, &err) < 0 || picks_finish(p, &err) < 0)
		printf("%s\n", err.text);
	CU_ASSERT_FATAL(err.code == 0);
	return TAKE(p);
}

/* Members that are wanted, with their numbers, places and content, by the picks or without. */
static int list(const struct made *m, const char *unwanted, bool by_index, bool heads,
	struct buf *out, uint64_t *bytes, struct ebt_err *err)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	struct unarchive_options o = {.heads = heads};
	SCOPED_BUF struct buf file = {0};
	SCOPED_PICKS p = NULL;
	SCOPED_FD int fd = -1;
	struct member at;
	int r;

	lay(m, &file);
	fd = source_open(file.data, file.len, SOURCE_FILE);
	if (by_index)
		o.picks = p = pick(m, file.len, unwanted);
	r = unarchive_open(fd, "a", &o, &u, err);
	while (r == 0 && (r = unarchive_next(u, &at, err)) > 0) {
		SCOPED_FREE char *data = at.content ? calloc(1, at.e.size + 1) : NULL;

		r = 0;
		if (!wants((void *)unwanted, at.e.name, at.e.kind == MANIFEST_DIR))
			continue;
		buf_printf(out, "%d %s %llu %lld %llu %s %d ", at.e.kind, at.e.name,
			(unsigned long long)at.where, (long long)at.e.mtime,
			(unsigned long long)at.at, at.link ? at.link : "-", at.implied);
		if (data && !heads)
			r = unarchive_read(u, 0, data, at.e.size, err);
		if (data && !heads && r == 0)
			buf_put(out, data, at.e.size);
		buf_put8(out, '\n');
	}
	buf_put8(out, 0);
	if (bytes && u)
		*bytes = unarchive_bytes(u);
	return r;
}

static void expect_same_now(const struct made *m, const char *unwanted)
{
	SCOPED_BUF struct buf whole = {0};
	SCOPED_BUF struct buf picked = {0};
	SCOPED_BUF struct buf heads = {0};
	struct ebt_err err = {0};

	CU_ASSERT_EQUAL(list(m, unwanted, false, false, &whole, NULL, &err), 0);
	CU_ASSERT_EQUAL(list(m, unwanted, true, false, &picked, NULL, &err), 0);
	if (err.code)
		printf("%s\n", err.text);
	CU_ASSERT_EQUAL(whole.len, picked.len);
	CU_ASSERT(whole.len == picked.len &&
		  memcmp(whole.data, picked.data, whole.len) == 0);
	CU_ASSERT_EQUAL(list(m, unwanted, true, true, &heads, NULL, &err), 0);
	heads.len = 0;
}

static bool skips(const struct made *m)
{
	SCOPED_BUF struct buf file = {0};

	lay(m, &file);
	return !file.len;
}

static void expect_same(struct made *m, const char *unwanted)
{
	for (size_t i = 0; i < PIECES; i++) {
		m->piece = pieces[i];
		if (!skips(m))
			expect_same_now(m, unwanted);
	}
	m->piece = 0;
}

/* @part of the refusal, however it is read. */
static void expect_lie(struct made *m, const char *unwanted, const char *part)
{
	for (size_t i = 0; i < 2 * PIECES; i++) {
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err = {0};

		m->piece = pieces[i / 2];
		if (skips(m))
			continue;
		CU_ASSERT(list(m, unwanted, true, i % 2, &out, NULL, &err) < 0);
		if (!strstr(err.text, part))
			printf("\"%s\", not \"%s\"\n", err.text, part ? part : "");
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
	}
	m->piece = 0;
}

static void what_is_picked_comes_as_if_all_was_read(void)
{
	static const char *const unwanted[] = {
		"", "x", "axL", "dL", "abdlxL", "eL", "L", "z"};
	static const size_t sizes[] = {1, 0, 511, 512, 70000, 65536, 700000, 3};
	SCOPED_FREE char *data = malloc(700000);
	SCOPED_MADE m = {0};
	char path[32];

	other(&m, '5', 'd', "d", NULL);
	for (unsigned i = 0; i < 48; i++) {
		snprintf(path, sizeof(path), "%c%c/%c%u", "dxepq"[i % 5], "az"[i % 2],
			"abxz"[i % 4], i);
		memset(data, (int)('A' + i), 700000);
		file(&m, path, data, sizes[i % 8]);
		if (i == 20)
			other(&m, '1', 'h', "L", path);
		if (i % 7 == 0) {
			snprintf(path, sizeof(path), "l%u", i);
			other(&m, '2', 'l', path, "to/somewhere");
		}
	}
	other(&m, '5', 'd', "pz", NULL);
	tar_end(&m.tar);
	for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
		expect_same(&m, unwanted[i]);
	/* All of it unwanted. */
	expect_same(&m, "dlLxepq");
}

static void long_headers_are_read_to_their_ends(void)
{
	SCOPED_BUF struct buf records = {0};
	SCOPED_FREE char *long_name = calloc(1, 3001);
	SCOPED_FREE char *data = calloc(1, 200001);
	SCOPED_MADE m = {0};

	for (unsigned i = 0; i < 3000; i++)
		long_name[i] = i % 100 == 99 ? '/' : (char)('a' + i % 7);
	long_name[2999] = 'y';
	memset(data, 'c', 200000);
	pax_record(&records, "path", long_name, 3000);
	pax_record(&records, "comment", data, 200000);
	for (unsigned i = 0; i < 3; i++) {
		size_t at = m.tar.len, head;

		long_name[2999] = (char)('x' + i);
		records.len = 0;
		pax_record(&records, "path", long_name, 3000);
		pax_record(&records, "comment", data, 200000);
		tar_pax(&m.tar, &records);
		tar_header(&m.tar, "short", '0', 200000, "");
		head = m.tar.len;
		tar_content(&m.tar, data, 200000);
		line(&m, at, head, 200000, 200000, 'f', long_name, NULL);
	}
	tar_end(&m.tar);
	expect_same(&m, "q");
	expect_same(&m, "x");
	expect_same(&m, "xy");
	expect_same(&m, "xz");
}

/* Bytes that were asked for are counted by who skips as well: so the file says it itself. */
static void little_is_read(void)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	SCOPED_MADE m = {0};
	SCOPED_PICKS p = NULL;
	SCOPED_FREE char *data = calloc(1, 100000);
	struct unarchive_options o = {.heads = true};
	SCOPED_FD int fd = -1;
	struct member at;
	char path[32];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "%s%u", i == 50 ? "y" : "x", i);
		file(&m, path, data, 100000);
	}
	tar_end(&m.tar);
	fd = source_open(m.tar.data, m.tar.len, SOURCE_FILE);
	o.picks = p = pick(&m, m.tar.len, "x");
	CU_ASSERT_FATAL(unarchive_open(fd, "a", &o, &u, NULL) == 0);
	CU_ASSERT_FATAL(unarchive_next(u, &at, NULL) == 1);
	CU_ASSERT_STRING_EQUAL(at.e.name, "y50");
	CU_ASSERT_EQUAL(unarchive_bytes(u), 512);
	CU_ASSERT_EQUAL(unarchive_next(u, &at, NULL), 0);
}

static void a_header_that_is_another_one_is_told(void)
{
	static const struct {
		const char *lines, *part;
	} lies[] = {
		/* The archive: 0 f a 700, 2048 d d, 2560 f d/b 5, 3584 h h a, 4096 l l, 4608 f z 0. */
		{"0 512 700 700 f other\n", "not what the index says"},
		{"0 512 700 701 f a\n", "not what the index says"},
		{"0 1536 0 0 d a\n", "not what the index says"},
		{"0 512 0 0 f a\n512 2048 0 0 f q\n", "not what the index says"},
		{"0 1024 200 200 f a\n", "not what the index says"},
		{"0 512 1300 1300 f a\n", "not what the index says"},
		{"0 2560 700 700 f a\n", "not what the index says"},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		SCOPED_MADE m = {0};
		unsigned long long header = 0, data = 0, packed = 0, end = 0;
		char content[1400] = "content";
		const char *p;

		file(&m, "a", content, 700);
		other(&m, '5', 'd', "d", NULL);
		file(&m, "d/b", "bbbbb", 5);
		other(&m, '1', 'h', "h", "a");
		other(&m, '2', 'l', "l", "d/b");
		file(&m, "z", "", 0);
		m.lines.len = m.n = 0;
		buf_put(&m.lines, lies[i].lines, strlen(lies[i].lines));
		for (p = lies[i].lines; *p; p = strchr(p, '\n') + 1, m.n++) {
			sscanf(p, "%llu %llu %llu", &header, &data, &packed);
			end = data + (packed + 511) / 512 * 512;
		}
		/* The rest belongs to one that is not looked at. */
		line(&m, end, m.tar.len, 0, 0, 'f', "unwanted", NULL);
		tar_end(&m.tar);
		expect_lie(&m, "w", lies[i].part);
	}
}

static void what_lies_elsewhere_is_told(void)
{
	char content[3000] = "";

	/* Each line of the index for the member behind it. */
	for (unsigned shift = 1; shift < 3; shift++) {
		static const char *const names[] = {"x", "ya", "yb", "yc"};
		SCOPED_MADE m = {0};

		for (unsigned i = 0; i < 4; i++)
			file(&m, names[i], content, 1000);
		m.lines.len = m.n = 0;
		for (unsigned i = 0; i < 4; i++)
			line(&m, i * 1536ul, i * 1536ul + 512, 1000, 1000, 'f',
				names[(i + shift) % 4], NULL);
		tar_end(&m.tar);
		expect_lie(&m, "x", "not what the index says");
	}
}

static void places_without_a_header_are_told(void)
{
	char content[3000] = "", text[3000];
	SCOPED_MADE m = {0};

	memset(text, 't', sizeof(text));
	file(&m, "x", content, 3000);
	file(&m, "y", text, 3000);
	m.lines.len = m.n = 0;
	line(&m, 0, 512, 512, 512, 'f', "x", NULL);
	line(&m, 1024, 1536, 0, 0, 'f', "zeros", NULL);
	line(&m, 1536, m.tar.len, 0, 0, 'f', "xx", NULL);
	tar_end(&m.tar);
	expect_lie(&m, "x", "is not where the index says");
	m.tar.len -= 1024;
	m.lines.len = m.n = 0;
	line(&m, 0, 3584 + 1024, 0, 0, 'f', "x", NULL);
	line(&m, 3584 + 1024, m.tar.len, 0, 0, 'f', "letters", NULL);
	tar_end(&m.tar);
	expect_lie(&m, "x", "");
}

static void what_no_index_has_is_told(void)
{
	/* A FIFO, a link with content, a directory that is the one of all. */
	for (unsigned i = 0; i < 3; i++) {
		SCOPED_MADE m = {0};

		file(&m, "a", "a", 1);
		if (i == 0)
			other(&m, '6', 'l', "p", "");
		if (i == 1) {
			tar_header(&m.tar, "p", '1', 5, "a");
			tar_content(&m.tar, "hello", 5);
			line(&m, 1024, 1536 + 512, 0, 0, 'h', "p", "a");
		}
		if (i == 2)
			other(&m, '5', 'd', "p", NULL);
		if (i == 2)
			memcpy(m.tar.data + 1024, ".", 2);
		if (i == 2)
			tar_sum(&m.tar, 1024);
		tar_end(&m.tar);
		expect_lie(&m, "x", "");
	}
}

static void what_lies_at_the_end_is_the_mark(void)
{
	SCOPED_MADE m = {0};

	file(&m, "x", "x", 1);
	file(&m, "a", "a", 1);
	tar_end(&m.tar);
	expect_same(&m, "x");
	m.tar.data[m.tar.len - 1] = 1;
	expect_lie(&m, "x", "end");
}

/* The second of two members is picked, of frames of 16 KiB. */
static void damaged_frames_are_told(void)
{
	static unsigned char content[100000], got[100000];
	SCOPED_MADE m = {.piece = 16384};
	SCOPED_BUF struct buf lies = {0};
	size_t frame, foot;

	if (skips(&m))
		return;
	for (unsigned i = 0, x = 1; i < sizeof(content); i++, x = x * 69069 + 1)
		content[i] = (unsigned char)(x >> 24);
	file(&m, "x", content, sizeof(content));
	file(&m, "y", content, sizeof(content));
	tar_end(&m.tar);
	lay(&m, &lies);
	frame = lies.len / (m.tar.len / m.piece + 1) + 1;
	foot = lies.len - FRAMES_FOOT;
	const struct {
		size_t byte;
		int opens, reads;
	} cases[] = {
		{5 * frame, 0, 0}, /* of what is left out, which nobody sees */
		{9 * frame, 0, -EBADMSG},
		{foot - 8, -EBADMSG, 0},     /* packed bytes of the last frame */
		{foot - 3, -ESTALE, 0},	     /* what they are decoded to */
		{lies.len - 1, -ENOTSUP, 0}, /* no seek table */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED(unarchive_freep) struct unarchive *u = NULL;
		SCOPED_PICKS p = pick(&m, lies.len, "x");
		struct unarchive_options o = {.picks = p};
		SCOPED_FD int fd = -1;
		struct member at;

		lies.data[cases[i].byte] ^= 0x10;
		fd = source_open(lies.data, lies.len, SOURCE_FILE);
		lies.data[cases[i].byte] ^= 0x10;
		CU_ASSERT_EQUAL(unarchive_open(fd, "a", &o, &u, NULL), cases[i].opens);
		if (!u)
			continue;
		CU_ASSERT_EQUAL(unarchive_next(u, &at, NULL), 1);
		CU_ASSERT_EQUAL(
			unarchive_read(u, 0, got, sizeof(got), NULL), cases[i].reads);
		CU_ASSERT(cases[i].reads < 0 || memcmp(got, content, sizeof(got)) == 0);
		CU_ASSERT_EQUAL(unarchive_next(u, &at, NULL), cases[i].reads);
	}
}

static void nothing_but_a_tar_is_read_by_parts(void)
{
	SCOPED_MADE m = {0};
	SCOPED_PICKS p = NULL;
	struct unarchive_options o = {0};

	file(&m, "a", "a", 1);
	tar_end(&m.tar);
	o.picks = p = pick(&m, m.tar.len, "");
	for (unsigned i = 0; i < 2; i++) {
		SCOPED(unarchive_freep) struct unarchive *u = NULL;
		SCOPED_BUF struct buf cpio = {0};
		SCOPED_FD int fd = -1;

		cpio_member(&cpio, false, "a", 0100644, 1, 1, "a");
		fd = i ? source_open(cpio.data, cpio.len, SOURCE_FILE)
		       : source_open(m.tar.data, m.tar.len, SOURCE_PIPE);
		CU_ASSERT_EQUAL(unarchive_open(fd, "a", &o, &u, NULL), -ENOTSUP);
	}
}

static const struct test tests[] = {
	TEST(what_is_picked_comes_as_if_all_was_read),
	TEST(long_headers_are_read_to_their_ends),
	TEST(little_is_read),
	TEST(a_header_that_is_another_one_is_told),
	TEST(what_lies_elsewhere_is_told),
	TEST(places_without_a_header_are_told),
	TEST(what_no_index_has_is_told),
	TEST(what_lies_at_the_end_is_the_mark),
	TEST(damaged_frames_are_told),
	TEST(nothing_but_a_tar_is_read_by_parts),
};
SUITE("archive_picked", tests)
