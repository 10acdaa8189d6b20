/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file from nothing to its name, by its lead. Created once with its layout under a name that
 * nobody can guess; objects written by the nodes that own their targets; synced; sources
 * looked at once more; owner, mode and times on the open descriptor; sealed in the journal;
 * renamed. Until the rename nobody sees it, after it it is complete. Where a target fails or
 * turns out slow the file is begun again elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/move.h"
#include "fsio/fsio.h"

struct lead {
	struct move_lane *l;
	struct move *m;
	struct drain_task *t;
	int dirfd;         /* of the lane */
	const char *name;  /* last component */
	char temp[96];     /* beside it */
	int fd;
	bool temp_there;
	uint32_t count;       /* stripes as the file has them */
	uint64_t size;
	bool placed;          /* its objects lie on t->targets */
	uint32_t *wide;       /* t->targets of a second try */
	struct store_made made;
};

static int fail_at(const char *path, int code, const char *what, struct ebt_err *err)
{
	char name[PATH_MAX];

	return ebt_fail(err, code, "%s: %s", text_name(path, name, sizeof(name)), what);
}

int move_lane_init(struct move_lane *l, struct move *m, struct ebt_err *err)
{
	*l = (struct move_lane){.m = m, .source = MOVE_SOURCE_INIT, .dirfd = -1};
	for (int i = 0; i < MOVE_DEPTH; i++) {
		l->block[i] = malloc(m->block);
		if (!l->block[i])
			return ebt_fail(err, -ENOMEM, "buffers");
	}
	return 0;
}

void move_lane_release(struct move_lane *l)
{
	for (int i = 0; i < MOVE_DEPTH; i++)
		free(l->block[i]);
	move_source_close(&l->source);
	if (l->dirfd >= 0)
		close(l->dirfd);
	free(l->dir);
}

int move_dir(struct move_lane *l, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int fd;

	if (l->dirfd >= 0 && strlen(l->dir) == len && memcmp(l->dir, path, len) == 0)
		return l->dirfd;
	if (l->dirfd >= 0)
		close(l->dirfd);
	l->dirfd = -1;
	free(l->dir);
	l->dir = strndup(path, len);
	if (!l->dir)
		return -ENOMEM;
	fd = fsio_open_beneath(l->m->d->rootfd, l->dir, O_PATH | O_DIRECTORY);
	l->dirfd = fd;
	return fd;
}

/* What the creation of @st gave, and whose fault it is if it failed. */
static void create_failed(struct lead *c, int code, struct move_result *res)
{
	res->code = code;
	res->target = PLACE_NONE;
	switch (code) {
	case -ENOSPC:
	case -EINVAL:
	case -EREMOTEIO:
	case -EIO:
	case -EROFS:
		/* One of its targets; which one is known if there is only one. */
		res->side = c->t->stripe_count ? MOVE_TARGET : MOVE_ALL;
		if (c->t->stripe_count == 1)
			res->target = c->t->targets[0];
		break;
	case -EDQUOT:
		res->side = MOVE_ALL;
		break;
	default:
		res->side = MOVE_SOURCE;
		break;
	}
}

/* The layout as it was read back decides who writes what, not the one that was asked for. */
static void take_layout(struct lead *c, const struct pfs_layout *got, bool kept)
{
	const struct drain_task *t = c->t;

	c->count = 1;
	c->size = 0;
	c->placed = kept && t->stripe_count > 0;
	if (c->placed) {
		c->count = t->stripe_count;
		c->size = t->stripe_size;
	} else if (got && got->n_parts == 1 && got->parts[0].start == 0) {
		/* Its objects are somewhere; each of them still gets one writer. */
		c->count = got->parts[0].stripe_count;
		c->size = got->parts[0].stripe_size;
	}
	if (t->stripe_count && !kept)
		move_count(&c->m->d->rep->refused);
}

