/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One pass of a drain as its steps see it.
 *
 *   outputs   every node: what is in its store and was not staged there      (outputs.c)
 *   merge     paths meet at their owners, found by hash: conflicts, targets
 *             that exist already, what an earlier run finished                (merge/)
 *   plan      which target holds what, which node writes it                   (plan/, plan/place.h)
 *   move      writers create, fetch, write, sync, rename                      (move/)
 *   finish    directories' attributes, the journal, local files freed         (dest.c, drain.c)
 *
 * No rank ever holds more than its own outputs, the paths whose hash is its, and the files it
 * writes.
 *
 * What a name of dest has to hold follows from what is in the stores under that name, and from
 * what the journals prove about that name. It must not depend on where an earlier run was cut
 * short, so nothing else may decide:
 *
 *   - A seal names the inode that is to be found under a name, with its size and time, and the
 *     versions (node, inode, size, time) that went into it. It is written before the name
 *     appears, and it counts only if that inode is what is found. So a kill before, between or
 *     after the two is told apart, and what was there before is never taken for ours.
 *   - Each name speaks for itself. Hard links are sealed under all their names, those that come
 *     later before they are linked; and names are linked only to what is written in the same
 *     task, or to what is proven to hold this one inode. A file that has pieces of several nodes
 *     under one of its names is another file than the rest of the names, also once the other
 *     pieces are freed (DRAIN_MIXED).
 *   - What is freed cannot be asked any more. Where other nodes have a version of the name that
 *     stays, as one that is older or a piece, a later run must know from the journal what the
 *     freed one was: it is freed only if its seal, or its split, was recorded
 *     (DRAIN_CONTESTED, splits_lost).
 *   - That a target exists, or looks the same, proves nothing: it is a matter of the policy for
 *     just this name (--overwrite).
 */
#ifndef DRAIN_DRAIN_INTERNAL_H
#define DRAIN_DRAIN_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "archive/pattern.h"
#include "attr/attr.h"
#include "base/buf.h"
#include "journal/journal.h"
#include "drain/task.h"
#include "ebt/drain.h"
#include "fsio/fsio.h"
#include "job/job.h"
#include "manifest/manifest.h"
#include "pfs/pfs.h"
#include "plan/place.h"
#include "scan/scan.h"
#include "store/store.h"

/* What becomes of an entry of this node's outputs. */
enum drain_verdict {
	DRAIN_WRITE, /* this node's version is drained, see DRAIN_SUFFIXED for its name */
	DRAIN_PART, /* one of several nodes' pieces: the owner of the path plans the file */
	DRAIN_IN_PLACE, /* an earlier run put it there */
	DRAIN_SAME,	/* the target does not differ (overwrite update) */
	DRAIN_OLDER, /* another node's version is taken, or is the same (links, directories) */
};

/* A directory of the outputs that dest has something else for. */
struct drain_detour {
	char *path; /* one block with the other */
	char *as;   /* where it goes instead */
};

/* A file that was read and found to be as it was staged. */
struct drain_proven {
	uint64_t ino, changed;
	struct ebt_digest digest;
};
/* Attributes that dest did not take, of one kind; see lost.c. */
struct drain_loss {
	uint64_t n;
	int code;   /* of the first */
	char *path; /* whose */
};
#define DRAIN_LOSSES (ATTR_LOST_KINDS + 1) /* the last: what was in place before */

/* What becomes of outputs that are not what was scanned any more. */
enum drain_turn {
	DRAIN_ONCE, /* they are not done */
	DRAIN_TRY,  /* a further pass is for them */
	DRAIN_LAST, /* there is none: they are taken as they are, see again.c */
};

/* A directory that this node, as a creator, makes and finishes. */
struct drain_dir {
	char *path;	/* below the root, no slash at either end; "" is the root */
	uint32_t depth; /* components of it */
	bool exists;	/* was there before: its attributes stay */
	bool taken; /* and so it is as somebody else made it while we were about to */
	bool present; /* an earlier run of this drain made it: not to be made, but finished */
	bool missing;		 /* there was no room for it, or for one above it */
	struct manifest_entry e; /* attributes; its strings lie in drain.dirs_text */
};

