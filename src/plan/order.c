/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A merge: the next hop of each stream in a binary heap, smallest step on top.
 */
#include "plan/order.h"

#include <assert.h>

struct head {
	struct schedule_hop hop;
	uint32_t stream;
	struct schedule_cursor cursor;
};

struct order {
	uint32_t room, count;
	uint32_t *heap; /* indices of heads, behind them in memory */
	struct head heads[];
};

int order_new(uint32_t streams, struct order **out, struct ebt_err *err)
{
	size_t each = sizeof(struct head) + sizeof(uint32_t);
	struct order *o = malloc(sizeof(*o) + streams * each);

	if (!o)
		return ebt_fail(err, -ENOMEM, "order of %u streams", streams);
	o->room = streams;
	o->count = 0;
	o->heap = (uint32_t *)&o->heads[streams];
	*out = o;
	return 0;
}

void order_free(struct order *o)
{
	free(o);
}

static bool before(const struct order *o, uint32_t a, uint32_t b)
{
	const struct head *x = &o->heads[a], *y = &o->heads[b];

	if (x->hop.step != y->hop.step)
		return x->hop.step < y->hop.step;
	return x->stream < y->stream;
}

void order_add(struct order *o, uint32_t stream, const struct schedule_cursor *c)
{
	uint32_t new = o->count, i = new;
	struct head *h = &o->heads[new];

	assert(new < o->room);
	h->stream = stream;
	h->cursor = *c;
	if (!schedule_next(&h->cursor, &h->hop))
		return;
	o->count++;
	for (; i > 0 && before(o, new, o->heap[(i - 1) / 2]); i = (i - 1) / 2)
		o->heap[i] = o->heap[(i - 1) / 2];
	o->heap[i] = new;
}

bool order_next(struct order *o, uint32_t *stream, struct schedule_hop *hop)
{
	uint32_t i = 0, child, sink;
	struct head *h;

	if (o->count == 0)
		return false;
	sink = o->heap[0];
	h = &o->heads[sink];
	*stream = h->stream;
	*hop = h->hop;
	if (!schedule_next(&h->cursor, &h->hop))
		sink = o->heap[--o->count];
	for (; (child = 2 * i + 1) < o->count; i = child) {
		if (child + 1 < o->count &&
			before(o, o->heap[child + 1], o->heap[child]))
			child++;
		if (before(o, sink, o->heap[child]))
			break;
		o->heap[i] = o->heap[child];
	}
	o->heap[i] = sink;
	return true;
}
