/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of src/manifest share. */
#ifndef MANIFEST_INTERNAL_H
#define MANIFEST_INTERNAL_H

#include "manifest/manifest.h"

#define MANIFEST_COUNT_MAX (UINT32_MAX - 1) /* the two values above are taken */

/* Strings live as long as the manifest: blocks that are only ever freed together. */
struct manifest_block {
	struct manifest_block *next;
	size_t used, size;
	unsigned char data[];
};

/* Room for @count entries in all. */
int manifest_reserve(struct manifest *m, size_t count, struct ebt_err *err);
/* manifest_add without looking: for entries that were checked, and for trees. */
int manifest_put(
	struct manifest *m, const struct manifest_entry *e, struct ebt_err *err);

/* What is wrong with @e taken for itself, in words; NULL if nothing is. */
const char *manifest_flaw(const struct manifest *m, const struct manifest_entry *e);
/*
 * What is wrong with the way the entries hang together; *at is the entry. NULL:
 * nothing.
 */
const char *manifest_shape_flaw(const struct manifest *m, uint32_t *at);

/* Groups with a single name left are no groups. Needs a bit per entry: -ENOMEM. */
int manifest_drop_single_groups(struct manifest *m, struct ebt_err *err);

struct sort_key {
	uint64_t key;
	uint32_t index;
};
/* Stable, n log n; @tmp has room for n / 2 keys. */
void sort_keys(struct sort_key *a, struct sort_key *tmp, size_t n);
/*
 * By the paths of a flat manifest, component by component; equal paths in order of
 * index.
 */
void sort_paths(struct sort_key *a, struct sort_key *tmp, size_t n,
	const struct manifest_entry *entries);
/*
 * Hard links that the entries prove to be some become groups. @keys has room for all entries,
 * @tmp for half of them. Not for a manifest whose names are still whole paths out of order.
 */
void find_groups(struct manifest *m, struct sort_key *keys, struct sort_key *tmp);

#endif
