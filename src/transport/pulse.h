/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which node does a run stand still for? Pure: a clock and what was heard go in, what is to be sent
 * and said comes out; watch.h is the MPI side.
 *
 * Every rank tells the one above it in a binomial tree of all, now and then, that it is there, how
 * long nothing has moved in its part of the tree, and what is the matter there: a call that does not
 * come back, or a rank that is not heard of. So rank 0 knows of all, with log N ranks to listen to,
 * and says it; of rank 0 itself rank 1 does.
 */
#ifndef TRANSPORT_PULSE_H
#define TRANSPORT_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#define PULSE_TEXT 256

/* What the run stands still for. */
enum pulse_kind {
	PULSE_WELL,
	PULSE_CALL,   /* a call of this rank takes long; @text says which */
	PULSE_SILENT, /* nothing is heard of this rank */
	PULSE_NOBODY, /* all are well, and nothing moves; @text is what this rank does */
};
struct pulse_trouble {
	int32_t kind, rank; /* rank as people know it */
	double age;	    /* seconds, when it was told */
	char host[64];
	char text[PULSE_TEXT];
};

/* What a rank tells the one above it, as it travels. */
struct pulse_word {
	double still; /* seconds since something moved at or below it */
	struct pulse_trouble trouble;
	int32_t rank;
	char host[64];
};

struct pulse_child {
	int at;	      /* in the tree */
	double heard; /* when it said the following */
	struct pulse_word word;
};

/* Ranks below one in a binomial tree. */
#define PULSE_CHILDREN 32

struct pulse {
	int at, up; /* this rank in the tree; who listens to it, or -1 */
	int32_t rank;
	char host[64];
	double stall, end; /* seconds; end 0: never */
	double every;	   /* seconds from word to word */
	unsigned n_children;
	struct pulse_child child[PULSE_CHILDREN];
	double sent;
	int32_t sent_kind, sent_rank; /* of the trouble in it */
	/* Of who speaks; PULSE_WELL: nothing. And what it was before it went on. */
	struct pulse_trouble said, gone;
};

/* What this rank does, beside listening. */
struct pulse_self {
	double still;	  /* seconds since something moved here; 0: nothing has to */
	double call;	  /* seconds of the longest call under way */
	const char *text; /* it, if that is @stall at least; else what this rank does */
};

struct pulse_who {
	int at, size; /* in the tree */
	int rank;     /* as people know it, as is the host */
	const char *host;
};
void pulse_init(struct pulse *p, const struct pulse_who *who, double stall, double end,
	double now);
/* No longer than @stall from now on: the run is being ended. */
void pulse_hurry(struct pulse *p, double stall);

/* This rank did not listen for so long: that is none of the others' silence. */
void pulse_absent(struct pulse *p, double seconds);
void pulse_heard(struct pulse *p, double now, int from, const struct pulse_word *w);
/* A word is due to p->up: *out. */
bool pulse_due(struct pulse *p, double now, const struct pulse_self *self,
	struct pulse_word *out);

enum pulse_say {
	PULSE_NOTHING,
	PULSE_STANDS, /* for p->said */
	PULSE_GOES,   /* all is well: p->gone was the last, and for so long */
	PULSE_END,    /* for p->said, and for too long */
};
enum pulse_say pulse_turn(struct pulse *p, double now, const struct pulse_self *self);
/* The run came to its end. */
enum pulse_say pulse_over(struct pulse *p);

#endif
