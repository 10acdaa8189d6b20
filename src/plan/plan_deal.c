/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content to streams, streams to parcels. The manifest is walked in its order. What lies on
 * OSTs goes stripe by stripe to their readers (plan_osts.c), where neighbours become one
 * run again. What a reader has read ahead is its own. All else is laid in one row; stream j
 * takes what lies between mark j - 1 and mark j, which are set such that all readers come out
 * level. Marks give way to files: a file of at most one parcel goes where its middle lies, a
 * larger one is cut at the multiple of the parcel size next to the mark. So a share is off its
 * mark by half a parcel at most.
 *
 * The walk is done twice, first to count and then, with arrays of exactly that size, to
 * store; both take the same decisions because they are the same code.
 */
#include "plan/plan_internal.h"

#include <string.h>

#define FILES_AHEAD 8	/* of a reader that are open at a time, or about to be */
#define FILES_OPEN  256 /* of all readers: every node writes to all of them */

/* A stream in the making. */
struct hand {
	uint64_t fill; /* bytes in its last parcel; the parcel size: start a new one */
	uint64_t off,
		len; /* the run of stripes that is not put down yet; len 0: none */
	uint32_t entry, ost; /* of the run */
	uint32_t pieces;     /* in the last parcel */
	uint32_t *lanes;     /* of each parcel, the OST of its start; or NULL */
};

struct dealer {
	struct plan *p;
	struct plan_osts osts;
	struct hand *hands;   /* of each stream */
	const uint64_t *mark; /* of each stream: where its part of the row ends */
	uint64_t at;	      /* bytes of the row dealt so far */
	uint32_t stream;      /* that the row has come to */
	bool store;
};

int plan_measure(const struct manifest *m, const uint64_t *need, uint64_t *bytes,
	struct ebt_err *err)
{
	uint64_t sum = 0, segments = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		if (!manifest_moves(m, need, i))
			continue;
		segments += m->entries[i].n_extents ? m->entries[i].n_extents : 1;
		if (__builtin_add_overflow(sum, manifest_data(&m->entries[i]), &sum))
			return ebt_fail(err, -EOVERFLOW, "plan: bytes in all files");
	}
	if (segments >=
		UINT32_MAX) /* a stream has no more than that, wherever it is cut */
		return ebt_fail(err, -EOVERFLOW, "plan: parts of sparse files");
	*bytes = sum;
	return 0;
}

static bool is_last(const struct dealer *d)
{
	return d->stream + 1 == d->p->n_streams;
}

static void open_parcel(struct dealer *d, uint32_t stream, uint32_t segment,
	uint64_t skip, uint32_t ost)
{
	struct plan_stream *s = &d->p->streams[stream];
	struct hand *h = &d->hands[stream];

	if (d->store)
		s->parcels[s->n_parcels] = (struct plan_parcel){skip, segment, 0};
	if (d->store && h->lanes)
		h->lanes[s->n_parcels] = ost;
	s->n_parcels++;
	h->fill = 0;
	h->pieces = 0;
}

static void add_piece(struct dealer *d, uint32_t stream, uint64_t len)
{
	struct plan_stream *s = &d->p->streams[stream];
	struct hand *h = &d->hands[stream];

	h->pieces++;
	h->fill += len;
	if (d->store)
		s->parcels[s->n_parcels - 1].pieces = h->pieces;
}

static uint32_t new_segment(
	struct dealer *d, uint32_t stream, uint32_t entry, uint64_t off, uint64_t len)
{
	struct plan_stream *s = &d->p->streams[stream];

	if (d->store)
		s->segments[s->n_segments] = (struct plan_segment){off, len, entry};
	s->bytes += len;
	return s->n_segments++;
}

/*
 * Puts down the run of a stream. Runs fill parcels up: stripes need not fit the size of a
 * parcel, and parcels half full would be many more.
 */
static void put_run(struct dealer *d, uint32_t stream)
{
	uint64_t size = d->p->parcel, take;
	struct hand *h = &d->hands[stream];
	uint32_t segment;

	if (h->len == 0)
		return;
	segment = new_segment(d, stream, h->entry, h->off, h->len);
	for (uint64_t skip = 0; skip < h->len; skip += take) {
		uint64_t room = size - h->fill;

		take = h->len - skip;
		if (take > room)
			take = room - room % DIGEST_LEAF;
		if (take == 0 || h->pieces == PLAN_PIECES_MAX) {
			open_parcel(d, stream, segment, skip, h->ost);
			take = h->len - skip < size ? h->len - skip : size;
		}
		add_piece(d, stream, take);
	}
	h->len = 0;
}

