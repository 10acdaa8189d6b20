/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/pulse.h"

#include <stdio.h>
#include <string.h>

#define WORDS 6	  /* in the time after which a rank counts as silent */
#define EVERY 1.0 /* seconds, at most: patience may end at once, see pulse_hurry */

static void set_stall(struct pulse *p, double stall)
{
	p->stall = stall;
	p->every = stall / WORDS < EVERY ? stall / WORDS : EVERY;
}

static void add_child(struct pulse *p, int at, double now)
{
	/* Nothing is known of it but its place, which is what people know as well, mostly. */
	p->child[p->n_children++] = (struct pulse_child){
		.at = at, .heard = now, .word = {.rank = at, .host = "?"}};
}

void pulse_init(struct pulse *p, const struct pulse_who *who, double stall, double end,
	double now)
{
	int at = who->at;

	memset(p, 0, sizeof(*p));
	p->at = at;
	p->rank = who->rank;
	snprintf(p->host, sizeof(p->host), "%s", who->host);
	p->up = at ? at & (at - 1) : who->size > 1 ? 1 : -1;
	set_stall(p, stall);
	p->end = end;
	p->sent = now - stall;
	for (long k = 1; at + k < who->size && !(at & k); k *= 2)
		add_child(p, (int)(at + k), now);
	if (at == 1)
		add_child(p, 0, now);
}

void pulse_hurry(struct pulse *p, double stall)
{
	if (stall >= p->stall)
		return;
	set_stall(p, stall);
}

void pulse_absent(struct pulse *p, double seconds)
{
	for (unsigned i = 0; i < p->n_children; i++)
		p->child[i].heard += seconds;
}

void pulse_heard(struct pulse *p, double now, int from, const struct pulse_word *w)
{
	for (unsigned i = 0; i < p->n_children; i++) {
		struct pulse_child *c = &p->child[i];

		if (c->at != from)
			continue;
		c->heard = now;
		c->word = *w;
		c->word.host[sizeof(c->word.host) - 1] = '\0';
		c->word.trouble.host[sizeof(c->word.trouble.host) - 1] = '\0';
		c->word.trouble.text[sizeof(c->word.trouble.text) - 1] = '\0';
	}
}

/* Rank 0 is below rank 1 only so that somebody hears when it falls silent. */
static bool is_below(const struct pulse *p, const struct pulse_child *c)
{
	return c->at > p->at;
}

static bool is_silent(const struct pulse *p, const struct pulse_child *c, double now)
{
	return now - c->heard >= p->stall;
}

static struct pulse_trouble silence(const struct pulse_child *c, double now)
{
	struct pulse_trouble t = {
		.kind = PULSE_SILENT, .rank = c->word.rank, .age = now - c->heard};

	memcpy(t.host, c->word.host, sizeof(t.host));
	return t;
}

static void describe(const struct pulse *p, const struct pulse_self *self, int kind,
	double age, struct pulse_trouble *t)
{
	*t = (struct pulse_trouble){.kind = kind, .rank = p->rank, .age = age};
	memcpy(t->host, p->host, sizeof(t->host));
	snprintf(t->text, sizeof(t->text), "%s", self->text);
}

/* The oldest at or below this rank. */
static struct pulse_trouble trouble_of(
	const struct pulse *p, double now, const struct pulse_self *self)
{
	struct pulse_trouble worst = {0}, t;

	if (self->call >= p->stall)
		describe(p, self, PULSE_CALL, self->call, &worst);
	for (unsigned i = 0; i < p->n_children; i++) {
		const struct pulse_child *c = &p->child[i];

		if (!is_below(p, c))
			continue;
		if (is_silent(p, c, now)) {
			t = silence(c, now);
		} else {
			t = c->word.trouble;
			t.age += now - c->heard;
		}
		if (t.kind != PULSE_WELL && t.age > worst.age)
			worst = t;
	}
	return worst;
}

/* Seconds since something moved at or below this rank. Of who is silent nothing is known. */
static double still_of(const struct pulse *p, double now, const struct pulse_self *self)
{
	double still = self->still, t;

	for (unsigned i = 0; i < p->n_children; i++) {
		const struct pulse_child *c = &p->child[i];

		if (!is_below(p, c) || is_silent(p, c, now))
			continue;
		t = c->word.still + now - c->heard;
		if (t < still)
			still = t;
	}
	return still;
}

bool pulse_due(struct pulse *p, double now, const struct pulse_self *self,
	struct pulse_word *out)
{
	struct pulse_trouble t;

	if (p->up < 0)
		return false;
	t = trouble_of(p, now, self);
	if (now - p->sent < p->every && t.kind == p->sent_kind &&
		t.rank == p->sent_rank)
		return false;
	p->sent = now;
	p->sent_kind = t.kind;
	p->sent_rank = t.rank;
	*out = (struct pulse_word){
		.still = still_of(p, now, self), .trouble = t, .rank = p->rank};
	memcpy(out->host, p->host, sizeof(out->host));
	return true;
}

static struct pulse_trouble what_to_say(
	const struct pulse *p, double now, const struct pulse_self *self)
{
	struct pulse_trouble t = {0};
	double still;

	if (p->at == 1) {
		const struct pulse_child *first = &p->child[p->n_children - 1];

		return is_silent(p, first, now) ? silence(first, now) : t;
	}
	if (p->at > 1)
		return t;
	t = trouble_of(p, now, self);
	still = still_of(p, now, self);
	/* A little later than what could be the cause. */
	if (t.kind == PULSE_WELL && still >= p->stall + p->stall / WORDS)
		describe(p, self, PULSE_NOBODY, still, &t);
	return t;
}

enum pulse_say pulse_over(struct pulse *p)
{
	if (p->said.kind == PULSE_WELL)
		return PULSE_NOTHING;
	p->gone = p->said;
	p->said = (struct pulse_trouble){0};
	return PULSE_GOES;
}

enum pulse_say pulse_turn(struct pulse *p, double now, const struct pulse_self *self)
{
	struct pulse_trouble t = what_to_say(p, now, self);
	/* Whether it is heard of or not: what it stands in is known already. */
	bool same = t.rank == p->said.rank &&
		    (t.kind == PULSE_NOBODY) == (p->said.kind == PULSE_NOBODY);

	if (t.kind == PULSE_WELL)
		return pulse_over(p);
	if (p->said.kind == PULSE_WELL || !same) {
		p->said = t;
		return PULSE_STANDS;
	}
	if (t.age > p->said.age)
		p->said.age = t.age;
	if (p->end <= 0 || p->said.age < p->end)
		return PULSE_NOTHING;
	p->end = 0;
	return PULSE_END;
}
