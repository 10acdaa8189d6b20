/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files are made three times over: to sum them up, to find the big ones and what
 * small ones each node has, and to write them. A queue is the time at which it is free
 * again; going through the files in turn, one of each node, and taking the later of
 * two times gives what a simulation with events would, as long as what arrives first
 * is asked for first. A late arrival can hold a queue up that an event simulation
 * would let others use: results are on the safe side.
 */
#include "plan/place_simulate.h"

#include <errno.h>
#include <math.h>

#define PIECE_MIN  (16u << 20) /* bytes of a big file that travel at once */
#define PIECES_MAX 4000000     /* and in how many pieces all big ones do at most */
#define PLACES_MAX 64 /* of a node: then it is busy, however many targets it has */
#define MIX	   0xbf58476d1ce4e5b9ull

struct sim_node {
	double read, out, in, to_pfs, ops; /* free again */
	uint64_t sent, received;
};

/* One of the places in its files at which a node works. */
struct sim_place {
	uint64_t first, next, end;
	uint64_t bytes, files; /* small ones before the next, of the whole node */
};

struct sim_target {
	double free, rate;
	uint64_t bytes;
};

struct sim {
	const struct place_machine *m;
	struct place *p;
	struct sim_node *nodes;
	struct sim_place *places; /* of node 0, of node 1, ... */
	struct sim_target *targets;
	struct place_file *big;
	uint64_t *small_bytes, *small_files;
	uint64_t most_bytes, most_files, bytes, small_max, big_min;
	uint64_t placed;	     /* bytes that are not early */
	uint64_t moved, first_files; /* of node 0 */
	uint64_t n_early;	     /* files with early bytes so far */
	uint32_t n_big, n_places;    /* n_places: of one node */
	double ops, done;	     /* metadata server free again; last byte written */
};

static void release(struct sim *s)
{
	place_free(s->p);
	free(s->nodes);
	free(s->places);
	free(s->targets);
	free(s->big);
	free(s->small_bytes);
	free(s->small_files);
}

/*
 * Where the files of a node begin; node 0 has first_files, the others share the rest.
 */
static uint64_t first_file(const struct sim *s, uint32_t node)
{
	unsigned __int128 rest = s->m->files - s->first_files;

	if (node == 0)
		return 0;
	if (s->m->nodes == 1)
		return s->m->files;
	return s->first_files + (uint64_t)(rest * (node - 1) / (s->m->nodes - 1));
}

static uint64_t size_of(const struct sim *s, uint64_t file)
{
	uint64_t x = (file + 1) * 0x9e3779b97f4a7c15ull;

	if (s->m->spread <= 1)
		return s->m->size;
	x = (x ^ x >> 30) * MIX;
	x ^= x >> 27;
	return (uint64_t)((double)s->m->size *
			  exp(log(s->m->spread) * ((double)x * 0x1p-63 - 1)));
}

/* Behind the bytes that the file system places. */
static uint64_t placed_of(const struct sim *s, uint64_t file)
{
	uint64_t size = size_of(s, file), early = s->m->early_targets ? s->m->early : 0;

	return size > early ? size - early : 0;
}

static int count(struct sim *s, struct ebt_err *err)
{
	double share = s->m->nodes - 1 + s->m->skew;

	s->first_files = (uint64_t)fmin(
		(double)s->m->files, ceil((double)s->m->files * s->m->skew / share));
	for (uint32_t i = 0; i < s->m->nodes; i++) {
		uint64_t first = first_file(s, i), end = first_file(s, i + 1), sum = 0;

		for (uint64_t f = first; f < end; f++) {
			if (__builtin_add_overflow(sum, size_of(s, f), &sum))
				return ebt_fail(err, -EOVERFLOW, "bytes of all files");
			s->placed += placed_of(s, f);
		}
		if (__builtin_add_overflow(s->bytes, sum, &s->bytes))
			return ebt_fail(err, -EOVERFLOW, "bytes of all files");
		s->most_bytes = sum > s->most_bytes ? sum : s->most_bytes;
		s->most_files =
			end - first > s->most_files ? end - first : s->most_files;
	}
	return 0;
}

