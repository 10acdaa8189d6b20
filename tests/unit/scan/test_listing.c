/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rules leave out is not asked about: of names that are gone by then, or that cannot be
 * looked at, nobody learns. The C library's calls are stood in for here.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "scan/scan.h"
#include "suite.h"

static struct {
	bool typeless;	    /* readdir: what file systems without types say */
	const char *gone;   /* fstatat: ENOENT for names that begin so */
	const char *closed; /* and EACCES */
	unsigned asked;	    /* calls of fstatat */
	bool turned;	    /* fstatat: files have become directories */
} stub;

struct dirent *readdir(DIR *dir)
{
	static struct dirent *(*next)(DIR *);
	struct dirent *d;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "readdir64");
	d = next(dir);
	if (d && stub.typeless)
		d->d_type = DT_UNKNOWN;
	return d;
}

static bool begins(const char *name, const char *with)
{
	return with && strncmp(name, with, strlen(with)) == 0;
}

int fstatat(int dirfd, const char *name, struct stat *st, int flags)
{
	static int (*next)(int, const char *, struct stat *, int);
	int r;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "fstatat64");
	stub.asked++;
	if (begins(name, stub.gone) || begins(name, stub.closed)) {
		errno = begins(name, stub.gone) ? ENOENT : EACCES;
		return -1;
	}
	r = next(dirfd, name, st, flags);
	if (r == 0 && stub.turned && S_ISREG(st->st_mode))
		st->st_mode ^= S_IFREG ^ S_IFDIR;
	return r;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(99);
}

static void make(int dir, const char *name, mode_t mode)
{
	must((S_ISDIR(mode) ? mkdirat(dir, name, 0700) : mknodat(dir, name, mode, 0)) ==
			0,
		name);
}

static struct filter *rules(const char *text)
{
	struct filter *f = NULL;

	must(filter_new(&f, NULL) == 0 &&
			filter_add_text(f, text, strlen(text), false, NULL) == 0,
		"filter");
	return f;
}

/* How many entries a walk of @tmp with @text as rules finds, or why it failed. */
static int walk(const char *tmp, const char *text, struct ebt_err *err)
{
	SCOPED(filter_freep) struct filter *f = rules(text);
	SCOPED(scan_release) struct scan s = {.filter = f};
	SCOPED_MANIFEST struct manifest *m = NULL;
	int r;

	stub.asked = 0;
	scan_init(&s);
	r = scan_tree(&s, tmp, 2, &m, err);
	return r < 0 ? r : (int)m->count;
}

#define MANY 1000

static void names_that_are_left_out_are_not_asked_about(void)
{
	char tmp[64], name[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	memset(&stub, 0, sizeof(stub));
	make(dir, "sub", S_IFDIR);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%sm%d.pyc.%d", i % 2 ? "sub/" : "", i,
			i * 7);
		make(dir, name, S_IFREG);
	}
	make(dir, "kept", S_IFREG);
	make(dir, "sub/kept", S_IFREG);
	CU_ASSERT_EQUAL(walk(tmp, "*.pyc.*\n", NULL), 3);
	CU_ASSERT(stub.asked <= 4); /* the three, and the top */
	/* Whatever they are. */
	stub.typeless = true;
	CU_ASSERT_EQUAL(walk(tmp, "*.pyc.*\n", NULL), 3);
	CU_ASSERT(stub.asked <= 4);
	CU_ASSERT_EQUAL(walk(tmp, "sub/\n*.pyc.*\n", NULL), 1);
}

static void rules_for_directories_go_by_what_the_listing_says(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	memset(&stub, 0, sizeof(stub));
	make(dir, "cache", S_IFDIR);
	make(dir, "cache/f", S_IFREG);
	make(dir, "d", S_IFDIR);
	make(dir, "d/cache", S_IFREG);
	CU_ASSERT_EQUAL(walk(tmp, "cache/\n", NULL), 2);
	CU_ASSERT_EQUAL(stub.asked, 3);
	/* A file of that name is none, and has to be looked at where that is not known. */
	stub.typeless = true;
	CU_ASSERT_EQUAL(walk(tmp, "cache/\n", NULL), 2);
	CU_ASSERT_EQUAL(stub.asked, 4);
}

