/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "drain/merge/merge.h"
#include "suite.h"

#define F MANIFEST_FILE
#define D MANIFEST_DIR
#define L MANIFEST_SYMLINK
#define W DRAIN_WRITE
#define O DRAIN_OLDER
#define P DRAIN_PART

/* Three nodes; links say "x" or, with age 9, "y". */
static const struct {
	uint8_t kind[3];
	int age[3]; /* seconds of mtime; the third is left out if kind is 0 */
	enum ebt_conflict how;
	enum merge_ruling ruling;
	uint8_t verdict[3];
	uint32_t a, b;
	uint64_t dropped;
} rules[] = {
	{{D, D, D}, {1, 2, 3}, EBT_CONFLICT_ERROR, MERGE_TAKE, {W, O, O}, 0, 0, 0},
	{{D, D, D}, {1, 2, 3}, EBT_CONFLICT_NEWEST, MERGE_TAKE, {W, O, O}, 0, 0, 0},
	{{L, L, L}, {1, 2, 3}, EBT_CONFLICT_ERROR, MERGE_TAKE, {W, O, O}, 0, 0, 0},
	{{L, L, L}, {1, 2, 3}, EBT_CONFLICT_SUFFIX, MERGE_TAKE, {W, O, O}, 0, 0, 0},
	{{L, L, L}, {1, 1, 9}, EBT_CONFLICT_ERROR, MERGE_CLASH, {0}, 0, 2, 0},
	{{L, L, L}, {1, 9, 1}, EBT_CONFLICT_MERGE, MERGE_SPLIT, {W, W, W}, 0, 0, 0},
	{{L, L, L}, {1, 9, 1}, EBT_CONFLICT_AUTO, MERGE_SPLIT, {W, W, W}, 0, 0, 0},
	{{L, L, L}, {1, 1, 1}, EBT_CONFLICT_AUTO, MERGE_TAKE, {W, O, O}, 0, 0, 0},
	{{D, D, D}, {1, 2, 3}, EBT_CONFLICT_AUTO, MERGE_TAKE, {W, O, O}, 0, 0, 0},
	{{F, F, F}, {1, 2, 3}, EBT_CONFLICT_AUTO, MERGE_COMPARE, {P, P, P}, 0, 0, 0},
	{{L, L, L}, {1, 9, 1}, EBT_CONFLICT_NEWEST, MERGE_TAKE, {O, W, O}, 0, 0, 2},
	{{L, L, L}, {1, 9, 1}, EBT_CONFLICT_SUFFIX, MERGE_RENAME, {0}, 0, 0, 0},
	{{F, F, F}, {1, 2, 3}, EBT_CONFLICT_ERROR, MERGE_COMPARE, {P, P, P}, 0, 0, 0},
	{{F, F, F}, {1, 2, 3}, EBT_CONFLICT_MERGE, MERGE_COMPARE, {P, P, P}, 0, 0, 0},
	{{F, F, F}, {1, 2, 3}, EBT_CONFLICT_NEWEST, MERGE_TAKE, {O, O, W}, 0, 0, 2},
	{{F, F, F}, {2, 2, 1}, EBT_CONFLICT_NEWEST, MERGE_TAKE, {W, O, O}, 0, 0, 2},
	{{F, F, F}, {1, 2, 3}, EBT_CONFLICT_SUFFIX, MERGE_RENAME, {0}, 0, 0, 0},
	{{F, F, D}, {1, 2, 3}, EBT_CONFLICT_ERROR, MERGE_CLASH, {0}, 0, 2, 0},
	{{D, F, F}, {1, 2, 3}, EBT_CONFLICT_MERGE, MERGE_SPLIT, {W, W, W}, 0, 0, 0},
	{{D, D, F}, {1, 2, 3}, EBT_CONFLICT_AUTO, MERGE_SPLIT, {W, O, W}, 0, 0, 0},
	{{D, L, L}, {1, 2, 3}, EBT_CONFLICT_NEWEST, MERGE_SPLIT, {W, W, W}, 0, 0, 0},
	{{F, L, L}, {1, 2, 3}, EBT_CONFLICT_SUFFIX, MERGE_SPLIT, {W, W, W}, 0, 0, 0},
	{{F, 0, 0}, {1, 0, 0}, EBT_CONFLICT_ERROR, MERGE_TAKE, {W}, 0, 0, 0},
};

