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
#include "flow/flow.h"
#include "fsio/fsio.h"
#include "pack/parcel.h"
#include "stage/known.h"
#include "stage/stage_internal.h"
#include "transport/transport.h"

#define CONFLICTS_NAMED 5
#define ENTRY		512 /* bytes of an entry in a manifest, generously */
#define LAID		3   /* so often one lies in the store at a time, nearly */
#define BLOCK                                                                          \
	4096 /* what a file takes at least, and in multiples of, on usual file systems */

enum store_overwrite stage_policy(const struct stage *st)
{
	switch (st->o->overwrite) {
	case EBT_OVERWRITE_ALWAYS:
		return STORE_ALWAYS;
	case EBT_OVERWRITE_UPDATE:
		return STORE_UPDATE;
	default:
		return st->b.renews ? STORE_UPDATE : STORE_REFUSE;
	}
}

static int check(struct stage *st, const uint64_t *need, enum store_overwrite how,
	struct ebt_err *err)
{
	char names[700] = "";
	uint64_t n;
	int r;

	r = store_conflicts(st->store, st->b.m, need, how, CONFLICTS_NAMED, names,
		sizeof(names), &n, err);
	if (r <= 0)
		return r;
	/* One line for the report: names are separated by newlines, which text_name never leaves. */
	for (char *p = names; (p = strchr(p, '\n'));)
		*p = p[1] ? ',' : '\0';
	return ebt_failx(err, -EEXIST, "%s: %llu target%s %s: %s%s",
		store_path(st->store), (unsigned long long)n, n == 1 ? "" : "s",
		how == STORE_REFUSE
			? need ? "exist already, and differ or are not by EBT's hand "
				 "(see --overwrite)"
			       : "exist already (see --overwrite)"
			: "cannot be replaced, a directory against something else",
		names, n > CONFLICTS_NAMED ? ", ..." : "");
}

/*
 * What an archive gives a name may be replaced by what it gives it later, and that be what an
 * earlier run brought: such names are looked at when all is here, and no member any more.
 */
static void defer_members(const struct stage *st, uint64_t *lacks)
{
	const struct manifest *m = st->b.m;

	for (uint32_t i = 0; i < m->count; i++) {
		if (m->entries[i].marks & MANIFEST_MEMBER &&
			manifest_needed(lacks, i) && known_entry(st->old, m, i))
			lacks[i / 64] &= ~(1ull << i % 64);
	}
}

static int check_lacks(struct stage *st, struct ebt_err *err)
{
	size_t size = ((size_t)st->b.m->count / 64 + 1) * sizeof(uint64_t);
	SCOPED_FREE uint64_t *lacks = NULL;

	if (!st->archives.len)
		return check(st, st->b.lacks, STORE_REFUSE, err);
	lacks = malloc(size);
	if (!lacks)
		return ebt_fail(err, -ENOMEM, "comparison");
	memcpy(lacks, st->b.lacks, size);
	defer_members(st, lacks);
	return check(st, lacks, STORE_REFUSE, err);
}

int stage_check_conflicts(struct stage *st, struct ebt_err *err)
{
	int r = st->b.lacks ? check_lacks(st, err) : 0;

	/* What comes again for the sake of other nodes replaces its like. */
	return r == 0 && (!st->b.lacks || st->b.renews)
		       ? check(st, st->b.need, stage_policy(st), err)
		       : r;
}

/* Only of what is as it was published in all else: a change of owner stays one. */
static bool same_attributes(
	const struct manifest_copy *was, const struct manifest_copy *now)
{
	return !was->ino ||
	       (was->uid == now->uid && was->gid == now->gid && was->mode == now->mode);
}

static bool stopped(void *arg)
{
	return job_stopped(arg, NULL) < 0;
}

/*
 * A file that looks the same but that EBT did not bring has no digest to go by, so it is
 * brought. One that EBT brought may have been changed, and its size and time put back.
 */
