/* SPDX-License-Identifier: BSD-3-Clause */
/* Bare LZ4 blocks: lengths travel beside them, and a digest of the content too. */
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <stdlib.h>

#include "codec/block_kinds.h"

static size_t memory_to(int level)
{
	return (size_t)LZ4_sizeofState();
}

static void *to_new(void)
{
	return malloc((size_t)LZ4_sizeofState());
}

/* It needs none. What stands for one is never looked at. */
static void *back_new(void)
{
	return malloc(1);
}

static size_t to_size(const void *ctx)
{
	return (size_t)LZ4_sizeofState();
}

static size_t back_size(const void *ctx)
{
	return 1;
}

static ssize_t to(
	void *ctx, int level, const void *from, size_t len, void *out, size_t room)
{
	if (len > LZ4_MAX_INPUT_SIZE)
		return 0;
	return LZ4_compress_fast_extState(
		ctx, from, out, (int)len, room > INT_MAX ? INT_MAX : (int)room, 1);
}

static ssize_t back(void *ctx, const void *from, size_t len, void *out, size_t room)
{
	int n;

	if (len > INT_MAX || room > INT_MAX)
		return -EBADMSG;
	n = LZ4_decompress_safe(from, out, (int)len, (int)room);
	return n < 0 ? -EBADMSG : n;
}

const struct block_kind block_lz4 = {
	.codec = BLOCK_LZ4,
	.memory_to = memory_to,
	.to_new = to_new,
	.back_new = back_new,
	.to_free = free,
	.back_free = free,
	.to_size = to_size,
	.back_size = back_size,
	.to = to,
	.back = back,
};
