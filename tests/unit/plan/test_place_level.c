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
 * The condition: a small file is at most 1/40 of a target's share, and so is a stripe.
 */
static bool sizes_allow(const struct job *j)
{
	uint64_t share = j->total / j->in.n_targets;

	return j->in.small_max <= share / 40 &&
	       (j->in.n_big == 0 || PLACE_STRIPE_SIZE <= share / 40);
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

/* As in a drain of few files: all of them are placed one by one. */
static struct place *place_few(struct job *j)
{
	SCOPED_PLACE struct place *p = NULL;
	struct ebt_err err = {0};

	j->big_min = 0;
	j->in.n_big = j->n_files;
	memcpy(j->big, j->files, j->n_files * sizeof(*j->files));
	if (place_new(&j->in, &p, &err) != 0)
		puts(err.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return TAKE(p);
}

static uint32_t count_stripes(const struct job *j, const struct place *p)
{
	uint32_t sum = 0;

	for (uint32_t k = 0; k < j->in.n_big; k++) {
		struct place_stripes st;

		place_big(p, k, &st);
		sum += st.count;
	}
	return sum;
}

/* The level is what these sizes allow, but for a per mille. */
static void few_large_files_are_level_with_few_stripes(void)
{
	static const struct {
		uint64_t size; /* MiB */
		uint32_t files, targets;
		struct place_rules rules;
		uint32_t stripes; /* of all files: no more than that */
		double level;
	} cases[] = {
		{32, 16, 15, {0}, 15 + 8, 1.055}, /* 36 MiB: 8 stripes and 1 */
		{32, 17, 16, {0}, 16 + 8, 1.059},
		{1024, 17, 16, {0}, 16 + 16, 1.05},
		{102400, 17, 16, {0}, 16 + 16, 1.05},
		{102400, 1, 16, {0}, 16, 1.001},
		{1024, 40, 16, {0}, 32 + 8 * 2, 1.001},
		{1024, 40, 32, {0}, 32 + 8 * 4, 1.001},
		{1024, 40, 64, {0}, 40 * 3, 1.05},
		{1024, 64, 16, {0}, 64, 1.001},
		{10240, 5, 4, {0}, 4 + 4, 1.001},
		{65536, 1, 64, {0}, 64, 1.001},
		/* 4 MiB on 15 of them */
		{20, 3, 16, {0}, 15, 1.067},
		{16, 1, 16, {0}, 4, 4.001},
		/* the user's rules */
		{1024, 40, 16, {.max_stripe_count = 1}, 40, 1.201},
		{1024, 40, 16, {.max_stripe_count = 2}, 48, 1.001},
		{1024, 40, 16, {.stripe_count = 1}, 40, 1.201},
		{1024, 40, 16, {.stripe_count = 4}, 160, 1.001},
		{1024, 1, 16, {.stripe_count = 4}, 4, 4.001},
		{65536, 1, 64, {.max_stripe_count = 8}, 8, 8.001},
		{1024, 1, 16, {.stripe_size = GIB / 4}, 4, 4.001},
		{1024, 40, 16, {.stripe_size = GIB / 2}, 48, 1.001},
		{32, 16, 15, {.plain = true}, 15 + 8, 1.055},
		{1024, 40, 16, {.plain = true}, 48, 1.001},
		{102400, 1, 16, {.plain = true}, 16, 1.001},
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		SCOPED_JOB struct job *j = job_new(8, cases[c].targets);
		SCOPED_PLACE struct place *p = NULL;
		struct outcome o;
		uint32_t stripes;

		j->in.rules = cases[c].rules;
		for (uint32_t i = 0; i < cases[c].files; i++)
			job_add(j, i * 8 / cases[c].files, cases[c].size * MIB);
		p = place_few(j);
		job_count(j, p, &o);
		stripes = count_stripes(j, p);
		if (job_level(j, &o) > cases[c].level || stripes > cases[c].stripes) {
			printf("case %zu: %u stripes, %g\n", c, stripes,
				job_level(j, &o));
			CU_FAIL("not level");
		}
		CU_ASSERT_DOUBLE_EQUAL(place_level(p), job_level(j, &o), 1e-9);
	}
}

/* The first are more than a target's share, the last fill what is left. */
static void files_of_mixed_sizes_are_level_with_few_stripes(void)
{
	static const uint64_t gib[][5] = {{100, 70, 40, 25, 5}, {1000, 1, 1, 1, 1},
		{90, 80, 70, 60, 50}, {33, 33, 33, 33, 1}, {16, 16, 16, 16, 16}};
	/* All files on all targets would be 80. */
	static const uint32_t most[] = {36, 20, 43, 19, 30};

	for (size_t c = 0; c < sizeof(gib) / sizeof(gib[0]); c++) {
		SCOPED_JOB struct job *j = job_new(4, 16);
		SCOPED_PLACE struct place *p = NULL;
		struct outcome o;

		for (uint32_t i = 0; i < 5; i++)
			job_add(j, i * 4 / 5, gib[c][i] * GIB);
		p = place_few(j);
		job_count(j, p, &o);
		CU_ASSERT(job_level(j, &o) <= PLACE_LEVEL);
		CU_ASSERT(count_stripes(j, p) <= most[c]);
	}
}

/* One node has one file more than the others: it alone is split. */
static void whole_files_stay_at_home_beside_split_ones(void)
{
	for (uint32_t n = 4; n <= 16; n++) {
		SCOPED_JOB struct job *j = job_new(n, n);
		SCOPED_PLACE struct place *p = NULL;
		uint32_t split = 0, away = 0;

		for (uint32_t i = 0; i < 3 * n + 1; i++)
			job_add(j, i / 3 < n ? i / 3 : n - 1, 10 * GIB);
		p = place_few(j);
		for (uint32_t k = 0; k < j->in.n_big; k++) {
			struct place_stripes st;
			const uint32_t *on = place_big(p, k, &st);

			split += st.count > 1;
			away += st.count == 1 &&
				place_writer(p, on[0], j->big[k].home) !=
					j->big[k].home;
		}
		CU_ASSERT(split <= 1);
		CU_ASSERT_EQUAL(away, 0);
	}
}

/*
 * The condition: what objects of one file differ by, a stripe, is at most 1/40 of a
 * target's share; ranges of plain files differ by that the other way, each of them.
 */
static void any_few_files_are_level_where_a_stripe_is_small(void)
{
	unsigned seed = 38;
	int allowed = 0, few = 0, bad = 0, below = 0;

	for (int c = 0; c < 3000; c++) {
		SCOPED_JOB struct job *j =
			job_new(1 + (uint32_t)rand_r(&seed) % NODES_MAX,
				1 + (uint32_t)rand_r(&seed) % TARGETS_MAX);
		SCOPED_PLACE struct place *p = NULL;
		uint32_t n = 1 + (uint32_t)rand_r(&seed) % (1u << rand_r(&seed) % 9);
		int kind = rand_r(&seed) % 3, shift = 30 + rand_r(&seed) % 9;
		struct outcome o;

		j->in.rules.plain = kind == 0 && c % 2;
		for (uint32_t i = 0; i < n; i++) {
			uint64_t size = 1ull << shift;

			if (kind == 1)
				size = job_random(&seed) % (1ull << shift);
			if (kind == 2)
				size = (1ull << shift) >> rand_r(&seed) % 14;
			job_add(j, (uint32_t)((uint64_t)i * j->in.nodes / n),
				size > 16 * MIB ? size : 16 * MIB);
		}
		if (j->total / j->in.n_targets <
			(j->in.rules.plain ? n : 1) * 40 * (uint64_t)PLACE_STRIPE_SIZE)
			continue;
		p = place_few(j);
		job_count(j, p, &o);
		allowed++;
		few += n < j->in.n_targets;
		if (job_level(j, &o) > PLACE_LEVEL) {
			printf("case %d: %u files, %u targets, %u stripes: %g\n", c, n,
				j->in.n_targets, count_stripes(j, p), job_level(j, &o));
			bad++;
		}
		for (uint32_t k = 0; k < n; k++) {
			struct place_stripes st;

			place_big(p, k, &st);
			below += !j->in.rules.plain &&
				 place_object_bytes(j->big[k].size, &st, st.count - 1) <
					 PLACE_STRIPE_SIZE;
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(below, 0);
	CU_ASSERT(allowed > 1000 && few > 300);
}

/* A target with little room is no reason to split what the others share evenly. */
static void a_full_target_does_not_split_files(void)
{
	SCOPED_JOB struct job *j = job_new(5, 5);
	SCOPED_PLACE struct place *p = NULL;
	struct outcome o;

	for (int t = 0; t < 5; t++)
		j->targets[t].avail = t == 2 ? 5 * GIB : 5000 * GIB;
	for (uint32_t i = 0; i < 40; i++)
		job_add(j, i / 8, 10 * GIB);
	p = place_few(j);
	job_count(j, p, &o);
	CU_ASSERT_EQUAL(count_stripes(j, p), 40);
	for (int t = 0; t < 5; t++)
		CU_ASSERT_EQUAL(o.on[t], (t == 2 ? 0 : 100) * GIB);
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
	TEST(few_large_files_are_level_with_few_stripes),
	TEST(files_of_mixed_sizes_are_level_with_few_stripes),
	TEST(whole_files_stay_at_home_beside_split_ones),
	TEST(any_few_files_are_level_where_a_stripe_is_small),
	TEST(a_full_target_does_not_split_files),
	TEST(unusable_targets_get_nothing_and_room_is_kept),
	TEST(free_space_weighs_where_it_differs),
	TEST(a_slow_target_gets_less_of_both_kinds),
	TEST(empty_files_are_spread_too),
	TEST(what_does_not_fit_is_named),
	TEST(finer_stripes_find_room),
};
SUITE("plan_place_level", tests)
