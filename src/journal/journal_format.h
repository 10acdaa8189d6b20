/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a journal, without files. All numbers are little-endian, nothing is aligned:
 *
 *	   0   8  magic, "EBT-DRN\n"
 *	   8   4  version, 5; a reader refuses a later one; 1 has no splits, 2 no inodes,
 *		  3 no seals under another name, nor of what lacks attributes, 4 no frames and nothing packed
 *	records
 *	   0   4  length of the payload, n
 *	   4   1  kind: 1 head, 2 seal, 3 end, 4 split, 5 seal of an inode,
 *		  6 seal under another name, 7 seal of what lacks attributes, 8 frames,
 *		  9 packed
 *	   5   n  payload
 *	      16  XXH3-128 of all of the record before it: low half, high half
 *	head: the first record, and only that
 *	   0  32  id: lower-case hex digits
 *	  32   1  1: atomic
 *	  33      dest with a final NUL
 *	seal
 *	   0   8  size of the target
 *	   8   8  its mtime, seconds, signed
 *	  16   4  nanoseconds
 *	  20   4  number of names, at least 1
 *	  24   4  number of sources, s
 *	  28 36s  sources: hash of the node's name, inode, size, mtime, ns
 *	          names, each with a final NUL
 *	seal of an inode
 *	   0   8  inode of the target
 *	   8      as a seal
 *	seal under another name
 *	   0   8  inode of the target, 0 if it is not known
 *	   8      as a seal; the first name is the path that the job gave it, which counts
 *		  among the names, the others are what it has in DEST
 *	seal of what lacks attributes
 *	   0   1  which, bits: enum journal_lack
 *	   1   1  1: the rest is as a seal under another name, 0: as a seal of an inode
 *	   2   8  inode of the target, or 0
 *	  10      as a seal
 *	end: nothing; the last record
 *	frames
 *	   0   8  inode of the temporary file
 *	   8  16  version: low half, high half
 *	  24   4  number of the first frame
 *	  28   4  number of frames, n
 *	  32 20n  frames: length, and XXH3-128 of its bytes: low half, high half
 *	          path of the temporary file with a final NUL
 *	packed
 *	   0   8  inode of the archive, 0 if it is not known
 *	   8   1  1: an older version, which is not in it
 *	   9   4  number of keys, n
 *	  13  8n  keys
 *	          path of the archive with a final NUL
 *	split
 *	   0   4  number of paths, at least 1
 *	   4      paths, each with a final NUL
 */
#ifndef JOURNAL_JOURNAL_FORMAT_H
#define JOURNAL_JOURNAL_FORMAT_H

#include <stdbool.h>

#include "base/buf.h"
#include "journal/journal.h"

#define JOURNAL_VERSION 5

enum journal_kind {
	JOURNAL_HEAD = 1,
	JOURNAL_SEAL = 2,
	JOURNAL_END = 3,
	JOURNAL_SPLIT = 4,
	JOURNAL_SEAL_INO = 5,
	JOURNAL_SEAL_AS = 6,
	JOURNAL_SEAL_LACKS = 7,
	JOURNAL_FRAMES = 8,
	JOURNAL_PACKED = 9,
};

/* A new journal up to its first seal. */
void journal_put_head(struct buf *out, const char *id, const char *dest, bool atomic);
void journal_put_seal(struct buf *out, const struct journal_seal *s);
void journal_put_end(struct buf *out);
/* @n paths, NUL-terminated one after the other. */
void journal_put_split(struct buf *out, const char *paths, uint32_t n);

void journal_put_frames(struct buf *out, const struct journal_frames *f);
/* One of a list, to bytes and back: @i-th. */
void journal_put_frame(struct buf *list, const struct journal_frame *f);
struct journal_frame journal_frame(const struct journal_frames *f, uint32_t i);

void journal_put_packed(struct buf *out, const struct journal_packed *p);

/* A source to bytes and back; false if it has no such time. Tasks and messages carry it too. */
#define JOURNAL_SOURCE_LEN 36
void journal_put_source(struct buf *out, const struct journal_source *s);
bool journal_get_source(struct reader *r, struct journal_source *s);

struct journal_record {
	enum journal_kind kind;
	struct journal_head head; /* JOURNAL_HEAD; dest lies in the bytes */
	struct journal_seal seal; /* journal_is_seal; names lie in the bytes */
	struct journal_frames
		frames; /* JOURNAL_FRAMES; path and list lie in the bytes */
	struct journal_packed
		packed;	   /* JOURNAL_PACKED; path and keys lie in the bytes */
	const char *paths; /* JOURNAL_SPLIT; they lie in the bytes */
	uint32_t n_paths;
	size_t start, end; /* of the record in the bytes */
};

static inline bool journal_is_seal(const struct journal_record *rec)
{
	return rec->kind == JOURNAL_SEAL || rec->kind == JOURNAL_SEAL_INO ||
	       rec->kind == JOURNAL_SEAL_AS || rec->kind == JOURNAL_SEAL_LACKS;
}

/* Start from zeros but for data and len. */
struct journal_scan {
	const unsigned char *data;
	size_t len, at;	  /* at: all before it is proven */
	uint32_t version; /* once a record was read */
	enum journal_kind last;
	struct journal_source *sources; /* of the last seal */
	size_t sources_cap;
};
void journal_scan_release(struct journal_scan *s);
#define SCOPED_JOURNAL_SCAN SCOPED(journal_scan_release)

/* Once there is nothing more: a kill or a crash could have left what is not proven, if any. */
bool journal_scan_torn(const struct journal_scan *s);

/*
 * 1 and the next record, valid until the next call; 0: nothing more that is proven, the bytes
 * from s->at on are torn, damaged or not there. -EPROTONOSUPPORT: of a later version.
 */
int journal_scan_next(
	struct journal_scan *s, struct journal_record *rec, struct ebt_err *err);

#endif
