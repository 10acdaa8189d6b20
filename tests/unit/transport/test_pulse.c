/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks on a clock of their own, whose words take a moment, or are lost. */
#include "transport/pulse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define RANKS 1000
#define STALL 30.0
#define TICK  0.5
#define SAID  8

struct net {
	int size;
	double now;
	struct pulse pulse[RANKS];
	bool stopped[RANKS];
	double call[RANKS]; /* since when one takes long; 0: none does */
	double moved[RANKS];
	uint64_t words;
	/* What was said, by whom. */
	struct {
		int by;
		enum pulse_say what;
		struct pulse_trouble t;
		double at;
	} said[SAID];
	unsigned n_said;
};

static struct net *new_net(int size, double end)
{
	struct net *n = calloc(1, sizeof(*n));

	CU_ASSERT_FATAL(n != NULL);
	n->size = size;
	n->now = 1000;
	for (int i = 0; i < size; i++) {
		char host[16];

		snprintf(host, sizeof(host), "n%d", i);
		/* Ranks as people know them are others here. */
		pulse_init(&n->pulse[i],
			&(struct pulse_who){
				.at = i, .size = size, .rank = 10 * i, .host = host},
			STALL, end, n->now);
		n->moved[i] = n->now;
	}
	return n;
}

static struct pulse_self self_of(const struct net *n, int i)
{
	return (struct pulse_self){.still = n->now - n->moved[i],
		.call = n->call[i] > 0 ? n->now - n->call[i] : 0,
		.text = n->call[i] > 0 ? "reading /a" : "streaming"};
}

static void note(struct net *n, int by, enum pulse_say what)
{
	const struct pulse *p = &n->pulse[by];

	if (what == PULSE_NOTHING)
		return;
	CU_ASSERT_FATAL(n->n_said < SAID);
	n->said[n->n_said].by = by;
	n->said[n->n_said].what = what;
	n->said[n->n_said].t = what == PULSE_GOES ? p->gone : p->said;
	n->said[n->n_said++].at = n->now;
}

/* @moves: all ranks get something done, but those that are stopped or in a call. */
static void run(struct net *n, double seconds, bool moves)
{
	double until = n->now + seconds;
	struct pulse_word w;

	for (; n->now < until; n->now += TICK) {
		for (int i = 0; i < n->size; i++) {
			struct pulse_self self;

			if (n->stopped[i])
				continue;
			if (moves && n->call[i] <= 0)
				n->moved[i] = n->now;
			self = self_of(n, i);
			if (pulse_due(&n->pulse[i], n->now, &self, &w)) {
				n->words++;
				if (!n->stopped[n->pulse[i].up])
					pulse_heard(&n->pulse[n->pulse[i].up], n->now,
						i, &w);
			}
			note(n, i, pulse_turn(&n->pulse[i], n->now, &self));
			if (n->n_said && n->said[n->n_said - 1].what == PULSE_END)
				return;
		}
	}
}

static void check_said(
	const struct net *n, unsigned k, enum pulse_say what, int kind, int rank)
{
	char host[16];

	CU_ASSERT_FATAL(k < n->n_said);
	CU_ASSERT_EQUAL(n->said[k].what, what);
	CU_ASSERT_EQUAL(n->said[k].t.kind, kind);
	CU_ASSERT_EQUAL(n->said[k].t.rank, 10 * rank);
	snprintf(host, sizeof(host), "n%d", rank);
	CU_ASSERT_STRING_EQUAL(n->said[k].t.host, host);
}

static void who_moves_says_nothing_and_costs_little(void)
{
	static const int sizes[] = {1, 2, 3, 7, 64, 1000};

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct net *n = new_net(sizes[s], 0);

		run(n, 10 * STALL, true);
		CU_ASSERT_EQUAL(n->n_said, 0);
		/* A word in a second, and the first one. */
		CU_ASSERT(n->words <= (uint64_t)sizes[s] * (10 * (unsigned)STALL + 2));
		free(n);
	}
}

static void a_silent_rank_is_named_once_by_one_wherever_it_is(void)
{
	static const int sizes[] = {2, 3, 8, 13, 300};

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		int step = sizes[s] > 20 ? 37 : 1;

		for (int i = 0; i < sizes[s]; i += step) {
			struct net *n = new_net(sizes[s], 0);

			run(n, 50, true);
			n->stopped[i] = true;
			run(n, 100, false);
			CU_ASSERT_EQUAL(n->n_said, 1);
			check_said(n, 0, PULSE_STANDS, PULSE_SILENT, i);
			CU_ASSERT_EQUAL(n->said[0].by, i ? 0 : 1);
			/* In time, wherever in the tree. */
			CU_ASSERT(n->said[0].at - 1050 < STALL + 6 + 10 * TICK);
			n->stopped[i] = false;
			pulse_absent(&n->pulse[i], 100);
			run(n, 100, true);
			CU_ASSERT_EQUAL(n->n_said, 2);
			check_said(n, 1, PULSE_GOES, PULSE_SILENT, i);
			CU_ASSERT_DOUBLE_EQUAL(n->said[1].t.age, 100, 8);
			free(n);
		}
	}
}

