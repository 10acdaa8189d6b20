/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Archives in the merge. Members meet by their paths, as files of dest do, so that the same rules
 * say what becomes of those that several nodes have; but under keys, as in dest there is nothing
 * of that name. An archive is itself a path that several nodes have something for: the claim of a
 * node is the version of what it has, and so the journals tell whether all of it is in place.
 *
 *   owners of keys     what pieces of several nodes make up, to the node with the newest of them
 *   every node         its part: members in order, with the room of their headers, to the owner of
 *                      the archive's name
 *   that owner         all members in order, and where each begins; a task
 *                      the names that members got which others have, back to their nodes
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/merge/merge.h"
#include "drain/merge/overlap.h"
#include "drain/pack/pack.h"
#include "journal/journal_format.h"

int merge_key(const struct drain *d, uint32_t archive, const char *path, char *out,
	size_t cap)
{
	int len = snprintf(out, cap, PACK_KEYS "%s/%s", d->pack.name[archive], path);

	return (size_t)len < cap ? len : -ENAMETOOLONG;
}

/* Where archive @a goes, in DRAIN_NAME_SIZE bytes. 1: not where it was to go. */
static int place_of(const struct drain *d, uint32_t a, char *path, struct ebt_err *err)
{
	int r;

	snprintf(path, DRAIN_NAME_SIZE, "%s", d->pack.name[a]);
	r = drain_detour(d, false, path, DRAIN_NAME_SIZE);
	return r < 0 ? ebt_fail(err, r, "%s", d->pack.name[a]) : r;
}

/* Directories above @path, which it cuts. */
static int put_above(
	struct merge *g, const struct merge_claim *of, char *path, struct ebt_err *err)
{
	const struct manifest_entry e = {.name = "",
		.kind = MANIFEST_DIR,
		.mode = 0755,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime = of->mtime,
		.mtime_ns = of->mtime_ns};
	SCOPED_BUF struct buf bytes = {0};
	struct merge_claim c = {.path = path,
		.of = "",
		.entry = MANIFEST_NONE,
		.node = of->node,
		.where = of->where,
		.kind = MANIFEST_DIR,
		.made = true};
	char *slash;

	drain_entry_encode(&e, e.name, &bytes);
	if (!buf_ok(&bytes))
		return ebt_fail(err, -ENOMEM, "merge");
	c.entry_bytes = bytes.data;
	c.entry_len = (uint32_t)bytes.len;
	while ((slash = strrchr(path, '/'))) {
		*slash = '\0';
		merge_put_claim(&g->out[merge_owner(g, path)], &c);
	}
	return 0;
}

int merge_put_archives(struct merge *g, struct ebt_err *err)
{
	struct drain *d = g->d;
	SCOPED_FREE char *path = NULL;
	int r = 0;

	if (!d->pack.of)
		return 0;
	for (uint32_t a = 0; a < patterns_count(d->pack.patterns) && r == 0; a++) {
		const struct pack_part *p = &d->pack.parts[a];
		struct merge_claim c = {.of = "",
			.size = p->bytes,
			.mtime = p->mtime,
			.mtime_ns = p->mtime_ns,
			.where = drain_where(d),
			/* 0 would be that of no file at all. */
			.ino = p->version.lo ? p->version.lo : 1,
			.node = (uint32_t)d->job.node,
			.entry = a,
			.part = a + 1,
			.kind = MANIFEST_FILE};

		if (!p->claimed)
			continue;
		if (!path)
			path = malloc(DRAIN_NAME_SIZE);
		if (!path)
			return ebt_fail(err, -ENOMEM, "merge");
		r = place_of(d, a, path, err);
		if (r < 0)
			return r;
		c.path = path;
		c.of = r > 0 ? d->pack.name[a] : "";
		merge_put_claim(&g->out[merge_owner(g, path)], &c);
		r = put_above(g, &c, path, err);
	}
	return r;
}