/* Enters a file of node @i, in order: among the big ones or into the node's sums. */
static void enter(struct sim *s, uint32_t i, uint64_t file)
{
	uint64_t size = placed_of(s, file);

	if (size >= s->big_min) {
		s->big[s->n_big++] =
			(struct place_file){.size = size, .id = file, .home = i};
		return;
	}
	s->small_bytes[i] += size;
	s->small_files[i]++;
	s->small_max = size > s->small_max ? size : s->small_max;
}

static int sort_out(struct sim *s, struct ebt_err *err)
{
	/* No more can be as large as that. */
	uint64_t most = s->placed / s->big_min + 1;

	s->big = calloc(most < s->m->files ? most : s->m->files + 1, sizeof(*s->big));
	if (!s->big)
		return ebt_fail(err, -ENOMEM, "simulation of %llu big files",
			(unsigned long long)most);
	for (uint32_t i = 0; i < s->m->nodes; i++) {
		uint64_t f = first_file(s, i), n = first_file(s, i + 1) - f;

		for (uint32_t k = 0; k < s->n_places; k++) {
			struct sim_place *at = &s->places[(size_t)i * s->n_places + k];

			*at = (struct sim_place){f, f, f + n / (s->n_places - k),
				s->small_bytes[i], s->small_files[i]};
			n -= at->end - f;
			while (f < at->end)
				enter(s, i, f++);
		}
	}
	return 0;
}

static int make_place(struct sim *s, uint32_t writers, struct ebt_err *err)
{
	SCOPED_FREE struct place_target *t = calloc(s->m->targets, sizeof(*t));
	struct place_input in = {
		.targets = t,
		.big = s->big,
		.small_bytes = s->small_bytes,
		.small_files = s->small_files,
		.small_max = s->small_max,
		.rules = s->m->rules,
		.n_targets = s->m->targets,
		.n_big = s->n_big,
		.nodes = s->m->nodes,
		.writers = writers,
	};

	if (!t)
		return ebt_fail(
			err, -ENOMEM, "simulation of %u targets", s->m->targets);
	for (uint32_t i = 0; i < s->m->targets; i++) {
		t[i] = (struct place_target){
			.avail = UINT64_MAX, .weight = 1, .index = i, .usable = true};
		if (i == s->m->slow && s->m->slow_known)
			t[i].weight = s->m->slow_rate;
	}
	return place_new(&in, &s->p, err);
}

/*
 * The queue at @free takes something that is there at @at; returns when it is through.
 */
static double pass(double *free, double at, double seconds)
{
	*free = (*free > at ? *free : at) + seconds;
	return *free;
}

/* The operations of one file by its writer: when its bytes may be written. */
static double open_file(struct sim *s, uint32_t writer)
{
	const struct place_rates *r = &s->m->rates;

	s->ops += PLACE_FILE_OPS / r->mds;
	s->nodes[writer].ops += PLACE_FILE_OPS * r->latency / r->in_flight;
	return s->ops > s->nodes[writer].ops ? s->ops : s->nodes[writer].ops;
}

static void write_from(struct sim *s, uint32_t home, uint32_t writer, uint32_t target,
	uint64_t bytes, double opened)
{
	const struct place_rates *r = &s->m->rates;
	struct sim_node *from = &s->nodes[home], *to = &s->nodes[writer];
	struct sim_target *t = &s->targets[target];
	double b = (double)bytes, at = pass(&from->read, 0, b / r->read);

	if (writer != home) {
		at = pass(&from->out, at, b / r->link);
		at = pass(&to->in, at, b / r->link);
		from->sent += bytes;
		to->received += bytes;
		s->moved += bytes;
	}
	at = at > opened ? at : opened;
	at = pass(&to->out, at, b / r->link);
	at = pass(&to->to_pfs, at, b / r->writer);
	at = pass(&t->free, at, b / t->rate);
	to->sent += bytes;
	t->bytes += bytes;
	s->done = at > s->done ? at : s->done;
}

