/* SPDX-License-Identifier: BSD-3-Clause */
/* What ranks agree on and hand each other whole: results, and buffers of any length. */
#include "transport/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (64 << 20) /* bytes of one message of a long transfer */
#define ASKED 16	 /* buffers that rank 0 collects at a time */

int transport_bcast_buf_all(
	const struct transport *t, struct buf *b, int root, struct ebt_err *err)
{
	uint64_t len = b->len;
	int r = 0;

	transport_bcast_all(t, &len, sizeof(len), root);
	if (t->rank != root) {
		b->len = 0;
		if (!buf_extend(b, len))
			r = ebt_fail(
				err, -ENOMEM, "%llu bytes", (unsigned long long)len);
	}
	r = transport_agree_all(t, r, err);
	if (r < 0)
		return r;
	transport_bcast_all(t, b->data, len, root);
	return 0;
}

static void transfer(
	const struct transport *t, void *data, size_t len, int peer, bool send)
{
	MPI_Request req;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = len - at < PIECE ? len - at : PIECE;
		if (send)
			MPI_Isend((char *)data + at, (int)n, MPI_BYTE, peer, 0, t->comm,
				&req);
		else
			MPI_Irecv((char *)data + at, (int)n, MPI_BYTE, peer, 0, t->comm,
				&req);
		transport_wait(t, &req, peer);
	}
}

/* A buffer that its rank was asked for. */
struct asked {
	int peer;
	struct buf b;
	MPI_Request req; /* of its first piece */
};

struct collection {
	const struct transport *t;
	int next; /* the next rank to be asked */
	const uint64_t *len;
	struct asked ring[ASKED];
	unsigned head, n;
	uint64_t bytes; /* in the ring */
	int code;
	struct ebt_err *err;
};

static void answer(struct collection *c, int peer, char token)
{
	transfer(c->t, &token, 1, peer, true);
}

/* As long as there is room, and at least one. */
static bool may_ask(const struct collection *c)
{
	return c->next < c->t->size && c->n < ASKED &&
	       (c->n == 0 || c->bytes + c->len[c->next] <= PIECE);
}

static void ask_next(struct collection *c)
{
	struct asked *a = &c->ring[(c->head + c->n) % ASKED];
	uint64_t len = c->len[c->next];
	int peer = c->next++;

	*a = (struct asked){.peer = peer, .req = MPI_REQUEST_NULL};
	if (c->code == 0 && len && !buf_extend(&a->b, len))
		c->code = ebt_fail(c->err, -ENOMEM, "%llu bytes of rank %d",
			(unsigned long long)len, peer);
	if (len)
		answer(c, peer, c->code == 0);
	if (c->code < 0)
		return;
	if (len)
		MPI_Irecv(a->b.data, (int)(len < PIECE ? len : PIECE), MPI_BYTE, peer,
			0, c->t->comm, &a->req);
	c->bytes += len;
	c->n++;
}

/*
 * Rank 0 knows how long all buffers are, and asks for them: some at a time, so that it does not
 * wait for each, as far as they are small. Nobody sends what there is no room for.
 */
static int collect(struct collection *c, const struct buf *mine,
	int (*take)(void *arg, const struct buf *b, struct ebt_err *err), void *arg)
{
	c->next = 1;
	c->code = take(arg, mine, c->err);
	for (;;) {
		struct asked *a = &c->ring[c->head];

		while (may_ask(c))
			ask_next(c);
		if (c->n == 0)
			return c->code;
		transport_wait(c->t, &a->req, a->peer);
		if (a->b.len > PIECE)
			transfer(c->t, a->b.data + PIECE, a->b.len - PIECE, a->peer,
				false);
		if (c->code == 0)
			c->code = take(arg, &a->b, c->err);
		c->bytes -= a->b.len;
		buf_release(&a->b);
		c->head = (c->head + 1) % ASKED;
		c->n--;
	}
}

int transport_collect_all(const struct transport *t, const struct buf *mine,
	int (*take)(void *arg, const struct buf *b, struct ebt_err *err), void *arg,
	struct ebt_err *err)
{
	struct collection c = {.t = t, .err = err};
	SCOPED_FREE uint64_t *len = NULL;
	uint64_t own = mine->len;
	int r = 0;
	char token;

	if (t->rank == 0) {
		c.len = len = calloc((size_t)t->size, sizeof(*len));
		if (!len)
			r = ebt_fail(err, -ENOMEM, "%d ranks", t->size);
	}
	r = transport_agree_all(t, r, err);
	if (r < 0)
		return r;
	transport_gather_all(t, &own, sizeof(own), len, 0);
	if (t->rank == 0)
		return collect(&c, mine, take, arg);
	if (!own)
		return 0;
	transfer(t, &token, 1, 0, false);
	if (token)
		transfer(t, mine->data, own, 0, true);
	return 0;
}

/* Sorts before others: a real cause, then a stop from outside, then what only follows. */
static int severity(int code)
{
	if (code == 0)
		return 3;
	if (code == -ECANCELED)
		return 2;
	return code == -EINTR ? 1 : 0;
}

/* Adds to @err where it happened, unless an agreement within this one has done so. */
static void locate(struct ebt_err *err, int rank, int failed)
{
	char host[64] = "", where[128];
	size_t room;

	if (err->located)
		return;
	gethostname(host, sizeof(host) - 1);
	if (failed > 1)
		snprintf(where, sizeof(where), " (rank %d on %s, %d failed)", rank,
			host, failed);
	else
		snprintf(where, sizeof(where), " (rank %d on %s)", rank, host);
	/* A text that fills its room is cut: where it happened must not be. */
	room = sizeof(err->text) - 1 - strlen(where);
	if (strlen(err->text) > room)
		err->text[room] = '\0';
	strcat(err->text, where);
	err->located = 1;
}

int transport_agree_all(const struct transport *t, int code, struct ebt_err *err)
{
	struct {
		int key, rank;
	} worst;
	struct ebt_err mine = {0};
	int failed;

	worst.key = severity(code);
	worst.rank = t->rank;
	transport_reduce_all(t, &worst, 1, MPI_2INT, MPI_MINLOC);
	if (worst.key == severity(0))
		return 0;
	failed = code < 0;
	transport_reduce_all(t, &failed, 1, MPI_INT, MPI_SUM);
	if (t->rank == worst.rank) {
		if (err)
			mine = *err;
		mine.code = code;
		locate(&mine, t->named, failed);
	}
	transport_bcast_all(t, &mine, sizeof(mine), worst.rank);
	if (err)
		*err = mine;
	return mine.code;
}
