/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be set at the start and while it runs: words of the form name=value, and after
 * "ost=LIST" what befalls these OSTs. A line is checked as it is carried out; words before a
 * wrong one have been obeyed.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "base/text.h"
#include "clock.h"
#include "emul.h"

struct context {
	struct emul *e;
	bool *chosen; /* by ost=; NULL before that */
	struct ebt_err err;
};

/* @chosen is zeros before. */
static int parse_osts(const char *list, unsigned n, bool *chosen)
{
	if (strcmp(list, "all") == 0) {
		memset(chosen, true, n * sizeof(bool));
		return 0;
	}
	do {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list)
			return -EINVAL;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (first > last || last >= n || (*end && *end != ','))
			return -EINVAL;
		while (first <= last)
			chosen[first++] = true;
		list = *end ? end + 1 : end;
	} while (*list);
	return 0;
}

static int choose_osts(struct context *x, const char *list)
{
	unsigned n = x->e->n_osts;

	if (!x->chosen)
		x->chosen = calloc(n, sizeof(bool));
	if (!x->chosen)
		return -ENOMEM;
	memset(x->chosen, 0, n * sizeof(bool));
	return parse_osts(list, n, x->chosen);
}

/* "NAME:LIST". A pool that is there already gets other members. */
static int set_pool(struct emul *e, char *value)
{
	char *list = value;
	const char *name = strsep(&list, ":");
	SCOPED_FREE bool *has = calloc(e->n_osts, sizeof(bool));
	struct pool *pool;
	int r;

	if (!has)
		return -ENOMEM;
	if (!list || !*name || strlen(name) >= LOV_POOL_NAME || strchr(name, '/'))
		return -EINVAL;
	r = parse_osts(list, e->n_osts, has);
	if (r < 0)
		return r;
	pool = pool_find(e, name);
	if (!pool && e->n_pools == EMUL_POOLS)
		return -EINVAL;
	if (pool) {
		memcpy(pool->has, has, e->n_osts * sizeof(bool));
		return 0;
	}
	pool = &e->pool[e->n_pools];
	strcpy(pool->name, name);
	pool->has = TAKE(has);
	e->n_pools++;
	return 0;
}

/* A number above 0, or "none" for 0. */
static int get_rate(struct context *x, const char *v, double *out)
{
	if (strcmp(v, "none") == 0) {
		*out = 0;
		return 0;
	}
	return text_parse_rate(v, out, &x->err);
}

static int set_ost(struct context *x, const char *word, const char *value)
{
	static const struct {
		const char *name;
		unsigned fault;
	} faults[] = {{"full", OST_FULL}, {"readonly", OST_READONLY},
		{"degraded", OST_DEGRADED}, {"inactive", OST_INACTIVE},
		{"failing", OST_FAILING}};
	bool healthy = strcmp(word, "healthy") == 0, slower = strcmp(word, "slow") == 0;
	bool rate = strcmp(word, "rate") == 0, capacity = strcmp(word, "capacity") == 0;
	unsigned fault = 0;
	uint64_t bytes = 0;
	double number = 0;
	char *end;
	int r = 0;

	for (size_t k = 0; k < sizeof(faults) / sizeof(faults[0]); k++)
		if (strcmp(word, faults[k].name) == 0)
			fault = faults[k].fault;
	if (!fault && !healthy && !slower && !rate && !capacity)
		return -ENOENT;
	if (!value != (fault || healthy))
		return -EINVAL;
	if (slower) {
		number = strtod(value, &end);
		if (*end || !(number > 0) || !isfinite(number))
			return -EINVAL;
	} else if (rate) {
		r = get_rate(x, value, &number);
	} else if (capacity) {
		r = text_parse_size(value, &bytes, &x->err);
	}
	for (unsigned k = 0; r == 0 && k < x->e->n_osts; k++) {
		struct ost *o = &x->e->osts[k];
		SCOPED_LOCK(&o->lock);

		if (x->chosen && !x->chosen[k])
			continue;
		o->faults |= fault;
		if (healthy) {
			o->faults = 0;
			o->slow = 1;
		}
		if (slower)
			o->slow = number;
		if (rate)
			o->rate = number;
		if (capacity)
			o->capacity = bytes;
	}
	return r;
}