static int find_changed(struct stage *st, struct ebt_err *err)
{
	struct store_contents c = {.m = st->b.m,
		.dirfd = store_dirfd(st->store),
		.threads = stage_io_threads(st->o),
		.stopped = stopped,
		.arg = &st->job};
	const struct manifest_entry *was;
	SCOPED_BUF struct buf files = {0};
	int r;

	for (uint32_t i = 0; i < st->b.m->count; i++) {
		if (!manifest_moves(st->b.m, NULL, i) || manifest_needed(st->b.need, i))
			continue;
		was = known_file(st->old, st->b.m, i);
		if (was)
			buf_put(&files,
				&(struct store_content){.entry = i,
					.was = was,
					.digest = known_digest(st->old, was)},
				sizeof(struct store_content));
		else
			manifest_need(st->b.need, i);
	}
	if (!buf_ok(&files))
		return ebt_fail(err, -ENOMEM, "comparison");
	c.files = (struct store_content *)files.data;
	c.n = files.len / sizeof(*c.files);
	r = store_compare_contents(&c);
	for (size_t i = 0; r == 0 && i < c.n; i++) {
		const struct store_content *x = &c.files[i];

		if (!x->same)
			manifest_need(st->b.need, x->entry);
		else if (x->read && same_attributes(&x->was->copy, &x->copy))
			st->b.m->entries[x->entry].copy = x->copy;
	}
	if (r < 0 && job_stopped(&st->job, err) == 0)
		ebt_fail(err, r, "%s: comparison", store_path(st->store));
	return r;
}

/* With a file all names of its inode: groups are needed whole. */
static void need_groups(struct stage *st)
{
	for (uint32_t i = 0; i < st->b.m->count; i++) {
		uint32_t head = st->b.m->entries[i].group;

		if (head != MANIFEST_NONE && manifest_needed(st->b.need, head))
			manifest_need(st->b.need, i);
	}
}

/* What an earlier batch had by the name of entry @i, or NULL. Needed there: on all nodes. */
static const struct manifest_entry *had_before(const struct stage *st, uint32_t i)
{
	const struct manifest *was;
	char path[PATH_MAX];
	uint32_t at;

	if (manifest_path(st->b.m, i, path, sizeof(path)) < 0)
		return NULL;
	was = stage_kept_find(&st->before, path, &at);
	return was ? &was->entries[at] : NULL;
}

/*
 * What takes the place of what was brought, or is a further name of it, is needed, although the store
 * may have it.
 */
static void need_replacements(struct stage *st)
{
	for (uint32_t i = 0; i < st->b.m->count; i++) {
		const struct manifest_entry *e = &st->b.m->entries[i], *was;

		was = e->marks & (MANIFEST_AGAIN | MANIFEST_HERE) ? had_before(st, i)
								  : NULL;
		if (!was || !(was->marks & MANIFEST_NEEDED))
			continue;
		manifest_need(st->b.need, i);
		if (e->group != MANIFEST_NONE)
			manifest_need(st->b.need, e->group);
	}
	need_groups(st);
}

static int compare_here(void *arg, struct ebt_err *err)
{
	struct stage *st = arg;
	int r;

	st->b.need = calloc((size_t)st->b.m->count / 64 + 1, sizeof(*st->b.need));
	if (!st->b.need)
		return ebt_fail(err, -ENOMEM, "comparison");
	r = stage_know(st, err);
	/* Without a manifest everything is needed, whatever the store makes of times. */
	if (st->old)
		st->b.m->times = st->old->times;
	if (r == 0)
		r = store_compare(st->store, st->b.m, st->b.need, err);
	if (r == 0)
		r = find_changed(st, err);
	if (r == 0)
		need_groups(st);
	return r;
}

/* What stays keeps what the manifest says of its content and of its inode. */
static void keep_known(struct stage *st, uint32_t i)
{
	struct manifest_entry *e = &st->b.m->entries[i];
	const struct manifest_entry *was = known_entry(st->old, st->b.m, i);

	if (!was)
		return;
	if (!e->copy.ino)
		e->copy = was->copy;
	if (manifest_has_data(st->b.m, i) && known_same(was, e))
		e->digest = known_digest(st->old, was);
}

/*
 * Files without content and links have no digest that would tell, so they count only as what the
 * manifest lists by that name.
 */
static void lack_strange(struct stage *st)
{
	for (uint32_t i = 0; i < st->b.m->count; i++) {
		if (st->b.m->entries[i].kind != MANIFEST_DIR &&
			!manifest_needed(st->b.need, i) &&
			!known_entry(st->old, st->b.m, i))
			manifest_need(st->b.need, i);
	}
}

/* Collective: with auto, what this node lacks is noted before it hears of others. */
static int note_lacks_all(struct stage *st, size_t words, struct ebt_err *err)
{
	int r;

	lack_strange(st);
	st->b.lacks = malloc(words * sizeof(*st->b.lacks));
	r = job_agree_all(
		&st->job, st->b.lacks ? 0 : ebt_fail(err, -ENOMEM, "comparison"), err);
	if (r == 0)
		memcpy(st->b.lacks, st->b.need, words * sizeof(*st->b.lacks));
	return r;
}

