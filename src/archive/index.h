/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The index beside an archive, NAME.idx: text that says where each member lies, so that nobody
 * has to go through the archive to find one. Its lines: see index.c. It only helps: whoever
 * uses it compares size and time of the archive, and looks at the header of what it reads.
 *
 * Pure, and a piece at a time: memory for one line.
 */
#ifndef ARCHIVE_INDEX_H
#define ARCHIVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/scope.h"
#include "ebt/err.h"

#define INDEX_VERSION 1

struct index_head {
	uint64_t size;	   /* bytes of the archive, as it lies there */
	uint64_t unpacked; /* of the tar stream; the same for what is not compressed */
	int64_t mtime;	   /* of the archive: seconds since 1970 */
	uint32_t mtime_ns;
	uint64_t members;
};

/* As find -printf %y has them; the hard link is a file's other name. */
enum index_type {
	INDEX_FILE = 'f',
	INDEX_DIR = 'd',
	INDEX_SYMLINK = 'l',
	INDEX_HARDLINK = 'h',
};

struct index_member {
	uint64_t header, data; /* bytes of the tar stream */
	uint64_t packed;       /* bytes of content there; below size: it is sparse */
	uint64_t size;	       /* bytes of the file; 0 for all others */
	enum index_type type;
	const char *path; /* as manifest_path_ok has it */
	const char *link; /* of a hard link: path of its first name; else NULL */
};

/*
 * Appends the first line, then one for each member in the order of the archive. -EINVAL for what
 * could not be read again.
 */
int index_put_head(struct buf *out, const struct index_head *head, struct ebt_err *err);
int index_put(struct buf *out, const struct index_member *m, struct ebt_err *err);

struct index_reader;
/* What is found: each member once. Strings are gone when it returns; not 0 ends the reading. */
typedef int (*index_fn)(void *arg, const struct index_head *head,
	const struct index_member *m, struct ebt_err *err);

int index_reader_new(
	index_fn found, void *arg, struct index_reader **out, struct ebt_err *err);
void index_reader_free(struct index_reader *r);
DEFINE_SCOPED(struct index_reader, index_reader_free)
/*
 * The next bytes of the index. Trusts nothing: members lie one behind the other from the first
 * byte on and within the archive, their paths lead out of nothing, each number and each name is
 * written in the one way in which it can be. -EBADMSG, -EPROTONOSUPPORT for a later version, or
 * what @found returned; after that it takes no more. Not looked at: whether paths occur twice, or
 * a hard link's target before it.
 */
int index_feed(
	struct index_reader *r, const void *data, size_t len, struct ebt_err *err);
/* The index ends here. -EBADMSG if it cannot: members are missing. */
int index_finish(struct index_reader *r, struct ebt_err *err);
/* The first line, once it was read; else NULL. */
const struct index_head *index_head(const struct index_reader *r);

#endif
