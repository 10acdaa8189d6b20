/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories go to their creators, a few nodes that make them; the root to the first node,
 * which made it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/merge/merge.h"

#define CREATORS 16 /* nodes that make directories, unless the user says otherwise */

enum dir_flags { DIR_EXISTS = 1, DIR_PRESENT = 2 };

static uint32_t creator_of(const struct drain *d, const char *path)
{
	uint64_t n = (uint64_t)d->job.n_nodes,
		 creators = d->o->creators ? d->o->creators : CREATORS;

	if (creators > n)
		creators = n;
	return (uint32_t)(merge_hash(path) % creators * n / creators);
}

static int take_dirs(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct drain *d = arg;

	buf_put(&d->own.dirs_text, b->data, b->len);
	return buf_ok(&d->own.dirs_text) ? 0 : ebt_fail(err, -ENOMEM, "directories");
}

static int compare_dirs(const void *a, const void *b)
{
	const struct drain_dir *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static uint32_t depth_of(const char *path)
{
	uint32_t n = *path != '\0';

	for (; (path = strchr(path, '/')); path++)
		n++;
	return n;
}

static int decode_dirs(struct drain *d, struct ebt_err *err)
{
	struct reader r = reader_of(d->own.dirs_text.data, d->own.dirs_text.len);
	size_t cap = 0;
	int code;

	while (reader_left(&r)) {
		struct drain_dir dir = {0}, *p;
		const char *path = merge_get_string(&r);
		unsigned flags = reader_get8(&r);

		code = path ? drain_entry_decode(&r, &dir.e, err)
			    : ebt_failx(err, -EBADMSG, "damaged directory");
		if (code < 0)
			return code;
		dir.e.name = path;
		dir.depth = depth_of(path);
		dir.exists = flags & DIR_EXISTS;
		dir.present = (flags & DIR_PRESENT) != 0;
		p = merge_grow(d->own.dirs, d->own.n_dirs, &cap, sizeof(*p));
		if (!p)
			return ebt_fail(err, -ENOMEM, "directories");
		d->own.dirs = p;
		dir.path = strdup(path);
		if (!dir.path)
			return ebt_fail(err, -ENOMEM, "directories");
		d->own.dirs[d->own.n_dirs++] = dir;
	}
	if (d->own.n_dirs)
		qsort(d->own.dirs, d->own.n_dirs, sizeof(*d->own.dirs), compare_dirs);
	return 0;
}

int merge_dirs_all(struct merge *g, struct ebt_err *err)
{
	struct drain *d = g->d;
	int r;

	for (size_t i = 0; i < g->n_spots; i++) {
		const struct merge_spot *s = &g->spots[i];
		bool ours = false;
		struct buf *b;

		if (s->c->kind != MANIFEST_DIR || s->c->in)
			continue;
		/* The last one counts: with an inode somebody else made it after all. */
		for (const struct merge_seal *seal = s->seals; seal;
			seal = seal->next) {
			if (seal->n_sources == 0) {
				ours = !seal->ino;
				break;
			}
		}
		b = &g->out[creator_of(d, s->c->path)];
		merge_put_string(b, s->c->path);
		buf_put8(b, !s->exists ? 0 : ours ? DIR_PRESENT : DIR_EXISTS);
		buf_put(b, s->c->entry_bytes, s->c->entry_len);
	}
	if (d->job.node == 0) {
		struct manifest_entry root = {
			.name = "", .kind = MANIFEST_DIR, .mode = 0755};

		merge_put_string(&g->out[0], "");
		buf_put8(&g->out[0], DIR_EXISTS);
		drain_entry_encode(&root, root.name, &g->out[0]);
	}
	r = merge_exchange_all(g, 0, take_dirs, d, err);
	return r < 0 ? r : job_agree_all(&d->job, decode_dirs(d, err), err);
}
