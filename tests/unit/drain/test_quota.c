/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "drain/quota.h"
#include "suite.h"

#define NOW 1000000
/* Short, for a table. */
#define N   QUOTA_NONE
#define R   QUOTA_ROOM
#define U   QUOTA_UNKNOWN
#define E   QUOTA_NEAR
#define X   QUOTA_REACHED

static void what_the_kernel_tells_is_judged(void)
{
	static const struct {
		int r;
		struct fsio_limit bytes, inodes;
		uint64_t need, in_work;
		enum quota_says want;
	} table[] = {
		{-EPERM, {0}, {0}, 10, 80, QUOTA_UNKNOWN},
		{-ENOSYS, {0}, {0}, 10, 80, QUOTA_UNKNOWN},
		{1, {0}, {0}, 10, 80, QUOTA_NONE},
		/* No limits: that it is used says nothing. */
		{0, {.used = 500}, {.used = 5}, 10, 80, QUOTA_NONE},
		{0, {.used = 500, .hard = 1000}, {0}, 10, 80, QUOTA_ROOM},
		{0, {.used = 500, .hard = 510}, {0}, 10, 10, QUOTA_ROOM},
		{0, {.used = 500, .hard = 509}, {0}, 10, 80, QUOTA_REACHED},
		{0, {.used = 500, .hard = 500}, {0}, 10, 80, QUOTA_REACHED},
		/* Root may have more than the limit. */
		{0, {.used = 900, .hard = 500}, {0}, 10, 80, QUOTA_REACHED},
		{0, {.used = 500, .hard = 579}, {0}, 10, 80, QUOTA_NEAR},
		{0, {.used = 500, .hard = UINT64_MAX}, {0}, 10, UINT64_MAX, QUOTA_NEAR},
		/* Above the soft limit only for some time. */
		{0, {.used = 500, .soft = 400, .hard = 900, .until = NOW + 1}, {0}, 10,
			80, QUOTA_ROOM},
		{0, {.used = 500, .soft = 400, .hard = 900, .until = NOW}, {0}, 10, 80,
			QUOTA_REACHED},
		{0, {.used = 500, .soft = 400, .until = NOW - 1}, {0}, 10, 80,
			QUOTA_REACHED},
		{0, {.used = 500, .soft = 400}, {0}, 10, 80, QUOTA_ROOM},
		{0, {.used = 400, .soft = 400, .until = NOW - 1}, {0}, 10, 80,
			QUOTA_ROOM},
		/* Nothing new, however small. */
		{0, {.used = 5, .hard = 900}, {.used = 7, .hard = 7}, 0, 0,
			QUOTA_REACHED},
		{0, {0}, {.used = 7, .hard = 7}, 0, 0, QUOTA_REACHED},
		{0, {0}, {.used = 6, .hard = 7}, 0, 0, QUOTA_ROOM},
		{0, {0}, {.used = 6, .soft = 5, .until = 1}, 0, 0, QUOTA_REACHED},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct fsio_quota q = {
			.bytes = table[i].bytes, .inodes = table[i].inodes};
		struct quota_need need = {.bytes = table[i].need,
			.in_work = table[i].in_work,
			.now = NOW};

		CU_ASSERT_EQUAL(quota_judge(table[i].r, &q, &need), table[i].want);
	}
}

