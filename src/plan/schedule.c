/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names, and the way from a schedule to its algorithm. Schedules in which nothing moves
 * (one node, no parcels) are settled here once, so that no algorithm has to think of
 * them.
 */
#include "plan/schedule_internal.h"

#include <assert.h>
#include <string.h>

static const char *const names[SCHEDULE_ALGOS] = {
	[SCHEDULE_AUTO] = "auto",
	[SCHEDULE_CHAIN] = "chain",
	[SCHEDULE_TWO_TREE] = "two-tree",
	[SCHEDULE_CIRCULANT] = "circulant",
	[SCHEDULE_BINOMIAL] = "binomial",
	[SCHEDULE_MPI_BCAST] = "mpi-bcast",
};

const char *schedule_name(enum schedule_algo algo)
{
	assert((unsigned)algo < SCHEDULE_ALGOS);
	return names[algo];
}

int schedule_parse(const char *name, enum schedule_algo *algo, struct ebt_err *err)
{
	for (int i = 0; i < SCHEDULE_ALGOS; i++) {
		if (strcmp(name, names[i]) == 0) {
			*algo = (enum schedule_algo)i;
			return 0;
		}
	}
	return ebt_failx(err, -EINVAL, "no such algorithm: %s", name);
}

static int idle_prepare(struct schedule *s, struct ebt_err *err)
{
	s->steps = 0;
	return 0;
}

static bool idle_next(struct schedule_cursor *c, struct schedule_hop *hop)
{
	return false;
}

static const struct schedule_ops idle_ops = {
	.prepare = idle_prepare, .next = idle_next};

static const struct schedule_ops *ops_for(
	enum schedule_algo algo, uint32_t nodes, uint64_t parcels)
{
	switch (algo) {
	case SCHEDULE_CHAIN:
	case SCHEDULE_TWO_TREE:
	case SCHEDULE_CIRCULANT:
	case SCHEDULE_BINOMIAL:
		break;
	default:
		return NULL;
	}
	if (nodes == 1 || parcels == 0)
		return &idle_ops;
	if (algo == SCHEDULE_CIRCULANT)
		return &schedule_circulant_ops;
	if (algo == SCHEDULE_BINOMIAL)
		return &schedule_binomial_ops;
	/* Two nodes leave no tree to build: a plain send. */
	if (algo == SCHEDULE_TWO_TREE && nodes > 2)
		return &schedule_two_tree_ops;
	return &schedule_chain_ops;
}

int schedule_new(enum schedule_algo algo, uint32_t nodes, uint64_t parcels,
	struct schedule **out, struct ebt_err *err)
{
	SCOPED(schedule_freep) struct schedule *s = NULL;
	const struct schedule_ops *ops = ops_for(algo, nodes, parcels);
	int r;

	if (!ops || nodes == 0)
		return ebt_failx(err, -EINVAL, "no schedule for algorithm %d, %u nodes",
			(int)algo, nodes);
	if (parcels > UINT64_MAX / 64) /* steps are up to 32 a parcel */
		return ebt_fail(err, -EOVERFLOW, "schedule of %llu parcels",
			(unsigned long long)parcels);
	s = calloc(1, sizeof(*s));
	if (!s)
		return ebt_fail(err, -ENOMEM, "schedule");
	s->ops = ops;
	s->nodes = nodes;
	s->parcels = parcels;
	s->rounds = nodes == 1 ? 0 : 32 - (uint32_t)__builtin_clz(nodes - 1);
	r = ops->prepare(s, err);
	if (r < 0)
		return r;
	*out = TAKE(s);
	return 0;
}

void schedule_free(struct schedule *s)
{
	if (!s)
		return;
	free(s->table);
	free(s);
}

uint64_t schedule_steps(const struct schedule *s)
{
	return s->steps;
}

void schedule_start(const struct schedule *s, uint32_t rank, enum schedule_side side,
	struct schedule_cursor *c)
{
	assert(rank < s->nodes);
	memset(c, 0, sizeof(*c));
	c->s = s;
	c->rank = rank;
	c->side = side;
	if (s->ops->start)
		s->ops->start(c);
	schedule_restart(c, s);
}

void schedule_restart(struct schedule_cursor *c, const struct schedule *s)
{
	assert(c->s->ops == s->ops && c->s->nodes == s->nodes);
	c->s = s;
	c->pos = 0;
	if (s->ops->rewind)
		s->ops->rewind(c);
}

bool schedule_next(struct schedule_cursor *c, struct schedule_hop *hop)
{
	return c->s->ops->next(c, hop);
}
