/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zstandard frames, without its checksum: a digest of the content travels beside them. From level 6 on
 * the window is bounded, or contexts would take several times the parcel.
 */
#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "codec/block_kinds.h"

#define USUAL	 1  /* level */
#define WINDOWED 6  /* level from which the window is bounded, */
#define WINDOW	 20 /* as a power of two */

/* As measured with 1.4 to 1.5, rounded up; what is unknown is assumed to be more. */
static size_t memory_to(int level)
{
	static const struct {
		int level;
		size_t kib;
	} most[] = {{2, 1024}, {3, 1536}, {5, 4096}, {9, 14 << 10}, {12, 18 << 10}};

	if (level == 0)
		level = USUAL;
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		if (level <= most[i].level)
			return most[i].kib << 10;
	}
	return (size_t)24 << 20;
}

static void *to_new(void)
{
	return ZSTD_createCCtx();
}

static void *back_new(void)
{
	return ZSTD_createDCtx();
}

static void to_free(void *ctx)
{
	ZSTD_freeCCtx(ctx);
}

static void back_free(void *ctx)
{
	ZSTD_freeDCtx(ctx);
}

static size_t to_size(const void *ctx)
{
	return ZSTD_sizeof_CCtx(ctx);
}

static size_t back_size(const void *ctx)
{
	return ZSTD_sizeof_DCtx(ctx);
}

static ssize_t to(
	void *ctx, int level, const void *from, size_t len, void *out, size_t room)
{
	ZSTD_CCtx *c = ctx;
	size_t n;

	if (level == 0)
		level = USUAL;
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
	/* 0: as the level has it. */
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, level < WINDOWED ? 0 : WINDOW);
	n = ZSTD_compress2(c, out, room, from, len);
	if (!ZSTD_isError(n))
		return (ssize_t)n;
	return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : 0;
}

static ssize_t back(void *ctx, const void *from, size_t len, void *out, size_t room)
{
	size_t n = ZSTD_decompressDCtx(ctx, out, room, from, len);

	if (!ZSTD_isError(n))
		return (ssize_t)n;
	return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM
								    : -EBADMSG;
}

const struct block_kind block_zstd = {
	.codec = BLOCK_ZSTD,
	.memory_to = memory_to,
	.to_new = to_new,
	.back_new = back_new,
	.to_free = to_free,
	.back_free = back_free,
	.to_size = to_size,
	.back_size = back_size,
	.to = to,
	.back = back,
};
