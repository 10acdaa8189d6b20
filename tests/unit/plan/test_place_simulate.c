/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "plan/place_simulate.h"
#include "suite.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct place_result run(const struct place_machine *m)
{
	struct place_result res = {0};
	struct ebt_err err = {0};

	if (place_simulate(m, &res, &err) != 0) {
		puts(err.text);
		CU_FAIL("simulation failed");
	}
	return res;
}

static double seconds_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)(now.tv_sec - t->tv_sec) +
	       1e-9 * (double)(now.tv_nsec - t->tv_nsec);
}

static void large_files_take_what_the_targets_take(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;
	double bound;

	m.files = 1600;
	m.size = 10 * GIB;
	res = run(&m);
	bound = 1000.0 * (double)GIB / PLACE_RATE_OST;
	CU_ASSERT_EQUAL(res.bytes, 16000 * GIB);
	CU_ASSERT_EQUAL(res.choice.chosen.writers, 16);
	CU_ASSERT(res.seconds >= bound);
	CU_ASSERT(res.seconds <= 1.06 * bound);
	CU_ASSERT((double)res.most_target_bytes <= 1.05 * (double)res.mean_target);
}

/* What is placed is as level without what comes first as with it, which has its own targets. */
static void first_bytes_of_files_go_to_a_pool_of_their_own(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res, flat;

	m.files = 3200;
	m.size = 64 * MIB;
	m.spread = 8;
	flat = run(&m);
	m.early = 8 * MIB;
	m.early_targets = 4;
	m.early_rate = 4 * PLACE_RATE_OST;
	res = run(&m);
	CU_ASSERT_EQUAL(res.bytes, flat.bytes);
	CU_ASSERT(res.mean_early > 0);
	CU_ASSERT(res.mean_target * 16 + res.mean_early * 4 <= res.bytes);
	CU_ASSERT(res.mean_target * 16 + res.mean_early * 4 > res.bytes - 32);
	CU_ASSERT((double)res.most_target_bytes <= 1.05 * (double)res.mean_target);
	CU_ASSERT((double)res.most_early <= 1.05 * (double)res.mean_early);
	CU_ASSERT(res.seconds < flat.seconds);
	/* All that files have: nothing is left to be placed. */
	m.spread = 1;
	m.early = 64 * MIB;
	res = run(&m);
	CU_ASSERT_EQUAL(res.mean_target, 0);
	CU_ASSERT_EQUAL(res.mean_early, 800 * 64 * MIB);
}

static void one_file_is_written_by_all_targets(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;

	m.files = 1;
	m.size = 100 * GIB;
	res = run(&m);
	CU_ASSERT_EQUAL(res.big, 1);
	CU_ASSERT_EQUAL(res.objects, 16);
	CU_ASSERT((double)res.most_target_bytes <= 1.001 * (double)res.mean_target);
	/* Its node reads it alone, and that takes longer than 16 targets. */
	CU_ASSERT(res.seconds >= 100.0 * (double)GIB / PLACE_RATE_READ);
	CU_ASSERT(res.seconds <= 1.1 * 100.0 * (double)GIB / PLACE_RATE_READ);
	CU_ASSERT_EQUAL(res.most_out_node, 0);
}

static void predictions_hold_where_nodes_are_equal(void)
{
	static const struct {
		uint32_t nodes, targets;
		uint64_t files, size;
	} cases[] = {
		{64, 16, 100000, MIB},
		{64, 64, 20000, 8 * MIB},
		{16, 64, 3000, 100 * MIB},
		{500, 20, 200000, 100},
		{100, 10, 100000, 4 * MIB},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct place_machine m = PLACE_MACHINE;
		struct place_result res;
		double ratio;

		m.nodes = cases[i].nodes;
		m.targets = cases[i].targets;
		m.files = cases[i].files;
		m.size = cases[i].size;
		res = run(&m);
		ratio = res.seconds / res.choice.chosen.seconds;
		if (ratio < 0.99 || ratio > 1.2) {
			printf("case %zu: %g s, predicted %g s\n", i, res.seconds,
				res.choice.chosen.seconds);
			CU_FAIL("far off");
		}
	}
}

static void a_slow_target_costs_less_when_it_is_known(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result blind, aware;

	m.size = 16 * MIB;
	m.slow = 3;
	m.slow_rate = 0.25;
	blind = run(&m);
	m.slow_known = true;
	aware = run(&m);
	CU_ASSERT(blind.seconds > 3.5 * aware.seconds);
	CU_ASSERT(aware.most_target != 3);
}

static void a_full_node_moves_only_its_own_surplus(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;

	m.nodes = m.targets = 64;
	m.skew = 8;
	res = run(&m);
	CU_ASSERT_EQUAL(res.most_out_node, 0);
	/* 7 of its 8 parts, and for each other node what the level is above its own. */
	CU_ASSERT((double)res.moved < 0.11 * (double)res.bytes);
	CU_ASSERT((double)res.most_target_bytes <= 1.05 * (double)res.mean_target);
}

static void files_of_many_sizes_are_level_too(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;

	m.spread = 1000;
	m.files = 1000;
	res = run(&m);
	CU_ASSERT(res.big > 0 && res.big <= 8 * m.targets);
	/* Small files are as large as an eighth of a target's share. */
	CU_ASSERT((double)res.most_target_bytes <= 1.1 * (double)res.mean_target);
}

static void nine_thousand_nodes_take_seconds(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;
	struct timespec start;

	m.nodes = 9000;
	m.targets = 160;
	m.files = 10000000;
	m.spread = 30;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	res = run(&m);
	CU_ASSERT(seconds_since(&start) < 30);
	CU_ASSERT((double)res.most_target_bytes <= 1.05 * (double)res.mean_target);
	CU_ASSERT(res.seconds >= 1e7 * PLACE_FILE_OPS / PLACE_RATE_MDS);
}

static void empty_files_take_the_metadata_server_alone(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;

	m.size = 0;
	res = run(&m);
	CU_ASSERT_EQUAL(res.bytes, 0);
	CU_ASSERT_DOUBLE_EQUAL(res.seconds, 1e5 * PLACE_FILE_OPS / PLACE_RATE_MDS, 0.1);
	m.files = 0;
	res = run(&m);
	CU_ASSERT_EQUAL(res.seconds, 0);
}

static void a_machine_of_nothing_is_refused(void)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;

	m.nodes = 0;
	CU_ASSERT_EQUAL(place_simulate(&m, &res, NULL), -EINVAL);
	m.nodes = 4;
	m.slow_rate = 0;
	CU_ASSERT_EQUAL(place_simulate(&m, &res, NULL), -EINVAL);
	m.slow_rate = 1;
	m.size = UINT64_MAX / 2;
	CU_ASSERT_EQUAL(place_simulate(&m, &res, NULL), -EOVERFLOW);
}

static const struct test tests[] = {
	TEST(large_files_take_what_the_targets_take),
	TEST(one_file_is_written_by_all_targets),
	TEST(first_bytes_of_files_go_to_a_pool_of_their_own),
	TEST(predictions_hold_where_nodes_are_equal),
	TEST(a_slow_target_costs_less_when_it_is_known),
	TEST(a_full_node_moves_only_its_own_surplus),
	TEST(files_of_many_sizes_are_level_too),
	TEST(nine_thousand_nodes_take_seconds),
	TEST(empty_files_take_the_metadata_server_alone),
	TEST(a_machine_of_nothing_is_refused),
};
SUITE("plan_place_simulate", tests)
