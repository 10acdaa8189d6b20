/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decision of compress.h in the course of a run, by one reader for what it sends. Pure: what this
 * node has done so far goes in, with the time, and out comes what to do with the next parcel.
 *
 *	probe ──► plain ◄──► compressing
 *	  ▲         │             │
 *	  └─────────┴─────────────┘ now and then, or when it did not pay
 *
 * While it probes, parcels go out as they are, few of them ahead of the link, and tell its rate: one
 * that is only assumed decides nothing. Then pieces of content are compressed for trial, as long as
 * any content could make it worth while; the less often, the longer none did. What is compressed is
 * held against what the link did without: where it is no faster, because links, processors or stores
 * are not what they were, or were other than they looked from here, it ends, each time for longer.
 */
#ifndef PLAN_COMPRESS_WATCH_H
#define PLAN_COMPRESS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/compress.h"

#define COMPRESS_WAYS	     3 /* at most */
/* Parcels ahead of the link while it probes, less than a pool has: of one reader, and of each of several. */
#define COMPRESS_AHEAD	     4
#define COMPRESS_AHEAD_SHARE 2

/* Sums since the batch began, of this node. */
struct compress_seen {
	double now;
	uint64_t plain; /* bytes sent as they are, by turns that sent nothing else, */
	double plain_seconds;	/* which took so long */
	uint64_t read, written; /* bytes of content, */
	double read_seconds,
		write_seconds; /* of all threads: written without uncompressing */
	uint64_t moved; /* content that came from others, and own that was sent */
	double cpu;	/* of this process */
	uint64_t sent, parcels; /* own ones that are sent: content, and how many */
};

enum compress_state { COMPRESS_PROBES, COMPRESS_PLAIN, COMPRESS_ON };

struct compress_watch {
	struct compress_job job;
	struct compress_way ways[COMPRESS_WAYS];
	int n_ways;
	enum compress_state state;
	int way;		   /* COMPRESS_ON: which */
	struct compress_seen from; /* begin of the probe or window */
	unsigned gap, wait;	   /* parcels between trials, and until the next one */
	unsigned ban;		   /* windows in which nothing is compressed */
	unsigned penalty;	   /* the next ban */
	unsigned age, most;	   /* windows since the probe, until the next one */
	double plain;	 /* seconds a byte that windows without took; 0: not known */
	uint64_t filled; /* own parcels so far, */
	uint64_t since; /* and when it began to compress: earlier ones go as they are */
};

/* @job without what is measured; @n ways, the cheapest first. */
void compress_watch_start(
	struct compress_watch *w, const struct compress_job *job, int n);
/* A further batch: sums begin again, content is another, the machine is the same. */
void compress_watch_renew(
	struct compress_watch *w, double sends, double share, double now);

/* A look at what has been done since; best whenever something was sent. */
void compress_watch_look(struct compress_watch *w, const struct compress_seen *s);
/* Should a reader wait, who has taken so many parcels, of which so many are sent? */
bool compress_watch_holds(
	const struct compress_watch *w, uint64_t taken, uint64_t sent);
/*
 * There is a further parcel. *try: a piece of it is to be compressed in each way, for
 * compress_watch_tried. It goes as w->way says then, -1: as it is.
 */
void compress_watch_next(struct compress_watch *w, bool *try);
/* Is it worth while to try way @way, after what the cheaper ones came to? If not, nor are others. */
bool compress_watch_wants(const struct compress_watch *w, int way);
/* A piece of @len bytes became @packed. Processor seconds. */
void compress_watch_tried(struct compress_watch *w, int way, uint64_t len,
	uint64_t packed, double pack, double unpack);
/* All that were worth a try were tried: it is decided. */
void compress_watch_decide(struct compress_watch *w);
/* A parcel of @len bytes goes out as @packed: @len if that did not shrink it. */
void compress_watch_packed(
	struct compress_watch *w, int way, uint64_t len, uint64_t packed);

#endif