static void make_claims(
	struct merge_claim c[3], const uint8_t kind[3], const int age[3])
{
	memset(c, 0, 3 * sizeof(*c));
	for (uint32_t k = 0; k < 3; k++)
		c[k] = (struct merge_claim){.path = "p",
			.target = age[k] == 9 ? "y" : "x",
			.node = k,
			.kind = kind[k],
			.size = 100,
			.mtime = age[k]};
}

static void paths_of_several_nodes_are_ruled_by_kind_and_policy(void)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		uint32_t n = rules[i].kind[1] ? 3 : 1, a = 99, b = 99;
		struct merge_claim c[3];
		uint64_t dropped = 0;

		make_claims(c, rules[i].kind, rules[i].age);
		CU_ASSERT_EQUAL(merge_rule(c, n, rules[i].how, &a, &b, &dropped),
			rules[i].ruling);
		CU_ASSERT_EQUAL(dropped, rules[i].dropped);
		if (rules[i].ruling == MERGE_CLASH) {
			CU_ASSERT_EQUAL(a, rules[i].a);
			CU_ASSERT_EQUAL(b, rules[i].b);
		}
		for (uint32_t k = 0; k < n; k++) {
			if (rules[i].ruling == MERGE_SPLIT)
				CU_ASSERT_EQUAL(c[k].by_node, c[k].kind != D);
			if (rules[i].ruling == MERGE_TAKE ||
				rules[i].ruling == MERGE_SPLIT ||
				rules[i].ruling == MERGE_COMPARE)
				CU_ASSERT_EQUAL(c[k].verdict, rules[i].verdict[k]);
		}
	}
}

static void a_new_name_is_in_the_way_of_whatever_has_it(void)
{
	static const enum ebt_conflict how[] = {
		EBT_CONFLICT_SUFFIX, EBT_CONFLICT_ERROR};
	static const uint8_t kinds[][3] = {{F, F, F}, {D, F, F}, {L, L, L}};
	static const int age[3] = {1, 1, 1};
	struct merge_claim c[3];
	uint64_t dropped = 0;
	uint32_t a, b;

	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 3; k++) {
			make_claims(c, kinds[k], age);
			c[k].suffixed = true;
			if (how[i] == EBT_CONFLICT_SUFFIX) {
				CU_ASSERT_EQUAL(
					merge_rule(c, 3, how[i], &a, &b, &dropped),
					MERGE_SPLIT);
				CU_ASSERT(c[k].in_way && !c[k].by_node);
				CU_ASSERT(!c[(k + 1) % 3].in_way);
				continue;
			}
			CU_ASSERT_EQUAL(merge_rule(c, 3, how[i], &a, &b, &dropped),
				MERGE_CLASH);
			CU_ASSERT(c[a].suffixed || c[b].suffixed ||
				  c[a].kind != c[b].kind);
			CU_ASSERT(a < b && b < 3);
		}
	}
}

#define INO 31 /* of what is in dest */
enum seal {
	NO_SEAL,
	SEAL,
	SEAL_NO_INO, /* of a journal of version 2 */
	SEAL_OTHER_INO,
	SEAL_OTHER_SOURCE,
	SEAL_OTHER_TIME,
	SEAL_DIR
};

