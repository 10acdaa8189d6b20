/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run would read from each OST, for a dry run. Of large files the layouts may be known
 * from planning; of every other file one attribute is asked for, from one node and one
 * after the other: gentle to the metadata server, and slow with very many files, which is
 * why a real run does not do it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/text.h"
#include "pfs/pfs.h"
#include "stage/report.h"

#define LINES	  32 /* OSTs named */
#define PATH_SIZE (2 * MANIFEST_PATH_MAX + 3)

struct osts {
	struct pfs_shares shares;
	uint64_t bytes;	  /* of files whose layout is known */
	uint64_t unknown; /* files whose layout is not */
};

static void release_osts(struct osts *o)
{
	pfs_shares_release(&o->shares);
}

static int add_file(const struct stage *st, uint32_t i, char *path, struct osts *o,
	struct ebt_err *err)
{
	SCOPED_LAYOUT struct pfs_layout *asked = NULL;
	const struct pfs_layout *l = plan_layout_of(&st->b.layouts, i);
	const struct manifest_entry *e = &st->b.m->entries[i];
	const struct manifest_extent whole = {0, e->size};
	const struct manifest_extent *x = e->n_extents ? e->extents : &whole;
	uint32_t n = e->n_extents ? e->n_extents : 1;
	int r = 0;

	if (!l) {
		r = manifest_source_path(st->b.m, i, path, PATH_SIZE);
		if (r >= 0 && pfs_layout_at(PFS_LUSTRE, path, &asked) == 0)
			o->unknown++;
		if (r < 0 || !asked)
			return r < 0 ? r : 0;
		l = asked;
		r = 0;
	}
	for (uint32_t k = 0; k < n && r == 0; k++) {
		r = pfs_shares_add(&o->shares, l, (uint64_t)i + 1, x[k].off,
			x[k].off + x[k].len, err);
		o->bytes += x[k].len;
	}
	return r;
}

static void say_osts(struct buf *b, const struct osts *o)
{
	const struct pfs_shares *s = &o->shares;
	char a[TEXT_SIZE];

	for (size_t i = 0; i < s->count && i < LINES; i++)
		buf_printf(b, "  OST %u: %s in %llu file%s\n", s->share[i].ost,
			text_size((double)s->share[i].bytes, a),
			(unsigned long long)s->share[i].files,
			s->share[i].files == 1 ? "" : "s");
	if (s->count > LINES)
		buf_printf(b, "  ... and %zu more OSTs\n", s->count - LINES);
	if (o->bytes > s->bytes)
		buf_printf(b,
			"  on no OST: %s (on the metadata target, archived or never "
			"written)\n",
			text_size((double)(o->bytes - s->bytes), a));
	if (o->unknown)
		buf_printf(b, "  layout unknown for %llu file%s\n",
			(unsigned long long)o->unknown, o->unknown == 1 ? "" : "s");
}

static int list_osts(
	const struct pfs_shares *s, struct ebt_stage_report *rep, struct ebt_err *err)
{
	rep->ost = calloc(s->count + 1, sizeof(*rep->ost));
	if (!rep->ost)
		return ebt_fail(err, -ENOMEM, "report");
	for (size_t i = 0; i < s->count; i++)
		rep->ost[i] = (struct ebt_stage_ost){.index = s->share[i].ost,
			.bytes = s->share[i].bytes,
			.files = s->share[i].files};
	rep->osts = (uint32_t)s->count;
	return 0;
}

int stage_describe_osts(const struct stage *st, struct buf *b,
	struct ebt_stage_report *rep, struct ebt_err *err)
{
	SCOPED_FREE char *path = NULL;
	SCOPED(release_osts) struct osts o = {0};
	const struct manifest *m = st->b.m;
	int r = 0;

	if (m->n_sources == 0 || pfs_probe(m->sources[0]) != PFS_LUSTRE)
		return 0;
	path = malloc(PATH_SIZE);
	if (!path)
		return ebt_fail(err, -ENOMEM, "layouts");
	for (uint32_t i = 0; i < m->count && r == 0; i++) {
		if (!manifest_moves(st->b.m, st->b.need, i))
			continue;
		r = job_stopped(&st->job, err);
		if (r == 0)
			r = add_file(st, i, path, &o, err);
	}
	if (r < 0)
		return r;
	say_osts(b, &o);
	return list_osts(&o.shares, rep, err);
}