/* Collective: with auto. Where nobody has anything it is a run like any other. */
static void weigh_lacks_all(struct stage *st, size_t words)
{
	int some[2] = {0}; /* one has what another one lacks; all have something */

	some[0] = memcmp(st->b.lacks, st->b.need, words * sizeof(*st->b.lacks)) != 0;
	for (uint32_t i = 0; i < st->b.m->count && !some[1]; i++)
		some[1] = st->b.m->entries[i].kind != MANIFEST_DIR &&
			  !manifest_needed(st->b.need, i);
	transport_reduce_all(&st->job.nodes, some, 2, MPI_INT, MPI_MAX);
	st->b.renews = some[0];
	/* Of archives there may be more to it, see defer_members. */
	if (some[0] || some[1] || st->archives.len)
		return;
	free(TAKE(st->b.lacks));
	free(TAKE(st->b.need));
}

/* What one node lacks travels to all: the others would only wait for it anyway. */
static int share_needs_all(struct stage *st, struct ebt_err *err)
{
	size_t words = (size_t)st->b.m->count / 64 + 1;
	bool automatic = st->o->overwrite == EBT_OVERWRITE_AUTO;
	int r = automatic ? note_lacks_all(st, words, err) : 0;

	if (r == 0)
		need_replacements(st);
	for (size_t at = 0, n; r == 0 && at < words; at += n) {
		n = words - at < (1 << 20) ? words - at : 1 << 20;
		transport_reduce_all(
			&st->job.nodes, st->b.need + at, (int)n, MPI_UINT64_T, MPI_BOR);
	}
	if (r == 0 && automatic)
		weigh_lacks_all(st, words);
	return r;
}

static int conflicts(void *arg, struct ebt_err *err)
{
	return stage_check_conflicts(arg, err);
}

/* An unchanged name that was one in an earlier batch, too. */
static bool counted_before(const struct stage *st, uint32_t i)
{
	uint8_t marks = st->b.m->entries[i].marks;

	return marks & MANIFEST_HERE || (marks & MANIFEST_AGAIN && had_before(st, i));
}

int stage_compare_all(struct stage *st, struct ebt_err *err)
{
	bool automatic = st->o->overwrite == EBT_OVERWRITE_AUTO;
	int r = 0;

	if (st->store && !automatic)
		r = job_away_all(&st->job, conflicts, st, err);
	if (r < 0 || !stage_compares(st))
		return r;
	r = job_away_all(&st->job, compare_here, st, err);
	if (r == 0)
		r = share_needs_all(st, err);
	/* Now that it is known what is to be replaced. */
	if (r == 0)
		r = job_away_all(&st->job, conflicts, st, err);
	for (uint32_t i = 0; r == 0 && i < st->b.m->count; i++) {
		if (st->b.m->entries[i].kind == MANIFEST_DIR ||
			manifest_needed(st->b.need, i))
			continue;
		st->unchanged += !counted_before(st, i);
		keep_known(st, i);
	}
	if (st->old)
		manifest_let_go(st->old);
	return r;
}

int stage_compare_end_all(struct stage *st, struct ebt_err *err)
{
	return st->archives.len && st->b.lacks
		       ? job_away_all(&st->job, conflicts, st, err)
		       : 0;
}

/*
 * The largest parcel for which the memory suffices, with as many streams as there may be and the
 * fewest parcels each; 0: none.
 */
static uint64_t largest_parcel(
	const struct stage *st, unsigned parcels, uint64_t wanted, uint64_t *least)
{
	uint64_t most = stage_pool(st) / parcels, size = PLAN_PARCEL_MAX;

	*least = pool_stride(wanted ? wanted : PLAN_PARCEL_MIN) * parcels +
		 stage_memory(st->o) - stage_buffers(st);
	while (size >= PLAN_PARCEL_MIN && pool_stride(size) > most)
		size /= 2;
	return size < PLAN_PARCEL_MIN || pool_stride(wanted) > most ? 0 : size;
}

