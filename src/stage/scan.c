/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scan: from names to a manifest that every node holds. Readers walk in parallel, the first
 * node puts their lists together, arranges them and sends the result to all.
 */
#include "stage/scan.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "stage/roots.h"
#include "transport/transport.h"

#define SCAN_READERS 16   /* walkers where the user names no number of readers */
#define SCAN_ROUND 0.1    /* seconds between evening out */

static const char *const skip_names[SCAN_SKIPS] = {
	[SCAN_FIFO] = "FIFO", [SCAN_SOCKET] = "socket", [SCAN_DEVICE] = "device"};

static void scan_release(struct scan *s)
{
	struct scan_item *it;

	while ((it = s->items)) {
		s->items = it->next;
		free(it);
	}
	for (int i = 0; i < SCAN_SKIPS; i++)
		free(s->skipped_name[i]);
	free(s->bases);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
}

/* The list of roots: bases for everybody, of the roots every @step-th from @first. */
static int load_roots(struct scan *s, const struct buf *b, unsigned first, unsigned step)
{
	struct reader r = reader_of(b->data, b->len);
	struct stat st;
	uint32_t n;

	s->n_bases = reader_get32(&r);
	s->bases = calloc(s->n_bases + 1, sizeof(*s->bases));
	if (!s->bases)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n_bases; i++) {
		s->bases[i] = (const char *)r.data + r.at;
		r.at += strlen(s->bases[i]) + 1;
		if (i < SCAN_DEVS && stat(s->bases[i], &st) == 0)
			s->base_devs[i] = st.st_dev;
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

/* One flat manifest a thread, so that none waits for another. */
struct shards {
	struct manifest *m[SCAN_THREADS];
};

static void shards_release(struct shards *s)
{
	for (unsigned i = 0; i < SCAN_THREADS; i++)
		manifest_free(s->m[i]);
}

/* Walks until nothing is left on any reader; all entries of this node into *out. */
static int walk_all(struct scan *s, MPI_Comm readers, struct manifest **out,
	struct ebt_err *err)
{
	SCOPED(shards_release) struct shards shards = {0};
	unsigned threads = stage_io_threads(s->st->o);
	int size, r = 0;

	if (threads > SCAN_THREADS)
		threads = SCAN_THREADS;
	MPI_Comm_size(readers, &size);
	for (unsigned i = 0; i < threads && r == 0; i++)
		r = manifest_new(&shards.m[i], err);
	if (r < 0)
		s->code = r;
	do {
		s->deadline = size > 1 ? stage_now() + SCAN_ROUND : 1e300;
		if (!s->code)
			scan_round(s, shards.m, threads);
		if (s->code)
			stage_failing(s->st, &s->err);
		stage_progress(s->st, EBT_STAGE_SCAN, 0, 0);
	} while (scan_share_all(s, readers, s->code < 0));
	if (s->code < 0) {
		if (err && s->err.text[0])
			*err = s->err;
		return s->code;
	}
	for (unsigned i = 1; i < threads && r == 0; i++) {
		r = manifest_append(shards.m[0], shards.m[i], err);
		manifest_free(TAKE(shards.m[i]));
	}
	if (r == 0)
		*out = TAKE(shards.m[0]);
	return r;
}

/* What a reader found, as it travels: skipped counts and names, then the flat manifest. */
static int encode_found(const struct scan *s, const struct manifest *m, struct buf *out,
	struct ebt_err *err)
{
	for (int i = 0; i < SCAN_SKIPS; i++) {
		const char *name = s->skipped_name[i] ? s->skipped_name[i] : "";

		buf_put64(out, s->skipped[i]);
		buf_put16(out, (uint16_t)strlen(name));
		buf_put(out, name, strlen(name));
	}
	return manifest_encode(m, out, err);
}

struct gathered {
	struct manifest *m;
	uint64_t skipped[SCAN_SKIPS];
	char *skipped_name[SCAN_SKIPS];
};

static void gathered_release(struct gathered *g)
{
	manifest_free(g->m);
	for (int i = 0; i < SCAN_SKIPS; i++)
		free(g->skipped_name[i]);
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
		if (n && name && !g->skipped[i])
			g->skipped_name[i] = strndup(name, len);
		g->skipped[i] += n;
	}
	code = manifest_decode(b->data + r.at, reader_left(&r), &m, err);
	return code < 0 ? code : manifest_append(g->m, m, err);
}

