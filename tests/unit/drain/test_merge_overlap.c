/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "drain/merge/overlap.h"
#include "suite.h"

#define SPACE 64 /* bytes of the small files that are laid over one another */
#define MOST  6	 /* sources */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Who has which byte, as sets and as a table. */
static void draw(uint32_t *state, uint32_t n, struct extents *x, bool has[MOST][SPACE])
{
	memset(has, 0, MOST * SPACE * sizeof(bool));
	for (uint32_t k = 0; k < n; k++) {
		for (uint32_t i = next_random(state) % 5; i > 0; i--) {
			uint32_t off = next_random(state) % SPACE;
			uint32_t len = next_random(state) % (SPACE - off) / 2 + 1;

			CU_ASSERT_EQUAL(extents_add(&x[k], off, len), 0);
			for (uint32_t b = off; b < off + len; b++)
				has[k][b] = true;
		}
	}
}

static int check(const struct merge_parts *parts, uint32_t n, bool has[MOST][SPACE])
{
	bool found[MOST][SPACE] = {{false}};
	uint64_t end = 0;
	int bad = 0;

	for (size_t i = 0; i < merge_parts_count(parts); i++) {
		const struct merge_part *p = merge_part(parts, i);
		const uint32_t *s = merge_sources(parts, i);

		bad += p->off < end || p->len == 0 || p->n == 0 ||
		       p->off + p->len > SPACE;
		end = p->off + p->len;
		for (uint32_t k = 0; k < p->n && !bad; k++) {
			bad += (k && s[k] <= s[k - 1]) || s[k] >= n;
			memset(&found[s[k]][p->off], true, p->len);
		}
	}
	return bad + (memcmp(found, has, sizeof(found)) != 0);
}

