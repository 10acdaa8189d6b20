/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intrusive first-in first-out queue between threads. Unbounded by itself: what is put in is
 * bounded by whoever owns the items (a pool of buffers). Waiting ends when the queue is
 * closed; items put before that are still handed out.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

struct queue_item {
	struct queue_item *next;
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct queue_item *head, **tail; /* lock */
	bool closed;			 /* lock */
};

void queue_init(struct queue *q);
void queue_destroy(struct queue *q); /* the items are the owner's business */
void queue_put(struct queue *q, struct queue_item *item);
/* Next item; NULL when the queue is closed and empty. Waits. */
struct queue_item *queue_get(struct queue *q);
/* Next item or NULL, without waiting. */
struct queue_item *queue_poll(struct queue *q);
void queue_close(struct queue *q);

#endif
