/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of a journal: whose it is, what does not fit, and threads side by side. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "field.h"

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
	SCOPED_FD int victim =
		openat(dir, "victim", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
#define EACH	250
struct sealer {
	struct journal *j;
	int first, failed;
};

static void *seal_many(void *arg)
{
	struct sealer *s = arg;
	char name[32];

	for (int i = 0; i < EACH; i++) {
		struct journal_seal one = {
			.names = name, .n_names = 1, .size = (uint64_t)(s->first + i)};

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
	TEST(what_is_not_our_file_is_refused),
	TEST(what_is_somebody_elses_is_refused),
	TEST(a_link_planted_later_is_not_written_through),
	TEST(a_seal_that_does_not_fit_leaves_the_others),
	TEST(threads_seal_side_by_side),
};
SUITE("journal_file", tests)
