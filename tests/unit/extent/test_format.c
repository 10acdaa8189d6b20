/* SPDX-License-Identifier: BSD-3-Clause */
#include "extent/extent.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define CASES 4000

/* Gaps and lengths of all magnitudes. */
static void some_set(unsigned *seed, struct extents *s)
{
	int n = rand_r(seed) % 20;
	uint64_t off = 0;

	extents_clear(s);
	for (int i = 0; i < n; i++) {
		uint64_t gap = (uint64_t)rand_r(seed) >> rand_r(seed) % 31;
		uint64_t len = (uint64_t)rand_r(seed) << rand_r(seed) % 28;

		off += gap;
		CU_ASSERT_EQUAL_FATAL(extents_add(s, off, len), 0);
		off += len;
	}
}

static int decode(const void *data, size_t len, struct extents *s, size_t *left)
{
	struct reader r = reader_of(data, len);
	int res = extents_decode(&r, s);

	*left = reader_left(&r);
	return res;
}

static void a_set_comes_back_as_it_went(void)
{
	SCOPED_EXTENTS struct extents s = {0}, back = {0};
	unsigned seed = 11;
	size_t left;
	int bad = 0;

	for (int c = 0; c < CASES; c++) {
		SCOPED_BUF struct buf b = {0};

		some_set(&seed, &s);
		extents_encode(&s, &b);
		buf_put(&b, "tail", 4);
		CU_ASSERT_FATAL(buf_ok(&b));
		bad += decode(b.data, b.len, &back, &left) != 0;
		bad += left != 4 || !extents_equal(&s, &back);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void the_largest_set_comes_back_too(void)
{
	SCOPED_EXTENTS struct extents s = {0}, back = {0};
	SCOPED_BUF struct buf b = {0};
	size_t left;

	CU_ASSERT_EQUAL(extents_add(&s, 0, 1), 0);
	CU_ASSERT_EQUAL(extents_add(&s, 2, UINT64_MAX - 2), 0);
	extents_encode(&s, &b);
	CU_ASSERT_EQUAL(decode(b.data, b.len, &back, &left), 0);
	CU_ASSERT_TRUE(extents_equal(&s, &back));
	CU_ASSERT_EQUAL(left, 0);
}

static void small_ranges_take_few_bytes(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	SCOPED_BUF struct buf b = {0};

	for (uint64_t i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(extents_add(&s, i * 4096, 47), 0);
	extents_encode(&s, &b);
	CU_ASSERT_EQUAL(b.len, 2 + 1000 * 3 - 1); /* the first gap is one byte */
}

static void every_cut_is_refused(void)
{
	SCOPED_EXTENTS struct extents s = {0}, kept = {0};
	SCOPED_BUF struct buf b = {0};
	unsigned seed = 12;
	size_t left;
	int bad = 0;

	while (s.count < 5)
		some_set(&seed, &s);
	extents_encode(&s, &b);
	CU_ASSERT_EQUAL(extents_add(&kept, 7, 7), 0);
	for (size_t len = 0; len < b.len; len++) {
		bad += decode(b.data, len, &kept, &left) != -EBADMSG;
		bad += kept.count != 1 || kept.x[0].off != 7;
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void what_is_never_written_is_refused(void)
{
	static const struct {
		const char *why;
		size_t len;
		unsigned char data[24];
	} cases[] = {
		{"empty range", 3, {1, 0, 0}},
		{"touching ranges", 5, {2, 0, 1, 0, 1}},
		{"longer form of a number", 4, {1, 0x80, 0, 1}},
		{"more ranges than bytes", 3, {0xff, 0xff, 3}},
		{"number above 64 bits", 12,
			{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				2}},
		{"number without an end", 13,
			{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				0xff, 0xff}},
		{"end above 64 bits", 12,
			{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				1}},
	};
	SCOPED_EXTENTS struct extents s = {0};
	size_t left;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (decode(cases[i].data, cases[i].len, &s, &left) != -EBADMSG)
			CU_FAIL(cases[i].why);
	}
}

/* Whatever is accepted has the one form: written again it is the same bytes. */
static void noise_is_refused_or_a_set(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	unsigned seed = 13;
	int bad = 0, sets = 0;

	for (int c = 0; c < 50 * CASES; c++) {
		SCOPED_BUF struct buf b = {0};
		unsigned char data[16];
		size_t len = (size_t)rand_r(&seed) % (sizeof(data) + 1), left;
		int r;

		for (size_t i = 0; i < len; i++)
			data[i] = (unsigned char)(rand_r(&seed) >> rand_r(&seed) % 24);
		if (len > 0 && c % 2)
			data[0] %= 6;
		r = decode(data, len, &s, &left);
		bad += r != 0 && r != -EBADMSG;
		if (r < 0)
			continue;
		sets++;
		extents_encode(&s, &b);
		bad += b.len != len - left || memcmp(b.data, data, b.len) != 0;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(sets > CASES);
}

static const struct test tests[] = {
	TEST(a_set_comes_back_as_it_went),
	TEST(the_largest_set_comes_back_too),
	TEST(small_ranges_take_few_bytes),
	TEST(every_cut_is_refused),
	TEST(what_is_never_written_is_refused),
	TEST(noise_is_refused_or_a_set),
};
SUITE("extent_format", tests)
