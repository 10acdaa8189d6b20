/* SPDX-License-Identifier: BSD-3-Clause */
/* What a store's manifest says of its files' inodes, and what is made of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fixture.h"
#include "fsio/fsio.h"

static struct manifest *manifest_of(const char *dest)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	struct manifest *m = NULL;

	CU_ASSERT_EQUAL_FATAL(store_manifest(s, &m, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	return m;
}

static bool look(
	const char *dest, const struct manifest *m, uint32_t i, struct stat *st)
{
	char path[2048], name[1024];

	manifest_path(m, i, name, sizeof(name));
	snprintf(path, sizeof(path), "%s/%s", dest, name);
	return lstat(path, st) == 0;
}

/* Entries of which something is noted; all of that has to be true. */
static uint32_t noted(const char *dest, const struct manifest *m)
{
	struct stat st;
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];

		if (!e->copy.ino)
			continue;
		n++;
		CU_ASSERT_TRUE_FATAL(look(dest, m, i, &st));
		CU_ASSERT_TRUE(
			manifest_untouched(e, st.st_ino, manifest_time(st.st_ctim)));
		CU_ASSERT_EQUAL(e->copy.uid, st.st_uid);
		CU_ASSERT_EQUAL(e->copy.gid, st.st_gid);
		CU_ASSERT_EQUAL(e->copy.mode, st.st_mode & 07777);
	}
	return n;
}

/* How many files of @m do not have its content any more; *read: had to be read. */
static size_t differing(const char *dest, const struct manifest *m, size_t *read)
{
	SCOPED_FD int dir = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FREE struct store_content *x = calloc(m->count + 1, sizeof(*x));
	struct store_contents c = {.m = m, .dirfd = dir, .files = x, .threads = 2};
	size_t bad = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];

		if (e->kind != MANIFEST_FILE)
			continue;
		x[c.n++] = (struct store_content){.entry = i,
			.was = e,
			.digest = m->entries[e->group == MANIFEST_NONE ? i : e->group]
					  .digest};
	}
	CU_ASSERT_EQUAL(store_compare_contents(&c), 0);
	*read = 0;
	for (size_t i = 0; i < c.n; i++) {
		bad += !x[i].same;
		*read += x[i].read;
	}
	return bad;
}

static void all_that_was_published_is_known_by_its_inode(void)
{
	char tmp[64];
	size_t read;

	close(suite_tmpdir(tmp));
	fixture_publish(tmp, ID_A, everything, STORE_REFUSE);
	SCOPED_MANIFEST struct manifest *m = manifest_of(tmp);
	CU_ASSERT_EQUAL(noted(tmp, m), m->count);
	CU_ASSERT_EQUAL(differing(tmp, m, &read), 0);
	CU_ASSERT_EQUAL(read, 0);
}

static void a_later_run_leaves_the_others_alone(void)
{
	static const struct item first[] = {DIRECTORY("d", 0755), PLAIN("d/f", "f"),
		PLAIN("d/g", "g"), LINK("l", "d/f")};
	static const struct item second[] = {
		DIRECTORY("d", 0755), PLAIN("d/g", "G"), PLAIN("d/h", "h")};
	char tmp[64];
	uint32_t at;

	close(suite_tmpdir(tmp));
	fixture_publish(tmp, ID_A, ITEMS(first), STORE_REFUSE);
	SCOPED_MANIFEST struct manifest *a = manifest_of(tmp);
	fixture_publish(tmp, ID_B, ITEMS(second), STORE_ALWAYS);
	SCOPED_MANIFEST struct manifest *b = manifest_of(tmp);
	CU_ASSERT_EQUAL(noted(tmp, b), 5);
	at = manifest_find(b, "d/f");
	CU_ASSERT_EQUAL(b->entries[at].copy.changed,
		a->entries[manifest_find(a, "d/f")].copy.changed);
	at = manifest_find(b, "d/g");
	CU_ASSERT_NOT_EQUAL(
		b->entries[at].copy.ino, a->entries[manifest_find(a, "d/g")].copy.ino);
}

/* What lay under its final name after a crash may have been changed there. */
static void what_an_earlier_process_moved_is_not_taken_for_untouched(void)
{
	static const struct item items[] = {PLAIN("a", "aaaa"), PLAIN("b", "bbbb")};
	static const struct timespec times[2] = {
		{.tv_sec = 1100000000}, {.tv_sec = 1000000000, .tv_nsec = 123456789}};
	SCOPED_MANIFEST struct manifest *run = fixture_manifest(ITEMS(items), ID_A);
	bool died = true;

	for (int k = 0; died; k++) {
		char tmp[64], id[33];
		SCOPED_FD int dir = suite_tmpdir(tmp);
		SCOPED_STORE struct store *s = fixture_open(tmp);
		size_t read;

		fixture_prepare(s, ID_A, run, NULL, ITEMS(items), STORE_REFUSE);
		store_close(TAKE(s));
		died = fixture_publish_until(tmp, k);
		/* The first name is there after the first step. */
		fixture_write(dir, "a", "AAAA");
		CU_ASSERT_EQUAL(utimensat(dir, "a", times, 0), 0);
		s = fixture_open(tmp);
		CU_ASSERT_EQUAL(store_pending(s, id, NULL, NULL), 0);
		if (id[0])
			CU_ASSERT_EQUAL(store_publish(s, NULL, NULL), 0);
		store_close(TAKE(s));
		SCOPED_MANIFEST struct manifest *m = manifest_of(tmp);
		CU_ASSERT_EQUAL(differing(tmp, m, &read), 1);
	}
}

