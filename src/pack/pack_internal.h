/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACK_PACK_INTERNAL_H
#define PACK_PACK_INTERNAL_H

#include "pack/pack.h"

/*
 * Have @place hold directory @dir of @source: opens @path below @atfd unless it does already.
 * The descriptor, which stays the place's, or a negative errno.
 */
int pack_place_at(struct pack_place *place, uint32_t source, uint32_t dir, int atfd,
	const char *path, int flags);
static inline bool pack_place_is(
	const struct pack_place *place, uint32_t source, uint32_t dir)
{
	return place->fd >= 0 && place->source == source && place->dir == dir;
}

/*
 * The source of a piece. Open, read parts of it, done: this closes it and returns @r or, where
 * that is 0, what came of the check that the file is unchanged.
 */
struct pack_source {
	const struct packer *packer;
	const struct plan_piece *piece;
	struct source from;
	struct source_file *shared; /* whose it is; NULL: of this piece alone */
	struct activity_call call;
};
int packer_open(struct packer *p, const struct plan_piece *piece,
	struct pack_place *from, struct pack_source *src, struct ebt_err *err);
int packer_read(struct packer *p, const struct plan_piece *part,
	const struct pack_source *src, void *data, struct ebt_err *err);
int packer_done(struct packer *p, const struct plan_piece *piece,
	struct pack_source *src, int r, struct ebt_err *err);

void packer_walk(const struct packer *p, uint64_t seq, struct plan_walk *w);
/* place.c: time that threads spend on pieces which tell a rate. */
struct pack_clock {
	uint64_t bytes, ns; /* atomic */
};
void pack_clock_add(struct pack_clock *c, const struct plan_piece *piece, bool shared,
	double since);
void pack_clock_sum(const struct pack_clock *c, struct rates_busy *sum);

/* Adds @sum to the digest of the file of @piece. */
void packer_sum(
	struct packer *p, const struct plan_piece *piece, struct ebt_digest sum);

/* The target likewise. With the last piece done, its attributes are set. */
struct pack_target {
	struct target_file *shared;
	struct activity_call call;
	int fd;
};
int unpacker_open(struct unpacker *u, const struct plan_piece *piece,
	struct pack_place *to, struct pack_target *dst, struct ebt_err *err);
/* @data NULL: zeros of a file that may have holes. */
int unpacker_write(struct unpacker *u, const struct plan_piece *part, int fd,
	const void *data, struct ebt_err *err);
int unpacker_done(struct unpacker *u, const struct plan_piece *piece,
	struct pack_target *dst, int r, struct ebt_err *err);

/*
 * The sum of the leaves of one piece: its part of its file's digest. @run, if not NULL, gets
 * the leaves one by one.
 */
static inline struct ebt_digest pack_digest(const unsigned char *data,
	const struct plan_piece *piece, struct digest_run *run)
{
	struct ebt_digest sum = {0}, leaf;
	uint64_t index = piece->off / DIGEST_LEAF;
	uint32_t n;

	for (uint32_t at = 0; at < piece->len; at += n, index++) {
		n = piece->len - at < DIGEST_LEAF ? piece->len - at : DIGEST_LEAF;
		leaf = digest_leaf(data + at, n, index);
		if (run)
			digest_run_add(run, leaf);
		sum = digest_sum(sum, leaf);
	}
	return sum;
}

#endif
