/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Headers are read back by libarchive, and block by block by what POSIX says of them. Other
 * readers: tests/cli/test_pack_formats.sh.
 */
#include "archive/header.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define SCOPED_MAKER	SCOPED(header_maker_freep)
#define LONGEST_ROOM	8192u
#define PERMISSIONS_ACL "system.posix_acl_access"

static struct header_maker *maker(void)
{
	struct header_maker *m = NULL;

	CU_ASSERT_EQUAL_FATAL(header_maker_new(&m, NULL), 0);
	return m;
}

static struct manifest_entry file(uint64_t size)
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
static bool bytes_ok(const struct buf *b)
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
static struct archive_entry *read_back(const struct buf *header)
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

static void free_entry(struct archive_entry **e)
{
	archive_entry_free(*e);
}
#define SCOPED_ENTRY SCOPED(free_entry) struct archive_entry *

static struct archive_entry *round_trip(const struct header *h, uint64_t room)
{
	SCOPED_MAKER struct header_maker *m = maker();
	SCOPED_BUF struct buf b = {0};
	struct archive_entry *e;

	CU_ASSERT_EQUAL_FATAL(header_make(m, h, room, &b, NULL), 0);
	CU_ASSERT(bytes_ok(&b));
	CU_ASSERT(room == 0 || b.len == room);
	e = read_back(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	return e;
}

static void a_name_of(char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		name[i] = i % 60 == 59 && i + 1 < len ? '/' : (char)('a' + i % 23);
	name[len] = '\0';
}

static void a_file_comes_back(void)
{
	struct manifest_entry e = file(12345);
	struct header h = {.e = &e, .path = "d/\xc3\xbc"};
	SCOPED_ENTRY back = round_trip(&h, 0);

	CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), "d/\xc3\xbc");
	CU_ASSERT_EQUAL(archive_entry_filetype(back), AE_IFREG);
	CU_ASSERT_EQUAL(archive_entry_perm(back), 0644);
	CU_ASSERT_EQUAL(archive_entry_size(back), 12345);
	CU_ASSERT_EQUAL(archive_entry_uid(back), 1000);
	CU_ASSERT_EQUAL(archive_entry_gid(back), 100);
	CU_ASSERT_EQUAL(archive_entry_mtime(back), 1700000000);
	CU_ASSERT_EQUAL(archive_entry_mtime_nsec(back), 123456789);
	CU_ASSERT_FALSE(archive_entry_atime_is_set(back));
	CU_ASSERT_FALSE(archive_entry_ctime_is_set(back));
	CU_ASSERT_EQUAL(header_packed(&h), 12345);
}

static void other_kinds_come_back(void)
{
	struct manifest_entry dir = {
		.kind = MANIFEST_DIR, .mode = 02755, .mtime = 5, .size = 4096};
	struct manifest_entry link = {
		.kind = MANIFEST_SYMLINK, .mode = 0777, .target = "../\xff\n"};
	struct manifest_entry other = file(99);
	struct header d = {.e = &dir, .path = "a/dir"};
	struct header l = {.e = &link, .path = "a/link"};
	struct header o = {.e = &other, .path = "a/other", .link = "a/\xfe"};
	SCOPED_ENTRY dir_back = round_trip(&d, 0);
	SCOPED_ENTRY link_back = round_trip(&l, 4096);
	SCOPED_ENTRY other_back = round_trip(&o, 4096);

	CU_ASSERT_EQUAL(archive_entry_filetype(dir_back), AE_IFDIR);
	CU_ASSERT_EQUAL(archive_entry_perm(dir_back), 02755);
	CU_ASSERT_EQUAL(archive_entry_size(dir_back), 0);
	CU_ASSERT_STRING_EQUAL(archive_entry_pathname(dir_back), "a/dir/");
	CU_ASSERT_EQUAL(archive_entry_filetype(link_back), AE_IFLNK);
	CU_ASSERT_STRING_EQUAL(archive_entry_symlink(link_back), "../\xff\n");
	CU_ASSERT_STRING_EQUAL(archive_entry_hardlink(other_back), "a/\xfe");
	CU_ASSERT_EQUAL(archive_entry_size(other_back), 0);
	CU_ASSERT_EQUAL(header_packed(&d), 0);
	CU_ASSERT_EQUAL(header_packed(&l), 0);
	CU_ASSERT_EQUAL(header_packed(&o), 0);
}

