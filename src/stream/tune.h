/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Automatic compression on a reader: what threads measure for plan/compress_watch.h, and what it
 * tells them to do. Calls marked "main" are for the thread that carries, others for any.
 */
#ifndef STREAM_TUNE_H
#define STREAM_TUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/block.h"
#include "pack/parcel.h"
#include "plan/compress_watch.h"

/* The ways that are built in, the cheapest first; how many. */
int tuner_ways(struct block_way ways[COMPRESS_WAYS]);

struct tuner;

/* @watch stays the caller's, and keeps what was learnt for the next batch. */
int tuner_new(struct compress_watch *watch, struct tuner **out, struct ebt_err *err);
void tuner_free(struct tuner *t);
DEFINE_SCOPED(struct tuner, tuner_free)

/* Waits while enough of @taken parcels is on its way to tell the link's rate. */
void tuner_wait(struct tuner *t, uint64_t taken);
/* Ends all waiting. */
void tuner_close(struct tuner *t);
/*
 * The next parcel, filled: 1 and *way, or 0: it goes as it is. Some of it may be compressed for
 * trial, in the buffer of @spare.
 */
int tuner_next(struct tuner *t, const struct parcel *p, struct parcel *spare,
	struct block *b, struct block_way *way, struct ebt_err *err);
/* Then: parcel_compress, and what is to be learnt from it. */
int tuner_compress(struct tuner *t, struct parcel *p, struct parcel *spare,
	struct block *b, const struct block_way *way, struct ebt_err *err);
/* Content was read, or written as it came; by one thread in so many seconds. */
void tuner_read(struct tuner *t, uint64_t bytes, double seconds);
void tuner_written(struct tuner *t, uint64_t bytes, double seconds);

/* Main: a parcel is here, from wherever, to be sent so often. */
void tuner_came(struct tuner *t, const struct parcel *p, unsigned sends);
/* Main: a send begins, and ends; @last: of those of a parcel from here. */
void tuner_sends(struct tuner *t, const struct parcel *p);
void tuner_sent(struct tuner *t, const struct parcel *p, bool last);

#endif
