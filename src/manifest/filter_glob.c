/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wildcards by simulating the automaton. A pattern is a row of tokens, each of which
 * eats one byte or, for the two stars, any number. A state is a place in the row: what
 * stands before it has been eaten. All states that are possible are kept as bits and go
 * through the text together, so no pattern can make us try the same thing twice:
 * "*a*a*a*b" costs what any other pattern of its length does. In practice two or three
 * bits are set.
 *
 * Stars side by side are one token, so a state and the one behind its star are the only
 * two that are ever reached without eating.
 */
#include "manifest/filter_glob.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum token_kind {
	TOKEN_BYTE,
	TOKEN_ANY, /* one byte but '/' */
	TOKEN_CLASS,
	TOKEN_STAR,	 /* bytes but '/' */
	TOKEN_STAR_STAR, /* bytes */
};

struct token {
	uint8_t kind;
	uint8_t byte;
	uint16_t class;
};

struct class
{
	uint64_t bits[4];
};

struct glob {
	struct token *tokens;
	struct class *classes;
	size_t n, n_classes;
	bool never; /* a class without end or of an unknown name: matches nothing */
};

#define WORDS (GLOB_MAX / 64 + 1)
struct states {
	uint64_t bits[WORDS];
};

static void class_set(struct class *c, unsigned from, unsigned to)
{
	for (; from <= to; from++)
		c->bits[from / 64] |= 1ull << (from % 64);
}

/* The bytes that [:@name:] stands for; false if there is no such name. */
static bool class_named(struct class *c, const char *name, size_t len)
{
	static const struct {
		const char *name;
		int (*is)(int);
	} named[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank},
		{"cntrl", iscntrl}, {"digit", isdigit}, {"graph", isgraph},
		{"lower", islower}, {"print", isprint}, {"punct", ispunct},
		{"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (strlen(named[i].name) != len ||
			memcmp(named[i].name, name, len) != 0)
			continue;
		/* ASCII only: a pattern means the same whatever the locale. */
		for (unsigned b = 0; b < 128; b++) {
			if (named[i].is((int)b))
				class_set(c, b, b);
		}
		return true;
	}
	return false;
}

/*
 * "[:name:]" at @p: bytes to skip. 0: no such thing here, '[' is a byte like any other.
 * -1: a name that nobody knows, or no end.
 */
static ptrdiff_t parse_named(const char *p, const char *end, struct class *c)
{
	const char *close;

	if (end - p < 2 || p[1] != ':')
		return 0;
	close = memchr(p + 2, ']', (size_t)(end - p - 2));
	if (!close)
		return -1;
	if (close == p + 2 || close[-1] != ':')
		return 0;
	if (!class_named(c, p + 2, (size_t)(close - 1 - (p + 2))))
		return -1;
	return close + 1 - p;
}

/*
 * A class; @p is behind its '['. Returns what follows its ']', NULL if it is malformed.
 * A ']' right at the beginning is a member, a '-' at either end too.
 */
static const char *parse_class(const char *p, const char *end, struct class *c)
{
	bool negated = false, first = true;
	int before = -1; /* the byte that a '-' would start from */
	ptrdiff_t skip;
	unsigned char b;

	if (p < end && (*p == '!' || *p == '^')) {
		negated = true;
		p++;
	}
	for (; p < end && (*p != ']' || first); first = false) {
		bool range = *p == '-' && before >= 0 && end - p > 1 && p[1] != ']';

		if (*p == '[') {
			skip = parse_named(p, end, c);
			if (skip < 0)
				return NULL;
			if (skip > 0) {
				p += skip;
				before = -1;
				continue;
			}
		}
		if (range)
			p++;
		if (*p == '\\' && ++p == end)
			return NULL;
		b = (unsigned char)*p++;
		if (range)
			class_set(c, (unsigned)before, b);
		else
			class_set(c, b, b);
		before = range ? -1 : b;
	}
	if (p == end)
		return NULL;
	for (int i = 0; negated && i < 4; i++)
		c->bits[i] = ~c->bits[i];
	c->bits['/' / 64] &= ~(1ull << ('/' % 64));
	return p + 1;
}

