/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes and ACLs of pax, as GNU tar and as libarchive write them. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archives.h"
#include "suite.h"

static void with_records(struct buf *b, const char *const (*records)[2], size_t n)
{
	SCOPED_BUF struct buf r = {0};

	for (size_t i = 0; i < n; i++)
		pax_record(&r, records[i][0], records[i][1], strlen(records[i][1]));
	tar_pax(b, &r);
	tar_file(b, "f", "");
	tar_end(b);
}

static void attributes_come_sorted_and_once(void)
{
	static const char *const records[][2] = {{"SCHILY.xattr.user.b", "one"},
		{"SCHILY.xattr.user.a", "a=b"}, {"SCHILY.xattr.user.b", "two"},
		{"SCHILY.xattr.user.aa", ""}};
	SCOPED_BUF struct buf b = {0};

	with_records(&b, records, 4);
	expect(&b, TELL_XATTRS, "f f 0 user.a=a=b user.aa= user.b=two\n");
}

static void both_ways_of_libarchive_are_the_same_attribute(void)
{
	static const char *const records[][2] = {
		{"LIBARCHIVE.xattr.user.%C3%A9%3D%25", "b25l"},
		{"SCHILY.xattr.user.%C3%A9%3D%25", "one"},
		{"LIBARCHIVE.xattr.user.x", "AAEC/w"}};
	SCOPED_BUF struct buf b = {0};

	with_records(&b, records, 3);
	expect(&b, TELL_XATTRS, "f f 0 user.x=\\00\\01\\02\\ff user.\xc3\xa9=%=one\n");
}

static void names_that_gnu_tar_has_coded_are_decoded(void)
{
	static const char *const records[][2] = {
		{"SCHILY.xattr.user.a%3Db%25c\xff", "v"},
		{"SCHILY.xattr.user.%2", "w"}};
	SCOPED_BUF struct buf b = {0};

	with_records(&b, records, 2);
	expect(&b, TELL_XATTRS, "f f 0 user.%2=w user.a=b%c\xff=v\n");
}

static void what_does_not_travel_is_left_out(void)
{
	static const char *const records[][2] = {
		{"SCHILY.xattr.security.selinux", "label"},
		{"SCHILY.xattr.trusted.lov", "layout"},
		{"SCHILY.xattr.system.nfs4_acl", "acl"}, {"SCHILY.xattr.user.a", "v"},
		{"RHT.security.selinux", "label"}, {"SCHILY.xattr.odd", "v"}};
	const struct unarchive_options o = {.no_xattrs = true};
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};

	with_records(&b, records, 6);
	expect(&b, TELL_XATTRS, "f f 0 user.a=v\n");
	CU_ASSERT_EQUAL(tell(&b, SOURCE_FILE, &o, TELL_XATTRS, &out, NULL), 0);
	CU_ASSERT_STRING_EQUAL(out.data, "f f 0\n");
}

static void impossible_attributes_are_refused(void)
{
	SCOPED_FREE char *value = calloc(1, 65538);
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf r = {0};
	char key[600] = "SCHILY.xattr.user.";

	memset(value, 'v', 65537);
	pax_record(&r, "SCHILY.xattr.user.a", value, 65537);
	tar_pax(&b, &r);
	tar_file(&b, "f", "");
	tar_end(&b);
	expect_failure(&b, "64 KiB");
	b.len = r.len = 0;
	memset(key + strlen(key), 'n', 251);
	pax_record(&r, key, "v", 1);
	tar_pax(&b, &r);
	tar_file(&b, "f", "");
	tar_end(&b);
	expect_failure(&b, "impossible name");
	b.len = r.len = 0;
	pax_record(&r, "SCHILY.xattr.user.%00", "v", 1);
	tar_pax(&b, &r);
	tar_file(&b, "f", "");
	tar_end(&b);
	expect_failure(&b, "impossible name");
}

#define ACL_OF(s) "system.posix_acl_" s "=\\02\\00\\00\\00"