static int create(struct lead *c, uint32_t *osts, struct move_result *res)
{
	SCOPED_LAYOUT struct pfs_layout *got = NULL;
	struct drain *d = c->m->d;
	const struct drain_task *t = c->t;
	bool real = d->targets != NULL;
	struct pfs_stripes wish = {.size = (uint32_t)t->stripe_size,
		.count = t->stripe_count, .osts = osts};
	bool kept = true;
	struct stat st;

	for (uint32_t i = 0; i < t->stripe_count; i++)
		osts[i] = place_index(d->place, t->targets[i]);
	snprintf(c->temp, sizeof(c->temp), ".ebt-drain-%s-%d-%llu", d->id, d->job.node,
		(unsigned long long)__atomic_fetch_add(&c->m->seq, 1, __ATOMIC_RELAXED));
	move_count(&d->rep->creates);
	if (real && t->stripe_count)
		move_count(&d->rep->layouts);
	c->fd = pfs_create(d->pfs, c->dirfd, c->temp, t->e.mode & 0777,
		real && t->stripe_count ? &wish : NULL, &got, &kept, &res->err);
	if (c->fd < 0) {
		create_failed(c, c->fd, res);
		return c->fd;
	}
	c->temp_there = true;
	if (fstat(c->fd, &st) < 0) {
		res->code = fail_at(t->e.name, -errno, "stat", &res->err);
		return res->code;
	}
	c->made = (struct store_made){
		.uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode & 07777};
	if (real) {
		take_layout(c, got, kept);
	} else {
		/* Ranges instead of objects: the file system has no layout that we know. */
		c->count = t->stripe_count ? t->stripe_count : 1;
		c->size = t->stripe_size;
		c->placed = true;
	}
	return 0;
}

static void discard(struct lead *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (c->temp_there) {
		move_count(&c->m->d->rep->others);
		if (unlinkat(c->dirfd, c->temp, 0) < 0 && errno != ENOENT)
			log_warn(&c->m->d->job.log, "%s: cannot remove %s: %s", c->t->e.name,
				c->temp, strerror(errno));
	}
	c->temp_there = false;
}

/* All objects of a file with several: each at the node that owns its target. */
struct hand {
	struct move_local local;
	struct net_call call;
	bool remote;
};

static void fill_object(const struct lead *c, uint32_t k, bool can_move, struct move_object *o)
{
	*o = (struct move_object){
		.t = c->t,
		.fd = c->fd,
		.stripe_count = c->count,
		.stripe_size = c->size,
		.number = k,
		.target = c->placed && k < c->t->stripe_count ? c->t->targets[k] : PLACE_NONE,
		.can_move = can_move,
	};
}

static int hand_out(struct lead *c, uint32_t k, bool can_move, struct hand *h)
{
	struct drain *d = c->m->d;
	struct move_object *o = &h->local.o;
	char path[PATH_MAX + 128];
	int node = d->job.node;

	fill_object(c, k, can_move, o);
	if (o->target != PLACE_NONE)
		node = (int)place_writer(d->place, o->target, c->t->sources[0].node);
	h->remote = node != d->job.node;
	if (!h->remote) {
		h->local.op.kind = NET_LOCAL;
		queue_put(&c->m->objects, &h->local.op.item);
		return 0;
	}
	snprintf(path, sizeof(path), "%s%s%s", c->l->dir, *c->l->dir ? "/" : "", c->temp);
	move_encode_object(o, path, &h->call.request);
	if (!buf_ok(&h->call.request)) {
		h->remote = false;
		return -ENOMEM;
	}
	h->call.op.node = node;
	net_call(&c->m->net, &h->call);
	return 0;
}

static void take_back(struct lead *c, struct hand *h, struct move_result *one)
{
	if (h->remote) {
		net_wait_call(&c->m->net, &h->call);
		move_decode_result(&h->call.answer, one);
		buf_release(&h->call.answer);
		buf_release(&h->call.request);
		return;
	}
	SCOPED_LOCK(&c->m->lock);
	while (!h->local.done)
		pthread_cond_wait(&c->m->changed, &c->m->lock);
	*one = h->local.result;
}

static void write_striped(struct lead *c, bool can_move, struct move_result *res)
{
	SCOPED_FREE struct hand *hands = calloc(c->count, sizeof(*hands));
	struct move_result one;
	uint64_t bytes = 0;
	uint32_t n = 0;
	bool mine = false;

	if (!hands) {
		res->code = fail_at(c->t->e.name, -ENOMEM, "objects", &res->err);
		return;
	}
	for (; n < c->count; n++) {
		if (hand_out(c, n, can_move, &hands[n]) < 0) {
			res->code = fail_at(c->t->e.name, -ENOMEM, "objects", &res->err);
			break;
		}
		mine |= !hands[n].remote;
	}
	for (uint32_t i = 0; i < n; i++) {
		take_back(c, &hands[i], &one);
		bytes += one.bytes;
		if (one.code < 0 && res->code == 0)
			*res = one;
	}
	res->bytes = bytes;
	/* Those written here share the descriptor; others have synced theirs. */
	if (res->code == 0 && mine && fsync(c->fd) < 0) {
		res->code = fail_at(c->t->e.name, -errno, "sync", &res->err);
		res->side = MOVE_TARGET;
		res->target = PLACE_NONE;
	}
}

