/* SPDX-License-Identifier: BSD-3-Clause */
#include "archive/members.h"

#include <errno.h>

#include "suite.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct manifest_extent extents[] = {
	{0, 1000}, {1 << 20, 24}, {5ull << 32, 3000}};

/* Ends at 1024 + 1536 + 512 + (1536 + 4096) + 512 + (512 + 512). */
static struct members some_members(void)
{
	struct members m = {0};

	CU_ASSERT_EQUAL(members_add(&m, 512, 100, NULL), 0); /* 0 */
	CU_ASSERT_EQUAL(members_add(&m, 1536, 0, NULL), 0);  /* 1024 */
	CU_ASSERT_EQUAL(members_add(&m, 512, 0, NULL), 0);   /* 2560 */
	CU_ASSERT_EQUAL(members_add_sparse(&m, 1536, extents, COUNT(extents), NULL),
		0);					     /* 3072 */
	CU_ASSERT_EQUAL(members_add(&m, 512, 0, NULL), 0);   /* 8704 */
	CU_ASSERT_EQUAL(members_add(&m, 512, 512, NULL), 0); /* 9216 */
	return m;
}

struct want {
	enum members_kind kind;
	size_t member;
	uint64_t at, len, from;
};

static const struct want all[] = {
	{MEMBERS_HEADER, 0, 0, 512, 0},
	{MEMBERS_CONTENT, 0, 512, 100, 0},
	{MEMBERS_ZEROS, 0, 612, 412, 0},
	{MEMBERS_HEADER, 1, 1024, 1536, 0},
	{MEMBERS_HEADER, 2, 2560, 512, 0},
	{MEMBERS_HEADER, 3, 3072, 1536, 0},
	{MEMBERS_CONTENT, 3, 4608, 1000, 0},
	{MEMBERS_CONTENT, 3, 5608, 24, 1 << 20},
	{MEMBERS_CONTENT, 3, 5632, 3000, 5ull << 32},
	{MEMBERS_ZEROS, 3, 8632, 72, 0},
	{MEMBERS_HEADER, 4, 8704, 512, 0},
	{MEMBERS_HEADER, 5, 9216, 512, 0},
	{MEMBERS_CONTENT, 5, 9728, 512, 0},
	{MEMBERS_ZEROS, 6, 10240, 1024, 0},
};

static bool is(const struct members_piece *p, const struct want *w)
{
	return p->kind == w->kind && p->member == w->member && p->at == w->at &&
	       p->len == w->len && (p->kind == MEMBERS_ZEROS || p->from == w->from);
}

static void members_follow_each_other_in_blocks(void)
{
	SCOPED_MEMBERS struct members m = some_members();

	CU_ASSERT_EQUAL_FATAL(m.n, 6);
	CU_ASSERT_EQUAL(m.places[1].header, 1024);
	CU_ASSERT_EQUAL(m.places[1].data, 2560);
	CU_ASSERT_EQUAL(m.places[2].header, 2560);
	CU_ASSERT_EQUAL(m.places[3].packed, 4024);
	CU_ASSERT_EQUAL(m.end, 10240);
	CU_ASSERT_EQUAL(members_total(&m), 11264);
}

static void a_walk_names_every_byte(void)
{
	SCOPED_MEMBERS struct members m = some_members();
	struct members_walk w = members_walk(&m, 0, members_total(&m));
	struct members_piece p;

	for (size_t i = 0; i < COUNT(all); i++) {
		CU_ASSERT_FATAL(members_next(&w, &p));
		CU_ASSERT(is(&p, &all[i]));
	}
	CU_ASSERT_FALSE(members_next(&w, &p));
	CU_ASSERT_FALSE(members_next(&w, &p));
}

/* What @all says of the bytes [@off, @off + @len). */
static bool cut(const struct want *a, uint64_t off, uint64_t len, struct want *w)
{
	uint64_t from = a->at > off ? a->at : off;
	uint64_t to = a->at + a->len < off + len ? a->at + a->len : off + len;

	*w = *a;
	w->at = from;
	w->len = to - from;
	w->from += from - a->at;
	return from < to;
}

