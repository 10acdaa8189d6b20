/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/compress.h"

#include <math.h>
#include <stddef.h>

/* Better than any codec there is: 5 and 10 GB/s of one processor. */
static const struct compress_way ideal = {
	.known = true, .ratio = 0.02, .pack = 0.2e-9, .unpack = 0.1e-9};

/* Time of one of @threads, as far as there are processors for them. */
static double by_threads(double seconds, unsigned threads, double cores)
{
	return seconds / fmax(fmin(threads, cores), 1e-3);
}

/*
 * Of processors. It may have been measured in a moment of other work; more than there are it
 * cannot have been.
 */
static double cpu_of(const struct compress_job *j, double plain)
{
	return fmin(j->cpu, plain * j->cores);
}

double compress_seconds(const struct compress_job *j, const struct compress_way *w)
{
	double sends = j->sends / j->link, cores = fmax(j->cores, 1e-3);
	double plain = fmax(sends, fmax(j->share * j->read, j->write)), cpu, with;

	cpu = cpu_of(j, plain);
	if (!w)
		return plain;
	with = fmax(sends * w->ratio,
		j->share * (j->read + by_threads(w->pack, j->read_threads, j->cores)));
	with = fmax(with, j->write + by_threads(w->unpack, j->write_threads, j->cores));
	cpu -= cpu * COMPRESS_SENDS * (1 - w->ratio);
	return fmax(with, (cpu + j->share * w->pack + w->unpack) / cores);
}

int compress_choose(
	const struct compress_job *j, const struct compress_way *ways, int n, int now)
{
	double plain, least = INFINITY;
	int best = -1;

	if (!(j->link > 0))
		return -1;
	plain = compress_seconds(j, NULL);
	for (int i = 0; i < n; i++) {
		double t = ways[i].known ? compress_seconds(j, &ways[i]) : INFINITY;

		/* Earlier ones are the cheaper ones: they win where it makes no difference. */
		t *= i == now ? 1 : COMPRESS_CHANGE;
		if (t < least * (1 - 1e-9)) {
			least = t;
			best = i;
		}
	}
	if (best >= 0 && best != now)
		least /= COMPRESS_CHANGE;
	return plain >= least * (now >= 0 ? COMPRESS_KEEP : COMPRESS_WORTH) ? best : -1;
}

bool compress_thinkable(const struct compress_job *j)
{
	return compress_choose(j, &ideal, 1, -1) == 0;
}
