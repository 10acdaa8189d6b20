/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scan: from names to a manifest that every node holds. Readers walk in parallel, the first
 * node puts their lists together, arranges them and sends the result to all.
 */
#include "stage/scan_share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "flow/flow.h"
#include "pack/parcel.h"
#include "stage/roots.h"
#include "transport/transport.h"

#define SCAN_READERS 16	 /* walkers where the user names no number of readers */
#define SCAN_ROUND   0.1 /* seconds between evening out */
/* Of the memory option, for what is read ahead: the rest has to do for parcels. */
#define AHEAD_SHARE  2

/* The list of roots: bases for everybody, of the roots every @step-th from @first. */
static int load_roots(
	struct scan *s, const struct buf *b, unsigned first, unsigned step)
{
	struct reader r = reader_of(b->data, b->len);
	uint32_t n;

	s->n_bases = reader_get32(&r);
	s->bases = calloc(s->n_bases + 1, sizeof(*s->bases));
	if (!s->bases)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n_bases; i++) {
		s->bases[i] = (const char *)r.data + r.at;
		r.at += strlen(s->bases[i]) + 1;
	}
	n = reader_get32(&r);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t base = reader_get32(&r);
		unsigned flags = reader_get8(&r);
		const char *name = (const char *)r.data + r.at;
		struct scan_item *it;

		r.at += strlen(name) + 1;
		if (i % step != first)
			continue;
		it = scan_item_new(base, flags | SCAN_ROOT, name, NULL, 0);
		if (!it)
			return -ENOMEM;
		scan_push(s, it);
	}
	return 0;
}

/* Walks until nothing is left on any reader; all entries of this node into *out. */
static int walk_all(struct stage *st, struct scan *s, MPI_Comm readers,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED(scan_shards_release) struct scan_shards shards = {0};
	int size, r;

	MPI_Comm_size(readers, &size);
	r = scan_shards_new(&shards, stage_io_threads(st->o), err);
	if (r < 0)
		s->code = r;
	do {
		s->deadline = size > 1 ? clock_now() + SCAN_ROUND : 0;
		if (!s->code)
			scan_round(s, &shards);
		if (s->code)
			job_failing(&st->job, &s->err);
		job_progress(&st->job, EBT_PHASE_SCAN, 0, 0);
	} while (scan_share_all(s, readers, s->code < 0));
	if (s->code < 0) {
		if (err && s->err.text[0])
			*err = s->err;
		return s->code;
	}
	return scan_shards_join(&shards, out, err);
}

/* What a reader found, as it travels: skipped counts and names, then the flat manifest. */
static int encode_found(const struct scan *s, const struct manifest *m, struct buf *out,
	struct ebt_err *err)
{
	for (int i = 0; i < SCAN_SKIPS; i++) {
		const char *name = s->skipped.name[i] ? s->skipped.name[i] : "";

		buf_put64(out, s->skipped.count[i]);
		buf_put16(out, (uint16_t)strlen(name));
		buf_put(out, name, strlen(name));
	}
	return manifest_encode(m, out, err);
}

struct gathered {
	struct manifest *m;
	struct scan_skipped skipped;
};

static void gathered_release(struct gathered *g)
{
	manifest_free(g->m);
	scan_skipped_release(&g->skipped);
}

static int take_found(void *arg, const struct buf *b, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct gathered *g = arg;
	struct reader r = reader_of(b->data, b->len);
	const char *name;
	uint16_t len;
	uint64_t n;
	int code;

	for (int i = 0; i < SCAN_SKIPS; i++) {
		n = reader_get64(&r);
		len = reader_get16(&r);
		name = reader_take(&r, len);
		if (n && name && !g->skipped.count[i])
			g->skipped.name[i] = strndup(name, len);
		g->skipped.count[i] += n;
	}
	code = manifest_decode(b->data + r.at, reader_left(&r), &m, err);
	return code < 0 ? code : manifest_append(g->m, m, err);
}

/* Collective over readers. On the first of them: everything found, arranged, in *out. */
static int gather_all(struct stage *st, struct scan *s, MPI_Comm readers,
	struct manifest *mine, struct manifest **out, struct ebt_err *err)
{
	SCOPED(gathered_release) struct gathered g = {0};
	SCOPED_BUF struct buf b = {0};
	int rank, size, r;

	MPI_Comm_rank(readers, &rank);
	MPI_Comm_size(readers, &size);
	r = rank == 0 ? manifest_new(&g.m, err) : 0;
	/* Bases in the user's order: where sources meet, the later one's attributes win. */
	for (uint32_t i = 0, at; rank == 0 && r == 0 && i < s->n_bases; i++)
		r = manifest_add_source(g.m, s->bases[i], &at, err);
	if (r == 0)
		r = size > 1 ? encode_found(s, mine, &b, err)
			     : manifest_append(g.m, mine, err);
	manifest_free(mine);
	r = transport_agree_all(readers, r, err);
	if (r < 0)
		return r;
	if (size > 1) {
		r = transport_collect_all(readers, &b, take_found, &g, err);
	} else {
		g.skipped = s->skipped;
		memset(&s->skipped, 0, sizeof(s->skipped));
	}
	if (rank != 0 || r < 0)
		return r;
	st->skipped += scan_warn_skipped(&st->job.log, &g.skipped);
	r = manifest_arrange(g.m, err);
	if (r == 0)
		*out = TAKE(g.m);
	return r;
}

static int stopped(void *arg, struct ebt_err *err)
{
	const struct stage *st = arg;

	return job_stopped(&st->job, err);
}

static int read_ahead(void *arg, int fd, const struct manifest_entry *e)
{
	return ahead_read(arg, fd, e);
}

