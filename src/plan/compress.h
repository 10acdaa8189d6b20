/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is it worth while to compress what travels? A byte of content takes as long as the slowest of what
 * it goes through side by side: the link, reading, writing, and the processors of a machine. Compressing
 * makes the link's part shorter and the others longer:
 *
 *	without   max(k/B,    s r,                W)
 *	with      max(k q/B,  s (r + c/threads),  W + u/threads,  (m (P' + u) + s' c)/n)
 *
 * B the link, k the times that it sends a byte, s the reader's share of the content, r and W reading
 * and writing, q the ratio, c and u what compressing and uncompressing take of a processor. The machine
 * has n of them and m nodes, each of which spends P in any case; P' has its part of sending reduced by
 * q. All its readers together have the share s'.
 */
#ifndef PLAN_COMPRESS_H
#define PLAN_COMPRESS_H

#include <stdbool.h>

/* All of it for a byte of content, in seconds where nothing else is said. */
struct compress_job {
	double link; /* bytes per second; 0: not known, and then nothing is compressed */
	double sends; /* by the busiest link, 1 with most schedules */
	double share; /* of the content: what one reader reads, 1 with one */
	double read;  /* of what a reader reads, by all of its threads */
	double write; /* by all threads of a node */
	double cpu;   /* of processors of a node, without compressing */
	double cores; /* processors of the machine, */
	double nodes; /* that so many nodes share, 1 with most, */
	double here;  /* which are this part of all of them */
	unsigned read_threads, write_threads;
};

/* One way to compress, as measured on content like this one. */
struct compress_way {
	bool known;
	double ratio; /* bytes that travel for one of content */
	double pack, unpack;
};

#define COMPRESS_WORTH	      1.25 /* so much faster it has to be */
/* Where nodes share a processor: what one of them takes slows others down, unseen from here. */
#define COMPRESS_WORTH_SHARED 1.8
#define COMPRESS_KEEP	      1.05 /* and so much to stay */
#define COMPRESS_CHANGE                                                                \
	1.06 /* and so much faster than a cheaper one, or the one in use */
#define COMPRESS_SENDS 0.6 /* of what processors do is for sending */

/* Seconds for a byte of content; @w NULL: without. */
double compress_seconds(const struct compress_job *j, const struct compress_way *w);
/* The best of @n ways, -1: none is worth it. @now: the one in use, or -1. */
int compress_choose(
	const struct compress_job *j, const struct compress_way *ways, int n, int now);
/* Could any be, on content that shrinks very well? Else none need be tried. */
bool compress_thinkable(const struct compress_job *j);

#endif
