/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "pfs/pfs_internal.h"

enum pfs_kind pfs_probe(const char *path)
{
	const char *forced = getenv("EBT_PFS");
	struct statfs fs;

	for (int k = PFS_PLAIN; forced && k <= PFS_BEEGFS; k++)
		if (strcmp(forced, pfs_name((enum pfs_kind)k)) == 0)
			return (enum pfs_kind)k;
	if (statfs(path, &fs) < 0)
		return PFS_PLAIN;
	for (int k = PFS_LUSTRE; k <= PFS_BEEGFS; k++)
		if ((uint32_t)fs.f_type == pfs_calls_of((enum pfs_kind)k)->magic)
			return (enum pfs_kind)k;
	return PFS_PLAIN;
}
