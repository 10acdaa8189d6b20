/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fixture.h"
#include "fsio/fsio.h"

#define STRANGER   12345
#define SCOPED_WAY SCOPED(store_way_release)

/* A directory that keeps nobody out, so that what lies in it counts. */
static int open_tmpdir(char path[64])
{
	int fd = suite_tmpdir(path);

	CU_ASSERT_EQUAL(fchmod(fd, 0711), 0);
	return fd;
}

static int walk(const char *path, enum store_use use, struct ebt_err *err)
{
	SCOPED_WAY struct store_way way = {.fd = -1};

	return store_way_open(&way, path, use, err);
}

/* What the way to TMP/@path says. */
static int walk_below(const char *tmp, const char *path, struct ebt_err *err)
{
	char dest[128];

	return walk(fixture_dest(tmp, path, dest), STORE_CREATE, err);
}

static void make(int dir, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	CU_ASSERT_TRUE(mkdirat(dir, name, 0700) == 0 || errno == EEXIST);
	CU_ASSERT_EQUAL(fchownat(dir, name, uid, gid, 0), 0);
	CU_ASSERT_EQUAL(fchmodat(dir, name, mode, 0), 0);
}

static void missing_directories_are_made_and_existing_ones_keep_their_mode(void)
{
	SCOPED_WAY struct store_way way = {.fd = -1};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct stat a, b;

	CU_ASSERT_EQUAL(mkdirat(dir, "x", 0711), 0);
	fixture_dest(tmp, "/x/./a/../b//c/", dest);
	CU_ASSERT_EQUAL(store_way_open(&way, dest, STORE_EXISTING, NULL), -ENOENT);
	CU_ASSERT_EQUAL_FATAL(store_way_open(&way, dest, STORE_CREATE, NULL), 0);
	CU_ASSERT_EQUAL(fstat(way.fd, &a), 0);
	CU_ASSERT_EQUAL(fstatat(dir, "x/b/c", &b, 0), 0);
	CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
	CU_ASSERT_EQUAL(b.st_mode & 07777, 0700);
	CU_ASSERT_EQUAL(fstatat(dir, "x", &b, 0), 0);
	CU_ASSERT_EQUAL(b.st_mode & 07777, 0711);
	CU_ASSERT_STRING_EQUAL(way.real + strlen(way.real) - 6, "/x/b/c");
	CU_ASSERT_EQUAL(store_way_open(&way, dest, STORE_EXISTING, NULL), 0);
}

static void a_path_may_be_longer_than_one_system_call_takes(void)
{
	char tmp[64], deep[6000], *p = deep;
	SCOPED_FD int dir = suite_tmpdir(tmp);

	p += sprintf(p, "%s", tmp);
	while (p - deep < 5500)
		p += sprintf(p, "/%0200d", 0);
	CU_ASSERT_EQUAL(walk(deep, STORE_CREATE, NULL), 0);
	/* The clean-up at exit uses paths. */
	CU_ASSERT_EQUAL(fsio_remove_tree(dir, p - 200, NULL), 0);
	snprintf(deep, sizeof(deep), "%s/%0256d", tmp, 0);
	CU_ASSERT_EQUAL(walk(deep, STORE_CREATE, NULL), -ENAMETOOLONG);
}

static void what_is_no_directory_is_named(void)
{
	struct ebt_err err = {0};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	fixture_write(dir, "f", "");
	CU_ASSERT_EQUAL(walk_below(tmp, "f/b", &err), -ENOTDIR);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/f/b: "));
	CU_ASSERT_EQUAL(walk_below(tmp, "f", &err), -ENOTDIR);
	CU_ASSERT_EQUAL(walk("", STORE_CREATE, NULL), -ENOENT);
}

static void links_lead_on_and_nothing_is_made_where_only_they_lead(void)
{
	SCOPED_WAY struct store_way way = {.fd = -1};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	CU_ASSERT_EQUAL(mkdirat(dir, "a", 0700), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "a/b", 0700), 0);
	CU_ASSERT_EQUAL(symlinkat("b", dir, "a/inner"), 0);
	CU_ASSERT_EQUAL(
		symlinkat(fixture_dest(tmp, "a/inner/../inner", dest), dir, "outer"),
		0);
	CU_ASSERT_EQUAL(symlinkat("a/missing", dir, "dangling"), 0);
	CU_ASSERT_EQUAL(symlinkat("loop", dir, "loop"), 0);
	CU_ASSERT_EQUAL_FATAL(store_way_open(&way, fixture_dest(tmp, "outer/new", dest),
				      STORE_CREATE, NULL),
		0);
	CU_ASSERT_STRING_EQUAL(way.real + strlen(way.real) - 8, "/a/b/new");
	CU_ASSERT_EQUAL(faccessat(dir, "a/b/new", F_OK, 0), 0);
	CU_ASSERT_EQUAL(walk_below(tmp, "dangling", NULL), -ENOENT);
	CU_ASSERT_EQUAL(walk_below(tmp, "dangling/x", NULL), -ENOENT);
	CU_ASSERT_EQUAL(faccessat(dir, "a/missing", F_OK, 0), -1);
	CU_ASSERT_EQUAL(walk_below(tmp, "loop/x", NULL), -ELOOP);
}