/* A claim of 100 bytes, time 5, against a target. */
static const struct {
	uint8_t kind, target_kind;
	uint64_t target_size;
	int target_time;
	enum ebt_overwrite how;
	enum seal seal;
	enum merge_wrong wrong;
	uint8_t verdict;
	bool replaces;
} targets[] = {
	{F, F, 100, 5, EBT_OVERWRITE_REFUSE, NO_SEAL, MERGE_EXISTS, W, false},
	{F, F, 100, 5, EBT_OVERWRITE_ALWAYS, NO_SEAL, MERGE_WRONGS, W, true},
	{F, F, 100, 5, EBT_OVERWRITE_UPDATE, NO_SEAL, MERGE_WRONGS, DRAIN_SAME, false},
	{F, F, 101, 5, EBT_OVERWRITE_UPDATE, NO_SEAL, MERGE_WRONGS, W, true},
	{F, F, 100, 6, EBT_OVERWRITE_UPDATE, NO_SEAL, MERGE_WRONGS, W, true},
	{F, L, 100, 5, EBT_OVERWRITE_UPDATE, NO_SEAL, MERGE_WRONGS, W, true},
	{L, L, 1, 7, EBT_OVERWRITE_UPDATE, NO_SEAL, MERGE_WRONGS, DRAIN_SAME, false},
	{F, 0, 0, 0, EBT_OVERWRITE_REFUSE, NO_SEAL, MERGE_EXISTS, W, false},
	{F, D, 0, 0, EBT_OVERWRITE_ALWAYS, NO_SEAL, MERGE_STUCK, W, false},
	{F, D, 0, 0, EBT_OVERWRITE_UPDATE, NO_SEAL, MERGE_STUCK, W, false},
	{D, F, 0, 0, EBT_OVERWRITE_ALWAYS, NO_SEAL, MERGE_STUCK, W, false},
	{D, L, 0, 0, EBT_OVERWRITE_ALWAYS, NO_SEAL, MERGE_STUCK, W, false},
	{D, D, 0, 0, EBT_OVERWRITE_REFUSE, NO_SEAL, MERGE_WRONGS, DRAIN_SAME, false},
	{F, F, 100, 5, EBT_OVERWRITE_REFUSE, SEAL, MERGE_WRONGS, DRAIN_IN_PLACE, false},
	{F, F, 100, 5, EBT_OVERWRITE_ALWAYS, SEAL, MERGE_WRONGS, DRAIN_IN_PLACE, false},
	{L, L, 1, 5, EBT_OVERWRITE_REFUSE, SEAL, MERGE_WRONGS, DRAIN_IN_PLACE, false},
	{F, F, 100, 5, EBT_OVERWRITE_REFUSE, SEAL_NO_INO, MERGE_WRONGS, DRAIN_IN_PLACE,
		false},
	{F, F, 100, 5, EBT_OVERWRITE_REFUSE, SEAL_OTHER_INO, MERGE_EXISTS, W, false},
	{F, F, 100, 5, EBT_OVERWRITE_ALWAYS, SEAL_OTHER_INO, MERGE_WRONGS, W, true},
	{L, L, 1, 5, EBT_OVERWRITE_REFUSE, SEAL_OTHER_INO, MERGE_EXISTS, W, false},
	{F, F, 100, 5, EBT_OVERWRITE_REFUSE, SEAL_OTHER_SOURCE, MERGE_WRONGS, W, true},
	{F, F, 100, 5, EBT_OVERWRITE_REFUSE, SEAL_OTHER_TIME, MERGE_EXISTS, W, false},
	{F, F, 100, 5, EBT_OVERWRITE_REFUSE, SEAL_DIR, MERGE_EXISTS, W, false},
	/* What is no matter of looks is left to the lead, which compares. */
	{F, F, 100, 5, EBT_OVERWRITE_AUTO, NO_SEAL, MERGE_EXISTS, W, false},
	{F, F, 101, 5, EBT_OVERWRITE_AUTO, NO_SEAL, MERGE_EXISTS, W, false},
	{F, D, 0, 0, EBT_OVERWRITE_AUTO, NO_SEAL, MERGE_STUCK, W, false},
	{L, L, 1, 7, EBT_OVERWRITE_AUTO, NO_SEAL, MERGE_WRONGS, DRAIN_IN_PLACE, false},
	{F, F, 100, 5, EBT_OVERWRITE_AUTO, SEAL, MERGE_WRONGS, DRAIN_IN_PLACE, false},
	{F, F, 100, 5, EBT_OVERWRITE_AUTO, SEAL_OTHER_INO, MERGE_EXISTS, W, false},
	{F, F, 100, 5, EBT_OVERWRITE_AUTO, SEAL_OTHER_SOURCE, MERGE_WRONGS, W, true},
	{F, F, 100, 5, EBT_OVERWRITE_KEEP, NO_SEAL, MERGE_EXISTS, W, false},
	{F, F, 100, 5, EBT_OVERWRITE_KEEP, SEAL_OTHER_SOURCE, MERGE_WRONGS, W, true},
};

static const struct merge_policy refuse = {.overwrite = EBT_OVERWRITE_REFUSE};
static const struct merge_policy update = {.overwrite = EBT_OVERWRITE_UPDATE};

