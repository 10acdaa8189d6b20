/* SPDX-License-Identifier: BSD-3-Clause */
/* Who writes what, how much has to move for that, and that everybody finds the same. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "place_job.h"

static void each_target_has_one_owner_and_owners_have_as_many(void)
{
	int bad = 0;

	for (uint32_t n = 1; n <= NODES_MAX; n++) {
		for (uint32_t t = 1; t <= TARGETS_MAX; t++) {
			SCOPED_JOB struct job *j = job_new(n, t);
			SCOPED_PLACE struct place *p = job_place(j);
			uint32_t owned[NODES_MAX] = {0}, w = n < t ? n : t, owners = 0;

			bad += place_writers(p) != w;
			for (uint32_t i = 0; i < t; i++) {
				uint32_t owner = place_owner(p, i);

				bad += owner >= n;
				owned[owner % NODES_MAX]++;
				for (uint32_t h = 0; h < n; h++)
					bad += place_writer(p, i, h) != owner;
			}
			for (uint32_t h = 0; h < n; h++) {
				owners += owned[h] > 0;
				bad += owned[h] > 0 && owned[h] < t / w;
				bad += owned[h] > (t + w - 1) / w;
			}
			bad += owners != w;
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void shared_targets_are_written_from_home_or_by_their_sharers(void)
{
	int bad = 0;

	for (uint32_t n = 2; n <= NODES_MAX; n += 3) {
		for (uint32_t w = 2; w <= n; w++) {
			for (uint32_t t = 1; t < w; t += 2) {
				SCOPED_JOB struct job *j = job_new(n, t);
				SCOPED_PLACE struct place *p = NULL;
				uint32_t writes[NODES_MAX] = {0}, writers = 0;

				j->in.writers = w;
				p = job_place(j);
				for (uint32_t i = 0; i < t; i++) {
					bad += place_owner(p, i) != PLACE_NONE;
					for (uint32_t h = 0; h < n; h++)
						writes[place_writer(p, i, h)] = 1;
				}
				/* A node that writes at all writes what is its own. */
				for (uint32_t h = 0; h < n; h++) {
					writers += writes[h];
					for (uint32_t i = 0; i < t && writes[h]; i++)
						bad += place_writer(p, i, h) != h;
				}
				bad += writers != w;
			}
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void stripes_of_a_file_are_on_different_targets(void)
{
	unsigned seed = 32;
	int bad = 0;

	for (int c = 0; c < 50; c++) {
		SCOPED_JOB struct job *j =
			job_new(4, 2 + (uint32_t)rand_r(&seed) % (TARGETS_MAX - 1));
		SCOPED_PLACE struct place *p = NULL;

		if (c % 2)
			j->in.rules.stripe_count = 1 + (uint32_t)rand_r(&seed) % 70;
		for (int i = 0; i < 20; i++)
			job_add(j, 0, job_random(&seed) % (10 * GIB));
		p = job_place(j);
		for (uint32_t k = 0; k < j->in.n_big; k++) {
			struct place_stripes st;
			const uint32_t *on = place_big(p, k, &st);
			bool seen[TARGETS_MAX] = {false};

			for (uint32_t i = 0; i < st.count; i++) {
				bad += on[i] >= j->in.n_targets || seen[on[i]];
				seen[on[i] % TARGETS_MAX] = true;
			}
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void evenly_loaded_nodes_keep_their_files(void)
{
	unsigned seed = 34;

	for (uint32_t n = 1; n <= NODES_MAX; n++) {
		for (uint32_t per = 1; per * n <= TARGETS_MAX; per++) {
			SCOPED_JOB struct job *j = job_new(n, per * n);
			SCOPED_PLACE struct place *p = NULL;
			struct outcome o;

			/* Within 5 % of each other. */
			for (uint32_t i = 0; i < n; i++) {
				uint64_t scale = 975 + (uint64_t)rand_r(&seed) % 51;

				for (int k = 0; k < 300; k++)
					job_add(j, i, MIB * scale / 1000);
			}
			p = job_place(j);
			job_count(j, p, &o);
			/* With many targets they are few for each, and big. */
			CU_ASSERT(o.small + o.big == j->total);
			CU_ASSERT(o.small_moved + o.big_moved <= j->total / 20);
		}
	}
}

/*
 * No more leaves its node than there is above a level load, but for a file at each
 * border.
 */
static void one_full_node_moves_nobody_elses_files(void)
{
	SCOPED_JOB struct job *j = job_new(32, 32);
	SCOPED_PLACE struct place *p = NULL;
	struct outcome o;
	uint64_t least;

	for (uint32_t i = 0; i < 32; i++)
		for (int k = 0; k < (i == 7 ? 3300 : 300); k++)
			job_add(j, i, MIB);
	p = job_place(j);
	job_count(j, p, &o);
	least = (3300 - j->n_files / 32) * MIB;
	CU_ASSERT(o.small_moved >= least - 32 * MIB);
	CU_ASSERT(o.small_moved <= least + 32 * MIB);
	CU_ASSERT(job_level(j, &o) <= PLACE_LEVEL);
}

static void large_files_alike_stay_at_home(void)
{
	SCOPED_JOB struct job *j = job_new(16, 32);
	SCOPED_PLACE struct place *p = NULL;
	struct outcome o;

	for (uint32_t i = 0; i < 64; i++)
		job_add(j, i / 4, 10 * GIB + i % 7 * MIB);
	p = job_place(j);
	job_count(j, p, &o);
	CU_ASSERT_EQUAL(j->in.n_big, 64);
	CU_ASSERT_EQUAL(o.big_moved, 0);
	CU_ASSERT(job_level(j, &o) <= PLACE_LEVEL);
}

static void direct_writers_move_nothing(void)
{
	SCOPED_JOB struct job *j = job_new(64, 4);
	SCOPED_PLACE struct place *p = NULL;
	unsigned seed = 35;
	struct outcome o;

	j->in.writers = 64;
	for (uint32_t i = 0; i < 64 * 300; i++)
		job_add(j, i / 300, job_random(&seed) % MIB);
	p = job_place(j);
	job_count(j, p, &o);
	CU_ASSERT_EQUAL(o.small_moved + o.big_moved, 0);
	CU_ASSERT(job_level(j, &o) <= PLACE_LEVEL);
}

/* Ranks may hear of files and targets in any order. */
static void the_order_of_the_input_changes_nothing(void)
{
	SCOPED_JOB struct job *a = job_new(16, 24);
	SCOPED_JOB struct job *b = job_new(16, 24);
	SCOPED_PLACE struct place *p = NULL, *q = NULL;
	unsigned seed = 36;
	int bad = 0;

	for (uint32_t i = 0; i < 1600; i++)
		job_add(a, i / 100,
			i % 10 ? job_random(&seed) % MIB : GIB + i % 4 * MIB);
	p = job_place(a);
	*b = *a;
	b->in.targets = b->targets;
	b->in.big = b->big;
	b->in.small_bytes = b->small_bytes;
	b->in.small_files = b->small_files;
	for (uint32_t k = 0; k < a->in.n_big; k++)
		b->big[k] = a->big[a->in.n_big - 1 - k];
	for (uint32_t t = 0; t < 24; t++)
		b->targets[t] = a->targets[23 - t];
	CU_ASSERT_EQUAL_FATAL(place_new(&b->in, &q, NULL), 0);
	for (uint32_t k = 0; k < a->in.n_big; k++) {
		struct place_stripes s, t;
		const uint32_t *x = place_big(p, k, &s);
		const uint32_t *y = place_big(q, a->in.n_big - 1 - k, &t);

		bad += s.count != t.count || s.size != t.size;
		for (uint32_t i = 0; i < s.count && i < t.count; i++)
			bad += place_index(p, x[i]) != place_index(q, y[i]);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t at = a->small_bytes[i % 16] * i / 1000;
		uint32_t x = place_small(p, i % 16, at, 0, 1);
		uint32_t y = place_small(q, i % 16, at, 0, 1);

		bad += place_index(p, x) != place_index(q, y);
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(a->in.n_big > 100);
}

static void ten_thousand_nodes_are_placed_in_a_second(void)
{
	static const uint32_t nodes = 10000, targets = 160, n_big = 1280;
	SCOPED_FREE struct place_target *t = calloc(targets, sizeof(*t));
	SCOPED_FREE struct place_file *big = calloc(n_big, sizeof(*big));
	SCOPED_FREE uint64_t *bytes = calloc(nodes, sizeof(*bytes));
	SCOPED_FREE uint64_t *files = calloc(nodes, sizeof(*files));
	SCOPED_PLACE struct place *p = NULL;
	struct place_input in = {.targets = t,
		.big = big,
		.small_bytes = bytes,
		.small_files = files,
		.small_max = GIB,
		.n_targets = targets,
		.n_big = n_big,
		.nodes = nodes};
	struct timespec a, b;
	unsigned seed = 37;

	for (uint32_t i = 0; i < targets; i++)
		t[i] = (struct place_target){
			.avail = UINT64_MAX, .index = i, .usable = true};
	for (uint32_t i = 0; i < n_big; i++)
		big[i] = (struct place_file){
			.size = (100 + job_random(&seed) % 100) * GIB,
			.id = i,
			.home = (uint32_t)job_random(&seed) % nodes};
	for (uint32_t i = 0; i < nodes; i++) {
		files[i] = 1000;
		bytes[i] = job_random(&seed) % (100 * GIB);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	CU_ASSERT_EQUAL_FATAL(place_new(&in, &p, NULL), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	CU_ASSERT(b.tv_sec - a.tv_sec + 1e-9 * (double)(b.tv_nsec - a.tv_nsec) < 1);
	CU_ASSERT(place_level(p) < 1.001);
}

/* Each node has four targets, and each of these a quarter of its file. */
static void forty_files_are_split_over_160_targets(void)
{
	struct place_target t[160] = {0};
	struct place_file big[40] = {0};
	SCOPED_PLACE struct place *p = NULL;
	struct place_input in = {
		.targets = t, .big = big, .n_targets = 160, .n_big = 40, .nodes = 40};
	int bad = 0;

	for (uint32_t i = 0; i < 160; i++)
		t[i] = (struct place_target){
			.avail = UINT64_MAX, .index = i, .usable = true};
	for (uint32_t i = 0; i < 40; i++)
		big[i] = (struct place_file){.size = GIB, .id = i, .home = i};
	CU_ASSERT_EQUAL_FATAL(place_new(&in, &p, NULL), 0);
	for (uint32_t i = 0; i < 40; i++) {
		struct place_stripes st;
		const uint32_t *on = place_big(p, i, &st);

		CU_ASSERT_EQUAL_FATAL(st.count, 4);
		for (uint32_t k = 0; k < 4; k++)
			bad += place_writer(p, on[k], i) != i;
	}
	for (uint32_t i = 0; i < 160; i++)
		bad += place_planned(p, i) != GIB / 4;
	CU_ASSERT_EQUAL(bad, 0);
}

/* A report names them as well. */
static void targets_have_an_index_usable_or_not(void)
{
	SCOPED_JOB struct job *j = job_new(2, 5);
	SCOPED_PLACE struct place *p = NULL;

	j->targets[1].usable = false;
	j->targets[3].avail = 0;
	for (uint32_t t = 0; t < 5; t++)
		j->targets[t].index = 100 - 7 * t;
	job_add(j, 0, MIB);
	p = job_place(j);
	CU_ASSERT_EQUAL(place_usable(p), 3);
	for (uint32_t t = 0; t < 5; t++)
		CU_ASSERT_EQUAL(place_index(p, t), 100 - 7 * t);
	CU_ASSERT_EQUAL(place_owner(p, 1), PLACE_NONE);
	CU_ASSERT_EQUAL(place_planned(p, 1), 0);
}

static void nodes_that_have_files_write_if_they_are_named(void)
{
	SCOPED_JOB struct job *j = job_new(9, 16);
	SCOPED_PLACE struct place *p = NULL;
	bool writes[9] = {[4] = true, [7] = true};
	struct outcome o;

	for (uint32_t i = 0; i < 200; i++)
		job_add(j, i < 100 ? 4 : 7, i % 50 ? 10 * MIB : 100 * MIB);
	j->in.writes = writes;
	p = job_place(j);
	CU_ASSERT_EQUAL(place_writers(p), 2);
	for (uint32_t t = 0; t < 16; t++)
		CU_ASSERT_EQUAL(place_owner(p, t), t < 8 ? 4 : 7);
	job_count(j, p, &o);
	CU_ASSERT(job_level(j, &o) <= PLACE_LEVEL);
	CU_ASSERT(o.small_moved + o.big_moved <= (o.small + o.big) / 20);
	/* More of them than targets share these. */
	for (uint32_t t = 1; t < 16; t++)
		j->targets[t].usable = false;
	place_free(TAKE(p));
	p = job_place(j);
	CU_ASSERT_EQUAL(place_writers(p), 2);
	CU_ASSERT_EQUAL(place_writer(p, 0, 7), 7);
	CU_ASSERT_EQUAL(place_writer(p, 0, 4), 4);
	CU_ASSERT(place_writer(p, 0, 5) == 4 || place_writer(p, 0, 5) == 7);
	writes[4] = writes[7] = false;
	place_free(TAKE(p));
	CU_ASSERT_EQUAL(place_new(&j->in, &p, NULL), -EINVAL);
}

static void input_that_contradicts_itself_is_refused(void)
{
	SCOPED_JOB struct job *j = job_new(4, 4);
	struct place *p = NULL;
	struct ebt_err err = {0};

	for (int i = 0; i < 100; i++)
		job_add(j, 2, MIB);
	job_sort(j);
	CU_ASSERT_EQUAL(j->in.n_big, 0);
	j->in.writers = 5;
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -EINVAL);
	j->in.writers = 0;
	j->small_files[2] = 0;
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "node 2"));
	job_sort(j);
	j->targets[3].index = j->targets[1].index;
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "OST 3 is listed twice"));
	j->targets[3].index = 99;
	j->targets[3].weight = -1;
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -EINVAL);
	j->targets[3].weight = 1;
	j->in.rules.stripe_size = 1;
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -EINVAL);
	j->in.rules.stripe_size = 0;
	j->big[j->in.n_big++] = (struct place_file){.size = GIB, .home = 4};
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -EINVAL);
	j->big[0] = (struct place_file){.size = UINT64_MAX};
	CU_ASSERT_EQUAL(place_new(&j->in, &p, &err), -EOVERFLOW);
	CU_ASSERT_PTR_NULL(p);
}