/*
 * A member of pieces, on its way from the owner of its key:
 *
 *	 4  node that has the newest of them: to there
 *	 4  bytes of what follows
 *	 4  entry there
 *	 8  size
 *	 4  number of sources, each as journal_put_source has it, node, entry
 *	 4  number of pieces, each offset, length, source, 1 if it overlaps
 */
static void put_join(struct buf *b, const struct merge_file *f, uint64_t size,
	uint32_t newest, uint32_t n)
{
	const struct drain_piece *p = (const struct drain_piece *)f->pieces.data;
	const struct merge_claim *c = f->spot->c;
	size_t at = b->len;

	buf_put32(b, c[newest].node);
	buf_put32(b, 0);
	buf_put32(b, c[newest].entry);
	buf_put64(b, size);
	buf_put32(b, f->spot->n);
	for (uint32_t i = 0; i < f->spot->n; i++) {
		const struct journal_source s = {.where = c[i].where,
			.ino = c[i].ino,
			.size = c[i].size,
			.mtime = c[i].mtime,
			.mtime_ns = c[i].mtime_ns};

		journal_put_source(b, &s);
		buf_put32(b, c[i].node);
		buf_put32(b, c[i].entry);
	}
	buf_put32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		buf_put64(b, p[i].off);
		buf_put64(b, p[i].len);
		buf_put32(b, p[i].source);
		buf_put8(b, p[i].overlaps);
	}
	if (buf_ok(b))
		buf_patch32(b, at + 4, (uint32_t)(b->len - at - 8));
}

int merge_join(struct merge *g, struct merge_file *f, struct ebt_err *err)
{
	const struct merge_spot *s = f->spot;
	uint32_t n = merge_join_pieces(&f->pieces);
	uint64_t size = 0;

	for (uint32_t i = 0; i < s->n; i++)
		size = s->c[i].size > size ? s->c[i].size : size;
	put_join(&g->joins, f, size, merge_newest(s->c, s->n), n);
	return buf_ok(&g->joins) && buf_ok(&f->pieces)
		       ? 0
		       : ebt_fail(err, -ENOMEM, "merge");
}

/* A join on the node that has its header. */
struct join {
	struct pack_join j;
	const unsigned char *bytes; /* from the number of sources on */
	uint32_t len;
};

struct packing {
	struct merge *g;
	struct buf joins; /* of struct join, ascending by entry */
};

static void packing_release(struct packing *x)
{
	buf_release(&x->joins);
}

static int damaged(int peer, struct ebt_err *err)
{
	return ebt_failx(err, -EBADMSG, "damaged message of node %d", peer);
}

static int take_joins(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct packing *x = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		uint32_t len = reader_get32(&r);
		struct join j = {.j.entry = reader_get32(&r)};

		j.j.size = reader_get64(&r);
		j.len = len - 12;
		j.bytes = len < 12 ? NULL : reader_take(&r, j.len);
		if (r.failed || !j.bytes || j.j.entry >= x->g->d->out.m->count)
			return damaged(peer, err);
		buf_put(&x->joins, &j, sizeof(j));
	}
	if (!buf_ok(&x->joins))
		return ebt_fail(err, -ENOMEM, "archives");
	return merge_keep(x->g, b, err);
}

static int compare_joins(const void *a, const void *b)
{
	const struct join *x = a, *y = b;

	return x->j.entry < y->j.entry ? -1 : x->j.entry > y->j.entry;
}

static int joins_all(struct packing *x, struct ebt_err *err)
{
	struct merge *g = x->g;
	struct reader r = reader_of(g->joins.data, g->joins.len);
	int code;

	while (reader_left(&r)) {
		uint32_t node = reader_get32(&r), len = reader_get32(&r);

		buf_put32(&g->out[node], len);
		buf_put(&g->out[node], reader_take(&r, len), len);
	}
	code = merge_exchange_all(g, 0, take_joins, x, err);
	if (code == 0 && x->joins.len)
		qsort(x->joins.data, x->joins.len / sizeof(struct join),
			sizeof(struct join), compare_joins);
	return code;
}

