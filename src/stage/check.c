/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that is found out before a byte moves: which targets stand in the way, what is
 * needed at all, whether it fits on every node.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "pack/parcel.h"
#include "stage/stage_internal.h"
#include "stage/stream.h"
#include "transport/transport.h"

#define CONFLICTS_NAMED 5
#define ENTRY 512  /* bytes of an entry in a manifest, generously */
#define BLOCK 4096 /* what a file takes at least, and in multiples of, on usual file systems */

int stage_check_conflicts(struct stage *st, struct ebt_err *err)
{
	enum store_overwrite how = (enum store_overwrite)st->o->overwrite;
	char names[700] = "";
	uint64_t n;
	int r;

	r = store_conflicts(st->store, st->m, how, CONFLICTS_NAMED, names, sizeof(names), &n, err);
	if (r <= 0)
		return r;
	/* One line for the report: names are separated by newlines, which text_name never leaves. */
	for (char *p = names; (p = strchr(p, '\n'));)
		*p = p[1] ? ',' : '\0';
	return ebt_failx(err, -EEXIST, "%s: %llu target%s %s: %s%s", store_path(st->store),
		(unsigned long long)n, n == 1 ? "" : "s",
		how == STORE_REFUSE ? "exist already (see --overwrite)"
				    : "cannot be replaced, a directory against something else",
		names, n > CONFLICTS_NAMED ? ", ..." : "");
}

/* The entry of the store's own manifest that holds the content of entry @i, or NULL. */
static const struct manifest_entry *known(const struct manifest *old, const struct manifest *m,
	uint32_t i)
{
	char path[PATH_MAX];
	uint32_t at;

	if (!old || manifest_path(m, i, path, sizeof(path)) < 0)
		return NULL;
	at = manifest_find(old, path);
	if (at == MANIFEST_NONE || old->entries[at].kind != MANIFEST_FILE)
		return NULL;
	if (old->entries[at].group != MANIFEST_NONE)
		at = old->entries[at].group;
	/* Only the file that was brought then: another one may be there under the same name. */
	if (old->entries[at].size != m->entries[i].size ||
		old->entries[at].mtime != m->entries[i].mtime ||
		old->entries[at].mtime_ns != m->entries[i].mtime_ns)
		return NULL;
	return &old->entries[at];
}

/*
 * A file that looks the same but that EBT did not bring has no digest to go by, so it is
 * brought. With it all names of its inode: groups are needed whole.
 */
static void need_unknown(struct stage *st, const struct manifest *old)
{
	for (uint32_t i = 0; i < st->m->count; i++) {
		if (manifest_moves(st->m, NULL, i) && !manifest_needed(st->need, i) &&
			!known(old, st->m, i))
			manifest_need(st->need, i);
	}
	for (uint32_t i = 0; i < st->m->count; i++) {
		uint32_t head = st->m->entries[i].group;

		if (head != MANIFEST_NONE && manifest_needed(st->need, head))
			manifest_need(st->need, i);
	}
}

static int compare_here(struct stage *st, struct manifest **old, struct ebt_err *err)
{
	int r;

	st->need = calloc((size_t)st->m->count / 64 + 1, sizeof(*st->need));
	if (!st->need)
		return ebt_fail(err, -ENOMEM, "comparison");
	r = store_compare(st->store, st->m, st->need, err);
	if (r == 0)
		r = store_manifest(st->store, old, err);
	if (r == 0)
		need_unknown(st, *old);
	return r;
}

int stage_compare_all(struct stage *st, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *old = NULL;
	size_t words = (size_t)st->m->count / 64 + 1;
	int r;

	r = st->store ? job_agree_all(&st->job, stage_check_conflicts(st, err), err) : 0;
	if (r < 0 || st->o->overwrite != EBT_OVERWRITE_UPDATE || !st->store)
		return r;
	r = job_agree_all(&st->job, compare_here(st, &old, err), err);
	/* What one node lacks travels to all: the others would only wait for it anyway. */
	for (size_t at = 0, n; r == 0 && at < words; at += n) {
		n = words - at < (1 << 20) ? words - at : 1 << 20;
		transport_reduce_all(st->job.nodes, st->need + at, (int)n, MPI_UINT64_T, MPI_BOR);
	}
	for (uint32_t i = 0; r == 0 && i < st->m->count; i++) {
		const struct manifest_entry *e;

		if (st->m->entries[i].kind == MANIFEST_DIR || manifest_needed(st->need, i))
			continue;
		st->unchanged++;
		e = manifest_has_data(st->m, i) ? known(old, st->m, i) : NULL;
		if (e)
			st->m->entries[i].digest = e->digest;
	}
	return r;
}

