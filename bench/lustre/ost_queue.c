/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtual queue of an OST. Entries are in order of service. Those that are through are
 * taken off by whoever looks next, so an idle OST costs nothing. Writes of one client to
 * one object that follow each other share an entry, up to a megabyte: what looks at all
 * entries then has little to look at.
 */
#include <stdlib.h>

#include "clock.h"
#include "object.h"

#define ENTRY_MOST (1 << 20)

static void append(struct ost *o, struct ost_entry *e)
{
	e->next = NULL;
	*o->tail = e;
	o->tail = &e->next;
}

/* Takes an entry off; **link is it. A read's belongs to its reader. */
static void take_off(struct ost *o, struct ost_entry **link)
{
	struct ost_entry *e = *link;

	*link = e->next;
	if (o->tail == &e->next)
		o->tail = link;
	e->next = NULL;
	if (!e->object)
		return;
	o->queued[e->client] -= e->bytes;
	object_unref_locked(e->object);
	free(e);
}

static void reap(struct ost *o, int64_t now)
{
	while (o->head && o->head->finish <= now)
		take_off(o, &o->head);
}

static void schedule(struct ost *o, struct ost_entry *e, int64_t now)
{
	e->arrived = now;
	e->takes = (int64_t)((double)e->bytes * o->slow / o->rate * 1e9);
	if (o->free_at < now)
		o->free_at = now;
	o->free_at += e->takes;
	e->finish = o->free_at;
	o->counts.busy += e->takes;
}

/* When the client's queued bytes will be at most @most. */
static int64_t room_at(const struct ost *o, int client, uint64_t most)
{
	uint64_t left = o->queued[client];
	const struct ost_entry *e = o->head;

	for (; e; e = e->next) {
		if (!e->object || e->client != client)
			continue;
		left -= e->bytes;
		if (left <= most)
			break;
	}
	return e ? e->finish : o->free_at;
}

static struct ost_entry *last_of(struct ost *o)
{
	if (!o->head)
		return NULL;
	return (struct ost_entry *)((char *)o->tail - offsetof(struct ost_entry, next));
}

int ost_queue_write_locked(struct object *b, int client, uint64_t bytes)
{
	struct ost *o = b->ost;
	uint64_t window = o->model->window;
	struct ost_entry *e;
	int64_t now;

	if (o->rate == 0)
		return 0;
	for (;;) {
		now = clock_now();
		reap(o, now);
		if (o->queued[client] == 0 || o->queued[client] + bytes <= window)
			break;
		clock_cond_until(&o->moved, &o->lock,
			room_at(o, client, window > bytes ? window - bytes : 0));
	}
	e = last_of(o);
	if (e && e->object == b && e->client == client &&
		e->bytes + bytes <= ENTRY_MOST) {
		int64_t takes = (int64_t)((double)bytes * o->slow / o->rate * 1e9);

		e->bytes += bytes;
		e->takes += takes;
		o->free_at += takes;
		o->counts.busy += takes;
		e->finish = o->free_at;
	} else {
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		e->object = b;
		b->refs++;
		e->client = client;
		e->bytes = bytes;
		schedule(o, e, now);
		append(o, e);
	}
	o->queued[client] += bytes;
	b->dirty_until = e->finish;
	return 0;
}

void ost_queue_read_locked(struct ost *o, int client, uint64_t bytes)
{
	struct ost_entry e = {.client = client, .bytes = bytes};
	struct ost_entry **link;
	int64_t now = clock_now();

	if (o->rate == 0)
		return;
	reap(o, now);
	schedule(o, &e, now);
	append(o, &e);
	while (clock_now() < e.finish)
		clock_cond_until(&o->moved, &o->lock, e.finish);
	for (link = &o->head; *link && *link != &e; link = &(*link)->next)
		;
	if (*link)
		take_off(o, link);
}

void ost_drain_locked(struct object *b)
{
	while (clock_now() < b->dirty_until)
		clock_cond_until(&b->ost->moved, &b->ost->lock, b->dirty_until);
}

void ost_discard_locked(struct object *b)
{
	struct ost *o = b->ost;
	struct ost_entry **link = &o->head;
	int64_t now = clock_now(), t = now;
	bool found = false;

	reap(o, now);
	while (*link) {
		struct ost_entry *e = *link;

		if (e->object == b) {
			/* Of what is being served just now the rest is not. */
			int64_t left = e->finish - now;

			if (left > e->takes)
				left = e->takes;
			o->counts.busy -= left;
			o->counts.discarded += e->bytes;
			found = true;
			take_off(o, link);
			continue;
		}
		if (found) {
			if (t < e->arrived)
				t = e->arrived;
			t += e->takes;
			e->finish = t;
			if (e->object)
				e->object->dirty_until = t;
		} else {
			t = e->finish;
		}
		link = &e->next;
	}
	if (!found)
		return;
	b->dirty_until = 0;
	o->free_at = t;
	pthread_cond_broadcast(&o->moved);
}
