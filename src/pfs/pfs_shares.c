/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes an OST. The stripe of an offset is (offset / size) mod count with the offset in the
 * file, also in a component that starts later: lov_offset.c of Lustre does not subtract its
 * start. So the share of a stripe in [a, b) is what it has below b less what it has below a,
 * and the cost does not grow with the size of the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pfs/pfs.h"

void pfs_shares_release(struct pfs_shares *s)
{
	int saved = errno;

	free(s->share);
	*s = (struct pfs_shares){0};
	errno = saved;
}

/* Bytes of stripe @i in [0, end). */
static uint64_t below(const struct pfs_part *p, uint32_t i, uint64_t end)
{
	uint64_t round = (uint64_t)p->stripe_size * p->stripe_count;
	uint64_t rest = end % round, before = (uint64_t)i * p->stripe_size;
	uint64_t sum = end / round * p->stripe_size;

	if (rest > before)
		sum += rest - before < p->stripe_size ? rest - before : p->stripe_size;
	return sum;
}

static struct pfs_share *share_of(struct pfs_shares *s, uint32_t ost)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->share[mid].ost < ost)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < s->count && s->share[lo].ost == ost)
		return &s->share[lo];
	if (s->count == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct pfs_share *more = reallocarray(s->share, cap, sizeof(*more));

		if (!more)
			return NULL;
		s->share = more;
		s->cap = cap;
	}
	memmove(&s->share[lo + 1], &s->share[lo], (s->count - lo) * sizeof(*s->share));
	s->count++;
	s->share[lo] = (struct pfs_share){.ost = ost};
	return &s->share[lo];
}

int pfs_shares_add(struct pfs_shares *s, const struct pfs_layout *l, uint64_t file,
	uint64_t start, uint64_t end, struct ebt_err *err)
{
	for (uint32_t i = 0; i < l->n_parts; i++) {
		const struct pfs_part *p = &l->parts[i];
		uint64_t a = start > p->start ? start : p->start;
		uint64_t b = end < p->end ? end : p->end;

		for (uint32_t k = 0; a < b && k < p->stripe_count; k++) {
			uint64_t bytes = below(p, k, b) - below(p, k, a);
			struct pfs_share *share;

			if (bytes == 0)
				continue;
			share = share_of(s, l->osts[p->first + k]);
			if (!share)
				return ebt_fail(
					err, -ENOMEM, "OST %u", l->osts[p->first + k]);
			share->bytes += bytes;
			share->files += share->last != file;
			share->last = file;
			s->bytes += bytes;
		}
	}
	return 0;
}
