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
#include "drain/lead.h"
#include "fsio/fsio.h"

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

/* Nodes that write objects open the file by its name. */
static mode_t first_mode(const struct lead *c, gid_t gid)
{
	return drain_first_mode(&c->t->e, gid) | (c->t->stripe_count > 1 ? 0600 : 0);
}

/* The directory may have handed down another group than ours. Nothing is in the file yet. */
static int shut(const struct lead *c, struct stat *st)
{
	mode_t mode = st->st_mode & 07777 & first_mode(c, st->st_gid);

	if (mode == (st->st_mode & 07777))
		return 0;
	st->st_mode = mode;
	return fchmod(c->fd, mode);
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
	struct ebt_err reason;
	char name[DRAIN_PATH];
	struct stat st;

	for (uint32_t i = 0; i < t->stripe_count; i++)
		osts[i] = place_index(d->place, t->targets[i]);
	lead_temp(c);
	move_count(&d->rep->creates);
	if (real && t->stripe_count)
		move_count(&d->rep->layouts);
	c->fd = pfs_create(d->pfs, c->dirfd, c->temp, first_mode(c, getegid()),
		real && t->stripe_count ? &wish : NULL, &got, &kept, &res->err);
	if (c->fd < 0) {
		create_failed(c, c->fd, res);
		/* What was tried, the temporary name and its targets, comes after the file. */
		reason = res->err;
		ebt_failx(&res->err, c->fd, "%s: %.300s", drain_path(c->m->d, t->e.name, name), reason.text);
		return c->fd;
	}
	c->temp_there = true;
	if (fstat(c->fd, &st) < 0 || shut(c, &st) < 0) {
		res->code = drain_fail(c->m->d, t->e.name, -errno, "stat", &res->err);
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

void lead_discard(struct lead *c)
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
		.uid = c->made.uid,
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
		res->code = drain_fail(c->m->d, c->t->e.name, -ENOMEM, "objects", &res->err);
		return;
	}
	for (; n < c->count; n++) {
		if (hand_out(c, n, can_move, &hands[n]) < 0) {
			res->code = drain_fail(c->m->d, c->t->e.name, -ENOMEM, "objects", &res->err);
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
		res->code = drain_fail(c->m->d, c->t->e.name, -errno, "sync", &res->err);
		res->side = MOVE_TARGET;
		res->target = PLACE_NONE;
	}
}

static void set_size(struct lead *c, struct move_result *res)
{
	move_count(&c->m->d->rep->setattrs);
	if (ftruncate(c->fd, (off_t)c->t->e.size) == 0)
		return;
	res->code = drain_fail(c->m->d, c->t->e.name, -errno, "size", &res->err);
	res->side = MOVE_TARGET;
	if (c->placed && c->t->stripe_count == 1)
		res->target = c->t->targets[0];
}

static void write_content(struct lead *c, bool can_move, struct move_result *res)
{
	struct move_result size = {.target = PLACE_NONE};
	struct move_object o;
	uint64_t end = 0;

	for (uint32_t i = 0; i < c->t->n_pieces; i++) {
		if (c->t->pieces[i].off + c->t->pieces[i].len > end)
			end = c->t->pieces[i].off + c->t->pieces[i].len;
	}
	/*
	 * A hole at the end, before anything is synced. And writes beyond the end wait for each
	 * other in a client, writes before it do not.
	 */
	if (end < c->t->e.size || (c->count > 1 && c->t->n_pieces))
		set_size(c, &size);
	if (size.code < 0 && (c->count <= 1 || !c->t->n_pieces)) {
		*res = size;
	} else if (c->count > 1 && c->t->n_pieces) {
		/* If it failed, the writes say for which target. */
		write_striped(c, can_move, res);
		if (res->code == 0 && size.code < 0)
			*res = size;
	} else if (c->t->n_pieces) {
		fill_object(c, 0, can_move, &o);
		o.sync = true;
		move_write_object(c->l, &o, res);
	} else if (end < c->t->e.size && fsync(c->fd) < 0) {
		res->code = drain_fail(c->m->d, c->t->e.name, -errno, "sync", &res->err);
		res->side = MOVE_TARGET;
	}
}

/* Was what has been read what the scan saw? Remote sources are asked all at once. */
static int check_sources(struct lead *c, struct ebt_err *err)
{
	const struct drain_task *t = c->t;
	SCOPED_FREE struct net_fetch *f = calloc(t->n_sources, sizeof(*f));
	int r = 0, code;
	char name[DRAIN_PATH];

	if (!f)
		return drain_fail(c->m->d, t->e.name, -ENOMEM, "sources", err);
	for (uint32_t i = 0; i < t->n_sources; i++) {
		if (t->sources[i].node == (uint32_t)c->m->d->job.node)
			continue;
		f[i].op.node = (int)t->sources[i].node;
		f[i].want.entry = t->sources[i].entry;
		f[i].want.check = true;
		f[i].to = &f[i].want; /* nothing comes */
		net_start(&c->m->net, &f[i]);
	}
	for (uint32_t i = 0; i < t->n_sources; i++) {
		if (f[i].to) {
			code = net_wait(&c->m->net, &f[i]);
			if (code < 0 && r == 0)
				r = ebt_fail(err, code, "%s: source on node %u",
					drain_path(c->m->d, t->e.name, name), t->sources[i].node);
		} else {
			code = move_read(c->m, &c->l->source, t->sources[i].entry, 0, NULL, 0, true,
				r == 0 ? err : NULL);
			if (code < 0 && r == 0)
				r = code;
		}
	}
	return r;
}

/* Over what is there only if that was agreed. */
int lead_name(struct lead *c, const char *from, struct ebt_err *err)
{
	int r;

	move_count(&c->m->d->rep->renames);
	if (c->t->replaces)
		r = renameat(c->dirfd, from, c->dirfd, c->name) < 0 ? -errno : 0;
	else
		r = fsio_rename_new(c->dirfd, from, c->dirfd, c->name);
	return r < 0 ? drain_fail(c->m->d, c->t->e.name, r, "rename", err) : 0;
}

int lead_seal(struct lead *c, struct ebt_err *err)
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
	int r;

	buf_put(&names, t->e.name, strlen(t->e.name) + 1);
	for (uint32_t i = 0; i < t->n_links; i++, p += strlen(p) + 1)
		buf_put(&names, p, strlen(p) + 1);
	if (!sources || !buf_ok(&names))
		return drain_fail(c->m->d, t->e.name, -ENOMEM, "journal", err);
	s.names = (const char *)names.data;
	for (uint32_t i = 0; i < t->n_sources; i++)
		sources[i] = t->sources[i].file;
	/*
	 * A store without room for a record loses nothing by it: a drain that is killed would
	 * find the file in dest and ask before replacing it.
	 */
	r = c->m->d->journal ? journal_seal(c->m->d->journal, &s, err) : 0;
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	if (!__atomic_exchange_n(&c->m->unsealed, true, __ATOMIC_RELAXED))
		log_warn(&c->m->d->job.log, "%s: the journal has no room: a drain that is killed "
			"now needs --overwrite=update to go on", c->m->d->store_path);
	return 0;
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
	r = close(c->fd) < 0 ? drain_fail(c->m->d, e.name, -errno, "close", err) : 0;
	c->fd = -1;
	if (r == 0)
		r = lead_seal(c, err);
	if (r == 0)
		r = lead_name(c, c->temp, err);
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
		lead_discard(c);
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
		lead_discard(c);
}

