/* SPDX-License-Identifier: BSD-3-Clause */
#include "drain/move/health.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

int health_init(struct health *h, const struct place *p, uint32_t n_targets,
	const struct log *log, struct ebt_err *err)
{
	pthread_mutex_init(&h->lock, NULL);
	h->place = p;
	h->log = log;
	h->n = n_targets;
	h->target = calloc(n_targets + 1, sizeof(*h->target));
	h->bad = calloc(n_targets + 1, sizeof(*h->bad));
	h->why = calloc(n_targets + 1, sizeof(*h->why));
	return h->target && h->bad && h->why ? 0 : ebt_fail(err, -ENOMEM, "targets");
}

void health_release(struct health *h)
{
	if (!h->place)
		return;
	free(h->target);
	free(h->bad);
	free(h->why);
	pthread_mutex_destroy(&h->lock);
}

void health_begin(
	struct health *h, uint32_t target, uint64_t bytes, struct health_op *op)
{
	struct health_target *t = &h->target[target];
	SCOPED_LOCK(&h->lock);

	*op = (struct health_op){.next = t->ops,
		.prev = &t->ops,
		.began = clock_now(),
		.bytes = bytes,
		.target = target};
	if (t->ops)
		t->ops->prev = &op->next;
	t->ops = op;
}

void health_end(struct health *h, struct health_op *op)
{
	struct health_target *t = &h->target[op->target];
	SCOPED_LOCK(&h->lock);

	*op->prev = op->next;
	if (op->next)
		op->next->prev = op->prev;
	t->busy += clock_now() - op->began;
	t->bytes += op->bytes;
}

void health_wrote(struct health *h, uint32_t target)
{
	SCOPED_LOCK(&h->lock);
	h->target[target].objects++;
}

bool health_is_bad(struct health *h, uint32_t target)
{
	SCOPED_LOCK(&h->lock);
	return h->bad[target];
}

bool health_is_late(struct health *h, uint32_t target)
{
	double now = clock_now(), busy = 0, limit;
	uint64_t objects = 0;
	SCOPED_LOCK(&h->lock);

	for (uint32_t i = 0; i < h->n; i++) {
		busy += h->target[i].busy;
		objects += h->target[i].objects;
	}
	if (objects < HEALTH_OBJECTS)
		return false;
	limit = HEALTH_LATE * busy / (double)objects;
	if (limit < HEALTH_LATE_S)
		limit = HEALTH_LATE_S;
	for (const struct health_op *op = h->target[target].ops; op; op = op->next) {
		if (now - op->began > limit)
			return true;
	}
	return false;
}

bool health_is_proven(struct health *h, uint32_t target)
{
	const struct health_target *t = &h->target[target];
	double limit;
	SCOPED_LOCK(&h->lock);

	limit = HEALTH_LATE * h->pace * (double)t->bytes;
	if (limit < HEALTH_LATE_S * (double)t->objects)
		limit = HEALTH_LATE_S * (double)t->objects;
	return t->objects && t->busy <= limit;
}

static void mark_locked(struct health *h, uint32_t target, enum health_why why)
{
	if (h->bad[target] || h->passive)
		return;
	h->bad[target] = true;
	h->why[target] = (uint8_t)why;
}

void health_mark(struct health *h, uint32_t target, enum health_why why)
{
	SCOPED_LOCK(&h->lock);
	mark_locked(h, target, why);
}

/*
 * Seconds a byte elsewhere: of all nodes, which a slow target among them raises a little, or
 * of the other targets here as long as no round has told. 0: nothing is known.
 */
static double pace_locked(const struct health *h, uint32_t without)
{
	double busy = 0;
	uint64_t bytes = 0;

	if (h->pace > 0)
		return h->pace;
	for (uint32_t i = 0; i < h->n; i++) {
		if (i == without)
			continue;
		busy += h->target[i].busy;
		bytes += h->target[i].bytes;
	}
	return bytes < HEALTH_BYTES ? 0 : busy / (double)bytes;
}

/* The last target that works is better than none, however slow. */
static uint32_t healthy_locked(const struct health *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->n; i++)
		n += !h->bad[i];
	return n;
}

