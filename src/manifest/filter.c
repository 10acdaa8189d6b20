/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filter rules. Which part of the path a pattern is held against depends on the pattern
 * alone and is settled when the rule is added:
 *
 *	no '/', no "**"          x        last component
 *	anchored                 /a/x     the whole path
 *	"**" at the beginning    **x      the whole path, as if it began with '/'
 *	"**" further on          a**x     the path from any component on
 *	'/', no "**"             a/x      as many components of the end as it has
 *
 * "***" at the end also lets a directory's path end in '/', so that "a/" + "***" takes
 * in a itself. Without a wildcard a backslash is a byte like any other, with one it
 * escapes the next. None of this is written down all in one place in rsync's manual
 * page; the tests ask rsync itself.
 */
#include "manifest/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "manifest/filter_glob.h"

_Static_assert(FILTER_PATTERN_MAX <= GLOB_MAX, "every pattern can be compiled");

enum part {
	PART_LAST,     /* last component */
	PART_WHOLE,    /* all of it */
	PART_TAIL,     /* the last components, as many as the pattern has */
	PART_ANYWHERE, /* from any component on */
};

struct rule {
	bool include;
	bool dirs_only;
	bool slash_before, slash_after; /* see glob.h */
	enum part part;
	unsigned slashes;  /* in the pattern, for PART_TAIL */
	char *text;	   /* a pattern without wildcards, or NULL */
	struct glob *glob; /* any other */
};

struct filter {
	struct rule *rules;
	size_t count, cap;
};

int filter_new(struct filter **out, struct ebt_err *err)
{
	struct filter *f = calloc(1, sizeof(*f));

	if (!f)
		return ebt_fail(err, -ENOMEM, "filter");
	*out = f;
	return 0;
}

static void clear(struct filter *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->rules[i].text);
		glob_free(f->rules[i].glob);
	}
	f->count = 0;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	clear(f);
	free(f->rules);
	free(f);
}

static unsigned count_slashes(const char *s, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '/';
	return n;
}

static bool has_double_star(const char *p, size_t len)
{
	for (size_t i = 1; i < len; i++) {
		if (p[i - 1] == '*' && p[i] == '*')
			return true;
	}
	return false;
}

/* What the @len bytes at @p say about where to look; a final '/' is cut already. */
static enum part part_of(const char *p, size_t len, struct rule *r)
{
	bool stars = has_double_star(p, len);

	r->slashes = count_slashes(p, len);
	r->slash_before = len >= 2 && p[0] == '*' && p[1] == '*';
	r->slash_after = len >= 3 && memcmp(p + len - 3, "***", 3) == 0;
	if (p[0] == '/' || r->slash_before)
		return PART_WHOLE;
	if (stars)
		return PART_ANYWHERE;
	return r->slashes ? PART_TAIL : PART_LAST;
}

static int parse_rule(const char *pattern, size_t len, struct rule *r)
{
	if (len > 1 && pattern[len - 1] == '/') {
		r->dirs_only = true;
		len--;
	}
	r->part = part_of(pattern, len, r);
	if (pattern[0] == '/') {
		pattern++;
		len--;
	}
	if (memchr(pattern, '*', len) || memchr(pattern, '?', len) ||
		memchr(pattern, '[', len))
		r->glob = glob_new(pattern, len);
	else
		r->text = strndup(pattern, len);
	return r->glob || r->text ? 0 : -ENOMEM;
}

static int add(struct filter *f, bool include, const char *pattern, size_t len,
	struct ebt_err *err)
{
	struct rule rule = {.include = include}, *p;
	size_t cap = f->cap * 2 + 8;

	if (len == 0)
		return ebt_failx(err, -EINVAL, "filter rule without a pattern");
	if (len > FILTER_PATTERN_MAX)
		return ebt_fail(err, -ENAMETOOLONG, "filter pattern of %zu bytes", len);
	if (f->count == f->cap) {
		p = realloc(f->rules, cap * sizeof(*p));
		if (!p)
			return ebt_fail(err, -ENOMEM, "filter of %zu rules", f->count);
		f->rules = p;
		f->cap = cap;
	}
	if (parse_rule(pattern, len, &rule) < 0)
		return ebt_fail(err, -ENOMEM, "filter of %zu rules", f->count);
	f->rules[f->count++] = rule;
	return 0;
}

/* @include: what a rule means that does not say it itself. */
static int add_rule(struct filter *f, bool include, const char *rule, size_t len,
	struct ebt_err *err)
{
	if (len == 1 && rule[0] == '!') {
		clear(f);
		return 0;
	}
	if (len >= 2 && (rule[0] == '-' || rule[0] == '+') && rule[1] == ' ') {
		include = rule[0] == '+';
		rule += 2;
		len -= 2;
	}
	return add(f, include, rule, len, err);
}

int filter_add(struct filter *f, bool include, const char *rule, struct ebt_err *err)
{
	return add_rule(f, include, rule, strlen(rule), err);
}

static int add_line(struct filter *f, const char *line, size_t len, struct ebt_err *err)
{
	if (line[0] == '#' || line[0] == ';')
		return 0;
	if (memchr(line, '\0', len))
		return ebt_failx(err, -EINVAL, "filter rule with a NUL byte in it");
	return add_rule(f, false, line, len, err);
}

int filter_add_text(
	struct filter *f, const char *text, size_t len, bool null, struct ebt_err *err)
{
	size_t from, to;
	int r;

	for (from = 0; from < len; from = to + 1) {
		for (to = from; to < len; to++) {
			if (null ? text[to] == '\0'
				 : text[to] == '\n' || text[to] == '\r')
				break;
		}
		if (to == from)
			continue; /* an empty line, or what is between \r and \n */
		r = add_line(f, text + from, to - from, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The last @slashes + 1 components of @path; NULL if it has fewer. */
static const char *tail_of(const char *path, unsigned slashes)
{
	const char *p = path + strlen(path);

	while (p > path) {
		if (p[-1] == '/' && slashes-- == 0)
			return p;
		p--;
	}
	return slashes == 0 ? path : NULL;
}

static bool matches(const struct rule *r, const char *path, bool is_dir)
{
	struct glob_text t = {.text = path,
		.slash_before = r->slash_before,
		.slash_after = r->slash_after && is_dir,
		.anywhere = r->part == PART_ANYWHERE};

	if (r->dirs_only && !is_dir)
		return false;
	if (r->part == PART_LAST)
		t.text = tail_of(path, 0);
	else if (r->part == PART_TAIL)
		t.text = tail_of(path, r->slashes);
	if (!t.text)
		return false;
	return r->text ? strcmp(r->text, t.text) == 0 : glob_match(r->glob, &t);
}

bool filter_wants(const struct filter *f, const char *path, bool is_dir)
{
	for (size_t i = 0; f && i < f->count; i++) {
		if (matches(&f->rules[i], path, is_dir))
			return f->rules[i].include;
	}
	return true;
}
