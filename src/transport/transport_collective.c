/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collectives of O(log N) messages a rank, made of plain ones. MPI's own are rings from some size
 * on, and who polls them may sleep before each of their messages; of these every message is
 * waited for by itself (transport_wait), and yields before it sleeps.
 *
 *	barrier, allgather	Bruck: to and from the rank 1, 2, 4, ... away
 *	alltoall		the same, of 8 bytes a pair
 *	reduction		recursive doubling, at most 2 messages more where N is no power of two
 *	broadcast		binomial tree; what is long in pieces down a binary tree, which
 *				takes twice the time that a link needs for it, and log N pieces
 *	gather			binomial tree
 */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/transport.h"

/* Behind the tags of flows, of which there are no more than nodes. */
#define TAG	     32000
#define BCAST_PIECE  (256 << 10) /* bytes: no longer ones are sent as a whole */
#define REDUCE_PIECE (64 << 10)	 /* bytes, on the stack */

/* The rank @distance further on, which may be negative, but not below -size. */
static int rank_at(const struct transport *t, int distance)
{
	return (int)(((long)t->rank + distance + t->size) % t->size);
}

static MPI_Request send_to(const struct transport *t, const void *data, size_t count,
	MPI_Datatype type, int to)
{
	MPI_Request req;

	assert(count <= INT_MAX);
	MPI_Isend(data, (int)count, type, to, TAG, t->comm, &req);
	return req;
}

static MPI_Request recv_from(const struct transport *t, void *data, size_t count,
	MPI_Datatype type, int from)
{
	MPI_Request req;

	assert(count <= INT_MAX);
	MPI_Irecv(data, (int)count, type, from, TAG, t->comm, &req);
	return req;
}

/* Something from rank @from and something to rank @to. */
static void both(
	const struct transport *t, MPI_Request in, int from, MPI_Request out, int to)
{
	transport_wait(t, &in, from);
	transport_wait(t, &out, to);
}

void transport_barrier_all(const struct transport *t)
{
	char in, out = 0;

	for (int k = 1; k < t->size; k *= 2) {
		int from = rank_at(t, -k), to = rank_at(t, k);

		both(t, recv_from(t, &in, 1, MPI_BYTE, from), from,
			send_to(t, &out, 1, MPI_BYTE, to), to);
	}
}

/* Ranks of a tree are counted from its root. */
static int from_root(const struct transport *t, int v, int root)
{
	return (int)(((long)v + root) % t->size);
}

static void bcast_whole(const struct transport *t, void *data, size_t len, int root)
{
	int v = (t->rank - root + t->size) % t->size, mask = 1, n = 0, up;
	MPI_Request req[sizeof(int) * CHAR_BIT];
	int to[sizeof(int) * CHAR_BIT];

	while (mask < t->size && !(v & mask))
		mask *= 2;
	if (v) {
		up = from_root(t, v - mask, root);
		req[0] = recv_from(t, data, len, MPI_BYTE, up);
		transport_wait(t, &req[0], up);
	}
	while ((mask /= 2) > 0) {
		if (v + mask >= t->size)
			continue;
		to[n] = from_root(t, v + mask, root);
		req[n] = send_to(t, data, len, MPI_BYTE, to[n]);
		n++;
	}
	while (n-- > 0)
		transport_wait(t, &req[n], to[n]);
}

