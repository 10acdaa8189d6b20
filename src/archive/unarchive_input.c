/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A regular file is only ever read with pread: its offset is the caller's, and others may read it
 * at the same time. A stream is waited for with poll, so that it can be stopped.
 *
 * The window is one buffer. While libarchive reads headers nothing that it was given goes away: of a
 * cpio's symbolic link it reads the target, and then looks at the name once more, wherever it was. Of
 * content it asks for more only when it is done with what it got last, or has a copy of it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/unarchive_internal.h"

#define WAIT_MS 200
#define NONE	UINT64_MAX

int input_open(struct input *in, int fd, const struct unarchive_options *o,
	struct ebt_err *err)
{
	struct stat st;

	memset(in, 0, sizeof(*in));
	in->fd = fd;
	in->stopped = o->stopped;
	in->arg = o->arg;
	in->kept = in->end = NONE;
	if (fstat(fd, &st) < 0)
		return ebt_fail(err, -errno, "fstat");
	if (S_ISDIR(st.st_mode))
		return ebt_fail(err, -EISDIR, "no archive");
	in->seekable = S_ISREG(st.st_mode);
	in->size = in->seekable ? (uint64_t)st.st_size : 0;
	return 0;
}

void input_pick(struct input *in, const struct picks *picks, bool heads)
{
	in->picks = picks_list(picks, &in->n_picks);
	in->n_picks++;
	in->heads = heads;
	in->size = 0;
	for (size_t i = 0; i < in->n_picks; i++)
		in->size += in->picks[i].end - in->picks[i].header;
}

static void free_parked(struct input *in)
{
	while (in->n_parked)
		free(in->parked[--in->n_parked]);
}

void input_release(struct input *in)
{
	decoder_free(in->decoder);
	in->decoder = NULL;
	input_frames_free(TAKE(in->frames));
	buf_release(&in->window);
	free_parked(in);
}

static int stopped(const struct input *in, struct ebt_err *err)
{
	return in->stopped && in->stopped(in->arg) ? ebt_failx(err, -EINTR, "stopped")
						   : 0;
}

static ssize_t read_stream(
	const struct input *in, void *to, size_t len, struct ebt_err *err)
{
	struct pollfd p = {.fd = in->fd, .events = POLLIN};
	ssize_t n;
	int r;

	for (;;) {
		r = stopped(in, err);
		if (r < 0)
			return r;
		r = poll(&p, 1, WAIT_MS);
		if (r == 0 || (r < 0 && errno == EINTR))
			continue;
		n = r < 0 ? -1 : read(in->fd, to, len);
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN)
			return ebt_fail(err, -errno, "read");
	}
}

/* Is it read to the end of its header first? Most likely nobody asks for its content then. */
static bool is_cut(const struct input *in, const struct pick *p)
{
	return (in->heads || !p->wanted) && p->end - p->data >= INPUT_BLOCK;
}

/* What the next position lies in; NULL at the end. */
static const struct pick *pick_here(struct input *in)
{
	const struct pick *p = in->picks + in->pick, *end = in->picks + in->n_picks;

	for (; p < end && in->at - in->pick_at >= p->end - p->header; p++)
		in->pick_at += p->end - p->header;
	in->pick = (size_t)(p - in->picks);
	return p < end ? p : NULL;
}

/* The byte of the file for the next position into *off, and how many of @len lie there as they do here. */
static size_t go_to_pick(struct input *in, size_t len, uint64_t *off)
{
	const struct pick *p = pick_here(in), *last = in->picks + in->n_picks - 1;
	uint64_t end;

	*off = 0;
	if (!p)
		return 0;
	*off = p->header + (in->at - in->pick_at);
	end = is_cut(in, p) && *off < p->data ? p->data : p->end;
	while (end == p->end && end - *off < len && p < last && p[1].header == end) {
		p++;
		end = is_cut(in, p) ? p->data : p->end;
	}
	return end - *off < len ? (size_t)(end - *off) : len;
}

