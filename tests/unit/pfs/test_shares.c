/* SPDX-License-Identifier: BSD-3-Clause */
#include "lov.h"
#include "pfs/pfs.h"
#include "suite.h"

static struct pfs_layout *parsed(const struct lov *b)
{
	struct pfs_layout *l = NULL;

	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(b->data, b->len, &l), 0);
	return l;
}

static struct pfs_share of(const struct pfs_shares *s, uint32_t ost)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->share[i].ost == ost)
			return s->share[i];
	return (struct pfs_share){0};
}

static void add(struct pfs_shares *s, const struct pfs_layout *l, uint64_t file,
	uint64_t start, uint64_t end)
{
	CU_ASSERT_EQUAL_FATAL(pfs_shares_add(s, l, file, start, end, NULL), 0);
}

static void stripes_take_turns(void)
{
	SCOPED_SHARES struct pfs_shares s = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	lov_plain(&b, LOV_V1, 100, 3, 7);
	l = parsed(&b);
	add(&s, l, 1, 0, 750); /* two rounds, then 100 and 50 */
	CU_ASSERT_EQUAL(s.count, 3);
	CU_ASSERT_EQUAL(of(&s, 7).bytes, 300);
	CU_ASSERT_EQUAL(of(&s, 8).bytes, 250);
	CU_ASSERT_EQUAL(of(&s, 9).bytes, 200);
	CU_ASSERT_EQUAL(s.bytes, 750);
}

/* The second component starts within its stripe 1, on OST 11, not with its stripe 0. */
static void a_component_counts_stripes_from_the_file_s_start(void)
{
	SCOPED_SHARES struct pfs_shares s = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};
	size_t at;

	lov_composite(&b, 2);
	at = lov_plain(&b, LOV_V1, 100, 1, 3);
	lov_component(&b, 0, LOV_INIT, 0, 150, at);
	at = lov_plain(&b, LOV_V1, 100, 2, 10);
	lov_component(&b, 1, LOV_INIT, 150, LOV_EOF, at);
	l = parsed(&b);
	add(&s, l, 1, 0, 210);
	CU_ASSERT_EQUAL(of(&s, 3).bytes, 150);
	CU_ASSERT_EQUAL(of(&s, 11).bytes, 50); /* [150, 200) is stripe 1 */
	CU_ASSERT_EQUAL(of(&s, 10).bytes, 10); /* [200, 210) is stripe 0 again */
}

static void what_has_no_object_is_not_counted(void)
{
	SCOPED_SHARES struct pfs_shares s = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	lov_progressive(&b);
	l = parsed(&b);
	add(&s, l, 1, 0, 3ull << 30);
	CU_ASSERT_EQUAL(s.bytes, 1 << 30);
}

/* Byte by byte, as the rule is written. */
static void sums_agree_with_the_rule(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};
	size_t at;

	lov_composite(&b, 3);
	at = lov_plain(&b, LOV_V1, 5, 1, 0);
	lov_component(&b, 0, LOV_INIT, 0, 13, at);
	at = lov_plain(&b, LOV_V3, 7, 3, 1);
	lov_component(&b, 1, LOV_INIT, 13, 60, at);
	at = lov_plain(&b, LOV_V3, 4, 5, 2);
	lov_component(&b, 2, LOV_INIT, 70, LOV_EOF, at);
	l = parsed(&b);
	for (uint64_t start = 0; start < 120; start += 3) {
		for (uint64_t end = start; end < 130; end++) {
			SCOPED_SHARES struct pfs_shares s = {0};
			uint64_t want[8] = {0};
			bool same = true;

			for (uint64_t o = start; o < end; o++) {
				if (o < 13)
					want[0]++;
				else if (o < 60)
					want[1 + o / 7 % 3]++;
				else if (o >= 70)
					want[2 + o / 4 % 5]++;
			}
			add(&s, l, 1, start, end);
			for (uint32_t k = 0; k < 8; k++)
				same = same && of(&s, k).bytes == want[k];
			CU_ASSERT_TRUE(same);
		}
	}
}

static void a_file_counts_once_on_an_ost(void)
{
	SCOPED_SHARES struct pfs_shares s = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	lov_plain(&b, LOV_V1, 100, 2, 7);
	lov_put32(&b, 32 + 24 + 20, 7); /* overstriped: two objects on one OST */
	l = parsed(&b);
	add(&s, l, 1, 0, 400);
	add(&s, l, 1, 1000, 1100);
	add(&s, l, 2, 0, 1);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT_EQUAL(of(&s, 7).files, 2);
	CU_ASSERT_EQUAL(of(&s, 7).bytes, 501);
}

static void shares_are_in_order_of_the_index(void)
{
	static const uint32_t osts[] = {500, 3, 0xffffffff, 0, 44};
	SCOPED_SHARES struct pfs_shares s = {0};
	bool ascending = true;

	for (uint32_t i = 0; i < 200; i++) {
		SCOPED_LAYOUT struct pfs_layout *l = NULL;
		struct lov b = {0};

		lov_plain(&b, LOV_V1, 100, 1, i < 5 ? osts[i] : 1000 - i);
		l = parsed(&b);
		add(&s, l, i + 1, 0, 10);
	}
	CU_ASSERT_EQUAL(s.count, 200);
	for (size_t i = 1; i < s.count; i++)
		ascending = ascending && s.share[i - 1].ost < s.share[i].ost;
	CU_ASSERT_TRUE(ascending);
}

static void the_largest_file_does_not_overflow(void)
{
	SCOPED_SHARES struct pfs_shares s = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	lov_plain(&b, LOV_V1, 0xffffffff, 300, 0);
	l = parsed(&b);
	add(&s, l, 1, 0, UINT64_MAX);
	CU_ASSERT_EQUAL(s.bytes, UINT64_MAX);
}

static const struct test tests[] = {
	TEST(stripes_take_turns),
	TEST(a_component_counts_stripes_from_the_file_s_start),
	TEST(what_has_no_object_is_not_counted),
	TEST(sums_agree_with_the_rule),
	TEST(a_file_counts_once_on_an_ost),
	TEST(shares_are_in_order_of_the_index),
	TEST(the_largest_file_does_not_overflow),
};
SUITE("pfs_shares", tests)
