/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every call against a model that cannot be wrong: one byte of memory for each byte of
 * a small file. Random cases come from a fixed seed.
 */
#include "extent/extent.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define SPACE 96   /* bytes of the model's file: small, so that ranges meet often */
#define CASES 4000 /* random cases a test */

struct model {
	bool has[SPACE];
};

static void model_set(struct model *m, uint64_t off, uint64_t len, bool value)
{
	for (uint64_t i = off; i < off + len; i++)
		m->has[i] = value;
}

/* Returns the number of faults: in form, and against the model. */
static int differs(const struct extents *s, const struct model *m)
{
	struct model seen = {0};
	uint64_t bytes = 0;
	int bad = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct extent *x = &s->x[i];

		if (x->len == 0 || x->off + x->len > SPACE)
			return 1;
		bad += i > 0 && x->off <= s->x[i - 1].off + s->x[i - 1].len;
		model_set(&seen, x->off, x->len, true);
		bytes += x->len;
	}
	bad += memcmp(&seen, m, sizeof(seen)) != 0;
	bad += bytes != extents_bytes(s);
	return bad;
}

/* A range in the model's file, as often short as long; may be empty. */
static struct extent some_range(unsigned *seed)
{
	uint64_t off = (uint64_t)rand_r(seed) % SPACE;
	uint64_t most = rand_r(seed) % 3 == 0 ? SPACE - off : 6;
	uint64_t len = (uint64_t)rand_r(seed) % (most + 1);

	return (struct extent){off, len > SPACE - off ? SPACE - off : len};
}

static void some_set(unsigned *seed, struct extents *s, struct model *m)
{
	int n = rand_r(seed) % 12;

	extents_clear(s);
	*m = (struct model){0};
	for (int i = 0; i < n; i++) {
		struct extent x = some_range(seed);

		CU_ASSERT_EQUAL_FATAL(extents_add(s, x.off, x.len), 0);
		model_set(m, x.off, x.len, true);
	}
}

