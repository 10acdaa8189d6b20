/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where bytes live on the parallel file system. For staging: which kind it is and, on Lustre,
 * which storage target (OST) holds which part of a file. Where the layout cannot be known the
 * answer is "plain", never a guess.
 */
#ifndef PFS_PFS_H
#define PFS_PFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebt/err.h"

enum pfs_kind { PFS_PLAIN, PFS_LUSTRE, PFS_BEEGFS };

const char *pfs_name(enum pfs_kind kind); /* "plain", "lustre", "beegfs" */

/*
 * By the file system's magic number; EBT_PFS=lustre|beegfs|plain overrides. A path that
 * cannot be asked is plain: whoever opens it will report that better.
 */
enum pfs_kind pfs_probe(const char *path);

#define PFS_LAYOUT_OSTS 2000 /* the most stripes Lustre allows */

/*
 * The part of a layout that placement needs: one RAID0 pattern. Of a composite layout, its
 * initialised component with the largest share of [0, size).
 */
struct pfs_layout {
	uint32_t stripe_size;  /* bytes */
	uint16_t stripe_count; /* objects; 0: none (data on the MDT, or not yet created) */
	uint32_t first_ost;    /* of the object that holds offset 0 modulo the pattern */
};

/*
 * Parse a lustre.lov attribute: 0, or -EBADMSG for what is not one. Any input is safe.
 * @osts: the OST index of each stripe, up to @max of them; may be NULL.
 */
int pfs_lustre_parse(const void *lov, size_t len, uint64_t size, struct pfs_layout *out,
	uint32_t *osts, size_t max);
/* Layout of the file at absolute @path: 1 known, 0 not known. Never opens the file. */
int pfs_layout_at(enum pfs_kind kind, const char *path, uint64_t size,
	struct pfs_layout *out);

#endif
