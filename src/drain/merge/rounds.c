/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Are overlapping ranges equal? Their owner asks the sources, in rounds that all nodes take
 * part in until nobody has a question left:
 *
 *   PIECE   one digest a MiB: usually all are the same, or all but one are zero
 *   BLOCK   else one digest a block, of the sources that differ
 *   BYTES   else the block itself, to be or-ed as overlap.c has it
 *
 * What is equal is read by one of its sources later, in turns, so that one node does not read
 * for all. Questions wait on a stack, the finer ones on top: there are never more of them than
 * one round can make. Traffic of a round is bounded for owner and source.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/merge/merge.h"
#include "drain/merge/overlap.h"

#define PIECE_BYTES  (1u << 20)
#define ROUND_BYTES  (16u << 20)  /* answers that an owner gets in a round */
#define SOURCE_BYTES (64u << 20)  /* answers that a source gives, to all owners */
#define SOURCE_LEAST 8192	  /* of these, to each */
#define SOURCE_READS (256u << 20) /* bytes that a source reads for one owner */

enum level { PIECE, BLOCK, BYTES };

/* A range that several sources have. */
struct overlap {
	struct overlap *next;
	uint64_t off, len;
	unsigned char *answers; /* of all sources, answer_len each */
	size_t file;
	enum level level;
	uint32_t n, answered;
	uint32_t sources[]; /* ascending */
};

struct rounds {
	struct merge *g;
	struct merge_files *f;
	struct overlap *todo;	/* the stack */
	struct overlap **asked; /* in this round */
	uint32_t n_asked, cap_asked;
	uint64_t *given, *read; /* of each node, to be asked of it in this round */
	unsigned char *piece;	/* PIECE_BYTES */
};

static void overlap_free(struct overlap *o)
{
	if (o)
		free(o->answers);
	free(o);
}

static void rounds_release(struct rounds *r)
{
	struct overlap *o;

	while ((o = r->todo)) {
		r->todo = o->next;
		overlap_free(o);
	}
	for (uint32_t i = 0; i < r->n_asked; i++)
		overlap_free(r->asked[i]);
	free(r->asked);
	free(r->given);
	free(r->read);
	free(r->piece);
}

static uint64_t next_cut(uint64_t off, uint64_t end, uint64_t unit)
{
	uint64_t cut = off / unit * unit + unit;

	return cut < end ? cut : end;
}

static size_t blocks_of(uint64_t off, uint64_t len)
{
	return (size_t)((off + len - 1) / MERGE_BLOCK - off / MERGE_BLOCK + 1);
}

static size_t answer_len(enum level level, uint64_t off, uint64_t len)
{
	switch (level) {
	case PIECE:
		return DIGEST_BYTES;
	case BLOCK:
		return blocks_of(off, len) * DIGEST_BYTES;
	default:
		return (size_t)len;
	}
}

static int no_memory(struct ebt_err *err)
{
	return ebt_fail(err, -ENOMEM, "comparing files of several nodes");
}

static int push(struct rounds *r, size_t file, enum level level, uint64_t off,
	uint64_t len, const uint32_t *sources, uint32_t n, struct ebt_err *err)
{
	struct overlap *o = malloc(sizeof(*o) + n * sizeof(o->sources[0]));

	if (!o)
		return no_memory(err);
	*o = (struct overlap){.next = r->todo,
		.off = off,
		.len = len,
		.file = file,
		.level = level,
		.n = n};
	memcpy(o->sources, sources, n * sizeof(o->sources[0]));
	r->todo = o;
	return 0;
}

static int push_file(struct rounds *r, size_t i, struct ebt_err *err)
{
	SCOPED_PARTS struct merge_parts parts = {0};
	struct merge_file *f = &r->f->file[i];
	int code = merge_over(f) ? 0 : merge_sweep(f->x, f->spot->n, &parts);

	if (code < 0)
		return no_memory(err);
	for (size_t k = merge_parts_count(&parts); k-- > 0 && code == 0;) {
		const struct merge_part *p = merge_part(&parts, k);
		const uint32_t *source = merge_sources(&parts, k);

		if (p->n == 1 && !f->equal)
			merge_add_piece(&f->pieces, p->off, p->len, source[0], false);
		else
			code = push(r, i, PIECE, p->off, p->len, source, p->n, err);
	}
	return code;
}