static void acls_become_what_the_kernel_takes(void)
{
	static const char *const records[][2] = {
		{"SCHILY.acl.access", "user::rw-,group:5:rwx,user:7:r--,user:3:---,"
				      "group::r-x,mask::r--,"
				      "other::---"},
		{"SCHILY.xattr.system.posix_acl_access", "\2"}};
	SCOPED_BUF struct buf b = {0};

	with_records(&b, records, 1);
	/* The group bits are those of the mask. */
	expect(&b, TELL_XATTRS | TELL_MODES,
		"f f 0 640 " ACL_OF(
			"access") "\\01\\00\\06\\00\\ff\\ff\\ff\\ff"
				  "\\02\\00\\00\\00\\03\\00\\00\\00\\02\\00\\04\\00\\07"
				  "\\00\\00\\00"
				  "\\04\\00\\05\\00\\ff\\ff\\ff\\ff\\08\\00\\07\\00\\05"
				  "\\00\\00\\00"
				  "\\10\\00\\04\\00\\ff\\ff\\ff\\ff\\20\\00\\00\\00\\ff"
				  "\\ff\\ff\\ff\n");
	b.len = 0;
	with_records(&b, records + 1, 1);
	expect_failure(&b, "ACL that is damaged");
}

static void a_mask_that_is_missing_is_made(void)
{
	static const char *const records[][2] = {
		{"SCHILY.acl.access", "user::rw-,user:7:r-x,group::-w-,other::---"}};
	SCOPED_BUF struct buf b = {0};

	with_records(&b, records, 1);
	expect(&b, TELL_MODES, "f f 0 670\n");
}

static void an_acl_that_says_no_more_than_the_mode_is_none(void)
{
	static const char *const records[][2] = {
		{"SCHILY.acl.access", "user::rw-,group::r--,other::---"}};
	SCOPED_BUF struct buf b = {0};

	with_records(&b, records, 1);
	expect(&b, TELL_XATTRS | TELL_MODES, "f f 0 640\n");
}

static void default_acls_are_of_directories(void)
{
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf r = {0};
	static const char text[] =
		"user::rwx,user:7:r-x,group::r-x,mask::r-x,other::---";

	pax_record(&r, "SCHILY.acl.default", text, sizeof(text) - 1);
	tar_pax(&b, &r);
	tar_dir(&b, "d");
	tar_end(&b);
	expect(&b, TELL_XATTRS | TELL_MODES,
		"d d 755 " ACL_OF("default") "\\01\\00\\07\\00\\ff\\ff\\ff\\ff"
					     "\\02\\00\\05\\00\\07\\00\\00\\00\\04\\00"
					     "\\05\\00\\ff\\ff\\ff\\ff"
					     "\\10\\00\\05\\00\\ff\\ff\\ff\\ff\\20\\00"
					     "\\00\\00\\ff\\ff\\ff\\ff\n");
}

static void names_in_acls_are_looked_up_or_refused(void)
{
	static const char *const known[][2] = {{"SCHILY.acl.access",
		"user::rw-,user:root:r--,group::r--,mask::r--,other::---"}};
	static const char *const unknown[][2] = {{"SCHILY.acl.access",
		"user::rw-,user:no such user:r--,group::r--,mask::r--,other::---"}};
	static const char *const both[][2] = {{"SCHILY.acl.access",
		"user::rw-,user:no such user:r--:7,group::r--,mask::r--,other::---"}};
	SCOPED_BUF struct buf b = {0};

	with_records(&b, known, 1);
	expect(&b, TELL_XATTRS,
		"f f 0 " ACL_OF("access") "\\01\\00\\06\\00\\ff\\ff\\ff\\ff"
					  "\\02\\00\\04\\00\\00\\00\\00\\00\\04\\00\\04"
					  "\\00\\ff\\ff\\ff\\ff"
					  "\\10\\00\\04\\00\\ff\\ff\\ff\\ff\\20\\00\\00"
					  "\\00\\ff\\ff\\ff\\ff\n");
	b.len = 0;
	with_records(&b, unknown, 1);
	expect_failure(&b, "no such user");
	b.len = 0;
	with_records(&b, both, 1);
	expect(&b, TELL_MODES, "f f 0 640\n");
}

