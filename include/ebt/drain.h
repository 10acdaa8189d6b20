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
	/*
	 * Equal copies are one file, pieces without a byte in common are joined, else each goes
	 * with "." and the node's name added.
	 */
	EBT_CONFLICT_AUTO,
	EBT_CONFLICT_ERROR, /* give up before anything is written */
	EBT_CONFLICT_MERGE, /* pieces of one sparse file, joined; different bytes: give up */
	EBT_CONFLICT_NEWEST, /* the one modified last, on a tie that of the lowest node */
	EBT_CONFLICT_SUFFIX, /* each, with "." and the node's name added */
};

/* What needs a look when the job is over, each named through the log and in the report. */
enum ebt_drain_look {
	EBT_LOOK_BESIDE,  /* in dest under another name than its own, or in pieces */
	EBT_LOOK_MISSING, /* not in dest: it could not be read or written */
	EBT_LOOK_TORN,	  /* in dest under another name: it changed while it was read */
	EBT_LOOK_GREW,	  /* in dest as it was at one moment, and changed since */
	EBT_LOOK_LOST, /* in dest without all attributes: not readable, or not held there */
	EBT_LOOK_KEPT, /* not in dest: what is there was to be kept */
	EBT_LOOK_DOUBT, /* of what tells outputs or what is in place, path below the store */
	EBT_LOOK_UNFREED, /* in dest, and in the store still: it could not be removed */
	EBT_LOOK_VANISHED, /* gone before it was read: needs no look, a warning */
	EBT_LOOKS,
};
const char *ebt_drain_look_name(enum ebt_drain_look kind); /* a word, as in JSON */

/* One of them. */
struct ebt_drain_named {
	enum ebt_drain_look kind;
	const char *path; /* below dest, as the job named it */
	const char *as;	  /* the name it has in dest instead, or "" */
	const char *node; /* whose version it is, or "" */
};

/* Zeros and NULLs are the defaults. Strings stay the caller's. */
struct ebt_drain_options {
	struct ebt_run run;

	/* From where: %r, %h and %u stand for rank, host and user, %% for %. */
	const char *store;
	bool missing_ok; /* nodes without a store have no outputs, instead of an error */
	bool no_xattrs;	 /* leave extended attributes and ACLs behind */
	bool no_owner;	 /* do not set owners and groups */
	bool keep_group; /* as ordinary user: the group, too, not the one open(2) gives */
	bool free_local; /* remove local files once they are durable in dest */
	/*
	 * "PATTERN=NAME": what matches goes into one archive, NAME below dest, which ends in .tar or
	 * .tar.zst, with an index NAME.idx beside it. Patterns as those of rules; the first that matches
	 * decides. With watch what matches is left for a last drain without.
	 */
	const char *const *pack;
	size_t n_pack;

	/* Where to: a directory on the parallel file system, made if needed with those above. */
	const char *dest;
	bool local_dest; /* a single node makes it also on what looks like its own disk */
	enum ebt_conflict conflict;
	/*
	 * Auto: what is there stays; what says the same is one with it, else the new one comes
	 * beside it. What an earlier drain of these stores put there is replaced.
	 */
	enum ebt_overwrite overwrite;
	bool strict; /* all under its own name or nothing: auto means refuse and error */
	bool atomic;  /* dest appears as a whole, and must not exist before; strict */
	bool verify;  /* read everything back */
	bool restart; /* forget the journal of an unfinished drain to somewhere else */

	/* Placement. */
	unsigned stripe_count;	   /* of every file; 0: by size */
	unsigned max_stripe_count; /* 0: no limit but the number of targets */
	uint64_t stripe_size;	   /* bytes, a multiple of 64 KiB; 0: chosen */
	const char *pool; /* Lustre: files go there; NULL: as the directory has it */

	/* How. */
	unsigned writers;  /* nodes that write file content; 0: chosen */
	unsigned creators; /* nodes that make directories; 0: chosen */
	unsigned
		creates; /* files being created at a time, all nodes; 0: EBT_DRAIN_CREATES */
	unsigned
		io_threads; /* files written at a time by a writer; 0: EBT_DRAIN_IO_THREADS */
	uint64_t memory; /* bytes of buffers of a node; 0: EBT_DRAIN_MEMORY */
	double rate;	 /* bytes per second of the whole drain; 0: no limit */
	double link, ost_rate, mds_rate, latency; /* for the cost model; 0: assumed */
	bool dry_run; /* plan, fill in the report, write nothing */
	double watch; /* seconds between passes; 0: a single pass. See stopped. */
	/*
	 * For what changes while it is drained, further passes when all else is done; not with
	 * watch or strict. Seconds for them but the last one, after which nothing is tried
	 * again; below 0: only that one, 0: EBT_DRAIN_SETTLE. What changed still is read twice,
	 * up to that many bytes, 0: EBT_DRAIN_SETTLE_MAX, to tell what only grows from what is
	 * torn.
	 */
	double settle;
	uint64_t settle_max;
};

