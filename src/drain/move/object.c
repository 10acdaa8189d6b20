/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing one object of a file: range by range in its own order, a few ranges ahead of what is
 * being written. A range lies in one stripe, so that it goes to one target, and is put
 * together from the pieces of as many nodes as have some of it before it is written. What no
 * piece covers is left out: it stays a hole.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "drain/move/move.h"
#include "fsio/fsio.h"

#define NO_PART UINT32_MAX

/*
 * One piece's share of a range. What lies together where it comes from, as members of a node do
 * that have others' between them in their archive, is asked for at once, by the first of them.
 */
struct part {
	struct net_fetch fetch;
	const struct drain_piece *piece;
	uint64_t off;
	uint32_t len;
	bool remote;
	bool comes;    /* with what an earlier one asks for */
	uint32_t next; /* that comes with it, or NO_PART */
	void *own; /* memory of one that overlaps others, or asks for others too; else NULL */
};

struct range {
	uint64_t off;
	uint32_t len;
	unsigned char *data;
	struct part *parts;
	uint32_t n_parts;
};

struct writing {
	struct move_lane *l;
	const struct move_object *o;
	struct move_result *res;
	uint64_t at;	/* where the next range is looked for */
	uint32_t first; /* pieces before this one end before at */
	struct range ranges[MOVE_DEPTH];
	unsigned head, n;      /* a ring of ranges under way */
	bool begun;	       /* a range was found */
	bool more;	       /* there may be another range */
	uint64_t summed;       /* ranges in sum */
	struct ebt_digest sum; /* of what was written, for verify */
	bool verifies;
	uint32_t *
		last; /* of each source: its last part in the range at hand, or NO_PART */
	void *held;   /* to compare: a range of what is in the file already */
	unsigned char *into; /* to read: where byte o->start goes; or NULL */
};

static void fail_source(struct writing *w, int code, enum net_refused refused,
	const struct ebt_err *err)
{
	if (w->res->code < 0)
		return;
	w->res->code = code;
	w->res->side = refused && refused != NET_ODD ? MOVE_UNSTEADY : MOVE_SOURCE;
	if (err)
		w->res->err = *err;
}

/* The move ends. */
static void fail_nobody(struct writing *w)
{
	if (w->res->code < 0)
		return;
	w->res->side = MOVE_NOBODY;
	w->res->code = ebt_failx(&w->res->err, -ECANCELED, "stopped");
}

/* @why: enum health_why where @code does not say it, else 0. */
static void fail_target(struct writing *w, int code, unsigned why, const char *what)
{
	if (w->res->code < 0)
		return;
	w->res->side = MOVE_TARGET;
	w->res->why = (uint8_t)why;
	w->res->target = w->o->target;
	w->res->code =
		drain_fail(w->l->m->d, w->o->t->e.name, code, what, &w->res->err);
}

static uint64_t piece_end(const struct drain_piece *p)
{
	return p->off + p->len;
}