void health_look(struct health *h)
{
	double now = clock_now(), pace;
	uint32_t healthy;
	SCOPED_LOCK(&h->lock);

	healthy = healthy_locked(h);
	for (uint32_t i = 0; i < h->n && healthy >= 2; i++) {
		const struct health_target *t = &h->target[i];

		/* Nothing was ever written there, and nothing is. */
		if (h->bad[i] || (!t->ops && !t->objects))
			continue;
		pace = pace_locked(h, i);
		if (pace <= 0)
			continue;
		if (t->objects >= HEALTH_SEVERAL &&
			t->busy > HEALTH_LATE_S * (double)t->objects +
					  HEALTH_FACTOR * pace * (double)t->bytes)
			mark_locked(h, i, HEALTH_SLOW);
		for (const struct health_op *op = t->ops; op; op = op->next) {
			if (now - op->began <=
				HEALTH_GRACE + HEALTH_FACTOR * pace * (double)op->bytes)
				continue;
			mark_locked(h, i, HEALTH_SLOW);
			break;
		}
		healthy -= h->bad[i];
	}
}

bool health_replace(struct health *h, const struct place *p, uint32_t *targets,
	uint32_t n, uint64_t bytes, uint64_t *changed)
{
	SCOPED_LOCK(&h->lock);

	for (uint32_t i = 0; i < n; i++) {
		struct place_ask ask = {
			.bad = h->bad, .taken = targets, .n_taken = n, .bytes = bytes};
		uint32_t to;

		if (!h->bad[targets[i]])
			continue;
		ask.counter = h->counter++;
		to = place_substitute(p, &ask);
		/* Wider than what is left: two stripes may not share a target. */
		if (to == PLACE_NONE)
			return false;
		targets[i] = to;
		++*changed;
	}
	return true;
}

uint32_t health_good(
	struct health *h, const struct place *p, uint32_t *targets, uint32_t n)
{
	uint32_t found = 0, first;
	SCOPED_LOCK(&h->lock);

	first = h->n ? (uint32_t)(h->counter++ % h->n) : 0;
	for (uint32_t k = 0; k < h->n; k++) {
		uint32_t i = (first + k) % h->n;

		if (h->bad[i] || !place_has(p, i))
			continue;
		if (targets && found == n)
			break;
		if (targets)
			targets[found] = i;
		found++;
	}
	return found;
}

void health_votes(struct health *h, uint64_t *votes, uint64_t *busy_us, uint64_t *bytes)
{
	double busy = 0;
	SCOPED_LOCK(&h->lock);

	*bytes = 0;
	for (uint32_t i = 0; i < h->n; i++) {
		votes[i] = h->why[i] ? 1ull << (12 * (h->why[i] - 1)) : 0;
		if (h->bad[i])
			continue;
		busy += h->target[i].busy;
		*bytes += h->target[i].bytes;
	}
	*busy_us = (uint64_t)(busy * 1e6);
}

static enum health_why reason_of(uint64_t votes)
{
	int why = HEALTH_LYING;

	while (why > HEALTH_SLOW && !(votes >> (12 * (why - 1)) & 0xfff))
		why--;
	return (enum health_why)why;
}

void health_learn(struct health *h, const uint64_t *votes, uint64_t busy_us,
	uint64_t bytes, bool says)
{
	static const char *const text[] = {[HEALTH_SLOW] = "much slower than others",
		[HEALTH_FAILING] = "failing",
		[HEALTH_READONLY] = "read-only",
		[HEALTH_FULL] = "full",
		[HEALTH_LYING] = "giving back other bytes than were written"};
	SCOPED_LOCK(&h->lock);

	for (uint32_t i = 0; i < h->n; i++) {
		if (!votes[i])
			continue;
		h->bad[i] = true;
		if (says && !h->target[i].told)
			log_warn(h->log, "target %u is %s: what is left goes elsewhere",
				place_index(h->place, i), text[reason_of(votes[i])]);
		h->target[i].told = true;
	}
	h->pace = bytes < HEALTH_BYTES ? 0 : (double)busy_us * 1e-6 / (double)bytes;
}
