/* SPDX-License-Identifier: BSD-3-Clause */
/* The locks of all nodes' stores. Tasks of a job array share nodes, so another run may have one. */
#include <limits.h>

#include "base/text.h"
#include "stage/stage_internal.h"

struct locking {
	struct stage *st;
	enum store_use use;
	struct job_claim claim;
	char name[512];
};

static int name_store(struct locking *l, struct ebt_err *err)
{
	struct stage *st = l->st;
	char path[PATH_MAX];
	int r = job_expand(st->o->dest, "DEST", st->job.rank, path, sizeof(path), err);

	if (r == 0)
		r = store_name(path, l->use, &st->store, err);
	if (r == 0)
		l->claim.name = text_name(path, l->name, sizeof(l->name));
	return r;
}

static int take(void *arg, uint64_t *key, struct ebt_err *err)
{
	struct locking *l = arg;
	int r = l->st->store ? 0 : name_store(l, err);

	if (r == 0)
		r = store_lock(l->st->store, err);
	if (l->st->store)
		*key = store_identity(l->st->store);
	return r;
}

static void give_back(void *arg)
{
	struct locking *l = arg;

	store_unlock(l->st->store);
}

int stage_lock_all(struct stage *st, enum store_use use, struct ebt_err *err)
{
	struct locking l = {.st = st, .use = use};

	l.claim = (struct job_claim){.take = take, .give_back = give_back, .arg = &l};
	return job_claim_all(&st->job, &l.claim, err);
}