#define EBT_DRAIN_MEMORY	 (256ull << 20)
#define EBT_DRAIN_CREATES	 256
#define EBT_DRAIN_NAMED		 (1u << 20)
/* The second one for who has so many targets of its own, one a target. */
#define EBT_DRAIN_IO_THREADS	 8
#define EBT_DRAIN_IO_THREADS_MAX 32
/* As the command has them. */
#define EBT_DRAIN_SETTLE	 5
#define EBT_DRAIN_SETTLE_MAX	 (10ull << 30)

/* Of one storage target, over all writers. */
#define EBT_DRAIN_NO_POOL UINT32_MAX
struct ebt_drain_target {
	uint32_t
		index; /* of the OST; a number of ours where the file system has none */
	uint64_t bytes; /* written there */
	uint64_t objects;
	double seconds; /* writers' time in write and sync, summed */
	uint32_t
		pool; /* whose files it gets; targets of one number are level together */
	bool unused;  /* full, read-only, degraded or inactive from the start */
	bool avoided; /* turned out full, failing or slow on the way */
};

struct ebt_drain_report {
	char id[33];
	char *root;			       /* dest, absolute; first rank only */
	uint64_t files, dirs, symlinks, links; /* put in place by this run */
	uint64_t bytes;			       /* of content */
	uint64_t skipped;		       /* FIFOs, sockets, devices */
	uint64_t unchanged; /* staged files that nobody changed, left out */
	uint64_t in_place;  /* put there by an earlier run, or the same already */
	uint64_t dropped;   /* versions that were not the newest */
	uint64_t conflicts; /* paths that several nodes had */
	uint64_t retries;   /* placements tried again elsewhere */
	uint64_t refused;   /* layouts that the file system silently ignored */
	uint64_t freed;	    /* local files removed */
	uint64_t moved;	    /* bytes that went over the network */
	/* Calls to the file system, as the clients made them. */
	uint64_t creates, layouts, opens, setattrs, renames, mkdirs, others;
	uint32_t nodes, writers;
	const char *pfs; /* "lustre", "beegfs", "plain" */
	bool direct;	 /* files written from where they are, by the cost model */
	bool home;	 /* by it, owners of targets are only nodes that have any */
	double predicted_owners, predicted_direct; /* seconds */
	double predicted;			   /* seconds, the way it was done */
	double start; /* communicators and first contact, as MPI_Init; not in seconds */
	double scan, merge, move, publish, seconds;
	uint64_t max_rss; /* bytes, of any rank */
	unsigned passes;
	struct ebt_drain_target *target; /* first rank only, else NULL */
	uint32_t n_targets;
	char *plan; /* dry run: the plan as text, first rank only */
	uint64_t archives,
		packed;	   /* archives, also in place before, and what is in them */
	uint64_t reopened; /* opens of outputs tried again: leases, stale handles */
	uint64_t looks[EBT_LOOKS]; /* how many of each kind */
	/* First rank only: the first of them on each node, EBT_DRAIN_NAMED bytes in all or so. */
	struct ebt_drain_named *named;
	size_t n_named;
	void *named_bytes; /* what they point into */
};

enum ebt_drain_outcome {
	EBT_DRAIN_WHOLE = 0,  /* everything is in place under its own name */
	EBT_DRAIN_PARTLY = 1, /* bytes or attributes are missing, see report->looks */
	/* every byte is home, some under another name, in pieces, or not freed as asked */
	EBT_DRAIN_BESIDE = 2,
};
/*
 * enum ebt_drain_outcome; negative: nothing else was tried, and what is visible in dest is
 * complete. Collective, see ebt/run.h. With o->watch it returns after o->run.stopped says a
 * signal number.
 */
int ebt_drain_all(MPI_Comm comm, const struct ebt_drain_options *o,
	struct ebt_drain_report *report, struct ebt_err *err);
void ebt_drain_report_free(struct ebt_drain_report *report);

#ifdef __cplusplus
}
#endif

#endif
