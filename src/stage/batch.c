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
	free(b->moves);
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

/* The last @n parts become one. */
static int join_last(struct stage *st, size_t n, struct ebt_err *err)
{
	struct stage_kept *k = &st->before;
	size_t first = k->n - n;
	struct manifest *one;
	int r = manifest_unite((const struct manifest *const *)k->parts + first, n,
		store_room(st->store), &one, err);

	if (r < 0)
		return r;
	for (size_t i = first; i < k->n; i++)
		manifest_free(k->parts[i]);
	k->parts[first] = one;
	k->level[first]++;
	k->n = first + 1;
	return 0;
}

/* A copy of @m goes to the others. */
static int keep(struct stage *st, const struct manifest *m, struct ebt_err *err)
{
	struct stage_kept *k = &st->before;
	int r = manifest_unite(&m, 1, store_room(st->store), &k->parts[k->n], err);

	if (r < 0)
		return r;
	k->entries += m->count;
	k->level[k->n++] = 0;
	while (r == 0 && k->n >= STAGE_KEPT_ALIKE &&
		k->level[k->n - STAGE_KEPT_ALIKE] == k->level[k->n - 1])
		r = join_last(st, STAGE_KEPT_ALIKE, err);
	return r;
}

int stage_batch_done(struct stage *st, bool more, struct ebt_err *err)
{
	struct stage_batch *b = &st->b;
	int r;

	add_up(&st->sum, b->plan);
	st->renewed |= b->renews;
	/* What is marked of a batch is no business of the next ones, nor of the store. */
	for (uint32_t i = 0; i < b->m->count; i++)
		b->m->entries[i].marks = 0;
	if (!more && !st->before.n)
		return 0;
	for (uint32_t i = 0; i < b->m->count; i++) {
		if (manifest_needed(b->need, i))
			b->m->entries[i].marks |= MANIFEST_NEEDED;
		if (manifest_needed(b->lacks, i))
			b->m->entries[i].marks |= MANIFEST_LACKED;
	}
	st->chosen |= b->need != NULL;
	r = keep(st, b->m, err);
	stage_batch_release(b);
	return r;
}

/* What the marks of its entries say of what was needed, in bits. */
static int unmark(struct stage *st, struct ebt_err *err)
{
	struct stage_batch *b = &st->b;
	size_t words = (size_t)b->m->count / 64 + 1;

	if (st->chosen)
		b->need = calloc(words, sizeof(*b->need));
	if (st->chosen && st->o->overwrite == EBT_OVERWRITE_AUTO)
		b->lacks = calloc(words, sizeof(*b->lacks));
	if (st->chosen &&
		(!b->need || (st->o->overwrite == EBT_OVERWRITE_AUTO && !b->lacks)))
		return ebt_fail(err, -ENOMEM, "comparison");
	for (uint32_t i = 0; i < b->m->count; i++) {
		struct manifest_entry *e = &b->m->entries[i];

		if (b->need && e->marks & MANIFEST_NEEDED)
			manifest_need(b->need, i);
		if (b->lacks && e->marks & MANIFEST_LACKED)
			manifest_need(b->lacks, i);
		e->marks = 0;
		manifest_passed(b->m, i);
	}
	return 0;
}

int stage_batch_join(struct stage *st, struct ebt_err *err)
{
	struct stage_kept *k = &st->before;
	struct stage_batch *b = &st->b;
	int r = 0;

	if (!k->n)
		return 0;
	if (k->n > 1)
		r = join_last(st, k->n, err);
	if (r < 0)
		return r;
	b->m = TAKE(k->parts[0]);
	stage_kept_release(k);
	memcpy(b->m->id, st->id, sizeof(st->id));
	b->renews = st->renewed;
	return unmark(st, err);
}
