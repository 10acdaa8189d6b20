/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define KIB 1024ull
#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct manifest_entry file_of(uint64_t size)
{
	return (struct manifest_entry){
		.kind = MANIFEST_FILE, .size = size, .group = MANIFEST_NONE};
}

static struct manifest tree_of(struct manifest_entry *entries, uint32_t count)
{
	return (struct manifest){.entries = entries, .count = count, .tree = true};
}

static struct plan_options options(uint32_t nodes, uint32_t readers, uint64_t parcel)
{
	return (struct plan_options){.nodes = nodes,
		.readers = readers,
		.parcel = parcel,
		.cost = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE}};
}

/* Streams, parcels and pieces must name all content once, in manifest order. */
struct follower {
	const struct manifest *m;
	const uint64_t *need;
	uint32_t entry, extent;
	uint64_t done; /* bytes of that extent */
};

static bool wanted(const struct follower *f, uint32_t i)
{
	if (f->need && !(f->need[i / 64] >> i % 64 & 1))
		return false;
	return manifest_has_data(f->m, i) && f->m->entries[i].size > 0;
}

/* Steps over what is complete; false at the end. */
static bool follow(struct follower *f, struct manifest_extent *x)
{
	for (; f->entry < f->m->count; f->entry++, f->extent = 0) {
		const struct manifest_entry *e = &f->m->entries[f->entry];
		uint32_t n = e->n_extents ? e->n_extents : 1;

		for (; wanted(f, f->entry) && f->extent < n; f->extent++, f->done = 0) {
			*x = (struct manifest_extent){0, e->size};
			if (e->n_extents)
				*x = e->extents[f->extent];
			if (f->done < x->len)
				return true;
		}
	}
	return false;
}

/* Returns the number of faults of one parcel. */
static int check_parcel(
	const struct plan *p, uint32_t stream, uint64_t seq, struct follower *f)
{
	struct plan_walk w;
	struct plan_piece piece;
	struct manifest_extent x;
	uint64_t at = 0, pieces = 0;
	int bad = 0;

	plan_walk_start(p, stream, seq, &w);
	for (; plan_walk_next(&w, &piece); pieces++) {
		if (!follow(f, &x))
			return 1;
		bad += piece.entry != f->entry || piece.off != x.off + f->done;
		bad += piece.len == 0 || piece.len > x.len - f->done || piece.at != at;
		bad += piece.off % DIGEST_LEAF != 0;
		bad += x.len <= p->parcel && piece.len != x.len;
		f->done += piece.len;
		at += piece.len;
	}
	bad += pieces == 0 || pieces > PLAN_PIECES_MAX || at > p->parcel;
	bad += at != plan_parcel_bytes(p, stream, seq);
	return bad;
}

