/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An object storage target: files in a directory, and a model of the time they take.
 *
 *   write --> extent lock of the object --> window of (client, OST) --> queue --> served
 *             hand-over if another has it   write() waits for room      FIFO, bytes / rate
 *
 * The queue is virtual: an entry knows when it will have been served, and whoever depends on
 * it sleeps until then. No thread serves. The bytes are in the object before the call
 * returns; what is modelled is only when it returns. A client's window bounds what it has in
 * the queue of one OST. Reads take their turn in the same queue.
 *
 * The extent lock covers the whole object, the widest a server grants. Any number of clients
 * hold it for reading, or one for writing. When it goes from a writer to another client, or
 * from readers to a writer, what the writer has in the queue is served first, then the
 * hand-over takes its time, then every request of the new holder that waits by then goes on.
 * Requests behind a waiting one of another client wait too.
 */
#ifndef LUSTRE_OST_H
#define LUSTRE_OST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OST_CLIENTS_MAX 64 /* holders of a lock are bits of a word */

enum ost_fault {
	OST_FULL = 1,	  /* ENOSPC */
	OST_READONLY = 2, /* EROFS */
	OST_DEGRADED = 4, /* works, and says so */
	OST_INACTIVE = 8, /* EREMOTEIO for layouts, EIO for data */
	OST_FAILING = 16, /* EIO on writes and on syncing what is not served yet */
};

struct ost_counts {
	uint64_t bytes_written, bytes_read, writes, reads, handovers;
	uint64_t discarded; /* bytes of deleted files that were never served */
	int64_t busy;	    /* ns */
	unsigned in_flight, peak;
};

struct ost_model {
	_Atomic int64_t handover; /* ns */
	_Atomic uint64_t window;  /* bytes a client may have in the queue of an OST */
};

struct object;
struct ost_entry;

struct ost {
	unsigned index;
	int dir; /* of its objects */
	const struct ost_model *model;
	pthread_mutex_t lock;	 /* of all below, and of the objects */
	pthread_cond_t moved;	 /* served earlier or later than it was */
	double rate;		 /* bytes/s, 0: no limit */
	double slow;		 /* factor */
	_Atomic unsigned faults; /* enum ost_fault */
	uint64_t capacity, used; /* bytes */
	uint64_t objects, next_id;
	struct ost_entry *head, **tail;
	int64_t free_at; /* the queue is empty from then on */
	uint64_t queued[OST_CLIENTS_MAX];
	struct ost_counts counts;
	uint64_t read_by[OST_CLIENTS_MAX]; /* bytes */
};

/* 0 or negative. @dir is the OST's from then on. */
int ost_open(struct ost *o, unsigned index, int dir, const struct ost_model *model);
/* Bytes an ordinary user may still write: 0 if it is full, by fault or by content. */
uint64_t ost_available(struct ost *o);
/* Why no new object can be put here: 0, -EREMOTEIO, -EROFS, -ENOSPC. */
int ost_refuses(struct ost *o);

/* A new, empty object. NULL: no memory. */
struct object *object_new(struct ost *o);
/* One that exists. 0 or negative. */
int object_load(struct ost *o, uint64_t id, struct object **out);
uint64_t object_id(const struct object *b);
void object_unref(struct object *b);
/* Its last name and user are gone: data, space and what is queued. Keeps the reference. */
void object_destroy(struct object *b);
void object_space(struct object *b, uint64_t *size, uint64_t *blocks);

/* An open file needs descriptors. Counted; a negative errno where there are none left. */
int object_open(struct object *b);
void object_close(struct object *b);

/*
 * For an open object. @client < 0: not modelled and not counted. All of @len or a negative
 * errno; reading beyond the object's end gives zeros.
 */
int object_write(
	struct object *b, int client, const void *data, size_t len, uint64_t at);
int object_read(struct object *b, int client, void *data, size_t len, uint64_t at);
/* Shortening takes the lock from other clients, but does not keep it. */
int object_truncate(struct object *b, int client, uint64_t size);
/* Returns when what @client wrote has been served. */
int object_sync(struct object *b, int client);
/* lseek's SEEK_DATA or SEEK_HOLE. -ENXIO: no data there. */
int64_t object_seek(struct object *b, uint64_t at, int whence);

#endif
