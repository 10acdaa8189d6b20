/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From options to a plan: how many readers, which schedule, how large a parcel. What is
 * read by whom is plan_deal.c, reading the result plan_walk.c.
 */
#include "plan/plan_internal.h"

#include <math.h>

#define READERS_MAX  64		/* of the choice: more add load, not speed */
#define READER_BYTES (4u << 20) /* a further reader pays from this on */

uint32_t plan_readers(const struct plan_options *o, uint64_t bytes)
{
	double wanted = ceil(fmin(o->cost.link, o->cost.write) / o->cost.read);
	uint64_t n = o->readers;

	if (n == 0) {
		n = wanted < READERS_MAX ? (uint64_t)wanted : READERS_MAX;
		if (o->readers_max && n > o->readers_max)
			n = o->readers_max;
		if (n > bytes / READER_BYTES + 1)
			n = bytes / READER_BYTES + 1;
	}
	if (n > o->nodes)
		n = o->nodes;
	return n < 1 ? 1 : (uint32_t)n;
}

uint32_t plan_reader_node(uint32_t reader, uint32_t readers, uint32_t nodes)
{
	return (uint32_t)((uint64_t)reader * nodes / readers);
}

static uint32_t distance(const struct plan *p, uint32_t stream, uint32_t node)
{
	uint32_t reader = p->streams[stream].reader;

	return node >= reader ? node - reader : p->nodes - (reader - node);
}

/*
 * The leaf changes places with the last rank, which sends nothing in a chain or a binomial tree. In
 * the other schedules every rank sends. Who reads has to.
 */
static uint32_t swapped(const struct plan *p, uint32_t stream, uint32_t rank)
{
	uint32_t leaf;

	if (!p->has_leaf || p->leaf == p->streams[stream].reader ||
		(p->algo != SCHEDULE_CHAIN && p->algo != SCHEDULE_BINOMIAL))
		return rank;
	leaf = distance(p, stream, p->leaf);
	return rank == leaf ? p->nodes - 1 : rank == p->nodes - 1 ? leaf : rank;
}

uint32_t plan_rank(const struct plan *p, uint32_t stream, uint32_t node)
{
	return swapped(p, stream, distance(p, stream, node));
}

uint32_t plan_node(const struct plan *p, uint32_t stream, uint32_t rank)
{
	rank = swapped(p, stream, rank);
	return (uint32_t)(((uint64_t)p->streams[stream].reader + rank) % p->nodes);
}

static int check_options(const struct plan_options *o, struct ebt_err *err)
{
	const struct cost_model *c = &o->cost;

	if (o->nodes == 0 || (unsigned)o->algo >= SCHEDULE_ALGOS)
		return ebt_failx(err, -EINVAL, "plan: %u nodes, algorithm %d", o->nodes,
			(int)o->algo);
	if (o->parcel % PLAN_PARCEL_MIN || o->parcel > PLAN_PARCEL_MAX)
		return ebt_failx(err, -EINVAL,
			"parcels are a multiple of %d KiB and at most %d KiB, not %llu "
			"bytes",
			PLAN_PARCEL_MIN / 1024, PLAN_PARCEL_MAX / 1024,
			(unsigned long long)o->parcel);
	/* Written this way round to refuse NaN as well. */
	if (!(c->link > 0 && c->read > 0 && c->write > 0 && c->latency >= 0))
		return ebt_failx(err, -EINVAL, "plan: rates must be above zero");
	return 0;
}

static void choose(const struct plan_options *o, uint32_t streams, struct plan *p)
{
	uint64_t most = PLAN_PARCEL_MIN;

	p->algo = o->algo;
	p->parcel = o->parcel;
	cost_choose(&o->cost, p->bytes, p->nodes, streams, &p->algo, &p->parcel);
	while (2 * most <= o->parcel_max)
		most *= 2;
	if (o->parcel || o->parcel_max == 0 || p->parcel <= most)
		return;
	/* Another schedule may be best with parcels as small as that. */
	p->algo = o->algo;
	p->parcel = most;
	cost_choose(&o->cost, p->bytes, p->nodes, streams, &p->algo, &p->parcel);
}

int plan_stage(const struct manifest *m, const uint64_t *need,
	const struct plan_options *o, struct plan **out, struct ebt_err *err)
{
	SCOPED(plan_freep) struct plan *p = NULL;
	int r = check_options(o, err);
	uint32_t streams;

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return ebt_fail(err, -ENOMEM, "plan");
	r = plan_measure(m, need, &p->bytes, err);
	if (r < 0)
		return r;
	p->nodes = o->nodes;
	p->has_leaf = o->has_leaf && o->leaf < o->nodes;
	p->leaf = o->leaf;
	p->layouts = o->layouts;
	p->n_streams = plan_readers(o, p->bytes);
	p->streams = calloc(p->n_streams, sizeof(*p->streams));
	if (!p->streams) {
		p->n_streams = 0;
		return ebt_fail(err, -ENOMEM, "plan of %u readers", o->nodes);
	}
	for (uint32_t j = 0; j < p->n_streams; j++)
		p->streams[j].reader = plan_reader_node(j, p->n_streams, p->nodes);
	r = plan_even(m, need, p, &streams, err);
	if (r < 0)
		return r;
	choose(o, streams, p);
	r = plan_deal(m, need, o->layouts, p, err);
	if (r < 0)
		return r;
	p->predicted =
		cost_predict(&o->cost, p->algo, p->bytes, p->nodes, streams, p->parcel);
	p->bound = cost_bound(&o->cost, p->bytes, p->nodes, streams);
	*out = TAKE(p);
	return 0;
}

int plan_bytes(uint64_t bytes, const struct plan_options *o, struct plan **out,
	struct ebt_err *err)
{
	struct manifest_entry file = {
		.kind = MANIFEST_FILE, .size = bytes, .group = MANIFEST_NONE};
	struct manifest m = {.entries = &file, .count = 1, .tree = true};

	return plan_stage(&m, NULL, o, out, err);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (uint32_t j = 0; j < p->n_streams; j++) {
		free(p->streams[j].segments);
		free(p->streams[j].parcels);
	}
	free(p->streams);
	free(p);
}
