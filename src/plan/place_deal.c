/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Big files, largest first, each with as few stripes as fit: whole where a target has
 * room for it below the limit, 4 % above its share; or else in the fewest objects that
 * fit on the targets which miss most; or else, where no number of objects fits, in the
 * one that exceeds the limit least. So of 17 equal files on 16 targets 16 stay whole.
 *
 * Filling targets up that way can leave a file over which fits nowhere, and no level
 * is reached. Then the file that has the largest object on a target above the limit
 * gets twice as many stripes at least, and all are dealt again; for some rounds, and
 * last with as many stripes as the rules allow. With these every file that is large
 * enough is on all targets, and loads differ by an object of two stripes at most. A
 * later round must be better by some amount to be taken: stripes cost objects and
 * locks.
 *
 * Each round is done twice. The first time whole files go to a target of their own
 * node as long as that gets no more than its share, only then what is left over goes
 * elsewhere, and stripes go home too where they fit: then fewer bytes move. The second
 * time, where that did not come out level, the node only decides between targets that
 * are all but equally loaded.
 *
 * Cost of a round: targets for each file, targets * log targets for each split one.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "plan/place_internal.h"

#define ROUNDS 8
#define NEARBY 0.01 /* of a share: loads that differ by less count as equal */
#define GOOD   (PLACE_LEVEL - NEARBY) /* leaves room for a small file too many */

enum manner { AT_HOME, LEAST_LOADED };

struct candidate {
	double key; /* the least is best: load for its weight, with the object */
	uint32_t slot;
	bool home, early; /* early: before all that are not */
};

/* The largest object on a target that is above the limit. */
struct blame {
	uint64_t bytes;
	uint32_t file; /* PLACE_NONE: none of them can be split */
};

struct dealer {
	struct place *p;
	const struct place_input *in;
	uint32_t *order;       /* of big files: largest first */
	uint32_t *least, *top; /* stripes of each: between these */
	uint32_t *best;	       /* least of the best round */
	struct candidate *found;
	struct blame *blame; /* of each slot */
	bool *late;	     /* for which there was no place at home */
	bool *blamed;	     /* to be split finer */
	double share;	     /* of a target of weight 1 */
	enum manner manner;
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

static int by_key(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->early != y->early)
		return x->early ? -1 : 1;
	if (x->key < y->key || x->key > y->key)
		return x->key < y->key ? -1 : 1;
	if (x->home != y->home)
		return x->home ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Targets with room for one more object, and how many. */
static uint32_t find_room(struct dealer *d, const struct place_file *f, uint64_t bytes)
{
	uint32_t writer = d->p->writer_at[f->home];
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
			.key = (double)(s->load + bytes) / s->weight,
			.slot = i,
			.home = i >= from && i < to,
		};
	}
	return n;
}

/* All targets, those first that may still take most; the key is the negative of it. */
static void find_misses(struct dealer *d)
{
	for (uint32_t i = 0; i < d->p->n_slots; i++) {
		const struct place_slot *s = &d->p->slots[i];
		double limit = GOOD * d->share * s->weight;

		d->found[i] = (struct candidate){
			.key = (double)s->load - fmin(limit, (double)s->room),
			.slot = i,
		};
	}
	qsort(d->found, d->p->n_slots, sizeof(*d->found), by_key);
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
			(best == PLACE_NONE || by_key(&found[i], &found[best]) < 0))
			best = i;
	return best;
}

static void put(struct dealer *d, uint32_t k, uint32_t i, uint32_t slot)
{
	struct place *p = d->p;
	uint64_t bytes = place_object_bytes(d->in->big[k].size, &p->stripes[k], i);

	p->slots[slot].load += bytes;
	p->objects[p->first[k] + i] = p->slots[slot].target;
}

static struct place_stripes stripes_of(
	const struct dealer *d, uint32_t k, uint32_t count)
{
	const struct place_file *f = &d->in->big[k];
	struct place_stripes s = place_stripes_of(&d->in->rules, f->size, count);

	if (f->stripe_size)
		s = (struct place_stripes){f->stripe_size, count};
	return s;
}

/* Begins the objects of a file. */
static int begin(struct dealer *d, uint32_t k, const struct place_stripes *s,
	struct ebt_err *err)
{
	struct place *p = d->p;

