/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/frames.h"

#include <errno.h>
#include <string.h>

#include "suite.h"

#define PLAIN 70000u /* bytes of a piece in these tests */

static struct frames some_frames(void)
{
	struct frames f = {0};

	CU_ASSERT_EQUAL(frames_add(&f, 100, 1000, NULL), 0);
	CU_ASSERT_EQUAL(frames_add(&f, 20, 0, NULL), 0); /* one that is skipped */
	CU_ASSERT_EQUAL(frames_add(&f, 200, 2000, NULL), 0);
	CU_ASSERT_EQUAL(frames_add(&f, 50, 1, NULL), 0);
	return f;
}

/* From the end of a file of @size bytes, of which the last are @b. */
static int get(const struct buf *b, uint64_t size, struct frames *f)
{
	uint64_t len = 0;
	int r = frames_foot(b->data + b->len - FRAMES_FOOT, size, &len, NULL);

	if (r != FRAMES_TABLE)
		return r < 0 ? r : -ENOENT;
	if (len > b->len)
		return -E2BIG;
	return frames_get_table(b->data + b->len - len, len, size, f, NULL);
}

static void a_byte_is_in_the_frame_that_holds_it(void)
{
	SCOPED_FRAMES struct frames f = some_frames();

	CU_ASSERT_EQUAL(frames_find(&f, 0), 0);
	CU_ASSERT_EQUAL(frames_find(&f, 999), 0);
	CU_ASSERT_EQUAL(frames_find(&f, 1000), 2);
	CU_ASSERT_EQUAL(frames_find(&f, 2999), 2);
	CU_ASSERT_EQUAL(frames_find(&f, 3000), 3);
	CU_ASSERT_EQUAL(frames_find(&f, 3001), 4);
	CU_ASSERT_EQUAL(frames_find(&f, UINT64_MAX), 4);
	CU_ASSERT_EQUAL(frames_largest(&f), 2000);
	CU_ASSERT_EQUAL(f.edges[2].packed, 120);
	CU_ASSERT_EQUAL(frames_packed(&f, 2), 200);
	CU_ASSERT_EQUAL(frames_plain(&f, 3), 1);
	CU_ASSERT_EQUAL(frames_end(&f).packed, 370);
}

static void no_frames_are_frames_too(void)
{
	SCOPED_FRAMES struct frames f = {0};
	SCOPED_FRAMES struct frames back = {0};
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL(frames_find(&f, 0), 0);
	CU_ASSERT_EQUAL(frames_put_table(&f, &b, NULL), 0);
	CU_ASSERT_EQUAL(b.len, frames_table_size(0));
	CU_ASSERT_EQUAL(get(&b, b.len, &back), 0);
	CU_ASSERT_EQUAL(back.n, 0);
	CU_ASSERT_EQUAL(frames_end(&back).plain, 0);
}

