/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The task that an archive becomes, once its owner has all members: where each begins, and the
 * pieces of nodes' parts, and of files that are joined, that it is made of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drain/merge/merge.h"
#include "drain/pack/pack.h"
#include "journal/journal_format.h"

static int damaged(uint32_t node, struct ebt_err *err)
{
	return ebt_failx(err, -EBADMSG, "damaged members of node %u", node);
}

/* The task that an archive becomes. */
struct task_of {
	struct drain_task t;
	struct buf sources, pieces, names;
	uint32_t n_parts; /* of the sources, ascending by node */
	uint64_t *from;	  /* of each: bytes of the part before the member at hand */
};

static void task_release(struct task_of *k)
{
	buf_release(&k->sources);
	buf_release(&k->pieces);
	buf_release(&k->names);
	free(k->from);
}

static int put_sources(
	struct task_of *k, const struct merge_spot *s, struct ebt_err *err)
{
	k->n_parts = s->n;
	k->from = calloc(s->n, sizeof(*k->from));
	for (uint32_t i = 0; i < s->n; i++) {
		const struct merge_claim *c = &s->c[i];
		struct drain_source source;

		memset(&source, 0, sizeof(source));
		source.file = (struct journal_source){.where = c->where,
			.ino = c->ino,
			.size = c->size,
			.mtime = c->mtime,
			.mtime_ns = c->mtime_ns};
		source.node = c->node;
		source.entry = c->entry;
		source.of = DRAIN_OF_PART;
		buf_put(&k->sources, &source, sizeof(source));
	}
	return k->from && buf_ok(&k->sources) ? 0 : ebt_fail(err, -ENOMEM, "archives");
}

/* The part of @node, PACK_NONE: it has none. */
static uint32_t part_of(const struct task_of *k, uint32_t node)
{
	const struct drain_source *s = (const struct drain_source *)k->sources.data;
	uint32_t lo = 0, hi = k->n_parts, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s[mid].node < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < k->n_parts && s[lo].node == node ? lo : PACK_NONE;
}

/* What follows on the last piece, in the archive and where it comes from, is of that. */
static void put_piece(struct task_of *k, const struct drain_piece *p)
{
	size_t n = k->pieces.len / sizeof(*p);
	struct drain_piece *last =
		n ? (struct drain_piece *)k->pieces.data + n - 1 : NULL;

	if (last && !p->overlaps && !last->overlaps && last->source == p->source &&
		last->off + last->len == p->off && last->from + last->len == p->from)
		last->len += p->len;
	else
		buf_put(&k->pieces, p, sizeof(*p));
}

/* Content of @m, which begins at byte @data of the archive, out of other nodes' files. */
static int put_joined(struct task_of *k, const struct pack_item *m, uint64_t data,
	struct ebt_err *err)
{
	struct reader r = reader_of(m->pieces, m->pieces_len);
	uint32_t n = reader_get32(&r);
	uint32_t first = (uint32_t)(k->sources.len / sizeof(struct drain_source));

	for (uint32_t i = 0; i < n && !r.failed; i++) {
		struct drain_source s;

		memset(&s, 0, sizeof(s));
		if (!journal_get_source(&r, &s.file))
			r.failed = true;
		s.node = reader_get32(&r);
		s.entry = reader_get32(&r);
		buf_put(&k->sources, &s, sizeof(s));
	}
	for (uint32_t left = reader_get32(&r); left > 0 && !r.failed; left--) {
		struct drain_piece p = {.off = reader_get64(&r)};

		p.len = reader_get64(&r);
		p.from = p.off;
		p.source = reader_get32(&r);
		p.overlaps = reader_get8(&r) != 0;
		if (p.source >= n || p.off > m->size || p.len > m->size - p.off)
			r.failed = true;
		p.off += data;
		p.source += first;
		put_piece(k, &p);
	}
	return r.failed || reader_left(&r) ? damaged(m->node, err) : 0;
}

static int put_pieces(
	struct task_of *k, const struct pack_owned *o, struct ebt_err *err)
{
	int r = 0;

	for (size_t i = 0; i < o->n && r == 0; i++) {
		const struct pack_item *m = &o->item[i];
		uint64_t end = i + 1 < o->n ? m[1].header : o->bytes - MEMBERS_END;
		uint32_t part = part_of(k, m->node);
		struct drain_piece p = {.source = part, .off = m->header};

		if (part == PACK_NONE || m->room % HEADER_BLOCK)
			return damaged(m->node, err);
		p.len = m->pieces ? m->room : end - m->header;
		p.from = k->from[part];
		k->from[part] += p.len;
		put_piece(k, &p);
		if (m->pieces)
			r = put_joined(k, m, m->header + m->room, err);
	}
	k->t.e.size = o->bytes;
	if (r == 0 && (!buf_ok(&k->pieces) || !buf_ok(&k->sources)))
		r = ebt_fail(err, -ENOMEM, "archives");
	return r;
}

