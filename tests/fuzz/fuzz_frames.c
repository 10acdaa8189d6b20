/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a file with a seek table at its end, and where the frames in it have other lengths,
 * as the end of a file that has such ones. What is let in must come back the same from another
 * round, every byte must be found in the frame that has it, and a frame gives just what its table
 * says or an error.
 */
#include <string.h>

#include "codec/frames.h"
#include "fuzz.h"

#define PLAIN_MAX (1u << 20) /* bytes: a frame that claims more is not read */

static void encode(const struct frames *f)
{
	SCOPED_FRAMES struct frames back = {0};
	SCOPED_BUF struct buf b = {0};
	uint64_t size, len = 0;

	FUZZ_CHECK(frames_put_table(f, &b, NULL) == 0);
	FUZZ_CHECK(b.len == frames_table_size(f->n));
	size = frames_end(f).packed + b.len;
	FUZZ_CHECK(frames_foot(b.data + b.len - FRAMES_FOOT, size, &len, NULL) ==
		   FRAMES_TABLE);
	FUZZ_CHECK(len == b.len);
	FUZZ_CHECK(frames_get_table(b.data, len, size, &back, NULL) == 0);
	FUZZ_CHECK(back.n == f->n);
	for (uint32_t i = 0; i < f->n; i++)
		FUZZ_CHECK(frames_packed(f, i) == frames_packed(&back, i) &&
			   frames_plain(f, i) == frames_plain(&back, i));
}

/* @data: of the file, NULL if it is not there. */
static void use(const struct frames *f, const uint8_t *data)
{
	SCOPED(frame_unpacker_freep) struct frame_unpacker *u = NULL;
	SCOPED_FREE unsigned char *plain = NULL;
	uint32_t len;

	encode(f);
	FUZZ_CHECK(frames_find(f, frames_end(f).plain) == f->n);
	if (data && frame_unpacker_new(&u, NULL) < 0)
		return;
	for (uint32_t i = 0; i < f->n; i++) {
		len = frames_plain(f, i);
		FUZZ_CHECK(len <= frames_largest(f));
		if (len) {
			FUZZ_CHECK(frames_find(f, f->edges[i].plain) == i);
			FUZZ_CHECK(frames_find(f, f->edges[i + 1].plain - 1) == i);
		}
		if (!data || len > PLAIN_MAX)
			continue;
		free(plain);
		plain = malloc(len ? len : 1);
		FUZZ_CHECK(plain);
		(void)frame_unpack(u, data + f->edges[i].packed, frames_packed(f, i),
			plain, len, NULL);
	}
}

/* The file that the table @len bytes long at @table would fit. */
static uint64_t size_for(const uint8_t *table, uint64_t len)
{
	struct reader r = reader_of(table, len - FRAMES_FOOT);
	size_t more = table[len - 5] & 0x80 ? 8 : 4;
	uint64_t size = len;

	reader_take(&r, 8);
	while (reader_left(&r)) {
		size += reader_get32(&r);
		reader_take(&r, more);
	}
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_FRAMES struct frames f = {0};
	uint64_t len = 0;

	if (size < FRAMES_FOOT)
		return 0;
	if (frames_foot(data + size - FRAMES_FOOT, size, &len, NULL) != FRAMES_TABLE)
		return 0;
	FUZZ_CHECK(len <= size);
	data += size - len;
	if (frames_get_table(data, len, size, &f, NULL) == 0) {
		use(&f, data + len - size);
		return 0;
	}
	FUZZ_CHECK(!f.edges);
	if (frames_get_table(data, len, size_for(data, len), &f, NULL) == 0)
		use(&f, NULL);
	else
		FUZZ_CHECK(!f.edges);
	return 0;
}

/* Seed @n has @n frames, the odd ones of content that does not compress. */
bool fuzz_seed(unsigned n, struct buf *out)
{
	SCOPED(frame_packer_freep) struct frame_packer *p = NULL;
	SCOPED_FRAMES struct frames f = {0};
	unsigned char plain[400];
	uint64_t state = n;
	uint32_t packed;
	void *room;

	if (n > 0 && frame_packer_new(3, &p, NULL) < 0)
		return false;
	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(plain); k++) {
			state = state * 6364136223846793005u + 1;
			plain[k] = i % 2 ? (unsigned char)(state >> 56) : 'a';
		}
		room = buf_extend(out, frame_room(sizeof(plain)));
		FUZZ_CHECK(room);
		FUZZ_CHECK(frame_pack(p, plain, sizeof(plain), room,
				   frame_room(sizeof(plain)), &packed, NULL) == 0);
		out->len -= frame_room(sizeof(plain)) - packed;
		FUZZ_CHECK(frames_add(&f, packed, sizeof(plain), NULL) == 0);
	}
	FUZZ_CHECK(frames_put_table(&f, out, NULL) == 0);
	return n < 5;
}
