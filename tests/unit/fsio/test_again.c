/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "base/clock.h"
#include "fsio/fsio.h"
#include "suite.h"

/* An open that fails with @code @bad times. */
struct fake {
	int code;
	unsigned bad, calls;
};

static int open_it(struct fake *f)
{
	return f->calls++ < f->bad ? f->code : 7;
}

static int patiently(const struct fsio_patience *p, struct fake *f)
{
	struct fsio_again again = {0};
	int fd;

	while (fsio_again(&again, p, fd = open_it(f)))
		;
	return fd;
}

static void what_passes_is_tried_again_and_counted_once(void)
{
	static const int codes[] = {-ESTALE, -EINTR, -EAGAIN};
	uint64_t count = 0;
	struct fsio_patience p = {.count = &count};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct fake f = {.code = codes[i], .bad = 3};

		CU_ASSERT_EQUAL(patiently(&p, &f), 7);
		CU_ASSERT_EQUAL(f.calls, 4);
		CU_ASSERT_EQUAL(count, i + 1);
	}
}

static void what_works_or_is_final_is_not_tried_again(void)
{
	static const int codes[] = {-ENOENT, -EACCES, -ELOOP, -EIO, -EMFILE};
	uint64_t count = 0;
	struct fsio_patience p = {.count = &count};
	struct fake good = {0};

	CU_ASSERT_EQUAL(patiently(&p, &good), 7);
	CU_ASSERT_EQUAL(good.calls, 1);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct fake f = {.code = codes[i], .bad = 3};

		CU_ASSERT_EQUAL(patiently(&p, &f), codes[i]);
		CU_ASSERT_EQUAL(f.calls, 1);
	}
	CU_ASSERT_EQUAL(count, 0);
}

static void a_handle_that_stays_stale_ends_soon(void)
{
	static const int codes[] = {-ESTALE, -EINTR};
	struct fsio_patience p = {0};
	double began = clock_now();

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct fake f = {.code = codes[i], .bad = 1000};

		CU_ASSERT_EQUAL(patiently(&p, &f), codes[i]);
		CU_ASSERT_EQUAL(f.calls, 6);
	}
	CU_ASSERT(clock_now() - began < 10);
}

static bool told(void *arg)
{
	unsigned *left = arg;

	return (*left)-- == 0;
}

static void a_stop_request_ends_the_wait_for_a_lease(void)
{
	unsigned left = 3;
	struct fsio_patience p = {.stopped = told, .arg = &left};
	struct fake f = {.code = -EAGAIN, .bad = 1000000};

	CU_ASSERT_EQUAL(patiently(&p, &f), -EAGAIN);
	CU_ASSERT_EQUAL(f.calls, 4);
}

/* Without waiting for it: what the tries so far have waited is known. */
static void a_lease_is_waited_for_longer_than_the_kernel_leaves_it(void)
{
	struct fsio_patience p = {0};
	struct fsio_again again = {.tries = 300, .waited_ms = 46000};

	CU_ASSERT_TRUE(fsio_again(&again, &p, -EAGAIN));
	CU_ASSERT(again.waited_ms > 46000);
	again.waited_ms = 60000;
	CU_ASSERT_FALSE(fsio_again(&again, &p, -EAGAIN));
}

static const struct test tests[] = {
	TEST(what_passes_is_tried_again_and_counted_once),
	TEST(what_works_or_is_final_is_not_tried_again),
	TEST(a_handle_that_stays_stale_ends_soon),
	TEST(a_stop_request_ends_the_wait_for_a_lease),
	TEST(a_lease_is_waited_for_longer_than_the_kernel_leaves_it),
};
SUITE("fsio_again", tests)