static void warn_skipped(struct stage *st, const struct gathered *g)
{
	char name[1024];

	for (int i = 0; i < SCAN_SKIPS; i++) {
		if (!g->skipped[i])
			continue;
		st->skipped += g->skipped[i];
		text_name(g->skipped_name[i] ? g->skipped_name[i] : "?", name, sizeof(name));
		if (g->skipped[i] == 1)
			log_warn(&st->log, "%s: skipped, it is a %s", name, skip_names[i]);
		else
			log_warn(&st->log, "%s and %llu more: skipped, they are %ss", name,
				(unsigned long long)g->skipped[i] - 1, skip_names[i]);
	}
}

/* Collective over readers. On the first of them: everything found, arranged, in *out. */
static int gather_all(struct scan *s, MPI_Comm readers, struct manifest *mine,
	struct manifest **out, struct ebt_err *err)
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
		r = size > 1 ? encode_found(s, mine, &b, err) : manifest_append(g.m, mine, err);
	manifest_free(mine);
	r = transport_agree_all(readers, r, err);
	if (r < 0)
		return r;
	if (size > 1) {
		r = transport_collect_all(readers, &b, take_found, &g, err);
	} else {
		memcpy(g.skipped, s->skipped, sizeof(g.skipped));
		memcpy(g.skipped_name, s->skipped_name, sizeof(g.skipped_name));
		memset(s->skipped_name, 0, sizeof(s->skipped_name));
	}
	if (rank != 0 || r < 0)
		return r;
	warn_skipped(s->st, &g);
	r = manifest_arrange(g.m, err);
	if (r == 0)
		*out = TAKE(g.m);
	return r;
}

static int scan_readers_all(struct stage *st, const struct buf *roots, MPI_Comm readers,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED(scan_release) struct scan s = {.st = st};
	struct manifest *mine = NULL;
	int rank, size, r;
	struct stat dest;

	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.changed, NULL);
	MPI_Comm_rank(readers, &rank);
	MPI_Comm_size(readers, &size);
	if (st->store && fstat(store_dirfd(st->store), &dest) == 0) {
		s.store_dev = dest.st_dev;
		s.store_ino = dest.st_ino;
	}
	r = load_roots(&s, roots, (unsigned)rank, (unsigned)size);
	if (r < 0)
		s.code = ebt_fail(&s.err, r, "list of sources");
	r = walk_all(&s, readers, &mine, err);
	r = transport_agree_all(readers, r, err);
	if (r < 0) {
		manifest_free(mine);
		return r;
	}
	return gather_all(&s, readers, mine, out, err);
}

/*
 * Readers lie spread over the nodes, the first one on the first node. Only they take part in
 * making their communicator; others get MPI_COMM_NULL.
 */
static int open_readers(struct stage *st, unsigned readers, MPI_Comm *comm, struct ebt_err *err)
{
	SCOPED_FREE int *nodes = calloc(readers, sizeof(*nodes));
	MPI_Group all, some;
	bool member = false;

	*comm = MPI_COMM_NULL;
	if (!nodes)
		return ebt_fail(err, -ENOMEM, "readers");
	for (unsigned i = 0; i < readers; i++) {
		nodes[i] = (int)plan_reader_node(i, readers, (uint32_t)st->n_nodes);
		member |= nodes[i] == st->node;
	}
	if (!member)
		return 0;
	MPI_Comm_group(st->nodes, &all);
	MPI_Group_incl(all, (int)readers, nodes, &some);
	MPI_Comm_create_group(st->nodes, some, 0, comm);
	MPI_Group_free(&some);
	MPI_Group_free(&all);
	return 0;
}

int stage_scan_all(struct stage *st, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	unsigned readers = st->o->readers ? st->o->readers : SCAN_READERS;
	MPI_Comm comm;
	int r;

	if (readers > (unsigned)st->n_nodes)
		readers = (unsigned)st->n_nodes;
	r = st->node == 0 ? stage_roots(st->o, &b, err) : 0;
	r = stage_agree_all(st, r, err);
	if (r < 0)
		return r;
	r = transport_bcast_buf_all(st->nodes, &b, 0, err);
	if (r < 0)
		return r;
	r = open_readers(st, readers, &comm, err);
	if (comm != MPI_COMM_NULL) {
		r = scan_readers_all(st, &b, comm, &st->m, err);
		MPI_Comm_free(&comm);
	}
	r = stage_agree_all(st, r, err);
	if (r < 0 || st->n_nodes == 1)
		return r;
	b.len = 0;
	r = st->node == 0 ? manifest_encode(st->m, &b, err) : 0;
	r = stage_agree_all(st, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(st->nodes, &b, 0, err);
	if (r == 0)
		r = stage_agree_all(st,
			st->node ? manifest_decode(b.data, b.len, &st->m, err) : 0, err);
	return r;
}
