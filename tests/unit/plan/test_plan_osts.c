/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans for sources whose layouts are known. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define KIB   1024ull
#define MIB   (1ull << 20)
#define GIB   (1ull << 30)
#define TIB   (1ull << 40)
#define OSTS  512 /* highest index, plus one */
#define FILES 400

/* A tree of files with layouts, and what a plan makes of it. */
struct job {
	struct manifest_entry entries[FILES];
	struct manifest_extent extents[FILES][4];
	struct plan_layout of[FILES];
	uint64_t need[FILES / 64 + 1];
	struct manifest m;
	struct plan_layouts layouts;
	struct plan_options o;
	struct plan *p;
	uint64_t bytes[OSTS];  /* of what was read, by OST */
	uint32_t reader[OSTS]; /* stream that reads it */
	uint32_t sharers[OSTS];
};

static void job_free(struct job *j)
{
	for (uint32_t k = 0; k < j->layouts.count; k++)
		pfs_layout_free(j->of[k].layout);
	plan_free(j->p);
	free(j);
}
DEFINE_SCOPED(struct job, job_free)
#define SCOPED_JOB SCOPED(job_freep)

static struct job *job_new(uint32_t readers, uint64_t parcel)
{
	struct job *j = calloc(1, sizeof(*j));

	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	j->m = (struct manifest){.entries = j->entries, .tree = true};
	j->layouts.of = j->of;
	j->o = (struct plan_options){.nodes = 100,
		.readers = readers,
		.parcel = parcel,
		.cost = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE},
		.layouts = &j->layouts};
	return j;
}

static struct manifest_entry *add_file(struct job *j, uint64_t size)
{
	struct manifest_entry *e = &j->entries[j->m.count++];

	*e = (struct manifest_entry){
		.kind = MANIFEST_FILE, .size = size, .group = MANIFEST_NONE};
	return e;
}

/* Gives the last file a layout without parts yet. */
static struct pfs_layout *add_layout(struct job *j, uint32_t n_parts, uint32_t n_osts)
{
	size_t size = sizeof(struct pfs_layout) + n_parts * sizeof(struct pfs_part);
	struct pfs_layout *l = calloc(1, size + n_osts * sizeof(uint32_t));

	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	l->osts = (uint32_t *)((char *)l + size);
	j->of[j->layouts.count++] = (struct plan_layout){j->m.count - 1, l};
	return l;
}

static void add_part(struct pfs_layout *l, uint64_t start, uint64_t end, uint32_t size,
	uint32_t count)
{
	l->parts[l->n_parts++] = (struct pfs_part){start, end, size, count, l->n_osts};
	l->n_osts += count;
}

/* A file over @count OSTs from @first on. */
static struct manifest_entry *add_striped(
	struct job *j, uint64_t bytes, uint32_t first, uint32_t count, uint32_t size)
{
	struct manifest_entry *e = add_file(j, bytes);
	struct pfs_layout *l = add_layout(j, 1, count);

	add_part(l, 0, UINT64_MAX, size, count);
	for (uint32_t k = 0; k < count; k++)
		l->osts[k] = first + k;
	return e;
}

static const struct pfs_layout *layout_of(const struct job *j, uint32_t entry)
{
	for (uint32_t k = 0; k < j->layouts.count; k++) {
		if (j->of[k].entry == entry)
			return j->of[k].layout;
	}
	return NULL;
}

/* By the rule of Lustre, not by the code under test. MANIFEST_NONE: on no OST. */
static uint32_t ost_at(const struct pfs_layout *l, uint64_t off)
{
	for (uint32_t k = 0; l && k < l->n_parts; k++) {
		const struct pfs_part *p = &l->parts[k];

		if (off >= p->start && off < p->end)
			return l->osts[p->first +
				       off / p->stripe_size % p->stripe_count];
	}
	return MANIFEST_NONE;
}

