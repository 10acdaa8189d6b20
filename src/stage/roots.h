/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Roots: what the user named, resolved. A root is a name below DEST and the source directory
 * ("base") that it is found in: its source is base, '/', name. As bytes: u32 count of bases,
 * their paths NUL-terminated, then u32 count of roots: u32 base, u8 flags
 * (SCAN_FOLLOW, SCAN_PARENT), name NUL-terminated. Pure but for the working directory, which the caller passes.
 */
#ifndef STAGE_ROOTS_H
#define STAGE_ROOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ebt/err.h"

/*
 * @sources: as given. Without @relative a source goes under its last component; one that ends
 * in "/." or ".." gives its content (root name ""). With @relative under its whole path,
 * ".." refused; directories above it come as SCAN_PARENT.
 */
int roots_encode(const char *const *sources, size_t n, bool relative, const char *cwd,
	struct buf *out, struct ebt_err *err);

/*
 * Removes empty and "." components of @path in place, so that one place has one name. With a
 * link before it, ".." is more than text: -EINVAL if there is one, unless @up lets it stay.
 */
int roots_normalise(char *path, bool up);

/*
 * Reading an encoded list, from its begin: the bases, an array that the caller frees, or -ENOMEM;
 * then the count of roots (reader_get32), then each of them. Strings stay in the list.
 */
int roots_bases(struct reader *r, const char ***bases, uint32_t *n);
struct root {
	uint32_t base;
	unsigned flags;
	const char *name;
};
struct root roots_next(struct reader *r);
/* How many there are, those above others counted. */
uint32_t roots_count(const struct buf *list);
/*
 * May two roots of an encoded list give the same name below DEST, other than of directories above
 * them? True also if that cannot be told.
 */
bool roots_meet(const struct buf *list);

#endif
