/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of the merge:
 *
 *   every node      its entries to the owners of their paths
 *   every owner     rules; with suffix, new names to the owners of those, and of what
 *                   earlier runs renamed so, should only one node have it still
 *   targets         earlier runs' seals and what is in dest, to the owners (target.c)
 *   compare         owners ask for extents, then digests of overlaps      (compare.c)
 *   all             is anything wrong anywhere? Then nothing happens
 *   every owner     verdicts back to the nodes, directories to their creators
 *   archives        members to the owners of their archives             (packed.c)
 *
 * A node holds what it has, and what belongs to the paths that it owns, each a few hundred
 * bytes.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "drain/merge/merge.h"
#include "drain/pack/pack.h"

static void merge_release(struct merge *g)
{
	struct merge_seal *s;

	for (size_t i = 0; i < g->n_spots; i++) {
		while ((s = g->spots[i].seals)) {
			g->spots[i].seals = s->next;
			free(s);
		}
		while ((s = g->spots[i].aliases)) {
			g->spots[i].aliases = s->next;
			free(s);
		}
	}
	buf_free_array(g->kept, g->n_kept);
	buf_free_array(g->out, (size_t)g->d->job.n_nodes);
	buf_release(&g->splits);
	buf_release(&g->new_splits);
	buf_release(&g->detours);
	buf_release(&g->joins);
	free(g->node_names);
	free(g->claims);
	free(g->spots);
}

static int take_claims(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct merge *g = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		struct merge_claim c = {.verdict = DRAIN_WRITE}, *p;

		c.node = reader_get32(&r);
		c.where = reader_get64(&r);
		c.ino = reader_get64(&r);
		c.entry = reader_get32(&r);
		c.kind = reader_get8(&r);
		c.suffixed = reader_get8(&r);
		c.made = reader_get8(&r);
		c.in = reader_get32(&r);
		c.part = reader_get32(&r);
		c.size = reader_get64(&r);
		c.mtime = (int64_t)reader_get64(&r);
		c.mtime_ns = reader_get32(&r);
		c.path = merge_get_string(&r);
		c.of = merge_get_string(&r);
		c.target = merge_get_string(&r);
		c.entry_len = reader_get32(&r);
		c.entry_bytes = reader_take(&r, c.entry_len);
		if (r.failed || !c.path || !c.of || !c.target ||
			c.node >= (uint32_t)g->d->job.n_nodes ||
			c.in > patterns_count(g->d->pack.patterns) ||
			c.part > patterns_count(g->d->pack.patterns))
			return ebt_failx(
				err, -EBADMSG, "damaged message of node %d", peer);
		p = merge_grow(g->claims, g->n_claims, &g->cap_claims, sizeof(*p));
		if (!p)
			return ebt_fail(err, -ENOMEM, "%zu paths", g->n_claims);
		g->claims = p;
		g->claims[g->n_claims++] = c;
	}
	return merge_keep(g, b, err);
}

/* What output entries become claims with. */
struct encoding {
	struct merge *g;
	uint64_t where;
	struct buf bytes;
	char *path, *of; /* DRAIN_NAME_SIZE bytes each */
};

static void encoding_release(struct encoding *x)
{
	buf_release(&x->bytes);
	free(x->path);
}

/* Where output @i goes, and of what it is then called another way. */
static int set_path(struct encoding *x, uint32_t i, bool packed, struct merge_claim *c)
{
	struct drain *d = x->g->d;
	const struct manifest *m = d->out.m;
	int r = manifest_path(m, i, packed ? x->of : x->path, DRAIN_NAME_SIZE);

	if (r >= 0 && packed)
		return merge_key(d, c->in - 1, x->of, x->path, DRAIN_NAME_SIZE);
	if (r >= 0 && d->out.n_detours) {
		memcpy(x->of, x->path, (size_t)r + 1);
		r = drain_detour(d, c->kind == MANIFEST_DIR, x->path, DRAIN_NAME_SIZE);
		c->of = r > 0 ? x->of : "";
	}
	return r;
}