static void note_read(struct job *j, uint32_t stream, const struct pfs_layout *l,
	uint64_t off, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += DIGEST_LEAF) {
		uint32_t ost = ost_at(l, off + at);

		if (ost == MANIFEST_NONE)
			continue;
		if (j->bytes[ost] == 0 || j->reader[ost] != stream)
			j->sharers[ost]++;
		j->reader[ost] = stream;
		j->bytes[ost] += len - at < DIGEST_LEAF ? len - at : DIGEST_LEAF;
	}
}

static int by_place(const void *a, const void *b)
{
	const struct plan_piece *x = a, *y = b;

	if (x->entry != y->entry)
		return x->entry < y->entry ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

/* Faults of one parcel; its pieces to *out. */
static int check_parcel(struct job *j, uint32_t stream, uint64_t seq,
	struct plan_piece *out, uint64_t *n, uint64_t room)
{
	struct plan_piece piece;
	uint64_t at = 0, pieces = 0;
	struct plan_walk w;
	int bad = 0;

	plan_walk_start(j->p, stream, seq, &w);
	for (; plan_walk_next(&w, &piece) && *n < room; pieces++) {
		const struct manifest_entry *e = &j->entries[piece.entry];

		bad += piece.len == 0 || piece.at != at || piece.off % DIGEST_LEAF != 0;
		bad += piece.len % DIGEST_LEAF && piece.off + piece.len != e->size;
		note_read(j, stream, layout_of(j, piece.entry), piece.off, piece.len);
		at += piece.len;
		out[(*n)++] = piece;
	}
	bad += pieces == 0 || pieces > PLAN_PIECES_MAX || at > j->p->parcel;
	bad += at != plan_parcel_bytes(j->p, stream, seq);
	return bad;
}

static int check_stream(const struct plan_stream *s)
{
	uint64_t sum = 0;
	int bad = 0;

	for (uint32_t k = 0; k < s->n_segments; k++) {
		const struct plan_segment *x = &s->segments[k];

		sum += x->len;
		bad += k && x->entry < x[-1].entry;
		bad += k && x->entry == x[-1].entry && x->off < x[-1].off + x[-1].len;
	}
	return bad + (sum != s->bytes);
}

/* Sorted pieces must be the content, each byte once. */
static int check_content(const struct job *j, const uint64_t *need,
	const struct plan_piece *piece, uint64_t n)
{
	uint64_t k = 0;

	for (uint32_t i = 0; i < j->m.count; i++) {
		const struct manifest_entry *e = &j->entries[i];
		struct manifest_extent whole = {0, e->size};
		const struct manifest_extent *x = e->n_extents ? e->extents : &whole;

		for (uint32_t t = 0; t < (e->n_extents ? e->n_extents : 1); t++) {
			uint64_t off = x[t].off, end = off + x[t].len;

			if (!manifest_moves(&j->m, need, i))
				break;
			for (; off < end && k < n; off += piece[k++].len) {
				if (piece[k].entry != i || piece[k].off != off)
					return 1;
			}
			if (off != end)
				return 1;
		}
	}
	return k != n;
}

static void plan_checked(struct job *j, const uint64_t *need)
{
	SCOPED_FREE struct plan_piece *pieces = NULL;
	uint64_t n = 0, room = 0, bytes = 0;
	int bad = 0;

	plan_free(j->p);
	j->p = NULL;
	memset(j->bytes, 0, sizeof(j->bytes));
	memset(j->sharers, 0, sizeof(j->sharers));
	CU_ASSERT_FATAL(plan_stage(&j->m, need, &j->o, &j->p, NULL) == 0);
	for (uint32_t i = 0; i < j->p->n_streams; i++)
		room += j->p->streams[i].n_parcels + j->p->streams[i].n_segments;
	pieces = calloc(room + 1, sizeof(*pieces));
	CU_ASSERT_PTR_NOT_NULL_FATAL(pieces);
	for (uint32_t i = 0; i < j->p->n_streams; i++) {
		const struct plan_stream *s = &j->p->streams[i];

		bad += check_stream(s) + (s->n_parcels == 0);
		bad += i > 0 && s->reader <= s[-1].reader;
		for (uint64_t k = 0; k < s->n_parcels; k++)
			bad += check_parcel(j, i, k, pieces, &n, room);
		bytes += s->bytes;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(bytes, j->p->bytes);
	qsort(pieces, n, sizeof(*pieces), by_place);
	CU_ASSERT_EQUAL(check_content(j, need, pieces, n), 0);
}

/* OSTs that hold something and are read by one reader, and by several. */
static void count_osts(const struct job *j, uint32_t *alone, uint32_t *shared)
{
	*alone = *shared = 0;
	for (uint32_t k = 0; k < OSTS; k++) {
		*alone += j->bytes[k] && j->sharers[k] == 1;
		*shared += j->bytes[k] && j->sharers[k] > 1;
	}
}

static void check_owners(const struct job *j, uint32_t osts)
{
	uint32_t alone, shared;

	count_osts(j, &alone, &shared);
	CU_ASSERT_EQUAL(alone, osts);
	CU_ASSERT_EQUAL(shared, 0);
}

static void extremes(const struct plan *p, uint64_t *least, uint64_t *most)
{
	*least = UINT64_MAX;
	*most = 0;
	for (uint32_t i = 0; i < p->n_streams; i++) {
		*least = p->streams[i].bytes < *least ? p->streams[i].bytes : *least;
		*most = p->streams[i].bytes > *most ? p->streams[i].bytes : *most;
	}
}

static void check_level(const struct plan *p, uint64_t slack)
{
	uint64_t least, most;

	extremes(p, &least, &most);
	CU_ASSERT(most - least <= slack);
}

static void a_striped_file_is_read_by_the_owners_of_its_osts(void)
{
	SCOPED_JOB struct job *j = job_new(4, MIB);

	add_striped(j, 64 * MIB, 0, 8, MIB);
	plan_checked(j, NULL);
	CU_ASSERT_EQUAL(j->p->n_streams, 4);
	check_owners(j, 8);
	check_level(j->p, 0);
	/* Neighbours to one reader: two stripes are one segment. */
	CU_ASSERT_EQUAL(j->p->streams[0].n_segments, 8);
	CU_ASSERT_EQUAL(j->p->streams[0].segments[1].off, 8 * MIB);
	CU_ASSERT_EQUAL(j->p->streams[0].segments[1].len, 2 * MIB);
	CU_ASSERT_EQUAL(j->p->n_parcels, 64);
}

static void files_of_one_stripe_go_whole_to_their_reader(void)
{
	SCOPED_JOB struct job *j = job_new(4, MIB);

	for (uint32_t k = 0; k < 16; k++)
		add_striped(j, 20 * MIB + k, k % 8 * 7, 1, 64 * KIB);
	plan_checked(j, NULL);
	check_owners(j, 8);
	check_level(j->p, 100);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(j->p->streams[i].n_segments, 4);
}

/* How many parcels in a row begin on one OST, at most. */
static uint32_t longest_row(const struct job *j, uint32_t stream)
{
	uint32_t last = MANIFEST_NONE, row = 0, most = 0;

	for (uint64_t k = 0; k < j->p->streams[stream].n_parcels; k++) {
		struct plan_piece piece;
		struct plan_walk w;
		uint32_t ost;

		plan_walk_start(j->p, stream, k, &w);
		plan_walk_next(&w, &piece);
		ost = ost_at(layout_of(j, piece.entry), piece.off);
		row = ost == last ? row + 1 : 1;
		last = ost;
		most = row > most ? row : most;
	}
	return most;
}

static void the_osts_of_a_reader_take_turns(void)
{
	SCOPED_JOB struct job *j = job_new(4, MIB);

	for (uint32_t k = 0; k < 16; k++)
		add_striped(j, 32 * MIB, k / 2, 1, MIB);
	plan_checked(j, NULL);
	check_owners(j, 8);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(longest_row(j, i), 1);
}

/* Files that a stream has begun and not ended, at most. */
static uint32_t most_open(const struct job *j, uint32_t stream)
{
	uint64_t left[FILES] = {0};
	uint32_t open = 0, most = 0;
	struct plan_piece piece;
	struct plan_walk w;

	for (int pass = 0; pass < 2; pass++) {
		for (uint64_t k = 0; k < j->p->streams[stream].n_parcels; k++) {
			plan_walk_start(j->p, stream, k, &w);
			plan_walk_next(&w, &piece);
			if (pass == 0) {
				left[piece.entry]++;
				continue;
			}
			/* The lowest bit says that it is open. */
			open += left[piece.entry] < 1 << 20;
			left[piece.entry] |= 1 << 20;
			most = open > most ? open : most;
			open -= --left[piece.entry] == 1 << 20;
		}
	}
	return most;
}

static void only_a_few_files_are_open_at_a_time(void)
{
	SCOPED_JOB struct job *j = job_new(2, MIB);

	/* 100 OSTs a reader, each with a file of its own; then over all of them. */
	for (uint32_t k = 0; k < 200; k++)
		add_striped(j, 20 * MIB, k, 1, MIB);
	add_striped(j, 400 * MIB, 0, 200, MIB);
	plan_checked(j, NULL);
	check_owners(j, 200);
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT(most_open(j, i) <= 9);
		CU_ASSERT(most_open(j, i) >= 8);
	}
}

static void files_that_wait_for_each_other_are_opened(void)
{
	SCOPED_JOB struct job *j = job_new(2, MIB);

	/* Each is on two OSTs of one reader, and everywhere behind another one. */
	for (uint32_t k = 0; k < 60; k++) {
		struct pfs_layout *l;

		add_file(j, 40 * MIB);
		l = add_layout(j, 1, 2);
		add_part(l, 0, UINT64_MAX, 3 * MIB, 2);
		l->osts[0] = (k * 7) % 20;
		l->osts[1] = (k * 7 + 5 + k % 3) % 20;
	}
	plan_checked(j, NULL);
	check_owners(j, 20);
}

static void small_files_make_readers_level(void)
{
	SCOPED_JOB struct job *j = job_new(3, MIB);
	uint64_t least, most;

	add_striped(j, 90 * MIB, 0, 1, MIB);
	add_striped(j, 30 * MIB, 1, 1, MIB);
	add_striped(j, 20 * MIB, 2, 1, MIB);
	for (uint32_t k = 0; k < 300; k++)
		add_file(j, 100000 + k * 1000);
	plan_checked(j, NULL);
	check_owners(j, 3);
	extremes(j->p, &least, &most);
	CU_ASSERT_EQUAL(most, 90 * MIB);
	CU_ASSERT(least >= (j->p->bytes - most) / 2 - MIB);
}

static void files_of_unknown_layout_are_dealt_by_bytes(void)
{
	SCOPED_JOB struct job *j = job_new(4, MIB), *k = job_new(4, MIB);

	for (uint32_t i = 0; i < 10; i++) {
		add_file(j, (10 + i) * 3 * MIB + i);
		add_file(k, (10 + i) * 3 * MIB + i);
	}
	/* Half a leaf in a stripe, archived, and one that is not in the manifest. */
	j->m.count = 4;
	add_part(add_layout(j, 1, 2), 0, UINT64_MAX, 64 * KIB, 2);
	j->m.count = 5;
	add_layout(j, 0, 0);
	j->m.count = 10;
	add_part(add_layout(j, 1, 1), 0, UINT64_MAX, MIB, 1);
	j->of[2].entry = 10;
	plan_checked(k, NULL);
	CU_ASSERT_FATAL(plan_stage(&j->m, NULL, &j->o, &j->p, NULL) == 0);
	CU_ASSERT_EQUAL_FATAL(j->p->n_streams, k->p->n_streams);
	for (uint32_t i = 0; i < j->p->n_streams; i++) {
		const struct plan_stream *a = &j->p->streams[i], *b = &k->p->streams[i];

		CU_ASSERT_EQUAL_FATAL(a->n_parcels, b->n_parcels);
		CU_ASSERT_EQUAL(a->n_segments, b->n_segments);
		CU_ASSERT_EQUAL(memcmp(a->parcels, b->parcels,
					a->n_parcels * sizeof(*a->parcels)),
			0);
	}
}

static void known_and_unknown_layouts_mix(void)
{
	SCOPED_JOB struct job *j = job_new(4, 2 * MIB);

	for (uint32_t k = 0; k < 30; k++) {
		if (k % 3)
			add_striped(j, 48 * MIB, k, 8, MIB);
		else
			add_file(j, 48 * MIB + k * 77);
	}
	plan_checked(j, NULL);
	check_owners(j, 36); /* file 0 has no layout, so neither has OST 0 */
	check_level(j->p, 4 * MIB);
}

static void parts_of_a_composite_layout_count_each(void)
{
	SCOPED_JOB struct job *j = job_new(3, MIB);
	struct pfs_layout *l;

	/* 64 KiB on the metadata target, then one OST, then four; a hole in the layout. */
	add_file(j, 200 * MIB + 12345);
	l = add_layout(j, 2, 5);
	add_part(l, 64 * KIB, 64 * MIB, MIB, 1);
	add_part(l, 65 * MIB, UINT64_MAX, 4 * MIB, 4);
	for (uint32_t k = 0; k < 5; k++)
		l->osts[k] = 10 * k;
	plan_checked(j, NULL);
	check_owners(j, 5);
	/* The first leaf is shared by both and goes with the part before. */
	CU_ASSERT_EQUAL(j->bytes[0], 64 * MIB - DIGEST_LEAF);
	check_level(j->p, 64 * MIB);
}

static void the_ost_of_a_byte_is_told(void)
{
	SCOPED_JOB struct job *j = job_new(3, MIB);
	struct pfs_layout *l;

	add_file(j, MIB);
	add_file(j, 200 * MIB);
	l = add_layout(j, 2, 5);
	add_part(l, 64 * KIB, 64 * MIB, MIB, 1);
	add_part(l, 65 * MIB, UINT64_MAX, 4 * MIB, 4);
	for (uint32_t k = 0; k < 5; k++)
		l->osts[k] = 10 * k;
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 1, 0), -1);
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 1, 64 * KIB), 0);
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 1, 64 * MIB - 1), 0);
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 1, 64 * MIB), -1);
	/* Stripes are counted from the start of the file. */
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 1, 65 * MIB), 10);
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 1, 68 * MIB), 20);
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 1, 80 * MIB), 10);
	/* A file of unknown layout, and none at all. */
	CU_ASSERT_EQUAL(plan_ost_at(&j->layouts, 0, 0), -1);
	CU_ASSERT_EQUAL(plan_ost_at(NULL, 1, MIB), -1);
}