static void a_sweep_finds_who_has_every_byte(void)
{
	bool has[MOST][SPACE];
	uint32_t state = 1;
	int bad = 0;

	for (int round = 0; round < 3000; round++) {
		SCOPED_PARTS struct merge_parts parts = {0};
		struct extents x[MOST] = {{0}};
		uint32_t n = next_random(&state) % MOST + 1;

		draw(&state, n, x, has);
		bad += merge_sweep(x, n, &parts) != 0;
		bad += check(&parts, n, has);
		for (uint32_t k = 0; k < n; k++)
			extents_release(&x[k]);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void a_sweep_cuts_no_more_than_it_must(void)
{
	SCOPED_PARTS struct merge_parts parts = {0};
	struct extents x[3] = {{0}};

	extents_add(&x[0], 0, 100);
	extents_add(&x[1], 100, 100);
	extents_add(&x[2], 50, 100);
	CU_ASSERT_EQUAL(merge_sweep(x, 3, &parts), 0);
	CU_ASSERT_EQUAL(merge_parts_count(&parts), 4);
	CU_ASSERT_EQUAL(merge_part(&parts, 1)->off, 50);
	CU_ASSERT_EQUAL(merge_part(&parts, 1)->n, 2);
	CU_ASSERT_EQUAL(merge_part(&parts, 3)->len, 50);
	CU_ASSERT_EQUAL(merge_part(&parts, 3)->n, 1);
	for (int k = 0; k < 3; k++)
		extents_release(&x[k]);
}

static void files_without_data_have_no_parts(void)
{
	SCOPED_PARTS struct merge_parts parts = {0};
	struct extents x[2] = {{0}};

	CU_ASSERT_EQUAL(merge_sweep(x, 2, &parts), 0);
	CU_ASSERT_EQUAL(merge_parts_count(&parts), 0);
}

static struct ebt_digest digest(uint64_t v)
{
	return (struct ebt_digest){.lo = v, .hi = v};
}

static void votes_count_what_differs_and_not_zeros(void)
{
	static const struct {
		uint64_t vote[4];
		uint32_t n, kinds;
	} t[] = {
		{{5, 5, 5, 5}, 4, 1},
		{{0, 0, 0, 0}, 0, 0},
		{{0, 5, 0, 5}, 2, 1},
		{{5, 0, 6, 5}, 3, 2},
		{{1, 2, 3, 4}, 4, 4},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct merge_vote v[4];
		uint32_t n = 4;

		for (uint32_t k = 0; k < 4; k++)
			v[k] = (struct merge_vote){digest(t[i].vote[k]), k};
		CU_ASSERT_EQUAL(merge_count_votes(v, &n), t[i].kinds);
		CU_ASSERT_EQUAL(n, t[i].n);
		for (uint32_t k = 0; k < 4; k++)
			CU_ASSERT_EQUAL(v[k].digest.lo == 0, k >= n);
		for (uint32_t k = 1; k < n; k++)
			CU_ASSERT(v[k].digest.lo > v[k - 1].digest.lo ||
				  v[k].source > v[k - 1].source);
	}
}

/* Versions as strings, '.' is a zero byte. */
static void blocks_agree_where_bytes_are_equal_or_zero(void)
{
	static const struct {
		const char *version[3];
		const char *merged; /* NULL: they do not agree */
		uint32_t whole, a, b, off, end;
	} t[] = {
		{{"ab..", "..cd", "...."}, "abcd", 3, 0, 0, 0, 0},
		{{"ab..", "abcd", "..cd"}, "abcd", 1, 0, 0, 0, 0},
		{{"....", "....", "...."}, "....", 0, 0, 0, 0, 0},
		{{"abcd", "abcd", "abcd"}, "abcd", 0, 0, 0, 0, 0},
		{{"ab..", ".xcd", "...."}, NULL, 0, 0, 1, 1, 2},
		{{"a...", ".b..", "ax.y"}, NULL, 0, 1, 2, 1, 2},
		{{"abcd", "xbyd", "...."}, NULL, 0, 0, 1, 0, 3},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned char bytes[3][4], out[4];
		const unsigned char *version[3];
		struct merge_clash clash = {0};
		uint32_t whole = 99;
		int r;

		for (int k = 0; k < 3; k++) {
			for (int b = 0; b < 4; b++)
				bytes[k][b] =
					t[i].version[k][b] == '.'
						? 0
						: (unsigned char)t[i].version[k][b];
			version[k] = bytes[k];
		}
		r = merge_or(version, 3, 4, out, &whole, &clash);
		CU_ASSERT_EQUAL(r, t[i].merged ? 0 : 1);
		for (int b = 0; t[i].merged && b < 4; b++)
			CU_ASSERT_EQUAL(
				out[b], t[i].merged[b] == '.' ? 0 : t[i].merged[b]);
		if (t[i].merged) {
			CU_ASSERT_EQUAL(whole, t[i].whole);
			continue;
		}
		CU_ASSERT_EQUAL(clash.a, t[i].a);
		CU_ASSERT_EQUAL(clash.b, t[i].b);
		CU_ASSERT_EQUAL(clash.off, t[i].off);
		CU_ASSERT_EQUAL(clash.end, t[i].end);
	}
}

static void pieces_that_belong_together_are_joined(void)
{
	SCOPED_BUF struct buf b = {0};
	const struct drain_piece *p;

	merge_add_piece(&b, 300, 100, 1, false);
	merge_add_piece(&b, 100, 100, 0, false);
	merge_add_piece(&b, 0, 100, 0, false);
	merge_add_piece(&b, 200, 100, 2, true);
	merge_add_piece(&b, 200, 100, 1, true);
	merge_add_piece(&b, 400, 100, 1, false);
	merge_add_piece(&b, 600, 100, 1, false);
	CU_ASSERT_EQUAL(merge_join_pieces(&b), 5);
	p = (const struct drain_piece *)b.data;
	CU_ASSERT(
		p[0].off == 0 && p[0].len == 200 && p[0].source == 0 && !p[0].overlaps);
	CU_ASSERT(p[1].off == 200 && p[1].len == 100 && p[1].source == 1 &&
		  p[1].overlaps);
	CU_ASSERT(p[2].off == 200 && p[2].source == 2 && p[2].overlaps);
	CU_ASSERT(p[3].off == 300 && p[3].len == 200 && p[3].source == 1 &&
		  !p[3].overlaps);
	CU_ASSERT(p[4].off == 600 && p[4].len == 100);
	b.len = 0;
	CU_ASSERT_EQUAL(merge_join_pieces(&b), 0);
}

static const struct test tests[] = {
	TEST(a_sweep_finds_who_has_every_byte),
	TEST(a_sweep_cuts_no_more_than_it_must),
	TEST(files_without_data_have_no_parts),
	TEST(votes_count_what_differs_and_not_zeros),
	TEST(blocks_agree_where_bytes_are_equal_or_zero),
	TEST(pieces_that_belong_together_are_joined),
};
SUITE("drain_merge_overlap", tests)
