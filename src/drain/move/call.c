/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects that a node writes, and frames that it makes, for a lead here or elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/frames.h"
#include "drain/move/move.h"
#include "fsio/fsio.h"

/* Pieces that the object has a share in, and the sources of those. */
static void put_pieces(const struct move_object *o, struct buf *out)
{
	const struct drain_task *t = o->t;
	uint32_t first = move_first_piece(t, o->start), last = first;
	SCOPED_FREE struct drain_piece *some = NULL;
	SCOPED_FREE struct drain_source *sources = NULL;
	SCOPED_FREE uint32_t *number = calloc(t->n_sources, sizeof(*number));
	struct drain_task part = *t;
	uint64_t end, off;

	while (last < t->n_pieces && t->pieces[last].off < o->end)
		last++;
	some = calloc((size_t)(last - first) + 1, sizeof(*some));
	sources = calloc(t->n_sources, sizeof(*sources));
	part.n_pieces = part.n_sources = 0;
	part.n_names = 1;
	for (uint32_t i = first; some && sources && number && i < last; i++) {
		const struct drain_piece *p = &t->pieces[i];

		off = move_in_object(o, p->off, &end);
		if (off >= p->off + p->len)
			continue;
		if (!number[p->source]) {
			sources[part.n_sources] = t->sources[p->source];
			number[p->source] = ++part.n_sources;
		}
		some[part.n_pieces] = *p;
		some[part.n_pieces++].source = number[p->source] - 1;
	}
	if (!some || !sources || !number)
		out->failed = true;
	/* A task has one. */
	if (!part.n_sources)
		part.n_sources = 1;
	else
		part.sources = sources;
	part.pieces = some;
	drain_task_encode(&part, out);
}

void move_encode_object(const struct move_object *o, const char *path, struct buf *out)
{
	buf_put64(out, 0); /* NET_CALL_HEAD */
	buf_put32(out, o->uid);
	buf_put64(out, o->start);
	buf_put64(out, o->end);
	buf_put32(out, o->stripe_count);
	buf_put64(out, o->stripe_size);
	buf_put32(out, o->number);
	buf_put32(out, o->target);
	buf_put8(out, o->can_move);
	buf_put8(out, o->frame);
	buf_put32(out, (uint32_t)strlen(path));
	buf_put(out, path, strlen(path) + 1);
	put_pieces(o, out);
}

_Static_assert(NET_CALL_HEAD + 4 + 1 + 4 + 1 + 8 + 4 + 4 + DIGEST_BYTES + 1 + 2 +
			       EBT_ERR_TEXT <=
		       NET_ANSWER_ROOM,
	"an answer fits");

static void encode_result(const struct move_result *res, struct buf *out)
{
	buf_put64(out, 0);
	buf_put32(out, (uint32_t)res->code);
	buf_put8(out, (uint8_t)res->side);
	buf_put32(out, res->target);
	buf_put8(out, res->why);
	buf_put64(out, res->bytes);
	buf_put32(out, res->slot);
	buf_put32(out, res->packed);
	buf_put_digest(out, res->digest);
	buf_put8(out, res->gaps);
	buf_put16(out, (uint16_t)strlen(res->err.text));
	buf_put(out, res->err.text, strlen(res->err.text));
}

void move_decode_result(const struct buf *b, struct move_result *res)
{
	struct reader r = reader_of(b->data + NET_CALL_HEAD, b->len - NET_CALL_HEAD);
	const char *text;
	uint16_t len;

	*res = (struct move_result){0};
	res->code = (int)reader_get32(&r);
	res->side = reader_get8(&r);
	res->target = reader_get32(&r);
	res->why = reader_get8(&r);
	res->bytes = reader_get64(&r);
	res->slot = reader_get32(&r);
	res->packed = reader_get32(&r);
	res->digest = reader_get_digest(&r);
	res->gaps = reader_get8(&r) != 0;
	len = reader_get16(&r);
	text = reader_take(&r, len);
	if (r.failed || len >= sizeof(res->err.text)) {
		res->code = ebt_failx(&res->err, -EPROTO, "an answer that is damaged");
		res->side = MOVE_SOURCE;
		return;
	}
	res->err.code = res->code;
	memcpy(res->err.text, text, len);
	res->err.text[len] = '\0';
}