static void sparse_files_count_what_they_hold(void)
{
	SCOPED_JOB struct job *j = job_new(2, MIB);
	struct manifest_entry *e = add_striped(j, 100 * TIB, 0, 4, MIB);

	e->extents = j->extents[0];
	e->n_extents = 2;
	/* Two leaves on OST 1 and 2 each, 64 MiB over all of them at the end. */
	j->extents[0][0] = (struct manifest_extent){2 * MIB - 256 * KIB, 512 * KIB};
	j->extents[0][1] = (struct manifest_extent){100 * TIB - 64 * MIB, 64 * MIB};
	plan_checked(j, NULL);
	check_owners(j, 4);
	CU_ASSERT_EQUAL(j->bytes[1], 16 * MIB + 256 * KIB);
	CU_ASSERT_EQUAL(j->bytes[3], 16 * MIB);
	check_level(j->p, 0);
}

static void few_osts_are_shared_by_ranges(void)
{
	SCOPED_JOB struct job *j = job_new(8, MIB);
	uint32_t alone, shared;

	for (uint32_t k = 0; k < 12; k++)
		add_striped(j, 40 * MIB, k % 3, 1 + k % 2, 4 * MIB);
	plan_checked(j, NULL);
	CU_ASSERT_EQUAL(j->p->n_streams, 8);
	count_osts(j, &alone, &shared);
	CU_ASSERT_EQUAL(alone + shared, 4);
	check_level(j->p, 2 * MIB);
	/* Still ranges: a reader has part of two OSTs at most. */
	for (uint32_t i = 0; i < 8; i++) {
		bool has[OSTS] = {false};
		uint32_t n = 0;

		for (uint32_t s = 0; s < j->p->streams[i].n_segments; s++) {
			const struct plan_segment *x = &j->p->streams[i].segments[s];
			uint32_t ost = ost_at(layout_of(j, x->entry), x->off);

			n += !has[ost];
			has[ost] = true;
		}
		CU_ASSERT(n <= 2);
	}
}

