/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/compress_watch.h"

#include <math.h>
#include <stddef.h>

#define PROBE_BYTES   (256u << 10) /* that many, */
#define PROBE_SECONDS 20e-3	   /* and for so long, */
#define PROBE_ENOUGH  (16u << 20)  /* or so many, */
#define PROBE_LEAST   1e-3	   /* if that took so long */

#define WINDOW_SECONDS 0.1
#define WINDOW_PARCELS 8
#define WINDOW_MOST    2.0 /* seconds, if anything was sent */

#define GAP_MOST   64  /* parcels between trials */
#define BAN_MOST   256 /* windows */
#define AGE_FIRST  32  /* windows until it probes again, */
#define AGE_MOST   512 /* at last */
#define NEW_WEIGHT 0.3 /* of what is measured against what was before, */
#define TRY_WEIGHT 0.6 /* and of a trial */

static void begin_probe(struct compress_watch *w, const struct compress_seen *s)
{
	w->state = COMPRESS_PROBES;
	w->from = *s;
	w->way = -1;
}

void compress_watch_start(
	struct compress_watch *w, const struct compress_job *job, int n)
{
	*w = (struct compress_watch){
		.job = *job, .n_ways = n, .way = -1, .penalty = 2, .most = AGE_FIRST};
}

void compress_watch_renew(
	struct compress_watch *w, double sends, double share, double now)
{
	w->job.sends = sends;
	w->job.share = share;
	for (int i = 0; i < w->n_ways; i++)
		w->ways[i].known = false;
	w->from = (struct compress_seen){.now = now};
	w->filled = 0;
	w->gap = w->wait = 0;
	w->way = -1;
	w->fresh = false;
	if (w->state == COMPRESS_ON)
		w->state = COMPRESS_PLAIN;
}

/* What ended windows tell of this machine, all of them without compressing. */
static void learn(struct compress_watch *w, const struct compress_seen *s)
{
	const struct compress_seen *f = &w->from;
	struct compress_job *j = &w->job;
	uint64_t plain = s->plain - f->plain;
	double seconds = s->plain_seconds - f->plain_seconds;

	if ((plain >= PROBE_BYTES && seconds >= PROBE_SECONDS) ||
		(plain >= PROBE_ENOUGH && seconds >= PROBE_LEAST))
		j->link = (double)plain / seconds;
	if (s->read > f->read)
		j->read = (s->read_seconds - f->read_seconds) /
			  (double)(s->read - f->read) / j->read_threads;
	if (s->written > f->written)
		j->write = (s->write_seconds - f->write_seconds) /
			   (double)(s->written - f->written) / j->write_threads;
	if (s->came > f->came)
		j->cpu = (s->cpu - f->cpu) / (double)(s->came - f->came);
}

static void look_at_probe(struct compress_watch *w, const struct compress_seen *s)
{
	uint64_t plain = s->plain - w->from.plain;
	double seconds = s->plain_seconds - w->from.plain_seconds;

	if (!(plain >= PROBE_BYTES && seconds >= PROBE_SECONDS) &&
		!(plain >= PROBE_ENOUGH && seconds >= PROBE_LEAST))
		return;
	learn(w, s);
	w->state = COMPRESS_PLAIN;
	w->from = *s;
	w->age = 0;
	w->gap = w->wait = 0;
}

/* Windows go on compressing as long as that is faster than without. */
static void look_at_gain(struct compress_watch *w, const struct compress_seen *s)
{
	double took = (s->now - w->from.now) * w->job.share /
		      (double)(s->sent - w->from.sent);

	if (took < 0.97 * compress_seconds(&w->job, NULL)) {
		if (w->penalty > 2)
			w->penalty--;
		return;
	}
	w->ban = w->penalty;
	w->penalty = w->penalty < BAN_MOST / 2 ? 2 * w->penalty : BAN_MOST;
	begin_probe(w, s);
}

void compress_watch_look(struct compress_watch *w, const struct compress_seen *s)
{
	double took = s->now - w->from.now;

	if (w->state == COMPRESS_PROBES) {
		look_at_probe(w, s);
		return;
	}
	if (s->sent == w->from.sent || took < WINDOW_SECONDS ||
		(s->parcels - w->from.parcels < WINDOW_PARCELS && took < WINDOW_MOST))
		return;
	if (w->state == COMPRESS_PLAIN) {
		learn(w, s);
		if (w->ban)
			w->ban--;
	} else if (!w->fresh) {
		look_at_gain(w, s);
	}
	if (w->state == COMPRESS_PROBES)
		return;
	w->fresh = false;
	w->from = *s;
	if (w->state == COMPRESS_ON && ++w->age >= w->most) {
		w->most = w->most < AGE_MOST ? 2 * w->most : AGE_MOST;
		begin_probe(w, s);
	}
}

bool compress_watch_holds(const struct compress_watch *w, uint64_t sent)
{
	return w->state == COMPRESS_PROBES && w->filled >= sent + COMPRESS_AHEAD;
}

int compress_watch_next(struct compress_watch *w, bool *try)
{
	*try = false;
	w->filled++;
	if (w->state == COMPRESS_PROBES || w->ban)
		return -1;
	if (w->wait) {
		w->wait--;
	} else if (w->state == COMPRESS_ON || compress_thinkable(&w->job)) {
		/* Others come before this one is tried: one at a time is enough. */
		w->wait = w->gap;
		*try = true;
	}
	return w->state == COMPRESS_ON ? w->way : -1;
}

static void decide(struct compress_watch *w)
{
	int way = compress_choose(&w->job, w->ways, w->n_ways, w->way);

	if (way >= 0 && w->state == COMPRESS_PLAIN)
		w->fresh = true;
	if (way < 0 && w->way >= 0)
		w->gap = w->wait = 0;
	w->way = way;
	w->state = way < 0 ? COMPRESS_PLAIN : COMPRESS_ON;
}

static void mix(double *old, double new, double weight)
{
	*old = (1 - weight) * *old + weight * new;
}

void compress_watch_tried(struct compress_watch *w, int way, uint64_t len,
	uint64_t packed, double pack, double unpack)
{
	struct compress_way *of = &w->ways[way];
	double ratio = (double)packed / (double)len;
	double weight = of->known ? TRY_WEIGHT : 1;

	/* Of the one in use whole parcels tell more. */
	if (way != w->way)
		mix(&of->ratio, ratio, weight);
	mix(&of->pack, pack / (double)len, weight);
	mix(&of->unpack, unpack / (double)len, weight);
	of->known = true;
	if (way < w->n_ways - 1 || w->state == COMPRESS_PROBES || w->ban)
		return;
	decide(w);
	if (w->state == COMPRESS_ON)
		w->gap = GAP_MOST;
	else
		w->gap = w->gap < GAP_MOST / 2 ? 2 * w->gap + 1 : GAP_MOST;
	w->wait = w->gap;
}

void compress_watch_packed(
	struct compress_watch *w, int way, uint64_t len, uint64_t packed)
{
	mix(&w->ways[way].ratio, (double)packed / (double)len, NEW_WEIGHT);
	if (w->state == COMPRESS_ON && way == w->way)
		decide(w);
}
