/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "lov.h"
#include "pfs/pfs.h"
#include "suite.h"

/* Parsed from a block of its own length, so that a sanitizer sees a byte read too many. */
static int parse(const struct lov *b, size_t len, struct pfs_layout **out)
{
	SCOPED_FREE unsigned char *copy = malloc(len + 1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy + 1, b->data, len); /* and nothing is aligned */
	return pfs_lustre_parse(copy + 1, len, out);
}

static void is_damaged(const struct lov *b, size_t len)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;

	CU_ASSERT_EQUAL(parse(b, len, &l), -EBADMSG);
	CU_ASSERT_PTR_NULL(l);
}

static struct pfs_layout *parsed(const struct lov *b)
{
	struct pfs_layout *l = NULL;

	CU_ASSERT_EQUAL(parse(b, b->len, &l), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	return l;
}

static void part_is(const struct pfs_layout *l, uint32_t i, uint64_t start,
	uint64_t end, uint32_t count, uint32_t ost)
{
	CU_ASSERT_FATAL(i < l->n_parts);
	CU_ASSERT_EQUAL(l->parts[i].start, start);
	CU_ASSERT_EQUAL(l->parts[i].end, end);
	CU_ASSERT_EQUAL_FATAL(l->parts[i].stripe_count, count);
	for (uint32_t k = 0; k < count; k++)
		CU_ASSERT_EQUAL(l->osts[l->parts[i].first + k], ost + k);
}

static void objects_of_v1_and_v3_are_found(void)
{
	static const uint32_t magic[] = {LOV_V1, LOV_V3};

	for (int i = 0; i < 2; i++) {
		struct lov b = {0};
		SCOPED_LAYOUT struct pfs_layout *l = NULL;

		lov_plain(&b, magic[i], 1 << 20, 5, 7);
		l = parsed(&b);
		CU_ASSERT_EQUAL(l->n_parts, 1);
		part_is(l, 0, 0, LOV_EOF, 5, 7);
		CU_ASSERT_EQUAL(l->parts[0].stripe_size, 1 << 20);
	}
}

static void the_widest_layout_fits(void)
{
	static unsigned char lov[48 + 24 * 2000];
	struct lov head = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;

	lov_plain(&head, LOV_V3, 1 << 20, 0, 0);
	lov_put16(&head, 28, 2000);
	memcpy(lov, head.data, 48);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(lov, sizeof(lov), &l), 0);
	CU_ASSERT_EQUAL(l->n_osts, 2000);
}

static void every_truncation_is_found(void)
{
	struct lov b[3] = {{.len = 0}};

	lov_plain(&b[0], LOV_V1, 1 << 20, 3, 0);
	lov_plain(&b[1], LOV_V3, 1 << 20, 3, 0);
	lov_progressive(&b[2]);
	for (int i = 0; i < 3; i++)
		for (size_t len = 0; len < b[i].len; len++)
			is_damaged(&b[i], len);
}

static void more_than_an_attribute_can_hold_is_refused(void)
{
	static unsigned char lov[PFS_LOV_MAX + 1];
	struct pfs_layout *l = NULL;
	struct lov b = {0};

	lov_plain(&b, LOV_V1, 1 << 20, 1, 0);
	memcpy(lov, b.data, b.len);
	CU_ASSERT_EQUAL(pfs_lustre_parse(lov, sizeof(lov), &l), -EBADMSG);
	CU_ASSERT_PTR_NULL(l);
}

static void other_magic_numbers_are_refused(void)
{
	static const uint32_t magic[] = {0, 0xffffffff, 0x0bd20bd0, 0xd00bd10b,
		LOV_FOREIGN, LOV_SPECIFIC, LOV_EXTENDING};

	for (size_t i = 0; i < sizeof(magic) / sizeof(magic[0]); i++) {
		struct lov b = {0};

		lov_plain(&b, LOV_V3, 1 << 20, 2, 0);
		lov_put32(&b, 0, magic[i]);
		is_damaged(&b, b.len);
	}
}

static void more_objects_than_bytes_are_refused(void)
{
	struct lov b = {0};

	lov_plain(&b, LOV_V1, 1 << 20, 2, 0);
	lov_put16(&b, 28, 3);
	is_damaged(&b, b.len);
	lov_put16(&b, 28, 0xffff);
	is_damaged(&b, b.len);
}

static void a_stripe_size_of_zero_is_refused(void)
{
	struct lov b = {0};

	lov_plain(&b, LOV_V1, 0, 2, 0);
	is_damaged(&b, b.len);
}