static void uneven_osts_are_dealt_largest_first(void)
{
	SCOPED_JOB struct job *j = job_new(4, MIB);
	static const uint64_t mib[8] = {100, 100, 20, 20, 100, 100, 20, 20};
	uint64_t least, most;

	/* Runs of neighbours would make 200 of what can be 120. */
	for (uint32_t k = 0; k < 8; k++)
		add_striped(j, mib[k] * MIB, k, 1, MIB);
	plan_checked(j, NULL);
	check_owners(j, 8);
	extremes(j->p, &least, &most);
	CU_ASSERT_EQUAL(most, 120 * MIB);
	CU_ASSERT_EQUAL(least, 120 * MIB);
}

static void stripes_that_do_not_fit_parcels_fill_them_all_the_same(void)
{
	SCOPED_JOB struct job *j = job_new(2, 8 * PLAN_PARCEL_MIN);

	add_striped(j, 90 * MIB, 0, 6, 3 * DIGEST_LEAF);
	plan_checked(j, NULL);
	check_owners(j, 6);
	for (uint32_t i = 0; i < 2; i++) {
		const struct plan_stream *s = &j->p->streams[i];

		CU_ASSERT_EQUAL(s->n_parcels, (s->bytes + MIB - 1) / MIB);
	}
}

static void beyond_the_limit_of_stripes_files_are_dealt_by_bytes(void)
{
	SCOPED_JOB struct job *j = job_new(4, PLAN_PARCEL_MAX);
	uint64_t segments = 0;

	for (uint32_t k = 0; k < 3; k++)
		add_striped(j, 3 * TIB, 0, 100, MIB);
	CU_ASSERT_FATAL(plan_stage(&j->m, NULL, &j->o, &j->p, NULL) == 0);
	for (uint32_t i = 0; i < j->p->n_streams; i++)
		segments += j->p->streams[i].n_segments;
	/* The first file by 25 neighbouring stripes, the others in a few pieces. */
	CU_ASSERT(segments > 3 * TIB / MIB / 25 - 10);
	CU_ASSERT(segments < 3 * TIB / MIB / 25 + 10);
	check_level(j->p, 100 * MIB);
}

