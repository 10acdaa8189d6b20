/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What has no place: a directory of dest could not be made for want of room. All nodes know of
 * those, mostly none, and leave out what falls under them. A file with several names comes under
 * those that have a place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/drain_internal.h"
#include "transport/transport.h"

void drain_missing_free(struct drain_missing *m)
{
	free(TAKE(m->name));
	m->n = 0;
	buf_release(&m->text);
}

static int compare(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* The names of its text in order. */
static int sort_names(struct drain_missing *m)
{
	const char *at = (const char *)m->text.data;
	const char *end = at + m->text.len, **names;
	size_t n = 0;

	for (const char *p = at; p < end; p += strlen(p) + 1)
		n++;
	names = malloc(n * sizeof(*names));
	if (!names)
		return -ENOMEM;
	n = 0;
	for (; at < end; at += strlen(at) + 1)
		names[n++] = at;
	qsort(names, n, sizeof(*names), compare);
	free(m->name);
	m->name = names;
	m->n = n;
	return 0;
}

static int take_names(void *arg, const struct buf *b, struct ebt_err *err)
{
	buf_put(arg, b->data, b->len);
	return buf_ok(arg) ? 0 : ebt_fail(err, -ENOMEM, "directories");
}

int drain_miss_all(struct drain *d, const struct buf *names, struct ebt_err *err)
{
	SCOPED_BUF struct buf all = {0};
	uint64_t any = names->len;
	int r;

	transport_reduce_all(&d->job.nodes, &any, 1, MPI_UINT64_T, MPI_MAX);
	if (!any)
		return 0;
	r = transport_collect_all(&d->job.nodes, names, take_names, &all, err);
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&d->job.nodes, &all, 0, err);
	if (r < 0)
		return r;
	buf_put(&d->missing.text, all.data, all.len);
	r = buf_ok(&d->missing.text) ? sort_names(&d->missing) : -ENOMEM;
	return job_agree_all(&d->job, r < 0 ? ebt_fail(err, r, "directories") : 0, err);
}

/* A directory above some path. */
struct above {
	const char *path;
	size_t len;
};

static int compare_above(const void *key, const void *name)
{
	const struct above *a = key;
	const char *n = *(const char *const *)name;
	int r = strncmp(a->path, n, a->len);

	return r ? r : n[a->len] ? -1 : 0;
}

bool drain_is_missing(const struct drain_missing *m, const char *path)
{
	struct above a = {.path = path, .len = strlen(path)};

	while (m->n && a.len) {
		if (bsearch(&a, m->name, m->n, sizeof(*m->name), compare_above))
			return true;
		while (a.len && path[--a.len] != '/')
			;
	}
	return false;
}

/* Leaves those names of @t that have a place; false if that is none. */
static bool drop_names(struct drain *d, struct drain_task *t)
{
	char *to = (char *)t->names; /* in the task's own block */
	const char *at = t->names, *next;
	uint32_t kept = 0;
	struct drain_name n;

	for (uint32_t i = 0; i < t->n_names; i++, at = next) {
		next = drain_name_next(at, &n);
		if (drain_is_missing(&d->missing, n.path)) {
			drain_look_quietly(d, EBT_LOOK_MISSING, n.path, NULL);
			t->some = true;
			continue;
		}
		memmove(to, at, (size_t)(next - at));
		to += next - at;
		kept++;
	}
	t->n_names = kept;
	if (!kept)
		return false;
	drain_name_next(t->names, &n);
	t->e.name = n.path;
	return true;
}

void drain_drop_missing(struct drain *d)
{
	struct drain_task **at = &d->tasks, *t;

	while (d->missing.n && (t = *at)) {
		if (drop_names(d, t)) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		drain_task_free(t);
	}
}
