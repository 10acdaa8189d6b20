/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define LEN (300u << 10)

static const char *const words[] = {
	"lz4", "zstd", "zstd:1", "zstd:3", "zstd:6", "zstd:9", "zstd:12", "zstd:19"};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

static uint64_t step(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Words from a small list, in an order without a pattern. */
static void put_text(unsigned char *p, size_t len)
{
	uint64_t x = 88172645463325252ull;
	char word[16];

	for (size_t at = 0; at < len;) {
		int n = snprintf(word, sizeof(word), "%llx ",
			(unsigned long long)(step(&x) % 4096 * 2654435761u));
		size_t fits = len - at < (size_t)n ? len - at : (size_t)n;

		memcpy(p + at, word, fits);
		at += fits;
	}
}

static void put_random(unsigned char *p, size_t len)
{
	uint64_t x = 1;

	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)(step(&x) >> 32);
}

static bool way_of(const char *word, struct block_way *way)
{
	return block_parse(word, way, NULL) == 0;
}

static void what_was_compressed_comes_back(void)
{
	static unsigned char from[LEN], to[LEN], again[LEN + 1];
	SCOPED(block_freep) struct block *b = NULL;
	struct block_way way;
	struct ebt_err err = {0};
	size_t n;

	put_text(from, LEN);
	CU_ASSERT_EQUAL(block_new(&b, &err), 0);
	for (size_t i = 0; i < N_WORDS; i++) {
		if (!way_of(words[i], &way))
			continue;
		for (size_t len = 1000; len <= LEN; len += LEN - 1000) {
			n = 0;
			CU_ASSERT_EQUAL(
				block_to(b, &way, from, len, to, len, &n, &err), 1);
			CU_ASSERT(n > 0 && n < len);
			memset(again, 0xa5, sizeof(again));
			CU_ASSERT_EQUAL(
				block_back(b, way.codec, to, n, again, len, &err), 0);
			CU_ASSERT(memcmp(from, again, len) == 0);
			CU_ASSERT_EQUAL(again[len], 0xa5);
		}
	}
}

static void what_does_not_shrink_has_no_room(void)
{
	static unsigned char from[LEN], to[LEN + 1];
	SCOPED(block_freep) struct block *b = NULL;
	struct block_way way;
	size_t n;

	put_random(from, LEN);
	CU_ASSERT_EQUAL(block_new(&b, NULL), 0);
	for (size_t i = 0; i < N_WORDS; i++) {
		if (!way_of(words[i], &way))
			continue;
		to[LEN - LEN / 20] = 0xa5;
		CU_ASSERT_EQUAL(
			block_to(b, &way, from, LEN, to, LEN - LEN / 20, &n, NULL), 0);
		CU_ASSERT_EQUAL(to[LEN - LEN / 20], 0xa5);
	}
}

/* Every byte changed in turn, cut short at every length, and more or less than was there. */
static void damage_is_an_error_or_other_bytes_but_never_more(void)
{
	static unsigned char from[4096], good[4096], bad[4096], again[8192];
	SCOPED(block_freep) struct block *b = NULL;
	struct block_way way;
	size_t n;
	int r;

	put_text(from, sizeof(from));
	CU_ASSERT_EQUAL(block_new(&b, NULL), 0);
	for (size_t i = 0; i < N_WORDS; i++) {
		if (!way_of(words[i], &way))
			continue;
		CU_ASSERT_EQUAL(block_to(b, &way, from, sizeof(from), good,
					sizeof(good), &n, NULL),
			1);
		memset(again, 0xa5, sizeof(again));
		for (size_t at = 0; at < n; at++) {
			memcpy(bad, good, n);
			bad[at] ^= (unsigned char)(1 << at % 8);
			r = block_back(b, way.codec, bad, n, again, sizeof(from), NULL);
			CU_ASSERT(r == 0 || r == -EBADMSG);
			r = block_back(
				b, way.codec, good, at, again, sizeof(from), NULL);
			CU_ASSERT_EQUAL(r, -EBADMSG);
		}
		for (size_t len = sizeof(from) - 2; len <= sizeof(from) + 2; len++)
			CU_ASSERT_EQUAL(
				block_back(b, way.codec, good, n, again, len, NULL),
				len == sizeof(from) ? 0 : -EBADMSG);
		for (size_t at = sizeof(from) + 2; at < sizeof(again); at++)
			CU_ASSERT_EQUAL_FATAL(again[at], 0xa5);
	}
}

