/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * .ebt/roots says for what a store stands in, so that a job can be shown it under the old paths,
 * and that nothing which was only derived is written back. Text, so that it can be read with any
 * tool; words are separated by one space, and names coded as by text_percent:
 *
 *   ebt roots 1
 *   root env /scratch/me/env whole
 *   root inputs /scratch/me/inputs partial read-only
 *   root . /scratch/me/env whole derived /scratch/me/env.tar.zst
 *   root . - whole derived /scratch/me/data.zip
 *
 * Those of one run in the order of their paths, and runs in theirs: where several say something of a
 * path the last does. It is written beside the run, and renamed right before the manifest is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define ROOTS	  "roots"
#define HEAD	  "ebt roots 1\n"
#define ROOTS_MAX (64u << 20) /* bytes */

void store_roots_release(struct store_roots *r)
{
	free(r->of);
	free(r->text);
	*r = (struct store_roots){0};
}

static void put_word(struct buf *out, const char *name)
{
	buf_put8(out, ' ');
	buf_put_percent(out, name);
}

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

int store_roots_format(
	const struct store_roots *r, struct buf *out, struct ebt_err *err)
{
	put_text(out, HEAD);
	for (size_t i = 0; i < r->n; i++) {
		const struct store_root *x = &r->of[i];

		put_text(out, "root");
		put_word(out, *x->path ? x->path : ".");
		put_word(out, x->origin ? x->origin : "-");
		put_text(out, x->whole ? " whole" : " partial");
		put_text(out, x->read_only ? " read-only" : "");
		if (x->from) {
			put_text(out, " derived");
			put_word(out, x->from);
		}
		buf_put8(out, '\n');
	}
	return buf_ok(out) ? 0 : ebt_fail(err, -ENOMEM, "roots");
}

static int damaged(size_t line, struct ebt_err *err)
{
	return ebt_failx(err, -EBADMSG, ROOTS ": line %zu is damaged", line);
}

/* The next word of *p, decoded; NULL: there is none. */
static char *take_word(char **p)
{
	char *word = *p, *end;

	if (!word || !*word)
		return NULL;
	end = strchr(word, ' ');
	*p = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	return *word && text_unpercent(word) ? word : NULL;
}

static bool take_root(char *line, struct store_root *x)
{
	char *p = line, *word = take_word(&p);
	char *path, *origin;

	if (!word || strcmp(word, "root") != 0)
		return false;
	path = take_word(&p);
	origin = take_word(&p);
	word = take_word(&p);
	if (!path || !origin || !word)
		return false;
	*x = (struct store_root){.path = path, .origin = origin};
	x->whole = strcmp(word, "whole") == 0;
	if (!x->whole && strcmp(word, "partial") != 0)
		return false;
	if (strcmp(path, ".") == 0)
		x->path = "";
	else if (!manifest_path_ok(path))
		return false;
	if (strcmp(origin, "-") == 0)
		x->origin = NULL;
	else if (*origin != '/')
		return false;
	word = take_word(&p);
	if (word && strcmp(word, "read-only") == 0) {
		x->read_only = true;
		word = take_word(&p);
	}
	if (word && strcmp(word, "derived") == 0) {
		x->from = take_word(&p);
		if (!x->from || *x->from != '/')
			return false;
		word = take_word(&p);
	}
	/* No further words, not even empty ones. */
	return !word && !p;
}

int store_roots_parse(
	const char *text, size_t len, struct store_roots *out, struct ebt_err *err)
{
	SCOPED(store_roots_release) struct store_roots r = {0};
	size_t head = strlen(HEAD), lines = 0, line = 1;
	char *end;

	if (len < 10 || memcmp(text, HEAD, 10) != 0)
		return ebt_failx(err, -EBADMSG, ROOTS ": not a list of roots");
	if (len < head || memcmp(text, HEAD, head) != 0)
		return ebt_failx(err, -EPROTONOSUPPORT, ROOTS ": of a later version");
	if (text[len - 1] != '\n' || memchr(text, '\0', len))
		return damaged(1, err);
	for (size_t i = head; i < len; i++)
		lines += text[i] == '\n';
	r.of = calloc(lines + 1, sizeof(*r.of));
	r.text = strndup(text + head, len - head);
	if (!r.of || !r.text)
		return ebt_fail(err, -ENOMEM, ROOTS);
	for (char *p = r.text; *p; p = end + 1) {
		end = strchr(p, '\n');
		*end = '\0';
		line++;
		if (!take_root(p, &r.of[r.n++]))
			return damaged(line, err);
	}
	*out = r;
	r = (struct store_roots){0};
	return 0;
}

int store_roots_load(struct store *s, struct store_roots *out, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	struct ebt_err why = {0};
	char shown[512];
	int r;

	*out = (struct store_roots){0};
	r = fsio_load(s->ebtfd, ROOTS, ROOTS_MAX, &b, &why);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = store_roots_parse((const char *)b.data, b.len, out, &why);
	return r < 0 ? ebt_failx(err, r, "%s/" STORE_OWN "/%s",
			       text_name(s->path, shown, sizeof(shown)), why.text)
		     : 0;
}

static int compare_words(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/* Do two say something of the same? */
static int compare_roots(const void *a, const void *b)
{
	const struct store_root *x = *(const struct store_root *const *)a;
	const struct store_root *y = *(const struct store_root *const *)b;
	int c = compare_words(x->path, y->path);

	if (c == 0)
		c = compare_words(x->origin, y->origin);
	return c ? c : compare_words(x->from, y->from);
}

static int by_word(const void *a, const void *b)
{
	const struct store_root *x = *(const struct store_root *const *)a;
	const struct store_root *y = *(const struct store_root *const *)b;
	int c = compare_roots(a, b);

	/* Of several of one run the last has the word. */
	return c ? c : (x > y) - (x < y);
}

int store_roots_prepare(
	struct store *s, const struct store_roots *r, struct ebt_err *err)
{
	SCOPED(store_roots_release) struct store_roots old = {0};
	SCOPED(store_roots_release) struct store_roots all = {0};
	SCOPED_FREE const struct store_root **new = calloc(r->n + 1, sizeof(*new));
	SCOPED_BUF struct buf b = {0};
	int code = store_roots_load(s, &old, err);

	if (code < 0)
		return code;
	all.of = calloc(old.n + r->n + 1, sizeof(*all.of));
	if (!all.of || !new)
		return ebt_fail(err, -ENOMEM, ROOTS);
	for (size_t k = 0; k < r->n; k++)
		new[k] = &r->of[k];
	qsort(new, r->n, sizeof(*new), by_word);
	for (size_t i = 0; i < old.n; i++) {
		const struct store_root *one = &old.of[i];

		if (!bsearch(&one, new, r->n, sizeof(*new), compare_roots))
			all.of[all.n++] = *one;
	}
	for (size_t k = 0; k < r->n; k++) {
		if (k + 1 == r->n || compare_roots(&new[k], &new[k + 1]) != 0)
			all.of[all.n++] = *new[k];
	}
	code = store_roots_format(&all, &b, err);
	return code < 0 ? code : fsio_save(s->runfd, ROOTS, b.data, b.len, err);
}

int store_roots_replace(struct store *s, struct ebt_err *err)
{
	if (renameat(s->runfd, ROOTS, s->ebtfd, ROOTS) == 0 || errno == ENOENT)
		return 0;
	return ebt_fail(err, -errno, "%s/" STORE_OWN "/" ROOTS, s->path);
}
