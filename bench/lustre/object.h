/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files that implement ost.h share. The OST's lock covers everything. */
#ifndef LUSTRE_OBJECT_H
#define LUSTRE_OBJECT_H

#include "ost.h"

struct ost_entry {
	struct ost_entry *next;
	struct object *object; /* NULL: a read, whose reader owns the entry */
	int client;
	uint64_t bytes;
	int64_t arrived, takes, finish;
};

struct lock_waiter;

struct object {
	struct ost *ost;
	uint64_t id;
	unsigned refs;
	int fd;
	unsigned opens;
	bool destroyed;
	uint64_t size, blocks; /* blocks of 512 bytes */
	int64_t dirty_until;   /* the last of its bytes in the queue is served */

	uint64_t readers; /* who holds the lock for reading, a bit each */
	int writer;	  /* who holds it for writing, -1: nobody */
	unsigned users;	  /* operations under the lock now */
	bool moving;	  /* a hand-over goes on */
	struct lock_waiter *first, **last;
	pthread_cond_t turn;
};

void object_unref_locked(struct object *b);
/* Called with the OST's lock held, which they let go while they wait. */
void extent_lock_locked(struct object *b, int client, bool write);
void extent_unlock_locked(struct object *b);
/* Waits until all of the object in the queue has been served. */
void ost_drain_locked(struct object *b);
/* Into the queue, after waiting for room in the client's window. -ENOMEM. */
int ost_queue_write_locked(struct object *b, int client, uint64_t bytes);
/* Into the queue and through it. */
void ost_queue_read_locked(struct ost *o, int client, uint64_t bytes);
/* What is queued of the object vanishes; what is behind it moves forward. */
void ost_discard_locked(struct object *b);

#endif
