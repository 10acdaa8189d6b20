/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/tune.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "pack/compress.h"

#define TRIAL	   (64u << 10) /* bytes of a parcel, from its middle */
#define LIKELY	   0.8	       /* of a ratio of late, that the next one shrinks too */
#define EARLY	   4	       /* sends at first that tell no rate */
#define TELLS_RATE (64u << 10) /* bytes of a send, at least */

static const struct block_way ways[] = {
	{BLOCK_LZ4, 0}, {BLOCK_ZSTD, 1}, {BLOCK_ZSTD, 3}};
_Static_assert(sizeof(ways) / sizeof(ways[0]) == COMPRESS_WAYS, "all have room");

struct tuner {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct compress_watch *watch; /* lock */
	struct compress_seen seen;    /* lock */
	double cpu;		      /* of this process, before */
	bool closed;		      /* lock */
	struct block_way ways[COMPRESS_WAYS];
	int n_ways;
	/* Main thread: sends under way, since when, and whether they tell the rate of the link. */
	unsigned sending, early;
	double since;
	bool mixed;
};

static double cpu_of(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		return 0;
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int tuner_ways(struct block_way out[COMPRESS_WAYS])
{
	int n = 0;

	for (size_t i = 0; i < COMPRESS_WAYS; i++) {
		if (block_has(ways[i].codec))
			out[n++] = ways[i];
	}
	return n;
}

int tuner_new(struct compress_watch *watch, struct tuner **out, struct ebt_err *err)
{
	struct tuner *t = calloc(1, sizeof(*t));

	if (!t)
		return ebt_fail(err, -ENOMEM, "compression");
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->moved, NULL);
	t->watch = watch;
	t->cpu = cpu_of(CLOCK_PROCESS_CPUTIME_ID);
	t->n_ways = tuner_ways(t->ways);
	*out = t;
	return 0;
}

