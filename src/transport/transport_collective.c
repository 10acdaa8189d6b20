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

struct ring {
	MPI_Comm comm;
	int rank, size;
};

static struct ring ring_of(MPI_Comm comm)
{
	struct ring g = {.comm = comm};

	MPI_Comm_rank(comm, &g.rank);
	MPI_Comm_size(comm, &g.size);
	return g;
}

/* The rank @distance further on, which may be negative, but not below -size. */
static int rank_at(const struct ring *g, int distance)
{
	return (int)(((long)g->rank + distance + g->size) % g->size);
}

static MPI_Request send_to(
	const struct ring *g, const void *data, size_t count, MPI_Datatype type, int to)
{
	MPI_Request req;

	assert(count <= INT_MAX);
	MPI_Isend(data, (int)count, type, to, TAG, g->comm, &req);
	return req;
}

static MPI_Request recv_from(
	const struct ring *g, void *data, size_t count, MPI_Datatype type, int from)
{
	MPI_Request req;

	assert(count <= INT_MAX);
	MPI_Irecv(data, (int)count, type, from, TAG, g->comm, &req);
	return req;
}

static void both(MPI_Request a, MPI_Request b)
{
	transport_wait(&a);
	transport_wait(&b);
}

void transport_barrier_all(MPI_Comm comm)
{
	struct ring g = ring_of(comm);
	char in, out = 0;

	for (int k = 1; k < g.size; k *= 2)
		both(recv_from(&g, &in, 1, MPI_BYTE, rank_at(&g, -k)),
			send_to(&g, &out, 1, MPI_BYTE, rank_at(&g, k)));
}

/* Ranks of a tree are counted from its root. */
static int from_root(const struct ring *g, int v, int root)
{
	return (int)(((long)v + root) % g->size);
}

static void bcast_whole(const struct ring *g, void *data, size_t len, int root)
{
	int v = (g->rank - root + g->size) % g->size, mask = 1, n = 0;
	MPI_Request req[sizeof(int) * CHAR_BIT];

	while (mask < g->size && !(v & mask))
		mask *= 2;
	if (v) {
		req[0] =
			recv_from(g, data, len, MPI_BYTE, from_root(g, v - mask, root));
		transport_wait(&req[0]);
	}
	while ((mask /= 2) > 0) {
		if (v + mask < g->size)
			req[n++] = send_to(
				g, data, len, MPI_BYTE, from_root(g, v + mask, root));
	}
	while (n > 0)
		transport_wait(&req[--n]);
}

static void bcast_pieces(const struct ring *g, char *data, size_t len, int root)
{
	size_t n = (len + BCAST_PIECE - 1) / BCAST_PIECE;
	int v = (g->rank - root + g->size) % g->size,
	    up = from_root(g, (v - 1) / 2, root);
	MPI_Request in[2], out[2][2];

	for (size_t i = 0; i < 2; i++) {
		in[i] = out[0][i] = out[1][i] = MPI_REQUEST_NULL;
		if (v && i < n)
			in[i] = recv_from(g, data + i * BCAST_PIECE,
				i + 1 < n ? BCAST_PIECE : len - i * BCAST_PIECE,
				MPI_BYTE, up);
	}
	for (size_t i = 0; i < n; i++) {
		char *piece = data + i * BCAST_PIECE;
		size_t size = i + 1 < n ? BCAST_PIECE : len - i * BCAST_PIECE;

		transport_wait(&in[i % 2]);
		if (v && i + 2 < n)
			in[i % 2] = recv_from(g, piece + 2 * BCAST_PIECE,
				i + 3 < n ? BCAST_PIECE : len - (i + 2) * BCAST_PIECE,
				MPI_BYTE, up);
		for (int c = 0; c < 2; c++) {
			transport_wait(&out[c][i % 2]);
			if ((long)2 * v + 1 + c < g->size)
				out[c][i % 2] = send_to(g, piece, size, MPI_BYTE,
					from_root(g, 2 * v + 1 + c, root));
		}
	}
	for (int c = 0; c < 2; c++)
		both(out[c][0], out[c][1]);
}

void transport_bcast_all(MPI_Comm comm, void *data, size_t len, int root)
{
	struct ring g = ring_of(comm);

	if (len > BCAST_PIECE)
		bcast_pieces(&g, data, len, root);
	else if (len > 0)
		bcast_whole(&g, data, len, root);
}

/*
 * With 2^k the largest power of two in N, the first N - 2^k ranks of odd number speak for the
 * even ones before them too.
 */