/* Pieces that overlap have the same bounds, so those before do not reach further. */
uint32_t move_first_piece(const struct drain_task *t, uint64_t off)
{
	uint32_t lo = 0, hi = t->n_pieces, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (piece_end(&t->pieces[mid]) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A stripe is found by the offset in the file, whatever component it is of. */
uint64_t move_in_object(const struct move_object *o, uint64_t off, uint64_t *end)
{
	uint64_t stripe;

	if (off < o->start)
		off = o->start;
	*end = o->end;
	if (off >= o->end)
		return UINT64_MAX;
	if (o->stripe_count <= 1)
		return off;
	stripe = off / o->stripe_size;
	if (stripe % o->stripe_count != o->number) {
		stripe += (o->number + o->stripe_count - stripe % o->stripe_count) %
			  o->stripe_count;
		off = stripe * o->stripe_size;
	}
	if (off >= o->end)
		return UINT64_MAX;
	if ((stripe + 1) * o->stripe_size < o->end)
		*end = (stripe + 1) * o->stripe_size;
	return off;
}

/* The next range with data, from w->at on; false at the end. */
static bool next_range(struct writing *w, uint64_t *off, uint32_t *len)
{
	const struct drain_task *t = w->o->t;
	uint64_t stop, block = w->l->m->block;

	for (;;) {
		while (w->first < t->n_pieces &&
			piece_end(&t->pieces[w->first]) <= w->at)
			w->first++;
		if (w->first == t->n_pieces)
			return false;
		if (w->at < t->pieces[w->first].off)
			w->at = t->pieces[w->first].off;
		*off = move_in_object(w->o, w->at, &stop);
		if (*off == w->at)
			break;
		w->at = *off;
	}
	/*
	 * Ranges begin at multiples of the block, so that big files are written aligned. The
	 * first one is short: many objects begin at the same time, and all targets are to have
	 * something to do soon.
	 */
	if (!w->begun)
		block = MOVE_WRITE < block ? MOVE_WRITE : block;
	w->begun = true;
	if (stop > (*off / block + 1) * block)
		stop = (*off / block + 1) * block;
	if (stop > t->e.size)
		stop = t->e.size;
	*len = (uint32_t)(stop - *off);
	w->at = stop;
	return true;
}

static uint32_t count_parts(
	const struct drain_task *t, uint32_t first, uint64_t off, uint64_t end)
{
	uint32_t n = 0;

	for (uint32_t i = first; i < t->n_pieces && t->pieces[i].off < end; i++)
		n += piece_end(&t->pieces[i]) > off;
	return n;
}

/* Byte of its source that a part begins with. */
static uint64_t part_from(const struct part *p)
{
	return p->piece->from + (p->off - p->piece->off);
}

/* Parts of one source that lie together there: each comes with the one before it. */
static void join_parts(struct writing *w, struct range *r)
{
	for (uint32_t i = 0; i < r->n_parts; i++)
		w->last[r->parts[i].piece->source] = NO_PART;
	for (uint32_t i = 0; i < r->n_parts; i++) {
		struct part *p = &r->parts[i], *before;
		uint32_t *last = &w->last[p->piece->source];

		p->next = NO_PART;
		before = *last == NO_PART ? NULL : &r->parts[*last];
		*last = i;
		if (!before || p->piece->overlaps || before->piece->overlaps ||
			part_from(before) + before->len != part_from(p))
			continue;
		before->next = i;
		p->comes = true;
	}
}

/* Bytes of the part and of all that come with it. */
static uint32_t asked_for(const struct range *r, const struct part *p)
{
	uint32_t len = p->len;

	while (p->next != NO_PART) {
		p = &r->parts[p->next];
		len += p->len;
	}
	return len;
}

static int start_part(struct writing *w, struct range *r, struct part *p)
{
	const struct drain_source *s = &w->o->t->sources[p->piece->source];
	struct move *m = w->l->m;
	uint32_t len = asked_for(r, p);

	p->remote = s->node != (uint32_t)m->d->job.node;
	if (p->piece->overlaps || p->next != NO_PART) {
		p->own = malloc(len);
		if (!p->own)
			return -ENOMEM;
	}
	p->fetch = (struct net_fetch){
		.op.node = (int)s->node,
		.want = {.entry = s->entry,
			.of = s->of,
			.off = part_from(p),
			.len = len},
		.to = p->own ? p->own : r->data + (p->off - r->off),
	};
	if (p->remote)
		net_start(&m->net, &p->fetch);
	return 0;
}

/* Asks for everything in the range. What was asked for is waited for, also after a failure. */
static void start_range(struct writing *w, uint64_t off, uint32_t len)
{
	const struct drain_task *t = w->o->t;
	unsigned slot = (w->head + w->n) % MOVE_DEPTH;
	struct range *r = &w->ranges[slot];
	uint64_t end = off + len, covered = 0;
	uint32_t n = count_parts(t, w->first, off, end);

	*r = (struct range){.off = off, .len = len, .data = w->l->block[slot]};
	w->n++;
	r->parts = calloc(n + 1, sizeof(*r->parts));
	if (!r->parts) {
		fail_source(
			w, ebt_fail(&w->res->err, -ENOMEM, "pieces"), NET_TAKEN, NULL);
		return;
	}
	for (uint32_t i = w->first; i < t->n_pieces && t->pieces[i].off < end; i++) {
		const struct drain_piece *p = &t->pieces[i];
		uint64_t a = p->off > off ? p->off : off;
		uint64_t b = piece_end(p) < end ? piece_end(p) : end;

		if (a >= b)
			continue;
		r->parts[r->n_parts++] =
			(struct part){.piece = p, .off = a, .len = (uint32_t)(b - a)};
		covered += p->overlaps ? 0 : b - a;
	}
	if (covered < len)
		memset(r->data, 0, len);
	join_parts(w, r);
	for (uint32_t i = 0; i < r->n_parts; i++) {
		int code = r->parts[i].comes ? 0 : start_part(w, r, &r->parts[i]);

		if (code < 0) {
			fail_source(w, ebt_fail(&w->res->err, code, "piece"), NET_TAKEN,
				NULL);
			r->n_parts = i;
		}
	}
}

/* What was asked for at once to where it belongs. */
static void place_parts(struct range *r, const struct part *p)
{
	const unsigned char *from = p->own;
	unsigned char *to = r->data + (p->off - r->off);

	if (p->piece->overlaps) {
		for (uint32_t i = 0; i < p->len; i++)
			to[i] |= from[i];
		return;
	}
	for (;;) {
		memcpy(r->data + (p->off - r->off), from, p->len);
		if (p->next == NO_PART)
			return;
		from += p->len;
		p = &r->parts[p->next];
	}
}

static void finish_part(struct writing *w, struct range *r, struct part *p)
{
	struct move *m = w->l->m;
	struct ebt_err err = {0};
	char name[512];
	int code;

	if (p->remote) {
		code = net_wait(&m->net, &p->fetch);
		if (code < 0)
			net_fail(&p->fetch, code,
				text_name(w->o->t->e.name, name, sizeof(name)), &err);
		__atomic_add_fetch(&m->moved, p->fetch.want.len, __ATOMIC_RELAXED);
	} else {
		code = w->res->code < 0 ? 0
					: move_serve(m, &w->l->source, &p->fetch.want,
						  p->fetch.to, &err);
	}
	if (code < 0)
		fail_source(w, code,
			p->remote ? p->fetch.refused : w->l->source.refused, &err);
	w->res->gaps |=
		(p->remote ? p->fetch.refused : w->l->source.refused) == NET_GAPS;
	if (p->own && code == 0)
		place_parts(r, p);
	free(p->own);
}

/* --rate: each write has its time, and waits for it. */
static void wait_turn(struct move *m, uint64_t bytes)
{
	double now = clock_now(), at;

	if (m->pace <= 0)
		return;
	{
		SCOPED_LOCK(&m->lock);
		at = m->next_write > now ? m->next_write : now;
		m->next_write = at + (double)bytes * m->pace;
	}
	while (at > now && !move_stopped(m)) {
		double s = at - now < 0.1 ? at - now : 0.1;

		nanosleep(&(struct timespec){.tv_nsec = (long)(s * 1e9)}, NULL);
		now = clock_now();
	}
}

static void show_object(const void *arg, uint64_t index, char *out, size_t size)
{
	const struct writing *w = arg;
	const struct drain *d = w->l->m->d;
	char name[DRAIN_PATH], target[32] = "";

	if (w->o->target != PLACE_NONE)
		snprintf(target, sizeof(target), ", OST %u",
			place_index(d->at.place, w->o->target));
	snprintf(out, size, "%.160s%s", drain_path(d, w->o->t->e.name, name), target);
}

static void write_run(
	struct writing *w, const struct range *r, uint64_t off, uint64_t end)
{
	const struct move_object *o = w->o;
	struct move *m = w->l->m;
	struct activity *a = &m->d->job.activity;
	struct activity_call call;
	struct health_op op;
	int code;

	for (uint64_t n; off < end && w->res->code == 0; off += n) {
		n = MOVE_WRITE - off % MOVE_WRITE;
		if (n > end - off)
			n = end - off;
		if (move_stopped(m)) {
			fail_nobody(w);
			return;
		}
		if (o->can_move && o->target != PLACE_NONE &&
			health_is_bad(&m->health, o->target)) {
			fail_target(w, -EAGAIN, HEALTH_SLOW, "its target is not good");
			return;
		}
		wait_turn(m, n);
		if (o->target != PLACE_NONE)
			health_begin(&m->health, o->target, n, &op);
		activity_begin(a, &call, "writing", show_object, w, 0);
		code = fsio_write(o->fd, r->data + (off - r->off), n, off);
		activity_end(a, &call);
		if (o->target != PLACE_NONE)
			health_end(&m->health, &op);
		if (code < 0) {
			fail_target(w, code, 0, "write");
			return;
		}
		w->res->bytes += n;
		__atomic_add_fetch(&m->bytes, n, __ATOMIC_RELAXED);
	}
}

/* Data only, in runs as long as they go. Parts ascend. */
static void write_range(struct writing *w, const struct range *r)
{
	uint64_t off = 0, end = 0;

	for (uint32_t i = 0; i < r->n_parts; i++) {
		const struct part *p = &r->parts[i];

		if (end == off) {
			off = p->off;
		} else if (p->off > end) {
			write_run(w, r, off, end);
			off = p->off;
		}
		if (i == 0 || p->off + p->len > end)
			end = p->off + p->len;
	}
	if (r->n_parts)
		write_run(w, r, off, end);
}

/* What was read is what the file holds; its holes read as zeros. */
static void compare_range(struct writing *w, const struct range *r)
{
	ssize_t n;

	if (move_stopped(w->l->m)) {
		fail_nobody(w);
		return;
	}
	n = fsio_read(w->o->fd, w->held, r->len, r->off);
	if (n < 0) {
		fail_target(w, (int)n, 0, "read back");
		return;
	}
	memset((char *)w->held + n, 0, r->len - (size_t)n);
	if (memcmp(w->held, r->data, r->len) == 0)
		return;
	w->res->code = -ESTALE;
	w->res->side = MOVE_UNSTEADY;
}

static void add_sum(
	struct ebt_digest *sum, const void *data, uint32_t len, uint64_t index)
{
	struct ebt_digest d = digest_bytes(data, len);

	/* Each half with its own odd factor of the place: ranges are not exchangeable. */
	sum->lo += d.lo * (2 * index + 1);
	sum->hi += d.hi * (2 * index + 1);
}

/* Asks for the next ranges, until @ahead are under way. */
static void start_ranges(struct writing *w, unsigned ahead)
{
	uint64_t off;
	uint32_t len;

	while (w->more && w->n < ahead && w->res->code == 0) {
		w->more = next_range(w, &off, &len);
		if (w->more)
			start_range(w, off, len);
	}
}

static void finish_range(struct writing *w)
{
	struct range *r = &w->ranges[w->head];

	for (uint32_t i = 0; i < r->n_parts; i++) {
		if (!r->parts[i].comes)
			finish_part(w, r, &r->parts[i]);
	}
	/* Only now: the first ones of all objects come before the second ones of any. */
	start_ranges(w, MOVE_DEPTH);
	if (w->res->code == 0 && w->into) {
		memcpy(w->into + (r->off - w->o->start), r->data, r->len);
	} else if (w->res->code == 0 && w->held) {
		compare_range(w, r);
	} else if (w->res->code == 0) {
		if (w->verifies)
			add_sum(&w->sum, r->data, r->len, w->summed++);
		write_range(w, r);
	}
	free(r->parts);
	w->head = (w->head + 1) % MOVE_DEPTH;
	w->n--;
}

/* Who writes an object of which file, on this node. */
struct move_writer {
	struct move_writer *next;
	dev_t dev;
	ino_t ino;
};

static void writer_enter(struct move *m, struct move_writer *me, int fd)
{
	struct stat st = {0};

	/* Of a file that cannot be looked at, writing tells. */
	if (fstat(fd, &st) < 0)
		st.st_ino = 0;
	me->dev = st.st_dev;
	me->ino = st.st_ino;
	SCOPED_LOCK(&m->lock);
	me->next = m->writers;
	m->writers = me;
}

static bool is_written_locked(const struct move *m, const struct move_writer *me)
{
	for (const struct move_writer *w = m->writers; w; w = w->next) {
		if (w->dev == me->dev && w->ino == me->ino)
			return true;
	}
	return false;
}

/*
 * A client lets nobody write to a file while it syncs it. So who is to sync waits for those who
 * write other objects of the file here: then all their targets are busy at the same time.
 */
static void writer_leave(struct move *m, struct move_writer *me, bool syncs)
{
	struct move_writer **at = &m->writers;
	SCOPED_LOCK(&m->lock);

	while (*at != me)
		at = &(*at)->next;
	*at = me->next;
	pthread_cond_broadcast(&m->changed);
	while (syncs && me->ino && is_written_locked(m, me))
		pthread_cond_wait(&m->changed, &m->lock);
}

static void sync_object(struct writing *w)
{
	const struct move_object *o = w->o;
	struct move *m = w->l->m;
	struct activity *a = &m->d->job.activity;
	struct activity_call call;
	struct health_op op;
	int r;

	if (o->target != PLACE_NONE)
		health_begin(&m->health, o->target, w->res->bytes, &op);
	activity_begin(a, &call, "syncing", show_object, w, 0);
	r = fsync(o->fd) < 0 ? -errno : 0;
	activity_end(a, &call);
	if (o->target != PLACE_NONE) {
		/* The bytes were counted when they were written. */
		op.bytes = 0;
		health_end(&m->health, &op);
	}
	if (r < 0)
		fail_target(w, r, 0, "sync");
}

/* Reads back what was written, past this client's cache as far as it can be told to. */
static void verify_object(struct writing *w)
{
	struct ebt_digest sum = {0};
	uint64_t off, index = 0;
	uint32_t len;
	ssize_t n;

	posix_fadvise(w->o->fd, 0, 0, POSIX_FADV_DONTNEED);
	w->at = w->o->start;
	w->first = move_first_piece(w->o->t, w->at);
	w->begun = false;
	while (w->res->code == 0 && next_range(w, &off, &len)) {
		n = fsio_read(w->o->fd, w->l->block[0], len, off);
		if (n < 0) {
			fail_target(w, (int)n, 0, "read back");
			break;
		}
		/* A hole at the end is not there yet. */
		memset((char *)w->l->block[0] + n, 0, len - (size_t)n);
		add_sum(&sum, w->l->block[0], len, index++);
	}
	if (w->res->code == 0 && (index != w->summed || !digest_equal(sum, w->sum)))
		fail_target(w, -EBADMSG, HEALTH_LYING,
			"does not read back as it was written");
}

/* All ranges, one after the other. */
static void run(struct writing *w)
{
	w->at = w->o->start;
	w->first = move_first_piece(w->o->t, w->at);
	w->last = calloc(w->o->t->n_sources, sizeof(*w->last));
	if (!w->last)
		fail_source(
			w, ebt_fail(&w->res->err, -ENOMEM, "pieces"), NET_TAKEN, NULL);
	start_ranges(w, 1);
	while (w->n)
		finish_range(w);
	free(w->last);
}

void move_write_object(
	struct move_lane *l, const struct move_object *o, struct move_result *res)
{
	struct writing w = {.l = l,
		.o = o,
		.res = res,
		.more = true,
		.verifies = l->m->d->o->verify};
	struct move_writer me;
	bool syncs;

	*res = (struct move_result){.target = PLACE_NONE};
	writer_enter(l->m, &me, o->fd);
	run(&w);
	syncs = res->code == 0 && (o->sync || w.verifies);
	writer_leave(l->m, &me, syncs);
	if (syncs)
		sync_object(&w);
	if (res->code == 0 && w.verifies)
		verify_object(&w);
	if (res->code == 0 && o->target != PLACE_NONE)
		health_wrote(&l->m->health, o->target);
}

void move_compare_object(
	struct move_lane *l, const struct move_object *o, struct move_result *res)
{
	SCOPED_FREE void *held = malloc(l->m->block);
	struct writing w = {.l = l, .o = o, .res = res, .more = true, .held = held};

	*res = (struct move_result){.target = PLACE_NONE};
	if (!held)
		fail_source(
			&w, ebt_fail(&res->err, -ENOMEM, "buffers"), NET_TAKEN, NULL);
	run(&w);
}

void move_read_object(struct move_lane *l, const struct move_object *o,
	unsigned char *to, struct move_result *res)
{
	struct writing w = {.l = l, .o = o, .res = res, .more = true, .into = to};

	*res = (struct move_result){.target = PLACE_NONE};
	memset(to, 0, (size_t)(o->end - o->start));
	run(&w);
}
