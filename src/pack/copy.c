/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From source to target on one node. Nothing travels, so there is no parcel to fill: a block
 * is read, hashed and written by one thread while it is in that core's cache. A parcel here
 * is only a portion of work; neighbours in it mostly share a directory, so that threads
 * seldom create in the same one, whose lock they would wait for.
 */
#include "pack/pack_internal.h"

struct copy {
	struct packer *p;
	struct unpacker *u;
	unsigned char *buffer;
	uint32_t block; /* bytes of it that are used, a multiple of DIGEST_LEAF */
};

static int copy_blocks(const struct copy *c, const struct plan_piece *piece,
	const struct pack_source *in, int out, struct ebt_digest *sum,
	struct ebt_err *err)
{
	struct plan_piece part = *piece;
	uint32_t left = piece->len;
	int r;

	for (; left > 0; left -= part.len, part.off += part.len) {
		part.len = left < c->block ? left : c->block;
		r = packer_read(c->p, &part, in, c->buffer, err);
		if (r < 0)
			return r;
		*sum = digest_sum(*sum, pack_digest(c->buffer, &part, NULL));
		r = unpacker_write(c->u, &part, out, c->buffer, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_piece(const struct copy *c, const struct plan_piece *piece,
	struct pack_place *from, struct pack_place *to, struct ebt_err *err)
{
	struct ebt_digest sum = {0};
	struct pack_source src;
	struct pack_target dst;
	int r;

	r = packer_open(c->p, piece, from, &src, err);
	if (r < 0)
		return r;
	r = unpacker_open(c->u, piece, to, &dst, err);
	if (r == 0) {
		r = copy_blocks(c, piece, &src, dst.fd, &sum, err);
		r = unpacker_done(c->u, piece, &dst, r, err);
	}
	r = packer_done(c->p, piece, &src, r, err);
	if (r == 0)
		packer_sum(c->p, piece, sum);
	return r;
}

int pack_copy(struct packer *p, struct unpacker *u, uint64_t seq, void *buffer,
	size_t size, struct pack_place *from, struct pack_place *to,
	struct ebt_err *err)
{
	struct copy c = {.p = p, .u = u, .buffer = buffer};
	struct plan_piece piece;
	struct plan_walk w;
	int r = 0;

	c.block = (uint32_t)(size < PLAN_PARCEL_MAX ? size : PLAN_PARCEL_MAX);
	c.block -= c.block % DIGEST_LEAF;
	packer_walk(p, seq, &w);
	while (r == 0 && plan_walk_next(&w, &piece))
		r = copy_piece(&c, &piece, from, to, err);
	return r;
}
