/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets by liblustreapi, for clients that show no figures as files: loaded if it is there,
 * never linked. llapi_obd_statfs counts indices up until -ENODEV; -EAGAIN is a hole and
 * -ENODATA a target that is switched off. It copies struct obd_statfs (lustre_idl.h) out,
 * host-endian, of which only the offsets below are used.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "pfs/pfs_internal.h"

#define TYPE_OST     2u
#define TYPE_NODELAY 4u	 /* does not wait for a target that is gone */
#define UUID_LEN     40	 /* struct obd_uuid */
#define SPARE	     512 /* bytes, against a library whose structs have grown */
#define INDEX_END    0xffffu

typedef int llapi_obd_statfs_fn(
	char *path, uint32_t type, uint32_t index, void *stat, void *uuid);

int pfs_lustre_obd_statfs(const void *data, size_t len, struct pfs_target *t)
{
	const unsigned char *p = data;
	uint64_t blocks, avail, total_bytes, avail_bytes;
	uint32_t block;

	if (len != PFS_OBD_STATFS_LEN)
		return -EBADMSG;
	blocks = pfs_get64(p + 8);
	avail = pfs_get64(p + 24);
	block = pfs_get32(p + 88);
	if (block == 0 || avail > blocks)
		return -EBADMSG;
	if (__builtin_mul_overflow(blocks, (uint64_t)block, &total_bytes) ||
		__builtin_mul_overflow(avail, (uint64_t)block, &avail_bytes))
		return -EBADMSG;
	t->total = total_bytes;
	t->avail = avail_bytes;
	t->state = pfs_get32(p + 104) & (PFS_DEGRADED | PFS_READONLY | PFS_NOCREATE |
						PFS_NOSPACE | PFS_NOINODES);
	if (pfs_get64(p + 40) == 0)
		t->state |= PFS_NOINODES;
	return 0;
}

/* 1 added, 0 the list ends here. */
static int add_index(llapi_obd_statfs_fn *statfs_of, char *path, uint32_t index,
	struct pfs_list *l, struct ebt_err *err)
{
	unsigned char stat[PFS_OBD_STATFS_LEN + SPARE] = {0}, uuid[UUID_LEN + SPARE];
	struct pfs_target t = {.index = index, .state = PFS_UNKNOWN};
	int r = statfs_of(path, TYPE_OST | TYPE_NODELAY, index, stat, uuid);

	if (r == -EAGAIN)
		return 1;
	/* Not a target's answer but the file system's: it is not Lustre, or not ours. */
	if (r == -ENODEV || r == -ENOTTY || r == -EINVAL || r == -EACCES ||
		r == -EPERM || r == -ENOENT)
		return 0;
	if (r == -ENODATA)
		t.state |= PFS_INACTIVE;
	if (r == 0 && pfs_lustre_obd_statfs(stat, PFS_OBD_STATFS_LEN, &t) < 0)
		return ebt_fail(err, -EBADMSG, "%s: space of OST %u", path, index);
	return pfs_list_add(l, &t) < 0 ? ebt_fail(err, -ENOMEM, "%s", path) : 1;
}

static void close_library(void **lib)
{
	if (*lib)
		dlclose(*lib);
}

int pfs_lustre_llapi(const char *path, struct pfs_list *l, struct ebt_err *err)
{
	SCOPED_FREE char *copy = strdup(path); /* their prototype is not const */
	SCOPED(close_library) void *lib = dlopen("liblustreapi.so.1", RTLD_NOW);
	llapi_obd_statfs_fn *statfs_of;
	int r = 1;

	if (!lib)
		lib = dlopen("liblustreapi.so", RTLD_NOW);
	if (!lib)
		return 0;
	statfs_of = (llapi_obd_statfs_fn *)dlsym(lib, "llapi_obd_statfs");
	if (!copy)
		return ebt_fail(err, -ENOMEM, "%s", path);
	for (uint32_t i = 0; statfs_of && r > 0 && i < INDEX_END; i++)
		r = add_index(statfs_of, copy, i, l, err);
	return r < 0 ? r : 0;
}
