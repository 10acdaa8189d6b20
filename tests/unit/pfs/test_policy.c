/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Default layouts, requests that keep all of one but the targets, and pools. getxattr, by
 * which a directory is asked, is defined here, which the linker prefers to libc's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "lov.h"
#include "pfs/pfs_internal.h"
#include "suite.h"

#define MDT 0x100u

static struct {
	const char *own;  /* directory that has a layout of its own */
	struct lov lov;	  /* that */
	const char *root; /* the only other directory that answers */
	struct lov of_root;
	int asked;
} mock;

ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	const struct lov *l = NULL;

	if (strcmp(name, "lustre.lov") != 0)
		return syscall(SYS_getxattr, path, name, value, size);
	mock.asked++;
	if (mock.own && strcmp(path, mock.own) == 0)
		l = &mock.lov;
	else if (mock.root && strcmp(path, mock.root) == 0)
		l = &mock.of_root;
	if (!l || l->len > size) {
		errno = l ? ERANGE : ENODATA;
		return -1;
	}
	memcpy(value, l->data, l->len);
	return (ssize_t)l->len;
}

/* 256 KiB on the MDT, to 8 MiB on one target of "flash", the rest on two of "disk". */
static void tiers(struct lov *b)
{
	size_t at;

	lov_composite(b, 3);
	at = lov_plain(b, LOV_V1, 256 << 10, 0, 0);
	lov_put32(b, at + 4, MDT);
	lov_component(b, 0, 0, 0, 256 << 10, at);
	at = lov_plain(b, LOV_V3, 1 << 20, 0, 0);
	lov_put16(b, at + 28, 1);
	memcpy(b->data + at + 32, "flash", 6);
	lov_component(b, 1, 0, 256 << 10, 8 << 20, at);
	at = lov_plain(b, LOV_V3, 4 << 20, 0, 0);
	lov_put16(b, at + 28, 2);
	lov_put32(b, at + 4, 0x201);
	memcpy(b->data + at + 32, "disk", 5);
	lov_component(b, 2, 0, 8 << 20, LOV_EOF, at);
}

static void a_default_of_one_range_has_its_pool(void)
{
	struct pfs_policy p;
	struct lov b = {0};
	size_t at = lov_plain(&b, LOV_V3, 4 << 20, 0, 0);

	lov_put16(&b, at + 28, 0xffff);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_EQUAL(p.n_rules, 1);
	CU_ASSERT_FALSE(p.composite || p.strange);
	CU_ASSERT_EQUAL(p.rule[0].end, UINT64_MAX);
	CU_ASSERT_EQUAL(p.rule[0].stripe_size, 4 << 20);
	CU_ASSERT_EQUAL(p.rule[0].count, PFS_ALL);
	CU_ASSERT_STRING_EQUAL(p.rule[0].pool, "pool");
}

static void each_component_says_what_files_get_there(void)
{
	struct pfs_policy p;
	struct lov b = {0};

	tiers(&b);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_EQUAL_FATAL(p.n_rules, 3);
	CU_ASSERT_TRUE(p.composite);
	CU_ASSERT_FALSE(p.strange);
	CU_ASSERT_TRUE(p.rule[0].on_mdt);
	CU_ASSERT_EQUAL(p.rule[0].end, 256 << 10);
	CU_ASSERT_STRING_EQUAL(p.rule[1].pool, "flash");
	CU_ASSERT_EQUAL(p.rule[1].start, 256 << 10);
	CU_ASSERT_EQUAL(p.rule[1].count, 1);
	CU_ASSERT_TRUE(p.rule[2].overstriped);
	CU_ASSERT_EQUAL(p.rule[2].count, 2);
	CU_ASSERT_EQUAL(p.rule[2].end, UINT64_MAX);
}

static void kinds_that_are_not_ours_to_choose_in_are_strange(void)
{
	struct pfs_policy p;
	struct lov b = {0};

	tiers(&b);
	lov_put16(&b, 16, 1); /* two mirrors */
	CU_ASSERT_EQUAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_TRUE(p.strange);
	tiers(&b);
	lov_put32(&b, 32 + 48 + 4, 0x40); /* extends itself */
	CU_ASSERT_EQUAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_TRUE(p.strange);
	tiers(&b);
	lov_put64(&b, 32 + 48 + 8, 512 << 10); /* a gap */
	CU_ASSERT_EQUAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_TRUE(p.strange);
	tiers(&b);
	lov_put32(&b, 32 + 3 * 48, LOV_FOREIGN);
	CU_ASSERT_EQUAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_TRUE(p.strange);
}

