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
	size_t mapped; /* bytes with this header, if it lies in a file; else 0 */
	unsigned char data[];
};

/* Room for a string, or what else an entry points to; NULL: no memory. */
void *manifest_alloc(struct manifest *m, size_t len, size_t align);
/* Entries and all that they point to. */
void manifest_free_room(struct manifest *m);
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

/*
 * The format in pieces, manifest_format.c. To bytes: header and sources, then as many records from
 * *at on as it takes for @out to have @enough bytes.
 */
int manifest_encode_head(
	const struct manifest *m, uint64_t body, struct buf *out, struct ebt_err *err);
uint64_t manifest_body(const struct manifest *m);
int manifest_encode_some(const struct manifest *m, uint32_t *at, size_t enough,
	struct buf *out, struct ebt_err *err);
/*
 * And back: the header, in the first bytes of @total, then as many whole records as there are in
 * @data, until all are there. *used of the bytes are done with.
 */
#define MANIFEST_HEAD_MOST UINT16_MAX
struct manifest_decoding {
	struct manifest *m; /* the caller's */
	uint32_t sources, count;
	uint64_t body;
	struct manifest_scratch *scratch;
};
int manifest_decode_head(struct manifest_decoding *d, const void *data, size_t len,
	uint64_t total, size_t *used, struct ebt_err *err);
int manifest_decode_some(struct manifest_decoding *d, const void *data, size_t len,
	size_t *used, struct ebt_err *err);
static inline bool manifest_decoded(const struct manifest_decoding *d)
{
	return d->m->n_sources == d->sources && d->m->count == d->count;
}
/* After all of it: is it all there, and a manifest? */
int manifest_decode_end(struct manifest_decoding *d, struct ebt_err *err);
void manifest_decoding_release(struct manifest_decoding *d);
int manifest_damaged(struct ebt_err *err, const char *what);

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
