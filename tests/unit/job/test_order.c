/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/job.h"
#include "suite.h"

#define TREE "switch.switch.node"

static void nodes_of_a_switch_have_one_number(void)
{
	int a = job_switch_key("core.rack1.n1", TREE);

	CU_ASSERT(a >= 0);
	CU_ASSERT_EQUAL(job_switch_key("core.rack1.n2", TREE), a);
	/* Names of nodes may have dots. */
	CU_ASSERT_EQUAL(job_switch_key("core.rack1.n2.site.org", TREE), a);
	CU_ASSERT_NOT_EQUAL(job_switch_key("core.rack2.n1", TREE), a);
	CU_ASSERT_NOT_EQUAL(job_switch_key("other.rack1.n1", TREE), a);
	CU_ASSERT(job_switch_key("block7.n1", "block.node") >= 0);
}

static void what_says_nothing_of_switches_is_not_known(void)
{
	CU_ASSERT_EQUAL(job_switch_key(NULL, NULL), -1);
	CU_ASSERT_EQUAL(job_switch_key("core.rack1.n1", NULL), -1);
	CU_ASSERT_EQUAL(job_switch_key(NULL, TREE), -1);
	CU_ASSERT_EQUAL(job_switch_key("n1", "node"), -1);
	/* A name with dots where there are no switches */
	CU_ASSERT_EQUAL(job_switch_key("n1.site.org", "node"), -1);
	CU_ASSERT_EQUAL(job_switch_key("core.n1", TREE), -1);
	CU_ASSERT_EQUAL(job_switch_key("", TREE), -1);
}

static int by_key(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* 600 racks below 20 switches: what is below one switch is one range, but for a few mixed up. */
static void a_switch_above_is_a_range(void)
{
	static int keys[600][2];
	int changes = 0;
	char name[64];

	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "top.s%d.r%d.n0", i % 20, i);
		keys[i][0] = job_switch_key(name, "switch.switch.switch.node");
		keys[i][1] = i % 20;
	}
	qsort(keys, 600, sizeof(keys[0]), by_key);
	for (int i = 1; i < 600; i++)
		changes += keys[i][1] != keys[i - 1][1];
	CU_ASSERT(changes < 60);
}

static void any_number_of_levels_will_do(void)
{
	char address[512] = "", pattern[512] = "";

	for (int i = 0; i < 60; i++) {
		CU_ASSERT(i == 0 || job_switch_key(address, pattern) >= 0);
		memmove(address + 2, address, sizeof(address) - 2);
		memcpy(address, "a.", 2);
		memmove(pattern + 2, pattern, sizeof(pattern) - 2);
		memcpy(pattern, "s.", 2);
	}
}

static const struct test tests[] = {
	TEST(nodes_of_a_switch_have_one_number),
	TEST(what_says_nothing_of_switches_is_not_known),
	TEST(a_switch_above_is_a_range),
	TEST(any_number_of_levels_will_do),
};
SUITE("job_order", tests)