static int build(struct packing *x, struct ebt_err *err)
{
	const struct join *j = (const struct join *)x->joins.data;
	size_t n = x->joins.len / sizeof(*j);
	SCOPED_FREE struct pack_join *joins = calloc(n + 1, sizeof(*joins));

	if (!joins)
		return ebt_fail(err, -ENOMEM, "archives");
	for (size_t i = 0; i < n; i++)
		joins[i] = j[i].j;
	return pack_build(x->g->d, joins, n, err);
}

static enum index_type type_of(const struct manifest_entry *e, bool link)
{
	switch (e->kind) {
	case MANIFEST_DIR:
		return INDEX_DIR;
	case MANIFEST_SYMLINK:
		return INDEX_SYMLINK;
	default:
		return link ? INDEX_HARDLINK : INDEX_FILE;
	}
}

/* A part on its way: its archive, how many members there are, and these. */
static int put_part(struct packing *x, uint32_t a, char *path, struct ebt_err *err)
{
	struct drain *d = x->g->d;
	const struct pack_part *p = &d->pack.parts[a];
	const struct join *j = (const struct join *)x->joins.data;
	size_t n_joins = x->joins.len / sizeof(*j), at = 0;
	int r = place_of(d, a, path, err);
	struct buf *out;

	if (r < 0)
		return r;
	out = &x->g->out[merge_owner(x->g, path)];
	buf_put32(out, a);
	buf_put32(out, p->uid);
	buf_put32(out, p->gid);
	buf_put8(out, p->uids);
	buf_put8(out, p->gids);
	buf_put32(out, p->mode);
	buf_put32(out, (uint32_t)p->places.n);
	for (size_t k = 0; k < p->places.n; k++) {
		const struct pack_member *m = &p->member[k];
		const struct members_place *place = &p->places.places[k];
		const struct manifest_entry *e = &d->out.m->entries[m->entry];

		r = manifest_path(d->out.m, m->entry, path, DRAIN_NAME_SIZE);
		if (r < 0)
			return ebt_fail(err, r, "%s", e->name);
		merge_put_string(out, path);
		merge_put_string(out, m->path ? m->path : "");
		buf_put8(out, (uint8_t)type_of(e, m->head != PACK_NONE));
		buf_put32(out, m->head);
		buf_put32(out, (uint32_t)(place->data - place->header));
		buf_put64(out, m->joined ? m->size : place->packed);
		buf_put64(out,
			e->kind == MANIFEST_FILE && m->head == PACK_NONE ? m->size : 0);
		while (at < n_joins && j[at].j.entry < m->entry)
			at++;
		buf_put32(out, m->joined ? j[at].len : 0);
		if (m->joined)
			buf_put(out, j[at].bytes, j[at].len);
	}
	return 0;
}

static int put_parts(struct packing *x, struct ebt_err *err)
{
	struct drain *d = x->g->d;
	SCOPED_FREE char *path = malloc(DRAIN_NAME_SIZE);
	int r = path ? build(x, err) : ebt_fail(err, -ENOMEM, "archives");

	for (uint32_t a = 0; a < patterns_count(d->pack.patterns) && r == 0; a++) {
		if (d->pack.parts[a].claimed)
			r = put_part(x, a, path, err);
	}
	return r;
}

struct owning {
	struct packing *x;
	int *freed;		 /* of each archive, journals say so */
	struct pack_owned **of;	 /* of each archive, or NULL */
	struct merge_look *look; /* of each archive */
};

static struct pack_owned *owned(struct owning *w, uint32_t a)
{
	struct pack_owned *o = w->of[a];

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->archive = a;
	o->freed = w->freed[a];
	o->next = w->x->g->d->pack.owned;
	w->x->g->d->pack.owned = o;
	return w->of[a] = o;
}

