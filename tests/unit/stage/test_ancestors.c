/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/ancestors.h"

#include <stdio.h>
#include <string.h>

#include "suite.h"

static void add(
	struct manifest *m, enum manifest_kind kind, const char *name, unsigned mode)
{
	struct manifest_entry e = {.name = name,
		.kind = (uint8_t)kind,
		.mode = mode,
		.group = MANIFEST_NONE,
		.target = kind == MANIFEST_SYMLINK ? "y" : NULL,
		.nlink = 1};

	CU_ASSERT_FATAL(manifest_add_source(m, "/pfs", &e.source, NULL) == 0);
	CU_ASSERT_FATAL(manifest_add(m, &e, NULL) == 0);
}

static struct manifest *batch(void)
{
	struct manifest *m = NULL;

	CU_ASSERT_FATAL(manifest_new(&m, NULL) == 0);
	return m;
}

static void a_batch_gets_the_directories_that_it_lacks(void)
{
	SCOPED(ancestors_freep) struct ancestors *a = NULL;
	SCOPED_MANIFEST struct manifest *first = batch();
	SCOPED_MANIFEST struct manifest *second = batch();
	SCOPED_MANIFEST struct manifest *third = batch();
	uint32_t i;

	CU_ASSERT_FATAL(ancestors_new(&a, NULL) == 0);
	add(first, MANIFEST_FILE, "a/b/c/f", 0600);
	add(first, MANIFEST_DIR, "a/b/c", 0711);
	add(first, MANIFEST_DIR, "a", 0751);
	add(first, MANIFEST_DIR, "a/b", 0700);
	add(first, MANIFEST_DIR, "other", 0700);
	CU_ASSERT_EQUAL(ancestors_complete(a, first, NULL), 0);
	CU_ASSERT_EQUAL(first->count, 5);
	CU_ASSERT_EQUAL(manifest_arrange(first, NULL), 0);

	add(second, MANIFEST_FILE, "a/b/c/g", 0600);
	add(second, MANIFEST_FILE, "a/b/c/h", 0600);
	add(second, MANIFEST_FILE, "top", 0600);
	add(second, MANIFEST_DIR, "a/b/new", 0705);
	CU_ASSERT_EQUAL(ancestors_complete(a, second, NULL), 0);
	CU_ASSERT_EQUAL(second->count, 7); /* a, a/b, a/b/c, once each */
	CU_ASSERT_EQUAL_FATAL(manifest_arrange(second, NULL), 0);
	CU_ASSERT_EQUAL(second->count, 7);
	i = manifest_find(second, "a/b/c");
	CU_ASSERT_FATAL(i != MANIFEST_NONE);
	CU_ASSERT_EQUAL(second->entries[i].mode, 0711);
	CU_ASSERT_EQUAL(manifest_find(second, "other"), MANIFEST_NONE);

	add(third, MANIFEST_SYMLINK, "a/b/new/x", 0777);
	CU_ASSERT_EQUAL(ancestors_complete(a, third, NULL), 0);
	CU_ASSERT_EQUAL(third->count, 4);
	CU_ASSERT_EQUAL(manifest_arrange(third, NULL), 0);
}

static void a_directory_that_nobody_found_is_missed(void)
{
	SCOPED(ancestors_freep) struct ancestors *a = NULL;
	SCOPED_MANIFEST struct manifest *m = batch();

	CU_ASSERT_FATAL(ancestors_new(&a, NULL) == 0);
	add(m, MANIFEST_FILE, "ghost/f", 0600);
	CU_ASSERT_EQUAL(ancestors_complete(a, m, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 1);
	CU_ASSERT(manifest_arrange(m, NULL) < 0);
}

static void many_directories_are_told_apart(void)
{
	SCOPED(ancestors_freep) struct ancestors *a = NULL;
	SCOPED_MANIFEST struct manifest *dirs = batch();
	char name[64];

	CU_ASSERT_FATAL(ancestors_new(&a, NULL) == 0);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		add(dirs, MANIFEST_DIR, name, 0700 + (unsigned)i % 64);
	}
	CU_ASSERT_EQUAL(ancestors_complete(a, dirs, NULL), 0);
	CU_ASSERT_EQUAL(dirs->count, 5000);
	for (int i = 0; i < 5000; i += 7) {
		SCOPED_MANIFEST struct manifest *m = batch();

		snprintf(name, sizeof(name), "d%d/f", i);
		add(m, MANIFEST_FILE, name, 0600);
		add(m, MANIFEST_FILE, "f", 0600);
		CU_ASSERT_EQUAL(ancestors_complete(a, m, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(m->count, 3);
		CU_ASSERT_EQUAL(m->entries[2].mode, 0700 + (unsigned)i % 64);
	}
}

/* As an archive does that lists it twice. Enough of them that the table grows meanwhile. */
static void a_directory_is_remembered_as_it_was_last(void)
{
	SCOPED(ancestors_freep) struct ancestors *a = NULL;
	char name[64];

	CU_ASSERT_FATAL(ancestors_new(&a, NULL) == 0);
	for (unsigned mode = 0700; mode < 0703; mode++) {
		SCOPED_MANIFEST struct manifest *dirs = batch();
		SCOPED_MANIFEST struct manifest *m = batch();

		for (int i = 0; i < 300; i++) {
			snprintf(name, sizeof(name), "d%d", i);
			add(dirs, MANIFEST_DIR, name, 0777);
			add(dirs, MANIFEST_DIR, name, mode);
		}
		CU_ASSERT_EQUAL(ancestors_complete(a, dirs, NULL), 0);
		for (int i = 0; i < 300; i++) {
			snprintf(name, sizeof(name), "d%d/f", i);
			add(m, MANIFEST_FILE, name, 0600);
		}
		CU_ASSERT_EQUAL(ancestors_complete(a, m, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(m->count, 600);
		for (uint32_t i = 300; i < m->count; i++)
			CU_ASSERT_EQUAL(m->entries[i].mode, mode);
	}
}

static const struct test tests[] = {
	TEST(a_batch_gets_the_directories_that_it_lacks),
	TEST(a_directory_is_remembered_as_it_was_last),
	TEST(a_directory_that_nobody_found_is_missed),
	TEST(many_directories_are_told_apart),
};
SUITE("stage_ancestors", tests)
