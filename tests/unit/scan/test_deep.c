/* SPDX-License-Identifier: BSD-3-Clause */
/* Trees whose paths are longer than a call takes, up to what a manifest holds. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "scan/scan.h"
#include "suite.h"

/* Threads that may not have a working directory of their own, as in some containers. */
static bool forbidden;

int unshare(int flags)
{
	static int (*next)(int);

	if (forbidden) {
		errno = EPERM;
		return -1;
	}
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "unshare");
	return next(flags);
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(99);
}

static void make_file(int dir, const char *name)
{
	SCOPED_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	must(fd >= 0 && write(fd, "text", 4) == 4, name);
}

/* One more level, @len bytes of 'd'; @at becomes it. */
static void descend(int *at, size_t len)
{
	char name[NAME_MAX + 1];
	int next;

	memset(name, 'd', len);
	name[len] = '\0';
	must(mkdirat(*at, name, 0700) == 0, name);
	next = openat(*at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(next >= 0, name);
	close(*at);
	*at = next;
}

/* Its path ends in it: that long is the path of no other. */
static const struct manifest_entry *entry_of(
	const struct manifest *m, const char *name, size_t len)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const char *slash = strrchr(m->entries[i].name, '/');

		if (strcmp(slash ? slash + 1 : m->entries[i].name, name) == 0 &&
			strlen(m->entries[i].name) == len)
			return &m->entries[i];
	}
	CU_FAIL("no such entry");
	return NULL;
}

#define UNREAD 8
static struct {
	int n;
	size_t len[UNREAD];
	int code[UNREAD];
} told;

static void unread(
	void *arg, enum scan_unread what, const char *path, const struct ebt_err *why)
{
	(void)arg;
	must(what == SCAN_UNREAD && told.n < UNREAD, why->text);
	told.len[told.n] = strlen(path);
	told.code[told.n++] = why->code;
}

static struct manifest *walk(const char *tmp, bool deep)
{
	SCOPED(scan_release)
	struct scan s = {.deep = deep, .shrinks = true, .unread = unread};
	struct manifest *m = NULL;
	struct ebt_err err = {0};
	int r;

	told.n = 0;
	scan_init(&s);
	/* One thread: unread is none of several. */
	r = scan_tree(&s, tmp, 1, &m, &err);
	must(r == 0, err.text);
	return m;
}

/* 200 bytes a level, 100 of them, then a file with an attribute and a link. */
static bool make_deep(int dir, size_t *len)
{
	SCOPED_FD int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool attributes;
	char proc[64];

	for (int i = 0; i < 100; i++)
		descend(&at, 200);
	*len = 100 * 201;
	make_file(at, "file");
	must(symlinkat("to/somewhere", at, "link") == 0, "link");
	must(linkat(at, "file", at, "hard", 0) == 0, "hard");
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d/file", at);
	attributes = setxattr(proc, "user.test", "value", 5, 0) == 0;
	return attributes;
}

static void drop_deep(int dir, size_t len)
{
	char name[NAME_MAX + 1];

	memset(name, 'd', len);
	name[len] = '\0';
	must(fsio_remove_tree(dir, name, NULL) == 0, "remove");
}

static void a_deep_tree_is_walked_as_any_other(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	size_t len;
	bool attributes = make_deep(dir, &len);

	for (int i = 0; i < 2; i++) {
		SCOPED_MANIFEST struct manifest *m = NULL;
		const struct manifest_entry *e;

		forbidden = i > 0;
		m = walk(tmp, true);
		CU_ASSERT_EQUAL(told.n, 0);
		CU_ASSERT_EQUAL(m->count, 103);
		e = entry_of(m, "link", len + 4);
		CU_ASSERT(e && e->kind == MANIFEST_SYMLINK);
		CU_ASSERT(e && strcmp(e->target, "to/somewhere") == 0);
		e = entry_of(m, "file", len + 4);
		CU_ASSERT(e && e->kind == MANIFEST_FILE && e->size == 4);
		CU_ASSERT(e && e->nlink == 2 && e->mode == 0640);
		CU_ASSERT(e && (e->xattrs_len > 0) == attributes);
		CU_ASSERT_EQUAL(manifest_arrange(m, NULL), 0);
		CU_ASSERT_EQUAL(m->entries[102].parent, 99);
	}
	forbidden = false;
	drop_deep(dir, 200);
}

static void its_hard_links_are_looked_at(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	size_t len;
	uint32_t one, found[2] = {0};
	SCOPED(manifest_doubts_release) struct manifest_doubts doubts = {0};
	SCOPED_MANIFEST struct manifest *m = NULL;

	make_deep(dir, &len);
	m = walk(tmp, true);
	/* As if two nodes had seen them. */
	for (uint32_t i = 0; i < m->count; i++) {
		const char *name = strrchr(m->entries[i].name, '/');

		if (name && strcmp(name, "/hard") == 0)
			m->entries[i].dev += (uint64_t)1 << 32;
	}
	CU_ASSERT_EQUAL_FATAL(manifest_arrange(m, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(manifest_doubts(m, &doubts, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(doubts.n, 1);
	CU_ASSERT_EQUAL(
		scan_look(
			&(struct scan_look){
				.m = m, .doubts = &doubts, .step = 1, .threads = 1},
			found, NULL),
		0);
	CU_ASSERT_EQUAL(manifest_settle(m, &doubts, found, &one), 0);
	CU_ASSERT_EQUAL(m->entries[100].group, 100);
	CU_ASSERT_EQUAL(m->entries[101].group, 100);
	drop_deep(dir, 200);
}

static void only_who_asks_for_it_gets_it(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_MANIFEST struct manifest *m = NULL;
	size_t len;

	make_deep(dir, &len);
	m = walk(tmp, false);
	CU_ASSERT_EQUAL(told.n, 1);
	CU_ASSERT_EQUAL(told.code[0], -ENAMETOOLONG);
	CU_ASSERT_EQUAL(m->count, (PATH_MAX - 1 - strlen(tmp)) / 201);
	drop_deep(dir, 200);
}

/* To the byte: what has MANIFEST_PATH_MAX is there, what has one more is told. */
static void what_a_manifest_cannot_hold_is_told(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_FD int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SCOPED_MANIFEST struct manifest *m = NULL;

	for (int i = 0; i < 255; i++)
		descend(&at, 255);
	/* 65280 bytes with the last slash, 255 left. */
	make_file(at, "near");
	descend(&at, 249);
	make_file(at, "12345");
	make_file(at, "123456");
	descend(&at, 6);
	make_file(at, "beyond");
	m = walk(tmp, true);
	CU_ASSERT_EQUAL(m->count, 255 + 3);
	CU_ASSERT_PTR_NOT_NULL(entry_of(m, "12345", MANIFEST_PATH_MAX));
	CU_ASSERT_EQUAL(told.n, 2);
	for (int i = 0; i < told.n; i++) {
		CU_ASSERT_EQUAL(told.len[i], MANIFEST_PATH_MAX + 1);
		CU_ASSERT_EQUAL(told.code[i], -ENAMETOOLONG);
	}
	drop_deep(dir, 255);
}

static const struct test tests[] = {
	TEST(a_deep_tree_is_walked_as_any_other),
	TEST(its_hard_links_are_looked_at),
	TEST(only_who_asks_for_it_gets_it),
	TEST(what_a_manifest_cannot_hold_is_told),
};
SUITE("scan_deep", tests)
