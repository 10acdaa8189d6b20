/* SPDX-License-Identifier: BSD-3-Clause */
#include "headers.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

struct header_maker *headers_maker(void)
{
	struct header_maker *m = NULL;

	CU_ASSERT_EQUAL_FATAL(header_maker_new(&m, NULL), 0);
	return m;
}

struct manifest_entry headers_file(uint64_t size)
{
	return (struct manifest_entry){.kind = MANIFEST_FILE,
		.size = size,
		.mode = 0644,
		.uid = 1000,
		.gid = 100,
		.mtime = 1700000000,
		.mtime_ns = 123456789,
		.group = MANIFEST_NONE};
}

static unsigned octal(const unsigned char *p, int len)
{
	unsigned v = 0;

	for (; len > 0 && *p >= '0' && *p <= '7'; p++, len--)
		v = v * 8 + (*p - '0');
	return v;
}

/* Is it a header as POSIX has it, with a right sum? */
static bool block_ok(const unsigned char *b)
{
	unsigned sum = 0;

	for (int i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : b[i];
	return sum == octal(b + 148, 8) && memcmp(b + 257,
						   "ustar\0"
						   "00",
						   8) == 0;
}

/* The records of a pax header: each says how long it is. */
static bool records_ok(const char *p, size_t len)
{
	const char *end = p + len, *key;
	char *after;
	size_t n;

	for (; p < end; p += n) {
		n = strtoul(p, &after, 10);
		key = after + 1;
		if (n < 5 || n > (size_t)(end - p) || *after != ' ' ||
			p[n - 1] != '\n' || !memchr(key, '=', (size_t)(p + n - key)))
			return false;
	}
	return true;
}

/* All of it: pax header with records up to @room, then the header of the member. */
bool headers_bytes_ok(const struct buf *b)
{
	size_t at = 0, size;

	if (b->data[156] == 'x') {
		size = octal(b->data + 124, 12);
		if (!block_ok(b->data) || 512 + size > b->len ||
			!records_ok((char *)b->data + 512, size))
			return false;
		at = 512 + (size + 511) / 512 * 512;
	}
	return at + 512 <= b->len && b->data[at + 156] != 'x' && block_ok(b->data + at);
}

static locale_t utf8;

/* What a reader makes of a header and the end mark. NULL: it makes nothing of it. */
struct archive_entry *headers_read_back(const struct buf *header)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e = NULL, *copy = NULL;
	SCOPED_BUF struct buf b = {0};

	/* Strings of an entry are made when somebody asks for them. */
	if (!utf8) {
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
		if (!utf8)
			exit(77);
	}
	uselocale(utf8);

	buf_put(&b, header->data, header->len);
	memset(buf_extend(&b, 4096), 0, 4096);
	archive_read_support_format_tar(a);
	archive_read_set_options(a, "mac-ext=0");
	if (archive_read_open_memory(a, b.data, b.len) == ARCHIVE_OK &&
		archive_read_next_header(a, &e) == ARCHIVE_OK &&
		archive_filter_bytes(a, 0) == (int64_t)header->len)
		copy = archive_entry_clone(e);
	archive_read_free(a);
	return copy;
}

void headers_free_entry(struct archive_entry **e)
{
	archive_entry_free(*e);
}

struct archive_entry *headers_round_trip(const struct header *h, uint64_t room)
{
	SCOPED_MAKER struct header_maker *m = headers_maker();
	SCOPED_BUF struct buf b = {0};
	struct archive_entry *e;

	CU_ASSERT_EQUAL_FATAL(header_make(m, h, room, &b, NULL), 0);
	CU_ASSERT(headers_bytes_ok(&b));
	CU_ASSERT(room == 0 || b.len == room);
	e = headers_read_back(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	return e;
}

void headers_name_of(char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		name[i] = i % 60 == 59 && i + 1 < len ? '/' : (char)('a' + i % 23);
	name[len] = '\0';
}
