/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hard links of an archive. Any file may get further names up to its end, when it was brought long
 * ago, and a name may be given anew. So links are remembered and made at the end, all of one file
 * together: its entry is among those at hand, or was brought and is named again as being here.
 *
 * Memory: the names, and 40 bytes a link. Not thread-safe.
 */
#ifndef STAGE_UNPACK_LINKS_H
#define STAGE_UNPACK_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "ebt/err.h"
#include "manifest/manifest.h"

enum unpack_link_flag {
	UNPACK_LINK_AGAIN = 1,	  /* something else had the path */
	UNPACK_LINK_FILLS = 2,	  /* it brought content of its target */
	UNPACK_LINK_UNWANTED = 4, /* and nothing else: rules leave it out */
};
/* In the order in which they came. */
struct unpack_link {
	char *path, *target; /* target NULL: from here on @path is a file of its own */
	uint64_t seq;
	unsigned flags;
};
struct unpack_links {
	struct unpack_link *of;
	size_t n, room;
};

void unpack_links_release(struct unpack_links *l);
/* @path is another name of @target. @flags: enum unpack_link_flag. */
int unpack_links_add(struct unpack_links *l, const char *path, const char *target,
	unsigned flags, struct ebt_err *err);
/* A file came by a name that was there. */
int unpack_links_replaced(
	struct unpack_links *l, const char *path, struct ebt_err *err);

/* As of struct unpack_input. */
struct unpack_brought {
	bool (*find)(void *arg, const char *path, struct manifest_entry *e,
		const char **source);
	void *arg;
};
/*
 * The archive @name has ended: its links are added to flat @to, which may have their files. Those
 * that it has not are found in @b, and added with MANIFEST_HERE. -EINVAL names a link whose file was
 * left out, or was replaced after it, or that brought content of another link.
 */
int unpack_links_resolve(struct unpack_links *l, const char *name, struct manifest *to,
	const struct unpack_brought *b, struct ebt_err *err);

#endif