/* Targets of one pool of the file system, or all of them. */
struct drain_pool {
	char name[PFS_POOL_NAME]; /* "": all */
	bool *in;		  /* of each target */
	struct place *place;	  /* of what goes there, over all targets */
};
#define DRAIN_NO_POOL UINT8_MAX
/* Components of a default layout whose targets are chosen: that end later than this ... */
#define DRAIN_EARLY   (8u << 20)
/* ... in files that have so many bytes there. */
#define DRAIN_HEAVY   (1u << 20)

/* What earlier drains of this store proved, and what this one proves. */
struct drain_proof {
	struct journal *journal; /* of earlier ones; NULL: nothing */
	bool journaled;		 /* and it takes the records of this one */
	bool no_journal;	 /* it never will, what is there stands in its way */
	struct ebt_err doubt;	 /* why not all that it proved is known, or none */
	struct buf lost;	 /* lost_lock: records that it had no room for */
	bool said_no_room;	 /* lost_lock while others record: which was said */
	bool splits_lost;	 /* among them are splits; for freeing: on any node */
};

/* Outputs of this node. */
struct drain_out {
	struct manifest *m; /* a tree; its one source is the store */
	uint8_t *verdict;   /* enum drain_verdict an entry */
	uint8_t *marks;	    /* enum drain_mark an entry */
	uint8_t *lacks;	    /* an entry in place is without these: enum journal_lack */
	char **was; /* of entries: where an older version is, or NULL; or NULL */
	struct drain_detour *detours; /* alike on all nodes, in the order to be taken */
	size_t n_detours;
	struct buf
		unread; /* lost_lock: enum scan_unread and path of what was not read */
	uint8_t *partial; /* of entries: 0, or 1 + enum scan_unread; NULL: all read */
};

/* This pass, and what goes from one to the next. */
struct drain_pass {
	enum drain_turn turn;
	uint64_t unsettled; /* atomic; this pass: what was not as it was scanned */
	bool again;	    /* a further pass follows */
	bool complete;	    /* this pass: nothing failed on any node */
	struct buf gone;    /* lost_lock: paths of what went away, of all passes */
	/* lost_lock; this pass: paths and words of what failed so */
	struct buf waiting;
	uint64_t n_waiting; /* lost_lock */
	/* While it watches: keys of the outputs of the last complete pass, see seen.c. */
	uint64_t *seen; /* ascending; NULL: there was none */
	size_t n_seen;
	struct drain_proven *proven; /* ascending, see staged.c */
	size_t n_proven;
	bool said_old; /* that the manifest is of an older version */
};

struct drain_dest {
	enum pfs_kind pfs;
	int fd;	    /* O_PATH of what paths are below: dest, or its hidden stand-in */
	char *path; /* absolute */
	char *visible; /* what fd is, or a directory above: it exists */
	bool inherits; /* what is made keeps the owner and group that dest gives it */
	bool fresh;    /* dest did not exist: nothing below it needs a look */
	bool inodes_differ; /* nodes number its inodes differently: they prove nothing */
	bool known;	    /* a journal of these nodes has this dest already */
	bool published;	    /* with atomic: an earlier run made dest visible */
	struct buf made;    /* first node: paths that this run made, outermost first */
	bool said_made;
	bool held; /* first node: it has our name that keeps it from being removed */
	bool said_lag; /* atomic */
};

/* Of the paths whose hash is ours. */
struct drain_own {
	struct drain_task *shared; /* a list: files of several nodes, to be placed */
	struct drain_dir *dirs;	   /* to be made by this node, ascending by path */
	uint32_t n_dirs;
	struct buf dirs_text;
};

/* Directories for which there was no room, and not those below them: alike on all nodes. */
struct drain_missing {
	const char **name; /* ascending; in text */
	size_t n;
	struct buf text;
};

