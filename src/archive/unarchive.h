/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An archive, read once from its front to its end: tar (old, ustar, pax, GNU), cpio (newc, crc,
 * odc), both as they are or compressed with what codec/decode.h has, zip and 7z. What it says is
 * judged here and not believed: every member has a name that lies below the directory it is
 * unpacked in, and what manifest_add asks of an entry. What cannot be had as it was meant is
 * refused, and the text names it: names with "..", absolute ones, those that lead through what is
 * no directory, ".ebt" at the top, another kind under a name that was there, hard links to what was
 * not there before, maps of holes out of order, encryption, parts of multi-volume archives, NFSv4
 * ACLs, damage, a missing end mark, more data behind it.
 *
 * Memory: about 50 bytes a member, a keyed hash of its name and what it was; the targets of
 * symbolic links; the headers of one member, at most 16 MiB, of which libarchive makes up to 20 times as much where they are nothing
 * but a map of tiny pieces; the decoder's. Of zip and 7z libarchive holds the whole list of
 * members, some 200 bytes each, and what their compression asks for, up to 4 GiB, and
 * of 7z the target of a symbolic link, however long it is. Of cpio it holds
 * every inode with several links, in a list that it goes through for each.
 *
 * One thread at a time, but for unarchive_bytes.
 */
#ifndef ARCHIVE_UNARCHIVE_H
#define ARCHIVE_UNARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"

#define UNARCHIVE_NOWHERE UINT64_MAX

struct unarchive;
struct picks; /* archive/picks.h */

struct unarchive_options {
	/*
	 * Of a tar in a file, as it is or in frames with a seek table (-ENOTSUP for others): nothing
	 * else is read, and each of them has to have the place, path, kind and size that it has
	 * there. NULL: all of it. Has to outlive the archive.
	 */
	const struct picks *picks;
	bool heads; /* what is picked is looked at, not read: large content is passed */
	bool concatenated; /* tar: go on behind an end mark */
	bool no_xattrs;	   /* neither extended attributes nor ACLs */
	bool no_owner;	   /* entries get no_owner, and owners are not looked at */
	unsigned threads;  /* for decoding; 0 and 1: none but the caller's */
	unsigned umask;	   /* takes bits off 0777 for directories that are not listed */
	/* Asked between reads, and a few times a second where a pipe has nothing: -EINTR. */
	bool (*stopped)(void *arg);
	void *arg;
};

struct member {
	/*
	 * Flat: e.name is the whole path. ACLs are among the xattrs. What only the source of a
	 * file has is zero: dev, ino, changed, source, digest; nlink is 1. An owner that the
	 * archive does not tell is nobody's: no_owner. Extents as scan_map_sparse makes them.
	 */
	struct manifest_entry e;
	/*
	 * A hard link to this path, a file before it; else NULL. One to a symbolic link is a
	 * symbolic link of its own.
	 */
	const char *link;
	/*
	 * e.size bytes follow, to be read with unarchive_read or skipped. Those of a hard link
	 * are the content of the inode: cpio has it with the last name or with each, pax may.
	 * They replace what an earlier name brought, unless the sizes are equal and not zero: then
	 * they are the same again.
	 */
	bool content;
	/*
	 * There was a member of this path and kind, an implied one perhaps: this one replaces
	 * it. Of a file it is the name that is replaced: hard links to it keep what they are.
	 */
	bool again;
	/* A directory that was not listed before something in it: made up, no_owner. */
	bool implied;
	/*
	 * Byte of the archive's file from which on the content lies as it is, and need not be
	 * read here; or UNARCHIVE_NOWHERE.
	 */
	uint64_t at;
	uint64_t where; /* above 0, ascending: a number that no other member has */
};

bool unarchive_built_in(void); /* false: all that follows fails */
/*
 * Of open @fd, which stays the caller's: a regular file, read from its first byte on without moving
 * its offset, or a stream. @name is for messages. The options are copied.
 */
int unarchive_open(int fd, const char *name, const struct unarchive_options *o,
	struct unarchive **out, struct ebt_err *err);
void unarchive_free(struct unarchive *u);
DEFINE_SCOPED(struct unarchive, unarchive_free)
/*
 * The next member: 1 and *m, valid until the next call; 0: that was all, and the archive is whole
 * to its last byte; or a negative errno, which is final. Until it was 0 nothing that was told is
 * known to be true.
 */
int unarchive_next(struct unarchive *u, struct member *m, struct ebt_err *err);
/*
 * [off, off + len) of the content of the member at hand, which has all of it; not below where the
 * last call ended. Holes are zeros, what lies between is skipped. That there are fewer bytes than
 * the member says, or more, is an error here, or at the next member if not all was read.
 */
int unarchive_read(
	struct unarchive *u, uint64_t off, void *to, size_t len, struct ebt_err *err);

/* What was left out so far, for the caller to warn of. */
enum unarchive_left {
	UNARCHIVE_FIFO,
	UNARCHIVE_SOCKET,
	UNARCHIVE_DEVICE,
	UNARCHIVE_FLAGS, /* members whose file flags, as immutable, were left out */
	UNARCHIVE_LEFT_KINDS,
};
/* How many, and the path of the first in *first, valid until unarchive_free. */
uint64_t unarchive_left(
	const struct unarchive *u, enum unarchive_left kind, const char **first);

/* Bytes of the file that were taken so far. Any thread. */
uint64_t unarchive_bytes(const struct unarchive *u);

#endif