	if (p->n_objects + s->count > p->max_objects) {
		size_t max = 2 * p->max_objects + s->count;
		uint32_t *grown = realloc(p->objects, max * sizeof(*grown));

		if (!grown)
			return ebt_fail(err, -ENOMEM, "placement of %zu objects", max);
		p->objects = grown;
		p->max_objects = max;
	}
	p->stripes[k] = *s;
	p->first[k] = p->n_objects;
	p->n_objects += s->count;
	return 0;
}

static int fail_room(const struct place_file *f, const struct place_stripes *s,
	const struct place *p, struct ebt_err *err)
{
	char a[TEXT_SIZE], id[32];

	snprintf(id, sizeof(id), "file %llu", (unsigned long long)f->id);
	return ebt_fail(err, -ENOSPC,
		"%s: %u object%s of %s do not fit on the %u usable targets",
		f->name ? f->name : id, s->count, s->count == 1 ? "" : "s",
		text_size((double)place_object_bytes(f->size, s, 0), a), p->n_slots);
}

/*
 * A slot for a whole file, PLACE_NONE if none should have it. With @home set that is
 * one at home that gets no more than its share; one that comes close to that is taken
 * later, if there is still a need.
 */
static uint32_t slot_for_whole(struct dealer *d, uint32_t k, bool home)
{
	const struct place_file *f = &d->in->big[k];
	uint32_t n = find_room(d, f, f->size), best, own;
	double near, limit = GOOD * d->share;

	best = find_best(d->found, n, false);
	own = find_best(d->found, n, true);
	if (best == PLACE_NONE)
		return PLACE_NONE;
	near = d->found[best].key + NEARBY * d->share;
	if (d->top[k] == 1)
		limit = INFINITY;
	if (d->manner == AT_HOME)
		near = fmax(near, home ? (1 + NEARBY) * d->share : GOOD * d->share);
	if (own != PLACE_NONE && d->found[own].key <= fmin(near, limit))
		best = own;
	else if (home || d->found[best].key > limit)
		return PLACE_NONE;
	return d->found[best].slot;
}

/* By how much the worst of the objects exceeds what its target may still take. */
static double excess(
	const struct candidate *found, uint64_t size, const struct place_stripes *s)
{
	uint32_t extra = (uint32_t)(size / s->size % s->count);
	/* Where objects of one size end, as do targets that take as much or more. */
	uint32_t ends[] = {extra ? extra - 1 : 0, extra, s->count - 1};
	double most = -INFINITY;

	for (int i = 0; i < 3; i++)
		most = fmax(most, (double)place_object_bytes(size, s, ends[i]) +
					  found[ends[i]].key);
	return most;
}

/* The fewest stripes that fit below the limit, or those that exceed it least. */
static struct place_stripes fewest(struct dealer *d, uint32_t k)
{
	uint64_t size = d->in->big[k].size;
	struct place_stripes best = {0};
	double least = INFINITY;

	find_misses(d);
	for (uint32_t c = d->least[k]; c <= d->top[k] && least > 0; c++) {
		struct place_stripes s = stripes_of(d, k, c);
		double over = excess(d->found, size, &s);

		if (over < least) {
			best = s;
			least = over;
		}
	}
	return best;
}

/* Targets for all objects of a file, the best of them first, as by_key says. */
static int choose(
	struct dealer *d, uint32_t k, struct place_stripes *s, struct ebt_err *err)
{
	const struct place_file *f = &d->in->big[k];
	uint32_t n = find_room(d, f, place_object_bytes(f->size, s, 0));

	/* What there is room for at all does not have to be level. */
	for (uint32_t c = d->least[k]; n < s->count;
		c = c < d->top[k] / 2 ? 2 * c : d->top[k]) {
		*s = stripes_of(d, k, c);
		n = find_room(d, f, place_object_bytes(f->size, s, 0));
		if (n < s->count && c == d->top[k])
			return fail_room(f, s, d->p, err);
	}
	for (uint32_t i = 0; i < n && d->manner == AT_HOME; i++)
		d->found[i].early =
			d->found[i].home && d->found[i].key <= GOOD * d->share;
	qsort(d->found, n, sizeof(*d->found), by_key);
	return 0;
}

