/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes between processes, and agreement on results. All waiting yields the processor: MPI's
 * own calls spin, which starves the other ranks and threads of a busy node.
 *
 * A failed MPI call ends the job (transport_errors_end), so there is no MPI error to pass on.
 * MPI is called from one thread.
 */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ebt/err.h"

/* Some ranks that talk to each other. */
struct transport {
	MPI_Comm
		comm; /* the owner's to free; MPI_COMM_NULL: this rank is none of them */
	int rank, size;
	int named;	     /* this rank in messages */
	struct watch *watch; /* looks how long waits take; NULL: nobody does */
	const struct transport_routes *routes; /* of exchanges; NULL: straight ones */
};
struct transport transport_of(MPI_Comm comm, struct watch *watch);
#define TRANSPORT_NONE ((struct transport){.comm = MPI_COMM_NULL})
#define TRANSPORT_ANY  (-1) /* in place of a rank: not known, or nobody in particular */

/*
 * Pause of a progress loop, called each time round. Nothing moved: polls a few times more, then for
 * as long as waits of late have made worth it, TRANSPORT_SPIN_S at most, then sleeps, twice as long
 * each time up to TRANSPORT_PAUSE_MAX_US. Where somebody else wants the processor it does not poll
 * that long, for a while. Start from
 * TRANSPORT_PAUSE; @t is who waits, for the watch.
 */
#define TRANSPORT_PAUSE_MAX_US 200
#define TRANSPORT_SPIN_S       2e-3 /* some ten parcels of 2 MiB at 25 GB/s */
struct transport_pause {
	unsigned idle, slept;
	double since; /* that it waits; 0: it does not */
	double spins; /* seconds; 0: as long as it may */
	double crowded; /* others want the processor, until then it is taken for granted */
	long switches; /* to them, before it spun */
	int peer;      /* the rank that is waited for */
};
#define TRANSPORT_PAUSE                                                                \
	{                                                                              \
		.peer = TRANSPORT_ANY                                                  \
	}
void transport_pause(const struct transport *t, struct transport_pause *p, bool moved);

/* Until @req is done, which rank @peer has a part in. */
void transport_wait(const struct transport *t, MPI_Request *req, int peer);

/*
 * From now on an MPI error on @comm, or on what is made from it, ends the job with status 1
 * and one line on standard error: the program, MPI's words, rank and host that saw it. That is
 * how the loss of a node shows.
 */
void transport_errors_end(MPI_Comm comm);

/*
 * Collective, each with the meaning of its MPI namesake; no rank has more than O(log N) messages
 * of it, but of a long broadcast. That may be longer than INT_MAX bytes; what is gathered, in all,
 * may not. Tags from 32000 on are theirs.
 */
void transport_barrier_all(const struct transport *t);
void transport_bcast_all(const struct transport *t, void *data, size_t len, int root);
void transport_reduce_all(
	const struct transport *t, void *data, int count, MPI_Datatype type, MPI_Op op);
void transport_gather_all(
	const struct transport *t, const void *mine, size_t len, void *all, int root);
void transport_allgather_all(
	const struct transport *t, const void *mine, size_t len, void *all);
/* @to, @from: a number for and of each rank; @room: for two for each. */
void transport_alltoall_all(
	const struct transport *t, const uint64_t *to, uint64_t *from, uint64_t *room);

/* Collective: @b of @root to everyone, any length. -ENOMEM on every rank if one is short. */
int transport_bcast_buf_all(
	const struct transport *t, struct buf *b, int root, struct ebt_err *err);
/*
 * Collective: every rank's @mine to rank 0, which gets them through @take one by one, in rank
 * order, its own included. Rank 0 holds some at a time, of 64 MiB at most or just one. After a failing @take the rest is not sent; its code is returned on
 * rank 0, others return 0: agree afterwards. -ENOMEM on all ranks where rank 0 cannot begin.
 */
int transport_collect_all(const struct transport *t, const struct buf *mine,
	int (*take)(void *arg, const struct buf *b, struct ebt_err *err), void *arg,
	struct ebt_err *err);

/*
 * Gets what rank @peer sent. It may keep the bytes: what it leaves in *b is released. A
 * negative code ends the exchange as far as this rank goes: it is not called again.
 */
typedef int transport_take_fn(void *arg, int peer, struct buf *b, struct ebt_err *err);
/*
 * Collective: @out holds one buffer for every rank, most of them empty or not. Each that is
 * not goes to its rank and is released as soon as it is gone; all are empty in the end, also
 * after a failure. @take is called for what comes, in no certain order, one at a time. All
 * ranks return the same: 0, what a @take failed with, or -ENOMEM and nothing was sent.
 */
int transport_exchange_all(const struct transport *t, struct buf *out,
	transport_take_fn *take, void *arg, struct ebt_err *err);

/*
 * Routes for exchanges of many ranks: what one has for another goes by way of a third, so that none
 * talks to more than 2 √N + 2 others. All bytes travel twice, and a rank holds for others as much as
 * it has itself, about. Ranks lie in a grid of rows; a message first goes along the row of its
 * sender to the column of its receiver, then along that. Those that fill no row of their own are
 * one more member each of a row and of a column.
 */
struct transport_routes {
	struct transport row, column;
};
struct transport_place {
	int row, column;
	int in_row, in_column; /* among their members */
};
/* Pure. Every row has a member in every column, which is the one at its place in both. */
struct transport_place transport_place_of(int rank, int size);
/* Collective. For @t->routes; not to be copied, and closed after the last exchange. */
void transport_routes_open_all(const struct transport *t, struct transport_routes *r);
void transport_routes_close(struct transport_routes *r);

/*
 * Collective: all ranks get the most telling code that any rank has and that rank's text, with
 * " (rank R on HOST, N failed)" added, once: agreeing again changes nothing. Most telling: a
 * cause goes before -EINTR and -ECANCELED, then the lowest rank. Returns that code, 0 if all
 * are well.
 */
int transport_agree_all(const struct transport *t, int code, struct ebt_err *err);

/*
 * Collective over MPI_COMM_WORLD, in place of MPI_Finalize and exit: ends the process with
 * @status, the same on all ranks. Does not return. Nothing may be under way. Unless it is
 * @good, @stopped (or NULL) says whether this process was told to stop; if any was, the job is
 * aborted with @status. See transport_leave.c for why.
 */
void transport_leave_all(int status, bool good, int (*stopped)(void *arg), void *arg)
	__attribute__((noreturn));
/*
 * After MPI_Init: seconds from a stop signal in which a rank must have cleaned up, so that it
 * can still say why; its launcher kills it then. 0: its launcher waits.
 */
double transport_grace(void);
/*
 * Ends the job with @status from one rank, in time for what was written to be read. Any thread,
 * also before MPI_Init has returned. Takes no locks, so it flushes nothing.
 */
void transport_abort(int status) __attribute__((noreturn));

#endif
