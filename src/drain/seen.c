/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the last complete pass of a drain that watches has seen, to know a pass in which
 * nothing is new: it ends after the scan, and dest is not asked for anything. Eight bytes an
 * output. What is gone since, as it was freed, is nothing new; neither are attributes, which
 * are looked at when a file is written, and those of directories at the end.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "drain/drain_internal.h"
#include "transport/transport.h"

/* What makes an output another one. 0 or -ENOMEM. */
static int key_of(const struct drain *d, uint32_t i, struct buf *b, uint64_t *key)
{
	const struct manifest_entry *e = &d->out.m->entries[i];
	SCOPED_FREE char *path = manifest_path_new(d->out.m, i);

	if (!path)
		return -ENOMEM;
	b->len = 0;
	buf_put8(b, (uint8_t)e->kind);
	buf_put(b, path, strlen(path) + 1);
	if (e->kind == MANIFEST_SYMLINK)
		buf_put(b, e->target, strlen(e->target));
	if (e->kind == MANIFEST_FILE) {
		buf_put64(b, e->ino);
		buf_put64(b, e->size);
		buf_put64(b, (uint64_t)e->mtime);
		buf_put32(b, e->mtime_ns);
	}
	if (!buf_ok(b))
		return -ENOMEM;
	*key = digest_bytes(b->data, b->len).lo;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool all_seen(const struct drain *d)
{
	SCOPED_BUF struct buf b = {0};
	uint64_t key;

	for (uint32_t i = 0; d->pass.seen && i < d->out.m->count; i++) {
		if (key_of(d, i, &b, &key) < 0 ||
			!bsearch(&key, d->pass.seen, d->pass.n_seen, sizeof(key),
				compare))
			return false;
	}
	return d->pass.seen != NULL;
}

bool drain_nothing_new_all(const struct drain *d)
{
	int same = all_seen(d);

	transport_reduce_all(&d->job.nodes, &same, 1, MPI_INT, MPI_MIN);
	return same;
}

void drain_forget(struct drain *d)
{
	free(TAKE(d->pass.seen));
	d->pass.n_seen = 0;
}

void drain_remember(struct drain *d)
{
	SCOPED_BUF struct buf b = {0};

	drain_forget(d);
	d->pass.seen = malloc(((size_t)d->out.m->count + 1) * sizeof(*d->pass.seen));
	for (uint32_t i = 0; d->pass.seen && i < d->out.m->count; i++) {
		if (key_of(d, i, &b, &d->pass.seen[i]) < 0) {
			drain_forget(d);
			return;
		}
	}
	if (!d->pass.seen)
		return;
	d->pass.n_seen = d->out.m->count;
	if (d->pass.n_seen)
		qsort(d->pass.seen, d->pass.n_seen, sizeof(*d->pass.seen), compare);
}
