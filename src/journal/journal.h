/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal of drains from one store: STORE/.ebt/drain, appended to by the node that gives
 * files their final names. It outlives the process, not the node: what it proves, it proves
 * about the file system that the files went to.
 *
 *   head     id of the drain (in the names of its temporary files), dest, atomic
 *   seal     a file is complete and synced under its temporary name and is about to get
 *            the names given: its inode, size, time, and the sources it was made of. So it
 *            is written before it is true, and proves something about a name only if that
 *            inode is found there
 *   split    files that several nodes had, so that each goes under its node's name, from then
 *            on: a node that is left alone with its version does not take the plain name
 *   frames   of a compressed archive that is not complete yet, under its temporary name: those that
 *            are there, synced. A later run that has the same to pack goes on behind them
 *   packed   outputs of this node that are in an archive, before the first of them is freed: an
 *            archive is in place as a whole, and what is left of it is not known by its seal
 *   end      that drain was finished; the seals stay good for the next one to the same dest
 *
 * Each record carries its length and digest; a torn one at the end counts as not there.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/scope.h"
#include "ebt/err.h"

struct journal;

/* A file of a store as it was scanned: what it takes to know it again. */
struct journal_source {
	uint64_t where; /* hash of the node's name */
	uint64_t ino;	/* there: a file of the same size and time may be another */
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_ns;
};

/* What the target is without, as the file system of dest did not take it: bits. */
enum journal_lack {
	JOURNAL_LACKS_OWNER = 1,
	JOURNAL_LACKS_XATTRS = 2, /* ACLs are among them */
	JOURNAL_LACKS_OTHER = 4,  /* mode or times */
};
#define JOURNAL_LACKS 7

struct journal_seal {
	const char
		*names; /* NUL-terminated one after the other: the name, then links */
	uint32_t n_names;
	/*
	 * The path that the job gave it, if the names are others, chosen because that one was
	 * taken; else NULL.
	 */
	const char *of;
	/*
	 * Of the target, with its size and time: to know it again, under each of its names.
	 * 0: not known, of a directory, in a journal of version 2, or if nodes see different
	 * ones. Without sources, not 0: directories that somebody else made, not this drain.
	 */
	uint64_t ino;
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_ns;
	const struct journal_source *sources;
	uint32_t n_sources;
	uint8_t lacks; /* enum journal_lack; of a target that was asked to have it */
};

/* Frames @first and on of a compressed archive under way, as they lie one behind the other. */
struct journal_frames {
	const char *path;	   /* temporary, below dest */
	uint64_t ino;		   /* of it */
	struct ebt_digest version; /* of all that it is made of, and how */
	uint32_t first,
		n; /* 0 and 0: it was begun, and what was said of it before is void */
	const unsigned char
		*list; /* of each: JOURNAL_FRAME_LEN bytes, see journal_frame */
};
#define JOURNAL_FRAME_LEN 20
struct journal_frame {
	uint32_t packed; /* bytes */
	struct ebt_digest digest;
};

/* Outputs of this node by keys that tell versions apart: what these are its writer knows. */
struct journal_packed {
	const char *path; /* of the archive, below dest */
	uint64_t ino;	  /* of it; 0: not known */
	bool older;	  /* they are not in it, but another node's version is */
	uint32_t n;
	const unsigned char *keys; /* JOURNAL_KEY_LEN bytes each, little-endian */
};
#define JOURNAL_KEY_LEN 8

struct journal_head {
	char id[33];
	const char *dest; /* absolute */
	bool atomic;
	bool finished;
	uint32_t version; /* of the file: JOURNAL_VERSION or one before it */
};

/*
 * @dotfd: STORE/.ebt. Reads what is there, up to what is torn or damaged: that and what comes
 * after it is not proven, and the next append cuts it off. -EPERM: it is a link, no regular
 * file, or somebody else's.
 */
int journal_open(int dotfd, struct journal **out, struct ebt_err *err);
void journal_close(struct journal *j);
/* True: the file holds more than is proven, and no kill or crash has left that. */
bool journal_damaged(const struct journal *j);
/*
 * What cannot be read, or is damaged, is not written over: it gets a name of its own,
 * "drain.damaged" or that with a number, before another takes its place. journal_mend: of that
 * journal, which goes on with what is proven.
 */
int journal_set_aside(int dotfd, struct ebt_err *err);
int journal_mend(struct journal *j, struct ebt_err *err);
DEFINE_SCOPED(struct journal, journal_close)
/* NULL: no drain was begun here. Valid until journal_begin. */
const struct journal_head *journal_head(const struct journal *j);
/*
 * All seals in the order they were written, also those of this process; a later one for a name
 * overrides. Stops at and returns the first non-zero. Not while others seal.
 */
int journal_each(const struct journal *j,
	int (*fn)(void *arg, const struct journal_seal *s), void *arg);
/* The same for frames. */
int journal_each_frames(const struct journal *j,
	int (*fn)(void *arg, const struct journal_frames *f), void *arg);
/* The same for what is packed. */
int journal_each_packed(const struct journal *j,
	int (*fn)(void *arg, const struct journal_packed *p), void *arg);
/* The same for the paths of splits. */
int journal_each_split(
	const struct journal *j, int (*fn)(void *arg, const char *path), void *arg);
/*
 * A new journal in place of the old one, with @keep (the same dest again) keeping its splits,
 * what is packed, and seals; those without sources, of directories that a drain makes and finishes at its
 * end, only if the old one was not finished.
 */
int journal_begin(struct journal *j, const char *id, const char *dest, bool atomic,
	bool keep, struct ebt_err *err);
/*
 * Appends, whole or not at all; on the store's file system when it returns, though not
 * synced. Any thread. -EINVAL: no drain was begun, or it was finished.
 */
int journal_seal(struct journal *j, const struct journal_seal *s, struct ebt_err *err);
int journal_finish(struct journal *j, struct ebt_err *err);
/* Seals and splits as journal_format.h puts them, one after the other. */
int journal_add(struct journal *j, const struct buf *records, struct ebt_err *err);
/* @n paths, NUL-terminated one after the other, are split. */
int journal_split(
	struct journal *j, const char *paths, uint32_t n, struct ebt_err *err);

#endif