static void add_look(struct merge_look *to, const struct merge_look *one)
{
	if (!to->any)
		*to = *one;
	to->uids |= one->uids || one->uid != to->uid;
	to->gids |= one->gids || one->gid != to->gid;
	to->mode &= one->mode;
	to->any = true;
}

static int take_item(struct reader *r, struct pack_owned *o, int peer, uint32_t number,
	struct ebt_err *err)
{
	struct pack_item i = {.node = (uint32_t)peer, .number = number}, *p;

	i.key = merge_get_string(r);
	i.path = merge_get_string(r);
	i.type = reader_get8(r);
	i.head = reader_get32(r);
	i.room = reader_get32(r);
	i.packed = reader_get64(r);
	i.size = reader_get64(r);
	i.pieces_len = reader_get32(r);
	if (i.pieces_len)
		i.pieces = reader_take(r, i.pieces_len);
	if (r->failed || !i.key || !i.path)
		return damaged(peer, err);
	if (!*i.path)
		i.path = i.key;
	p = merge_grow(o->item, o->n, &o->cap, sizeof(*p));
	if (!p)
		return ebt_fail(err, -ENOMEM, "an archive of %zu members", o->n);
	o->item = p;
	o->item[o->n++] = i;
	return 0;
}

static int keep(struct pack_owned *o, struct buf *b, struct ebt_err *err)
{
	struct buf *p = merge_grow(o->kept, o->n_kept, &o->cap_kept, sizeof(*p));

	if (!p)
		return ebt_fail(err, -ENOMEM, "archives");
	o->kept = p;
	o->kept[o->n_kept++] = *b;
	*b = (struct buf){0};
	return 0;
}

static int take_parts(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct owning *w = arg;
	struct reader r = reader_of(b->data, b->len);
	struct pack_owned *o = NULL;
	int code = 0;

	while (reader_left(&r) && code == 0) {
		uint32_t a = reader_get32(&r), n;
		struct merge_look one = {.uid = reader_get32(&r)};

		one.gid = reader_get32(&r);
		one.uids = reader_get8(&r) != 0;
		one.gids = reader_get8(&r) != 0;
		one.mode = reader_get32(&r);
		n = reader_get32(&r);
		if (r.failed || a >= patterns_count(w->x->g->d->pack.patterns))
			return damaged(peer, err);
		o = owned(w, a);
		if (!o)
			return ebt_fail(err, -ENOMEM, "archives");
		add_look(&w->look[a], &one);
		for (uint32_t k = 0; k < n && code == 0; k++)
			code = take_item(&r, o, peer, k, err);
	}
	/* Archives of one owner share what a node sent: any of them keeps it for the pass. */
	return code == 0 && o ? keep(o, b, err) : code;
}

/* Does an item that keeps its own name, or got another one so far, have @path? */
static bool is_taken(const struct pack_owned *o, const char *path)
{
	for (size_t i = pack_find(o, path); pack_is_key(o, i, path); i++) {
		if (o->item[i].path == o->item[i].key)
			return true;
	}
	return pack_is_named(o, path);
}

static int rename_item(
	struct merge *g, struct pack_owned *o, struct pack_item *m, const char *path)
{
	struct buf *out = &g->out[m->node];

	if (strcmp(path, m->path) == 0)
		return 0;
	m->path = strdup(path);
	m->renamed = m->path != NULL;
	if (!m->path) {
		m->path = m->key;
		return -ENOMEM;
	}
	buf_put32(out, o->archive);
	buf_put32(out, m->number);
	merge_put_string(out, path);
	return 0;
}

