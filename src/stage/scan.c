/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scan: from names to manifests that every node holds. Readers walk in parallel. From time to
 * time they even out what is left to be walked, and the first node puts together what they have
 * found, arranges it and sends it to all: a batch. Meanwhile they walk on.
 *
 * So a batch is what was found while the one before was brought, or in a short while at least; a
 * tree that is walked by then is one batch. The names of a file with several links, and files that
 * several sources may give the same name, have to be seen together: the former are all of the last
 * batch, and of the latter everything is one batch, as it is of a dry run.
 *
 * Memory: readers wait after WALK_MOST entries that were not brought yet, names with several
 * links not counted. What they read ahead is bounded twice: for the batch at hand, and the next.
 */
#include "stage/scan_share.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "flow/flow.h"
#include "pack/parcel.h"
#include "stage/ancestors.h"
#include "stage/archives.h"
#include "stage/roots.h"
#include "transport/transport.h"

#define SCAN_READERS 16	     /* walkers where the user names no number of readers */
#define FIRST_WALK   0.1     /* seconds until the first batch */
#define NEXT_WALK    0.2     /* and from one to the next at least */
#define WALK_MOST    65536   /* entries of a reader in a batch, and some more */
#define JOIN_S	     0.05    /* between turns of the watch */
#define LOOK_NS	     2000000 /* between looks at how the walk goes */
/* Of the memory option, twice for what is read ahead; the rest has to do for parcels. */
#define AHEAD_SHARE  4

struct walk {
	struct transport readers; /* TRANSPORT_NONE on other nodes */
	unsigned n_readers;
	bool meets; /* several sources may have the same names in several batches */
	bool whole; /* one batch, however long it takes */
	bool reads; /* small files, while it looks at them */
	/* On readers. */
	const struct manifest *old; /* what the store has already, or NULL */
	struct scan scan;
	struct scan_shards shards;
	struct ahead *ahead;   /* of the next batch */
	struct ahead *spare;   /* of the one before */
	struct manifest *held; /* flat: names with several links, for the last batch */
	struct archives archives;
	pthread_t thread;
	bool running;	/* the thread is to be joined */
	bool over;	/* atomic: its round is */
	double due;	/* when the next batch may be taken */
	uint64_t taken; /* entries, of all batches */
	/* On the first node. */
	struct ancestors *ancestors;
	struct scan_skipped skipped;
};

/*
 * Of the roots, at @r, every @step-th from @first on: those that are directories above others, or
 * the others.
 */
static int load_roots(
	struct scan *s, struct reader r, bool above, unsigned first, unsigned step)
{
	uint32_t n = reader_get32(&r);

	for (uint32_t i = 0; i < n; i++) {
		struct root root = roots_next(&r);
		struct scan_item *it;

		if (i % step != first || above != !!(root.flags & SCAN_PARENT))
			continue;
		it = scan_item_new(
			root.base, root.flags | SCAN_ROOT, root.name, NULL, 0);
		if (!it)
			return -ENOMEM;
		scan_push(s, it);
	}
	return 0;
}

/* What a reader found, as it travels: skipped counts and names, then the flat manifest. */
static int encode_found(const struct scan_skipped *skipped, const struct manifest *m,
	struct buf *out, struct ebt_err *err)
{
	for (int i = 0; i < SCAN_SKIPS; i++) {
		const char *name = skipped->name[i] ? skipped->name[i] : "";

		buf_put64(out, skipped->count[i]);
		buf_put16(out, (uint16_t)strlen(name));
		buf_put(out, name, strlen(name));
	}
	return manifest_encode(m, out, err);
}

struct gathered {
	struct manifest *m;
	struct scan_skipped *skipped;
};

static void add_skipped(
	struct scan_skipped *to, int kind, uint64_t n, const char *name, size_t len)
{
	if (n && name && !to->count[kind])
		to->name[kind] = strndup(name, len);
	to->count[kind] += n;
}

