/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "plan/place_cost.h"
#include "suite.h"

#define GB 1e9

/* Equal nodes. */
static struct place_work work(
	uint32_t nodes, uint32_t targets, double bytes, uint64_t files)
{
	return (struct place_work){.bytes = (uint64_t)bytes,
		.files = files,
		.most_bytes = (uint64_t)(bytes / nodes),
		.most_files = (files + nodes - 1) / nodes,
		.nodes = nodes,
		.targets = targets};
}

static void near(double got, double want)
{
	CU_ASSERT_DOUBLE_EQUAL(got, want, 1e-6 * fabs(want) + 1e-9);
}

static void large_files_wait_for_the_targets(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(64, 16, 1600 * GB, 64);
	struct place_choice c;

	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	near(c.owners.seconds, 100);
	near(c.direct.seconds, 100 / PLACE_RATE_SHARED);
	CU_ASSERT_STRING_EQUAL(c.owners.pace, "targets");
	CU_ASSERT_FALSE(c.is_direct);
	CU_ASSERT_EQUAL(c.chosen.writers, 16);
	near(c.owners.moved, 1200 * GB);
	near(c.direct.moved, 0);
}

static void many_small_files_are_written_from_where_they_are(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(64, 4, 1 * GB, 1000000);
	struct place_choice c;

	r.mds = 1e6;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_STRING_EQUAL(c.owners.pace, "metadata latency");
	near(c.owners.seconds, 250000 * PLACE_FILE_OPS * 1e-3 / 16);
	CU_ASSERT_TRUE(c.is_direct);
	CU_ASSERT_EQUAL(c.chosen.writers, 64);
	CU_ASSERT(c.chosen.seconds < c.owners.seconds / 4);
}

static void slow_links_speak_for_direct(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(64, 4, 100 * GB, 1000);
	struct place_choice c;

	r.link = 0.1 * GB;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_STRING_EQUAL(c.owners.pace, "links");
	near(c.owners.seconds, 100 * GB / 4 / r.link);
	CU_ASSERT_TRUE(c.is_direct);
}

static void what_both_wait_for_leaves_the_owners(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(64, 16, 1 * GB, 10000000);
	struct place_choice c;

	r.mds = 100;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_STRING_EQUAL(c.owners.pace, "metadata server");
	CU_ASSERT_STRING_EQUAL(c.direct.pace, "metadata server");
	near(c.owners.seconds, c.direct.seconds);
	CU_ASSERT_FALSE(c.is_direct);
}

static void with_a_target_for_each_node_both_ways_are_one(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(8, 16, 100 * GB, 1000);
	struct place_choice c;

	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_EQUAL(c.owners.writers, 8);
	CU_ASSERT_EQUAL(c.direct.writers, 8);
	near(c.owners.seconds, c.direct.seconds);
	near(c.owners.moved, 0);
}

static void the_choice_of_writers_is_capped(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(9000, 160, 1000 * GB, 10000000);
	struct place_choice c;

	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_EQUAL(c.owners.writers, 160);
	CU_ASSERT_EQUAL(c.direct.writers, PLACE_WRITERS_MAX);
}

static void a_fixed_number_of_writers_is_only_predicted(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(64, 16, 1600 * GB, 1000);
	struct place_choice c;

	CU_ASSERT_EQUAL(place_cost(&w, &r, 2, &c, NULL), 0);
	CU_ASSERT_EQUAL(c.chosen.writers, 2);
	CU_ASSERT_STRING_EQUAL(c.chosen.pace, "writers");
	near(c.chosen.seconds, 1600 * GB / 2 / PLACE_RATE_WRITER);
	CU_ASSERT_EQUAL(place_cost(&w, &r, 40, &c, NULL), 0);
	CU_ASSERT_TRUE(c.is_direct);
}

/*
 * One node holds half of all: as an owner it gives away, directly it writes all of
 * that.
 */
