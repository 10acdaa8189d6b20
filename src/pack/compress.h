/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parcels made shorter for their way. Who has read one compresses it, nodes that send it on leave it
 * as it is, and each node uncompresses it once, before it writes. The scratch memory for that are
 * spare parcels: pools of them take part in the bound of a run like all others.
 */
#ifndef PACK_COMPRESS_H
#define PACK_COMPRESS_H

#include "codec/block.h"
#include "pack/parcel.h"

/* At least so much of the content has to be saved, or it stays as it is. */
#define PARCEL_SAVES 20 /* one part in so many */

/*
 * @p as packer_fill has left it. 1: it is compressed, and has exchanged its buffer with that of
 * @spare, of the same size. 0: it would not save enough, or there is nothing in it; it is as it was.
 */
int parcel_compress(struct parcel *p, struct parcel *spare, struct block *b,
	const struct block_way *way, struct ebt_err *err);
/*
 * Points p->content to what it holds, in the buffer of @spare if it is compressed: then @spare must
 * stay until all is written. -EBADMSG: damaged, and no file is named.
 */
int parcel_uncompress(
	struct parcel *p, struct parcel *spare, struct block *b, struct ebt_err *err);

#endif
