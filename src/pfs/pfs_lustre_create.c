/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * New files on chosen OSTs. Opening with O_LOV_DELAY_CREATE makes a file without objects;
 * the attribute lustre.lov then says where they go. The metadata server takes a list of OSTs
 * as it is or refuses (lustre/lod/lod_qos.c): EINVAL for an unknown one, EREMOTEIO for an
 * inactive one, ENOSPC for a full one. A file whose layout was refused must not be written
 * and goes away again.
 *
 * A site may restrict layouts to a group, and the client reports EEXIST as success, older
 * ones every failure (lustre/llite/xattr.c). So success means little before the layout was
 * read back, which costs nothing: the client has it. A file that still has none cannot be
 * written by this descriptor; opened once more, for writing, it gets the default.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "pfs/lov.h"
#include "pfs/pfs_internal.h"

#define LOV_XATTR	   "lustre.lov"
#define O_LOV_DELAY_CREATE (O_NOCTTY | FASYNC)
#define STRIPE_ALIGN	   65536u
#define OST_ANY		   0xffffu /* as first OST: the server's choice, or the list's */

static void put16(unsigned char *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* A bit for each index: OSTs have 16 of them. False for an index that none has. */
static bool look_at_osts(const struct pfs_stripes *w, bool *repeated)
{
	unsigned char seen[65536 / 8] = {0};

	*repeated = false;
	for (uint32_t i = 0; i < w->count; i++) {
		uint32_t ost = w->osts[i];

		if (ost >= OST_ANY)
			return false;
		*repeated = *repeated || seen[ost / 8] & 1u << ost % 8;
		seen[ost / 8] |= (unsigned char)(1u << ost % 8);
	}
	return true;
}

ssize_t pfs_lustre_encode(const struct pfs_stripes *wish, void *lov, size_t cap)
{
	unsigned char *p = lov;
	size_t head = wish->osts ? HEAD_V3_LEN : HEAD_LEN;
	size_t len = head + (wish->osts ? (size_t)wish->count * ENTRY_LEN : 0);
	bool repeated = false;

	if (wish->count == 0 || wish->count > PFS_STRIPES_MAX)
		return -EINVAL;
	if (wish->size % STRIPE_ALIGN)
		return -EINVAL;
	if (wish->osts && !look_at_osts(wish, &repeated))
		return -EINVAL;
	if (len > cap)
		return -ERANGE;
	memset(p, 0, len);
	put32(p, wish->osts ? MAGIC_SPECIFIC : MAGIC_V1);
	put32(p + 4, PATTERN_RAID0 | (repeated ? PATTERN_OVERSTRIPED : 0));
	put32(p + 24, wish->size);
	put16(p + 28, (uint16_t)wish->count);
	put16(p + 30, OST_ANY);
	for (uint32_t i = 0; wish->osts && i < wish->count; i++)
		put32(p + head + (size_t)i * ENTRY_LEN + 20, wish->osts[i]);
	return (ssize_t)len;
}

/* 0, -ENODATA where the file has no layout yet, or why it is not known. */
static int read_layout(int fd, struct pfs_layout **out)
{
	unsigned char lov[PFS_LOV_MAX];
	ssize_t len = fgetxattr(fd, LOV_XATTR, lov, sizeof(lov));

	return len < 0 ? -errno : pfs_lustre_parse(lov, (size_t)len, out);
}

static int layout(int fd, struct pfs_layout **out)
{
	return read_layout(fd, out) == 0;
}

/* Opens what *fd is open on once more, in its place. Its objects are made on the way. */
static int open_again(const struct pfs_new *n, int *fd)
{
	SCOPED_FD int again =
		openat(n->dirfd, n->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat before, now;

	if (again < 0 || fstat(*fd, &before) < 0 || fstat(again, &now) < 0)
		return -errno;
	if (before.st_dev != now.st_dev || before.st_ino != now.st_ino)
		return -ESTALE;
	close(*fd);
	*fd = TAKE_FD(again);
	return 0;
}

static int create(const struct pfs_new *n, struct pfs_layout **got, bool *kept,
	struct ebt_err *err)
{
	unsigned char lov[PFS_LUSTRE_ENCODE_MAX];
	ssize_t len = n->wish ? pfs_lustre_encode(n->wish, lov, sizeof(lov)) : 0;
	SCOPED_FD int fd = -1;
	int r;

	if (len < 0)
		return pfs_fail_new(n, (int)len, err);
	fd = pfs_open_new(n, n->wish ? O_LOV_DELAY_CREATE : 0);
	if (fd < 0)
		return pfs_fail_new(n, fd, err);
	if (!n->wish)
		return TAKE_FD(fd);
	if (fsetxattr(fd, LOV_XATTR, lov, (size_t)len, 0) < 0)
		return pfs_fail_new(n, pfs_undo(n, -errno), err);
	r = read_layout(fd, got);
	*kept = r == 0 && pfs_layout_keeps(*got, n->wish);
	if (r == -ENODATA) {
		r = open_again(n, &fd);
		if (r < 0)
			return pfs_fail_new(n, r == -ESTALE ? r : pfs_undo(n, r), err);
		read_layout(fd, got);
	}
	return TAKE_FD(fd);
}

const struct pfs_calls pfs_lustre = {
	.name = "lustre",
	.magic = 0x0bd00bd0u,
	.create = create,
	.layout = layout,
	.targets = pfs_lustre_targets,
};