static void reduce_piece(
	const struct ring *g, void *data, int count, MPI_Datatype type, MPI_Op op)
{
	unsigned char from[REDUCE_PIECE] __attribute__((aligned(16)));
	int all = 1, rest, id, peer;
	MPI_Request req;

	while (all <= g->size / 2)
		all *= 2;
	rest = g->size - all;
	id = g->rank < 2 * rest ? g->rank / 2 : g->rank - rest;
	if (g->rank < 2 * rest && g->rank % 2 == 0) {
		req = send_to(g, data, (size_t)count, type, g->rank + 1);
		transport_wait(&req);
		req = recv_from(g, data, (size_t)count, type, g->rank + 1);
		transport_wait(&req);
		return;
	}
	if (g->rank < 2 * rest) {
		req = recv_from(g, from, (size_t)count, type, g->rank - 1);
		transport_wait(&req);
		MPI_Reduce_local(from, data, count, type, op);
	}
	for (int mask = 1; mask < all; mask *= 2) {
		peer = id ^ mask;
		peer = peer < rest ? 2 * peer + 1 : peer + rest;
		both(recv_from(g, from, (size_t)count, type, peer),
			send_to(g, data, (size_t)count, type, peer));
		MPI_Reduce_local(from, data, count, type, op);
	}
	if (g->rank < 2 * rest) {
		req = send_to(g, data, (size_t)count, type, g->rank - 1);
		transport_wait(&req);
	}
}

void transport_reduce_all(
	MPI_Comm comm, void *data, int count, MPI_Datatype type, MPI_Op op)
{
	struct ring g = ring_of(comm);
	MPI_Aint low, extent;
	int most, n;

	MPI_Type_get_extent(type, &low, &extent);
	assert(low == 0 && extent > 0 && extent <= REDUCE_PIECE);
	most = (int)(REDUCE_PIECE / extent);
	for (int at = 0; at < count; at += n) {
		n = count - at < most ? count - at : most;
		reduce_piece(
			&g, (char *)data + (size_t)at * (size_t)extent, n, type, op);
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
	MPI_Comm comm, const void *mine, size_t len, void *all, int root)
{
	struct ring g = ring_of(comm);
	int v = (g.rank - root + g.size) % g.size, mask, n = 0;
	MPI_Request req[sizeof(int) * CHAR_BIT];
	size_t blocks = 1;
	unsigned char *part;

	for (mask = 1; v + (long)mask < g.size && !(v & mask); mask *= 2)
		blocks = (size_t)(g.size - v < 2 * (long)mask ? g.size - v : 2 * mask);
	part = g.rank == 0 && root == 0 ? all : room_for(blocks * len);
	memcpy(part, mine, len);
	for (int k = 1; k < mask; k *= 2) {
		size_t has = (size_t)(g.size - v - k < k ? g.size - v - k : k);

		req[n++] = recv_from(&g, part + (size_t)k * len, has * len, MPI_BYTE,
			from_root(&g, v + k, root));
	}
	while (n > 0)
		transport_wait(&req[--n]);
	if (v) {
		req[0] = send_to(&g, part, blocks * len, MPI_BYTE,
			from_root(&g, v - (v & -v), root));
		transport_wait(&req[0]);
	} else if (part != all) {
		for (int i = 0; i < g.size; i++)
			memcpy((char *)all + (size_t)from_root(&g, i, root) * len,
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

void transport_allgather_all(MPI_Comm comm, const void *mine, size_t len, void *all)
{
	struct ring g = ring_of(comm);
	unsigned char *to = all;

	/* Own block first, then those of the ranks behind. */
	memcpy(to, mine, len);
	for (int k = 1; k < g.size; k *= 2) {
		size_t n = (size_t)(g.size - k < k ? g.size - k : k);

		both(recv_from(&g, to + (size_t)k * len, n * len, MPI_BYTE,
			     rank_at(&g, k)),
			send_to(&g, to, n * len, MPI_BYTE, rank_at(&g, -k)));
	}
	if (g.rank)
		rotate(to, (size_t)g.size * len, (size_t)(g.size - g.rank) * len);
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
	MPI_Comm comm, const uint64_t *to, uint64_t *from, uint64_t *room)
{
	struct ring g = ring_of(comm);
	uint64_t *block = room, *out = room + g.size, *in = out + g.size / 2;
	size_t n;

	/* Block i is on its way to the rank i further on, and takes each step of its bits. */
	for (int i = 0; i < g.size; i++)
		block[i] = to[rank_at(&g, i)];
	for (int k = 1; k < g.size; k *= 2) {
		n = pack(block, g.size, k, out);
		both(recv_from(&g, in, n, MPI_UINT64_T, rank_at(&g, -k)),
			send_to(&g, out, n, MPI_UINT64_T, rank_at(&g, k)));
		n = 0;
		for (int i = k; i < g.size; i++) {
			if (i & k)
				block[i] = in[n++];
		}
	}
	for (int i = 0; i < g.size; i++)
		from[rank_at(&g, -i)] = block[i];
}
