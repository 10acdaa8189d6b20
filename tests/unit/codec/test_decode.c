/* SPDX-License-Identifier: BSD-3-Clause */
/* What is compressed here is compressed by libarchive, which is no part of what is tested. */
#include "codec/decode.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "suite.h"

#define CONTENT                                                                        \
	(300u << 10) /* bytes: more than a decoder reads at a time, compressed */

static const struct {
	enum codec codec;
	const char *options; /* for sums where they are not there anyway */
	bool sums;
} codecs[] = {
	{CODEC_GZIP, NULL, true},
	{CODEC_BZIP2, NULL, true},
	{CODEC_XZ, "xz:threads=1", true},
	{CODEC_ZSTD, NULL, false},
	{CODEC_LZ4, "lz4:stream-checksum", true},
};
#define CODECS (sizeof(codecs) / sizeof(codecs[0]))

/* Half of it can be compressed. */
static void make_content(unsigned char *data, size_t len)
{
	uint64_t state = 7;

	for (size_t i = 0; i < len; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		data[i] = i & 256 ? (unsigned char)(state >> 56) : 'a';
	}
}

static la_ssize_t take(struct archive *a, void *arg, const void *data, size_t len)
{
	buf_put(arg, data, len);
	return (la_ssize_t)len;
}

static void compress(size_t i, const void *data, size_t len, struct buf *out)
{
	static const unsigned char empty[] = {
		0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0, 0, 0, 0, 5, 0x5d, 0xcc, 2};
	struct archive *a;
	struct archive_entry *entry;

	/* With which libarchive 3.6 comes to grief. */
	if (codecs[i].codec == CODEC_LZ4 && len == 0) {
		buf_put(out, empty, sizeof(empty));
		return;
	}
	a = archive_write_new();
	CU_ASSERT_FATAL(archive_write_set_format_raw(a) == ARCHIVE_OK);
	CU_ASSERT_FATAL(archive_write_add_filter_by_name(
				a, codec_name(codecs[i].codec)) == ARCHIVE_OK);
	if (codecs[i].options)
		archive_write_set_options(a, codecs[i].options);
	archive_write_set_bytes_per_block(a, 0);
	CU_ASSERT_FATAL(archive_write_open(a, out, NULL, take, NULL) == ARCHIVE_OK);
	entry = archive_entry_new();
	archive_entry_set_filetype(entry, 0100000);
	archive_entry_set_pathname(entry, "f");
	CU_ASSERT_FATAL(archive_write_header(a, entry) == ARCHIVE_OK);
	CU_ASSERT_FATAL(archive_write_data(a, data, len) == (la_ssize_t)len);
	CU_ASSERT_FATAL(archive_write_close(a) == ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(a);
	CU_ASSERT_FATAL(buf_ok(out));
}

/* A source that gives a few bytes at a time. */
struct source {
	const struct buf *b;
	size_t at, step;
};

static ssize_t read_source(void *arg, void *to, size_t len, struct ebt_err *err)
{
	struct source *s = arg;
	size_t left = s->b->len - s->at;

	if (left == 0 && s->step == 0)
		return ebt_failx(err, -EIO, "the disk is gone");
	len = len < left ? len : left;
	if (s->step && len > s->step)
		len = s->step;
	memcpy(to, s->b->data + s->at, len);
	s->at += len;
	return (ssize_t)len;
}

/* All of @b decoded, appended to @out: 0 or what it fails with. */
static int decode_all(enum codec codec, const struct buf *b, size_t step, size_t piece,
	struct buf *out, struct ebt_err *err)
{
	SCOPED(decoder_freep) struct decoder *d = NULL;
	struct source s = {.b = b, .step = step};
	unsigned char data[70000];
	struct ebt_err twice;
	ssize_t n;

	CU_ASSERT_FATAL(decoder_new(codec, read_source, &s, 1, &d, err) == 0);
	while ((n = decoder_read(d, data, piece, err)) > 0)
		buf_put(out, data, (size_t)n);
	/* The end stays the end, a failure the same failure. */
	CU_ASSERT_EQUAL(decoder_read(d, data, piece, &twice), n);
	if (n < 0)
		CU_ASSERT_STRING_EQUAL(twice.text, err->text);
	return (int)n;
}

static void every_codec_gives_back_what_was_compressed(void)
{
	static const size_t steps[] = {1, 7, 4096, 1 << 20};
	static unsigned char content[CONTENT];

	make_content(content, CONTENT);
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};

		compress(i, content, CONTENT, &b);
		CU_ASSERT_EQUAL(codec_of(b.data, CODEC_HEAD), codecs[i].codec);
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			SCOPED_BUF struct buf out = {0};
			struct ebt_err err;

			CU_ASSERT_EQUAL(decode_all(codecs[i].codec, &b, steps[k],
						steps[k] > 60000 ? 60000 : steps[k] + 1,
						&out, &err),
				0);
			CU_ASSERT(out.len == CONTENT &&
				  memcmp(out.data, content, CONTENT) == 0);
		}
	}
}

