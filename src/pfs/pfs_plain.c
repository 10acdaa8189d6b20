/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Creation where nobody asks about layouts, and the steps of it that the other kinds share.
 * A wish for stripes is passed over here: there is nothing that could differ from it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/text.h"
#include "pfs/pfs_internal.h"

#define OSTS_SHOWN 16

int pfs_open_new(const struct pfs_new *n, int flags)
{
	/*
	 * With the owner's bits, since a layout is set by xattr, which asks for the right
	 * to write the file where an open descriptor has it already. pfs_create sees to
	 * the rest.
	 */
	int fd = openat(n->dirfd, n->name,
		O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags,
		n->wish ? n->mode | 0600 : n->mode);

	return fd < 0 ? -errno : fd;
}

int pfs_undo(const struct pfs_new *n, int code)
{
	unlinkat(n->dirfd, n->name, 0);
	return code;
}

int pfs_fail_new(const struct pfs_new *n, int code, struct ebt_err *err)
{
	char name[256], list[OSTS_SHOWN * 12 + 8] = "", size[TEXT_SIZE];
	const struct pfs_stripes *w = n->wish;
	size_t at = 0;

	text_name(n->name, name, sizeof(name));
	if (!w)
		return ebt_fail(err, code, "create %s", name);
	for (uint32_t i = 0; w->osts && i < w->count && i < OSTS_SHOWN; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%u",
			i ? ", " : "", w->osts[i]);
	if (w->osts && w->count > OSTS_SHOWN)
		snprintf(list + at, sizeof(list) - at, ", ...");
	return ebt_fail(err, code, "create %s, %u stripes of %s%s%s", name, w->count,
		w->size ? text_size(w->size, size) : "default size",
		w->osts ? " on OSTs " : "", list);
}

static int create(const struct pfs_new *n, struct pfs_layout **got, bool *kept,
	struct ebt_err *err)
{
	struct pfs_new bare = {n->dirfd, n->name, n->mode, NULL};
	int fd = pfs_open_new(&bare, 0);

	return fd < 0 ? pfs_fail_new(&bare, fd, err) : fd;
}

static int no_layout(int fd, struct pfs_layout **out)
{
	return 0;
}

static int no_targets(const char *path, struct pfs_targets **out, struct ebt_err *err)
{
	return 0;
}

const struct pfs_calls pfs_plain = {
	.name = "plain",
	.create = create,
	.layout = no_layout,
	.targets = no_targets,
};
