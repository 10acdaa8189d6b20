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
#include "journal/journal.h"
#include "manifest/manifest.h"

/* What a node has content of. */
enum drain_of {
	DRAIN_OF_FILE,	/* an entry of its outputs */
	DRAIN_OF_PART,	/* its members of an archive, headers and all: pack/pack.h */
	DRAIN_OF_FRAME, /* a frame of one, compressed: move/slots.c */
};

/* Where content comes from. */
struct drain_source {
	struct journal_source file; /* a file that changed since is not drained */
	uint32_t node;
	uint32_t entry; /* in the outputs of that node; of an archive; of a slot */
	uint8_t of;	/* enum drain_of */
};

/* A range of the file's data. What no piece covers is hole. */
struct drain_piece {
	uint64_t off, len;
	uint64_t from;	 /* byte of the source that is at off */
	uint32_t source; /* index */
	/*
	 * Covers bytes that another piece covers too. All agree where none is zero, so the
	 * bytes are or-ed: see merge/overlap.c.
	 */
	bool overlaps;
};

/* What there is to know of a name beside the name. */
enum drain_mark {
	DRAIN_SUFFIXED = 1,  /* goes under its name with the name of its node added */
	DRAIN_REPLACES = 2,  /* its target may exist and is replaced */
	DRAIN_MIXED = 4,     /* what is in place has pieces of other nodes as well */
	DRAIN_CONTESTED = 8, /* other nodes have a version of it */
	DRAIN_IN_WAY = 16,   /* something that is not ours may be there: it stays */
	/* The name of its node tells it; with IN_WAY unless what is there says the same. */
	DRAIN_BY_NODE = 32,
};

/*
 * A name that a file is to get. Where it is taken by what must stay, the file gets another one
 * instead: see drain_beside.
 */
struct drain_name {
	const char *path; /* below the root */
	const char *of;	  /* what the job called it, or "" where that is the path */
	const char *
		was; /* an earlier version of ours, beside @path, to be replaced; or "" */
	const char *ending; /* what another name ends in */
	uint8_t marks;	    /* enum drain_mark */
};

/* One block of memory, but for the list. */
struct drain_task {
	struct drain_task *next;
	struct manifest_entry
		e;     /* name: the path below the root; a file or a symlink */
	bool in_place; /* content and first name are there: only links are missing */
	bool contested; /* other nodes have a version: freed only if the journal has it */
	bool some;	/* of its names only: others have no place. Its lead's */
	uint8_t lacks;	   /* what is in place is without: enum journal_lack */
	uint32_t n_names;  /* at least 1: the first is e.name */
	const char *names; /* see drain_name_next */
	struct drain_source *sources; /* at least one */
	uint32_t n_sources;
	struct drain_piece *pieces; /* ascending by off */
	uint32_t n_pieces;
	/*
	 * Placement: targets by position in drain.targets; none: the file system's default.
	 * They are of a pool of the drain, and hold component tier - 1 of its policy, or the
	 * whole file if tier is 0. Component early - 1 is in one object, on early_target, if
	 * early is not 0.
	 */
	uint32_t stripe_count;
	uint64_t stripe_size;
	uint32_t *targets;
	uint8_t tier, pool, early;
	uint32_t early_target;
	bool big;	  /* known to all nodes; goes first */
	uint32_t archive; /* number of the archive that it is, plus 1; 0: it is none */
};

/*
 * Room for a path below DEST with its NUL: for one of an output, and for what other names add to
 * it. On the heap, as it is much for the stack of a thread.
 */
#define DRAIN_NAME_SIZE (MANIFEST_PATH_SIZE + 4096)

/* Names of a task are written one after the other, and read so: returns what comes next. */
void drain_name_put(struct buf *out, const struct drain_name *n);
const char *drain_name_next(const char *at, struct drain_name *out);
/*
 * The @k-th name to try, from 1, for a file that cannot have @path: PATH with @ending, then with
 * ".2", ".3", ... behind it. The last component is cut before the ending where it would be
 * longer than a name may be, between characters. -ENAMETOOLONG if @out, of @cap bytes, is too
 * small.
 */
int drain_beside(
	const char *path, const char *ending, unsigned k, char *out, size_t cap);
#define DRAIN_NEW  ".ebt-new"	  /* of what would replace something */
#define DRAIN_TORN ".ebt-torn"	  /* of what changed while it was read */
#define DRAIN_GAP  ".ebt-missing" /* of a member of an archive that could not be read */

/* Data in [start, end): holes do not count, what two pieces cover does so twice. */
uint64_t drain_task_bytes(const struct drain_task *t, uint64_t start, uint64_t end);
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

/* A task of its own, in one block, of one whose parts lie anywhere. */
int drain_task_copy(
	const struct drain_task *t, struct drain_task **out, struct ebt_err *err);

/* One entry with all it points to, as drain_task_encode writes it. @name replaces e->name. */
void drain_entry_encode(
	const struct manifest_entry *e, const char *name, struct buf *out);
/* Strings point into the reader's bytes. */
int drain_entry_decode(struct reader *r, struct manifest_entry *e, struct ebt_err *err);

#endif