/* Whether @o can still be asked in this round, which is then counted. */
static bool fits(struct rounds *r, const struct overlap *o, uint64_t *bytes)
{
	const struct merge_claim *c = r->f->file[o->file].spot->c;
	uint64_t each = answer_len(o->level, o->off, o->len), most;

	most = SOURCE_BYTES / (uint64_t)r->g->d->job.n_nodes;
	if (most < SOURCE_LEAST)
		most = SOURCE_LEAST;
	if (r->n_asked && *bytes + each * o->n > ROUND_BYTES)
		return false;
	for (uint32_t i = 0; i < o->n && r->n_asked; i++) {
		uint32_t node = c[o->sources[i]].node;

		if (r->given[node] + each > most ||
			r->read[node] + o->len > SOURCE_READS)
			return false;
	}
	for (uint32_t i = 0; i < o->n; i++) {
		r->given[c[o->sources[i]].node] += each;
		r->read[c[o->sources[i]].node] += o->len;
	}
	*bytes += each * o->n;
	return true;
}

static int ask_one(struct rounds *r, struct overlap *o, struct ebt_err *err)
{
	const struct merge_claim *c = r->f->file[o->file].spot->c;
	struct overlap **p;

	if (r->n_asked == r->cap_asked) {
		uint32_t cap = r->cap_asked ? r->cap_asked * 2 : 64;

		p = realloc(r->asked, cap * sizeof(*p));
		if (!p)
			return no_memory(err);
		r->asked = p;
		r->cap_asked = cap;
	}
	o->answers = malloc(answer_len(o->level, o->off, o->len) * o->n);
	if (!o->answers)
		return no_memory(err);
	for (uint32_t i = 0; i < o->n; i++) {
		struct buf *b = &r->g->out[c[o->sources[i]].node];

		buf_put32(b, r->n_asked);
		buf_put32(b, i);
		buf_put32(b, c[o->sources[i]].entry);
		buf_put64(b, o->off);
		buf_put32(b, (uint32_t)o->len);
		buf_put8(b, (uint8_t)o->level);
	}
	r->todo = o->next;
	r->asked[r->n_asked++] = o;
	return 0;
}

/* As many questions as a round takes. */
static int ask(struct rounds *r, struct ebt_err *err)
{
	size_t nodes = (size_t)r->g->d->job.n_nodes;
	uint64_t bytes = 0, cut;
	struct overlap *o;
	int code = 0;

	r->n_asked = 0;
	memset(r->given, 0, nodes * sizeof(*r->given));
	memset(r->read, 0, nodes * sizeof(*r->read));
	while ((o = r->todo) && code == 0) {
		if (merge_over(&r->f->file[o->file])) {
			r->todo = o->next;
			overlap_free(o);
			continue;
		}
		cut = next_cut(o->off, o->off + o->len, PIECE_BYTES) - o->off;
		if (cut < o->len) {
			/* The first piece on top of what is left. */
			code = push(r, o->file, o->level, o->off, cut, o->sources, o->n,
				err);
			o->off += cut;
			o->len -= cut;
			continue;
		}
		if (!fits(r, o, &bytes))
			break;
		code = ask_one(r, o, err);
	}
	return code;
}

static struct ebt_digest digest_of(const void *data, size_t len)
{
	return digest_is_zero(data, len) ? (struct ebt_digest){0}
					 : digest_bytes(data, len);
}

static void put_answer(const unsigned char *data, uint64_t off, uint32_t len,
	unsigned level, struct buf *out)
{
	uint64_t at, to;

	if (level == PIECE)
		buf_put_digest(out, digest_of(data, len));
	if (level == BYTES)
		buf_put(out, data, len);
	for (at = off; level == BLOCK && at < off + len; at = to) {
		to = next_cut(at, off + len, MERGE_BLOCK);
		buf_put_digest(out, digest_of(data + (at - off), (size_t)(to - at)));
	}
}

