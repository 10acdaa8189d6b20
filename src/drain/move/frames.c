/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An archive in compressed form. The tar stream is cut into pieces; the node that has most of one
 * makes a frame of it, or one that has less to do. Rounds: frames are made, so that their lengths are
 * known; the file goes on with them, as with pieces of any file, in whole objects by those who own the
 * targets; and while they are written the next round is made. The seek table is the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/frames.h"
#include "drain/move/lead.h"
#include "fsio/fsio.h"

#define ROUND  256 /* frames, at most */
#define NAP_NS 10000000

struct round {
	uint32_t first, n; /* frames of the archive */
	struct lead_hand *hands;
	struct move_result *got;
	uint32_t *node;
};

struct framing {
	struct lead *c;
	struct frames f;       /* those that are written */
	uint32_t total, share; /* frames; that a node makes in a round */
	uint64_t *bytes;       /* of each node, of the piece at hand */
	uint32_t *load;	       /* of each node: frames in the round at hand */
	uint32_t spare;
	struct round rounds[2];
};

static void framing_release(struct framing *x)
{
	for (int i = 0; i < 2; i++) {
		free(x->rounds[i].hands);
		free(x->rounds[i].got);
		free(x->rounds[i].node);
	}
	frames_release(&x->f);
	free(x->bytes);
	free(x->load);
}

static int framing_open(struct framing *x, struct lead *c, struct ebt_err *err)
{
	size_t nodes = (size_t)c->m->d->job.n_nodes;
	uint64_t n = (c->t->e.size + c->m->frame - 1) / c->m->frame;

	*x = (struct framing){.c = c, .total = (uint32_t)n, .f = c->frames};
	c->frames = (struct frames){0};
	if (n > FRAMES_MAX)
		return ebt_failx(err, -EOVERFLOW,
			"%s: more than %u frames (see --memory)", c->t->e.name,
			FRAMES_MAX);
	x->share = c->m->n_frames > 1 ? c->m->n_frames / 2 : 1;
	x->bytes = calloc(nodes, sizeof(*x->bytes));
	x->load = calloc(nodes, sizeof(*x->load));
	for (int i = 0; i < 2; i++) {
		x->rounds[i].hands = calloc(ROUND, sizeof(struct lead_hand));
		x->rounds[i].got = calloc(ROUND, sizeof(struct move_result));
		x->rounds[i].node = calloc(ROUND, sizeof(uint32_t));
		if (!x->rounds[i].hands || !x->rounds[i].got || !x->rounds[i].node)
			return ebt_fail(err, -ENOMEM, "frames");
	}
	return x->bytes && x->load ? 0 : ebt_fail(err, -ENOMEM, "frames");
}

/* That has most of [start, end), if it has not enough to do already. */
static uint32_t choose_node(struct framing *x, uint64_t start, uint64_t end)
{
	const struct drain_task *t = x->c->t;
	uint32_t nodes = (uint32_t)x->c->m->d->job.n_nodes, best = t->sources[0].node;
	uint32_t first = move_first_piece(t, start), i;

	for (i = first; i < t->n_pieces && t->pieces[i].off < end; i++) {
		const struct drain_piece *p = &t->pieces[i];
		uint64_t a = p->off > start ? p->off : start;
		uint64_t b = p->off + p->len < end ? p->off + p->len : end;
		uint32_t node = t->sources[p->source].node;

		x->bytes[node] += b - a;
		if (x->bytes[node] > x->bytes[best])
			best = node;
	}
	while (i-- > first)
		x->bytes[t->sources[t->pieces[i].source].node] = 0;
	for (uint32_t k = 0; k < nodes && x->load[best] >= x->share; k++)
		best = x->spare++ % nodes;
	x->load[best]++;
	return best;
}

static void start_round(struct framing *x, struct round *r, uint32_t first)
{
	struct lead *c = x->c;
	uint64_t all = (uint64_t)c->m->d->job.n_nodes * x->share;

	memset(r->hands, 0, ROUND * sizeof(*r->hands));
	memset(x->load, 0, (size_t)c->m->d->job.n_nodes * sizeof(*x->load));
	r->first = first;
	for (r->n = 0; r->n < ROUND && r->n < all && first + r->n < x->total; r->n++) {
		struct move_object o = {.t = c->t,
			.fd = -1,
			.start = (uint64_t)(first + r->n) * c->m->frame,
			.stripe_count = 1,
			.target = PLACE_NONE,
			.frame = true};

		o.end = o.start + c->m->frame;
		if (o.end > c->t->e.size)
			o.end = c->t->e.size;
		r->node[r->n] = choose_node(x, o.start, o.end);
		if (lead_hand_out(c, &o, (int)r->node[r->n], &r->hands[r->n]) < 0)
			break;
	}
}

/* Frames that are there, from the first one on; *res, if one failed for good. */
static uint32_t finish_round(
	struct framing *x, struct round *r, struct move_result *res)
{
	uint32_t there = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		lead_take_back(x->c, &r->hands[i], &r->got[i]);
		there += there == i && r->got[i].code == 0;
		if (r->got[i].code < 0 && r->got[i].code != -EBUSY && res->code == 0)
			*res = r->got[i];
	}
	if (!r->n && r->first < x->total && res->code == 0)
		res->code = drain_fail(
			x->c->m->d, x->c->t->e.name, -ENOMEM, "frames", &res->err);
	return there;
}