static void the_one_that_it_can_be_is_found(void)
{
	static const struct {
		enum quota_says says[QUOTA_TYPES]; /* of user, group, project */
		unsigned quota, space; /* what is found for EDQUOT and ENOSPC */
	} table[] = {
		{{X, R, N}, 1, 0},
		{{R, X, N}, 2, 0},
		{{R, R, X}, 4, 4},
		{{U, X, U}, 2, 0},
		/* Several at once. */
		{{X, X, R}, 3, 0},
		{{X, R, X}, 5, 4},
		/* Nearly is better than what nobody knows. */
		{{R, E, U}, 2, 0},
		{{E, E, N}, 0, 0},
		/* An ordinary user cannot ask for projects: it is none of the others. */
		{{R, R, U}, 4, 0},
		{{N, N, U}, 4, 0},
		{{R, U, U}, 0, 0},
		{{U, U, U}, 0, 0},
		{{U, U, N}, 0, 0},
		/* Room came back meanwhile, and nobody else has a limit. */
		{{N, R, N}, 2, 0},
		{{R, R, N}, 0, 0},
		{{N, N, N}, 0, 0},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		CU_ASSERT_EQUAL(quota_whose(-EDQUOT, table[i].says), table[i].quota);
		CU_ASSERT_EQUAL(quota_whose(-ENOSPC, table[i].says), table[i].space);
	}
}

static void a_quota_covers_what_is_counted_for_it(void)
{
	struct quota_of a = {{10, 20, 30}}, user = {{10, 21, 31}},
			group = {{11, 20, 31}}, project = {{11, 21, 30}};

	CU_ASSERT(quota_covers(-EDQUOT, 1, &a, &user));
	CU_ASSERT(!quota_covers(-EDQUOT, 1, &a, &group));
	CU_ASSERT(quota_covers(-EDQUOT, 2, &a, &group));
	CU_ASSERT(!quota_covers(-EDQUOT, 2, &a, &project));
	CU_ASSERT(quota_covers(-EDQUOT, 4, &a, &project));
	CU_ASSERT(!quota_covers(-EDQUOT, 4, &a, &user));
	CU_ASSERT(quota_covers(-ENOSPC, 4, &a, &project));
	CU_ASSERT(!quota_covers(-ENOSPC, 4, &a, &user));
	/* Of two that are used up one is enough. */
	CU_ASSERT(quota_covers(-EDQUOT, 6, &a, &group));
	/* It cannot be told: only what has all in common. */
	CU_ASSERT(quota_covers(-EDQUOT, 0, &a, &a));
	CU_ASSERT(!quota_covers(-EDQUOT, 0, &a, &user));
	CU_ASSERT(!quota_covers(-EDQUOT, 0, &a, &group));
	CU_ASSERT(!quota_covers(-EDQUOT, 0, &a, &project));
	/* Space is nobody's, but on XFS a project's. */
	CU_ASSERT(quota_covers(-ENOSPC, 0, &a, &project));
	CU_ASSERT(!quota_covers(-ENOSPC, 0, &a, &user));
}

static void words_tell_whose_it_is(void)
{
	struct quota_of of = {{4000000001u, 4000000002u, 7}}, root = {{0, 0, 0}};
	char text[QUOTA_TEXT];

	CU_ASSERT_STRING_EQUAL(quota_text(-EDQUOT, 0, &of, text),
		"counted for user 4000000001, group 4000000002, project 7");
	CU_ASSERT_STRING_EQUAL(
		quota_text(-EDQUOT, 0, &root, text), "counted for user 0, group 0");
	CU_ASSERT_STRING_EQUAL(
		quota_text(-EDQUOT, 1, &root, text), "quota of user root (0)");
	CU_ASSERT_STRING_EQUAL(
		quota_text(-EDQUOT, 2, &root, text), "quota of group root (0)");
	CU_ASSERT_STRING_EQUAL(
		quota_text(-EDQUOT, 2, &of, text), "quota of group 4000000002");
	CU_ASSERT_STRING_EQUAL(quota_text(-EDQUOT, 6, &of, text),
		"quota of group 4000000002 and of project 7");
	CU_ASSERT_STRING_EQUAL(quota_text(-ENOSPC, 4, &of, text), "quota of project 7");
	CU_ASSERT_STRING_EQUAL(quota_text(-ENOSPC, 0, &of, text), "");
}

static const struct test tests[] = {
	TEST(what_the_kernel_tells_is_judged),
	TEST(the_one_that_it_can_be_is_found),
	TEST(a_quota_covers_what_is_counted_for_it),
	TEST(words_tell_whose_it_is),
};
SUITE("drain_quota", tests)
