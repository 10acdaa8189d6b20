/* SPDX-License-Identifier: BSD-3-Clause */
#include "suite.h"

#include <CUnit/Basic.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TMPDIRS 64
static char tmpdirs[TMPDIRS][64];
static int n_tmpdirs;

static int drop(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int open_up(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	if (S_ISDIR(st->st_mode))
		chmod(path, 0700);
	return 0;
}

static void remove_tmpdirs(void)
{
	for (int i = 0; i < n_tmpdirs; i++) {
		nftw(tmpdirs[i], open_up, 16, FTW_PHYS);
		nftw(tmpdirs[i], drop, 16, FTW_DEPTH | FTW_PHYS);
	}
}

int suite_tmpdir(char path[64])
{
	const char *base = getenv("TMPDIR");
	int fd;

	if (n_tmpdirs == TMPDIRS)
		exit(99);
	if (!base || strlen(base) > 40)
		base = "/tmp";
	snprintf(path, 64, "%s/ebt-test-XXXXXX", base);
	if (!mkdtemp(path)) {
		perror(path);
		exit(99);
	}
	if (n_tmpdirs == 0)
		atexit(remove_tmpdirs);
	strcpy(tmpdirs[n_tmpdirs++], path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		exit(99);
	return fd;
}

int suite_main(
	const char *name, const struct test *tests, size_t n, int argc, char **argv)
{
	unsigned failures;
	CU_pSuite suite;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	suite = CU_add_suite(name, NULL, NULL);
	if (!suite)
		return 99;
	for (size_t i = 0; i < n; i++) {
		if (argc > 1 && !strstr(tests[i].name, argv[1]))
			continue;
		if (!CU_add_test(suite, tests[i].name, tests[i].run))
			return 99;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	if (CU_basic_run_tests() != CUE_SUCCESS)
		return 99;
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failures ? 1 : 0;
}
