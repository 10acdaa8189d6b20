/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACK_PACK_INTERNAL_H
#define PACK_PACK_INTERNAL_H

#include "pack/pack.h"

/* Adds the leaves of one piece to @run; their sum, the piece's part of its file's digest. */
static inline struct ebt_digest pack_digest(
	const unsigned char *data, const struct plan_piece *piece, struct digest_run *run)
{
	struct ebt_digest sum = {0}, leaf;
	uint64_t index = piece->off / DIGEST_LEAF;
	uint32_t n;

	for (uint32_t at = 0; at < piece->len; at += n, index++) {
		n = piece->len - at < DIGEST_LEAF ? piece->len - at : DIGEST_LEAF;
		leaf = digest_leaf(data + at, n, index);
		digest_run_add(run, leaf);
		sum = digest_sum(sum, leaf);
	}
	return sum;
}

#endif
