/* SPDX-License-Identifier: BSD-3-Clause */
/* Compression on the wire: what the user wants of it, what memory it has, whose the processors are. */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <string.h>

#include "base/digest.h"
#include "fsio/fsio.h"
#include "stage/stage_internal.h"
#include "stream/tune.h"
#include "transport/transport.h"

/* The part of the memory that contexts may take where nobody asked for compression. */
#define CONTEXTS 4

/* Of a sketch of which machines there are. */
#define SKETCH_WORDS 128
#define SKETCH_BITS  (64.0 * SKETCH_WORDS)

int stage_compress_parse(
	const char *text, struct stream_compress *c, struct ebt_err *err)
{
	struct block_way ways[COMPRESS_WAYS];
	int n = tuner_ways(ways);

	*c = (struct stream_compress){0};
	if (text && strcmp(text, "auto") != 0) {
		int r = block_parse(text, &c->way, err);

		c->on = c->way.codec != BLOCK_NONE;
		return r;
	}
	/* The one with the largest contexts stands for all. */
	for (int i = 0; i < n; i++) {
		if (block_memory_to(&ways[i]) > block_memory_to(&c->way))
			c->way = ways[i];
	}
	c->on = c->automatic = n > 0;
	return 0;
}

int ebt_stage_compress_check(const char *text, struct ebt_err *err)
{
	struct stream_compress c;

	return stage_compress_parse(text, &c, err);
}

const char *ebt_stage_compression(unsigned i)
{
	uint32_t codec = block_at(i);

	return codec == BLOCK_NONE ? NULL : block_name(codec);
}

static uint64_t contexts(const struct stage *st)
{
	if (!st->compress.on)
		return 0;
	return stage_io_threads(st->o) * block_memory_to(&st->compress.way) +
	       stage_write_threads(st->o) * BLOCK_MEMORY_BACK;
}

uint64_t stage_buffers(const struct stage *st)
{
	uint64_t memory = stage_memory(st->o);

	return memory > st->contexts ? memory - st->contexts : 0;
}

/* Nodes of the run that run on this machine: they share its processors. */
static double neighbours_all(const struct stage *st)
{
	uint64_t sketch[SKETCH_WORDS] = {0}, at;
	double zeros = SKETCH_BITS, machines;
	char boot[40];

	/* Each machine sets a bit; how many bits are set tells how many there are. */
	if (fsio_boot_id(boot) == 0)
		at = digest_bytes(boot, strlen(boot)).lo;
	else
		at = digest_bytes(&st->job.node, sizeof(st->job.node)).lo;
	at %= (uint64_t)SKETCH_BITS;
	sketch[at / 64] |= 1ull << at % 64;
	transport_reduce_all(
		&st->job.nodes, sketch, SKETCH_WORDS, MPI_UINT64_T, MPI_BOR);
	for (size_t i = 0; i < SKETCH_WORDS; i++)
		zeros -= __builtin_popcountll(sketch[i]);
	/* Linear counting, Whang et al. 1990. Full, it says nothing but that there are many. */
	machines = zeros >= 1 ? -SKETCH_BITS * log(zeros / SKETCH_BITS) : INFINITY;
	return fmax(round(st->job.n_nodes / fmax(machines, 1)), 1);
}

static double processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return CPU_COUNT(&set);
	/* More than the set has room for. */
	return CPU_SETSIZE;
}

int stage_compress_open_all(struct stage *st, struct ebt_err *err)
{
	struct block_way ways[COMPRESS_WAYS];
	struct compress_job job = {
		.read_threads = stage_io_threads(st->o),
		.write_threads = stage_write_threads(st->o),
	};
	enum schedule_algo algo = SCHEDULE_AUTO;
	int r = stage_compress_parse(st->o->compress, &st->compress, err);

	if (r == 0 && st->o->algo)
		r = schedule_parse(st->o->algo, &algo, err);
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	/* MPI's broadcast is the control; of a send there it is not known how long it takes. */
	if (st->job.n_nodes == 1 ||
		(st->compress.automatic &&
			(algo == SCHEDULE_MPI_BCAST ||
				contexts(st) > stage_memory(st->o) / CONTEXTS)))
		st->compress = (struct stream_compress){0};
	st->contexts = contexts(st);
	if (!st->compress.automatic)
		return 0;
	job.cores = processors();
	job.nodes = neighbours_all(st);
	job.here = job.nodes / st->job.n_nodes;
	compress_watch_start(&st->watch, &job, tuner_ways(ways));
	return 0;
}

void stage_compress_note(const struct stage *st)
{
	const struct compress_watch *w = &st->watch;
	const struct compress_job *j = &w->job;

	if (!st->compress.automatic || !(j->link > 0))
		return;
	log_debug(&st->job.log,
		"compression %s: link %.3g B/s, ns a byte: read %.2f, write %.2f, "
		"processors "
		"%.2f of %.2f for a node",
		w->state == COMPRESS_ON ? "on" : "off", j->link, j->read * 1e9,
		j->write * 1e9, j->cpu * 1e9, j->cores / j->nodes);
	for (int i = 0; i < w->n_ways && w->ways[i].known; i++)
		log_debug(&st->job.log, "  way %d: to %.3f, ns a byte: %.2f, back %.2f",
			i, w->ways[i].ratio, w->ways[i].pack * 1e9,
			w->ways[i].unpack * 1e9);
}
