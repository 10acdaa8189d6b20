/* SPDX-License-Identifier: BSD-3-Clause */
/* What this node has, for its own writers and for other nodes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/move/move.h"
#include "drain/pack/pack.h"

/*
 * Of a file that is part of a member, joined of several nodes' pieces: what cannot be read is zeros,
 * as in other members, and the check says so.
 */
static int serve_piece(struct move *m, struct move_source *s,
	const struct net_wanted *w, void *to, struct ebt_err *err)
{
	bool check = w->what == NET_CHECK;
	struct ebt_err why = {0};
	int r = move_read(m, s, w->entry, w->off, to, w->len, check, &why);

	if (r == -ENOMEM)
		return ebt_failx(err, r, "%s", why.text);
	if (check && (pack_state(m->d, w->entry) & PACK_LOST)) {
		s->refused = NET_ODD;
		return ebt_failx(err, -EIO, "%s: not all of it could be read",
			m->d->out.m->entries[w->entry].name);
	}
	if (check && r == 0 && (pack_state(m->d, w->entry) & PACK_TORN)) {
		s->refused = NET_CHANGED;
		return ebt_failx(err, -ESTALE, "%s: changed while it was read",
			m->d->out.m->entries[w->entry].name);
	}
	if (check || r == 0)
		return r < 0 ? ebt_failx(err, r, "%s", why.text) : 0;
	move_spoil(m, w->entry, s->refused ? PACK_TORN : PACK_LOST, &why);
	s->refused = NET_GAPS;
	memset(to, 0, w->len);
	return 0;
}

int move_serve(struct move *m, struct move_source *s, const struct net_wanted *w,
	void *to, struct ebt_err *err)
{
	if (w->of == DRAIN_OF_PART)
		return move_serve_part(m, s, w, to, err);
	if (w->of == DRAIN_OF_FRAME)
		return move_serve_frame(m, w, to, err);
	if (w->entry < m->d->out.m->count && pack_has(m->d, w->entry))
		return serve_piece(m, s, w, to, err);
	return move_read(m, s, w->entry, w->off, to, w->len, w->what == NET_CHECK, err);
}

void move_ask_all(
	struct move *m, struct move_source *mine, struct move_question *q, uint32_t n)
{
	uint32_t here = (uint32_t)m->d->job.node;

	for (uint32_t i = 0; i < n; i++) {
		struct net_fetch *f = &q[i].fetch;

		*f = (struct net_fetch){.op.node = (int)q[i].source.node,
			.want = q[i].want,
			/* It is to point somewhere also where nothing comes. */
			.to = q[i].to ? q[i].to : &q[i]};
		f->want.entry = q[i].source.entry;
		f->want.of = q[i].source.of;
		q[i].err = (struct ebt_err){0};
		if (q[i].source.node != here)
			net_start(&m->net, f);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct net_fetch *f = &q[i].fetch;

		if (q[i].source.node != here) {
			q[i].code = net_wait(&m->net, f);
			q[i].refused = f->refused;
			continue;
		}
		q[i].code = move_serve(m, mine, &f->want, f->to, &q[i].err);
		q[i].refused = mine->refused;
	}
}

int move_answer(const struct move_question *q, const char *name, struct ebt_err *err)
{
	if (q->code == 0)
		return 0;
	if (q->err.code)
		return ebt_failx(err, q->code, "%s", q->err.text);
	return net_fail(&q->fetch, q->code, name, err);
}

int move_ask(struct move *m, struct move_source *mine, const struct drain_source *s,
	const struct net_wanted *w, void *to, const char *name, struct ebt_err *err)
{
	struct move_question q = {.source = *s, .want = *w, .to = to};

	move_ask_all(m, mine, &q, 1);
	return move_answer(&q, name, err);
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
		d->note.code = move_serve(t->m, s, &q->want, d->data, &err);
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
