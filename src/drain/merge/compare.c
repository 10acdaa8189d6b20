/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that several nodes have. Their owner asks each node where its version has data. Under
 * the policy that takes them for a conflict this makes a good message; to merge them it is
 * the beginning: what overlaps is compared in rounds.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/merge/merge.h"
#include "drain/merge/overlap.h"

static void files_release(struct merge_files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct merge_file *file = &f->file[i];

		for (uint32_t k = 0; file->x && k < file->spot->n; k++)
			extents_release(&file->x[k]);
		free(file->x);
		buf_release(&file->newest);
		buf_release(&file->pieces);
	}
	free(f->file);
}

/* Pieces of one file, copies that may be equal, or each for itself. */
static int sort_out(struct merge_file *f, struct ebt_err *err)
{
	SCOPED_PARTS struct merge_parts parts = {0};
	const struct merge_spot *s = f->spot;
	bool overlap = false;
	int r = f->split ? 0 : merge_sweep(f->x, s->n, &parts);

	if (r < 0)
		return ebt_fail(err, r, "merge");
	for (size_t i = 0; i < merge_parts_count(&parts); i++)
		overlap |= merge_part(&parts, i)->n > 1;
	for (uint32_t k = 1; k < s->n && overlap; k++)
		f->split |= s->c[k].size != s->c[0].size;
	f->equal = overlap && !f->split;
	return 0;
}

/* Neither the same nor pieces: each under its node's name. */
static void split(struct merge_spot *s)
{
	s->ruling = MERGE_SPLIT;
	for (uint32_t k = 0; k < s->n; k++) {
		if (s->c[k].verdict == DRAIN_PART)
			s->c[k].verdict = DRAIN_WRITE;
		s->c[k].by_node = true;
	}
}

static bool to_compare(const struct merge_spot *s)
{
	return s->ruling == MERGE_COMPARE && !s->settled;
}

/* Which files to ask about: all, or only those that a message will name. */
static int choose(struct merge *g, struct merge_files *f, struct ebt_err *err)
{
	bool merge = g->d->o->conflict != EBT_CONFLICT_ERROR;
	uint64_t named = g->wrong.count[MERGE_VERSIONS];
	size_t n = 0;

	for (size_t i = 0; i < g->n_spots; i++)
		n += to_compare(&g->spots[i]);
	f->file = calloc(n + 1, sizeof(*f->file));
	if (!f->file)
		return ebt_fail(err, -ENOMEM, "merge");
	for (size_t i = 0; i < g->n_spots; i++) {
		struct merge_spot *s = &g->spots[i];

		if (!to_compare(s))
			continue;
		if (!merge && named++ >= MERGE_NAMED) {
			g->wrong.count[MERGE_VERSIONS]++;
			continue;
		}
		f->file[f->n].spot = s;
		f->file[f->n].x = calloc(s->n, sizeof(struct extents));
		if (!f->file[f->n++].x)
			return ebt_fail(err, -ENOMEM, "merge");
	}
	return 0;
}

static void ask_for_extents(struct merge *g, const struct merge_files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct merge_spot *s = f->file[i].spot;
		uint32_t best = merge_newest(s->c, s->n);

		for (uint32_t k = 0; k < s->n; k++) {
			struct buf *b = &g->out[s->c[k].node];

			buf_put32(b, (uint32_t)i);
			buf_put32(b, k);
			buf_put32(b, s->c[k].entry);
			buf_put8(b, k == best);
		}
	}
}

/*
 * Where the file has data, and its attributes if they are wanted. To merge, one that cannot be
 * read is left alone, and while the job runs, since it may be gone or different in the next
 * pass; else the conflict is there whatever the reason.
 */
static int put_extents(struct merge *g, uint32_t entry, bool attributes,
	struct buf *out, struct ebt_err *err)
{
	const struct manifest_entry *e = &g->d->out.m->entries[entry];
	SCOPED_EXTENTS struct extents x = {0};
	struct ebt_err why = {0};
	int r = merge_find_extents(g, entry, &x, &why);

	if (r < 0 && (r == -ENOMEM || (g->d->o->conflict == EBT_CONFLICT_ERROR &&
					      g->d->o->watch <= 0)))
		return ebt_failx(err, r, "%s", why.text);
	merge_put_outcome(out, r, why.text);
	if (r < 0)
		return 0;
	extents_encode(&x, out);
	if (attributes)
		drain_entry_encode(e, e->name, out);
	return 0;
}

static int answer(struct merge *g, const struct buf *asked, struct ebt_err *err)
{
	int code = 0;

	for (int peer = 0; peer < g->d->job.n_nodes && code == 0; peer++) {
		struct reader r = reader_of(asked[peer].data, asked[peer].len);
		struct buf *out = &g->out[peer];

		while (reader_left(&r) && code == 0) {
			uint32_t file = reader_get32(&r), k = reader_get32(&r);
			uint32_t entry = reader_get32(&r);
			bool attributes = reader_get8(&r);

			buf_put32(out, file);
			buf_put32(out, k);
			buf_put8(out, attributes);
			code = job_stopped(&g->d->job, err);
			watch_turn(g->d->job.nodes.watch);
			if (code == 0)
				code = merge_check_asked(g, entry, err);
			if (code == 0)
				code = put_extents(g, entry, attributes, out, err);
		}
	}
	return code;
}

struct answers {
	struct merge *g;
	struct merge_files *f;
};

