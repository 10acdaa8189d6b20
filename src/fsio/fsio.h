/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POSIX files done right: transfers that finish or fail, holes, attributes, small files
 * replaced atomically, trees removed without following links. Thread-safe: no state.
 */
#ifndef FSIO_FSIO_H
#define FSIO_FSIO_H

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "ebt/err.h"

/*
 * Read @len bytes at @off, retrying short reads and EINTR. Bytes read (less than @len
 * only at end of file), or a negative errno.
 */
ssize_t fsio_read(int fd, void *data, size_t len, uint64_t off);
/* Write all of it at @off. 0 or a negative errno; never a short write. */
int fsio_write(int fd, const void *data, size_t len, uint64_t off);
/*
 * The next extent of data in [off, end): 0 and *start < *stop, or 1: only hole is left.
 */
int fsio_next_data(int fd, uint64_t off, uint64_t end, uint64_t *start, uint64_t *stop);

/*
 * Opens a regular file that is to be read to its end. Does not follow a link at @name, nor wait for
 * what is no file. The descriptor, or a negative errno.
 */
int fsio_open_whole(int dirfd, const char *name, struct stat *st, struct ebt_err *err);
/*
 * Append a small file whole, up to @max bytes (-EFBIG above). Does not follow a link at
 * @name.
 */
int fsio_load(
	int dirfd, const char *name, size_t max, struct buf *out, struct ebt_err *err);
/*
 * Make @name hold exactly these bytes, mode 0600: a new file with an unguessable name
 * beside it, written, synced, renamed over it, directory synced. Old or new content,
 * never neither.
 */
int fsio_save(
	int dirfd, const char *name, const void *data, size_t len, struct ebt_err *err);

/*
 * The same in pieces: the caller writes to sv->fd from its start, then either closes, which
 * gives the file its name, or drops it. After fsio_save_close there is nothing left to drop.
 */
#define FSIO_SAVE_TEMP 38 /* ".ID.new" with its NUL: the name while it is written */
struct fsio_saving {
	int dir, fd;
	char temp[FSIO_SAVE_TEMP], *name;
};
int fsio_save_open(
	int dirfd, const char *name, struct fsio_saving *sv, struct ebt_err *err);
int fsio_save_close(struct fsio_saving *sv, struct ebt_err *err);
void fsio_save_drop(struct fsio_saving *sv);

/*
 * Remove the new files that calls of fsio_save left in directory @dirfd when their
 * process died. Not while others save there. 0 or a negative errno.
 */
int fsio_save_clean(int dirfd);

/*
 * Rename, or -EEXIST where something has the name. Where the file system has no
 * RENAME_NOREPLACE, as Lustre and NFS, what appears in the moment between a look and the
 * rename is replaced, if it is of the same kind.
 */
int fsio_rename_new(int fromdir, const char *from, int todir, const char *to);
/*
 * The same in one directory for what is no directory itself, and nothing is ever replaced: without
 * RENAME_NOREPLACE it is linked and unlinked. Who dies in between leaves both names, and an error
 * other than -EEXIST may. Only where there are no hard links either it is as above.
 */
int fsio_name_new(int dirfd, const char *from, const char *to);

/* Random name of 32 hex digits and a NUL. */
int fsio_random_id(char id[33], struct ebt_err *err);

/* @path leads nowhere, whatever it says: it is relative, and the working directory was removed. */
bool fsio_cwd_gone(const char *path);
#define FSIO_CWD_GONE "relative to a working directory that is gone"
/*
 * Remove @name below @dirfd with all it holds; links are removed, not followed;
 * directories without permission bits are given them first. 0 also if there is nothing.
 */
int fsio_remove_tree(int dirfd, const char *name, struct ebt_err *err);
/* The same, but 1 and the rest stays as soon as @enough, asked before each name, says so. */
int fsio_remove_tree_until(int dirfd, const char *name, bool (*enough)(void *arg),
	void *arg, struct ebt_err *err);