/* Bytes on an OST: more of the stream's run, or the start of another. */
static void add_run(
	struct dealer *d, uint32_t stream, uint32_t entry, const struct plan_stripe *s)
{
	struct hand *h = &d->hands[stream];

	if (h->len && h->entry == entry && h->off + h->len == s->off) {
		h->len += s->len;
		return;
	}
	put_run(d, stream);
	h->entry = entry;
	h->ost = d->osts.slot[s->ost];
	h->off = s->off;
	h->len = s->len;
}

/* Append a range of a file to a stream and cut it into parcels. */
static void add_segment(
	struct dealer *d, uint32_t stream, uint32_t entry, uint64_t off, uint64_t len)
{
	struct plan_stream *s = &d->p->streams[stream];
	struct hand *h = &d->hands[stream];
	uint64_t size = d->p->parcel, skip = 0;
	uint32_t none = d->osts.count, segment;

	put_run(d, stream);
	segment = new_segment(d, stream, entry, off, len);
	if (len <= size) {
		if (len > size - h->fill || h->pieces == PLAN_PIECES_MAX)
			open_parcel(d, stream, segment, 0, none);
		add_piece(d, stream, len);
		return;
	}
	if (!d->store) { /* counting need not visit each parcel of a huge file */
		skip = len - len % size;
		s->n_parcels += len / size;
		h->fill = size;
	}
	for (; skip < len; skip += size) {
		open_parcel(d, stream, segment, skip, none);
		add_piece(d, stream, len - skip < size ? len - skip : size);
	}
}

/* The same to the stream that the row has come to. */
static void add_to_row(struct dealer *d, uint32_t entry, uint64_t off, uint64_t len)
{
	add_segment(d, d->stream, entry, off, len);
	d->at += len;
}

/* What must not be split goes to the stream in whose share its middle lies. */
static void choose_stream(struct dealer *d, uint64_t len)
{
	while (!is_last(d) && d->at + len / 2 >= d->mark[d->stream])
		d->stream++;
}

/* How much of @len in one piece belongs before a mark that is @room away. */
static uint64_t up_to_mark(uint64_t room, uint64_t len, uint64_t size)
{
	uint64_t take = room / size * size;

	if (room % size >= size / 2)
		take += size;
	return take < len ? take : len;
}

/* More than a parcel in one piece: cut it at the marks it lies across. */
static void deal_large(struct dealer *d, uint32_t entry, uint64_t off, uint64_t len)
{
	while (len > 0) {
		uint64_t end = d->mark[d->stream];
		uint64_t room = end > d->at ? end - d->at : 0;
		uint64_t take = is_last(d) ? len : up_to_mark(room, len, d->p->parcel);

		if (take > 0)
			add_to_row(d, entry, off, take);
		off += take;
		len -= take;
		if (len > 0)
			d->stream++;
	}
}

/* The mark of stream @j in a row of @bytes. */
static uint64_t even_mark(uint64_t bytes, uint32_t j, uint32_t n)
{
	return (uint64_t)((unsigned __int128)bytes * (j + 1) / n);
}

/* A stripe on an OST that several readers share. */
static void deal_shared(struct dealer *d, uint32_t entry, struct plan_stripe s)
{
	struct plan_ost *ost = &d->osts.ost[d->osts.slot[s.ost]];
	uint32_t n = d->p->n_streams;
	uint64_t left = s.len;

	while (left > 0) {
		uint64_t pos = ost->base + ost->at, end;
		uint32_t j = (uint32_t)((unsigned __int128)pos * n / d->osts.bytes);

		for (;; j++) {
			end = even_mark(d->osts.bytes, j, n);
			s.len = j + 1 == n ? left
					   : up_to_mark(end - pos, left, d->p->parcel);
			if (s.len)
				break;
		}
		add_run(d, j, entry, &s);
		ost->at += s.len;
		s.off += s.len;
		left -= s.len;
	}
}