static void what_is_cut_short_is_no_policy(void)
{
	struct pfs_policy p;
	struct lov b = {0};

	tiers(&b);
	for (size_t len = 0; len < b.len; len++)
		CU_ASSERT_EQUAL(pfs_lustre_policy(b.data, len, &p), -EBADMSG);
	lov_put32(&b, 32 + 24, 0xfffffff0); /* place of a blob */
	CU_ASSERT_EQUAL(pfs_lustre_policy(b.data, b.len, &p), -EBADMSG);
	tiers(&b);
	lov_put64(&b, 32 + 16, 0);
	CU_ASSERT_EQUAL(pfs_lustre_policy(b.data, b.len, &p), -EBADMSG);
}

static void a_directory_without_one_has_that_of_the_root(void)
{
	struct pfs_policy p;

	memset(&mock, 0, sizeof(mock));
	mock.root = "/proc";
	tiers(&mock.of_root);
	pfs_policy_at(PFS_LUSTRE, "/proc/self/", &p);
	CU_ASSERT_EQUAL(p.n_rules, 3);
	mock.own = "/proc/self/";
	lov_plain(&mock.lov, LOV_V3, 1 << 20, 0, 0);
	pfs_policy_at(PFS_LUSTRE, "/proc/self/", &p);
	CU_ASSERT_EQUAL(p.n_rules, 1);
	mock.root = mock.own = NULL;
	pfs_policy_at(PFS_LUSTRE, "/proc/self/", &p);
	CU_ASSERT_EQUAL(p.n_rules, 0);
	mock.asked = 0;
	pfs_policy_at(PFS_PLAIN, "/proc/self/", &p);
	CU_ASSERT_EQUAL(p.n_rules + (unsigned)mock.asked, 0);
}

static void what_nobody_understands_is_left_alone(void)
{
	struct pfs_policy p;

	memset(&mock, 0, sizeof(mock));
	mock.own = "/proc";
	lov_plain(&mock.lov, LOV_V1, 1 << 20, 0, 0);
	mock.lov.len = 20;
	pfs_policy_at(PFS_LUSTRE, "/proc", &p);
	CU_ASSERT_TRUE(p.strange);
}

/* The whole blob: V1 on the MDT, V3 for flash, a list of two for disk. */
static void a_composite_request_byte_by_byte(void)
{
	static const uint32_t osts[] = {9, 4};
	struct pfs_policy p;
	struct pfs_stripes w = {.count = 2, .osts = osts, .policy = &p, .rule = 2};
	struct lov b = {0}, want = {0};
	size_t at, len = 32 + 3 * 48 + 32 + 48 + 48 + 2 * 24;

	tiers(&b);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	lov_composite(&want, 3);
	at = want.len;
	want.len += 32;
	lov_put32(&want, at, LOV_V1);
	lov_put32(&want, at + 4, MDT);
	lov_put32(&want, at + 24, 256 << 10);
	lov_put16(&want, at + 30, 0xffff);
	lov_component(&want, 0, 0, 0, 256 << 10, at);
	at = want.len;
	want.len += 48;
	lov_put32(&want, at, LOV_V3);
	lov_put32(&want, at + 4, 1);
	lov_put32(&want, at + 24, 1 << 20);
	lov_put16(&want, at + 28, 1);
	lov_put16(&want, at + 30, 0xffff);
	memcpy(want.data + at + 32, "flash", 6);
	lov_component(&want, 1, 0, 256 << 10, 8 << 20, at);
	at = want.len;
	want.len += 48 + 2 * 24;
	lov_put32(&want, at, LOV_SPECIFIC);
	lov_put32(&want, at + 4, 0x201);
	lov_put32(&want, at + 24, 4 << 20);
	lov_put16(&want, at + 28, 2);
	lov_put16(&want, at + 30, 0xffff);
	memcpy(want.data + at + 32, "disk", 5);
	lov_put32(&want, at + 48 + 20, 9);
	lov_put32(&want, at + 48 + 24 + 20, 4);
	lov_component(&want, 2, 0, 8 << 20, LOV_EOF, at);
	for (unsigned i = 0; i < 3; i++)
		lov_put32(&want, 32 + 48 * i, 0); /* no numbers in requests */

	memset(b.data, 0xee, sizeof(b.data));
	CU_ASSERT_EQUAL_FATAL(
		pfs_lustre_encode(&w, b.data, sizeof(b.data)), (ssize_t)len);
	CU_ASSERT_EQUAL(want.len, len);
	CU_ASSERT_EQUAL(memcmp(b.data, want.data, len), 0);
	CU_ASSERT_EQUAL(b.data[len], 0xee);
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, len - 1), -ERANGE);
}

