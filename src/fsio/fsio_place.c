/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stat(2) does not say about a name: on which mount it is, and whether flags forbid to
 * change it. A bind mount has the device numbers of what lies around it, and yet nothing can be
 * renamed into it, nor onto it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"

/* Of linux/stat.h since 5.8, by number: headers may be older than the kernel. */
#define MOUNT_ID	0x1000U /* STATX_MNT_ID */
#define MOUNT_ID_OFFSET 0x90	/* of stx_mnt_id, 64 bits, in struct statx */

int fsio_mount_of_fd(int fd, uint64_t *mount)
{
	char name[48], text[4096];
	unsigned long long id;
	const char *line;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	SCOPED_FD int info = open(name, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -errno : fsio_read(info, text, sizeof(text) - 1, 0);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	line = strstr(text, "mnt_id:");
	if (!line || sscanf(line, "mnt_id: %llu", &id) != 1)
		return -ENOTSUP;
	*mount = id;
	return 0;
}

int fsio_place_of(int dirfd, const char *name, struct fsio_place *out)
{
	const uint64_t fixed = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
	SCOPED_FD int fd = -1;
	struct statx x = {0};
	int r;

	/* EPERM: what some containers say to calls that they do not know. */
	r = statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, MOUNT_ID, &x);
	if (r < 0 && errno != ENOSYS && errno != EPERM)
		return -errno;
	out->fixed = r == 0 && (x.stx_attributes & fixed);
	if (r == 0 && (x.stx_mask & MOUNT_ID)) {
		memcpy(&out->mount, (char *)&x + MOUNT_ID_OFFSET, sizeof(out->mount));
		return 0;
	}
	/* Before Linux 5.8. */
	fd = openat(dirfd, *name ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fsio_mount_of_fd(fd, &out->mount);
}

int fsio_place_refuses(const struct fsio_place *p, uint64_t mount)
{
	return p->mount != mount ? -EXDEV : p->fixed ? -EPERM : 0;
}
