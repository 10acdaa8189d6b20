/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Draining: what a job left in the node-local stores of a communicator's nodes, to a
 * parallel file system. The command ebt-drain is a thin shell around this call.
 */
#ifndef EBT_DRAIN_H
#define EBT_DRAIN_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebt/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What to do where several nodes have a file under the same path. */
enum ebt_conflict {
	EBT_CONFLICT_ERROR,  /* give up before anything is written */
	EBT_CONFLICT_MERGE,  /* pieces of one sparse file, joined; different bytes: give up */
	EBT_CONFLICT_NEWEST, /* the one modified last, on a tie that of the lowest node */
	EBT_CONFLICT_SUFFIX, /* each, with "." and the node's name added */
};

/* Zeros and NULLs are the defaults. Strings stay the caller's. */
struct ebt_drain_options {
	struct ebt_run run;

	/* From where: %r, %h and %u stand for rank, host and user, %% for %. */
	const char *store;
	bool missing_ok;   /* nodes without a store have no outputs, instead of an error */
	bool no_xattrs;    /* leave extended attributes and ACLs behind */
	bool free_local;   /* remove local files once they are durable in dest */

	/* Where to: a directory on the parallel file system, made if needed. */
	const char *dest;
	enum ebt_conflict conflict;
	enum ebt_overwrite overwrite;
	bool atomic;       /* dest appears as a whole, and must not exist before */
	bool verify;       /* read everything back */
	bool restart;      /* forget the journal of an unfinished drain to somewhere else */

	/* Placement. */
	unsigned stripe_count;     /* of every file; 0: by size */
	unsigned max_stripe_count; /* 0: no limit but the number of targets */
	uint64_t stripe_size;      /* bytes, a multiple of 64 KiB; 0: chosen */

	/* How. */
	unsigned writers;     /* nodes that write file content; 0: chosen */
	unsigned creators;    /* nodes that make directories; 0: chosen */
	unsigned creates;     /* files being created at a time, all nodes; 0: EBT_DRAIN_CREATES */
	unsigned io_threads;  /* files written at a time by a writer; 0: EBT_DRAIN_IO_THREADS */
	uint64_t memory;      /* bytes of buffers of a node; 0: EBT_DRAIN_MEMORY */
	double rate;          /* bytes per second of the whole drain; 0: no limit */
	double link, ost_rate, mds_rate, latency; /* for the cost model; 0: assumed */
	bool dry_run;         /* plan, fill in the report, write nothing */
	double watch;         /* seconds between passes; 0: a single pass. See stopped. */
};

#define EBT_DRAIN_MEMORY (256ull << 20)
#define EBT_DRAIN_IO_THREADS 8
#define EBT_DRAIN_CREATES 256

/* Of one storage target, over all writers. */
struct ebt_drain_target {
	uint32_t index;    /* of the OST; a number of ours where the file system has none */
	uint64_t bytes;    /* written there */
	uint64_t objects;
	double seconds;    /* writers' time in write and sync, summed */
	bool unused;       /* full, read-only, degraded or inactive from the start */
	bool avoided;      /* turned out full, failing or slow on the way */
};

struct ebt_drain_report {
	char id[33];
	char *root;                 /* dest, absolute; first rank only */
	uint64_t files, dirs, symlinks, links; /* put in place by this run */
	uint64_t bytes;             /* of content */
	uint64_t skipped;           /* FIFOs, sockets, devices */
	uint64_t unchanged;         /* staged files that nobody changed, left out */
	uint64_t in_place;          /* put there by an earlier run, or the same already */
	uint64_t dropped;           /* versions that were not the newest */
	uint64_t conflicts;         /* paths that several nodes had */
	uint64_t failed;            /* files not done, each named through the log */
	uint64_t retries;           /* placements tried again elsewhere */
	uint64_t refused;           /* layouts that the file system silently ignored */
	uint64_t freed;             /* local files removed */
	uint64_t moved;             /* bytes that went over the network */
	/* Calls to the file system, as the clients made them. */
	uint64_t creates, layouts, opens, setattrs, renames, mkdirs, others;
	uint32_t nodes, writers;
	const char *pfs;            /* "lustre", "beegfs", "plain" */
	bool direct;                /* files written from where they are, by the cost model */
	double predicted_owners, predicted_direct; /* seconds */
	double start; /* communicators and first contact, as MPI_Init; not in seconds */
	double scan, merge, move, publish, seconds;
	uint64_t max_rss;           /* bytes, of any rank */
	unsigned passes;
	struct ebt_drain_target *target; /* first rank only, else NULL */
	uint32_t n_targets;
	char *plan;                 /* dry run: the plan as text, first rank only */
};

/*
 * 0: everything is in place; 1: done but for report->failed files, each named through the
 * log; negative: nothing else was tried, and what is visible in dest is complete. Collective,
 * see ebt/run.h. With o->watch it returns after o->run.stopped says a signal number.
 */
int ebt_drain_all(MPI_Comm comm, const struct ebt_drain_options *o,
	struct ebt_drain_report *report, struct ebt_err *err);
void ebt_drain_report_free(struct ebt_drain_report *report);

#ifdef __cplusplus
}
#endif

#endif