static void one_reader_needs_no_layouts(void)
{
	SCOPED_JOB struct job *j = job_new(1, MIB);

	add_striped(j, 64 * MIB, 0, 8, MIB);
	plan_checked(j, NULL);
	CU_ASSERT_EQUAL(j->p->streams[0].n_segments, 1);
}

/* Anything: sizes, extents, layouts with gaps and odd borders, entries without any. */
static void make_random(struct job *j, unsigned *seed)
{
	for (uint32_t i = 0; i < FILES; i++) {
		struct manifest_entry *e = add_file(
			j, (uint64_t)rand_r(seed) % (i % 4 ? 3 * MIB : 100 * MIB));
		uint32_t n = 1 + (uint32_t)rand_r(seed) % 3;
		uint64_t at = 0;
		struct pfs_layout *l;

		j->need[i / 64] |= (uint64_t)(rand_r(seed) % 4 > 0) << i % 64;
		if (rand_r(seed) % 8 == 0) {
			e->extents = j->extents[i];
			e->n_extents = n;
			for (uint32_t k = 0; k < n; k++) {
				at += DIGEST_LEAF * (1 + (uint64_t)rand_r(seed) % 90);
				j->extents[i][k].off = at;
				j->extents[i][k].len =
					DIGEST_LEAF * (1 + (uint64_t)rand_r(seed) % 90);
				at += j->extents[i][k].len;
			}
			e->size = at - 17;
			j->extents[i][n - 1].len -= 17;
		}
		if (rand_r(seed) % 3 == 0)
			continue;
		l = add_layout(j, n, n * 8);
		at = rand_r(seed) % 2 ? 0 : 64 * KIB * ((uint64_t)rand_r(seed) % 40);
		for (uint32_t k = 0; k < n; k++) {
			uint64_t end =
				at + 64 * KIB * (1 + (uint64_t)rand_r(seed) % 400);

			add_part(l, at, k + 1 == n ? UINT64_MAX : end,
				64 * 1024 * (1u + (uint32_t)rand_r(seed) % 20),
				1 + (uint32_t)rand_r(seed) % 8);
			at = end + (rand_r(seed) % 3 ? 0 : 64 * KIB);
		}
		for (uint32_t k = 0; k < l->n_osts; k++)
			l->osts[k] = (uint32_t)rand_r(seed) % 40;
	}
}

