/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zstandard files that can be written and read by many at once: the content is cut into pieces,
 * each a frame by itself with its size and a checksum, and the last frame, which decoders skip,
 * is a table of the others. Any zstd reads them front to end.
 *
 *	frame | frame | ... | frame | seek table
 *
 * The table has Facebook's seekable format, see frames.c. Its arithmetic is pure and
 * there in every build; frames themselves need the library, and without it say so.
 */
#ifndef CODEC_FRAMES_H
#define CODEC_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/scope.h"
#include "ebt/err.h"

#define FRAMES_PIECE (16u << 20) /* bytes of content; shorter ones compress worse */
#define FRAMES_MAX   (1u << 24)	 /* of one file: 256 MiB of memory for their places */

/* Where a frame begins, or the last one ends. */
struct frames_edge {
	uint64_t packed; /* byte of the file */
	uint64_t plain;	 /* byte of the content */
};

/* All but the table. Zeroed: none. */
struct frames {
	struct frames_edge *edges; /* n + 1, once there is a frame */
	uint32_t n, cap;
};
void frames_release(struct frames *f);
#define SCOPED_FRAMES SCOPED(frames_release)

/* Bytes of content of each frame but the last, for @total of them. */
uint32_t frames_piece(uint64_t total);
/* One more behind the others. -EOVERFLOW past FRAMES_MAX, or where offsets end. */
int frames_add(struct frames *f, uint32_t packed, uint32_t plain, struct ebt_err *err);
static inline struct frames_edge frames_end(const struct frames *f)
{
	return f->n ? f->edges[f->n] : (struct frames_edge){0};
}
static inline uint32_t frames_packed(const struct frames *f, uint32_t i)
{
	return (uint32_t)(f->edges[i + 1].packed - f->edges[i].packed);
}
static inline uint32_t frames_plain(const struct frames *f, uint32_t i)
{
	return (uint32_t)(f->edges[i + 1].plain - f->edges[i].plain);
}
/* The frame with byte @off of the content; f->n behind its end. */
uint32_t frames_find(const struct frames *f, uint64_t off);
/* Bytes of content of the largest: who reads frames needs that much memory for each. */
uint32_t frames_largest(const struct frames *f);

/* Bytes of the seek table. */
uint64_t frames_table_size(uint32_t n);
/* Appends it. */
int frames_put_table(const struct frames *f, struct buf *out, struct ebt_err *err);

#define FRAMES_FOOT 9 /* last bytes of a file, which say whether it has a table */
enum frames_seen {
	FRAMES_NONE = 0, /* no error: it can be read front to end only */
	FRAMES_TABLE = 1,
};
/*
 * @foot of a file of @size bytes: FRAMES_TABLE, and the table is its last *len bytes. -EBADMSG
 * where there seems to be a table that cannot be, -EPROTONOSUPPORT for one of a later format.
 */
int frames_foot(const unsigned char foot[FRAMES_FOOT], uint64_t size, uint64_t *len,
	struct ebt_err *err);
/*
 * The table itself, of a file of @size bytes, into *out. Trusts nothing: the frames follow each
 * other from the first byte to the table, or it is -EBADMSG.
 */
int frames_get_table(const void *table, uint64_t len, uint64_t size, struct frames *out,
	struct ebt_err *err);

/*
 * Makes frames. One for each thread; its memory, at FRAMES_PIECE some 1 MiB at level 3 and 80 MiB
 * at level 19, stays for the next frame. -ENOTSUP: built without zstd.
 */
struct frame_packer;
int frame_packer_new(int level, struct frame_packer **out, struct ebt_err *err);
void frame_packer_free(struct frame_packer *p);
DEFINE_SCOPED(struct frame_packer, frame_packer_free)
/* Bytes that a frame of @plain bytes of content can have at most. */
uint64_t frame_room(uint32_t plain);
/* -ENOSPC if @room does not suffice. */
int frame_pack(struct frame_packer *p, const void *plain, uint32_t len, void *out,
	size_t room, uint32_t *packed, struct ebt_err *err);

/* Reads frames, in any order. One for each thread. */
struct frame_unpacker;
int frame_unpacker_new(struct frame_unpacker **out, struct ebt_err *err);
void frame_unpacker_free(struct frame_unpacker *u);
DEFINE_SCOPED(struct frame_unpacker, frame_unpacker_free)
/*
 * One frame of @len bytes, neither less nor more, that has @plain bytes of content, as its table
 * says; -EBADMSG if it is not so or its checksum is wrong. The content is unknown after failure.
 */
int frame_unpack(struct frame_unpacker *u, const void *packed, uint32_t len, void *out,
	uint32_t plain, struct ebt_err *err);

#endif