/* Behind a header whose content is rather skipped. */
static bool at_cut(struct input *in)
{
	const struct pick *p = in->picks ? pick_here(in) : NULL;

	return p && is_cut(in, p) && in->at - in->pick_at == p->data - p->header;
}

static ssize_t read_file(struct input *in, void *to, size_t len, struct ebt_err *err)
{
	uint64_t left = in->at < in->end ? in->end - in->at : 0, off = in->at;
	ssize_t n;
	int r;

	len = len < left ? len : (size_t)left;
	if (in->picks)
		len = go_to_pick(in, len, &off);
	do {
		r = stopped(in, err);
		if (r < 0)
			return r;
		n = in->frames ? input_frames_read(in->frames, to, len, off, err)
			       : pread(in->fd, to, len, (off_t)off);
		if (n < 0 && in->frames)
			return n;
	} while (n < 0 && errno == EINTR);
	return n < 0 ? ebt_fail(err, -errno, "read") : n;
}

/* The next bytes of the file, one or more. */
static ssize_t read_raw(void *arg, void *to, size_t len, struct ebt_err *err)
{
	struct input *in = arg;
	size_t ready = in->head_len - in->head_at;
	ssize_t n;

	if (ready) {
		len = len < ready ? len : ready;
		memcpy(to, in->head + in->head_at, len);
		in->head_at += len;
		n = (ssize_t)len;
	} else if (in->seekable) {
		n = read_file(in, to, len, err);
	} else {
		n = read_stream(in, to, len, err);
	}
	if (n > 0) {
		in->at += (uint64_t)n;
		__atomic_add_fetch(&in->taken, (uint64_t)n, __ATOMIC_RELAXED);
	}
	return n;
}

ssize_t input_look(struct input *in, void *to, size_t len, struct ebt_err *err)
{
	ssize_t n = 1;

	if (in->seekable) {
		n = fsio_read(in->fd, to, len, 0);
		return n < 0 ? ebt_fail(err, (int)n, "read") : n;
	}
	while (n > 0 && in->head_len < INPUT_HEAD) {
		n = read_stream(
			in, in->head + in->head_len, INPUT_HEAD - in->head_len, err);
		if (n < 0)
			return n;
		in->head_len += (size_t)n;
	}
	len = len < in->head_len ? len : in->head_len;
	memcpy(to, in->head, len);
	return (ssize_t)len;
}

int input_decode(
	struct input *in, enum codec codec, unsigned threads, struct ebt_err *err)
{
	return decoder_new(codec, read_raw, in, threads, &in->decoder, err);
}

/* What has to stay goes on in another buffer: who was given the one before may still look at it. */
static bool move_on(struct input *in, size_t gone)
{
	size_t len = in->window.len - gone;
	struct buf to = {0};

	/* At least twice as large each time: they do not come to as many. */
	if (in->n_parked == sizeof(in->parked) / sizeof(in->parked[0]) ||
		!buf_extend(&to, 2 * len + INPUT_BLOCK))
		return false;
	to.len = len;
	memcpy(to.data, in->window.data + gone, len);
	in->parked[in->n_parked++] = in->window.data;
	in->window = to;
	return true;
}

/* Room for a block behind what has to stay. */
static unsigned char *make_room(struct input *in)
{
	uint64_t end = in->window_at + in->window.len;
	uint64_t from = in->kept < end ? in->kept : end;
	size_t gone = from > in->window_at ? (size_t)(from - in->window_at) : 0;
	size_t len = in->window.len - gone;
	bool fits = true;

	if (len + INPUT_BLOCK > INPUT_HEADERS) {
		ebt_failx(&in->err, -EINVAL, "headers of more than 16 MiB");
		return NULL;
	}
	if (len == 0)
		in->window.len = 0;
	else if (gone || in->window.cap - in->window.len < INPUT_BLOCK)
		fits = move_on(in, gone);
	if (!fits || !buf_extend(&in->window, INPUT_BLOCK)) {
		ebt_fail(&in->err, -ENOMEM, "a block of it");
		return NULL;
	}
	in->window_at += gone;
	in->window.len -= INPUT_BLOCK;
	return in->window.data + in->window.len;
}

