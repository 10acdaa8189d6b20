/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the threads of a run are at, each in a call that may take long: for the message that names
 * it when it does. Thread-safe. A thread pays two short locks for a call.
 */
#ifndef BASE_ACTIVITY_H
#define BASE_ACTIVITY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name of what a call is for, fit for a message, into @out. Called while the call goes on. */
typedef void activity_name_fn(const void *arg, uint64_t index, char *out, size_t size);

/* A call under way, in its caller's memory from activity_begin to activity_end. */
struct activity_call {
	struct activity_call *next, **prev;
	const char *what; /* "reading" */
	activity_name_fn *name;
	const void *arg;
	uint64_t index;
	double since;
	bool under_way;
};

struct activity {
	pthread_mutex_t lock;
	struct activity_call *first; /* lock */
	uint64_t ended;		     /* lock: calls that came back */
};

void activity_init(struct activity *a);
void activity_destroy(struct activity *a);

/* @a NULL: nobody wants to know. @name with @arg and @index says what for. */
void activity_begin(struct activity *a, struct activity_call *c, const char *what,
	activity_name_fn *name, const void *arg, uint64_t index);
/* Of a call that has ended, or is zero: nothing happens. */
void activity_end(struct activity *a, struct activity_call *c);

/* For activity_begin: @arg is a string, any. It must stay as it is. */
void activity_text(const void *arg, uint64_t index, char *out, size_t size);

uint64_t activity_ended(struct activity *a);
/*
 * When the longest of the calls under way that began before @before began, and "reading NAME" in
 * @out; 0: there is none.
 */
double activity_oldest(struct activity *a, double before, char *out, size_t size);

#endif
