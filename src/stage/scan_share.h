/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STAGE_SCAN_SHARE_H
#define STAGE_SCAN_SHARE_H

#include "scan/scan.h"
#include "stage/stage_internal.h"

/*
 * Collective over readers, also while they walk. Evens out the items. 1: there are some, or will
 * be, or a reader has @more of another kind; 0: none is left anywhere; negative: a reader has
 * @failed, and who has not may end the walk. *found: this one has found something, then whether any has.
 */
int scan_share_all(struct scan *s, const struct transport *readers, bool failed,
	bool more, bool *found);

#endif
