/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths that are split: several nodes had a file there, and each version has gone, or goes,
 * under its node's name. Their owner writes them down before the first version is put in
 * place. So a later run that finds only one version left, the others being freed already,
 * knows the name that it got or was to get.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/merge/merge.h"
#include "drain/pack/pack.h"

static int send_split(void *arg, const char *path)
{
	struct merge *g = arg;
	SCOPED_FREE char *name = NULL;
	int r = pack_freed_name(path, &name);

	/* What becomes of an archive also matters to an output of its name. */
	if (r == 0)
		merge_put_string(&g->out[merge_owner(g, name ? name : path)], path);
	return r;
}

static int take_splits(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct merge *g = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		const char *path = merge_get_string(&r);

		if (!path)
			return ebt_failx(
				err, -EBADMSG, "damaged message of node %d", peer);
		buf_put(&g->splits, &path, sizeof(path));
	}
	if (!buf_ok(&g->splits))
		return ebt_fail(err, -ENOMEM, "journals");
	return merge_keep(g, b, err);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int merge_splits_all(struct merge *g, struct ebt_err *err)
{
	int r = 0;

	if (drain_journal_same(g->d))
		r = journal_each_split(g->d->proof.journal, send_split, g);
	if (r < 0)
		r = ebt_fail(err, r, "journal");
	r = merge_exchange_all(g, r, take_splits, g, err);
	if (r == 0 && g->splits.len)
		qsort(g->splits.data, g->splits.len / sizeof(char *), sizeof(char *),
			compare_paths);
	return r;
}

bool merge_was_split(const struct merge *g, const char *path)
{
	return g->splits.len &&
	       bsearch(&path, g->splits.data, g->splits.len / sizeof(char *),
		       sizeof(char *), compare_paths);
}

int merge_was_freed(const struct merge *g, const char *name)
{
	SCOPED_FREE char *key = NULL;

	if (!g->splits.len)
		return 0;
	key = pack_freed_key(name);
	return key ? merge_was_split(g, key) : -ENOMEM;
}

void merge_split(struct merge *g, const char *path)
{
	if (merge_was_split(g, path))
		return;
	buf_put(&g->new_splits, path, strlen(path) + 1);
	g->n_new_splits++;
}

int merge_write_splits(struct merge *g, struct ebt_err *err)
{
	struct drain *d = g->d;

	if (!g->n_new_splits || d->o->dry_run)
		return 0;
	return drain_split(d, (const char *)g->new_splits.data, g->n_new_splits, err);
}
