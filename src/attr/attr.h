/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owner, mode, times, extended attributes and ACLs of manifest entries onto what was made: in a
 * store as the entry has them, on a parallel file system as far as that takes them.
 */
#ifndef ATTR_ATTR_H
#define ATTR_ATTR_H

#include <stdbool.h>
#include <stdint.h>

#include "ebt/err.h"
#include "manifest/manifest.h"

/* What the kernel gave a file when it was created. */
struct attr_made {
	uint32_t uid, gid;
	uint32_t mode; /* permission bits */
};
/*
 * For files created below *treefd: open them with this mode, and the rest holds too.
 * The tree is private, so the mode is the most common one: the fewest calls to change
 * it later.
 */
struct attr_made attr_made_file(void);

/*
 * The attributes of entry @e onto open @fd: owner (as root; else the group where it is
 * ours to give; with no_owner neither), xattrs, mode, times. Set-id bits only together with
 * the owner or group they belong to. @made: the file is new, looks like that and has no
 * xattrs; only what differs is changed. NULL: found out, and xattrs that @e does not have
 * are removed. -ENOTSUP: all is set but xattrs that the file system does not take; ask
 * store_can_hold before it is too late. The text says what failed, not of which file.
 */
int attr_set(int fd, const struct manifest_entry *e, const struct attr_made *made,
	struct ebt_err *err);
/* The same for a symlink @e->name in @dirfd: owner and times. */
int attr_set_link(int dirfd, const struct manifest_entry *e, struct ebt_err *err);

/* What a file system can refuse to hold. */
enum attr_lost {
	ATTR_LOST_OWNER,
	ATTR_LOST_MODE,
	ATTR_LOST_TIMES,
	ATTR_LOST_USER,	       /* user.* */
	ATTR_LOST_TRUSTED,     /* trusted.* */
	ATTR_LOST_SECURITY,    /* security.* */
	ATTR_LOST_ACL,	       /* POSIX ACLs */
	ATTR_LOST_DEFAULT_ACL, /* those of directories for what is made in them */
	ATTR_LOST_KINDS,
};
/* What one entry is without: the first negative errno of each kind, 0 for none. */
struct attr_loss {
	int code[ATTR_LOST_KINDS];
};
/*
 * As attr_set and attr_set_link, but as far as the file system takes
 * them: what it refuses goes into @loss (start from zeros), and the rest is set. NULL: it is a
 * failure, as there.
 *
 * @made NULL: a directory that was made in one which may have rules of its own. What that
 * handed down stays: ACLs of a kind that @e has none of, with the group bits of @e's mode as
 * their mask, and the set-group-ID bit as long as the group is the one that came with it.
 */
int attr_bring(int fd, const struct manifest_entry *e, const struct attr_made *made,
	struct attr_loss *loss, struct ebt_err *err);
int attr_bring_link(int dirfd, const struct manifest_entry *e, struct attr_loss *loss,
	struct ebt_err *err);

/*
 * Permission bits of @e for a file that belongs to these: no set-id bits for anybody
 * else.
 */
uint32_t attr_mode(const struct manifest_entry *e, uint32_t uid, uint32_t gid);
/*
 * As attr_set on a directory that may have existed; with @keep its extended
 * attributes are left alone.
 */
int attr_set_directory(
	int fd, const struct manifest_entry *e, bool keep, struct ebt_err *err);

#endif
