/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow/simulate.h"

#include <string.h>

#include "suite.h"

#define GIB (1ull << 30)

static const struct cost_model links = {
	25e9, 2e-6, 1e12, 1e12, true}; /* nothing else matters */

static struct simulate_result simulate(
	uint64_t bytes, const struct plan_options *o, double *predicted)
{
	SCOPED(plan_freep) struct plan *p = NULL;
	struct simulate_result result = {0};
	struct ebt_err err;

	if (plan_bytes(bytes, o, &p, &err) < 0 ||
		simulate_plan(p, &o->cost, NULL, &result, &err) < 0)
		CU_FAIL_FATAL("simulation");
	if (predicted)
		*predicted = p->predicted;
	return result;
}

/* Beside the formula's hops: where the sender changes its credit takes one more latency. */
static double credits_for(const struct plan_options *o, uint64_t bytes)
{
	bool changes = o->algo != SCHEDULE_CHAIN || o->readers > 1;

	return changes ? (double)(bytes / o->parcel + 64) * o->cost.latency : 0;
}

static void one_stream_takes_what_the_formula_says(void)
{
	for (int a = SCHEDULE_CHAIN; a <= SCHEDULE_BINOMIAL; a++) {
		for (uint32_t nodes = 2; nodes <= 150; nodes = nodes * 2 + 1) {
			struct plan_options o = {.nodes = nodes,
				.readers = 1,
				.algo = a,
				.parcel = 1 << 20,
				.cost = links};
			double predicted, t = simulate(GIB, &o, &predicted).seconds;

			CU_ASSERT(t <= 1.001 * predicted + credits_for(&o, GIB));
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
			struct plan_options o = {.nodes = 100,
				.readers = readers,
				.algo = a,
				.parcel = 1 << 20,
				.cost = links};
			double predicted, t = simulate(GIB, &o, &predicted).seconds;

			CU_ASSERT(t <= 1.001 * predicted + credits_for(&o, GIB));
			CU_ASSERT(t >= (double)GIB / links.link);
		}
	}
}

