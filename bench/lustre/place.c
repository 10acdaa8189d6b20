/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which OSTs a new file gets. A list of OSTs is taken as it is or refused, nothing is put in
 * the place of a bad one, and none outside the pool is taken. Otherwise stripes go round
 * robin over the OSTs of the pool that can take an object, degraded ones only where there are
 * no others, and a file gets fewer stripes than wished rather than none. Never waits.
 *
 * A file's first component has its objects from the start. A later one gets them when
 * somebody writes there or makes the file that long, which is a request of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/scope.h"
#include "emul.h"

struct pool *pool_find(struct emul *e, const char *name)
{
	for (unsigned k = 0; k < e->n_pools; k++)
		if (strcmp(e->pool[k].name, name) == 0)
			return &e->pool[k];
	return NULL;
}

static bool in_pool(const struct pool *pool, unsigned ost)
{
	return !pool || pool->has[ost];
}

static unsigned pool_size(const struct emul *e, const struct pool *pool)
{
	unsigned n = 0;

	for (unsigned k = 0; k < e->n_osts; k++)
		n += in_pool(pool, k);
	return n;
}

void place_default(struct emul *e, struct inode *dir, struct lov_wish *w)
{
	unsigned char bytes[LOV_WISH_MAX];
	char path[INODE_PATH];
	ssize_t len =
		getxattr(inode_path(dir, path), EMUL_LOV_XATTR, bytes, sizeof(bytes));

	if (len < 0 && dir != &e->inodes.root)
		len = getxattr(inode_path(&e->inodes.root, path), EMUL_LOV_XATTR, bytes,
			sizeof(bytes));
	if (len < 0 || lov_parse_wish(bytes, (size_t)len, w) < 0) {
		memset(w, 0, offsetof(struct lov_wish, ost));
		w->n_parts = 1;
		w->part[0] = (struct lov_want){.end = UINT64_MAX, .offset = LOV_ANY};
	}
	for (unsigned k = 0; k < w->n_parts; k++) {
		if (!w->part[k].stripe_size)
			w->part[k].stripe_size = e->stripe_size;
		if (!w->part[k].count && !w->part[k].mdt)
			w->part[k].count = e->stripe_count;
	}
}

int place_check(struct emul *e, const struct lov_wish *w)
{
	for (unsigned k = 0; k < w->n_parts; k++) {
		const struct lov_want *p = &w->part[k];
		struct pool *pool = pool_find(e, p->pool);

		if (p->pool[0] && !pool)
			return -EINVAL;
		if (p->offset != LOV_ANY && !p->mdt &&
			(p->offset >= e->n_osts || !in_pool(pool, p->offset)))
			return -EINVAL;
		for (unsigned i = 0; p->entries && i < p->count; i++)
			if (w->ost[p->first + i] >= e->n_osts ||
				!in_pool(pool, w->ost[p->first + i]))
				return -EINVAL;
	}
	return 0;
}

