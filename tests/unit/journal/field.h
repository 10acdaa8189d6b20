/* SPDX-License-Identifier: BSD-3-Clause */
/* A journal with seals whose sizes are their numbers, for tests of it. */
#ifndef TESTS_UNIT_DRAIN_JOURNAL_FIELD_H
#define TESTS_UNIT_DRAIN_JOURNAL_FIELD_H

#include <stdio.h>
#include <string.h>

#include "journal/journal_format.h"
#include "suite.h"

#define SCOPED_JOURNAL SCOPED(journal_closep)
#define ID_A	       "0123456789abcdef0123456789abcdef"
#define ID_B	       "fedcba9876543210fedcba9876543210"
#define DEST	       "/scratch/proj/results"
#define NAME	       "drain"

static inline struct journal *open_ok(int dir)
{
	struct journal *j = NULL;

	CU_ASSERT_EQUAL_FATAL(journal_open(dir, &j, NULL), 0);
	return j;
}

static const struct journal_source two_sources[] = {
	{.where = 3, .ino = 1ull << 63, .size = 10, .mtime = -5, .mtime_ns = 999999999},
	{.where = 4, .ino = 5, .size = 1ull << 40, .mtime = 7}};

/* Seal number @i: its size tells it from others. */
static inline int seal(struct journal *j, uint64_t i)
{
	char names[64];
	struct journal_seal s = {.names = names,
		.n_names = 1,
		.ino = i % 3 ? i << 60 | i : 0,
		.size = i,
		.mtime = -1,
		.mtime_ns = 5,
		.sources = two_sources,
		.n_sources = (uint32_t)(1 + i % 2)};

	memset(names, 0, sizeof(names));
	snprintf(names, sizeof(names), "d/f%llu", (unsigned long long)i);
	if (i % 2) {
		strcpy(names + strlen(names) + 1, "link");
		s.n_names = 2;
	}
	return journal_seal(j, &s, NULL);
}

/* A journal with seals 0 to @n - 1, closed. */
static inline void make(int dir, uint64_t n)
{
	SCOPED_JOURNAL struct journal *j = open_ok(dir);

	CU_ASSERT_EQUAL_FATAL(journal_begin(j, ID_A, DEST, true, false, NULL), 0);
	for (uint64_t i = 0; i < n; i++)
		CU_ASSERT_EQUAL_FATAL(seal(j, i), 0);
}

struct seen {
	uint64_t n, wrong;
};

/* In order, and as seal() wrote them. */
static inline int see(void *arg, const struct journal_seal *s)
{
	struct seen *seen = arg;
	uint64_t i = seen->n++;
	char name[64];
	bool ok;

	snprintf(name, sizeof(name), "d/f%llu", (unsigned long long)i);
	ok = s->ino == (i % 3 ? i << 60 | i : 0) && s->size == i && s->mtime == -1 &&
	     s->mtime_ns == 5 && s->n_sources == 1 + i % 2 && s->n_names == 1 + i % 2 &&
	     strcmp(s->names, name) == 0;
	if (ok && i % 2)
		ok = strcmp(s->names + strlen(name) + 1, "link") == 0;
	for (uint32_t k = 0; ok && k < s->n_sources; k++)
		ok = s->sources[k].where == two_sources[k].where &&
		     s->sources[k].ino == two_sources[k].ino &&
		     s->sources[k].size == two_sources[k].size &&
		     s->sources[k].mtime == two_sources[k].mtime &&
		     s->sources[k].mtime_ns == two_sources[k].mtime_ns;
	seen->wrong += !ok;
	return 0;
}

static inline uint64_t seals(const struct journal *j)
{
	struct seen seen = {0};

	CU_ASSERT_EQUAL(journal_each(j, see, &seen), 0);
	CU_ASSERT_EQUAL(seen.wrong, 0);
	return seen.n;
}

#endif
