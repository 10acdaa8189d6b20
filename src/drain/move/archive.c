/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An archive whose content is written. Its members are asked for once more; the headers of those
 * that are not what was scanned are made again, for the names that tell so, and written over the
 * first ones. Then it may have its name.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "drain/move/lead.h"
#include "fsio/fsio.h"

#define MENDED 256 /* headers that are asked for at a time */

/* Byte of the archive where byte @from of source @i is; UINT64_MAX: nowhere. */
static uint64_t place_of(const struct drain_task *t, uint32_t i, uint64_t from)
{
	for (uint32_t k = 0; k < t->n_pieces; k++) {
		const struct drain_piece *p = &t->pieces[k];

		if (p->source == i && from >= p->from && from - p->from < p->len)
			return p->off + (from - p->from);
	}
	return UINT64_MAX;
}

/*
 * Files that members are joined of, and that changed or cannot be read: those members are torn, or
 * lost. Their pieces come right behind the one of a part that their header is in.
 */
static void tear(struct lead *c, const enum net_refused *changed)
{
	const struct drain_task *t = c->t;
	uint32_t part = UINT32_MAX;
	uint64_t end = 0;

	for (uint32_t k = 0; k < t->n_pieces; k++) {
		const struct drain_piece *p = &t->pieces[k];
		struct net_wanted w = {
			.what = changed[p->source] == NET_ODD ? NET_LOSE : NET_TEAR};

		if (t->sources[p->source].of == DRAIN_OF_PART) {
			part = p->source;
			end = p->from + p->len;
		}
		if (!changed[p->source] || part == UINT32_MAX || !end)
			continue;
		/* It cannot fail: what is torn there is asked for next. */
		w.off = end - 1;
		move_ask(c->m, &c->l->source, &t->sources[part], &w, NULL, "", NULL);
	}
}

/* All parts are asked at once; what is wrong with them is summed up. */
static int check_parts(
	struct lead *c, struct net_checked *sum, uint64_t *mended, struct ebt_err *err)
{
	const struct drain_task *t = c->t;
	SCOPED_FREE struct move_question *q = calloc(t->n_sources, sizeof(*q));
	SCOPED_FREE struct net_checked *got = calloc(t->n_sources, sizeof(*got));
	char name[DRAIN_PATH];
	uint32_t n = 0;
	int r = q && got ? 0 : drain_fail(c->m->d, t->e.name, -ENOMEM, "members", err);

	*sum = (struct net_checked){0};
	if (r < 0)
		return r;
	/* They are the first of its sources. */
	for (; n < t->n_sources && t->sources[n].of == DRAIN_OF_PART; n++) {
		q[n].source = t->sources[n];
		q[n].want.what = NET_CHECK;
		q[n].want.len = sizeof(*got);
		q[n].to = &got[n];
	}
	move_ask_all(c->m, &c->l->source, q, n);
	drain_path(c->m->d, t->e.name, name);
	for (uint32_t i = 0; i < n; i++) {
		if (r == 0)
			r = move_answer(&q[i], name, err);
		sum->mended += got[i].mended;
		sum->stale += got[i].stale;
		sum->unsteady += got[i].unsteady;
		if (mended)
			mended[i] = got[i].mended;
	}
	return r;
}

bool lead_is_steady(struct lead *c)
{
	struct net_checked sum;

	return check_parts(c, &sum, NULL, NULL) == 0 && !sum.mended && !sum.stale;
}

/* The header of [off, off + len) of part @i, as it is now. */
static int write_header(
	struct lead *c, uint32_t i, const struct net_mended *h, struct ebt_err *err)
{
	struct move *m = c->m;
	uint64_t to = place_of(c->t, i, h->off);
	void *there = c->l->block[0], *back = c->l->block[1];
	uint32_t len;
	int r = 0;

	if (to == UINT64_MAX)
		return ebt_failx(
			err, -EPROTO, "%s: a header that is nowhere", c->t->e.name);
	for (uint64_t at = 0; at < h->len && r == 0; at += len) {
		struct net_wanted w = {.off = h->off + at};

		len = h->len - at < m->block ? (uint32_t)(h->len - at) : m->block;
		w.len = len;
		r = move_ask(m, &c->l->source, &c->t->sources[i], &w, there,
			c->t->e.name, err);
		if (r < 0)
			return r;
		r = fsio_write(c->fd, there, len, to + at);
		if (r == 0 && m->d->o->verify &&
			(fsio_read(c->fd, back, len, to + at) != (ssize_t)len ||
				memcmp(back, there, len) != 0))
			r = -EBADMSG;
		if (r < 0)
			return drain_fail(m->d, c->t->e.name, r, "write", err);
	}
	return r;
}

static int write_headers(struct lead *c, uint32_t i, uint64_t n, struct ebt_err *err)
{
	struct net_mended h[MENDED];
	struct net_wanted w = {.what = NET_MENDED, .len = sizeof(h)};
	int r = 0;

	for (w.off = 0; w.off < n && r == 0; w.off += MENDED) {
		r = move_ask(c->m, &c->l->source, &c->t->sources[i], &w, h,
			c->t->e.name, err);
		for (int k = 0; k < MENDED && r == 0 && h[k].len; k++)
			r = write_header(c, i, &h[k], err);
	}
	return r;
}

/*
 * A header in a frame cannot be written anew. What was known to be torn before the archive was written
 * has the right one; if that is not all of them it is written once more.
 */
static int check_frames(struct lead *c, uint64_t mended, struct move_result *res)
{
	char shown[DRAIN_PATH];

	if (mended == c->mended)
		return 0;
	c->mended = mended;
	res->side = MOVE_AGAIN;
	return ebt_failx(&res->err, -EAGAIN, "%s: its members go on changing",
		drain_path(c->m->d, c->t->e.name, shown));
}

int lead_check_archive(struct lead *c, struct move_result *res)
{
	const struct drain_task *t = c->t;
	SCOPED_FREE uint64_t *mended = calloc(t->n_sources, sizeof(*mended));
	SCOPED_FREE enum net_refused *changed = calloc(t->n_sources, sizeof(*changed));
	char shown[DRAIN_PATH];
	struct net_checked sum;
	enum net_refused how;
	int r;

	if (!mended || !changed)
		return drain_fail(c->m->d, t->e.name, -ENOMEM, "members", &res->err);
	if (lead_check_sources(c, &how, changed, NULL) < 0)
		tear(c, changed);
	r = check_parts(c, &sum, mended, &res->err);
	if (r < 0 || !(sum.mended + sum.stale))
		return r;
	if (c->m->d->pass.turn != DRAIN_LAST &&
		(sum.unsteady || c->m->d->pass.turn == DRAIN_ONCE)) {
		res->side = MOVE_UNSTEADY;
		return ebt_failx(&res->err, -ESTALE,
			"%s: %llu members changed while they were read, or could not "
			"be",
			drain_path(c->m->d, t->e.name, shown),
			(unsigned long long)(sum.mended + sum.stale));
	}
	c->taken = MOVE_HOLED;
	if (c->packed)
		return check_frames(c, sum.mended, res);
	res->side = MOVE_TARGET;
	for (uint32_t i = 0; i < t->n_sources && r == 0; i++) {
		if (mended[i])
			r = write_headers(c, i, mended[i], &res->err);
	}
	if (r == 0 && fsync(c->fd) < 0)
		r = drain_fail(c->m->d, t->e.name, -errno, "sync", &res->err);
	return r;
}