static void nothing_compressed_is_nothing(void)
{
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		compress(i, "", 0, &b);
		CU_ASSERT_EQUAL(
			decode_all(codecs[i].codec, &b, 4096, 4096, &out, &err), 0);
		CU_ASSERT_EQUAL(out.len, 0);
	}
}

static void streams_one_after_the_other_are_one_file(void)
{
	static unsigned char content[CONTENT];

	make_content(content, CONTENT);
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		compress(i, content, 100000, &b);
		compress(i, content + 100000, 0, &b);
		compress(i, content + 100000, CONTENT - 100000, &b);
		CU_ASSERT_EQUAL(
			decode_all(codecs[i].codec, &b, 5000, 4096, &out, &err), 0);
		CU_ASSERT(
			out.len == CONTENT && memcmp(out.data, content, CONTENT) == 0);
	}
}

static void every_cut_is_seen(void)
{
	static unsigned char content[5000];

	make_content(content, sizeof(content));
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};

		compress(i, content, sizeof(content), &b);
		for (size_t len = 1; len < b.len; len++) {
			SCOPED_BUF struct buf out = {0};
			struct buf cut = {.data = b.data, .len = len};
			struct ebt_err err;

			CU_ASSERT_EQUAL(decode_all(codecs[i].codec, &cut, 4096, 4096,
						&out, &err),
				-EBADMSG);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cut off"));
		}
	}
}

static void every_flipped_bit_is_seen_by_those_with_sums(void)
{
	static unsigned char content[3000];

	make_content(content, sizeof(content));
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};
		uint64_t missed = 0;

		if (!codecs[i].sums)
			continue;
		compress(i, content, sizeof(content), &b);
		for (size_t bit = 0; bit < 8 * b.len; bit += 3) {
			SCOPED_BUF struct buf out = {0};
			struct ebt_err err;
			int r;

			b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
			r = decode_all(codecs[i].codec, &b, 4096, 4096, &out, &err);
			b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
			/* A time in a header, bits of padding: what says nothing of content. */
			missed += r == 0;
			if (r == 0)
				CU_ASSERT(out.len == sizeof(content) &&
					  memcmp(out.data, content, out.len) == 0);
		}
		CU_ASSERT(missed < 30);
	}
}

static void zeros_behind_are_padding_and_all_else_is_told(void)
{
	static const size_t zeros[] = {1, 4, 511, 10240, 300000};
	static unsigned char content[5000];

	make_content(content, sizeof(content));
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};
		size_t len;

		compress(i, content, sizeof(content), &b);
		len = b.len;
		for (size_t k = 0; k < sizeof(zeros) / sizeof(zeros[0]); k++) {
			SCOPED_BUF struct buf out = {0};
			SCOPED_BUF struct buf more = {0};
			struct ebt_err err;

			b.len = len;
			memset(buf_extend(&b, zeros[k]), 0, zeros[k]);
			CU_ASSERT_EQUAL(
				decode_all(codecs[i].codec, &b, 4096, 4096, &out, &err),
				0);
			buf_put8(&b, 'x');
			CU_ASSERT_EQUAL(decode_all(codecs[i].codec, &b, 4096, 4096,
						&more, &err),
				-EBADMSG);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "more data behind"));
		}
		b.len = len;
		buf_put(&b, "garbage", 7);
		{
			SCOPED_BUF struct buf out = {0};
			struct ebt_err err;

			CU_ASSERT_EQUAL(
				decode_all(codecs[i].codec, &b, 4096, 4096, &out, &err),
				-EBADMSG);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "more data behind"));
			/* Not before all that is right was given out. */
			CU_ASSERT_EQUAL(out.len, sizeof(content));
		}
	}
}

static void another_stream_behind_padding_is_one_of_xz_alone(void)
{
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;
		int r;

		compress(i, "one", 3, &b);
		memset(buf_extend(&b, 8), 0, 8);
		compress(i, "two", 3, &b);
		r = decode_all(codecs[i].codec, &b, 4096, 4096, &out, &err);
		CU_ASSERT_EQUAL(r, codecs[i].codec == CODEC_XZ ? 0 : -EBADMSG);
		CU_ASSERT(
			r < 0 || (out.len == 6 && memcmp(out.data, "onetwo", 6) == 0));
	}
}

