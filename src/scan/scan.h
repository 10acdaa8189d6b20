/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parallel walk of directory trees on one node: threads take items from a shared list (a
 * root to look at, a directory to list, a batch of names of a large directory) and add what
 * they find to a flat manifest of their own. While they walk, nodes can even out what is left
 * between them, and what was found can be taken away.
 */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/activity.h"
#include "base/log.h"
#include "ebt/err.h"
#include "manifest/filter.h"
#include "manifest/manifest.h"

#define SCAN_THREADS 64 /* at most */

enum scan_flags {
	SCAN_FOLLOW = 1,  /* named with a trailing slash: what a link points to */
	SCAN_PARENT = 2,  /* a directory above a source: itself, not its content */
	SCAN_ROOT = 0x80, /* not looked at yet; else a directory to be listed */
};

/* What could not be read of an object. */
enum scan_unread {
	SCAN_UNREAD, /* it, or of a directory some or all names */
	SCAN_ATTRIBUTES, /* its extended attributes, it has none here; it is an entry still */
};

enum scan_skip { SCAN_FIFO, SCAN_SOCKET, SCAN_DEVICE, SCAN_SKIPS };

/* Objects of no kind that is moved: how many, and the first one's path. */
struct scan_skipped {
	uint64_t count[SCAN_SKIPS];
	char *name[SCAN_SKIPS];
};
/* One warning a kind. Returns how many objects there were. */
uint64_t scan_warn_skipped(const struct log *log, const struct scan_skipped *s);
void scan_skipped_release(struct scan_skipped *s);

struct scan_item {
	struct scan_item *next;
	uint32_t base;	/* index into scan.bases */
	uint32_t names; /* bytes of names after path; 0: a root or a directory */
	uint8_t flags;	/* enum scan_flags */
	uint32_t path_len;
	/* Below the base, NUL-terminated; then names, each after its d_type, NUL-terminated. */
	char path[];
};

struct scan {
	/* Of the caller, all may be left zero. */
	const struct filter *filter;
	bool no_owner; /* mark entries so */
	bool no_xattrs;
	bool shrinks;	 /* what goes away while it is looked at is no failure */
	bool map_sparse; /* find out where large files that are mostly hole have data */
	uint64_t map_holes; /* and others with so many bytes of hole; 0: no others */
	/*
	 * What lies below a base may have MANIFEST_PATH_MAX bytes, whatever a call takes. Else
	 * a whole path of PATH_MAX or more is one of an object that cannot be read.
	 */
	bool deep;
	uint32_t
		node; /* this one's number: devices and inodes are as it numbers them */
	uint64_t *found;    /* atomic: entries so far */
	uint64_t *vanished; /* atomic: with shrinks, what went away between two looks */
	uint64_t *reopened; /* atomic: opens that were tried again */
	int (*stopped)(
		void *arg, struct ebt_err *err); /* any thread; negative: give up */
	void *stopped_arg;
	/*
	 * Any thread. An object, @path below its base, cannot be read, and the walk goes on
	 * without it; "" is the base itself. NULL: that is a failure, and ends the walk.
	 */
	void (*unread)(void *arg, enum scan_unread what, const char *path,
		const struct ebt_err *why);
	void *unread_arg;
	/*
	 * Any thread. Regular file @fd, open and as @e says, may be read now, so that it need not be
	 * opened again. 1: it was, 0: it was not, negative: nor will any other be. NULL: files are
	 * not opened to be looked at.
	 */
	int (*ahead)(void *arg, int fd, const struct manifest_entry *e);
	/*
	 * Any thread. Nobody may want the content of file @name, below DEST: it is only looked at.
	 * NULL: somebody will want all.
	 */
	bool (*spared)(void *arg, const char *name);
	void *ahead_arg;
	bool ahead_over; /* atomic: it said so */
	dev_t store_dev; /* a store that is not to be walked into, if store_ino is not 0 */
	ino_t store_ino;
	struct activity *activity; /* what walkers are at shows there, or NULL */
	uint64_t most; /* entries of a round, or some more; 0: until all is done */

