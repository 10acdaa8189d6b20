/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan/place_internal.h"
#include "suite.h"

#define KIB 1024ull
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

/* Those of a file of @size bytes where each of @usable targets takes the same of @total. */
static struct place_stripes stripes_of(
	const struct place_rules *r, uint64_t size, uint64_t total, uint32_t usable)
{
	uint64_t share = total / usable + (total % usable != 0);

	return place_stripes_of(r, size, place_count_min(r, size, share, usable));
}

static void stripes_follow_from_size_and_rules(void)
{
	static const struct {
		uint32_t count, max;
		uint64_t stripe, size, total;
		uint32_t usable;
		uint32_t want_count;
		uint64_t want_size;
	} cases[] = {
		/* auto: no more than a share stays whole */
		{0, 0, 0, 0, 0, 16, 1, 4 * MIB},
		{0, 0, 0, 1, 1, 16, 1, 4 * MIB},
		{0, 0, 0, 0, TIB, 16, 1, 4 * MIB},
		{0, 0, 0, 16 * MIB, 16 * MIB, 1, 1, 4 * MIB},
		{0, 0, 0, 16 * MIB, 16 * MIB, 3, 3, 4 * MIB},
		{0, 0, 0, 16 * MIB, 32 * MIB, 2, 1, 4 * MIB},
		/* no object is below 4 MiB */
		{0, 0, 0, 16 * MIB, 16 * MIB, 16, 4, 4 * MIB},
		{0, 0, 0, 20 * MIB - 1, 20 * MIB - 1, 16, 4, 4 * MIB},
		{0, 0, 0, 20 * MIB, 20 * MIB, 16, 5, 4 * MIB},
		{0, 0, 0, 100 * GIB, 100 * GIB, 16, 16, 4 * MIB},
		{0, 0, 0, GIB, 40 * GIB, 16, 1, 4 * MIB},
		{0, 0, 0, 64 * GIB, TIB, 16, 1, 4 * MIB},
		{0, 0, 0, 64 * GIB + 1, TIB, 16, 2, 4 * MIB},
		{0, 0, 0, 512 * GIB, TIB, 16, 8, 4 * MIB},
		/* the site's limit, and the file system's */
		{0, 8, 0, 100 * GIB, 100 * GIB, 16, 8, 4 * MIB},
		{0, 8, 0, 100 * GIB, 100 * GIB, 3, 3, 4 * MIB},
		{0, 0, 0, 100 * TIB, 100 * TIB, 4000, 2000, 4 * MIB},
		/* nor below a stripe */
		{0, 0, GIB, 2 * GIB + 1, 2 * GIB + 1, 64, 2, GIB},
		{0, 0, 64 * KIB, 32 * MIB, 32 * MIB, 16, 8, 64 * KIB},
		/* fixed */
		{4, 0, 0, 100 * GIB, 100 * GIB, 16, 4, 4 * MIB},
		{4, 0, 0, 100 * GIB, 100 * GIB, 2, 2, 4 * MIB},
		{4, 0, MIB, 100 * GIB, 100 * GIB, 16, 4, MIB},
		/* but no object is empty */
		{4, 0, 0, 16 * MIB - 1, 16 * MIB, 16, 4, 4 * MIB},
		{4, 0, 0, 12 * MIB, 16 * MIB, 16, 3, 4 * MIB},
		{4, 0, 0, 4 * MIB, 16 * MIB, 16, 1, 4 * MIB},
		{4, 0, 0, 1, 1, 16, 1, 4 * MIB},
		{4, 0, 0, 0, 0, 16, 1, 4 * MIB},
		{4, 0, MIB, 4 * MIB, 16 * MIB, 16, 4, MIB},
		{4, 0, 0, GIB, 128 * GIB, 16, 4, 4 * MIB},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct place_rules r = {.stripe_count = cases[i].count,
			.max_stripe_count = cases[i].max,
			.stripe_size = cases[i].stripe};
		struct place_stripes s =
			stripes_of(&r, cases[i].size, cases[i].total, cases[i].usable);

		CU_ASSERT_EQUAL(place_rules_check(&r, NULL), 0);
		if (s.count != cases[i].want_count || s.size != cases[i].want_size) {
			printf("case %zu: %u stripes of %llu\n", i, s.count,
				(unsigned long long)s.size);
			CU_FAIL("stripes differ");
		}
	}
}