static void names_are_any_bytes(void)
{
	static const char *const names[] = {"a", "a b", "new\nline", "\xff\xfe",
		"d\xff/x", "\xc3", "tab\t%=\\\"", "..a", "\xf0\x9f\x90\xa7",
		"\xed\xa0\x80", "x\x01\x7f"};
	struct manifest_entry e = file(1);

	for (size_t i = 0; i < COUNT(names); i++) {
		struct header h = {.e = &e, .path = names[i]};
		SCOPED_ENTRY back = round_trip(&h, 0);
		SCOPED_ENTRY filled = round_trip(&h, 5120);

		CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), names[i]);
		CU_ASSERT_STRING_EQUAL(archive_entry_pathname(filled), names[i]);
	}
}

static void names_are_of_any_length(void)
{
	static const size_t lens[] = {1, 99, 100, 101, 155, 156, 255, 256, 257, 1000,
		4000, 4096, MANIFEST_PATH_MAX};
	static char name[MANIFEST_PATH_SIZE];
	struct manifest_entry e = file(1);

	for (size_t i = 0; i < COUNT(lens); i++) {
		struct header h = {.e = &e, .path = name};
		struct header l = {.e = &e, .path = "l", .link = name};
		a_name_of(name, lens[i]);
		SCOPED_ENTRY back = round_trip(&h, 0);
		SCOPED_ENTRY link = round_trip(&l, 0);

		CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), name);
		CU_ASSERT_STRING_EQUAL(archive_entry_hardlink(link), name);
	}
	/* One component without a slash, which no ustar header could hold. */
	memset(name, 'n', 255);
	name[255] = '\0';
	struct header h = {.e = &e, .path = name};
	SCOPED_ENTRY back = round_trip(&h, 0);
	CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), name);
}

static void large_numbers_come_back(void)
{
	static const struct {
		uint64_t size;
		uint32_t id;
		int64_t mtime;
	} cases[] = {
		{(8ull << 30) - 1, (1u << 21) - 1, 0},
		{8ull << 30, 1u << 21, 1},
		{10ull << 30, 3000000, 0x7fffffff},
		{1ull << 59, 4000000000, 0x80000000ll},
		{(1ull << 59) + 511, UINT32_MAX - 1, 0x1ffffffffll},
		{0, 0, 253402300800ll},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct manifest_entry e = file(cases[i].size);
		struct header h = {.e = &e, .path = "large"};

		e.uid = e.gid = cases[i].id;
		e.mtime = cases[i].mtime;
		SCOPED_ENTRY back = round_trip(&h, 0);
		CU_ASSERT_EQUAL(archive_entry_size(back), (int64_t)cases[i].size);
		CU_ASSERT_EQUAL(archive_entry_uid(back), cases[i].id);
		CU_ASSERT_EQUAL(archive_entry_gid(back), cases[i].id);
		CU_ASSERT_EQUAL(archive_entry_mtime(back), cases[i].mtime);
		CU_ASSERT_EQUAL(archive_entry_mtime_nsec(back), 123456789);
	}
}

static void times_before_1970_are_whole_seconds(void)
{
	static const struct {
		int64_t sec, back;
		uint32_t ns, ns_back;
	} cases[] = {
		{-1, -1, 0, 0},
		{-6, -6, 750000000, 0},
		{-1, -1, 999999999, 0},
		{-2208988800, -2208988800, 1, 0},
		{0, 0, 1, 1},
		{0, 0, 999999999, 999999999},
		{5, 5, 100, 100},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct manifest_entry e = file(1);
		struct header h = {.e = &e, .path = "old"};

		e.mtime = cases[i].sec;
		e.mtime_ns = cases[i].ns;
		SCOPED_ENTRY back = round_trip(&h, 0);
		CU_ASSERT_EQUAL(archive_entry_mtime(back), cases[i].back);
		CU_ASSERT_EQUAL(archive_entry_mtime_nsec(back), cases[i].ns_back);
	}
}

