/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several trees into one: all are in path order, so one walk over all in parallel writes
 * the result in order as well. The path of the entry at hand is kept for each side, and a heap of
 * sides says whose is the first. Sources that no entry needs any more are left behind, so that a
 * store that is staged into for years does not remember every directory it was ever filled from. A
 * part of one tree is taken in the same way.
 *
 * What lies in files is gone through in order, and let go: memory is 4 bytes per entry.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest_internal.h"

/* One of the trees, and where its parts went in the result. */
struct side {
	const struct manifest *m;
	size_t rank;	   /* of several with one path the last is on top */
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
	manifest_passed(s->m, s->at);
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
 * @top has the path at hand, and its entry stays, with place @place: what is below ours goes on if
 * it still can.
 */
static void side_yield(struct side *s, const struct side *top, uint32_t place)
{
	const struct manifest_entry *ours = &s->m->entries[s->at];

	if (ours->kind == MANIFEST_DIR && top->m->entries[top->at].kind == MANIFEST_DIR)
		s->places[s->at++] = place;
	else
		s->at = manifest_subtree_end(s->m, s->at);
}

/* Sides that are not at their end: [0, n) a heap, the one with the first path first. */
struct heap {
	struct side **sides;
	size_t n;
};

static bool comes_before(const struct side *a, const struct side *b)
{
	int c = manifest_path_compare(a->path, b->path);

	return c ? c < 0 : a->rank < b->rank;
}

static void heap_add(struct heap *h)
{
	struct side *s = h->sides[h->n];
	size_t i = h->n++, above;

	for (; i > 0; i = above) {
		above = (i - 1) / 2;
		if (!comes_before(s, h->sides[above]))
			break;
		h->sides[i] = h->sides[above];
	}
	h->sides[i] = s;
}

/* The first goes behind the others. */
static struct side *heap_take(struct heap *h)
{
	struct side *first = h->sides[0], *s = h->sides[--h->n];
	size_t i = 0, below;

	for (; (below = 2 * i + 1) < h->n; i = below) {
		if (below + 1 < h->n &&
			comes_before(h->sides[below + 1], h->sides[below]))
			below++;
		if (!comes_before(h->sides[below], s))
			break;
		h->sides[i] = h->sides[below];
	}
	h->sides[i] = s;
	h->sides[h->n] = first;
	return first;
}

/* Behind the heap, up to @live, are sides that went on, or are at their end. */
static int take_back(struct heap *h, size_t *live, struct ebt_err *err)
{
	while (h->n < *live) {
		struct side *s = h->sides[h->n];
		int r = side_look(s, err);

		if (r < 0)
			return r;
		if (s->at < s->m->count)
			heap_add(h);
		else
			h->sides[h->n] = h->sides[--*live];
	}
	return 0;
}

static int merge_sides(struct heap *h, struct manifest *out, struct ebt_err *err)
{
	size_t live = h->n;
	struct side *top;
	int r = 0;

	while (r == 0 && live) {
		top = heap_take(h);
		/* Of those with one path the last comes last. */
		while (h->n && strcmp(h->sides[0]->path, top->path) == 0)
			top = heap_take(h);
		for (size_t i = h->n; i < live; i++)
			if (h->sides[i] != top)
				side_yield(h->sides[i], top, out->count);
		r = side_take(top, out, err);
		top->at++;
		if (r == 0)
			r = take_back(h, &live, err);
	}
	return r;
}

static int unite(struct side *sides, struct heap *h,
	const struct manifest *const *parts, size_t n, struct manifest *out,
	struct ebt_err *err)
{
	size_t most = 0;
	size_t live = n;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		most += parts[i]->count;
		sides[i].rank = i;
		h->sides[i] = &sides[i];
		r = side_start(&sides[i], parts[i], err);
	}
	/* One after the other in the file, and no room for more than there may be. */
	if (r == 0 && most <= MANIFEST_COUNT_MAX)
		r = manifest_reserve(out, most, err);
	if (r == 0)
		r = take_back(h, &live, err);
	if (r == 0)
		r = merge_sides(h, out, err);
	return r < 0 ? r : manifest_drop_single_groups(out, err);
}

int manifest_unite(const struct manifest *const *parts, size_t n, int room,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED_FREE struct side *sides = calloc(n + 1, sizeof(*sides));
	SCOPED_FREE struct side **order = calloc(n + 1, sizeof(struct side *));
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct heap h = {.sides = order};
	int r = sides && order ? 0 : ebt_fail(err, -ENOMEM, "manifest");

	for (size_t i = 0; i < n && r == 0; i++)
		if (!parts[i]->tree)
			r = ebt_failx(
				err, -EINVAL, "manifest: only trees can be merged");
	if (r == 0)
		r = manifest_new_in(room, &m, err);
	if (r < 0)
		return r;
	m->tree = true;
	if (n) {
		memcpy(m->id, parts[n - 1]->id, sizeof(m->id));
		m->times = parts[n - 1]->times;
	}
	r = unite(sides, &h, parts, n, m, err);
	for (size_t i = 0; i < n; i++) {
		side_end(&sides[i]);
		manifest_let_go(parts[i]);
	}
	if (r < 0)
		return r;
	manifest_let_go(m);
	*out = TAKE(m);
	return 0;
}

int manifest_select(const struct manifest *m, const uint64_t *keep, int room,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED(side_end) struct side from = {0};
	SCOPED_MANIFEST struct manifest *got = NULL;
	int r;

	if (!m->tree)
		return ebt_failx(
			err, -EINVAL, "manifest: only of trees a part is taken");
	r = manifest_new_in(room, &got, err);
	if (r == 0)
		r = side_start(&from, m, err);
	if (r < 0)
		return r;
	got->tree = true;
	memcpy(got->id, m->id, sizeof(got->id));
	got->times = m->times;
	for (; from.at < m->count && r == 0; from.at++) {
		if (manifest_needed(keep, from.at))
			r = side_take(&from, got, err);
		manifest_passed(m, from.at);
	}
	if (r == 0)
		r = manifest_drop_single_groups(got, err);
	if (r < 0)
		return r;
	*out = TAKE(got);
	return 0;
}
