/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A manifest in a file, read and written a piece at a time: what is in memory for that is a window,
 * whatever the number of entries, and grows only for a record that is larger.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "manifest/manifest_internal.h"

#define WINDOW ((size_t)1 << 20) /* bytes at a time */

static void stream_free(struct digest_stream **s)
{
	if (*s)
		digest_stream_end(*s);
}

/* A file that is read in order, and the digest of all that was taken so far. */
struct intake {
	int fd;
	uint64_t at, end; /* of the next bytes to read, and of the file */
	struct buf window;
	struct digest_stream *digest;
};

static void intake_release(struct intake *in)
{
	if (in->fd >= 0)
		close(in->fd);
	buf_release(&in->window);
	stream_free(&in->digest);
}

/* The first @done bytes of the window are done with; now it gets @want, if there are so many. */
static int fill(struct intake *in, size_t done, uint64_t want, struct ebt_err *err)
{
	struct buf *w = &in->window;
	ssize_t n;
	size_t more;
	void *p;

	if (done) {
		digest_stream_add(in->digest, w->data, done);
		memmove(w->data, w->data + done, w->len - done);
		w->len -= done;
	}
	if (want > w->len + (in->end - in->at))
		want = w->len + (in->end - in->at);
	if (want <= w->len)
		return 0;
	more = (size_t)want - w->len;
	p = buf_extend(w, more);
	if (!p)
		return ebt_fail(err, -ENOMEM, "manifest");
	n = fsio_read(in->fd, p, more, in->at);
	if (n < 0)
		return ebt_fail(err, (int)n, "read manifest");
	if ((size_t)n < more)
		return manifest_damaged(err, "length");
	in->at += more;
	return 0;
}

static int open_intake(
	struct intake *in, int dirfd, const char *name, struct ebt_err *err)
{
	struct stat st;

	in->fd = fsio_open_whole(dirfd, name, &st, err);
	if (in->fd < 0)
		return in->fd;
	in->end = (uint64_t)st.st_size;
	in->digest = digest_stream_new();
	return in->digest ? 0 : ebt_fail(err, -ENOMEM, "manifest");
}

/* Header and records. Then what the window holds is the digest. */
static int take_all(struct intake *in, struct manifest_decoding *d, struct ebt_err *err)
{
	size_t used = 0;
	uint64_t left, want = WINDOW, n;
	int r = fill(in, 0, MANIFEST_HEAD_MOST, err);

	if (r == 0)
		r = manifest_decode_head(
			d, in->window.data, in->window.len, in->end, &used, err);
	for (left = d->body; r == 0 && !manifest_decoded(d); left -= used) {
		r = fill(in, used, want, err);
		n = in->window.len < left ? in->window.len : left;
		if (r == 0)
			r = manifest_decode_some(d, in->window.data, n, &used, err);
		if (used == 0 && n == left)
			break;
		/* A record that is larger than the window makes it grow, for as long as it is there. */
		want = used == 0 ? 2 * want : WINDOW;
	}
	if (r == 0)
		r = manifest_decode_end(d, err);
	if (r == 0 && left > 0)
		r = manifest_damaged(err, "more than it says");
	return r < 0 ? r : fill(in, used, DIGEST_BYTES, err);
}

static int check_digest(struct intake *in, struct ebt_err *err)
{
	struct reader r = reader_of(in->window.data, in->window.len);
	struct ebt_digest expected = reader_get_digest(&r);

	return r.failed || !digest_equal(expected, digest_stream_end(TAKE(in->digest)))
		       ? manifest_damaged(err, "digest")
		       : 0;
}

int manifest_load_in(int room, int dirfd, const char *name, struct manifest **out,
	struct ebt_err *err)
{
	SCOPED(intake_release) struct intake in = {.fd = -1};
	SCOPED(manifest_decoding_release) struct manifest_decoding d = {0};
	SCOPED_MANIFEST struct manifest *m = NULL;
	int r = open_intake(&in, dirfd, name, err);

	if (r == 0)
		r = manifest_new_in(room, &m, err);
	d.m = m;
	if (r == 0)
		r = take_all(&in, &d, err);
	if (r == 0)
		r = check_digest(&in, err);
	if (r < 0)
		return r;
	if (!m->tree)
		return manifest_damaged(err, "a file that holds no tree");
	manifest_let_go(m);
	*out = TAKE(m);
	return 0;
}

int manifest_load(
	int dirfd, const char *name, struct manifest **out, struct ebt_err *err)
{
	return manifest_load_in(-1, dirfd, name, out, err);
}

/* The bytes of @b go to the end of what @fd has, *at. */
static int put_out(int fd, struct buf *b, uint64_t *at, struct digest_stream *digest,
	struct ebt_err *err)
{
	int r;

	if (!buf_ok(b))
		return ebt_fail(err, -ENOMEM, "manifest");
	r = fsio_write(fd, b->data, b->len, *at);
	if (r < 0)
		return ebt_fail(err, r, "write manifest");
	if (digest)
		digest_stream_add(digest, b->data, b->len);
	*at += b->len;
	b->len = 0;
	return 0;
}

static int write_all(const struct manifest *m, int fd, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	SCOPED(stream_free) struct digest_stream *digest = digest_stream_new();
	uint64_t at = 0;
	uint32_t next = 0;
	int r;

	if (!digest)
		return ebt_fail(err, -ENOMEM, "manifest");
	r = manifest_encode_head(m, manifest_body(m), &b, err);
	if (r == 0)
		r = put_out(fd, &b, &at, digest, err);
	while (r == 0 && next < m->count) {
		r = manifest_encode_some(m, &next, WINDOW, &b, err);
		if (r == 0)
			r = put_out(fd, &b, &at, digest, err);
	}
	if (r < 0)
		return r;
	buf_put_digest(&b, digest_stream_end(TAKE(digest)));
	return put_out(fd, &b, &at, NULL, err);
}

int manifest_save(
	const struct manifest *m, int dirfd, const char *name, struct ebt_err *err)
{
	struct fsio_saving sv;
	int r;

	if (!m->tree)
		return ebt_failx(err, -EINVAL, "%s: only trees are saved", name);
	r = fsio_save_open(dirfd, name, &sv, err);
	if (r < 0)
		return r;
	r = write_all(m, sv.fd, err);
	if (r == 0)
		return fsio_save_close(&sv, err);
	fsio_save_drop(&sv);
	return r;
}