static void a_call_that_does_not_come_back_is_named(void)
{
	for (int i = 0; i < 13; i++) {
		struct net *n = new_net(13, 0);

		run(n, 50, true);
		n->call[i] = n->now;
		run(n, 100, false);
		CU_ASSERT_EQUAL(n->n_said, 1);
		check_said(n, 0, PULSE_STANDS, PULSE_CALL, i);
		CU_ASSERT_STRING_EQUAL(n->said[0].t.text, "reading /a");
		CU_ASSERT_EQUAL(n->said[0].by, 0);
		CU_ASSERT(n->said[0].t.age >= STALL);
		n->call[i] = 0;
		run(n, 100, true);
		CU_ASSERT_EQUAL(n->n_said, 2);
		check_said(n, 1, PULSE_GOES, PULSE_CALL, i);
		free(n);
	}
}

/* The call was there first; when it is over the other one is named. */
static void of_several_the_one_that_began_first_is_named(void)
{
	struct net *n = new_net(64, 0);

	run(n, 50, true);
	n->call[45] = n->now;
	run(n, 10, false);
	n->stopped[22] = true;
	run(n, 100, false);
	CU_ASSERT_EQUAL(n->n_said, 1);
	check_said(n, 0, PULSE_STANDS, PULSE_CALL, 45);
	n->call[45] = 0;
	run(n, 20, false);
	CU_ASSERT_EQUAL(n->n_said, 2);
	check_said(n, 1, PULSE_STANDS, PULSE_SILENT, 22);
	free(n);
}

/* All are well and wait: what can be said is what the first rank does. */
static void nothing_moves_and_nobody_knows_why(void)
{
	struct net *n = new_net(100, 0);

	run(n, 50, true);
	run(n, 2 * STALL, false);
	CU_ASSERT_EQUAL(n->n_said, 1);
	check_said(n, 0, PULSE_STANDS, PULSE_NOBODY, 0);
	CU_ASSERT_STRING_EQUAL(n->said[0].t.text, "streaming");
	/* Then somebody is found who does not come back. */
	n->stopped[67] = true;
	run(n, 2 * STALL, false);
	CU_ASSERT_EQUAL(n->n_said, 2);
	check_said(n, 1, PULSE_STANDS, PULSE_SILENT, 67);
	free(n);
}

/* One rank at work is progress for all of them. */
static void who_waits_for_work_that_goes_on_says_nothing(void)
{
	struct net *n = new_net(100, 0);

	for (int k = 0; k < 400; k++) {
		n->moved[99] = n->now;
		run(n, 1, false);
	}
	CU_ASSERT_EQUAL(n->n_said, 0);
	free(n);
}

static void the_run_is_ended_in_time(void)
{
	for (int i = 0; i < 8; i++) {
		struct net *n = new_net(8, 90);

		run(n, 50, true);
		n->stopped[i] = true;
		run(n, 500, false);
		CU_ASSERT_EQUAL(n->n_said, 2);
		check_said(n, 0, PULSE_STANDS, PULSE_SILENT, i);
		check_said(n, 1, PULSE_END, PULSE_SILENT, i);
		CU_ASSERT(n->said[1].at - 1050 >= 90 - STALL / 6);
		CU_ASSERT(n->said[1].at - 1050 < 90 + 10);
		free(n);
	}
}

/* A stop request: less patience from then on. */
static void in_a_hurry_it_is_named_sooner(void)
{
	struct net *n = new_net(8, 0);

	run(n, 50, true);
	n->stopped[5] = true;
	for (int i = 0; i < 8; i++)
		pulse_hurry(&n->pulse[i], 6);
	run(n, 12, false);
	CU_ASSERT_EQUAL(n->n_said, 1);
	check_said(n, 0, PULSE_STANDS, PULSE_SILENT, 5);
	CU_ASSERT_EQUAL(pulse_over(&n->pulse[0]), PULSE_GOES);
	CU_ASSERT_EQUAL(pulse_over(&n->pulse[0]), PULSE_NOTHING);
	free(n);
}

/* What comes from elsewhere must not run over its room. */
static void words_without_an_end_are_cut(void)
{
	struct net *n = new_net(2, 0);
	struct pulse_word w;

	memset(&w, 'x', sizeof(w));
	w.still = 0;
	w.trouble.kind = PULSE_CALL;
	w.trouble.age = 100;
	w.trouble.rank = 3;
	pulse_heard(&n->pulse[0], n->now, 1, &w);
	pulse_heard(&n->pulse[0], n->now, 77, &w);
	CU_ASSERT_EQUAL(
		pulse_turn(&n->pulse[0], n->now, &(struct pulse_self){.text = ""}),
		PULSE_STANDS);
	CU_ASSERT(strlen(n->pulse[0].said.text) < sizeof(w.trouble.text));
	CU_ASSERT(strlen(n->pulse[0].said.host) < sizeof(w.trouble.host));
	free(n);
}

static const struct test tests[] = {
	TEST(who_moves_says_nothing_and_costs_little),
	TEST(a_silent_rank_is_named_once_by_one_wherever_it_is),
	TEST(a_call_that_does_not_come_back_is_named),
	TEST(of_several_the_one_that_began_first_is_named),
	TEST(nothing_moves_and_nobody_knows_why),
	TEST(who_waits_for_work_that_goes_on_says_nothing),
	TEST(the_run_is_ended_in_time),
	TEST(in_a_hurry_it_is_named_sooner),
	TEST(words_without_an_end_are_cut),
};
SUITE("transport_pulse", tests)