/* Whoever may write to the directory can put something else under the temporary name. */
static int open_object(struct drain *d, int dirfd, const char *name, uint32_t uid)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	struct fsio_lag lag = {0};
	SCOPED_FD int fd = -1;
	struct stat st;
	int r;

	do {
		fd = openat(dirfd, name, flags);
		r = fd < 0 ? -errno : 0;
	} while (drain_lags(d, &lag, dirfd, name, r));
	if (r == 0)
		r = fsio_stat_now(fd, "", &st);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != uid)
		return -EPERM;
	return TAKE_FD(fd);
}

/* [o->start, o->end) of o->t as a frame, in slot res->slot of this node. */
static void pack_frame(
	struct move_lane *l, const struct move_object *o, struct move_result *res)
{
	struct move *m = l->m;
	struct move_frame *f = NULL;

	*res = (struct move_result){.side = MOVE_SOURCE, .target = PLACE_NONE};
	if (o->end <= o->start || o->end - o->start > m->frame) {
		res->code = ebt_failx(&res->err, -EPROTO, "a frame of that size");
		return;
	}
	f = move_frame_take(m);
	if (!f) {
		res->code = ebt_failx(&res->err, -EBUSY, "no memory for a frame");
		return;
	}
	move_read_object(l, o, f->plain, res);
	if (res->code == 0)
		res->code =
			frame_pack(f->packer, f->plain, (uint32_t)(o->end - o->start),
				f->packed, frame_room(m->frame), &f->len, &res->err);
	if (res->code < 0) {
		move_frame_drop(m, f);
		return;
	}
	res->slot = (uint32_t)(f - m->frames);
	res->packed = f->len;
	res->digest = digest_bytes(f->packed, f->len);
}

/* A call of another node's lead. */
static void do_call(struct move_lane *l, struct net_job *j, struct move_result *res)
{
	struct reader r = reader_of(
		j->request.data + NET_CALL_HEAD, j->request.len - NET_CALL_HEAD);
	struct move_object o = {.sync = true};
	SCOPED_TASK struct drain_task *t = NULL;
	const char *path, *slash;
	uint32_t len;
	int code, dirfd;

	o.uid = reader_get32(&r);
	o.start = reader_get64(&r);
	o.end = reader_get64(&r);
	o.stripe_count = reader_get32(&r);
	o.stripe_size = reader_get64(&r);
	o.number = reader_get32(&r);
	o.target = reader_get32(&r);
	o.can_move = reader_get8(&r);
	o.frame = reader_get8(&r);
	len = reader_get32(&r);
	path = reader_take(&r, (size_t)len + 1);
	*res = (struct move_result){.side = MOVE_SOURCE, .target = PLACE_NONE};
	code = r.failed ? ebt_failx(&res->err, -EPROTO, "a call that is damaged")
			: drain_task_decode(&r, &t, &res->err);
	if (code < 0) {
		res->code = code;
		return;
	}
	o.t = t;
	if (o.frame) {
		pack_frame(l, &o, res);
		return;
	}
	dirfd = move_dir(l, path);
	slash = strrchr(path, '/');
	if (dirfd >= 0) {
		move_count(&l->m->d->rep->opens);
		o.fd = open_object(l->m->d, dirfd, slash ? slash + 1 : path, o.uid);
	}
	code = dirfd < 0 ? dirfd : o.fd < 0 ? o.fd : 0;
	if (code < 0) {
		res->code = drain_fail(l->m->d, path, code, "open", &res->err);
		return;
	}
	move_write_object(l, &o, res);
	if (close(o.fd) < 0 && res->code == 0) {
		res->code = drain_fail(l->m->d, path, -errno, "close", &res->err);
		res->side = MOVE_TARGET;
	}
}

void *move_object_thread(void *arg)
{
	struct move_lane *l = arg;
	struct move *m = l->m;
	struct net_op *op;

	while ((op = (struct net_op *)queue_get(&m->objects))) {
		struct move_local *mine = (struct move_local *)op;
		struct net_job *j = (struct net_job *)op;
		struct move_result res;

		if (op->kind == NET_LOCAL) {
			if (mine->o.frame)
				pack_frame(l, &mine->o, &res);
			else
				move_write_object(l, &mine->o, &res);
			SCOPED_LOCK(&m->lock);
			mine->result = res;
			mine->done = true;
			pthread_cond_broadcast(&m->changed);
			continue;
		}
		do_call(l, j, &res);
		/* Room for it was made when the call came. */
		encode_result(&res, &j->answer);
		net_answer(&m->net, j);
	}
	return NULL;
}
