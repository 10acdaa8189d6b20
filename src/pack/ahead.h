/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content of small files that the walk reads while it has them open to look at them, so that
 * the metadata server is asked once for each. It waits in memory until the plan gives it to a
 * parcel of the node that has it.
 */
#ifndef PACK_AHEAD_H
#define PACK_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"

#define AHEAD_FILE_MAX                                                                 \
	(1u << 20) /* bytes: with larger ones a request more is nothing */

struct ahead;

/*
 * At most @memory bytes, those for finding what is there included; none before it is needed.
 * @dry: nothing is read, it is only found out what would be.
 */
int ahead_new(uint64_t memory, bool dry, struct ahead **out, struct ebt_err *err);
void ahead_free(struct ahead *a);
DEFINE_SCOPED(struct ahead, ahead_free)

/*
 * All of file @fd, which is @e as fstat has just told, is read: 1. 0: it is not here, because it
 * is large, or cannot be read or changes meanwhile. -ENOSPC: there is no room for it, and little for
 * others. Any thread.
 */
int ahead_read(struct ahead *a, int fd, const struct manifest_entry *e);
/*
 * Room for the content of @e, which is here from now on: all of it has to be there before anybody
 * asks. NULL: there is no room, or it is here. Not together with ahead_read of what is larger.
 */
unsigned char *ahead_room(struct ahead *a, const struct manifest_entry *e);
/* The content of a file that is here, or NULL. Not together with ahead_read. */
const unsigned char *ahead_find(const struct ahead *a, const struct manifest_entry *e);
/* Nothing is here any more, but the memory is kept for what will be. */
void ahead_clear(struct ahead *a);
uint64_t ahead_memory(const struct ahead *a); /* bytes taken so far */

#endif
