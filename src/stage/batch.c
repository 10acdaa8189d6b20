/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From batches to a run: each one leaves its entries behind, with digests and with what was needed
 * of them. A run of one batch has nothing to join.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stage/stage_internal.h"

void stage_batch_release(struct stage_batch *b)
{
	plan_free(b->plan);
	ahead_free(b->ahead);
	stage_layouts_release(&b->layouts);
	free(b->need);
	free(b->lacks);
	manifest_free(b->m);
	*b = (struct stage_batch){0};
}

static void add_up(struct stage_sum *s, const struct plan *p)
{
	s->bytes += p->bytes;
	s->parcels += p->n_parcels;
	s->predicted += p->predicted;
	s->bound += p->bound;
	if (p->n_streams > s->readers)
		s->readers = p->n_streams;
	if (!s->parcel || p->bytes > s->largest) {
		s->largest = p->bytes;
		s->algo = p->algo;
		s->parcel = p->parcel;
	}
}

int stage_batch_done(struct stage *st, bool more, struct ebt_err *err)
{
	struct stage_batch *b = &st->b;
	int r;

	add_up(&st->sum, b->plan);
	st->renewed |= b->renews;
	if (!more && !st->before)
		return 0;
	r = st->before ? 0 : manifest_new(&st->before, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < b->m->count; i++) {
		if (manifest_needed(b->need, i))
			b->m->entries[i].marks |= MANIFEST_NEEDED;
		if (manifest_needed(b->lacks, i))
			b->m->entries[i].marks |= MANIFEST_LACKED;
	}
	st->chosen |= b->need != NULL;
	st->before->times = b->m->times;
	r = manifest_append(st->before, b->m, err);
	stage_batch_release(b);
	return r;
}

static int choose(
	struct stage_batch *b, uint64_t **out, unsigned mark, struct ebt_err *err)
{
	uint64_t *chosen = calloc((size_t)b->m->count / 64 + 1, sizeof(*chosen));

	if (!chosen)
		return ebt_fail(err, -ENOMEM, "comparison");
	for (uint32_t i = 0; i < b->m->count; i++) {
		if (b->m->entries[i].marks & mark)
			manifest_need(chosen, i);
	}
	*out = chosen;
	return 0;
}

int stage_batch_join(struct stage *st, struct ebt_err *err)
{
	struct stage_batch *b = &st->b;
	int r;

	if (!st->before)
		return 0;
	r = manifest_arrange(st->before, err);
	if (r < 0)
		return r;
	b->m = TAKE(st->before);
	memcpy(b->m->id, st->id, sizeof(st->id));
	b->renews = st->renewed;
	if (st->chosen)
		r = choose(b, &b->need, MANIFEST_NEEDED, err);
	if (r == 0 && st->chosen && st->o->overwrite == EBT_OVERWRITE_AUTO)
		r = choose(b, &b->lacks, MANIFEST_LACKED, err);
	for (uint32_t i = 0; i < b->m->count; i++)
		b->m->entries[i].marks = 0;
	return r;
}
