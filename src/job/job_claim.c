/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All nodes of a run take what only one run may have at a time, as the locks of their stores.
 *
 *   run A   node 1 taken   node 2 refused      all give back, pause, try again
 *   run B                  node 2 taken   node 3 taken      works
 *
 * Nobody holds anything while he waits. So two runs that have some nodes of each other's cannot
 * block each other for good, and a third is not kept from nodes that nobody works on. Pauses
 * grow and are random, so that runs which came to meet part again; the first node draws them for
 * all, as a round is worth nothing unless all nodes try at about the same time. A round costs a
 * look at what is to be taken, which is the node's own, and one reduction.
 *
 * What it does not do is keep an order: a run of many nodes may wait for long where runs of few
 * come again and again.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "job/job.h"
#include "transport/transport.h"

#define PAUSE_FIRST   0.02 /* seconds, at most */
#define PAUSE_DOUBLED 6	   /* times */
#define SILENCE	      5.0  /* seconds before it is said */

enum state { TAKEN, BUSY, ENDED };

/* One round, as all see it: of each number the largest. */
struct round {
	double state; /* enum state */
	double busy; /* of nodes that were refused, counted from the end: the first one */
	double waited; /* seconds, by the clock of the first node */
	double pause;
};

static double draw_pause(unsigned round)
{
	double most =
		PAUSE_FIRST * (1 << (round < PAUSE_DOUBLED ? round : PAUSE_DOUBLED));
	uint32_t x = 0;

	if (getrandom(&x, sizeof(x), GRND_NONBLOCK) < 0)
		x = (uint32_t)(clock_now() * 1e9);
	return most * (0.25 + 0.75 * x / UINT32_MAX);
}

/* One that two nodes of this run want is never free for both: waiting would be in vain. */
static int check_own_all(struct job *j, const struct job_claim *c, enum state state,
	uint64_t key, struct ebt_err *err)
{
	struct piece {
		uint64_t key;
		int rank;
	} mine = {.key = key, .rank = j->rank};
	SCOPED_FREE struct piece *all = calloc((size_t)j->n_nodes, sizeof(*all));
	int r = transport_agree_all(&j->nodes, all ? 0 : -ENOMEM, err);

	if (r < 0)
		return r;
	transport_allgather_all(&j->nodes, &mine, sizeof(mine), all);
	for (int i = 0; i < j->n_nodes && state == BUSY && key; i++)
		if (i != j->node && all[i].key == key)
			return ebt_failx(err, -EINVAL,
				"%s: is that of rank %d as well, and every node needs "
				"its own (%%r or %%h in its name)",
				c->name, all[i].rank);
	return 0;
}

/* What this node has to say when the others do not go on. */
static int end(const struct job_claim *c, const struct round *all, enum state mine,
	double limit, struct ebt_err *err)
{
	if (mine != BUSY)
		return mine == TAKEN ? 0 : err->code;
	if ((enum state)all->state == ENDED)
		return ebt_failx(err, -ECANCELED, "%s: in use by another run", c->name);
	if (limit <= 0)
		return ebt_failx(err, -EWOULDBLOCK,
			"%s: in use by another run (see --wait)", c->name);
	return ebt_failx(err, -EWOULDBLOCK,
		"%s: in use by another run, also after %g s: --wait=TIME waits longer, "
		"`fuser -v %s/.ebt/lock` there names it",
		c->name, limit, c->name);
}

static void tell(const struct job *j, const struct job_claim *c,
	const struct round *all, double limit)
{
	char host[64] = "";

	if (j->n_nodes - (int)all->busy != j->node)
		return;
	/* With several nodes the log names this one anyway. */
	if (j->n_nodes == 1)
		gethostname(host, sizeof(host) - 1);
	log_warn(&j->log,
		"%s: in use by another run%s%s, waiting for up to %g s (--wait)",
		c->name, host[0] ? " on " : "", host, limit);
}

int job_claim_all(struct job *j, struct job_claim *c, struct ebt_err *err)
{
	double limit = j->run->wait < 0	  ? 0
		       : j->run->wait > 0 ? j->run->wait
					  : EBT_WAIT;
	double began = clock_now();
	struct ebt_err why;
	struct round all;
	enum state state;
	bool told = false;
	int r;

	for (unsigned n = 0;; n++) {
		uint64_t key = 0;

		why = (struct ebt_err){0};
		r = c->take(c->arg, &key, &why);
		state = r == 0 ? TAKEN : r == -EWOULDBLOCK ? BUSY : ENDED;
		if (state != ENDED && n && job_stopped(j, &why) < 0)
			state = ENDED;
		all = (struct round){.state = state,
			.busy = state == BUSY ? j->n_nodes - j->node : 0};
		if (j->node == 0) {
			all.waited = clock_now() - began;
			all.pause = draw_pause(n);
		}
		transport_reduce_all(&j->nodes, &all, sizeof(all) / sizeof(double),
			MPI_DOUBLE, MPI_MAX);
		if ((enum state)all.state == BUSY && n == 0) {
			r = check_own_all(j, c, state, key, &why);
			r = transport_agree_all(&j->nodes, r, &why);
			if (r < 0) {
				state = ENDED;
				break;
			}
		}
		if ((enum state)all.state != BUSY || all.waited >= limit)
			break;
		if (!told && all.waited >= SILENCE)
			tell(j, c, &all, limit);
		told |= all.waited >= SILENCE;
		if (state == TAKEN)
			c->give_back(c->arg);
		if (all.pause > limit - all.waited)
			all.pause = limit - all.waited;
		job_nap(j, all.pause);
	}
	/* Of what the run itself takes that is no part. */
	j->began += all.waited;
	r = end(c, &all, state, limit, &why);
	if (r < 0 && err)
		*err = why;
	return job_agree_all(j, r, err);
}
