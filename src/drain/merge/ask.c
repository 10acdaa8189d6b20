/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owners of paths ask the nodes about their versions. Here is what both sides do, whatever is
 * asked: the version is looked for among the outputs, opened and read; an answer is a failure
 * with its words, or what was asked for; and answers wait until all questions are there.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drain/merge/merge.h"
#include "fsio/fsio.h"

int merge_check_asked(const struct merge *g, uint32_t entry, struct ebt_err *err)
{
	const struct manifest *m = g->d->out.m;

	if (entry < m->count && m->entries[entry].kind == MANIFEST_FILE &&
		g->d->storefd >= 0)
		return 0;
	return ebt_failx(
		err, -EBADMSG, "entry %u was asked for, which is no file", entry);
}

static int fail(const struct merge *g, uint32_t entry, int code, const char *what,
	struct ebt_err *err)
{
	SCOPED_FREE char *path = manifest_path_new(g->d->out.m, entry);

	return drain_output_fail(g->d, path ? path : "", code, what, err);
}

static int refuse(
	const struct merge *g, uint32_t entry, const char *what, struct ebt_err *err)
{
	SCOPED_FREE char *path = manifest_path_new(g->d->out.m, entry);

	return drain_output_refuse(g->d, path ? path : "", what, err);
}

int merge_open(struct merge *g, uint32_t entry, struct ebt_err *err)
{
	const struct manifest_entry *e = &g->d->out.m->entries[entry];
	struct fsio_patience patience = drain_patience(g->d);
	SCOPED_FREE char *path = manifest_path_new(g->d->out.m, entry);
	SCOPED_FD int fd = -1;
	struct stat st;

	if (!path)
		return fail(g, entry, -ENOMEM, "open", err);
	fd = drain_output_wait(g->d, path, &patience);
	if (fd < 0)
		return fail(g, entry, fd, "open", err);
	if (fstat(fd, &st) < 0)
		return fail(g, entry, -errno, "stat", err);
	if (!manifest_unchanged(e, &st))
		return refuse(g, entry, "changed while it was being drained", err);
	return TAKE_FD(fd);
}

int merge_read(struct merge *g, uint32_t entry, int fd, void *to, uint32_t len,
	uint64_t off, struct ebt_err *err)
{
	ssize_t n = fsio_read(fd, to, len, off);

	if (n < 0)
		return fail(g, entry, (int)n, "read", err);
	if ((uint32_t)n < len)
		return refuse(
			g, entry, "became shorter while it was being drained", err);
	return 0;
}

int merge_find_extents(
	struct merge *g, uint32_t entry, struct extents *x, struct ebt_err *err)
{
	SCOPED_FD int fd = merge_open(g, entry, err);
	uint64_t start, stop, size, at;
	int r = 0;

	if (fd < 0)
		return fd;
	size = g->d->out.m->entries[entry].size;
	for (at = 0; r == 0; at = stop) {
		r = fsio_next_data(fd, at, size, &start, &stop);
		if (r < 0)
			return fail(g, entry, r, "seek", err);
		if (r == 0)
			r = extents_add(x, start, stop - start);
		if (r < 0)
			return fail(g, entry, r, "extents", err);
	}
	return 0;
}

void merge_put_outcome(struct buf *out, int code, const char *text)
{
	buf_put8(out, code < 0);
	if (code < 0)
		merge_put_string(out, text);
}

bool merge_get_outcome(struct reader *r, const char **text)
{
	bool failed = reader_get8(r) != 0;

	*text = failed ? merge_get_string(r) : NULL;
	return !failed;
}

void merge_give_up(struct merge *g, struct merge_file *f, const char *text)
{
	/* Where each may go for itself, the one that cannot be read is named then. */
	if (g->d->o->conflict == EBT_CONFLICT_AUTO)
		f->split = true;
	if (f->bad || f->split)
		return;
	f->bad = true;
	drain_look_of(g->d, DRAIN_NODES, EBT_LOOK_MISSING,
		merge_plain(f->spot->c->path), NULL, "%s", text);
}

static int take_stash(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	((struct buf *)arg)[peer] = *b;
	*b = (struct buf){0};
	return 0;
}

void merge_free_stash(struct merge *g, struct buf *stash)
{
	buf_free_array(stash, (size_t)g->d->job.n_nodes);
}

int merge_stash_all(struct merge *g, int r, struct buf **stash, struct ebt_err *err)
{
	struct buf *b = calloc((size_t)g->d->job.n_nodes, sizeof(*b));

	if (r == 0 && !b)
		r = ebt_fail(err, -ENOMEM, "merge");
	r = merge_exchange_all(g, r, take_stash, b, err);
	*stash = b;
	if (r < 0) {
		merge_free_stash(g, b);
		*stash = NULL;
	}
	return r;
}
