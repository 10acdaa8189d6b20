/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drain/journal.h"
#include "fsio/fsio.h"
#include "suite.h"

#define SCOPED_JOURNAL SCOPED(journal_closep)
#define ID_A "0123456789abcdef0123456789abcdef"
#define ID_B "fedcba9876543210fedcba9876543210"
#define DEST "/scratch/proj/results"
#define NAME "drain"

static struct journal *open_ok(int dir)
{
	struct journal *j = NULL;

	CU_ASSERT_EQUAL_FATAL(journal_open(dir, &j, NULL), 0);
	return j;
}

static const struct journal_source two_sources[] = {
	{.where = 3, .ino = 1ull << 63, .size = 10, .mtime = -5, .mtime_ns = 999999999},
	{.where = 4, .ino = 5, .size = 1ull << 40, .mtime = 7}};

/* Seal number @i: its size tells it from others. */
static int seal(struct journal *j, uint64_t i)
{
	char names[64];
	struct journal_seal s = {.names = names, .n_names = 1, .size = i, .mtime = -1,
		.mtime_ns = 5, .sources = two_sources, .n_sources = (uint32_t)(1 + i % 2)};

	memset(names, 0, sizeof(names));
	snprintf(names, sizeof(names), "d/f%llu", (unsigned long long)i);
	if (i % 2) {
		strcpy(names + strlen(names) + 1, "link");
		s.n_names = 2;
	}
	return journal_seal(j, &s, NULL);
}

/* A journal with seals 0 to @n - 1, closed. */
static void make(int dir, uint64_t n)
{
	SCOPED_JOURNAL struct journal *j = open_ok(dir);

	CU_ASSERT_EQUAL_FATAL(journal_begin(j, ID_A, DEST, true, false, NULL), 0);
	for (uint64_t i = 0; i < n; i++)
		CU_ASSERT_EQUAL_FATAL(seal(j, i), 0);
}

struct seen {
	uint64_t n, wrong;
};

/* In order, and as seal() wrote them. */
static int see(void *arg, const struct journal_seal *s)
{
	struct seen *seen = arg;
	uint64_t i = seen->n++;
	char name[64];
	bool ok;

	snprintf(name, sizeof(name), "d/f%llu", (unsigned long long)i);
	ok = s->size == i && s->mtime == -1 && s->mtime_ns == 5 && s->n_sources == 1 + i % 2 &&
	     s->n_names == 1 + i % 2 && strcmp(s->names, name) == 0;
	if (ok && i % 2)
		ok = strcmp(s->names + strlen(name) + 1, "link") == 0;
	for (uint32_t k = 0; ok && k < s->n_sources; k++)
		ok = s->sources[k].where == two_sources[k].where &&
		     s->sources[k].ino == two_sources[k].ino &&
		     s->sources[k].size == two_sources[k].size &&
		     s->sources[k].mtime == two_sources[k].mtime &&
		     s->sources[k].mtime_ns == two_sources[k].mtime_ns;
	seen->wrong += !ok;
	return 0;
}

static uint64_t seals(const struct journal *j)
{
	struct seen seen = {0};

	CU_ASSERT_EQUAL(journal_each(j, see, &seen), 0);
	CU_ASSERT_EQUAL(seen.wrong, 0);
	return seen.n;
}

static void load(int dir, struct buf *out)
{
	CU_ASSERT_EQUAL_FATAL(fsio_load(dir, NAME, 1 << 20, out, NULL), 0);
}

static void save(int dir, const void *data, size_t len)
{
	CU_ASSERT_EQUAL_FATAL(fsio_save(dir, NAME, data, len, NULL), 0);
}

static void without_a_file_no_drain_was_begun(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);

	CU_ASSERT_PTR_NULL(journal_head(j));
	CU_ASSERT_EQUAL(seals(j), 0);
	CU_ASSERT_EQUAL(seal(j, 0), -EINVAL);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), -EINVAL);
	CU_ASSERT_NOT_EQUAL(faccessat(dir, NAME, F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

static void what_was_sealed_is_read_back(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;
	const struct journal_head *h;
	struct stat st;

	make(dir, 20);
	j = open_ok(dir);
	h = journal_head(j);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_STRING_EQUAL(h->id, ID_A);
	CU_ASSERT_STRING_EQUAL(h->dest, DEST);
	CU_ASSERT_TRUE(h->atomic);
	CU_ASSERT_FALSE(h->finished);
	CU_ASSERT_EQUAL(seals(j), 20);
	CU_ASSERT_EQUAL(fstatat(dir, NAME, &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
}

static void seals_of_this_process_are_seen_too(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 3);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(seal(j, 3), 0);
	CU_ASSERT_EQUAL(seal(j, 4), 0);
	CU_ASSERT_EQUAL(seals(j), 5);
}

static int stop_at_two(void *arg, const struct journal_seal *s)
{
	return s->size == 2 ? 42 : 0;
}

static void reading_stops_when_told(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 5);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_each(j, stop_at_two, NULL), 42);
}

static void a_finished_drain_takes_no_seals(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 3);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	CU_ASSERT_TRUE(journal_head(j)->finished);
	CU_ASSERT_EQUAL(seal(j, 3), -EINVAL);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_TRUE(journal_head(j)->finished);
	CU_ASSERT_EQUAL(seals(j), 3);
	CU_ASSERT_EQUAL(seal(j, 3), -EINVAL);
}

