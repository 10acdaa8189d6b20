/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the sources of a run are in the store, for .ebt/roots: a directory is a root of its own, of
 * single files the directory they lie in is one, of which not all is here. The first node knows
 * what it may write to, so it makes the list and all get it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "scan/scan.h"
#include "stage/archives.h"
#include "stage/roots.h"
#include "stage/stage_internal.h"
#include "transport/transport.h"

/* Paths lie one after the other in @text, each with its NUL; roots point there in the end. */
struct making {
	struct buf text, of; /* of: struct made */
	size_t last;	     /* in text: the one before, see add_file */
	bool has_last;
};
struct made {
	size_t path, origin, from; /* in text */
	bool has_origin, has_from, whole, read_only;
};

static void making_release(struct making *k)
{
	buf_release(&k->text);
	buf_release(&k->of);
}

static size_t put_text(
	struct making *k, const char *a, const char *between, const char *b)
{
	size_t at = k->text.len;

	buf_put(&k->text, a, strlen(a));
	buf_put(&k->text, between, strlen(between));
	buf_put(&k->text, b, strlen(b) + 1);
	return at;
}

static void add(struct making *k, struct made m)
{
	buf_put(&k->of, &m, sizeof(m));
}

static bool may_not_write(const char *path)
{
	return access(path, W_OK) < 0 && (errno == EROFS || errno == EACCES);
}

static void add_dir(struct making *k, const char *base, const char *name, bool whole)
{
	struct made m = {.has_origin = true, .whole = whole};

	m.path = put_text(k, name, "", "");
	m.origin = put_text(k, base, strcmp(base, "/") && *name ? "/" : "", name);
	if (buf_ok(&k->text))
		m.read_only = may_not_write((const char *)k->text.data + m.origin);
	add(k, m);
}

/* Neighbours in a list mostly share their directory. */
static void add_file(struct making *k, const char *base, const char *name)
{
	const char *slash = strrchr(name, '/');
	SCOPED_FREE char *dir = strndup(name, slash ? (size_t)(slash - name) : 0);
	struct made m = {.has_origin = true};
	size_t at;

	if (!dir)
		return;
	m.path = put_text(k, dir, "", "");
	at = m.origin = put_text(k, base, strcmp(base, "/") && *dir ? "/" : "", dir);
	if (k->has_last && buf_ok(&k->text) &&
		strcmp((const char *)k->text.data + k->last,
			(const char *)k->text.data + at) == 0)
		return;
	k->last = at;
	k->has_last = true;
	add(k, m);
}

static int add_roots(const struct stage *st, struct making *k, bool whole)
{
	struct reader r = reader_of(st->roots.data, st->roots.len);
	SCOPED_FREE const char **bases = NULL;
	uint32_t n, at;

	if (roots_bases(&r, &bases, &n) < 0)
		return -ENOMEM;
	n = reader_get32(&r);
	for (uint32_t i = 0; i < n; i++) {
		struct root root = roots_next(&r);

		if (root.flags & SCAN_PARENT)
			continue;
		at = *root.name ? manifest_find(st->b.m, root.name) : MANIFEST_ROOT;
		/* A rule may have left it out. */
		if (*root.name && at == MANIFEST_NONE)
			continue;
		if (!*root.name || st->b.m->entries[at].kind == MANIFEST_DIR)
			add_dir(k, bases[root.base], root.name, whole);
		else
			add_file(k, bases[root.base], root.name);
	}
	return 0;
}

static void add_archives(const struct stage *st, struct making *k, bool whole)
{
	const char *p = (const char *)st->archives.data;
	const char *end = p + st->archives.len;
	struct made m = {.has_from = true, .has_origin = st->o->at, .whole = whole};

	for (; p < end; p += strlen(p) + 1) {
		m.path = put_text(k, "", "", "");
		m.from = put_text(k, ++p, "", "");
		if (st->o->at)
			m.origin = put_text(k, st->o->at, "", "");
		add(k, m);
	}
}

static int make_list(const struct stage *st, struct buf *out, struct ebt_err *err)
{
	SCOPED(making_release) struct making k = {0};
	SCOPED_FREE struct store_root *of = NULL;
	bool whole = !st->o->run.n_rules;
	const struct made *m;
	const char *text;
	size_t n;

	if (add_roots(st, &k, whole) < 0)
		return ebt_fail(err, -ENOMEM, "list of sources");
	add_archives(st, &k, whole);
	n = k.of.len / sizeof(*m);
	of = calloc(n + 1, sizeof(*of));
	if (!of || !buf_ok(&k.text) || !buf_ok(&k.of))
		return ebt_fail(err, -ENOMEM, "list of sources");
	m = (const struct made *)k.of.data;
	text = (const char *)k.text.data;
	for (size_t i = 0; i < n; i++)
		of[i] = (struct store_root){.path = text + m[i].path,
			.origin = m[i].has_origin ? text + m[i].origin : NULL,
			.from = m[i].has_from ? text + m[i].from : NULL,
			.whole = m[i].whole,
			.read_only = m[i].read_only};
	return store_roots_format(&(struct store_roots){.of = of, .n = n}, out, err);
}

struct keeping {
	struct stage *st;
	struct buf *list;
};

static int make(void *arg, struct ebt_err *err)
{
	const struct keeping *k = arg;

	return make_list(k->st, k->list, err);
}

static int keep(void *arg, struct ebt_err *err)
{
	SCOPED(store_roots_release) struct store_roots roots = {0};
	const struct keeping *k = arg;
	int r = store_roots_parse(
		(const char *)k->list->data, k->list->len, &roots, err);

	return r < 0 ? r : store_roots_prepare(k->st->store, &roots, err);
}

int stage_origins_all(struct stage *st, struct ebt_err *err)
{
	SCOPED_BUF struct buf list = {0};
	struct keeping k = {st, &list};
	int r = 0;

	if (st->job.node == 0)
		r = job_away(&st->job, NULL, NULL, make, &k, err);
	r = job_agree_all(&st->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&st->job.nodes, &list, 0, err);
	return r < 0 ? r : job_away_all(&st->job, keep, &k, err);
}
