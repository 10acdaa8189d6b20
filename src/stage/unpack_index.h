/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The index beside an archive, as ebt-drain writes it: where rules leave most of it out, only
 * what is wanted is read of it. The index is a hint. One that is not of this archive, or is
 * damaged, is as good as none; and before anything is taken from the archive all headers that are
 * to be read are compared with what it says. So what it says wrongly costs time, and nothing else.
 */
#ifndef STAGE_UNPACK_INDEX_H
#define STAGE_UNPACK_INDEX_H

#include <sys/stat.h>

#include "archive/picks.h"
#include "archive/unarchive.h"
#include "base/activity.h"
#include "base/log.h"

#define UNPACK_INDEX ".idx" /* behind the name of the archive */

struct unpack_index {
	const char *path; /* of the archive */
	int fd;		  /* it, open */
	const struct stat *st;
	const struct unarchive_options *how; /* it will be read */
	picks_wants_fn wants;
	void *arg;
	struct activity *activity;
	const struct log *log;
};

/* What is to be read of it; NULL: all, and why is told to who asks for more messages. */
struct picks *unpack_index_picks(const struct unpack_index *x);

#endif
