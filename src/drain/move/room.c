/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No room: a file system that is full, or a quota that is used up. That is about one file, and
 * others may still fit: smaller ones, and under a quota those of another group. So a file that
 * finds no room is named, and the next one is tried.
 *
 * Not all of them, or 100,000 files would be tried in vain. Where ROOM_TRIES in a row failed,
 * nothing more is tried that is not smaller than the smallest of those that did, which is left
 * out and counted. In whatever order sizes come that soon leaves nothing to try.
 *
 * What falls together is what the file system counts together, as far as it can be told before a
 * file is made. The kernel is asked once whose quota is used up, and that of a group, say, ends what
 * other files of that group there are. Where it does not tell it may be any of the user, the group
 * and the project that the directory gives, so only what has all of these falls together. Both, and
 * space, go by the pool that the file is to lie in as well, which has targets of its own and may
 * have a quota of its own. XFS has no space where a project's quota is used up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drain/move/move.h"

#define ROOM_TRIES 16
#define ROOM_SAID  3 /* failures with a line of their own */

/* What a file would be counted for. */
struct key {
	int code;
	struct quota_of of;
	uint64_t pool; /* 0: there are none */
};

struct room {
	struct room *next;
	struct key key;
	unsigned whose;	    /* quota, as quota_whose has it */
	unsigned in_a_row;  /* failed */
	bool tried;	    /* often enough: larger ones are not */
	uint64_t smallest;  /* bytes, of those that failed */
	uint64_t said, out; /* failures; left out without a try */
};

static uint64_t weight(const struct drain_task *t)
{
	return drain_task_bytes(t, 0, UINT64_MAX);
}

static int by_weight(const void *a, const void *b)
{
	uint64_t x = weight(*(struct drain_task *const *)a),
		 y = weight(*(struct drain_task *const *)b);

	return x < y ? -1 : x > y;
}

void room_sort(struct drain_task **list)
{
	SCOPED_FREE struct drain_task **all = NULL;
	size_t n = 0;

	for (struct drain_task *t = *list; t; t = t->next)
		n++;
	all = calloc(n + 1, sizeof(struct drain_task *));
	if (!all)
		return; /* then in any order */
	n = 0;
	for (struct drain_task *t = *list; t; t = t->next)
		all[n++] = t;
	qsort(all, n, sizeof(struct drain_task *), by_weight);
	for (size_t i = 0; i < n; i++) {
		*list = all[i];
		list = &all[i]->next;
	}
	*list = NULL;
}

/*
 * Of a file made in the directory that the lane has open. By which pools others go nobody says, but
 * those with the same default layout go by the same.
 */
static struct key key_of(struct move_lane *l, const struct drain_task *t, int code)
{
	struct key k = {.code = code};

	if (!l->counted)
		quota_of_dir(l->dirfd, &l->of);
	l->counted = true;
	k.of = l->of;
	if (!l->m->d->at.targets)
		return k;
	k.pool = move_other_layout(l);
	if (!k.pool)
		k.pool = 1 + t->pool;
	return k;
}

static bool falls_under(const struct room *r, const struct key *k)
{
	return r->key.code == k->code && (r->whose || r->key.pool == k->pool) &&
	       quota_covers(k->code, r->whose, &r->key.of, &k->of);
}

bool room_is_used_up(struct move_lane *l, const struct drain_task *t, int *code)
{
	struct move *m = l->m;
	uint64_t bytes = weight(t);
	struct key k;

	/* The usual case costs nothing. */
	if (!__atomic_load_n(&m->rooms, __ATOMIC_ACQUIRE) || move_dir(l, t->e.name) < 0)
		return false;
	k = key_of(l, t, 0);
	SCOPED_LOCK(&m->rooms_lock);
	for (struct room *r = m->rooms; r; r = r->next) {
		k.code = r->key.code;
		if (!r->tried || bytes < r->smallest || !falls_under(r, &k))
			continue;
		r->out++;
		*code = r->key.code;
		return true;
	}
	return false;
}

/* Whose it is is asked once: all that falls under it finds this one. */
static struct room *find_locked(
	struct move_lane *l, const struct key *k, uint64_t bytes)
{
	struct move *m = l->m;
	struct room *r = m->rooms;

	while (r && !falls_under(r, k))
		r = r->next;
	if (r)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL; /* then all are tried */
	*r = (struct room){.next = m->rooms,
		.key = *k,
		.whose =
			quota_ask(l->dirfd, &k->of, k->code, bytes, bytes * m->n_leads),
		.smallest = UINT64_MAX};
	__atomic_store_n(&m->rooms, r, __ATOMIC_RELEASE);
	return r;
}

void room_was_there(struct move_lane *l, const struct drain_task *t)
{
	struct move *m = l->m;
	struct key k;

	if (!__atomic_load_n(&m->rooms, __ATOMIC_ACQUIRE))
		return;
	k = key_of(l, t, 0);
	SCOPED_LOCK(&m->rooms_lock);
	for (struct room *r = m->rooms; r; r = r->next) {
		k.code = r->key.code;
		if (falls_under(r, &k))
			r->in_a_row = 0;
	}
}

void room_was_missing(
	struct move_lane *l, const struct drain_task *t, const struct move_result *res)
{
	struct key k = key_of(l, t, res->code);
	struct move *m = l->m;
	struct ebt_err err = res->err;
	uint64_t bytes = weight(t), said = 0;
	struct quota_of of = k.of;
	struct room *r;
	unsigned by = 0;

	{
		SCOPED_LOCK(&m->rooms_lock);
		r = find_locked(l, &k, bytes);
		if (r) {
			by = r->whose;
			of = r->key.of;
			said = r->said++;
			r->tried |= ++r->in_a_row >= ROOM_TRIES;
			if (bytes < r->smallest)
				r->smallest = bytes;
		}
	}
	if (said >= ROOM_SAID) {
		drain_look_quietly(m->d, EBT_LOOK_MISSING, t->e.name, NULL);
		return;
	}
	quota_add(&err, by, &of);
	drain_look(m->d, EBT_LOOK_MISSING, t->e.name, NULL, "%s", err.text);
}

void room_ends(
	struct move_lane *l, const struct drain_task *t, const struct move_result *res)
{
	struct key k = key_of(l, t, res->code);
	uint64_t bytes = weight(t);
	struct ebt_err err = res->err;

	if (res->code == -EDQUOT || res->code == -ENOSPC)
		quota_add(&err,
			quota_ask(
				l->dirfd, &k.of, k.code, bytes, bytes * l->m->n_leads),
			&k.of);
	move_fail(l->m, res->code, &err);
}

static void tell(const struct drain *d, const struct room *r)
{
	char whose[QUOTA_TEXT], why[QUOTA_TEXT + 64];

	quota_text(r->key.code, r->whose, &r->key.of, whose);
	if (r->whose)
		snprintf(why, sizeof(why), "the %s is used up", whose);
	else if (r->key.code == -EDQUOT)
		snprintf(why, sizeof(why), "a quota is used up (%s)", whose);
	else
		snprintf(why, sizeof(why), "no space left");
	log_say(&d->job.log, LOG_LEVEL_ERROR,
		"%s: %s: %llu outputs are not brought, %llu of them were not tried",
		d->dest.path, why, (unsigned long long)(r->said + r->out),
		(unsigned long long)r->out);
}

void room_close(struct move *m)
{
	struct room *r;

	while ((r = m->rooms)) {
		m->rooms = r->next;
		if (r->said + r->out > ROOM_SAID)
			tell(m->d, r);
		free(r);
	}
}
