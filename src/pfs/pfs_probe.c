/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "pfs/pfs.h"

#define MAGIC_LUSTRE 0x0bd00bd0u
#define MAGIC_BEEGFS 0x19830326u

const char *pfs_name(enum pfs_kind kind)
{
	switch (kind) {
	case PFS_LUSTRE:
		return "lustre";
	case PFS_BEEGFS:
		return "beegfs";
	default:
		return "plain";
	}
}

enum pfs_kind pfs_probe(const char *path)
{
	const char *forced = getenv("EBT_PFS");
	struct statfs fs;

	for (int k = PFS_PLAIN; forced && k <= PFS_BEEGFS; k++)
		if (strcmp(forced, pfs_name((enum pfs_kind)k)) == 0)
			return (enum pfs_kind)k;
	if (statfs(path, &fs) < 0)
		return PFS_PLAIN;
	switch ((uint32_t)fs.f_type) {
	case MAGIC_LUSTRE:
		return PFS_LUSTRE;
	case MAGIC_BEEGFS:
		return PFS_BEEGFS;
	default:
		return PFS_PLAIN;
	}
}