static void only_targets_of_components_that_have_some_are_chosen(void)
{
	static const uint32_t osts[] = {9, 4};
	struct pfs_policy p;
	struct pfs_stripes w = {.count = 2, .osts = osts, .policy = &p};
	struct lov b = {0};

	tiers(&b);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), -EINVAL);
	w.rule = 3;
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), -EINVAL);
	w.rule = 1;
	CU_ASSERT_TRUE(pfs_lustre_encode(&w, b.data, sizeof(b.data)) > 0);
	p.strange = true;
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), -EINVAL);
}

static void a_second_component_may_have_its_list_too(void)
{
	static const uint32_t osts[] = {9, 4}, also[] = {3};
	struct pfs_policy p;
	struct pfs_stripes w = {.count = 2,
		.osts = osts,
		.policy = &p,
		.rule = 2,
		.also = 1,
		.also_osts = also};
	const size_t mdt = 32 + 3 * 48, flash = mdt + 32, disk = flash + 48 + 24;
	struct lov b = {0};

	tiers(&b);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)),
		(ssize_t)(disk + 48 + 2 * 24));
	CU_ASSERT_EQUAL(pfs_get32(b.data + mdt), LOV_V1);
	CU_ASSERT_EQUAL(pfs_get32(b.data + flash), LOV_SPECIFIC);
	CU_ASSERT_STRING_EQUAL((char *)b.data + flash + 32, "flash");
	CU_ASSERT_EQUAL(pfs_get32(b.data + flash + 24), 1 << 20);
	CU_ASSERT_EQUAL(pfs_get32(b.data + flash + 48 + 20), 3);
	CU_ASSERT_EQUAL(pfs_get32(b.data + disk), LOV_SPECIFIC);
	CU_ASSERT_EQUAL(pfs_get32(b.data + disk + 48 + 20), 9);
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, disk + 48 + 2 * 24 - 1), -ERANGE);
	/* The same one, one on the metadata server, none, and one without components. */
	for (uint32_t bad = 0; bad < 4; bad++) {
		w.also = bad;
		CU_ASSERT_EQUAL(
			pfs_lustre_encode(&w, b.data, sizeof(b.data)) > 0, bad == 1);
	}
	w.policy = NULL;
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), -EINVAL);
}

static void a_list_in_a_pool_names_it(void)
{
	static const uint32_t osts[] = {9, 4};
	struct pfs_stripes w = {.count = 2, .osts = osts, .pool = "flash"};
	struct lov b = {0};

	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), 48 + 2 * 24);
	CU_ASSERT_STRING_EQUAL((char *)b.data + 32, "flash");
	CU_ASSERT_EQUAL(b.data[48 + 20], 9);
	w.osts = NULL;
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), 48);
	CU_ASSERT_EQUAL(pfs_get32(b.data), LOV_V3);
	w.pool = "sixteen-letters!";
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), -EINVAL);
	w.pool = "a/b";
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, b.data, sizeof(b.data)), -EINVAL);
}

/* A file as it came of such a request: the last component on OSTs from @ost on. */
static void made(struct lov *b, unsigned flags, uint32_t ost, unsigned count)
{
	size_t at;

	tiers(b);
	b->len -= 48;
	at = lov_plain(b, LOV_V3, 4 << 20, flags ? count : 0, ost);
	lov_put16(b, at + 28, count);
	lov_put32(b, at + 4, 0x201);
	memcpy(b->data + at + 32, "disk", 5);
	lov_component(b, 2, flags, 8 << 20, LOV_EOF, at);
}

static void what_came_out_is_compared_by_component(void)
{
	static const uint32_t osts[] = {9, 10};
	struct pfs_policy p;
	struct pfs_stripes w = {.count = 2, .osts = osts, .policy = &p, .rule = 2};
	SCOPED_LAYOUT struct pfs_layout *l = NULL, *other = NULL, *none = NULL;
	struct lov b = {0};

	tiers(&b);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_policy(b.data, b.len, &p), 0);
	/* No objects yet: the components are right, the objects are not there. */
	made(&b, 0, 9, 2);
	CU_ASSERT_TRUE(pfs_lustre_keeps(b.data, b.len, &w));
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(b.data, b.len, &none), 0);
	CU_ASSERT_FALSE(pfs_layout_keeps(none, &w));
	made(&b, LOV_INIT, 9, 2);
	CU_ASSERT_TRUE(pfs_lustre_keeps(b.data, b.len, &w));
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(b.data, b.len, &l), 0);
	CU_ASSERT_TRUE(pfs_layout_keeps(l, &w));
	/* The second one has no objects here, so it is on no certain ones. */
	w.also = 1;
	w.also_osts = osts;
	CU_ASSERT_FALSE(pfs_layout_keeps(l, &w));
	w.also_osts = NULL;
	made(&b, LOV_INIT, 8, 2);
	CU_ASSERT_EQUAL_FATAL(pfs_lustre_parse(b.data, b.len, &other), 0);
	CU_ASSERT_FALSE(pfs_layout_keeps(other, &w));
	made(&b, LOV_INIT, 9, 1);
	CU_ASSERT_FALSE(pfs_lustre_keeps(b.data, b.len, &w));
	/* Another pool, another end, one range instead of three. */
	made(&b, LOV_INIT, 9, 2);
	memcpy(b.data + 32 + 3 * 48 + 32 + 32, "glass", 5);
	CU_ASSERT_FALSE(pfs_lustre_keeps(b.data, b.len, &w));
	made(&b, LOV_INIT, 9, 2);
	lov_put64(&b, 32 + 16, 512 << 10);
	lov_put64(&b, 32 + 48 + 8, 512 << 10);
	CU_ASSERT_FALSE(pfs_lustre_keeps(b.data, b.len, &w));
	b.len = 0;
	lov_plain(&b, LOV_V3, 4 << 20, 2, 9);
	CU_ASSERT_FALSE(pfs_lustre_keeps(b.data, b.len, &w));
}

