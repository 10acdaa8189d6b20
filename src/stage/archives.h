/* SPDX-License-Identifier: BSD-3-Clause */
/* Archives among the sources, as the scan sees them: what they hold goes with its batches. */
#ifndef STAGE_ARCHIVES_H
#define STAGE_ARCHIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "stage/stage_internal.h"
#include "stage/unpack.h"

enum archive_kind {
	ARCHIVE_FILE = 'f',
	ARCHIVE_PIPED = 'p', /* only one process can read it: the first reader */
};

/* Those of this reader. From zeros, which is none. */
struct archives {
	struct unpack_input in;
	struct unpack *unpack;	  /* NULL: this reader has none */
	struct manifest *members; /* flat: taken, not appended yet */
	bool more;		  /* will come after what was taken */
};

uint32_t archives_count(const struct buf *names); /* as stage_roots has them */
/*
 * Of @names every so-manieth, and what only one can read to the first: in->archives, which point
 * there, and in->numbers. Both are the caller's to free, also after a failure.
 */
int archives_deal(const struct buf *names, uint32_t rank, uint32_t readers,
	struct unpack_input *in, struct ebt_err *err);

struct archives_input {
	const struct buf *names; /* of all archives, as stage_roots has them */
	uint32_t rank, readers;	 /* this one of how many */
	uint64_t most, hold;	 /* as of struct unpack_input */
	struct ahead *ahead;
};

/* Its archives begin to be unpacked, beside the walk. @st and names must outlast them. */
int archives_open(struct archives *a, struct stage *st, const struct archives_input *in,
	struct ebt_err *err);
void archives_close(struct archives *a);
/* What they do comes to nothing. */
void archives_stop(struct archives *a);

/* Nothing is to be waited for before what was found is taken. */
bool archives_wait(const struct archives *a);
/* They stand still until archives_take, while what they fill may be exchanged. */
void archives_hold(struct archives *a, struct stage *st);
/* What was found is taken, *feed is what it is to be read from; they go on, with @ahead. */
int archives_take(struct archives *a, struct ahead *ahead, struct source_feed **feed,
	struct ebt_err *err);
bool archives_found(const struct archives *a); /* something was taken */
/* Something will come. @whole: all of it is to be taken in one go. */
bool archives_more(const struct archives *a, bool whole);
/* What was taken goes to the end of flat @to. */
int archives_append(struct archives *a, struct manifest *to, struct ebt_err *err);

/*
 * On the first node: -EEXIST if something in batch @m has the name of what another source brought
 * before, unless both are directories.
 */
int archives_meet(
	const struct stage_kept *before, const struct manifest *m, struct ebt_err *err);

#endif
