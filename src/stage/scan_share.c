/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Evening out the walk between readers, while it goes on. Now and then everybody hears how many
 * items everybody has; the ones above the mean give to the ones below it, in an order that all
 * compute alike. Who gets what does not matter to the result, only to the time.
 */
#include "stage/scan_share.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "transport/transport.h"

/*
 * Bytes of items in one message: what does not fit stays, and the next round evens out again. A
 * batch of the longest names below the longest path has to fit.
 */
#define GIVE_MAX (4u << 20)

static size_t item_bytes(const struct scan_item *it)
{
	return 13 + (size_t)it->path_len + 1 + it->names;
}

static void put_item(struct buf *b, const struct scan_item *it)
{
	buf_put32(b, it->base);
	buf_put8(b, it->flags);
	buf_put32(b, it->path_len);
	buf_put32(b, it->names);
	buf_put(b, it->path, (size_t)it->path_len + 1 + it->names);
}

static struct scan_item *get_item(struct reader *r)
{
	struct scan_item head, *it;
	const char *text;

	head.base = reader_get32(r);
	head.flags = reader_get8(r);
	head.path_len = reader_get32(r);
	head.names = reader_get32(r);
	text = reader_take(r, (size_t)head.path_len + 1 + head.names);
	if (!text)
		return NULL;
	it = scan_item_new(
		head.base, head.flags, text, text + head.path_len + 1, head.names);
	return it;
}

/* @b has room for GIVE_MAX bytes: from here on nothing may fail that a peer waits for. */
static void give(
	struct scan *s, const struct transport *t, int peer, uint64_t n, struct buf *b)
{
	struct scan_item *it;
	MPI_Request req;
	uint64_t len;

	b->len = 0;
	while (n-- && (it = scan_pop(s))) {
		if (b->len + item_bytes(it) > GIVE_MAX) {
			scan_push(s, it);
			break;
		}
		put_item(b, it);
		free(it);
	}
	len = b->len;
	MPI_Isend(&len, 1, MPI_UINT64_T, peer, 1, t->comm, &req);
	transport_wait(t, &req, peer);
	MPI_Isend(b->data, (int)len, MPI_BYTE, peer, 1, t->comm, &req);
	transport_wait(t, &req, peer);
}

static int receive(struct scan *s, const struct transport *t, int peer, struct buf *b)
{
	struct scan_item *it;
	struct reader r;
	MPI_Request req;
	uint64_t len;

	MPI_Irecv(&len, 1, MPI_UINT64_T, peer, 1, t->comm, &req);
	transport_wait(t, &req, peer);
	MPI_Irecv(b->data, (int)len, MPI_BYTE, peer, 1, t->comm, &req);
	transport_wait(t, &req, peer);
	r = reader_of(b->data, len);
	while (reader_left(&r)) {
		it = get_item(&r);
		if (!it)
			return -ENOMEM;
		scan_push(s, it);
	}
	return 0;
}

/*
 * Takes the surplus of the ranks in order to the deficits of the ranks in order. @have is
 * everybody's count; every rank walks the same matching and acts on its own part.
 */
static int even_out(
	struct scan *s, const struct transport *t, uint64_t *have, struct buf *b)
{
	uint64_t total = 0, low, n, room;
	int to = 0, code, first = 0, size = t->size;

	for (int i = 0; i < size; i++)
		total += have[i];
	low = total / (unsigned)size;
	for (int from = 0; from < size; from++) {
		while (have[from] > low + 1) {
			while (to < size && have[to] >= low)
				to++;
			if (to == size)
				return first;
			room = low - have[to];
			n = have[from] - low - 1 < room ? have[from] - low - 1 : room;
			have[from] -= n;
			have[to] += n;
			code = 0;
			if (t->rank == from)
				give(s, t, to, n, b);
			else if (t->rank == to)
				code = receive(s, t, from, b);
			if (code && !first)
				first = code;
		}
	}
	return first;
}

int scan_share_all(struct scan *s, const struct transport *readers, bool failed,
	bool more, bool *found)
{
	SCOPED_FREE uint64_t *have = NULL;
	SCOPED_BUF struct buf b = {0};
	struct ebt_err err = {0};
	uint64_t mine, total = 0;
	int size = readers->size, any[3] = {failed}, r;
	unsigned busy;
	uint32_t items;

	have = calloc((size_t)size, sizeof(*have));
	if (!have || !buf_extend(&b, GIVE_MAX)) {
		scan_fail(
			s, ebt_fail(&err, -ENOMEM, "scan: sharing directories"), &err);
		any[0] = 1;
	}
	scan_left(s, &items, &busy);
	mine = items;
	any[1] = busy > 0 || more;
	any[2] = *found;
	transport_reduce_all(readers, any, 3, MPI_INT, MPI_MAX);
	*found = any[2];
	if (any[0])
		return -ECANCELED;
	transport_allgather_all(readers, &mine, sizeof(mine), have);
	for (int i = 0; i < size; i++)
		total += have[i];
	/* Who is at work may come by more. */
	if (!total && !any[1])
		return 0;
	r = even_out(s, readers, have, &b);
	if (r)
		scan_fail(s, ebt_fail(&err, r, "scan: sharing directories"), &err);
	return 1;
}
