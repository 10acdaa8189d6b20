/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exchanges by way of others. What goes to ranks of one column travels in one message along the
 * row, and is sorted there by who gets it: two straight exchanges of some √N ranks each.
 *
 * A message is one record after the other: the rank at the far end (32 bits), where it goes to in
 * the first half, where it comes from in the second; how long it is (64 bits); its bytes.
 */
#include "transport/transport_internal.h"

#include <errno.h>
#include <stdlib.h>

#define RECORD 12 /* bytes before those of a message */

struct relay {
	const struct transport *t;
	struct buf *ways; /* to the members of the column */
	transport_take_fn *take;
	void *arg;
};

/* The root of @size, rounded down, by Newton's steps from above: asked for every message. */
static int columns_of(int size)
{
	int n = size;

	while (n > size / n)
		n = (n + size / n) / 2;
	return n;
}

struct transport_place transport_place_of(int rank, int size)
{
	int columns = columns_of(size), rows = size / columns,
	    over = rank - rows * columns;

	/* There are fewer left over than columns, and no more columns than rows. */
	if (over >= 0)
		return (struct transport_place){.row = over,
			.column = over,
			.in_row = columns,
			.in_column = rows};
	return (struct transport_place){.row = rank / columns,
		.column = rank % columns,
		.in_row = rank % columns,
		.in_column = rank / columns};
}

/* The member at place @i of a row. */
static int rank_in_row(int row, int i, int size)
{
	int columns = columns_of(size);

	return i < columns ? row * columns + i : size / columns * columns + row;
}

static struct transport open_part(const struct transport *t, int number)
{
	struct transport part;
	MPI_Comm comm;

	MPI_Comm_split(t->comm, number, t->rank, &comm);
	part = transport_of(comm, t->watch);
	part.named = t->named;
	return part;
}

void transport_routes_open_all(const struct transport *t, struct transport_routes *r)
{
	struct transport_place at = transport_place_of(t->rank, t->size);

	r->row = open_part(t, at.row);
	r->column = open_part(t, at.column);
}

void transport_routes_close(struct transport_routes *r)
{
	MPI_Comm_free(&r->row.comm);
	MPI_Comm_free(&r->column.comm);
}

static void put_record(struct buf *to, int peer, const void *data, size_t len)
{
	buf_put32(to, (uint32_t)peer);
	buf_put64(to, len);
	buf_put(to, data, len);
}

/* The next record of @r, which has one. */
static const void *get_record(
	struct reader *r, int size, int *peer, size_t *len, struct ebt_err *err)
{
	uint32_t rank = reader_get32(r);
	uint64_t bytes = reader_get64(r);
	const void *data = reader_take(r, bytes);

	if (!data || rank >= (uint32_t)size) {
		ebt_failx(err, -EPROTO, "a message that cannot be sent on");
		return NULL;
	}
	*peer = (int)rank;
	*len = bytes;
	return data;
}

/* At once: growing would copy what is as long as all that a rank has. */
static bool make_room(struct buf *b, size_t len)
{
	if (len && !buf_extend(b, len))
		return false;
	b->len = 0;
	return true;
}

/* @out by column of its receiver; what is sorted is gone from @out. */
static int sort(const struct transport *t, struct buf *out, struct buf *ways,
	struct ebt_err *err)
{
	SCOPED_FREE size_t *bytes = calloc((size_t)t->routes->row.size, sizeof(*bytes));

	if (!bytes)
		return ebt_fail(err, -ENOMEM, "messages of %d ranks", t->size);
	for (int i = 0; i < t->size; i++) {
		if (!buf_ok(&out[i]))
			return ebt_fail(err, -ENOMEM, "message to rank %d", i);
		if (out[i].len)
			bytes[transport_place_of(i, t->size).column] +=
				RECORD + out[i].len;
	}
	for (int i = 0; i < t->routes->row.size; i++) {
		if (!make_room(&ways[i], bytes[i]))
			return ebt_fail(
				err, -ENOMEM, "messages of %zu bytes", bytes[i]);
	}
	for (int i = 0; i < t->size; i++) {
		if (out[i].len)
			put_record(&ways[transport_place_of(i, t->size).column], i,
				out[i].data, out[i].len);
		buf_release(&out[i]);
	}
	return 0;
}

/* From member @peer of the row, by who gets it. */
static int relay(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct relay *y = arg;
	const struct transport *t = y->t;
	struct reader r = reader_of(b->data, b->len);
	int from = rank_in_row(transport_place_of(t->rank, t->size).row, peer, t->size),
	    to;
	const void *data;
	struct buf *way;
	size_t len;

	while (reader_left(&r)) {
		data = get_record(&r, t->size, &to, &len, err);
		if (!data)
			return -EPROTO;
		way = &y->ways[transport_place_of(to, t->size).in_column];
		put_record(way, from, data, len);
		if (!buf_ok(way))
			return ebt_fail(err, -ENOMEM, "messages to send on");
	}
	return 0;
}

static int deliver(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct relay *y = arg;
	struct reader r = reader_of(b->data, b->len);
	const void *data;
	size_t len;
	int from, code = 0;

	(void)peer;
	while (reader_left(&r) && code == 0) {
		SCOPED_BUF struct buf one = {0};

		data = get_record(&r, y->t->size, &from, &len, err);
		if (!data)
			return -EPROTO;
		buf_put(&one, data, len);
		code = buf_ok(&one)
			       ? y->take(y->arg, from, &one, err)
			       : ebt_fail(err, -ENOMEM, "message of rank %d", from);
	}
	return code;
}

/* One half: the members of @part exchange @ways; whatever fails anywhere is everybody's failure. */
static int half_all(const struct transport *t, const struct transport *part,
	struct buf *ways, int r, transport_take_fn *take, struct relay *y,
	struct ebt_err *err)
{
	r = transport_agree_all(t, r, err);
	if (r == 0)
		r = transport_agree_all(t,
			transport_exchange_straight_all(part, ways, take, y, err), err);
	return r;
}

static int exchange_by_routes_all(const struct transport *t, struct buf *out,
	transport_take_fn *take, void *arg, struct ebt_err *err)
{
	const struct transport *row = &t->routes->row, *column = &t->routes->column;
	struct buf *along_row = calloc((size_t)row->size, sizeof(*along_row));
	struct buf *along_column = calloc((size_t)column->size, sizeof(*along_column));
	struct relay y = {.t = t, .ways = along_column, .take = take, .arg = arg};
	int r = 0;

	if (!along_row || !along_column)
		r = ebt_fail(err, -ENOMEM, "messages of %d ranks", t->size);
	if (r == 0)
		r = sort(t, out, along_row, err);
	r = half_all(t, row, along_row, r, relay, &y, err);
	if (r == 0)
		r = half_all(t, column, along_column, 0, deliver, &y, err);
	buf_free_array(along_row, (size_t)row->size);
	buf_free_array(along_column, (size_t)column->size);
	for (int i = 0; i < t->size; i++)
		buf_release(&out[i]);
	return r;
}

int transport_exchange_all(const struct transport *t, struct buf *out,
	transport_take_fn *take, void *arg, struct ebt_err *err)
{
	return t->routes ? exchange_by_routes_all(t, out, take, arg, err)
			 : transport_exchange_straight_all(t, out, take, arg, err);
}
