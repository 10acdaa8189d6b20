/* SPDX-License-Identifier: BSD-3-Clause */
/* Instead of all others, where libarchive is missing. */
#include "archive/unarchive.h"

#include <errno.h>

bool unarchive_built_in(void)
{
	return false;
}

int unarchive_open(int fd, const char *name, const struct unarchive_options *o,
	struct unarchive **out, struct ebt_err *err)
{
	return ebt_failx(err, -ENOTSUP,
		"%s: archives cannot be read: EBT was built without libarchive "
		"(package "
		"libarchive-dev or libarchive-devel)",
		name);
}

void unarchive_free(struct unarchive *u)
{
}

int unarchive_next(struct unarchive *u, struct member *m, struct ebt_err *err)
{
	return ebt_failx(err, -ENOTSUP, "archives cannot be read");
}

int unarchive_read(
	struct unarchive *u, uint64_t off, void *to, size_t len, struct ebt_err *err)
{
	return ebt_failx(err, -ENOTSUP, "archives cannot be read");
}

uint64_t unarchive_left(
	const struct unarchive *u, enum unarchive_left kind, const char **first)
{
	*first = NULL;
	return 0;
}

uint64_t unarchive_bytes(const struct unarchive *u)
{
	return 0;
}
