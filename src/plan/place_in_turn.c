/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether small files need a place at all. A file system that is not asked deals them out in
 * turn, one to a target, whatever their sizes. Then a target gets its part of their bytes, give
 * or take one file and what chance makes of unequal ones: with n files of variance v each, sums
 * have a standard deviation of sqrt(n v). Where that leaves every target level, counting what
 * lies there of big files, choosing gains nothing.
 */
#include <math.h>

#include "plan/place_internal.h"

#define DEVIATIONS 2.0 /* of a sum, that are allowed for */

bool place_in_turn(const struct place *p, uint64_t files, double squares)
{
	double small = 0, total = 0, part, mean, variance, off;

	for (uint32_t i = 0; i < p->n_slots; i++) {
		small += (double)p->slots[i].quota;
		total += (double)(p->slots[i].quota + p->slots[i].load);
	}
	if (files == 0 || p->n_slots < 2)
		return false;
	small = fmax(small - (double)(p->file_cost * files), 0);
	part = (double)files / p->n_slots;
	mean = small / (double)files;
	variance = fmax(squares / (double)files - mean * mean, 0);
	off = mean + DEVIATIONS * sqrt(part * variance);
	for (uint32_t i = 0; i < p->n_slots; i++) {
		const struct place_slot *s = &p->slots[i];
		double share = total * s->weight / p->weights;

		if ((double)s->load + part * (mean + (double)p->file_cost) + off >
			PLACE_LEVEL * share)
			return false;
	}
	return true;
}
