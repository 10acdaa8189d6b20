/* SPDX-License-Identifier: BSD-3-Clause */
/* gzip: zlib checks the sum and the length at the end of each member. */
#include "codec/decode_internal.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#define GZIP_ONLY (15 + 16) /* bits of the window, and the header has to be gzip's */

static int open_gzip(unsigned threads, void **state)
{
	SCOPED_FREE z_stream *z = calloc(1, sizeof(*z));

	if (!z || inflateInit2(z, GZIP_ONLY) != Z_OK)
		return -ENOMEM;
	*state = TAKE(z);
	return 0;
}

static int begin_gzip(void *state)
{
	return inflateReset(state) == Z_OK ? 0 : -ENOMEM;
}

static int step_gzip(void *state, struct decode_io *io)
{
	z_stream *z = state;
	uInt in = io->in_len < UINT_MAX ? (uInt)io->in_len : UINT_MAX;
	uInt out = io->out_len < UINT_MAX ? (uInt)io->out_len : UINT_MAX;
	int r;

	z->next_in = (Bytef *)io->in;
	z->avail_in = in;
	z->next_out = io->out;
	z->avail_out = out;
	r = inflate(z, Z_NO_FLUSH);
	io->in += in - z->avail_in;
	io->in_len -= in - z->avail_in;
	io->out += out - z->avail_out;
	io->out_len -= out - z->avail_out;
	if (r == Z_STREAM_END)
		return DECODE_END;
	if (r == Z_OK || r == Z_BUF_ERROR)
		return DECODE_MORE;
	io->flaw = r == Z_MEM_ERROR ? "no memory" : "damaged";
	return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

static void close_gzip(void *state)
{
	inflateEnd(state);
	free(state);
}

const struct decode_format decode_gzip = {.codec = CODEC_GZIP,
	.open = open_gzip,
	.begin = begin_gzip,
	.step = step_gzip,
	.close = close_gzip};
