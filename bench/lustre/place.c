/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which OSTs a new file gets. A list of OSTs is taken as it is or refused, nothing is put in
 * the place of a bad one. Otherwise stripes go round robin over the OSTs that can take an
 * object, degraded ones only where there are no others, and a file gets fewer stripes than
 * wished rather than none. Never waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/scope.h"
#include "emul.h"

void place_default(struct emul *e, struct inode *dir, struct lov_wish *w)
{
	unsigned char bytes[LOV_HEAD_V3];
	char path[INODE_PATH];
	ssize_t len =
		getxattr(inode_path(dir, path), EMUL_LOV_XATTR, bytes, sizeof(bytes));

	if (len < 0 || lov_parse_wish(bytes, (size_t)len, w) < 0) {
		memset(w, 0, offsetof(struct lov_wish, ost));
		w->magic = LOV_MAGIC_V1;
		w->offset = LOV_ANY;
	}
	if (!w->stripe_size)
		w->stripe_size = e->stripe_size;
	if (!w->count)
		w->count = e->stripe_count;
}

static int check_list(struct emul *e, const struct lov_wish *w)
{
	bool start = w->offset == LOV_ANY;
	int r;

	for (unsigned k = 0; k < w->count; k++) {
		if (w->ost[k] >= e->n_osts)
			return -EINVAL;
		for (unsigned j = 0; j < k && !w->overstripe; j++)
			if (w->ost[j] == w->ost[k])
				return -EINVAL;
		start |= w->ost[k] == w->offset;
	}
	if (!start)
		return -EINVAL;
	for (unsigned k = 0; k < w->count; k++) {
		r = ost_refuses(&e->osts[w->ost[k]]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The list begins with the OST that is to hold the first stripe. */
static void turn_list(const struct lov_wish *w, uint32_t *ost)
{
	unsigned first = 0;

	while (w->offset != LOV_ANY && w->ost[first] != w->offset)
		first++;
	for (unsigned k = 0; k < w->count; k++)
		ost[k] = w->ost[(first + k) % w->count];
}

static bool usable(struct emul *e, unsigned ost, bool degraded)
{
	return ost_refuses(&e->osts[ost]) == 0 &&
	       (degraded || !(e->osts[ost].faults & OST_DEGRADED));
}

/* Number of OSTs, or negative. */
static int choose(
	struct emul *e, const struct lov_wish *w, unsigned count, uint32_t *ost)
{
	unsigned most = count, n = 0, first;
	int r;

	if (w->offset != LOV_ANY) {
		if (w->offset >= e->n_osts)
			return -EINVAL;
		r = ost_refuses(&e->osts[w->offset]);
		if (r < 0)
			return r;
		first = w->offset;
	} else {
		first = atomic_fetch_add(&e->next_ost, count) % e->n_osts;
	}
	if (most > e->n_osts && !w->overstripe)
		most = e->n_osts;
	for (int degraded = 0; degraded < 2 && n == 0; degraded++)
		for (unsigned round = 0; n < most; round++) {
			unsigned before = n;

			for (unsigned k = 0; k < e->n_osts && n < most; k++)
				if (usable(e, (first + k) % e->n_osts, degraded))
					ost[n++] = (first + k) % e->n_osts;
			if (n == before || !w->overstripe)
				break;
		}
	return n ? (int)n : -ENOSPC;
}

static int make_objects(struct emul *e, struct inode *i, struct lov *l)
{
	struct object **objects = calloc(l->count, sizeof(struct object *));
	unsigned char *bytes = malloc(LOV_BYTES_MAX);
	char path[INODE_PATH];
	int r = objects && bytes ? 0 : -ENOMEM;
	size_t len;

	for (unsigned k = 0; k < l->count && r == 0; k++) {
		objects[k] = object_new(&e->osts[l->stripe[k].ost]);
		if (objects[k])
			l->stripe[k].id = object_id(objects[k]);
		else
			r = -ENOMEM;
		for (unsigned n = 0; n < i->opens && r == 0; n++)
			r = object_open(objects[k]);
	}
	if (r == 0) {
		len = lov_print(
			l, l->pool[0] ? LOV_MAGIC_V3 : LOV_MAGIC_V1, i->ino, bytes);
		if (setxattr(inode_path(i, path), EMUL_LOV_XATTR, bytes, len, 0) < 0)
			r = -errno;
	}
	free(bytes);
	if (r < 0) {
		for (unsigned k = 0; objects && k < l->count && objects[k]; k++) {
			object_destroy(objects[k]);
			object_unref(objects[k]);
		}
		free(objects);
		return r;
	}
	i->objects = objects;
	i->lov = l;
	return 0;
}

int place_objects(struct emul *e, struct inode *i, const struct lov_wish *w)
{
	SCOPED_FREE uint32_t *ost = calloc(LOV_MAX_STRIPES, sizeof(*ost));
	unsigned count = w->count ? w->count : e->stripe_count;
	SCOPED_FREE struct lov *l = NULL;
	int r;

	if (!ost)
		return -ENOMEM;

	SCOPED_LOCK(&i->lock);

	if (i->lov)
		return 0;
	if (i->deleted && !i->opens)
		return -ESTALE;
	if (w->entries) {
		r = check_list(e, w);
		if (r == 0)
			turn_list(w, ost);
	} else {
		if (count == LOV_ANY)
			count = e->n_osts;
		r = choose(e, w, count, ost);
		count = r > 0 ? (unsigned)r : 0;
	}
	if (r < 0)
		return r;
	l = calloc(1, sizeof(*l) + count * sizeof(l->stripe[0]));
	if (!l)
		return -ENOMEM;
	l->stripe_size = w->stripe_size ? w->stripe_size : e->stripe_size;
	l->count = (uint16_t)count;
	l->overstripe = w->overstripe;
	memcpy(l->pool, w->pool, sizeof(l->pool));
	for (unsigned k = 0; k < count; k++)
		l->stripe[k].ost = ost[k];
	r = make_objects(e, i, l);
	if (r == 0)
		l = NULL;
	return r;
}