int stage_plan_all(struct stage *st, struct ebt_err *err)
{
	uint64_t memory = stage_memory(st->o), most;
	struct plan_options po = {
		.nodes = (uint32_t)st->job.n_nodes,
		.readers = st->o->readers,
		.parcel = st->o->parcel,
		.cost = st->cost,
		.layouts = &st->layouts,
	};
	int r = 0;

	if (st->o->algo)
		r = schedule_parse(st->o->algo, &po.algo, err);
	if (r < 0)
		return r;
	/* The bound holds for as many streams as there may be, with the fewest parcels each. */
	if (!po.readers)
		po.readers = plan_readers(&po, UINT64_MAX / 2);
	if (po.readers > po.nodes)
		po.readers = po.nodes;
	most = memory / po.readers / FLOW_PARCELS_MIN;
	for (po.parcel_max = PLAN_PARCEL_MAX; po.parcel_max >= PLAN_PARCEL_MIN; po.parcel_max /= 2) {
		if (pool_stride(po.parcel_max) <= most)
			break;
	}
	if (po.parcel_max < PLAN_PARCEL_MIN || pool_stride(po.parcel) > most)
		return ebt_failx(err, -EINVAL,
			"%u readers and this parcel size need at least %llu bytes of memory (see --memory)",
			po.readers,
			(unsigned long long)(pool_stride(po.parcel ? po.parcel : PLAN_PARCEL_MIN) *
				po.readers * FLOW_PARCELS_MIN));
	po.readers = st->o->readers;
	return plan_stage(st->m, st->need, &po, &st->plan, err);
}

struct space {
	uint64_t dev, bytes, inodes;
	uint64_t memory; /* of parcel pools */
};

/* Bytes of the manifest that is in the store already. */
static uint64_t manifest_size(const struct stage *st)
{
	struct stat s;

	if (fstatat(store_dirfd(st->store), ".ebt/manifest", &s, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)s.st_size;
}

static void count_space(const struct stage *st, struct space *s)
{
	s->inodes = 8; /* ours: .ebt and what is in it */
	/* Manifests: ours, the store's own, and for a moment both merged. */
	s->bytes = 64 * BLOCK + 2 * (uint64_t)st->m->count * ENTRY + 2 * manifest_size(st);
	for (uint32_t i = 0; i < st->m->count; i++) {
		const struct manifest_entry *e = &st->m->entries[i];
		uint64_t data = e->size < e->allocated ? e->size : e->allocated;

		if (e->kind != MANIFEST_DIR && !manifest_needed(st->need, i))
			continue;
		if (e->kind == MANIFEST_FILE && !manifest_has_data(st->m, i))
			continue;
		s->inodes++;
		/* Directories and links take little and in ways of their own: a block is generous. */
		if (e->kind == MANIFEST_FILE)
			s->bytes += (data + BLOCK - 1) / BLOCK * BLOCK;
		else if (!fsio_in_memory(store_dirfd(st->store)))
			s->bytes += BLOCK;
	}
}

static int compare_space(struct stage *st, const struct space *want, struct ebt_err *err)
{
	int fd = store_dirfd(st->store);
	char a[TEXT_SIZE], b[TEXT_SIZE];
	uint64_t have, memory;
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return ebt_fail(err, -errno, "%s: free space", store_path(st->store));
	have = (uint64_t)v.f_bavail * v.f_frsize;
	if (want->bytes > have)
		return ebt_failx(err, -ENOSPC, "%s: %s needed, %s free", store_path(st->store),
			text_size((double)want->bytes, a), text_size((double)have, b));
	/* File systems without a fixed number of inodes report none at all. */
	if (v.f_files && want->inodes > v.f_favail)
		return ebt_failx(err, -ENOSPC, "%s: %llu inodes needed, %llu free",
			store_path(st->store), (unsigned long long)want->inodes,
			(unsigned long long)v.f_favail);
	if (!fsio_in_memory(fd) || fsio_free_memory(&memory) < 0)
		return 0;
	if (want->bytes + want->memory > memory)
		return ebt_failx(err, -ENOSPC,
			"%s lies in memory: %s needed with the parcel pool, %s free",
			store_path(st->store),
			text_size((double)(want->bytes + want->memory), a),
			text_size((double)memory, b));
	return 0;
}

/* With --per-rank several stores may lie on one file system, and need their sum. */
static int sum_space_all(struct stage *st, struct space *mine, struct ebt_err *err)
{
	SCOPED_FREE struct space *all = NULL;
	struct space sum = {.dev = mine->dev};
	MPI_Comm shared;
	int n, r;

	MPI_Comm_split_type(st->job.nodes, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &shared);
	MPI_Comm_size(shared, &n);
	all = calloc((size_t)n, sizeof(*all));
	r = transport_agree_all(shared, all ? 0 : -ENOMEM, err);
	if (r == 0)
		transport_allgather_all(shared, mine, sizeof(*mine), all);
	for (int i = 0; i < n && r == 0; i++) {
		if (all[i].dev != mine->dev)
			continue;
		sum.bytes += all[i].bytes;
		sum.inodes += all[i].inodes;
		sum.memory += all[i].memory;
	}
	MPI_Comm_free(&shared);
	*mine = sum;
	return r;
}

int stage_space_all(struct stage *st, struct ebt_err *err)
{
	struct space want = {0};
	struct stat s;
	int r = 0;

	if (fstat(store_dirfd(st->store), &s) < 0)
		r = ebt_fail(err, -errno, "%s", store_path(st->store));
	else
		want.dev = s.st_dev;
	want.memory = stage_memory(st->o);
	count_space(st, &want);
	r = job_agree_all(&st->job, r, err);
	if (r == 0 && st->o->run.per_rank)
		r = sum_space_all(st, &want, err);
	if (r == 0)
		r = compare_space(st, &want, err);
	return job_agree_all(&st->job, r, err);
}
