/* SPDX-License-Identifier: BSD-3-Clause */
#include <time.h>

#include "drain/move/health.h"
#include "suite.h"

#define OBJECT (256u << 10)

static void pass(struct health *h, uint32_t target, unsigned ms)
{
	struct health_op op;

	health_begin(h, target, OBJECT, &op);
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
	health_end(h, &op);
	health_wrote(h, target);
}

/* 4 targets, of which none is of a placement: nothing is asked of that. */
static void begin(struct health *h)
{
	*h = (struct health){0};
	CU_ASSERT_EQUAL_FATAL(
		health_init(h, (const struct place *)h, 4, NULL, NULL), 0);
}

static void nothing_is_late_before_anything_is_known(void)
{
	struct health h;
	struct health_op op;

	begin(&h);
	health_begin(&h, 1, OBJECT, &op);
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	CU_ASSERT_FALSE(health_is_late(&h, 1));
	health_end(&h, &op);
	health_release(&h);
}

static void what_waits_several_objects_long_is_late(void)
{
	struct health h;
	struct health_op op, other;

	begin(&h);
	for (unsigned i = 0; i < HEALTH_OBJECTS; i++)
		pass(&h, i % 2, 5);
	health_begin(&h, 2, OBJECT, &op);
	health_begin(&h, 3, OBJECT, &other);
	CU_ASSERT_FALSE(health_is_late(&h, 2));
	health_end(&h, &other);
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	CU_ASSERT_TRUE(health_is_late(&h, 2));
	CU_ASSERT_FALSE(health_is_late(&h, 3));
	CU_ASSERT_FALSE(health_is_late(&h, 0));
	health_end(&h, &op);
	CU_ASSERT_FALSE(health_is_late(&h, 2));
	health_release(&h);
}

static void small_objects_that_each_take_long_are_slow(void)
{
	struct health h;

	begin(&h);
	for (unsigned i = 0; i < 20; i++)
		pass(&h, i % 2, 1);
	for (unsigned i = 0; i < HEALTH_SEVERAL; i++) {
		health_look(&h);
		CU_ASSERT_FALSE(health_is_bad(&h, 2));
		pass(&h, 2, 150);
	}
	health_look(&h);
	CU_ASSERT_TRUE(health_is_bad(&h, 2));
	CU_ASSERT_FALSE(health_is_bad(&h, 1));
	CU_ASSERT_FALSE(health_is_bad(&h, 3));
	health_release(&h);
}

static void a_target_is_proven_by_what_it_took_beside_others(void)
{
	struct health h;
	uint64_t votes[4] = {0};

	begin(&h);
	CU_ASSERT_FALSE(health_is_proven(&h, 0));
	pass(&h, 0, 5);
	pass(&h, 1, 150);
	CU_ASSERT_TRUE(health_is_proven(&h, 0));
	CU_ASSERT_FALSE(health_is_proven(&h, 1));
	/* Elsewhere an object of as many bytes takes 100 ms as well, or 10. */
	health_learn(&h, votes, 16 * 100000, 16 * OBJECT, false);
	CU_ASSERT_TRUE(health_is_proven(&h, 1));
	health_learn(&h, votes, 16 * 10000, 16 * OBJECT, false);
	CU_ASSERT_FALSE(health_is_proven(&h, 1));
	CU_ASSERT_TRUE(health_is_proven(&h, 0));
	health_release(&h);
}

static const struct test tests[] = {
	TEST(nothing_is_late_before_anything_is_known),
	TEST(small_objects_that_each_take_long_are_slow),
	TEST(a_target_is_proven_by_what_it_took_beside_others),
	TEST(what_waits_several_objects_long_is_late),
};
SUITE("drain_health", tests)