static int count_one(void *arg, const struct journal_seal *s)
{
	(void)s;
	++*(int *)arg;
	return 0;
}

static int count_seals(const struct journal *j)
{
	int n = 0;

	return journal_each(j, count_one, &n) == 0 ? n : -1;
}

static void the_next_drain_keeps_seals_or_drops_them(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 3);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(seal(j, 3), 0);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, false, true, NULL), 0);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->id, ID_B);
	CU_ASSERT_FALSE(journal_head(j)->finished);
	CU_ASSERT_EQUAL(seal(j, 4), 0);
	CU_ASSERT_EQUAL(seals(j), 5);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->id, ID_B);
	CU_ASSERT_FALSE(journal_head(j)->atomic);
	CU_ASSERT_EQUAL(seals(j), 5);
	CU_ASSERT_EQUAL(journal_begin(j, ID_A, "/elsewhere", false, false, NULL), 0);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->dest, "/elsewhere");
	CU_ASSERT_EQUAL(seals(j), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->dest, "/elsewhere");
	CU_ASSERT_EQUAL(seals(j), 0);
}

static void directories_of_a_finished_drain_are_forgotten(void)
{
	struct journal_seal dirs = {.names = "a\0b", .n_names = 2};

	for (int finished = 0; finished < 2; finished++) {
		char tmp[64];
		SCOPED_FD int dir = suite_tmpdir(tmp);
		SCOPED_JOURNAL struct journal *j = NULL;

		make(dir, 3);
		j = open_ok(dir);
		CU_ASSERT_EQUAL(journal_seal(j, &dirs, NULL), 0);
		if (finished)
			CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
		CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, false, true, NULL), 0);
		CU_ASSERT_EQUAL(count_seals(j), finished ? 3 : 4);
	}
}

static int add_path(void *arg, const char *path)
{
	strcat(strcat(arg, path), " ");
	return strcmp(path, "stop") == 0 ? 7 : 0;
}

static void splits_are_kept_from_drain_to_drain(void)
{
	char tmp[64], seen[64] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 2);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_split(j, "d/a\0b", 2, NULL), 0);
	CU_ASSERT_EQUAL(seal(j, 2), 0);
	CU_ASSERT_EQUAL(journal_split(j, "c", 1, NULL), 0);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, true, true, NULL), 0);
	CU_ASSERT_EQUAL(journal_each_split(j, add_path, seen), 0);
	CU_ASSERT_STRING_EQUAL(seen, "d/a b c ");
	CU_ASSERT_EQUAL(seals(j), 3);
	CU_ASSERT_EQUAL(journal_split(j, "stop\0more", 2, NULL), 0);
	CU_ASSERT_EQUAL(journal_each_split(j, add_path, seen), 7);
	seen[0] = '\0';
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, true, false, NULL), 0);
	CU_ASSERT_EQUAL(journal_each_split(j, add_path, seen), 0);
	CU_ASSERT_STRING_EQUAL(seen, "");
}

static void an_id_is_hex_and_dest_absolute(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);

	CU_ASSERT_EQUAL(journal_begin(j, "../x", DEST, false, false, NULL), -EINVAL);
	CU_ASSERT_EQUAL(journal_begin(j, ID_A "0", DEST, false, false, NULL), -EINVAL);
	CU_ASSERT_EQUAL(journal_begin(j, ID_A, "relative", false, false, NULL), -EINVAL);
	CU_ASSERT_PTR_NULL(journal_head(j));
	CU_ASSERT_EQUAL(journal_begin(j, ID_A, "/", false, false, NULL), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_PTR_NOT_NULL_FATAL(journal_head(j));
	CU_ASSERT_STRING_EQUAL(journal_head(j)->dest, "/");
}