static struct merge_seal *make_seal(enum seal how)
{
	struct merge_seal *s = calloc(1, sizeof(*s) + sizeof(s->sources[0]));

	s->ino = how == SEAL_NO_INO ? 0 : how == SEAL_OTHER_INO ? INO + 1 : INO;
	s->size = 100;
	s->mtime = how == SEAL_OTHER_TIME ? 4 : 5;
	s->n_sources = how == SEAL_DIR ? 0 : 1;
	s->sources[0] = (struct journal_source){
		.size = 100, .mtime = how == SEAL_OTHER_SOURCE ? 3 : 5};
	return s;
}

static void targets_stand_in_the_way_unless_policy_or_journal_say_else(void)
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct merge_claim c = {.path = "p",
			.target = "x",
			.kind = targets[i].kind,
			.size = 100,
			.mtime = 5};
		struct merge_target t = {.kind = targets[i].target_kind,
			.ino = INO,
			.target = "x",
			.size = targets[i].target_size,
			.mtime = targets[i].target_time};
		const struct merge_policy how = {.overwrite = targets[i].how};
		struct merge_seal *s =
			targets[i].seal ? make_seal(targets[i].seal) : NULL;
		bool settled = false;

		CU_ASSERT_EQUAL(
			merge_settle(&c, 1, &how, &t, s, &settled), targets[i].wrong);
		CU_ASSERT_EQUAL(c.verdict, targets[i].verdict);
		CU_ASSERT_EQUAL(c.replaces, targets[i].replaces);
		CU_ASSERT_EQUAL(
			settled, c.kind != D && (c.verdict == DRAIN_SAME ||
							c.verdict == DRAIN_IN_PLACE));
		free(s);
	}
}

/* What a file that kept changing was at one moment: ours, so that the next version replaces it. */
static void what_was_no_whole_version_is_ours_and_never_in_place(void)
{
	struct merge_claim c = {
		.path = "p", .kind = F, .ino = 7, .size = 100, .mtime = 5};
	struct merge_target t = {.kind = F, .ino = INO, .size = 100, .mtime = 5};
	struct merge_seal *s = make_seal(SEAL);
	bool settled = false;

	CU_ASSERT_EQUAL(s->sources[0].ino, 0);
	CU_ASSERT_EQUAL(merge_settle(&c, 1, &refuse, &t, s, &settled), MERGE_WRONGS);
	CU_ASSERT(!settled && c.verdict == W && c.replaces);
	free(s);
}

static void a_shared_file_is_in_place_only_with_all_its_sources(void)
{
	static const uint8_t kinds[3] = {F, F, F};
	static const int ages[3] = {5, 5, 5}, other[3] = {5, 6, 5};
	struct merge_target t = {.kind = F, .ino = INO, .size = 100, .mtime = 5};
	struct merge_seal *s = make_seal(SEAL);
	struct merge_claim c[3];
	bool settled = false;

	make_claims(c, kinds, other);
	c[0].verdict = c[1].verdict = c[2].verdict = P;
	CU_ASSERT_EQUAL(merge_settle(c, 3, &refuse, &t, s, &settled), MERGE_WRONGS);
	CU_ASSERT(!settled && c[0].replaces && c[1].replaces && c[0].verdict == P);
	/* What is not taken anyway does not count. */
	c[1].verdict = O;
	CU_ASSERT_EQUAL(merge_settle(c, 3, &refuse, &t, s, &settled), MERGE_WRONGS);
	CU_ASSERT(settled && c[0].verdict == DRAIN_IN_PLACE && c[1].verdict == O);
	settled = false;
	make_claims(c, kinds, ages);
	CU_ASSERT_EQUAL(merge_settle(c, 3, &refuse, &t, s, &settled), MERGE_WRONGS);
	CU_ASSERT(settled);
	free(s);
}

