/* SPDX-License-Identifier: BSD-3-Clause */
#include "place_job.h"

static void substitutes_spread_over_the_healthy(void)
{
	SCOPED_JOB struct job *j = job_new(8, 20);
	SCOPED_PLACE struct place *p = NULL;
	bool bad[20] = {[4] = true, [9] = true};
	uint32_t taken[] = {0, 19};
	struct place_ask ask = {.bad = bad, .taken = taken, .n_taken = 2, .bytes = GIB};

	j->targets[7].usable = false;
	for (uint32_t i = 0; i < 8000; i++)
		job_add(j, i / 1000, MIB);
	p = job_place(j);
	for (int run = 1; run <= 100; run *= 10) { /* over 15 targets */
		uint32_t got[20] = {0}, n = 15 * (uint32_t)run;

		for (uint32_t i = 0; i < n; i++) {
			ask.counter = 1000 * (uint64_t)run + i;
			got[place_substitute(p, &ask) % 20]++;
		}
		for (uint32_t t = 0; t < 20; t++) {
			if (bad[t] || t == 7 || t == 0 || t == 19)
				CU_ASSERT_EQUAL(got[t], 0)
			else
				CU_ASSERT(got[t] + 2 >= n / 15 && got[t] <= n / 15 + 2)
		}
	}
}

static void busy_and_full_targets_substitute_less(void)
{
	SCOPED_JOB struct job *j = job_new(4, 4);
	SCOPED_PLACE struct place *p = NULL;
	bool bad[4] = {false};
	struct place_ask ask = {.bad = bad, .bytes = 5 * GIB};
	uint32_t got[4] = {0};

	j->in.rules.max_stripe_count = 1;
	j->targets[3].avail = 5 * GIB;
	for (int t = 0; t < 3; t++)
		j->targets[t].avail = 6000 * GIB;
	job_add(j, 0, 100 * GIB); /* on 0; the others share 10 GiB */
	for (int i = 0; i < 1000; i++)
		job_add(j, 1, 10 * MIB);
	p = job_place(j);
	for (ask.counter = 0; ask.counter < 1000; ask.counter++)
		got[place_substitute(p, &ask) % 4]++;
	CU_ASSERT_EQUAL(got[3], 0);
	CU_ASSERT(got[0] > 0);
	CU_ASSERT(got[0] < got[1] / 5 && got[0] < got[2] / 5);
}

static void without_a_healthy_target_there_is_no_substitute(void)
{
	SCOPED_JOB struct job *j = job_new(2, 3);
	SCOPED_PLACE struct place *p = job_place(j);
	bool bad[3] = {true, false, true};
	uint32_t taken = 1;
	struct place_ask ask = {.bad = bad, .taken = &taken, .n_taken = 1};

	for (ask.counter = 0; ask.counter < 100; ask.counter++)
		CU_ASSERT_EQUAL(place_substitute(p, &ask), PLACE_NONE);
	ask.n_taken = 0;
	CU_ASSERT_EQUAL(place_substitute(p, &ask), 1);
}

static const struct test tests[] = {
	TEST(substitutes_spread_over_the_healthy),
	TEST(busy_and_full_targets_substitute_less),
	TEST(without_a_healthy_target_there_is_no_substitute),
};
SUITE("plan_place_substitute", tests)
