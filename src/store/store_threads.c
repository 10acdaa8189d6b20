/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>

#include "store/store_internal.h"

void store_run_threads(
	unsigned wanted, size_t parts, void *(*work)(void *arg), void *arg)
{
	pthread_t threads[STORE_THREADS_MAX];
	unsigned n = 0;

	if (wanted > STORE_THREADS_MAX)
		wanted = STORE_THREADS_MAX;
	while (n + 1 < wanted && n + 1 < parts &&
		pthread_create(&threads[n], NULL, work, arg) == 0)
		n++;
	work(arg);
	while (n > 0)
		pthread_join(threads[--n], NULL);
}
