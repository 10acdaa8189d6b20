/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of header.c where libarchive is missing: there is no maker to be had. */
#include <errno.h>

#include "archive/header.h"

static int missing(struct ebt_err *err)
{
	return ebt_failx(
		err, -ENOTSUP, "archives: not built in (libarchive was missing)");
}

int header_maker_new(struct header_maker **out, struct ebt_err *err)
{
	return missing(err);
}

void header_maker_free(struct header_maker *m)
{
}

int header_length(const struct header_maker *m, const struct header *h,
	uint64_t *length, struct ebt_err *err)
{
	return missing(err);
}

int header_room(const struct header_maker *m, const struct header *h, uint64_t *room,
	struct ebt_err *err)
{
	return missing(err);
}

int header_make(const struct header_maker *m, const struct header *h, uint64_t room,
	struct buf *out, struct ebt_err *err)
{
	return missing(err);
}