int stage_plan_all(struct stage *st, struct ebt_err *err)
{
	unsigned readers = stage_readers(st), spares;
	struct plan_options po = {
		.nodes = (uint32_t)st->job.n_nodes,
		.readers = readers,
		.parcel = st->o->parcel,
		.readers_max = st->rates.most,
		.has_leaf = st->rates.has_leaf,
		.leaf = st->rates.leaf,
		.cost = st->cost,
		.layouts = &st->b.layouts,
	};
	uint64_t least;
	int r = 0;

	if (st->o->algo)
		r = schedule_parse(st->o->algo, &po.algo, err);
	if (r < 0)
		return r;
	if (!po.readers)
		po.readers = plan_readers(&po, UINT64_MAX / 2);
	if (po.readers > po.nodes)
		po.readers = po.nodes;
	spares = st->compress.on ? STREAM_SPARES : 0;
	po.parcel_max = largest_parcel(
		st, po.readers * FLOW_PARCELS_MIN + spares, po.parcel, &least);
	/* That nobody asked for it is no reason to fail. */
	if (!po.parcel_max && st->compress.automatic) {
		st->compress = (struct stream_compress){0};
		po.parcel_max = largest_parcel(
			st, po.readers * FLOW_PARCELS_MIN, po.parcel, &least);
	}
	if (!po.parcel_max)
		return ebt_failx(err, -EINVAL,
			"%u readers and this parcel size need at least %llu bytes of "
			"memory (see --memory)",
			po.readers, (unsigned long long)least);
	po.readers = readers;
	r = stage_here_begin(st, err);
	return r < 0 ? r : plan_stage(st->b.m, stage_moves(st), &po, &st->b.plan, err);
}

struct space {
	uint64_t dev, bytes, inodes;
	uint64_t memory; /* of parcel pools */
};

static void count_space(const struct stage *st, struct space *s)
{
	bool in_memory = fsio_in_memory(store_dirfd(st->store));
	uint64_t entries = (uint64_t)st->b.m->count + st->before.entries;

	s->inodes = 8; /* ours: .ebt and what is in it */
	/*
	 * Manifests: ours, the store's own, and for a moment both merged, as files and as what
	 * lies in files while we work with it.
	 */
	s->bytes = 64 * BLOCK + LAID * entries * ENTRY +
		   LAID * store_manifest_bytes(st->store);
	for (uint32_t i = 0; i < st->b.m->count; i++) {
		const struct manifest_entry *e = &st->b.m->entries[i];
		uint64_t data = e->size < e->allocated ? e->size : e->allocated;

		if (e->kind != MANIFEST_DIR && !manifest_needed(st->b.need, i))
			continue;
		if (e->kind == MANIFEST_FILE && !manifest_has_data(st->b.m, i))
			continue;
		s->inodes++;
		/* Directories and links take little and in ways of their own: a block is generous. */
		if (e->kind == MANIFEST_FILE)
			s->bytes += (data + BLOCK - 1) / BLOCK * BLOCK;
		else if (!in_memory)
			s->bytes += BLOCK;
	}
}

static int compare_space(
	struct stage *st, const struct space *want, struct ebt_err *err)
{
	int fd = store_dirfd(st->store);
	char a[TEXT_SIZE], b[TEXT_SIZE], c[TEXT_SIZE];
	uint64_t have, floor, memory;
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return ebt_fail(err, -errno, "%s: free space", store_path(st->store));
	have = (uint64_t)v.f_bavail * v.f_frsize;
	floor = stage_floor(st->o, (uint64_t)v.f_blocks * v.f_frsize);
	/* One without any blocks, as ramfs or tmpfs without a bound, does not count them. */
	if (v.f_blocks && want->bytes > have)
		return ebt_failx(err, -ENOSPC, "%s: %s needed, %s free",
			store_path(st->store), text_size((double)want->bytes, a),
			text_size((double)have, b));
	if (v.f_blocks && floor > have - want->bytes)
		return ebt_failx(err, -ENOSPC,
			"%s: %s needed, %s free, of which %s are to stay so (see "
			"--keep-free)",
			store_path(st->store), text_size((double)want->bytes, a),
			text_size((double)have, b), text_size((double)floor, c));
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
	MPI_Comm made;
	int n, r;

	if (st->beside.comm == MPI_COMM_NULL) {
		MPI_Comm_split_type(st->job.nodes.comm, MPI_COMM_TYPE_SHARED, 0,
			MPI_INFO_NULL, &made);
		st->beside = transport_of(made, st->job.nodes.watch);
	}
	n = st->beside.size;
	all = calloc((size_t)n, sizeof(*all));
	r = transport_agree_all(&st->beside, all ? 0 : -ENOMEM, err);
	if (r == 0)
		transport_allgather_all(&st->beside, mine, sizeof(*mine), all);
	for (int i = 0; i < n && r == 0; i++) {
		if (all[i].dev != mine->dev)
			continue;
		sum.bytes += all[i].bytes;
		sum.inodes += all[i].inodes;
		sum.memory += all[i].memory;
	}
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
