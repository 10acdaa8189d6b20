/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/transport.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_POLLS    32 /* tests in vain before the first sleep */
#define PAUSE_FIRST_US 10
#define WAIT_YIELDS                                                                    \
	200 /* of a collective, before its first sleep: a millisecond at most */
#define PIECE (64 << 20) /* bytes of one message of a long transfer */

void transport_pause(struct transport_pause *p, bool moved)
{
	unsigned us;

	if (moved) {
		p->idle = 0;
		return;
	}
	if (p->idle++ < PAUSE_POLLS)
		return;
	us = PAUSE_FIRST_US << (p->idle - PAUSE_POLLS < 6 ? p->idle - PAUSE_POLLS : 6);
	if (us > TRANSPORT_PAUSE_MAX_US)
		us = TRANSPORT_PAUSE_MAX_US;
	nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

/*
 * Mostly a collective is a few messages, and each sleep between two of them is longer than they
 * take. Others get the processor all the same.
 */
void transport_wait(MPI_Request *req)
{
	struct transport_pause pause = {0};
	int done;

	for (unsigned i = 0;; i++) {
		MPI_Test(req, &done, MPI_STATUS_IGNORE);
		if (done)
			return;
		if (i < WAIT_YIELDS)
			sched_yield();
		else
			transport_pause(&pause, false);
	}
}

void transport_barrier_all(MPI_Comm comm)
{
	MPI_Request req;

	MPI_Ibarrier(comm, &req);
	transport_wait(&req);
}

void transport_bcast_all(MPI_Comm comm, void *data, size_t len, int root)
{
	MPI_Request req;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = len - at < PIECE ? len - at : PIECE;
		MPI_Ibcast((char *)data + at, (int)n, MPI_BYTE, root, comm, &req);
		transport_wait(&req);
	}
}

void transport_reduce_all(
	MPI_Comm comm, void *data, int count, MPI_Datatype type, MPI_Op op)
{
	MPI_Request req;

	MPI_Iallreduce(MPI_IN_PLACE, data, count, type, op, comm, &req);
	transport_wait(&req);
}

void transport_gather_all(
	MPI_Comm comm, const void *mine, size_t len, void *all, int root)
{
	MPI_Request req;

	assert(len <= INT_MAX);
	MPI_Igather(
		mine, (int)len, MPI_BYTE, all, (int)len, MPI_BYTE, root, comm, &req);
	transport_wait(&req);
}

void transport_allgather_all(MPI_Comm comm, const void *mine, size_t len, void *all)
{
	MPI_Request req;

	assert(len <= INT_MAX);
	MPI_Iallgather(mine, (int)len, MPI_BYTE, all, (int)len, MPI_BYTE, comm, &req);
	transport_wait(&req);
}

int transport_bcast_buf_all(MPI_Comm comm, struct buf *b, int root, struct ebt_err *err)
{
	uint64_t len = b->len;
	int rank, r = 0;

	MPI_Comm_rank(comm, &rank);
	transport_bcast_all(comm, &len, sizeof(len), root);
	if (rank != root) {
		b->len = 0;
		if (!buf_extend(b, len))
			r = ebt_fail(
				err, -ENOMEM, "%llu bytes", (unsigned long long)len);
	}
	r = transport_agree_all(comm, r, err);
	if (r < 0)
		return r;
	transport_bcast_all(comm, b->data, len, root);
	return 0;
}

static void transfer(MPI_Comm comm, void *data, size_t len, int peer, bool send)
{
	MPI_Request req;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = len - at < PIECE ? len - at : PIECE;
		if (send)
			MPI_Isend((char *)data + at, (int)n, MPI_BYTE, peer, 0, comm,
				&req);
		else
			MPI_Irecv((char *)data + at, (int)n, MPI_BYTE, peer, 0, comm,
				&req);
		transport_wait(&req);
	}
}

/*
 * A rank says how long its buffer is and waits for a token: 1 send, 0 keep it. So rank 0 holds
 * one buffer at a time, and nobody sends what it has no room for.
 */
int transport_collect_all(MPI_Comm comm, const struct buf *mine,
	int (*take)(void *arg, const struct buf *b, struct ebt_err *err), void *arg,
	struct ebt_err *err)
{
	uint64_t len = mine->len;
	int rank, size, r;
	char token;

	MPI_Comm_rank(comm, &rank);
	MPI_Comm_size(comm, &size);
	if (rank != 0) {
		transfer(comm, &len, sizeof(len), 0, true);
		transfer(comm, &token, 1, 0, false);
		if (token)
			transfer(comm, mine->data, len, 0, true);
		return 0;
	}
	r = take(arg, mine, err);
	for (int peer = 1; peer < size; peer++) {
		SCOPED_BUF struct buf b = {0};

		transfer(comm, &len, sizeof(len), peer, false);
		if (r == 0 && len && !buf_extend(&b, len))
			r = ebt_fail(err, -ENOMEM, "%llu bytes of rank %d",
				(unsigned long long)len, peer);
		token = r == 0;
		transfer(comm, &token, 1, peer, true);
		if (!token)
			continue;
		transfer(comm, b.data, len, peer, false);
		r = take(arg, &b, err);
	}
	return r;
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

int transport_agree_all(MPI_Comm comm, int code, struct ebt_err *err)
{
	struct {
		int key, rank;
	} worst;
	struct ebt_err mine = {0};
	int failed, rank;

	MPI_Comm_rank(comm, &rank);
	worst.key = severity(code);
	worst.rank = rank;
	transport_reduce_all(comm, &worst, 1, MPI_2INT, MPI_MINLOC);
	if (worst.key == severity(0))
		return 0;
	failed = code < 0;
	transport_reduce_all(comm, &failed, 1, MPI_INT, MPI_SUM);
	if (rank == worst.rank) {
		if (err)
			mine = *err;
		mine.code = code;
		locate(&mine, rank, failed);
	}
	transport_bcast_all(comm, &mine, sizeof(mine), worst.rank);
	if (err)
		*err = mine;
	return mine.code;
}
