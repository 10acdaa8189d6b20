/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digests of files and parcels: XXH3, 128 bits, over leaves of DIGEST_LEAF bytes.
 *
 *   leaf i of a file   XXH3_128(bytes of the leaf, seed = i); zero if all its bytes are zero
 *   file               sum of its leaves, each 64-bit half modulo 2^64
 *   parcel             XXH3_128 over the leaf digests it carries, in order
 *
 * The sum makes a file's digest independent of the order in which its pieces arrive and of
 * who read them, in constant memory; the seed ties each leaf to its place. All-zero leaves
 * count as nothing, so a hole costs nothing and equals the zeros it stands for. Every byte
 * is hashed once: the parcel's digest is taken over leaf digests, not over the bytes again.
 * This detects accidental corruption. It is not a defence against a forger.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEAF  (128 * 1024) /* bytes; fixed by the manifest format, version 1 */
#define DIGEST_BYTES 16		  /* on the wire and on disk: lo, hi, little-endian */

struct ebt_digest {
	uint64_t lo, hi;
};

/* Of leaf number @index of a file: @len <= DIGEST_LEAF bytes, short only at end of file. */
struct ebt_digest digest_leaf(const void *data, size_t len, uint64_t index);

/* Only zeros, or nothing: what counts as nothing in a digest, and what a hole reads as. */
bool digest_is_zero(const void *data, size_t len);

/* Of any buffer, for messages and records. */
struct ebt_digest digest_bytes(const void *data, size_t len);

/* digest_bytes of what comes in pieces. NULL: no memory. The end frees it. */
struct digest_stream;
struct digest_stream *digest_stream_new(void);
void digest_stream_add(struct digest_stream *s, const void *data, size_t len);
struct ebt_digest digest_stream_end(struct digest_stream *s);

/*
 * The digest of a sequence of leaves, one after the other (struct digest_run, POD, start
 * from zeros). Up to DIGEST_RUN leaf digests are gathered, then folded into the state.
 */
#define DIGEST_RUN 64
struct digest_run {
	struct ebt_digest state;
	uint64_t count; /* 64 bits: no padding, the struct is hashed as it lies */
	struct ebt_digest leaves[DIGEST_RUN];
};
void digest_run_add(struct digest_run *run, struct ebt_digest leaf);
struct ebt_digest digest_run_end(struct digest_run *run);

static inline struct ebt_digest digest_sum(struct ebt_digest a, struct ebt_digest b)
{
	return (struct ebt_digest){.lo = a.lo + b.lo, .hi = a.hi + b.hi};
}

static inline bool digest_equal(struct ebt_digest a, struct ebt_digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

#endif
