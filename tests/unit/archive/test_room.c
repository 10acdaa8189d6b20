/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers of a size that was planned before anybody knew the last word on the name. */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "headers.h"

#define LONGEST_ROOM 8192u

/* Is @b the same member as @want, whatever fills it up? */
static bool same(const struct buf *b, struct archive_entry *want)
{
	SCOPED_ENTRY e = headers_read_back(b);

	return e &&
	       strcmp(archive_entry_pathname(e), archive_entry_pathname(want)) == 0 &&
	       archive_entry_size(e) == archive_entry_size(want) &&
	       archive_entry_mtime(e) == archive_entry_mtime(want) &&
	       archive_entry_mtime_nsec(e) == archive_entry_mtime_nsec(want) &&
	       archive_entry_uid(e) == archive_entry_uid(want) &&
	       archive_entry_mode(e) == archive_entry_mode(want);
}

static unsigned try_rooms(struct header_maker *m, const struct header *h)
{
	SCOPED_BUF struct buf first = {0};
	unsigned wrong = 0;
	bool fits;

	wrong += header_make(m, h, 0, &first, NULL) != 0;
	SCOPED_ENTRY want = headers_read_back(&first);
	if (!want)
		return 1;
	for (uint64_t room = 512; room <= LONGEST_ROOM; room += 512) {
		SCOPED_BUF struct buf b = {0};
		int r = header_make(m, h, room, &b, NULL);

		fits = room == first.len ||
		       (room > first.len &&
			       (first.data[156] == 'x' || room >= first.len + 1024));
		if (r != (fits ? 0 : -ENOSPC) || b.len != (fits ? room : 0))
			wrong++;
		else if (fits && (!headers_bytes_ok(&b) || !same(&b, want)))
			wrong++;
	}
	return wrong;
}

