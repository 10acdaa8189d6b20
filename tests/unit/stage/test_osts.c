/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "../pfs/lov.h"
#include "stage/report.h"
#include "suite.h"

/* In place of the file system: /source/one on OST 7, /source/two striped over 3 and 4. */
ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	struct lov b = {0};

	errno = ENODATA;
	if (strcmp(name, "lustre.lov") != 0)
		return -1;
	if (strcmp(path, "/source/one") == 0)
		lov_plain(&b, LOV_V1, 1 << 20, 1, 7);
	else if (strcmp(path, "/source/two") == 0)
		lov_plain(&b, LOV_V3, 1 << 20, 2, 3);
	else
		return -1;
	memcpy(value, b.data, b.len < size ? b.len : size);
	return (ssize_t)b.len;
}

static struct manifest *sources(void)
{
	static const char *const names[] = {"one", "two", "unknown"};
	static const uint64_t sizes[] = {1000, 3 << 20, 5};
	SCOPED_MANIFEST struct manifest *m = NULL;
	uint32_t source;

	CU_ASSERT_EQUAL_FATAL(manifest_new(&m, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(manifest_add_source(m, "/source", &source, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct manifest_entry e = {.name = names[i],
			.kind = MANIFEST_FILE,
			.size = sizes[i],
			.allocated = sizes[i],
			.ino = i + 1,
			.nlink = 1,
			.source = source,
			.group = MANIFEST_NONE,
			.parent = MANIFEST_ROOT};

		CU_ASSERT_EQUAL_FATAL(manifest_add(m, &e, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(manifest_arrange(m, NULL), 0);
	return TAKE(m);
}

static void each_ost_is_listed_with_its_share(void)
{
	SCOPED(ebt_stage_report_free) struct ebt_stage_report rep = {0};
	SCOPED_MANIFEST struct manifest *m = sources();
	SCOPED_BUF struct buf b = {0};
	struct ebt_run run = {0};
	struct stage st = {.b.m = m, .job.run = &run};

	setenv("EBT_PFS", "lustre", 1);
	CU_ASSERT_EQUAL_FATAL(stage_describe_osts(&st, &b, &rep, NULL), 0);
	buf_put8(&b, 0);
	CU_ASSERT_EQUAL_FATAL(rep.osts, 3);
	CU_ASSERT_EQUAL(rep.ost[0].index, 3);
	CU_ASSERT_EQUAL(rep.ost[0].bytes, 2 << 20);
	CU_ASSERT_EQUAL(rep.ost[0].files, 1);
	CU_ASSERT_EQUAL(rep.ost[1].index, 4);
	CU_ASSERT_EQUAL(rep.ost[1].bytes, 1 << 20);
	CU_ASSERT_EQUAL(rep.ost[2].index, 7);
	CU_ASSERT_EQUAL(rep.ost[2].bytes, 1000);
	CU_ASSERT_PTR_NOT_NULL(strstr((char *)b.data, "OST 7: 1000 B in 1 file\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr((char *)b.data, "layout unknown for 1 file\n"));
}

static void elsewhere_there_are_none(void)
{
	SCOPED(ebt_stage_report_free) struct ebt_stage_report rep = {0};
	SCOPED_MANIFEST struct manifest *m = sources();
	SCOPED_BUF struct buf b = {0};
	struct ebt_run run = {0};
	struct stage st = {.b.m = m, .job.run = &run};

	setenv("EBT_PFS", "plain", 1);
	CU_ASSERT_EQUAL(stage_describe_osts(&st, &b, &rep, NULL), 0);
	CU_ASSERT_EQUAL(rep.osts, 0);
	CU_ASSERT_PTR_NULL(rep.ost);
	CU_ASSERT_EQUAL(b.len, 0);
}

static const struct test tests[] = {
	TEST(each_ost_is_listed_with_its_share),
	TEST(elsewhere_there_are_none),
};
SUITE("stage_osts", tests)
