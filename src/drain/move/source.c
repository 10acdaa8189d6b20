/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading this node's outputs, for its own writers and for other nodes. */
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

/* Main thread. */
static void give_back(struct net_data *d)
{
	struct move_reader_block *b = d->arg;
	struct move_reader *t = b->owner;
	SCOPED_LOCK(&t->lock);

	b->next = t->free;
	t->free = b;
	pthread_cond_signal(&t->freed);
}

static struct move_reader_block *take_block(struct move_reader *t)
{
	struct move_reader_block *b;
	SCOPED_LOCK(&t->lock);

	while (!t->free)
		pthread_cond_wait(&t->freed, &t->lock);
	b = t->free;
	t->free = b->next;
	return b;
}

static void answer(
	struct move_reader *t, struct move_source *s, const struct net_request *q)
{
	struct move_reader_block *b = take_block(t);
	struct net_data *d = &b->data;
	struct ebt_err err = {0};
	bool quiet;

	d->op.node = q->node;
	d->note.slot = q->want.slot;
	d->len = q->want.len;
	d->sent = give_back;
	d->arg = b;
	s->refused = NET_TAKEN;
	if (d->len > t->m->block)
		d->note.code = -EPROTO;
	else
		d->note.code = move_read(t->m, s, q->want.entry, q->want.off, d->data,
			d->len, q->want.check != 0, &err);
	d->note.refused = s->refused;
	/*
	 * Only the code travels: who asked names the file, who has it names the reason. What a
	 * further pass may bring is told by that one.
	 */
	quiet = s->refused == NET_GREW ||
		(s->refused == NET_CHANGED && t->m->d->pass.turn == DRAIN_TRY);
	if (d->note.code < 0 && err.text[0])
		log_say(&t->m->d->job.log, quiet ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
			"%s", err.text);
	if (d->note.code == 0)
		d->note.digest = digest_bytes(d->data, d->len);
	net_send(&t->m->net, d);
}

int move_reader_init(struct move_reader *t, struct move *m, struct ebt_err *err)
{
	*t = (struct move_reader){.m = m};
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->freed, NULL);
	for (int i = 0; i < 2; i++) {
		t->blocks[i].owner = t;
		t->blocks[i].data.data = malloc(m->block);
		if (!t->blocks[i].data.data)
			return ebt_fail(err, -ENOMEM, "buffers to read (see --memory)");
		t->blocks[i].next = t->free;
		t->free = &t->blocks[i];
	}
	return 0;
}

void move_reader_release(struct move_reader *t)
{
	for (int i = 0; i < 2; i++)
		free(t->blocks[i].data.data);
	pthread_cond_destroy(&t->freed);
	pthread_mutex_destroy(&t->lock);
}

void *move_reader_thread(void *arg)
{
	struct move_reader *t = arg;
	struct move_source s = MOVE_SOURCE_INIT;
	struct net_request *q;

	while ((q = (struct net_request *)queue_get(&t->m->requests))) {
		answer(t, &s, q);
		free(q);
	}
	/* Both must be back before their memory goes. */
	for (int i = 0; i < 2; i++)
		take_block(t);
	move_source_close(&s);
	return NULL;
}
