/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A name relative to an open directory costs the kernel one step; a path costs one for each
 * component, and there are two paths for each file.
 */
#include <fcntl.h>

#include "pack/pack_internal.h"

void pack_place_end(struct pack_place *place)
{
	scope_close(&place->fd);
	place->fd = -1;
}

int pack_place_at(struct pack_place *place, uint32_t source, uint32_t dir, int atfd,
	const char *path, int flags)
{
	if (pack_place_is(place, source, dir))
		return place->fd;
	pack_place_end(place);
	place->fd = openat(atfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);
	if (place->fd < 0)
		return -errno;
	place->source = source;
	place->dir = dir;
	return place->fd;
}
