/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One pass of a drain as its steps see it.
 *
 *   outputs   every node: what is in its store and was not staged there      (outputs.c)
 *   merge     paths meet at their owners, found by hash: conflicts, targets
 *             that exist already, what an earlier run finished                (merge*.c)
 *   plan      which target holds what, which node writes it                   (plan.c, plan/place.h)
 *   move      writers create, fetch, write, sync, rename                      (move*.c, file.c)
 *   finish    directories' attributes, the journal, local files freed         (dest.c, drain.c)
 *
 * No rank ever holds more than its own outputs, the paths whose hash is its, and the files it
 * writes.
 */
#ifndef DRAIN_DRAIN_INTERNAL_H
#define DRAIN_DRAIN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "base/buf.h"
#include "drain/journal.h"
#include "drain/task.h"
#include "ebt/drain.h"
#include "job/job.h"
#include "manifest/manifest.h"
#include "pfs/pfs.h"
#include "plan/place.h"
#include "store/store.h"

/* What becomes of an entry of this node's outputs. */
enum drain_verdict {
	DRAIN_WRITE,    /* this node's version is drained, see drain.suffixed for its name */
	DRAIN_PART,     /* one of several nodes' pieces: the owner of the path plans the file */
	DRAIN_IN_PLACE, /* an earlier run put it there */
	DRAIN_SAME,     /* the target does not differ (overwrite update) */
	DRAIN_OLDER,    /* another node's version is taken, or is the same (links, directories) */
};

/* A directory that this node, as a creator, makes and finishes. */
struct drain_dir {
	char *path;       /* below the root, no slash at either end; "" is the root */
	bool exists;      /* was there before: its attributes stay */
	bool present;     /* an earlier run of this drain made it: not to be made, but finished */
	struct manifest_entry e; /* attributes; its strings lie in drain.dirs_text */
};

struct drain {
	const struct ebt_drain_options *o;
	struct job job;
	MPI_Comm calls, data;  /* of nodes too, for the move */
	char id[33];
	char node_name[300];   /* host; with per_rank also "." and the rank */
	struct store *store;   /* locked */
	char *store_path;
	struct journal *journal; /* NULL: the store has no room for it */
	bool unjournaled;      /* which was said */

	/* Outputs of this node. */
	struct manifest *m;    /* a tree; its one source is the store */
	uint8_t *verdict;      /* enum drain_verdict an entry */
	bool *suffixed;        /* goes under its name, ".", node_name */
	bool *replaces;        /* its target may exist and is replaced */

	bool complete;         /* this pass: nothing failed on any node */
	/* While it watches: keys of the outputs of the last complete pass, see seen.c. */
	uint64_t *seen;        /* ascending; NULL: there was none */
	size_t n_seen;

	/* The destination. */
	enum pfs_kind pfs;
	int rootfd;            /* O_PATH of what paths are below: dest, or its hidden stand-in */
	char *root;            /* absolute path of dest */
	char *visible;         /* what rootfd is, or the directory above: it exists */
	bool root_fresh;       /* dest did not exist: nothing below it needs a look */
	bool known;            /* a journal of these nodes has this dest already */
	bool published;        /* with atomic: an earlier run made dest visible */

	/* Of the paths whose hash is ours. */
	struct drain_task *shared; /* a list: files of several nodes, to be placed */
	struct drain_dir *dirs;    /* to be made by this node, ascending by path */
	uint32_t n_dirs;
	struct buf dirs_text;

	struct drain_task *tasks;  /* a list: what this node leads */
	struct place_rules rules;
	struct place *place;       /* NULL: there is nothing to place */
	struct pfs_targets *targets; /* NULL where the file system has none */
	uint32_t n_targets;        /* of place, virtual ones included */
	uint64_t total_bytes;      /* of all nodes, as planned */

	struct ebt_drain_report *rep; /* sums of this node until the end */
};

/*
 * outputs.c. Local. d->m: all that is in the store, filters applied, without what the
 * manifest of the store, or of a store that it lies in, lists unchanged; directories that
 * hold outputs, or are outputs themselves. -EINTR when stopped.
 */
int drain_outputs(struct drain *d, struct ebt_err *err);