static void put_xattr(struct buf *b, const char *name, const void *value, size_t len)
{
	buf_put16(b, (uint16_t)strlen(name));
	buf_put32(b, (uint32_t)len);
	buf_put(b, name, strlen(name));
	buf_put(b, value, len);
}

/* user::rwx user:1234:rw- group::r-- group:4000000000:r-x mask::rwx other::--- */
static void put_acl(struct buf *b, const char *name)
{
	static const struct {
		uint16_t tag, permissions;
		uint32_t id;
	} entries[] = {{1, 7, UINT32_MAX}, {2, 6, 1234}, {4, 4, UINT32_MAX},
		{8, 5, 4000000000}, {16, 7, UINT32_MAX}, {32, 0, UINT32_MAX}};
	SCOPED_BUF struct buf acl = {0};

	buf_put32(&acl, 2);
	for (size_t i = 0; i < COUNT(entries); i++) {
		buf_put16(&acl, entries[i].tag);
		buf_put16(&acl, entries[i].permissions);
		buf_put32(&acl, entries[i].id);
	}
	put_xattr(b, name, acl.data, acl.len);
}

static int count_acl(struct archive_entry *e, int type)
{
	return archive_entry_acl_count(e, type);
}

static bool has_acl(struct archive_entry *e, int type, int tag, int id, int permissions)
{
	int t, p, g, q;
	const char *name;

	archive_entry_acl_reset(e, type);
	while (archive_entry_acl_next(e, type, &t, &p, &g, &q, &name) == ARCHIVE_OK)
		if (g == tag && q == id && p == permissions)
			return true;
	return false;
}

static void acls_are_entries_and_no_attributes(void)
{
	SCOPED_BUF struct buf x = {0};
	struct manifest_entry e = {.kind = MANIFEST_DIR, .mode = 0770};
	struct header h = {.e = &e, .path = "d"};

	put_acl(&x, PERMISSIONS_ACL);
	put_acl(&x, "system.posix_acl_default");
	put_xattr(&x, "user.a", "v", 1);
	e.xattrs = x.data;
	e.xattrs_len = (uint32_t)x.len;
	SCOPED_ENTRY back = round_trip(&h, 0);
	for (int type = ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
		type <= ARCHIVE_ENTRY_ACL_TYPE_DEFAULT; type *= 2) {
		CU_ASSERT_EQUAL(count_acl(back, type), 6);
		CU_ASSERT(has_acl(back, type, ARCHIVE_ENTRY_ACL_USER, 1234, 6));
		CU_ASSERT(has_acl(back, type, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, 4));
		/* The largest that libarchive knows; the bytes are looked at below. */
		CU_ASSERT(has_acl(back, type, ARCHIVE_ENTRY_ACL_GROUP, INT_MAX, 5));
		CU_ASSERT(has_acl(back, type, ARCHIVE_ENTRY_ACL_MASK, -1, 7));
	}
	CU_ASSERT_EQUAL(archive_entry_xattr_count(back), 1);
	/* Who knows no ACLs gets no more than the group had. */
	CU_ASSERT_EQUAL(archive_entry_perm(back), 0740);
}

static bool has_bytes(const struct header *h, const char *text)
{
	SCOPED_MAKER struct header_maker *m = maker();
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL(header_make(m, h, 0, &b, NULL), 0);
	return memmem(b.data, b.len, text, strlen(text)) != NULL;
}

