/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream phase on one node.
 *
 *   sources ── io threads ──► pool ──► flow (MPI, main thread) ──► peers
 *                               │             ▲      │
 *                               └─► writers ◄─┴──────┘ received parcels
 *                                     └──► incoming/ID/tree
 *
 * A flow is this node's part in one reader's stream, with its own pool of parcels. All flows of
 * a node together are worked off in one order (plan/order.h), the same on every node: so there
 * is always a transfer that nothing but finished ones must precede, and no deadlock.
 */
#ifndef STAGE_STREAM_H
#define STAGE_STREAM_H

#include <pthread.h>

#include "base/queue.h"
#include "pack/pack.h"
#include "plan/order.h"
#include "stage/stage_internal.h"

#define STREAM_THREADS	 64 /* of one kind, at most */
#define STREAM_AHEAD	 3  /* receives posted at once, see flow_run.c */
/* Parcels a flow needs: 3 held for sending on at most, 1 to receive, the rest for overlap. */
#define FLOW_PARCELS_MIN 8
#define FLOW_PARCELS_MAX 64 /* more does not help, and would only take memory */

struct flow_peer {
	int node;
	uint32_t credits; /* receives it has posted and we have not sent into */
};

struct flow {
	struct stream *run;
	uint32_t index; /* of the stream in the plan; also the message tag */
	struct pool *pool;
	struct packer *packer; /* on the reader, else NULL */
	struct queue filled;   /* on the reader: from io threads to the main thread */
	pthread_mutex_t order; /* a buffer and the next number are taken together */
	uint64_t next_fill;    /* order */
	struct schedule *schedule;
	uint8_t *
		uses; /* of each parcel: sends from here that are still to be started */
	struct parcel **held; /* by seq & mask: present and still to be sent */
	uint64_t mask;
	struct flow_peer *peers; /* those we send to */
	uint32_t n_peers;
	int *up; /* those we receive from */
	uint32_t n_up;
};

/* The next send or receive of this node over all flows. */
struct stream_head {
	struct order *order;
	struct flow *flow; /* NULL at the end */
	uint64_t seq;
	int node; /* the other end */
};

struct stream {
	struct stage *st;
	struct unpacker *unpacker;
	struct packer *looker; /* of no flow: nothing has content */
	struct queue written;  /* parcels for the writers */
	struct flow *flows;
	uint32_t n_flows;
	struct stream_head send, recv;
	struct flow_loop *loop; /* NULL where parcels travel in another way */
	pthread_t threads[2 * STREAM_THREADS];
	unsigned n_threads;
	pthread_mutex_t lock;
	int code;	    /* lock: first failure on this node */
	struct ebt_err err; /* lock */
	bool failed;	    /* atomic: code is set */
	bool ending;	    /* atomic: io threads stop */
	int reading;	    /* atomic: io threads at work */
};

/* Remembers the first failure of this node. Any thread. */
void stream_fail(struct stream *s, int code, const struct ebt_err *err);
static inline bool stream_failed(const struct stream *s)
{
	return __atomic_load_n(&s->failed, __ATOMIC_ACQUIRE);
}
/* Main thread, now and then: stop requests, progress. */
void stream_tick(struct stream *s);
/* Hand a filled or received parcel to the writers with one reference. */
void stream_write(struct stream *s, struct parcel *p);
/* -EPROTO if a received parcel is not the one that the plan has here. */
int stream_check_header(
	const struct stream *s, const struct parcel *p, struct ebt_err *err);

/* flow.c: schedule and peers of one flow; its cursors go into the run's two orders. */
int flow_open(struct flow *f, struct ebt_err *err);
void flow_close(struct flow *f);
void stream_advance(struct stream *s, struct stream_head *head);
struct flow_peer *flow_peer(struct flow *f, int node); /* one we send to, or NULL */
/* flow_run.c: all that carrying out the flows needs, once they are open. */
struct flow_loop;
int flow_loop_new(struct stream *s, struct flow_loop **out, struct ebt_err *err);
void flow_loop_free(struct flow_loop *l);
DEFINE_SCOPED(struct flow_loop, flow_loop_free)
/* Collective; carries out all flows, returns when all nodes have. */
void flow_run_all(struct flow_loop *l);
/* flow_bcast.c: the same with MPI_Ibcast, one parcel after the other. */
void flow_bcast_all(struct stream *s);

#endif