static void write_bytes(
	struct sim *s, uint32_t home, uint32_t target, uint64_t bytes, double opened)
{
	write_from(s, home, place_writer(s->p, target, home), target, bytes, opened);
}

/* What a file has before its placed bytes, by its lead. */
static void write_early(
	struct sim *s, uint32_t home, uint32_t lead, uint64_t file, double opened)
{
	uint64_t bytes = size_of(s, file) - placed_of(s, file);

	if (bytes)
		write_from(s, home, lead,
			s->m->targets + (uint32_t)(s->n_early++ % s->m->early_targets),
			bytes, opened);
}

/* Piece @n of an object, 0 behind its end. */
static uint64_t piece_of(uint64_t object, uint64_t piece, uint64_t n)
{
	if (n > object / piece)
		return 0;
	return object - n * piece < piece ? object - n * piece : piece;
}

/* One piece of each object of each file in turn. */
static void write_big(struct sim *s, struct place_result *res)
{
	uint64_t total = 0, piece, written = 1;

	for (uint32_t k = 0; k < s->n_big; k++)
		total += s->big[k].size;
	piece = total / PIECES_MAX > PIECE_MIN ? total / PIECES_MAX : PIECE_MIN;
	for (uint64_t n = 0; written; n++) {
		written = 0;
		for (uint32_t k = 0; k < s->n_big; k++) {
			const struct place_file *f = &s->big[k];
			struct place_stripes st;
			const uint32_t *on = place_big(s->p, k, &st);
			double at = 0;

			if (n == 0) {
				uint32_t lead = place_writer(s->p, on[0], f->home);

				at = open_file(s, lead);
				write_early(s, f->home, lead, f->id, at);
				res->objects += st.count;
			}
			for (uint32_t i = 0; i < st.count; i++) {
				uint64_t object = place_object_bytes(f->size, &st, i);
				uint64_t bytes = piece_of(object, piece, n);

				if (bytes)
					write_bytes(s, f->home, on[i], bytes, at);
				written += bytes;
			}
		}
	}
}

/* The next file of a node at one of its places. */
static void write_next(struct sim *s, uint32_t node, struct sim_place *at)
{
	uint64_t file = at->next++, size = placed_of(s, file);
	uint32_t target, lead;
	double opened;

	if (size >= s->big_min)
		return;
	target = place_small(s->p, node, at->bytes, at->files, size);
	at->bytes += size;
	at->files++;
	lead = place_writer(s->p, target, node);
	opened = open_file(s, lead);
	write_early(s, node, lead, file, opened);
	if (size)
		write_bytes(s, node, target, size, opened);
}

/*
 * In as many rounds as a place has files on average: nodes that have more do more in each.
 */
static void write_small(struct sim *s)
{
	uint64_t places = (uint64_t)s->m->nodes * s->n_places;
	uint64_t rounds = s->m->files / places + 1;

	for (uint64_t r = 1; r <= rounds; r++) {
		for (uint64_t k = 0; k < places; k++) {
			uint32_t node = (uint32_t)(k / s->n_places);
			struct sim_place *at = &s->places[k];
			unsigned __int128 n = at->end - at->first;
			uint64_t until = at->first + (uint64_t)(n * r / rounds);

			while (at->next < until)
				write_next(s, node, at);
		}
	}
}

