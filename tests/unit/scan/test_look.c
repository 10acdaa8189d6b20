/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scan/scan.h"
#include "suite.h"

/* A directory "d" with files, "s" that is a link to it, and the names in it as nodes saw them. */
struct fixture {
	char tmp[64];
	int dir;
	struct manifest *m;
	struct manifest_doubts d;
	uint32_t found[16];
};

static void make(struct fixture *f, const char *name, const char *link)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "d/%s", name);
	fd = openat(f->dir, path, O_CREAT | O_WRONLY, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, "12345", 5), 5);
	CU_ASSERT_EQUAL(
		futimens(fd, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 2}}), 0);
	close(fd);
	if (link) {
		char to[128];

		snprintf(to, sizeof(to), "d/%s", link);
		CU_ASSERT_EQUAL_FATAL(linkat(f->dir, path, f->dir, to, 0), 0);
	}
}

static struct fixture start(void)
{
	struct fixture f = {0};

	f.dir = suite_tmpdir(f.tmp);
	CU_ASSERT_EQUAL_FATAL(mkdirat(f.dir, "d", 0700), 0);
	CU_ASSERT_EQUAL_FATAL(symlinkat("d", f.dir, "s"), 0);
	CU_ASSERT_EQUAL_FATAL(manifest_new(&f.m, NULL), 0);
	return f;
}

static void stop(struct fixture *f)
{
	manifest_free(f->m);
	manifest_doubts_release(&f->d);
	close(f->dir);
}

/* What node @node saw of @path; all say the same inode number, so that all are one class. */
static void saw(struct fixture *f, uint32_t node, const char *path, uint64_t ino)
{
	struct manifest_entry e = {.name = path, .kind = MANIFEST_FILE};
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(fstatat(f->dir, path, &st, 0), 0);
	e.dev = manifest_dev(node, st.st_dev);
	e.ino = ino;
	e.nlink = 2;
	e.size = (uint64_t)st.st_size;
	e.mtime = st.st_mtim.tv_sec;
	e.mode = st.st_mode & 07777;
	e.uid = st.st_uid;
	e.gid = st.st_gid;
	CU_ASSERT_EQUAL_FATAL(manifest_add_source(f->m, f->tmp, &e.source, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(manifest_add(f->m, &e, NULL), 0);
}

static void saw_dirs(struct fixture *f)
{
	for (const char *name = "ds"; *name; name++) {
		struct manifest_entry e = {
			.name = (char[]){*name, '\0'}, .kind = MANIFEST_DIR};

		CU_ASSERT_EQUAL_FATAL(manifest_add(f->m, &e, NULL), 0);
	}
}

static uint64_t ino_of(const struct fixture *f, const char *path)
{
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(fstatat(f->dir, path, &st, 0), 0);
	return st.st_ino;
}

static void look(struct fixture *f, unsigned threads)
{
	struct scan_look l = {
		.m = f->m, .doubts = &f->d, .step = 1, .threads = threads};

	saw_dirs(f);
	CU_ASSERT_EQUAL_FATAL(manifest_arrange(f->m, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(manifest_doubts(f->m, &f->d, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(scan_look(&l, f->found, NULL), 0);
}

static void links_are_told_from_files_with_the_same_number(void)
{
	SCOPED(stop) struct fixture f = start();

	make(&f, "a", "c");
	make(&f, "b", NULL);
	make(&f, "e", NULL);
	saw(&f, 0, "d/a", ino_of(&f, "d/b"));
	saw(&f, 1, "d/b", ino_of(&f, "d/b"));
	saw(&f, 1, "d/c", ino_of(&f, "d/b"));
	saw(&f, 2, "d/e", ino_of(&f, "d/b"));
	look(&f, 3);
	CU_ASSERT_EQUAL_FATAL(f.d.n, 1);
	/* The numbers of another node do not matter where one node sees links. */
	CU_ASSERT_EQUAL(f.found[0], MANIFEST_LINK_OF);
	CU_ASSERT_EQUAL(f.found[2], MANIFEST_LINK_OF);
	/* b lies on another file system, say; e was seen with a number that is not its own. */
	CU_ASSERT_EQUAL(f.found[1], MANIFEST_LINK_OTHER);
	CU_ASSERT_EQUAL(f.found[3], MANIFEST_LINK_APART);
}

static void what_is_not_as_it_was_walked_stays_apart(void)
{
	SCOPED(stop) struct fixture f = start();

	make(&f, "a", "b");
	make(&f, "c", "e");
	saw(&f, 0, "d/a", 7);
	CU_ASSERT_EQUAL(fchmodat(f.dir, "d/a", 0640, 0), 0);
	saw(&f, 1, "d/b", 7);
	saw(&f, 0, "d/c", 7);
	saw(&f, 1, "d/e", 7);
	CU_ASSERT_EQUAL(unlinkat(f.dir, "d/e", 0), 0);
	look(&f, 1);
	CU_ASSERT_EQUAL_FATAL(f.d.n, 1);
	for (uint32_t k = 0; k < 4; k++)
		CU_ASSERT_EQUAL(f.found[k], MANIFEST_LINK_APART);
}

static void more_names_than_links_are_no_proof(void)
{
	SCOPED(stop) struct fixture f = start();

	make(&f, "a", "b");
	saw(&f, 0, "d/a", 7);
	saw(&f, 0, "d/b", 7);
	saw(&f, 0, "s/a", 7);
	look(&f, 1);
	CU_ASSERT_EQUAL_FATAL(f.d.n, 1);
	for (uint32_t k = 0; k < 3; k++)
		CU_ASSERT_EQUAL(f.found[k], MANIFEST_LINK_APART);
}

static int stop_at_once(void *arg, struct ebt_err *err)
{
	return ebt_failx(err, -EINTR, "stopped");
}

static void each_rank_looks_at_its_own_classes(void)
{
	SCOPED(stop) struct fixture f = start();
	uint32_t found[16] = {0};
	struct scan_look l = {.m = f.m, .doubts = &f.d, .step = 2, .threads = 8};
	struct ebt_err err;

	for (char name = 'a'; name < 'e'; name++) {
		char one[] = {name, '\0'}, two[] = {name, '2', '\0'}, path[8];

		make(&f, one, two);
		snprintf(path, sizeof(path), "d/%s", one);
		saw(&f, 0, path, (uint64_t)name);
		snprintf(path, sizeof(path), "d/%s", two);
		saw(&f, 1, path, (uint64_t)name);
	}
	look(&f, 8);
	CU_ASSERT_EQUAL_FATAL(f.d.n, 4);
	for (uint32_t rank = 0; rank < 2; rank++) {
		l.first = rank;
		memset(found, 0, sizeof(found));
		CU_ASSERT_EQUAL(scan_look(&l, found, NULL), 0);
		for (uint32_t k = 0; k < 8; k++)
			CU_ASSERT_EQUAL(found[k], k / 2 % 2 == rank
							  ? MANIFEST_LINK_OF
							  : MANIFEST_LINK_UNSEEN);
	}
	l.stopped = stop_at_once;
	CU_ASSERT_EQUAL(scan_look(&l, found, &err), -EINTR);
	CU_ASSERT_STRING_EQUAL(err.text, "stopped");
}

static const struct test tests[] = {
	TEST(links_are_told_from_files_with_the_same_number),
	TEST(what_is_not_as_it_was_walked_stays_apart),
	TEST(more_names_than_links_are_no_proof),
	TEST(each_rank_looks_at_its_own_classes),
};
SUITE("scan_look", tests)
