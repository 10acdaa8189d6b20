/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everybody to everybody, where most pairs have nothing to say. All learn first how much
 * comes from whom and make room for it: from then on nothing can fail but the receiver's own
 * work, so nobody is left waiting. Then rank r sends to r + 1, r + 2, ... and receives from
 * r - 1, r - 2, ..., some of them at a time. The message with the smallest distance that is
 * still under way has both its ends posted, so the ring never locks up.
 *
 * Cost: lengths in log2 N messages a rank; one message a pair that has something, in pieces.
 */
#include "transport/transport_internal.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE  (64 << 20) /* bytes of one message */
#define WINDOW 16	  /* peers being sent to, and as many received from */
#define TAG    1

/* A buffer on its way to or from @peer. */
struct passage {
	struct buf *b; /* NULL: free */
	MPI_Request req;
	size_t at; /* bytes done before this piece */
	size_t piece;
	int peer;
};

struct exchange {
	const struct transport *t;
	struct buf *out, *in; /* of each peer */
	transport_take_fn *take;
	void *arg;
	struct ebt_err *err;
	int code; /* first failure of take */
	struct passage send[WINDOW], recv[WINDOW];
	int sent, received; /* distances that were begun */
	unsigned busy;
};

static void pass_on(struct exchange *x, struct passage *p, bool send)
{
	size_t left = p->b->len - p->at;

	p->piece = left < PIECE ? left : PIECE;
	if (send)
		MPI_Isend(p->b->data + p->at, (int)p->piece, MPI_BYTE, p->peer, TAG,
			x->t->comm, &p->req);
	else
		MPI_Irecv(p->b->data + p->at, (int)p->piece, MPI_BYTE, p->peer, TAG,
			x->t->comm, &p->req);
}

static void deliver(struct exchange *x, int peer, struct buf *b)
{
	if (x->code == 0 && b->len)
		x->code = x->take(x->arg, peer, b, x->err);
	buf_release(b);
}

static void finish(struct exchange *x, struct passage *p, bool send)
{
	if (send)
		buf_release(p->b);
	else
		deliver(x, p->peer, p->b);
	p->b = NULL;
	x->busy--;
}

/* The next peer in the ring that has something, into free @p. */
static bool begin(struct exchange *x, struct passage *p, bool send)
{
	int *distance = send ? &x->sent : &x->received, peer;
	struct buf *b;

	while (*distance + 1 < x->t->size) {
		++*distance;
		peer = send ? (x->t->rank + *distance) % x->t->size
			    : (x->t->rank - *distance + x->t->size) % x->t->size;
		b = send ? &x->out[peer] : &x->in[peer];
		if (!b->len)
			continue;
		*p = (struct passage){.b = b, .peer = peer};
		x->busy++;
		pass_on(x, p, send);
		return true;
	}
	return false;
}

static bool advance(struct exchange *x, struct passage *p, bool send)
{
	int done;

	if (!p->b)
		return begin(x, p, send);
	MPI_Test(&p->req, &done, MPI_STATUS_IGNORE);
	if (!done)
		return false;
	p->at += p->piece;
	if (p->at < p->b->len)
		pass_on(x, p, send);
	else
		finish(x, p, send);
	return true;
}

static void run(struct exchange *x)
{
	struct transport_pause pause = TRANSPORT_PAUSE;
	bool moved;

	deliver(x, x->t->rank, &x->out[x->t->rank]);
	do {
		moved = false;
		for (int i = 0; i < WINDOW; i++) {
			moved |= advance(x, &x->recv[i], false);
			moved |= advance(x, &x->send[i], true);
		}
		transport_pause(x->t, &pause, moved);
	} while (moved || x->busy);
}

/* Lengths to and from all: collective even where memory is short. */
static int make_room_all(struct exchange *x, uint64_t *lengths)
{
	uint64_t *to = lengths, *from = lengths + x->t->size, sum = 0;
	int r = 0;

	for (int i = 0; i < x->t->size; i++) {
		to[i] = x->out[i].len;
		if (!buf_ok(&x->out[i]))
			r = ebt_fail(x->err, -ENOMEM, "message to rank %d", i);
	}
	transport_alltoall_all(x->t, to, from, from + x->t->size);
	for (int i = 0; i < x->t->size && r == 0; i++) {
		sum += from[i];
		if (i != x->t->rank && from[i] && !buf_extend(&x->in[i], from[i]))
			r = ebt_fail(x->err, -ENOMEM, "messages of %llu bytes and more",
				(unsigned long long)sum);
	}
	return transport_agree_all(x->t, r, x->err);
}

int transport_exchange_straight_all(const struct transport *t, struct buf *out,
	transport_take_fn *take, void *arg, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *lengths = NULL;
	struct buf *in = NULL;
	struct exchange x = {.t = t, .out = out, .take = take, .arg = arg, .err = err};
	int r;

	lengths = calloc(4 * (size_t)t->size, sizeof(*lengths));
	in = calloc((size_t)t->size, sizeof(*in));
	r = transport_agree_all(t,
		lengths && in ? 0
			      : ebt_fail(err, -ENOMEM, "messages of %d ranks", t->size),
		err);
	if (r == 0) {
		x.in = in;
		r = make_room_all(&x, lengths);
	}
	if (r == 0) {
		run(&x);
		r = transport_agree_all(t, x.code, err);
	}
	for (int i = 0; i < t->size; i++)
		buf_release(&out[i]);
	buf_free_array(in, (size_t)t->size);
	return r;
}
