/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/unpack_links.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"

#define SCOPED_LINKS SCOPED(unpack_links_release)

static struct manifest *batch(void)
{
	struct manifest *m = NULL;

	CU_ASSERT_FATAL(manifest_new(&m, NULL) == 0);
	return m;
}

/* A member as the thread adds it; its size tells it from others of that name. */
static void add(struct manifest *m, enum manifest_kind kind, const char *name,
	uint64_t size, unsigned marks)
{
	struct manifest_entry e = {.name = name,
		.kind = (uint8_t)kind,
		.mode = 0600,
		.size = size,
		.ino = size,
		.group = MANIFEST_NONE,
		.parent = MANIFEST_ROOT,
		.target = kind == MANIFEST_SYMLINK ? "y" : NULL,
		.marks = (uint8_t)(MANIFEST_MEMBER | marks),
		.nlink = 1};

	CU_ASSERT_FATAL(manifest_add_source(m, "/pfs/a.tar", &e.source, NULL) == 0);
	CU_ASSERT_FATAL(manifest_add(m, &e, NULL) == 0);
}

static void file(struct manifest *m, const char *name, uint64_t size)
{
	add(m, MANIFEST_FILE, name, size, 0);
}

static void link_to(struct unpack_links *l, const char *path, const char *target)
{
	CU_ASSERT_FATAL(unpack_links_add(l, path, target, 0, NULL) == 0);
}

/* What earlier batches brought: a flat manifest. */
static bool find_in(
	void *arg, const char *path, struct manifest_entry *e, const char **source)
{
	const struct manifest *m = arg;

	for (uint32_t i = 0; m && i < m->count; i++) {
		if (strcmp(m->entries[i].name, path) != 0)
			continue;
		*e = m->entries[i];
		*source = m->sources[e->source];
		return true;
	}
	return false;
}

static int resolve(struct unpack_links *l, struct manifest *to, struct manifest *before,
	struct ebt_err *err)
{
	struct unpack_brought b = {find_in, before};

	return unpack_links_resolve(l, "a.tar", to, &b, err);
}

/* The last entry of that name, or none. */
static const struct manifest_entry *entry(const struct manifest *m, const char *name)
{
	for (uint32_t i = m->count; i-- > 0;) {
		if (strcmp(m->entries[i].name, name) == 0)
			return &m->entries[i];
	}
	return NULL;
}

/* Is @name one of @names names of the file of @size bytes? */
static void check_link(
	const struct manifest *m, const char *name, uint64_t size, uint32_t names)
{
	const struct manifest_entry *e = entry(m, name);

	CU_ASSERT_FATAL(e != NULL);
	CU_ASSERT_EQUAL(e->kind, MANIFEST_FILE);
	CU_ASSERT_EQUAL(e->size, size);
	CU_ASSERT_EQUAL(e->ino, size);
	CU_ASSERT_EQUAL(e->nlink, names);
}

static void check_refused(struct unpack_links *l, struct manifest *m, const char *text)
{
	struct ebt_err err = {0};

	CU_ASSERT_EQUAL(resolve(l, m, NULL, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, text);
}

static void no_links_are_nothing(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	CU_ASSERT_EQUAL(resolve(&l, m, NULL, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 1);
	CU_ASSERT_EQUAL(m->entries[0].nlink, 1);
}

static void all_names_of_a_file_are_counted(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 7);
	file(m, "other", 8);
	link_to(&l, "d/b", "a");
	link_to(&l, "c", "a");
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 4);
	check_link(m, "a", 7, 3);
	check_link(m, "c", 7, 3);
	check_link(m, "d/b", 7, 3);
	check_link(m, "other", 8, 1);
}

static void links_to_links_are_links_to_the_file(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "z", 7);
	link_to(&l, "y", "z");
	link_to(&l, "a", "y");
	link_to(&l, "x", "a");
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 4);
	check_link(m, "a", 7, 4);
	check_link(m, "x", 7, 4);
	check_link(m, "y", 7, 4);
	check_link(m, "z", 7, 4);
}