static int deal_file(struct dealer *d, uint32_t k, struct ebt_err *err)
{
	bool home = d->manner == AT_HOME && !d->late[k];
	uint32_t slot = PLACE_NONE;
	struct place_stripes s;
	int r;

	if (d->least[k] == 1) {
		slot = slot_for_whole(d, k, home);
		d->late[k] = slot == PLACE_NONE && home;
		if (d->late[k])
			return 0;
	}
	s = slot == PLACE_NONE ? fewest(d, k) : stripes_of(d, k, 1);
	r = slot == PLACE_NONE ? choose(d, k, &s, err) : 0;
	if (r == 0)
		r = begin(d, k, &s, err);
	for (uint32_t i = 0; i < s.count && r == 0; i++)
		put(d, k, i, slot == PLACE_NONE ? d->found[i].slot : slot);
	return r;
}

static int deal_all(struct dealer *d, enum manner manner, struct ebt_err *err)
{
	struct place *p = d->p;
	int r = 0;

	p->n_objects = 0;
	d->manner = manner;
	memset(d->late, 0, d->in->n_big * sizeof(*d->late));
	for (uint32_t i = 0; i < p->n_slots; i++)
		p->slots[i].load = 0;
	for (uint32_t i = 0; i < d->in->n_big && r == 0; i++)
		r = deal_file(d, d->order[i], err);
	for (uint32_t i = 0; i < d->in->n_big && r == 0; i++)
		if (d->late[d->order[i]])
			r = deal_file(d, d->order[i], err);
	return r;
}

static double level_of(const struct dealer *d, const struct place_slot *s)
{
	return (double)s->load / s->weight / d->share;
}

static double most_loaded(const struct dealer *d)
{
	double most = 0;

	for (uint32_t i = 0; i < d->p->n_slots && d->share > 0; i++)
		most = fmax(most, level_of(d, &d->p->slots[i]));
	return most;
}

/* Finds the largest object that can be split on each target above the limit. */
static void find_blame(struct dealer *d)
{
	const struct place *p = d->p;

	for (uint32_t i = 0; i < p->n_slots; i++)
		d->blame[i] = (struct blame){.file = PLACE_NONE};
	for (uint32_t j = 0; j < d->in->n_big; j++) {
		uint32_t k = d->order[j];

		for (uint32_t i = 0; i < p->stripes[k].count; i++) {
			uint32_t slot = p->slot_of[p->objects[p->first[k] + i]];
			uint64_t bytes = place_object_bytes(
				d->in->big[k].size, &p->stripes[k], i);

			if (d->least[k] < d->top[k] && bytes > d->blame[slot].bytes &&
				level_of(d, &p->slots[slot]) > GOOD)
				d->blame[slot] = (struct blame){bytes, k};
		}
	}
}

/* Doubles the stripes a file has at least; false: it cannot have more. */
static bool split_file(struct dealer *d, uint32_t k)
{
	uint32_t count = d->least[k];

	d->least[k] = count < d->top[k] / 2 ? 2 * count : d->top[k];
	return d->least[k] > count;
}

/*
 * Splits the largest on targets above the limit, or all if not all were @dealt for
 * want of room: smaller objects may find some. False: nothing can be split finer.
 */
static bool split_finer(struct dealer *d, bool dealt)
{
	bool changed = false;

	memset(d->blamed, !dealt, d->in->n_big * sizeof(*d->blamed));
	if (dealt)
		find_blame(d);
	for (uint32_t i = 0; i < d->p->n_slots && dealt; i++)
		if (d->blame[i].file != PLACE_NONE)
			d->blamed[d->blame[i].file] = true;
	for (uint32_t k = 0; k < d->in->n_big; k++)
		changed |= d->blamed[k] && split_file(d, k);
	return changed;
}

/* The last that can be done; false: it has been. */
static bool split_finest(struct dealer *d)
{
	bool changed = false;

	for (uint32_t k = 0; k < d->in->n_big; k++) {
		changed |= d->least[k] < d->top[k];
		d->least[k] = d->top[k];
	}
	return changed;
}