static void the_table_is_laid_out_as_its_page_says(void)
{
	static const unsigned char want[] = {0x5e, 0x2a, 0x4d, 0x18, 17, 0, 0, 0, 1, 2,
		3, 0, 4, 5, 6, 7, 1, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f};
	SCOPED_FRAMES struct frames f = {0};
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL(frames_add(&f, 0x030201, 0x07060504, NULL), 0);
	CU_ASSERT_EQUAL(frames_put_table(&f, &b, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(b.len, sizeof(want));
	CU_ASSERT_EQUAL(memcmp(b.data, want, sizeof(want)), 0);
}

static void a_table_comes_back(void)
{
	SCOPED_FRAMES struct frames f = some_frames();
	SCOPED_FRAMES struct frames back = {0};
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL(frames_put_table(&f, &b, NULL), 0);
	CU_ASSERT_EQUAL(b.len, frames_table_size(4));
	CU_ASSERT_EQUAL_FATAL(get(&b, 370 + b.len, &back), 0);
	CU_ASSERT_EQUAL_FATAL(back.n, 4);
	CU_ASSERT_EQUAL(memcmp(back.edges, f.edges, 5 * sizeof(*f.edges)), 0);
	/* More can follow what was read. */
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(frames_add(&back, 1, 1, NULL), 0);
	CU_ASSERT_EQUAL(frames_end(&back).plain, 3101);
}

static void checksums_in_a_table_are_passed_over(void)
{
	static const unsigned char table[] = {0x5e, 0x2a, 0x4d, 0x18, 33, 0, 0, 0, 10,
		0, 0, 0, 20, 0, 0, 0, 1, 2, 3, 4, 11, 0, 0, 0, 21, 0, 0, 0, 5, 6, 7, 8,
		2, 0, 0, 0, 0x80, 0xb1, 0xea, 0x92, 0x8f};
	SCOPED_FRAMES struct frames f = {0};
	SCOPED_BUF struct buf b = {0};

	buf_put(&b, table, sizeof(table));
	CU_ASSERT_EQUAL_FATAL(get(&b, 21 + sizeof(table), &f), 0);
	CU_ASSERT_EQUAL(f.n, 2);
	CU_ASSERT_EQUAL(frames_end(&f).plain, 41);
}

static void a_file_without_a_table_has_none(void)
{
	static const unsigned char foot[FRAMES_FOOT] = {
		0, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f};
	static const unsigned char other[FRAMES_FOOT] = {
		0, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8e};
	uint64_t len = 7;

	CU_ASSERT_EQUAL(frames_foot(other, 1000, &len, NULL), FRAMES_NONE);
	CU_ASSERT_EQUAL(frames_foot(foot, 16, &len, NULL), FRAMES_NONE);
	CU_ASSERT_EQUAL(len, 7);
	CU_ASSERT_EQUAL(frames_foot(foot, 17, &len, NULL), FRAMES_TABLE);
	CU_ASSERT_EQUAL(len, 17);
}

static void a_table_that_lies_is_refused(void)
{
	/* Where a byte of the table is changed, and what is said then. */
	static const struct {
		size_t at;
		unsigned char with;
		int code;
	} lies[] = {{0, 0x5d, -EBADMSG}, {4, 42, -EBADMSG}, {8, 0, -EBADMSG},
		{8, 101, -EBADMSG}, {11, 1, -EBADMSG}, {40, 3, -EBADMSG},
		{40, 5, -E2BIG}, {43, 1, -EBADMSG}, {44, 4, -EPROTONOSUPPORT},
		{44, 0x80, -E2BIG}, {45, 0, -ENOENT}};
	SCOPED_FRAMES struct frames f = some_frames();

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		SCOPED_FRAMES struct frames back = {0};
		SCOPED_BUF struct buf b = {0};

		CU_ASSERT_EQUAL(frames_put_table(&f, &b, NULL), 0);
		CU_ASSERT_NOT_EQUAL(b.data[lies[i].at], lies[i].with);
		b.data[lies[i].at] = lies[i].with;
		CU_ASSERT_EQUAL(get(&b, 370 + b.len, &back), lies[i].code);
		CU_ASSERT_PTR_NULL(back.edges);
	}
}

static void frames_fill_the_file_before_their_table(void)
{
	SCOPED_FRAMES struct frames f = some_frames();
	SCOPED_FRAMES struct frames back = {0};
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL(frames_put_table(&f, &b, NULL), 0);
	CU_ASSERT_EQUAL(get(&b, 369 + b.len, &back), -EBADMSG);
	CU_ASSERT_EQUAL(get(&b, 371 + b.len, &back), -EBADMSG);
	CU_ASSERT_EQUAL(frames_get_table(b.data, 16, 1000, &back, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(
		frames_get_table(b.data, b.len, b.len - 1, &back, NULL), -EBADMSG);
}

static void pieces_grow_before_there_are_too_many_frames(void)
{
	CU_ASSERT_EQUAL(frames_piece(0), FRAMES_PIECE);
	CU_ASSERT_EQUAL(frames_piece(1ull << 40), FRAMES_PIECE);
	CU_ASSERT_EQUAL(frames_piece((1ull << 48) - 1), FRAMES_PIECE);
	CU_ASSERT_EQUAL(frames_piece(1ull << 48), 2 * FRAMES_PIECE);
	CU_ASSERT_EQUAL(frames_piece(UINT64_MAX), 1u << 31);
	for (uint64_t total = 1; total < 1ull << 54; total *= 3)
		CU_ASSERT(total / frames_piece(total) < FRAMES_MAX);
}

static void fill(unsigned char *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)(i % 251 * (i / 4096 + seed));
}

/* Pieces compressed one by one, in @b, with their places in @f. */
static int pack_pieces(struct buf *b, struct frames *f, unsigned n, struct ebt_err *err)
{
	SCOPED(frame_packer_freep) struct frame_packer *p = NULL;
	static unsigned char plain[PLAIN];
	unsigned char *out;
	uint32_t packed = 0;
	int r = frame_packer_new(3, &p, err);

	for (unsigned i = 0; r == 0 && i < n; i++) {
		fill(plain, PLAIN, i);
		out = buf_extend(b, frame_room(PLAIN));
		r = frame_pack(p, plain, PLAIN, out, frame_room(PLAIN), &packed, err);
		b->len -= frame_room(PLAIN) - packed;
		if (r == 0)
			r = frames_add(f, packed, PLAIN, err);
	}
	return r;
}

static bool have_zstd(void)
{
	SCOPED(frame_unpacker_freep) struct frame_unpacker *u = NULL;
	struct ebt_err err;

	if (frame_unpacker_new(&u, &err) == 0)
		return true;
	CU_ASSERT_EQUAL(err.code, -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "zstd"));
	return false;
}

static void each_frame_is_read_by_itself(void)
{
	SCOPED(frame_unpacker_freep) struct frame_unpacker *u = NULL;
	SCOPED_FRAMES struct frames f = {0};
	SCOPED_BUF struct buf b = {0};
	static unsigned char plain[PLAIN], want[PLAIN];

	if (!have_zstd())
		return;
	CU_ASSERT_EQUAL_FATAL(pack_pieces(&b, &f, 5, NULL), 0);
	CU_ASSERT_EQUAL(frame_unpacker_new(&u, NULL), 0);
	for (unsigned i = 5; i-- > 0;) {
		CU_ASSERT_EQUAL(frames_find(&f, i * (uint64_t)PLAIN + 7), i);
		CU_ASSERT_EQUAL(frame_unpack(u, b.data + f.edges[i].packed,
					frames_packed(&f, i), plain, PLAIN, NULL),
			0);
		fill(want, PLAIN, i);
		CU_ASSERT_EQUAL(memcmp(plain, want, PLAIN), 0);
	}
}

static void damage_to_a_frame_is_found(void)
{
	SCOPED(frame_unpacker_freep) struct frame_unpacker *u = NULL;
	SCOPED_FRAMES struct frames f = {0};
	SCOPED_BUF struct buf b = {0};
	static unsigned char plain[2 * PLAIN];
	uint32_t len;

	if (!have_zstd())
		return;
	CU_ASSERT_EQUAL_FATAL(pack_pieces(&b, &f, 2, NULL), 0);
	CU_ASSERT_EQUAL(frame_unpacker_new(&u, NULL), 0);
	len = frames_packed(&f, 0);
	CU_ASSERT_EQUAL(frame_unpack(u, b.data, len, plain, PLAIN, NULL), 0);
	CU_ASSERT_EQUAL(frame_unpack(u, b.data, len - 1, plain, PLAIN, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(frame_unpack(u, b.data, len + 1, plain, PLAIN, NULL), -EBADMSG);
	/* Two frames where the table has one. */
	CU_ASSERT_EQUAL(
		frame_unpack(u, b.data, (uint32_t)b.len, plain, 2 * PLAIN, NULL),
		-EBADMSG);
	CU_ASSERT_EQUAL(frame_unpack(u, b.data, len, plain, PLAIN - 1, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(frame_unpack(u, b.data, len, plain, PLAIN + 1, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(frame_unpack(u, b.data, 0, plain, 0, NULL), -EBADMSG);
	for (uint32_t i = 0; i < len; i += len / 50 + 1) {
		/* This bit of the descriptor is nobody's: decoders pass it over. */
		unsigned char bit = i == 4 ? 8 : 16;

		b.data[i] ^= bit;
		CU_ASSERT_EQUAL(
			frame_unpack(u, b.data, len, plain, PLAIN, NULL), -EBADMSG);
		b.data[i] ^= bit;
	}
	CU_ASSERT_EQUAL(frame_unpack(u, b.data, len, plain, PLAIN, NULL), 0);
}

static void frames_say_what_they_hold_and_check_it(void)
{
	SCOPED_FRAMES struct frames f = {0};
	SCOPED_BUF struct buf b = {0};

	if (!have_zstd())
		return;
	CU_ASSERT_EQUAL_FATAL(pack_pieces(&b, &f, 1, NULL), 0);
	/* RFC 8878: magic, then the descriptor: size of content, checksum. */
	CU_ASSERT_EQUAL(memcmp(b.data, "\x28\xb5\x2f\xfd", 4), 0);
	CU_ASSERT(b.data[4] >> 6 || b.data[4] & 0x20);
	CU_ASSERT(b.data[4] & 4);
}

static void what_has_no_room_or_no_level_is_refused(void)
{
	SCOPED(frame_packer_freep) struct frame_packer *p = NULL;
	static unsigned char plain[PLAIN], out[64];
	uint32_t packed = 0;

	if (!have_zstd())
		return;
	CU_ASSERT_EQUAL(frame_packer_new(1000, &p, NULL), -EINVAL);
	CU_ASSERT_PTR_NULL(p);
	CU_ASSERT_EQUAL(frame_packer_new(-1, &p, NULL), 0);
	fill(plain, PLAIN, 3);
	CU_ASSERT_EQUAL(
		frame_pack(p, plain, PLAIN, out, sizeof(out), &packed, NULL), -ENOSPC);
	/* And goes on. */
	CU_ASSERT_EQUAL(frame_pack(p, plain, 0, out, sizeof(out), &packed, NULL), 0);
	CU_ASSERT(packed > 0);
}

static const struct test tests[] = {
	TEST(a_byte_is_in_the_frame_that_holds_it),
	TEST(no_frames_are_frames_too),
	TEST(the_table_is_laid_out_as_its_page_says),
	TEST(a_table_comes_back),
	TEST(checksums_in_a_table_are_passed_over),
	TEST(a_file_without_a_table_has_none),
	TEST(a_table_that_lies_is_refused),
	TEST(frames_fill_the_file_before_their_table),
	TEST(pieces_grow_before_there_are_too_many_frames),
	TEST(each_frame_is_read_by_itself),
	TEST(damage_to_a_frame_is_found),
	TEST(frames_say_what_they_hold_and_check_it),
	TEST(what_has_no_room_or_no_level_is_refused),
};
SUITE("codec_frames", tests)
