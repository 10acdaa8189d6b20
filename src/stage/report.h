/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STAGE_REPORT_H
#define STAGE_REPORT_H

#include "stage/stage_internal.h"

/* Seconds of each phase, of the slowest node. */
struct stage_times {
	double start, scan, stream, publish;
};

/* Collective over nodes: fills @rep; what is per node only on the first. */
int stage_report_all(struct stage *st, const struct stage_times *t,
	struct ebt_stage_report *rep, struct ebt_err *err);

#endif