/* Worth the stripes: by how much, or since only this one is level. */
static bool is_better(double most, double least)
{
	return most < least - NEARBY || (most <= PLACE_LEVEL && least > PLACE_LEVEL);
}

static int deal_level(struct dealer *d, struct ebt_err *err)
{
	size_t size = d->in->n_big * sizeof(*d->least);
	enum manner manner = AT_HOME;
	struct ebt_err why = {0};
	double least = INFINITY;
	bool more = true;
	int r = 0;

	for (int round = 0; more && r != -ENOMEM; round++) {
		for (enum manner m = AT_HOME; m <= LEAST_LOADED && r != -ENOMEM; m++) {
			r = deal_all(d, m, &why);
			if (r < 0)
				continue;
			if (most_loaded(d) <= GOOD)
				return 0;
			if (is_better(most_loaded(d), least)) {
				memcpy(d->best, d->least, size);
				manner = m;
				least = most_loaded(d);
			}
		}
		more = round < ROUNDS && split_finer(d, r == 0);
		if (!more && least > PLACE_LEVEL)
			more = split_finest(d);
	}
	if (r == -ENOMEM || isinf(least)) {
		if (err)
			*err = why;
		return why.code;
	}
	memcpy(d->least, d->best, size);
	return deal_all(d, manner, err);
}

/*
 * What a target of weight 1 gets where all are level, and those that have less room
 * are full.
 */
static double share_of(const struct place *p)
{
	double share = (double)p->bytes / p->weights, before = 0;

	while (share > before) {
		double bytes = (double)p->bytes, weights = 0;

		before = share;
		for (uint32_t i = 0; i < p->n_slots; i++) {
			const struct place_slot *s = &p->slots[i];

			if ((double)s->room < share * s->weight)
				bytes -= (double)s->room;
			else
				weights += s->weight;
		}
		if (weights > 0)
			share = bytes / weights;
	}
	return share;
}

static void set_counts(struct dealer *d)
{
	const struct place *p = d->p;
	double heaviest = 0;

	d->share = share_of(p);
	for (uint32_t i = 0; i < p->n_slots; i++)
		heaviest = fmax(heaviest, p->slots[i].weight);
	for (uint32_t k = 0; k < d->in->n_big; k++) {
		uint32_t stripes = d->in->big[k].stripes;

		if (stripes) {
			stripes = stripes < p->n_slots ? stripes : p->n_slots;
			d->top[k] = d->least[k] = stripes;
			continue;
		}
		d->top[k] =
			place_count_max(&d->in->rules, d->in->big[k].size, p->n_slots);
		d->least[k] = place_count_min(&d->in->rules, d->in->big[k].size,
			(uint64_t)ceil(d->share * heaviest), p->n_slots);
	}
}

int place_deal(struct place *p, const struct place_input *in, struct ebt_err *err)
{
	size_t n = (size_t)in->n_big + 1;
	SCOPED_FREE uint32_t *order = calloc(n, sizeof(*order));
	SCOPED_FREE uint32_t *counts = calloc(3 * n, sizeof(*counts));
	SCOPED_FREE struct candidate *found = calloc(p->n_slots, sizeof(*found));
	SCOPED_FREE struct blame *blame = calloc(p->n_slots, sizeof(*blame));
	SCOPED_FREE bool *flags = calloc(2 * n, sizeof(*flags));
	struct dealer d = {
		.p = p, .in = in, .order = order, .found = found, .blame = blame};

	p->stripes = calloc(n, sizeof(*p->stripes));
	p->first = calloc(n, sizeof(*p->first));
	if (!order || !counts || !found || !blame || !flags || !p->stripes || !p->first)
		return ebt_fail(err, -ENOMEM, "placement of %u files", in->n_big);
	d.least = counts;
	d.top = counts + n;
	d.best = counts + 2 * n;
	d.late = flags;
	d.blamed = flags + n;
	set_counts(&d);
	for (uint32_t k = 0; k < in->n_big; k++)
		order[k] = k;
	qsort_r(order, in->n_big, sizeof(*order), by_size, (void *)(uintptr_t)in->big);
	for (uint32_t k = 0; k < in->n_big; k++)
		p->slots[p->n_slots].load += in->big[k].size;
	return deal_level(&d, err);
}
