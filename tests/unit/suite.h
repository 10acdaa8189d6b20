/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shared main of CUnit suites. A file lists its tests in one table:
 *
 *	static const struct test tests[] = {TEST(miss_is_not_an_error), ...};
 *	SUITE("store_get", tests)
 *
 * Exit status: 0 all passed, 1 a test failed (CUnit itself would say 0), 99 CUnit could not
 * be set up. An argument runs only the tests whose names contain it.
 */
#ifndef TESTS_UNIT_SUITE_H
#define TESTS_UNIT_SUITE_H

#include <CUnit/CUnit.h>
#include <stddef.h>

struct test {
	const char *name;
	void (*run)(void);
};
#define TEST(fn)                                                                       \
	{                                                                              \
#fn, fn                                                                \
	}

int suite_main(
	const char *name, const struct test *tests, size_t n, int argc, char **argv);

#define SUITE(name, tests)                                                             \
	int main(int argc, char **argv)                                                \
	{                                                                              \
		return suite_main(                                                     \
			name, tests, sizeof(tests) / sizeof(tests[0]), argc, argv);    \
	}

/* A new empty directory, removed with all it holds at exit. Descriptor, path in @path. */
int suite_tmpdir(char path[64]);

#endif
