/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/activity.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "suite.h"

static void number(const void *arg, uint64_t index, char *out, size_t size)
{
	snprintf(out, size, "%s %llu", (const char *)arg, (unsigned long long)index);
}

static void the_oldest_call_is_shown_with_its_name(void)
{
	struct activity a;
	struct activity_call one, two, three;
	char text[64] = "";
	double first;

	activity_init(&a);
	CU_ASSERT_EQUAL(activity_oldest(&a, 1e18, text, sizeof(text)), 0);
	activity_begin(&a, &one, "reading", number, "file", 1);
	activity_begin(&a, &two, "writing", number, "file", 2);
	activity_begin(&a, &three, "looking at", activity_text, "/a", 0);
	first = activity_oldest(&a, clock_now() + 1, text, sizeof(text));
	CU_ASSERT(first > 0 && first <= clock_now());
	CU_ASSERT_STRING_EQUAL(text, "reading file 1");
	/* None that began later. */
	CU_ASSERT_EQUAL(activity_oldest(&a, first, text, sizeof(text)), 0);
	activity_end(&a, &one);
	CU_ASSERT(activity_oldest(&a, clock_now() + 1, text, sizeof(text)) >= first);
	CU_ASSERT_STRING_EQUAL(text, "writing file 2");
	activity_end(&a, &two);
	activity_end(&a, &two);
	activity_end(&a, &three);
	CU_ASSERT_EQUAL(activity_ended(&a), 3);
	CU_ASSERT_EQUAL(activity_oldest(&a, 1e18, text, sizeof(text)), 0);
	activity_destroy(&a);
}

static void nobody_who_wants_to_know_is_no_failure(void)
{
	struct activity_call c;

	activity_begin(NULL, &c, "reading", activity_text, "/a", 0);
	activity_end(NULL, &c);
}

static void *work(void *arg)
{
	struct activity *a = arg;
	struct activity_call c;

	for (unsigned i = 0; i < 20000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file %u", i);
		activity_begin(a, &c, "reading", activity_text, name, 0);
		activity_end(a, &c);
	}
	return NULL;
}

/* A name is read only while its call goes on: for sanitizers. */
static void threads_come_and_go_while_somebody_looks(void)
{
	struct activity a;
	pthread_t threads[4];
	char text[64];

	activity_init(&a);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, work, &a) == 0);
	while (activity_ended(&a) < 4 * 20000)
		activity_oldest(&a, clock_now(), text, sizeof(text));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	activity_destroy(&a);
}

static const struct test tests[] = {
	TEST(the_oldest_call_is_shown_with_its_name),
	TEST(nobody_who_wants_to_know_is_no_failure),
	TEST(threads_come_and_go_while_somebody_looks),
};
SUITE("base_activity", tests)
