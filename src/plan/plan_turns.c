/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In which order a reader takes its parcels. Along its segments alone, files of one stripe
 * would keep one of its OSTs busy at a time. So there is a lane for each OST, and one for
 * what lies on none; in a lane parcels keep their order, and the lanes take turns.
 *
 * A file is open from its first parcel to its last, here and on every node that writes it.
 * A lane that comes to another file while as many as allowed are open lets the others go
 * first. It may be that all have to wait, since the open files go on behind other ones in
 * their lanes: then the first of those waiting is opened all the same.
 *
 * Cost: parcels times lanes at worst.
 */
#include "plan/plan_internal.h"

struct lane {
	uint64_t next, end; /* into queue[] */
};

struct turns {
	const struct plan_stream *s;
	struct lane *lanes; /* those that are not empty */
	uint32_t n_lanes;
	uint64_t *queue; /* numbers of parcels, lane by lane */
	uint32_t *file;	 /* of each parcel, numbered as they come */
	uint64_t *left;	 /* of each file, parcels to come */
	bool *open;	 /* of each file */
	uint32_t n_open, files;
};

static void release(struct turns *t)
{
	free(t->lanes);
	free(t->queue);
	free(t->file);
	free(t->left);
	free(t->open);
}

/* A parcel belongs to the file that it begins with. */
static void number_files(struct turns *t)
{
	uint32_t entry = MANIFEST_NONE, n = 0;

	for (uint64_t k = 0; k < t->s->n_parcels; k++) {
		uint32_t here = t->s->segments[t->s->parcels[k].segment].entry;

		n += k > 0 && here != entry;
		entry = here;
		t->file[k] = n;
		t->left[n]++;
	}
}

static void fill_lanes(struct turns *t, const uint32_t *lanes, uint32_t n_lanes)
{
	uint64_t at = 0;

	for (uint64_t k = 0; k < t->s->n_parcels; k++)
		t->lanes[lanes[k]].end++;
	for (uint32_t i = 0; i < n_lanes; i++) {
		t->lanes[i].next = at;
		at += t->lanes[i].end;
		t->lanes[i].end = t->lanes[i].next;
	}
	for (uint64_t k = 0; k < t->s->n_parcels; k++)
		t->queue[t->lanes[lanes[k]].end++] = k;
	for (uint32_t i = 0; i < n_lanes; i++) {
		if (t->lanes[i].next < t->lanes[i].end)
			t->lanes[t->n_lanes++] = t->lanes[i];
	}
}

static bool may_go(const struct turns *t, const struct lane *l)
{
	uint32_t file = t->file[t->queue[l->next]];

	return t->open[file] || t->left[file] == 1 || t->n_open < t->files;
}

/* The next parcel of the lane. */
static uint64_t take(struct turns *t, struct lane *l)
{
	uint64_t k = t->queue[l->next++];
	uint32_t file = t->file[k];

	t->n_open -= t->open[file];
	t->open[file] = --t->left[file] > 0;
	t->n_open += t->open[file];
	return k;
}

/* One turn of all lanes; those that have come to their end leave. */
static uint64_t go_round(struct turns *t, struct plan_parcel *out)
{
	const struct plan_parcel *in = t->s->parcels;
	struct lane *first = &t->lanes[0];
	uint32_t kept = 0;
	uint64_t n = 0;

	for (uint32_t i = 0; i < t->n_lanes; i++) {
		struct lane *l = &t->lanes[i];

		if (may_go(t, l))
			out[n++] = in[take(t, l)];
		else if (t->queue[l->next] < t->queue[first->next])
			first = l;
	}
	if (n == 0)
		out[n++] = in[take(t, first)];
	for (uint32_t i = 0; i < t->n_lanes; i++) {
		if (t->lanes[i].next < t->lanes[i].end)
			t->lanes[kept++] = t->lanes[i];
	}
	t->n_lanes = kept;
	return n;
}

int plan_turns(struct plan_stream *s, const uint32_t *lanes, uint32_t n_lanes,
	uint32_t files, struct ebt_err *err)
{
	SCOPED(release) struct turns t = {.s = s, .files = files};
	SCOPED_FREE struct plan_parcel *out = NULL;
	uint64_t n = s->n_parcels;

	if (n == 0)
		return 0;
	t.lanes = calloc(n_lanes, sizeof(*t.lanes));
	t.queue = reallocarray(NULL, n, sizeof(*t.queue));
	t.file = reallocarray(NULL, n, sizeof(*t.file));
	t.left = calloc(n, sizeof(*t.left));
	t.open = calloc(n, sizeof(*t.open));
	out = reallocarray(NULL, n, sizeof(*out));
	if (!t.lanes || !t.queue || !t.file || !t.left || !t.open || !out)
		return ebt_fail(
			err, -ENOMEM, "order of %llu parcels", (unsigned long long)n);
	number_files(&t);
	fill_lanes(&t, lanes, n_lanes);
	for (uint64_t done = 0; done < n;)
		done += go_round(&t, out + done);
	free(s->parcels);
	s->parcels = TAKE(out);
	return 0;
}
