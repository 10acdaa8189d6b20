/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "lov.h"
#include "pfs/pfs_internal.h"
#include "suite.h"

static const uint32_t three[] = {9, 0, 0xfffe};

static ssize_t encode(const struct pfs_stripes *w, struct lov *b)
{
	ssize_t len = pfs_lustre_encode(w, b->data, sizeof(b->data));

	b->len = len > 0 ? (size_t)len : 0;
	return len;
}

static void a_list_is_a_specific_request_byte_by_byte(void)
{
	static const unsigned char want[48 + 3 * 24] = {
		[0] = 0xd0,
		0x0b,
		0xd5,
		0x0b,	     /* magic */
		[4] = 1,     /* RAID 0 */
		[26] = 0x40, /* 4 MiB */
		[28] = 3,    /* stripes */
		[30] = 0xff,
		0xff, /* starts with the first of the list */
		[48 + 20] = 9,
		[48 + 48 + 20] = 0xfe,
		0xff, /* the second is 0 */
	};
	struct pfs_stripes w = {4 << 20, 3, three};
	struct lov b = {0};

	memset(b.data, 0xee, sizeof(b.data));
	CU_ASSERT_EQUAL_FATAL(encode(&w, &b), sizeof(want));
	CU_ASSERT_EQUAL(memcmp(b.data, want, sizeof(want)), 0);
	CU_ASSERT_EQUAL(b.data[sizeof(want)], 0xee);
}

static void without_a_list_there_are_no_entries(void)
{
	static const unsigned char want[32] = {
		[0] = 0xd0,
		0x0b,
		0xd1,
		0x0b,
		[4] = 1,
		[26] = 1, /* 64 KiB */
		[28] = 0xd0,
		0x07,
		[30] = 0xff,
		0xff,
	};
	struct pfs_stripes w = {65536, 2000, NULL};
	struct lov b = {0};

	memset(b.data, 0xee, sizeof(b.data));
	CU_ASSERT_EQUAL_FATAL(encode(&w, &b), sizeof(want));
	CU_ASSERT_EQUAL(memcmp(b.data, want, sizeof(want)), 0);
}

static void an_ost_named_twice_asks_for_overstriping(void)
{
	static const uint32_t osts[] = {7, 3, 7};
	struct pfs_stripes w = {0, 3, osts};
	struct lov b = {0};

	CU_ASSERT_FATAL(encode(&w, &b) > 0);
	CU_ASSERT_EQUAL(b.data[4], 1);
	CU_ASSERT_EQUAL(b.data[5], 2);
	w.count = 2;
	CU_ASSERT_FATAL(encode(&w, &b) > 0);
	CU_ASSERT_EQUAL(b.data[5], 0);
}

static void what_no_lustre_takes_is_refused(void)
{
	static uint32_t many[PFS_STRIPES_MAX + 1];
	static const uint32_t none[] = {1, 0xffff}, wide[] = {0x10000};
	static const struct pfs_stripes cases[] = {
		{1 << 20, 0, three},
		{1 << 20, PFS_STRIPES_MAX + 1, NULL},
		{1 << 20, PFS_STRIPES_MAX + 1, many},
		{1 << 20, UINT32_MAX, NULL},
		{65535, 1, NULL},
		{65536 + 4096, 1, three},
		{1, 1, NULL},
		{1 << 20, 2, none},
		{1 << 20, 1, wide},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lov b = {0};

		CU_ASSERT_EQUAL(encode(&cases[i], &b), -EINVAL);
	}
}

static void a_short_buffer_is_not_written(void)
{
	struct pfs_stripes w = {1 << 20, 3, three};
	unsigned char lov[48 + 3 * 24];

	memset(lov, 0xee, sizeof(lov));
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, lov, sizeof(lov) - 1), -ERANGE);
	CU_ASSERT_EQUAL(lov[0], 0xee);
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, lov, sizeof(lov)), sizeof(lov));
}

static void the_widest_list_fits_the_promised_buffer(void)
{
	static unsigned char lov[PFS_LUSTRE_ENCODE_MAX];
	static uint32_t osts[PFS_STRIPES_MAX];
	struct pfs_stripes w = {1 << 20, PFS_STRIPES_MAX, osts};

	for (uint32_t i = 0; i < PFS_STRIPES_MAX; i++)
		osts[i] = i;
	CU_ASSERT_EQUAL(
		pfs_lustre_encode(&w, lov, sizeof(lov)), 48 + 24 * PFS_STRIPES_MAX);
	CU_ASSERT_EQUAL(lov[5], 0);
}

/* The attribute of the file that comes of it has V3's magic and objects. */
static struct pfs_layout *as_made(struct lov *b)
{
	struct pfs_layout *l = NULL;

	lov_put32(b, 0, LOV_V3);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(b->data, b->len, &l), 0);
	return l;
}

static void a_request_reads_back_as_it_was(void)
{
	struct pfs_stripes w = {1 << 20, 3, three};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	CU_ASSERT_FATAL(encode(&w, &b) > 0);
	l = as_made(&b);
	CU_ASSERT_EQUAL(l->n_parts, 1);
	CU_ASSERT_EQUAL(l->parts[0].stripe_size, 1 << 20);
	CU_ASSERT_EQUAL(l->n_osts, 3);
	CU_ASSERT_EQUAL(memcmp(l->osts, three, sizeof(three)), 0);
	CU_ASSERT_TRUE(pfs_layout_keeps(l, &w));
}

static void any_difference_from_the_wish_is_seen(void)
{
	static const uint32_t other[] = {9, 1, 0xfffe}, turned[] = {0, 0xfffe, 9};
	static const struct {
		struct pfs_stripes wish;
		bool kept;
	} cases[] = {
		{{1 << 20, 3, three}, true},
		{{1 << 20, 3, NULL}, true},
		{{0, 3, three}, true},
		{{2 << 20, 3, three}, false},
		{{1 << 20, 2, three}, false},
		{{1 << 20, 4, NULL}, false},
		{{1 << 20, 3, other}, false},
		{{1 << 20, 3, turned}, false},
	};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	encode(&cases[0].wish, &b);
	l = as_made(&b);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(pfs_layout_keeps(l, &cases[i].wish), cases[i].kept);
}

static void a_layout_in_parts_keeps_no_wish(void)
{
	static const uint32_t first[] = {3};
	struct pfs_stripes w = {1 << 20, 1, first};
	SCOPED_LAYOUT struct pfs_layout *l = NULL, *none = NULL;
	struct lov b = {0};

	lov_progressive(&b);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(b.data, b.len, &l), 0);
	CU_ASSERT_FALSE(pfs_layout_keeps(l, &w));
	b.len = 0;
	lov_plain(&b, LOV_V1, 1 << 20, 0, 0);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(b.data, b.len, &none), 0);
	CU_ASSERT_FALSE(pfs_layout_keeps(none, &w));
}

static const struct test tests[] = {
	TEST(a_list_is_a_specific_request_byte_by_byte),
	TEST(without_a_list_there_are_no_entries),
	TEST(an_ost_named_twice_asks_for_overstriping),
	TEST(what_no_lustre_takes_is_refused),
	TEST(a_short_buffer_is_not_written),
	TEST(the_widest_list_fits_the_promised_buffer),
	TEST(a_request_reads_back_as_it_was),
	TEST(any_difference_from_the_wish_is_seen),
	TEST(a_layout_in_parts_keeps_no_wish),
};
SUITE("pfs_encode", tests)
