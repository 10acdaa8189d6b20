/* SPDX-License-Identifier: BSD-3-Clause */
/* Monotonic time in nanoseconds, and waiting for a point of it. */
#ifndef LUSTRE_CLOCK_H
#define LUSTRE_CLOCK_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000LL

static inline struct timespec clock_spec(int64_t t)
{
	return (struct timespec){.tv_sec = t / NS_PER_S, .tv_nsec = t % NS_PER_S};
}

static inline int64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static inline void clock_sleep_until(int64_t t)
{
	struct timespec spec = clock_spec(t);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &spec, NULL) == EINTR)
		;
}

static inline void clock_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

static inline void clock_cond_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t t)
{
	struct timespec spec = clock_spec(t);

	pthread_cond_timedwait(c, m, &spec);
}

#endif
