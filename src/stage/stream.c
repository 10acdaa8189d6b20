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
#include "base/text.h"
#include "transport/transport.h"

#define COPY_BLOCK (512 * 1024) /* bytes: half of a common second-level cache */
#define TICK_NS 50000000        /* between looks at stop requests */

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
	job_progress(&s->st->job, EBT_PHASE_MOVE, unpacker_bytes(s->unpacker), s->st->plan->bytes);
}

void stream_write(struct stream *s, struct parcel *p)
{
	queue_put(&s->written, &p->item);
}

int stream_check_header(const struct stream *s, const struct parcel *p, struct ebt_err *err)
{
	const struct parcel_header *h = p->header;
	uint64_t bytes = plan_parcel_bytes(s->st->plan, p->stream, p->seq);

	if (h->magic != PARCEL_MAGIC || h->stream != p->stream || h->seq != p->seq ||
		h->length != (h->flags & PARCEL_ZERO ? 0 : bytes))
		return ebt_failx(err, -EPROTO,
			"parcel %llu of stream %u: another one arrived in its place",
			(unsigned long long)p->seq, p->stream);
	return 0;
}

static void *fill_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	struct flow *f = arg;
	struct stream *s = f->run;
	uint64_t n = s->st->plan->streams[f->index].n_parcels, seq;
	struct ebt_err err = {0};
	struct parcel *p;
	int r;

	while (!stream_failed(s) && !__atomic_load_n(&s->ending, __ATOMIC_ACQUIRE)) {
		{
			SCOPED_LOCK(&f->order);
			if (f->next_fill == n || !(p = pool_wait(f->pool)))
				return NULL;
			seq = f->next_fill++;
		}
		r = packer_fill(f->packer, seq, p, &from, &err);
		if (r < 0) {
			stream_fail(s, r, &err);
			parcel_unref(p);
			return NULL;
		}
		queue_put(&f->filled, &p->item);
	}
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

/* On one node: from source to target without a queue in between, in one buffer a thread. */
static void *copy_parcels(void *arg)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	struct flow *f = arg;
	struct stream *s = f->run;
	uint64_t n = s->st->plan->streams[f->index].n_parcels, size = s->st->plan->parcel, seq;
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

static int open_flow(struct stream *s, uint32_t i, uint32_t parcels, struct ebt_err *err)
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
	r = packer_new(s->st->m, s->st->plan, i, &f->packer, err);
	s->st->self.reader = true;
	return r;
}

static bool has_user_xattr(const struct manifest_entry *e)
{
	struct reader r = reader_of(e->xattrs, e->xattrs_len);
	const char *name;
	uint32_t value;
	uint16_t len;

	while (reader_left(&r)) {
		len = reader_get16(&r);
		value = reader_get32(&r);
		name = reader_take(&r, len);
		if (!name || !reader_take(&r, value))
			return false;
		if (len > 5 && memcmp(name, "user.", 5) == 0)
			return true;
	}
	return false;
}

/* tmpfs before Linux 6.6 has no user.* attributes; to lose them is for the user to decide. */
static int check_xattrs(const struct stage *st, struct ebt_err *err)
{
	char path[4096] = "", name[1024];

	if (store_takes_xattrs(st->store))
		return 0;
	for (uint32_t i = 0; i < st->m->count; i++) {
		if (!st->m->entries[i].xattrs_len || !has_user_xattr(&st->m->entries[i]))
			continue;
		manifest_path(st->m, i, path, sizeof(path));
		return ebt_failx(err, -ENOTSUP,
			"%s: has extended attributes, which the file system of %s cannot hold "
			"(see --no-xattrs)",
			text_name(path, name, sizeof(name)), store_path(st->store));
	}
	return 0;
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
		r = check_xattrs(st, err);
	if (r == 0)
		r = unpacker_new(st->m, st->need, st->plan, st->treefd, &s->unpacker, err);
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
	if (r == 0 && st->job.n_nodes > 1)
		r = start_threads(s, write_parcels, s, stage_write_threads(st->o), err);
	for (uint32_t i = 0; i < s->n_flows && r == 0; i++) {
		if (s->flows[i].packer)
			r = start_threads(s, st->job.n_nodes > 1 ? fill_parcels : copy_parcels,
				&s->flows[i], stage_io_threads(st->o), err);
	}
	return r;
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
	if (s->unpacker)
		s->st->self.bytes_written = unpacker_bytes(s->unpacker);
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

	while (!stream_failed(s) && unpacker_bytes(s->unpacker) < s->st->plan->bytes) {
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
		if (pthread_timedjoin_np(s->threads[s->n_threads - 1], NULL, &until) == 0)
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
	if (st->job.n_nodes > 1 && st->plan->algo == SCHEDULE_MPI_BCAST)
		flow_bcast_all(&s);
	else if (st->job.n_nodes > 1)
		flow_run_all(&s);
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
