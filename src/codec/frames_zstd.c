/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames by the zstd library. */
#include <errno.h>
#include <inttypes.h>
#include <zstd.h>

#include "codec/frames.h"

struct frame_packer {
	ZSTD_CCtx *ctx;
};

struct frame_unpacker {
	ZSTD_DCtx *ctx;
};

int frame_packer_new(int level, struct frame_packer **out, struct ebt_err *err)
{
	SCOPED(frame_packer_freep) struct frame_packer *p = calloc(1, sizeof(*p));

	if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel())
		return ebt_failx(err, -EINVAL, "zstd has no level %d, only %d to %d",
			level, ZSTD_minCLevel(), ZSTD_maxCLevel());
	if (p)
		p->ctx = ZSTD_createCCtx();
	if (!p || !p->ctx)
		return ebt_fail(err, -ENOMEM, "zstd");
	/* The size of the content is in the frame by default; it must stay so. */
	if (ZSTD_isError(
		    ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_compressionLevel, level)) ||
		ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_checksumFlag, 1)) ||
		ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_contentSizeFlag, 1)))
		return ebt_failx(err, -EINVAL, "zstd refuses level %d", level);
	*out = TAKE(p);
	return 0;
}

void frame_packer_free(struct frame_packer *p)
{
	if (!p)
		return;
	ZSTD_freeCCtx(p->ctx);
	free(p);
}

uint64_t frame_room(uint32_t plain)
{
	return ZSTD_compressBound(plain);
}

int frame_pack(struct frame_packer *p, const void *plain, uint32_t len, void *out,
	size_t room, uint32_t *packed, struct ebt_err *err)
{
	size_t n = ZSTD_compress2(p->ctx, out, room, plain, len);

	if (ZSTD_isError(n))
		return room < frame_room(len)
			       ? ebt_failx(err, -ENOSPC,
					 "zstd: %" PRIu32 " bytes into %zu: %s", len,
					 room, ZSTD_getErrorName(n))
			       : ebt_failx(err, -ENOMEM, "zstd: %s",
					 ZSTD_getErrorName(n));
	if (n > UINT32_MAX)
		return ebt_failx(err, -EOVERFLOW, "zstd: a frame of %zu bytes", n);
	*packed = (uint32_t)n;
	return 0;
}

int frame_unpacker_new(struct frame_unpacker **out, struct ebt_err *err)
{
	SCOPED(frame_unpacker_freep) struct frame_unpacker *u = calloc(1, sizeof(*u));

	if (u)
		u->ctx = ZSTD_createDCtx();
	if (!u || !u->ctx)
		return ebt_fail(err, -ENOMEM, "zstd");
	*out = TAKE(u);
	return 0;
}

void frame_unpacker_free(struct frame_unpacker *u)
{
	if (!u)
		return;
	ZSTD_freeDCtx(u->ctx);
	free(u);
}

int frame_unpack(struct frame_unpacker *u, const void *packed, uint32_t len, void *out,
	uint32_t plain, struct ebt_err *err)
{
	size_t n;

	/*
	 * Asked first: the library would go on with a frame that follows in the same bytes,
	 * and tells a frame that is cut from one that is damaged.
	 */
	n = ZSTD_findFrameCompressedSize(packed, len);
	if (!ZSTD_isError(n) && n != len)
		return ebt_failx(err, -EBADMSG,
			"zstd frame of %zu bytes, where %" PRIu32 " were expected", n,
			len);
	if (!ZSTD_isError(n))
		n = ZSTD_decompressDCtx(u->ctx, out, plain, packed, len);
	if (ZSTD_isError(n))
		return ebt_failx(err, -EBADMSG, "zstd frame: %s", ZSTD_getErrorName(n));
	if (n != plain)
		return ebt_failx(err, -EBADMSG,
			"zstd frame with %zu bytes in it, where %" PRIu32
			" were expected",
			n, plain);
	return 0;
}
