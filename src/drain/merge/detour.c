/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories of the outputs where dest has something else. What is below them has owners by
 * its path, so it is not enough that the owner of the directory knows: all nodes take the
 * detour, to another name next to what is there, and the merge begins again. That is rare, and
 * takes as many rounds as such directories lie within each other.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "drain/merge/merge.h"

void drain_detours_free(struct drain *d)
{
	for (size_t i = 0; i < d->out.n_detours; i++)
		free(d->out.detours[i].path);
	free(TAKE(d->out.detours));
	d->out.n_detours = 0;
}

/* 1: @path is the directory, or below it, and is now where that is. */
static int take_detour(const struct drain_detour *t, bool dir, char *path, size_t cap)
{
	size_t len = strlen(t->path), as = strlen(t->as), rest;

	if (strncmp(path, t->path, len) != 0 || (path[len] && path[len] != '/') ||
		(!path[len] && !dir))
		return 0;
	rest = strlen(path + len) + 1;
	if (as + rest > cap)
		return -ENAMETOOLONG;
	memmove(path + as, path + len, rest);
	memcpy(path, t->as, as);
	return 1;
}

int drain_detour(const struct drain *d, bool dir, char *path, size_t cap)
{
	int r = 0, any = 0;

	/* In the order in which they were found: one may lie within another. */
	for (size_t i = 0; i < d->out.n_detours && r >= 0; i++) {
		r = take_detour(&d->out.detours[i], dir, path, cap);
		any |= r > 0;
	}
	return r < 0 ? r : any;
}

void merge_detour(struct merge *g, const char *path, const char *as)
{
	merge_put_string(&g->detours, path);
	merge_put_string(&g->detours, as);
}

static int take_detours(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct drain *d = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		const char *path = merge_get_string(&r), *as = merge_get_string(&r);
		size_t len = path ? strlen(path) + 1 : 0,
		       room = as ? strlen(as) + 1 : 0;
		struct drain_detour *p;

		if (!as || !manifest_path_ok(path) || !manifest_path_ok(as))
			return ebt_failx(
				err, -EBADMSG, "damaged message of node %d", peer);
		p = reallocarray(d->out.detours, d->out.n_detours + 1, sizeof(*p));
		if (!p)
			return ebt_fail(err, -ENOMEM, "directories");
		d->out.detours = p;
		p += d->out.n_detours;
		p->path = malloc(len + room);
		if (!p->path)
			return ebt_fail(err, -ENOMEM, "directories");
		memcpy(p->path, path, len);
		p->as = memcpy(p->path + len, as, room);
		d->out.n_detours++;
	}
	return 0;
}

int merge_detours_all(struct merge *g, struct ebt_err *err)
{
	struct job *j = &g->d->job;
	uint64_t bytes = g->detours.len;
	int r = buf_ok(&g->detours) ? 0 : ebt_fail(err, -ENOMEM, "directories");

	transport_reduce_all(&j->nodes, &bytes, 1, MPI_UINT64_T, MPI_SUM);
	if (!bytes)
		return job_agree_all(j, r, err);
	for (int i = 0; i < j->n_nodes && g->detours.len; i++)
		buf_put(&g->out[i], g->detours.data, g->detours.len);
	r = merge_exchange_all(g, r, take_detours, g->d, err);
	return r < 0 ? r : 1;
}
