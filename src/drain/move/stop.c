/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The move ends before all is done: here at once, as its threads ask move_stopped, and on the
 * other nodes when the next round (move.c) tells them. The first reason is the one that counts.
 */
#include "drain/move/move.h"

void move_fail(struct move *m, int code, const struct ebt_err *err)
{
	SCOPED_LOCK(&m->lock);
	if (m->code == 0) {
		m->code = code;
		m->err = *err;
	}
	__atomic_store_n(&m->stop, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&m->changed);
}
