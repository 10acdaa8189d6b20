/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One block of bytes to a shorter one and back, each on its own: no state is left between two of
 * them. What comes back from hostile or damaged bytes is an error or other bytes, of the length
 * that was asked for; whether they are the right ones a digest has to tell.
 */
#ifndef CODEC_BLOCK_H
#define CODEC_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"

/* Numbers that travel. */
enum block_codec {
	BLOCK_NONE = 0,
	BLOCK_LZ4 = 1,
	BLOCK_ZSTD = 2,
};

/* How to compress; a level of 0 is the codec's usual one. */
struct block_way {
	uint32_t codec; /* enum block_codec */
	int level;
};

#define BLOCK_LEVEL_MAX                                                                \
	19 /* above it zstd takes memory in return for next to nothing */

/* Is it built in? */
bool block_has(uint32_t codec);
/* Those that are, in some order: the @i-th, BLOCK_NONE behind the last one. */
uint32_t block_at(unsigned i);
/* "lz4"; a codec need not be built in to have a name. NULL: there is none of that number. */
const char *block_name(uint32_t codec);
/*
 * "none", "lz4", "zstd" or "zstd:LEVEL". -EINVAL: it is none of them; -ENOTSUP: it is not built in,
 * with a text that names it.
 */
int block_parse(const char *text, struct block_way *way, struct ebt_err *err);
/* Bytes that contexts take, at most: to compress that way, and to uncompress. */
size_t block_memory_to(const struct block_way *way);
#define BLOCK_MEMORY_BACK ((size_t)192 << 10)

/* Contexts of one thread, each made when it is first needed. */
struct block;
int block_new(struct block **out, struct ebt_err *err);
void block_free(struct block *b);
DEFINE_SCOPED(struct block, block_free)
size_t block_memory(const struct block *b); /* bytes they take now */

/*
 * @len bytes to at most @room of them, *out. 1: done; 0: there is no room for what comes of it, and
 * @to holds anything. -ENOMEM; -ENOTSUP: not built in.
 */
int block_to(struct block *b, const struct block_way *way, const void *from, size_t len,
	void *to, size_t room, size_t *out, struct ebt_err *err);
/*
 * Back to exactly @content bytes, none written beyond them. -EBADMSG: that is not what it is. -ENOMEM;
 * -ENOTSUP.
 */
int block_back(struct block *b, uint32_t codec, const void *from, size_t len, void *to,
	size_t content, struct ebt_err *err);

#endif