/* Where content goes. */
struct drain_at {
	struct place_rules rules;
	struct pfs_policy policy; /* the default layout of dest */
	bool tiered;		  /* it is kept but for targets: see plan/pools.c */
	struct drain_pool *pools; /* one at least */
	uint32_t n_pools;
	struct place *leads; /* tiered: who makes the files that are created plainly */
	struct place *place; /* of the first pool: all have the same targets */
	bool *writes;	     /* of each node, NULL: evenly spread ones. See place.h */
	bool in_turn; /* small files go where the file system puts them: move/in_turn.c */
	struct pfs_targets *targets; /* NULL where the file system has none */
	uint32_t n_targets;	     /* of place, virtual ones included */
	bool tight; /* more is to come than there is room for: small files first */
	bool said_tight;
	uint64_t total_bytes; /* of all nodes, as planned */
};

/* What goes into archives: see pack/pack.h. All but the first two is of this pass. */
struct drain_pack {
	struct patterns *patterns; /* NULL: none are asked for */
	struct header_maker *maker;
	char **name; /* of each archive, below dest */
	uint32_t *
		of; /* an archive an entry, or PATTERN_NONE; NULL: there are no archives */
	uint32_t *room; /* bytes an entry: of its header, by its own name, as no link */
	uint8_t *state; /* enum pack_state an entry */
	struct pack_part *parts;  /* of each archive: what this node has of it */
	struct pack_owned *owned; /* a list: archives whose name's hash is ours */
	pthread_t drafting;
	bool drafts; /* that thread runs: pack/listed.c */
	struct buf
		named; /* lost_lock: of those that have their names, see pack/finish.c */
};

struct drain {
	const struct ebt_drain_options *o;
	struct job job;
	struct transport calls, data; /* of nodes too, for the move */
	char id[33];
	char node_name[300]; /* host; with per_rank also "." and the rank */
	struct store *store; /* locked; NULL in a dry run, which only looks */
	int storefd; /* of the store, the store's own or ours; -1: there is none */
	char *store_path;

	struct drain_proof proof;
	struct drain_out out;
	struct drain_pass pass;
	struct drain_dest dest;
	struct drain_own own;
	struct drain_pack pack;
	struct drain_missing missing;
	struct drain_at at;
	struct drain_task *tasks; /* a list: what this node leads */

	/* What needs a look. */
	pthread_mutex_t lost_lock;
	struct buf looks;			/* lost_lock: names */
	struct drain_loss losses[DRAIN_LOSSES]; /* lost_lock */
	unsigned said_losses;			/* bits: in an earlier pass */
	bool lossy; /* this pass, on any node: something is without attributes */
	struct ebt_drain_report *rep; /* sums of this node until the end */
};

/*
 * outputs.c. Local. d->out.m: all that is in the store, filters applied, without what the
 * manifest of the store, or of a store that it lies in, lists unchanged; directories that
 * hold outputs, or are outputs themselves. -EINTR when stopped.
 */
int drain_outputs(struct drain *d, struct ebt_err *err);

/* unread.c. Any thread. As struct scan has it, with a drain for @arg: a look, and drain_keep. */
void drain_unread(
	void *arg, enum scan_unread what, const char *path, const struct ebt_err *why);
/* Any thread. @path, "" for all, stays in the store, with SCAN_UNREAD what is below it too. */
void drain_keep(struct drain *d, enum scan_unread what, const char *path);
/* d->out.partial, once d->out.m is settled. */
int drain_mark_unread(struct drain *d, struct ebt_err *err);
/* Entry @i is not to be freed; it has extended attributes that nobody could read. */
bool drain_stays(const struct drain *d, uint32_t i);
bool drain_lacks_attributes(const struct drain *d, uint32_t i);

/*
 * staged.c. Local. Marks in bitmap @same what of @now, a walk of the store, is as the manifest
 * of its staging has it; NULL in @was: nothing was staged. @unfinished: of one that did not end.
 * @below: path of the store in @was, "" or with a final slash. Reads files whose ctime moved.
 * -EINTR when stopped.
 */
int drain_unchanged(struct drain *d, const struct manifest *now,
	const struct manifest *was, bool unfinished, const char *below, uint64_t *same,
	struct ebt_err *err);

/* outputs.c: `.ebt` of directory @path if it can be trusted to be ours, else -1. */
int drain_own_open(const char *path);

/* This node's name as journals keep it. */
static inline uint64_t drain_where(const struct drain *d)
{
	return digest_bytes(d->node_name, strlen(d->node_name)).lo;
}