static int set_size(struct lead *c, struct move_result *res)
{
	move_count(&c->m->d->rep->setattrs);
	if (ftruncate(c->fd, (off_t)c->t->e.size) == 0)
		return 0;
	res->code = fail_at(c->t->e.name, -errno, "size", &res->err);
	res->side = MOVE_TARGET;
	return res->code;
}

static void write_content(struct lead *c, bool can_move, struct move_result *res)
{
	struct move_object o;
	uint64_t end = 0;

	for (uint32_t i = 0; i < c->t->n_pieces; i++) {
		if (c->t->pieces[i].off + c->t->pieces[i].len > end)
			end = c->t->pieces[i].off + c->t->pieces[i].len;
	}
	if (c->count > 1 && c->t->n_pieces) {
		/* Writes beyond the end wait for each other in a client, writes before it do not. */
		end = c->t->e.size;
		if (set_size(c, res) == 0)
			write_striped(c, can_move, res);
	} else if (c->t->n_pieces) {
		fill_object(c, 0, can_move, &o);
		o.sync = true;
		move_write_object(c->l, &o, res);
	}
	/* A hole at the end, or nothing but hole. */
	if (res->code == 0 && end < c->t->e.size)
		set_size(c, res);
}

/* Was what has been read what the scan saw? Remote sources are asked all at once. */
static int check_sources(struct lead *c, struct ebt_err *err)
{
	const struct drain_task *t = c->t;
	SCOPED_FREE struct net_fetch *f = calloc(t->n_sources, sizeof(*f));
	int r = 0, code;
	char name[512];

	if (!f)
		return fail_at(t->e.name, -ENOMEM, "sources", err);
	for (uint32_t i = 0; i < t->n_sources; i++) {
		if (t->sources[i].node == (uint32_t)c->m->d->job.node)
			continue;
		f[i].op.node = (int)t->sources[i].node;
		f[i].entry = t->sources[i].entry;
		f[i].check = true;
		f[i].to = &f[i].head; /* nothing comes */
		net_start(&c->m->net, &f[i]);
	}
	for (uint32_t i = 0; i < t->n_sources; i++) {
		if (f[i].to) {
			code = net_wait(&c->m->net, &f[i]);
			if (code < 0 && r == 0)
				r = ebt_fail(err, code, "%s: source on node %u",
					text_name(t->e.name, name, sizeof(name)),
					t->sources[i].node);
		} else {
			code = move_read(c->m, &c->l->source, t->sources[i].entry, 0, NULL, 0, true,
				r == 0 ? err : NULL);
			if (code < 0 && r == 0)
				r = code;
		}
	}
	return r;
}

