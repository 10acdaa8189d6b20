/* SPDX-License-Identifier: BSD-3-Clause */
/* bzip2: a sum for each block and one for all. The library begins each stream anew. */
#include "codec/decode_internal.h"

#include <bzlib.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

struct bzip2 {
	bz_stream z;
	bool open;
};

static int open_bzip2(unsigned threads, void **state)
{
	*state = calloc(1, sizeof(struct bzip2));
	return *state ? 0 : -ENOMEM;
}

static int begin_bzip2(void *state)
{
	struct bzip2 *b = state;

	if (b->open)
		BZ2_bzDecompressEnd(&b->z);
	memset(&b->z, 0, sizeof(b->z));
	b->open = BZ2_bzDecompressInit(&b->z, 0, 0) == BZ_OK;
	return b->open ? 0 : -ENOMEM;
}

static int step_bzip2(void *state, struct decode_io *io)
{
	bz_stream *z = &((struct bzip2 *)state)->z;
	unsigned in = io->in_len < UINT_MAX ? (unsigned)io->in_len : UINT_MAX;
	unsigned out = io->out_len < UINT_MAX ? (unsigned)io->out_len : UINT_MAX;
	int r;

	z->next_in = (char *)io->in;
	z->avail_in = in;
	z->next_out = (char *)io->out;
	z->avail_out = out;
	r = BZ2_bzDecompress(z);
	io->in += in - z->avail_in;
	io->in_len -= in - z->avail_in;
	io->out += out - z->avail_out;
	io->out_len -= out - z->avail_out;
	if (r == BZ_STREAM_END)
		return DECODE_END;
	if (r == BZ_OK)
		return DECODE_MORE;
	io->flaw = r == BZ_MEM_ERROR ? "no memory" : "damaged";
	return r == BZ_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

static void close_bzip2(void *state)
{
	struct bzip2 *b = state;

	if (b->open)
		BZ2_bzDecompressEnd(&b->z);
	free(b);
}

const struct decode_format decode_bzip2 = {.codec = CODEC_BZIP2,
	.open = open_bzip2,
	.begin = begin_bzip2,
	.step = step_bzip2,
	.close = close_bzip2};
