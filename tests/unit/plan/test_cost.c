/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/cost.h"

#include "plan/plan.h"
#include "suite.h"

#define GIB (1ull << 30)

static const struct cost_model fast = {25e9, 20e-6, 1e12, 1e12};
static const struct cost_model usual = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE};

static void the_slowest_of_link_reading_and_writing_bounds(void)
{
	struct cost_model c = {.link = 10, .read = 1, .write = 4};

	CU_ASSERT_DOUBLE_EQUAL(cost_bound(&c, 100, 8, 2), 50, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(cost_bound(&c, 100, 8, 5), 25, 1e-9);
	c.write = 100;
	CU_ASSERT_DOUBLE_EQUAL(cost_bound(&c, 100, 40, 40), 10, 1e-9);
	c.read = 50; /* alone there is no link */
	CU_ASSERT_DOUBLE_EQUAL(cost_bound(&c, 100, 1, 1), 2, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(
		cost_predict(&c, SCHEDULE_CHAIN, 100, 1, 1, 10), 2, 1e-9);
}

static void no_prediction_beats_the_bound(void)
{
	for (uint32_t nodes = 1; nodes < 20000; nodes = nodes * 3 + 1) {
		for (uint32_t readers = 1; readers <= 64; readers *= 4) {
			for (int a = SCHEDULE_CHAIN; a < SCHEDULE_ALGOS; a++)
				CU_ASSERT(cost_predict(&usual, a, GIB, nodes, readers,
						  1 << 20) >=
					  cost_bound(&usual, GIB, nodes, readers));
		}
	}
}

static void large_clusters_get_a_logarithmic_schedule(void)
{
	static const struct {
		uint64_t bytes;
		uint32_t nodes;
		bool flat;
		double limit; /* times S/B */
	} cases[] = {
		{64 << 20, 1024, true, 1.8},
		{64 << 20, 1024, false, 1.95},
		{GIB, 1024, true, 1.25},
		{GIB, 1024, false, 1.25},
		{10 * GIB, 9000, true, 1.1},
		{10 * GIB, 9000, false, 1.1},
	};

	for (size_t i = 0; i < 12; i++) {
		uint64_t bytes = cases[i / 2].bytes, parcel = 0;
		uint32_t nodes = cases[i / 2].nodes, readers = i % 2 ? 4 : 1;
		enum schedule_algo algo = SCHEDULE_AUTO;
		struct cost_model c = fast;
		double t;

		c.flat = cases[i / 2].flat;
		cost_choose(&c, bytes, nodes, readers, &algo, &parcel);
		CU_ASSERT(algo == SCHEDULE_TWO_TREE ||
			  (c.flat && algo == SCHEDULE_CIRCULANT));
		t = cost_predict(&c, algo, bytes, nodes, readers, parcel);
		if (readers == 1)
			CU_ASSERT(t <= cases[i / 2].limit * (double)bytes / c.link)
	}
}

static void few_nodes_with_much_data_form_a_chain(void)
{
	for (uint32_t nodes = 1; nodes <= 8; nodes++) {
		enum schedule_algo algo = SCHEDULE_AUTO;
		uint64_t parcel = 0;

		cost_choose(&fast, 100 * GIB, nodes, 1, &algo, &parcel);
		CU_ASSERT_EQUAL(algo, SCHEDULE_CHAIN);
	}
}

static void one_tiny_parcel_takes_the_binomial_tree(void)
{
	enum schedule_algo algo = SCHEDULE_AUTO;
	uint64_t parcel = 0;

	cost_choose(&fast, 4096, 500, 1, &algo, &parcel);
	CU_ASSERT_EQUAL(algo, SCHEDULE_BINOMIAL);
	CU_ASSERT_EQUAL(parcel, PLAN_PARCEL_MIN);
}

static void parcels_are_powers_of_two_and_several_a_stream(void)
{
	for (uint64_t bytes = 0; bytes < 1000 * GIB; bytes = bytes * 5 + 77777) {
		for (uint32_t readers = 1; readers <= 64; readers *= 2) {
			enum schedule_algo algo = SCHEDULE_AUTO;
			uint64_t parcel = 0;

			cost_choose(&usual, bytes, 300, readers, &algo, &parcel);
			CU_ASSERT_EQUAL(parcel & (parcel - 1), 0);
			CU_ASSERT(
				parcel >= PLAN_PARCEL_MIN && parcel <= PLAN_PARCEL_MAX);
			CU_ASSERT(parcel == PLAN_PARCEL_MIN ||
				  4 * readers * parcel <= bytes);
		}
	}
}

/* With several streams it is the better one, but not where its steps share uplinks. */
static void circulant_is_for_flat_fabrics(void)
{
	struct cost_model c = fast;

	for (int flat = 0; flat < 2; flat++) {
		enum schedule_algo algo = SCHEDULE_AUTO;
		uint64_t parcel = 0;

		c.flat = flat;
		cost_choose(&c, 10 * GIB, 9000, 4, &algo, &parcel);
		CU_ASSERT_EQUAL(algo, flat ? SCHEDULE_CIRCULANT : SCHEDULE_TWO_TREE);
		algo = SCHEDULE_CIRCULANT;
		cost_choose(&c, 10 * GIB, 9000, 4, &algo, &parcel);
		CU_ASSERT_EQUAL(algo, SCHEDULE_CIRCULANT);
	}
}

static void what_is_given_stays(void)
{
	enum schedule_algo algo = SCHEDULE_BINOMIAL;
	uint64_t parcel = 3 * PLAN_PARCEL_MIN;

	cost_choose(&usual, GIB, 300, 4, &algo, &parcel);
	CU_ASSERT_EQUAL(algo, SCHEDULE_BINOMIAL);
	CU_ASSERT_EQUAL(parcel, 3 * PLAN_PARCEL_MIN);
	algo = SCHEDULE_AUTO;
	cost_choose(&usual, GIB, 300, 4, &algo, &parcel);
	CU_ASSERT(algo != SCHEDULE_AUTO);
	CU_ASSERT_EQUAL(parcel, 3 * PLAN_PARCEL_MIN);
}

static const struct test tests[] = {
	TEST(the_slowest_of_link_reading_and_writing_bounds),
	TEST(no_prediction_beats_the_bound),
	TEST(large_clusters_get_a_logarithmic_schedule),
	TEST(few_nodes_with_much_data_form_a_chain),
	TEST(one_tiny_parcel_takes_the_binomial_tree),
	TEST(parcels_are_powers_of_two_and_several_a_stream),
	TEST(circulant_is_for_flat_fabrics),
	TEST(what_is_given_stays),
};
SUITE("plan_cost", tests)