static void the_fullest_node_counts(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(64, 16, 1600 * GB, 1000);
	struct place_choice c;

	w.most_bytes = w.bytes / 2;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_STRING_EQUAL(c.direct.pace, "local reads");
	near(c.direct.seconds, 800 * GB / PLACE_RATE_READ);
	CU_ASSERT_EQUAL(place_cost(&w, &r, 64, &c, NULL), 0);
	CU_ASSERT(c.chosen.seconds >= 800 * GB / PLACE_RATE_WRITER);
}

/* Nor does a full node that writes nothing get rid of it faster than its link allows. */
static void the_fullest_link_counts(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(64, 4, 100 * GB, 1000);
	struct place_choice c;

	r.link = 1 * GB;
	w.most_bytes = w.bytes / 2;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 4, &c, NULL), 0);
	CU_ASSERT_STRING_EQUAL(c.chosen.pace, "links");
	near(c.chosen.seconds, 50);
}

/* All is on one node: what leaves it takes as long to other nodes as to the PFS. */
static void one_full_node_writes_where_its_link_sets_the_pace(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(8, 16, 100 * GB, 16);
	struct place_choice c;

	w.most_bytes = w.bytes;
	w.most_files = w.files;
	w.holders = 1;
	r.link = 1 * GB;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_TRUE(c.is_home);
	CU_ASSERT_EQUAL(c.chosen.writers, 1);
	near(c.chosen.moved, 0);
	near(c.chosen.seconds, 100);
	near(c.owners.seconds, 100);
	/* What it could send faster than write it sends. */
	r.link = 25 * GB;
	r.read = 25 * GB;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_FALSE(c.is_home);
	CU_ASSERT_EQUAL(c.chosen.writers, 8);
	/* More hands for the metadata of many files. */
	w = work(8, 16, 1 * GB, 1000000);
	w.most_bytes = w.bytes;
	w.most_files = w.files;
	w.holders = 1;
	r.mds = 1e6;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_FALSE(c.is_home);
	/* Not known, all of them, or the user's word. */
	w.holders = 0;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_FALSE(c.is_home);
	w = work(8, 16, 100 * GB, 16);
	w.holders = 8;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_FALSE(c.is_home);
	w.holders = 1;
	CU_ASSERT_EQUAL(place_cost(&w, &r, 4, &c, NULL), 0);
	CU_ASSERT_FALSE(c.is_home);
	CU_ASSERT_EQUAL(c.chosen.writers, 4);
}

static void nothing_to_do_takes_no_time(void)
{
	struct place_rates r = PLACE_RATES;
	struct place_work w = work(4, 2, 0, 0);
	struct place_choice c;

	CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), 0);
	CU_ASSERT_EQUAL(c.chosen.seconds, 0);
}

static void rates_of_nothing_are_refused(void)
{
	struct place_work w = work(4, 2, GB, 10);
	struct place_choice c;

	for (int i = 0; i < 6; i++) {
		struct place_rates r = PLACE_RATES;
		double *rate[] = {
			&r.ost, &r.shared, &r.writer, &r.link, &r.read, &r.mds};

		*rate[i] = i % 2 ? 0 : NAN;
		CU_ASSERT_EQUAL(place_cost(&w, &r, 0, &c, NULL), -EINVAL);
	}
	{
		struct place_rates r = PLACE_RATES;

		CU_ASSERT_EQUAL(place_cost(&w, &r, 5, &c, NULL), -EINVAL);
	}
}

static const struct test tests[] = {
	TEST(large_files_wait_for_the_targets),
	TEST(many_small_files_are_written_from_where_they_are),
	TEST(slow_links_speak_for_direct),
	TEST(what_both_wait_for_leaves_the_owners),
	TEST(with_a_target_for_each_node_both_ways_are_one),
	TEST(the_choice_of_writers_is_capped),
	TEST(a_fixed_number_of_writers_is_only_predicted),
	TEST(the_fullest_node_counts),
	TEST(the_fullest_link_counts),
	TEST(one_full_node_writes_where_its_link_sets_the_pace),
	TEST(nothing_to_do_takes_no_time),
	TEST(rates_of_nothing_are_refused),
};
SUITE("plan_place_cost", tests)