static void a_change_without_a_trace_in_size_and_time_is_found(void)
{
	static const struct item items[] = {PLAIN("a", "aaaa"), PLAIN("b", "bbbb"),
		PLAIN("c", "cccc"), PLAIN("d", "dddd"), PLAIN("e", "eeee")};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	size_t read;

	fixture_publish(tmp, ID_A, ITEMS(items), STORE_REFUSE);
	SCOPED_MANIFEST struct manifest *m = manifest_of(tmp);
	fixture_write(dir, "a", "AAAA");
	CU_ASSERT_EQUAL(fchmodat(dir, "b", 0600, 0), 0);
	CU_ASSERT_EQUAL(unlinkat(dir, "c", 0), 0);
	CU_ASSERT_EQUAL(unlinkat(dir, "d", 0), 0);
	CU_ASSERT_EQUAL(symlinkat("b", dir, "d"), 0);
	/* a, c and d are not the same; a and b have to be read. */
	CU_ASSERT_EQUAL(differing(tmp, m, &read), 3);
	CU_ASSERT_EQUAL(read, 2);
	/* An old manifest: all that is left is read. */
	for (uint32_t i = 0; i < m->count; i++)
		m->entries[i].copy = (struct manifest_copy){0};
	CU_ASSERT_EQUAL(differing(tmp, m, &read), 3);
	CU_ASSERT_EQUAL(read, 3);
}

static void what_changed_just_now_may_change_again_unseen(void)
{
	static const struct item items[] = {PLAIN("a", "aaaa")};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store_content x = {0};
	struct store_contents c = {.dirfd = dir, .files = &x, .n = 1};
	double start, end;

	CU_ASSERT_EQUAL(MANIFEST_TICK, 20000000);
	CU_ASSERT_FALSE(manifest_settled(1000000000, 1019999999));
	CU_ASSERT_TRUE(manifest_settled(1000000000, 1020000000));
	CU_ASSERT_FALSE(manifest_settled(1000000000, 500000000));
	fixture_publish(tmp, ID_A, ITEMS(items), STORE_REFUSE);
	SCOPED_MANIFEST struct manifest *m = manifest_of(tmp);
	c.m = m;
	start = clock_now();
	CU_ASSERT_EQUAL(fchmodat(dir, "a", 0600, 0), 0);
	/* Read again and again, and in the end it need not be any more. */
	do {
		x = (struct store_content){
			.was = m->entries, .digest = m->entries[0].digest};
		CU_ASSERT_EQUAL_FATAL(store_compare_contents(&c), 0);
		end = clock_now();
		CU_ASSERT_TRUE(x.same && x.read);
		if (x.copy.ino)
			CU_ASSERT(end - start >= 0.009); /* less a step of the clock */
	} while (!x.copy.ino && end - start < 30);
	m->entries[0].copy = x.copy;
	CU_ASSERT_EQUAL(store_compare_contents(&c), 0);
	x = (struct store_content){.was = m->entries, .digest = m->entries[0].digest};
	CU_ASSERT_EQUAL(store_compare_contents(&c), 0);
	CU_ASSERT_TRUE(x.same && !x.read);
}

static bool at_once(void *arg)
{
	return true;
}

static void comparing_can_be_stopped(void)
{
	static const struct item items[] = {PLAIN("a", "aaaa")};
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct store_content x = {0};
	struct store_contents c = {
		.dirfd = dir, .files = &x, .n = 1, .threads = 1, .stopped = at_once};

	fixture_publish(tmp, ID_A, ITEMS(items), STORE_REFUSE);
	SCOPED_MANIFEST struct manifest *m = manifest_of(tmp);
	m->entries[0].copy.ino = 0;
	c.m = m;
	x.was = m->entries;
	CU_ASSERT_EQUAL(store_compare_contents(&c), -EINTR);
}

static const struct test tests[] = {
	TEST(all_that_was_published_is_known_by_its_inode),
	TEST(a_later_run_leaves_the_others_alone),
	TEST(what_an_earlier_process_moved_is_not_taken_for_untouched),
	TEST(a_change_without_a_trace_in_size_and_time_is_found),
	TEST(what_changed_just_now_may_change_again_unseen),
	TEST(comparing_can_be_stopped),
};
SUITE("store_copies", tests)
