/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content to streams, streams to parcels. The manifest is walked in its order as if all
 * content lay in one row; stream j takes what lies between total * j / R and the next
 * such mark. Marks give way to files: a file of at most one parcel goes where its
 * middle lies, a larger one is cut at the multiple of the parcel size next to the mark.
 * So a share is off its mark by half a parcel at most.
 *
 * The walk is done twice, first to count and then, with arrays of exactly that size, to
 * store; both take the same decisions because they are the same code.
 */
#include "plan/plan_internal.h"

struct dealer {
	struct plan *p;
	uint64_t at;   /* bytes dealt so far */
	uint64_t end;  /* the mark that ends this stream's share */
	uint64_t fill; /* bytes in its last parcel; the parcel size: start a new one */
	uint32_t stream, pieces;
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

static void enter_stream(struct dealer *d, uint32_t stream)
{
	unsigned __int128 mark = (unsigned __int128)d->p->bytes * (stream + 1);

	d->stream = stream;
	d->end = (uint64_t)(mark / d->p->n_streams);
	d->fill = d->p->parcel;
}

static bool is_last(const struct dealer *d)
{
	return d->stream + 1 == d->p->n_streams;
}

static void open_parcel(struct dealer *d, uint32_t segment, uint64_t skip)
{
	struct plan_stream *s = &d->p->streams[d->stream];

	if (d->store)
		s->parcels[s->n_parcels] = (struct plan_parcel){skip, segment, 0};
	s->n_parcels++;
	d->fill = 0;
	d->pieces = 0;
}

static void add_piece(struct dealer *d, uint64_t len)
{
	struct plan_stream *s = &d->p->streams[d->stream];

	d->pieces++;
	d->fill += len;
	if (d->store)
		s->parcels[s->n_parcels - 1].pieces = d->pieces;
}

/* Append a range of a file to the stream and cut it into parcels. */
static void add_segment(struct dealer *d, uint32_t entry, uint64_t off, uint64_t len)
{
	struct plan_stream *s = &d->p->streams[d->stream];
	uint64_t size = d->p->parcel, skip = 0;
	uint32_t segment = s->n_segments++;

	if (d->store)
		s->segments[segment] = (struct plan_segment){off, len, entry};
	s->bytes += len;
	d->at += len;
	if (len <= size) {
		if (len > size - d->fill || d->pieces == PLAN_PIECES_MAX)
			open_parcel(d, segment, 0);
		add_piece(d, len);
		return;
	}
	if (!d->store) { /* counting need not visit each parcel of a huge file */
		skip = len - len % size;
		s->n_parcels += len / size;
		d->fill = size;
	}
	for (; skip < len; skip += size) {
		open_parcel(d, segment, skip);
		add_piece(d, len - skip < size ? len - skip : size);
	}
}

/* What must not be split goes to the stream in whose share its middle lies. */
static void choose_stream(struct dealer *d, uint64_t len)
{
	while (!is_last(d) && d->at + len / 2 >= d->end)
		enter_stream(d, d->stream + 1);
}

/* More than a parcel in one piece: cut it at the marks it lies across. */
static void deal_large(struct dealer *d, uint32_t entry, uint64_t off, uint64_t len)
{
	uint64_t size = d->p->parcel;

	while (len > 0) {
		uint64_t room = d->end > d->at ? d->end - d->at : 0;
		uint64_t take = room / size * size;

		if (room % size >= size / 2)
			take += size;
		if (take > len || is_last(d))
			take = len;
		if (take > 0)
			add_segment(d, entry, off, take);
		off += take;
		len -= take;
		if (len > 0)
			enter_stream(d, d->stream + 1);
	}
}

static void deal_entry(struct dealer *d, const struct manifest_entry *e, uint32_t i)
{
	uint64_t bytes = manifest_data(e);
	struct manifest_extent whole = {0, e->size};
	const struct manifest_extent *x = e->n_extents ? e->extents : &whole;
	uint32_t n = e->n_extents ? e->n_extents : 1;

	if (bytes <= d->p->parcel)
		choose_stream(d, bytes);
	for (uint32_t k = 0; k < n; k++) {
		if (x[k].len > d->p->parcel) {
			deal_large(d, i, x[k].off, x[k].len);
			continue;
		}
		if (bytes > d->p->parcel)
			choose_stream(d, x[k].len);
		add_segment(d, i, x[k].off, x[k].len);
	}
}

static void deal(
	const struct manifest *m, const uint64_t *need, struct plan *p, bool store)
{
	struct dealer d = {.p = p, .store = store};

	enter_stream(&d, 0);
	for (uint32_t i = 0; i < m->count; i++) {
		if (manifest_moves(m, need, i))
			deal_entry(&d, &m->entries[i], i);
	}
}

int plan_deal(const struct manifest *m, const uint64_t *need, struct plan *p,
	struct ebt_err *err)
{
	uint32_t used = 0;

	deal(m, need, p, false);
	for (uint32_t j = 0; j < p->n_streams; j++) {
		struct plan_stream *s = &p->streams[j];

		if (s->n_segments == 0)
			continue;
		s->segments = reallocarray(NULL, s->n_segments, sizeof(*s->segments));
		s->parcels = reallocarray(NULL, s->n_parcels, sizeof(*s->parcels));
		if (!s->segments || !s->parcels)
			return ebt_fail(err, -ENOMEM, "plan of %llu parcels",
				(unsigned long long)s->n_parcels);
		s->n_segments = 0;
		s->n_parcels = 0;
		s->bytes = 0;
	}
	deal(m, need, p, true);
	for (uint32_t j = 0; j < p->n_streams; j++) {
		p->n_parcels += p->streams[j].n_parcels;
		if (p->streams[j].n_segments > 0)
			p->streams[used++] = p->streams[j];
	}
	p->n_streams = used;
	return 0;
}