void tuner_free(struct tuner *t)
{
	if (!t)
		return;
	pthread_cond_destroy(&t->moved);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void tuner_wait(struct tuner *t, uint64_t taken)
{
	SCOPED_LOCK(&t->lock);
	while (!t->closed && compress_watch_holds(t->watch, taken, t->seen.parcels))
		pthread_cond_wait(&t->moved, &t->lock);
}

void tuner_close(struct tuner *t)
{
	SCOPED_LOCK(&t->lock);
	t->closed = true;
	pthread_cond_broadcast(&t->moved);
}

/* A piece of the content in one way; what came of it. */
struct trial {
	size_t packed;
	double pack, unpack;
};

static int try_once(struct block *b, const struct block_way *way,
	const unsigned char *from, size_t len, unsigned char *room, struct trial *out,
	struct ebt_err *err)
{
	double began = cpu_of(CLOCK_THREAD_CPUTIME_ID), packed;
	int r = block_to(b, way, from, len, room, len, &out->packed, err);

	packed = cpu_of(CLOCK_THREAD_CPUTIME_ID);
	out->pack = packed - began;
	out->unpack = 0;
	if (r <= 0) {
		out->packed = len;
		return r;
	}
	r = block_back(b, way->codec, room, out->packed, room + len, len, err);
	out->unpack = cpu_of(CLOCK_THREAD_CPUTIME_ID) - packed;
	return r;
}

/* The first time it takes longer, as contexts have to be made. */
static int try_way(struct block *b, const struct block_way *way,
	const unsigned char *from, size_t len, unsigned char *room, struct trial *out,
	struct ebt_err *err)
{
	size_t before = block_memory(b);
	int r = try_once(b, way, from, len, room, out, err);

	return r < 0 || block_memory(b) == before
		       ? r
		       : try_once(b, way, from, len, room, out, err);
}

static int try_all(struct tuner *t, const struct parcel *p, struct parcel *spare,
	struct block *b, struct ebt_err *err)
{
	size_t len = p->header->content / 2 < TRIAL ? p->header->content / 2 : TRIAL;
	const unsigned char *from = p->payload + (p->header->content - len) / 2;
	struct trial of;
	bool more = len > 0;
	int r = 0;

	for (int i = 0; i < t->n_ways && more; i++) {
		r = try_way(b, &t->ways[i], from, len, spare->payload, &of, err);
		if (r < 0)
			return r;
		SCOPED_LOCK(&t->lock);
		compress_watch_tried(t->watch, i, len, of.packed, of.pack, of.unpack);
		more = i + 1 < t->n_ways && compress_watch_wants(t->watch, i + 1);
	}
	SCOPED_LOCK(&t->lock);
	compress_watch_decide(t->watch);
	return 0;
}

/* What does not shrink in a small part of it is left alone: that costs next to nothing. */
static int shrinks(const struct parcel *p, struct parcel *spare, struct block *b,
	const struct block_way *way, struct ebt_err *err)
{
	size_t len = p->header->content / 16, packed;

	return block_to(b, way, p->payload + p->header->content / 2, len,
		spare->payload, len - len / PARCEL_SAVES, &packed, err);
}

static void packed(struct tuner *t, const struct block_way *way, const struct parcel *p)
{
	SCOPED_LOCK(&t->lock);

	for (int i = 0; i < t->n_ways; i++) {
		if (t->ways[i].codec == way->codec && t->ways[i].level == way->level)
			compress_watch_packed(
				t->watch, i, p->header->content, p->header->length);
	}
}

int tuner_next(struct tuner *t, const struct parcel *p, struct parcel *spare,
	struct block *b, struct block_way *way, struct ebt_err *err)
{
	bool try, likely;
	int at, r;

	{
		SCOPED_LOCK(&t->lock);
		compress_watch_next(t->watch, &try);
	}
	if (!spare || p->header->flags)
		return 0;
	r = try ? try_all(t, p, spare, b, err) : 0;
	if (r < 0)
		return r;
	{
		SCOPED_LOCK(&t->lock);
		at = t->watch->way;
		likely = at >= 0 && t->watch->ways[at].ratio < LIKELY;
	}
	if (at < 0)
		return 0;
	*way = t->ways[at];
	r = likely ? 1 : shrinks(p, spare, b, way, err);
	if (r == 0)
		packed(t, way, p);
	return r;
}

int tuner_compress(struct tuner *t, struct parcel *p, struct parcel *spare,
	struct block *b, const struct block_way *way, struct ebt_err *err)
{
	int r = parcel_compress(p, spare, b, way, err);

	if (r >= 0)
		packed(t, way, p);
	return r;
}

void tuner_read(struct tuner *t, uint64_t bytes, double seconds)
{
	SCOPED_LOCK(&t->lock);
	t->seen.read += bytes;
	t->seen.read_seconds += seconds;
}

void tuner_written(struct tuner *t, uint64_t bytes, double seconds)
{
	SCOPED_LOCK(&t->lock);
	t->seen.written += bytes;
	t->seen.write_seconds += seconds;
}

void tuner_came(struct tuner *t, const struct parcel *p, unsigned sends)
{
	SCOPED_LOCK(&t->lock);
	/* Zeros travel in no time, whatever is done with the rest. */
	if (!p->local && !(p->header->flags & PARCEL_ZERO))
		t->seen.moved += p->header->content;
	if (p->local && !sends)
		t->seen.parcels++;
}

void tuner_sends(struct tuner *t, const struct parcel *p)
{
	if (t->sending++ == 0) {
		t->since = clock_now();
		t->mixed = false;
	}
	/* The first ones find connections to be made, and caches cold. */
	if (t->early < EARLY) {
		t->early++;
		t->mixed = true;
	}
	t->mixed |= p->header->flags || p->header->length < TELLS_RATE;
}

void tuner_sent(struct tuner *t, const struct parcel *p, bool last)
{
	double now = clock_now();
	SCOPED_LOCK(&t->lock);

	t->sending--;
	if (!t->mixed) {
		t->seen.plain += p->header->length;
		t->seen.plain_seconds += now - t->since;
		t->since = now;
	}
	if (p->local && last) {
		if (!(p->header->flags & PARCEL_ZERO)) {
			t->seen.sent += p->header->content;
			t->seen.moved += p->header->content;
		}
		t->seen.parcels++;
	}
	t->seen.now = now;
	t->seen.cpu = cpu_of(CLOCK_PROCESS_CPUTIME_ID) - t->cpu;
	compress_watch_look(t->watch, &t->seen);
	pthread_cond_broadcast(&t->moved);
}
