/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From input to placement: which targets are in use, how much each should get, who
 * writes there. Dealing the big files is place_deal.c, drawing the lines for small
 * ones place_draw.c.
 */
#include <errno.h>
#include <string.h>

#include "plan/place_internal.h"
#include "plan/plan.h"

#define RESERVE	  20	       /* 1/20 of a target's free space is left to others */
#define BYTES_MAX (1ull << 60) /* of a drain: sums of bytes and costs stay numbers */

static int by_index(const void *a, const void *b)
{
	const struct place_slot *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

/*
 * Free space weighs only where it differs, and then no more than half: a target that is
 * given less work than it could do makes all others finish later.
 */
static void weigh(struct place *p, const struct place_input *in)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint32_t i = 0; i < p->n_slots; i++) {
		uint64_t avail = in->targets[p->slots[i].target].avail;

		if (avail == UINT64_MAX)
			continue;
		least = avail < least ? avail : least;
		most = avail > most ? avail : most;
	}
	for (uint32_t i = 0; i < p->n_slots; i++) {
		const struct place_target *t = &in->targets[p->slots[i].target];
		double space = 1;

		if (t->avail != UINT64_MAX &&
			(double)least < (1 - PLACE_SPREAD) * (double)most)
			space = (double)t->avail / (double)most;
		if (space < PLACE_SPACE_FLOOR)
			space = PLACE_SPACE_FLOOR;
		p->slots[i].weight = (t->weight > 0 ? t->weight : 1) * space;
		p->weights += p->slots[i].weight;
	}
}

static int take_targets(
	struct place *p, const struct place_input *in, struct ebt_err *err)
{
	p->slots = calloc((size_t)in->n_targets + 1, sizeof(*p->slots));
	p->slot_of = calloc((size_t)in->n_targets + 1, sizeof(*p->slot_of));
	p->index = calloc((size_t)in->n_targets + 1, sizeof(*p->index));
	if (!p->slots || !p->slot_of || !p->index)
		return ebt_fail(err, -ENOMEM, "placement on %u targets", in->n_targets);
	for (uint32_t i = 0; i < in->n_targets; i++) {
		const struct place_target *t = &in->targets[i];
		uint64_t room = t->avail - t->avail / RESERVE;

		if (!(t->weight >= 0 && t->weight <= 1e6)) /* refuses NaN as well */
			return ebt_failx(err, -EINVAL, "OST %u has weight %g", t->index,
				t->weight);
		p->slot_of[i] = PLACE_NONE;
		p->index[i] = t->index;
		if (!t->usable || t->avail == 0)
			continue;
		p->slots[p->n_slots++] = (struct place_slot){
			.room = room < 4 * BYTES_MAX ? room : 4 * BYTES_MAX,
			.target = i,
			.index = t->index,
		};
	}
	if (p->n_slots == 0)
		return ebt_failx(err, -ENOSPC, "none of the %u targets is usable",
			in->n_targets);
	qsort(p->slots, p->n_slots, sizeof(*p->slots), by_index);
	for (uint32_t i = 0; i < p->n_slots; i++) {
		if (i > 0 && p->slots[i].index == p->slots[i - 1].index)
			return ebt_failx(err, -EINVAL, "OST %u is listed twice",
				p->slots[i].index);
		p->slot_of[p->slots[i].target] = i;
	}
	weigh(p, in);
	return 0;
}

/* Small files of each node, which nobody but it can look at. */
static int sum_small(const struct place_input *in, uint64_t *bytes, uint64_t *files,
	struct ebt_err *err)
{
	for (uint32_t i = 0; in->small_bytes && i < in->nodes; i++) {
		unsigned __int128 most =
			(unsigned __int128)in->small_files[i] * in->small_max;

		if (in->small_bytes[i] > most)
			return ebt_failx(err, -EINVAL,
				"node %u: %llu bytes in %llu small files of at most "
				"%llu",
				i, (unsigned long long)in->small_bytes[i],
				(unsigned long long)in->small_files[i],
				(unsigned long long)in->small_max);
		if (__builtin_add_overflow(*bytes, in->small_bytes[i], bytes) ||
			__builtin_add_overflow(*files, in->small_files[i], files) ||
			*bytes > BYTES_MAX || *files > BYTES_MAX)
			return ebt_fail(err, -EOVERFLOW, "placement of small files");
	}
	return 0;
}