static void report(const struct sim *s, struct place_result *res)
{
	res->bytes = s->bytes;
	res->moved = s->moved;
	res->big = s->n_big;
	res->mean_target = s->placed / s->m->targets;
	if (s->m->early_targets)
		res->mean_early = (s->bytes - s->placed) / s->m->early_targets;
	for (uint32_t i = 0; i < s->m->early_targets; i++) {
		uint64_t bytes = s->targets[s->m->targets + i].bytes;

		res->most_early = bytes > res->most_early ? bytes : res->most_early;
	}
	res->metadata = s->ops;
	for (uint32_t i = 0; i < s->m->nodes; i++) {
		const struct sim_node *n = &s->nodes[i];

		res->metadata = fmax(res->metadata, n->ops);
		if (n->received > res->most_in) {
			res->most_in = n->received;
			res->most_in_node = i;
		}
		if (n->sent > res->most_out) {
			res->most_out = n->sent;
			res->most_out_node = i;
		}
	}
	for (uint32_t i = 0; i < s->m->targets; i++) {
		if (s->targets[i].bytes > res->most_target_bytes) {
			res->most_target_bytes = s->targets[i].bytes;
			res->most_target = i;
		}
	}
	res->seconds = fmax(s->done, res->metadata);
}

static int prepare(struct sim *s, struct place_result *res, struct ebt_err *err)
{
	const struct place_machine *m = s->m;
	struct place_work w;
	int r = count(s, err);

	if (r < 0)
		return r;
	w = (struct place_work){.bytes = s->bytes,
		.files = m->files,
		.most_bytes = s->most_bytes,
		.most_files = s->most_files,
		.nodes = m->nodes,
		.targets = m->targets};
	r = place_cost(&w, &m->rates, m->writers, &res->choice, err);
	if (r < 0)
		return r;
	s->big_min = place_big_min(s->placed, m->files, m->targets);
	s->n_places = 1;
	if (s->bytes)
		s->n_places = (uint32_t)fmin(PLACES_MAX,
			ceil((double)s->most_bytes * m->targets / (double)s->bytes));
	s->nodes = calloc(m->nodes, sizeof(*s->nodes));
	s->places = calloc((size_t)m->nodes * s->n_places, sizeof(*s->places));
	s->targets = calloc((size_t)m->targets + m->early_targets, sizeof(*s->targets));
	s->small_bytes = calloc(m->nodes, sizeof(*s->small_bytes));
	s->small_files = calloc(m->nodes, sizeof(*s->small_files));
	if (!s->nodes || !s->places || !s->targets || !s->small_bytes ||
		!s->small_files)
		return ebt_fail(err, -ENOMEM, "simulation of %u nodes", m->nodes);
	for (uint32_t i = 0; i < m->targets; i++) {
		s->targets[i].rate = m->rates.ost * (i == m->slow ? m->slow_rate : 1);
		if (res->choice.is_direct)
			s->targets[i].rate *= m->rates.shared;
	}
	for (uint32_t i = 0; i < m->early_targets; i++)
		s->targets[m->targets + i].rate =
			m->early_rate > 0 ? m->early_rate : m->rates.ost;
	r = sort_out(s, err);
	return r < 0 ? r : make_place(s, res->choice.chosen.writers, err);
}

int place_simulate(
	const struct place_machine *m, struct place_result *out, struct ebt_err *err)
{
	SCOPED(release) struct sim s = {.m = m};
	struct place_result res = {0};
	int r;

	if (m->nodes == 0 || m->targets == 0 || !(m->spread >= 1 && m->spread <= 1e6) ||
		!(m->skew >= 0 && m->skew <= 1e9) || !(m->slow_rate > 0))
		return ebt_failx(err, -EINVAL,
			"simulation of %u nodes and %u targets, spread %g, skew %g, "
			"slow %g",
			m->nodes, m->targets, m->spread, m->skew, m->slow_rate);
	r = prepare(&s, &res, err);
	if (r < 0)
		return r;
	write_big(&s, &res);
	write_small(&s);
	report(&s, &res);
	*out = res;
	return 0;
}