static void acls_are_text_with_numbers(void)
{
	SCOPED_BUF struct buf x = {0};
	SCOPED_BUF struct buf none = {0};
	struct manifest_entry e = file(0);
	struct header h = {.e = &e, .path = "f"};

	put_acl(&x, PERMISSIONS_ACL);
	e.xattrs = x.data;
	e.xattrs_len = (uint32_t)x.len;
	CU_ASSERT(has_bytes(&h, "SCHILY.acl.access=user::rwx,user:1234:rw-,"
				"group::r--,group:4000000000:r-x,mask::rwx,"
				"other::---\n"));
	/* As the kernel hands out one that was taken away. */
	put_xattr(&none, PERMISSIONS_ACL, "\2\0\0\0", 4);
	e.xattrs = none.data;
	e.xattrs_len = (uint32_t)none.len;
	CU_ASSERT_FALSE(has_bytes(&h, "SCHILY"));
}

static void records_say_how_long_they_are(void)
{
	static char value[1200];
	struct manifest_entry e = file(0);
	struct header h = {.e = &e, .path = "f"};
	SCOPED_MAKER struct header_maker *m = maker();
	unsigned wrong = 0;

	memset(value, 'v', sizeof(value));
	for (size_t len = 0; len < sizeof(value); len++) {
		SCOPED_BUF struct buf x = {0};
		SCOPED_BUF struct buf b = {0};

		put_xattr(&x, "user.a", value, len);
		e.xattrs = x.data;
		e.xattrs_len = (uint32_t)x.len;
		wrong += header_make(m, &h, 0, &b, NULL) != 0 || !bytes_ok(&b);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void attributes_come_back(void)
{
	static char large[65536];
	SCOPED_BUF struct buf x = {0};
	struct manifest_entry e = file(1);
	struct header h = {.e = &e, .path = "a"};
	const char *name;
	const void *value;
	size_t len, seen = 0;

	memset(large, '\n', sizeof(large));
	put_xattr(&x, "trusted.t", "", 0);
	put_xattr(&x, "user.binary", "\0=\n\xff", 4);
	put_xattr(&x, "user.large", large, sizeof(large));
	put_xattr(&x, "user.x=y%z\xff", "1", 1);
	e.xattrs = x.data;
	e.xattrs_len = (uint32_t)x.len;
	SCOPED_ENTRY back = round_trip(&h, 0);
	CU_ASSERT_EQUAL(archive_entry_xattr_reset(back), 4);
	while (archive_entry_xattr_next(back, &name, &value, &len) == ARCHIVE_OK) {
		if (strcmp(name, "user.binary") == 0)
			seen += len == 4 && memcmp(value, "\0=\n\xff", 4) == 0;
		else if (strcmp(name, "user.large") == 0)
			seen += len == sizeof(large);
		else if (strcmp(name, "user.x%3Dy%25z\xff") ==
			 0) /* as GNU tar has it */
			seen += len == 1;
		else if (strcmp(name, "trusted.t") == 0)
			seen += len == 0;
	}
	CU_ASSERT_EQUAL(seen, 4);
}

static void a_hard_link_leaves_attributes_to_the_first_name(void)
{
	SCOPED_BUF struct buf x = {0};
	struct manifest_entry e = file(7);
	struct header h = {.e = &e, .path = "b", .link = "a"};

	put_acl(&x, PERMISSIONS_ACL);
	put_xattr(&x, "user.a", "v", 1);
	e.mode = 0770;
	e.xattrs = x.data;
	e.xattrs_len = (uint32_t)x.len;
	SCOPED_ENTRY back = round_trip(&h, 0);
	CU_ASSERT_EQUAL(archive_entry_xattr_count(back), 0);
	CU_ASSERT_EQUAL(count_acl(back, ARCHIVE_ENTRY_ACL_TYPE_ACCESS), 0);
	CU_ASSERT_EQUAL(archive_entry_perm(back), 0740);
}

static void damaged_attributes_are_refused_by_name(void)
{
	static const struct {
		const char *name, *value;
		size_t len;
	} bad[] = {
		{PERMISSIONS_ACL, "", 0},
		{PERMISSIONS_ACL, "\2\0\0", 3},
		{PERMISSIONS_ACL, "\3\0\0\0", 4},
		{PERMISSIONS_ACL, "\2\0\0\0\1\0\7\0\0\0\0", 11},
		{PERMISSIONS_ACL, "\2\0\0\0\3\0\7\0\0\0\0\0", 12},
		{PERMISSIONS_ACL, "\2\0\0\0\1\0\10\0\0\0\0\0", 12},
	};
	SCOPED_MAKER struct header_maker *m = maker();
	SCOPED_BUF struct buf out = {0};
	struct manifest_entry e = file(7);
	struct header h = {.e = &e, .path = "d/bad"};
	struct ebt_err err;

	buf_put(&out, "before", 6);
	for (size_t i = 0; i <= COUNT(bad); i++) {
		SCOPED_BUF struct buf x = {0};

		put_xattr(&x, "user.a", "v", 1);
		if (i < COUNT(bad))
			put_xattr(&x, bad[i].name, bad[i].value, bad[i].len);
		else
			x.len--;
		e.xattrs = x.data;
		e.xattrs_len = (uint32_t)x.len;
		CU_ASSERT_EQUAL(header_make(m, &h, 0, &out, &err), -EBADMSG);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "d/bad"));
		CU_ASSERT_EQUAL(out.len, 6);
	}
}

