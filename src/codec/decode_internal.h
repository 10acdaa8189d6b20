/* SPDX-License-Identifier: BSD-3-Clause */
/* What a compressed format is to decode.c: one file for each, one library for each file. */
#ifndef CODEC_DECODE_INTERNAL_H
#define CODEC_DECODE_INTERNAL_H

#include "codec/decode.h"

/* What is to be decoded and the room for it. A step moves both on by what it took and made. */
struct decode_io {
	const unsigned char *in;
	size_t in_len;
	unsigned char *out;
	size_t out_len;
	bool last;	  /* the file ends with @in */
	const char *flaw; /* set by a step that fails: what is wrong, in words */
};

enum decode_step {
	DECODE_MORE = 0,
	DECODE_END = 1, /* the stream is complete and its checksums are right */
};

struct decode_format {
	enum codec codec;
	bool zeros_between; /* another stream may follow padding, not only the end of the file */
	/* What the library keeps, in *state. 0 or a negative errno. */
	int (*open)(unsigned threads, void **state);
	int (*begin)(void *state); /* a stream begins, the first or another one */
	/*
	 * An enum decode_step or a negative errno. Without progress it needs more of what it
	 * has used up.
	 */
	int (*step)(void *state, struct decode_io *io);
	void (*close)(void *state);
};

extern const struct decode_format decode_gzip, decode_bzip2, decode_xz, decode_zstd,
	decode_lz4;

#endif
