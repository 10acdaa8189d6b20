/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run leaves beside its tree so that any later process can publish it: the
 * manifest, the one that the store will have then (store_manifest.c), the boot ID and, if some entries were not brought, which; an empty file
 * `no_xattrs` if extended attributes were left behind. The manifest comes last: it is the
 * sign that the rest is complete. Format of `need`, little-endian: magic, version, count of
 * entries (32 bits each), a bit per entry in bytes from the lowest bit, digest of all that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define NEED_MAGIC   0x4e544245 /* "EBTN" */
#define NEED_VERSION 1

static int save_need(struct store *s, const struct manifest *m, const uint64_t *need,
	struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};

	buf_put32(&b, NEED_MAGIC);
	buf_put32(&b, NEED_VERSION);
	buf_put32(&b, m->count);
	for (uint32_t i = 0; i < m->count; i += 8)
		buf_put8(&b, (uint8_t)(need[i / 64] >> (i % 64)));
	buf_put_digest(&b, digest_bytes(b.data, b.len));
	if (!buf_ok(&b))
		return ebt_fail(err, -ENOMEM, "need");
	return fsio_save(s->runfd, "need", b.data, b.len, err);
}

int store_load_need(
	struct store *s, const struct manifest *m, uint64_t **need, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	SCOPED_FREE uint64_t *bits = NULL;
	size_t bytes = ((size_t)m->count + 7) / 8;
	struct ebt_digest expected;
	const unsigned char *p;
	struct reader r;
	int code;

	*need = NULL;
	if (faccessat(s->runfd, "need", F_OK, 0) < 0 && errno == ENOENT)
		return 0;
	code = fsio_load(s->runfd, "need", bytes + 64, &b, err);
	if (code < 0)
		return code;
	r = reader_of(b.data, b.len);
	if (reader_get32(&r) != NEED_MAGIC || reader_get32(&r) != NEED_VERSION ||
		reader_get32(&r) != m->count)
		return ebt_failx(err, -EBADMSG, "%s: need: damaged", s->id);
	p = reader_take(&r, bytes);
	expected = digest_bytes(b.data, r.at);
	if (!p || !digest_equal(expected, reader_get_digest(&r)) || r.failed)
		return ebt_failx(err, -EBADMSG, "%s: need: damaged", s->id);
	bits = calloc((size_t)m->count / 64 + 1, sizeof(*bits));
	if (!bits)
		return ebt_fail(err, -ENOMEM, "need");
	for (size_t i = 0; i < bytes; i++)
		bits[i / 8] |= (uint64_t)p[i] << (i % 8 * 8);
	*need = TAKE(bits);
	return 0;
}

/* @why ends in a name alone: "owner of d: Invalid argument". */
static int fail_attributes(const struct store *s, const struct manifest *m, uint32_t i,
	const struct ebt_err *why, struct ebt_err *err)
{
	SCOPED_FREE char *path = store_entry_path(m, i);
	char root[512], shown[512];

	return ebt_failx(err, why->code, "%s/%s: %.300s",
		text_name(s->path, root, sizeof(root)),
		text_name(path ? path : "", shown, sizeof(shown)), why->text);
}

/*
 * From the end of the manifest to its start and so the deepest first: a directory could be
 * closed to us afterwards. One that nobody brought is made when it is published.
 */
static int set_directories(
	struct store *s, const struct manifest *m, struct ebt_err *err)
{
	static const struct attr_made fresh = {.mode = 0700};
	SCOPED_FD int tree =
		openat(s->runfd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	SCOPED_WALK struct store_walk w = {.m = m, .root = tree, .flags = O_RDONLY};
	struct attr_made made = fresh;
	struct ebt_err why = {0};
	int fd, r;

	if (tree < 0)
		return ebt_fail(err, -errno, "%s: incoming tree", s->path);
	made.uid = geteuid();
	made.gid = getegid();
	for (uint32_t i = m->count; i-- > 0;) {
		manifest_passed(m, i);
		if (m->entries[i].kind != MANIFEST_DIR)
			continue;
		fd = store_walk_to(&w, i);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return store_fail_walk(s, fd, &w, err);
		r = attr_set(fd, &m->entries[i], &made, &why);
		if (r < 0)
			return fail_attributes(s, m, i, &why, err);
	}
	return 0;
}

int store_seal(struct store *s, const struct manifest *m, const uint64_t *need,
	bool no_xattrs, struct ebt_err *err)
{
	uint32_t own = manifest_find(m, STORE_OWN);
	char boot[40];
	int r = 0;

	if (s->runfd < 0)
		return ebt_failx(err, -EINVAL, "no run has begun");
	/* Published, it would merge with our own directory. */
	if (own != MANIFEST_NONE)
		return store_fail(s, -EINVAL, "reserved:", m, own, err);
	r = set_directories(s, m, err);
	if (r == 0)
		r = store_prepare_manifest(s, m, no_xattrs, err);
	if (r < 0)
		return r;
	if (need)
		r = save_need(s, m, need, err);
	else if (unlinkat(s->runfd, "need", 0) < 0 && errno != ENOENT)
		r = ebt_fail(err, -errno, "need");
	if (r == 0 && no_xattrs)
		r = fsio_save(s->runfd, STORE_NO_XATTRS, "", 0, err);
	else if (r == 0 && unlinkat(s->runfd, STORE_NO_XATTRS, 0) < 0 &&
		 errno != ENOENT)
		r = ebt_fail(err, -errno, STORE_NO_XATTRS);
	/* Whoever commits later must know whether the node went down since. */
	if (r == 0 && fsio_boot_id(boot) == 0)
		r = fsio_save(s->runfd, "boot", boot, strlen(boot), err);
	return r < 0 ? r : manifest_save(m, s->runfd, "manifest", err);
}
