/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose quota is used up. A call says only that one is: EDQUOT, or of a project's on XFS ENOSPC.
 * Which one follows from what the kernel tells of usage and limits, as far as it does. The rules are
 * pure: quota_rules.c.
 */
#ifndef DRAIN_QUOTA_H
#define DRAIN_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fsio/fsio.h"

#define QUOTA_TYPES 3 /* enum fsio_quota_type */

/* What a file is counted for. */
struct quota_of {
	uint32_t id[QUOTA_TYPES]; /* project 0: none that is known of */
};

/* What can be said of one of them, ascending by how much that makes it the one. */
enum quota_says {
	QUOTA_NONE,    /* no quota, or no limit */
	QUOTA_ROOM,    /* it has room */
	QUOTA_UNKNOWN, /* nobody tells */
	QUOTA_NEAR,    /* not with all that was in work */
	QUOTA_REACHED, /* it is used up */
};

struct quota_need {
	uint64_t bytes;	  /* that found no room */
	uint64_t in_work; /* with what others were writing then, at most */
	int64_t now;	  /* seconds of the clock */
};

/* @r: what fsio_quota_of returned, with *q if that is 0. */
enum quota_says quota_judge(
	int r, const struct fsio_quota *q, const struct quota_need *need);
/*
 * A bit per type: those that are used up, or the only one that it can have been. 0: it cannot be
 * told. @code: -EDQUOT or -ENOSPC.
 */
unsigned quota_whose(int code, const enum quota_says says[QUOTA_TYPES]);
/* What counts for @b finds no room if what counts for @a found none, by @whose quota or 0. */
bool quota_covers(
	int code, unsigned whose, const struct quota_of *a, const struct quota_of *b);

/* quota.c. Of what we make in directory @dirfd, which may be O_PATH. */
void quota_of_dir(int dirfd, struct quota_of *of);
/* Asks the kernel: as quota_whose. */
unsigned quota_ask(int dirfd, const struct quota_of *of, int code, uint64_t bytes,
	uint64_t in_work);
/*
 * "quota of group NAME (5)"; several with "and"; if @whose is 0 "counted for user 1, group 5,
 * project 7", or nothing where that does not matter. @out holds QUOTA_TEXT bytes.
 */
#define QUOTA_TEXT 320
const char *quota_text(int code, unsigned whose, const struct quota_of *of, char *out);
/* The same behind the text of @err, in brackets. */
void quota_add(struct ebt_err *err, unsigned whose, const struct quota_of *of);

#endif
