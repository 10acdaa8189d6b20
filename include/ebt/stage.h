/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Staging: sources on a parallel file system to the node-local store of every node of a
 * communicator. The command ebt-stage is a thin shell around these calls.
 */
#ifndef EBT_STAGE_H
#define EBT_STAGE_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebt/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Do nodes share uplinks of their switches? Not known is taken for yes. */
enum ebt_fabric {
	EBT_FABRIC_UNKNOWN = 0,
	EBT_FABRIC_FLAT = 1,
	EBT_FABRIC_TAPERED = 2,
};

/* Zeros and NULLs are the defaults. Strings and arrays stay the caller's. */
struct ebt_stage_options {
	struct ebt_run run;

	/* What: read on the first rank only; others may pass none. */
	const char *const *sources;
	size_t n_sources;
	bool relative; /* keep the whole path of a source below the store, as cp --parents */
	bool no_xattrs; /* leave extended attributes and ACLs behind */
	bool no_owner;	/* neither set owners and groups nor look at them, ever after */
	/*
	 * Sources that match one of these patterns, as those of rules, are archives: their content
	 * is staged into dest. "" is all of them, "-" one more that comes from standard input of
	 * the first rank.
	 */
	const char *const *unpack;
	size_t n_unpack;
	/* The path that the content of archives has its place under, absolute; NULL: none. */
	const char *at;
	bool concatenated; /* archives may go on behind their end mark */

	/* Where: a directory; %r, %h and %u stand for rank, host and user, %% for %. */
	const char *dest;
	/*
	 * AUTO: as REFUSE, but what an earlier staging brought, still is as it left it, and
	 * does not differ is no target that exists.
	 */
	enum ebt_overwrite overwrite;

	/* How. */
	unsigned readers;	/* ranks that read the sources; 0: chosen */
	unsigned io_threads;	/* reads in flight per reader; 0: 4 */
	unsigned write_threads; /* 0: by the processors there are, at most 4 */
	const char *algo;	/* "auto", "chain", ...; NULL: auto */
	/*
	 * What travels: "none", "lz4", "zstd", "zstd:LEVEL" (1 to 19), or NULL or "auto": in the
	 * way that is measured to be faster, if one is. ebt_stage_compression says which there
	 * are; -ENOTSUP: one that is not.
	 */
	const char *compress;
	uint64_t parcel; /* bytes, a multiple of 128 KiB up to 8 MiB; 0: chosen */
	unsigned window; /* sends in flight per node; 0: 1 */
	uint64_t memory; /* bytes of the buffers of a node; 0: EBT_STAGE_MEMORY */
	/* What a reader finds before it goes its way, entries; 0: a fifth of a second's work. */
	unsigned batch;
	/*
	 * What stays free of the file system of each store: a share of its size, below 0 for
	 * none; or bytes. Both 0: EBT_STAGE_KEEP_FREE, but EBT_STAGE_KEEP_FREE_MOST at most.
	 */
	double keep_free_share;
	uint64_t keep_free;
	double link;	/* bytes per second and direction; 0: found out or assumed */
	double latency; /* seconds a message; 0: assumed */
	enum ebt_fabric fabric;
	bool dry_run; /* plan, fill in the report, move nothing */
	bool give_up; /* ebt_stage_recover_all ends publications where they stand */
};

#define EBT_STAGE_MEMORY	 (256ull << 20)
#define EBT_STAGE_IO_THREADS	 4
#define EBT_STAGE_KEEP_FREE	 0.05
#define EBT_STAGE_KEEP_FREE_MOST (8ull << 30)

/* Of one node, in the order of schedules, on the first rank. */
struct ebt_stage_node {
	char host[64];
	int rank; /* of the node's first rank in the communicator */
	bool reader;
	uint64_t bytes_read;	      /* from the sources */
	uint64_t bytes_in, bytes_out; /* payload over the link */
	uint64_t bytes_saved; /* that bytes_out would have been more, uncompressed */
	uint64_t bytes_written;
	double cpu_seconds; /* user and system, all threads, whole process so far */
	uint64_t max_rss;   /* bytes */
	double seconds;	    /* own time in the stream phase */
	/*
	 * Bytes per second that its threads read and write, and that are sent while anything is;
	 * 0: too little was to tell.
	 */
	double read_rate, write_rate, send_rate;
};