/* By itself, or @packed into its archive. */
static int put_output(struct encoding *x, uint32_t i, bool packed, struct ebt_err *err)
{
	struct drain *d = x->g->d;
	const struct manifest_entry *e = &d->out.m->entries[i];
	struct merge_claim c = {.path = x->path,
		.of = "",
		.target = e->target,
		.size = e->size,
		.mtime = e->mtime,
		.mtime_ns = e->mtime_ns,
		.where = x->where,
		.ino = e->ino,
		.node = (uint32_t)d->job.node,
		/* A directory that is both has its verdict for what it is in the archive. */
		.entry = packed || !pack_has(d, i) ? i : MANIFEST_NONE,
		.in = packed ? d->pack.of[i] + 1 : 0,
		.kind = e->kind};

	if (set_path(x, i, packed, &c) < 0)
		return ebt_fail(
			err, -ENAMETOOLONG, "%s/.../%s", d->store_path, e->name);
	x->bytes.len = 0;
	if (e->kind == MANIFEST_DIR)
		drain_entry_encode(e, e->name, &x->bytes);
	if (!buf_ok(&x->bytes))
		return ebt_fail(err, -ENOMEM, "merge");
	c.entry_bytes = x->bytes.data;
	c.entry_len = (uint32_t)x->bytes.len;
	merge_put_claim(&x->g->out[merge_owner(x->g, x->path)], &c);
	return 0;
}

static int encode_outputs(struct merge *g, struct ebt_err *err)
{
	struct drain *d = g->d;
	SCOPED(encoding_release)
	struct encoding x = {.g = g,
		.where = drain_where(d),
		.path = malloc(2 * (size_t)DRAIN_NAME_SIZE)};
	int r = 0;

	if (!x.path)
		return ebt_fail(err, -ENOMEM, "merge");
	x.of = x.path + DRAIN_NAME_SIZE;
	for (uint32_t i = 0; i < d->out.m->count && r == 0; i++) {
		bool packed = pack_has(d, i);

		if (packed && !(pack_state(d, i) & (PACK_HOME | PACK_OLDER)))
			r = put_output(&x, i, true, err);
		if (r == 0 && (!packed || (pack_state(d, i) & PACK_ABOVE)))
			r = put_output(&x, i, false, err);
	}
	return r < 0 ? r : merge_put_archives(g, err);
}

/*
 * What goes beyond the claims: a path that was split stays so, also if one node is left that has
 * it; and as long as the job writes, what several nodes have may still change.
 */
static void rule_again(struct merge *g, struct merge_spot *s)
{
	enum ebt_conflict how = g->d->o->conflict;
	bool one = s->ruling == MERGE_TAKE || s->ruling == MERGE_COMPARE;

	if (how == EBT_CONFLICT_AUTO && g->d->o->watch > 0 && s->n > 1 &&
		s->ruling != MERGE_TAKE) {
		s->ruling = MERGE_WAIT;
		for (uint32_t i = 0; i < s->n; i++)
			s->c[i].verdict = DRAIN_OLDER;
		return;
	}
	if (how != EBT_CONFLICT_AUTO && how != EBT_CONFLICT_SUFFIX)
		return;
	if (!one || s->c->kind == MANIFEST_DIR || s->c->suffixed ||
		!merge_was_split(g, s->c->path))
		return;
	if (how == EBT_CONFLICT_SUFFIX) {
		s->ruling = MERGE_RENAME;
		return;
	}
	s->ruling = MERGE_SPLIT;
	for (uint32_t i = 0; i < s->n; i++) {
		s->c[i].verdict = DRAIN_WRITE;
		s->c[i].by_node = true;
	}
}

/* Splits that are not on record yet. */
static void note_splits(struct merge *g)
{
	for (size_t i = 0; i < g->n_spots; i++) {
		const struct merge_spot *s = &g->spots[i];
		bool any = false;

		for (uint32_t k = 0; k < s->n && s->ruling == MERGE_SPLIT; k++)
			any |= s->c[k].by_node;
		if (any)
			merge_split(g, s->c->path);
	}
}

/*
 * What nodes have of an archive. No output has its name (pack_names_all), but one may get it here,
 * with that of its node added.
 */
static bool rule_archive(struct merge_spot *s)
{
	uint32_t parts = 0;

	for (uint32_t i = 0; i < s->n; i++)
		parts += s->c[i].part != 0;
	s->ruling = MERGE_PACK;
	for (uint32_t i = 0; i < s->n && parts; i++) {
		s->c[i].verdict = DRAIN_PART;
		if (s->c[i].part == s->c->part)
			continue;
		s->ruling = MERGE_CLASH;
		s->b = i;
	}
	return parts > 0;
}

