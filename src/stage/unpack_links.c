/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/unpack_links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "base/text.h"

#define SHOWN 320 /* bytes of a path in a message that holds three */

static void release_one(struct unpack_link *l)
{
	free(l->path);
	free(l->target);
}

void unpack_links_release(struct unpack_links *l)
{
	for (size_t i = 0; i < l->n; i++)
		release_one(&l->of[i]);
	free(l->of);
	*l = (struct unpack_links){0};
}

int unpack_links_add(struct unpack_links *l, const char *path, const char *target,
	unsigned flags, struct ebt_err *err)
{
	struct unpack_link link = {.path = strdup(path),
		.target = target ? strdup(target) : NULL,
		.seq = l->n,
		.flags = flags};
	size_t room = l->room ? 2 * l->room : 64;
	struct unpack_link *of = l->of;

	if (l->n == l->room)
		of = reallocarray(l->of, room, sizeof(*of));
	if (of && l->n == l->room) {
		l->of = of;
		l->room = room;
	}
	if (!of || !link.path || (target && !link.target)) {
		release_one(&link);
		return ebt_fail(err, -ENOMEM, "hard links");
	}
	l->of[l->n++] = link;
	return 0;
}

int unpack_links_replaced(struct unpack_links *l, const char *path, struct ebt_err *err)
{
	return unpack_links_add(l, path, NULL, 0, err);
}

static int by_path(const void *a, const void *b)
{
	const struct unpack_link *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	return c ? c : x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* The last of what came by @path before @seq, or NULL. Sorted. */
static const struct unpack_link *last_before(
	const struct unpack_links *l, const char *path, uint64_t seq)
{
	size_t lo = 0, hi = l->n;
	struct unpack_link key = {.path = (char *)path, .seq = seq};

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (by_path(&l->of[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && strcmp(l->of[lo - 1].path, path) == 0 ? &l->of[lo - 1] : NULL;
}

/* A link that is to be made, and the name under which its file came. */
struct wanted {
	const struct unpack_link *link;
	const char *file;
};

static int by_file(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return strcmp(x->file, y->file);
}

static int refuse(const char *name, const struct unpack_link *link, const char *what,
	struct ebt_err *err)
{
	char a[SHOWN], b[SHOWN], c[SHOWN];

	return ebt_failx(err, -EINVAL, "%s: %s is a hard link to %s, which %s",
		text_name(name, a, sizeof(a)), text_name(link->path, b, sizeof(b)),
		text_name(link->target, c, sizeof(c)), what);
}

/* Links to links lead to the file in the end: each was there before who names it. */
static int find_file(const struct unpack_links *l, const char *name,
	const struct unpack_link *link, const char **file, struct ebt_err *err)
{
	const struct unpack_link *at = link, *next, *last;

	while ((next = last_before(l, at->target, at->seq)) && next->target)
		at = next;
	*file = at->target;
	last = last_before(l, *file, UINT64_MAX);
	return last && last->seq > at->seq
		       ? refuse(name, link, "was replaced afterwards", err)
		       : 0;
}

/*
 * Content of a link goes to the name that it is a link to, as a file. If that is a link too, the
 * file is another one: no archiver writes that, so nobody has to miss it.
 */
static int check_filling(const struct unpack_links *l, const char *name,
	const struct unpack_link *link, struct ebt_err *err)
{
	const struct unpack_link *target;

	if (!(link->flags & UNPACK_LINK_FILLS))
		return 0;
	target = last_before(l, link->target, link->seq);
	return target && target->target
		       ? refuse(name, link, "is one too, and brings content for it",
				 err)
		       : 0;
}

/* The last word on each path, as far as that is a link; sorted by files. */
static int want(const struct unpack_links *l, const char *name, struct wanted *w,
	size_t *n, struct ebt_err *err)
{
	int r = 0;

	*n = 0;
	for (size_t i = 0; i < l->n && r == 0; i++) {
		const struct unpack_link *link = &l->of[i];

		r = check_filling(l, name, link, err);
		if (r < 0 || !link->target || link->flags & UNPACK_LINK_UNWANTED ||
			(i + 1 < l->n && strcmp(l->of[i + 1].path, link->path) == 0))
			continue;
		w[*n].link = link;
		r = find_file(l, name, link, &w[(*n)++].file, err);
	}
	qsort(w, *n, sizeof(*w), by_file);
	return r;
}

/* Where the files of @w are among the entries of @m, the last of each name: into @at, or NONE. */
static void look_up(
	const struct manifest *m, const struct wanted *w, size_t n, uint32_t *at)
{
	for (size_t i = 0; i < n; i++)
		at[i] = MANIFEST_NONE;
	for (uint32_t i = 0; i < m->count; i++) {
		struct wanted key = {.file = m->entries[i].name}, *found;

		if (m->entries[i].kind != MANIFEST_FILE)
			continue;
		found = bsearch(&key, w, n, sizeof(*w), by_file);
		if (!found)
			continue;
		while (found > w && by_file(found - 1, &key) == 0)
			found--;
		at[found - w] = i;
	}
}

/* Entry @e of a file that was brought, as it is named again. */
static int name_again(struct manifest *to, const char *file, struct manifest_entry *e,
	const char *source, uint32_t names, struct ebt_err *err)
{
	int r = manifest_add_source(to, source, &e->source, err);

	e->name = file;
	e->group = MANIFEST_NONE;
	e->marks = MANIFEST_MEMBER | MANIFEST_HERE;
	e->nlink = names;
	return r < 0 ? r : manifest_add(to, e, err);
}

/* The links [0, n) of one file, which is entry @at of @to or was brought. */
static int make(const char *name, struct manifest *to, const struct wanted *w, size_t n,
	uint32_t at, const struct unpack_brought *b, struct ebt_err *err)
{
	uint32_t names = (uint32_t)n + 1;
	struct manifest_entry e;
	const char *source;
	int r = 0;

	if (at != MANIFEST_NONE) {
		to->entries[at].nlink = names;
		e = to->entries[at];
	} else if (!b->find(b->arg, w->file, &e, &source)) {
		return refuse(name, w->link, "is left out", err);
	} else {
		r = name_again(to, w->file, &e, source, names, err);
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		e.name = w[i].link->path;
		e.marks &= (uint8_t) ~(MANIFEST_HERE | MANIFEST_AGAIN);
		e.marks |= w[i].link->flags & UNPACK_LINK_AGAIN ? MANIFEST_AGAIN : 0;
		r = manifest_add(to, &e, err);
	}
	return r;
}

int unpack_links_resolve(struct unpack_links *l, const char *name, struct manifest *to,
	const struct unpack_brought *b, struct ebt_err *err)
{
	SCOPED_FREE struct wanted *w = NULL;
	SCOPED_FREE uint32_t *at = NULL;
	size_t n, end;
	int r;

	if (!l->n)
		return 0;
	w = calloc(l->n, sizeof(*w));
	at = calloc(l->n, sizeof(*at));
	if (!w || !at)
		return ebt_fail(err, -ENOMEM, "hard links");
	qsort(l->of, l->n, sizeof(*l->of), by_path);
	r = want(l, name, w, &n, err);
	if (r < 0)
		return r;
	look_up(to, w, n, at);
	for (size_t i = 0; i < n && r == 0; i = end) {
		for (end = i + 1; end < n && by_file(&w[i], &w[end]) == 0; end++)
			;
		r = make(name, to, w + i, end - i, at[i], b, err);
	}
	return r;
}
