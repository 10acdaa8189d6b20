/* SPDX-License-Identifier: BSD-3-Clause */
/* Maps of holes in the four ways of GNU tar, right ones and others. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archives.h"
#include "suite.h"

#define SIZE 300000 /* bytes */

struct piece {
	uint64_t off, len;
};

enum form {
	FORM_OLD, /* header of type S */
	FORM_00,
	FORM_01,
	FORM_10,
	FORMS,
};

static void number(struct buf *r, const char *key, uint64_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	pax_record(r, key, text, strlen(text));
}

/* Fields of an 'S' header: four pieces, then blocks of 21. */
static void old_header(
	struct buf *b, uint64_t size, const struct piece *p, size_t n, uint64_t packed)
{
	size_t at = b->len, next = 0;
	char *h;

	tar_gnu(b, "f", 'S', packed);
	h = (char *)b->data + at;
	for (; next < n && next < 4; next++)
		snprintf(h + 386 + 24 * next, 25, "%011llo%c%011llo",
			(unsigned long long)p[next].off, 0,
			(unsigned long long)p[next].len);
	h[482] = next < n;
	snprintf(h + 483, 15, "%011llo", (unsigned long long)size);
	tar_sum(b, at);
	while (next < n) {
		h = buf_extend(b, 512);
		memset(h, 0, 512);
		for (int i = 0; next < n && i < 21; i++, next++)
			snprintf(h + 24 * i, 25, "%011llo%c%011llo",
				(unsigned long long)p[next].off, 0,
				(unsigned long long)p[next].len);
		h[504] = next < n;
	}
}

static void pax_header(struct buf *b, enum form form, uint64_t size,
	const struct piece *p, size_t n, uint64_t packed)
{
	SCOPED_BUF struct buf r = {0};
	SCOPED_BUF struct buf map = {0};

	if (form == FORM_10) {
		number(&r, "GNU.sparse.major", 1);
		number(&r, "GNU.sparse.minor", 0);
		pax_record(&r, "GNU.sparse.name", "f", 1);
		number(&r, "GNU.sparse.realsize", size);
		buf_printf(&map, "%zu\n", n);
	} else {
		number(&r, "GNU.sparse.size", size);
		number(&r, "GNU.sparse.numblocks", n);
	}
	for (size_t i = 0; i < n; i++) {
		if (form == FORM_00) {
			number(&r, "GNU.sparse.offset", p[i].off);
			number(&r, "GNU.sparse.numbytes", p[i].len);
		} else {
			const char *between = form == FORM_10 ? "\n" : ",";

			buf_printf(&map, "%llu%s%llu%s", (unsigned long long)p[i].off,
				between, (unsigned long long)p[i].len,
				form == FORM_10 || i + 1 < n ? between : "");
		}
	}
	if (form == FORM_01) {
		pax_record(&r, "GNU.sparse.map", map.data, map.len);
		pax_record(&r, "GNU.sparse.name", "f", 1);
		map.len = 0;
	}
	if (form == FORM_10)
		while (map.len % 512)
			buf_put8(&map, 0);
	tar_pax(b, &r);
	tar_header(b, form == FORM_00 ? "f" : "GNUSparseFile.0/f", '0',
		packed + map.len, "");
	buf_put(b, map.data, map.len);
}

static void member(struct buf *b, enum form form, uint64_t size, const struct piece *p,
	size_t n, uint64_t packed)
{
	SCOPED_FREE char *data = malloc(packed + 1);

	memset(data, 'd', packed);
	if (form == FORM_OLD)
		old_header(b, size, p, n, packed);
	else
		pax_header(b, form, size, p, n, packed);
	tar_content(b, data, packed);
}

static uint64_t packed_of(const struct piece *p, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += p[i].len;
	return sum;
}

static void holes_are_zeros_and_data_is_where_it_was(void)
{
	struct piece pieces[31];
	static unsigned char want[SIZE], have[SIZE];

	for (size_t i = 0; i < 30; i++)
		pieces[i] = (struct piece){4096 + 8192 * i, i % 3 ? 512 : 4096};
	pieces[30] = (struct piece){SIZE, 0};
	memset(want, 0, SIZE);
	for (size_t i = 0; i < 30; i++)
		memset(want + pieces[i].off, 'd', pieces[i].len);
	for (int form = 0; form < FORMS; form++) {
		SCOPED(unarchive_freep) struct unarchive *u = NULL;
		SCOPED_BUF struct buf b = {0};
		SCOPED_FD int fd = -1;
		struct ebt_err err;
		struct member m;

		member(&b, (enum form)form, SIZE, pieces, 31, packed_of(pieces, 31));
		tar_file(&b, "g", "after");
		tar_end(&b);
		fd = source_open(b.data, b.len, SOURCE_FILE);
		CU_ASSERT_FATAL(unarchive_open(fd, "a", &(struct unarchive_options){0},
					&u, &err) == 0);
		CU_ASSERT_EQUAL_FATAL(unarchive_next(u, &m, &err), 1);
		CU_ASSERT_STRING_EQUAL(m.e.name, "f");
		CU_ASSERT_EQUAL(m.e.size, SIZE);
		CU_ASSERT_EQUAL(
			m.e.allocated, (packed_of(pieces, 31) + 4095) / 4096 * 4096);
		CU_ASSERT_EQUAL(m.e.n_extents, 0);
		CU_ASSERT_EQUAL(m.at, UNARCHIVE_NOWHERE);
		for (uint64_t at = 0; at < SIZE; at += 7777)
			CU_ASSERT_EQUAL(
				unarchive_read(u, at, have + at,
					SIZE - at < 7777 ? SIZE - at : 7777, &err),
				0);
		CU_ASSERT(memcmp(have, want, SIZE) == 0);
		CU_ASSERT_EQUAL(unarchive_next(u, &m, &err), 1);
		CU_ASSERT_EQUAL(m.at == UNARCHIVE_NOWHERE, false);
		CU_ASSERT_EQUAL(unarchive_next(u, &m, &err), 0);
	}
}