static int take_found(void *arg, const struct buf *b, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct gathered *g = arg;
	struct reader r = reader_of(b->data, b->len);
	int code;

	for (int i = 0; i < SCAN_SKIPS; i++) {
		uint64_t n = reader_get64(&r);
		uint16_t len = reader_get16(&r);

		add_skipped(g->skipped, i, n, reader_take(&r, len), len);
	}
	code = manifest_decode(b->data + r.at, reader_left(&r), &m, err);
	return code < 0 ? code : manifest_append(g->m, m, err);
}

/* What was skipped since it was asked the last time. */
static struct scan_skipped take_skipped(struct scan *s)
{
	struct scan_skipped now;
	SCOPED_LOCK(&s->lock);

	now = s->skipped;
	s->skipped = (struct scan_skipped){0};
	return now;
}

struct arranging {
	struct walk *w;
	const struct stage_kept *before;
	struct manifest *m;
	bool only;
};

/* On the first node: what all found becomes a tree, with what earlier batches know of it. */
static int arrange(void *arg, struct ebt_err *err)
{
	const struct arranging *a = arg;
	struct walk *w = a->w;
	struct manifest *m = a->m;
	bool only = a->only;
	int r = 0;

	if (!only && !w->ancestors)
		r = ancestors_new(&w->ancestors, err);
	if (r == 0 && !only)
		r = ancestors_complete(w->ancestors, m, err);
	if (r == 0)
		r = manifest_arrange(m, err);
	return r == 0 && w->meets ? archives_meet(a->before, m, err) : r;
}

/*
 * Collective over readers. On the first of them: everything found, arranged, in *out. @only: there
 * is no batch but this one.
 */
static int gather_all(struct stage *st, struct walk *w, struct manifest *mine,
	bool only, struct manifest **out, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct scan *s = &w->scan;
	struct gathered g = {.skipped = &w->skipped};
	SCOPED(scan_skipped_release) struct scan_skipped skipped = take_skipped(s);
	SCOPED_BUF struct buf b = {0};
	int rank = w->readers.rank, size = w->readers.size, r;

	r = rank == 0 ? manifest_new(&m, err) : 0;
	/* Bases in the user's order: where sources meet, the later one's attributes win. */
	for (uint32_t i = 0, at; rank == 0 && r == 0 && only && i < s->n_bases; i++)
		r = manifest_add_source(m, s->bases[i], &at, err);
	if (r == 0)
		r = size > 1 ? encode_found(&skipped, mine, &b, err)
			     : manifest_append(m, mine, err);
	for (int i = 0; i < SCAN_SKIPS && size == 1; i++)
		add_skipped(&w->skipped, i, skipped.count[i], skipped.name[i],
			skipped.name[i] ? strlen(skipped.name[i]) : 0);
	r = transport_agree_all(&w->readers, r, err);
	if (r < 0)
		return r;
	g.m = m;
	if (size > 1)
		r = transport_collect_all(&w->readers, &b, take_found, &g, err);
	if (rank != 0 || r < 0)
		return r;
	r = job_away(&st->job, NULL, NULL, arrange,
		&(struct arranging){w, &st->before, m, only}, err);
	if (r == 0)
		*out = TAKE(m);
	return r;
}

static int stopped(void *arg, struct ebt_err *err)
{
	const struct stage *st = arg;

	return job_stopped(&st->job, err);
}

static int read_ahead(void *arg, int fd, const struct manifest_entry *e)
{
	struct walk *w = arg;

	if (!w->ahead)
		return -ENOSPC;
	/* Names with several links may have to wait for the last batch. */
	return e->nlink > 1 && !w->whole ? 0 : ahead_read(w->ahead, fd, e);
}

/* A file that the store has by this name is most likely the same: it is not opened in vain. */
static bool spared(void *arg, const char *name)
{
	const struct walk *w = arg;

	return w->old && manifest_find(w->old, name) != MANIFEST_NONE;
}

