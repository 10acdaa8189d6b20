/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STAGE_REPORT_H
#define STAGE_REPORT_H

#include "base/buf.h"
#include "stage/stage_internal.h"

/* Seconds of each phase, of the slowest node. */
struct stage_times {
	double start, scan, stream, publish;
};

/* Collective over nodes: fills @rep; what is per node only on the first. */
int stage_report_all(struct stage *st, const struct stage_times *t,
	struct ebt_stage_report *rep, struct ebt_err *err);

/*
 * osts.c: a line an OST on what the plan reads from it, and the same in rep->ost; nothing
 * unless the first source is on Lustre. Asks the file system about every file. -EINTR when the
 * user wants us to stop.
 */
int stage_describe_osts(const struct stage *st, struct buf *b,
	struct ebt_stage_report *rep, struct ebt_err *err);

#endif