static void a_file_that_is_all_hole_has_its_size(void)
{
	for (int form = 0; form < FORMS; form++) {
		const struct piece none = {SIZE, 0};
		SCOPED_BUF struct buf b = {0};
		char expected[64];

		member(&b, (enum form)form, SIZE, &none, 1, 0);
		tar_end(&b);
		snprintf(expected, sizeof(expected), "f f %d sum 0\n", SIZE);
		expect(&b, TELL_CONTENT, expected);
	}
}

static void what_is_mostly_hole_tells_where_its_data_is(void)
{
	const uint64_t size = (uint64_t)3 << 40;
	const struct piece pieces[] = {{4096, 4096}, {200000, 100}, {1 << 30, 5},
		{((uint64_t)3 << 40) - 10, 10}};

	for (int form = 0; form < FORMS; form++) {
		SCOPED(unarchive_freep) struct unarchive *u = NULL;
		SCOPED_BUF struct buf b = {0};
		SCOPED_FD int fd = -1;
		unsigned char data[16];
		struct ebt_err err;
		struct member m;

		/* The old form has no room for such numbers. */
		if (form == FORM_OLD)
			continue;
		member(&b, (enum form)form, size, pieces, 4, packed_of(pieces, 4));
		tar_end(&b);
		fd = source_open(b.data, b.len, SOURCE_PIPE);
		CU_ASSERT_FATAL(unarchive_open(fd, "a", &(struct unarchive_options){0},
					&u, &err) == 0);
		CU_ASSERT_EQUAL_FATAL(unarchive_next(u, &m, &err), 1);
		CU_ASSERT_EQUAL(m.e.size, size);
		CU_ASSERT_EQUAL(m.e.allocated, 8192);
		CU_ASSERT_EQUAL_FATAL(m.e.n_extents, 3);
		CU_ASSERT(m.e.extents[0].off == 0 &&
			  m.e.extents[0].len == 2 * DIGEST_LEAF);
		CU_ASSERT(m.e.extents[1].off == 1 << 30 &&
			  m.e.extents[1].len == DIGEST_LEAF);
		CU_ASSERT(m.e.extents[2].off == size - DIGEST_LEAF &&
			  m.e.extents[2].len == DIGEST_LEAF);
		CU_ASSERT_EQUAL(unarchive_read(u, 200090, data, 16, &err), 0);
		CU_ASSERT(memcmp(data, "dddddddddd\0\0\0\0\0\0", 16) == 0);
		CU_ASSERT_EQUAL(unarchive_read(u, size - 16, data, 16, &err), 0);
		CU_ASSERT(memcmp(data, "\0\0\0\0\0\0dddddddddd", 16) == 0);
		CU_ASSERT_EQUAL(unarchive_next(u, &m, &err), 0);
	}
}

static void maps_that_lie_are_refused(void)
{
	static const struct {
		struct piece pieces[3];
		size_t n;
		uint64_t packed;
	} bad[] = {
		{{{8192, 512}, {4096, 512}}, 2, 1024},	      /* not in order */
		{{{4096, 1024}, {4608, 1024}}, 2, 2048},      /* overlapping */
		{{{SIZE - 100, 512}, {0, 0}}, 1, 512},	      /* past the end */
		{{{4096, 512}, {SIZE + 4096, 512}}, 2, 1024}, /* behind it */
		{{{4096, 512}, {8192, 512}}, 2, 512},	      /* more than there is */
		{{{4096, 512}, {8192, 512}, {SIZE, 0}}, 3, 100}, /* much more */
		{{{4096, 512}, {8192, 512}}, 2, 0},
	};

	for (int form = 0; form < FORMS; form++)
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			SCOPED_BUF struct buf b = {0};

			member(&b, (enum form)form, SIZE, bad[i].pieces, bad[i].n,
				bad[i].packed);
			tar_file(&b, "g", "after");
			tar_end(&b);
			expect_failure(&b, "");
		}
}

static const struct test tests[] = {
	TEST(holes_are_zeros_and_data_is_where_it_was),
	TEST(a_file_that_is_all_hole_has_its_size),
	TEST(what_is_mostly_hole_tells_where_its_data_is),
	TEST(maps_that_lie_are_refused),
};
SUITE("archive_sparse", tests)
