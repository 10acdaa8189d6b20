/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content on its way: what a plan says is read by its readers, travels along its schedules, and
 * is written below a directory of every node.
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include <stdint.h>

#include "codec/block.h"
#include "job/job.h"
#include "manifest/manifest.h"
#include "pack/ahead.h"
#include "pack/parcel.h"
#include "plan/compress_watch.h"
#include "plan/plan.h"
#include "source/source.h"

#define STREAM_THREADS 64 /* of one kind, at most */
#define STREAM_SPARES                                                                  \
	2 /* parcels that compressing takes at least; one a thread is best */

/* What becomes of parcels on their way; the same on all nodes. */
struct stream_compress {
	bool on; /* some may be compressed, and there is memory for that */
	bool automatic;
	struct block_way way; /* if not: always that one */
};

/* The same on all nodes, but for @treefd. All of it stays the caller's. */
struct stream_input {
	struct job *job;
	const char *id; /* of the run, 32 digits: words of another one are not ours */
	struct manifest *m;   /* a tree; gets the digests of its files */
	const uint64_t *need; /* one bit per entry; NULL: all */
	const struct plan *plan;
	int treefd;	     /* an empty directory that nobody else writes to */
	unsigned io_threads; /* of a reader */
	unsigned write_threads;
	unsigned window;	    /* sends of a node at a time */
	struct pool_memory *memory; /* of all buffers of a node */
	uint64_t before;	    /* bytes that came earlier, for progress */
	const struct ahead *ahead;  /* content that this node has, or NULL */
	struct source_feed *feed;   /* what it brings forth in order, or NULL */
	struct stream_compress compress;
	struct compress_watch *watch; /* automatic: of this node, from batch to batch */
};

/* What this node did. */
struct stream_result {
	bool reader;
	uint64_t bytes_read, bytes_in, bytes_out, bytes_written;
	uint64_t bytes_saved; /* by compressing, of what would have been bytes_out */
	uint64_t reopened;    /* opens of sources that were tried again */
	/* Time of threads, but of the link that in which something was being sent. */
	struct rates_busy read, write, link;
	double seconds;
};

/*
 * Collective. 0: all content is in place on all nodes, with its attributes but for those of
 * directories. *res is filled in also after a failure.
 */
int stream_all(
	const struct stream_input *in, struct stream_result *res, struct ebt_err *err);

#endif
