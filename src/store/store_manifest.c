/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manifest of the store, and the one that a run will leave in its place. That is written
 * beside the sealed tree, before any record: once names appear there is nothing left to encode
 * and no room to find, only a file to rename.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define MANIFEST "manifest"
#define MERGED	 "merged"

/* A failure about the store's manifest, with @hint. Its name comes before what is wrong. */
static int fail(const struct store *s, int code, const char *what, const char *hint,
	struct ebt_err *err)
{
	char shown[512];

	return ebt_failx(err, code, "%s/" STORE_OWN "/" MANIFEST ": %s%s",
		text_name(s->path, shown, sizeof(shown)), what, hint);
}

int store_room(const struct store *s)
{
	return s->use == STORE_READ ? -1 : s->ebtfd;
}

uint64_t store_manifest_bytes(const struct store *s)
{
	struct stat st;

	return fstatat(s->ebtfd, MANIFEST, &st, AT_SYMLINK_NOFOLLOW) < 0
		       ? 0
		       : (uint64_t)st.st_size;
}

int store_manifest(struct store *s, struct manifest **m, struct ebt_err *err)
{
	struct ebt_err why = {0};
	int r;

	if (faccessat(s->ebtfd, MANIFEST, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return fail(s, -errno, strerror(errno), "", err);
		*m = NULL;
		return 0;
	}
	r = manifest_load_in(store_room(s), s->ebtfd, MANIFEST, m, &why);
	if (r == 0)
		return 0;
	return fail(s, r, why.text,
		r == -EBADMSG || r == -EPROTONOSUPPORT
			? "; it may be removed: what was staged here then counts as "
			  "output "
			  "of the job, and is staged anew"
			: "",
		err);
}

/* What directory @dir of @merged has, not what it was to get. */
struct kept {
	uint32_t dir, len;
};

/*
 * Directories of @m that exist keep their extended attributes, and as the manifest says what
 * is there, they go into @merged. They lie in *values.
 */
static int keep_xattrs(const struct store *s, const struct manifest *m,
	struct manifest *merged, struct buf *values, struct ebt_err *err)
{
	SCOPED_WALK struct store_walk w = {.m = m, .root = s->dirfd, .flags = O_PATH};
	SCOPED_BUF struct buf all = {0};
	const struct kept *k;
	size_t at = 0, len;
	int fd, r;

	for (uint32_t i = 0; i < m->count; i++) {
		SCOPED_FREE char *path = NULL;

		manifest_passed(m, i);
		if (m->entries[i].kind != MANIFEST_DIR)
			continue;
		fd = store_walk_to(&w, i);
		if (fd == -ENOENT || fd == -ENOTDIR)
			continue;
		len = values->len;
		r = fd < 0 ? fd : fsio_xattrs_get_fd(fd, values);
		if (r < 0)
			return store_fail(s, r, "attributes of", m, i, err);
		path = store_entry_path(m, i);
		if (!path)
			return ebt_fail(err, -ENOMEM, "manifest");
		buf_put(&all,
			&(struct kept){.dir = manifest_find(merged, path),
				.len = (uint32_t)(values->len - len)},
			sizeof(*k));
	}
	if (!buf_ok(values) || !buf_ok(&all))
		return ebt_fail(err, -ENOMEM, "manifest");
	/* Only now does the buffer stay where it is. */
	for (k = (void *)all.data; (unsigned char *)k < all.data + all.len; k++) {
		struct manifest_entry *e = &merged->entries[k->dir];

		e->xattrs = k->len ? values->data + at : NULL;
		e->xattrs_len = k->len;
		at += k->len;
	}
	return 0;
}

int store_save_merged(struct store *s, const struct manifest *m, bool no_xattrs,
	int dirfd, const char *name, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *old = NULL;
	SCOPED_MANIFEST struct manifest *merged = NULL;
	SCOPED_BUF struct buf values = {0};
	int r = store_manifest(s, &old, err);
	const struct manifest *parts[] = {old, m};

	/* The result is changed below, so it has to be a copy. */
	if (r == 0 && (old || no_xattrs))
		r = manifest_unite(old ? parts : parts + 1, old ? 2 : 1, store_room(s),
			&merged, err);
	if (r == 0 && no_xattrs)
		r = keep_xattrs(s, m, merged, &values, err);
	return r < 0 ? r : manifest_save(merged ? merged : m, dirfd, name, err);
}

int store_prepare_manifest(
	struct store *s, const struct manifest *m, bool no_xattrs, struct ebt_err *err)
{
	return store_save_merged(s, m, no_xattrs, s->runfd, MERGED, err);
}

bool store_manifest_prepared(const struct store *s)
{
	return faccessat(s->runfd, MERGED, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool store_no_xattrs(const struct store *s)
{
	return faccessat(s->runfd, STORE_NO_XATTRS, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_replace_manifest(
	struct store *s, const struct manifest *m, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *there = NULL;
	int r;

	if (renameat(s->runfd, MERGED, s->ebtfd, MANIFEST) == 0)
		return fsync(s->ebtfd) < 0 && errno != EINVAL
			       ? fail(s, -errno, strerror(errno), "", err)
			       : 0;
	if (errno != ENOENT)
		return fail(s, -errno, strerror(errno), "", err);
	r = store_manifest(s, &there, err);
	if (r < 0 || (there && strcmp(there->id, m->id) == 0))
		return r;
	/* Sealed by a version that did not prepare it. */
	return store_save_merged(s, m, store_no_xattrs(s), s->ebtfd, MANIFEST, err);
}
