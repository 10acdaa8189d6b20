/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/queue.h"

#include <stddef.h>

#include "base/scope.h"

void queue_init(struct queue *q)
{
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->filled, NULL);
	q->head = NULL;
	q->tail = &q->head;
	q->closed = false;
}

void queue_destroy(struct queue *q)
{
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->lock);
}

void queue_put(struct queue *q, struct queue_item *item)
{
	SCOPED_LOCK(&q->lock);
	item->next = NULL;
	*q->tail = item;
	q->tail = &item->next;
	pthread_cond_signal(&q->filled);
}

static struct queue_item *pop_locked(struct queue *q)
{
	struct queue_item *item = q->head;

	if (item) {
		q->head = item->next;
		if (!q->head)
			q->tail = &q->head;
	}
	return item;
}

struct queue_item *queue_get(struct queue *q)
{
	SCOPED_LOCK(&q->lock);
	while (!q->head && !q->closed)
		pthread_cond_wait(&q->filled, &q->lock);
	return pop_locked(q);
}

struct queue_item *queue_poll(struct queue *q)
{
	SCOPED_LOCK(&q->lock);
	return pop_locked(q);
}

void queue_close(struct queue *q)
{
	SCOPED_LOCK(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->filled);
}