/* Of one reader and of one OST, as a dry run finds them. */
struct ebt_stage_reader {
	uint32_t node; /* index into the report's nodes */
	uint64_t bytes, parcels;
};
struct ebt_stage_ost {
	uint32_t index;
	uint64_t bytes;
	uint64_t files; /* with at least a byte there */
};

struct ebt_stage_report {
	char id[33]; /* of the run */
	uint64_t files, dirs, symlinks, links;
	/* Names that are files of their own as it was not sure what they are links of. */
	uint64_t links_apart;
	uint64_t skipped;   /* FIFOs, sockets, devices */
	uint64_t unchanged; /* entries that every node had already */
	uint64_t bytes;	    /* content moved to every node */
	uint32_t nodes, ranks, readers;
	const char *algo;
	uint64_t parcel, parcels, memory;
	unsigned window;
	double scan, stream, publish; /* seconds, of the slowest node */
	double seconds;		      /* their sum */
	double start; /* before them: communicators and first contact, as MPI_Init */
	double link, latency; /* what the model was given */
	bool link_assumed;    /* nobody said and nothing could be found out */
	double read,
		write; /* of a reader and of a store, as the model had them in the end */
	bool read_measured, write_measured,
		link_measured;	     /* else assumed, or the link's */
	double predicted, bound;     /* seconds of the stream, by the cost model */
	uint64_t link_in, link_out;  /* most loaded link, planned */
	struct ebt_stage_node *node; /* nodes of them, first rank only, else NULL */
	/* Of a dry run, first rank only, else NULL. */
	char *plan;			 /* as text */
	struct ebt_stage_reader *reader; /* readers of them */
	struct ebt_stage_ost
		*ost; /* osts of them, ascending; none where layouts are not known */
	uint32_t osts;
	uint64_t reopened;    /* opens of sources tried again: leases, stale handles */
	const char *compress; /* as it was wished: "auto", ... */
	uint64_t bytes_sent, bytes_saved; /* over all links; by compressing */
};

/*
 * Stage o->sources into o->dest on every node of @comm. 0: every node has all of it under its
 * final names, complete and compared, and *report says what was done. A negative errno, with
 * the cause, node and path in @err: no node shows any of it, and what was brought is removed
 * again. Only a failure once names have begun to appear is different, by its text: then the
 * next call with this dest, or ebt_stage_recover_all, goes on where it ended.
 *
 * -EEXIST: a name in the way (see o->overwrite). -EWOULDBLOCK: another run has the store
 * and had it for as long as o->run.wait.
 * -ENOSPC: no room, found before content moves. -EINTR: o->run.stopped asked for it. -ENOTSUP:
 * the store's file system cannot hold an attribute. -EBADMSG: nodes did not receive the same.
 * -EINVAL: options that contradict one another. Others are what a system call said.
 *
 * With o->dry_run nothing is written, and *report holds the plan. It is zeroed first, holds
 * memory only after success, and ebt_stage_report_free may be called in any case.
 */
int ebt_stage_all(MPI_Comm comm, const struct ebt_stage_options *o,
	struct ebt_stage_report *report, struct ebt_err *err);
void ebt_stage_report_free(struct ebt_stage_report *report);

/* Compressions of o->compress that are built in: the @i-th, or NULL. */
const char *ebt_stage_compression(unsigned i);
/* 0: o->compress may be @text. -EINVAL, -ENOTSUP as from ebt_stage_all. */
int ebt_stage_compress_check(const char *text, struct ebt_err *err);

/*
 * Re-read every file of the store on every node against its manifest. *bad counts what
 * differs on all nodes; each is named through o->log at EBT_LOG_ERROR. Uses run, dest
 * and io_threads of @o.
 */
int ebt_stage_verify_all(MPI_Comm comm, const struct ebt_stage_options *o,
	uint64_t *bad, struct ebt_err *err);

/*
 * Finish publications that a death cut short, and remove what dead runs left. *done counts
 * the nodes on which a publication was finished. -ENODATA, and nothing was touched: a node has
 * nothing of what others were publishing.
 *
 * With o->give_up they are ended instead, each node for itself: what has its name by then stays
 * and is in the store's manifest, the rest is removed. *done counts the nodes that had something
 * to end. Any of the nodes will do, others finish theirs. Files of which the version before is
 * gone are named through o->run.log at EBT_LOG_WARN.
 */
int ebt_stage_recover_all(MPI_Comm comm, const struct ebt_stage_options *o,
	uint32_t *done, struct ebt_err *err);

#ifdef __cplusplus
}
#endif

#endif
