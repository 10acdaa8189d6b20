/* SPDX-License-Identifier: BSD-3-Clause */
/* How level targets are loaded, and what keeps them from being so: room, speed, sizes. */
#include <errno.h>
#include <string.h>

#include "place_job.h"

/*
 * Sizes with a character of their own: alike, of all magnitudes, few large among many.
 */
static uint64_t some_size(unsigned *seed, int kind)
{
	switch (kind) {
	case 0:
		return 3 * MIB;
	case 1:
		return job_random(seed) % (8 * MIB);
	case 2:
		return job_random(seed) >> (30 + rand_r(seed) % 20);
	case 3:
		return rand_r(seed) % 80 ? job_random(seed) % MIB
					 : 8 * GIB + job_random(seed) % (16 * GIB);
	default:
		return rand_r(seed) % 3 ? 0 : job_random(seed) % (2 * MIB);
	}
}

static void fill_job(struct job *j, unsigned *seed)
{
	int kind = rand_r(seed) % 5, even = rand_r(seed) % 2;

	for (uint32_t i = 0; i < j->in.nodes; i++) {
		uint32_t n = even ? 200 : (uint32_t)rand_r(seed) % 300;

		for (uint32_t k = 0; k < n; k++)
			job_add(j, i, some_size(seed, kind));
	}
}

/*
 * The condition: a small file is at most 1/40 of a target's share, and an object,
 * which is not made smaller than PLACE_SPLIT_MIN, at most 1/20.
 */
static bool sizes_allow(const struct job *j)
{
	uint64_t share = j->total / j->in.n_targets;

	return j->in.small_max <= share / 40 &&
	       (j->in.n_big == 0 || 2 * PLACE_SPLIT_MIN <= share / 20);
}

