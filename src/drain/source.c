/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading this node's outputs, for its own writers and for other nodes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/move.h"
#include "fsio/fsio.h"

static int fail(const struct move *m, uint32_t entry, int code, const char *what,
	struct ebt_err *err)
{
	char path[PATH_MAX];

	if (manifest_path(m->d->m, entry, path, sizeof(path)) < 0)
		path[0] = '\0';
	return drain_output_fail(m->d, path, code, what, err);
}

void move_source_close(struct move_source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int open_source(struct move *m, struct move_source *s, uint32_t entry,
	struct ebt_err *err)
{
	char path[PATH_MAX];
	int r;

	if (s->fd >= 0 && s->entry == entry)
		return 0;
	move_source_close(s);
	if (entry >= m->d->m->count || m->d->m->entries[entry].kind != MANIFEST_FILE)
		return ebt_failx(err, -EPROTO, "entry %u is asked for, which is no file", entry);
	r = manifest_path(m->d->m, entry, path, sizeof(path));
	if (r < 0)
		return fail(m, entry, r, "open", err);
	r = drain_output_open(m->d, path);
	if (r < 0)
		return fail(m, entry, r, "open", err);
	s->fd = r;
	s->entry = entry;
	return 0;
}

static int check(struct move *m, const struct move_source *s, struct ebt_err *err)
{
	const struct manifest_entry *e = &m->d->m->entries[s->entry];
	struct stat st;

	if (fstat(s->fd, &st) < 0)
		return fail(m, s->entry, -errno, "stat", err);
	if (!manifest_unchanged(e, &st))
		return fail(m, s->entry, -ESTALE, "changed while it was being drained", err);
	return 0;
}

int move_read(struct move *m, struct move_source *s, uint32_t entry, uint64_t off, void *to,
	uint32_t len, bool verify, struct ebt_err *err)
{
	int r = open_source(m, s, entry, err);
	ssize_t n;

	if (r < 0)
		return r;
	n = len ? fsio_read(s->fd, to, len, off) : 0;
	if (n < 0)
		r = fail(m, entry, (int)n, "read", err);
	else if ((uint32_t)n < len)
		r = fail(m, entry, -ESTALE, "became shorter while it was being drained", err);
	else if (verify)
		r = check(m, s, err);
	/* A file that failed may be replaced by another one. */
	if (r < 0)
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

static void answer(struct move_reader *t, struct move_source *s, const struct net_request *q)
{
	struct move_reader_block *b = take_block(t);
	struct net_data *d = &b->data;
	struct ebt_err err = {0};

	d->op.node = q->node;
	d->note.slot = q->want.slot;
	d->len = q->want.len;
	d->sent = give_back;
	d->arg = b;
	if (d->len > t->m->block)
		d->note.code = -EPROTO;
	else
		d->note.code = move_read(t->m, s, q->want.entry, q->want.off, d->data, d->len,
			q->want.check != 0, &err);
	/* Only the code travels: who asked names the file, who has it names the reason. */
	if (d->note.code < 0 && err.text[0])
		log_warn(&t->m->d->job.log, "%s", err.text);
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
