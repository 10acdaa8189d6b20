/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/compress_watch.h"

#include <math.h>
#include <stddef.h>

#define PROBE_BYTES   (256u << 10) /* that many, */
#define PROBE_SECONDS 50e-3	   /* and for so long, */
#define PROBE_ENOUGH  (32u << 20)  /* or so many, */
#define PROBE_LEAST   1e-3	   /* if that took so long */

#define WINDOW_SECONDS 0.1
#define WINDOW_PARCELS 8
#define WINDOW_MOST    2.0 /* seconds, if anything was sent */

#define ALONE 0.9  /* the share of the content of one who is the only reader, nearly */
#define GAINS 0.97 /* of the time without may it take, */
#define LOSES 1.1  /* or of several */

#define GAP_MOST    64	/* parcels between trials */
#define BAN_MOST    256 /* windows */
#define AGE_FIRST   64	/* windows until it probes again, */
#define AGE_MOST    512 /* at last */
#define NEW_WEIGHT  0.3 /* of what is measured against what was before, */
#define LINK_WEIGHT 0.6 /* of a window with plain parcels, */
#define TRY_WEIGHT  0.6 /* and of a trial */

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
	w->gap = w->wait = 0;
	w->way = -1;
	w->filled = w->since = 0;
	if (w->state == COMPRESS_ON)
		w->state = COMPRESS_PLAIN;
}

static void mix(double *old, double new, double weight)
{
	*old = (1 - weight) * *old + weight * new;
}

/* Seconds for a byte of all content, since the window began. */
static double took(const struct compress_watch *w, const struct compress_seen *s)
{
	return (s->now - w->from.now) / (double)(s->moved - w->from.moved);
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
		mix(&j->link, (double)plain / seconds, j->link > 0 ? LINK_WEIGHT : 1);
	if (s->read > f->read)
		j->read = (s->read_seconds - f->read_seconds) /
			  (double)(s->read - f->read) / j->read_threads;
	if (s->written > f->written)
		j->write = (s->write_seconds - f->write_seconds) /
			   (double)(s->written - f->written) / j->write_threads;
	if (s->moved > f->moved)
		j->cpu = (s->cpu - f->cpu) / (double)(s->moved - f->moved);
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

/*
 * It goes on as long as that is faster than without. Where several readers send in turn all are as
 * fast as the slowest of them, so that one is only to blame for what is slower.
 */
static void look_at_gain(struct compress_watch *w, const struct compress_seen *s)
{
	double plain = compress_seconds(&w->job, NULL);
	double most = w->job.share > ALONE ? GAINS : LOSES;

	if (w->plain > 0 && w->plain < plain)
		plain = w->plain;
	if (took(w, s) < most * plain) {
		if (w->penalty > 2)
			w->penalty--;
		return;
	}
	w->ban = w->penalty;
	w->penalty = w->penalty < BAN_MOST / 2 ? 2 * w->penalty : BAN_MOST;
	begin_probe(w, s);
}

static void decide(struct compress_watch *w)
{
	int way = compress_choose(&w->job, w->ways, w->n_ways, w->way);

	if (way >= 0 && w->state == COMPRESS_PLAIN)
		w->since = w->filled;
	if (way < 0 && w->way >= 0)
		w->gap = w->wait = 0;
	w->way = way;
	w->state = way < 0 ? COMPRESS_PLAIN : COMPRESS_ON;
}

void compress_watch_look(struct compress_watch *w, const struct compress_seen *s)
{
	double seconds = s->now - w->from.now;

	if (w->state == COMPRESS_PROBES) {
		look_at_probe(w, s);
		return;
	}
	if (s->sent == w->from.sent || seconds < WINDOW_SECONDS ||
		(s->parcels - w->from.parcels < WINDOW_PARCELS &&
			seconds < WINDOW_MOST))
		return;
	if (w->state == COMPRESS_PLAIN) {
		learn(w, s);
		w->plain = took(w, s);
		if (w->ban)
			w->ban--;
		/* As content was when it was last tried. */
		else if (w->n_ways && w->ways[0].known)
			decide(w);
	} else if (w->from.parcels >= w->since) {
		look_at_gain(w, s);
	}
	if (w->state == COMPRESS_PROBES)
		return;
	w->from = *s;
	if (w->state == COMPRESS_ON && ++w->age >= w->most) {
		w->most = w->most < AGE_MOST ? 2 * w->most : AGE_MOST;
		begin_probe(w, s);
	}
}

bool compress_watch_holds(const struct compress_watch *w, uint64_t taken, uint64_t sent)
{
	return w->state == COMPRESS_PROBES &&
	       taken >= sent + (w->job.share > ALONE ? COMPRESS_AHEAD
						     : COMPRESS_AHEAD_SHARE);
}

void compress_watch_next(struct compress_watch *w, bool *try)
{
	*try = false;
	w->filled++;
	if (w->state == COMPRESS_PROBES || w->ban)
		return;
	if (w->wait) {
		w->wait--;
	} else if (w->state == COMPRESS_ON || compress_thinkable(&w->job)) {
		/* Others come before this one is tried: one at a time is enough. */
		w->wait = w->gap;
		*try = true;
	}
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
}

bool compress_watch_wants(const struct compress_watch *w, int way)
{
	struct compress_way hope;

	if (way == 0)
		return true;
	/* More is hardly ever had for so little more time. */
	hope = w->ways[way - 1];
	hope.ratio *= way == 1 ? 0.45 : 0.85;
	hope.pack *= 1.3;
	return hope.known && compress_choose(&w->job, &hope, 1, -1) == 0;
}

void compress_watch_decide(struct compress_watch *w)
{
	if (w->state == COMPRESS_PROBES || w->ban)
		return;
	decide(w);
	if (w->state == COMPRESS_ON)
		w->gap = GAP_MOST;
	else
		w->gap = w->gap < GAP_MOST / 2 ? 2 * w->gap + 2 : GAP_MOST;
	w->wait = w->gap;
}

void compress_watch_packed(
	struct compress_watch *w, int way, uint64_t len, uint64_t packed)
{
	mix(&w->ways[way].ratio, (double)packed / (double)len, NEW_WEIGHT);
	if (w->state == COMPRESS_ON && way == w->way)
		decide(w);
}
