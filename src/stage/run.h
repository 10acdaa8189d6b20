/* SPDX-License-Identifier: BSD-3-Clause */
/* What the public calls share: opening a run on a communicator and closing it. */
#ifndef STAGE_RUN_H
#define STAGE_RUN_H

#include "stage/stage_internal.h"

/* Collective. As job_open_all, and the cost model. */
int stage_open_all(struct stage *st, MPI_Comm comm, const struct ebt_stage_options *o,
	struct ebt_err *err);
void stage_close(struct stage *st);

#endif
