/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream phase on one node.
 *
 *   sources ── io threads ──► pool ──► carrying (MPI, main thread) ──► peers
 *                               │             ▲      │
 *                               └─► writers ◄─┴──────┘ received parcels
 *                                     └──► incoming/ID/tree
 *
 * A channel is this node's part in one reader's stream, with its own pool of parcels. What is
 * to be received and sent when, over all channels, is the business of flow/flow.h.
 */
#ifndef STREAM_STREAM_INTERNAL_H
#define STREAM_STREAM_INTERNAL_H

#include <pthread.h>

#include "base/queue.h"
#include "pack/pack.h"
#include "stream/stream.h"
#include "stream/tune.h"

struct channel {
	struct stream *run;
	uint32_t index; /* of the stream in the plan */
	struct pool *pool;
	struct packer *packer; /* on the reader, else NULL */
	struct queue filled;   /* on the reader: from io threads to the main thread */
	pthread_mutex_t order; /* a buffer and the next number are taken together */
	uint64_t next_fill;    /* order */
	struct parcel **held;  /* by seq & mask: present and still to be sent */
	uint64_t mask;
};

struct stream {
	const struct stream_input *in;
	struct stream_result *res;
	struct unpacker *unpacker;
	struct packer *looker; /* of no channel: nothing has content */
	struct queue written;  /* parcels for the writers */
	struct pool
		*spares; /* scratch of threads that compress or uncompress, or NULL */
	struct tuner *tuner; /* on a reader that decides about it, else NULL */
	struct channel *channels;
	uint32_t n_channels;
	struct carrier *carrier; /* NULL where parcels travel in another way */
	pthread_t threads[2 * STREAM_THREADS];
	unsigned n_threads;
	pthread_mutex_t lock;
	int code;	    /* lock: first failure on this node */
	struct ebt_err err; /* lock */
	bool failed;	    /* atomic: code is set */
	bool ending;	    /* atomic: io threads stop */
	int reading;	    /* atomic: io threads at work */
};

/* stream_state.c: remembers the first failure of this node. Any thread. */
void stream_fail(struct stream *s, int code, const struct ebt_err *err);
static inline bool stream_failed(const struct stream *s)
{
	return __atomic_load_n(&s->failed, __ATOMIC_ACQUIRE);
}
/* stream_state.c: nobody waits for buffers any more. */
void stream_close_pools(struct stream *s);
/* stream_state.c: a parcel is sent once more, counted. */
void stream_count_send(struct stream *s, const struct parcel *p);
/* stream_state.c: main thread, now and then: stop requests, progress. */
void stream_tick(struct stream *s);
/* stream_state.c: hand a filled or received parcel to the writers with one reference. */
void stream_write(struct stream *s, struct parcel *p);
/* stream_state.c: -EPROTO if a received parcel is not the one that the plan has here. */
int stream_check_header(
	const struct stream *s, const struct parcel *p, struct ebt_err *err);

/* carry.c: all that carrying parcels over MPI needs, once the channels are open. */
struct carrier;
int carrier_new(struct stream *s, struct carrier **out, struct ebt_err *err);
void carrier_free(struct carrier *c);
DEFINE_SCOPED(struct carrier, carrier_free)
/* Collective; carries all parcels, returns when all nodes have. */
void carrier_run_all(struct carrier *c);
/* carry_bcast.c: the same with MPI_Ibcast, one parcel after the other. */
void carry_bcast_all(struct stream *s);

#endif