static void what_is_left_out_may_be_gone_or_closed(void)
{
	static const struct {
		const char *rules;
		const char *gone, *closed;
		bool typeless;
		int result;
	} rows[] = {
		{"x*\n", "x", NULL, false, 1},
		{"x*\n", NULL, "x", false, 1},
		{"x*\n", "x", NULL, true, 1},
		{"x*\n", NULL, "x", true, 1},
		{"xdir/\n", "xdir", NULL, false, 2},
		{"xdir/\n", NULL, "xdir", false, 2},
		/* It may have been a directory, and then it does not matter. */
		{"xdir/\n", "xdir", NULL, true, 2},
		{"xfile/\n", "xfile", NULL, true, 2},
		/* It is known to have been a file, which is wanted. */
		{"xfile/\n", "xfile", NULL, false, -ENOENT},
		/* It is there still, and nobody knows what it is. */
		{"xdir/\n", NULL, "xdir", true, -EACCES},
		{"y\n", "x", NULL, false, -ENOENT},
		{"y\n", NULL, "x", true, -EACCES},
		{"+ xfile\nx*\n", "xfile", NULL, false, -ENOENT},
	};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	memset(&stub, 0, sizeof(stub));
	make(dir, "kept", S_IFREG);
	make(dir, "xfile", S_IFREG);
	make(dir, "xdir", S_IFDIR);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ebt_err err = {0};
		int r;

		stub.gone = rows[i].gone;
		stub.closed = rows[i].closed;
		stub.typeless = rows[i].typeless;
		r = walk(tmp, rows[i].rules, &err);
		CU_ASSERT_EQUAL(r, rows[i].result);
		if (r != rows[i].result)
			printf("row %zu: %d %s\n", i, r, err.text);
		CU_ASSERT(r >= 0 || strstr(err.text, "/x"));
	}
}

static void what_became_a_directory_meanwhile_is_one_to_the_rules(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	memset(&stub, 0, sizeof(stub));
	make(dir, "x", S_IFREG);
	make(dir, "kept", S_IFDIR);
	stub.turned = true;
	CU_ASSERT_EQUAL(walk(tmp, "x/\n", NULL), 1);
}

/* Names of a large directory travel in batches, which know what each was listed as. */
static void batches_keep_what_the_listing_said(void)
{
	char tmp[64], name[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	memset(&stub, 0, sizeof(stub));
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		make(dir, name, i % 3 ? S_IFREG : S_IFDIR);
	}
	CU_ASSERT_EQUAL(walk(tmp, "x*/\n", NULL), MANY - (MANY + 2) / 3);
	CU_ASSERT(stub.asked <= MANY - MANY / 3 + 1);
	stub.typeless = true;
	CU_ASSERT_EQUAL(walk(tmp, "x*/\n", NULL), MANY - (MANY + 2) / 3);
}

/* A root that the rules leave out, by name, whatever it is. */
static int walk_root(const char *base, const char *name, const char *text)
{
	SCOPED(scan_shards_release) struct scan_shards shards = {0};
	SCOPED(filter_freep) struct filter *f = rules(text);
	SCOPED(scan_release) struct scan s = {.filter = f};

	scan_init(&s);
	s.bases = calloc(1, sizeof(*s.bases));
	must(s.bases && scan_shards_new(&shards, 1, NULL) == 0, "scan");
	s.bases[0] = base;
	s.n_bases = 1;
	scan_push(&s, scan_item_new(0, SCAN_ROOT, name, NULL, 0));
	scan_round(&s, &shards);
	return s.code < 0 ? s.code : (int)shards.m[0]->count;
}

static void rules_decide_about_named_sources_before_they_are_looked_at(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);

	memset(&stub, 0, sizeof(stub));
	make(dir, "file", S_IFREG);
	CU_ASSERT_EQUAL(walk_root(tmp, "file", "x\n"), 1);
	CU_ASSERT_EQUAL(walk_root(tmp, "file", "file\n"), 0);
	CU_ASSERT_EQUAL(walk_root(tmp, "file", "file/\n"), 1);
	CU_ASSERT_EQUAL(walk_root(tmp, "m.pyc.7", "*.pyc.*\n"), 0);
	/* Named, and missing: who named it is told, unless no kind of it is wanted. */
	CU_ASSERT_EQUAL(walk_root(tmp, "missing", "x\n"), -ENOENT);
	CU_ASSERT_EQUAL(walk_root(tmp, "missing", "missing/\n"), -ENOENT);
}

static const struct test tests[] = {
	TEST(names_that_are_left_out_are_not_asked_about),
	TEST(rules_for_directories_go_by_what_the_listing_says),
	TEST(what_is_left_out_may_be_gone_or_closed),
	TEST(what_became_a_directory_meanwhile_is_one_to_the_rules),
	TEST(batches_keep_what_the_listing_said),
	TEST(rules_decide_about_named_sources_before_they_are_looked_at),
};
SUITE("scan_listing", tests)