static int sum_all(struct place *p, const struct place_input *in, struct ebt_err *err)
{
	uint64_t bytes = 0, files = 0;
	int r = sum_small(in, &bytes, &files, err);

	if (r < 0)
		return r;
	p->file_cost = files ? bytes / 32 / files : 0;
	if (p->file_cost > PLACE_FILE_COST)
		p->file_cost = PLACE_FILE_COST;
	if (p->file_cost == 0)
		p->file_cost = 1;
	for (uint32_t k = 0; k < in->n_big; k++) {
		if (in->big[k].home >= in->nodes)
			return ebt_failx(err, -EINVAL, "file %llu is on node %u of %u",
				(unsigned long long)in->big[k].id, in->big[k].home,
				in->nodes);
		if (__builtin_add_overflow(bytes, in->big[k].size, &bytes) ||
			bytes > BYTES_MAX)
			return ebt_fail(err, -EOVERFLOW, "placement of big files");
	}
	p->bytes = bytes;
	return 0;
}

static int take_writers(
	struct place *p, const struct place_input *in, struct ebt_err *err)
{
	p->writers = in->writers;
	if (p->writers == 0)
		p->writers = p->nodes < p->n_slots ? p->nodes : p->n_slots;
	for (uint32_t i = 0, n = 0; in->writes && i < p->nodes; i++) {
		n += in->writes[i];
		p->writers = n;
	}
	if (p->writers == 0)
		return ebt_failx(err, -EINVAL, "placement without writers");
	p->writer_node = calloc(p->writers, sizeof(*p->writer_node));
	p->writer_at = calloc(p->nodes, sizeof(*p->writer_at));
	if (!p->writer_node || !p->writer_at)
		return ebt_fail(err, -ENOMEM, "placement by %u writers", p->writers);
	for (uint32_t i = 0, w = 0; i < p->nodes; i++) {
		bool writes =
			in->writes ? in->writes[i]
				   : w < p->writers && plan_reader_node(w, p->writers,
							       p->nodes) == i;

		p->writer_at[i] = writes ? w : PLACE_NONE;
		if (writes)
			p->writer_node[w++] = i;
	}
	return 0;
}

int place_new(const struct place_input *in, struct place **out, struct ebt_err *err)
{
	SCOPED(place_freep) struct place *p = NULL;
	int r = place_rules_check(&in->rules, err);

	if (r < 0)
		return r;
	if (in->nodes == 0 || in->writers > in->nodes)
		return ebt_failx(err, -EINVAL, "placement with %u writers on %u nodes",
			in->writers, in->nodes);
	p = calloc(1, sizeof(*p));
	if (!p)
		return ebt_fail(err, -ENOMEM, "placement");
	p->nodes = in->nodes;
	p->n_targets = in->n_targets;
	r = take_targets(p, in, err);
	if (r == 0)
		r = sum_all(p, in, err);
	if (r < 0)
		return r;
	r = take_writers(p, in, err);
	if (r == 0)
		r = place_deal(p, in, err);
	if (r == 0)
		r = place_draw(p, in, err);
	if (r < 0)
		return r;
	*out = TAKE(p);
	return 0;
}

void place_free(struct place *p)
{
	if (!p)
		return;
	free(p->slots);
	free(p->slot_of);
	free(p->index);
	free(p->writer_node);
	free(p->writer_at);
	free(p->stripes);
	free(p->first);
	free(p->objects);
	free(p->keep);
	free(p->surplus);
	free(p);
}

uint32_t place_usable(const struct place *p)
{
	return p->n_slots;
}

uint32_t place_writers(const struct place *p)
{
	return p->writers;
}

uint32_t place_index(const struct place *p, uint32_t target)
{
	return p->index[target];
}

bool place_has(const struct place *p, uint32_t target)
{
	return target < p->n_targets && p->slot_of[target] != PLACE_NONE;
}

uint32_t place_next(const struct place *p, uint32_t target)
{
	return p->slots[(p->slot_of[target] + 1) % p->n_slots].target;
}

const uint32_t *place_big(
	const struct place *p, uint32_t k, struct place_stripes *stripes)
{
	*stripes = p->stripes[k];
	return p->objects + p->first[k];
}

uint32_t place_owner(const struct place *p, uint32_t target)
{
	uint32_t slot = p->slot_of[target];

	if (slot == PLACE_NONE || p->writers > p->n_slots)
		return PLACE_NONE;
	return p->writer_node[plan_reader_node(slot, p->n_slots, p->writers)];
}

uint32_t place_writer(const struct place *p, uint32_t target, uint32_t home)
{
	uint64_t slot = p->slot_of[target], w = p->writers, n = p->n_slots;
	uint64_t first, end;

	if (w <= n)
		return place_owner(p, target);
	if (p->writer_at[home] != PLACE_NONE)
		return home;
	first = (slot * w + n - 1) / n;
	end = ((slot + 1) * w + n - 1) / n;
	return p->writer_node[first + home % (end - first)];
}