/*
 * Permissions of what is made for @e with group @gid, until it has its own group and ACL: none
 * for others where those decide who they are for.
 */
static inline mode_t drain_first_mode(
	const struct drain *d, const struct manifest_entry *e, gid_t gid)
{
	bool group_differs = ((e->mode >> 3 ^ e->mode) & 7) != 0;
	bool moves = !d->dest.inherits && e->gid != gid && group_differs;

	return e->mode & (e->xattrs_len || moves ? 0700 : 0777);
}

/*
 * An output of this node, @path below its store, to be read: not to wait on a FIFO that took
 * its place, not to follow a link that did. The descriptor or a negative errno.
 */
int drain_output_open(const struct drain *d, const char *path);
/* The same, tried for as long as @p allows: somebody may hold a lease of it. */
int drain_output_wait(
	const struct drain *d, const char *path, const struct fsio_patience *p);
/* Until a stop request, counted in the report. */
struct fsio_patience drain_patience(struct drain *d);
/* A name that an open failed on with @code has no file any more. */
bool drain_output_gone(int code);
/* "STORE/PATH on NODE: @what: the error" */
int drain_output_fail(struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err);
/* What no errno says: the output is not what was scanned. "STORE/PATH on NODE: @what" */
int drain_output_refuse(
	struct drain *d, const char *path, const char *what, struct ebt_err *err);
/* The same of an output that always says something else than it is. */
int drain_output_odd(
	const struct drain *d, const char *path, const char *what, struct ebt_err *err);

/* How names begin in dest that are not to stay. */
#define DRAIN_TEMPORARY ".ebt-drain-"
/* And after the id of the drain, those of compressed archives that a later run may go on with. */
#define DRAIN_FRAMES	".frames-"

/* again.c. Any thread: an output is not what was scanned; with @path, it is gone. */
void drain_unsettled(struct drain *d, const char *path);
/* Any thread: it is missing, unless a further pass brings it. */
void drain_hold(struct drain *d, const char *path, const char *text);
/* Local. What waited so is missing, or else forgotten. */
void drain_let_go(struct drain *d, bool missing);
/*
 * Collective, between passes; @since: when the first one was over. Waits, and sets d->pass.turn;
 * *pause: seconds of the wait, which grow.
 */
int drain_again_wait_all(
	struct drain *d, double since, double *pause, struct ebt_err *err);
/* Local. What went away, and is not among the outputs of the last pass. */
void drain_tell_gone(struct drain *d);

/* say.c. For -vv: where the time goes, on the first node. */
void drain_note(const struct drain *d, const char *step);
/* "DEST/PATH", fit for a message; @out holds DRAIN_PATH bytes. */
#define DRAIN_PATH 800
const char *drain_path(const struct drain *d, const char *path, char *out);
/* For activity_begin: @arg is the drain, @index a path below dest, a pointer. */
void drain_show_path(const void *arg, uint64_t index, char *out, size_t size);
/* "DEST/PATH: @what: the error" */
int drain_fail(const struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err);

/* The same of what attr_set and the like say. */
int drain_fail_for(const struct drain *d, const char *path, const struct ebt_err *why,
	struct ebt_err *err);

/* seal.c. Local. What is in the store's journal. */
int drain_journal_open(struct drain *d, struct ebt_err *err);
/* The same where `.ebt` is open. One that is damaged or not ours to read proves what it can. */
int drain_journal_read(struct drain *d, int dot, struct ebt_err *err);
/* Its drain went where this one goes. */
bool drain_journal_same(const struct drain *d);
/* d->id is known. It takes this drain's records, unless it has no room: d->proof.journaled. */
int drain_journal_begin(struct drain *d, struct ebt_err *err);
int drain_journal_finish(struct drain *d, struct ebt_err *err);
/* Any thread. *proven: a later run will know. If not that is no failure: see drain_prove. */
int drain_seal(struct drain *d, const struct journal_seal *s, bool *proven,
	struct ebt_err *err);
