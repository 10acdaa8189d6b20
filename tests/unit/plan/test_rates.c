/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/rates.h"

#include "plan/plan.h"
#include "suite.h"

#define MIB 1048576.0

static void a_rate_is_that_of_all_threads_together(void)
{
	struct rates_busy b = {.bytes = 1000 << 20, .seconds = 4};

	CU_ASSERT_DOUBLE_EQUAL(rates_of(&b, 1), 250 * MIB, 1);
	CU_ASSERT_DOUBLE_EQUAL(rates_of(&b, 4), 1000 * MIB, 1);
	/* Too little to tell. */
	b.bytes = 1 << 20;
	CU_ASSERT_EQUAL(rates_of(&b, 1), 0);
	b = (struct rates_busy){.bytes = 1000 << 20, .seconds = 1e-4};
	CU_ASSERT_EQUAL(rates_of(&b, 1), 0);
	b = (struct rates_busy){0};
	CU_ASSERT_EQUAL(rates_of(&b, 1), 0);
}

static void what_was_measured_replaces_what_was_assumed(void)
{
	struct cost_model c = {25e9, 20e-6, 1e9, 4e9};
	struct rates r = {0};
	struct rates_measured m = {
		.read = 3e9, .write = 12e9, .link = 5e9, .readers = 4};

	rates_learn(&r, &m, false, &c);
	CU_ASSERT(r.read && r.write && !r.link);
	CU_ASSERT_EQUAL(c.read, 3e9);
	CU_ASSERT_EQUAL(c.write, 12e9);
	CU_ASSERT_EQUAL(c.link, 25e9);
	rates_learn(&r, &m, true, &c);
	CU_ASSERT(r.link);
	CU_ASSERT_EQUAL(c.link, 5e9);
	/* Nothing measured: all stays. */
	m = (struct rates_measured){.readers = 4};
	rates_learn(&r, &m, true, &c);
	CU_ASSERT_EQUAL(c.read, 3e9);
	CU_ASSERT_EQUAL(c.write, 12e9);
	CU_ASSERT_EQUAL(c.link, 5e9);
}

/* Batches of a run: readers chosen, then what they get. */
static uint32_t readers_after(unsigned batches, double one, double all, double store)
{
	struct plan_options o = {
		.nodes = 1000, .cost = {25e9, 20e-6, COST_READ, COST_WRITE}};
	struct rates r = {0};
	uint32_t n = 0;

	for (unsigned i = 0; i < batches; i++) {
		struct rates_measured m = {.write = store};

		o.readers_max = r.most;
		n = plan_readers(&o, 1ull << 40);
		m.readers = n;
		m.read = n * one < all ? one : all / n;
		rates_learn(&r, &m, false, &o.cost);
	}
	return n;
}

/* On a link of 25 GB/s, stores that take 20 GB/s. */
static void readers_become_as_many_as_the_slowest_of_the_rest_takes(void)
{
	/* What is assumed. */
	CU_ASSERT_EQUAL(readers_after(1, 1e9, 1e12, 20e9), 4);
	CU_ASSERT_EQUAL(readers_after(2, 1e9, 1e12, 20e9), 20);
	CU_ASSERT_EQUAL(readers_after(9, 1e9, 1e12, 20e9), 20);
	CU_ASSERT_EQUAL(readers_after(2, 5e9, 1e12, 20e9), 4);
	CU_ASSERT_EQUAL(readers_after(2, 5e9, 1e12, 2e9), 1);
	CU_ASSERT_EQUAL(readers_after(2, 0.3e9, 1e12, 100e9), 64);
}

/* The file system gives 3 GB/s in all, however many read. */
static void readers_that_read_no_more_in_all_do_not_become_more(void)
{
	uint32_t n = readers_after(2, 1e9, 3e9, 20e9);

	CU_ASSERT(n > 4);
	CU_ASSERT_EQUAL(readers_after(3, 1e9, 3e9, 20e9), 4);
	CU_ASSERT_EQUAL(readers_after(9, 1e9, 3e9, 20e9), 4);
}

static void a_node_that_sends_much_slower_than_others_becomes_a_leaf(void)
{
	struct cost_model c = {25e9, 20e-6, 1e9, 4e9};
	struct rates r = {0};
	struct rates_measured m = {.link = 9e9, .slowest = 5, .others = 10e9};

	rates_learn(&r, &m, true, &c);
	CU_ASSERT(!r.has_leaf);
	CU_ASSERT_EQUAL(c.link, 9e9);
	m.link = 2e9;
	rates_learn(&r, &m, true, &c);
	CU_ASSERT(r.has_leaf);
	CU_ASSERT_EQUAL(r.leaf, 5);
	CU_ASSERT_EQUAL(c.link, 10e9);
	/* It is not seen any more, others are as ever. */
	m = (struct rates_measured){.link = 9e9, .slowest = 2, .others = 10e9};
	rates_learn(&r, &m, true, &c);
	CU_ASSERT_EQUAL(r.leaf, 5);
	/* A slow one, but not as slow; then a slower one. */
	m = (struct rates_measured){.link = 3e9, .slowest = 2, .others = 10e9};
	rates_learn(&r, &m, true, &c);
	CU_ASSERT_EQUAL(r.leaf, 5);
	m.link = 1e9;
	rates_learn(&r, &m, true, &c);
	CU_ASSERT_EQUAL(r.leaf, 2);
}

static const struct test tests[] = {
	TEST(a_rate_is_that_of_all_threads_together),
	TEST(what_was_measured_replaces_what_was_assumed),
	TEST(readers_become_as_many_as_the_slowest_of_the_rest_takes),
	TEST(readers_that_read_no_more_in_all_do_not_become_more),
	TEST(a_node_that_sends_much_slower_than_others_becomes_a_leaf),
};
SUITE("plan_rates", tests)
