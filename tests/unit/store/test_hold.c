/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

#define ID "0123456789abcdef0123456789abcdef"

/* No file takes a default ACL, and no file system an empty ACL of an unknown version. */
static const unsigned char refused[] = "\30\0\4\0\0\0system.posix_acl_default\1\2\3\4";

static const struct item two[] = {
	DIRECTORY("a", 0755), PLAIN("a/f", "x"), PLAIN("b", "")};
static const struct items items = {two, sizeof(two) / sizeof(two[0])};

static int count(void *arg, const char *name, unsigned char d_type)
{
	++*(int *)arg;
	return 0;
}

static int can_hold(
	const char *dest, struct manifest *m, const uint64_t *need, struct ebt_err *err)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	SCOPED_FD int tree = -1;
	char path[128];
	int n = 0, r;

	CU_ASSERT_EQUAL_FATAL(store_begin(s, ID, &tree, NULL), 0);
	r = store_can_hold(s, m, need, err);
	snprintf(path, sizeof(path), "%s/.ebt/incoming/" ID, dest);
	SCOPED_FD int run = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(fsio_list(run, count, &n), 0);
	CU_ASSERT_EQUAL(n, 2); /* tree and trial, and nothing that was tried on */
	CU_ASSERT_EQUAL(store_abandon(s, ID, NULL), 0);
	return r;
}

static void what_can_be_held_leaves_no_trace(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(items, ID);

	m->times.unit = 12345;
	if (geteuid() == 0)
		m->entries[1].uid = m->entries[1].gid = 12345;
	CU_ASSERT_EQUAL(can_hold(fixture_dest(tmp, "d", dest), m, NULL, NULL), 0);
	CU_ASSERT_NOT_EQUAL(m->times.unit, 12345); /* found out */
	CU_ASSERT(dir >= 0);
}

static void what_cannot_be_held_is_named_with_the_way_out(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(items, ID);
	struct ebt_err err = {0};
	uint64_t need = 1ull << 2;

	for (uint32_t i = 0; i < 2; i++) {
		m->entries[i].xattrs = refused;
		m->entries[i].xattrs_len = sizeof(refused) - 1;
	}
	fixture_dest(tmp, "d", dest);
	CU_ASSERT(can_hold(dest, m, NULL, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(err.text, "a: its attribute system.posix_acl_def"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--no-xattrs"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, dest));
	/* A directory counts even if nothing new is brought, a file does not. */
	CU_ASSERT(can_hold(dest, m, &need, NULL) < 0);
	m->entries[0].xattrs_len = 0;
	CU_ASSERT(can_hold(dest, m, NULL, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a/f: its attribute"));
	CU_ASSERT_EQUAL(can_hold(dest, m, &need, NULL), 0);
	CU_ASSERT(dir >= 0);
}

static const struct test tests[] = {
	TEST(what_can_be_held_leaves_no_trace),
	TEST(what_cannot_be_held_is_named_with_the_way_out),
};
SUITE("store_hold", tests)