static void a_file_without_objects_has_no_parts(void)
{
	static const struct {
		unsigned count;
		uint32_t size, pattern;
	} cases[] = {
		{0, 1 << 20, 1}, {0, 0, 1},
		{0, 0, 0x100},		  /* data on the metadata target */
		{4, 1 << 20, 0x80000001}, /* archived: a count, but no entries */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lov b = {0};
		SCOPED_LAYOUT struct pfs_layout *l = NULL;

		lov_plain(&b, LOV_V1, cases[i].size, 0, 0);
		lov_put16(&b, 28, cases[i].count);
		lov_put32(&b, 4, cases[i].pattern);
		l = parsed(&b);
		CU_ASSERT_EQUAL(l->n_parts, 0);
	}
}

static void patterns_that_deal_bytes_out_otherwise_are_refused(void)
{
	static const uint32_t pattern[] = {0, 2, 3, 4, 0x400, 0x801, 0x40000001};

	for (size_t i = 0; i < sizeof(pattern) / sizeof(pattern[0]); i++) {
		struct lov b = {0};

		lov_plain(&b, LOV_V3, 1 << 20, 2, 0);
		lov_put32(&b, 4, pattern[i]);
		is_damaged(&b, b.len);
	}
}

static void objects_may_share_an_ost(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	lov_plain(&b, LOV_V3, 1 << 20, 2, 7);
	lov_put32(&b, 4, 0x201);
	lov_put32(&b, 48 + 24 + 20, 7);
	l = parsed(&b);
	CU_ASSERT_EQUAL(l->n_osts, 2);
	CU_ASSERT_EQUAL(l->osts[0], 7);
	CU_ASSERT_EQUAL(l->osts[1], 7);
}

/* Data on the metadata target up to 1 MiB, as "lfs setstripe -E 1M -L mdt -E -1" makes it. */
static void a_component_on_the_metadata_target_has_no_part(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};
	size_t at;

	lov_composite(&b, 2);
	at = lov_plain(&b, LOV_V1, 1 << 20, 0, 0);
	lov_put32(&b, at + 4, 0x100);
	lov_component(&b, 0, LOV_INIT, 0, 1 << 20, at);
	at = lov_plain(&b, LOV_V1, 1 << 20, 2, 5);
	lov_component(&b, 1, LOV_INIT, 1 << 20, LOV_EOF, at);
	l = parsed(&b);
	CU_ASSERT_EQUAL(l->n_parts, 1);
	part_is(l, 0, 1 << 20, LOV_EOF, 2, 5);
}

static void components_that_are_not_there_yet_have_no_part(void)
{
	struct lov b = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;

	lov_progressive(&b);
	l = parsed(&b);
	CU_ASSERT_EQUAL(l->n_parts, 2);
	part_is(l, 0, 0, 1 << 20, 1, 3);
	part_is(l, 1, 1 << 20, 1 << 30, 4, 10);
}

static void a_foreign_component_has_no_part(void)
{
	struct lov b = {0};
	SCOPED_LAYOUT struct pfs_layout *l = NULL;

	lov_progressive(&b);
	lov_put32(&b, 32 + 3 * 48, LOV_FOREIGN);
	l = parsed(&b);
	CU_ASSERT_EQUAL(l->n_parts, 1);
	part_is(l, 0, 1 << 20, 1 << 30, 4, 10);
}

static void damaged_composites_are_refused(void)
{
	static const struct {
		size_t at, width;
		uint64_t value;
	} cases[] = {
		{4, 4, 0},		      /* total size */
		{4, 4, 31},		      /* smaller than the head */
		{4, 4, 32 + 3 * 48 - 1},      /* smaller than the components */
		{4, 4, 0x7fffffff},	      /* beyond the end */
		{14, 2, 0},		      /* no component */
		{14, 2, 0xffff},	      /* more than there is room for */
		{32 + 24, 4, 0xffffffff},     /* layout beyond the end */
		{32 + 24, 4, 0},	      /* a composite in a composite */
		{32 + 28, 4, 0xffffffff},     /* too long */
		{32 + 28, 4, 0},	      /* none */
		{32 + 28, 4, 31},	      /* short of a head */
		{32 + 28, 4, 32},	      /* short of an entry */
		{32 + 48 + 28, 4, 40},	      /* V3 short of its pool */
		{32 + 8, 8, (1 << 20) + 1},   /* starts after its end */
		{32 + 3 * 48, 4, 0x12345678}, /* no layout */
		{32 + 3 * 48 + 24, 4, 0},     /* stripe size */
		{32 + 3 * 48 + 28, 2, 3},     /* entries of the next component */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lov b = {0};

		lov_progressive(&b);
		memcpy(b.data + cases[i].at, &cases[i].value, cases[i].width);
		is_damaged(&b, b.len);
	}
}

