/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks for what a run stands still for, while its ranks wait: see pulse.h. All waits of transport.h
 * give it a turn when there is nothing else to do, and so does whoever waits otherwise. It costs
 * each rank some messages of 700 bytes in the time after which it speaks.
 */
#ifndef TRANSPORT_WATCH_H
#define TRANSPORT_WATCH_H

#include <stdbool.h>

#include "base/activity.h"
#include "ebt/err.h"

struct transport;
struct watch;

enum watch_event {
	WATCH_STANDS, /* since @stall seconds */
	WATCH_GOES,   /* it does again */
	WATCH_END,    /* since @end seconds: the run is to be ended */
};

struct watch_options {
	double stall, end;	   /* seconds; end 0: never */
	double hurry;		   /* in place of @stall from when @stopped says so */
	int rank;		   /* of this process, as people know it */
	struct activity *activity; /* of its threads */
	/* One line, from one rank. */
	void (*say)(void *arg, enum watch_event event, const char *text);
	int (*stopped)(const void *arg); /* asked now and then; or NULL */
	void *arg;
};

/*
 * Watches over the ranks of @t, all of which must do so. Not collective: it waits for nobody. The
 * options and @t must last until watch_close.
 */
int watch_open(const struct transport *t, const struct watch_options *o,
	struct watch **out, struct ebt_err *err);
void watch_close(struct watch *w);

/* All take NULL. What this rank does from now on, as in "streaming". */
void watch_doing(struct watch *w, const char *what);
/* From now on nothing has to move here: this rank waits for a time or for somebody else's run. */
void watch_idle(struct watch *w, bool idle);
/* The run is being ended. */
void watch_hurry(struct watch *w);
/*
 * A step of a wait on @t: something has @moved, or rank @peer of it is waited for, TRANSPORT_ANY if
 * that is not known. Cheap.
 */
void watch_step(struct watch *w, const struct transport *t, bool moved, int peer);
/* Its turn, where no step is taken: once in some milliseconds is enough. */
void watch_turn(struct watch *w);

#endif
