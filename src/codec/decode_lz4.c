/* SPDX-License-Identifier: BSD-3-Clause */
/* lz4: frames, of which some may be there to be skipped; sums where the writer made them. */
#include "codec/decode_internal.h"

#include <errno.h>
#include <lz4frame.h>
#include <string.h>

struct lz4 {
	LZ4F_dctx *z;
	bool begun;
};

static int open_lz4(unsigned threads, void **state)
{
	SCOPED_FREE struct lz4 *l = calloc(1, sizeof(*l));

	if (!l || LZ4F_isError(LZ4F_createDecompressionContext(&l->z, LZ4F_VERSION)))
		return -ENOMEM;
	*state = TAKE(l);
	return 0;
}

static int begin_lz4(void *state)
{
	struct lz4 *l = state;

	LZ4F_resetDecompressionContext(l->z);
	l->begun = false;
	return 0;
}

/* The format of before frames has neither an end nor sums: nothing in it can be checked. */
static bool is_legacy(const struct decode_io *io)
{
	return io->in_len >= 4 && memcmp(io->in, "\x02\x21\x4c\x18", 4) == 0;
}

static int step_lz4(void *state, struct decode_io *io)
{
	struct lz4 *l = state;
	size_t in = io->in_len, out = io->out_len, r;

	if (!l->begun && is_legacy(io)) {
		io->flaw = "the legacy format, which has no checksums: not supported";
		return -ENOTSUP;
	}
	l->begun = true;
	r = LZ4F_decompress(l->z, io->out, &out, io->in, &in, NULL);
	if (LZ4F_isError(r)) {
		io->flaw = "damaged";
		return -EBADMSG;
	}
	io->in += in;
	io->in_len -= in;
	io->out += out;
	io->out_len -= out;
	return r == 0 ? DECODE_END : DECODE_MORE;
}

static void close_lz4(void *state)
{
	struct lz4 *l = state;

	LZ4F_freeDecompressionContext(l->z);
	free(l);
}

const struct decode_format decode_lz4 = {.codec = CODEC_LZ4,
	.open = open_lz4,
	.begin = begin_lz4,
	.step = step_lz4,
	.close = close_lz4};