/* Claims, some of which may have gone elsewhere, become spots, and these get their rulings. */
static int rule_spots(struct merge *g, struct ebt_err *err)
{
	size_t kept = 0, end;
	struct merge_spot *s;

	for (size_t i = 0; i < g->n_claims; i++) {
		if (!g->claims[i].gone)
			g->claims[kept++] = g->claims[i];
	}
	g->n_claims = kept;
	if (kept)
		qsort(g->claims, kept, sizeof(*g->claims), merge_compare_claims);
	free(g->spots);
	g->n_spots = 0;
	g->spots = calloc(kept + 1, sizeof(*g->spots));
	if (!g->spots)
		return ebt_fail(err, -ENOMEM, "%zu paths", kept);
	for (size_t i = 0; i < kept; i = end) {
		uint64_t dropped = 0;

		for (end = i + 1; end < kept; end++) {
			if (strcmp(g->claims[end].path, g->claims[i].path) != 0)
				break;
		}
		s = &g->spots[g->n_spots++];
		s->c = &g->claims[i];
		s->n = (uint32_t)(end - i);
		if (rule_archive(s))
			continue;
		s->ruling = merge_rule(
			s->c, s->n, g->d->o->conflict, &s->a, &s->b, &dropped);
		/* All or nothing: what only other names could tell apart cannot be. */
		if (g->d->o->strict && s->ruling == MERGE_SPLIT)
			s->ruling = MERGE_CLASH;
		g->d->rep->dropped += dropped;
		g->d->rep->conflicts += s->ruling != MERGE_TAKE || dropped;
		rule_again(g, s);
	}
	return 0;
}

/* Files that several nodes have, or had, under one path: each to the owner of its new name. */
static int rename_spots(struct merge *g, struct ebt_err *err)
{
	SCOPED_FREE char *path = malloc(DRAIN_NAME_SIZE);
	char shown[MERGE_PATH];

	if (!path)
		return ebt_fail(err, -ENOMEM, "merge");
	for (size_t i = 0; i < g->n_spots; i++) {
		struct merge_spot *s = &g->spots[i];

		if (s->ruling == MERGE_RENAME)
			merge_split(g, s->c->path);
		for (uint32_t k = 0; s->ruling == MERGE_RENAME && k < s->n; k++) {
			struct merge_claim c = s->c[k];
			char ending[sizeof(g->d->node_name) + 1];

			snprintf(ending, sizeof(ending), ".%s", merge_node(g, c.node));
			s->c[k].gone = true;
			if (drain_beside(c.path, ending, 1, path, DRAIN_NAME_SIZE) <
				0) {
				merge_complain(&g->wrong, MERGE_VERSIONS,
					"%s: too long with the name of %.40s added",
					merge_shown(c.path, shown),
					merge_node(g, c.node));
				continue;
			}
			c.path = path;
			c.suffixed = true;
			merge_put_claim(&g->out[merge_owner(g, path)], &c);
		}
	}
	return buf_ok(&g->new_splits) ? 0 : ebt_fail(err, -ENOMEM, "merge");
}

static int rename_all(struct merge *g, struct ebt_err *err)
{
	uint64_t conflicts;
	int r = merge_exchange_all(g, rename_spots(g, err), take_claims, g, err);

	if (r < 0)
		return r;
	/* Counted already, but for new names that are in the way of others. */
	conflicts = g->d->rep->conflicts;
	r = rule_spots(g, err);
	g->d->rep->conflicts = conflicts;
	return r;
}

static const char *kind_name(const struct merge_claim *c)
{
	switch (c->kind) {
	case MANIFEST_DIR:
		return "directory";
	case MANIFEST_SYMLINK:
		return "symlink";
	default:
		return c->part ? "archive" : "file";
	}
}