/* For -vv: where the time goes, on the first node. */
void drain_note(const struct drain *d, const char *step);

/* This node's name as journals keep it. */
static inline uint64_t drain_where(const struct drain *d)
{
	return digest_bytes(d->node_name, strlen(d->node_name)).lo;
}

/*
 * Permissions of what is made for @e with group @gid, until it has its own group and ACL: none
 * for others where those decide who they are for.
 */
static inline mode_t drain_first_mode(const struct manifest_entry *e, gid_t gid)
{
	bool group_differs = ((e->mode >> 3 ^ e->mode) & 7) != 0;

	return e->mode & (e->xattrs_len || (e->gid != gid && group_differs) ? 0700 : 0777);
}

/*
 * An output of this node, @path below its store, to be read: not to wait on a FIFO that took
 * its place, not to follow a link that did. The descriptor or a negative errno.
 */
int drain_output_open(const struct drain *d, const char *path);
/* "STORE/PATH on NODE: @what: the error", of -ESTALE @what alone. */
int drain_output_fail(const struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err);

/* dest.c. "DEST/PATH", fit for a message; @out holds DRAIN_PATH bytes. */
#define DRAIN_PATH 800
const char *drain_path(const struct drain *d, const char *path, char *out);
/* "DEST/PATH: @what: the error" */
int drain_fail(const struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err);

/* settle.c. Local. Of d->m what is finished, as long as the job runs. */
int drain_settle(struct drain *d, struct ebt_err *err);

/*
 * seen.c. Collective. True if all outputs of all nodes were there in the last complete pass
 * already, unchanged.
 */
bool drain_nothing_new_all(const struct drain *d);
/* Local. The outputs of this pass were seen, or none were. */
void drain_remember(struct drain *d);
void drain_forget(struct drain *d);

/*
 * merge.c. Collective. d->verdict, d->suffixed, d->shared, d->dirs; -EEXIST and the first few
 * names where targets or versions stand in each other's way. Writes nothing to dest but
 * removes what unfinished runs of this journal left under temporary names (not with dry_run).
 */
int drain_merge_all(struct drain *d, struct ebt_err *err);

/* dest.c. Collective. d->root: where dest is, or will be. */
int drain_dest_resolve_all(struct drain *d, struct ebt_err *err);
/*
 * Collective, d->id is known. Opens what there is of dest: d->rootfd, d->root_fresh, d->pfs.
 * Makes nothing: where there is none yet d->rootfd stays -1.
 */
int drain_dest_open_all(struct drain *d, struct ebt_err *err);
/* Collective. Makes what d->rootfd stands for, unless it is open. */
int drain_root_make_all(struct drain *d, struct ebt_err *err);
/* dirs.c. Collective. Makes the root and d->dirs, parents first. */
int drain_dirs_make_all(struct drain *d, struct ebt_err *err);
/* Collective. Attributes of the directories made, all of them synced. */
int drain_dirs_finish_all(struct drain *d, struct ebt_err *err);
/* Collective. With atomic: dest appears under its name. */
int drain_dest_publish_all(struct drain *d, struct ebt_err *err);

/* Writers at most, unless the user says otherwise, where the file system has no targets. */
#define DRAIN_PLAIN_WRITERS 32
/*
 * plan.c. Collective. Targets, placement, every node its tasks in d->tasks; with dry_run the
 * plan as text in d->rep->plan.
 */
int drain_plan_all(struct drain *d, struct ebt_err *err);
/* report.c. The plan as text, on the first node. @files and @big of all nodes. */
int drain_describe(struct drain *d, uint64_t files, uint32_t big, struct ebt_err *err);
/* report.c. Collective. Sums of all nodes into the first one's report. */
void drain_report_all(struct drain *d);

/* free.c. Local: removes outputs that are in place and still as they were scanned. */
int drain_free(struct drain *d, const uint64_t *done, struct ebt_err *err);

/*
 * move.c. Collective. Carries out all tasks of all nodes. Files that failed are named through
 * the log and counted; what ends the drain for all (no space anywhere, quota, a stop request)
 * is returned. *done: a bit an entry of d->m, set when it is in place.
 */
int drain_move_all(struct drain *d, uint64_t *done, struct ebt_err *err);

#endif