/* A range of the row that may be split if it is more than a parcel. */
static void deal_range(struct dealer *d, uint32_t entry, uint64_t off, uint64_t len)
{
	if (len > d->p->parcel) {
		deal_large(d, entry, off, len);
		return;
	}
	choose_stream(d, len);
	add_to_row(d, entry, off, len);
}

static void deal_stripes(struct dealer *d, const struct pfs_layout *l, uint32_t entry,
	const struct manifest_extent *x)
{
	struct plan_stripes w = {l, x->off, x->off + x->len, 0};
	struct plan_stripe s;

	while (plan_stripes_next(&w, &s)) {
		if (s.ost == MANIFEST_NONE)
			deal_range(d, entry, s.off, s.len);
		else if (d->osts.shared)
			deal_shared(d, entry, s);
		else
			add_run(d, d->osts.ost[d->osts.slot[s.ost]].reader, entry, &s);
	}
}

/* The stream whose reader has read @e ahead, or MANIFEST_NONE. Readers ascend. */
static uint32_t ahead_at(const struct plan *p, const struct manifest_entry *e)
{
	uint32_t lo = 0, hi = p->n_streams, node = manifest_node(e);

	while (e->marks & MANIFEST_AHEAD && lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (p->streams[mid].reader == node)
			return mid;
		if (p->streams[mid].reader < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	return MANIFEST_NONE;
}

static void deal_entry(struct dealer *d, const struct manifest_entry *e, uint32_t i,
	const struct pfs_layout *l)
{
	uint64_t bytes = manifest_data(e);
	struct manifest_extent whole = {0, e->size};
	const struct manifest_extent *x = e->n_extents ? e->extents : &whole;
	uint32_t n = e->n_extents ? e->n_extents : 1;
	uint32_t ahead = ahead_at(d->p, e);
	bool small = !l && bytes <= d->p->parcel;

	if (ahead == MANIFEST_NONE && small)
		choose_stream(d, bytes);
	for (uint32_t k = 0; k < n; k++) {
		if (ahead != MANIFEST_NONE)
			add_segment(d, ahead, i, x[k].off, x[k].len);
		else if (l)
			deal_stripes(d, l, i, &x[k]);
		else if (small)
			add_to_row(d, i, x[k].off, x[k].len);
		else
			deal_range(d, i, x[k].off, x[k].len);
	}
}

static void deal(
	const struct manifest *m, const uint64_t *need, struct dealer *d, bool store)
{
	uint32_t next = 0;

	d->store = store;
	d->stream = 0;
	d->at = 0;
	for (uint32_t k = 0; k < d->osts.count; k++)
		d->osts.ost[k].at = 0;
	for (uint32_t j = 0; j < d->p->n_streams; j++) {
		d->hands[j].fill = d->p->parcel;
		d->hands[j].pieces = 0;
	}
	for (uint32_t i = 0; i < m->count; i++) {
		if (manifest_moves(m, need, i))
			deal_entry(d, &m->entries[i], i,
				plan_osts_layout(&d->osts, i, &next));
	}
	for (uint32_t j = 0; j < d->p->n_streams; j++)
		put_run(d, j);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * Marks for a row of @bytes that fills up the readers with the least @load, as water would:
 * those below the level get what they lack, the others nothing.
 */
static void set_marks(uint64_t bytes, const uint64_t *load, uint32_t n, uint64_t *mark)
{
	unsigned __int128 sum = bytes, mine = 0, below = 0;
	uint32_t k;

	memcpy(mark, load, n * sizeof(*mark));
	qsort(mark, n, sizeof(*mark), by_number);
	for (k = 0; k < n && (unsigned __int128)mark[k] * k <= sum; k++)
		sum += mark[k];
	/* Those k are the ones that are not above the level, sum / k. */
	for (uint32_t j = 0, i = 0; j < n; j++) {
		if (load[j] <= (uint64_t)(sum / k)) {
			below += load[j];
			mine = sum * ++i / k - below;
		}
		mark[j] = (uint64_t)mine;
	}
}

/* Adds to each reader's @load what it has read ahead. Returns the sum. */
static uint64_t load_ahead(const struct manifest *m, const uint64_t *need,
	const struct plan *p, uint64_t *load)
{
	uint64_t sum = 0;
	uint32_t j;

	for (uint32_t i = 0; i < m->count; i++) {
		if (!manifest_moves(m, need, i))
			continue;
		j = ahead_at(p, &m->entries[i]);
		if (j == MANIFEST_NONE)
			continue;
		load[j] += manifest_data(&m->entries[i]);
		sum += manifest_data(&m->entries[i]);
	}
	return sum;
}

int plan_even(const struct manifest *m, const uint64_t *need, const struct plan *p,
	uint32_t *streams, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *load = calloc(p->n_streams, sizeof(*load));
	uint64_t longest = p->bytes / p->n_streams + (p->bytes % p->n_streams != 0);

	if (!load)
		return ebt_fail(err, -ENOMEM, "plan of %u readers", p->n_streams);
	load_ahead(m, need, p, load);
	for (uint32_t j = 0; j < p->n_streams; j++) {
		if (load[j] > longest)
			longest = load[j];
	}
	*streams = longest ? (uint32_t)((p->bytes - 1) / longest) + 1 : p->n_streams;
	return 0;
}

/* Arrays of the size that was counted. */
static int make_room(struct dealer *d, struct ebt_err *err)
{
	struct plan *p = d->p;

	for (uint32_t j = 0; j < p->n_streams; j++) {
		struct plan_stream *s = &p->streams[j];
		struct hand *h = &d->hands[j];

		if (s->n_segments == 0)
			continue;
		s->segments = reallocarray(NULL, s->n_segments, sizeof(*s->segments));
		s->parcels = reallocarray(NULL, s->n_parcels, sizeof(*s->parcels));
		if (d->osts.count)
			h->lanes = reallocarray(NULL, s->n_parcels, sizeof(*h->lanes));
		if (!s->segments || !s->parcels || (d->osts.count && !h->lanes))
			return ebt_fail(err, -ENOMEM, "plan of %llu parcels",
				(unsigned long long)s->n_parcels);
		s->n_segments = 0;
		s->n_parcels = 0;
		s->bytes = 0;
	}
	return 0;
}

static void release_dealer(struct dealer *d)
{
	for (uint32_t j = 0; d->hands && j < d->p->n_streams; j++)
		free(d->hands[j].lanes);
	free(d->hands);
	plan_osts_release(&d->osts);
}

/* Both passes, and the order of parcels where there are OSTs to take turns. */
static int deal_twice(const struct manifest *m, const uint64_t *need, struct dealer *d,
	struct ebt_err *err)
{
	struct plan *p = d->p;
	uint32_t files = FILES_OPEN / p->n_streams;
	int r;

	deal(m, need, d, false);
	r = make_room(d, err);
	if (r < 0)
		return r;
	deal(m, need, d, true);
	if (files > FILES_AHEAD)
		files = FILES_AHEAD;
	if (files == 0)
		files = 1;
	for (uint32_t j = 0; d->osts.count && j < p->n_streams && r == 0; j++)
		r = plan_turns(&p->streams[j], d->hands[j].lanes, d->osts.count + 1,
			files, err);
	return r;
}

int plan_deal(const struct manifest *m, const uint64_t *need,
	const struct plan_layouts *layouts, struct plan *p, struct ebt_err *err)
{
	SCOPED(release_dealer) struct dealer d = {.p = p, .osts.layouts = layouts};
	SCOPED_FREE uint64_t *load = calloc(p->n_streams, sizeof(*load));
	SCOPED_FREE uint64_t *mark = calloc(p->n_streams, sizeof(*mark));
	uint32_t used = 0;
	uint64_t rest;
	int r;

	d.hands = calloc(p->n_streams, sizeof(*d.hands));
	d.mark = mark;
	if (!d.hands || !load || !mark)
		return ebt_fail(err, -ENOMEM, "plan of %u readers", p->n_streams);
	r = plan_osts_deal(m, need, p, &d.osts, load, err);
	if (r < 0)
		return r;
	rest = p->bytes - d.osts.bytes - load_ahead(m, need, p, load);
	set_marks(rest, load, p->n_streams, mark);
	r = deal_twice(m, need, &d, err);
	if (r < 0)
		return r;
	for (uint32_t j = 0; j < p->n_streams; j++) {
		p->n_parcels += p->streams[j].n_parcels;
		if (p->streams[j].n_segments > 0)
			p->streams[used++] = p->streams[j];
	}
	p->n_streams = used;
	return 0;
}