static void a_file_of_an_earlier_batch_is_named_again(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *before = batch();
	SCOPED_MANIFEST struct manifest *m = batch();
	const struct manifest_entry *e;

	add(before, MANIFEST_FILE, "d/a", 7, MANIFEST_NEEDED | MANIFEST_AGAIN);
	before->entries[0].group = 3;
	link_to(&l, "b", "d/a");
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, before, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(m->count, 2);
	check_link(m, "d/a", 7, 2);
	check_link(m, "b", 7, 2);
	e = entry(m, "d/a");
	CU_ASSERT_EQUAL(e->marks, MANIFEST_MEMBER | MANIFEST_HERE);
	CU_ASSERT_EQUAL(e->group, MANIFEST_NONE);
	CU_ASSERT_STRING_EQUAL(m->sources[e->source], "/pfs/a.tar");
	/* The link is new. */
	CU_ASSERT_EQUAL(entry(m, "b")->marks & (MANIFEST_HERE | MANIFEST_AGAIN), 0);
}

static void what_is_at_hand_comes_before_what_was_brought(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *before = batch();
	SCOPED_MANIFEST struct manifest *m = batch();

	file(before, "a", 1);
	file(m, "a", 2);
	add(m, MANIFEST_FILE, "a", 3, MANIFEST_AGAIN);
	link_to(&l, "b", "a");
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, before, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 3);
	check_link(m, "b", 3, 2);
	check_link(m, "a", 3, 2);
	/* The link itself takes nobody's place. */
	CU_ASSERT_EQUAL(entry(m, "b")->marks & MANIFEST_AGAIN, 0);
}

static void a_link_may_take_the_place_of_something(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	file(m, "b", 2);
	CU_ASSERT_FATAL(unpack_links_add(&l, "b", "a", UNPACK_LINK_AGAIN, NULL) == 0);
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	check_link(m, "b", 1, 2);
	CU_ASSERT(entry(m, "b")->marks & MANIFEST_AGAIN);
}

static void of_several_links_with_one_name_the_last_counts(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	file(m, "b", 2);
	link_to(&l, "c", "a");
	CU_ASSERT_FATAL(unpack_links_add(&l, "c", "b", UNPACK_LINK_AGAIN, NULL) == 0);
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 3);
	check_link(m, "a", 1, 1);
	check_link(m, "b", 2, 2);
	check_link(m, "c", 2, 2);
}

static void a_file_may_take_the_place_of_a_link(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	link_to(&l, "b", "a");
	file(m, "b", 2);
	CU_ASSERT_FATAL(unpack_links_replaced(&l, "b", NULL) == 0);
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 2);
	check_link(m, "a", 1, 1);
	check_link(m, "b", 2, 1);
}

static void a_link_through_a_name_that_was_replaced_keeps_its_file(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	link_to(&l, "b", "a");
	link_to(&l, "c", "b");
	file(m, "b", 2);
	CU_ASSERT_FATAL(unpack_links_replaced(&l, "b", NULL) == 0);
	link_to(&l, "d", "b");
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	check_link(m, "a", 1, 2);
	check_link(m, "c", 1, 2);
	check_link(m, "b", 2, 2);
	check_link(m, "d", 2, 2);
}

static void a_file_that_was_replaced_before_is_the_later_one(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	add(m, MANIFEST_FILE, "a", 2, MANIFEST_AGAIN);
	CU_ASSERT_FATAL(unpack_links_replaced(&l, "a", NULL) == 0);
	link_to(&l, "b", "a");
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	check_link(m, "a", 2, 2);
	check_link(m, "b", 2, 2);
}

static void a_file_that_is_replaced_by_a_file_takes_no_links_along(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	link_to(&l, "b", "a");
	link_to(&l, "c", "b");
	CU_ASSERT_FATAL(unpack_links_replaced(&l, "a", NULL) == 0);
	check_refused(
		&l, m, "a.tar: b is a hard link to a, which was replaced afterwards");
}

