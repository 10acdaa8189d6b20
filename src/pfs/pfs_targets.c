/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of targets. What a client says of one target stands in several places, and once
 * more for each mount of the same file system: the list is sorted and equal indices are
 * folded at the end.
 */
#include <errno.h>
#include <stdlib.h>

#include "pfs/pfs_internal.h"

void pfs_list_release(struct pfs_list *l)
{
	int saved = errno;

	free(l->v);
	*l = (struct pfs_list){0};
	errno = saved;
}

int pfs_list_add(struct pfs_list *l, const struct pfs_target *t)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct pfs_target *more = reallocarray(l->v, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->v = more;
		l->cap = cap;
	}
	l->v[l->n++] = *t;
	return 0;
}

static int by_index(const void *a, const void *b)
{
	const struct pfs_target *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static void fold(struct pfs_target *to, const struct pfs_target *from)
{
	unsigned unknown = to->state & from->state & PFS_UNKNOWN;

	if (to->state & PFS_UNKNOWN) {
		to->total = from->total;
		to->avail = from->avail;
	}
	to->state = ((to->state | from->state) & ~(unsigned)PFS_UNKNOWN) | unknown;
}

int pfs_list_finish(struct pfs_list *l, struct pfs_targets **out)
{
	struct pfs_targets *t;
	bool known = false;

	for (size_t i = 0; i < l->n; i++)
		known = known || !(l->v[i].state & PFS_UNKNOWN);
	if (!known)
		return 0;
	t = calloc(1, sizeof(*t) + l->n * sizeof(t->target[0]));
	if (!t)
		return -ENOMEM;
	qsort(l->v, l->n, sizeof(*l->v), by_index);
	for (size_t i = 0; i < l->n; i++)
		if (t->count && t->target[t->count - 1].index == l->v[i].index)
			fold(&t->target[t->count - 1], &l->v[i]);
		else
			t->target[t->count++] = l->v[i];
	*out = t;
	return 1;
}

bool pfs_target_usable(const struct pfs_target *t)
{
	const unsigned bad = PFS_DEGRADED | PFS_READONLY | PFS_NOCREATE | PFS_NOSPACE |
			     PFS_NOINODES | PFS_INACTIVE | PFS_UNKNOWN;

	return !(t->state & bad) && t->avail > 0;
}