ssize_t input_more(struct input *in)
{
	unsigned char *to = in->failed ? NULL : make_room(in);
	size_t len = 0;
	ssize_t n = 1;

	if (!to) {
		in->failed = true;
		return in->err.code;
	}
	/* Whole blocks: tar is read by 512 bytes, and none of them should have to be copied. */
	while (n > 0 && len < INPUT_BLOCK && !(len && at_cut(in))) {
		n = in->decoder ? decoder_read(in->decoder, to + len, INPUT_BLOCK - len,
					  &in->err)
				: read_raw(in, to + len, INPUT_BLOCK - len, &in->err);
		if (n > 0)
			len += (size_t)n;
	}
	if (n < 0)
		in->failed = true;
	in->window.len += len;
	/* What came before the failure is told first. */
	return len ? (ssize_t)len : n;
}

void input_keep(struct input *in, uint64_t position)
{
	in->kept = position;
}

void input_drop(struct input *in)
{
	in->kept = NONE;
	free_parked(in);
}

const unsigned char *input_at(const struct input *in, uint64_t position, size_t *len)
{
	uint64_t off = position - in->window_at;

	if (position < in->window_at || off > in->window.len || !in->window.data)
		return NULL;
	*len = in->window.len - (size_t)off;
	return in->window.data + off;
}

int input_zeros(struct input *in, uint64_t position)
{
	size_t len = 0;
	const unsigned char *p = input_at(in, position, &len);
	ssize_t n;

	while (!p || digest_is_zero(p, len)) {
		if (p)
			input_drop(in);
		n = input_more(in);
		if (n <= 0)
			return (int)n;
		len = (size_t)n;
		p = in->window.data + in->window.len - len;
	}
	return 1;
}

int input_pread(
	struct input *in, void *to, size_t len, uint64_t off, struct ebt_err *err)
{
	ssize_t n = fsio_read(in->fd, to, len, off);

	if (n < 0)
		return ebt_fail(err, (int)n, "read");
	return (size_t)n < len ? ebt_failx(err, -EBADMSG, "cut off") : 0;
}

int input_zeros_behind(struct input *in, uint64_t position, struct ebt_err *err)
{
	unsigned char data[4096];
	ssize_t n;
	int r;

	for (;; position += (uint64_t)n) {
		r = stopped(in, err);
		n = r < 0 ? r : fsio_read(in->fd, data, sizeof(data), position);
		if (n < 0)
			return r < 0 ? r : ebt_fail(err, (int)n, "read");
		if (n == 0)
			return 0;
		if (!digest_is_zero(data, (size_t)n))
			return 1;
	}
}

void input_seek(struct input *in, uint64_t position)
{
	in->at = position;
	in->window.len = 0;
	in->window_at = position;
}

int input_by_frames(struct input *in, uint64_t plain, struct ebt_err *err)
{
	int r = input_frames_new(in->fd, in->size, plain, &in->frames, err);

	if (r < 0)
		return r;
	decoder_free(TAKE(in->decoder));
	input_seek(in, 0);
	return 0;
}

/* Not past the end, so that who reads on there sees that something is missing. */
uint64_t input_skip(struct input *in, uint64_t len)
{
	uint64_t least = in->picks ? 1 : INPUT_SKIP;

	if (!in->seekable || in->decoder || in->kept != NONE || len < least ||
		in->at > in->size || len > in->size - in->at)
		return 0;
	input_seek(in, in->at + len);
	__atomic_add_fetch(&in->taken, len, __ATOMIC_RELAXED);
	return len;
}