/* What went under another name is known there, and replaced there when it changes. */
static void another_name_speaks_for_the_version_that_it_holds(void)
{
	struct merge_target t = {.kind = F, .ino = INO, .size = 100, .mtime = 5};
	static const uint8_t kinds[3] = {F, F, F};
	static const int ages[3] = {5, 6, 7};
	struct merge_seal *s = make_seal(SEAL);
	struct merge_claim c[3];

	s->as = "p.ebt-new";
	make_claims(c, kinds, ages);
	c[1].where = 8;
	c[2].where = 9;
	/* The first is what was sealed, the others are of other nodes. */
	CU_ASSERT_EQUAL(merge_settle_alias(c, 3, s, &t), 1);
	CU_ASSERT(c[0].verdict == DRAIN_IN_PLACE && c[0].mixed);
	CU_ASSERT_STRING_EQUAL(c[0].as, "p.ebt-new");
	CU_ASSERT(c[1].verdict == W && !c[1].was && !c[1].as && !c[2].was);
	/* An older version. */
	make_claims(c, kinds, ages);
	c[0].mtime = 6;
	CU_ASSERT_EQUAL(merge_settle_alias(c, 1, s, &t), 0);
	CU_ASSERT(c[0].verdict == W && c[0].was);
	/* Another file is there by now. */
	make_claims(c, kinds, ages);
	t.ino = INO + 1;
	CU_ASSERT_EQUAL(merge_settle_alias(c, 3, s, &t), 0);
	CU_ASSERT(c[0].verdict == W && !c[0].was);
	free(s);
}

static void only_what_is_no_directory_steps_aside(void)
{
	static const uint8_t kinds[3] = {D, F, F};
	static const int ages[3] = {5, 5, 5};
	struct merge_claim c[3];

	make_claims(c, kinds, ages);
	c[2].verdict = DRAIN_IN_PLACE;
	merge_step_aside(c, 3);
	CU_ASSERT(!c[0].in_way && c[1].in_way && !c[2].in_way);
}

/* Also when what is left of the pieces is one: its other names hold something else. */
static void what_several_nodes_made_is_not_one_nodes_file(void)
{
	struct merge_target t = {.kind = F, .ino = INO, .size = 100, .mtime = 5};

	for (uint32_t sources = 1; sources <= 2; sources++) {
		struct merge_seal *s =
			calloc(1, sizeof(*s) + 2 * sizeof(s->sources[0]));
		struct merge_claim c = {
			.path = "p", .kind = F, .size = 100, .mtime = 5, .where = 6};
		bool settled = false;

		s->ino = INO;
		s->size = 100;
		s->mtime = 5;
		s->lacks = (uint8_t)sources;
		s->n_sources = sources;
		for (uint32_t i = 0; i < sources; i++)
			s->sources[i] = (struct journal_source){
				.where = 6 + i, .size = 100, .mtime = 5};
		CU_ASSERT_EQUAL(
			merge_settle(&c, 1, &refuse, &t, s, &settled), MERGE_WRONGS);
		CU_ASSERT(settled && c.verdict == DRAIN_IN_PLACE);
		CU_ASSERT_EQUAL(c.mixed, sources > 1);
		CU_ASSERT_EQUAL(c.lacks, sources);
		free(s);
	}
}

static void what_another_node_freed_is_not_replaced_behind_its_back(void)
{
	struct merge_target t = {.kind = F, .ino = INO, .size = 100, .mtime = 5};
	struct merge_seal *s = make_seal(SEAL);
	bool settled = false;

	s->sources[0].where = 7;
	for (uint64_t where = 6; where <= 7; where++) {
		struct merge_claim c = {
			.path = "p", .kind = F, .size = 50, .mtime = 9, .where = where};

		CU_ASSERT_EQUAL(merge_settle(&c, 1, &refuse, &t, s, &settled),
			where == 7 ? MERGE_WRONGS : MERGE_EXISTS);
		CU_ASSERT_EQUAL(c.replaces, where == 7);
	}
	free(s);
}

static void a_target_that_cuts_times_off_is_known_again(void)
{
	static const struct {
		uint32_t shown;
		bool same;
	} ns[] = {{123456789, true}, {123456700, true}, {123456000, true},
		{123000000, true}, {0, true}, {123456788, false}, {120000000, false},
		{123456790, false}};

	for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		struct merge_target t = {.kind = F,
			.ino = INO,
			.size = 100,
			.mtime = 5,
			.mtime_ns = ns[i].shown};
		struct merge_claim c = {.path = "p",
			.kind = F,
			.size = 100,
			.mtime = 5,
			.mtime_ns = 123456789};
		struct merge_claim u = c;
		struct merge_seal *s = make_seal(SEAL);
		bool settled = false;

		s->mtime_ns = s->sources[0].mtime_ns = 123456789;
		CU_ASSERT_EQUAL(merge_settle(&c, 1, &refuse, &t, s, &settled),
			ns[i].same ? MERGE_WRONGS : MERGE_EXISTS);
		CU_ASSERT_EQUAL(settled, ns[i].same);
		settled = false;
		CU_ASSERT_EQUAL(
			merge_settle(&u, 1, &update, &t, NULL, &settled), MERGE_WRONGS);
		CU_ASSERT_EQUAL(settled, ns[i].same);
		free(s);
	}
}

