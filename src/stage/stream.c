/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream phase: pools, threads and flows of this node set up, run and taken down.
 *
 * Memory: all parcels together stay within the memory option. Threads: io threads on
 * readers, writers everywhere; MPI is called from the main thread only.
 */
#include "stage/stream.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "transport/transport.h"

#define COPY_BLOCK (512 * 1024) /* bytes: half of a common second-level cache */
#define TICK_NS	   50000000	/* between looks at stop requests */

void stream_fail(struct stream *s, int code, const struct ebt_err *err)
{
	SCOPED_LOCK(&s->lock);
	if (s->code)
		return;
	s->code = code;
	s->err = *err;
	__atomic_store_n(&s->failed, true, __ATOMIC_RELEASE);
}

void stream_tick(struct stream *s)
{
	struct ebt_err err = {0};

	if (!stream_failed(s) && job_stopped(&s->st->job, &err) < 0)
		stream_fail(s, -EINTR, &err);
	if (stream_failed(s))
		job_failing(&s->st->job, &s->err);
	job_progress(&s->st->job, EBT_PHASE_MOVE, unpacker_bytes(s->unpacker),
		s->st->plan->bytes);
}

void stream_write(struct stream *s, struct parcel *p)
{
	queue_put(&s->written, &p->item);
}

int stream_check_header(
	const struct stream *s, const struct parcel *p, struct ebt_err *err)
{
	return parcel_check(p, plan_parcel_bytes(s->st->plan, p->stream, p->seq), err);
}

/* What has no content is in no parcel, but is looked at again like everything else. */
static void look_at_empty(struct stream *s, struct packer *p, struct pack_place *from)
{
	struct ebt_err err = {0};
	int r = 0;

	while (r == 0 && !stream_failed(s))
		r = packer_look(p, s->st->need, from, &err);
	if (r < 0)
		stream_fail(s, r, &err);
}

static void fill_all(struct flow *f, struct pack_place *from)
{
	struct stream *s = f->run;
	uint64_t n = s->st->plan->streams[f->index].n_parcels, seq;
	struct ebt_err err = {0};
	struct parcel *p;
	int r;

	while (!stream_failed(s) && !__atomic_load_n(&s->ending, __ATOMIC_ACQUIRE)) {
		{
			SCOPED_LOCK(&f->order);
			if (f->next_fill == n || !(p = pool_wait(f->pool)))
				return;
			seq = f->next_fill++;
		}
		r = packer_fill(f->packer, seq, p, from, &err);
		if (r < 0) {
			stream_fail(s, r, &err);
			parcel_unref(p);
			return;
		}
		queue_put(&f->filled, &p->item);
	}
}

static void *fill_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	struct flow *f = arg;

	fill_all(f, &from);
	look_at_empty(f->run, f->packer, &from);
	__atomic_sub_fetch(&f->run->reading, 1, __ATOMIC_RELEASE);
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

static void *write_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	struct stream *s = arg;
	struct ebt_err err = {0};
	struct parcel *p;
	int r;

	while ((p = (struct parcel *)queue_get(&s->written))) {
		r = stream_failed(s) ? 0 : unpacker_store(s->unpacker, p, &to, &err);
		if (r < 0)
			stream_fail(s, r, &err);
		parcel_unref(p);
	}
	return NULL;
}

/* On one node: from source to target without a queue in between, in one buffer per thread. */
static void *copy_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	struct flow *f = arg;
	struct stream *s = f->run;
	uint64_t n = s->st->plan->streams[f->index].n_parcels,
		 size = s->st->plan->parcel, seq;
	struct parcel *p = pool_wait(f->pool);
	struct ebt_err err = {0};
	int r;

	while (p && !stream_failed(s)) {
		seq = __atomic_fetch_add(&f->next_fill, 1, __ATOMIC_RELAXED);
		if (seq >= n)
			break;
		r = pack_copy(f->packer, s->unpacker, seq, p->payload,
			size < COPY_BLOCK ? size : COPY_BLOCK, &from, &to, &err);
		if (r < 0)
			stream_fail(s, r, &err);
	}
	if (p)
		parcel_unref(p);
	look_at_empty(s, f->packer, &from);
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

static bool gives_up(void *arg)
{
	return stream_failed(arg);
}

static int new_packer(
	struct stream *s, uint32_t i, struct packer **out, struct ebt_err *err)
{
	struct fsio_patience patience = {
		.stopped = gives_up, .arg = s, .count = &s->st->reopened};
	int r = packer_new(s->st->m, s->st->plan, i, out, err);

	if (r == 0)
		packer_be_patient(*out, &patience);
	return r;
}

static int open_flow(
	struct stream *s, uint32_t i, uint32_t parcels, struct ebt_err *err)
{
	const struct plan_stream *ps = &s->st->plan->streams[i];
	struct flow *f = &s->flows[i];
	int r;

	f->run = s;
	f->index = i;
	queue_init(&f->filled);
	pthread_mutex_init(&f->order, NULL);
	s->n_flows = i + 1;
	r = pool_new(s->st->plan->parcel, parcels, &f->pool, err);
	if (r == 0)
		r = flow_open(f, err);
	if (r < 0 || ps->reader != (uint32_t)s->st->job.node)
		return r;
	s->st->self.reader = true;
	return new_packer(s, i, &f->packer, err);
}

static int start_readers(
	struct stream *s, void *(*fn)(void *), void *arg, struct ebt_err *err)
{
	unsigned before = s->n_threads;
	int r = start_threads(s, fn, arg, stage_io_threads(s->st->o), err);

