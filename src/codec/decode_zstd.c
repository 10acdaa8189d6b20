/* SPDX-License-Identifier: BSD-3-Clause */
/* zstd: frames, of which some may be there to be skipped; sums where the writer made them. */
#include "codec/decode_internal.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW_LOG                                                                     \
	27 /* 128 MiB, the most that zstd itself takes without being asked to */

static int open_zstd(unsigned threads, void **state)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();

	if (!z)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG);
	*state = z;
	return 0;
}

static int begin_zstd(void *state)
{
	ZSTD_DCtx_reset(state, ZSTD_reset_session_only);
	return 0;
}

static int step_zstd(void *state, struct decode_io *io)
{
	ZSTD_inBuffer in = {.src = io->in, .size = io->in_len};
	ZSTD_outBuffer out = {.dst = io->out, .size = io->out_len};
	size_t r = ZSTD_decompressStream(state, &out, &in);

	io->in += in.pos;
	io->in_len -= in.pos;
	io->out += out.pos;
	io->out_len -= out.pos;
	if (!ZSTD_isError(r))
		return r == 0 ? DECODE_END : DECODE_MORE;
	switch (ZSTD_getErrorCode(r)) {
	case ZSTD_error_memory_allocation:
		io->flaw = "no memory";
		return -ENOMEM;
	case ZSTD_error_frameParameter_windowTooLarge:
		io->flaw = "needs more than 128 MiB of memory to be decoded";
		return -ENOMEM;
	case ZSTD_error_dictionary_wrong:
		io->flaw = "was compressed with a dictionary";
		return -ENOTSUP;
	default:
		io->flaw = "damaged";
		return -EBADMSG;
	}
}

static void close_zstd(void *state)
{
	ZSTD_freeDCtx(state);
}

const struct decode_format decode_zstd = {.codec = CODEC_ZSTD,
	.open = open_zstd,
	.begin = begin_zstd,
	.step = step_zstd,
	.close = close_zstd};
