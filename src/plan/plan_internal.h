/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLAN_PLAN_INTERNAL_H
#define PLAN_PLAN_INTERNAL_H

#include "plan/plan.h"

#define PLAN_STRIPES_MAX (4u << 20) /* pieces of files that are dealt by OST */

/* Bytes that there are to move. -EOVERFLOW if no plan can hold it all. */
int plan_measure(const struct manifest *m, const uint64_t *need, uint64_t *bytes,
	struct ebt_err *err);
/*
 * How many streams of the longest one's length the content makes: what a reader has read ahead is
 * sent by none but this one, so several readers can be as slow as one. @p: its bytes, and readers.
 */
int plan_even(const struct manifest *m, const uint64_t *need, const struct plan *p,
	uint32_t *streams, struct ebt_err *err);
/*
 * Fills streams[] of a plan whose bytes, parcel and number of streams are set. @layouts may
 * be NULL.
 */
int plan_deal(const struct manifest *m, const uint64_t *need,
	const struct plan_layouts *layouts, struct plan *p, struct ebt_err *err);

/*
 * plan_osts.c: which reader has which OST. Start from zeros; without OSTs that hold
 * anything all of it stays so.
 */
struct plan_ost {
	uint64_t bytes; /* to be read from it */
	uint64_t base;	/* bytes on the OSTs before it */
	uint64_t at;	/* of its bytes, how many are dealt */
	uint32_t index;
	uint32_t reader; /* unless shared */
};
struct plan_osts {
	const struct plan_layouts *layouts;
	bool *use;	      /* of each layout: the file is dealt by it */
	struct plan_ost *ost; /* ascending by index */
	uint32_t count, cap;
	uint32_t *slot; /* of each OST of the layout at hand: its place in ost[] */
	uint64_t bytes; /* on all of them */
	bool shared;	/* fewer OSTs than readers: an OST is dealt by ranges */
};
void plan_osts_release(struct plan_osts *o);
/* Decides it. *load: bytes that each of @p's readers gets; zeros before. */
int plan_osts_deal(const struct manifest *m, const uint64_t *need, const struct plan *p,
	struct plan_osts *o, uint64_t *load, struct ebt_err *err);
/*
 * The layout by which entry @i is dealt, or NULL; o->slot is then that of it. Entries are
 * asked for in their order; @next starts from 0.
 */
const struct pfs_layout *plan_osts_layout(
	struct plan_osts *o, uint32_t i, uint32_t *next);

/* The stripes of a range of a file, ascending. */
struct plan_stripes {
	const struct pfs_layout *layout;
	uint64_t off, end;
	uint32_t part;
};
struct plan_stripe {
	uint64_t off, len;
	uint32_t ost; /* index into layout->osts; MANIFEST_NONE: on no OST */
};
bool plan_stripes_next(struct plan_stripes *w, struct plan_stripe *s);

/*
 * plan_turns.c: reorders the parcels of a stream so that the OSTs (@lanes, below
 * @n_lanes, one a parcel) take turns, with no more than about @files open at a time.
 */
int plan_turns(struct plan_stream *s, const uint32_t *lanes, uint32_t n_lanes,
	uint32_t files, struct ebt_err *err);

#endif