/* Of several groups none gets it, so what its own may do is what all may. */
static uint32_t mode_of(const struct merge_look *look)
{
	if (look->uids)
		return 0600;
	return look->gids && !(look->mode & 04) ? look->mode & ~(uint32_t)040
						: look->mode;
}

static void set_look(
	struct task_of *k, const struct merge_spot *s, const struct merge_look *look)
{
	const struct merge_claim *newest = &s->c[merge_newest(s->c, s->n)];
	struct manifest_entry *e = &k->t.e;

	*e = (struct manifest_entry){.name = s->c->path,
		.kind = MANIFEST_FILE,
		.mode = mode_of(look),
		.uid = look->uids ? geteuid() : look->uid,
		.gid = look->uids || look->gids ? getegid() : look->gid,
		.nlink = 1,
		.parent = MANIFEST_ROOT,
		.group = MANIFEST_NONE};
	e->mtime = e->atime = newest->mtime;
	e->mtime_ns = e->atime_ns = newest->mtime_ns;
}

/* What is there, at @path, and is ours may go: all that it has is in this one. */
static bool holds_all(
	const struct merge *g, const struct pack_owned *o, const char *path)
{
	return !o->freed && pack_keeps_all(g->d, o, path);
}

/*
 * What is there and is ours is replaced only by what holds all that is in it, whatever is asked
 * for: what was freed since is nowhere else. Else the new one comes beside it.
 */
static int set_name(struct task_of *k, const struct merge *g,
	const struct merge_spot *s, const struct pack_owned *o, struct ebt_err *err)
{
	enum ebt_overwrite how = g->d->o->overwrite;
	bool asked =
		g->d->o->atomic || (!s->ours && (how == EBT_OVERWRITE_ALWAYS ||
							how == EBT_OVERWRITE_UPDATE));
	struct drain_name name = {
		.path = s->c->path, .of = s->c->of, .was = "", .ending = DRAIN_NEW};
	char shown[MERGE_PATH];

	for (uint32_t i = 0; i < s->n; i++) {
		name.marks |= s->c[i].replaces ? DRAIN_REPLACES : 0;
		name.marks |= s->c[i].in_way ? DRAIN_IN_WAY : 0;
		if (s->c[i].was)
			name.was = s->c[i].was;
	}
	if (*name.was && !holds_all(g, o, name.was)) {
		name.was = "";
		name.marks |= DRAIN_IN_WAY;
	}
	if ((name.marks & DRAIN_REPLACES) && !asked && !holds_all(g, o, name.path)) {
		if (g->d->o->strict)
			return ebt_failx(err, -EEXIST,
				"%s exists already, and holds what is not to be "
				"drained",
				merge_shown(name.path, shown));
		name.marks &= (uint8_t)~DRAIN_REPLACES;
		name.marks |= DRAIN_IN_WAY;
	}
	drain_name_put(&k->names, &name);
	k->t.names = (const char *)k->names.data;
	k->t.n_names = 1;
	return buf_ok(&k->names) ? 0 : ebt_fail(err, -ENOMEM, "archives");
}

int merge_add_archive(struct merge *g, const struct merge_spot *s, struct pack_owned *o,
	const struct merge_look *look, struct ebt_err *err)
{
	SCOPED(task_release) struct task_of k = {.t = {.archive = o->archive + 1}};
	struct drain_task *made;
	int code = put_sources(&k, s, err);

	set_look(&k, s, look);
	if (code == 0)
		code = put_pieces(&k, o, err);
	if (code == 0)
		code = set_name(&k, g, s, o, err);
	if (code < 0)
		return code;
	o->path = strdup(s->c->path);
	o->mtime = (struct timespec){
		.tv_sec = k.t.e.mtime, .tv_nsec = (long)k.t.e.mtime_ns};
	k.t.contested = s->n > 1;
	k.t.sources = (struct drain_source *)k.sources.data;
	k.t.n_sources = (uint32_t)(k.sources.len / sizeof(*k.t.sources));
	k.t.pieces = (struct drain_piece *)k.pieces.data;
	k.t.n_pieces = (uint32_t)(k.pieces.len / sizeof(*k.t.pieces));
	code = o->path ? drain_task_copy(&k.t, &made, err)
		       : ebt_fail(err, -ENOMEM, "archives");
	if (code < 0)
		return code;
	made->next = g->d->own.shared;
	g->d->own.shared = made;
	return 0;
}
