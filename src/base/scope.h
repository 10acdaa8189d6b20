/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ownership by scope. A local declared SCOPED(fn) is released when it goes out of scope,
 * on every path; TAKE hands it to the caller. Release functions get the address of the
 * variable, accept NULL or -1 in it, and keep errno.
 */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define SCOPED(fn) __attribute__((cleanup(fn)))

#define TAKE(p)                                                                        \
	({                                                                             \
		__typeof__(p) taken_ = (p);                                            \
		(p) = (__typeof__(p))0;                                                \
		taken_;                                                                \
	})

#define TAKE_FD(fd)                                                                    \
	({                                                                             \
		int taken_ = (fd);                                                     \
		(fd) = -1;                                                             \
		taken_;                                                                \
	})

/* Defines name##p, the scoped form of a release function void name(type *). */
#define DEFINE_SCOPED(type, name)                                                      \
	static inline void name##p(type **p)                                           \
	{                                                                              \
		int saved_ = errno;                                                    \
		name(*p);                                                              \
		errno = saved_;                                                        \
	}

static inline void scope_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}
#define SCOPED_FD SCOPED(scope_close)

static inline void scope_free(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}
#define SCOPED_FREE SCOPED(scope_free)

static inline void scope_unlock(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}
static inline pthread_mutex_t *scope_lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}
#define SCOPE_NAME_(a, b) a##b
#define SCOPE_NAME(a, b)  SCOPE_NAME_(a, b)
#define SCOPED_LOCK(m)                                                                 \
	pthread_mutex_t *SCOPE_NAME(lock_, __LINE__) SCOPED(scope_unlock)              \
		__attribute__((unused)) = scope_lock(m)

#endif
