/* SPDX-License-Identifier: BSD-3-Clause */
/* What keeps the watch awake where the main thread has something else to do, or nothing. */
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "job/job.h"
#include "transport/watch.h"

#define NAP_S 0.1 /* between looks at stop requests, and turns of the watch */

void job_nap(const struct job *j, double seconds)
{
	double until = clock_now() + seconds, left;

	watch_idle(j->nodes.watch, true);
	while ((left = until - clock_now()) > 0 && job_stopped(j, NULL) == 0) {
		if (left > NAP_S)
			left = NAP_S;
		nanosleep(&(struct timespec){.tv_nsec = (long)(left * 1e9)}, NULL);
		watch_turn(j->nodes.watch);
	}
	watch_idle(j->nodes.watch, false);
}

bool job_join(const struct job *j, pthread_t thread, double seconds)
{
	struct timespec until;

	/* ThreadSanitizer does not know pthread_clockjoin_np. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(seconds * 1e9);
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
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
};

static void *work(void *arg)
{
	struct away *a = arg;
	struct activity *shown = a->what ? &a->j->activity : NULL;
	struct activity_call call;

	activity_begin(shown, &call, a->what, activity_text, a->name, 0);
	a->r = a->fn(a->arg, a->err);
	activity_end(shown, &call);
	return NULL;
}

int job_away(struct job *j, const char *what, const char *name,
	int (*fn)(void *arg, struct ebt_err *err), void *arg, struct ebt_err *err)
{
	struct away a = {
		.j = j, .what = what, .name = name, .fn = fn, .arg = arg, .err = err};
	pthread_t thread;

	/* Without the thread nobody is told that it takes long. */
	if (!j->nodes.watch || pthread_create(&thread, NULL, work, &a) != 0) {
		work(&a);
		return a.r;
	}
	watch_idle(j->nodes.watch, !what);
	while (!job_join(j, thread, NAP_S))
		;
	watch_idle(j->nodes.watch, false);
	return a.r;
}

int job_away_all(struct job *j, int (*fn)(void *arg, struct ebt_err *err), void *arg,
	struct ebt_err *err)
{
	int r = job_away(j, NULL, NULL, fn, arg, err);

	return job_agree_all(j, r, err);
}
