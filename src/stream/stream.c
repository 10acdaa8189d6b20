/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream phase: pools, threads and flows of this node set up, run and taken down.
 *
 * Memory: all parcels together stay within the memory option. Threads: io threads on
 * readers, writers everywhere; MPI is called from the main thread only.
 */
#include "stream/stream_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "flow/flow.h"
#include "pack/compress.h"
#include "transport/transport.h"

#define COPY_BLOCK (512 * 1024) /* bytes: half of a common second-level cache */
#define TICK_S	   0.05		/* between looks at stop requests */

/* What has no content is in no parcel, but is looked at again like everything else. */
static void look_at_empty(struct stream *s, struct packer *p, struct pack_place *from)
{
	struct ebt_err err = {0};
	int r = 0;

	while (r == 0 && !stream_failed(s))
		r = packer_look(p, s->in->need, from, &err);
	if (r < 0)
		stream_fail(s, r, &err);
}

/* As it goes to the next node: maybe compressed. */
static int compress(
	struct stream *s, struct parcel *p, struct block *b, struct ebt_err *err)
{
	struct block_way way = s->in->compress.way;
	struct parcel *spare;
	int r = 1;

	if (!s->spares)
		return 0;
	/* Where it is only an attempt it waits for nobody. */
	spare = s->tuner ? pool_try(s->spares) : pool_wait(s->spares);
	if (s->tuner)
		r = tuner_next(s->tuner, p, spare, b, &way, err);
	if (r > 0 && spare)
		r = s->tuner ? tuner_compress(s->tuner, p, spare, b, &way, err)
			     : parcel_compress(p, spare, b, &way, err);
	if (spare)
		parcel_unref(spare);
	return r < 0 ? r : 0;
}

static int fill(struct channel *c, uint64_t seq, struct parcel *p,
	struct pack_place *from, struct block *b, struct ebt_err *err)
{
	struct stream *s = c->run;
	double began = clock_now();
	int r = packer_fill(c->packer, seq, p, from, err);

	if (r < 0)
		return r;
	if (s->tuner)
		tuner_read(s->tuner, p->header->content, clock_now() - began);
	return compress(s, p, b, err);
}

static void fill_all(struct channel *c, struct pack_place *from, struct block *b)
{
	struct stream *s = c->run;
	uint64_t n = s->in->plan->streams[c->index].n_parcels, seq;
	struct ebt_err err = {0};
	struct parcel *p;
	int r;

	while (!stream_failed(s) && !__atomic_load_n(&s->ending, __ATOMIC_ACQUIRE)) {
		{
			SCOPED_LOCK(&c->order);
			if (c->next_fill == n)
				return;
			if (s->tuner)
				tuner_wait(s->tuner, c->next_fill);
			p = pool_wait(c->pool);
			if (!p)
				return;
			seq = c->next_fill++;
		}
		r = fill(c, seq, p, from, b, &err);
		if (r < 0) {
			stream_fail(s, r, &err);
			parcel_unref(p);
			return;
		}
		queue_put(&c->filled, &p->item);
	}
}