static int set_switch(struct context *x, const char *word, const char *value)
{
	static const struct {
		const char *name, *value;
		int word;
	} known[] = {{"refuse-layouts", "0", REFUSE_NOT},
		{"refuse-layouts", "1", REFUSE_NOTHING_DONE},
		{"refuse-layouts", "default", REFUSE_DEFAULT},
		{"rename-flags", "0", false}, {"rename-flags", "1", true},
		{"list-lov", "0", false}, {"list-lov", "1", true}, {"lov", "v1", false},
		{"lov", "v3", true}, {"ost-state", "now", false},
		{"ost-state", "stale", true}, {"time-unit", "1ns", 1},
		{"time-unit", "100ns", 100}, {"time-unit", "1us", 1000},
		{"time-unit", "1ms", 1000000}, {"time-unit", "1s", 1000000000}};
	struct emul_switches *sw = &x->e->sw;
	bool seen = false;

	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		if (strcmp(word, known[k].name) != 0)
			continue;
		seen = true;
		if (strcmp(value, known[k].value) != 0)
			continue;
		if (word[0] == 't')
			sw->time_unit = known[k].word;
		else if (word[0] == 'r' && word[2] == 'f')
			sw->refuse = known[k].word;
		else if (word[0] == 'r')
			sw->rename_flags = known[k].word;
		else if (word[0] == 'o')
			sw->state_stale = known[k].word;
		else if (word[1] == 'i')
			sw->list_lov = known[k].word;
		else
			sw->lov_v3 = known[k].word;
		return 0;
	}
	return seen ? -EINVAL : -ENOENT;
}

static int set_model(struct context *x, const char *word, const char *value)
{
	struct emul *e = x->e;
	uint64_t bytes = 0;
	double number = 0;
	int r;

	if (strcmp(word, "mds-rate") == 0) {
		r = get_rate(x, value, &number);
		SCOPED_LOCK(&e->mds.lock);
		if (r == 0)
			e->mds.rate = number;
	} else if (strcmp(word, "mds-latency") == 0) {
		r = text_parse_time(value, &number, &x->err);
		SCOPED_LOCK(&e->mds.lock);
		if (r == 0)
			e->mds.latency = (int64_t)(number * 1e9);
	} else if (strcmp(word, "handover") == 0) {
		r = text_parse_time(value, &number, &x->err);
		if (r == 0)
			e->model.handover = (int64_t)(number * 1e9);
	} else if (strcmp(word, "attr-cache") == 0) {
		r = text_parse_time(value, &number, &x->err);
		if (r == 0) {
			e->attr_cache = (int64_t)(number * 1e9);
			e->forgot = clock_now();
		}
	} else if (strcmp(word, "window") == 0) {
		r = text_parse_size(value, &bytes, &x->err);
		if (r == 0)
			e->model.window = bytes;
	} else if (strcmp(word, "stripe-size") == 0) {
		r = text_parse_size(value, &bytes, &x->err);
		if (r == 0 && (!bytes || bytes % LOV_SIZE_UNIT || bytes > UINT32_MAX))
			r = -EINVAL;
		if (r == 0)
			e->stripe_size = (uint32_t)bytes;
	} else if (strcmp(word, "stripe-count") == 0) {
		r = text_parse_count(value, &bytes, &x->err);
		if (r == 0 && (!bytes || bytes > LOV_MAX_STRIPES))
			r = -EINVAL;
		if (r == 0)
			e->stripe_count = (uint16_t)bytes;
	} else if (strcmp(word, "quota") == 0) {
		r = strcmp(value, "none") == 0
			    ? (bytes = UINT64_MAX, 0)
			    : text_parse_size(value, &bytes, &x->err);
		if (r == 0)
			e->sw.quota = (int64_t)bytes;
	} else {
		r = -ENOENT;
	}
	return r;
}

static int set_one(struct context *x, char *word)
{
	char *value = word;
	int r;

	word = strsep(&value, "=");
	if (strcmp(word, "ost") == 0 && value)
		return choose_osts(x, value);
	if (strcmp(word, "pool") == 0 && value)
		return set_pool(x->e, value);
	if (strcmp(word, "ost-rate") == 0 && value) {
		bool *chosen = TAKE(x->chosen);

		r = set_ost(x, "rate", value);
		x->chosen = chosen;
		return r;
	}
	/* What befalls an OST is never meant for all by mistake. */
	r = x->chosen || strcmp(word, "capacity") == 0 ? set_ost(x, word, value)
						       : -ENOENT;
	if (r == -ENOENT && value)
		r = set_switch(x, word, value);
	if (r == -ENOENT && value)
		r = set_model(x, word, value);
	return r;
}

int settings_apply(struct emul *e, int argc, char **argv, char *why, size_t size)
{
	struct context x = {.e = e};
	int r = 0;

	for (int k = 0; k < argc && r == 0; k++) {
		SCOPED_FREE char *word = strdup(argv[k]);

		if (!word)
			return -ENOMEM;
		r = set_one(&x, word);
		if (r < 0)
			snprintf(why, size, "cannot set \"%s\"%s", argv[k],
				r == -ENOENT && !x.chosen
					? ": not known, or no ost=LIST before it"
					: "");
	}
	free(x.chosen);
	return r < 0 ? -EINVAL : 0;
}
