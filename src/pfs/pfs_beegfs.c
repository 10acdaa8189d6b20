/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BeeGFS by the ioctls of its client (ThinkParQ/beegfs, client_module/include/uapi/
 * beegfs_client.h and source/filesystem/FhgfsOpsIoctl.c; stripes are dealt as RAID 0 does
 * it). Their type 'f' is used by others too, with other meanings: none is sent before
 * fstatfs has named the file system, whatever EBT_PFS says.
 *
 * A new file can be told on how many targets it shall be, never on which; so where targets
 * were wished for, the wish is kept by luck only, and the layout read back is what counts.
 * The space of targets is known to BeeGFS's management service, not to its client's
 * callers. Not run against a real BeeGFS so far: the arguments are checked by tests against
 * the published header, no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "pfs/pfs_internal.h"

#define MAGIC	      0x19830326u
#define PATTERN_RAID0 1u
#define PATTERN_BUDDY 3u /* a target is the first of a mirrored pair */
#define NODE_NAME_LEN 256

struct stripe_info { /* BeegfsIoctl_GetStripeInfo_Arg */
	uint32_t pattern;
	uint32_t chunk; /* bytes */
	uint16_t count;
};

struct stripe_target {	/* BeegfsIoctl_GetStripeTargetV2_Arg */
	uint32_t index; /* asked for */
	uint32_t target_or_group;
	uint32_t primary, secondary; /* of a mirrored pair, else 0 */
	uint32_t primary_node, secondary_node;
	char primary_name[NODE_NAME_LEN], secondary_name[NODE_NAME_LEN];
};

struct stripe_hints { /* BeegfsIoctl_MkFileWithStripeHints_Arg */
	const char *name;
	uint32_t mode;
	uint32_t count; /* 0: as the directory has it */
	uint32_t
		chunk; /* bytes, a power of two from 64 KiB; 0: as the directory has it */
};

_Static_assert(sizeof(struct stripe_info) == 12, "its size is in the ioctl's number");
_Static_assert(
	sizeof(struct stripe_target) == 536, "its size is in the ioctl's number");
_Static_assert(
	sizeof(struct stripe_hints) == sizeof(char *) + (sizeof(char *) == 8 ? 16 : 12),
	"its size is in the ioctl's number");

#define GET_STRIPE_INFO	  _IOR('f', 25, struct stripe_info)
#define GET_STRIPE_TARGET _IOR('f', 26, struct stripe_target)
#define MAKE_WITH_HINTS	  _IOW('f', 27, struct stripe_hints)

int pfs_beegfs_layout(uint32_t pattern, uint32_t chunk, const uint32_t *targets,
	uint32_t count, struct pfs_layout **out)
{
	struct pfs_layout *l;

	if (pattern != PATTERN_RAID0 && pattern != PATTERN_BUDDY)
		return -EBADMSG;
	if (chunk == 0 || count == 0 || count > UINT16_MAX)
		return -EBADMSG;
	l = calloc(1, sizeof(*l) + sizeof(l->parts[0]) + count * sizeof(l->osts[0]));
	if (!l)
		return -ENOMEM;
	l->osts = (uint32_t *)(l->parts + 1);
	l->n_osts = count;
	l->n_parts = 1;
	l->parts[0] = (struct pfs_part){
		.end = UINT64_MAX, .stripe_size = chunk, .stripe_count = count};
	memcpy(l->osts, targets, count * sizeof(*targets));
	*out = l;
	return 0;
}

static bool is_beegfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (uint32_t)fs.f_type == MAGIC;
}

static int layout(int fd, struct pfs_layout **out)
{
	SCOPED_FREE uint32_t *targets = NULL;
	struct stripe_info info = {0};

	if (!is_beegfs(fd) || ioctl(fd, GET_STRIPE_INFO, &info) < 0)
		return 0;
	targets = calloc((size_t)info.count + 1, sizeof(*targets));
	if (!targets)
		return 0;
	for (uint32_t i = 0; i < info.count; i++) {
		struct stripe_target t = {.index = i};

		if (ioctl(fd, GET_STRIPE_TARGET, &t) < 0)
			return 0;
		targets[i] =
			info.pattern == PATTERN_BUDDY ? t.primary : t.target_or_group;
	}
	return pfs_beegfs_layout(info.pattern, info.chunk, targets, info.count, out) ==
	       0;
}

/* Opens what was made. 1: somebody has put another file in its place, which stays. */
static int open_made(const struct pfs_new *n, int *out)
{
	SCOPED_FD int fd =
		openat(n->dirfd, n->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_size != 0)
		return 1;
	*out = TAKE_FD(fd);
	return 0;
}

static int make_with_hints(const struct pfs_new *n)
{
	struct stripe_hints hints = {
		.name = n->name,
		/* It is opened in a second step, to read and write. */
		.mode = (n->mode & 0777) | 0600,
		.count = n->wish->count,
		.chunk = n->wish->size,
	};
	/* The ioctl goes to the directory; AT_FDCWD and O_PATH descriptors take none. */
	SCOPED_FD int dir = openat(n->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1, r;

	if (dir < 0)
		return -errno;
	if (!is_beegfs(dir))
		return -ENOTTY;
	if (strchr(n->name, '/'))
		return -EINVAL;
	if (ioctl(dir, MAKE_WITH_HINTS, &hints) < 0)
		return -errno;
	r = open_made(n, &fd);
	if (r)
		return r > 0 ? -EEXIST : pfs_undo(n, r);
	return fd;
}

static int create(const struct pfs_new *n, struct pfs_layout **got, bool *kept,
	struct ebt_err *err)
{
	SCOPED_FD int fd = n->wish ? make_with_hints(n) : pfs_open_new(n, 0);

	if (fd < 0)
		return pfs_fail_new(n, fd, err);
	if (n->wish)
		*kept = layout(fd, got) && pfs_layout_keeps(*got, n->wish);
	return TAKE_FD(fd);
}

static int no_targets(const char *path, struct pfs_targets **out, struct ebt_err *err)
{
	return 0;
}

const struct pfs_calls pfs_beegfs = {
	.name = "beegfs",
	.magic = MAGIC,
	.create = create,
	.layout = layout,
	.targets = no_targets,
};
