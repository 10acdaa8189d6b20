/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Headers are read back by libarchive, and block by block by what POSIX says of them. Other
 * readers: tests/cli/test_pack_formats.sh.
 */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "headers.h"

#define PERMISSIONS_ACL "system.posix_acl_access"

static void a_file_comes_back(void)
{
	struct manifest_entry e = headers_file(12345);
	struct header h = {.e = &e, .path = "d/\xc3\xbc"};
	SCOPED_ENTRY back = headers_round_trip(&h, 0);

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
	struct manifest_entry other = headers_file(99);
	struct header d = {.e = &dir, .path = "a/dir"};
	struct header l = {.e = &link, .path = "a/link"};
	struct header o = {.e = &other, .path = "a/other", .link = "a/\xfe"};
	SCOPED_ENTRY dir_back = headers_round_trip(&d, 0);
	SCOPED_ENTRY link_back = headers_round_trip(&l, 4096);
	SCOPED_ENTRY other_back = headers_round_trip(&o, 4096);

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
	struct manifest_entry e = headers_file(1);

	for (size_t i = 0; i < COUNT(names); i++) {
		struct header h = {.e = &e, .path = names[i]};
		SCOPED_ENTRY back = headers_round_trip(&h, 0);
		SCOPED_ENTRY filled = headers_round_trip(&h, 5120);

		CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), names[i]);
		CU_ASSERT_STRING_EQUAL(archive_entry_pathname(filled), names[i]);
	}
}

static void names_are_of_any_length(void)
{
	static const size_t lens[] = {1, 99, 100, 101, 155, 156, 255, 256, 257, 1000,
		4000, 4096, MANIFEST_PATH_MAX};
	static char name[MANIFEST_PATH_SIZE];
	struct manifest_entry e = headers_file(1);

	for (size_t i = 0; i < COUNT(lens); i++) {
		struct header h = {.e = &e, .path = name};
		struct header l = {.e = &e, .path = "l", .link = name};
		headers_name_of(name, lens[i]);
		SCOPED_ENTRY back = headers_round_trip(&h, 0);
		SCOPED_ENTRY link = headers_round_trip(&l, 0);

		CU_ASSERT_STRING_EQUAL(archive_entry_pathname(back), name);
		CU_ASSERT_STRING_EQUAL(archive_entry_hardlink(link), name);
	}
	/* One component without a slash, which no ustar header could hold. */
	memset(name, 'n', 255);
	name[255] = '\0';
	struct header h = {.e = &e, .path = name};
	SCOPED_ENTRY back = headers_round_trip(&h, 0);
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
		struct manifest_entry e = headers_file(cases[i].size);
		struct header h = {.e = &e, .path = "large"};

		e.uid = e.gid = cases[i].id;
		e.mtime = cases[i].mtime;
		SCOPED_ENTRY back = headers_round_trip(&h, 0);
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
		struct manifest_entry e = headers_file(1);
		struct header h = {.e = &e, .path = "old"};

		e.mtime = cases[i].sec;
		e.mtime_ns = cases[i].ns;
		SCOPED_ENTRY back = headers_round_trip(&h, 0);
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
	SCOPED_ENTRY back = headers_round_trip(&h, 0);
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
	SCOPED_MAKER struct header_maker *m = headers_maker();
	SCOPED_BUF struct buf b = {0};

	CU_ASSERT_EQUAL(header_make(m, h, 0, &b, NULL), 0);
	return memmem(b.data, b.len, text, strlen(text)) != NULL;
}

static void acls_are_text_with_numbers(void)
{
	SCOPED_BUF struct buf x = {0};
	SCOPED_BUF struct buf none = {0};
	struct manifest_entry e = headers_file(0);
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
	struct manifest_entry e = headers_file(0);
	struct header h = {.e = &e, .path = "f"};
	SCOPED_MAKER struct header_maker *m = headers_maker();
	unsigned wrong = 0;

	memset(value, 'v', sizeof(value));
	for (size_t len = 0; len < sizeof(value); len++) {
		SCOPED_BUF struct buf x = {0};
		SCOPED_BUF struct buf b = {0};

		put_xattr(&x, "user.a", value, len);
		e.xattrs = x.data;
		e.xattrs_len = (uint32_t)x.len;
		wrong += header_make(m, &h, 0, &b, NULL) != 0 || !headers_bytes_ok(&b);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void attributes_come_back(void)
{
	static char large[65536];
	SCOPED_BUF struct buf x = {0};
	struct manifest_entry e = headers_file(1);
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
	SCOPED_ENTRY back = headers_round_trip(&h, 0);
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
	struct manifest_entry e = headers_file(7);
	struct header h = {.e = &e, .path = "b", .link = "a"};

	put_acl(&x, PERMISSIONS_ACL);
	put_xattr(&x, "user.a", "v", 1);
	e.mode = 0770;
	e.xattrs = x.data;
	e.xattrs_len = (uint32_t)x.len;
	SCOPED_ENTRY back = headers_round_trip(&h, 0);
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
	SCOPED_MAKER struct header_maker *m = headers_maker();
	SCOPED_BUF struct buf out = {0};
	struct manifest_entry e = headers_file(7);
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
	SCOPED_MAKER struct header_maker *m = headers_maker();
	SCOPED_BUF struct buf out = {0};
	struct manifest_entry e = headers_file(7);
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
};
SUITE("archive_header", tests)