static void a_target_that_ends_in_2038_is_known_again(void)
{
	static const struct {
		int64_t given, shown;
		bool same;
	} times[] = {{1ll << 40, INT32_MAX, true}, {INT32_MAX, INT32_MAX, true},
		{-(1ll << 40), INT32_MIN, true}, {1ll << 40, INT32_MAX - 1, false},
		{5, INT32_MAX, false}, {5, INT32_MIN, false}};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct merge_target t = {
			.kind = F, .ino = INO, .size = 100, .mtime = times[i].shown};
		struct merge_claim c = {.path = "p",
			.kind = F,
			.size = 100,
			.mtime = times[i].given,
			.mtime_ns = 7};
		struct merge_seal *s = make_seal(SEAL);
		bool settled = false;

		s->mtime = s->sources[0].mtime = times[i].given;
		s->mtime_ns = s->sources[0].mtime_ns = 7;
		CU_ASSERT_EQUAL(merge_settle(&c, 1, &refuse, &t, s, &settled),
			times[i].same ? MERGE_WRONGS : MERGE_EXISTS);
		CU_ASSERT_EQUAL(settled, times[i].same);
		free(s);
	}
}

static void an_older_version_does_not_replace_a_newer_one_that_was_freed(void)
{
	struct merge_target t = {.kind = F, .ino = INO, .size = 100, .mtime = 5};
	struct merge_policy how = {.conflict = EBT_CONFLICT_NEWEST};
	struct merge_seal *s = make_seal(SEAL);

	s->sources[0].where = 7;
	for (how.overwrite = EBT_OVERWRITE_REFUSE;
		how.overwrite <= EBT_OVERWRITE_UPDATE; how.overwrite++) {
		for (int64_t mtime = 4; mtime <= 6; mtime++) {
			struct merge_claim c = {.path = "p",
				.kind = F,
				.size = 50,
				.mtime = mtime,
				.where = 6};
			bool settled = false;

			CU_ASSERT_EQUAL(merge_settle(&c, 1, &how, &t, s, &settled),
				mtime > 5 && how.overwrite == EBT_OVERWRITE_REFUSE
					? MERGE_EXISTS
					: MERGE_WRONGS);
			CU_ASSERT_EQUAL(settled, mtime <= 5);
			CU_ASSERT_EQUAL(c.verdict, mtime <= 5 ? O : W);
			/* The node that made it may replace it, also by an older one. */
			c = (struct merge_claim){.path = "p",
				.kind = F,
				.size = 50,
				.mtime = mtime,
				.where = 7};
			CU_ASSERT_EQUAL(merge_settle(&c, 1, &how, &t, s, &settled),
				MERGE_WRONGS);
			CU_ASSERT(c.replaces && c.verdict == W);
		}
	}
	free(s);
}

static void a_link_that_says_the_same_is_in_place_whichever_node_made_it(void)
{
	struct merge_target t = {
		.kind = L, .target = "x", .ino = INO, .size = 1, .mtime = 5};
	struct merge_seal *s = make_seal(SEAL);

	s->sources[0].where = 7;
	for (int same = 0; same < 2; same++) {
		struct merge_claim c = {.path = "p",
			.kind = L,
			.target = same ? "x" : "y",
			.mtime = 9,
			.where = 6};
		bool settled = false;

		CU_ASSERT_EQUAL(merge_settle(&c, 1, &refuse, &t, s, &settled),
			same ? MERGE_WRONGS : MERGE_EXISTS);
		CU_ASSERT_EQUAL(c.verdict, same ? DRAIN_IN_PLACE : W);
	}
	free(s);
}

