/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a manifest lies in: entries in one growing array, everything they point to in blocks that
 * are freed together. Where there is a directory for it, what is beyond the first MAPPED_FROM bytes
 * of either lies in nameless files; if one cannot be had it is memory like the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fsio/fsio.h"
#include "manifest/manifest_internal.h"

#define BLOCK_FIRST   4096
#define BLOCK_LARGEST (1024 * 1024)
#define BLOCK_MAPPED  (4 * 1024 * 1024)
#define MAPPED_FROM   (4 * 1024 * 1024)

static void free_entries(struct manifest *m)
{
	if (m->mapped)
		fsio_room_free(m->entries, m->mapped);
	else
		free(m->entries);
}

void manifest_free_room(struct manifest *m)
{
	for (struct manifest_block *b = m->blocks, *next; b; b = next) {
		next = b->next;
		if (b->mapped)
			fsio_room_free(b, b->mapped);
		else
			free(b);
	}
	free_entries(m);
}

void manifest_let_go(const struct manifest *m)
{
	if (m->mapped)
		fsio_room_let_go(m->entries, m->mapped);
	for (struct manifest_block *b = m->blocks, *next; b; b = next) {
		next = b->next;
		if (b->mapped)
			fsio_room_let_go(b, b->mapped);
	}
}

/* One that lies in a file, for what is large already; NULL: there is none. */
static struct manifest_block *map_block(struct manifest *m, size_t len)
{
	size_t size = sizeof(struct manifest_block) + len;
	struct manifest_block *b;

	if (m->room < 0 || !m->blocks || m->blocks->size < BLOCK_LARGEST)
		return NULL;
	if (size < BLOCK_MAPPED)
		size = BLOCK_MAPPED;
	b = fsio_room_new(m->room, size);
	if (b)
		*b = (struct manifest_block){.size = size - sizeof(*b), .mapped = size};
	return b;
}

static struct manifest_block *new_block(struct manifest *m, size_t len)
{
	struct manifest_block *b = map_block(m, len);
	size_t size = m->blocks ? m->blocks->size * 2 : BLOCK_FIRST;

	if (b)
		return b;
	if (size > BLOCK_LARGEST)
		size = BLOCK_LARGEST;
	if (size < len)
		size = len;
	b = malloc(sizeof(*b) + size);
	if (b)
		*b = (struct manifest_block){.size = size};
	return b;
}

void *manifest_alloc(struct manifest *m, size_t len, size_t align)
{
	struct manifest_block *b = m->blocks;
	size_t at = b ? (b->used + align - 1) & ~(align - 1) : 0;

	if (b && at <= b->size && len <= b->size - at) {
		b->used = at + len;
		return b->data + at;
	}
	b = new_block(m, len);
	if (!b)
		return NULL;
	b->next = m->blocks;
	b->used = len;
	m->blocks = b;
	return b->data;
}

/* Entries move to where there is room for @size bytes of them. */
static bool move_entries(struct manifest *m, size_t size)
{
	bool large = m->room >= 0 && size >= MAPPED_FROM;
	struct manifest_entry *p = large ? fsio_room_new(m->room, size) : NULL;
	size_t mapped = p ? size : 0;

	if (!p && !m->mapped)
		p = realloc(m->entries, size);
	else if (!p)
		p = malloc(size);
	if (!p)
		return false;
	if (mapped || m->mapped) {
		if (m->count)
			memcpy(p, m->entries, m->count * sizeof(*p));
		free_entries(m);
	}
	m->entries = p;
	m->mapped = mapped;
	return true;
}

int manifest_reserve(struct manifest *m, size_t count, struct ebt_err *err)
{
	if (count > MANIFEST_COUNT_MAX)
		return ebt_fail(err, -EOVERFLOW, "manifest: %zu entries", count);
	if (count <= m->cap)
		return 0;
	if (!move_entries(m, count * sizeof(*m->entries)))
		return ebt_fail(err, -ENOMEM, "manifest: %zu entries", count);
	m->cap = (uint32_t)count;
	return 0;
}
