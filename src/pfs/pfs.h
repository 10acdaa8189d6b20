/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where bytes live on the parallel file system: which kind it is and, on Lustre, which
 * storage target (OST) holds which part of a file. What cannot be known is "plain" or
 * "not known", never a guess. No state of its own; any thread.
 */
#ifndef PFS_PFS_H
#define PFS_PFS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/scope.h"
#include "ebt/err.h"

enum pfs_kind { PFS_PLAIN, PFS_LUSTRE, PFS_BEEGFS };

const char *pfs_name(enum pfs_kind kind); /* "plain", "lustre", "beegfs" */

/*
 * By the file system's magic number; EBT_PFS=lustre|beegfs|plain overrides. A path that
 * cannot be asked is plain: whoever opens it will report that better.
 */
enum pfs_kind pfs_probe(const char *path);

#define PFS_LOV_MAX 65536 /* bytes; the kernel's limit of an attribute's value */

/* A range of a file, striped over stripe_count objects. */
struct pfs_part {
	uint64_t start, end;   /* [start, end) of the file; UINT64_MAX: to its end */
	uint32_t stripe_size;  /* bytes, not 0 */
	uint32_t stripe_count; /* not 0 */
	uint32_t first;	       /* index into osts: of stripe 0, the others follow */
};

/*
 * A file's layout. Parts ascend and do not overlap. What no part covers has no object: its
 * data is on the metadata target, archived, or nothing was written there yet. One block
 * of memory.
 */
struct pfs_layout {
	uint32_t *osts;
	uint32_t n_osts;
	uint32_t n_parts;
	struct pfs_part parts[];
};

static inline void pfs_layout_free(struct pfs_layout *l)
{
	free(l);
}
DEFINE_SCOPED(struct pfs_layout, pfs_layout_free)
#define SCOPED_LAYOUT SCOPED(pfs_layout_freep)

/*
 * Parse a lustre.lov attribute. Any input is safe: 0 and a layout that is the caller's,
 * -EBADMSG for what is not one, -ENOMEM. Of several mirrors every range is taken from one
 * that is not stale, preferably from one marked for reading.
 */
int pfs_lustre_parse(const void *lov, size_t len, struct pfs_layout **out);

/*
 * Layout of the file at @path: 1 and a layout that is the caller's, or 0 where it is not
 * known, for whatever reason. Never opens the file. On Lustre it may cost a message to the
 * metadata server.
 */
int pfs_layout_at(enum pfs_kind kind, const char *path, struct pfs_layout **out);

/* What each OST holds of a number of files. Start from zeros. */
struct pfs_share {
	uint32_t ost;
	uint64_t bytes;
	uint64_t files; /* with at least a byte there */
	uint64_t last;	/* file that was counted last */
};
struct pfs_shares {
	struct pfs_share *share; /* ascending by ost */
	size_t count, cap;
	uint64_t bytes; /* on OSTs, of all shares */
};

void pfs_shares_release(struct pfs_shares *s);
#define SCOPED_SHARES SCOPED(pfs_shares_release)
/*
 * Adds [start, end) of a file. @file: any number but 0; ranges of one file are added one
 * after the other under the same number. After -ENOMEM the sums are of no use.
 */
int pfs_shares_add(struct pfs_shares *s, const struct pfs_layout *l, uint64_t file,
	uint64_t start, uint64_t end, struct ebt_err *err);

#endif
