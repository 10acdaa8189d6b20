/* SPDX-License-Identifier: BSD-3-Clause */
/* What keeps the watch awake where the main thread has something else to do, or nothing. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "job/job.h"
#include "transport/watch.h"

#define LEAST_S 1.0 /* that can be told from a busy machine */
#define NAP_S	0.1 /* between looks at stop requests */

static void say(void *arg, enum watch_event event, const char *text)
{
	static const enum ebt_stall how[] = {[WATCH_STANDS] = EBT_STALL_STANDS,
		[WATCH_GOES] = EBT_STALL_GOES,
		[WATCH_END] = EBT_STALL_END};
	const struct job *j = arg;

	if (j->run->stalled)
		j->run->stalled(j->run->stalled_arg, how[event], text);
}

static int stopped(const void *arg)
{
	const struct job *j = arg;

	return j->run->stopped ? j->run->stopped(j->run->stopped_arg) : 0;
}

int job_watch_open(struct job *j, struct ebt_err *err)
{
	double stall = j->run->stall > 0 ? j->run->stall : EBT_STALL;
	double timeout = j->run->timeout > 0 ? j->run->timeout : EBT_TIMEOUT;

	j->watching = (struct watch_options){.stall = stall,
		.end = j->run->stall_end,
		.hurry = timeout / 2,
		.rank = j->rank,
		.activity = &j->activity,
		.say = say,
		.stopped = stopped,
		.arg = j};
	/* Nothing is to be named, but it is to end. */
	if (j->run->stall < 0)
		j->watching.stall = j->run->stall_end;
	if (j->watching.stall <= 0 || !j->run->stalled)
		return 0;
	if (j->watching.stall < LEAST_S)
		j->watching.stall = LEAST_S;
	if (j->watching.hurry < LEAST_S)
		j->watching.hurry = LEAST_S;
	return watch_open(&j->nodes, &j->watching, &j->nodes.watch, err);
}

void job_nap(const struct job *j, double seconds)
{
	double until = clock_now() + seconds, left;

	watch_idle(j->nodes.watch, true);
	while ((left = until - clock_now()) > 0 && !stopped(j)) {
		if (left > NAP_S)
			left = NAP_S;
		nanosleep(&(struct timespec){.tv_nsec = (long)(left * 1e9)}, NULL);
		watch_turn(j->nodes.watch);
	}
	watch_idle(j->nodes.watch, false);
}

/* Less than a second from now. */
static struct timespec in(clockid_t clock, double seconds)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += (long)(seconds * 1e9);
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

bool job_join(const struct job *j, pthread_t thread, double seconds)
{
	/* ThreadSanitizer does not know pthread_clockjoin_np. */
	struct timespec until = in(CLOCK_REALTIME, seconds);

	watch_turn(j->nodes.watch);
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

struct away {
	struct job *j;
	const char *what, *name;
	int (*fn)(void *arg, struct ebt_err *err);
	void *arg;
	struct ebt_err *err;
	int r;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over; /* lock */
};

static void *work(void *arg)
{
	struct away *a = arg;
	struct activity_call call;

	activity_begin(a->what ? &a->j->activity : NULL, &call, a->what, activity_text,
		a->name, 0);
	a->r = a->fn(a->arg, a->err);
	activity_end(&a->j->activity, &call);
	SCOPED_LOCK(&a->lock);
	a->over = true;
	pthread_cond_signal(&a->changed);
	return NULL;
}

/* Until it is over, the watch has a turn now and then. */
static void stay(struct away *a)
{
	struct timespec until;
	SCOPED_LOCK(&a->lock);

	while (!a->over) {
		until = in(CLOCK_MONOTONIC, NAP_S);
		pthread_cond_clockwait(&a->changed, &a->lock, CLOCK_MONOTONIC, &until);
		watch_turn(a->j->nodes.watch);
	}
}

int job_away(struct job *j, const char *what, const char *name,
	int (*fn)(void *arg, struct ebt_err *err), void *arg, struct ebt_err *err)
{
	struct away a = {.j = j,
		.what = what,
		.name = name,
		.fn = fn,
		.arg = arg,
		.err = err,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER};
	pthread_t thread;

	/* Without the thread nobody is told that it takes long. */
	if (!j->nodes.watch || pthread_create(&thread, NULL, work, &a) != 0) {
		work(&a);
		return a.r;
	}
	watch_idle(j->nodes.watch, !what);
	stay(&a);
	watch_idle(j->nodes.watch, false);
	pthread_join(thread, NULL);
	return a.r;
}
