/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading this node's outputs. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/move/move.h"
#include "fsio/fsio.h"

static int fail(const struct move *m, uint32_t entry, int code, const char *what,
	struct ebt_err *err)
{
	SCOPED_FREE char *path = manifest_path_new(m->d->out.m, entry);

	return drain_output_fail(m->d, path ? path : "", code, what, err);
}

/* What no errno says, and what a note to another node has to say beside the code. */
static int refuse(struct move *m, struct move_source *s, enum net_refused how,
	const char *what, struct ebt_err *err)
{
	SCOPED_FREE char *path = manifest_path_new(m->d->out.m, s->entry);
	const char *name = path ? path : "";

	s->refused = how;
	return how == NET_ODD ? drain_output_odd(m->d, name, what, err)
			      : drain_output_refuse(m->d, name, what, err);
}

/* Some of it was not there, or was another file's. */
static void tear(struct move *m, uint32_t entry)
{
	__atomic_fetch_or(
		&m->torn[entry / 64], (uint64_t)1 << (entry % 64), __ATOMIC_RELAXED);
}

static bool torn(struct move *m, uint32_t entry)
{
	return m->torn &&
	       __atomic_load_n(&m->torn[entry / 64], __ATOMIC_RELAXED) >> (entry % 64) &
		       1;
}

void move_source_close(struct move_source *s)
{
	source_close(&s->from);
}

static bool gives_up(void *arg)
{
	return move_stopped(arg);
}

/* Several threads open a file, each by its name: that must be the same file for all. */
static int look_at_opened(struct move *m, struct move_source *s, struct ebt_err *err)
{
	const struct manifest_entry *e = &m->d->out.m->entries[s->entry];
	struct stat st;

	if (fstat(s->from.fd, &st) < 0)
		return fail(m, s->entry, -errno, "stat", err);
	if (manifest_unchanged(e, &st))
		return 0;
	if (!m->torn || !S_ISREG(st.st_mode))
		return refuse(m, s, NET_CHANGED, "changed before it was drained", err);
	if (e->ino && st.st_ino != e->ino)
		tear(m, s->entry);
	return 0;
}

static int open_source(
	struct move *m, struct move_source *s, uint32_t entry, struct ebt_err *err)
{
	struct fsio_patience patience = {
		.stopped = gives_up, .arg = m, .count = &m->d->rep->reopened};
	SCOPED_FREE char *path = NULL;
	int r;

	if (s->from.kind == SOURCE_FILE && s->entry == entry)
		return 0;
	move_source_close(s);
	if (entry >= m->d->out.m->count ||
		m->d->out.m->entries[entry].kind != MANIFEST_FILE)
		return ebt_failx(
			err, -EPROTO, "entry %u is asked for, which is no file", entry);
	path = manifest_path_new(m->d->out.m, entry);
	if (!path)
		return fail(m, entry, -ENOMEM, "open", err);
	r = drain_output_wait(m->d, path, &patience);
	if (drain_output_gone(r))
		s->refused = NET_CHANGED;
	if (r < 0)
		return fail(m, entry, r, "open", err);
	s->from = source_of_file(r, 0);
	s->entry = entry;
	return look_at_opened(m, s, err);
}

static int check(struct move *m, struct move_source *s, struct ebt_err *err)
{
	const struct manifest_entry *e = &m->d->out.m->entries[s->entry];
	enum net_refused how = NET_CHANGED;
	struct stat st;
	int r = source_state(&s->from, e, manifest_node(e), &st);

	if (r < 0)
		return fail(m, s->entry, r, "stat", err);
	if (r != SOURCE_CHANGED && !torn(m, s->entry))
		return r == SOURCE_SAME
			       ? 0
			       : refuse(m, s, NET_ODD,
					 "has content although its size is 0", err);
	if (m->torn && !torn(m, s->entry) && (!e->ino || st.st_ino == e->ino) &&
		(uint64_t)st.st_size >= e->size)
		how = NET_GREW;
	return refuse(m, s, how, "changed while it was being drained", err);
}

static int read_range(struct move *m, struct move_source *s, uint64_t off,
	unsigned char *to, uint32_t len, struct ebt_err *err)
{
	ssize_t n = len ? source_read(&s->from, off, to, len, NULL) : 0;

	if (n < 0)
		return fail(m, s->entry, (int)n, "read", err);
	if ((uint32_t)n == len)
		return 0;
	if (!m->torn)
		return refuse(m, s, NET_CHANGED,
			"became shorter while it was being drained", err);
	memset(to + n, 0, len - (size_t)n);
	tear(m, s->entry);
	return 0;
}

int move_read(struct move *m, struct move_source *s, uint32_t entry, uint64_t off,
	void *to, uint32_t len, bool verify, struct ebt_err *err)
{
	struct activity *a = &m->d->job.activity;
	struct activity_call call;
	int r;

	s->refused = NET_TAKEN;
	activity_begin(a, &call, "reading", manifest_show_path, m->d->out.m, entry);
	r = open_source(m, s, entry, err);
	if (r == 0)
		r = read_range(m, s, off, to, len, err);
	if (r == 0 && verify)
		r = check(m, s, err);
	activity_end(a, &call);
	/* A file that failed may be replaced by another one; one that grew is read again. */
	if (r < 0 && s->refused != NET_GREW)
		move_source_close(s);
	return r;
}
