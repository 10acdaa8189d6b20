/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether to compress: the rule by itself, and in the course of runs on machines made up here. */
#include "plan/compress_watch.h"

#include <math.h>
#include <string.h>

#include "plan/cost.h"
#include "suite.h"

#define MBIT 0.125e6
#define GBIT 0.125e9

/* As measured of lz4, zstd:1 and zstd:3 on text. */
static const struct compress_way text[] = {
	{true, 0.55, 1.5e-9, 0.4e-9},
	{true, 0.37, 2.8e-9, 0.8e-9},
	{true, 0.33, 4.5e-9, 0.8e-9},
};
static const struct compress_way noise[] = {
	{true, 1, 0.3e-9, 0}, {true, 1, 0.6e-9, 0}, {true, 1, 0.9e-9, 0}};

/*
 * A node of a cluster: many cores for itself, a reader of the page cache, a store in memory. Below one
 * core: eight of them on one machine, all of the job.
 */
static struct compress_job node(double link, double cores)
{
	bool shared = cores < 1;

	return (struct compress_job){.link = link,
		.sends = 1,
		.share = 1,
		.read = 0.1e-9,
		.write = 0.2e-9,
		.cpu = 1.5e-9,
		.cores = shared ? 8 * cores : cores,
		.nodes = shared ? 8 : 1,
		.here = shared,
		.read_threads = 4,
		.write_threads = 4};
}

static int choice(const struct compress_job *j, const struct compress_way *ways)
{
	return compress_choose(j, ways, 3, -1);
}

static void on_an_assumed_fabric_it_is_off(void)
{
	struct compress_job j = node(COST_LINK, 64);

	CU_ASSERT_EQUAL(choice(&j, text), -1);
	/* Not even tried, with whatever threads, where reading is as assumed. */
	j.read = 1 / COST_READ;
	j.write = 1 / COST_WRITE;
	j.read_threads = j.write_threads = 64;
	CU_ASSERT(!compress_thinkable(&j));
	/* A link that nobody has measured decides nothing. */
	j = node(0, 64);
	CU_ASSERT_EQUAL(choice(&j, text), -1);
	CU_ASSERT(!compress_thinkable(&j));
}

static void slow_links_get_the_shortest_and_faster_ones_the_quickest(void)
{
	struct compress_job j = node(200 * MBIT, 64);

	CU_ASSERT_EQUAL(choice(&j, text), 2);
	j = node(GBIT, 64);
	CU_ASSERT_EQUAL(choice(&j, text), 2);
	j = node(10 * GBIT, 64);
	CU_ASSERT_EQUAL(choice(&j, text), 0);
	j = node(100 * GBIT, 64);
	CU_ASSERT_EQUAL(choice(&j, text), -1);
}

static void what_does_not_shrink_is_left_alone(void)
{
	for (double link = MBIT; link < 1000 * GBIT; link *= 10) {
		struct compress_job j = node(link, 64);

		CU_ASSERT_EQUAL(choice(&j, noise), -1);
	}
}

static void processors_that_all_share_are_not_spent_on_it(void)
{
	/* Eight nodes on two cores: these give 10 Gbit/s no more than 100 MB/s. */
	struct compress_job j = node(100e6, 0.25);

	j.cpu = 2.5e-9;
	CU_ASSERT_EQUAL(choice(&j, text), -1);
	/* On a slow link they have nothing else to do. */
	j.link = 200 * MBIT;
	CU_ASSERT(choice(&j, text) >= 0);
}

static void where_reading_or_writing_is_slow_the_link_does_not_matter(void)
{
	struct compress_job j = node(GBIT, 64);

	j.read = 1 / 100e6;
	CU_ASSERT_EQUAL(choice(&j, text), -1);
	/* But eight readers read eight times as much. */
	j.share = 1.0 / 8;
	CU_ASSERT(choice(&j, text) >= 0);
	j.write = 1 / 100e6;
	CU_ASSERT_EQUAL(choice(&j, text), -1);
}

static void small_gains_keep_what_is_and_change_nothing(void)
{
	struct compress_way way = {true, 0.9, 0.01e-9, 0.01e-9};
	struct compress_job j = node(GBIT, 64);

	/* 1.11 times as fast. */
	CU_ASSERT_EQUAL(compress_choose(&j, &way, 1, -1), -1);
	CU_ASSERT_EQUAL(compress_choose(&j, &way, 1, 0), 0);
	way.ratio = 0.97;
	CU_ASSERT_EQUAL(compress_choose(&j, &way, 1, 0), -1);
}

