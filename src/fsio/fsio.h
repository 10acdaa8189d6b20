/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POSIX files done right: transfers that finish or fail, holes, attributes, small files
 * replaced atomically, trees removed without following links. Thread-safe: no state.
 */
#ifndef FSIO_FSIO_H
#define FSIO_FSIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

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
 * Append a small file whole, up to @max bytes (-EFBIG above). Does not follow a link at
 * @name.
 */
int fsio_load(int dirfd, const char *name, size_t max, struct buf *out, struct ebt_err *err);
/*
 * Make @name hold exactly these bytes, mode 0600: a new file with an unguessable name
 * beside it, written, synced, renamed over it, directory synced. Old or new content,
 * never neither.
 */
int fsio_save(int dirfd, const char *name, const void *data, size_t len,
	struct ebt_err *err);

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

/* Random name of 32 hex digits and a NUL. */
int fsio_random_id(char id[33], struct ebt_err *err);

/*
 * mkdir -p: every missing directory gets @mode less umask; ones that exist are left as
 * they are. Links on the way are followed. -EPERM where another user could replace what is
 * made. Open descriptor of the last one (O_RDONLY | O_DIRECTORY), or a negative errno.
 */
int fsio_mkdirs(const char *path, mode_t mode, struct ebt_err *err);
/*
 * Remove @name below @dirfd with all it holds; links are removed, not followed;
 * directories without permission bits are given them first. 0 also if there is nothing.
 */
int fsio_remove_tree(int dirfd, const char *name, struct ebt_err *err);

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
/*
 * Set what @packed holds and, with @exact, remove others that travel. @fd is open for
 * reading or writing. Symlinks have no attributes that travel. -EBADMSG for damaged
 * @packed, nothing done; -ENOTSUP: the file system refused some of them, the others are
 * set.
 */
int fsio_xattrs_set(int fd, const void *packed, size_t len, bool exact);
/*
 * Appends to @out those of @packed that the file system of @path can hold at all: what
 * to expect there. An older tmpfs has no user attributes.
 */
int fsio_xattrs_supported(const char *path, const void *packed, size_t len, struct buf *out);

/*
 * Open what is at @path below @dirfd, several components perhaps, "" for @dirfd itself;
 * @flags as of open(2), without O_CREAT. No symlink on the way or at the end is followed
 * and nothing leads out of @dirfd: -ELOOP, -ENOTDIR or -EXDEV. Descriptor or a negative errno.
 */
int fsio_open_beneath(int dirfd, const char *path, int flags);

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
/* True if files on @fd's file system live in memory (tmpfs, ramfs). */
bool fsio_in_memory(int fd);

#endif
