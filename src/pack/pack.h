/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Into parcels and out of them. A packer reads what the plan gives its reader and fills
 * parcels; an unpacker writes what parcels hold below the incoming tree of a store. Both
 * hash every byte once, leaf by leaf: the packer to put a digest on each parcel, the
 * unpacker to check it before anything is written; both sum up the digests of files in the
 * manifest.
 *
 * packer_fill and unpacker_store may be called from any number of threads, on different
 * parcels.
 */
#ifndef PACK_PACK_H
#define PACK_PACK_H

#include <stdint.h>

#include "base/activity.h"
#include "base/scope.h"
#include "ebt/err.h"
#include "fsio/fsio.h"
#include "manifest/manifest.h"
#include "pack/ahead.h"
#include "pack/parcel.h"
#include "plan/plan.h"
#include "plan/rates.h"
#include "source/source.h"

/*
 * Directory that a thread used last, open: neighbours in a manifest share it. One for sources
 * and one for targets a thread. Start from PACK_PLACE_INIT.
 */
struct pack_place {
	uint32_t source, dir; /* meaningful where fd is open */
	int fd;
};
#define PACK_PLACE_INIT                                                                \
	{                                                                              \
		.fd = -1                                                               \
	}
void pack_place_end(struct pack_place *place);
#define SCOPED_PLACE SCOPED(pack_place_end)

struct packer;

/*
 * For stream @stream of the plan. Each source file is opened once, however many parcels it
 * fills, and must still be what the scan saw when its last byte has been read. What is in @ahead
 * (or NULL) is taken from there.
 */
int packer_new(struct manifest *m, const struct plan *plan, uint32_t stream,
	const struct ahead *ahead, struct packer **out, struct ebt_err *err);
void packer_free(struct packer *p);
DEFINE_SCOPED(struct packer, packer_free)
/* Before any parcel: who ends the wait for an open that is tried again, and counts it. */
void packer_be_patient(struct packer *p, const struct fsio_patience *how);
/* Likewise: what it is at shows in @a. */
void packer_show(struct packer *p, struct activity *a);
/* Likewise: the content of one entry comes from @f. */
void packer_feed(struct packer *p, struct source_feed *f);
/*
 * Fill parcel number @seq: payload, header, digests of its files into the manifest. A file
 * that cannot be read or is not what the scan saw gives an error that names it.
 */
int packer_fill(struct packer *p, uint64_t seq, struct parcel *parcel,
	struct pack_place *from, struct ebt_err *err);
/*
 * Looks at some of the files that have no content, @need as for the plan: errors as from
 * packer_fill, also for one that has content after all. 1: this stream's share of them is done.
 * Any number of threads.
 */
int packer_look(struct packer *p, const uint64_t *need, struct pack_place *from,
	struct ebt_err *err);
uint64_t packer_bytes(const struct packer *p); /* of sources so far */
/* Adds how fast they were read. */
void packer_rate(const struct packer *p, struct rates_busy *sum);

struct unpacker;

/*
 * Below @treefd, which stays the caller's. Clear bits in @need are left out (NULL: none). The
 * tree is private to the run, so creating with O_EXCL is safe there.
 */
int unpacker_new(struct manifest *m, const uint64_t *need, const struct plan *plan,
	int treefd, struct unpacker **out, struct ebt_err *err);
/* Before anything else: what it is at shows in @a. */
void unpacker_show(struct unpacker *u, struct activity *a);
void unpacker_free(struct unpacker *u); /* closes what a failure left open */
DEFINE_SCOPED(struct unpacker, unpacker_free)

/* All directories, 0700 for now. Once, before all else. */
int unpacker_begin(struct unpacker *u, struct ebt_err *err);
/*
 * Some of the symlinks and of the files without content. 1: there were none left to begin with. Any
 * number of threads, beside unpacker_store.
 */
int unpacker_small(struct unpacker *u, struct pack_place *to, struct ebt_err *err);
/*
 * Check the parcel, its content at parcel->content, against its header and the plan: -EBADMSG if they differ. Then write its
 * files; one that is complete gets its attributes and is closed, and the close is checked.
 */
int unpacker_store(struct unpacker *u, const struct parcel *parcel,
	struct pack_place *to, struct ebt_err *err);
/* The parcel is not what it was, @why without a name: returns its code, with the name of a file. */
int unpacker_damaged(const struct unpacker *u, const struct parcel *parcel,
	const struct ebt_err *why, struct ebt_err *err);
/* Later names of hard links. Once, after all parcels and all that is small; -EIO if a file is not complete. */
int unpacker_finish(struct unpacker *u, struct ebt_err *err);
uint64_t unpacker_bytes(const struct unpacker *u); /* written so far */
void unpacker_rate(const struct unpacker *u, struct rates_busy *sum);

/*
 * For a node alone: what packer_fill and unpacker_store would do with parcel number @seq, but
 * @buffer, which has @size bytes (DIGEST_LEAF at least), is all the memory it takes. Any
 * number of threads, on different parcels.
 */
int pack_copy(struct packer *p, struct unpacker *u, uint64_t seq, void *buffer,
	size_t size, struct pack_place *from, struct pack_place *to,
	struct ebt_err *err);

#endif
