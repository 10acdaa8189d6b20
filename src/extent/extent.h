/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of byte ranges of one file: which bytes somebody wrote, where two nodes wrote
 * the same ones, what is left. Ranges are ascending, not empty and never touch, so a
 * set has one form only and two equal sets have equal arrays. No range passes
 * UINT64_MAX: off + len is always a number.
 *
 * Adding costs next to nothing at the end of the set, as sequential writers do, and a
 * search and a move of what follows elsewhere. Calls over two sets go through both
 * once. After -ENOMEM or -EOVERFLOW a set is as it was before the call.
 *
 * The calls know no path, so they return bare codes; whoever knows it makes the
 * message.
 */
#ifndef EXTENT_EXTENT_H
#define EXTENT_EXTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/scope.h"

struct extent {
	uint64_t off, len; /* bytes */
};

/* Starts from zeros. */
struct extents {
	struct extent *x;
	size_t count, cap;
};

void extents_release(struct extents *s); /* frees the ranges, leaves an empty set */
#define SCOPED_EXTENTS SCOPED(extents_release)
void extents_clear(struct extents *s); /* empties the set, keeps its memory */

/* -EOVERFLOW if the range ends beyond UINT64_MAX, -ENOMEM. @len may be 0. */
int extents_add(struct extents *s, uint64_t off, uint64_t len);
/* Takes a range out, whatever of it is there. The same errors. */
int extents_remove(struct extents *s, uint64_t off, uint64_t len);
/* @s becomes the union of both, or what is in @s and not in @other. -ENOMEM. */
int extents_unite(struct extents *s, const struct extents *other);
int extents_subtract(struct extents *s, const struct extents *other);

uint64_t extents_bytes(const struct extents *s);
/* The end of the last range, 0 of an empty set. */
uint64_t extents_end(const struct extents *s);
bool extents_equal(const struct extents *a, const struct extents *b);
/* All of the range is in the set. An empty range is. */
bool extents_cover(const struct extents *s, uint64_t off, uint64_t len);

/*
 * What a range and a set have in common, range by range, without memory. The set must
 * not change meanwhile. A range that ends beyond UINT64_MAX ends there.
 */
struct extents_walk {
	const struct extents *s;
	size_t i;
	uint64_t off, end;
};
void extents_walk_start(
	const struct extents *s, uint64_t off, uint64_t len, struct extents_walk *w);
bool extents_walk_next(struct extents_walk *w, struct extent *x);

/*
 * What two sets have in common, in the same manner: the first range is the one to name
 * in a message.
 */
struct extents_overlap {
	const struct extents *a, *b;
	size_t i, j;
};
void extents_overlap_start(
	const struct extents *a, const struct extents *b, struct extents_overlap *o);
bool extents_overlap_next(struct extents_overlap *o, struct extent *x);
/* Whether there is any, and the first one in *first, which may be NULL. */
bool extents_overlap_first(
	const struct extents *a, const struct extents *b, struct extent *first);

/*
 * A set as bytes: the number of ranges, then for each its distance from the end of the
 * one before and its length; numbers of 7 bits a byte, lowest first, in their shortest
 * form. Two to four bytes a range where ranges are small. buf_ok tells whether it all
 * went in.
 */
void extents_encode(const struct extents *s, struct buf *b);
/*
 * Replaces what is in @s. Any input is safe: 0 and the reader behind the set, -EBADMSG
 * for what extents_encode never writes, -ENOMEM.
 */
int extents_decode(struct reader *r, struct extents *s);

#endif