static void ranges_added_in_any_order_make_one_form(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	unsigned seed = 1;
	int bad = 0;

	for (int c = 0; c < CASES; c++) {
		struct model m = {0};
		int n = rand_r(&seed) % 20;

		extents_clear(&s);
		for (int i = 0; i < n; i++) {
			struct extent x = some_range(&seed);

			bad += extents_add(&s, x.off, x.len) != 0;
			model_set(&m, x.off, x.len, true);
			bad += differs(&s, &m);
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void a_removed_range_is_gone_and_nothing_else(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	unsigned seed = 2;
	struct model m;
	int bad = 0;

	for (int c = 0; c < CASES; c++) {
		some_set(&seed, &s, &m);
		for (int i = 0; i < 3; i++) {
			struct extent x = some_range(&seed);

			bad += extents_remove(&s, x.off, x.len) != 0;
			model_set(&m, x.off, x.len, false);
			bad += differs(&s, &m);
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void unions_and_differences_are_the_models(void)
{
	SCOPED_EXTENTS struct extents a = {0}, b = {0}, both = {0};
	unsigned seed = 3;
	struct model ma, mb, want;
	int bad = 0;

	for (int c = 0; c < CASES; c++) {
		some_set(&seed, &a, &ma);
		some_set(&seed, &b, &mb);
		extents_clear(&both);
		bad += extents_unite(&both, &a) != 0 || extents_unite(&both, &b) != 0;
		for (int i = 0; i < SPACE; i++)
			want.has[i] = ma.has[i] || mb.has[i];
		bad += differs(&both, &want);
		bad += extents_subtract(&a, &b) != 0;
		for (int i = 0; i < SPACE; i++)
			want.has[i] = ma.has[i] && !mb.has[i];
		bad += differs(&a, &want);
		bad += differs(&b, &mb);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void a_set_less_itself_is_empty(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	unsigned seed = 4;
	struct model m;

	some_set(&seed, &s, &m);
	CU_ASSERT_EQUAL(extents_add(&s, 3, 5), 0);
	CU_ASSERT_EQUAL(extents_unite(&s, &s), 0);
	CU_ASSERT_EQUAL(extents_subtract(&s, &s), 0);
	CU_ASSERT_EQUAL(s.count, 0);
	CU_ASSERT_EQUAL(extents_bytes(&s), 0);
	CU_ASSERT_EQUAL(extents_end(&s), 0);
}

static void what_two_sets_share_comes_in_order(void)
{
	SCOPED_EXTENTS struct extents a = {0}, b = {0};
	unsigned seed = 5;
	struct model ma, mb;
	int bad = 0, shared = 0;

	for (int c = 0; c < CASES; c++) {
		struct extents_overlap o;
		struct model want = {0}, got = {0};
		struct extent x, first = {0};
		uint64_t at = 0;
		bool any;

		some_set(&seed, &a, &ma);
		some_set(&seed, &b, &mb);
		for (int i = 0; i < SPACE; i++)
			want.has[i] = ma.has[i] && mb.has[i];
		any = extents_overlap_first(&a, &b, &first);
		bad += any != (memchr(want.has, 1, sizeof(want.has)) != NULL);
		shared += any;
		extents_overlap_start(&a, &b, &o);
		for (int n = 0; extents_overlap_next(&o, &x); n++) {
			bad += x.len == 0 || x.off < at;
			bad += n == 0 && (x.off != first.off || x.len != first.len);
			at = x.off + x.len;
			model_set(&got, x.off, x.len, true);
		}
		bad += memcmp(&got, &want, sizeof(got)) != 0;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(shared > CASES / 4 && shared < CASES);
}

static void the_first_shared_range_is_named_whole(void)
{
	SCOPED_EXTENTS struct extents a = {0}, b = {0};
	struct extent x = {0};

	CU_ASSERT_EQUAL(extents_add(&a, 0, 100), 0);
	CU_ASSERT_EQUAL(extents_add(&a, 200, 100), 0);
	CU_ASSERT_EQUAL(extents_add(&b, 100, 100), 0);
	CU_ASSERT_FALSE(extents_overlap_first(&a, &b, NULL));
	CU_ASSERT_EQUAL(extents_add(&b, 250, 10), 0);
	CU_ASSERT_EQUAL(extents_add(&b, 290, 40), 0);
	CU_ASSERT_TRUE(extents_overlap_first(&a, &b, &x));
	CU_ASSERT(x.off == 250 && x.len == 10);
}

static void a_walk_gives_what_a_range_holds(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	unsigned seed = 6;
	struct model m;
	int bad = 0;

	for (int c = 0; c < CASES; c++) {
		struct extent r = some_range(&seed), x;
		struct model want = {0}, got = {0};
		struct extents_walk w;
		bool all = true;

		some_set(&seed, &s, &m);
		for (uint64_t i = r.off; i < r.off + r.len; i++) {
			want.has[i] = m.has[i];
			all = all && m.has[i];
		}
		extents_walk_start(&s, r.off, r.len, &w);
		while (extents_walk_next(&w, &x)) {
			bad += x.len == 0 || x.off < r.off;
			bad += x.off + x.len > r.off + r.len;
			model_set(&got, x.off, x.len, true);
		}
		bad += extents_walk_next(&w, &x);
		bad += memcmp(&got, &want, sizeof(got)) != 0;
		bad += extents_cover(&s, r.off, r.len) != all;
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void ranges_end_at_the_last_number(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	struct extents_walk w;
	struct extent x = {0};

	CU_ASSERT_EQUAL(extents_add(&s, UINT64_MAX - 9, 9), 0);
	CU_ASSERT_EQUAL(extents_end(&s), UINT64_MAX);
	CU_ASSERT_EQUAL(extents_add(&s, UINT64_MAX - 9, 10), -EOVERFLOW);
	CU_ASSERT_EQUAL(extents_add(&s, 1, UINT64_MAX), -EOVERFLOW);
	CU_ASSERT_EQUAL(extents_remove(&s, UINT64_MAX, 1), -EOVERFLOW);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT_EQUAL(extents_bytes(&s), 9);
	extents_walk_start(&s, UINT64_MAX - 5, UINT64_MAX, &w);
	CU_ASSERT_TRUE(extents_walk_next(&w, &x));
	CU_ASSERT(x.off == UINT64_MAX - 5 && x.len == 5);
	CU_ASSERT_EQUAL(extents_add(&s, 0, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT_EQUAL(extents_bytes(&s), UINT64_MAX);
	CU_ASSERT_EQUAL(extents_remove(&s, 5, UINT64_MAX - 5), 0);
	CU_ASSERT_EQUAL(extents_bytes(&s), 5);
}

static void a_writer_that_appends_keeps_one_range(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	int bad = 0;

	for (uint64_t i = 0; i < 1000000; i++)
		bad += extents_add(&s, i * 100, 100) != 0;
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT(s.cap <= 4);
}

/* Twice the ranges would take four times as long if each moved or searched the set. */
static void a_million_strided_ranges_are_soon_added(void)
{
	SCOPED_EXTENTS struct extents s = {0};
	int bad = 0;

	for (uint64_t i = 0; i < 1000000; i++)
		bad += extents_add(&s, i * 100, 50) != 0;
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(s.count, 1000000);
	CU_ASSERT_EQUAL(extents_bytes(&s), 50000000);
	CU_ASSERT_EQUAL(extents_add(&s, 0, 100000000), 0);
	CU_ASSERT_EQUAL(s.count, 1);
}

static const struct test tests[] = {
	TEST(ranges_added_in_any_order_make_one_form),
	TEST(a_removed_range_is_gone_and_nothing_else),
	TEST(unions_and_differences_are_the_models),
	TEST(a_set_less_itself_is_empty),
	TEST(what_two_sets_share_comes_in_order),
	TEST(the_first_shared_range_is_named_whole),
	TEST(a_walk_gives_what_a_range_holds),
	TEST(ranges_end_at_the_last_number),
	TEST(a_writer_that_appends_keeps_one_range),
	TEST(a_million_strided_ranges_are_soon_added),
};
SUITE("extent", tests)
