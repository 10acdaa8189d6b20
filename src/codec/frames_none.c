/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of frames_zstd.c where the library is missing: there is no packer to be had. */
#include <errno.h>

#include "codec/frames.h"

static int missing(struct ebt_err *err)
{
	return ebt_failx(err, -ENOTSUP, "zstd: not built in (libzstd was missing)");
}

int frame_packer_new(int level, struct frame_packer **out, struct ebt_err *err)
{
	return missing(err);
}

void frame_packer_free(struct frame_packer *p)
{
}

uint64_t frame_room(uint32_t plain)
{
	return plain;
}

int frame_pack(struct frame_packer *p, const void *plain, uint32_t len, void *out,
	size_t room, uint32_t *packed, struct ebt_err *err)
{
	return missing(err);
}

int frame_unpacker_new(struct frame_unpacker **out, struct ebt_err *err)
{
	return missing(err);
}

void frame_unpacker_free(struct frame_unpacker *u)
{
}

int frame_unpack(struct frame_unpacker *u, const void *packed, uint32_t len, void *out,
	uint32_t plain, struct ebt_err *err)
{
	return missing(err);
}
