/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages between the nodes of a drain. Worker threads ask and wait; the main thread, which
 * alone calls MPI, posts what they ask for and brings the answers.
 *
 *   fetch   a range of a file in another node's store, straight into the caller's memory
 *   call    a request to another node's workers, with an answer
 *
 * Data travels only when it was asked for, into memory that is there already: so nothing piles
 * up, and a node that serves needs no more buffers than it has readers. Whoever serves a fetch
 * never waits for another node's worker, so there is no circle to wait in.
 */
#ifndef DRAIN_MOVE_NET_H
#define DRAIN_MOVE_NET_H

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/queue.h"
#include "ebt/err.h"
#include "transport/transport.h"

/* Anything that the main thread has to post or to bring in. First in its struct. */
struct net_op {
	struct queue_item item;
	enum { NET_FETCH, NET_DATA, NET_CALL, NET_ANSWER, NET_LOCAL } kind;
	MPI_Request req[2];
	int n_req;
	int node;
};

enum net_what {
	NET_READ, /* [off, off + len) */
	NET_CHECK, /* is it still as it was scanned? A part answers: struct net_checked */
	/* Of a part: the headers that are others since, from number off on: struct net_mended */
	NET_MENDED,
	NET_TEAR, /* of a part: the member whose header is at off is torn */
	NET_LOSE, /* or some of it cannot be read */
	NET_DROP, /* of a frame: its slot is free again */
};
/* Notes on fetches. Nodes of a job are of one kind: they travel as they lie in memory. */
struct net_wanted {
	uint64_t off;
	uint32_t entry, len;
	uint8_t of;   /* enum drain_of */
	uint8_t what; /* enum net_what */
	uint32_t slot;
};
struct net_checked {
	uint64_t mended; /* headers that are others than they were */
	uint64_t stale;	 /* members that have changed since they were read whole */
	uint64_t
		unsteady; /* of both, what may come to rest: the others cannot be read */
};
struct net_mended {
	uint64_t off, len; /* bytes of the part; 0: there are no more */
};
enum net_refused {
	NET_TAKEN = 0, /* or an errno says why not */
	NET_GREW,    /* the file has changed, but all that was scanned could be read */
	NET_CHANGED, /* it is not what was scanned, or is not there any more */
	NET_ODD,     /* it has content that its size does not tell of */
	NET_GAPS,    /* no failure: some of it could not be read, and is zeros */
};
struct net_fetched {
	struct ebt_digest digest;
	uint32_t slot;
	int32_t code;
	uint32_t refused; /* enum net_refused */
};

/* A fetch, the caller's until net_wait has returned. */
struct net_fetch {
	struct net_op op;
	struct net_wanted want; /* the slot is private */
	void *to;
	bool done;		  /* net.lock */
	enum net_refused refused; /* as in the note */
	int code;
	struct ebt_digest digest;
};

/* A request that this node got from @node. */
struct net_request {
	struct queue_item item;
	int node;
	struct net_wanted want;
};

/* What a reader sends back: note.code < 0 and no data, or len bytes in @data. */
struct net_data {
	struct net_op op;
	struct net_fetched note;
	uint32_t len;
	void *data;
	void (*sent)(struct net_data *); /* main thread: the buffer is free again */
	void *arg;
};

/* A call and its answer. The caller's until net_wait_call has returned. */
struct net_call {
	struct net_op op;
	struct buf request;
	struct buf answer;
	bool done; /* net.lock */
	uint64_t id;
	struct net_call *next; /* main thread: those without an answer */
};

/* The other side of a call: handed to the workers, given back by net_answer. */
struct net_job {
	struct net_op op;
	uint64_t id;
	struct buf request; /* from byte NET_CALL_HEAD on */
	struct buf answer;
};
#define NET_CALL_HEAD 8
#define NET_ANSWER_ROOM                                                                \
	2048 /* bytes of an answer at most: it has that room from the start */

struct net {
	const struct transport *calls, *data;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct queue out;	/* struct net_op from workers, but for fetches: those */
	struct queue asked;	/* wait for a slot, and what others wait for must not */
	struct queue *requests; /* struct net_request to readers */
	struct queue *jobs;	/* struct net_job to workers */
	struct net_op **active;
	size_t n_active, cap_active;
	struct net_fetch **slots; /* fetches under way, by slot */
	uint32_t n_slots, next_slot, used_slots;
	struct net_call *waiting;
	uint64_t next_id;
	/*
	 * Short of memory: what could not be posted or taken in is kept, and tried again in each
	 * step. Others wait for it, so the drain is to end.
	 */
	bool starved;
	struct net_op *kept;
	MPI_Message note; /* with note_there: matched, but not received */
	MPI_Status note_status;
	int note_there;
};

/* @calls and @data: communicators of the same nodes, the caller's. */
int net_open(struct net *n, const struct transport *calls, const struct transport *data,
	struct queue *requests, struct queue *jobs, struct ebt_err *err);
void net_close(struct net *n);

/* Workers. The fetch or call is filled in but for the private fields. */
void net_start(struct net *n, struct net_fetch *f);
/* Waits. The source's code; -EIO if what arrived is not what was sent. */
int net_wait(struct net *n, struct net_fetch *f);
/* After net_wait: why it came to @code, for file @name. */
int net_fail(
	const struct net_fetch *f, int code, const char *name, struct ebt_err *err);
void net_call(struct net *n, struct net_call *c);
void net_wait_call(struct net *n, struct net_call *c);
/* Any thread: what a reader or worker has to send back. */
void net_send(struct net *n, struct net_data *d);
void net_answer(struct net *n, struct net_job *j);

/* Main thread: moves on whatever can be moved. True if anything did. */
bool net_step(struct net *n);

#endif
