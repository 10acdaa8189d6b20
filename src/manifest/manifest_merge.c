/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two trees into one: both are in path order, so one walk over both in parallel writes
 * the result in order as well. The path of the entry at hand is kept for each side.
 * Sources that no entry needs any more are left behind, so that a store that is staged
 * into for years does not remember every directory it was ever filled from. A part of one tree
 * is taken in the same way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest_internal.h"

/* One of the two trees, and where its parts went in the result. */
struct side {
	const struct manifest *m;
	uint32_t at;	   /* next entry */
	uint32_t *places;  /* of directories and first names of groups; else NONE */
	uint32_t *sources; /* NONE: not needed so far */
	char *path;	   /* of the next entry, MANIFEST_PATH_MAX + 1 bytes */
};

static void side_end(struct side *s)
{
	free(s->places);
	free(s->sources);
	free(s->path);
}

static int side_start(struct side *s, const struct manifest *m, struct ebt_err *err)
{
	size_t places = ((size_t)m->count + 1) * sizeof(*s->places);
	size_t sources = ((size_t)m->n_sources + 1) * sizeof(*s->sources);

	s->m = m;
	s->places = malloc(places);
	s->sources = malloc(sources);
	s->path = malloc(MANIFEST_PATH_MAX + 1);
	if (!s->places || !s->sources || !s->path)
		return ebt_fail(err, -ENOMEM, "manifest: %u entries", m->count);
	memset(s->places, 0xff, places);
	memset(s->sources, 0xff, sources);
	return 0;
}

static int side_look(struct side *s, struct ebt_err *err)
{
	if (s->at < s->m->count &&
		manifest_path(s->m, s->at, s->path, MANIFEST_PATH_MAX + 1) < 0)
		return ebt_fail(err, -ENAMETOOLONG, "manifest: entry %u", s->at);
	return 0;
}

/* The next entry of @s goes to the end of @out. */
static int side_take(struct side *s, struct manifest *out, struct ebt_err *err)
{
	const struct manifest_entry *from = &s->m->entries[s->at];
	struct manifest_entry e = *from;
	int r;

	if (s->sources[e.source] == MANIFEST_NONE) {
		r = manifest_add_source(
			out, s->m->sources[e.source], &s->sources[e.source], err);
		if (r < 0)
			return r;
	}
	e.source = s->sources[e.source];
	if (e.parent != MANIFEST_ROOT)
		e.parent = s->places[e.parent];
	if (e.kind == MANIFEST_DIR)
		s->places[s->at] = out->count;
	if (e.group != MANIFEST_NONE) {
		if (s->places[e.group] == MANIFEST_NONE) {
			const struct manifest_entry *head = &s->m->entries[e.group];

			/*
			 * The first name that is left carries the content from here on.
			 */
			s->places[e.group] = out->count;
			e.digest = head->digest;
			e.size = head->size;
			e.allocated = head->allocated;
			e.extents = head->extents;
			e.n_extents = head->n_extents;
		}
		e.group = s->places[e.group];
	}
	return manifest_put(out, &e, err);
}

/*
 * Both have the path at hand: top's entry stays, and what is below base's if it still
 * can.
 */
static int take_top(
	struct side *base, struct side *top, struct manifest *out, struct ebt_err *err)
{
	const struct manifest_entry *b = &base->m->entries[base->at];
	const struct manifest_entry *t = &top->m->entries[top->at];

	if (b->kind == MANIFEST_DIR && t->kind == MANIFEST_DIR) {
		base->places[base->at] = out->count;
		base->at++;
	} else {
		base->at = manifest_subtree_end(base->m, base->at);
	}
	return side_take(top, out, err);
}

static int merge_sides(
	struct side *base, struct side *top, struct manifest *out, struct ebt_err *err)
{
	bool same, from_base;
	int r, c;

	for (;;) {
		r = side_look(base, err);
		if (r == 0)
			r = side_look(top, err);
		if (r < 0)
			return r;
		if (base->at == base->m->count && top->at == top->m->count)
			return 0;
		if (base->at == base->m->count)
			c = 1;
		else if (top->at == top->m->count)
			c = -1;
		else
			c = manifest_path_compare(base->path, top->path);
		same = c == 0;
		from_base = c < 0;
		if (same)
			r = take_top(base, top, out, err);
		else
			r = side_take(from_base ? base : top, out, err);
		if (r < 0)
			return r;
		if (from_base)
			base->at++;
		else
			top->at++;
	}
}

int manifest_merge(const struct manifest *base, const struct manifest *top,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED(side_end) struct side b = {0};
	SCOPED(side_end) struct side t = {0};
	SCOPED_MANIFEST struct manifest *m = NULL;
	int r;

	if (!base->tree || !top->tree)
		return ebt_failx(err, -EINVAL, "manifest: only trees can be merged");
	r = manifest_new(&m, err);
	if (r == 0)
		r = side_start(&b, base, err);
	if (r == 0)
		r = side_start(&t, top, err);
	if (r < 0)
		return r;
	m->tree = true;
	memcpy(m->id, top->id, sizeof(m->id));
	m->times = top->times;
	r = merge_sides(&b, &t, m, err);
	if (r == 0)
		r = manifest_drop_single_groups(m, err);
	if (r < 0)
		return r;
	*out = TAKE(m);
	return 0;
}

int manifest_select(const struct manifest *m, const uint64_t *keep,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED(side_end) struct side from = {0};
	SCOPED_MANIFEST struct manifest *got = NULL;
	int r;

	if (!m->tree)
		return ebt_failx(
			err, -EINVAL, "manifest: only of trees a part is taken");
	r = manifest_new(&got, err);
	if (r == 0)
		r = side_start(&from, m, err);
	if (r < 0)
		return r;
	got->tree = true;
	memcpy(got->id, m->id, sizeof(got->id));
	got->times = m->times;
	for (; from.at < m->count && r == 0; from.at++)
		if (manifest_needed(keep, from.at))
			r = side_take(&from, got, err);
	if (r == 0)
		r = manifest_drop_single_groups(got, err);
	if (r < 0)
		return r;
	*out = TAKE(got);
	return 0;
}
