/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table of calls for each kind of file system. What is the same for all of them is done
 * here: names, the mode of a new file.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/text.h"
#include "pfs/pfs_internal.h"

const struct pfs_calls *pfs_calls_of(enum pfs_kind kind)
{
	switch (kind) {
	case PFS_LUSTRE:
		return &pfs_lustre;
	case PFS_BEEGFS:
		return &pfs_beegfs;
	default:
		return &pfs_plain;
	}
}

const char *pfs_name(enum pfs_kind kind)
{
	return pfs_calls_of(kind)->name;
}

int pfs_layout_at(enum pfs_kind kind, const char *path, struct pfs_layout **out)
{
	unsigned char lov[PFS_LOV_MAX];
	ssize_t len;

	if (kind != PFS_LUSTRE)
		return 0;
	len = lgetxattr(path, "lustre.lov", lov, sizeof(lov));
	return len >= 0 && pfs_lustre_parse(lov, (size_t)len, out) == 0;
}

int pfs_layout_of(enum pfs_kind kind, int fd, struct pfs_layout **out)
{
	return pfs_calls_of(kind)->layout(fd, out);
}

/*
 * The bits a file came out with depend on the umask, on a default ACL and, on some systems,
 * on what wraps open(2). Looking is free on a client that has just created it; setting them
 * is one more metadata operation, so only where they differ.
 */
static int settle_mode(int fd, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) == (mode & 07777))
		return 0;
	return fchmod(fd, mode & 07777) < 0 ? -errno : 0;
}

int pfs_create(enum pfs_kind kind, int dirfd, const char *name, mode_t mode,
	const struct pfs_stripes *wish, struct pfs_layout **got, bool *kept,
	struct ebt_err *err)
{
	const struct pfs_calls *calls = pfs_calls_of(kind);
	struct pfs_new n = {dirfd, name, mode, wish && wish->count ? wish : NULL};
	SCOPED_LAYOUT struct pfs_layout *layout = NULL;
	bool as_wished = true;
	SCOPED_FD int fd = calls->create(&n, &layout, &as_wished, err);
	int r;

	if (fd < 0)
		return fd;
	r = settle_mode(fd, mode);
	if (r < 0)
		return pfs_fail_new(&n, pfs_undo(&n, r), err);
	if (got && !layout && !n.wish)
		calls->layout(fd, &layout);
	if (got)
		*got = TAKE(layout);
	if (kept)
		*kept = as_wished;
	return TAKE_FD(fd);
}

int pfs_targets(enum pfs_kind kind, const char *path, struct pfs_targets **out,
	struct ebt_err *err)
{
	return pfs_calls_of(kind)->targets(path, out, err);
}

void pfs_policy_at(enum pfs_kind kind, const char *path, struct pfs_policy *out)
{
	const struct pfs_calls *calls = pfs_calls_of(kind);

	memset(out, 0, sizeof(*out));
	if (calls->policy)
		calls->policy(path, out);
}

int pfs_pool(enum pfs_kind kind, const char *path, const char *pool,
	const struct pfs_targets *t, bool *in, struct ebt_err *err)
{
	const struct pfs_calls *calls = pfs_calls_of(kind);

	return calls->pool ? calls->pool(path, pool, t, in, err) : 0;
}
