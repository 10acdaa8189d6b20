/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A task: one file or symlink to be put in place, with everything its lead has to know. The
 * lead is the node that creates it and gives it its name; nodes that write some of its
 * objects get the task from the lead.
 */
#ifndef DRAIN_TASK_H
#define DRAIN_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/scope.h"
#include "drain/journal.h"
#include "manifest/manifest.h"

/* Where content comes from: an entry of that node's outputs. */
struct drain_source {
	struct journal_source file; /* a file that changed since is not drained */
	uint32_t node;
	uint32_t entry; /* in the outputs of that node */
};

/* A range of the file's data. What no piece covers is hole. */
struct drain_piece {
	uint64_t off, len;
	uint32_t source;   /* index */
	/*
	 * Covers bytes that another piece covers too. All agree where none is zero, so the
	 * bytes are or-ed: see merge_overlap.c.
	 */
	bool overlaps;
};

/* One block of memory, but for the list. */
struct drain_task {
	struct drain_task *next;
	struct manifest_entry e; /* name: the path below the root; a file or a symlink */
	bool in_place;           /* content and first name are there: only links are missing */
	bool replaces;           /* the name may exist and is replaced */
	uint32_t n_links;        /* further names, NUL-terminated one after the other */
	const char *links;
	struct drain_source *sources; /* at least one */
	uint32_t n_sources;
	struct drain_piece *pieces;   /* ascending by off */
	uint32_t n_pieces;
	/* Placement: targets by position in drain.place; none: the file system's default. */
	uint32_t stripe_count;
	uint64_t stripe_size;
	uint32_t *targets;
	bool big;                /* known to all nodes; goes first */
};

void drain_task_free(struct drain_task *t);
void drain_task_free_list(struct drain_task *t);
DEFINE_SCOPED(struct drain_task, drain_task_free)
#define SCOPED_TASK SCOPED(drain_task_freep)
static inline void drain_task_list_freep(struct drain_task **t)
{
	drain_task_free_list(*t);
}

/* To bytes and back, between nodes of one job: -EBADMSG for what is damaged. */
void drain_task_encode(const struct drain_task *t, struct buf *out);
int drain_task_decode(struct reader *r, struct drain_task **out, struct ebt_err *err);

/* One entry with all it points to, as drain_task_encode writes it. @name replaces e->name. */
void drain_entry_encode(const struct manifest_entry *e, const char *name, struct buf *out);
/* Strings point into the reader's bytes. */
int drain_entry_decode(struct reader *r, struct manifest_entry *e, struct ebt_err *err);

#endif
