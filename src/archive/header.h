/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands in front of a member's content in a pax archive, as bytes. With that, members can be
 * written in any order and from anywhere, once it is known where each begins.
 *
 *	| pax header, records | header | sparse map | content ...
 *	|<-------------- these bytes -------------->|
 *
 * A header can be asked to fill more room than it needs. So where everything lies can be settled
 * before it is known under which of its names a file ends up, or what its times will be.
 */
#ifndef ARCHIVE_HEADER_H
#define ARCHIVE_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"

#define HEADER_BLOCK	  512 /* bytes: of multiples of that an archive is made */
#define HEADER_SUFFIX	  16 /* bytes that a name may become longer: ".ebt-missing.999" */
#define HEADER_HOLES	  (1u << 20) /* bytes that a sparse map must save */
#define HEADER_HOLES_PART 8	     /* and the part of the size, one of so many */

struct header {
	/* Its name is not looked at; uid and gid go into the archive also with no_owner. */
	const struct manifest_entry *e;
	const char *path; /* all of it; without a final '/' also for directories */
	/* Path of the member whose inode this is another name of; NULL: it has its own. */
	const char *link;
	bool sparse; /* only the data of e->extents follows: see header_sparse */
};

/*
 * Is it worth while to leave holes out? Not every program knows what a sparse member is (busybox
 * takes the map for content), so they have to save something.
 */
static inline bool header_sparse(const struct manifest_entry *e)
{
	uint64_t holes = e->size - manifest_data(e);

	return e->kind == MANIFEST_FILE && holes >= HEADER_HOLES &&
	       holes >= e->size / HEADER_HOLES_PART;
}
/* Bytes of content behind the header, without what pads them. */
static inline uint64_t header_packed(const struct header *h)
{
	if (h->e->kind != MANIFEST_FILE || h->link)
		return 0;
	return h->sparse ? manifest_data(h->e) : h->e->size;
}

/* Makes headers. Any number of threads may share one. -ENOTSUP: built without libarchive. */
struct header_maker;
int header_maker_new(struct header_maker **out, struct ebt_err *err);
void header_maker_free(struct header_maker *m);
DEFINE_SCOPED(struct header_maker, header_maker_free)

/*
 * The bytes that the header takes by itself. A failure, of this and the others, is -ENOMEM or
 * about this one member: -EINVAL, it cannot be said in an archive; -EBADMSG, its extended
 * attributes are damaged. The text has the path.
 */
int header_length(const struct header_maker *m, const struct header *h,
	uint64_t *length, struct ebt_err *err);
/* Room for it whichever of up to HEADER_SUFFIX bytes its name and its link's have more. */
int header_room(const struct header_maker *m, const struct header *h, uint64_t *room,
	struct ebt_err *err);
/*
 * Appends the header, exactly @room bytes of it; 0: as many as it takes. Fits are its length
 * and, where that is HEADER_BLOCK, three blocks or more, else any number of blocks more.
 * -ENOSPC: it does not fit. Nothing is appended on failure.
 */
int header_make(const struct header_maker *m, const struct header *h, uint64_t room,
	struct buf *out, struct ebt_err *err);

#endif
