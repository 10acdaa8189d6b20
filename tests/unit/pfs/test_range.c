/* SPDX-License-Identifier: BSD-3-Clause */
#include "pfs/pfs.h"
#include "suite.h"

#define MIB (1ull << 20)

/* Two OSTs from 1 MiB on, as far as there is content, and nothing known before. */
static struct pfs_layout *two(void)
{
	struct pfs_layout *l =
		malloc(sizeof(*l) + sizeof(l->parts[0]) + 2 * sizeof(*l->osts));

	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	l->n_parts = 1;
	l->n_osts = 2;
	l->osts = (uint32_t *)&l->parts[1];
	l->osts[0] = 7;
	l->osts[1] = 9;
	l->parts[0] = (struct pfs_part){
		.start = MIB, .end = UINT64_MAX, .stripe_size = MIB, .stripe_count = 2};
	return l;
}

/* Byte @off of the range is on this OST; -1: on none. */
static int64_t ost_of(const struct pfs_layout *l, uint64_t off)
{
	for (uint32_t k = 0; k < l->n_parts; k++) {
		if (off >= l->parts[k].start && off < l->parts[k].end)
			return l->osts[l->parts[k].first];
	}
	return -1;
}

static void each_byte_is_where_the_file_has_it(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = two();
	SCOPED_LAYOUT struct pfs_layout *got = NULL;
	uint64_t at = 512, len = 5 * MIB;

	CU_ASSERT_EQUAL_FATAL(pfs_layout_range(l, at, len, 100, &got), 1);
	for (uint64_t off = 0; off < len; off += 4096 - 512) {
		uint64_t byte = at + off;
		int64_t want = byte < MIB ? -1 : byte / MIB % 2 ? 9 : 7;

		CU_ASSERT_EQUAL(ost_of(got, off), want);
	}
	CU_ASSERT_EQUAL(ost_of(got, len), -1);
}

static void one_object_is_one_part(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = two();
	SCOPED_LAYOUT struct pfs_layout *got = NULL;

	l->parts[0].stripe_count = 1;
	CU_ASSERT_EQUAL_FATAL(pfs_layout_range(l, 3 * MIB, 1ull << 40, 1, &got), 1);
	CU_ASSERT_EQUAL(got->n_parts, 1);
	CU_ASSERT_EQUAL(got->parts[0].start, 0);
	CU_ASSERT_EQUAL(got->parts[0].end, 1ull << 40);
}

static void too_many_parts_are_none(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = two();
	struct pfs_layout *got = NULL;

	CU_ASSERT_EQUAL(pfs_layout_range(l, MIB, 1ull << 60, 1000, &got), 0);
	CU_ASSERT_EQUAL(pfs_layout_range(l, UINT64_MAX - 5, 6, 1000, &got), 0);
	CU_ASSERT_PTR_NULL(got);
}

static const struct test tests[] = {
	TEST(each_byte_is_where_the_file_has_it),
	TEST(one_object_is_one_part),
	TEST(too_many_parts_are_none),
};
SUITE("pfs_range", tests)
