/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of compressed archives that this node makes. Each stays in memory until its lead knows
 * where it goes and the nodes that write there have fetched it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/frames.h"
#include "drain/move/move.h"
#include "drain/pack/pack.h"

#define FRAMES	  16	     /* on a node, at most */
#define PIECE_MIN (1u << 20) /* bytes of content */

void move_frames_close(struct move *m)
{
	for (uint32_t i = 0; i < m->n_frames; i++) {
		free(m->frames[i].plain);
		free(m->frames[i].packed);
		frame_packer_free(m->frames[i].packer);
	}
	free(m->frames);
}

int move_frames_open(struct move *m, struct ebt_err *err)
{
	uint64_t memory = (m->d->o->memory ? m->d->o->memory : EBT_DRAIN_MEMORY) / 2;
	uint32_t n;
	int r = 0;

	if (!pack_compresses(m->d))
		return 0;
	/* Alike on all nodes, as the options are. */
	for (m->frame = FRAMES_PIECE; m->frame > PIECE_MIN; m->frame /= 2) {
		if (4 * (uint64_t)m->frame <= memory)
			break;
	}
	n = (uint32_t)(memory / (m->frame + frame_room(m->frame)));
	n = n < 1 ? 1 : n > FRAMES ? FRAMES : n;
	m->frames = calloc(n, sizeof(*m->frames));
	if (!m->frames)
		return ebt_fail(err, -ENOMEM, "frames");
	for (; m->n_frames < n && r == 0; m->n_frames++) {
		struct move_frame *f = &m->frames[m->n_frames];

		f->plain = malloc(m->frame);
		f->packed = malloc(frame_room(m->frame));
		r = f->plain && f->packed
			    ? frame_packer_new(PACK_LEVEL, &f->packer, err)
			    : ebt_fail(err, -ENOMEM, "frames (see --memory)");
	}
	return r;
}

struct move_frame *move_frame_take(struct move *m)
{
	SCOPED_LOCK(&m->lock);

	for (uint32_t i = 0; i < m->n_frames; i++) {
		if (!m->frames[i].used) {
			m->frames[i].used = true;
			return &m->frames[i];
		}
	}
	return NULL;
}

void move_frame_drop(struct move *m, struct move_frame *f)
{
	SCOPED_LOCK(&m->lock);

	f->used = false;
}

int move_serve_frame(
	struct move *m, const struct net_wanted *w, void *to, struct ebt_err *err)
{
	struct move_frame *f = w->entry < m->n_frames ? &m->frames[w->entry] : NULL;

	if (f && w->what == NET_DROP) {
		move_frame_drop(m, f);
		return 0;
	}
	if (!f || w->what != NET_READ || w->off > f->len || w->len > f->len - w->off)
		return ebt_failx(err, -EPROTO, "bytes of a frame that it has not");
	memcpy(to, f->packed + w->off, w->len);
	return 0;
}
