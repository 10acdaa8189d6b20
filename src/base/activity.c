/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/activity.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/scope.h"
#include "base/text.h"

#define NAME 200 /* bytes of a name in a message */

void activity_init(struct activity *a)
{
	*a = (struct activity){0};
	pthread_mutex_init(&a->lock, NULL);
}

void activity_destroy(struct activity *a)
{
	pthread_mutex_destroy(&a->lock);
}

void activity_begin(struct activity *a, struct activity_call *c, const char *what,
	activity_name_fn *name, const void *arg, uint64_t index)
{
	*c = (struct activity_call){.what = what,
		.name = name,
		.arg = arg,
		.index = index,
		.since = clock_now(),
		.under_way = a != NULL};
	if (!a)
		return;
	SCOPED_LOCK(&a->lock);
	c->next = a->first;
	c->prev = &a->first;
	if (a->first)
		a->first->prev = &c->next;
	a->first = c;
}

void activity_end(struct activity *a, struct activity_call *c)
{
	if (!a || !c->under_way)
		return;
	c->under_way = false;
	SCOPED_LOCK(&a->lock);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	a->ended++;
}

void activity_text(const void *arg, uint64_t index, char *out, size_t size)
{
	char name[512];

	snprintf(out, size, "%s", text_name(arg, name, sizeof(name)));
}

uint64_t activity_ended(struct activity *a)
{
	SCOPED_LOCK(&a->lock);
	return a->ended;
}

double activity_oldest(struct activity *a, double before, char *out, size_t size)
{
	const struct activity_call *oldest = NULL;
	char name[NAME];
	SCOPED_LOCK(&a->lock);

	for (const struct activity_call *c = a->first; c; c = c->next) {
		if (c->since < before && (!oldest || c->since < oldest->since))
			oldest = c;
	}
	if (!oldest)
		return 0;
	oldest->name(oldest->arg, oldest->index, name, sizeof(name));
	snprintf(out, size, "%s %s", oldest->what, name);
	return oldest->since;
}
