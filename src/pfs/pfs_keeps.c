/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a file came out as was wished: what a file system was asked for it need not do. */
#include <string.h>

#include "pfs/pfs_internal.h"

/* The part of @l that is component @rule, or all where @rule is that. */
static const struct pfs_part *find_part(
	const struct pfs_layout *l, const struct pfs_rule *rule, bool composite)
{
	uint32_t k = 0;

	while (composite && k < l->n_parts && l->parts[k].start < rule->start)
		k++;
	if (k == l->n_parts || (!composite && l->n_parts != 1))
		return NULL;
	return l->parts[k].start == rule->start && l->parts[k].end == rule->end
		       ? &l->parts[k]
		       : NULL;
}

static bool is_on(const struct pfs_layout *l, const struct pfs_part *p,
	const uint32_t *osts, uint32_t count)
{
	return p && p->stripe_count == count &&
	       (!osts || memcmp(l->osts + p->first, osts, count * sizeof(*osts)) == 0);
}

bool pfs_layout_keeps(const struct pfs_layout *l, const struct pfs_stripes *wish)
{
	static const struct pfs_rule all = {.end = UINT64_MAX};
	const struct pfs_policy *policy = wish->policy;
	const struct pfs_part *p =
		find_part(l, policy ? &policy->rule[wish->rule] : &all, policy != NULL);

	if (!is_on(l, p, wish->osts, wish->count) ||
		(wish->size && p->stripe_size != wish->size))
		return false;
	return !wish->also_osts ||
	       is_on(l, find_part(l, &policy->rule[wish->also], true), wish->also_osts,
		       pfs_also_count(wish));
}