static int take_extents(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	const struct answers *a = arg;
	struct merge_files *f = a->f;
	struct reader r = reader_of(b->data, b->len);
	struct manifest_entry e;
	const char *text;
	int code;

	while (reader_left(&r)) {
		uint32_t file = reader_get32(&r), k = reader_get32(&r);
		bool attributes = reader_get8(&r);
		size_t at;

		if (r.failed || file >= f->n || k >= f->file[file].spot->n)
			return ebt_failx(
				err, -EBADMSG, "damaged message of node %d", peer);
		if (!merge_get_outcome(&r, &text)) {
			if (!text)
				return ebt_failx(err, -EBADMSG,
					"damaged message of node %d", peer);
			merge_give_up(a->g, &f->file[file], text);
			continue;
		}
		code = extents_decode(&r, &f->file[file].x[k]);
		if (code < 0)
			return ebt_fail(err, code, "extents from node %d", peer);
		at = r.at;
		if (!attributes)
			continue;
		code = drain_entry_decode(&r, &e, err);
		if (code < 0)
			return code;
		buf_put(&f->file[file].newest, b->data + at, r.at - at);
	}
	return 0;
}

static int extents_all(struct merge *g, struct merge_files *f, struct ebt_err *err)
{
	struct answers a = {.g = g, .f = f};
	struct buf *asked = NULL;
	int r;

	ask_for_extents(g, f);
	r = merge_stash_all(g, 0, &asked, err);
	if (r < 0)
		return r;
	r = answer(g, asked, err);
	merge_free_stash(g, asked);
	return merge_exchange_all(g, r, take_extents, &a, err);
}

/* A conflict as it is: both nodes, and the first bytes that both have. */
static int complain(struct merge *g, const struct merge_file *f, struct ebt_err *err)
{
	SCOPED_PARTS struct merge_parts parts = {0};
	const struct merge_claim *c = f->spot->c;
	char shown[MERGE_PATH];
	int r = merge_sweep(f->x, f->spot->n, &parts);

	if (r < 0)
		return ebt_fail(err, r, "merge");
	merge_shown(c->path, shown);
	for (size_t i = 0; i < merge_parts_count(&parts); i++) {
		const struct merge_part *p = merge_part(&parts, i);
		const uint32_t *source = merge_sources(&parts, i);

		if (p->n < 2)
			continue;
		merge_complain(&g->wrong, MERGE_VERSIONS,
			"%s: on %.20s and %.20s, both have bytes [%llu, %llu)", shown,
			merge_node(g, c[source[0]].node),
			merge_node(g, c[source[1]].node), (unsigned long long)p->off,
			(unsigned long long)(p->off + p->len));
		return 0;
	}
	merge_complain(&g->wrong, MERGE_VERSIONS,
		"%s: on %.20s and %.20s, no byte in common: see --conflict=merge",
		shown, merge_node(g, c[0].node), merge_node(g, c[1].node));
	return 0;
}

static int add_task(struct merge *g, struct merge_file *f, struct ebt_err *err)
{
	const struct merge_spot *s = f->spot;
	struct reader entry = reader_of(f->newest.data, f->newest.len);
	SCOPED_FREE struct drain_source *sources = calloc(s->n, sizeof(*sources));
	SCOPED_BUF struct buf names = {0};
	struct drain_name name = {
		.path = s->c->path, .of = s->c->of, .was = "", .ending = DRAIN_NEW};
	struct drain_task t = {0}, *made;
	int code = drain_entry_decode(&entry, &t.e, err);

	if (code < 0)
		return code;
	if (!sources)
		return ebt_fail(err, -ENOMEM, "merge");
	t.e.name = s->c->path;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct merge_claim *c = &s->c[i];

		sources[i] = (struct drain_source){.file = {.where = c->where,
							   .ino = c->ino,
							   .size = c->size,
							   .mtime = c->mtime,
							   .mtime_ns = c->mtime_ns},
			.node = c->node,
			.entry = c->entry};
		if (c->size > t.e.size)
			t.e.size = c->size;
		name.marks |= c->replaces ? DRAIN_REPLACES : 0;
		name.marks |= c->in_way ? DRAIN_IN_WAY : 0;
		if (c->was)
			name.was = c->was;
	}
	drain_name_put(&names, &name);
	t.names = (const char *)names.data;
	t.n_names = 1;
	t.contested = true;
	t.sources = sources;
	t.n_sources = s->n;
	t.n_pieces = merge_join_pieces(&f->pieces);
	t.pieces = (struct drain_piece *)f->pieces.data;
	if (!buf_ok(&names) || !buf_ok(&f->pieces))
		return ebt_fail(err, -ENOMEM, "merge");
	code = drain_task_copy(&t, &made, err);
	if (code < 0)
		return code;
	made->next = g->d->own.shared;
	g->d->own.shared = made;
	return 0;
}

int merge_compare_all(struct merge *g, struct ebt_err *err)
{
	SCOPED(files_release) struct merge_files f = {0};
	bool merge = g->d->o->conflict != EBT_CONFLICT_ERROR;
	bool aside = g->d->o->conflict == EBT_CONFLICT_AUTO;
	struct job *j = &g->d->job;
	uint64_t n;
	int r = job_agree_all(j, choose(g, &f, err), err);

	if (r < 0)
		return r;
	n = f.n;
	transport_reduce_all(&j->nodes, &n, 1, MPI_UINT64_T, MPI_SUM);
	if (!n)
		return 0;
	r = extents_all(g, &f, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < f.n && r == 0 && aside; i++)
		r = sort_out(&f.file[i], err);
	if (merge)
		r = merge_rounds_all(g, &f, r, err);
	for (size_t i = 0; i < f.n && r == 0; i++) {
		if (f.file[i].split)
			split(f.file[i].spot);
		else if (!f.file[i].bad && merge && f.file[i].spot->c->in)
			r = merge_join(g, &f.file[i], err);
		else if (!f.file[i].bad)
			r = merge ? add_task(g, &f.file[i], err)
				  : complain(g, &f.file[i], err);
	}
	return job_agree_all(j, r, err);
}
