/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all steps of the merge are made of: the node that owns a path, what goes to each node and
 * comes from the others, and the memory in which that is kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/merge/merge.h"

void merge_put_claim(struct buf *b, const struct merge_claim *c)
{
	buf_put32(b, c->node);
	buf_put64(b, c->where);
	buf_put64(b, c->ino);
	buf_put32(b, c->entry);
	buf_put8(b, c->kind);
	buf_put8(b, c->suffixed);
	buf_put8(b, c->made);
	buf_put32(b, c->in);
	buf_put32(b, c->part);
	buf_put64(b, c->size);
	buf_put64(b, (uint64_t)c->mtime);
	buf_put32(b, c->mtime_ns);
	merge_put_string(b, c->path);
	merge_put_string(b, c->of);
	merge_put_string(b, c->target ? c->target : "");
	buf_put32(b, c->entry_len);
	buf_put(b, c->entry_bytes, c->entry_len);
}

uint64_t merge_hash(const char *path)
{
	return digest_bytes(path, strlen(path)).lo;
}

uint32_t merge_owner(const struct merge *g, const char *path)
{
	return (uint32_t)(merge_hash(path) % (uint64_t)g->d->job.n_nodes);
}

int merge_exchange_all(
	struct merge *g, int r, transport_take_fn *take, void *arg, struct ebt_err *err)
{
	struct job *j = &g->d->job;

	if (r == 0)
		r = job_stopped(j, err);
	r = job_agree_all(j, r, err);
	if (r == 0)
		r = transport_exchange_all(&j->nodes, g->out, take, arg, err);
	if (r < 0)
		job_failing(j, err);
	return r;
}

void *merge_grow(void *array, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return array;
	p = realloc(array, more * size);
	if (p)
		*cap = more;
	return p;
}

int merge_keep(struct merge *g, struct buf *b, struct ebt_err *err)
{
	struct buf *p = merge_grow(g->kept, g->n_kept, &g->cap_kept, sizeof(*p));

	if (!p)
		return ebt_fail(err, -ENOMEM, "merge");
	g->kept = p;
	g->kept[g->n_kept++] = *b;
	*b = (struct buf){0};
	return 0;
}

void merge_put_string(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	buf_put32(b, (uint32_t)len);
	buf_put(b, s, len + 1);
}

const char *merge_get_string(struct reader *r)
{
	uint32_t len = reader_get32(r);
	const char *s = reader_take(r, (size_t)len + 1);

	return s && strnlen(s, (size_t)len + 1) == len ? s : NULL;
}
