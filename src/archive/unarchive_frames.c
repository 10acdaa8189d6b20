/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A compressed archive whose seek table says where its frames are: each is decoded when a byte of
 * it is wanted, and kept until one of another frame is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/unarchive_internal.h"
#include "codec/frames.h"

#define FRAME_MOST                                                                     \
	(128u << 20) /* bytes of content: as much as a zstd decoder may keep */

struct input_frames {
	int fd; /* the caller's */
	uint64_t size;
	struct frames table;
	struct frame_unpacker *unpacker;
	unsigned char *packed, *plain; /* room for the largest */
	uint32_t packed_room;
	uint32_t at; /* what is in plain; table.n: nothing */
};

void input_frames_free(struct input_frames *f)
{
	if (!f)
		return;
	frames_release(&f->table);
	frame_unpacker_free(f->unpacker);
	free(f->packed);
	free(f->plain);
	free(f);
}

static int read_at(const struct input_frames *f, void *to, size_t len, uint64_t off,
	struct ebt_err *err)
{
	ssize_t n = fsio_read(f->fd, to, len, off);

	if (n < 0)
		return ebt_fail(err, (int)n, "read");
	return (size_t)n < len ? ebt_failx(err, -EBADMSG, "cut off") : 0;
}

static int read_table(struct input_frames *f, struct ebt_err *err)
{
	unsigned char foot[FRAMES_FOOT];
	SCOPED_FREE unsigned char *table = NULL;
	uint64_t len;
	int r = -ENOTSUP;

	if (f->size > sizeof(foot))
		r = read_at(f, foot, sizeof(foot), f->size - sizeof(foot), err);
	if (r == 0)
		r = frames_foot(foot, f->size, &len, err);
	if (r < 0 && r != -ENOTSUP)
		return r;
	if (r != FRAMES_TABLE)
		return ebt_failx(err, -ENOTSUP, "compressed, and without a seek table");
	table = malloc(len);
	if (!table)
		return ebt_fail(err, -ENOMEM, "seek table");
	r = read_at(f, table, len, f->size - len, err);
	return r < 0 ? r : frames_get_table(table, len, f->size, &f->table, err);
}

static int make_room(struct input_frames *f, struct ebt_err *err)
{
	uint32_t plain = frames_largest(&f->table);

	for (uint32_t i = 0; i < f->table.n; i++)
		if (frames_packed(&f->table, i) > f->packed_room)
			f->packed_room = frames_packed(&f->table, i);
	if (plain > FRAME_MOST || f->packed_room > FRAME_MOST)
		return ebt_failx(
			err, -ENOTSUP, "compressed, in frames of more than 128 MiB");
	f->packed = malloc(f->packed_room ? f->packed_room : 1);
	f->plain = malloc(plain ? plain : 1);
	return f->packed && f->plain ? 0 : ebt_fail(err, -ENOMEM, "frames");
}

int input_frames_new(int fd, uint64_t size, uint64_t plain, struct input_frames **out,
	struct ebt_err *err)
{
	SCOPED(input_frames_freep) struct input_frames *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return ebt_fail(err, -ENOMEM, "frames");
	f->fd = fd;
	f->size = size;
	r = read_table(f, err);
	if (r == 0)
		r = make_room(f, err);
	if (r == 0)
		r = frame_unpacker_new(&f->unpacker, err);
	if (r < 0)
		return r;
	if (frames_end(&f->table).plain != plain)
		return ebt_failx(
			err, -ESTALE, "seek table and index do not say the same");
	f->at = f->table.n;
	*out = TAKE(f);
	return 0;
}

static int decode(struct input_frames *f, uint32_t i, struct ebt_err *err)
{
	uint32_t len = frames_packed(&f->table, i);
	int r;

	f->at = f->table.n;
	r = read_at(f, f->packed, len, f->table.edges[i].packed, err);
	if (r == 0)
		r = frame_unpack(f->unpacker, f->packed, len, f->plain,
			frames_plain(&f->table, i), err);
	if (r == 0)
		f->at = i;
	return r;
}

ssize_t input_frames_read(
	struct input_frames *f, void *to, size_t len, uint64_t off, struct ebt_err *err)
{
	uint32_t i = frames_find(&f->table, off);
	uint64_t left;
	int r = 0;

	if (len == 0 || i == f->table.n)
		return 0;
	if (i != f->at)
		r = decode(f, i, err);
	if (r < 0)
		return r;
	left = f->table.edges[i + 1].plain - off;
	len = len < left ? len : (size_t)left;
	memcpy(to, f->plain + (off - f->table.edges[i].plain), len);
	return (ssize_t)len;
}
