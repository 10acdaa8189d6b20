/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

#define S 1000000000ull

static const struct fsio_times seconds = {INT32_MIN, INT32_MAX, S};
static const struct fsio_times even = {315532800, 4354819198, 2 * S};
static const struct fsio_times tenths = {INT64_MIN, INT64_MAX, 100};
static const struct fsio_times range = {INT32_MIN, INT32_MAX, 1};
static const struct fsio_times unknown = {INT64_MIN, INT64_MAX, 0};

static void what_is_held_is_cut_to_range_and_unit(void)
{
	static const struct {
		const struct fsio_times *of;
		struct timespec given, held;
	} cases[] = {
		{&seconds, {5, 999999999}, {5, 0}},
		{&seconds, {-5, 999999999}, {-5, 0}},
		{&seconds, {INT32_MAX, 1}, {INT32_MAX, 0}},
		{&seconds, {1ll << 40, 7}, {INT32_MAX, 0}},
		{&seconds, {INT32_MIN, 1}, {INT32_MIN, 0}},
		{&seconds, {INT64_MIN, 0}, {INT32_MIN, 0}},
		{&even, {1000000001, 5}, {1000000000, 0}},
		{&even, {1000000000, 5}, {1000000000, 0}},
		{&even, {-1, 5}, {315532800, 0}},
		{&even, {5000000000, 5}, {4354819198, 0}},
		{&tenths, {3, 123456789}, {3, 123456700}},
		{&tenths, {-3, 99}, {-3, 0}},
		{&range, {3, 123456789}, {3, 123456789}},
		{&range, {INT32_MAX - 1, 5}, {INT32_MAX - 1, 5}},
		{&range, {1ll << 31, 5}, {INT32_MAX, 0}},
		{&unknown, {1ll << 40, 123456789}, {1ll << 40, 123456789}},
	};
	const struct fsio_times before = {INT64_MIN, INT64_MAX, 2 * S};
	struct timespec t = fsio_time_held(&before, (struct timespec){-3, 1});

	CU_ASSERT_EQUAL(t.tv_sec, -4); /* down, not towards 1970 */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		t = fsio_time_held(cases[i].of, cases[i].given);
		CU_ASSERT_EQUAL(t.tv_sec, cases[i].held.tv_sec);
		CU_ASSERT_EQUAL(t.tv_nsec, cases[i].held.tv_nsec);
		/* What is held stays as it is. */
		t = fsio_time_held(cases[i].of, t);
		CU_ASSERT_EQUAL(t.tv_sec, cases[i].held.tv_sec);
		CU_ASSERT_EQUAL(t.tv_nsec, cases[i].held.tv_nsec);
	}
}

static void where_all_is_held_every_nanosecond_counts(void)
{
	static const int64_t secs[] = {INT64_MIN + 1, INT32_MIN, -1, 0, 1, INT32_MAX,
		1ll << 40, INT64_MAX - 1};
	const struct fsio_times exact = FSIO_TIMES_EXACT;
	struct timespec t;

	for (size_t i = 0; i < sizeof(secs) / sizeof(secs[0]); i++) {
		t = fsio_time_held(&exact, (struct timespec){secs[i], 999999999});
		CU_ASSERT_EQUAL(t.tv_sec, secs[i]);
		CU_ASSERT_EQUAL(t.tv_nsec, 999999999);
	}
}

static void a_time_is_taken_for_what_file_systems_make_of_another(void)
{
	static const struct {
		struct timespec given, shown;
		bool could;
	} cases[] = {
		{{5, 123456789}, {5, 123456789}, true},
		{{5, 123456789}, {5, 123456700}, true},
		{{5, 123456789}, {5, 123456000}, true},
		{{5, 123456789}, {5, 0}, true},
		{{5, 123456789}, {4, 0}, false},
		{{5, 123456789}, {5, 123456788}, false},
		{{5, 123456789}, {6, 0}, false},
		{{5, 123456789}, {3, 0}, false},
		{{-5, 999999999}, {-5, 0}, true},
		{{-5, 999999999}, {-4, 0}, false},
		{{1ll << 33, 5}, {INT32_MAX, 0}, true},
		{{1ll << 33, 5}, {INT32_MAX, 5}, false},
		{{1ll << 33, 5}, {INT32_MAX - 1, 0}, false},
		{{1ll << 31, 5}, {UINT32_MAX, 0}, false},
		{{INT64_MIN, 0}, {INT32_MIN, 0}, true},
		{{-7, 0}, {0, 0}, true},
		{{7, 0}, {0, 0}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(fsio_time_could_be(cases[i].given, cases[i].shown),
			cases[i].could);
}

/* What was found foretells what files show: of whatever file system lies below TMPDIR. */
static void what_is_found_holds_for_other_times(void)
{
	static const struct timespec given[] = {{1, 1}, {1100000000, 987654321},
		{-86399, 500000001}, {INT32_MAX, 999999999}, {1ll << 32, 3},
		{1ll << 36, 5}, {INT32_MIN, 1}};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = openat(dir, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct fsio_times h;
	struct timespec held;
	struct stat st;

	fsio_times_find(fd, &h);
	CU_ASSERT_NOT_EQUAL(h.unit, 0);
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		const struct timespec times[] = {given[i], given[i]};

		CU_ASSERT_EQUAL(futimens(fd, times), 0);
		CU_ASSERT_EQUAL(fstat(fd, &st), 0);
		held = fsio_time_held(&h, given[i]);
		CU_ASSERT_EQUAL(st.st_mtim.tv_sec, held.tv_sec);
		CU_ASSERT_EQUAL(st.st_mtim.tv_nsec, held.tv_nsec);
	}
}

static void what_cannot_be_set_is_not_kept(void)
{
	struct fsio_times h = FSIO_TIMES_EXACT;

	fsio_times_find(-1, &h);
	CU_ASSERT_EQUAL(h.unit, 0);
}

static const struct test tests[] = {
	TEST(what_is_held_is_cut_to_range_and_unit),
	TEST(where_all_is_held_every_nanosecond_counts),
	TEST(a_time_is_taken_for_what_file_systems_make_of_another),
	TEST(what_is_found_holds_for_other_times),
	TEST(what_cannot_be_set_is_not_kept),
};
SUITE("fsio_time", tests)