static void bytes_are_level_wherever_sizes_allow(void)
{
	unsigned seed = 31;
	int allowed = 0, with_big = 0, bad = 0, off = 0;

	for (int c = 0; c < 1500; c++) {
		uint32_t nodes = 1 + (uint32_t)rand_r(&seed) % NODES_MAX;
		SCOPED_JOB struct job *j =
			job_new(nodes, 1 + (uint32_t)rand_r(&seed) % TARGETS_MAX);
		SCOPED_PLACE struct place *p = NULL;
		struct outcome o;

		if (rand_r(&seed) % 3 == 0)
			j->in.writers = 1 + (uint32_t)rand_r(&seed) % nodes;
		fill_job(j, &seed);
		p = job_place(j);
		job_count(j, p, &o);
		for (uint32_t t = 0; t < j->in.n_targets; t++) {
			uint64_t plan = place_planned(p, t), got = o.on[t];
			uint64_t slack = 2 * j->in.small_max + o.small / 30 + 1;

			off += got > plan + slack || plan > got + slack;
		}
		if (!sizes_allow(j))
			continue;
		allowed++;
		with_big += j->in.n_big > 0;
		if (job_level(j, &o) > PLACE_LEVEL) {
			printf("case %d: %u nodes, %u targets, %u big: %g\n", c, nodes,
				j->in.n_targets, j->in.n_big, job_level(j, &o));
			bad++;
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(off, 0);
	CU_ASSERT(allowed > 100 && with_big > 20);
}

/* 40 whole files on 16 targets would be 3 here and 2 there. */
static void few_large_files_are_cut_until_they_are_level(void)
{
	static const struct {
		uint32_t files, targets, max;
		uint64_t size;
		uint32_t stripes; /* 0: any number */
		double level;
	} cases[] = {
		{40, 16, 0, GIB, 2, 1.001}, {64, 16, 0, GIB, 1, 1.001},
		{40, 16, 1, GIB, 1, 1.201}, {5, 4, 0, 10 * GIB, 0, 1.01},
		{17, 16, 0, 100 * GIB, 0, 1.05}, {1, 64, 0, 64 * GIB, 64, 1.001},
		{1, 64, 8, 64 * GIB, 8, 8.001},
		{3, 64, 0, 32 * MIB, 2, 10.7}, /* nothing is cut below 16 MiB */
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		SCOPED_JOB struct job *j = job_new(8, cases[c].targets);
		SCOPED_PLACE struct place *p = NULL;
		struct place_stripes st;
		struct outcome o;

		j->in.rules.max_stripe_count = cases[c].max;
		for (uint32_t i = 0; i < cases[c].files; i++)
			job_add(j, i * 8 / cases[c].files, cases[c].size);
		p = job_place(j);
		job_count(j, p, &o);
		place_big(p, 0, &st);
		if (job_level(j, &o) > cases[c].level ||
			(cases[c].stripes && cases[c].stripes != st.count)) {
			printf("case %zu: %u stripes, %g\n", c, st.count,
				job_level(j, &o));
			CU_FAIL("not level");
		}
		CU_ASSERT_DOUBLE_EQUAL(place_level(p), job_level(j, &o), 1e-9);
	}
}

static void unusable_targets_get_nothing_and_room_is_kept(void)
{
	unsigned seed = 33;
	int bad = 0, full = 0;

	for (int c = 0; c < 300; c++) {
		SCOPED_JOB struct job *j =
			job_new(8, 2 + (uint32_t)rand_r(&seed) % (TARGETS_MAX - 1));
		SCOPED_PLACE struct place *p = NULL;
		struct outcome o;
		uint64_t share;

		fill_job(j, &seed);
		share = j->total / j->in.n_targets + 32 * MIB;
		for (uint32_t t = 0; t < j->in.n_targets; t++) {
			j->targets[t].usable = rand_r(&seed) % 5 != 0;
			j->targets[t].avail =
				rand_r(&seed) % 6 ? job_random(&seed) % (4 * share) : 0;
		}
		job_sort(j);
		if (place_new(&j->in, &p, NULL) != 0) {
			full++;
			continue;
		}
		job_count(j, p, &o);
		for (uint32_t t = 0; t < j->in.n_targets; t++) {
			const struct place_target *target = &j->targets[t];
			uint64_t room = target->avail - target->avail / 20;

			bad += o.on[t] > room;
			bad += !target->usable && o.files_on[t] > 0;
			bad += target->avail == 0 && o.files_on[t] > 0;
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(full > 5 && full < 200);
}

static void free_space_weighs_where_it_differs(void)
{
	static const struct {
		uint64_t avail[3]; /* GiB */
		double share[3];
	} cases[] = {
		{{1000, 1000, 1000}, {1, 1, 1}},
		{{1000, 900, 840}, {1, 1, 1}},
		{{1000, 800, 800}, {1, 0.8, 0.8}},
		{{1000, 700, 30}, {1, 0.7, 0.5}},
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		SCOPED_JOB struct job *j = job_new(5, 3);
		SCOPED_PLACE struct place *p = NULL;
		struct outcome o;
		double sum = 0;

		for (int t = 0; t < 3; t++) {
			j->targets[t].avail = cases[c].avail[t] * GIB;
			sum += cases[c].share[t];
		}
		for (uint32_t i = 0; i < 5000; i++)
			job_add(j, i / 1000, 2 * MIB);
		p = job_place(j);
		job_count(j, p, &o);
		for (int t = 0; t < 3; t++) {
			double want = (double)j->total * cases[c].share[t] / sum;

			CU_ASSERT_DOUBLE_EQUAL((double)o.on[t], want, 0.02 * want);
		}
	}
}

static void a_slow_target_gets_less_of_both_kinds(void)
{
	SCOPED_JOB struct job *j = job_new(4, 8);
	SCOPED_PLACE struct place *p = NULL;
	struct outcome o;
	double share;

	j->targets[5].weight = 0.25;
	for (uint32_t i = 0; i < 4000; i++)
		job_add(j, i / 1000, i % 1000 ? 4 * MIB : 10 * GIB);
	p = job_place(j);
	job_count(j, p, &o);
	share = (double)j->total / 7.25;
	CU_ASSERT(j->in.n_big == 4);
	CU_ASSERT_DOUBLE_EQUAL((double)o.on[5], share / 4, 0.05 * share / 4);
	CU_ASSERT_DOUBLE_EQUAL((double)o.on[0], share, 0.05 * share);
}

static void empty_files_are_spread_too(void)
{
	SCOPED_JOB struct job *j = job_new(4, 16);
	SCOPED_PLACE struct place *p = NULL;
	struct outcome o;

	for (int i = 0; i < 1600; i++)
		job_add(j, 1, 0);
	p = job_place(j);
	job_count(j, p, &o);
	for (int t = 0; t < 16; t++)
		CU_ASSERT(o.files_on[t] >= 99 && o.files_on[t] <= 101);
}

static void what_does_not_fit_is_named(void)
{
	SCOPED_JOB struct job *j = job_new(2, 4);
	struct place *p = NULL;
	struct ebt_err err = {0};

	for (int t = 0; t < 4; t++)
		j->targets[t].avail = GIB;
	job_add(j, 0, 5 * GIB);
	job_sort(j);
	j->big[0].name = "out/field.h5";
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "out/field.h5"));
	j->n_files = 0;
	for (int i = 0; i < 1000; i++)
		job_add(j, 0, 5 * MIB);
	job_sort(j);
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "small files need 4.94 GiB"));
	for (int t = 0; t < 4; t++)
		j->targets[t].usable = false;
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -ENOSPC);
	CU_ASSERT_PTR_NULL(p);
}

/* A whole file fits nowhere, its halves do. */
static void finer_stripes_find_room(void)
{
	SCOPED_JOB struct job *j = job_new(1, 2);
	SCOPED_PLACE struct place *p = NULL;
	struct place_stripes st;

	j->targets[0].avail = j->targets[1].avail = 10 * GIB;
	job_add(j, 0, 8 * GIB);
	job_add(j, 0, 5 * GIB);
	job_add(j, 0, 5 * GIB);
	p = job_place(j);
	place_big(p, 1, &st);
	CU_ASSERT_EQUAL(st.count, 2);
}

static const struct test tests[] = {
	TEST(bytes_are_level_wherever_sizes_allow),
	TEST(few_large_files_are_cut_until_they_are_level),
	TEST(unusable_targets_get_nothing_and_room_is_kept),
	TEST(free_space_weighs_where_it_differs),
	TEST(a_slow_target_gets_less_of_both_kinds),
	TEST(empty_files_are_spread_too),
	TEST(what_does_not_fit_is_named),
	TEST(finer_stripes_find_room),
};
SUITE("plan_place_level", tests)
