/* SPDX-License-Identifier: BSD-3-Clause */
/* xz with several threads, on files whose blocks tell their sizes and on others. */
#include <errno.h>
#include <lzma.h>
#include <string.h>

#include "base/buf.h"
#include "codec/decode.h"
#include "suite.h"

#define CONTENT (3u << 20) /* bytes */

static void make_content(unsigned char *data)
{
	uint64_t state = 7;

	for (size_t i = 0; i < CONTENT; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		data[i] = i & 256 ? (unsigned char)(state >> 56) : 'a';
	}
}

/* In blocks of 256 KiB, as a threaded xz writes them, or in one. */
static void compress(const unsigned char *data, bool blocks, struct buf *out)
{
	const lzma_mt mt = {.threads = 2,
		.block_size = 256 << 10,
		.preset = 0,
		.check = LZMA_CHECK_CRC64};
	lzma_stream z = LZMA_STREAM_INIT;

	CU_ASSERT_FATAL(
		(blocks ? lzma_stream_encoder_mt(&z, &mt)
			: lzma_easy_encoder(&z, 0, LZMA_CHECK_CRC64)) == LZMA_OK);
	z.next_in = data;
	z.avail_in = CONTENT;
	z.next_out = buf_extend(out, 2 * CONTENT);
	z.avail_out = 2 * CONTENT;
	CU_ASSERT_FATAL(lzma_code(&z, LZMA_FINISH) == LZMA_STREAM_END);
	out->len -= z.avail_out;
	lzma_end(&z);
}

static ssize_t read_source(void *arg, void *to, size_t len, struct ebt_err *err)
{
	struct reader *r = arg;

	len = len < reader_left(r) ? len : reader_left(r);
	if (len)
		memcpy(to, reader_take(r, len), len);
	return (ssize_t)len;
}

static int decode_all(
	const void *data, size_t len, struct buf *out, struct ebt_err *err)
{
	SCOPED(decoder_freep) struct decoder *d = NULL;
	struct reader r = reader_of(data, len);
	unsigned char piece[10000];
	ssize_t n;

	CU_ASSERT_FATAL(decoder_new(CODEC_XZ, read_source, &r, 4, &d, err) == 0);
	while ((n = decoder_read(d, piece, sizeof(piece), err)) > 0)
		buf_put(out, piece, (size_t)n);
	return (int)n;
}

static void threads_give_what_one_would(void)
{
	static unsigned char content[CONTENT];

	make_content(content);
	for (int blocks = 0; blocks < 2; blocks++) {
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		/* Two streams, with padding between them. */
		compress(content, blocks, &b);
		memset(buf_extend(&b, 12), 0, 12);
		compress(content, blocks, &b);
		CU_ASSERT_EQUAL(decode_all(b.data, b.len, &out, &err), 0);
		CU_ASSERT_FATAL(out.len == 2 * CONTENT);
		CU_ASSERT(memcmp(out.data, content, CONTENT) == 0);
		CU_ASSERT(memcmp(out.data + CONTENT, content, CONTENT) == 0);
	}
}

static void threads_see_cuts_and_flipped_bits(void)
{
	static unsigned char content[CONTENT];
	SCOPED_BUF struct buf b = {0};
	struct ebt_err err;

	make_content(content);
	compress(content, true, &b);
	for (size_t at = 1; at < b.len; at += b.len / 23) {
		SCOPED_BUF struct buf cut = {0};
		SCOPED_BUF struct buf out = {0};

		CU_ASSERT_EQUAL(decode_all(b.data, at, &cut, &err), -EBADMSG);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cut off"));
		b.data[at] ^= 4;
		CU_ASSERT_EQUAL(decode_all(b.data, b.len, &out, &err), -EBADMSG);
		b.data[at] ^= 4;
	}
}

static const struct test tests[] = {
	TEST(threads_give_what_one_would),
	TEST(threads_see_cuts_and_flipped_bits),
};
SUITE("codec_xz", tests)
