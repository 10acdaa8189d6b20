/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How loaded targets are by plan, and who steps in for one that turned bad. The golden
 * ratio times 0, 1, 2, ... modulo 1 is the sequence whose first n members lie as
 * evenly as can be for every n at once, so any number of calls with consecutive
 * counters spreads well, also over stretches of unequal length.
 */
#include "plan/place_internal.h"

#define SCALE (1u << 20) /* of a share as an integer */

static uint64_t planned(const struct place *p, const struct place_slot *s)
{
	uint64_t cost = p->slots[p->n_slots].edge, big = p->slots[p->n_slots].load;

	if (cost == 0)
		return s->load;
	return s->load +
	       (uint64_t)((unsigned __int128)s->quota * (p->bytes - big) / cost);
}

uint64_t place_planned(const struct place *p, uint32_t target)
{
	uint32_t slot = p->slot_of[target];

	return slot == PLACE_NONE ? 0 : planned(p, &p->slots[slot]);
}

double place_level(const struct place *p)
{
	double share = (double)p->bytes / p->weights, most = 0;

	for (uint32_t i = 0; i < p->n_slots; i++) {
		double load = (double)planned(p, &p->slots[i]) / p->slots[i].weight;

		most = load > most ? load : most;
	}
	return p->bytes ? most / share : 1;
}

static bool among(const uint32_t *list, uint32_t n, uint32_t target)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i] == target)
			return true;
	return false;
}

/*
 * How many of SCALE substitutes a slot should get for its weight: one if it is as
 * loaded as it should be, up to two below that, and never none, as all may be
 * overloaded.
 */
static uint64_t readiness(
	const struct place *p, const struct place_slot *s, const struct place_ask *ask)
{
	double share = (double)p->bytes / p->weights, ready = 1;
	uint64_t load = planned(p, s);

	if (ask->bad[s->target] || among(ask->taken, ask->n_taken, s->target))
		return 0;
	if (s->room < load || s->room - load < ask->bytes)
		return 0;
	if (share > 0)
		ready = 2 - (double)load / s->weight / share;
	if (ready < 0.1)
		ready = 0.1;
	return (uint64_t)(ready * s->weight * p->n_slots / p->weights * SCALE) + 1;
}

uint32_t place_substitute(const struct place *p, const struct place_ask *ask)
{
	uint64_t sum = 0, at;

	for (uint32_t i = 0; i < p->n_slots; i++)
		sum += readiness(p, &p->slots[i], ask);
	at = (uint64_t)((unsigned __int128)(ask->counter * PLACE_GOLDEN) * sum >> 64);
	for (uint32_t i = 0; i < p->n_slots; i++) {
		uint64_t part = readiness(p, &p->slots[i], ask);

		if (at < part)
			return p->slots[i].target;
		at -= part;
	}
	return PLACE_NONE;
}