/* --- a run ---------------------------------------------------------------------------------- */

/* The truth, which the watch has to find out. */
struct machine {
	struct compress_job is;
	const struct compress_way *ways; /* on the content at hand */
	double behind; /* seconds a byte that something else takes, behind the reader's back */
	double distant; /* and in addition if it is compressed */
};

struct run {
	struct compress_watch w;
	struct compress_seen s;
	struct machine m;
	uint64_t trials, packed, total; /* bytes */
};

#define PARCEL (1u << 20)

static void open_run(
	struct run *r, double link, double cores, const struct compress_way *ways)
{
	struct compress_job job = node(0, cores);

	memset(r, 0, sizeof(*r));
	r->m = (struct machine){.is = node(link, cores), .ways = ways};
	job.read = job.write = job.cpu = 0;
	compress_watch_start(&r->w, &job, 3);
}

/* One parcel all the way: it takes what the slowest takes. */
static void step(struct run *r)
{
	const struct machine *m = &r->m;
	bool try;
	const struct compress_way *of;
	double took;
	int way;

	compress_watch_next(&r->w, &try);
	for (int i = 0; try && i < 3 && compress_watch_wants(&r->w, i); i++) {
		uint64_t len = 128 << 10;

		r->trials += len;
		compress_watch_tried(&r->w, i, len, (uint64_t)(len * m->ways[i].ratio),
			(double)len * m->ways[i].pack, (double)len * m->ways[i].unpack);
	}
	if (try)
		compress_watch_decide(&r->w);
	way = r->w.way;
	of = way < 0 ? NULL : &m->ways[way];
	took = compress_seconds(&m->is, of) + (of ? m->distant : 0);
	took = PARCEL * fmax(took, m->behind);
	if (of) {
		compress_watch_packed(
			&r->w, way, PARCEL, (uint64_t)(PARCEL * of->ratio));
		r->packed += PARCEL;
	} else {
		r->s.plain += PARCEL;
		r->s.plain_seconds += PARCEL / m->is.link;
		r->s.written += PARCEL;
		r->s.write_seconds += PARCEL * m->is.write * m->is.write_threads;
	}
	r->s.read += PARCEL;
	r->s.read_seconds += PARCEL * m->is.read * m->is.read_threads;
	r->s.moved += PARCEL;
	r->s.cpu += PARCEL * m->is.cpu;
	r->s.now += took;
	r->s.sent += PARCEL;
	r->s.parcels++;
	r->total += PARCEL;
	compress_watch_look(&r->w, &r->s);
}

/* Seconds for @mib. */
static double go(struct run *r, unsigned mib)
{
	double began = r->s.now;

	for (unsigned i = 0; i < mib; i++)
		step(r);
	return r->s.now - began;
}

static double plain_time(const struct run *r, unsigned mib)
{
	return PARCEL * fmax(compress_seconds(&r->m.is, NULL), r->m.behind) * mib;
}

static void text_on_a_slow_link_is_compressed_almost_at_once(void)
{
	struct run r;

	open_run(&r, 200 * MBIT, 64, text);
	CU_ASSERT(go(&r, 256) < 0.36 * plain_time(&r, 256));
	CU_ASSERT(r.packed > 250u * PARCEL);
	CU_ASSERT(r.trials < 4u * PARCEL);
	open_run(&r, 200 * MBIT, 0.25, text);
	CU_ASSERT(go(&r, 256) < 0.5 * plain_time(&r, 256));
	open_run(&r, 10 * GBIT, 64, text);
	CU_ASSERT(go(&r, 4096) < 0.65 * plain_time(&r, 4096));
}

static void on_a_fast_fabric_nothing_is_even_tried(void)
{
	struct run r;

	open_run(&r, COST_LINK, 64, text);
	r.m.is.read = 1 / COST_READ;
	CU_ASSERT_DOUBLE_EQUAL(go(&r, 4096), plain_time(&r, 4096), 1e-9);
	CU_ASSERT_EQUAL(r.trials, 0);
	CU_ASSERT_EQUAL(r.packed, 0);
}