/*
 * Extended attributes that travel (user.*, POSIX ACLs; as root security.capability and
 * trusted.* too; never those by which a file system speaks of itself, as lustre.* and
 * trusted.lov), sorted by name, packed: u16 name length, u32 value length, name, value,
 * all little-endian. Appends to @out; nothing if there are none or the file system has
 * none. @path absolute or relative to the working directory; the link itself, not its
 * target. @fd may be O_PATH. Nothing is appended on failure.
 */
int fsio_xattrs_get_at(const char *path, struct buf *out);
int fsio_xattrs_get_fd(int fd, struct buf *out);
/* What else there is on a file that gets attributes, of those that travel. */
enum fsio_others {
	FSIO_OTHERS_KEEP = 0,
	FSIO_OTHERS_REMOVE,
	FSIO_OTHERS_KEEP_ACLS, /* a directory hands its own down to what is made in it */
};
/*
 * Set what @packed holds. @fd is open for reading or writing. Symlinks have no attributes that
 * travel. -EBADMSG for damaged @packed, nothing done; -ENOTSUP: the file system refused some of
 * them, the others are set.
 */
int fsio_xattrs_set(int fd, const void *packed, size_t len, enum fsio_others others);
/*
 * The same, but whatever is not taken is no failure: @refused hears of each, with its name and a
 * negative errno, and the others are set.
 */
int fsio_xattrs_bring(int fd, const void *packed, size_t len, enum fsio_others others,
	void (*refused)(void *arg, const char *name, int code), void *arg);
/* The next attribute of @packed: 1 and *x, 0 at its end, -EBADMSG where it is damaged. */
#define FSIO_XATTR_NAME 256 /* bytes with the NUL, as XATTR_NAME_MAX has it */
struct fsio_xattr {
	char name[FSIO_XATTR_NAME];
	const void *value; /* within the packed bytes */
	size_t len;
};
int fsio_xattrs_next(struct reader *packed, struct fsio_xattr *x);
/* Is an attribute of this name one of those that fsio_xattrs_get_fd takes? */
bool fsio_xattr_wanted(const char *name);

/* What a file system makes of the times that it is given. */
struct fsio_times {
	int64_t min, max; /* seconds: what is before or after becomes that */
	/* Nanoseconds: cut down to a multiple. 0: no rule was found, none is kept. */
	uint64_t unit;
};
#define FSIO_TIMES_EXACT                                                               \
	((struct fsio_times){.min = INT64_MIN, .max = INT64_MAX, .unit = 1})
/* What a file shows whose time was set to @t. Without a rule @t: nothing is taken for kept. */
struct timespec fsio_time_held(const struct fsio_times *h, struct timespec t);
/*
 * Found out by setting times of @fd, a file of ours that nobody needs. @out has unit 0 if it
 * does not keep to any rule.
 */
void fsio_times_find(int fd, struct fsio_times *out);
/* Where that cannot be tried: is there a shared file system that makes @shown of @given? */
bool fsio_time_could_be(struct timespec given, struct timespec shown);

/*
 * Open what is at @path below @dirfd, several components perhaps, "" for @dirfd itself;
 * @flags as of open(2), without O_CREAT. No symlink on the way or at the end is followed
 * and nothing leads out of @dirfd: -ELOOP, -ENOTDIR or -EXDEV. Descriptor or a negative errno.
 * @path may be of any length: one of PATH_MAX bytes or more takes several calls, and ".." in it
 * is -EXDEV where it would lead out of what one of them opens.
 */
int fsio_open_beneath(int dirfd, const char *path, int flags);

/* How long a source's first open is tried. All may be left zero. */
struct fsio_patience {
	bool (*stopped)(void *arg); /* any thread: no more waiting */
	void *arg;
	uint64_t *count; /* atomic: opens that were tried again */
};
/* The tries of one open. Start from zeros. */
struct fsio_again {
	unsigned tries, waited_ms;
};
/*
 * An open came to @code. True: it may work now, after a short wait. ESTALE and EINTR, which
 * network file systems answer in passing, are tried a few times; EAGAIN, which with O_NONBLOCK
 * means that somebody holds a lease of the file, for a minute. Anything else is final.
 *
 *	while (fsio_again(&again, p, fd = open_it()))
 *		;
 */
bool fsio_again(struct fsio_again *a, const struct fsio_patience *p, int code);

