/* SPDX-License-Identifier: BSD-3-Clause */
/* What block.c asks of a library. One file each; which ones there are is meson's business. */
#ifndef CODEC_BLOCK_KINDS_H
#define CODEC_BLOCK_KINDS_H

#include "codec/block.h"

struct block_kind {
	uint32_t codec;
	size_t (*memory_to)(int level);
	/* Contexts; NULL: out of memory. */
	void *(*to_new)(void);
	void *(*back_new)(void);
	void (*to_free)(void *ctx);
	void (*back_free)(void *ctx);
	size_t (*to_size)(const void *ctx);
	size_t (*back_size)(const void *ctx);
	/* Bytes written, 0 if they do not fit, -ENOMEM. */
	ssize_t (*to)(void *ctx, int level, const void *from, size_t len, void *to,
		size_t room);
	/* Bytes written, -EBADMSG, -ENOMEM. */
	ssize_t (*back)(void *ctx, const void *from, size_t len, void *to, size_t room);
};

extern const struct block_kind block_lz4, block_zstd;

#endif