/* High levels get less: they would take minutes for it. */
static void contexts_stay_within_what_was_said(void)
{
	size_t len = 8 << 20;
	SCOPED_FREE unsigned char *from = malloc(len), *to = malloc(len);
	struct block_way way;
	size_t n;

	CU_ASSERT_FATAL(from && to);
	put_text(from, len);
	for (size_t i = 0; i < N_WORDS; i++) {
		SCOPED(block_freep) struct block *b = NULL;

		if (!way_of(words[i], &way))
			continue;
		n = 0;
		CU_ASSERT_EQUAL(block_new(&b, NULL), 0);
		CU_ASSERT_EQUAL(block_to(b, &way, from, way.level > 9 ? len / 4 : len,
					to, len, &n, NULL),
			1);
		CU_ASSERT(block_memory(b) <= block_memory_to(&way) + 1024);
		CU_ASSERT_EQUAL(block_back(b, way.codec, to, n, from,
					way.level > 9 ? len / 4 : len, NULL),
			0);
		CU_ASSERT(block_memory(b) <= block_memory_to(&way) + BLOCK_MEMORY_BACK);
	}
}

static void words_are_read_strictly(void)
{
	static const char *const bad[] = {"", "gzip", "lz", "lz44", "lz4:1", "none:1",
		"zstd:", "zstd:0", "zstd:-1", "zstd:20", "zstd:1x", "zstd:+1",
		"zstd: 1", "zstd:99999999999999999999", "zstd:1:2", "LZ4", "auto",
		":1"};
	struct block_way way = {.codec = 77};
	struct ebt_err err = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(block_parse(bad[i], &way, &err), -EINVAL);
		CU_ASSERT_EQUAL(way.codec, 77);
	}
	CU_ASSERT_EQUAL(block_parse("none", &way, &err), 0);
	CU_ASSERT_EQUAL(way.codec, BLOCK_NONE);
	CU_ASSERT_EQUAL(block_parse("zstd:7", &way, &err),
		block_has(BLOCK_ZSTD) ? 0 : -ENOTSUP);
	if (block_has(BLOCK_ZSTD))
		CU_ASSERT(way.codec == BLOCK_ZSTD && way.level == 7);
}

static void what_is_not_built_in_is_said_by_name(void)
{
	static const uint32_t codecs[] = {
		BLOCK_NONE, BLOCK_LZ4, BLOCK_ZSTD, 3, UINT32_MAX};
	SCOPED(block_freep) struct block *b = NULL;
	unsigned char byte = 0;
	struct ebt_err err = {0};
	unsigned found = 0;
	size_t n;

	CU_ASSERT_EQUAL(block_new(&b, NULL), 0);
	while (block_at(found) != BLOCK_NONE)
		CU_ASSERT(block_has(block_at(found++)));
	for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
		struct block_way way = {.codec = codecs[i]};

		if (block_has(codecs[i])) {
			found--;
			continue;
		}
		CU_ASSERT_EQUAL(
			block_to(b, &way, &byte, 1, &byte, 1, &n, &err), -ENOTSUP);
		CU_ASSERT_EQUAL(
			block_back(b, codecs[i], &byte, 1, &byte, 1, &err), -ENOTSUP);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not built in"));
		CU_ASSERT_EQUAL(block_memory_to(&way), 0);
	}
	CU_ASSERT_EQUAL(found, 0);
}

static const struct test tests[] = {
	TEST(what_was_compressed_comes_back),
	TEST(what_does_not_shrink_has_no_room),
	TEST(damage_is_an_error_or_other_bytes_but_never_more),
	TEST(contexts_stay_within_what_was_said),
	TEST(words_are_read_strictly),
	TEST(what_is_not_built_in_is_said_by_name),
};
SUITE("codec_block", tests)
