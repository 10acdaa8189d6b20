/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/simulate.h"

#include <string.h>

#include "suite.h"

#define GIB (1ull << 30)

static const struct cost_model links = {
	25e9, 2e-6, 1e12, 1e12}; /* nothing else matters */

static struct simulate_result simulate(
	uint64_t bytes, const struct plan_options *o, double *predicted)
{
	SCOPED(plan_freep) struct plan *p = NULL;
	struct simulate_result result = {0};
	struct ebt_err err;

	if (plan_bytes(bytes, o, &p, &err) < 0 ||
		simulate_plan(p, &o->cost, &result, &err) < 0)
		CU_FAIL_FATAL("simulation");
	if (predicted)
		*predicted = p->predicted;
	return result;
}

static void one_stream_takes_what_the_formula_says(void)
{
	for (int a = SCHEDULE_CHAIN; a <= SCHEDULE_BINOMIAL; a++) {
		for (uint32_t nodes = 2; nodes <= 300; nodes = nodes * 2 + 1) {
			struct plan_options o = {.nodes = nodes,
				.readers = 1,
				.algo = a,
				.parcel = 1 << 20,
				.cost = links};
			double predicted, t = simulate(GIB, &o, &predicted).seconds;

			CU_ASSERT(t <= 1.001 * predicted);
			/* Two trees need up to 2 L - 1 steps of fill, mostly fewer. */
			CU_ASSERT(t >=
				  (a == SCHEDULE_TWO_TREE ? 0.98 : 0.999) * predicted);
		}
	}
}

static void several_streams_are_no_slower_than_the_formula(void)
{
	for (int a = SCHEDULE_CHAIN; a <= SCHEDULE_CIRCULANT; a++) {
		for (uint32_t readers = 2; readers <= 16; readers *= 2) {
			struct plan_options o = {.nodes = 200,
				.readers = readers,
				.algo = a,
				.parcel = 1 << 20,
				.cost = links};
			double predicted, t = simulate(GIB, &o, &predicted).seconds;

			CU_ASSERT(t <= 1.001 * predicted);
			CU_ASSERT(t >= (double)GIB / links.link);
		}
	}
}

static void ten_gib_reach_nine_thousand_nodes_at_link_speed(void)
{
	double bound = 10 * (double)GIB / links.link, before = 1.1 * bound;

	for (uint32_t readers = 1; readers <= 4; readers *= 4) {
		struct plan_options o = {
			.nodes = 9000, .readers = readers, .cost = links};
		struct simulate_result r = simulate(10 * GIB, &o, NULL);

		printf("%u readers: %.3f times S/B\n", readers, r.seconds / bound);
		CU_ASSERT(r.seconds <= before);
		CU_ASSERT(r.most_in == 10 * GIB);
		CU_ASSERT((double)r.most_out <= 1.02 * 10 * (double)GIB);
		before = r.seconds; /* more readers are no slower */
	}
}

static void every_size_runs_through(void)
{
	for (int a = SCHEDULE_CHAIN; a <= SCHEDULE_BINOMIAL; a++) {
		for (uint32_t nodes = 1; nodes <= 140; nodes++) {
			struct plan_options o = {.nodes = nodes,
				.readers = 1 + nodes % 5,
				.algo = a,
				.parcel = PLAN_PARCEL_MIN,
				.cost = links};
			struct simulate_result r = simulate(70 * DIGEST_LEAF, &o, NULL);

			CU_ASSERT_EQUAL(r.transfers, 70 * (nodes - 1));
		}
	}
}

static void slow_reading_and_slow_writing_set_the_pace(void)
{
	struct plan_options o = {.nodes = 50,
		.readers = 2,
		.parcel = 1 << 20,
		.cost = {25e9, 2e-6, 1e9, 1e12}};
	double t = simulate(GIB, &o, NULL).seconds;

	CU_ASSERT_DOUBLE_EQUAL(t, (double)GIB / 2e9, 0.01 * t);
	o.cost.read = 1e12;
	o.cost.write = 2e9;
	t = simulate(GIB, &o, NULL).seconds;
	CU_ASSERT_DOUBLE_EQUAL(t, (double)GIB / 2e9, 0.01 * t);
}

static void one_node_only_reads_and_writes(void)
{
	struct plan_options o = {.nodes = 1, .cost = {25e9, 2e-6, 2e9, 4e9}};
	struct simulate_result r = simulate(GIB, &o, NULL);

	CU_ASSERT_DOUBLE_EQUAL(r.seconds, (double)GIB / 2e9, 0.01);
	CU_ASSERT_EQUAL(r.transfers + r.most_in + r.most_out, 0);
}

static void nothing_takes_no_time(void)
{
	struct plan_options o = {.nodes = 5, .cost = links};
	struct simulate_result r = simulate(0, &o, NULL);

	CU_ASSERT_DOUBLE_EQUAL(r.seconds, 0, 0);
	CU_ASSERT_EQUAL(r.transfers, 0);
}

static void links_carry_what_the_plan_says(void)
{
	for (int a = SCHEDULE_CHAIN; a <= SCHEDULE_BINOMIAL; a++) {
		struct plan_options o = {.nodes = 23,
			.readers = 3,
			.algo = a,
			.parcel = 128 << 10,
			.cost = links};
		SCOPED(plan_freep) struct plan *p = NULL;
		struct simulate_result r;
		uint64_t sum = 0, most_out = 0, most_in = 0;

		CU_ASSERT_FATAL(plan_bytes(10000001, &o, &p, NULL) == 0);
		CU_ASSERT_FATAL(simulate_plan(p, &o.cost, &r, NULL) == 0);
		for (uint32_t i = 0; i < 23; i++) {
			uint64_t out, in;

			CU_ASSERT_FATAL(plan_link_bytes(p, i, &out, &in, NULL) == 0);
			sum += out;
			most_out = out > most_out ? out : most_out;
			most_in = in > most_in ? in : most_in;
		}
		CU_ASSERT_EQUAL(sum, 22 * p->bytes);
		CU_ASSERT_EQUAL(most_out, r.most_out);
		CU_ASSERT_EQUAL(most_in, r.most_in);
		CU_ASSERT_EQUAL(r.transfers, 22 * p->n_parcels);
	}
}

static void mpi_is_estimated(void)
{
	struct plan_options o = {
		.nodes = 64, .readers = 1, .algo = SCHEDULE_MPI_BCAST, .cost = links};
	struct simulate_result r = simulate(GIB, &o, NULL);

	CU_ASSERT(r.seconds > 1.9 * (double)GIB / links.link);
	CU_ASSERT_EQUAL(r.transfers, 0);
}

static const struct test tests[] = {
	TEST(one_stream_takes_what_the_formula_says),
	TEST(several_streams_are_no_slower_than_the_formula),
	TEST(ten_gib_reach_nine_thousand_nodes_at_link_speed),
	TEST(every_size_runs_through),
	TEST(slow_reading_and_slow_writing_set_the_pace),
	TEST(one_node_only_reads_and_writes),
	TEST(nothing_takes_no_time),
	TEST(links_carry_what_the_plan_says),
	TEST(mpi_is_estimated),
};
SUITE("plan_simulate", tests)