/*
 * Do parcels make do with the rest of the memory? As few of them as there may be, for as many
 * readers as walk.
 */
static bool has_memory(const struct stage *st, unsigned readers)
{
	uint64_t parcel = st->o->parcel ? st->o->parcel : PLAN_PARCEL_MIN;
	uint64_t rest = stage_memory(st->o) - stage_memory(st->o) / AHEAD_SHARE;

	return rest / readers / FLOW_PARCELS_MIN >= pool_stride(parcel);
}

/*
 * Collective. st->ahead where content is read while it is looked at: not where a store may have
 * it already, which only the whole list tells.
 */
static int open_ahead_all(
	struct stage *st, unsigned readers, bool reader, struct ebt_err *err)
{
	int some = st->store && st->o->overwrite != EBT_OVERWRITE_ALWAYS &&
		   store_manifest_bytes(st->store) > 0;
	int r = 0;

	transport_reduce_all(st->job.nodes, &some, 1, MPI_INT, MPI_MAX);
	if (!some && reader && has_memory(st, readers))
		r = ahead_new(stage_memory(st->o) / AHEAD_SHARE, st->o->dry_run,
			&st->ahead, err);
	return job_agree_all(&st->job, r, err);
}

/* Collective. What came of it, so that all plan alike. */
static void weigh_ahead_all(struct stage *st, unsigned readers)
{
	uint64_t most = st->ahead ? ahead_memory(st->ahead) : 0;

	transport_reduce_all(st->job.nodes, &most, 1, MPI_UINT64_T, MPI_MAX);
	for (uint32_t i = 0; most && i < st->m->count; i++) {
		if (st->m->entries[i].ahead) {
			st->ahead_readers = readers;
			st->ahead_memory = most;
			return;
		}
	}
}

static int scan_readers_all(struct stage *st, const struct buf *roots, MPI_Comm readers,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED(scan_release) struct scan s = {
		.filter = st->job.filter,
		.no_owner = st->o->no_owner,
		.no_xattrs = st->o->no_xattrs,
		.map_sparse = true,
		.node = (uint32_t)st->job.node,
		.found = &st->job.entries_found,
		.reopened = &st->reopened,
		.stopped = stopped,
		.stopped_arg = st,
		.ahead = st->ahead ? read_ahead : NULL,
		.ahead_arg = st->ahead,
	};
	struct manifest *mine = NULL;
	int rank, size, r;
	struct stat dest;

	scan_init(&s);
	MPI_Comm_rank(readers, &rank);
	MPI_Comm_size(readers, &size);
	if (st->store && fstat(store_dirfd(st->store), &dest) == 0) {
		s.store_dev = dest.st_dev;
		s.store_ino = dest.st_ino;
	}
	r = load_roots(&s, roots, (unsigned)rank, (unsigned)size);
	if (r < 0)
		s.code = ebt_fail(&s.err, r, "list of sources");
	r = walk_all(st, &s, readers, &mine, err);
	r = transport_agree_all(readers, r, err);
	if (r < 0) {
		manifest_free(mine);
		return r;
	}
	return gather_all(st, &s, readers, mine, out, err);
}

MPI_Comm stage_open_readers(const struct stage *st, unsigned readers, int *nodes)
{
	MPI_Comm comm = MPI_COMM_NULL;
	MPI_Group all, some;
	bool member = false;

	for (unsigned i = 0; i < readers; i++) {
		nodes[i] = (int)plan_reader_node(i, readers, (uint32_t)st->job.n_nodes);
		member |= nodes[i] == st->job.node;
	}
	if (!member)
		return MPI_COMM_NULL;
	MPI_Comm_group(st->job.nodes, &all);
	MPI_Group_incl(all, (int)readers, nodes, &some);
	MPI_Comm_create_group(st->job.nodes, some, 0, &comm);
	MPI_Group_free(&some);
	MPI_Group_free(&all);
	return comm;
}

/* The first node's manifest to all others. @b: scratch. */
static int share_manifest_all(struct stage *st, struct buf *b, struct ebt_err *err)
{
	int r = st->job.node == 0 ? manifest_encode(st->m, b, err) : 0;

	r = job_agree_all(&st->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(st->job.nodes, b, 0, err);
	if (r == 0)
		r = job_agree_all(&st->job,
			st->job.node ? manifest_decode(b->data, b->len, &st->m, err)
				     : 0,
			err);
	return r;
}

int stage_scan_all(struct stage *st, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	unsigned readers = st->o->readers ? st->o->readers : SCAN_READERS;
	SCOPED_FREE int *nodes = NULL;
	MPI_Comm comm;
	int r;

	if (readers > (unsigned)st->job.n_nodes)
		readers = (unsigned)st->job.n_nodes;
	nodes = calloc(readers, sizeof(*nodes));
	r = nodes ? 0 : ebt_fail(err, -ENOMEM, "readers");
	if (r == 0 && st->job.node == 0)
		r = stage_roots(st->o, &b, err);
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	r = transport_bcast_buf_all(st->job.nodes, &b, 0, err);
	if (r < 0)
		return r;
	comm = stage_open_readers(st, readers, nodes);
	r = open_ahead_all(st, readers, comm != MPI_COMM_NULL, err);
	if (r == 0 && comm != MPI_COMM_NULL)
		r = scan_readers_all(st, &b, comm, &st->m, err);
	r = job_agree_all(&st->job, r, err);
	b.len = 0;
	if (r == 0 && st->job.n_nodes > 1)
		r = share_manifest_all(st, &b, err);
	if (r == 0)
		r = stage_links_all(st, comm, err);
	if (r == 0)
		weigh_ahead_all(st, readers);
	if (comm != MPI_COMM_NULL)
		MPI_Comm_free(&comm);
	return r;
}
