/* SPDX-License-Identifier: BSD-3-Clause */
/* What the public calls share: opening a run on a communicator, its common end. */
#ifndef STAGE_RUN_H
#define STAGE_RUN_H

#include "stage/stage_internal.h"

/*
 * Collective. Communicators, cost model, filter. On ranks that only share a node with a first
 * rank, st->nodes is MPI_COMM_NULL: they go straight to stage_result_all.
 */
int stage_open_all(struct stage *st, MPI_Comm comm, const struct ebt_stage_options *o,
	struct ebt_err *err);
void stage_close(struct stage *st);
/* Collective over all ranks: the result of the nodes becomes everybody's. */
int stage_result_all(struct stage *st, int code, struct ebt_err *err);

#endif