/*
 * stat(2) as the server answers it, and not as this client remembers it. @name in @dirfd, ""
 * for @dirfd itself; no link is followed. 0 or a negative errno.
 */
int fsio_stat_now(int dirfd, const char *name, struct stat *out);
/* The tries of one name that another machine made. Start from zeros. */
struct fsio_lag {
	unsigned tries, waited_ms;
};
#define FSIO_LAG_MS 60000 /* of waiting for it in all */
/*
 * An open of @path came to @code, though another machine made it. True: it may work now, after
 * a wait where that seems to help; false: it worked, or the server has no such name, or nothing
 * helped. @path lies below @dirfd as for fsio_open_beneath, or is absolute with AT_FDCWD. Not
 * for a look that must not write: the server is asked by an attempt to make the name.
 *
 *	while (fsio_lags(&lag, dirfd, path, p, fd = open_it()))
 *		;
 */
bool fsio_lags(struct fsio_lag *l, int dirfd, const char *path,
	const struct fsio_patience *p, int code);

/*
 * A directory listing, from its start: calls @fn for each name but "." and ".."; stops
 * at and returns its first non-zero. Uses @fd's position: one listing of a descriptor
 * at a time.
 */
int fsio_list(int fd, int (*fn)(void *arg, const char *name, unsigned char d_type),
	void *arg);

/*
 * Free memory that this process may use for tmpfs: MemAvailable and cgroup limits,
 * bytes.
 */
int fsio_free_memory(uint64_t *bytes);
/*
 * @len bytes of zeros that lie in a nameless file on the file system of directory @dirfd, with
 * all their room taken. NULL where that cannot be had, for whatever reason: that nearly all room
 * is used is one.
 */
void *fsio_room_new(int dirfd, size_t len);
void fsio_room_free(void *p, size_t len);
/* What of it is in the memory of this process need not stay there. Any thread, at any time. */
void fsio_room_let_go(void *p, size_t len);
/* True if files on @fd's file system live in memory (tmpfs, ramfs). */
bool fsio_in_memory(int fd);
/* More about a name than stat(2) says. */
struct fsio_place {
	uint64_t mount; /* identity of the mount it is on */
	bool fixed;	/* immutable, or only to be appended to */
};
/* Of @name in @dirfd, "" for @dirfd itself; no link is followed. 0 or a negative errno. */
int fsio_place_of(int dirfd, const char *name, struct fsio_place *out);
/* The mount of @fd the way that older kernels tell it. */
int fsio_mount_of_fd(int fd, uint64_t *mount);
/* Why what is on @mount cannot take the place, or be put there: -EXDEV, -EPERM, or 0. */
int fsio_place_refuses(const struct fsio_place *p, uint64_t mount);

/*
 * True if @fd's file system is one that a single kernel has for itself, in memory or on a block
 * device: the same path on another machine is another directory.
 */
bool fsio_is_local(int fd);
/* Which boot of which machine this is: 36 characters and a NUL. */
int fsio_boot_id(char boot[40]);

/* By the numbers of quotactl(2). */
enum fsio_quota_type { FSIO_QUOTA_USER, FSIO_QUOTA_GROUP, FSIO_QUOTA_PROJECT };
struct fsio_limit {
	uint64_t used, soft, hard; /* of limits 0: there is none */
	int64_t until; /* seconds of the clock: above soft only so long; 0: it is not */
};
struct fsio_quota {
	struct fsio_limit bytes, inodes;
};
/*
 * Of @id, where @dirfd is, which may be O_PATH. 0; 1: that has no such quotas; or a negative errno:
 * nobody tells, or not us.
 */
int fsio_quota_of(
	int dirfd, enum fsio_quota_type type, uint32_t id, struct fsio_quota *out);
/* The project of what is made in @dirfd, which may be O_PATH. 0: none, as far as it can be told. */
uint32_t fsio_project_of(int dirfd);

/* @pw and @gr with strings in *buf, which is the caller's to free, NULL at first; NULL: not known. */
struct passwd *fsio_user(uid_t uid, struct passwd *pw, char **buf);
struct group *fsio_group(gid_t gid, struct group *gr, char **buf);

#endif
