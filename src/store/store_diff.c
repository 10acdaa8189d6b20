/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One entry against what lies on disk: what comparing before a run and verifying
 * afterwards have in common.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "store/store_internal.h"

static const char *const words[] = {"missing", "kind", "size", "content", "link target",
	"mode", "owner", "mtime", "extended attributes", "hard links",
	"cannot be read"};

const char *store_diff_text(int bits, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (bits >> i & 1 && len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%s",
				len ? ", " : "", words[i]);
	return out;
}

static bool same_kind(const struct manifest_entry *e, mode_t mode)
{
	return e->kind == MANIFEST_DIR	  ? S_ISDIR(mode)
	       : e->kind == MANIFEST_FILE ? S_ISREG(mode)
					  : S_ISLNK(mode);
}

static int target_differs(
	int dirfd, const struct manifest_entry *e, struct buf *scratch)
{
	size_t len = strlen(e->target);
	char *got;
	ssize_t n;

	scratch->len = 0;
	got = buf_extend(scratch, len + 1); /* one more shows that it is longer */
	if (!got)
		return -ENOMEM;
	n = readlinkat(dirfd, e->name, got, len + 1);
	if (n < 0)
		return -errno;
	return (size_t)n != len || memcmp(got, e->target, len) != 0;
}

static int xattrs_differ(int dirfd, const struct manifest_entry *e, struct buf *scratch)
{
	char path[64 + NAME_MAX];
	int r;

	/* There is no getxattrat(2) to rely on; /proc gives the same with one call. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, e->name);
	scratch->len = 0;
	r = fsio_xattrs_get_at(path, scratch);
	if (r < 0)
		return r;
	return scratch->len != e->xattrs_len ||
	       (scratch->len && memcmp(scratch->data, e->xattrs, scratch->len) != 0);
}

int store_diff(int dirfd, const struct manifest *m, const struct manifest_entry *e,
	const struct stat *st, struct buf *scratch)
{
	int bits = 0, r;

	if (!same_kind(e, st->st_mode))
		return STORE_DIFF_KIND;
	if (!e->no_owner && geteuid() == 0 &&
		(st->st_uid != e->uid || st->st_gid != e->gid))
		bits |= STORE_DIFF_OWNER;
	/* Whatever it looks like, somebody else's file is not the one that we brought. */
	if (e->kind != MANIFEST_DIR && geteuid() != 0 && store_stranger(st->st_uid))
		bits |= STORE_DIFF_OWNER;
	if (e->kind != MANIFEST_DIR && !manifest_same_time(m, e, st->st_mtim.tv_sec,
					       (uint32_t)st->st_mtim.tv_nsec))
		bits |= STORE_DIFF_MTIME;
	if (e->kind == MANIFEST_SYMLINK) {
		r = target_differs(dirfd, e, scratch);
		return r < 0 ? r : bits | (r ? STORE_DIFF_TARGET : 0);
	}
	if (e->kind == MANIFEST_FILE && (uint64_t)st->st_size != e->size)
		bits |= STORE_DIFF_SIZE;
	if ((st->st_mode & 07777) != attr_mode(e, st->st_uid, st->st_gid))
		bits |= STORE_DIFF_MODE;
	r = xattrs_differ(dirfd, e, scratch);
	return r < 0 ? r : bits | (r ? STORE_DIFF_XATTRS : 0);
}

int store_idents_new(const struct manifest *m, struct store_ident **idents)
{
	uint32_t i = 0;

	*idents = NULL;
	while (i < m->count && m->entries[i].group == MANIFEST_NONE)
		manifest_passed(m, i++);
	if (i == m->count)
		return 0;
	*idents = calloc(m->count, sizeof(**idents));
	return *idents ? 0 : -ENOMEM;
}

bool store_ident_differs(
	const struct manifest *m, const struct store_ident *idents, uint32_t i)
{
	uint32_t g = m->entries[i].group;

	if (g == MANIFEST_NONE || g == i || !idents[i].ino || !idents[g].ino)
		return false;
	return idents[i].dev != idents[g].dev || idents[i].ino != idents[g].ino;
}