/* Those that got the name of their node: that may be another one's. */
static int tell_apart(struct packing *x, struct pack_owned *o, struct ebt_err *err)
{
	SCOPED_FREE char *path = malloc(DRAIN_NAME_SIZE);
	struct merge *g = x->g;

	if (!path)
		return ebt_fail(err, -ENOMEM, "archives");
	for (size_t i = 0; i < o->n; i++) {
		struct pack_item *m = &o->item[i];
		char ending[sizeof(g->d->node_name) + 1];
		int r = 0;

		if (m->path == m->key)
			continue;
		snprintf(ending, sizeof(ending), ".%s", merge_node(g, m->node));
		snprintf(path, DRAIN_NAME_SIZE, "%s", m->path);
		for (unsigned k = 2; r == 0 && is_taken(o, path); k++)
			r = drain_beside(m->key, ending, k, path, DRAIN_NAME_SIZE);
		if (r < 0)
			return ebt_fail(err, r, "%s", m->key);
		r = rename_item(g, o, m, path);
		if (r == 0)
			r = pack_add_named(o, m->path);
		if (r < 0)
			return ebt_fail(err, r, "archives");
	}
	return 0;
}

/* Earlier claims find the archive where it is. */
static int set_in_place(struct pack_owned *o, const struct merge_spot *s,
	struct merge *g, struct ebt_err *err)
{
	char shown[MERGE_PATH], as[MERGE_PATH];

	o->in_place = true;
	o->as = strdup(s->c->as ? s->c->as : s->c->path);
	if (s->c->as)
		drain_look_of(g->d, DRAIN_NODES, EBT_LOOK_BESIDE, s->c->path, s->c->as,
			"%s: an earlier run brought it as %s",
			merge_shown(s->c->path, shown), merge_shown(s->c->as, as));
	for (uint32_t i = 0; i < s->n && o->as; i++) {
		buf_put32(&g->out[s->c[i].node], o->archive);
		merge_put_string(&g->out[s->c[i].node], o->as);
	}
	return o->as ? 0 : ebt_fail(err, -ENOMEM, "archives");
}

/*
 * Directories alone, as they stay when files are freed, are no reason for another archive beside
 * one of an earlier run that has them.
 */
static bool nothing_new(
	const struct merge *g, struct merge_spot *s, const struct pack_owned *o)
{
	bool found = false;

	if (!pack_is_bare(o))
		return false;
	if (s->ours)
		found = pack_is_within(g->d, o, s->c->path);
	for (const struct merge_seal *a = s->aliases; a && !found; a = a->next) {
		found = pack_is_within(g->d, o, a->as);
		if (found)
			s->c->as = a->as;
	}
	return found;
}

/* On their owner. What goes out: renamed members, then archives that are in place. */
static int own(void *arg, struct ebt_err *err)
{
	struct owning *w = arg;
	struct packing *x = w->x;
	struct merge *g = x->g;
	int r = 0;

	for (size_t i = 0; i < g->n_spots && r == 0; i++) {
		struct merge_spot *s = &g->spots[i];
		struct pack_owned *o;

		if (s->ruling != MERGE_PACK)
			continue;
		o = owned(w, s->c->part - 1);
		if (!o)
			return ebt_fail(err, -ENOMEM, "archives");
		pack_sort(o);
		r = tell_apart(x, o, err);
		if (r == 0)
			r = pack_lay_out(o, err);
		g->d->rep->packed += o->n;
		g->d->rep->archives++;
		s->settled |= r == 0 && !s->settled && nothing_new(g, s, o);
		if (r == 0 && !s->settled)
			r = merge_add_archive(g, s, o, &w->look[o->archive], err);
	}
	return r;
}

static int take_names(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct drain *d = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		uint32_t a = reader_get32(&r), k = reader_get32(&r);
		const char *path = merge_get_string(&r);
		struct pack_part *p;

		if (r.failed || !path || a >= patterns_count(d->pack.patterns) ||
			k >= d->pack.parts[a].places.n)
			return damaged(peer, err);
		p = &d->pack.parts[a];
		free(p->member[k].path);
		p->member[k].path = strdup(path);
		if (!p->member[k].path)
			return ebt_fail(err, -ENOMEM, "archives");
	}
	return 0;
}