static void headers_fill_any_room(void)
{
	SCOPED_MAKER struct header_maker *m = headers_maker();
	struct manifest_entry e = headers_file(1);
	struct header h = {.e = &e};
	char name[2048];
	unsigned wrong = 0;

	h.path = name;
	/* Each length of records that there is up to two blocks, and a few above. */
	for (size_t len = 1; len < 2000; len += len < 1100 ? 1 : 97) {
		headers_name_of(name, len);
		if (len % 7 == 0)
			name[len / 2] = '\xff';
		e.mtime_ns = len % 2 ? 0 : 123456789;
		wrong += try_rooms(m, &h);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void rooms_of_no_blocks_are_refused(void)
{
	SCOPED_MAKER struct header_maker *m = headers_maker();
	SCOPED_BUF struct buf b = {0};
	struct manifest_entry e = headers_file(1);
	struct header h = {.e = &e, .path = "a"};
	struct ebt_err err;

	CU_ASSERT_EQUAL(header_make(m, &h, 2000, &b, &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a: "));
	CU_ASSERT_EQUAL(header_make(m, &h, 1, &b, NULL), -ENOSPC);
	CU_ASSERT_EQUAL(b.len, 0);
}

static void there_is_room_for_whatever_a_name_becomes(void)
{
	static const char *const ends[] = {
		"", ".", ".ebt-torn", ".ebt-missing", "012345678901"};
	SCOPED_MAKER struct header_maker *m = headers_maker();
	struct manifest_entry e = headers_file(1);
	char name[2048], longer[2100], link[2100];
	unsigned wrong = 0;
	uint64_t room, length;

	for (size_t len = 1; len < 1100; len++) {
		struct header h = {.e = &e, .path = name};

		headers_name_of(name, len);
		e.mtime_ns = len % 3 ? 0 : 5;
		if (len % 4 == 0)
			h.link = name;
		if (len % 5 == 0)
			name[len - 1] = '\xc3';
		CU_ASSERT_EQUAL_FATAL(header_room(m, &h, &room, NULL), 0);
		for (size_t k = 0; k < COUNT(ends); k++) {
			struct header is = h;
			SCOPED_BUF struct buf b = {0};

			snprintf(longer, sizeof(longer), "%s%s", name, ends[k]);
			snprintf(link, sizeof(link), "%s%s", name,
				ends[COUNT(ends) - 1 - k]);
			is.path = longer;
			is.link = h.link ? link : NULL;
			wrong += header_length(m, &is, &length, NULL) != 0 ||
				 length > room;
			wrong += header_make(m, &is, room, &b, NULL) != 0 ||
				 b.len != room || !headers_bytes_ok(&b);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct manifest_extent two[] = {{131072, 131072}, {9ull << 30, 4096}};

static void a_sparse_file_has_its_map_in_front(void)
{
	struct manifest_entry e = headers_file((9ull << 30) + 4096);
	struct header h = {.e = &e, .path = "sparse", .sparse = true};
	la_int64_t off, len;

	e.extents = two;
	e.n_extents = 2;
	CU_ASSERT(header_sparse(&e));
	CU_ASSERT_EQUAL(header_packed(&h), 135168);
	for (uint64_t room = 0; room <= 8192; room += 8192) {
		SCOPED_ENTRY back = headers_round_trip(&h, room);

		CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), "sparse");
		CU_ASSERT_EQUAL(archive_entry_size(back), (9ll << 30) + 4096);
		CU_ASSERT_EQUAL(archive_entry_sparse_reset(back), 2);
		CU_ASSERT_EQUAL(archive_entry_sparse_next(back, &off, &len), 0);
		CU_ASSERT_EQUAL(off, 131072);
		CU_ASSERT_EQUAL(len, 131072);
		CU_ASSERT_EQUAL(archive_entry_sparse_next(back, &off, &len), 0);
		CU_ASSERT_EQUAL(off, 9ll << 30);
		CU_ASSERT_EQUAL(len, 4096);
	}
	h.sparse = false;
	CU_ASSERT_EQUAL(header_packed(&h), e.size);
	SCOPED_ENTRY whole = headers_round_trip(&h, 0);
	CU_ASSERT_EQUAL(archive_entry_sparse_count(whole), 0);
}

static void long_maps_are_maps(void)
{
	enum { N = 3000 };
	SCOPED_FREE struct manifest_extent *x = calloc(N, sizeof(*x));
	struct manifest_entry e = headers_file(3ull << 40);
	struct header h = {.e = &e, .path = "sparse", .sparse = true};

	for (uint64_t i = 0; i < N; i++)
		x[i] = (struct manifest_extent){i << 30, 131072};
	e.extents = x;
	e.n_extents = N;
	SCOPED_ENTRY back = headers_round_trip(&h, 0);
	SCOPED_ENTRY filled = headers_round_trip(&h, 512 * 200);
	/* The hole at its end is one more, with nothing in it. */
	CU_ASSERT(archive_entry_sparse_count(back) >= N);
	CU_ASSERT(archive_entry_sparse_count(filled) >= N);
	CU_ASSERT_EQUAL(archive_entry_size(filled), 3ll << 40);
}

static void holes_are_left_out_where_that_saves_something(void)
{
	static const struct {
		uint64_t size, data;
		bool sparse;
	} cases[] = {
		{8 << 20, 7 << 20, true},
		{(8 << 20) + 8, 7 << 20, true},
		{(8 << 20) - 1, 7 << 20, false}, /* a MiB without a byte */
		{16 << 20, 15 << 20, false},	 /* a part that is too small */
		{16 << 20, 14 << 20, true},
		{1 << 20, 131072, false},
		{1ull << 50, 131072, true},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct manifest_entry e = headers_file(cases[i].size);
		struct manifest_extent x = {0, cases[i].data};

		CU_ASSERT_FALSE(header_sparse(&e));
		e.extents = &x;
		e.n_extents = 1;
		CU_ASSERT_EQUAL(header_sparse(&e), cases[i].sparse);
	}
}

static void the_callers_locale_is_left_alone(void)
{
	SCOPED_MAKER struct header_maker *m = headers_maker();
	SCOPED_BUF struct buf b = {0};
	struct manifest_entry e = headers_file(1);
	struct header h = {.e = &e, .path = "\xc3\xbc"};

	uselocale(LC_GLOBAL_LOCALE);
	CU_ASSERT_EQUAL(header_make(m, &h, 0, &b, NULL), 0);
	CU_ASSERT_PTR_EQUAL(uselocale((locale_t)0), LC_GLOBAL_LOCALE);
	CU_ASSERT_STRING_EQUAL(setlocale(LC_ALL, NULL), "C");
	SCOPED_ENTRY back = headers_read_back(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), "\xc3\xbc");
}

static void *make_many(void *arg)
{
	struct manifest_entry e = headers_file(1);
	struct header h = {.e = &e, .path = "d\xc3\xbc/\xff"};
	uintptr_t wrong = 0;

	for (int i = 0; i < 300; i++) {
		SCOPED_BUF struct buf b = {0};

		wrong += header_make(arg, &h, 4096, &b, NULL) != 0 || b.len != 4096 ||
			 !headers_bytes_ok(&b);
	}
	return (void *)wrong;
}

static void threads_share_a_maker(void)
{
	SCOPED_MAKER struct header_maker *m = headers_maker();
	pthread_t threads[4];
	void *wrong;

	for (size_t i = 0; i < COUNT(threads); i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, make_many, m), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &wrong);
		CU_ASSERT_PTR_NULL(wrong);
	}
}

static const struct test tests[] = {
	TEST(headers_fill_any_room),
	TEST(rooms_of_no_blocks_are_refused),
	TEST(there_is_room_for_whatever_a_name_becomes),
	TEST(a_sparse_file_has_its_map_in_front),
	TEST(long_maps_are_maps),
	TEST(holes_are_left_out_where_that_saves_something),
	TEST(the_callers_locale_is_left_alone),
	TEST(threads_share_a_maker),
};
SUITE("archive_room", tests)