static void content_that_does_not_shrink_costs_next_to_nothing(void)
{
	struct run r;

	open_run(&r, 200 * MBIT, 64, noise);
	go(&r, 4096);
	CU_ASSERT_EQUAL(r.packed, 0);
	CU_ASSERT(r.trials < r.total / 100);
	/* Text behind it is noticed within some parcels, and what comes then too. */
	r.m.ways = text;
	CU_ASSERT(go(&r, 512) < 0.5 * plain_time(&r, 512));
	r.m.ways = noise;
	r.packed = 0;
	go(&r, 512);
	CU_ASSERT(r.packed < 16u * PARCEL);
}

static void a_link_that_changes_changes_what_is_done(void)
{
	struct run r;

	open_run(&r, 200 * MBIT, 4, text);
	go(&r, 256);
	CU_ASSERT_EQUAL(r.w.state, COMPRESS_ON);
	/* Now compressing holds it up. */
	r.m.is.link = 20 * GBIT;
	go(&r, 4096);
	CU_ASSERT_EQUAL(r.w.state, COMPRESS_PLAIN);
	r.m.is.link = 200 * MBIT;
	r.packed = r.total = 0;
	CU_ASSERT(go(&r, 1024) < 0.4 * plain_time(&r, 1024));
}

/* Compressed ones come through more slowly than plain ones, for reasons that are not to be seen from here. */
static void what_does_not_pay_ends_and_is_tried_ever_more_rarely(void)
{
	struct run r;
	double took;

	open_run(&r, GBIT, 64, text);
	r.m.distant = 7e-9;
	took = go(&r, 2048);
	CU_ASSERT(took < 1.05 * plain_time(&r, 2048));
	r.packed = 0;
	took = go(&r, 8192);
	CU_ASSERT(took < 1.02 * plain_time(&r, 8192));
	/* The reason is gone. */
	r.m.distant = 0;
	go(&r, 8192);
	r.packed = 0;
	go(&r, 1024);
	CU_ASSERT(r.packed > 1000u * PARCEL);
}

static void few_parcels_wait_ahead_of_a_link_that_is_not_known(void)
{
	struct run r;
	bool try;

	open_run(&r, 200 * MBIT, 64, text);
	for (unsigned i = 0; i < COMPRESS_AHEAD; i++) {
		CU_ASSERT(!compress_watch_holds(&r.w, i, 0));
		compress_watch_next(&r.w, &try);
		CU_ASSERT(!try && r.w.way == -1);
	}
	CU_ASSERT(compress_watch_holds(&r.w, COMPRESS_AHEAD, 0));
	CU_ASSERT(!compress_watch_holds(&r.w, COMPRESS_AHEAD, 1));
	go(&r, 16);
	CU_ASSERT_EQUAL(r.w.state, COMPRESS_ON);
	CU_ASSERT(!compress_watch_holds(&r.w, 100, 0));
}

static void the_next_batch_knows_the_link_but_not_the_content(void)
{
	struct run r;

	open_run(&r, 200 * MBIT, 64, text);
	go(&r, 200);
	compress_watch_renew(&r.w, 1, 1, r.s.now);
	r.s = (struct compress_seen){.now = r.s.now};
	r.packed = 0;
	go(&r, 64);
	CU_ASSERT(r.packed >= 63u * PARCEL);
	compress_watch_renew(&r.w, 1, 1, r.s.now);
	r.s = (struct compress_seen){.now = r.s.now};
	r.m.ways = noise;
	r.packed = 0;
	go(&r, 64);
	CU_ASSERT_EQUAL(r.packed, 0);
}

static const struct test tests[] = {
	TEST(on_an_assumed_fabric_it_is_off),
	TEST(slow_links_get_the_shortest_and_faster_ones_the_quickest),
	TEST(what_does_not_shrink_is_left_alone),
	TEST(processors_that_all_share_are_not_spent_on_it),
	TEST(where_reading_or_writing_is_slow_the_link_does_not_matter),
	TEST(small_gains_keep_what_is_and_change_nothing),
	TEST(text_on_a_slow_link_is_compressed_almost_at_once),
	TEST(on_a_fast_fabric_nothing_is_even_tried),
	TEST(content_that_does_not_shrink_costs_next_to_nothing),
	TEST(a_link_that_changes_changes_what_is_done),
	TEST(what_does_not_pay_ends_and_is_tried_ever_more_rarely),
	TEST(few_parcels_wait_ahead_of_a_link_that_is_not_known),
	TEST(the_next_batch_knows_the_link_but_not_the_content),
};
SUITE("plan_compress", tests)
