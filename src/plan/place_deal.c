/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Big files, largest first, each object onto the target that is least loaded for its
 * weight and has room. Largest first is off the optimum by a third at worst and by the
 * size of the last objects as a rule; where that is too much, objects get smaller:
 * stripes are made for each share, half share, quarter, ... until the load is level or
 * no file can be cut finer.
 *
 * Each of these is done twice. The first time files of one stripe go to a target of
 * their own node as long as that gets no more than its share, and only what is left
 * over goes to the least loaded: then fewer bytes move. The second time, where that
 * did not come out level, the node only decides between targets that are all but
 * equally loaded.
 *
 * Cost: objects * targets, and targets * log targets for each striped file.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "plan/place_internal.h"

#define CUTS   6    /* the finest stripe is 1/32 of a share */
#define NEARBY 0.01 /* of a share: loads that differ by less count as equal */
#define GOOD   (PLACE_LEVEL - NEARBY) /* leaves room for a small file too many */

enum manner { AT_HOME, LEAST_LOADED, MANNERS };

struct candidate {
	double after; /* load for its weight, with the object */
	uint32_t slot;
	bool home;
};

struct dealer {
	struct place *p;
	const struct place_input *in;
	uint32_t *order; /* of big files: largest first */
	struct candidate *found;
	bool *late;   /* for which there was no place at home */
	double share; /* of a target of weight 1 */
};