	const char **bases; /* absolute directories; the array is ours */
	uint32_t n_bases;
	bool ending;	  /* atomic: scan_end */
	uint64_t entries; /* atomic: since the round began, or it was set to 0 */
	uint64_t total;	  /* atomic: of all rounds */
	pthread_mutex_t gate;
	pthread_cond_t gate_free;
	unsigned inside; /* gate: threads that add an entry */
	bool frozen;	 /* gate: none may begin to */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct scan_item *items;     /* lock */
	uint32_t n_items;	     /* lock */
	unsigned busy;		     /* lock: threads that may still add items */
	int code;		     /* lock, to be read at any time: first failure */
	struct ebt_err err;	     /* lock */
	struct scan_skipped skipped; /* lock */
};

void scan_init(struct scan *s); /* from zeros */
void scan_release(struct scan *s);

struct scan_item *scan_item_new(uint32_t base, unsigned flags, const char *path,
	const char *names, uint32_t names_len);
void scan_push(struct scan *s, struct scan_item *list);

/* One flat manifest a thread, so that none waits for another. */
struct scan_shards {
	struct manifest *m[SCAN_THREADS];
	unsigned n;
};
int scan_shards_new(struct scan_shards *sh, unsigned threads, struct ebt_err *err);
void scan_shards_release(struct scan_shards *sh);
/* All of them as one flat manifest, which is the caller's. */
int scan_shards_join(
	struct scan_shards *sh, struct manifest **out, struct ebt_err *err);

/*
 * A round of all threads, until nothing is left, for now, or s->most; s->code tells of a failure.
 */
void scan_round(struct scan *s, struct scan_shards *shards);
/* From another thread: the round ends soon, after the names at hand. For good. */
void scan_end(struct scan *s);
/*
 * From another thread, also in a round: no entry is added and nothing read ahead in between. What
 * lies in *shards then may be exchanged, and with it what s->ahead reads to: of whatever is in it
 * the directory above is too, or was before.
 */
void scan_freeze(struct scan *s);
void scan_thaw(struct scan *s);
/* Items that are left, and threads that may still add some, as of one moment. */
void scan_left(struct scan *s, uint32_t *items, unsigned *busy);
/* The walk ends with @code, unless it has failed already. Any thread. */
void scan_fail(struct scan *s, int code, const struct ebt_err *err);
/* Takes an item, the caller's then; NULL: there is none. */
struct scan_item *scan_pop(struct scan *s);

/*
 * All that is in directory @path (absolute), without the directory itself, flat. @s: what the
 * caller filled in, then scan_init.
 */
int scan_tree(struct scan *s, const char *path, unsigned threads, struct manifest **out,
	struct ebt_err *err);

/* Room for the path of a base, '/', and what lies below it. */
#define SCAN_PATH_SIZE (PATH_MAX + 1 + MANIFEST_PATH_SIZE)
/*
 * What is at @path below directory @base, which is absolute: as fsio_open_beneath, so that the
 * whole of it may be longer than a call takes.
 */
int scan_open_below(const char *base, const char *path, int flags);

/*
 * Where file @fd, that of @e and with large holes, has data, in leaves: into e->extents, at least
 * one, which lie in @map. 0 or a negative errno.
 */
int scan_map_sparse(int fd, struct manifest_entry *e, struct buf *map);

/*
 * A look at names that may be hard links of one inode, for manifest_settle. Classes from
 * @first on, every @step-th. What cannot be looked at is not what the walk saw, and no failure.
 */
struct scan_look {
	const struct manifest *m;
	const struct manifest_doubts *doubts;
	uint32_t first, step;
	unsigned threads;
	int (*stopped)(void *arg, struct ebt_err *err); /* as of struct scan */
	void *stopped_arg;
};
/* @found: a value for each member of all classes, of which those of its own are set. */
int scan_look(const struct scan_look *l, uint32_t *found, struct ebt_err *err);
/* One warning for @n names that were not seen as they were in the walk; @one of them. */
void scan_warn_apart(
	const struct log *log, const struct manifest *m, uint64_t n, uint32_t one);

#endif