static void compile(struct glob *g, const char *p, size_t len)
{
	const char *end = p + len, *stars;

	while (p < end && !g->never) {
		struct token *t = &g->tokens[g->n++];

		if (*p == '*') {
			for (stars = p; p < end && *p == '*'; p++)
				;
			t->kind = p - stars > 1 ? TOKEN_STAR_STAR : TOKEN_STAR;
		} else if (*p == '?') {
			t->kind = TOKEN_ANY;
			p++;
		} else if (*p == '[') {
			t->kind = TOKEN_CLASS;
			t->class = (uint16_t)g->n_classes;
			p = parse_class(p + 1, end, &g->classes[g->n_classes++]);
			g->never = !p;
		} else {
			if (*p == '\\')
				p++;
			/*
			 * A lone backslash at the end escapes nothing and matches
			 * nothing.
			 */
			g->never = p == end;
			t->byte = g->never ? 0 : (unsigned char)*p++;
		}
	}
}

struct glob *glob_new(const char *pattern, size_t len)
{
	struct glob *g = calloc(1, sizeof(*g));
	size_t classes = 0;

	for (size_t i = 0; i < len; i++)
		classes += pattern[i] == '[';
	if (!g)
		return NULL;
	g->tokens = calloc(len + 1, sizeof(*g->tokens));
	g->classes = calloc(classes + 1, sizeof(*g->classes));
	if (!g->tokens || !g->classes) {
		glob_free(g);
		return NULL;
	}
	compile(g, pattern, len);
	return g;
}

void glob_free(struct glob *g)
{
	if (!g)
		return;
	free(g->tokens);
	free(g->classes);
	free(g);
}

static void enter(const struct glob *g, struct states *s, size_t i)
{
	s->bits[i / 64] |= 1ull << (i % 64);
	if (i < g->n && g->tokens[i].kind >= TOKEN_STAR) {
		i++;
		s->bits[i / 64] |= 1ull << (i % 64);
	}
}

static bool class_has(const struct class *c, unsigned char b)
{
	return c->bits[b / 64] >> (b % 64) & 1;
}

/* Token @i meets byte @b in one state; the states that follow go into @next. */
static void step_one(
	const struct glob *g, size_t i, unsigned char b, struct states *next)
{
	const struct token *t = &g->tokens[i];
	bool ok = false;

	switch ((enum token_kind)t->kind) {
	case TOKEN_BYTE:
		ok = b == t->byte;
		break;
	case TOKEN_ANY:
		ok = b != '/';
		break;
	case TOKEN_CLASS:
		ok = class_has(&g->classes[t->class], b);
		break;
	case TOKEN_STAR:
		if (b != '/')
			enter(g, next, i);
		return;
	case TOKEN_STAR_STAR:
		enter(g, next, i);
		return;
	}
	if (ok)
		enter(g, next, i + 1);
}

/* All states meet @b; with @restart the match may also begin right after it. */
static void step(const struct glob *g, struct states *s, unsigned char b, bool restart)
{
	size_t words = g->n / 64 + 1;
	struct states next;

	memset(next.bits, 0, words * sizeof(next.bits[0]));
	for (size_t w = 0; w < words; w++) {
		for (uint64_t left = s->bits[w]; left; left &= left - 1) {
			size_t i = w * 64 + (size_t)__builtin_ctzll(left);

			if (i < g->n)
				step_one(g, i, b, &next);
		}
	}
	if (restart)
		enter(g, &next, 0);
	memcpy(s->bits, next.bits, words * sizeof(next.bits[0]));
}

bool glob_match(const struct glob *g, const struct glob_text *t)
{
	struct states s;

	if (g->never)
		return false;
	memset(s.bits, 0, (g->n / 64 + 1) * sizeof(s.bits[0]));
	enter(g, &s, 0);
	if (t->slash_before)
		step(g, &s, '/', t->anywhere);
	for (const char *p = t->text; *p; p++)
		step(g, &s, (unsigned char)*p, t->anywhere && *p == '/');
	if (t->slash_after)
		step(g, &s, '/', t->anywhere);
	return s.bits[g->n / 64] >> (g->n % 64) & 1;
}
