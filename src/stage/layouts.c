/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layouts of the large files of a source on Lustre, for a plan in which every OST has one
 * reader. The readers ask for them side by side, each for every R-th file: one attribute,
 * which a client that has just looked at the file mostly knows. The first node puts the
 * answers together and sends them to all, so all plan from the same ones. An answer that
 * does not come is a layout that is not known, no failure.
 *
 * Memory on every node: 20 bytes a part and 4 a stripe object of each file, and no more than
 * LAYOUT_BYTES in all; what goes beyond is not asked for.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "stage/stage_internal.h"
#include "transport/transport.h"

#define LARGE	     (16u << 20) /* bytes: smaller ones are not worth a request */
#define LAYOUT_BYTES (64u << 20)
#define MEMBER_PARTS (1u << 16) /* stripes of a member of an archive */
#define PATH_SIZE    (2 * MANIFEST_PATH_MAX + 3)

void stage_layouts_release(struct plan_layouts *l)
{
	for (uint32_t i = 0; i < l->count; i++)
		pfs_layout_free(l->of[i].layout);
	free(l->of);
	*l = (struct plan_layouts){0};
}

static int by_entry(const void *a, const void *b)
{
	const struct plan_layout *x = a, *y = b;

	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* How many readers the plan will have; 1 where no file is worth a request. */
static uint32_t count_readers(const struct stage *st)
{
	struct plan_options po = {.nodes = (uint32_t)st->job.n_nodes,
		.readers = stage_readers(st),
		.readers_max = st->rates.most,
		.cost = st->cost};
	uint64_t sum = 0;
	bool any = false;

	for (uint32_t i = 0; i < st->b.m->count; i++) {
		uint64_t bytes = manifest_data(&st->b.m->entries[i]);

		if (!manifest_moves(st->b.m, st->b.need, i))
			continue;
		any |= bytes >= LARGE;
		if (__builtin_add_overflow(sum, bytes, &sum))
			sum = UINT64_MAX;
	}
	return any ? plan_readers(&po, sum) : 1;
}

/* As it travels: entry, numbers of parts and OSTs, then these. */
static void put_layout(struct buf *b, uint32_t entry, const struct pfs_layout *l)
{
	buf_put32(b, entry);
	buf_put32(b, l->n_parts);
	buf_put32(b, l->n_osts);
	for (uint32_t k = 0; k < l->n_parts; k++) {
		const struct pfs_part *p = &l->parts[k];

		buf_put64(b, p->start);
		buf_put64(b, p->end);
		buf_put32(b, p->stripe_size);
		buf_put32(b, p->stripe_count);
		buf_put32(b, p->first);
	}
	for (uint32_t k = 0; k < l->n_osts; k++)
		buf_put32(b, l->osts[k]);
}

static int get_layout(struct reader *r, struct plan_layout *out)
{
	struct pfs_layout *l;
	uint32_t n_parts, n_osts;

	out->entry = reader_get32(r);
	n_parts = reader_get32(r);
	n_osts = reader_get32(r);
	if (n_parts > reader_left(r) || n_osts > reader_left(r))
		return -EBADMSG;
	l = malloc(
		sizeof(*l) + n_parts * sizeof(*l->parts) + n_osts * sizeof(*l->osts));
	if (!l)
		return -ENOMEM;
	l->n_parts = n_parts;
	l->n_osts = n_osts;
	l->osts = (uint32_t *)&l->parts[n_parts];
	for (uint32_t k = 0; k < n_parts; k++) {
		struct pfs_part *p = &l->parts[k];

		p->start = reader_get64(r);
		p->end = reader_get64(r);
		p->stripe_size = reader_get32(r);
		p->stripe_count = reader_get32(r);
		p->first = reader_get32(r);
		if (!p->stripe_size || !p->stripe_count || p->first > n_osts ||
			p->stripe_count > n_osts - p->first)
			r->failed = true;
	}
	for (uint32_t k = 0; k < n_osts; k++)
		l->osts[k] = reader_get32(r);
	out->layout = l;
	return r->failed ? -EBADMSG : 0;
}

/* Reader @first of @step asks for every @step-th file. */
struct asking {
	const struct stage *st;
	const struct transport *readers;
	struct buf *b;
};

/* The layout of an archive, which is asked for once for neighbours in it. */
struct archive_layout {
	uint32_t source;
	bool asked;
	struct pfs_layout *layout; /* NULL: not known */
};

static void archive_layout_release(struct archive_layout *a)
{
	pfs_layout_free(a->layout);
}

/* Of member @i, which lies in its archive as it is. */
static void ask_member(const struct manifest *m, uint32_t i, enum pfs_kind kind,
	struct archive_layout *a, struct pfs_layout **out)
{
	const struct manifest_entry *e = &m->entries[i];

	if (!a->asked || a->source != e->source) {
		pfs_layout_free(TAKE(a->layout));
		a->asked = true;
		a->source = e->source;
		pfs_layout_at(kind, m->sources[e->source], &a->layout);
	}
	if (a->layout)
		pfs_layout_range(a->layout, e->ino, e->size, MEMBER_PARTS, out);
}

static int ask(void *arg, struct ebt_err *err)
{
	const struct asking *a = arg;
	const struct stage *st = a->st;
	uint32_t first = (uint32_t)a->readers->rank, step = (uint32_t)a->readers->size;
	struct buf *b = a->b;
	const struct manifest *m = st->b.m;
	SCOPED(archive_layout_release) struct archive_layout archive = {0};
	SCOPED_FREE char *path = malloc(PATH_SIZE);
	SCOPED_FREE bool *probed = calloc(m->n_sources + 1, sizeof(*probed));
	SCOPED_FREE enum pfs_kind *kind = calloc(m->n_sources + 1, sizeof(*kind));
	uint32_t n = 0;
	int r = 0;

	if (!path || !probed || !kind)
		return ebt_fail(err, -ENOMEM, "layouts");
	for (uint32_t i = 0; i < m->count && b->len < LAYOUT_BYTES / step; i++) {
		SCOPED_LAYOUT struct pfs_layout *l = NULL;
		uint32_t from = m->entries[i].source;

		/* What its reader has or decodes is sent by that one. */
		if (!manifest_moves(m, st->b.need, i) ||
			m->entries[i].marks & MANIFEST_AHEAD ||
			manifest_data(&m->entries[i]) < LARGE)
			continue;
		if (n++ % step != first)
			continue;
		r = job_stopped(&st->job, err);
		if (r < 0)
			break;
		if (!probed[from])
			kind[from] = pfs_probe(m->sources[from]);
		probed[from] = true;
		if (kind[from] != PFS_LUSTRE ||
			manifest_source_path(m, i, path, PATH_SIZE) < 0)
			continue;
		if (m->entries[i].marks & MANIFEST_MEMBER)
			ask_member(m, i, kind[from], &archive, &l);
		else
			pfs_layout_at(kind[from], path, &l);
		if (l)
			put_layout(b, i, l);
	}
	return !buf_ok(b) && r == 0 ? ebt_fail(err, -ENOMEM, "layouts") : r;
}

static int take_asked(void *arg, const struct buf *b, struct ebt_err *err)
{
	struct buf *all = arg;

	buf_put(all, b->data, b->len);
	return buf_ok(all) ? 0 : ebt_fail(err, -ENOMEM, "layouts");
}

static int decode(const struct buf *b, struct plan_layouts *out, struct ebt_err *err)
{
	struct reader r = reader_of(b->data, b->len);
	uint32_t cap = 0;
	int code = 0;

	reader_get8(&r);
	while (reader_left(&r) && code == 0) {
		if (out->count == cap) {
			uint32_t more = cap ? 2 * cap : 64;
			struct plan_layout *of =
				reallocarray(out->of, more, sizeof(*of));

			if (!of)
				return ebt_fail(err, -ENOMEM, "layouts");
			out->of = of;
			cap = more;
		}
		out->of[out->count] = (struct plan_layout){0};
		code = get_layout(&r, &out->of[out->count]);
		out->count++;
	}
	if (code < 0)
		return ebt_fail(err, code, "layouts");
	if (out->count)
		qsort(out->of, out->count, sizeof(*out->of), by_entry);
	return 0;
}

/* Collective over @readers, TRANSPORT_NONE elsewhere: all answers in *all of the first node. */
static int gather_all(struct stage *st, const struct transport *readers,
	struct buf *all, struct ebt_err *err)
{
	SCOPED_BUF struct buf mine = {0};
	int r = 0;

	if (readers->comm != MPI_COMM_NULL)
		r = job_away(&st->job, NULL, NULL, ask,
			&(struct asking){st, readers, &mine}, err);
	r = job_agree_all(&st->job, r, err);
	if (r < 0 || readers->comm == MPI_COMM_NULL)
		return r;
	return transport_collect_all(readers, &mine, take_asked, all, err);
}

int stage_layouts_all(struct stage *st, struct ebt_err *err)
{
	SCOPED_BUF struct buf all = {0};
	SCOPED_FREE int *nodes = NULL;
	uint32_t n = count_readers(st);
	struct transport readers;
	int r;

	if (n < 2)
		return 0;
	nodes = calloc(n, sizeof(*nodes));
	buf_put8(&all, 1); /* the version, so that it is never empty */
	r = nodes && buf_ok(&all) ? 0 : ebt_fail(err, -ENOMEM, "readers");
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	readers = stage_open_readers(st, n, nodes);
	r = gather_all(st, &readers, &all, err);
	if (readers.comm != MPI_COMM_NULL)
		MPI_Comm_free(&readers.comm);
	r = job_agree_all(&st->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&st->job.nodes, &all, 0, err);
	return r < 0 ? r
		     : job_agree_all(&st->job, decode(&all, &st->b.layouts, err), err);
}
