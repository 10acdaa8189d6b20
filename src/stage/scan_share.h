/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STAGE_SCAN_SHARE_H
#define STAGE_SCAN_SHARE_H

#include "scan/scan.h"
#include "stage/stage_internal.h"

/* Collective over readers. Evens out the items; false: none left anywhere. */
bool scan_share_all(struct scan *s, MPI_Comm readers, bool failed);

#endif