static void a_walk_over_a_part_cuts_only_its_ends(void)
{
	static const uint64_t lens[] = {0, 1, 411, 512, 1000, 4097, 11264};
	SCOPED_MEMBERS struct members m = some_members();
	struct members_piece p;
	struct want w;
	size_t wrong = 0;

	for (uint64_t off = 0; off < 11264; off++)
		for (size_t k = 0; k < COUNT(lens) && off + lens[k] <= 11264; k++) {
			struct members_walk walk = members_walk(&m, off, lens[k]);

			for (size_t i = 0; i < COUNT(all); i++)
				if (cut(&all[i], off, lens[k], &w))
					wrong +=
						!members_next(&walk, &p) || !is(&p, &w);
			wrong += members_next(&walk, &p);
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void a_byte_is_found_with_its_member(void)
{
	SCOPED_MEMBERS struct members m = some_members();
	SCOPED_MEMBERS struct members none = {0};

	CU_ASSERT_EQUAL(members_find(&m, 0), 0);
	CU_ASSERT_EQUAL(members_find(&m, 1023), 0);
	CU_ASSERT_EQUAL(members_find(&m, 1024), 1);
	CU_ASSERT_EQUAL(members_find(&m, 8703), 3);
	CU_ASSERT_EQUAL(members_find(&m, 10239), 5);
	CU_ASSERT_EQUAL(members_find(&m, 10240), 6);
	CU_ASSERT_EQUAL(members_find(&none, 0), 0);
}

static void an_archive_of_nothing_is_its_end_mark(void)
{
	SCOPED_MEMBERS struct members m = {0};
	struct members_walk w = members_walk(&m, 0, members_total(&m));
	struct members_piece p;

	CU_ASSERT_EQUAL(members_total(&m), 1024);
	CU_ASSERT(members_next(&w, &p));
	CU_ASSERT_EQUAL(p.kind, MEMBERS_ZEROS);
	CU_ASSERT_EQUAL(p.len, 1024);
	CU_ASSERT_FALSE(members_next(&w, &p));
}

static void where_a_member_ends_the_next_begins(void)
{
	SCOPED_MEMBERS struct members m = some_members();
	uint64_t end = 0;

	for (size_t i = 0; i < m.n; i++) {
		const struct members_place *p = &m.places[i];

		CU_ASSERT_EQUAL(p->header, end);
		CU_ASSERT_EQUAL(
			members_end(&end, p->data - p->header, p->packed, NULL), 0);
	}
	CU_ASSERT_EQUAL(end, m.end);
	CU_ASSERT_EQUAL(members_end(&end, 512, INT64_MAX - 4096, NULL), -EOVERFLOW);
	CU_ASSERT_EQUAL(end, m.end);
}

static void what_is_larger_than_offsets_is_refused(void)
{
	static const struct manifest_extent huge[] = {
		{0, 1ull << 62}, {1ull << 62, 1ull << 62}, {0, UINT64_MAX}};
	SCOPED_MEMBERS struct members m = {0};
	const uint64_t most = INT64_MAX;

	CU_ASSERT_EQUAL(members_add(&m, 512, UINT64_MAX, NULL), -EOVERFLOW);
	CU_ASSERT_EQUAL(members_add(&m, 512, most, NULL), -EOVERFLOW);
	CU_ASSERT_EQUAL(members_add(&m, 1ull << 63, 0, NULL), -EOVERFLOW);
	CU_ASSERT_EQUAL(members_add_sparse(&m, 512, huge, 3, NULL), -EOVERFLOW);
	CU_ASSERT_EQUAL(members_add_sparse(&m, 512, huge, 2, NULL), -EOVERFLOW);
	CU_ASSERT_EQUAL(m.n, 0);
	CU_ASSERT_EQUAL(m.end, 0);
	CU_ASSERT_EQUAL(members_add_sparse(&m, 512, huge, 1, NULL), 0);
	CU_ASSERT_EQUAL(members_add(&m, 512, most / 2, NULL), -EOVERFLOW);
	CU_ASSERT_EQUAL(members_add(&m, 512, (1ull << 62) - 3072, NULL), 0);
	CU_ASSERT_EQUAL(members_add(&m, 512, 1, NULL), -EOVERFLOW);
	CU_ASSERT(members_total(&m) <= most);
}

static void many_members_are_found_in_few_steps(void)
{
	SCOPED_MEMBERS struct members m = {0};
	size_t wrong = 0;

	for (unsigned i = 0; i < 100000; i++)
		CU_ASSERT_EQUAL(members_add(&m, 512, i % 3 * 511, NULL), 0);
	for (unsigned i = 0; i < 100000; i++) {
		wrong += members_find(&m, m.places[i].header) != i;
		wrong += members_find(&m, m.places[i].data - 1) != i;
		if (i % 3)
			wrong += members_find(&m, m.places[i].data + 510) != i;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct test tests[] = {
	TEST(members_follow_each_other_in_blocks),
	TEST(a_walk_names_every_byte),
	TEST(a_walk_over_a_part_cuts_only_its_ends),
	TEST(a_byte_is_found_with_its_member),
	TEST(an_archive_of_nothing_is_its_end_mark),
	TEST(where_a_member_ends_the_next_begins),
	TEST(what_is_larger_than_offsets_is_refused),
	TEST(many_members_are_found_in_few_steps),
};
SUITE("archive_members", tests)
