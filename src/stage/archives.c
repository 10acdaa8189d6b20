/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/archives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static int stopped(void *arg, struct ebt_err *err)
{
	const struct stage *st = arg;

	return job_stopped(&st->job, err);
}

/* The entry of a file that was brought, and where its content came from. */
static bool find_brought(
	void *arg, const char *path, struct manifest_entry *e, const char **source)
{
	const struct stage *st = arg;
	const struct manifest *m;
	const struct manifest_entry *head;
	uint32_t at;

	m = stage_kept_find(&st->before, path, &at);
	if (!m || m->entries[at].kind != MANIFEST_FILE)
		return false;
	*e = m->entries[at];
	head = e->group == MANIFEST_NONE ? e : &m->entries[e->group];
	e->digest = head->digest;
	*source = m->sources[e->source];
	return true;
}

uint32_t archives_count(const struct buf *names)
{
	const char *begin = (const char *)names->data, *end = begin + names->len;
	uint32_t n = 0;

	for (const char *p = begin; p < end; p += strlen(p) + 1)
		n++;
	return n;
}

int archives_deal(const struct buf *names, uint32_t rank, uint32_t readers,
	struct unpack_input *in, struct ebt_err *err)
{
	const char *begin = (const char *)names->data, **paths;
	const char *end = begin + names->len;
	uint32_t *numbers, total = archives_count(names);

	in->archives = paths = calloc((size_t)total + 1, sizeof(*paths));
	in->numbers = numbers = calloc((size_t)total + 1, sizeof(*numbers));
	if (!paths || !numbers)
		return ebt_fail(err, -ENOMEM, "list of sources");
	total = 0;
	for (const char *p = begin; p < end; p += strlen(p) + 1, total++) {
		bool single = *p++ == ARCHIVE_PIPED;

		if (single ? rank != 0 : total % readers != rank)
			continue;
		paths[in->n] = p;
		numbers[in->n++] = total;
	}
	return 0;
}

int archives_open(struct archives *a, struct stage *st, const struct archives_input *in,
	struct ebt_err *err)
{
	int r;

	a->in = (struct unpack_input){
		.node = (uint32_t)st->job.node,
		.filter = st->job.filter,
		.no_owner = st->o->no_owner,
		.no_xattrs = st->o->no_xattrs,
		.concatenated = st->o->concatenated,
		.dry = st->o->dry_run,
		.threads = stage_io_threads(st->o),
		.most = in->most,
		.hold = in->hold,
		.found = &st->job.entries_found,
		.stopped = stopped,
		.stopped_arg = st,
		.activity = &st->job.activity,
		.log = &st->job.log,
		.brought = find_brought,
		.brought_arg = st,
	};
	r = archives_deal(in->names, in->rank, in->readers, &a->in, err);
	if (r < 0)
		return r;
	a->more = a->in.n > 0;
	return a->more ? unpack_start(&a->in, in->ahead, &a->unpack, err) : 0;
}

void archives_close(struct archives *a)
{
	unpack_end(a->unpack);
	free(a->in.archives);
	free(a->in.numbers);
	manifest_free(a->members);
	*a = (struct archives){0};
}

void archives_stop(struct archives *a)
{
	if (a->unpack)
		unpack_stop(a->unpack);
}

bool archives_wait(const struct archives *a)
{
	return !a->unpack || unpack_waits(a->unpack);
}

static void turn(void *watch)
{
	watch_turn(watch);
}

void archives_hold(struct archives *a, struct stage *st)
{
	if (a->unpack)
		unpack_hold(a->unpack, turn, st->job.nodes.watch);
}

int archives_take(struct archives *a, struct ahead *ahead, struct source_feed **feed,
	struct ebt_err *err)
{
	int r = 0;

	*feed = NULL;
	if (!a->unpack)
		return 0;
	if (!a->members)
		r = manifest_new(&a->members, err);
	if (r == 0)
		r = unpack_take(a->unpack, a->members, feed, err);
	a->more = r > 0;
	unpack_go_on(a->unpack, ahead);
	return r < 0 ? r : 0;
}

bool archives_found(const struct archives *a)
{
	return a->members && a->members->count > 0;
}

bool archives_more(const struct archives *a, bool whole)
{
	if (!a->unpack)
		return false;
	return whole ? !unpack_over(a->unpack) : a->more;
}

int archives_append(struct archives *a, struct manifest *to, struct ebt_err *err)
{
	int r = a->members ? manifest_append(to, a->members, err) : 0;

	manifest_free(TAKE(a->members));
	return r;
}

int archives_meet(
	const struct stage_kept *before, const struct manifest *m, struct ebt_err *err)
{
	SCOPED_FREE char *path = malloc(2 * MANIFEST_PATH_SIZE);
	char name[512], a[512], b[512];
	const struct manifest *was;
	uint32_t at;

	if (!path)
		return ebt_fail(err, -ENOMEM, "sources");
	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];

		if (e->marks & MANIFEST_HERE ||
			manifest_path(m, i, path, MANIFEST_PATH_SIZE) < 0)
			continue;
		was = stage_kept_find(before, path, &at);
		if (!was || (e->kind == MANIFEST_DIR &&
				    was->entries[at].kind == MANIFEST_DIR))
			continue;
		text_name(path, name, sizeof(name));
		manifest_source_path(was, at, path, 2 * MANIFEST_PATH_SIZE);
		text_name(path, a, sizeof(a));
		manifest_source_path(m, i, path, 2 * MANIFEST_PATH_SIZE);
		text_name(path, b, sizeof(b));
		if (strcmp(a, b) != 0)
			return ebt_failx(err, -EEXIST, "%s: comes from both %s and %s",
				name, a, b);
	}
	return 0;
}