static int take_in_place(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct drain *d = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		uint32_t a = reader_get32(&r);
		const char *as = merge_get_string(&r);
		struct pack_part *p;

		if (!as || a >= patterns_count(d->pack.patterns))
			return damaged(peer, err);
		p = &d->pack.parts[a];
		p->in_place = true;
		free(p->as);
		p->as = strdup(as);
		if (!p->as)
			return ebt_fail(err, -ENOMEM, "archives");
	}
	for (uint32_t i = 0; i < d->out.m->count; i++) {
		uint8_t *v = &d->out.verdict[i];

		if (pack_has(d, i) && d->pack.parts[d->pack.of[i]].in_place &&
			(*v == DRAIN_WRITE || *v == DRAIN_PART || pack_is_copy(d, i)))
			*v = DRAIN_IN_PLACE;
	}
	return 0;
}

static int put_in_place(struct owning *w, struct ebt_err *err)
{
	struct merge *g = w->x->g;
	int r = 0;

	for (size_t i = 0; i < g->n_spots && r == 0; i++) {
		const struct merge_spot *s = &g->spots[i];

		if (s->ruling == MERGE_PACK && s->settled)
			r = set_in_place(w->of[s->c->part - 1], s, g, err);
	}
	return r;
}

/* Journals have it with the owner of the key; all get to know. */
static int find_freed_all(struct merge *g, int *freed, uint32_t n, struct ebt_err *err)
{
	struct drain *d = g->d;
	int r = 0;

	for (uint32_t a = 0; a < n && r == 0; a++) {
		freed[a] = merge_was_freed(g, d->pack.name[a]);
		if (freed[a] < 0)
			r = ebt_fail(err, freed[a], "archives");
	}
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		transport_reduce_all(&d->job.nodes, freed, (int)n, MPI_INT, MPI_MAX);
	return r;
}

/* What an earlier run brought, or left out, has not come here. */
static void set_home(struct drain *d)
{
	for (uint32_t i = 0; i < d->out.m->count; i++) {
		unsigned state = pack_state(d, i);

		if (state & (PACK_HOME | PACK_OLDER))
			d->out.verdict[i] =
				state & PACK_HOME ? DRAIN_IN_PLACE : DRAIN_OLDER;
	}
}

int merge_pack_all(struct merge *g, struct ebt_err *err)
{
	struct drain *d = g->d;
	uint32_t n = patterns_count(d->pack.patterns);
	SCOPED(packing_release) struct packing x = {.g = g};
	SCOPED_FREE struct pack_owned **of = NULL;
	SCOPED_FREE struct merge_look *look = NULL;
	SCOPED_FREE char *path = NULL;
	SCOPED_FREE int *freed = NULL;
	struct owning w = {.x = &x};
	int r;

	if (!d->pack.of)
		return 0;
	set_home(d);
	d->rep->archives = d->rep->packed = 0; /* of this pass */
	w.of = of = calloc(n, sizeof(*of));
	w.look = look = calloc(n, sizeof(*look));
	w.freed = freed = calloc(n, sizeof(*freed));
	path = malloc(DRAIN_NAME_SIZE);
	r = of && look && path && freed ? 0 : ebt_fail(err, -ENOMEM, "archives");
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = find_freed_all(g, freed, n, err);
	if (r == 0)
		r = joins_all(&x, err);
	if (r == 0)
		r = merge_exchange_all(g, put_parts(&x, err), take_parts, &w, err);
	if (r < 0)
		return r;
	r = job_away(&d->job, NULL, NULL, own, &w, err);
	r = merge_exchange_all(g, r, take_names, d, err);
	if (r == 0)
		r = merge_exchange_all(g, put_in_place(&w, err), take_in_place, d, err);
	for (uint32_t a = 0; a < n && r == 0; a++)
		pack_tell_named(d, a, path);
	return r;
}