	__atomic_add_fetch(&s->reading, (int)(s->n_threads - before), __ATOMIC_RELAXED);
	return r;
}

/* Without any content there are no flows: the first node looks at what there is. */
static int start_lookers(struct stream *s, struct ebt_err *err)
{
	int r;

	if (s->n_flows || s->st->job.node != 0)
		return 0;
	r = new_packer(s, 0, &s->looker, err);
	return r < 0 ? r : start_readers(s, look_only, s, err);
}

/* Everything that can fail on one node alone, before any node waits for another. */
static int stream_open(struct stream *s, struct stage *st, struct ebt_err *err)
{
	uint64_t parcels = stage_memory(st->o) / pool_stride(st->plan->parcel);
	int r;

	s->st = st;
	pthread_mutex_init(&s->lock, NULL);
	queue_init(&s->written);
	s->flows = calloc(st->plan->n_streams + 1, sizeof(*s->flows));
	if (!s->flows)
		return ebt_fail(err, -ENOMEM, "streams");
	r = store_begin(st->store, st->id, &st->treefd, err);
	if (r == 0)
		r = store_can_hold(st->store, st->m, st->need, err);
	if (r == 0)
		r = unpacker_new(
			st->m, st->need, st->plan, st->treefd, &s->unpacker, err);
	if (r == 0)
		r = unpacker_begin(s->unpacker, err);
	if (st->plan->n_streams)
		parcels /= st->plan->n_streams;
	if (parcels > FLOW_PARCELS_MAX)
		parcels = FLOW_PARCELS_MAX;
	if (r == 0)
		r = order_new(st->plan->n_streams, &s->send.order, err);
	if (r == 0)
		r = order_new(st->plan->n_streams, &s->recv.order, err);
	for (uint32_t i = 0; i < st->plan->n_streams && r == 0; i++)
		r = open_flow(s, i, (uint32_t)parcels, err);
	if (r == 0 && st->job.n_nodes > 1 && st->plan->algo != SCHEDULE_MPI_BCAST)
		r = flow_loop_new(s, &s->loop, err);
	if (r == 0 && st->job.n_nodes > 1)
		r = start_threads(s, write_parcels, s, stage_write_threads(st->o), err);
	for (uint32_t i = 0; i < s->n_flows && r == 0; i++) {
		if (s->flows[i].packer)
			r = start_readers(s,
				st->job.n_nodes > 1 ? fill_parcels : copy_parcels,
				&s->flows[i], err);
	}
	return r < 0 ? r : start_lookers(s, err);
}

/* Ends the threads; afterwards no parcel is anywhere but in its pool. */
static void stop_threads(struct stream *s)
{
	struct parcel *p;

	if (stream_failed(s)) {
		__atomic_store_n(&s->ending, true, __ATOMIC_RELEASE);
		for (uint32_t i = 0; i < s->n_flows; i++)
			pool_close(s->flows[i].pool);
	}
	queue_close(&s->written);
	for (unsigned i = 0; i < s->n_threads; i++)
		pthread_join(s->threads[i], NULL);
	s->n_threads = 0;
	for (uint32_t i = 0; i < s->n_flows; i++) {
		while ((p = (struct parcel *)queue_poll(&s->flows[i].filled)))
			parcel_unref(p);
	}
}

static void stream_release(struct stream *s)
{
	if (s->n_threads) {
		stream_fail(s, -ECANCELED, &(struct ebt_err){0});
		stop_threads(s);
	}
	for (uint32_t i = 0; i < s->n_flows; i++) {
		if (s->flows[i].packer)
			s->st->self.bytes_read += packer_bytes(s->flows[i].packer);
		flow_close(&s->flows[i]);
	}
	packer_free(s->looker);
	if (s->unpacker)
		s->st->self.bytes_written = unpacker_bytes(s->unpacker);
	flow_loop_free(s->loop);
	unpacker_free(s->unpacker);
	order_free(s->send.order);
	order_free(s->recv.order);
	free(s->flows);
	queue_destroy(&s->written);
	pthread_mutex_destroy(&s->lock);
}

/* Transfers are over; what is left is between this node's own threads. */
static void wait_written(struct stream *s)
{
	struct transport_pause pause = {0};

	while (!stream_failed(s) &&
		(unpacker_bytes(s->unpacker) < s->st->plan->bytes ||
			__atomic_load_n(&s->reading, __ATOMIC_ACQUIRE) > 0)) {
		stream_tick(s);
		transport_pause(&pause, false);
	}
}

/* On one node: a look at stop requests and progress now and then, else the threads' time. */
static void wait_copied(struct stream *s)
{
	struct timespec until;

	while (s->n_threads) {
		stream_tick(s);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TICK_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_timedjoin_np(s->threads[s->n_threads - 1], NULL, &until) ==
			0)
			s->n_threads--;
	}
}

int stage_stream_all(struct stage *st, struct ebt_err *err)
{
	SCOPED(stream_release) struct stream s = {0};
	double began = clock_now();
	int r;

	r = job_agree_all(&st->job, stream_open(&s, st, err), err);
	if (r < 0)
		return r;
	stage_warn_times_all(st);
	if (s.loop)
		flow_run_all(s.loop);
	else if (st->job.n_nodes > 1)
		flow_bcast_all(&s);
	if (st->job.n_nodes > 1)
		wait_written(&s);
	else
		wait_copied(&s);
	stop_threads(&s);
	r = s.code;
	if (r < 0 && err)
		*err = s.err;
	if (r == 0)
		r = unpacker_finish(s.unpacker, err);
	st->self.seconds = clock_now() - began;
	return job_agree_all(&st->job, r, err);
}
