/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xz: sums of blocks, and an index that has to agree with them. Several threads help only with
 * files whose blocks tell their sizes, as a threaded xz writes them; others are decoded by one.
 */
#include "codec/decode_internal.h"

#include <errno.h>
#include <lzma.h>

#define MEMORY                                                                         \
	(256u << 20) /* bytes, of one thread: a dictionary of "xz -9" is 64 MiB */
#define PER_THREAD (64u << 20) /* bytes: a block of "xz -6" is 24 MiB */
#define THREADS	   64

struct xz {
	lzma_stream z;
	unsigned threads;
};

static int open_xz(unsigned threads, void **state)
{
	static const lzma_stream clean = LZMA_STREAM_INIT;
	struct xz *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->z = clean;
	x->threads = threads > THREADS ? THREADS : threads;
	*state = x;
	return 0;
}

/* A sum of a kind that the library does not know would go unchecked. */
#define FLAGS LZMA_TELL_UNSUPPORTED_CHECK

static int begin_xz(void *state)
{
	struct xz *x = state;
	const lzma_mt mt = {.flags = FLAGS,
		.threads = x->threads,
		.memlimit_threading = (uint64_t)x->threads * PER_THREAD,
		.memlimit_stop = MEMORY};
	lzma_ret r = x->threads > 1 ? lzma_stream_decoder_mt(&x->z, &mt)
				    : lzma_stream_decoder(&x->z, MEMORY, FLAGS);

	return r == LZMA_OK ? 0 : -ENOMEM;
}

static int step_xz(void *state, struct decode_io *io)
{
	lzma_stream *z = &((struct xz *)state)->z;
	lzma_ret r;

	z->next_in = io->in;
	z->avail_in = io->in_len;
	z->next_out = io->out;
	z->avail_out = io->out_len;
	r = lzma_code(z, io->last ? LZMA_FINISH : LZMA_RUN);
	io->in = z->next_in;
	io->in_len = z->avail_in;
	io->out = z->next_out;
	io->out_len = z->avail_out;
	switch (r) {
	case LZMA_STREAM_END:
		return DECODE_END;
	case LZMA_OK:
	case LZMA_BUF_ERROR:
		return DECODE_MORE;
	case LZMA_MEM_ERROR:
		io->flaw = "no memory";
		return -ENOMEM;
	case LZMA_MEMLIMIT_ERROR:
		io->flaw = "needs more than 256 MiB of memory to be decoded";
		return -ENOMEM;
	case LZMA_OPTIONS_ERROR:
		io->flaw = "uses what the library does not know, or is damaged";
		return -EBADMSG;
	case LZMA_UNSUPPORTED_CHECK:
		io->flaw = "has checksums of a kind that the library does not know";
		return -EBADMSG;
	default:
		io->flaw = "damaged";
		return -EBADMSG;
	}
}

static void close_xz(void *state)
{
	lzma_end(&((struct xz *)state)->z);
	free(state);
}

const struct decode_format decode_xz = {.codec = CODEC_XZ,
	.zeros_between = true,
	.open = open_xz,
	.begin = begin_xz,
	.step = step_xz,
	.close = close_xz};