static void without_targets_each_writer_has_one_range(void)
{
	struct place_rules r = {.plain = true};
	unsigned seed = 21;
	int bad = 0;

	for (int c = 0; c < 20000; c++) {
		uint64_t size = (uint64_t)rand_r(&seed) << rand_r(&seed) % 20;
		uint32_t writers = 1 + (uint32_t)rand_r(&seed) % 100;
		struct place_stripes s = stripes_of(&r, size, size, writers);

		bad += s.size == 0 || s.size % PLACE_STRIPE_SIZE != 0;
		bad += s.count < 1 || s.count > writers;
		bad += s.size * s.count < size; /* a second range would begin */
		bad += s.count > 1 && s.size * (s.count - 1) >= size; /* one is empty */
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void objects_add_up_and_differ_by_a_stripe_at_most(void)
{
	unsigned seed = 22;
	int bad = 0;

	for (int c = 0; c < 5000; c++) {
		uint64_t size = (uint64_t)rand_r(&seed) % (300 * MIB), sum = 0;
		struct place_stripes s = {
			.size = PLACE_STRIPE_UNIT * (1 + (uint64_t)rand_r(&seed) % 64),
			.count = 1 + (uint32_t)rand_r(&seed) % 40,
		};
		uint64_t first = place_object_bytes(size, &s, 0);
		uint64_t last = place_object_bytes(size, &s, s.count - 1);
		uint64_t before = first, want = 0;
		uint32_t object = (uint32_t)rand_r(&seed) % s.count;

		for (uint32_t i = 0; i < s.count; i++) {
			uint64_t bytes = place_object_bytes(size, &s, i);

			bad += bytes > before;
			before = bytes;
			sum += bytes;
		}
		/* The same the long way: stripe by stripe. */
		for (uint64_t at = object * s.size; at < size; at += s.count * s.size)
			want += size - at < s.size ? size - at : s.size;
		bad += want != place_object_bytes(size, &s, object);
		bad += sum != size || first - last > s.size;
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void bad_rules_are_refused_in_words(void)
{
	static const struct {
		struct place_rules rules;
		const char *word;
	} cases[] = {
		{{.stripe_size = 65537}, "64 KiB"},
		{{.stripe_size = 1}, "64 KiB"},
		{{.stripe_size = 4 * GIB}, "4 GiB"},
		{{.stripe_count = 2001}, "2001"},
		{{.max_stripe_count = 9999}, "9999"},
		{{.stripe_count = 9, .max_stripe_count = 8}, "limit of 8"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ebt_err err = {0};

		CU_ASSERT_EQUAL(place_rules_check(&cases[i].rules, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].word));
	}
}

/* Then everybody can know all of them. */
static void big_files_are_few(void)
{
	unsigned seed = 23;
	int bad = 0;

	for (int c = 0; c < 20000; c++) {
		uint64_t total = (uint64_t)rand_r(&seed) << rand_r(&seed) % 24;
		uint32_t usable = 1 + (uint32_t)rand_r(&seed) % 2000;
		uint64_t most = (uint64_t)PLACE_BIG_PER_TARGET * usable;
		uint64_t files = 1 + (uint64_t)rand_r(&seed) % (4 * most);
		uint64_t min = place_big_min(total, files, usable);

		bad += files <= most ? min != 1 : total / min > most;
		/* Nor fewer than need be: a byte less, and there could be too many. */
		bad += files > most && min > 1 && total / (min - 1) < most;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(place_big_min(1000, 10, 0), UINT64_MAX);
	CU_ASSERT_EQUAL(place_big_min(UINT64_MAX, UINT64_MAX, 1), UINT64_MAX / 8 + 1);
}

static const struct test tests[] = {
	TEST(stripes_follow_from_size_and_rules),
	TEST(without_targets_each_writer_has_one_range),
	TEST(objects_add_up_and_differ_by_a_stripe_at_most),
	TEST(bad_rules_are_refused_in_words),
	TEST(big_files_are_few),
};
SUITE("plan_place_rules", tests)
