/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/compress.h"

#include <math.h>
#include <stddef.h>

/* LZ4 on content that shrinks to a tenth: 2.5 and 5 GB/s of one processor. */
static const struct compress_way ideal = {
	.known = true, .ratio = 0.1, .pack = 0.4e-9, .unpack = 0.2e-9};

/* Time of one of @threads, as far as there are processors for them. */
static double by_threads(double seconds, unsigned threads, double cores)
{
	return seconds / fmin(threads, cores);
}

/*
 * Of processors. It may have been measured in a moment of other work; more than there are it
 * cannot have been.
 */
static double cpu_of(const struct compress_job *j, double plain)
{
	return fmin(j->cpu, plain * j->cores / j->nodes);
}

double compress_seconds(const struct compress_job *j, const struct compress_way *w)
{
	double sends = j->sends / j->link, packs = fmax(j->share, j->here);
	double plain = fmax(sends, fmax(j->share * j->read, j->write)), cpu, with;

	cpu = cpu_of(j, plain);
	if (!w)
		return plain;
	with = fmax(sends * w->ratio,
		j->share * (j->read + by_threads(w->pack, j->read_threads, j->cores)));
	with = fmax(with, j->write + by_threads(w->unpack, j->write_threads, j->cores));
	cpu -= cpu * COMPRESS_SENDS * (1 - w->ratio);
	return fmax(with, (j->nodes * (cpu + w->unpack) + packs * w->pack) / j->cores);
}

int compress_choose(
	const struct compress_job *j, const struct compress_way *ways, int n, int now)
{
	double plain, worth, least = INFINITY;
	int best = -1;

	if (!(j->link > 0))
		return -1;
	plain = compress_seconds(j, NULL);
	if (now >= 0 && ways[now].known) {
		best = now;
		least = compress_seconds(j, &ways[now]);
	}
	for (int i = 0; i < n; i++) {
		double t = ways[i].known ? compress_seconds(j, &ways[i]) : INFINITY;

		if (t < least / COMPRESS_CHANGE) {
			least = t;
			best = i;
		}
	}
	worth = now >= 0	      ? COMPRESS_KEEP
		: j->cores < j->nodes ? COMPRESS_WORTH_SHARED
				      : COMPRESS_WORTH;
	return plain >= least * worth ? best : -1;
}

bool compress_thinkable(const struct compress_job *j)
{
	return compress_choose(j, &ideal, 1, -1) == 0;
}
