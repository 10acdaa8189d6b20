/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A name relative to an open directory costs the kernel one step; a path costs one for each
 * component, and there are two paths for each file.
 */
#include <fcntl.h>

#include "base/clock.h"
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

void pack_clock_add(
	struct pack_clock *c, const struct plan_piece *piece, bool shared, double since)
{
	if (!shared && piece->len < RATES_PIECE)
		return;
	__atomic_add_fetch(&c->bytes, piece->len, __ATOMIC_RELAXED);
	__atomic_add_fetch(
		&c->ns, (uint64_t)((clock_now() - since) * 1e9), __ATOMIC_RELAXED);
}

void pack_clock_sum(const struct pack_clock *c, struct rates_busy *sum)
{
	sum->bytes += __atomic_load_n(&c->bytes, __ATOMIC_RELAXED);
	sum->seconds += (double)__atomic_load_n(&c->ns, __ATOMIC_RELAXED) * 1e-9;
}
