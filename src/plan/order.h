/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several streams over one link: the order in which a node works off its sends, or its
 * receives, of all streams together. By step, and within a step by stream. As every
 * node keeps this order, all streams are one long schedule in which stream j has the
 * steps j, j + R, j + 2 R, ...: still at most one send and one receive a node and step,
 * still nothing that deadlocks, and no slower than its number of steps.
 *
 * Serving whichever stream happens to be ready looks better and is not. Simulated with
 * events and queues (9,000 nodes, 10 GiB, 4 and 16 readers) it took 1.4 to 1.6 times as
 * long with two trees and 1.9 to 4.4 times with circulant: a node that runs ahead takes
 * a receiver's link from the transfer that others wait for, and where all links are
 * busy all the time nobody catches up. For the same reason a node must have one receive
 * posted over all streams, the next in this order, once the one before is complete;
 * with two posted ahead a single circulant stream took 1.5 times as long.
 */
#ifndef PLAN_ORDER_H
#define PLAN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"
#include "plan/schedule.h"

struct order;

/* Room for @streams cursors. Memory: about 100 bytes each. */
int order_new(uint32_t streams, struct order **out, struct ebt_err *err);
void order_free(struct order *o);
DEFINE_SCOPED(struct order, order_free)

/* Put in a copy of @c, the cursor of stream @stream. All of them before order_next. */
void order_add(struct order *o, uint32_t stream, const struct schedule_cursor *c);
/* The next hop of all streams and whose it is, false at the end. */
bool order_next(struct order *o, uint32_t *stream, struct schedule_hop *hop);

#endif
