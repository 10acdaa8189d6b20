/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "drain/quota.h"

static enum quota_says judge_limit(
	const struct fsio_limit *l, uint64_t more, uint64_t in_work, int64_t now)
{
	uint64_t left = l->hard > l->used ? l->hard - l->used : 0;

	if (!l->hard && !l->soft)
		return QUOTA_NONE;
	if (l->hard && left < more)
		return QUOTA_REACHED;
	if (l->soft && l->used > l->soft && l->until && l->until <= now)
		return QUOTA_REACHED;
	return l->hard && left < in_work ? QUOTA_NEAR : QUOTA_ROOM;
}

enum quota_says quota_judge(
	int r, const struct fsio_quota *q, const struct quota_need *need)
{
	enum quota_says bytes, inodes;

	if (r)
		return r < 0 ? QUOTA_UNKNOWN : QUOTA_NONE;
	bytes = judge_limit(&q->bytes, need->bytes, need->in_work, need->now);
	inodes = judge_limit(&q->inodes, 1, 1, need->now);
	return bytes > inodes ? bytes : inodes;
}

unsigned quota_whose(int code, const enum quota_says says[QUOTA_TYPES])
{
	enum quota_says most = QUOTA_NONE;
	unsigned whose = 0, n = 0;

	/* That has other causes too, nearly always. */
	if (code == -ENOSPC)
		return says[FSIO_QUOTA_PROJECT] == QUOTA_REACHED
			       ? 1u << FSIO_QUOTA_PROJECT
			       : 0;
	for (int i = 0; i < QUOTA_TYPES; i++)
		most = says[i] > most ? says[i] : most;
	for (int i = 0; i < QUOTA_TYPES; i++) {
		if (says[i] != most)
			continue;
		whose |= 1u << i;
		n++;
	}
	/* The only one that it can be; where nobody tells anything there are several. */
	if (most == QUOTA_NONE || (n > 1 && most != QUOTA_REACHED))
		return 0;
	return whose;
}

bool quota_covers(
	int code, unsigned whose, const struct quota_of *a, const struct quota_of *b)
{
	/* Of several that are used up each is enough: the one that most falls under. */
	for (int i = 0; i < QUOTA_TYPES; i++) {
		if (whose >> i & 1)
			return a->id[i] == b->id[i];
	}
	if (code == -ENOSPC)
		return a->id[FSIO_QUOTA_PROJECT] == b->id[FSIO_QUOTA_PROJECT];
	return memcmp(a, b, sizeof(*a)) == 0;
}