/* Full, or failing; which target it was is asked of the file system where it is not known. */
static void blame(struct lead *c, const struct move_result *res)
{
	enum health_why why = res->code == -ENOSPC ? HEALTH_FULL
		: res->code == -EROFS ? HEALTH_READONLY
		: res->code == -EBADMSG ? HEALTH_LYING
					: HEALTH_FAILING;
	struct move *m = c->m;
	SCOPED_TARGETS struct pfs_targets *now = NULL;

	/* Slow: that was found out already. */
	if (res->code == -EAGAIN)
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

/* Over @n good targets or as many as there are; with none the file system may choose. */
static void restripe(struct lead *c, uint32_t n, uint64_t size)
{
	uint32_t *targets = calloc((size_t)n + 1, sizeof(*targets));

	if (!targets)
		return;
	c->t->stripe_count = health_good(&c->m->health, targets, n);
	c->t->stripe_size = size;
	free(TAKE(c->wide));
	c->wide = c->t->targets = targets;
}

/*
 * A second try has time to make up: over all good targets, so that none of them has much more
 * to do than the others. Not against the user's word.
 */
static void widen(struct lead *c)
{
	const struct place_rules *rules = &c->m->d->rules;
	uint64_t parts = c->t->e.size / PLACE_STRIPE_SIZE;
	uint32_t n = health_good(&c->m->health, NULL, 0);

	if (rules->stripe_count || rules->stripe_size || !c->t->stripe_count)
		return;
	if (rules->max_stripe_count && n > rules->max_stripe_count)
		n = rules->max_stripe_count;
	if (n > parts)
		n = (uint32_t)parts;
	if (n > c->t->stripe_count)
		restripe(c, n, PLACE_STRIPE_SIZE);
}

/* The file system chose, as nothing else was left, and what it chose did not work either. */
static void none_left(struct lead *c, struct move_result *res)
{
	struct ebt_err last = res->err;

	ebt_failx(&res->err, res->code, "%s: no storage target is left that works: %.800s",
		c->m->d->root, last.text);
	res->side = MOVE_ALL;
}

void lead_file(struct lead *c, struct move_result *res)
{
	SCOPED_FREE uint32_t *osts = calloc((size_t)c->m->d->n_targets + 1, sizeof(*osts));
	struct move *m = c->m;
	uint64_t changed;
	uint32_t good = 0;
	bool first = true;

	*res = (struct move_result){.target = PLACE_NONE};
	if (!osts) {
		res->code = drain_fail(c->m->d, c->t->e.name, -ENOMEM, "targets", &res->err);
		return;
	}
	for (int i = 0; i < MOVE_TRIES; first = false) {
		changed = 0;
		health_look(&m->health);
		good = health_good(&m->health, NULL, 0);
		if (m->d->targets && c->t->stripe_count &&
			!health_replace(&m->health, c->t->targets, c->t->stripe_count,
				c->t->e.size / c->t->stripe_count, &changed))
			restripe(c, c->t->stripe_count, c->t->stripe_size);
		else if (!first)
			widen(c);
		if (changed || !first)
			__atomic_add_fetch(&m->d->rep->retries, 1, __ATOMIC_RELAXED);
		try_file(c, osts, i + 1 < MOVE_TRIES && m->d->targets != NULL, res);
		if (res->code == 0 || res->side != MOVE_TARGET || !m->d->targets ||
			for_all(c, res))
			return;
		if (move_stopped(m)) {
			/* It would have been tried again: it is not what ends the drain. */
			res->code = -ECANCELED;
			return;
		}
		blame(c, res);
		/* As long as bad targets are found out the next try has better ones. */
		i += health_good(&m->health, NULL, 0) >= good;
	}
	if (!good)
		none_left(c, res);
}