static void complain_clashes(struct merge *g)
{
	char shown[MERGE_PATH];

	for (size_t i = 0; i < g->n_spots; i++) {
		const struct merge_spot *s = &g->spots[i];
		const struct merge_claim *a, *b;

		if (s->ruling != MERGE_CLASH)
			continue;
		a = &s->c[s->a];
		b = &s->c[s->b];
		merge_shown(a->path, shown);
		if (a->suffixed || b->suffixed)
			merge_complain(&g->wrong, MERGE_VERSIONS,
				"%s: a new name on %.30s that %.30s has too", shown,
				merge_node(g, (a->suffixed ? a : b)->node),
				merge_node(g, (a->suffixed ? b : a)->node));
		else if (a->kind != b->kind || a->part != b->part)
			merge_complain(&g->wrong, MERGE_VERSIONS,
				"%s is a %s on %.20s and a %s on %.20s", shown,
				kind_name(a), merge_node(g, a->node), kind_name(b),
				merge_node(g, b->node));
		else
			merge_complain(&g->wrong, MERGE_VERSIONS,
				"%s: symlinks with different targets on %.20s and "
				"%.20s",
				shown, merge_node(g, a->node), merge_node(g, b->node));
	}
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* On the first node: one line about the most telling kind of what is wrong. */
static int describe(struct merge *g, const uint64_t *count,
	const struct merge_wrongs *all, struct ebt_err *err)
{
	static const char *const what[MERGE_WRONGS][2] = {
		[MERGE_VERSIONS] = {"conflict between nodes",
			"conflicts between nodes"},
		[MERGE_STUCK] = {"target cannot be replaced, a directory against "
				 "something else",
			"targets cannot be replaced, a directory against something "
			"else"},
		[MERGE_EXISTS] = {"target exists already (see --overwrite)",
			"targets exist already (see --overwrite)"}};
	size_t n = (size_t)g->d->job.n_nodes, lines = 0, at;
	char text[EBT_ERR_TEXT] = "", root[MERGE_PATH];
	SCOPED_FREE char *line = malloc(n * MERGE_NAMED * MERGE_SHOWN);
	enum merge_wrong k = MERGE_VERSIONS;

	while (!count[k])
		k++;
	for (size_t i = 0; i < n && line; i++) {
		for (size_t t = 0; t < all[i].named[k]; t++)
			memcpy(line + lines++ * MERGE_SHOWN, all[i].text[k][t],
				MERGE_SHOWN);
	}
	if (lines)
		qsort(line, lines, MERGE_SHOWN, compare_lines);
	for (size_t i = 0; i < lines && i < MERGE_NAMED; i++) {
		at = strlen(text);
		snprintf(text + at, sizeof(text) - at, "%s%s", i ? "; " : "",
			line + i * MERGE_SHOWN);
	}
	ebt_failx(err, -EEXIST, "%s: %llu %s: %s%s", merge_shown(g->d->dest.path, root),
		(unsigned long long)count[k], what[k][count[k] != 1], text,
		count[k] > MERGE_NAMED ? "; ..." : "");
	/* Not where it happened, but where it was put together. */
	if (err)
		err->located = 1;
	return -EEXIST;
}

static int judge_all(struct merge *g, struct ebt_err *err)
{
	SCOPED_FREE struct merge_wrongs *all = NULL;
	struct job *j = &g->d->job;
	uint64_t count[MERGE_WRONGS], sum = 0;
	int r = 0;

	memcpy(count, g->wrong.count, sizeof(count));
	transport_reduce_all(&j->nodes, count, MERGE_WRONGS, MPI_UINT64_T, MPI_SUM);
	for (int i = 0; i < MERGE_WRONGS; i++)
		sum += count[i];
	if (!sum)
		return 0;
	if (j->node == 0) {
		all = calloc((size_t)j->n_nodes, sizeof(*all));
		r = all ? 0
			: ebt_fail(err, -ENOMEM, "%llu conflicts",
				  (unsigned long long)sum);
	}
	r = job_agree_all(j, r, err);
	if (r < 0)
		return r;
	transport_gather_all(&j->nodes, &g->wrong, sizeof(g->wrong), all, 0);
	return job_agree_all(j, j->node == 0 ? describe(g, count, all, err) : 0, err);
}

static int take_verdicts(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct drain *d = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		uint32_t entry = reader_get32(&r);
		uint8_t verdict = reader_get8(&r), marks = reader_get8(&r);
		uint8_t lacks = reader_get8(&r);
		const char *was = merge_get_string(&r);

		if (r.failed || !was || entry >= d->out.m->count ||
			verdict > DRAIN_OLDER)
			return ebt_failx(
				err, -EBADMSG, "damaged message of node %d", peer);
		d->out.verdict[entry] = verdict;
		d->out.marks[entry] = marks;
		d->out.lacks[entry] = lacks;
		if (!*was)
			continue;
		if (!d->out.was)
			d->out.was = calloc(d->out.m->count, sizeof(*d->out.was));
		if (!d->out.was || !(d->out.was[entry] = strdup(was)))
			return ebt_fail(err, -ENOMEM, "verdicts");
	}
	return 0;
}

static void put_verdict(
	struct merge *g, const struct merge_spot *s, const struct merge_claim *c)
{
	bool contested = s->n > 1 && c->kind != MANIFEST_DIR;
	char shown[MERGE_PATH], as[MERGE_PATH];
	unsigned marks =
		(c->suffixed ? DRAIN_SUFFIXED : 0) |
		(c->replaces ? DRAIN_REPLACES : 0) | (c->mixed ? DRAIN_MIXED : 0) |
		(contested ? DRAIN_CONTESTED : 0) | (c->in_way ? DRAIN_IN_WAY : 0) |
		(c->by_node ? DRAIN_BY_NODE : 0);