/* As a default layout asks: so many stripes, of that size, however large the file is. */
static void stripes_of_a_files_own_are_kept(void)
{
	struct place_target t[8] = {0};
	struct place_file big[32] = {0};
	SCOPED_PLACE struct place *p = NULL;
	struct place_input in = {
		.targets = t, .big = big, .n_targets = 8, .n_big = 32, .nodes = 4};
	struct place_stripes s;
	uint32_t seen = 0;

	for (uint32_t i = 0; i < 8; i++)
		t[i] = (struct place_target){
			.avail = UINT64_MAX, .index = 3 * i, .usable = i != 5};
	for (uint32_t i = 0; i < 32; i++)
		big[i] = (struct place_file){.size = GIB + i,
			.id = i,
			.home = i % 4,
			.stripe_size = 1 << 20,
			.stripes = i == 0 ? UINT32_MAX : 2};
	CU_ASSERT_EQUAL_FATAL(place_new(&in, &p, NULL), 0);
	for (uint32_t i = 0; i < 32; i++) {
		const uint32_t *on = place_big(p, i, &s);

		CU_ASSERT_EQUAL(s.size, 1 << 20);
		CU_ASSERT_EQUAL(s.count, i == 0 ? 7 : 2);
		CU_ASSERT_NOT_EQUAL(on[0], on[1]);
	}
	CU_ASSERT(place_level(p) <= PLACE_LEVEL);
	CU_ASSERT_FALSE(place_has(p, 5));
	CU_ASSERT_FALSE(place_has(p, 8));
	for (uint32_t i = 0, at = 6; i < 7; i++, at = place_next(p, at))
		seen |= 1u << at;
	CU_ASSERT_EQUAL(seen, 0xdf);
}

static const struct test tests[] = {
	TEST(each_target_has_one_owner_and_owners_have_as_many),
	TEST(shared_targets_are_written_from_home_or_by_their_sharers),
	TEST(stripes_of_a_file_are_on_different_targets),
	TEST(evenly_loaded_nodes_keep_their_files),
	TEST(one_full_node_moves_nobody_elses_files),
	TEST(large_files_alike_stay_at_home),
	TEST(direct_writers_move_nothing),
	TEST(the_order_of_the_input_changes_nothing),
	TEST(ten_thousand_nodes_are_placed_in_a_second),
	TEST(forty_files_are_split_over_160_targets),
	TEST(targets_have_an_index_usable_or_not),
	TEST(nodes_that_have_files_write_if_they_are_named),
	TEST(stripes_of_a_files_own_are_kept),
	TEST(input_that_contradicts_itself_is_refused),
};
SUITE("plan_place", tests)