/* Slots from frame @from of the round on are free again. */
static void drop(struct framing *x, struct round *r, uint32_t from, uint32_t to)
{
	struct move *m = x->c->m;
	SCOPED_FREE struct move_question *q =
		calloc((size_t)(to - from) + 1, sizeof(*q));
	uint32_t n = 0;

	for (uint32_t i = from; q && i < to; i++) {
		if (r->got[i].code < 0)
			continue;
		q[n].source = (struct drain_source){.node = r->node[i],
			.entry = r->got[i].slot,
			.of = DRAIN_OF_FRAME};
		q[n++].want.what = NET_DROP;
	}
	/* Without memory to ask all at once one by one. */
	if (q) {
		move_ask_all(m, &x->c->l->source, q, n);
		return;
	}
	for (uint32_t i = from; i < to; i++) {
		struct move_question one = {.source = {.node = r->node[i],
						    .entry = r->got[i].slot,
						    .of = DRAIN_OF_FRAME},
			.want.what = NET_DROP};

		if (r->got[i].code == 0)
			move_ask_all(m, &x->c->l->source, &one, 1);
	}
}

/* The first @n frames of the round, behind what the file has. */
static void write_round(struct framing *x, const struct round *r, uint32_t n,
	bool can_move, struct move_result *res)
{
	SCOPED_FREE struct drain_source *sources = calloc(n, sizeof(*sources));
	SCOPED_FREE struct drain_piece *pieces = calloc(n, sizeof(*pieces));
	SCOPED_FREE struct ebt_digest *digests = calloc(n, sizeof(*digests));
	uint32_t first = x->f.n;
	struct lead *c = x->c;
	struct drain_task t = *c->t;
	uint64_t plain;
	int code = sources && pieces && digests
			   ? 0
			   : ebt_fail(&res->err, -ENOMEM, "frames");

	for (uint32_t i = 0; i < n && code == 0; i++) {
		sources[i] = (struct drain_source){.node = r->node[i],
			.entry = r->got[i].slot,
			.of = DRAIN_OF_FRAME};
		pieces[i] = (struct drain_piece){.off = frames_end(&x->f).packed,
			.len = r->got[i].packed,
			.source = i};
		digests[i] = r->got[i].digest;
		c->noted &= !r->got[i].gaps;
		plain = c->t->e.size - frames_end(&x->f).plain;
		code = frames_add(&x->f, r->got[i].packed,
			(uint32_t)(plain < c->m->frame ? plain : c->m->frame),
			&res->err);
	}
	res->code = code;
	if (code < 0)
		return;
	t.sources = sources;
	t.n_sources = n;
	t.pieces = pieces;
	t.n_pieces = n;
	t.e.size = frames_end(&x->f).packed;
	lead_write(c, &t, can_move, res);
	if (res->code == 0)
		lead_note_frames(c, &x->f, first, digests);
}

static int write_table(struct framing *x, struct move_result *res)
{
	SCOPED_BUF struct buf table = {0};
	uint64_t end = frames_end(&x->f).packed;
	struct lead *c = x->c;
	int r = frames_put_table(&x->f, &table, &res->err);

	if (r < 0)
		return r;
	r = fsio_write(c->fd, table.data, table.len, end);
	if (r < 0)
		return drain_fail(c->m->d, c->t->e.name, r, "write", &res->err);
	lead_set_size(c, end + table.len, res);
	if (res->code == 0 && (r = lead_sync(c)) < 0)
		return drain_fail(c->m->d, c->t->e.name, r, "sync", &res->err);
	c->packed = end + table.len;
	return res->code;
}

/* All of it; the round that is under way when something fails has to come back too. */
static void run(struct framing *x, bool can_move, struct move_result *res)
{
	struct round *now = &x->rounds[0], *next = &x->rounds[1], *other;
	struct lead *c = x->c;
	uint64_t bytes = 0;
	uint32_t there;

	if (x->f.n < x->total)
		start_round(x, now, x->f.n);
	while (x->f.n < x->total && res->code == 0) {
		there = finish_round(x, now, res);
		/* What is behind one that is missing would wait for it, in memory that others need. */
		drop(x, now, there, now->n);
		if (res->code < 0 || (!there && move_stopped(c->m))) {
			drop(x, now, 0, there);
			break;
		}
		if (!there) {
			nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
			start_round(x, now, x->f.n);
			continue;
		}
		next->n = 0;
		if (now->first + there < x->total)
			start_round(x, next, now->first + there);
		write_round(x, now, there, can_move, res);
		bytes += res->bytes;
		drop(x, now, 0, there);
		if (res->code < 0 && next->n) {
			struct move_result ignored = {0};

			finish_round(x, next, &ignored);
			drop(x, next, 0, next->n);
		}
		other = now;
		now = next;
		next = other;
	}
	if (res->code == 0 && x->f.n < x->total) {
		res->side = MOVE_NOBODY;
		res->code = ebt_failx(&res->err, -ECANCELED, "stopped");
	}
	res->bytes = bytes;
}

void lead_write_frames(struct lead *c, bool can_move, struct move_result *res)
{
	SCOPED(framing_release) struct framing x = {0};
	int r = framing_open(&x, c, &res->err);

	c->packed = 0;
	if (r == 0) {
		run(&x, can_move, res);
		r = res->code;
	}
	if (r == 0) {
		res->side = MOVE_TARGET;
		r = write_table(&x, res);
	}
	res->code = r;
}