	if (c->entry == MANIFEST_NONE || c->part ||
		(c->verdict == DRAIN_WRITE && !marks && !c->was))
		return;
	buf_put32(&g->out[c->node], c->entry);
	buf_put8(&g->out[c->node], c->verdict);
	buf_put8(&g->out[c->node], (uint8_t)marks);
	buf_put8(&g->out[c->node], c->lacks);
	merge_put_string(&g->out[c->node], c->was ? c->was : "");
	if (c->as)
		drain_look_of(g->d, c->node, EBT_LOOK_BESIDE, c->path, c->as,
			"%s: an earlier run brought that of %s as %s",
			merge_shown(c->path, shown), merge_node(g, c->node),
			merge_shown(c->as, as));
}

static int tell_all(struct merge *g, struct ebt_err *err)
{
	for (size_t i = 0; i < g->n_spots; i++) {
		const struct merge_spot *s = &g->spots[i];

		for (uint32_t k = 0; k < s->n; k++)
			put_verdict(g, s, &s->c[k]);
	}
	return merge_exchange_all(g, 0, take_verdicts, g->d, err);
}

static int begin_all(struct merge *g, struct ebt_err *err)
{
	struct drain *d = g->d;
	size_t n = (size_t)d->job.n_nodes;
	int r = 0;

	g->out = calloc(n, sizeof(*g->out));
	g->node_names = calloc(n, sizeof(d->node_name));
	d->out.verdict = calloc((size_t)d->out.m->count + 1, sizeof(*d->out.verdict));
	d->out.marks = calloc((size_t)d->out.m->count + 1, sizeof(*d->out.marks));
	d->out.lacks = calloc((size_t)d->out.m->count + 1, sizeof(*d->out.lacks));
	if (!g->out || !g->node_names || !d->out.verdict || !d->out.marks ||
		!d->out.lacks)
		r = ebt_fail(err, -ENOMEM, "merge");
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		transport_allgather_all(&d->job.nodes, d->node_name,
			sizeof(d->node_name), g->node_names);
	return r;
}

/* 1: again, now that all nodes know of detours. */
static int merge_once_all(struct drain *d, struct ebt_err *err)
{
	SCOPED(merge_release) struct merge g = {.d = d};
	int r = begin_all(&g, err);

	if (r == 0)
		r = merge_exchange_all(
			&g, encode_outputs(&g, err), take_claims, &g, err);
	if (r == 0)
		r = merge_splits_all(&g, err);
	if (r == 0)
		r = job_agree_all(&d->job, rule_spots(&g, err), err);
	if (r == 0 && d->o->conflict == EBT_CONFLICT_SUFFIX)
		r = job_agree_all(&d->job, rename_all(&g, err), err);
	if (r < 0)
		return r;
	complain_clashes(&g);
	if (!d->dest.fresh)
		r = merge_targets_all(&g, err);
	if (r == 0 && !d->dest.fresh)
		r = merge_detours_all(&g, err);
	if (r == 0)
		r = merge_compare_all(&g, err);
	if (r == 0)
		r = judge_all(&g, err);
	note_splits(&g);
	if (r == 0)
		r = job_agree_all(&d->job, merge_write_splits(&g, err), err);
	if (r == 0)
		r = tell_all(&g, err);
	if (r == 0)
		r = merge_pack_all(&g, err);
	return r ? r : merge_dirs_all(&g, err);
}

int drain_merge_all(struct drain *d, struct ebt_err *err)
{
	uint64_t dropped = d->rep->dropped, conflicts = d->rep->conflicts;
	char path[DRAIN_PATH], as[DRAIN_PATH];
	int r;

	while ((r = merge_once_all(d, err)) == 1) {
		free(TAKE(d->out.verdict));
		free(TAKE(d->out.marks));
		free(TAKE(d->out.lacks));
		d->rep->dropped = dropped;
		d->rep->conflicts = conflicts;
	}
	for (size_t i = 0; i < d->out.n_detours && r == 0 && d->job.node == 0; i++)
		drain_look_of(d, DRAIN_NODES, EBT_LOOK_BESIDE, d->out.detours[i].path,
			d->out.detours[i].as,
			"%s is there already, and no directory: what the job has in it "
			"is "
			"below %s",
			drain_path(d, d->out.detours[i].path, path),
			drain_path(d, d->out.detours[i].as, as));
	return r;
}
