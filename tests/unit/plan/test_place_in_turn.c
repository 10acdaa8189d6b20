/* SPDX-License-Identifier: BSD-3-Clause */
#include "place_job.h"

static bool is_small(const struct job *j, uint64_t size)
{
	return size < j->big_min;
}

static bool in_turn(const struct job *j, const struct place *p)
{
	double squares = 0;
	uint64_t n = 0;

	for (uint32_t i = 0; i < j->n_files; i++) {
		if (!is_small(j, j->files[i].size))
			continue;
		squares += (double)j->files[i].size * (double)j->files[i].size;
		n++;
	}
	return place_in_turn(p, n, squares);
}

/* Largest over mean with big files as planned and the small ones dealt out, in any order. */
static double dealt(struct job *j, const struct place *p, unsigned *seed)
{
	uint32_t n = j->in.n_targets, at = (uint32_t)(job_random(seed) % n);
	struct outcome o = {{0}};

	for (uint32_t k = 0; k < j->in.n_big; k++) {
		struct place_stripes s;
		const uint32_t *to = place_big(p, k, &s);

		for (uint32_t i = 0; i < s.count; i++)
			o.on[to[i]] += place_object_bytes(j->big[k].size, &s, i);
	}
	for (uint32_t i = j->n_files; i > 1; i--) {
		uint32_t k = (uint32_t)(job_random(seed) % i);
		struct place_file f = j->files[k];

		j->files[k] = j->files[i - 1];
		j->files[i - 1] = f;
	}
	for (uint32_t i = 0; i < j->n_files; i++) {
		if (is_small(j, j->files[i].size))
			o.on[at++ % n] += j->files[i].size;
	}
	return job_level(j, &o);
}

static void equal_files_need_no_place(void)
{
	SCOPED_JOB struct job *j = job_new(8, 16);
	SCOPED_PLACE struct place *p = NULL;
	unsigned seed = 1;

	for (uint32_t i = 0; i < 2000; i++)
		job_add(j, i / 250, MIB / 4);
	p = job_place(j);
	CU_ASSERT(in_turn(j, p));
	CU_ASSERT(dealt(j, p, &seed) < 1.01);
}

static void small_files_that_level_big_ones_are_placed(void)
{
	SCOPED_JOB struct job *j = job_new(4, 4);
	SCOPED_PLACE struct place *p = NULL;

	j->in.rules.max_stripe_count = 1;
	for (uint32_t i = 0; i < 3; i++)
		job_add(j, i, 100 * MIB);
	for (uint32_t i = 0; i < 1000; i++)
		job_add(j, 3, MIB / 10);
	p = job_place(j);
	CU_ASSERT_FALSE(in_turn(j, p));
}

static void few_unequal_files_are_placed(void)
{
	SCOPED_JOB struct job *j = job_new(4, 16);
	SCOPED_PLACE struct place *p = NULL;

	for (uint32_t i = 0; i < 1000; i++)
		job_add(j, i / 250, i % 10 ? 1000 : 10 * MIB);
	p = job_place(j);
	CU_ASSERT_FALSE(in_turn(j, p));
}

static void targets_that_are_not_alike_get_what_is_placed(void)
{
	SCOPED_JOB struct job *j = job_new(4, 8);
	SCOPED_PLACE struct place *p = NULL;

	for (uint32_t t = 0; t < 8; t++)
		j->targets[t].avail = (t < 4 ? 1000 : 700) * GIB;
	for (uint32_t i = 0; i < 4000; i++)
		job_add(j, i / 1000, MIB);
	p = job_place(j);
	CU_ASSERT_FALSE(in_turn(j, p));
}

static void without_small_files_nothing_goes_in_turn(void)
{
	SCOPED_JOB struct job *j = job_new(2, 4);
	SCOPED_PLACE struct place *p = NULL;

	for (uint32_t i = 0; i < 8; i++)
		job_add(j, i / 4, MIB);
	p = job_place(j);
	CU_ASSERT_FALSE(in_turn(j, p));
}

static void what_goes_in_turn_comes_out_level(void)
{
	uint32_t turns = 0, placed = 0;

	for (unsigned seed = 1; seed <= 60; seed++) {
		unsigned s = seed;
		uint32_t targets = 2 + (uint32_t)(job_random(&s) % 40);
		SCOPED_JOB struct job *j = job_new(4, targets);
		SCOPED_PLACE struct place *p = NULL;
		uint32_t n = 1 + (uint32_t)(job_random(&s) % (FILES_MAX / 4));
		uint64_t most = 1 + job_random(&s) % (16 * MIB);

		for (uint32_t i = 0; i < 4 * n; i++) {
			uint64_t size = job_random(&s) % most;

			job_add(j, i / n, seed % 3 ? size : most);
		}
		p = job_place(j);
		if (in_turn(j, p)) {
			turns++;
			CU_ASSERT(dealt(j, p, &s) <= PLACE_LEVEL + 0.02);
		} else {
			placed++;
		}
	}
	CU_ASSERT(turns > 10);
	CU_ASSERT(placed > 10);
}

static const struct test tests[] = {
	TEST(equal_files_need_no_place),
	TEST(small_files_that_level_big_ones_are_placed),
	TEST(few_unequal_files_are_placed),
	TEST(targets_that_are_not_alike_get_what_is_placed),
	TEST(without_small_files_nothing_goes_in_turn),
	TEST(what_goes_in_turn_comes_out_level),
};
SUITE("plan_place_in_turn", tests)