static int answer_peer(
	struct rounds *r, const struct buf *asked, struct buf *out, struct ebt_err *err)
{
	struct reader rd = reader_of(asked->data, asked->len);
	uint32_t open = MANIFEST_NONE;
	struct ebt_err why = {0};
	SCOPED_FD int fd = -1;
	int code, failed = 0;

	while (reader_left(&rd)) {
		uint32_t id = reader_get32(&rd), slot = reader_get32(&rd);
		uint32_t entry = reader_get32(&rd);
		uint64_t off = reader_get64(&rd);
		uint32_t len = reader_get32(&rd);
		unsigned level = reader_get8(&rd);

		code = job_stopped(&r->g->d->job, err);
		if (code == 0)
			code = merge_check_asked(r->g, entry, err);
		if (code < 0)
			return code;
		if (rd.failed || !len || len > PIECE_BYTES)
			return ebt_failx(err, -EBADMSG, "damaged question");
		if (entry != open) {
			scope_close(&fd);
			open = entry;
			fd = merge_open(r->g, entry, &why);
			failed = fd < 0 ? fd : 0;
		}
		if (!failed)
			failed = merge_read(r->g, entry, fd, r->piece, len, off, &why);
		buf_put32(out, id);
		buf_put32(out, slot);
		merge_put_outcome(out, failed, why.text);
		if (!failed)
			put_answer(r->piece, off, len, level, out);
	}
	return 0;
}

static int take_answers(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct rounds *r = arg;
	struct reader rd = reader_of(b->data, b->len);

	while (reader_left(&rd)) {
		uint32_t id = reader_get32(&rd), slot = reader_get32(&rd);
		struct overlap *o = id < r->n_asked ? r->asked[id] : NULL;
		size_t len = o ? answer_len(o->level, o->off, o->len) : 0;
		const char *text;
		const void *data;

		if (merge_get_outcome(&rd, &text))
			data = reader_take(&rd, len);
		else
			data = text;
		if (rd.failed || !o || slot >= o->n || !data)
			return ebt_failx(
				err, -EBADMSG, "damaged answer of node %d", peer);
		if (text)
			merge_give_up(r->g, &r->f->file[o->file], text);
		else
			memcpy(o->answers + slot * len, data, len);
		o->answered++;
	}
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Digests of [off, off + len), at @at of each answer: one source for it, or a closer look. */
static int resolve_digests(struct rounds *r, const struct overlap *o, size_t at,
	uint64_t off, uint64_t len, struct merge_vote *votes, struct ebt_err *err)
{
	size_t stride = answer_len(o->level, o->off, o->len);
	struct merge_file *f = &r->f->file[o->file];
	SCOPED_FREE uint32_t *differ = NULL;
	uint32_t n = o->n, kinds, k = 0;

	for (uint32_t i = 0; i < o->n; i++) {
		struct reader rd =
			reader_of(o->answers + i * stride + at, DIGEST_BYTES);

		votes[i] = (struct merge_vote){reader_get_digest(&rd), o->sources[i]};
	}
	kinds = merge_count_votes(votes, &n);
	/* Holes are zeros: who was not asked has one. */
	if (f->equal && (kinds > 1 || (kinds && n < f->spot->n))) {
		f->split = true;
		return 0;
	}
	if (kinds <= 1) {
		/* All the same, or only zeros, which are then as good from any. */
		if (!kinds)
			n = o->n;
		merge_add_piece(
			&f->pieces, off, len, votes[off / MERGE_RUN % n].source, false);
		return 0;
	}
	differ = malloc(kinds * sizeof(*differ));
	if (!differ)
		return no_memory(err);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || !digest_equal(votes[i].digest, votes[i - 1].digest))
			differ[k++] = votes[i].source;
	}
	qsort(differ, kinds, sizeof(*differ), compare_numbers);
	return push(r, o->file, o->level == PIECE ? BLOCK : BYTES, off, len, differ,
		kinds, err);
}