static void any_layouts_give_every_byte_once(void)
{
	for (unsigned seed = 1; seed <= 30; seed++) {
		SCOPED_JOB struct job *j = job_new(seed * 3 % 50,
			seed % 3 ? (1 + seed % 16) * PLAN_PARCEL_MIN : 0);
		unsigned s = seed;

		make_random(j, &s);
		plan_checked(j, NULL);
		plan_checked(j, j->need);
	}
}

static void the_same_layouts_give_the_same_plan(void)
{
	SCOPED_JOB struct job *j = job_new(5, MIB);
	SCOPED(plan_freep) struct plan *q = NULL;
	unsigned seed = 5;

	make_random(j, &seed);
	plan_checked(j, NULL);
	CU_ASSERT_FATAL(plan_stage(&j->m, NULL, &j->o, &q, NULL) == 0);
	CU_ASSERT_EQUAL_FATAL(q->n_streams, j->p->n_streams);
	for (uint32_t i = 0; i < q->n_streams; i++) {
		const struct plan_stream *a = &j->p->streams[i], *b = &q->streams[i];

		CU_ASSERT_EQUAL_FATAL(a->n_parcels, b->n_parcels);
		CU_ASSERT_EQUAL(memcmp(a->parcels, b->parcels,
					a->n_parcels * sizeof(*a->parcels)),
			0);
	}
}

static const struct test tests[] = {
	TEST(a_striped_file_is_read_by_the_owners_of_its_osts),
	TEST(files_of_one_stripe_go_whole_to_their_reader),
	TEST(the_osts_of_a_reader_take_turns),
	TEST(only_a_few_files_are_open_at_a_time),
	TEST(files_that_wait_for_each_other_are_opened),
	TEST(small_files_make_readers_level),
	TEST(files_of_unknown_layout_are_dealt_by_bytes),
	TEST(known_and_unknown_layouts_mix),
	TEST(parts_of_a_composite_layout_count_each),
	TEST(the_ost_of_a_byte_is_told),
	TEST(sparse_files_count_what_they_hold),
	TEST(few_osts_are_shared_by_ranges),
	TEST(uneven_osts_are_dealt_largest_first),
	TEST(stripes_that_do_not_fit_parcels_fill_them_all_the_same),
	TEST(beyond_the_limit_of_stripes_files_are_dealt_by_bytes),
	TEST(one_reader_needs_no_layouts),
	TEST(any_layouts_give_every_byte_once),
	TEST(the_same_layouts_give_the_same_plan),
};
SUITE("plan_plan_osts", tests)
