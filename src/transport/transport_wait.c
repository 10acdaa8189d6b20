/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for a message: polls, then yields while nobody else wants the processor, then sleeps,
 * longer each time. The watch hears of each turn.
 */
#include "transport/transport.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "transport/watch.h"

#define PAUSE_POLLS    32 /* tests in vain before the first sleep */
#define PAUSE_FIRST_US 10
#define CROWDED_S      20e-3 /* so long a processor counts as wanted by others */
#define SPIN_LEAST_S   5e-6
#define LOOK_YIELDS    4      /* between looks whether it is */
#define WAIT_SPIN_S    200e-6 /* of a collective: some hops */

/* How often this thread made room for another one without having to wait. */
static long switches(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) < 0 ? 0 : u.ru_nivcsw;
}

/* A yield that let somebody else run: he needs the processor more than a poll. */
static bool spins(struct transport_pause *p)
{
	double now = clock_now();

	if (p->since == 0) {
		p->since = now;
		p->switches = switches();
	}
	if (now < p->crowded ||
		now - p->since > (p->spins > 0 ? p->spins : TRANSPORT_SPIN_S))
		return false;
	sched_yield();
	if (++p->idle % LOOK_YIELDS == 0 && switches() != p->switches)
		p->crowded = now + CROWDED_S;
	return true;
}

/* How long it is worth to spin: not at all where a wait is longer, as on slow links. */
static void learn(struct transport_pause *p)
{
	double took = clock_now() - p->since;
	double old = p->spins > 0 ? p->spins : TRANSPORT_SPIN_S;

	p->spins = took < TRANSPORT_SPIN_S ? 2 * old : old / 2;
	if (p->spins > TRANSPORT_SPIN_S)
		p->spins = TRANSPORT_SPIN_S;
	if (p->spins < SPIN_LEAST_S)
		p->spins = SPIN_LEAST_S;
}

struct transport transport_of(MPI_Comm comm, struct watch *watch)
{
	struct transport t = {.comm = comm, .watch = watch};

	MPI_Comm_rank(comm, &t.rank);
	MPI_Comm_size(comm, &t.size);
	t.named = t.rank;
	return t;
}

void transport_pause(const struct transport *t, struct transport_pause *p, bool moved)
{
	unsigned us;

	watch_step(t->watch, t, moved, p->peer);
	if (moved) {
		if (p->since > 0)
			learn(p);
		p->idle = 0;
		p->slept = 0;
		p->since = 0;
		return;
	}
	if (p->idle < PAUSE_POLLS) {
		p->idle++;
		return;
	}
	if (spins(p))
		return;
	us = PAUSE_FIRST_US << (p->slept < 6 ? p->slept : 6);
	p->slept++;
	if (us > TRANSPORT_PAUSE_MAX_US)
		us = TRANSPORT_PAUSE_MAX_US;
	nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

void transport_wait(const struct transport *t, MPI_Request *req, int peer)
{
	struct transport_pause pause = {.spins = WAIT_SPIN_S, .peer = peer};
	int done;

	for (;;) {
		MPI_Test(req, &done, MPI_STATUS_IGNORE);
		if (done)
			break;
		transport_pause(t, &pause, false);
	}
	watch_step(t->watch, t, true, TRANSPORT_ANY);
}
