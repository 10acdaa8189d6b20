/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "transport/pulse.h"
#include "transport/transport.h"

#define TAG	    31999 /* nobody else's, also where a communicator comes after this one */
#define STEPS	    64	  /* between looks at the clock */
#define LOOK_S	    20e-3 /* between turns */
#define CLOSE_TESTS 50	  /* of a millisecond */
#define TEXT	    (PULSE_TEXT + 160)

struct watch {
	const struct transport *t;
	const struct watch_options *o;
	struct pulse pulse;
	const char *doing;
	int peer;
	bool idle;
	bool moved;	/* since the last turn */
	uint64_t ended; /* calls, at the last turn */
	double since;	/* that nothing has moved */
	double looked;	/* when the last turn was */
	unsigned steps;
	MPI_Request in, out;
	struct pulse_word heard, word;
};

static void listen(struct watch *w)
{
	MPI_Irecv(&w->heard, sizeof(w->heard), MPI_BYTE, MPI_ANY_SOURCE, TAG,
		w->t->comm, &w->in);
}

int watch_open(const struct transport *t, const struct watch_options *o,
	struct watch **out, struct ebt_err *err)
{
	struct watch *w = calloc(1, sizeof(*w));
	char host[64] = "";
	struct pulse_who who = {
		.at = t->rank, .size = t->size, .rank = o->rank, .host = host};

	if (!w)
		return ebt_fail(err, -ENOMEM, "watch");
	gethostname(host, sizeof(host) - 1);
	w->t = t;
	w->o = o;
	w->doing = "starting";
	w->peer = TRANSPORT_ANY;
	w->since = w->looked = clock_now();
	w->out = MPI_REQUEST_NULL;
	pulse_init(&w->pulse, &who, o->stall, o->end, w->since);
	listen(w);
	*out = w;
	return 0;
}

static void describe(const struct pulse_trouble *t, char *out, size_t size)
{
	if (t->kind == PULSE_CALL)
		snprintf(out, size, "waiting for rank %d on %s: %s for %.0f s", t->rank,
			t->host, t->text, t->age);
	else if (t->kind == PULSE_SILENT)
		snprintf(out, size,
			"waiting for rank %d on %s: not heard of for %.0f s", t->rank,
			t->host, t->age);
	else
		snprintf(
			out, size, "nothing has moved for %.0f s: %s", t->age, t->text);
}

static void say(struct watch *w, enum pulse_say what)
{
	const struct pulse_trouble *t = &w->pulse.said;
	char text[TEXT], line[TEXT + 64];

	describe(t, text, sizeof(text));
	switch (what) {
	case PULSE_NOTHING:
		return;
	case PULSE_STANDS:
		w->o->say(w->o->arg, WATCH_STANDS, text);
		return;
	case PULSE_GOES:
		t = &w->pulse.gone;
		if (t->kind == PULSE_NOBODY)
			snprintf(line, sizeof(line), "going on after %.0f s", t->age);
		else
			snprintf(line, sizeof(line),
				"rank %d on %s goes on after %.0f s", t->rank, t->host,
				t->age);
		w->o->say(w->o->arg, WATCH_GOES, line);
		return;
	case PULSE_END:
		snprintf(line, sizeof(line), "%s, ending the run (--stall-end)", text);
		w->o->say(w->o->arg, WATCH_END, line);
		return;
	}
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	say(w, pulse_over(&w->pulse));
	MPI_Cancel(&w->in);
	MPI_Wait(&w->in, MPI_STATUS_IGNORE);
	/* So short that MPI has sent it, mostly; its receiver may be gone. */
	for (int i = 0, done = 0; i < CLOSE_TESTS && !done; i++) {
		MPI_Test(&w->out, &done, MPI_STATUS_IGNORE);
		if (!done)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	if (w->out == MPI_REQUEST_NULL)
		free(w);
}

void watch_doing(struct watch *w, const char *what)
{
	if (w)
		w->doing = what;
}

void watch_idle(struct watch *w, bool idle)
{
	if (!w)
		return;
	w->idle = idle;
	w->moved = true;
}

void watch_hurry(struct watch *w)
{
	if (w)
		pulse_hurry(&w->pulse, w->o->hurry);
}

static void hear(struct watch *w, double now)
{
	MPI_Status status;
	int done;

	for (;;) {
		MPI_Test(&w->in, &done, &status);
		if (!done)
			return;
		pulse_heard(&w->pulse, now, status.MPI_SOURCE, &w->heard);
		listen(w);
	}
}

/* The one before it has long been taken; if not, there is another one soon. */
static void tell(struct watch *w, double now, const struct pulse_self *self)
{
	int done;

	MPI_Test(&w->out, &done, MPI_STATUS_IGNORE);
	if (done && pulse_due(&w->pulse, now, self, &w->word))
		MPI_Isend(&w->word, sizeof(w->word), MPI_BYTE, w->pulse.up, TAG,
			w->t->comm, &w->out);
}

/* What this rank does, in case that is all that can be said. */
static void describe_self(const struct watch *w, char *out, size_t size)
{
	if (w->peer == TRANSPORT_ANY)
		snprintf(out, size, "%s", w->doing);
	else
		snprintf(out, size, "%s, rank %d on %s waits for node %d", w->doing,
			w->pulse.rank, w->pulse.host, w->peer);
}

static void look(struct watch *w, double now)
{
	uint64_t ended = activity_ended(w->o->activity);
	struct pulse_self self;
	char text[PULSE_TEXT];
	double since, gap = now - w->looked;
	/* Stopped, or in its own work: what others and its own calls took is not known. */
	bool away = gap > w->pulse.stall / 4;

	w->looked = now;
	hear(w, now);
	if (away)
		pulse_absent(&w->pulse, gap);
	if (away || w->moved || ended != w->ended)
		w->since = now;
	w->moved = false;
	w->ended = ended;
	if (w->o->stopped && w->o->stopped(w->o->arg))
		watch_hurry(w);
	since = activity_oldest(
		w->o->activity, now - w->pulse.stall, text, sizeof(text));
	if (since == 0)
		describe_self(w, text, sizeof(text));
	self = (struct pulse_self){.still = w->idle ? 0 : now - w->since,
		.call = since > 0 && !away ? now - since : 0,
		.text = text};
	tell(w, now, &self);
	if (!away)
		say(w, pulse_turn(&w->pulse, now, &self));
}

void watch_turn(struct watch *w)
{
	double now;

	if (!w)
		return;
	now = clock_now();
	if (now - w->looked >= LOOK_S)
		look(w, now);
}

void watch_step(struct watch *w, const struct transport *t, bool moved, int peer)
{
	if (!w)
		return;
	w->moved |= moved;
	/* As nodes are counted. */
	w->peer = t->size == w->t->size ? peer : TRANSPORT_ANY;
	/* Who is always the last to come waits but once, and has little else to do then. */
	if (moved || ++w->steps % STEPS == 0)
		watch_turn(w);
}