static void components_that_share_all_their_objects_are_refused(void)
{
	struct lov b = {0};
	size_t at;

	lov_composite(&b, 60);
	at = lov_plain(&b, LOV_V1, 1 << 20, 60, 0);
	for (unsigned i = 0; i < 60; i++)
		lov_component(&b, i, LOV_INIT, i, i + 1, at);
	is_damaged(&b, b.len);
}

/* [0, 8M) and the rest on OSTs 1 and 2; the mirror of all on 20..21. */
static void put_mirrors(struct lov *b, uint32_t one, uint32_t two, uint32_t mirror)
{
	size_t at;

	lov_composite(b, 3);
	lov_put16(b, 16, 1);
	at = lov_plain(b, LOV_V1, 1 << 20, 1, 1);
	lov_component(b, 0, LOV_INIT | one, 0, 8 << 20, at);
	at = lov_plain(b, LOV_V1, 1 << 20, 1, 2);
	lov_component(b, 1, LOV_INIT | two, 8 << 20, LOV_EOF, at);
	at = lov_plain(b, LOV_V1, 1 << 20, 2, 20);
	lov_component(b, 2, LOV_INIT | mirror, 0, LOV_EOF, at);
}

static void one_mirror_is_taken_for_every_range(void)
{
	SCOPED_LAYOUT struct pfs_layout *first = NULL, *preferred = NULL, *mixed = NULL;
	struct lov b = {0};

	put_mirrors(&b, 0, 0, 0);
	first = parsed(&b);
	CU_ASSERT_EQUAL(first->n_parts, 2);
	part_is(first, 0, 0, 8 << 20, 1, 1);
	part_is(first, 1, 8 << 20, LOV_EOF, 1, 2);
	put_mirrors(&b, 0, 0, LOV_PREFER);
	preferred = parsed(&b);
	CU_ASSERT_EQUAL(preferred->n_parts, 1);
	part_is(preferred, 0, 0, LOV_EOF, 2, 20);
	put_mirrors(&b, 0, LOV_STALE, 0);
	mixed = parsed(&b);
	CU_ASSERT_EQUAL(mixed->n_parts, 2);
	part_is(mixed, 0, 0, 8 << 20, 1, 1);
	part_is(mixed, 1, 8 << 20, LOV_EOF, 2, 20);
}

static void a_stale_mirror_is_not_taken(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};

	put_mirrors(&b, 0, 0, LOV_STALE | LOV_PREFER);
	l = parsed(&b);
	CU_ASSERT_EQUAL(l->n_parts, 2);
	part_is(l, 1, 8 << 20, LOV_EOF, 1, 2);
}

static void a_part_may_be_cut_out_of_another(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	struct lov b = {0};
	size_t at;

	lov_composite(&b, 2);
	at = lov_plain(&b, LOV_V1, 1 << 20, 2, 4);
	lov_component(&b, 0, LOV_INIT, 0, LOV_EOF, at);
	at = lov_plain(&b, LOV_V1, 1 << 20, 1, 9);
	lov_component(&b, 1, LOV_INIT | LOV_PREFER, 1 << 20, 3 << 20, at);
	l = parsed(&b);
	CU_ASSERT_EQUAL(l->n_parts, 3);
	part_is(l, 0, 0, 1 << 20, 2, 4);
	part_is(l, 1, 1 << 20, 3 << 20, 1, 9);
	part_is(l, 2, 3 << 20, LOV_EOF, 2, 4);
}

static const struct test tests[] = {
	TEST(objects_of_v1_and_v3_are_found),
	TEST(the_widest_layout_fits),
	TEST(every_truncation_is_found),
	TEST(more_than_an_attribute_can_hold_is_refused),
	TEST(other_magic_numbers_are_refused),
	TEST(more_objects_than_bytes_are_refused),
	TEST(a_stripe_size_of_zero_is_refused),
	TEST(a_file_without_objects_has_no_parts),
	TEST(patterns_that_deal_bytes_out_otherwise_are_refused),
	TEST(objects_may_share_an_ost),
	TEST(a_component_on_the_metadata_target_has_no_part),
	TEST(components_that_are_not_there_yet_have_no_part),
	TEST(a_foreign_component_has_no_part),
	TEST(damaged_composites_are_refused),
	TEST(components_that_share_all_their_objects_are_refused),
	TEST(one_mirror_is_taken_for_every_range),
	TEST(a_stale_mirror_is_not_taken),
	TEST(a_part_may_be_cut_out_of_another),
};
SUITE("pfs_lustre", tests)