static int resolve_bytes(struct rounds *r, const struct overlap *o, struct ebt_err *err)
{
	SCOPED_FREE const unsigned char **version = calloc(o->n, sizeof(*version));
	struct merge_file *f = &r->f->file[o->file];
	const struct merge_claim *c = f->spot->c;
	struct merge_clash clash;
	char shown[MERGE_PATH];
	uint32_t whole;

	if (!version)
		return no_memory(err);
	for (uint32_t i = 0; i < o->n; i++)
		version[i] = o->answers + i * (size_t)o->len;
	if (merge_or(version, o->n, (uint32_t)o->len, r->piece, &whole, &clash)) {
		f->bad = true;
		merge_complain(&r->g->wrong, MERGE_VERSIONS,
			"%s: %.20s and %.20s differ in bytes [%llu, %llu)",
			merge_shown(c->path, shown),
			merge_node(r->g, c[o->sources[clash.a]].node),
			merge_node(r->g, c[o->sources[clash.b]].node),
			(unsigned long long)(o->off + clash.off),
			(unsigned long long)(o->off + clash.end));
		return 0;
	}
	if (whole < o->n) {
		merge_add_piece(&f->pieces, o->off, o->len, o->sources[whole], false);
		return 0;
	}
	for (uint32_t i = 0; i < o->n; i++)
		merge_add_piece(&f->pieces, o->off, o->len, o->sources[i], true);
	return 0;
}

static int resolve(struct rounds *r, const struct overlap *o, struct ebt_err *err)
{
	SCOPED_FREE struct merge_vote *votes = NULL;
	uint64_t at, to, end = o->off + o->len;
	size_t block = 0;
	int code = 0;

	if (o->answered != o->n)
		return ebt_failx(
			err, -EBADMSG, "%u of %u answers came", o->answered, o->n);
	if (merge_over(&r->f->file[o->file]))
		return 0;
	if (o->level == BYTES)
		return resolve_bytes(r, o, err);
	votes = malloc(o->n * sizeof(*votes));
	if (!votes)
		return no_memory(err);
	if (o->level == PIECE)
		return resolve_digests(r, o, 0, o->off, o->len, votes, err);
	for (at = o->off; at < end && code == 0; at = to, block++) {
		to = next_cut(at, end, MERGE_BLOCK);
		code = resolve_digests(
			r, o, block * DIGEST_BYTES, at, to - at, votes, err);
	}
	return code;
}

static int round_all(struct rounds *r, struct ebt_err *err)
{
	struct merge *g = r->g;
	struct buf *asked = NULL;
	int code = merge_stash_all(g, ask(r, err), &asked, err);

	if (code < 0)
		return code;
	for (int i = 0; i < g->d->job.n_nodes && code == 0; i++)
		code = answer_peer(r, &asked[i], &g->out[i], err);
	merge_free_stash(g, asked);
	code = merge_exchange_all(g, code, take_answers, r, err);
	for (uint32_t i = 0; i < r->n_asked; i++) {
		if (code == 0)
			code = resolve(r, r->asked[i], err);
		overlap_free(r->asked[i]);
	}
	r->n_asked = 0;
	return job_agree_all(&g->d->job, code, err);
}

int merge_rounds_all(
	struct merge *g, struct merge_files *f, int code, struct ebt_err *err)
{
	SCOPED(rounds_release) struct rounds r = {.g = g, .f = f};
	size_t nodes = (size_t)g->d->job.n_nodes;
	int more;

	r.given = calloc(nodes, sizeof(*r.given));
	r.read = calloc(nodes, sizeof(*r.read));
	r.piece = malloc(PIECE_BYTES);
	if (code == 0 && (!r.given || !r.read || !r.piece))
		code = no_memory(err);
	for (size_t i = f->n; i-- > 0 && code == 0;)
		code = push_file(&r, i, err);
	code = job_agree_all(&g->d->job, code, err);
	while (code == 0) {
		more = r.todo != NULL;
		transport_reduce_all(&g->d->job.nodes, &more, 1, MPI_INT, MPI_MAX);
		if (!more)
			break;
		code = round_all(&r, err);
	}
	return code;
}
