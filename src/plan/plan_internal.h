/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLAN_PLAN_INTERNAL_H
#define PLAN_PLAN_INTERNAL_H

#include "plan/plan.h"

/* Bytes that there are to move. -EOVERFLOW if no plan can hold it all. */
int plan_measure(const struct manifest *m, const uint64_t *need, uint64_t *bytes,
	struct ebt_err *err);
/* Fills streams[] of a plan whose bytes, parcel and number of streams are set. */
int plan_deal(const struct manifest *m, const uint64_t *need, struct plan *p,
	struct ebt_err *err);

#endif