/* Where each of the first @n seals ends. */
static void ends(uint64_t n, size_t *end)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(journal_begin(j, ID_A, DEST, true, false, NULL), 0);
	for (uint64_t i = 0; i <= n; i++) {
		CU_ASSERT_EQUAL_FATAL(fstatat(dir, NAME, &st, 0), 0);
		end[i] = (size_t)st.st_size;
		CU_ASSERT_EQUAL_FATAL(seal(j, i), 0);
	}
}

static void a_tail_torn_anywhere_is_cut_off(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	size_t end[5];
	uint64_t whole;

	ends(4, end);
	make(dir, 4);
	load(dir, &all);
	CU_ASSERT_EQUAL_FATAL(all.len, end[4]);
	for (size_t len = 0; len < all.len; len++) {
		SCOPED_JOURNAL struct journal *j = NULL;
		SCOPED_JOURNAL struct journal *again = NULL;

		save(dir, all.data, len);
		j = open_ok(dir);
		if (len < end[0]) {
			CU_ASSERT_PTR_NULL(journal_head(j));
			continue;
		}
		for (whole = 0; end[whole + 1] <= len; whole++)
			;
		CU_ASSERT_PTR_NOT_NULL(journal_head(j));
		CU_ASSERT_EQUAL(seals(j), whole);
		CU_ASSERT_EQUAL(seal(j, whole), 0);
		again = open_ok(dir);
		CU_ASSERT_EQUAL(seals(again), whole + 1);
	}
}

static void nothing_counts_after_a_damaged_byte(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	size_t end[5];
	uint64_t whole;

	ends(4, end);
	make(dir, 4);
	load(dir, &all);
	for (size_t at = 12; at < all.len; at++) {
		SCOPED_JOURNAL struct journal *j = NULL;
		SCOPED_JOURNAL struct journal *again = NULL;

		all.data[at] ^= 0x40;
		save(dir, all.data, all.len);
		all.data[at] ^= 0x40;
		j = open_ok(dir);
		if (at < end[0]) {
			CU_ASSERT_PTR_NULL(journal_head(j));
			CU_ASSERT_EQUAL(seals(j), 0);
			continue;
		}
		for (whole = 0; end[whole + 1] <= at; whole++)
			;
		CU_ASSERT_EQUAL(seals(j), whole);
		CU_ASSERT_EQUAL(seal(j, whole), 0);
		again = open_ok(dir);
		CU_ASSERT_EQUAL(seals(again), whole + 1);
	}
}

static void a_later_version_is_refused_and_other_bytes_are_nothing(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	SCOPED_JOURNAL struct journal *j = NULL;
	SCOPED_JOURNAL struct journal *none = NULL;

	make(dir, 2);
	load(dir, &all);
	all.data[8] = 3;
	save(dir, all.data, all.len);
	CU_ASSERT_EQUAL(journal_open(dir, &j, NULL), -EPROTONOSUPPORT);
	CU_ASSERT_PTR_NULL(j);
	all.data[8] = 1;
	all.data[0] = 'X';
	save(dir, all.data, all.len);
	none = open_ok(dir);
	CU_ASSERT_PTR_NULL(journal_head(none));
	CU_ASSERT_EQUAL(journal_begin(none, ID_B, DEST, false, true, NULL), 0);
	CU_ASSERT_EQUAL(seals(none), 0);
}

static void what_is_not_our_file_is_refused(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct journal *j = NULL;

	CU_ASSERT_EQUAL(symlinkat("elsewhere", dir, NAME), 0);
	CU_ASSERT_EQUAL(journal_open(dir, &j, NULL), -EPERM);
	CU_ASSERT_EQUAL(unlinkat(dir, NAME, 0), 0);
	CU_ASSERT_EQUAL(mkfifoat(dir, NAME, 0600), 0);
	CU_ASSERT_EQUAL(journal_open(dir, &j, NULL), -EPERM);
	CU_ASSERT_EQUAL(unlinkat(dir, NAME, 0), 0);
	CU_ASSERT_EQUAL(mkdirat(dir, NAME, 0700), 0);
	CU_ASSERT_EQUAL(journal_open(dir, &j, NULL), -EPERM);
	CU_ASSERT_EQUAL(unlinkat(dir, NAME, AT_REMOVEDIR), 0);
	CU_ASSERT_PTR_NULL(j);
}

