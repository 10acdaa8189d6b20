/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One staging run as its steps see it. Everything collective runs on the communicator of
 * nodes: one rank a node. The other ranks of a node only wait for the result.
 */
#ifndef STAGE_STAGE_INTERNAL_H
#define STAGE_STAGE_INTERNAL_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "ebt/stage.h"
#include "manifest/filter.h"
#include "manifest/manifest.h"
#include "plan/plan.h"
#include "store/store.h"

struct stage {
	const struct ebt_stage_options *o;
	struct log log;
	MPI_Comm comm;  /* all ranks, ours */
	MPI_Comm local; /* the ranks that share this node's memory; none with --per-rank */
	MPI_Comm nodes; /* first ranks of nodes; MPI_COMM_NULL elsewhere */
	int rank;       /* in comm */
	int node, n_nodes; /* rank and size in nodes */
	bool link_assumed;
	struct cost_model cost;
	char id[33];
	struct filter *filter;
	struct store *store;
	struct manifest *m;
	uint64_t *need;  /* bit an entry; NULL: all */
	uint64_t unchanged;
	uint64_t skipped;
	struct plan *plan;
	int treefd;
	double began; /* stage_now at the start of the current phase */
	struct ebt_stage_node self; /* what this node has to report */
	uint64_t entries_found;     /* atomic, for progress */
	bool told_failing;
};

double stage_now(void); /* seconds, monotonic */

/* -EINTR with a text when the user wants us to stop, else 0. Any thread. */
int stage_stopped(const struct stage *st, struct ebt_err *err);
/* Agreement of all nodes; the first failure arms the caller's watchdog. */
int stage_agree_all(struct stage *st, int code, struct ebt_err *err);
/* This rank winds down, or waits for others that do: tells the caller, once. Main thread. */
void stage_failing(struct stage *st, const struct ebt_err *err);
void stage_progress(struct stage *st, enum ebt_stage_phase phase, uint64_t bytes,
	uint64_t total);

/* Option values with their defaults filled in. */
unsigned stage_io_threads(const struct ebt_stage_options *o);
unsigned stage_write_threads(const struct ebt_stage_options *o);
unsigned stage_window(const struct ebt_stage_options *o);
uint64_t stage_memory(const struct ebt_stage_options *o);

/* dest.c: @dest with %r, %h, %u, %% filled in. */
int stage_expand(const char *dest, int rank, char *out, size_t size, struct ebt_err *err);
/* link.c: rate of this machine's fastest network interface, 0 if it cannot be told. */
double stage_find_link(void);

/* roots.c: what the user named, on the first node; an encoded list for scan. */
int stage_roots(const struct ebt_stage_options *o, struct buf *out, struct ebt_err *err);
/* scan.c: fills st->m on all nodes. */
int stage_scan_all(struct stage *st, struct ebt_err *err);

/* check.c: open the store, finish or remove what earlier runs left. */
int stage_open_store_all(struct stage *st, bool create, uint32_t *recovered,
	struct ebt_err *err);
/* check.c: targets in the way, what is needed (st->need, st->unchanged). */
int stage_compare_all(struct stage *st, struct ebt_err *err);
/* check.c: the first half of it on this node alone: -EEXIST names the first few. */
int stage_check_conflicts(struct stage *st, struct ebt_err *err);
/* check.c: space and inodes for what is needed, on every node. */
int stage_space_all(struct stage *st, struct ebt_err *err);
/* check.c: the plan from the manifest, the same on all nodes. */
int stage_plan_all(struct stage *st, struct ebt_err *err);

/* stream.c, stream_bcast.c: all content of the plan into incoming of all nodes. */
int stage_stream_all(struct stage *st, struct ebt_err *err);

/* publish.c: agree on digests, seal, commit, rename. *committed: the point of no return is past. */
int stage_publish_all(struct stage *st, bool *committed, struct ebt_err *err);

#endif
