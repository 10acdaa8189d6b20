/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the members of an archive lie, and what any of its bytes are. Pure.
 *
 *	| header | content | zeros | header | content | zeros | ... | end mark |
 *	         ^ data            ^ a multiple of 512
 *
 * Members of one node, one behind the other, are an archive without its end: a part of a larger one.
 *
 * Cost: 40 bytes for a member.
 */
#ifndef ARCHIVE_MEMBERS_H
#define ARCHIVE_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"

#define MEMBERS_END 1024 /* bytes of the end mark, which are zero */

struct members_place {
	uint64_t header, data; /* bytes of the archive where they begin */
	uint64_t packed;       /* bytes of content in the archive */
	/* The content is these parts of the file, back to back; NULL: it is the file. */
	const struct manifest_extent *extents;
	uint32_t n_extents;
};

/* In the order of the archive. Zeroed: none, and they begin with the archive. */
struct members {
	struct members_place *places;
	size_t n, cap;
	uint64_t end; /* byte of the archive where the last one's padding ends */
};
void members_release(struct members *m);
#define SCOPED_MEMBERS SCOPED(members_release)

/* *end, where a member begins, becomes where the next one does. -EOVERFLOW where offsets end. */
int members_end(uint64_t *end, uint64_t room, uint64_t packed, struct ebt_err *err);
/*
 * One more behind the others: @room bytes of header, a multiple of 512, and @packed bytes of
 * content. -EOVERFLOW where offsets end.
 */
int members_add(struct members *m, uint64_t room, uint64_t packed, struct ebt_err *err);
/* The same of a sparse one, of which @extents follow. They stay the caller's, and there. */
int members_add_sparse(struct members *m, uint64_t room,
	const struct manifest_extent *extents, uint32_t n, struct ebt_err *err);
/* Bytes of the archive, if these are the last in it. */
static inline uint64_t members_total(const struct members *m)
{
	return m->end + MEMBERS_END;
}
/* The member that has byte @off, padding included; m->n behind the last. */
size_t members_find(const struct members *m, uint64_t off);

enum members_kind {
	MEMBERS_HEADER,
	MEMBERS_CONTENT,
	MEMBERS_ZEROS, /* padding, or the end mark */
};
struct members_piece {
	enum members_kind kind;
	size_t member;	  /* m->n: the end mark, and what lies behind it */
	uint64_t at, len; /* bytes of the archive; len is not 0 */
	uint64_t from;	  /* byte of the header or of the file that comes there */
};

/*
 * What makes up the bytes [off, off + len) of the archive, piece by piece, ascending. Finding the
 * first costs a step for each extent before it in its file.
 */
struct members_walk {
	const struct members *m;
	uint64_t at, end;
	size_t member;
	uint32_t extent;    /* of the member: the one where the walk is */
	uint64_t extent_at; /* byte of the archive where that one begins */
};
struct members_walk members_walk(const struct members *m, uint64_t off, uint64_t len);
/* False at the end of the range. */
bool members_next(struct members_walk *w, struct members_piece *piece);

#endif
