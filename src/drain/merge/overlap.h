/* SPDX-License-Identifier: BSD-3-Clause */
/* Versions of one file on several nodes, laid over one another. Pure. */
#ifndef DRAIN_MERGE_OVERLAP_H
#define DRAIN_MERGE_OVERLAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "drain/task.h"
#include "extent/extent.h"

#define MERGE_BLOCK 4096 /* bytes: what node-local file systems tell holes by */
#define MERGE_RUN                                                                      \
	(64u << 20) /* bytes that one of several equal sources reads at a stretch */

/* A range that the same sources have. */
struct merge_part {
	uint64_t off, len;
	size_t first; /* index into sources */
	uint32_t n;   /* at least one, ascending */
};

struct merge_parts {
	struct buf part;    /* of struct merge_part, ascending */
	struct buf sources; /* of uint32_t */
};
void merge_parts_release(struct merge_parts *p);
#define SCOPED_PARTS SCOPED(merge_parts_release)

static inline size_t merge_parts_count(const struct merge_parts *p)
{
	return p->part.len / sizeof(struct merge_part);
}
static inline const struct merge_part *merge_part(const struct merge_parts *p, size_t i)
{
	return (const struct merge_part *)p->part.data + i;
}
static inline const uint32_t *merge_sources(const struct merge_parts *p, size_t i)
{
	return (const uint32_t *)p->sources.data + merge_part(p, i)->first;
}

/*
 * What at least one of the @n sources has, cut wherever one of them begins or ends. Memory:
 * the result, and 16 bytes a source. 0 or -ENOMEM.
 */
int merge_sweep(const struct extents *x, uint32_t n, struct merge_parts *out);

/* What a source says of a range. All zero bytes: the zero digest. */
struct merge_vote {
	struct ebt_digest digest;
	uint32_t source;
};
/*
 * Sorts @v by digest and source, those that are all zero last, and says how many are not: in
 * *n. Returns how many different digests these have.
 */
uint32_t merge_count_votes(struct merge_vote *v, uint32_t *n);

struct merge_clash {
	uint32_t a, b;	   /* versions, a < b */
	uint32_t off, end; /* first and behind the last byte where they do not agree */
};
/*
 * The rule for the bytes of a block. 0: all agree, @out is their or, and *whole is a version
 * that equals it, or @n if none does. 1: *clash.
 */
int merge_or(const unsigned char *const *version, uint32_t n, uint32_t len,
	unsigned char *out, uint32_t *whole, struct merge_clash *clash);

/* Appends struct drain_piece; buf_ok tells. */
void merge_add_piece(
	struct buf *pieces, uint64_t off, uint64_t len, uint32_t source, bool overlaps);
/* Sorts them, joins what touches and belongs together. The number that is left. */
uint32_t merge_join_pieces(struct buf *pieces);

#endif
