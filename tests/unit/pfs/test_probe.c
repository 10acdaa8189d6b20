/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "pfs/pfs.h"
#include "suite.h"

static void the_environment_decides(void)
{
	setenv("EBT_PFS", "lustre", 1);
	CU_ASSERT_EQUAL(pfs_probe("/"), PFS_LUSTRE);
	setenv("EBT_PFS", "beegfs", 1);
	CU_ASSERT_EQUAL(pfs_probe("/"), PFS_BEEGFS);
	setenv("EBT_PFS", "plain", 1);
	CU_ASSERT_EQUAL(pfs_probe("/"), PFS_PLAIN);
	unsetenv("EBT_PFS");
}

static void an_unknown_name_is_as_none(void)
{
	setenv("EBT_PFS", "afs", 1);
	CU_ASSERT_EQUAL(pfs_probe("/proc"), PFS_PLAIN);
	unsetenv("EBT_PFS");
}

static void what_cannot_be_asked_is_plain(void)
{
	CU_ASSERT_EQUAL(pfs_probe("/nonexistent/path"), PFS_PLAIN);
}

static void a_layout_elsewhere_is_not_known(void)
{
	struct pfs_layout *l = NULL;

	CU_ASSERT_EQUAL(pfs_layout_at(PFS_LUSTRE, "/proc/self/stat", &l), 0);
	CU_ASSERT_EQUAL(pfs_layout_at(PFS_LUSTRE, "/nonexistent", &l), 0);
	CU_ASSERT_EQUAL(pfs_layout_at(PFS_PLAIN, "/proc/self/stat", &l), 0);
	CU_ASSERT_EQUAL(pfs_layout_at(PFS_BEEGFS, "/proc/self/stat", &l), 0);
	CU_ASSERT_PTR_NULL(l);
}

static const struct test tests[] = {
	TEST(the_environment_decides),
	TEST(an_unknown_name_is_as_none),
	TEST(what_cannot_be_asked_is_plain),
	TEST(a_layout_elsewhere_is_not_known),
};
SUITE("pfs_probe", tests)
