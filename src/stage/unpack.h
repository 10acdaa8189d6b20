/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Archives as sources: a thread beside the walk takes them apart, one after the other, into flat
 * entries and content, which go with the batches of what the walk finds. What the walk is for
 * trees this is for archives; a reader has one of each.
 *
 *   small members    their content goes where the walk puts what it reads ahead
 *   large ones       in a plain tar nobody reads them here: any reader does, at their place;
 *                    decoded ones are the last of a batch, and whoever fills its parcels has them
 *                    decoded into these, in order: a feed
 *   hard links       wait for the end of their archive, see unpack_links.h
 *
 * The thread waits where there is no memory left, after as many entries as a batch may have, and
 * until a feed was read or nobody wants it. Memory: what the decoder and the table of names take.
 */
#ifndef STAGE_UNPACK_H
#define STAGE_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/activity.h"
#include "base/log.h"
#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/filter.h"
#include "manifest/manifest.h"
#include "pack/ahead.h"
#include "source/source.h"

#define UNPACK_STDIN "/dev/stdin" /* as the source of what comes from there */

/* All stays the caller's. */
struct unpack_input {
	const char **archives; /* absolute, or UNPACK_STDIN for descriptor 0 */
	uint32_t n;
	uint32_t *numbers; /* of each of them, in the run */
	uint32_t node;
	const struct filter *filter;
	bool no_owner, no_xattrs, concatenated;
	bool dry;	  /* no content is wanted */
	unsigned threads; /* of a decoder */
	uint64_t most;	  /* entries of a batch, or 0 */
	uint64_t hold;	 /* bytes of a decoded member that is kept in memory, at most */
	uint64_t *found; /* atomic: entries so far */
	int (*stopped)(void *arg, struct ebt_err *err); /* any thread */
	void *stopped_arg;
	struct activity *activity;
	const struct log *log;
	/* The entry of a file that an earlier batch brought, by its path. False: there is none. */
	bool (*brought)(void *arg, const char *path, struct manifest_entry *e,
		const char **source);
	void *brought_arg;
};

struct unpack;
/* @ahead: where content goes until unpack_go_on brings another. */
int unpack_start(const struct unpack_input *in, struct ahead *ahead,
	struct unpack **out, struct ebt_err *err);
/* What it does comes to nothing: it ends soon. Any thread. */
void unpack_stop(struct unpack *u);
/* Ends it wherever it stands. */
void unpack_end(struct unpack *u);
DEFINE_SCOPED(struct unpack, unpack_end)

/* From here on the thread that takes what was found. True: nothing comes until that was done. */
bool unpack_waits(const struct unpack *u);
bool unpack_over(const struct unpack *u); /* for good */
/*
 * Waits until it is between two members, where it stays; @turn is called meanwhile. What an earlier
 * batch could have read from its feed is not wanted any more.
 */
void unpack_hold(struct unpack *u, void (*turn)(void *arg), void *arg);
/*
 * Held: what was found since the last time is added to flat @to. *feed is what its last entry comes
 * from, or NULL. 1: more will come; 0: that was all; or what the thread came to.
 */
int unpack_take(struct unpack *u, struct manifest *to, struct source_feed **feed,
	struct ebt_err *err);
void unpack_go_on(struct unpack *u, struct ahead *ahead);

#endif
