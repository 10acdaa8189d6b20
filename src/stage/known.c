/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/known.h"

#include <limits.h>

#include "stage/stage_internal.h"

bool stage_compares(const struct stage *st)
{
	return st->store && (st->o->overwrite == EBT_OVERWRITE_AUTO ||
				    st->o->overwrite == EBT_OVERWRITE_UPDATE);
}

int stage_know(struct stage *st, struct ebt_err *err)
{
	int r = st->knows_old ? 0 : store_manifest(st->store, &st->old, err);

	st->knows_old = r == 0;
	return r;
}

const struct manifest_entry *known_entry(
	const struct manifest *old, const struct manifest *m, uint32_t i)
{
	char path[PATH_MAX];
	uint32_t at;

	if (!old || manifest_path(m, i, path, sizeof(path)) < 0)
		return NULL;
	at = manifest_find(old, path);
	return at == MANIFEST_NONE || old->entries[at].kind != m->entries[i].kind
		       ? NULL
		       : &old->entries[at];
}

bool known_same(const struct manifest_entry *was, const struct manifest_entry *e)
{
	return was->size == e->size && was->mtime == e->mtime &&
	       was->mtime_ns == e->mtime_ns;
}

const struct manifest_entry *known_file(
	const struct manifest *old, const struct manifest *m, uint32_t i)
{
	const struct manifest_entry *e = &m->entries[i], *was = known_entry(old, m, i);

	return was && known_same(was, e) ? was : NULL;
}

struct ebt_digest known_digest(
	const struct manifest *old, const struct manifest_entry *was)
{
	return was->group == MANIFEST_NONE ? was->digest
					   : old->entries[was->group].digest;
}