static void bcast_pieces(const struct transport *t, char *data, size_t len, int root)
{
	size_t n = (len + BCAST_PIECE - 1) / BCAST_PIECE;
	int v = (t->rank - root + t->size) % t->size,
	    up = from_root(t, (v - 1) / 2, root);
	MPI_Request in[2], out[2][2];
	int down[2], n_down = 0;

	while (n_down < 2 && (long)2 * v + 1 + n_down < t->size) {
		down[n_down] = from_root(t, 2 * v + 1 + n_down, root);
		n_down++;
	}
	for (size_t i = 0; i < 2; i++) {
		in[i] = out[0][i] = out[1][i] = MPI_REQUEST_NULL;
		if (v && i < n)
			in[i] = recv_from(t, data + i * BCAST_PIECE,
				i + 1 < n ? BCAST_PIECE : len - i * BCAST_PIECE,
				MPI_BYTE, up);
	}
	for (size_t i = 0; i < n; i++) {
		char *piece = data + i * BCAST_PIECE;
		size_t size = i + 1 < n ? BCAST_PIECE : len - i * BCAST_PIECE;

		transport_wait(t, &in[i % 2], up);
		if (v && i + 2 < n)
			in[i % 2] = recv_from(t, piece + 2 * BCAST_PIECE,
				i + 3 < n ? BCAST_PIECE : len - (i + 2) * BCAST_PIECE,
				MPI_BYTE, up);
		for (int c = 0; c < n_down; c++) {
			transport_wait(t, &out[c][i % 2], down[c]);
			out[c][i % 2] = send_to(t, piece, size, MPI_BYTE, down[c]);
		}
	}
	for (int c = 0; c < n_down; c++)
		both(t, out[c][0], down[c], out[c][1], down[c]);
}

void transport_bcast_all(const struct transport *t, void *data, size_t len, int root)
{
	if (len > BCAST_PIECE)
		bcast_pieces(t, data, len, root);
	else if (len > 0)
		bcast_whole(t, data, len, root);
}

/*
 * With 2^k the largest power of two in N, the first N - 2^k ranks of odd number speak for the
 * even ones before them too.
 */
static void reduce_piece(
	const struct transport *t, void *data, int count, MPI_Datatype type, MPI_Op op)
{
	unsigned char from[REDUCE_PIECE] __attribute__((aligned(16)));
	int all = 1, rest, id, peer;
	MPI_Request req;

	while (all <= t->size / 2)
		all *= 2;
	rest = t->size - all;
	id = t->rank < 2 * rest ? t->rank / 2 : t->rank - rest;
	if (t->rank < 2 * rest && t->rank % 2 == 0) {
		peer = t->rank + 1;
		req = send_to(t, data, (size_t)count, type, peer);
		transport_wait(t, &req, peer);
		req = recv_from(t, data, (size_t)count, type, peer);
		transport_wait(t, &req, peer);
		return;
	}
	if (t->rank < 2 * rest) {
		req = recv_from(t, from, (size_t)count, type, t->rank - 1);
		transport_wait(t, &req, t->rank - 1);
		MPI_Reduce_local(from, data, count, type, op);
	}
	for (int mask = 1; mask < all; mask *= 2) {
		peer = id ^ mask;
		peer = peer < rest ? 2 * peer + 1 : peer + rest;
		both(t, recv_from(t, from, (size_t)count, type, peer), peer,
			send_to(t, data, (size_t)count, type, peer), peer);
		MPI_Reduce_local(from, data, count, type, op);
	}
	if (t->rank < 2 * rest) {
		req = send_to(t, data, (size_t)count, type, t->rank - 1);
		transport_wait(t, &req, t->rank - 1);
	}
}

void transport_reduce_all(
	const struct transport *t, void *data, int count, MPI_Datatype type, MPI_Op op)
{
	MPI_Aint low, extent;
	int most, n;

	MPI_Type_get_extent(type, &low, &extent);
	assert(low == 0 && extent > 0 && extent <= REDUCE_PIECE);
	most = (int)(REDUCE_PIECE / extent);
	for (int at = 0; at < count; at += n) {
		n = count - at < most ? count - at : most;
		reduce_piece(
			t, (char *)data + (size_t)at * (size_t)extent, n, type, op);
	}
}

/* As where MPI is short of it: nobody can go on, and nobody could be told. */
static void *room_for(size_t n)
{
	static const char text[] = "ebt: no memory for what nodes tell each other\n";
	void *p = malloc(n ? n : 1);

	if (p)
		return p;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	transport_abort(1);
}