static void what_no_archive_can_say_is_refused(void)
{
	SCOPED_MAKER struct header_maker *m = maker();
	SCOPED_BUF struct buf out = {0};
	struct manifest_entry e = file(7);
	struct header h = {.e = &e, .path = ""};
	uint64_t v = 1;

	CU_ASSERT_EQUAL(header_make(m, &h, 0, &out, NULL), -EINVAL);
	CU_ASSERT_EQUAL(header_length(m, &h, &v, NULL), -EINVAL);
	CU_ASSERT_EQUAL(header_room(m, &h, &v, NULL), -EINVAL);
	h.path = "a";
	e.size = (uint64_t)INT64_MAX + 1;
	CU_ASSERT_EQUAL(header_make(m, &h, 0, &out, NULL), -EINVAL);
	CU_ASSERT_EQUAL(out.len, 0);
	CU_ASSERT_EQUAL(v, 1);
}

/* Is @b the same member as @want, whatever fills it up? */
static bool same(const struct buf *b, struct archive_entry *want)
{
	SCOPED_ENTRY e = read_back(b);

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
	SCOPED_ENTRY want = read_back(&first);
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
		else if (fits && (!bytes_ok(&b) || !same(&b, want)))
			wrong++;
	}
	return wrong;
}

static void headers_fill_any_room(void)
{
	SCOPED_MAKER struct header_maker *m = maker();
	struct manifest_entry e = file(1);
	struct header h = {.e = &e};
	char name[2048];
	unsigned wrong = 0;

	h.path = name;
	/* Each length of records that there is up to two blocks, and a few above. */
	for (size_t len = 1; len < 2000; len += len < 1100 ? 1 : 97) {
		a_name_of(name, len);
		if (len % 7 == 0)
			name[len / 2] = '\xff';
		e.mtime_ns = len % 2 ? 0 : 123456789;
		wrong += try_rooms(m, &h);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void rooms_of_no_blocks_are_refused(void)
{
	SCOPED_MAKER struct header_maker *m = maker();
	SCOPED_BUF struct buf b = {0};
	struct manifest_entry e = file(1);
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
	SCOPED_MAKER struct header_maker *m = maker();
	struct manifest_entry e = file(1);
	char name[2048], longer[2100], link[2100];
	unsigned wrong = 0;
	uint64_t room, length;

	for (size_t len = 1; len < 1100; len++) {
		struct header h = {.e = &e, .path = name};

		a_name_of(name, len);
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
				 b.len != room || !bytes_ok(&b);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct manifest_extent two[] = {{131072, 131072}, {9ull << 30, 4096}};

static void a_sparse_file_has_its_map_in_front(void)
{
	struct manifest_entry e = file((9ull << 30) + 4096);
	struct header h = {.e = &e, .path = "sparse", .sparse = true};
	la_int64_t off, len;

	e.extents = two;
	e.n_extents = 2;
	CU_ASSERT(header_sparse(&e));
	CU_ASSERT_EQUAL(header_packed(&h), 135168);
	for (uint64_t room = 0; room <= 8192; room += 8192) {
		SCOPED_ENTRY back = round_trip(&h, room);

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
	SCOPED_ENTRY whole = round_trip(&h, 0);
	CU_ASSERT_EQUAL(archive_entry_sparse_count(whole), 0);
}

static void long_maps_are_maps(void)
{
	enum { N = 3000 };
	SCOPED_FREE struct manifest_extent *x = calloc(N, sizeof(*x));
	struct manifest_entry e = file(3ull << 40);
	struct header h = {.e = &e, .path = "sparse", .sparse = true};

	for (uint64_t i = 0; i < N; i++)
		x[i] = (struct manifest_extent){i << 30, 131072};
	e.extents = x;
	e.n_extents = N;
	SCOPED_ENTRY back = round_trip(&h, 0);
	SCOPED_ENTRY filled = round_trip(&h, 512 * 200);
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
		struct manifest_entry e = file(cases[i].size);
		struct manifest_extent x = {0, cases[i].data};

		CU_ASSERT_FALSE(header_sparse(&e));
		e.extents = &x;
		e.n_extents = 1;
		CU_ASSERT_EQUAL(header_sparse(&e), cases[i].sparse);
	}
}

static void the_callers_locale_is_left_alone(void)
{
	SCOPED_MAKER struct header_maker *m = maker();
	SCOPED_BUF struct buf b = {0};
	struct manifest_entry e = file(1);
	struct header h = {.e = &e, .path = "\xc3\xbc"};

	uselocale(LC_GLOBAL_LOCALE);
	CU_ASSERT_EQUAL(header_make(m, &h, 0, &b, NULL), 0);
	CU_ASSERT_PTR_EQUAL(uselocale((locale_t)0), LC_GLOBAL_LOCALE);
	CU_ASSERT_STRING_EQUAL(setlocale(LC_ALL, NULL), "C");
	SCOPED_ENTRY back = read_back(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), "\xc3\xbc");
}

static void *make_many(void *arg)
{
	struct manifest_entry e = file(1);
	struct header h = {.e = &e, .path = "d\xc3\xbc/\xff"};
	uintptr_t wrong = 0;

	for (int i = 0; i < 300; i++) {
		SCOPED_BUF struct buf b = {0};

		wrong += header_make(arg, &h, 4096, &b, NULL) != 0 || b.len != 4096 ||
			 !bytes_ok(&b);
	}
	return (void *)wrong;
}

static void threads_share_a_maker(void)
{
	SCOPED_MAKER struct header_maker *m = maker();
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
	TEST(a_file_comes_back),
	TEST(other_kinds_come_back),
	TEST(names_are_any_bytes),
	TEST(names_are_of_any_length),
	TEST(large_numbers_come_back),
	TEST(times_before_1970_are_whole_seconds),
	TEST(acls_are_entries_and_no_attributes),
	TEST(acls_are_text_with_numbers),
	TEST(records_say_how_long_they_are),
	TEST(attributes_come_back),
	TEST(a_hard_link_leaves_attributes_to_the_first_name),
	TEST(damaged_attributes_are_refused_by_name),
	TEST(what_no_archive_can_say_is_refused),
	TEST(headers_fill_any_room),
	TEST(rooms_of_no_blocks_are_refused),
	TEST(there_is_room_for_whatever_a_name_becomes),
	TEST(a_sparse_file_has_its_map_in_front),
	TEST(long_maps_are_maps),
	TEST(holes_are_left_out_where_that_saves_something),
	TEST(the_callers_locale_is_left_alone),
	TEST(threads_share_a_maker),
};
SUITE("archive_header", tests)
