/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/ancestors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 256 /* of the first table, a power of two */

struct ancestors {
	struct manifest *dirs; /* flat */
	uint32_t *batch;       /* of each of them: the last one that it was in */
	uint32_t room;	       /* in batch */
	uint32_t *slots;       /* index + 1, 0 is free; at most half of them in use */
	uint64_t n_slots;
	uint32_t now; /* number of the batch at hand, from 1 */
};

int ancestors_new(struct ancestors **out, struct ebt_err *err)
{
	SCOPED(ancestors_freep) struct ancestors *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return ebt_fail(err, -ENOMEM, "directories");
	r = manifest_new(&a->dirs, err);
	if (r < 0)
		return r;
	*out = TAKE(a);
	return 0;
}

void ancestors_free(struct ancestors *a)
{
	if (!a)
		return;
	manifest_free(a->dirs);
	free(a->batch);
	free(a->slots);
	free(a);
}

/* The slot of the directory whose path is the first @len bytes of @path, or a free one. */
static uint32_t *slot_of(const struct ancestors *a, uint32_t *slots, uint64_t n,
	const char *path, size_t len)
{
	uint64_t i = digest_bytes(path, len).lo;

	for (;; i++) {
		uint32_t *slot = &slots[i & (n - 1)];
		const char *name = *slot ? a->dirs->entries[*slot - 1].name : NULL;

		if (!name || (strncmp(name, path, len) == 0 && !name[len]))
			return slot;
	}
}

static int grow(struct ancestors *a)
{
	uint64_t n = a->n_slots ? 2 * a->n_slots : SLOTS;
	uint32_t *slots = calloc(n, sizeof(*slots)), *batch;

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->dirs->count; i++) {
		const char *name = a->dirs->entries[i].name;

		*slot_of(a, slots, n, name, strlen(name)) = i + 1;
	}
	free(a->slots);
	a->slots = slots;
	a->n_slots = n;
	batch = realloc(a->batch, n / 2 * sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	a->batch = batch;
	a->room = (uint32_t)(n / 2);
	return 0;
}

static bool looks_alike(const struct manifest_entry *a, const struct manifest_entry *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       a->no_owner == b->no_owner && a->mtime == b->mtime &&
	       a->mtime_ns == b->mtime_ns && a->atime == b->atime &&
	       a->atime_ns == b->atime_ns && a->xattrs_len == b->xattrs_len &&
	       (!a->xattrs_len || memcmp(a->xattrs, b->xattrs, a->xattrs_len) == 0);
}

/*
 * Directory @e is in the batch at hand. An archive may name it anew with other attributes: those
 * count from here on, and the entry that had the others is but memory that is lost.
 */
static int remember(struct ancestors *a, const struct manifest *m,
	const struct manifest_entry *e, struct ebt_err *err)
{
	struct manifest_entry copy = *e;
	uint32_t *slot;
	int r = 0;

	if (a->dirs->count == a->room)
		r = grow(a);
	if (r < 0)
		return ebt_fail(err, r, "directories");
	slot = slot_of(a, a->slots, a->n_slots, e->name, strlen(e->name));
	if (*slot && looks_alike(&a->dirs->entries[*slot - 1], e)) {
		a->batch[*slot - 1] = a->now;
		return 0;
	}
	r = manifest_add_source(a->dirs, m->sources[e->source], &copy.source, err);
	if (r == 0)
		r = manifest_add(a->dirs, &copy, err);
	if (r < 0)
		return r;
	*slot = a->dirs->count;
	a->batch[*slot - 1] = a->now;
	return 0;
}

/* Directories above @name that the batch does not have are added to @m, from below upwards. */
static int add_above(
	struct ancestors *a, struct manifest *m, const char *name, struct ebt_err *err)
{
	struct manifest_entry e;
	uint32_t *slot;
	int r = 0;

	for (const char *slash = strrchr(name, '/'); r == 0 && slash && a->n_slots;
		slash = memrchr(name, '/', (size_t)(slash - name))) {
		slot = slot_of(a, a->slots, a->n_slots, name, (size_t)(slash - name));
		if (!*slot || a->batch[*slot - 1] == a->now)
			break;
		a->batch[*slot - 1] = a->now;
		e = a->dirs->entries[*slot - 1];
		r = manifest_add_source(m, a->dirs->sources[e.source], &e.source, err);
		if (r == 0)
			r = manifest_add(m, &e, err);
	}
	return r;
}

int ancestors_complete(struct ancestors *a, struct manifest *m, struct ebt_err *err)
{
	uint32_t own = m->count;
	int r = 0;

	a->now++;
	for (uint32_t i = 0; i < own && r == 0; i++) {
		if (m->entries[i].kind == MANIFEST_DIR)
			r = remember(a, m, &m->entries[i], err);
	}
	for (uint32_t i = 0; i < own && r == 0; i++)
		r = add_above(a, m, m->entries[i].name, err);
	return r;
}