static int check_list(struct emul *e, const struct lov_want *w, const uint32_t *ost)
{
	bool start = w->offset == LOV_ANY;
	int r;

	for (unsigned k = 0; k < w->count; k++) {
		for (unsigned j = 0; j < k && !w->overstripe; j++)
			if (ost[j] == ost[k])
				return -EINVAL;
		start |= ost[k] == w->offset;
	}
	if (!start)
		return -EINVAL;
	for (unsigned k = 0; k < w->count; k++) {
		r = ost_refuses(&e->osts[ost[k]]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The list begins with the OST that is to hold the first stripe. */
static void turn_list(
	const struct lov_want *w, const uint32_t *ost, struct lov_stripe *to)
{
	unsigned first = 0;

	while (w->offset != LOV_ANY && ost[first] != w->offset)
		first++;
	for (unsigned k = 0; k < w->count; k++)
		to[k].ost = ost[(first + k) % w->count];
}

static bool usable(struct emul *e, unsigned ost, bool degraded)
{
	return ost_refuses(&e->osts[ost]) == 0 &&
	       (degraded || !(e->osts[ost].faults & OST_DEGRADED));
}

/* Number of OSTs, or negative. */
static int choose(struct emul *e, const struct lov_want *w, struct lov_stripe *to)
{
	struct pool *pool = pool_find(e, w->pool);
	unsigned size = pool_size(e, pool), n = 0, first = 0, skip;
	int r;

	if (size == 0)
		return -ENOSPC;
	if (w->offset != LOV_ANY) {
		r = ost_refuses(&e->osts[w->offset]);
		if (r < 0)
			return r;
		first = w->offset;
	} else {
		skip = atomic_fetch_add(pool ? &pool->next : &e->next_ost, w->count) %
		       size;
		while (!in_pool(pool, first) || skip--)
			first++;
	}
	for (int degraded = 0; degraded < 2 && n == 0; degraded++)
		for (unsigned round = 0; n < w->count; round++) {
			unsigned before = n;

			for (unsigned k = 0; k < e->n_osts && n < w->count; k++) {
				unsigned ost = (first + k) % e->n_osts;

				if (in_pool(pool, ost) && usable(e, ost, degraded))
					to[n++].ost = ost;
			}
			if (n == before || !w->overstripe)
				break;
		}
	return n ? (int)n : -ENOSPC;
}

static int save_layout(struct inode *i)
{
	SCOPED_FREE unsigned char *bytes = malloc(LOV_BYTES_MAX);
	char path[INODE_PATH];
	size_t len;

	if (!bytes)
		return -ENOMEM;
	len = lov_save(i->lov, bytes);
	return setxattr(inode_path(i, path), EMUL_LOV_XATTR, bytes, len, 0) < 0 ? -errno
										: 0;
}

/* The objects of one part, open as often as the file is. */
static int make_part_locked(struct emul *e, struct inode *i, struct lov_part *p)
{
	struct lov_stripe *s = i->lov->stripe + p->w.first;
	struct object **objects = i->objects + p->w.first;
	int r = 0;

	if (p->w.mdt)
		s->ost = e->n_osts;
	else if (!p->w.entries)
		r = choose(e, &p->w, s);
	for (unsigned k = 0; p->w.entries && k < p->w.count && r == 0; k++)
		r = ost_refuses(&e->osts[s[k].ost]);
	if (r < 0)
		return r;
	if (r > 0)
		p->w.count = (uint16_t)r;
	r = 0;
	for (unsigned k = 0; k < p->w.count && r == 0; k++) {
		objects[k] = object_new(&e->osts[s[k].ost]);
		if (objects[k])
			s[k].id = object_id(objects[k]);
		else
			r = -ENOMEM;
		for (unsigned n = 0; n < i->opens && r == 0; n++)
			r = object_open(objects[k]);
	}
	p->ready = r == 0;
	for (unsigned k = 0; k < p->w.count && r < 0 && objects[k]; k++) {
		object_destroy(objects[k]);
		object_unref(objects[k]);
		objects[k] = NULL;
	}
	return r;
}

static bool touches(const struct lov_part *p, uint64_t from, uint64_t to)
{
	return !p->ready && p->w.start < to && from < p->w.end;
}

static int make_parts_locked(
	struct emul *e, struct inode *i, uint64_t from, uint64_t to)
{
	int r = 0, saved;

	for (unsigned k = 0; k < i->lov->n_parts && r == 0; k++)
		if (touches(&i->lov->part[k], from, to))
			r = make_part_locked(e, i, &i->lov->part[k]);
	saved = save_layout(i);
	return r < 0 ? r : saved;
}

int place_range(struct client *c, struct inode *i, uint64_t from, uint64_t to)
{
	bool missing = false;

	for (unsigned k = 0; k < i->lov->n_parts; k++)
		missing |= touches(&i->lov->part[k], from, to);
	if (!missing)
		return 0;
	md_request(c, MDS_INTENT);

	SCOPED_LOCK(&i->lock);

	return make_parts_locked(c->e, i, from, to);
}

/* How many stripes a part gets at most. */
static unsigned stripes_of(struct emul *e, const struct lov_want *w)
{
	unsigned size = pool_size(e, pool_find(e, w->pool));
	unsigned count = w->count ? w->count : e->stripe_count;

	if (w->mdt)
		return 1;
	if (w->entries)
		return count;
	return count == LOV_ANY || (count > size && !w->overstripe) ? size : count;
}

static int plan(struct emul *e, const struct lov_wish *w, struct lov **out)
{
	unsigned n = 0;
	struct lov *l;
	int r = place_check(e, w);

	for (unsigned k = 0; k < w->n_parts && r == 0; k++) {
		if (w->part[k].entries)
			r = check_list(e, &w->part[k], w->ost + w->part[k].first);
		n += stripes_of(e, &w->part[k]);
	}
	if (r < 0)
		return r;
	if (n == 0 || n > LOV_MAX_STRIPES)
		return -EINVAL;
	l = lov_new(w->n_parts, n);
	if (!l)
		return -ENOMEM;
	l->composite = w->composite;
	n = 0;
	for (unsigned k = 0; k < w->n_parts; k++) {
		struct lov_want *to = &l->part[k].w;

		*to = w->part[k];
		to->count = (uint16_t)stripes_of(e, to);
		to->stripe_size = to->stripe_size ? to->stripe_size : e->stripe_size;
		to->first = n;
		n += to->count;
		if (to->entries)
			turn_list(&w->part[k], w->ost + w->part[k].first,
				l->stripe + to->first);
	}
	*out = l;
	return 0;
}

int place_objects(struct emul *e, struct inode *i, const struct lov_wish *w)
{
	int r;

	SCOPED_LOCK(&i->lock);

	if (i->lov)
		return 0;
	if (i->deleted && !i->opens)
		return -ESTALE;
	r = plan(e, w, &i->lov);
	if (r < 0)
		return r;
	i->objects = calloc(i->lov->n_stripes, sizeof(struct object *));
	r = i->objects ? make_parts_locked(e, i, 0, 1) : -ENOMEM;
	if (r < 0) {
		for (unsigned k = 0; i->objects && k < i->lov->n_stripes; k++)
			if (i->objects[k]) {
				object_destroy(i->objects[k]);
				object_unref(i->objects[k]);
			}
		free(TAKE(i->objects));
		free(TAKE(i->lov));
	}
	return r;
}