static void no_pass_replaces_what_an_earlier_one_freed_on_another_node(void)
{
	struct merge_target t = {.kind = F, .ino = INO, .size = 100, .mtime = 5};
	struct merge_seal *s = make_seal(SEAL);

	s->sources[0].where = 7;
	for (int i = 0; i < 4; i++) {
		struct merge_policy how = {.overwrite = i & 1 ? EBT_OVERWRITE_ALWAYS
							      : EBT_OVERWRITE_UPDATE,
			.frees = i & 2};
		struct merge_claim c = {
			.path = "p", .kind = F, .size = 50, .mtime = 9, .where = 6};
		bool settled = false;

		CU_ASSERT_EQUAL(merge_settle(&c, 1, &how, &t, s, &settled),
			how.frees ? MERGE_EXISTS : MERGE_WRONGS);
		CU_ASSERT_EQUAL(c.replaces, !how.frees);
		c.where = 7;
		CU_ASSERT_EQUAL(
			merge_settle(&c, 1, &how, &t, s, &settled), MERGE_WRONGS);
		CU_ASSERT(c.replaces);
	}
	free(s);
}

static void what_is_there_is_ours_only_if_a_seal_speaks_of_it(void)
{
	struct merge_target t = {.kind = F, .ino = 3, .size = 100, .mtime = 5};
	struct merge_seal *s = calloc(1, sizeof(*s) + sizeof(s->sources[0]));
	struct merge_seal directory = {.next = s};

	*s = (struct merge_seal){.ino = 3, .size = 100, .mtime = 5, .n_sources = 1};
	CU_ASSERT(merge_is_ours(&directory, &t));
	CU_ASSERT(!merge_is_ours(NULL, &t));
	t.ino = 4;
	CU_ASSERT(!merge_is_ours(&directory, &t));
	t.ino = 3;
	t.size = 99;
	CU_ASSERT(!merge_is_ours(&directory, &t));
	free(s);
}

static void update_compares_a_shared_file_as_it_would_become(void)
{
	static const uint8_t kinds[3] = {F, F, F};
	static const int ages[3] = {5, 8, 6};
	struct merge_target t = {.kind = F, .size = 300, .mtime = 8};
	struct merge_claim c[3];
	bool settled = false;

	make_claims(c, kinds, ages);
	c[2].size = 300;
	CU_ASSERT_EQUAL(merge_settle(c, 3, &update, &t, NULL, &settled), MERGE_WRONGS);
	CU_ASSERT(settled && c[0].verdict == DRAIN_SAME);
}

static void only_the_first_few_complaints_are_kept_and_all_are_counted(void)
{
	struct merge_wrongs w = {0};

	for (int i = 0; i < 8; i++)
		merge_complain(&w, MERGE_STUCK, "name %d", i);
	CU_ASSERT_EQUAL(w.count[MERGE_STUCK], 8);
	CU_ASSERT_EQUAL(w.count[MERGE_EXISTS], 0);
	CU_ASSERT_STRING_EQUAL(w.text[MERGE_STUCK][MERGE_NAMED - 1], "name 4");
}

static const struct test tests[] = {
	TEST(paths_of_several_nodes_are_ruled_by_kind_and_policy),
	TEST(a_new_name_is_in_the_way_of_whatever_has_it),
	TEST(targets_stand_in_the_way_unless_policy_or_journal_say_else),
	TEST(what_was_no_whole_version_is_ours_and_never_in_place),
	TEST(a_shared_file_is_in_place_only_with_all_its_sources),
	TEST(another_name_speaks_for_the_version_that_it_holds),
	TEST(only_what_is_no_directory_steps_aside),
	TEST(what_several_nodes_made_is_not_one_nodes_file),
	TEST(what_another_node_freed_is_not_replaced_behind_its_back),
	TEST(a_target_that_cuts_times_off_is_known_again),
	TEST(a_target_that_ends_in_2038_is_known_again),
	TEST(an_older_version_does_not_replace_a_newer_one_that_was_freed),
	TEST(a_link_that_says_the_same_is_in_place_whichever_node_made_it),
	TEST(no_pass_replaces_what_an_earlier_one_freed_on_another_node),
	TEST(what_is_there_is_ours_only_if_a_seal_speaks_of_it),
	TEST(update_compares_a_shared_file_as_it_would_become),
	TEST(only_the_first_few_complaints_are_kept_and_all_are_counted),
};
SUITE("drain_merge_rules", tests)
