/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/digest.h"

#include <string.h>

#include "suite.h"

static void zeros_of_any_length_count_as_nothing(void)
{
	static const char zeros[DIGEST_LEAF];
	struct ebt_digest none = {0};

	for (size_t len = 0; len <= DIGEST_LEAF; len = len * 3 + 1)
		CU_ASSERT_TRUE(digest_equal(digest_leaf(zeros, len, 7), none));
}

static void a_single_bit_anywhere_changes_a_leaf(void)
{
	static char data[DIGEST_LEAF];
	struct ebt_digest none = {0};

	for (size_t at = 0; at < sizeof(data); at += 4093) {
		data[at] = 1;
		CU_ASSERT_FALSE(digest_equal(digest_leaf(data, sizeof(data), 0), none));
		data[at] = 0;
	}
}

static void the_same_bytes_elsewhere_differ(void)
{
	CU_ASSERT_FALSE(
		digest_equal(digest_leaf("abc", 3, 0), digest_leaf("abc", 3, 1)));
}

static struct ebt_digest run_of(unsigned n, unsigned swapped)
{
	struct digest_run run = {0};

	for (unsigned i = 0; i < n; i++)
		digest_run_add(&run, (struct ebt_digest){i == swapped	    ? i + 1
							 : i == swapped + 1 ? i - 1
									    : i,
					     1});
	return digest_run_end(&run);
}

static void a_run_depends_on_order_and_length(void)
{
	CU_ASSERT_TRUE(digest_equal(run_of(300, 1000), run_of(300, 1000)));
	CU_ASSERT_FALSE(digest_equal(run_of(300, 1000), run_of(299, 1000)));
	for (unsigned i = 0; i < 299; i++)
		CU_ASSERT_FALSE(digest_equal(run_of(300, i), run_of(300, 1000)));
}

static const struct test tests[] = {
	TEST(zeros_of_any_length_count_as_nothing),
	TEST(a_single_bit_anywhere_changes_a_leaf),
	TEST(the_same_bytes_elsewhere_differ),
	TEST(a_run_depends_on_order_and_length),
};
SUITE("base_digest", tests)