static void acls_of_nfs_are_refused_unless_nobody_asks(void)
{
	static const char *const records[][2] = {
		{"SCHILY.acl.ace", "owner@:rwxp--aARWcCos:-------:allow,group@:r-----a-"
				   "R-c--s:-------:allow,"
				   "everyone@:------a-R-c--s:-------:allow"}};
	const struct unarchive_options o = {.no_xattrs = true};
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};

	with_records(&b, records, 1);
	expect_failure(&b, "NFSv4");
	CU_ASSERT_EQUAL(tell(&b, SOURCE_FILE, &o, 0, &out, NULL), 0);
}

static void without_acls_nobody_gets_more_than_they_gave(void)
{
	static const char *const records[][2] = {{"SCHILY.acl.access",
		"user::rw-,user:7:rwx,group::rwx,mask::r--,other::---"}};
	const struct unarchive_options o = {.no_xattrs = true};
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};

	with_records(&b, records, 1);
	CU_ASSERT_EQUAL(
		tell(&b, SOURCE_FILE, &o, TELL_XATTRS | TELL_MODES, &out, NULL), 0);
	CU_ASSERT_STRING_EQUAL(out.data, "f f 0 640\n");
}

static void ids_in_acls_that_are_too_large_are_refused(void)
{
	static const char *const large[][2] = {{"SCHILY.acl.access",
		"user::rw-,user:4000000000:rwx,group::r--,mask::rwx,other::---"}};
	static const char *const most[][2] = {{"SCHILY.acl.access",
		"user::rw-,user:2147483647:rwx,group::r--,mask::rwx,other::---"}};
	const struct unarchive_options o = {.no_xattrs = true};
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};

	with_records(&b, large, 1);
	expect_failure(&b, "id above 2147483647");
	CU_ASSERT_EQUAL(tell(&b, SOURCE_FILE, &o, 0, &out, NULL), 0);
	buf_release(&b);
	with_records(&b, most, 1);
	buf_release(&out);
	CU_ASSERT_EQUAL(
		tell(&b, SOURCE_FILE, &(struct unarchive_options){0}, 0, &out, NULL),
		0);
}

static void flags_of_files_are_left_out_and_counted(void)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	static const char *const records[][2] = {{"SCHILY.fflags", "nodump,schg"}};
	SCOPED_BUF struct buf b = {0};
	SCOPED_FD int fd = -1;
	const char *first;
	struct member m;

	with_records(&b, records, 1);
	fd = source_open(b.data, b.len, SOURCE_FILE);
	CU_ASSERT_FATAL(
		unarchive_open(fd, "a", &(struct unarchive_options){0}, &u, NULL) == 0);
	CU_ASSERT_EQUAL(unarchive_next(u, &m, NULL), 1);
	CU_ASSERT_EQUAL(unarchive_left(u, UNARCHIVE_FLAGS, &first), 1);
	CU_ASSERT_STRING_EQUAL(first, "f");
}

static const struct test tests[] = {
	TEST(attributes_come_sorted_and_once),
	TEST(both_ways_of_libarchive_are_the_same_attribute),
	TEST(names_that_gnu_tar_has_coded_are_decoded),
	TEST(what_does_not_travel_is_left_out),
	TEST(impossible_attributes_are_refused),
	TEST(acls_become_what_the_kernel_takes),
	TEST(a_mask_that_is_missing_is_made),
	TEST(an_acl_that_says_no_more_than_the_mode_is_none),
	TEST(default_acls_are_of_directories),
	TEST(names_in_acls_are_looked_up_or_refused),
	TEST(acls_of_nfs_are_refused_unless_nobody_asks),
	TEST(without_acls_nobody_gets_more_than_they_gave),
	TEST(ids_in_acls_that_are_too_large_are_refused),
	TEST(flags_of_files_are_left_out_and_counted),
};
SUITE("archive_attrs", tests)