/* Only root can give a file away. */
static void what_is_somebody_elses_is_refused(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	struct journal *j = NULL;

	if (geteuid() != 0) {
		printf("\n    not tried: needs root to give a file away\n");
		return;
	}
	make(dir, 1);
	CU_ASSERT_EQUAL(fchownat(dir, NAME, 12345, 12345, 0), 0);
	CU_ASSERT_EQUAL(journal_open(dir, &j, NULL), -EPERM);
	CU_ASSERT_PTR_NULL(j);
}

/* A journal swapped for a link between reading and the first seal. */
static void a_link_planted_later_is_not_written_through(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_FD int victim = openat(dir, "victim", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	SCOPED_JOURNAL struct journal *j = NULL;
	struct stat st;

	make(dir, 1);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(unlinkat(dir, NAME, 0), 0);
	CU_ASSERT_EQUAL(symlinkat("victim", dir, NAME), 0);
	CU_ASSERT_EQUAL(seal(j, 1), -EPERM);
	CU_ASSERT_EQUAL(seals(j), 1);
	CU_ASSERT_EQUAL(fstat(victim, &st), 0);
	CU_ASSERT_EQUAL(st.st_size, 0);
}

/* The limit on the size of files cuts a write short, as a full file system does. */
static void a_seal_that_does_not_fit_leaves_the_others(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;
	SCOPED_JOURNAL struct journal *again = NULL;
	struct rlimit was, small;
	struct stat st;

	make(dir, 3);
	j = open_ok(dir);
	CU_ASSERT_EQUAL_FATAL(fstatat(dir, NAME, &st, 0), 0);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = (rlim_t)st.st_size + 10;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
	CU_ASSERT_EQUAL(seal(j, 3), -ENOSPC);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &was), 0);
	CU_ASSERT_EQUAL(seals(j), 3);
	again = open_ok(dir);
	CU_ASSERT_EQUAL(seals(again), 3);
	CU_ASSERT_EQUAL(seal(j, 3), 0);
	journal_close(TAKE(again));
	again = open_ok(dir);
	CU_ASSERT_EQUAL(seals(again), 4);
}

#define THREADS 4
#define EACH    250
struct sealer {
	struct journal *j;
	int first, failed;
};

static void *seal_many(void *arg)
{
	struct sealer *s = arg;
	char name[32];

	for (int i = 0; i < EACH; i++) {
		struct journal_seal one = {.names = name, .n_names = 1,
			.size = (uint64_t)(s->first + i)};

		snprintf(name, sizeof(name), "f%d", s->first + i);
		s->failed += journal_seal(s->j, &one, NULL) != 0;
	}
	return NULL;
}

static int count_once(void *arg, const struct journal_seal *s)
{
	unsigned char *times = arg;
	char name[32];

	if (s->size >= THREADS * EACH)
		return 1;
	snprintf(name, sizeof(name), "f%d", (int)s->size);
	if (strcmp(name, s->names) != 0 || times[s->size]++)
		return 1;
	return 0;
}

static void threads_seal_side_by_side(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);
	SCOPED_JOURNAL struct journal *again = NULL;
	unsigned char times[THREADS * EACH] = {0};
	struct sealer s[THREADS];
	pthread_t t[THREADS];

	CU_ASSERT_EQUAL_FATAL(journal_begin(j, ID_A, DEST, false, false, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		s[i] = (struct sealer){j, i * EACH, 0};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, seal_many, &s[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		CU_ASSERT_EQUAL(s[i].failed, 0);
	}
	again = open_ok(dir);
	CU_ASSERT_EQUAL(journal_each(again, count_once, times), 0);
	CU_ASSERT_PTR_NULL(memchr(times, 0, sizeof(times)));
}

static const struct test tests[] = {
	TEST(without_a_file_no_drain_was_begun),
	TEST(what_was_sealed_is_read_back),
	TEST(seals_of_this_process_are_seen_too),
	TEST(reading_stops_when_told),
	TEST(a_finished_drain_takes_no_seals),
	TEST(the_next_drain_keeps_seals_or_drops_them),
	TEST(directories_of_a_finished_drain_are_forgotten),
	TEST(splits_are_kept_from_drain_to_drain),
	TEST(an_id_is_hex_and_dest_absolute),
	TEST(a_tail_torn_anywhere_is_cut_off),
	TEST(nothing_counts_after_a_damaged_byte),
	TEST(a_later_version_is_refused_and_other_bytes_are_nothing),
	TEST(what_is_not_our_file_is_refused),
	TEST(what_is_somebody_elses_is_refused),
	TEST(a_link_planted_later_is_not_written_through),
	TEST(a_seal_that_does_not_fit_leaves_the_others),
	TEST(threads_seal_side_by_side),
};
SUITE("drain_journal", tests)
