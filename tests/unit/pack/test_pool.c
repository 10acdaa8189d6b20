/* SPDX-License-Identifier: BSD-3-Clause */
#include "pack/parcel.h"

#include <stdio.h>
#include <string.h>

#include "suite.h"
#include "own_pool.h"

#define BYTES	(128 * 1024)
#define COUNT	5
#define WAITERS 4

static struct pool *open_pool(uint64_t bytes, uint32_t count)
{
	struct pool *p = NULL;

	if (own_pool(bytes, count, &p, NULL) < 0)
		exit(99);
	return p;
}

static void a_pool_has_as_many_parcels_as_asked_for(void)
{
	SCOPED(pool_freep) struct pool *p = open_pool(BYTES, COUNT);
	struct parcel *taken[COUNT];

	CU_ASSERT_EQUAL(pool_count(p), COUNT);
	for (int i = 0; i < COUNT; i++) {
		taken[i] = pool_try(p);
		CU_ASSERT_PTR_NOT_NULL_FATAL(taken[i]);
		CU_ASSERT_EQUAL(taken[i]->refs, 1);
		CU_ASSERT_PTR_EQUAL(taken[i]->pool, p);
	}
	CU_ASSERT_PTR_NULL(pool_try(p));
	parcel_unref(taken[2]);
	CU_ASSERT_PTR_EQUAL(pool_try(p), taken[2]);
	CU_ASSERT_PTR_NULL(pool_try(p));
	for (int i = 0; i < COUNT; i++)
		parcel_unref(taken[i]);
}

static void the_one_used_last_comes_first(void)
{
	SCOPED(pool_freep) struct pool *p = open_pool(BYTES, COUNT);
	struct parcel *a = pool_try(p), *b = pool_try(p), *c = pool_try(p);

	parcel_unref(b);
	parcel_unref(a);
	parcel_unref(c);
	CU_ASSERT_PTR_EQUAL(pool_wait(p), c);
	CU_ASSERT_PTR_EQUAL(pool_try(p), a);
	CU_ASSERT_PTR_EQUAL(pool_wait(p), b);
	parcel_unref(a);
	parcel_unref(b);
	parcel_unref(c);
}

static void only_the_last_reference_returns_it(void)
{
	SCOPED(pool_freep) struct pool *p = open_pool(BYTES, 1);
	struct parcel *a = pool_try(p);

	parcel_ref(a, 2);
	parcel_unref(a);
	parcel_unref(a);
	CU_ASSERT_PTR_NULL(pool_try(p));
	parcel_unref(a);
	CU_ASSERT_PTR_EQUAL(pool_try(p), a);
	parcel_unref(a);
}

/* Odd sizes too: buffers keep apart, payloads are on pages, the header lies right before. */
static void buffers_do_not_touch(void)
{
	static const uint64_t sizes[] = {1, 4095, 4096, 4097, BYTES};

	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		SCOPED(pool_freep) struct pool *p = open_pool(sizes[k], COUNT);
		struct parcel *taken[COUNT];
		int bad = 0;

		for (int i = 0; i < COUNT; i++) {
			taken[i] = pool_try(p);
			CU_ASSERT_EQUAL((uintptr_t)taken[i]->payload % 4096, 0);
			CU_ASSERT_PTR_EQUAL(taken[i]->header + 1, taken[i]->payload);
			memset(taken[i]->header, i + 1,
				sizeof(*taken[i]->header) + sizes[k]);
		}
		for (int i = 0; i < COUNT; i++) {
			const unsigned char *at =
				(const unsigned char *)taken[i]->header;

			for (uint64_t j = 0; j < sizeof(*taken[i]->header) + sizes[k];
				j++)
				bad += at[j] != i + 1;
			parcel_unref(taken[i]);
		}
		CU_ASSERT_EQUAL(bad, 0);
		CU_ASSERT(pool_stride(sizes[k]) >=
			  sizes[k] + sizeof(struct parcel_header));
	}
}

struct waiter {
	pthread_t thread;
	struct pool *pool;
	struct parcel *got;
	bool null;
};

static void *wait_for_one(void *arg)
{
	struct waiter *w = arg;

	w->got = pool_wait(w->pool);
	w->null = !w->got;
	return NULL;
}

static void start(struct waiter *w, struct pool *p)
{
	w->pool = p;
	if (pthread_create(&w->thread, NULL, wait_for_one, w))
		exit(99);
}

static void a_waiter_gets_what_comes_back(void)
{
	SCOPED(pool_freep) struct pool *p = open_pool(BYTES, 2);
	struct parcel *a = pool_try(p), *b = pool_try(p);
	struct waiter w[2] = {0};

	start(&w[0], p);
	start(&w[1], p);
	parcel_unref(a);
	parcel_unref(b);
	for (int i = 0; i < 2; i++) {
		pthread_join(w[i].thread, NULL);
		CU_ASSERT_FALSE(w[i].null);
	}
	CU_ASSERT_PTR_NOT_EQUAL(w[0].got, w[1].got);
	CU_ASSERT_PTR_NULL(pool_try(p));
	parcel_unref(a);
	parcel_unref(b);
}

static void closing_ends_all_waiting(void)
{
	SCOPED(pool_freep) struct pool *p = open_pool(BYTES, 1);
	struct parcel *a = pool_try(p);
	struct waiter w[WAITERS] = {0};

	for (int i = 0; i < WAITERS; i++)
		start(&w[i], p);
	pool_close(p);
	for (int i = 0; i < WAITERS; i++) {
		pthread_join(w[i].thread, NULL);
		CU_ASSERT(w[i].null);
	}
	/* For good, even with one free. */
	parcel_unref(a);
	CU_ASSERT_PTR_NULL(pool_wait(p));
}

static void more_than_there_is_memory_for_is_an_error(void)
{
	struct ebt_err err = {0};
	struct pool *p = NULL;

	CU_ASSERT_EQUAL(own_pool(1ull << 46, 1u << 10, &p, &err), -ENOMEM);
	CU_ASSERT_EQUAL(err.code, -ENOMEM);
	CU_ASSERT_PTR_NULL(p);
}

static const struct test tests[] = {
	TEST(a_pool_has_as_many_parcels_as_asked_for),
	TEST(the_one_used_last_comes_first),
	TEST(only_the_last_reference_returns_it),
	TEST(buffers_do_not_touch),
	TEST(a_waiter_gets_what_comes_back),
	TEST(closing_ends_all_waiting),
	TEST(more_than_there_is_memory_for_is_an_error),
};
SUITE("pack_pool", tests)