static void *fill_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	SCOPED(block_freep) struct block *b = NULL;
	struct channel *c = arg;
	struct ebt_err err = {0};

	if (block_new(&b, &err) < 0)
		stream_fail(c->run, err.code, &err);
	fill_all(c, &from, b);
	look_at_empty(c->run, c->packer, &from);
	__atomic_sub_fetch(&c->run->reading, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *look_only(void *arg)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	struct stream *s = arg;

	look_at_empty(s, s->looker, &from);
	__atomic_sub_fetch(&s->reading, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Some of what comes in no parcel; false: nothing is left, or this node has failed. */
static bool make_small(struct stream *s, struct pack_place *to)
{
	struct ebt_err err = {0};
	int r = stream_failed(s) ? 1 : unpacker_small(s->unpacker, to, &err);

	if (r < 0)
		stream_fail(s, r, &err);
	return r == 0;
}

/* A parcel that is here, to where it belongs. */
static int store(struct stream *s, struct parcel *p, struct pack_place *to,
	struct block *b, struct ebt_err *err)
{
	bool compressed = p->header->flags & PARCEL_COMPRESSED;
	struct parcel *spare = compressed ? pool_wait(s->spares) : NULL;
	double began = clock_now();
	struct ebt_err why = {0};
	int r;

	/* Closed: another thread has failed. */
	if (compressed && !spare)
		return 0;
	r = parcel_uncompress(p, spare, b, &why);
	r = r < 0 ? unpacker_damaged(s->unpacker, p, &why, err)
		  : unpacker_store(s->unpacker, p, to, err);
	if (spare)
		parcel_unref(spare);
	else if (r == 0 && s->tuner)
		tuner_written(s->tuner, p->header->content, clock_now() - began);
	return r;
}

static void *write_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	SCOPED(block_freep) struct block *b = NULL;
	struct stream *s = arg;
	struct ebt_err err = {0};
	struct queue_item *item;
	struct parcel *p;
	bool small = true;
	int r;

	if (block_new(&b, &err) < 0)
		stream_fail(s, err.code, &err);
	for (;;) {
		/* What is small waits for nobody, parcels take up buffers. */
		item = small ? queue_poll(&s->written) : queue_get(&s->written);
		if (!item && small) {
			small = make_small(s, &to);
			continue;
		}
		if (!item)
			return NULL;
		p = (struct parcel *)item;
		r = stream_failed(s) ? 0 : store(s, p, &to, b, &err);
		if (r < 0)
			stream_fail(s, r, &err);
		parcel_unref(p);
	}
}

/* On one node: from source to target without a queue in between, in one buffer per thread. */
static void *copy_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	struct channel *c = arg;
	struct stream *s = c->run;
	uint64_t n = s->in->plan->streams[c->index].n_parcels,
		 size = s->in->plan->parcel, seq;
	struct parcel *p = pool_wait(c->pool);
	struct ebt_err err = {0};
	int r;

	while (p && !stream_failed(s)) {
		seq = __atomic_fetch_add(&c->next_fill, 1, __ATOMIC_RELAXED);
		if (seq >= n)
			break;
		r = pack_copy(c->packer, s->unpacker, seq, p->payload,
			size < COPY_BLOCK ? size : COPY_BLOCK, &from, &to, &err);
		if (r < 0)
			stream_fail(s, r, &err);
	}
	if (p)
		parcel_unref(p);
	while (make_small(s, &to))
		;
	look_at_empty(s, c->packer, &from);
	__atomic_sub_fetch(&s->reading, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int start_threads(struct stream *s, void *(*fn)(void *), void *arg, unsigned n,
	struct ebt_err *err)
{
	for (unsigned i = 0; i < n; i++) {
		int r = pthread_create(&s->threads[s->n_threads], NULL, fn, arg);

		/* One is enough to go on with. */
		if (r && i == 0)
			return ebt_fail(err, -r, "thread");
		if (r == 0)
			s->n_threads++;
	}
	return 0;
}

static int begin(void *arg, struct ebt_err *err)
{
	struct stream *s = arg;

	return unpacker_begin(s->unpacker, err);
}

static int finish(void *arg, struct ebt_err *err)
{
	struct stream *s = arg;

	return unpacker_finish(s->unpacker, err);
}

static bool gives_up(void *arg)
{
	return stream_failed(arg);
}

static int new_packer(
	struct stream *s, uint32_t i, struct packer **out, struct ebt_err *err)
{
	struct fsio_patience patience = {
		.stopped = gives_up, .arg = s, .count = &s->res->reopened};
	int r = packer_new(s->in->m, s->in->plan, i, s->in->ahead, out, err);

	if (r == 0)
		packer_be_patient(*out, &patience);
	if (r == 0)
		packer_show(*out, &s->in->job->activity);
	if (r == 0)
		packer_feed(*out, s->in->feed);
	return r;
}

static int open_channel(
	struct stream *s, uint32_t i, uint32_t parcels, struct ebt_err *err)
{
	const struct stream_input *in = s->in;
	struct channel *c = &s->channels[i];
	uint64_t size = 64;
	int r;

	c->run = s;
	c->index = i;
	queue_init(&c->filled);
	pthread_mutex_init(&c->order, NULL);
	s->n_channels = i + 1;
	r = pool_new(in->plan->parcel, parcels, in->memory, &c->pool, err);
	if (r < 0)
		return r;
	while (size < 4ull * parcels)
		size *= 2;
	c->mask = size - 1;
	c->held = calloc(size, sizeof(*c->held));
	if (!c->held)
		return ebt_fail(err, -ENOMEM, "stream %u", i);
	if (in->plan->streams[i].reader != (uint32_t)in->job->node)
		return 0;
	s->res->reader = true;
	return new_packer(s, i, &c->packer, err);
}

static void close_channel(struct channel *c)
{
	if (c->packer) {
		c->run->res->bytes_read += packer_bytes(c->packer);
		packer_rate(c->packer, &c->run->res->read);
	}
	packer_free(c->packer);
	free(c->held);
	pool_free(c->pool);
	queue_destroy(&c->filled);
	pthread_mutex_destroy(&c->order);
}

static int start_readers(
	struct stream *s, void *(*fn)(void *), void *arg, struct ebt_err *err)
{
	unsigned before = s->n_threads;
	int r = start_threads(s, fn, arg, s->in->io_threads, err);

	__atomic_add_fetch(&s->reading, (int)(s->n_threads - before), __ATOMIC_RELAXED);
	return r;
}

/* Without any content there are no channels: the first node looks at what there is. */
static int start_lookers(struct stream *s, struct ebt_err *err)
{
	int r;

	if (s->n_channels || s->in->job->node != 0)
		return 0;
	r = new_packer(s, 0, &s->looker, err);
	return r < 0 ? r : start_readers(s, look_only, s, err);
}

/* What compressing needs, out of @parcels buffers; *spares of them. */
static int open_compress(
	struct stream *s, uint64_t parcels, uint64_t *spares, struct ebt_err *err)
{
	const struct stream_input *in = s->in;
	uint64_t least = (uint64_t)in->plan->n_streams * FLOW_PARCELS_MIN, n;
	int r;

	*spares = 0;
	if (!in->compress.on || in->job->n_nodes == 1 || !in->plan->n_streams)
		return 0;
	n = parcels > least + STREAM_SPARES ? parcels - least : STREAM_SPARES;
	if (n > in->io_threads + in->write_threads)
		n = in->io_threads + in->write_threads;
	r = pool_new(in->plan->parcel, (uint32_t)n, in->memory, &s->spares, err);
	*spares = n;
	for (uint32_t i = 0;
		in->compress.automatic && i < in->plan->n_streams && r == 0; i++) {
		const struct plan_stream *from = &in->plan->streams[i];

		if (from->reader != (uint32_t)in->job->node)
			continue;
		compress_watch_renew(in->watch,
			cost_sends(
				in->plan->algo, in->plan->nodes, in->plan->n_streams),
			(double)from->bytes / (double)in->plan->bytes, clock_now());
		r = tuner_new(in->watch, &s->tuner, err);
	}
	return r;
}

/* Everything that can fail on one node alone, before any node waits for another. */
static int stream_open(struct stream *s, struct ebt_err *err)
{
	const struct stream_input *in = s->in;
	uint32_t streams = in->plan->n_streams;
	uint64_t parcels = in->memory->length / pool_stride(in->plan->parcel);
	bool alone = in->job->n_nodes == 1;
	uint64_t spares;
	int r;

	in->memory->used = 0;
	s->channels = calloc((size_t)streams + 1, sizeof(*s->channels));
	if (!s->channels)
		return ebt_fail(err, -ENOMEM, "streams");
	r = unpacker_new(in->m, in->need, in->plan, in->treefd, &s->unpacker, err);
	if (r == 0)
		unpacker_show(s->unpacker, &in->job->activity);
	if (r == 0)
		r = job_away(in->job, NULL, NULL, begin, s, err);
	if (r == 0)
		r = open_compress(s, parcels, &spares, err);
	if (streams && r == 0)
		parcels = (parcels - spares) / streams;
	if (parcels > FLOW_PARCELS_MAX)
		parcels = FLOW_PARCELS_MAX;
	for (uint32_t i = 0; i < streams && r == 0; i++)
		r = open_channel(s, i, (uint32_t)parcels, err);
	if (r == 0 && !alone && in->plan->algo != SCHEDULE_MPI_BCAST)
		r = carrier_new(s, &s->carrier, err);
	if (r == 0 && !alone)
		r = start_threads(s, write_parcels, s, in->write_threads, err);
	for (uint32_t i = 0; i < s->n_channels && r == 0; i++) {
		if (s->channels[i].packer)
			r = start_readers(s, alone ? copy_parcels : fill_parcels,
				&s->channels[i], err);
	}
	return r < 0 ? r : start_lookers(s, err);
}

/* Ends the threads; afterwards no parcel is anywhere but in its pool. */
static void stop_threads(struct stream *s)
{
	struct parcel *p;

	if (stream_failed(s)) {
		__atomic_store_n(&s->ending, true, __ATOMIC_RELEASE);
		stream_close_pools(s);
	}
	queue_close(&s->written);
	while (s->n_threads) {
		if (job_join(s->in->job, s->threads[s->n_threads - 1], TICK_S))
			s->n_threads--;
	}
	for (uint32_t i = 0; i < s->n_channels; i++) {
		while ((p = (struct parcel *)queue_poll(&s->channels[i].filled)))
			parcel_unref(p);
	}
}

static void stream_release(struct stream *s)
{
	if (s->n_threads) {
		stream_fail(s, -ECANCELED, &(struct ebt_err){0});
		stop_threads(s);
	}
	for (uint32_t i = 0; i < s->n_channels; i++)
		close_channel(&s->channels[i]);
	packer_free(s->looker);
	if (s->unpacker) {
		s->res->bytes_written = unpacker_bytes(s->unpacker);
		unpacker_rate(s->unpacker, &s->res->write);
	}
	carrier_free(s->carrier);
	tuner_free(s->tuner);
	pool_free(s->spares);
	unpacker_free(s->unpacker);
	free(s->channels);
	queue_destroy(&s->written);
	pthread_mutex_destroy(&s->lock);
}

/* Transfers are over; what is left is between this node's own threads. */
static void wait_written(struct stream *s)
{
	struct transport_pause pause = TRANSPORT_PAUSE;

	while (!stream_failed(s) &&
		(unpacker_bytes(s->unpacker) < s->in->plan->bytes ||
			__atomic_load_n(&s->reading, __ATOMIC_ACQUIRE) > 0)) {
		stream_tick(s);
		transport_pause(&s->in->job->nodes, &pause, false);
	}
}

/* On one node: a look at stop requests and progress now and then, else the threads' time. */
static void wait_copied(struct stream *s)
{
	while (s->n_threads) {
		stream_tick(s);
		if (job_join(s->in->job, s->threads[s->n_threads - 1], TICK_S))
			s->n_threads--;
	}
}

int stream_all(
	const struct stream_input *in, struct stream_result *res, struct ebt_err *err)
{
	SCOPED(stream_release) struct stream s = {.in = in, .res = res};
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	double began = clock_now();
	int r;

	*res = (struct stream_result){0};
	pthread_mutex_init(&s.lock, NULL);
	queue_init(&s.written);
	r = job_agree_all(in->job, stream_open(&s, err), err);
	if (r < 0)
		return r;
	if (s.carrier)
		carrier_run_all(s.carrier);
	else if (in->job->n_nodes > 1)
		carry_bcast_all(&s);
	if (in->job->n_nodes > 1)
		wait_written(&s);
	else
		wait_copied(&s);
	stop_threads(&s);
	/* Of a node alone without content nobody has. */
	while (make_small(&s, &to))
		;
	r = s.code;
	if (r < 0 && err)
		*err = s.err;
	if (r == 0)
		r = job_away(in->job, NULL, NULL, finish, &s, err);
	res->seconds = clock_now() - began;
	return job_agree_all(in->job, r, err);
}