static void frames_to_be_skipped_are_skipped(void)
{
	static const unsigned char skipped[] = {
		0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5};

	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		if (codecs[i].codec != CODEC_ZSTD && codecs[i].codec != CODEC_LZ4)
			continue;
		buf_put(&b, skipped, sizeof(skipped));
		compress(i, "one", 3, &b);
		buf_put(&b, skipped, sizeof(skipped));
		compress(i, "two", 3, &b);
		buf_put(&b, skipped, sizeof(skipped));
		CU_ASSERT_EQUAL(codec_of(b.data, b.len), codecs[i].codec);
		CU_ASSERT_EQUAL(
			decode_all(codecs[i].codec, &b, 3, 4096, &out, &err), 0);
		CU_ASSERT(out.len == 6 && memcmp(out.data, "onetwo", 6) == 0);
	}
}

static void a_failure_to_read_comes_through_as_it_is(void)
{
	for (size_t i = 0; i < CODECS; i++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		compress(i, "content", 7, &b);
		b.len -= 2;
		CU_ASSERT_EQUAL(
			decode_all(codecs[i].codec, &b, 0, 4096, &out, &err), -EIO);
		CU_ASSERT_STRING_EQUAL(err.text, "the disk is gone");
	}
}

static void what_asks_for_much_memory_is_refused(void)
{
	/* A window of 1 GiB; a dictionary of 1.5 GiB, with the sum of that header. */
	static const unsigned char zstd[] = {
		0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 1, 0, 0};
	struct buf b = {.data = (unsigned char *)zstd, .len = sizeof(zstd)};
	SCOPED_BUF struct buf out = {0};
	struct ebt_err err;

	if (!codec_decodes(CODEC_ZSTD))
		return;
	CU_ASSERT_EQUAL(decode_all(CODEC_ZSTD, &b, 4096, 4096, &out, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "128 MiB"));
}

static void what_is_none_of_these_is_none(void)
{
	static const struct {
		const char *head;
		size_t len;
		enum codec codec;
	} heads[] = {
		{"", 0, CODEC_NONE},
		{"\x1f", 1, CODEC_NONE},
		{"\x1f\x9d", 2, CODEC_NONE},
		{"\x1f\x8b", 2, CODEC_GZIP},
		{"BZh9", 4, CODEC_BZIP2},
		{"\xfd"
		 "7zX",
			4, CODEC_XZ},
		{"\x28\xb5\x2f\xfd", 4, CODEC_ZSTD},
		{"\x5f\x2a\x4d\x18", 4, CODEC_ZSTD},
		{"\x04\x22\x4d\x18", 4, CODEC_LZ4},
		{"\x02\x21\x4c\x18", 4, CODEC_LZ4},
		{"text of some kind", 17, CODEC_NONE},
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		CU_ASSERT_EQUAL(codec_of(heads[i].head, heads[i].len), heads[i].codec);
}

static void the_old_lz4_format_is_refused_by_name(void)
{
	struct buf b = {.data = (unsigned char *)"\x02\x21\x4c\x18\1\0\0\0x", .len = 9};
	SCOPED_BUF struct buf out = {0};
	struct ebt_err err;

	if (!codec_decodes(CODEC_LZ4))
		return;
	CU_ASSERT_EQUAL(decode_all(CODEC_LZ4, &b, 4096, 4096, &out, &err), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "legacy"));
}

static void what_is_not_built_in_is_refused_by_name(void)
{
	struct decoder *d = NULL;
	struct ebt_err err;

	CU_ASSERT(!codec_decodes(CODEC_NONE));
	CU_ASSERT_EQUAL(
		decoder_new(CODEC_NONE, read_source, NULL, 1, &d, &err), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not built in"));
	CU_ASSERT_PTR_NULL(d);
}

static const struct test tests[] = {
	TEST(every_codec_gives_back_what_was_compressed),
	TEST(nothing_compressed_is_nothing),
	TEST(streams_one_after_the_other_are_one_file),
	TEST(every_cut_is_seen),
	TEST(every_flipped_bit_is_seen_by_those_with_sums),
	TEST(zeros_behind_are_padding_and_all_else_is_told),
	TEST(another_stream_behind_padding_is_one_of_xz_alone),
	TEST(frames_to_be_skipped_are_skipped),
	TEST(a_failure_to_read_comes_through_as_it_is),
	TEST(what_asks_for_much_memory_is_refused),
	TEST(what_is_none_of_these_is_none),
	TEST(the_old_lz4_format_is_refused_by_name),
	TEST(what_is_not_built_in_is_refused_by_name),
};
SUITE("codec_decode", tests)