static void a_gib_reaches_two_thousand_nodes_at_link_speed(void)
{
	double bound = (double)GIB / links.link;

	for (uint32_t readers = 1; readers <= 4; readers *= 4) {
		struct plan_options o = {
			.nodes = 2000, .readers = readers, .cost = links};
		struct simulate_result r = simulate(GIB, &o, NULL);

		printf("%u readers: %.3f times S/B\n", readers, r.seconds / bound);
		CU_ASSERT(r.seconds <= 1.1 * bound);
		CU_ASSERT(r.most_in == GIB);
		CU_ASSERT((double)r.most_out <= 1.1 * (double)GIB);
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
		CU_ASSERT_FATAL(simulate_plan(p, &o.cost, NULL, &r, NULL) == 0);
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

static double on_machine(const struct plan_options *o, struct simulate_machine m)
{
	SCOPED(plan_freep) struct plan *p = NULL;
	struct simulate_result r = {0};
	struct ebt_err err;

	if (plan_bytes(GIB, o, &p, &err) < 0 ||
		simulate_plan(p, &o->cost, &m, &r, &err) < 0)
		CU_FAIL_FATAL("simulation");
	return r.seconds;
}

/* fabric.md's figures in kind: what each imperfection of a machine costs. */
static void a_machine_that_is_not_perfect_is_slower(void)
{
	struct plan_options o = {.nodes = 64,
		.readers = 1,
		.algo = SCHEDULE_CHAIN,
		.parcel = 2 << 20,
		.cost = links};
	double step = (2 << 20) / links.link + links.latency;
	double t = on_machine(&o, (struct simulate_machine){0}), late;
	double bound = (double)GIB / links.link;

	CU_ASSERT_DOUBLE_EQUAL(t / bound, 1.15, 0.01);
	late = on_machine(&o, (struct simulate_machine){.handshake = links.latency});
	CU_ASSERT_DOUBLE_EQUAL(late / t, 1 + links.latency / step, 0.005);
	late = on_machine(&o, (struct simulate_machine){.poll = 20e-6});
	CU_ASSERT_DOUBLE_EQUAL(late / t, 1 + 20e-6 / step, 0.03);
	CU_ASSERT(
		on_machine(&o, (struct simulate_machine){.message = 3e-6}) > 1.03 * t);
}

static void nodes_in_their_order_spare_the_trunks(void)
{
	struct plan_options o = {.nodes = 64,
		.readers = 1,
		.algo = SCHEDULE_CHAIN,
		.parcel = 2 << 20,
		.cost = links};
	struct simulate_machine m = {.leaf = 16, .trunk = 4 * links.link};
	double t = on_machine(&o, (struct simulate_machine){0});

	/* A chain in order leaves each switch once. */
	CU_ASSERT_DOUBLE_EQUAL(on_machine(&o, m), t, 0.001 * t);
	m.shuffled = true;
	CU_ASSERT(on_machine(&o, m) > 1.5 * t);
	/* Circulant crosses at every step, in any order. */
	o.algo = SCHEDULE_CIRCULANT;
	t = on_machine(&o, (struct simulate_machine){0});
	m.shuffled = false;
	CU_ASSERT(on_machine(&o, m) > 1.5 * t);
	/* As much as its nodes together: no switch is in the way. */
	CU_ASSERT_DOUBLE_EQUAL(
		on_machine(&o, (struct simulate_machine){.leaf = 16}), t, 0.02 * t);
}

/*
 * Over TCP, bench/stage schedules: neither end of a chain waits for what the other sends, but in
 * circulant of 8 nodes each one and the node opposite send to each other.
 */
static void words_that_wait_for_parcels_slow_those_who_send_to_each_other(void)
{
	struct plan_options o = {.nodes = 8,
		.readers = 1,
		.algo = SCHEDULE_CHAIN,
		.parcel = 1 << 20,
		.cost = links};
	struct simulate_machine m = {.queued = true};
	double t = on_machine(&o, (struct simulate_machine){0});

	CU_ASSERT_DOUBLE_EQUAL(on_machine(&o, m), t, 0.001 * t);
	o.algo = SCHEDULE_CIRCULANT;
	t = on_machine(&o, (struct simulate_machine){0});
	CU_ASSERT(on_machine(&o, m) > 1.2 * t);
}

static void few_buffers_make_reading_wait_for_writing(void)
{
	struct plan_options o = {.nodes = 8,
		.readers = 1,
		.algo = SCHEDULE_CHAIN,
		.parcel = 1 << 20,
		.cost = {25e9, 2e-6, 1e9, 1e9}};
	double t = on_machine(&o, (struct simulate_machine){.memory = 1});

	/* As fast as either, since they overlap. */
	CU_ASSERT_DOUBLE_EQUAL(t, (double)GIB / 1e9, 0.02 * t);
}

static void compressed_parcels_are_light_to_carry_and_cost_time_at_both_ends(void)
{
	struct plan_options o = {.nodes = 8,
		.readers = 1,
		.algo = SCHEDULE_CHAIN,
		.parcel = 1 << 20,
		.cost = {1e9, 2e-6, 10e9, 10e9}};
	struct simulate_machine m = {.ratio = 0.25, .pack = 0.1e-9, .unpack = 0.1e-9};
	double t = on_machine(&o, m);

	CU_ASSERT_DOUBLE_EQUAL(t, (double)GIB / 4e9, 0.05 * t);
	m.pack = 2e-9;
	t = on_machine(&o, m);
	CU_ASSERT_DOUBLE_EQUAL(t, (double)GIB * 2.1e-9, 0.05 * t);
	m.unpack = 3e-9;
	t = on_machine(&o, m);
	CU_ASSERT_DOUBLE_EQUAL(t, (double)GIB * 3.1e-9, 0.05 * t);
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
	TEST(a_gib_reaches_two_thousand_nodes_at_link_speed),
	TEST(every_size_runs_through),
	TEST(slow_reading_and_slow_writing_set_the_pace),
	TEST(one_node_only_reads_and_writes),
	TEST(nothing_takes_no_time),
	TEST(links_carry_what_the_plan_says),
	TEST(a_machine_that_is_not_perfect_is_slower),
	TEST(nodes_in_their_order_spare_the_trunks),
	TEST(words_that_wait_for_parcels_slow_those_who_send_to_each_other),
	TEST(few_buffers_make_reading_wait_for_writing),
	TEST(compressed_parcels_are_light_to_carry_and_cost_time_at_both_ends),
	TEST(mpi_is_estimated),
};
SUITE("flow_simulate", tests)