void transport_gather_all(
	const struct transport *t, const void *mine, size_t len, void *all, int root)
{
	int v = (t->rank - root + t->size) % t->size, mask, n = 0;
	MPI_Request req[sizeof(int) * CHAR_BIT];
	int from[sizeof(int) * CHAR_BIT];
	size_t blocks = 1;
	unsigned char *part;

	for (mask = 1; v + (long)mask < t->size && !(v & mask); mask *= 2)
		blocks =
			(size_t)(t->size - v < 2 * (long)mask ? t->size - v : 2 * mask);
	part = t->rank == 0 && root == 0 ? all : room_for(blocks * len);
	memcpy(part, mine, len);
	for (int k = 1; k < mask; k *= 2) {
		size_t has = (size_t)(t->size - v - k < k ? t->size - v - k : k);

		from[n] = from_root(t, v + k, root);
		req[n] = recv_from(
			t, part + (size_t)k * len, has * len, MPI_BYTE, from[n]);
		n++;
	}
	while (n-- > 0)
		transport_wait(t, &req[n], from[n]);
	if (v) {
		from[0] = from_root(t, v - (v & -v), root);
		req[0] = send_to(t, part, blocks * len, MPI_BYTE, from[0]);
		transport_wait(t, &req[0], from[0]);
	} else if (part != all) {
		for (int i = 0; i < t->size; i++)
			memcpy((char *)all + (size_t)from_root(t, i, root) * len,
				part + (size_t)i * len, len);
	}
	if (part != all)
		free(part);
}

static void reverse(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		unsigned char c = p[i];

		p[i] = p[n - 1 - i];
		p[n - 1 - i] = c;
	}
}

/* The first @n of @size bytes go to the end. */
static void rotate(unsigned char *p, size_t size, size_t n)
{
	reverse(p, n);
	reverse(p + n, size - n);
	reverse(p, size);
}

void transport_allgather_all(
	const struct transport *t, const void *mine, size_t len, void *all)
{
	unsigned char *to = all;

	/* Own block first, then those of the ranks behind. */
	memcpy(to, mine, len);
	for (int k = 1; k < t->size; k *= 2) {
		size_t n = (size_t)(t->size - k < k ? t->size - k : k);

		int near = rank_at(t, k), back = rank_at(t, -k);

		both(t, recv_from(t, to + (size_t)k * len, n * len, MPI_BYTE, near),
			near, send_to(t, to, n * len, MPI_BYTE, back), back);
	}
	if (t->rank)
		rotate(to, (size_t)t->size * len, (size_t)(t->size - t->rank) * len);
}

/* Those of @block whose number has bit @k. */
static size_t pack(const uint64_t *block, int size, int k, uint64_t *out)
{
	size_t n = 0;

	for (int i = k; i < size; i++) {
		if (i & k)
			out[n++] = block[i];
	}
	return n;
}

void transport_alltoall_all(
	const struct transport *t, const uint64_t *to, uint64_t *from, uint64_t *room)
{
	uint64_t *block = room, *out = room + t->size, *in = out + t->size / 2;
	size_t n;

	/* Block i is on its way to the rank i further on, and takes each step of its bits. */
	for (int i = 0; i < t->size; i++)
		block[i] = to[rank_at(t, i)];
	for (int k = 1; k < t->size; k *= 2) {
		n = pack(block, t->size, k, out);
		both(t, recv_from(t, in, n, MPI_UINT64_T, rank_at(t, -k)),
			rank_at(t, -k), send_to(t, out, n, MPI_UINT64_T, rank_at(t, k)),
			rank_at(t, k));
		n = 0;
		for (int i = k; i < t->size; i++) {
			if (i & k)
				block[i] = in[n++];
		}
	}
	for (int i = 0; i < t->size; i++)
		from[rank_at(t, -i)] = block[i];
}
