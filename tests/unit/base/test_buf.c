/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/buf.h"
#include "suite.h"

static void numbers_come_back_as_they_went_in(void)
{
	SCOPED_BUF struct buf b = {0};
	struct reader r;

	buf_put8(&b, 0xfe);
	buf_put16(&b, 0xfedc);
	buf_put32(&b, 0xfedcba98);
	buf_put64(&b, 0xfedcba9876543210);
	CU_ASSERT_FATAL(buf_ok(&b));
	CU_ASSERT_EQUAL(b.len, 15);
	CU_ASSERT_EQUAL(b.data[1], 0xdc); /* little-endian */
	r = reader_of(b.data, b.len);
	CU_ASSERT_EQUAL(reader_get8(&r), 0xfe);
	CU_ASSERT_EQUAL(reader_get16(&r), 0xfedc);
	CU_ASSERT_EQUAL(reader_get32(&r), 0xfedcba98);
	CU_ASSERT_EQUAL(reader_get64(&r), 0xfedcba9876543210);
	CU_ASSERT_FALSE(r.failed);
	CU_ASSERT_EQUAL(reader_left(&r), 0);
}

static void reading_past_the_end_is_remembered(void)
{
	struct reader r = reader_of("abc", 3);

	CU_ASSERT_EQUAL(reader_get32(&r), 0);
	CU_ASSERT_TRUE(r.failed);
	CU_ASSERT_EQUAL(reader_get8(&r), 0); /* also what would have fitted */
}

static void an_absurd_extension_fails_without_allocating(void)
{
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_PTR_NULL(buf_extend(&b, SIZE_MAX - 10));
	CU_ASSERT_FALSE(buf_ok(&b));
	buf_put8(&b, 1);
	CU_ASSERT_EQUAL(b.len, 0);
}

static const struct test tests[] = {
	TEST(numbers_come_back_as_they_went_in),
	TEST(reading_past_the_end_is_remembered),
	TEST(an_absurd_extension_fails_without_allocating),
};
SUITE("base_buf", tests)