static void put(int dir, const char *name, const char *content)
{
	SCOPED_FD int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(
		write(fd, content, strlen(content)), (ssize_t)strlen(content));
}

#define POOLS "lov/scratch-clilov-ffff1/pools"
static int make_tree(char *path)
{
	int dir = suite_tmpdir(path);

	mkdirat(dir, "lov", 0700);
	mkdirat(dir, "lov/scratch-clilov-ffff1", 0700);
	mkdirat(dir, POOLS, 0700);
	setenv("EBT_LUSTRE_SYSFS", path, 1);
	return dir;
}

static void a_pool_has_the_targets_that_its_file_lists(void)
{
	SCOPED_FREE struct pfs_targets *list =
		calloc(1, sizeof(*list) + 3 * sizeof(list->target[0]));
	bool in[3] = {true, false, false};
	char path[64];
	SCOPED_FD int dir = make_tree(path);

	CU_ASSERT_PTR_NOT_NULL_FATAL(list);
	list->count = 3;
	list->target[0].index = 3;
	list->target[1].index = 16;
	list->target[2].index = 31;
	put(dir, POOLS "/flash", "scratch-OST0010_UUID\nscratch-OST001f_UUID\n");
	CU_ASSERT_EQUAL(pfs_pool(PFS_LUSTRE, "/proc", "flash", list, in, NULL), 1);
	CU_ASSERT_TRUE(!in[0] && in[1] && in[2]);
	CU_ASSERT_EQUAL(pfs_pool(PFS_LUSTRE, "/proc", "disk", list, in, NULL), 0);
	CU_ASSERT_EQUAL(pfs_pool(PFS_LUSTRE, "/proc", "../x", list, in, NULL), 0);
	CU_ASSERT_EQUAL(pfs_pool(PFS_PLAIN, "/proc", "flash", list, in, NULL), 0);
	unsetenv("EBT_LUSTRE_SYSFS");
}

static void a_damaged_pool_is_an_error_with_its_file(void)
{
	static const char *const bad[] = {"scratch-OST00zz_UUID\n", "OST0001_UUID\n",
		"scratch-OST0001\n", "scratch-OST0001_UUID ACTIVE\n", "\n"};
	struct pfs_targets none = {0};
	char path[64];
	SCOPED_FD int dir = make_tree(path);
	struct ebt_err err = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(dir, POOLS "/flash", bad[i]);
		CU_ASSERT_EQUAL(
			pfs_pool(PFS_LUSTRE, "/proc", "flash", &none, NULL, &err),
			-EBADMSG);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, POOLS "/flash"));
	}
	unsetenv("EBT_LUSTRE_SYSFS");
}

static const struct test tests[] = {
	TEST(a_default_of_one_range_has_its_pool),
	TEST(each_component_says_what_files_get_there),
	TEST(kinds_that_are_not_ours_to_choose_in_are_strange),
	TEST(what_is_cut_short_is_no_policy),
	TEST(a_directory_without_one_has_that_of_the_root),
	TEST(what_nobody_understands_is_left_alone),
	TEST(a_composite_request_byte_by_byte),
	TEST(only_targets_of_components_that_have_some_are_chosen),
	TEST(a_second_component_may_have_its_list_too),
	TEST(a_list_in_a_pool_names_it),
	TEST(what_came_out_is_compared_by_component),
	TEST(a_pool_has_the_targets_that_its_file_lists),
	TEST(a_damaged_pool_is_an_error_with_its_file),
};
SUITE("pfs_policy", tests)
