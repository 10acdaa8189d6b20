/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run leaves beside its tree so that any later process can publish it: the
 * manifest, the boot ID and, if some entries were not brought, which; an empty file
 * `no_xattrs` if extended attributes were left behind. The manifest comes last: it is the
 * sign that the rest is complete. Format of `need`, little-endian: magic, version, count of
 * entries (32 bits each), a bit an entry in bytes from the lowest bit, digest of all that.
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
#define NO_XATTRS    "no_xattrs"

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

bool store_no_xattrs(const struct store *s)
{
	return faccessat(s->runfd, NO_XATTRS, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
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
	if (need)
		r = save_need(s, m, need, err);
	else if (unlinkat(s->runfd, "need", 0) < 0 && errno != ENOENT)
		r = ebt_fail(err, -errno, "need");
	if (r == 0 && no_xattrs)
		r = fsio_save(s->runfd, NO_XATTRS, "", 0, err);
	else if (r == 0 && unlinkat(s->runfd, NO_XATTRS, 0) < 0 && errno != ENOENT)
		r = ebt_fail(err, -errno, NO_XATTRS);
	/* Whoever commits later must know whether the node went down since. */
	if (r == 0 && store_boot_id(boot) == 0)
		r = fsio_save(s->runfd, "boot", boot, strlen(boot), err);
	return r < 0 ? r : manifest_save(m, s->runfd, "manifest", err);
}
