/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every collective call of EBT needs to know of the program that makes it: what counts
 * as a node, which names to leave out, how to give up, and who wants to hear about it.
 *
 * Every ebt_*_all call is collective over the communicator it is given: all ranks call it with
 * the same options, return the same code, and get the same error text. MPI must have been
 * initialised with at least MPI_THREAD_FUNNELED; MPI is called from the calling thread only.
 */
#ifndef EBT_RUN_H
#define EBT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebt/err.h"

enum ebt_overwrite {
	EBT_OVERWRITE_AUTO,   /* what the call says of it */
	EBT_OVERWRITE_REFUSE, /* nothing is written if a target exists */
	EBT_OVERWRITE_ALWAYS,
	EBT_OVERWRITE_UPDATE, /* replaces what differs */
	EBT_OVERWRITE_KEEP, /* ebt_drain_all: the target stays, the new one does not come */
};

enum ebt_log_level { EBT_LOG_ERROR, EBT_LOG_WARN, EBT_LOG_INFO, EBT_LOG_DEBUG };

enum ebt_phase { EBT_PHASE_SCAN, EBT_PHASE_MOVE, EBT_PHASE_PUBLISH };

struct ebt_progress {
	enum ebt_phase phase;
	uint64_t entries;      /* found so far, while scanning */
	uint64_t bytes, total; /* moved on this node, of what is to come */
	double seconds;	       /* since the phase began */
};

/* Ordered rules with rsync's meaning. The first that matches decides. */
struct ebt_filter_rule {
	enum { EBT_EXCLUDE, EBT_INCLUDE, EBT_RULES, EBT_RULES_NULL } kind;
	/* A pattern, or with EBT_RULES the content of a file of rules (_NULL: NUL-separated). */
	const char *text;
	size_t len; /* bytes of text */
};

/* A run stands still: which node it waits for, and with what. */
enum ebt_stall {
	EBT_STALL_STANDS, /* for the time that was given */
	EBT_STALL_GOES,	  /* it goes on */
	EBT_STALL_END, /* for so long that it is to be ended: a rank cannot do so in order */
};

#define EBT_TIMEOUT 30.0
#define EBT_STALL   30.0
#define EBT_WAIT    600.0

/* Zeros and NULLs are the defaults. Strings and arrays stay the caller's. */
struct ebt_run {
	bool per_rank;	/* every rank is a node with a store of its own */
	double timeout; /* seconds to wind down after a failure; 0: EBT_TIMEOUT */
	double wait;	/* seconds, for a store in use; 0: EBT_WAIT, below: no wait */
	const struct ebt_filter_rule *rules; /* first rank only */
	size_t n_rules;

	/* Called on the calling thread unless said otherwise. */
	void (*log)(
		void *arg, enum ebt_log_level level, const char *text); /* any thread */
	void *log_arg;
	enum ebt_log_level log_max;
	void (*progress)(void *arg, const struct ebt_progress *p); /* first rank */
	void *progress_arg;
	/* Asked often, any thread: a signal number to give up for, or 0. */
	int (*stopped)(void *arg);
	void *stopped_arg;
	/*
	 * Asked often while a run that failed cleans up: true to leave the rest to the next run,
	 * because this process is about to be killed. NULL: there is time.
	 */
	bool (*hurried)(void *arg);
	void *hurried_arg;
	/*
	 * Nothing has moved for @stall seconds where something should (0: EBT_STALL, below: never
	 * told): one rank tells what is waited for, once, and once when it goes on. After
	 * @stall_end seconds, if that is not 0, it is told with EBT_STALL_END, and the program had
	 * better end the job.
	 */
	double stall, stall_end;
	void (*stalled)(void *arg, enum ebt_stall how, const char *text);
	void *stalled_arg;
	/*
	 * Told once when this rank begins to wind down, so that a watchdog can be armed. @text:
	 * the cause as far as this rank knows it, or NULL.
	 */
	void (*failing)(void *arg, double timeout, const char *text);
	void *failing_arg;
};

#endif