static int know(void *arg, struct ebt_err *err)
{
	return stage_know(arg, err);
}

/*
 * Do parcels make do with the rest of the memory? As few of them as there may be, for as many
 * readers as walk.
 */
static bool has_memory(const struct stage *st, unsigned readers)
{
	uint64_t parcel = st->o->parcel ? st->o->parcel : PLAN_PARCEL_MIN;
	uint64_t rest = stage_buffers(st) - 2 * (stage_buffers(st) / AHEAD_SHARE);
	unsigned spares = st->compress.on ? STREAM_SPARES : 0;

	return rest / (readers * FLOW_PARCELS_MIN + spares) >= pool_stride(parcel);
}

/* On a reader: memory for what the next batch reads ahead. Without it files are read later. */
static void open_ahead(const struct stage *st, struct walk *w)
{
	struct ebt_err err;

	if (!w->ahead)
		w->ahead = TAKE(w->spare);
	if (w->reads && !w->ahead)
		ahead_new(stage_buffers(st) / AHEAD_SHARE, st->o->dry_run, &w->ahead,
			&err);
	__atomic_store_n(&w->scan.ahead_over, !w->ahead, __ATOMIC_RELAXED);
}

static void *walk_on(void *arg)
{
	struct walk *w = arg;

	scan_round(&w->scan, &w->shards);
	__atomic_store_n(&w->over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* On a reader: a round begins, beside what this thread does. */
static void start_walk(struct walk *w)
{
	w->over = false;
	w->running = pthread_create(&w->thread, NULL, walk_on, w) == 0;
	/* Without a thread it goes in turn. */
	if (!w->running)
		walk_on(w);
}

/* Waits for the end of the round. */
static void join_walk(const struct stage *st, struct walk *w)
{
	while (w->running)
		w->running = !job_join(&st->job, w->thread, JOIN_S);
}

/* On a reader: until the walk is over or long enough. */
static void wait_walk(struct stage *st, struct walk *w)
{
	while ((!__atomic_load_n(&w->over, __ATOMIC_ACQUIRE) ||
		       !archives_wait(&w->archives)) &&
		(st->o->batch || clock_now() < w->due) &&
		job_stopped(&st->job, NULL) == 0) {
		if (st->batches == 1)
			job_progress(&st->job, EBT_PHASE_SCAN, 0, 0);
		nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
		watch_turn(st->job.nodes.watch);
	}
}

/* What this reader has found goes to *all, flat, while others may find more. */
static int take_entries(
	struct stage *st, struct walk *w, struct manifest **all, struct ebt_err *err)
{
	SCOPED(scan_shards_release) struct scan_shards found = {0};
	int r = scan_shards_new(&found, w->shards.n, err);

	if (r < 0)
		return r;
	archives_hold(&w->archives, st);
	scan_freeze(&w->scan);
	for (unsigned i = 0; i < found.n; i++) {
		struct manifest *m = found.m[i];

		found.m[i] = w->shards.m[i];
		w->shards.m[i] = m;
	}
	st->b.ahead = TAKE(w->ahead);
	open_ahead(st, w);
	__atomic_store_n(&w->scan.entries, 0, __ATOMIC_RELAXED);
	scan_thaw(&w->scan);
	r = scan_shards_join(&found, all, err);
	w->taken += r == 0 ? (*all)->count : 0;
	return r < 0 ? r : archives_take(&w->archives, w->ahead, &st->b.feed, err);
}

/*
 * The walk is over: what came by since the others were taken goes with them. Then all that was ever
 * found must be on its way.
 */
static int take_rest(struct walk *w, struct manifest *all, struct ebt_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < w->shards.n && r == 0; i++) {
		r = manifest_append(all, w->shards.m[i], err);
		w->taken += w->shards.m[i]->count;
		manifest_free(TAKE(w->shards.m[i]));
	}
	w->shards.n = 0;
	if (r == 0 && w->taken != w->scan.total)
		r = ebt_failx(err, -EPROTO, "scan: %llu entries of %llu are in batches",
			(unsigned long long)w->taken,
			(unsigned long long)w->scan.total);
	return r;
}

/* The walk goes on here, if it has ended for lack of items or because of its bound. */
static void go_on(const struct stage *st, struct walk *w)
{
	if (!__atomic_load_n(&w->over, __ATOMIC_ACQUIRE))
		return;
	join_walk(st, w);
	start_walk(w);
}

static int walk_code(struct stage *st, struct walk *w, struct ebt_err *err)
{
	int code = __atomic_load_n(&w->scan.code, __ATOMIC_ACQUIRE);

	if (code == 0)
		return 0;
	job_failing(&st->job, &w->scan.err);
	if (err && w->scan.err.text[0])
		*err = w->scan.err;
	return code;
}

/* Names with several links wait for the last batch: until then *m is without. */
static int hold_links(
	struct walk *w, bool more, struct manifest **m, struct ebt_err *err)
{
	struct manifest *rest;
	int r = 0;

	if (!more) {
		r = w->held ? manifest_append(*m, w->held, err) : 0;
		manifest_free(TAKE(w->held));
		return r;
	}
	if (!w->held)
		r = manifest_new(&w->held, err);
	if (r == 0)
		r = manifest_split(*m, w->held, &rest, err);
	if (r == 0) {
		manifest_free(*m);
		*m = rest;
	}
	return r;
}

/*
 * Collective over readers: a batch in *out of the first. What was found is taken before items go
 * to others: so a directory comes before what others find in it.
 */
static int next_of_readers_all(struct stage *st, struct walk *w, struct manifest **out,
	bool *more, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *mine = NULL;
	bool found = false;
	int r = 0, left;

	/* Nothing at all is no batch: the file system may be slow. */
	do {
		wait_walk(st, w);
		w->due = clock_now() + (w->whole ? FIRST_WALK : NEXT_WALK);
		manifest_free(TAKE(mine));
		stage_scan_keep(st, TAKE(st->b.ahead));
		if (!w->whole)
			r = take_entries(st, w, &mine, err);
		if (r == 0)
			r = walk_code(st, w, err);
		found = (mine && mine->count) || archives_found(&w->archives);
		left = scan_share_all(&w->scan, &w->readers, r < 0,
			archives_more(&w->archives, w->whole), &found);
		if (left > 0)
			go_on(st, w);
	} while (left > 0 && !found);
	*more = left > 0;
	if (left < 0) {
		scan_end(&w->scan);
		archives_stop(&w->archives);
	}
	if (left <= 0)
		join_walk(st, w);
	if (r == 0)
		r = walk_code(st, w, err);
	if (r == 0 && w->whole)
		r = take_entries(st, w, &mine, err);
	if (r == 0 && left == 0)
		r = take_rest(w, mine, err);
	if (r == 0)
		r = hold_links(w, *more, &mine, err);
	if (r == 0)
		r = archives_append(&w->archives, mine, err);
	r = transport_agree_all(&w->readers, r, err);
	return r < 0 ? r
		     : gather_all(st, w, mine, !*more && st->batches == 1, out, err);
}

static int walk_above(void *arg, struct ebt_err *err)
{
	struct walk *w = arg;

	scan_round(&w->scan, &w->shards);
	return 0;
}

static int open_archives(struct stage *st, struct walk *w, struct ebt_err *err)
{
	struct archives_input in = {
		.names = &st->archives,
		.rank = (uint32_t)w->readers.rank,
		.readers = w->n_readers,
		.most = w->scan.most,
		.hold = stage_memory(st->o) / AHEAD_SHARE / 2,
		.ahead = w->ahead,
	};

	if (!w->reads)
		return ebt_failx(err, -EINVAL,
			"to unpack archives more memory is needed (see --memory)");
	return archives_open(&w->archives, st, &in, err);
}

static int open_reader(struct stage *st, struct walk *w, struct ebt_err *err)
{
	struct reader roots = reader_of(st->roots.data, st->roots.len);
	struct scan *s = &w->scan;
	struct stat dest;
	int rank = w->readers.rank, r;

	*s = (struct scan){
		.filter = st->job.filter,
		.no_owner = st->o->no_owner,
		.no_xattrs = st->o->no_xattrs,
		.map_sparse = true,
		.node = (uint32_t)st->job.node,
		.found = &st->job.entries_found,
		.reopened = &st->reopened,
		.stopped = stopped,
		.stopped_arg = st,
		.ahead = w->reads ? read_ahead : NULL,
		.spared = spared,
		.ahead_arg = w,
		.activity = &st->job.activity,
	};
	scan_init(s);
	if (st->store && fstat(store_dirfd(st->store), &dest) == 0) {
		s->store_dev = dest.st_dev;
		s->store_ino = dest.st_ino;
	}
	if (roots_bases(&roots, &s->bases, &s->n_bases) < 0 ||
		load_roots(s, roots, true, (unsigned)rank, w->n_readers) < 0)
		return ebt_fail(err, -ENOMEM, "list of sources");
	r = scan_shards_new(&w->shards, stage_io_threads(st->o), err);
	if (r < 0)
		return r;
	/* Directories above the roots first, on all readers: what lies in them comes later. */
	if (s->items)
		job_away(&st->job, NULL, NULL, walk_above, w, err);
	r = walk_code(st, w, err);
	if (r < 0)
		return r;
	s->most = w->whole ? 0 : st->o->batch ? st->o->batch : WALK_MOST;
	if (load_roots(s, roots, false, (unsigned)rank, w->n_readers) < 0)
		return ebt_fail(err, -ENOMEM, "list of sources");
	if (w->reads && stage_compares(st))
		r = job_away(&st->job, NULL, NULL, know, st, err);
	if (r < 0)
		return r;
	w->old = st->old;
	open_ahead(st, w);
	if (st->archives.len)
		r = open_archives(st, w, err);
	if (r < 0)
		return r;
	w->due = clock_now() + FIRST_WALK;
	start_walk(w);
	return 0;
}

struct transport stage_open_readers(
	const struct stage *st, unsigned readers, int *nodes)
{
	MPI_Comm comm = MPI_COMM_NULL;
	MPI_Group all, some;
	bool member = false;

	for (unsigned i = 0; i < readers; i++) {
		nodes[i] = (int)plan_reader_node(i, readers, (uint32_t)st->job.n_nodes);
		member |= nodes[i] == st->job.node;
	}
	if (!member)
		return TRANSPORT_NONE;
	MPI_Comm_group(st->job.nodes.comm, &all);
	MPI_Group_incl(all, (int)readers, nodes, &some);
	MPI_Comm_create_group(st->job.nodes.comm, some, 0, &comm);
	MPI_Group_free(&some);
	MPI_Group_free(&all);
	return transport_of(comm, st->job.nodes.watch);
}

/* The first node's manifest to all others, and whether there will be more. */
static int share_manifest_all(struct stage *st, bool *more, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	bool first = st->job.node == 0;
	int r = 0;

	if (first) {
		buf_put8(&b, *more);
		r = manifest_encode(st->b.m, &b, err);
	}
	r = job_agree_all(&st->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&st->job.nodes, &b, 0, err);
	if (r < 0)
		return r;
	*more = b.data[0];
	r = first ? 0 : manifest_decode(b.data + 1, b.len - 1, &st->b.m, err);
	return job_agree_all(&st->job, r, err);
}

static int open_walk_all(struct stage *st, struct walk *w, struct ebt_err *err)
{
	SCOPED_FREE int *nodes = NULL;
	int r;

	w->n_readers = st->o->readers ? st->o->readers : SCAN_READERS;
	if (w->n_readers > (unsigned)st->job.n_nodes)
		w->n_readers = (unsigned)st->job.n_nodes;
	nodes = calloc(w->n_readers, sizeof(*nodes));
	r = nodes ? 0 : ebt_fail(err, -ENOMEM, "readers");
	if (r == 0 && st->job.node == 0)
		r = stage_roots(st->o, &st->roots, &st->archives, err);
	r = job_agree_all(&st->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&st->job.nodes, &st->roots, 0, err);
	if (r == 0 && st->o->n_unpack)
		r = transport_bcast_buf_all(&st->job.nodes, &st->archives, 0, err);
	if (r < 0)
		return r;
	/* Archives come in as many batches as it takes: what meets is found as it comes. */
	w->meets = !st->o->dry_run &&
		   archives_count(&st->archives) + roots_count(&st->roots) > 1 &&
		   st->archives.len;
	w->whole = st->o->dry_run || (!st->archives.len && roots_meet(&st->roots));
	w->reads = has_memory(st, w->n_readers);
	w->readers = stage_open_readers(st, w->n_readers, nodes);
	if (w->readers.comm != MPI_COMM_NULL)
		r = open_reader(st, w, err);
	return job_agree_all(&st->job, r, err);
}

int stage_scan_open_all(struct stage *st, struct ebt_err *err)
{
	int r;

	st->walk = calloc(1, sizeof(*st->walk));
	r = job_agree_all(&st->job, st->walk ? 0 : ebt_fail(err, -ENOMEM, "scan"), err);
	if (r < 0)
		return r;
	st->walk->readers = TRANSPORT_NONE;
	return open_walk_all(st, st->walk, err);
}

int stage_scan_next_all(struct stage *st, bool *more, struct ebt_err *err)
{
	struct walk *w = st->walk;
	int r = 0;

	st->batches++;
	*more = false;
	if (w->readers.comm != MPI_COMM_NULL)
		r = next_of_readers_all(st, w, &st->b.m, more, err);
	r = job_agree_all(&st->job, r, err);
	if (r == 0 && st->job.n_nodes > 1)
		r = share_manifest_all(st, more, err);
	if (r == 0 && !*more && st->job.node == 0)
		st->skipped += scan_warn_skipped(&st->job.log, &w->skipped);
	if (r == 0)
		r = stage_links_all(st, &w->readers, err);
	return r;
}

unsigned stage_readers(const struct stage *st)
{
	/* Who has read some ahead has to send it. */
	for (uint32_t i = 0; st->walk->reads && i < st->b.m->count; i++) {
		if (st->b.m->entries[i].marks & MANIFEST_AHEAD)
			return st->walk->n_readers;
	}
	return st->o->readers;
}

uint64_t stage_pool(const struct stage *st)
{
	uint64_t memory = stage_buffers(st);

	return st->walk->reads ? memory - 2 * (memory / AHEAD_SHARE) : memory;
}

void stage_scan_keep(struct stage *st, struct ahead *ahead)
{
	if (!ahead)
		return;
	ahead_clear(ahead);
	ahead_free(st->walk->spare);
	st->walk->spare = ahead;
}

void stage_scan_close(struct stage *st)
{
	struct walk *w = TAKE(st->walk);

	if (!w)
		return;
	if (w->readers.comm != MPI_COMM_NULL) {
		scan_end(&w->scan);
		join_walk(st, w);
		scan_release(&w->scan);
		MPI_Comm_free(&w->readers.comm);
	}
	archives_close(&w->archives);
	scan_shards_release(&w->shards);
	ahead_free(w->ahead);
	ahead_free(w->spare);
	manifest_free(w->held);
	ancestors_free(w->ancestors);
	scan_skipped_release(&w->skipped);
	free(w);
}