static int by_size(const void *a, const void *b, void *arg)
{
	const struct place_file *big = arg;
	const struct place_file *x = &big[*(const uint32_t *)a];
	const struct place_file *y = &big[*(const uint32_t *)b];

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_load(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->after < y->after || x->after > y->after)
		return x->after < y->after ? -1 : 1;
	if (x->home != y->home)
		return x->home ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Targets with room for one more object, and how many. */
static uint32_t find_room(struct dealer *d, const struct place_file *f, uint64_t bytes)
{
	uint32_t writer = place_writer_at(d->p, f->home);
	uint32_t from = PLACE_NONE, to = 0, n = 0;

	if (writer != PLACE_NONE && d->p->writers <= d->p->n_slots) {
		from = place_first_slot(d->p, writer);
		to = place_first_slot(d->p, writer + 1);
	}
	for (uint32_t i = 0; i < d->p->n_slots; i++) {
		const struct place_slot *s = &d->p->slots[i];

		if (s->room < s->load || s->room - s->load < bytes)
			continue;
		d->found[n++] = (struct candidate){
			.after = (double)(s->load + bytes) / s->weight,
			.slot = i,
			.home = i >= from && i < to,
		};
	}
	return n;
}

/*
 * The best of the @n that were found, or the best at home, PLACE_NONE if there is
 * none.
 */
static uint32_t find_best(const struct candidate *found, uint32_t n, bool home)
{
	uint32_t best = PLACE_NONE;

	for (uint32_t i = 0; i < n; i++)
		if ((found[i].home || !home) &&
			(best == PLACE_NONE || by_load(&found[i], &found[best]) < 0))
			best = i;
	return best;
}

/* Brings a target for a file of one stripe to the front; false: none at home. */
static bool choose(struct dealer *d, uint32_t n, enum manner manner)
{
	uint32_t best = find_best(d->found, n, false);
	uint32_t home = find_best(d->found, n, true);
	double most = d->found[best].after;

	if (manner == AT_HOME && most < d->share)
		most = d->share;
	if (home != PLACE_NONE && d->found[home].after <= most + NEARBY * d->share)
		best = home;
	else if (manner == AT_HOME)
		return false;
	d->found[0] = d->found[best];
	return true;
}

static int fail_room(const struct place_file *f, const struct place_stripes *s,
	uint64_t bytes, const struct place *p, struct ebt_err *err)
{
	char a[TEXT_SIZE], id[32];

	snprintf(id, sizeof(id), "file %llu", (unsigned long long)f->id);
	return ebt_fail(err, -ENOSPC,
		"%s: %u object%s of %s do not fit on the %u usable targets",
		f->name ? f->name : id, s->count, s->count == 1 ? "" : "s",
		text_size((double)bytes, a), p->n_slots);
}

static int deal_file(
	struct dealer *d, uint32_t k, enum manner manner, struct ebt_err *err)
{
	const struct place_file *f = &d->in->big[k];
	const struct place_stripes *s = &d->p->stripes[k];
	uint64_t largest = place_object_bytes(f->size, s, 0);
	uint32_t n = find_room(d, f, largest);

	if (n < s->count)
		return fail_room(f, s, largest, d->p, err);
	d->late[k] = s->count == 1 && !choose(d, n, manner);
	if (d->late[k])
		return 0;
	if (s->count > 1)
		qsort(d->found, n, sizeof(*d->found), by_load);
	for (uint32_t i = 0; i < s->count; i++) {
		struct place_slot *slot = &d->p->slots[d->found[i].slot];

		slot->load += place_object_bytes(f->size, s, i);
		d->p->objects[d->p->first[k] + i] = slot->target;
	}
	return 0;
}

/* All files, with a stripe for each @unit bytes. */
static int deal_all(
	struct dealer *d, uint64_t unit, enum manner manner, struct ebt_err *err)
{
	struct place *p = d->p;
	size_t objects = 0;
	int r = 0;

	for (uint32_t k = 0; k < d->in->n_big; k++) {
		p->stripes[k] = place_stripes_by(
			&d->in->rules, d->in->big[k].size, unit, p->n_slots);
		p->first[k] = objects;
		objects += p->stripes[k].count;
	}
	p->first[d->in->n_big] = objects;
	free(p->objects);
	p->objects = calloc(objects ? objects : 1, sizeof(*p->objects));
	if (!p->objects)
		return ebt_fail(err, -ENOMEM, "placement of %zu objects", objects);
	for (uint32_t i = 0; i < p->n_slots; i++)
		p->slots[i].load = 0;
	for (uint32_t i = 0; i < d->in->n_big && r == 0; i++)
		r = deal_file(d, d->order[i], manner, err);
	for (uint32_t i = 0; i < d->in->n_big && r == 0; i++)
		if (d->late[d->order[i]])
			r = deal_file(d, d->order[i], LEAST_LOADED, err);
	return r;
}

static double most_loaded(const struct dealer *d)
{
	double most = 0;

	for (uint32_t i = 0; i < d->p->n_slots; i++) {
		const struct place_slot *s = &d->p->slots[i];

		if ((double)s->load / s->weight > most)
			most = (double)s->load / s->weight;
	}
	return most;
}

static int deal_level(struct dealer *d, struct ebt_err *err)
{
	uint64_t share = d->p->bytes / d->p->n_slots + 1;
	int tries = MANNERS * (d->in->rules.stripe_count ? 1 : CUTS), best = -1, r = 0;
	struct ebt_err why = {0};
	double most, least = 0;

	for (int i = 0; i < tries && r != -ENOMEM; i++) {
		r = deal_all(d, share >> i / MANNERS, i % MANNERS, &why);
		if (r < 0) /* smaller objects may still find room */
			continue;
		most = most_loaded(d);
		if (most <= GOOD * d->share)
			return 0;
		if (best < 0 || most < least) {
			best = i;
			least = most;
		}
	}
	if (best >= 0 && r != -ENOMEM)
		return deal_all(d, share >> best / MANNERS, best % MANNERS, err);
	if (err)
		*err = why;
	return why.code;
}

int place_deal(struct place *p, const struct place_input *in, struct ebt_err *err)
{
	SCOPED_FREE uint32_t *order = calloc((size_t)in->n_big + 1, sizeof(*order));
	SCOPED_FREE struct candidate *found = calloc(p->n_slots, sizeof(*found));
	SCOPED_FREE bool *late = calloc((size_t)in->n_big + 1, sizeof(*late));
	struct dealer d = {
		.p = p, .in = in, .order = order, .found = found, .late = late};

	p->stripes = calloc((size_t)in->n_big + 1, sizeof(*p->stripes));
	p->first = calloc((size_t)in->n_big + 1, sizeof(*p->first));
	if (!order || !found || !late || !p->stripes || !p->first)
		return ebt_fail(err, -ENOMEM, "placement of %u files", in->n_big);
	d.share = (double)p->bytes / p->weights;
	for (uint32_t k = 0; k < in->n_big; k++)
		order[k] = k;
	qsort_r(order, in->n_big, sizeof(*order), by_size, (void *)(uintptr_t)in->big);
	for (uint32_t k = 0; k < in->n_big; k++)
		p->slots[p->n_slots].load += in->big[k].size;
	return deal_level(&d, err);
}
