/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"
#include "object.h"

struct lock_waiter {
	struct lock_waiter *next;
	int client;
	bool write, granted;
};

static uint64_t bit(int client)
{
	return (uint64_t)1 << client;
}

static bool fits(const struct object *b, int client, bool write)
{
	if (b->writer >= 0)
		return b->writer == client;
	return !write || (b->readers & ~bit(client)) == 0;
}

static void hold(struct object *b, int client, bool write)
{
	if (write) {
		b->writer = client;
		b->readers = 0;
	} else if (b->writer != client) {
		b->readers |= bit(client);
	}
	b->users++;
}

/* Everything that waits and fits, as far as no other client's request is passed. */
static void grant_waiting(struct object *b, int client)
{
	struct lock_waiter **link = &b->first;

	while (*link) {
		struct lock_waiter *w = *link;

		if (!fits(b, w->client, w->write) ||
			(w->client != client && link != &b->first)) {
			link = &w->next;
			continue;
		}
		hold(b, w->client, w->write);
		w->granted = true;
		*link = w->next;
		if (b->last == &w->next)
			b->last = link;
	}
	pthread_cond_broadcast(&b->turn);
}

static void hand_over(struct object *b, const struct lock_waiter *to)
{
	struct ost *o = b->ost;
	int64_t until;

	b->moving = true;
	while (b->users)
		pthread_cond_wait(&b->turn, &o->lock);
	ost_drain_locked(b);
	o->counts.handovers++;
	until = clock_now() + o->model->handover;
	while (clock_now() < until)
		clock_cond_until(&b->turn, &o->lock, until);
	b->writer = -1;
	b->readers = 0;
	b->moving = false;
	grant_waiting(b, to->client);
}

/* Out of line: gcc does not see that whoever grants takes the waiter out again. */
static __attribute__((noinline)) void append(struct object *b, struct lock_waiter *w)
{
	*b->last = w;
	b->last = &w->next;
}

void extent_lock_locked(struct object *b, int client, bool write)
{
	struct lock_waiter w = {.client = client, .write = write};

	if (!b->first && !b->moving && fits(b, client, write)) {
		hold(b, client, write);
		return;
	}
	append(b, &w);
	while (!w.granted) {
		if (b->first == &w && !b->moving) {
			if (fits(b, client, write))
				grant_waiting(b, client);
			else
				hand_over(b, &w);
		} else {
			pthread_cond_wait(&b->turn, &b->ost->lock);
		}
	}
	/* The next in the queue may have become the first. */
	if (b->first)
		pthread_cond_broadcast(&b->turn);
}

void extent_unlock_locked(struct object *b)
{
	if (--b->users == 0 && b->first)
		pthread_cond_broadcast(&b->turn);
}
