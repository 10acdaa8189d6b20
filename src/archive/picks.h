/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which members of a tar have to be read so that those that are wanted come out as if all had been:
 * picked from the index beside it. That is what is wanted, and the first in each directory that is
 * wanted and never listed before, as that directory is made up with its time. unarchive.h reads
 * nothing else then, and compares each header with what the index says.
 *
 * What is not read is not judged. So an index is of use only where no member has to do with others
 * but in ways that are known here: names do not come twice, but for directories, and lead through
 * nothing but directories, hard links follow the file that they name. All others are refused; who
 * reads the whole archive then finds out what is wrong, or that nothing is.
 *
 * Places are bytes of the tar stream, whatever that has to be decoded from.
 *
 * Pure, and a piece at a time: some 50 bytes for each member, until picks_finish, and 80 for one
 * that is picked.
 */
#ifndef ARCHIVE_PICKS_H
#define ARCHIVE_PICKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/index.h"
#include "base/digest.h"
#include "base/scope.h"
#include "ebt/err.h"

struct pick {
	uint64_t header, data, end; /* where they begin; the end with its padding */
	uint64_t size;		    /* of the file */
	struct ebt_digest name;	    /* picks_name */
	uint64_t serial;	    /* members before it, in the whole archive */
	uint64_t where; /* and with directories that were made up for them */
	enum index_type type;
	bool wanted; /* or only what is made up for it */
};

/* The archive as it lies there: another one than the index speaks of is refused. */
struct picks_archive {
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_ns;
};
/* Is @path wanted, and every directory above it? */
typedef bool (*picks_wants_fn)(void *arg, const char *path, bool dir);

struct picks;
int picks_new(const struct picks_archive *archive, picks_wants_fn wants, void *arg,
	struct picks **out, struct ebt_err *err);
void picks_free(struct picks *p);
DEFINE_SCOPED(struct picks, picks_free)
/*
 * The next bytes of the index. -ESTALE: of another archive; -ENOTSUP: it cannot be read by parts;
 * or what index_feed says. All of them are final.
 */
int picks_feed(struct picks *p, const void *data, size_t len, struct ebt_err *err);
int picks_finish(struct picks *p, struct ebt_err *err); /* the same */

/*
 * From here on after picks_finish. At most half as much is to be read as of the whole archive: then
 * it pays even though headers are looked at twice, before anything is believed and after.
 */
bool picks_pay(const struct picks *p);
uint64_t picks_members(const struct picks *p); /* of the archive */
/* *n of them, in the order of the archive; one more stands for the end mark. */
const struct pick *picks_list(const struct picks *p, size_t *n);
/* For comparison. @link: of a hard link, or NULL. */
struct ebt_digest picks_name(const char *path, const char *link);

#endif