/* Any thread. Frames of an archive under way. False: no room for that, so no later run will know. */
bool drain_note_frames(struct drain *d, const struct journal_frames *f);
/* @n paths, NUL-terminated one after the other, are split; or d->proof.splits_lost. */
int drain_split(struct drain *d, const char *paths, uint32_t n, struct ebt_err *err);
/* Tries what had no room once more. *all: everything is recorded now. */
int drain_prove(struct drain *d, bool *all, struct ebt_err *err);

/* settle.c. Local. Of d->out.m what is finished, as long as the job runs. */
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
 * merge/. Collective. d->out.verdict, d->out.marks, d->own.shared, d->own.dirs; -EEXIST and the first few
 * names where targets or versions stand in each other's way. Writes nothing to dest but
 * removes what unfinished runs of this journal left under temporary names (not with dry_run).
 */
int drain_merge_all(struct drain *d, struct ebt_err *err);

/*
 * merge/detour.c. Where @path of the outputs, @dir if it is a directory, goes: in place, in @cap
 * bytes. 1 if that is not where it was, 0, or -ENAMETOOLONG.
 */
int drain_detour(const struct drain *d, bool dir, char *path, size_t cap);
void drain_detours_free(struct drain *d);

/* dest.c. Collective. d->dest.path: where dest is, or will be. */
int drain_dest_resolve_all(struct drain *d, struct ebt_err *err);
/*
 * Collective, d->id is known. Opens dest, or with atomic what stands in for it, made if it is
 * missing: d->dest.fd, d->dest.fresh, d->dest.pfs. A dry run makes nothing, then d->dest.fd is -1.
 */
int drain_dest_open_all(struct drain *d, struct ebt_err *err);
/*
 * root.c. On the first node. Makes directory @path and those above it, of which the first
 * @there bytes exist. *ours: @path itself was not there before. -ENOENT, with no text: what it
 * was to be made in is gone again.
 */
int drain_root_make(struct drain *d, const char *path, size_t there, bool *ours,
	struct ebt_err *err);
/* On the first node. Nobody removes d->dest.fd from now on; or -ENOENT: that was done. */
int drain_root_hold(struct drain *d);
/* A pass is over: if something is in d->dest.fd now, that keeps it. */
void drain_root_filled(struct drain *d);
/* The end. @empty: nothing was put there, so what was made goes again. */
void drain_root_release(struct drain *d, bool empty);

/*
 * lag.c. Any thread. As fsio_lags, of what another node made or saw; false in a dry run. Says
 * so when it takes long.
 */
bool drain_lags(
	struct drain *d, struct fsio_lag *l, int dirfd, const char *path, int code);
/* fsio_open_beneath d->dest.fd, waiting if need be until @path is there. */
int drain_open_made(struct drain *d, const char *path, int flags);

/*
 * dirs.c. Collective. Makes d->own.dirs, parents first. With strict no room for one is an error, else
 * it is named, and missing.
 */
int drain_dirs_make_all(struct drain *d, struct ebt_err *err);
/* Collective. Attributes of the directories made, all of them synced. */
int drain_dirs_finish_all(struct drain *d, struct ebt_err *err);
/* Collective. With atomic: dest appears under its name. */
int drain_dest_publish_all(struct drain *d, struct ebt_err *err);

/*
 * missing.c. Collective. Adds what has no place on this node, in @names with NULs, and on the
 * others to d->missing; nothing happens where that is none at all.
 */
int drain_miss_all(struct drain *d, const struct buf *names, struct ebt_err *err);
/* @path lies below a directory that is missing, or is one. */
bool drain_is_missing(const struct drain_missing *m, const char *path);
/* Local. Names of d->tasks that have no place are told and go; tasks without a name too. */
void drain_drop_missing(struct drain *d);
void drain_missing_free(struct drain_missing *m);

/* What a file's placement is about. */
struct drain_choice {
	uint64_t bytes; /* that it weighs there */
	uint32_t pool;	/* DRAIN_NO_POOL: created plainly */
	uint32_t tier;	/* as in the task */
	uint32_t early; /* the same, and the pool of that component */
	uint32_t early_pool;
	uint32_t stripe_size; /* 0: by the rules */
	uint32_t stripes;     /* 0: by the rules */
};
/* plan/pools.c. Collective, d->at.targets is known: d->at.policy, d->at.tiered, d->at.pools without places. */
int drain_pools_all(struct drain *d, struct ebt_err *err);
void drain_pools_free(struct drain *d);
/* Local. */
void drain_pool_choose(
	const struct drain_at *at, const struct drain_task *t, struct drain_choice *c);