static void check_plan(
	const struct manifest *m, const uint64_t *need, const struct plan *p)
{
	struct follower f = {.m = m, .need = need};
	struct manifest_extent x;
	uint64_t parcels = 0, bytes = 0;
	int bad = 0;

	for (uint32_t j = 0; j < p->n_streams; j++) {
		const struct plan_stream *s = &p->streams[j];

		bad += s->bytes == 0 || s->n_parcels == 0 || s->reader >= p->nodes;
		bad += j > 0 && s->reader <= p->streams[j - 1].reader;
		for (uint64_t k = 0; k < s->n_parcels; k++)
			bad += check_parcel(p, j, k, &f);
		parcels += s->n_parcels;
		bytes += s->bytes;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_FALSE(follow(&f, &x));
	CU_ASSERT_EQUAL(parcels, p->n_parcels);
	CU_ASSERT_EQUAL(bytes, p->bytes);
}

static struct plan *plan_checked(
	const struct manifest *m, const uint64_t *need, const struct plan_options *o)
{
	struct plan *p = NULL;

	CU_ASSERT_FATAL(plan_stage(m, need, o, &p, NULL) == 0);
	check_plan(m, need, p);
	return p;
}

/* Sizes of all kinds: empty, tiny, around leaves and parcels, large. */
static uint64_t some_size(unsigned *seed)
{
	uint64_t x = (uint64_t)rand_r(seed);

	switch (rand_r(seed) % 6) {
	case 0:
		return 0;
	case 1:
		return x % 5000;
	case 2:
		return DIGEST_LEAF * (x % 9) + x % 3;
	case 3:
		return MIB - 1 + x % 3;
	case 4:
		return x % (4 * MIB);
	default:
		return x % (40 * MIB);
	}
}

#define MIXED 300

struct mixed { /* a tree with something of everything */
	struct manifest_entry entries[MIXED];
	struct manifest_extent extents[MIXED][4];
	uint64_t need[MIXED / 64 + 1];
	struct manifest m;
};

static void make_mixed(struct mixed *x, unsigned seed)
{
	memset(x, 0, sizeof(*x));
	for (uint32_t i = 0; i < MIXED; i++) {
		struct manifest_entry *e = &x->entries[i];
		uint64_t at = 0;

		*e = file_of(some_size(&seed));
		x->need[i / 64] |= (uint64_t)(rand_r(&seed) % 4 > 0) << i % 64;
		if (rand_r(&seed) % 10 == 0)
			e->kind = rand_r(&seed) % 2 ? MANIFEST_DIR : MANIFEST_SYMLINK;
		else if (rand_r(&seed) % 10 == 0)
			e->group = rand_r(&seed) % 2
					   ? i
					   : i - (i > 0); /* first or later name */
		else if (rand_r(&seed) % 5 == 0) {
			e->extents = x->extents[i];
			e->n_extents = 1 + (uint32_t)rand_r(&seed) % 4;
			for (uint32_t k = 0; k < e->n_extents; k++) {
				at += DIGEST_LEAF * (1 + (uint64_t)rand_r(&seed) % 50);
				x->extents[i][k].off = at;
				x->extents[i][k].len =
					DIGEST_LEAF *
					(1 + (uint64_t)rand_r(&seed) % 30);
				at += x->extents[i][k].len;
			}
			e->size =
				at - 17; /* the last one ends with the file, mid leaf */
			x->extents[i][e->n_extents - 1].len -= 17;
		}
	}
	x->m = tree_of(x->entries, MIXED);
}

static void every_byte_that_is_needed_travels_once(void)
{
	static struct mixed x;

	for (unsigned seed = 1; seed <= 60; seed++) {
		struct plan_options o = options(100, seed % 20,
			seed % 3 ? (1 + seed % 16) * PLAN_PARCEL_MIN : 0);

		make_mixed(&x, seed);
		plan_free(plan_checked(&x.m, NULL, &o));
		plan_free(plan_checked(&x.m, x.need, &o));
	}
}

static void shares_are_even_and_small_files_whole(void)
{
	static struct mixed x;

	for (unsigned seed = 100; seed < 120; seed++) {
		struct plan_options o = options(50, 7, MIB);
		SCOPED(plan_freep) struct plan *p = NULL;

		make_mixed(&x, seed);
		p = plan_checked(&x.m, NULL, &o);
		CU_ASSERT_EQUAL(p->n_streams, 7);
		for (uint32_t j = 0; j < p->n_streams; j++) {
			const struct plan_stream *s = &p->streams[j], *next = s + 1;

			CU_ASSERT(s->bytes + MIB >= p->bytes / 7);
			CU_ASSERT(s->bytes <= p->bytes / 7 + MIB);
			if (j + 1 == p->n_streams)
				break;
			/* Only what exceeds a parcel may go on with the next reader. */
			if (s->segments[s->n_segments - 1].entry ==
				next->segments[0].entry)
				CU_ASSERT(x.entries[next->segments[0].entry].size > MIB)
		}
	}
}

static void the_same_input_gives_the_same_plan(void)
{
	static struct mixed x;
	struct plan_options o = options(64, 5, 0);
	SCOPED(plan_freep) struct plan *a = NULL, *b = NULL;

	make_mixed(&x, 7);
	a = plan_checked(&x.m, NULL, &o);
	b = plan_checked(&x.m, NULL, &o);
	CU_ASSERT_EQUAL_FATAL(a->n_streams, b->n_streams);
	CU_ASSERT(a->algo == b->algo && a->parcel == b->parcel);
	for (uint32_t j = 0; j < a->n_streams; j++) {
		const struct plan_stream *s = &a->streams[j], *t = &b->streams[j];

		CU_ASSERT_EQUAL_FATAL(s->n_parcels, t->n_parcels);
		CU_ASSERT_EQUAL(memcmp(s->parcels, t->parcels,
					s->n_parcels * sizeof(*s->parcels)),
			0);
	}
}

static void a_parcel_is_cut_as_described(void)
{
	struct manifest_entry e[] = {file_of(100), file_of(200), file_of(2 * MIB + 5),
		file_of(300), file_of(MIB), file_of(1)};
	struct manifest m = tree_of(e, 6);
	struct plan_options o = options(4, 1, MIB);
	SCOPED(plan_freep) struct plan *p = plan_checked(&m, NULL, &o);
	static const uint64_t lengths[] = {300, MIB, MIB, 305, MIB, 1};

	CU_ASSERT_EQUAL_FATAL(p->n_streams, 1);
	CU_ASSERT_EQUAL_FATAL(p->n_parcels, 6);
	for (uint64_t k = 0; k < 6; k++)
		CU_ASSERT_EQUAL(plan_parcel_bytes(p, 0, k), lengths[k]);
	CU_ASSERT_EQUAL(
		p->streams[0].parcels[3].pieces, 2); /* tail and the next small file */
}

static void huge_files_need_all_64_bits(void)
{
	struct manifest_entry e[] = {
		file_of(5 * GIB + 1), file_of(7), file_of(9 * GIB)};
	struct manifest m = tree_of(e, 3);
	struct plan_options o = options(1000, 3, PLAN_PARCEL_MAX);
	SCOPED(plan_freep) struct plan *p = plan_checked(&m, NULL, &o);

	CU_ASSERT_EQUAL(p->n_streams, 3);
	CU_ASSERT_EQUAL(p->bytes, 14 * GIB + 8);
	e[0].size = e[2].size = UINT64_MAX / 2 + 1;
	CU_ASSERT_PTR_NOT_NULL(p);
	CU_ASSERT_EQUAL(plan_stage(&m, NULL, &o, &p, NULL), -EOVERFLOW);
}

static void tiny_files_fill_parcels_up_to_the_limit(void)
{
	uint32_t n = 100000;
	SCOPED_FREE struct manifest_entry *e = calloc(n, sizeof(*e));
	struct plan_options o = options(300, 4, MIB);
	SCOPED(plan_freep) struct plan *p = NULL;
	struct manifest m;

	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	for (uint32_t i = 0; i < n; i++)
		e[i] = file_of(i % 2 ? 1 : 200);
	m = tree_of(e, n);
	p = plan_checked(&m, NULL, &o);
	CU_ASSERT_EQUAL(p->n_streams, 4);
	CU_ASSERT_EQUAL(
		p->n_parcels, 4 * 25); /* 25,000 files a stream, 1,024 a parcel */
}

static void readers_without_work_are_left_out(void)
{
	struct manifest_entry e[] = {file_of(10), file_of(20)};
	struct manifest m = tree_of(e, 2);
	struct plan_options o = options(64, 16, 0);
	SCOPED(plan_freep) struct plan *p = plan_checked(&m, NULL, &o);

	CU_ASSERT_EQUAL(p->n_streams, 2);
	CU_ASSERT_EQUAL(p->n_parcels, 2);
}

static void nothing_to_move_is_a_plan(void)
{
	struct manifest m = tree_of(NULL, 0);
	struct plan_options o = options(64, 4, 0);
	SCOPED(plan_freep) struct plan *p = plan_checked(&m, NULL, &o);
	uint64_t out = 1, in = 1;

	CU_ASSERT_EQUAL(p->n_streams, 0);
	CU_ASSERT(p->algo != SCHEDULE_AUTO);
	CU_ASSERT_DOUBLE_EQUAL(p->predicted, 0, 0);
	CU_ASSERT_EQUAL(plan_link_bytes(p, 3, &out, &in, NULL), 0);
	CU_ASSERT_EQUAL(out + in, 0);
}

static void readers_are_as_many_as_pay(void)
{
	struct plan_options o = options(1000, 0, 0);

	o.cost.link = 25e9;
	o.cost.read = 2e9;
	o.cost.write = 4e9;
	CU_ASSERT_EQUAL(plan_readers(&o, 100 * GIB), 2);
	o.cost.write = 1e12;
	CU_ASSERT_EQUAL(plan_readers(&o, 100 * GIB), 13);
	CU_ASSERT_EQUAL(plan_readers(&o, 9 * MIB), 3);
	CU_ASSERT_EQUAL(plan_readers(&o, 0), 1);
	o.cost.read = 1e6;
	CU_ASSERT_EQUAL(plan_readers(&o, 100 * GIB), 64);
	o.nodes = 5;
	CU_ASSERT_EQUAL(plan_readers(&o, 100 * GIB), 5);
	o.readers = 3;
	CU_ASSERT_EQUAL(plan_readers(&o, 0), 3);
	o.readers = 9;
	CU_ASSERT_EQUAL(plan_readers(&o, 0), 5);
}

static void readers_are_spread_and_ranks_rotate(void)
{
	struct plan_options o = options(10, 4, PLAN_PARCEL_MIN);
	SCOPED(plan_freep) struct plan *p = NULL;

	CU_ASSERT_EQUAL(plan_reader_node(0, 4, 10), 0);
	CU_ASSERT_EQUAL(plan_reader_node(3, 4, 10), 7);
	CU_ASSERT_EQUAL(plan_reader_node(99998, 99999, UINT32_MAX), 4294924344u);
	CU_ASSERT_FATAL(plan_bytes(100 * MIB, &o, &p, NULL) == 0);
	for (uint32_t j = 0; j < p->n_streams; j++) {
		CU_ASSERT_EQUAL(plan_rank(p, j, p->streams[j].reader), 0);
		for (uint32_t i = 0; i < 10; i++) {
			CU_ASSERT_EQUAL(plan_node(p, j, plan_rank(p, j, i)), i);
			CU_ASSERT(plan_rank(p, j, i) < 10);
		}
	}
}

/* Whoever is slow in sending stands where nothing is sent on; all others keep a place. */
static void a_leaf_is_the_last_of_what_others_read(void)
{
	static const enum schedule_algo algos[] = {
		SCHEDULE_CHAIN, SCHEDULE_BINOMIAL, SCHEDULE_TWO_TREE};

	for (size_t a = 0; a < sizeof(algos) / sizeof(algos[0]); a++) {
		for (uint32_t leaf = 0; leaf < 10; leaf++) {
			struct plan_options o = options(10, 4, PLAN_PARCEL_MIN);
			SCOPED(plan_freep) struct plan *p = NULL;
			uint64_t out, in;
			bool reads = false;

			o.algo = algos[a];
			o.has_leaf = true;
			o.leaf = leaf;
			CU_ASSERT_FATAL(plan_bytes(100 * MIB, &o, &p, NULL) == 0);
			for (uint32_t j = 0; j < p->n_streams; j++) {
				uint32_t seen = 0;

				CU_ASSERT_EQUAL(
					plan_rank(p, j, p->streams[j].reader), 0);
				for (uint32_t i = 0; i < 10; i++) {
					uint32_t rank = plan_rank(p, j, i);

					seen |= 1u << rank;
					CU_ASSERT_EQUAL(plan_node(p, j, rank), i);
				}
				CU_ASSERT_EQUAL(seen, 0x3ff);
				reads |= p->streams[j].reader == leaf;
			}
			CU_ASSERT_FATAL(plan_link_bytes(p, leaf, &out, &in, NULL) == 0);
			if (!reads && algos[a] != SCHEDULE_TWO_TREE)
				CU_ASSERT_EQUAL(out, 0);
			if (!reads)
				CU_ASSERT_EQUAL(in, 100 * MIB);
		}
	}
}

static void the_memory_bound_limits_parcels(void)
{
	struct plan_options o = options(5000, 1, 0);
	SCOPED(plan_freep) struct plan *p = NULL;
	SCOPED(plan_freep) struct plan *q = NULL;

	CU_ASSERT_FATAL(plan_bytes(100 * GIB, &o, &p, NULL) == 0);
	CU_ASSERT(p->parcel > 512 * KIB);
	o.parcel_max = 700 * KIB;
	CU_ASSERT_FATAL(plan_bytes(100 * GIB, &o, &q, NULL) == 0);
	CU_ASSERT_EQUAL(q->parcel, 512 * KIB);
}

static void senseless_options_are_refused(void)
{
	struct plan_options bad[4];
	struct plan *p = NULL;

	for (int i = 0; i < 4; i++)
		bad[i] = options(8, 2, MIB);
	bad[0].nodes = 0;
	bad[1].parcel = 1000;
	bad[2].parcel = 2 * PLAN_PARCEL_MAX;
	bad[3].cost.read = 0;
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(plan_bytes(GIB, &bad[i], &p, NULL), -EINVAL);
	CU_ASSERT_PTR_NULL(p);
}

/* What a node has read ahead is its own; the rest makes the readers level. */
static void what_was_read_ahead_stays_where_it_is(void)
{
	enum { FILES = 3000, NODES = 8, READERS = 4 };
	struct manifest_entry *e = calloc(FILES, sizeof(*e));
	struct plan_options o = options(NODES, READERS, 256 * KIB);
	SCOPED(plan_freep) struct plan *p = NULL;
	uint64_t seen = 0, least = UINT64_MAX, most = 0;
	struct manifest m;

	CU_ASSERT_FATAL(e != NULL);
	for (uint32_t i = 0; i < FILES; i++) {
		e[i] = file_of(1 + i * 37 % 5000);
		/* Nodes 0, 2, 4, 6 read; what 1 and 5 say they have is read by whoever. */
		e[i].marks = i % 3 ? MANIFEST_AHEAD : 0;
		e[i].dev = manifest_dev(i % 7 == 1 ? 1 : i % 2 * 4, 9);
		e[i].group = i % 50 == 2 ? i - 1 : i % 50 == 1 ? i : MANIFEST_NONE;
	}
	m = tree_of(e, FILES);
	CU_ASSERT_FATAL(plan_stage(&m, NULL, &o, &p, NULL) == 0);
	CU_ASSERT_EQUAL(p->n_streams, READERS);
	for (uint32_t j = 0; j < p->n_streams; j++) {
		uint32_t last = 0;

		for (uint32_t k = 0; k < p->streams[j].n_segments; k++) {
			const struct plan_segment *x = &p->streams[j].segments[k];
			const struct manifest_entry *at = &e[x->entry];

			CU_ASSERT(k == 0 || x->entry > last);
			last = x->entry;
			seen += x->len;
			CU_ASSERT_EQUAL(x->len, at->size);
			if (at->marks && manifest_node(at) != 1)
				CU_ASSERT_EQUAL(
					p->streams[j].reader, manifest_node(at));
		}
		if (p->streams[j].bytes < least)
			least = p->streams[j].bytes;
		if (p->streams[j].bytes > most)
			most = p->streams[j].bytes;
	}
	CU_ASSERT_EQUAL(seen, p->bytes);
	/* Two have nearly two thirds ahead; all the rest goes to the others. */
	CU_ASSERT(most < p->bytes * 32 / 100);
	CU_ASSERT(least > p->bytes * 18 / 100);
	free(e);
}

/*
 * Where one of eight readers has read all of it ahead there is one stream, and the schedule is one
 * for that: a binomial tree, cheap with eight streams, sends each byte three times with one.
 */
static void who_read_all_ahead_counts_as_one_reader(void)
{
	enum { FILES = 2560, NODES = 8 };
	struct manifest_entry *e = calloc(FILES, sizeof(*e));
	struct plan_options several = options(NODES, NODES, 0),
			    one = options(NODES, 1, 0);
	SCOPED(plan_freep) struct plan *p = NULL;
	SCOPED(plan_freep) struct plan *q = NULL;
	struct manifest m;

	several.cost.link = one.cost.link = 25e6;
	CU_ASSERT_FATAL(e != NULL);
	for (uint32_t i = 0; i < FILES; i++) {
		e[i] = file_of(4096);
		e[i].marks = MANIFEST_AHEAD;
		e[i].dev = manifest_dev(0, 9);
	}
	m = tree_of(e, FILES);
	CU_ASSERT_FATAL(plan_stage(&m, NULL, &several, &p, NULL) == 0);
	CU_ASSERT_FATAL(plan_stage(&m, NULL, &one, &q, NULL) == 0);
	CU_ASSERT_EQUAL(p->n_streams, 1);
	CU_ASSERT_EQUAL(p->algo, q->algo);
	CU_ASSERT_EQUAL(p->parcel, q->parcel);
	CU_ASSERT_EQUAL(cost_sends(p->algo, NODES, 1), 1);
	CU_ASSERT(p->predicted < 1.2 * FILES * 4096 / 25e6);
	CU_ASSERT_EQUAL(p->predicted, q->predicted);
	free(e);
}

static const struct test tests[] = {
	TEST(who_read_all_ahead_counts_as_one_reader),
	TEST(what_was_read_ahead_stays_where_it_is),
	TEST(every_byte_that_is_needed_travels_once),
	TEST(shares_are_even_and_small_files_whole),
	TEST(the_same_input_gives_the_same_plan),
	TEST(a_parcel_is_cut_as_described),
	TEST(huge_files_need_all_64_bits),
	TEST(tiny_files_fill_parcels_up_to_the_limit),
	TEST(readers_without_work_are_left_out),
	TEST(nothing_to_move_is_a_plan),
	TEST(readers_are_as_many_as_pay),
	TEST(readers_are_spread_and_ranks_rotate),
	TEST(a_leaf_is_the_last_of_what_others_read),
	TEST(the_memory_bound_limits_parcels),
	TEST(senseless_options_are_refused),
};
SUITE("plan_plan", tests)