/* Directory "d" above the store, or the store itself. */
static void whoever_could_replace_the_store_stands_in_its_way(void)
{
	const struct {
		mode_t mode;
		uid_t uid;
		gid_t gid;
		int result;
		const char *says;
	} cases[] = {
		{0755, 0, 0, 0, ""},
		{01777, 0, 0, 0, ""},
		{01775, 0, STRANGER, 0, ""},
		{0755, STRANGER, STRANGER, -EPERM, "belongs to user 12345"},
		{01777, STRANGER, STRANGER, -EPERM, "belongs to user 12345"},
		{0777, 0, 0, -EPERM, "all may write"},
		{0702, 0, 0, -EPERM, "sticky"},
		{0775, 0, STRANGER, -EPERM, "group 12345 may write"},
		{0730, 0, STRANGER, -EPERM, "group 12345 may write"},
		{0700, 0, 0, 0, ""},
	};
	static const char *const stores[] = {"d", "d/e", "d/e/f"};
	char tmp[64];
	SCOPED_FD int dir = open_tmpdir(tmp);
	struct ebt_err err;

	if (fixture_needs_root())
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(dir, "d", cases[i].mode, cases[i].uid, cases[i].gid);
		for (size_t k = 0; k < 3; k++) {
			CU_ASSERT_EQUAL(
				walk_below(tmp, stores[k], &err), cases[i].result);
			if (!cases[i].result)
				continue;
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].says));
			/* The directory at fault, whatever the store is. */
			CU_ASSERT_TRUE(
				strstr(err.text, k ? "/d, " : "to it, ") ||
				strstr(err.text, k ? "/d belongs" : ": it belongs"));
		}
	}
}

static void a_group_of_the_owner_alone_lets_nobody_in(void)
{
	char tmp[64], path[128];
	SCOPED_FD int dir = open_tmpdir(tmp);
	static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 7, 0, 0xff, 0xff, 0xff,
		0xff,				      /* owner */
		2, 0, 7, 0, 0x39, 0x30, 0, 0,	      /* user 12345: rwx */
		4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff,   /* group */
		16, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,  /* mask */
		32, 0, 5, 0, 0xff, 0xff, 0xff, 0xff}; /* others */

	if (fixture_needs_root())
		return;
	make(dir, "d", 0775, 0, 0);
	CU_ASSERT_EQUAL(walk_below(tmp, "d", NULL), 0);
	/* The same bits, but now they say what the list of users may do at most. */
	if (setxattr(fixture_dest(tmp, "d", path), "system.posix_acl_access", acl,
		    sizeof(acl), 0) < 0)
		printf("not tried: no access control lists in %s ", tmp);
	else
		CU_ASSERT_EQUAL(walk_below(tmp, "d", NULL), -EPERM);
}

static void behind_a_closed_door_only_owners_count(void)
{
	char tmp[64];
	SCOPED_FD int dir = open_tmpdir(tmp);

	if (fixture_needs_root())
		return;
	make(dir, "closed", 0700, 0, 0);
	make(dir, "closed/d", 0777, 0, 0);
	make(dir, "closed/s", 0755, STRANGER, STRANGER);
	make(dir, "open", 0777, 0, 0);
	CU_ASSERT_EQUAL(symlinkat("../open", dir, "closed/out"), 0);
	CU_ASSERT_EQUAL(walk_below(tmp, "closed/d/new", NULL), 0);
	CU_ASSERT_EQUAL(walk_below(tmp, "closed/s", NULL), -EPERM);
	CU_ASSERT_EQUAL(walk_below(tmp, "closed/../open", NULL), -EPERM);
	CU_ASSERT_EQUAL(walk_below(tmp, "closed/d/../../open/x", NULL), -EPERM);
	CU_ASSERT_EQUAL(walk_below(tmp, "closed/out", NULL), -EPERM);
	/* A directory into which some get is no door. */
	make(dir, "closed", 0710, 0, STRANGER);
	CU_ASSERT_EQUAL(walk_below(tmp, "closed/d/new", NULL), -EPERM);
}