/* What the file system is asked for. @osts: room for @t's stripe_count + 1, read by the wish. */
struct pfs_stripes drain_pool_wish(
	const struct drain_at *at, const struct drain_task *t, uint32_t *osts);
/* Position of the target that the file system calls @ost, PLACE_NONE if it is none. */
uint32_t drain_position_of(const struct drain_at *at, uint32_t ost);
/* The placement that @t's targets are of. */
static inline struct place *drain_place_of(
	const struct drain_at *at, const struct drain_task *t)
{
	return t->pool < at->n_pools ? at->pools[t->pool].place : at->place;
}

/* Writers at most, unless the user says otherwise, where the file system has no targets. */
#define DRAIN_PLAIN_WRITERS 32
/*
 * plan/. Collective. Targets, placement, every node its tasks in d->tasks; with dry_run the
 * plan as text in d->rep->plan.
 */
int drain_plan_all(struct drain *d, struct ebt_err *err);
/* plan/tasks.c. Local. What this node has the content of, and d->own.shared. */
int drain_make_tasks(struct drain *d, struct drain_task **list, struct ebt_err *err);
/* Of all nodes. */
struct drain_summary {
	uint64_t files, archives, packed;
	uint32_t big;
};
/* report.c. The plan as text, on the first node. */
int drain_describe(
	struct drain *d, const struct drain_summary *all, struct ebt_err *err);
/*
 * looks.c. Any thread. Something needs a look: counted, kept by name, and told as a warning
 * or, where it is missing, an error, with the words of @fmt. @path below dest; @as: the name
 * that it got there instead, or NULL.
 */
void drain_look(struct drain *d, enum ebt_drain_look kind, const char *path,
	const char *as, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same of what node @node has, whichever node tells it; DRAIN_NODES: of several. */
void drain_look_of(struct drain *d, uint32_t node, enum ebt_drain_look kind,
	const char *path, const char *as, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
#define DRAIN_NODES UINT32_MAX
/* The same without words: for many of a kind, which somebody tells in one line. */
void drain_look_quietly(
	struct drain *d, enum ebt_drain_look kind, const char *path, const char *as);
/* Of this node: enum ebt_drain_outcome. */
int drain_outcome(const struct ebt_drain_report *rep);
/* Collective. All nodes' names into the first one's report. */
int drain_looks_all(struct drain *d, struct ebt_err *err);
/* A new pass: what the last one could not do is told again if it still cannot. */
void drain_looks_forget(struct drain *d);
/* report.c. Collective. Sums of all nodes into the first one's report. */
void drain_report_all(struct drain *d);

/*
 * lost.c. With strict attributes that dest does not take are a failure of their file. Else what
 * it takes is set, the rest is counted.
 */
/* enum journal_lack: what is asked for. */
unsigned drain_asked(const struct drain *d);
unsigned drain_lacks(const struct attr_loss *loss);
/* True: for want of room or quota, so another time dest may take it. */
bool drain_lost_for_room(const struct attr_loss *loss);
/* Any thread. @path is in dest without what is in @loss, if that is anything. */
void drain_lose(struct drain *d, const char *path, const struct attr_loss *loss);
/* Local, after the merge: what an earlier run put in place without attributes. */
void drain_lose_before(struct drain *d);
/* Collective: each kind of loss is said once, by one node. */
void drain_losses_all(struct drain *d);
void drain_losses_release(struct drain *d);

/* free.c. Local: removes outputs that are in place and still as they were scanned. */
int drain_free(struct drain *d, const uint64_t *done, struct ebt_err *err);

/*
 * move/. Collective. Carries out all tasks of all nodes. Files that failed are named through
 * the log and counted; what ends the drain for all (no space anywhere, quota, a stop request)
 * is returned. *done: a bit per entry of d->out.m, set when it is in place.
 */
int drain_move_all(struct drain *d, uint64_t *done, struct ebt_err *err);

#endif