/* Over what is there only if that was agreed; Lustre's clients know no RENAME_NOREPLACE. */
static int give_name(struct lead *c, const char *from, struct ebt_err *err)
{
	struct stat st;

	move_count(&c->m->d->rep->renames);
	if (!c->t->replaces) {
		if (renameat2(c->dirfd, from, c->dirfd, c->name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EINVAL && errno != ENOSYS)
			return fail_at(c->t->e.name, -errno, "rename", err);
		if (fstatat(c->dirfd, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return fail_at(c->t->e.name, -EEXIST, "rename", err);
	}
	if (renameat(c->dirfd, from, c->dirfd, c->name) < 0)
		return fail_at(c->t->e.name, -errno, "rename", err);
	return 0;
}

static int seal(struct lead *c, struct ebt_err *err)
{
	const struct drain_task *t = c->t;
	SCOPED_FREE struct journal_source *sources = calloc(t->n_sources, sizeof(*sources));
	SCOPED_BUF struct buf names = {0};
	struct journal_seal s = {
		.n_names = 1 + t->n_links,
		.size = t->e.size,
		.mtime = t->e.mtime,
		.mtime_ns = t->e.mtime_ns,
		.sources = sources,
		.n_sources = t->n_sources,
	};
	const char *p = t->links;

	buf_put(&names, t->e.name, strlen(t->e.name) + 1);
	for (uint32_t i = 0; i < t->n_links; i++, p += strlen(p) + 1)
		buf_put(&names, p, strlen(p) + 1);
	if (!sources || !buf_ok(&names))
		return fail_at(t->e.name, -ENOMEM, "journal", err);
	s.names = (const char *)names.data;
	for (uint32_t i = 0; i < t->n_sources; i++)
		sources[i] = (struct journal_source){
			.where = t->sources[i].where,
			.size = t->sources[i].size,
			.mtime = t->sources[i].mtime,
			.mtime_ns = t->sources[i].mtime_ns};
	return journal_seal(c->m->d->journal, &s, err);
}

/* Complete and synced: attributes, seal, name. */
static int finish_file(struct lead *c, struct ebt_err *err)
{
	struct drain *d = c->m->d;
	struct manifest_entry e = c->t->e;
	int r;

	if (d->o->no_xattrs)
		e.xattrs_len = 0;
	r = check_sources(c, err);
	if (r < 0)
		return r;
	move_count(&d->rep->setattrs);
	r = store_set_attributes(c->fd, &e, &c->made, err);
	if (r < 0)
		return r;
	r = close(c->fd) < 0 ? fail_at(e.name, -errno, "close", err) : 0;
	c->fd = -1;
	if (r == 0)
		r = seal(c, err);
	if (r == 0)
		r = give_name(c, c->temp, err);
	if (r == 0)
		c->temp_there = false;
	return r;
}

/*
 * Once with the placement that the task has. A failure of a target marks it: the next try goes
 * elsewhere.
 */
static void try_file(struct lead *c, uint32_t *osts, bool can_move, struct move_result *res)
{
	int r;

	*res = (struct move_result){.side = MOVE_SOURCE, .target = PLACE_NONE};
	if (create(c, osts, res) < 0) {
		discard(c);
		return;
	}
	write_content(c, can_move, res);
	if (res->code == 0) {
		r = finish_file(c, &res->err);
		if (r < 0) {
			res->code = r;
			res->side = MOVE_SOURCE;
		}
	}
	if (res->code < 0)
		discard(c);
}

/* Full, or failing; which target it was is asked of the file system where it is not known. */
static void blame(struct lead *c, const struct move_result *res)
{
	const char *why = res->code == -ENOSPC ? "full"
		: res->code == -EAGAIN ? NULL
		: res->code == -EBADMSG ? "giving back other bytes than were written"
					: "failing";
	struct move *m = c->m;
	SCOPED_TARGETS struct pfs_targets *now = NULL;

	if (!why)
		return;
	if (res->target != PLACE_NONE) {
		health_mark(&m->health, res->target, why);
		return;
	}
	if (!m->d->targets || pfs_targets(m->d->pfs, m->d->visible, &now, NULL) <= 0)
		return;
	for (uint32_t i = 0; i < c->t->stripe_count; i++) {
		uint32_t index = place_index(m->d->place, c->t->targets[i]);

		for (size_t k = 0; k < now->count; k++) {
			if (now->target[k].index == index && !pfs_target_usable(&now->target[k]))
				health_mark(&m->health, c->t->targets[i], why);
		}
	}
}

/* Errors after which no other file would fare better. */
static bool for_all(const struct lead *c, const struct move_result *res)
{
	if (res->code == -EDQUOT || res->side == MOVE_ALL)
		return true;
	return res->side == MOVE_TARGET && !c->m->d->targets &&
		(res->code == -ENOSPC || res->code == -EROFS);
}

/*
 * A second try has time to make up: over all good targets, so that none of them has much more
 * to do than the others. Not against the user's word.
 */
static void widen(struct lead *c)
{
	const struct place_rules *rules = &c->m->d->rules;
	uint64_t parts = c->t->e.size / PLACE_STRIPE_SIZE;
	uint32_t n = health_good(&c->m->health, NULL, 0), *targets;

	if (rules->stripe_count || rules->stripe_size || !c->t->stripe_count)
		return;
	if (rules->max_stripe_count && n > rules->max_stripe_count)
		n = rules->max_stripe_count;
	if (n > parts)
		n = (uint32_t)parts;
	if (n <= c->t->stripe_count)
		return;
	targets = calloc(n, sizeof(*targets));
	if (!targets)
		return;
	c->t->stripe_count = health_good(&c->m->health, targets, n);
	c->t->stripe_size = PLACE_STRIPE_SIZE;
	free(TAKE(c->wide));
	c->wide = c->t->targets = targets;
}

static void run_file(struct lead *c, struct move_result *res)
{
	SCOPED_FREE uint32_t *osts = calloc((size_t)c->m->d->n_targets + 1, sizeof(*osts));
	struct move *m = c->m;
	uint64_t changed;

	*res = (struct move_result){.target = PLACE_NONE};
	if (!osts) {
		res->code = fail_at(c->t->e.name, -ENOMEM, "targets", &res->err);
		return;
	}
	for (int i = 0; i < MOVE_TRIES; i++) {
		changed = 0;
		health_look(&m->health);
		/* Too few good ones for all its stripes: the file system may choose. */
		if (m->d->targets && c->t->stripe_count &&
			!health_replace(&m->health, c->t->targets, c->t->stripe_count,
				c->t->e.size / c->t->stripe_count, &changed))
			c->t->stripe_count = 0;
		if (i > 0)
			widen(c);
		if (changed || i > 0)
			__atomic_add_fetch(&m->d->rep->retries, 1, __ATOMIC_RELAXED);
		try_file(c, osts, i + 1 < MOVE_TRIES && m->d->targets != NULL, res);
		if (res->code == 0 || res->side != MOVE_TARGET || for_all(c, res) ||
			move_stopped(m))
			return;
		blame(c, res);
	}
}

static int run_symlink(struct lead *c, struct ebt_err *err)
{
	struct drain *d = c->m->d;
	struct manifest_entry e = c->t->e;
	int r;

	snprintf(c->temp, sizeof(c->temp), ".ebt-drain-%s-%d-%llu", d->id, d->job.node,
		(unsigned long long)__atomic_fetch_add(&c->m->seq, 1, __ATOMIC_RELAXED));
	move_count(&d->rep->creates);
	if (symlinkat(e.target, c->dirfd, c->temp) < 0)
		return fail_at(e.name, -errno, "symlink", err);
	c->temp_there = true;
	move_count(&d->rep->setattrs);
	e.name = c->temp;
	r = store_set_link_attributes(c->dirfd, &e, err);
	if (r == 0)
		r = seal(c, err);
	if (r == 0)
		r = give_name(c, c->temp, err);
	if (r == 0)
		c->temp_there = false;
	else
		discard(c);
	return r;
}

/* Further names of a file that is in place. */
static int run_links(struct lead *c, struct ebt_err *err)
{
	struct drain *d = c->m->d;
	const char *name = c->t->links, *slash;
	int r = 0, dirfd;

	for (uint32_t i = 0; i < c->t->n_links && r == 0; i++, name += strlen(name) + 1) {
		struct lead to = *c;
		SCOPED_FREE char *dir = NULL;

		slash = strrchr(name, '/');
		dir = strndup(name, slash ? (size_t)(slash - name) : 0);
		dirfd = dir ? fsio_open_beneath(d->rootfd, dir, O_PATH | O_DIRECTORY) : -ENOMEM;
		if (dirfd < 0)
			return fail_at(name, dirfd, "link", err);
		snprintf(to.temp, sizeof(to.temp), ".ebt-drain-%s-%d-%llu", d->id, d->job.node,
			(unsigned long long)__atomic_fetch_add(&c->m->seq, 1, __ATOMIC_RELAXED));
		to.dirfd = dirfd;
		to.name = slash ? slash + 1 : name;
		move_count(&d->rep->others);
		if (linkat(c->dirfd, c->name, dirfd, to.temp, 0) < 0)
			r = fail_at(name, -errno, "link", err);
		if (r == 0)
			r = give_name(&to, to.temp, err);
		if (r < 0)
			unlinkat(dirfd, to.temp, 0);
		close(dirfd);
		if (r == 0)
			move_count(&d->rep->links);
	}
	return r;
}

static void run_task(struct move_lane *l, struct drain_task *t, struct move_result *res)
{
	struct lead c = {.l = l, .m = l->m, .t = t, .fd = -1};
	const char *slash = strrchr(t->e.name, '/');

	*res = (struct move_result){.side = MOVE_SOURCE, .target = PLACE_NONE};
	c.name = slash ? slash + 1 : t->e.name;
	c.dirfd = move_dir(l, t->e.name);
	if (c.dirfd < 0) {
		res->code = fail_at(t->e.name, c.dirfd, "directory", &res->err);
		return;
	}
	if (!t->in_place && t->e.kind == MANIFEST_SYMLINK)
		res->code = run_symlink(&c, &res->err);
	else if (!t->in_place)
		run_file(&c, res);
	free(c.wide);
	if (c.wide)
		t->targets = NULL;
	if (res->code < 0)
		return;
	if (!t->in_place)
		move_count(t->e.kind == MANIFEST_SYMLINK ? &l->m->d->rep->symlinks
							 : &l->m->d->rep->files);
	if (!t->in_place && t->e.kind == MANIFEST_FILE)
		__atomic_add_fetch(&l->m->d->rep->bytes, res->bytes, __ATOMIC_RELAXED);
	if (t->n_links)
		res->code = run_links(&c, &res->err);
}

/* The queue with the fewest in work; those of bad targets are anybody's. */
static struct drain_task *take_locked(struct move *m, uint32_t *queue)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < m->n_queues; i++) {
		if (!m->queue[i] || (i + 1 < m->n_queues && m->in_work[i] >= m->per_queue))
			continue;
		if (best == UINT32_MAX || m->in_work[i] < m->in_work[best])
			best = i;
	}
	*queue = best;
	return best == UINT32_MAX ? NULL : m->queue[best];
}

static struct drain_task *next_task(struct move *m, uint32_t *queue)
{
	struct drain_task *t = NULL;
	bool any = true;
	SCOPED_LOCK(&m->lock);

	while (!move_stopped(m) && any) {
		t = take_locked(m, queue);
		if (t) {
			m->queue[*queue] = t->next;
			t->next = NULL;
			m->in_work[*queue]++;
			return t;
		}
		any = false;
		for (uint32_t i = 0; i < m->n_queues; i++)
			any |= m->queue[i] != NULL;
		if (any)
			pthread_cond_wait(&m->changed, &m->lock);
	}
	return NULL;
}

static void finish_task(struct move *m, struct drain_task *t, uint32_t queue,
	const struct move_result *res)
{
	struct move_outcome *ends = NULL, *o;
	bool all = res->code < 0 &&
		(res->side == MOVE_ALL || res->code == -EDQUOT ||
			(res->side == MOVE_TARGET &&
				(res->code == -ENOSPC || res->code == -EROFS)));

	for (uint32_t i = 0; i < t->n_sources && res->code == 0; i++) {
		o = calloc(1, sizeof(*o));
		if (!o)
			break; /* its source is kept, which is never wrong */
		*o = (struct move_outcome){
			.next = ends, .node = t->sources[i].node, .entry = t->sources[i].entry};
		ends = o;
	}
	if (all) {
		move_fail(m, res->code, &res->err);
	} else if (res->code < 0 && res->code != -ECANCELED) {
		log_say(&m->d->job.log, LOG_LEVEL_ERROR, "%s", res->err.text);
	}
	if (res->code < 0)
		move_count(&m->d->rep->failed);
	SCOPED_LOCK(&m->lock);
	while ((o = ends)) {
		ends = o->next;
		o->next = m->ends;
		m->ends = o;
	}
	m->in_work[queue]--;
	m->left--;
	pthread_cond_broadcast(&m->changed);
}

void *move_lead_thread(void *arg)
{
	struct move *m = arg;
	SCOPED(move_lane_release) struct move_lane l = {0};
	struct move_result res;
	struct drain_task *t;
	struct ebt_err err = {0};
	uint32_t queue;

	if (move_lane_init(&l, m, &err) < 0)
		move_fail(m, -ENOMEM, &err);
	while ((t = next_task(m, &queue))) {
		run_task(&l, t, &res);
		finish_task(m, t, queue, &res);
		drain_task_free(t);
	}
	SCOPED_LOCK(&m->lock);
	m->leads_running--;
	return NULL;
}