static void a_link_of_somebody_else_is_followed_nowhere(void)
{
	static const char *const ways[] = {
		"away", "away/", "away/x", "to-away/x", "real/../away"};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct ebt_err err;

	if (fixture_needs_root())
		return;
	make(dir, "real", 0700, 0, 0);
	CU_ASSERT_EQUAL(symlinkat("real", dir, "away"), 0);
	CU_ASSERT_EQUAL(symlinkat("away", dir, "to-away"), 0);
	CU_ASSERT_EQUAL(walk_below(tmp, "to-away/x", NULL), 0);
	CU_ASSERT_EQUAL(
		fchownat(dir, "away", STRANGER, STRANGER, AT_SYMLINK_NOFOLLOW), 0);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		fixture_dest(tmp, ways[i], dest);
		for (int use = STORE_EXISTING; use <= STORE_READ; use++) {
			CU_ASSERT_EQUAL(walk(dest, (enum store_use)use, &err), -EPERM);
			CU_ASSERT_PTR_NOT_NULL(
				strstr(err.text, "a link of another user's"));
		}
	}
}

static void looking_needs_no_closed_way(void)
{
	char tmp[64], dest[128];
	SCOPED_FD int dir = open_tmpdir(tmp);

	if (fixture_needs_root())
		return;
	make(dir, "d", 0777, STRANGER, STRANGER);
	CU_ASSERT_EQUAL(walk(fixture_dest(tmp, "d", dest), STORE_READ, NULL), 0);
	CU_ASSERT_EQUAL(walk(dest, STORE_EXISTING, NULL), -EPERM);
}

static void a_relative_way_begins_at_the_root(void)
{
	SCOPED_WAY struct store_way way = {.fd = -1};
	SCOPED_FD int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char tmp[64];
	SCOPED_FD int dir = open_tmpdir(tmp);

	make(dir, "d", 0777, geteuid(), getegid());
	CU_ASSERT_EQUAL(mkdirat(dir, "d/cwd", 0700), 0);
	CU_ASSERT_EQUAL(fchdir(dir), 0);
	CU_ASSERT_EQUAL(store_way_open(&way, "d", STORE_READ, NULL), 0);
	CU_ASSERT_STRING_EQUAL(way.real + strlen(way.real) - 2, "/d");
	CU_ASSERT_EQUAL(chdir("d/cwd"), 0);
	CU_ASSERT_EQUAL(walk("new", STORE_CREATE, NULL), -EPERM);
	CU_ASSERT_EQUAL(fchmodat(dir, "d", 0755, 0), 0);
	CU_ASSERT_EQUAL(walk("new", STORE_CREATE, NULL), 0);
	CU_ASSERT_EQUAL(fchdir(here), 0);
}

static void what_was_made_goes_again_and_nothing_else(void)
{
	SCOPED_WAY struct store_way way = {.fd = -1};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	CU_ASSERT_EQUAL(mkdirat(dir, "a", 0700), 0);
	fixture_dest(tmp, "a/b/c/d", dest);
	CU_ASSERT_EQUAL(store_way_open(&way, dest, STORE_CREATE, NULL), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "a/b/other", 0700), 0);
	CU_ASSERT_TRUE(store_way_unmake(&way));
	CU_ASSERT_EQUAL(faccessat(dir, "a/b/c", F_OK, 0), -1);
	CU_ASSERT_EQUAL(faccessat(dir, "a/b/other", F_OK, 0), 0);
	CU_ASSERT_FALSE(store_way_unmake(&way));
	CU_ASSERT_EQUAL(unlinkat(dir, "a/b/other", AT_REMOVEDIR), 0);
	CU_ASSERT_TRUE(store_way_unmake(&way));
	CU_ASSERT_EQUAL(faccessat(dir, "a/b", F_OK, 0), -1);
	CU_ASSERT_FALSE(store_way_unmake(&way));
	CU_ASSERT_EQUAL(faccessat(dir, "a", F_OK, 0), 0);
}

static void what_others_made_in_its_place_stays(void)
{
	SCOPED_WAY struct store_way way = {.fd = -1};
	char tmp[64], dest[128];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	fixture_dest(tmp, "a/b", dest);
	CU_ASSERT_EQUAL(store_way_open(&way, dest, STORE_CREATE, NULL), 0);
	CU_ASSERT_EQUAL(renameat(dir, "a", dir, "old"), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "a", 0700), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, "a/b", 0700), 0);
	store_way_unmake(&way);
	CU_ASSERT_EQUAL(faccessat(dir, "a/b", F_OK, 0), 0);
}

static const struct test tests[] = {
	TEST(missing_directories_are_made_and_existing_ones_keep_their_mode),
	TEST(a_path_may_be_longer_than_one_system_call_takes),
	TEST(what_is_no_directory_is_named),
	TEST(links_lead_on_and_nothing_is_made_where_only_they_lead),
	TEST(whoever_could_replace_the_store_stands_in_its_way),
	TEST(a_group_of_the_owner_alone_lets_nobody_in),
	TEST(behind_a_closed_door_only_owners_count),
	TEST(a_link_of_somebody_else_is_followed_nowhere),
	TEST(looking_needs_no_closed_way),
	TEST(a_relative_way_begins_at_the_root),
	TEST(what_was_made_goes_again_and_nothing_else),
	TEST(what_others_made_in_its_place_stays),
};
SUITE("store_way", tests)
