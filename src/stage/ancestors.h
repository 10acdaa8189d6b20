/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories that earlier batches had, so that each batch is a tree: what is found later in one
 * of them brings it and those above it along once more. Memory: an entry and 8 bytes a directory.
 */
#ifndef STAGE_ANCESTORS_H
#define STAGE_ANCESTORS_H

#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"

struct ancestors;

int ancestors_new(struct ancestors **out, struct ebt_err *err);
void ancestors_free(struct ancestors *a);
DEFINE_SCOPED(struct ancestors, ancestors_free)

/*
 * Flat @m, the next batch, gets the directories that it lacks, as far as earlier ones had them;
 * its own are remembered.
 */
int ancestors_complete(struct ancestors *a, struct manifest *m, struct ebt_err *err);

#endif
