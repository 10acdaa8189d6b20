/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/text.h"

#include <math.h>
#include <string.h>

#include "suite.h"

static void sizes_are_binary(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"1", 1}, {"64M", 64 << 20}, {"1.5k", 1536},
		{"2GiB", 2ull << 30}, {"4T", 4ull << 40}, {"17b", 17}};
	static const char *bad[] = {
		"", "M", "-1", "1X", "1 M", "nan", "inf", "0x10", "1e30T", "+1"};
	uint64_t v;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(text_parse_size(good[i].text, &v, NULL), 0);
		CU_ASSERT_EQUAL(v, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT(text_parse_size(bad[i], &v, NULL) < 0);
}

static void rates_are_decimal_and_bits_are_said(void)
{
	static const struct {
		const char *text;
		double rate;
	} good[] = {{"25G", 25e9}, {"25GB/s", 25e9}, {"200mbit", 25e6},
		{"200Mbit/s", 25e6}, {"100gbit", 12.5e9}, {"1.5k", 1500},
		{"200Mb/s", 25e6}, {"200MB/s", 200e6}, {"8b", 1}};
	double v;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(text_parse_rate(good[i].text, &v, NULL), 0);
		CU_ASSERT_DOUBLE_EQUAL(v, good[i].rate, 1e-6);
	}
	CU_ASSERT(text_parse_rate("0", &v, NULL) < 0);
	CU_ASSERT(text_parse_rate("fast", &v, NULL) < 0);
}

static void times_have_units(void)
{
	double v;

	CU_ASSERT_EQUAL(text_parse_time("2m", &v, NULL), 0);
	CU_ASSERT_DOUBLE_EQUAL(v, 120, 1e-9);
	CU_ASSERT_EQUAL(text_parse_time("2us", &v, NULL), 0);
	CU_ASSERT_DOUBLE_EQUAL(v, 2e-6, 1e-12);
	CU_ASSERT(text_parse_time("soon", &v, NULL) < 0);
}

static void names_are_made_safe_for_a_terminal(void)
{
	char out[64];

	CU_ASSERT_STRING_EQUAL(text_name("plain", out, sizeof(out)), "plain");
	CU_ASSERT_STRING_EQUAL(
		text_name("a\nb\\c\x1b", out, sizeof(out)), "a\\nb\\\\c\\033");
	CU_ASSERT_STRING_EQUAL(text_name("gr\xc3\xbc\xc3\x9f", out, sizeof(out)),
		"gr\xc3\xbc\xc3\x9f");
	CU_ASSERT_STRING_EQUAL(
		text_name("x\xff\xc0\x80", out, sizeof(out)), "x\\377\\300\\200");
	CU_ASSERT_STRING_EQUAL(text_name("0123456789abcdef", out, 12), "01234...");
}

static void json_strings_are_valid(void)
{
	char out[64];

	CU_ASSERT_STRING_EQUAL(text_json("a\"\\\n\xff", out, sizeof(out)),
		"\"a\\\"\\\\\\u000a\xef\xbf\xbd\"");
	CU_ASSERT(strlen(text_json("0123456789012345678901234567890", out, 20)) < 20);
}

static const struct test tests[] = {
	TEST(sizes_are_binary),
	TEST(rates_are_decimal_and_bits_are_said),
	TEST(times_have_units),
	TEST(names_are_made_safe_for_a_terminal),
	TEST(json_strings_are_valid),
};
SUITE("base_text", tests)