static void a_file_that_is_replaced_by_a_link_takes_no_links_along(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	file(m, "b", 2);
	link_to(&l, "c", "b");
	link_to(&l, "b", "a");
	check_refused(
		&l, m, "a.tar: c is a hard link to b, which was replaced afterwards");
}

static void a_link_that_was_itself_replaced_asks_for_nothing(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "b", 2);
	link_to(&l, "b", "gone");
	CU_ASSERT_FATAL(unpack_links_replaced(&l, "b", NULL) == 0);
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	check_link(m, "b", 2, 1);
}

static void a_link_to_what_is_left_out_is_refused(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "other", 1);
	add(m, MANIFEST_SYMLINK, "s", 0, 0);
	link_to(&l, "new\nline", "s");
	check_refused(
		&l, m, "a.tar: new\\nline is a hard link to s, which is left out");
}

static void content_of_a_link_to_a_link_is_refused(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 1);
	link_to(&l, "b", "a");
	CU_ASSERT_FATAL(unpack_links_add(&l, "c", "b",
				UNPACK_LINK_FILLS | UNPACK_LINK_UNWANTED, NULL) == 0);
	check_refused(&l, m,
		"a.tar: c is a hard link to b, which is one too, and brings content "
		"for it");
}

static void a_link_that_only_brings_content_is_not_made(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *m = batch();

	file(m, "a", 0);
	link_to(&l, "b", "a");
	CU_ASSERT_FATAL(unpack_links_add(&l, "c", "a",
				UNPACK_LINK_FILLS | UNPACK_LINK_UNWANTED, NULL) == 0);
	add(m, MANIFEST_FILE, "a", 9, MANIFEST_AGAIN);
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, NULL, NULL), 0);
	CU_ASSERT(!entry(m, "c"));
	check_link(m, "a", 9, 2);
	check_link(m, "b", 9, 2);
}

/* Names that are alike at their beginning, in no order, links of many files. */
static void many_links_find_their_files(void)
{
	SCOPED_LINKS struct unpack_links l = {0};
	SCOPED_MANIFEST struct manifest *before = batch();
	SCOPED_MANIFEST struct manifest *m = batch();
	char name[64], target[64];

	for (uint64_t i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%llu", (unsigned long long)i);
		file(i % 2 ? m : before, name, i + 1);
	}
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "l%u", i * 7919 % 5000);
		snprintf(target, sizeof(target), "f%u", i * 7919 % 5000 % 200);
		link_to(&l, name, target);
	}
	CU_ASSERT_EQUAL_FATAL(resolve(&l, m, before, NULL), 0);
	CU_ASSERT_EQUAL(m->count, 200 + 5000);
	for (unsigned i = 0; i < 5000; i += 37) {
		snprintf(name, sizeof(name), "l%u", i);
		check_link(m, name, i % 200 + 1, 26);
	}
}

static const struct test tests[] = {
	TEST(no_links_are_nothing),
	TEST(all_names_of_a_file_are_counted),
	TEST(links_to_links_are_links_to_the_file),
	TEST(a_file_of_an_earlier_batch_is_named_again),
	TEST(what_is_at_hand_comes_before_what_was_brought),
	TEST(a_link_may_take_the_place_of_something),
	TEST(of_several_links_with_one_name_the_last_counts),
	TEST(a_file_may_take_the_place_of_a_link),
	TEST(a_link_through_a_name_that_was_replaced_keeps_its_file),
	TEST(a_file_that_was_replaced_before_is_the_later_one),
	TEST(a_file_that_is_replaced_by_a_file_takes_no_links_along),
	TEST(a_file_that_is_replaced_by_a_link_takes_no_links_along),
	TEST(a_link_that_was_itself_replaced_asks_for_nothing),
	TEST(a_link_to_what_is_left_out_is_refused),
	TEST(content_of_a_link_to_a_link_is_refused),
	TEST(a_link_that_only_brings_content_is_not_made),
	TEST(many_links_find_their_files),
};
SUITE("stage_unpack_links", tests)
