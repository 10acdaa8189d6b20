/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disk quotas as the kernel tells them, to whom it does: everybody of himself and his groups, root
 * of all and of projects. quotactl_fd(2) of Linux 5.14 takes any descriptor; before that it is the
 * block device that is asked. File systems with quotas of their own, as Lustre and NFS, say nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* on every machine: it is newer than they are */
#endif

static int ask(int dirfd, int type, uint32_t id, struct dqblk *q)
{
	/* As int the macro's shift has no room. */
	const int get = (int)QCMD((unsigned)Q_GETQUOTA, type);
	char device[64];
	struct stat st;

	if (syscall(SYS_quotactl_fd, dirfd, get, id, q) == 0)
		return 0;
	if (errno != ENOSYS || fstat(dirfd, &st) < 0 || major(st.st_dev) == 0)
		return -errno;
	snprintf(device, sizeof(device), "/dev/block/%u:%u", major(st.st_dev),
		minor(st.st_dev));
	return quotactl(get, device, (int)id, (caddr_t)q) < 0 ? -errno : 0;
}

int fsio_quota_of(
	int dirfd, enum fsio_quota_type type, uint32_t id, struct fsio_quota *out)
{
	struct dqblk q = {0};
	int r = ask(dirfd, (int)type, id, &q);

	if (r < 0)
		return r == -ESRCH || r == -ENOENT ? 1 : r;
	*out = (struct fsio_quota){
		.bytes = {.used = q.dqb_curspace,
			.soft = q.dqb_bsoftlimit * 1024,
			.hard = q.dqb_bhardlimit * 1024,
			.until = (int64_t)q.dqb_btime},
		.inodes = {.used = q.dqb_curinodes,
			.soft = q.dqb_isoftlimit,
			.hard = q.dqb_ihardlimit,
			.until = (int64_t)q.dqb_itime},
	};
	return 0;
}

uint32_t fsio_project_of(int dirfd)
{
	SCOPED_FD int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fsxattr x = {0};

	if (fd < 0 || ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0 ||
		!(x.fsx_xflags & FS_XFLAG_PROJINHERIT))
		return 0;
	return x.fsx_projid;
}
