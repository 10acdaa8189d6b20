/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each pattern is a filter of one rule, which leaves out what it matches: so that both say the
 * same about the same pattern.
 */
#include "archive/pattern.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "manifest/filter.h"
#include "manifest/manifest.h"

struct rule {
	struct filter *filter;
	uint32_t archive;
};

struct patterns {
	struct rule *rules;
	struct pattern_archive *archives;
	uint32_t n_rules, n_archives;
};

int patterns_new(struct patterns **out, struct ebt_err *err)
{
	struct patterns *p = calloc(1, sizeof(*p));

	if (!p)
		return ebt_fail(err, -ENOMEM, "patterns");
	*out = p;
	return 0;
}

void patterns_free(struct patterns *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->n_rules; i++)
		filter_free(p->rules[i].filter);
	for (uint32_t i = 0; i < p->n_archives; i++)
		free(p->archives[i].name);
	free(p->rules);
	free(p->archives);
	free(p);
}

static int fail(const char *text, const char *why, struct ebt_err *err)
{
	char shown[512];

	return ebt_failx(
		err, -EINVAL, "%s: %s", text_name(text, shown, sizeof(shown)), why);
}

/* @name without @suffix would be the name of something. */
static bool ends_in(const char *name, const char *suffix)
{
	const char *base = text_base(name);
	size_t len = strlen(base), n = strlen(suffix);

	return len > n && strcmp(base + len - n, suffix) == 0;
}

/* Is @a with @ending a directory on the way to @b? */
static bool above(const char *a, const char *ending, const char *b)
{
	size_t n = strlen(a), m = strlen(ending);

	return strncmp(a, b, n) == 0 && strncmp(ending, b + n, m) == 0 &&
	       b[n + m] == '/';
}

/* Is one of them, or its index, a directory on the way to the other? */
static bool in_the_way(const char *a, const char *b)
{
	return above(a, "", b) || above(b, "", a) || above(a, PATTERN_INDEX, b) ||
	       above(b, PATTERN_INDEX, a);
}

/* What is wrong with the name of an archive, or NULL. */
static const char *name_flaw(const struct patterns *p, const char *name)
{
	size_t len;

	if (!*name)
		return "no name of an archive behind the last '='";
	if (*name == '/')
		return "the archive must be below DEST, by a name that is relative to "
		       "it";
	if (!manifest_path_ok(name))
		return "the archive's name has an empty part, \".\" or \"..\" in it";
	if (!ends_in(name, ".tar") && !ends_in(name, ".tar.zst"))
		return "the archive's name must end in .tar or .tar.zst";
	if (strlen(name) + strlen(PATTERN_INDEX) > MANIFEST_PATH_MAX)
		return "the archive's name is too long";
	for (const char *c = name; *c; c += len + (c[len] == '/')) {
		len = strcspn(c, "/");
		if (len + (c[len] ? 0 : strlen(PATTERN_INDEX)) > NAME_MAX)
			return "the archive's name is too long";
	}
	for (uint32_t i = 0; i < p->n_archives; i++)
		if (in_the_way(p->archives[i].name, name))
			return "an archive would be below another one";
	return NULL;
}

/* The number of archive @name, new if need be. */
static int find_archive(
	struct patterns *p, const char *name, uint32_t *i, struct ebt_err *err)
{
	struct pattern_archive *a;

	for (*i = 0; *i < p->n_archives; ++*i)
		if (strcmp(p->archives[*i].name, name) == 0)
			return 0;
	a = realloc(p->archives, (p->n_archives + (size_t)1) * sizeof(*a));
	if (!a)
		return ebt_fail(err, -ENOMEM, "patterns");
	p->archives = a;
	a += p->n_archives;
	a->zstd = ends_in(name, ".tar.zst");
	a->name = strdup(name);
	if (!a->name)
		return ebt_fail(err, -ENOMEM, "patterns");
	p->n_archives++;
	return 0;
}

/* A filter that leaves out what matches the @len bytes at @pattern. */
static int make_filter(
	const char *pattern, size_t len, struct filter **out, struct ebt_err *err)
{
	SCOPED(filter_freep) struct filter *f = NULL;
	SCOPED_FREE char *rule = malloc(len + 3);
	int r = filter_new(&f, err);

	if (r < 0)
		return r;
	if (!rule)
		return ebt_fail(err, -ENOMEM, "patterns");
	/* With the word of what it does in front, what follows is a pattern whatever it is. */
	memcpy(rule, "- ", 2);
	memcpy(rule + 2, pattern, len);
	rule[len + 2] = '\0';
	r = filter_add(f, false, rule, err);
	if (r < 0)
		return r;
	*out = TAKE(f);
	return 0;
}

int patterns_add(struct patterns *p, const char *text, struct ebt_err *err)
{
	SCOPED(filter_freep) struct filter *f = NULL;
	const char *split = strrchr(text, '='), *flaw;
	struct rule *rules;
	uint32_t archive;
	int r;

	if (!split)
		return fail(text, "is not PATTERN=NAME", err);
	if (split == text)
		return fail(text, "no pattern before the last '='", err);
	if (split - text > FILTER_PATTERN_MAX)
		return fail(text, "the pattern is too long", err);
	flaw = name_flaw(p, split + 1);
	if (flaw)
		return fail(text, flaw, err);
	r = make_filter(text, (size_t)(split - text), &f, err);
	if (r < 0)
		return r;
	rules = realloc(p->rules, (p->n_rules + (size_t)1) * sizeof(*rules));
	if (!rules)
		return ebt_fail(err, -ENOMEM, "patterns");
	p->rules = rules;
	r = find_archive(p, split + 1, &archive, err);
	if (r < 0)
		return r;
	rules[p->n_rules++] = (struct rule){.filter = TAKE(f), .archive = archive};
	return 0;
}

uint32_t patterns_count(const struct patterns *p)
{
	return p ? p->n_archives : 0;
}

const struct pattern_archive *patterns_archive(const struct patterns *p, uint32_t i)
{
	return &p->archives[i];
}

uint32_t patterns_match(const struct patterns *p, const char *path, bool is_dir)
{
	for (uint32_t i = 0; p && i < p->n_rules; i++)
		if (!filter_wants(p->rules[i].filter, path, is_dir))
			return p->rules[i].archive;
	return PATTERN_NONE;
}
