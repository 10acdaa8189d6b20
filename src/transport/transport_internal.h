/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder have in common. */
#ifndef TRANSPORT_INTERNAL_H
#define TRANSPORT_INTERNAL_H

#include <time.h>

#include "transport/transport.h"

#define TRANSPORT_WORDS_MS                                                             \
	300 /* for the words of all ranks on their way to the launcher */

static inline void transport_pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000,
			  .tv_nsec = (long)(ms % 1000) * 1000000},
		NULL);
}
/* Until the launcher has read what this rank wrote: it drops the rest when a job is aborted. */
void transport_await_reader(int fd);
/* The descriptor of PMI-1, or -1. */
int transport_pmi_fd(void);

/* transport_exchange_all without routes. */
int transport_exchange_straight_all(const struct transport *t, struct buf *out,
	transport_take_fn *take, void *arg, struct ebt_err *err);

#endif
