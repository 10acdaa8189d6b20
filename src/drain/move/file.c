/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file from nothing to its name, by its lead. Created once with its layout under a name that
 * nobody can guess; objects written by the nodes that own their targets; synced; sources
 * looked at once more; owner, mode and times on the open descriptor; sealed in the journal;
 * renamed. Until the rename nobody sees it, after it it is complete. Where a target fails or
 * turns out slow retry.c begins again elsewhere.
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
#include "drain/move/lead.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

void lead_temp(struct move *m, char *out, size_t cap)
{
	snprintf(out, cap, ".ebt-drain-%s-%d-%llu", m->d->id, m->d->job.node,
		(unsigned long long)__atomic_fetch_add(&m->seq, 1, __ATOMIC_RELAXED));
}

bool lead_target_fails(int code)
{
	return code == -ENOSPC || code == -EINVAL || code == -EREMOTEIO ||
	       code == -EIO || code == -EROFS;
}

/* What the creation of @st gave, and whose fault it is if it failed. */
static void create_failed(struct lead *c, int code, struct move_result *res)
{
	res->code = code;
	res->target = PLACE_NONE;
	res->side = MOVE_SOURCE;
	if (lead_target_fails(code)) {
		/*
		 * One of its targets; which one is known if there is only one. Where pools
		 * are the file system's choice others may have room.
		 */
		res->side = c->t->stripe_count			    ? MOVE_TARGET
			    : c->m->d->at.tiered || code == -ENOSPC ? MOVE_SOURCE
								    : MOVE_ALL;
		if (c->t->stripe_count == 1 && !c->in_turn)
			res->target = c->t->targets[0];
	}
}

/* The layout as it was read back decides who writes what, not the one that was asked for. */
static void take_layout(struct lead *c, const struct pfs_layout *got, bool kept)
{
	const struct drain_task *t = c->t;

	c->count = 1;
	c->size = 0;
	c->placed = kept && t->stripe_count > 0 && !t->tier;
	c->in_parts = kept && t->stripe_count > 0 && t->tier;
	free(TAKE(c->objects));
	if (c->in_parts)
		return;
	if (c->placed) {
		c->count = t->stripe_count;
		c->size = t->stripe_size;
	} else if (got && got->n_parts == 1 && got->parts[0].start == 0 &&
		   got->parts[0].end == UINT64_MAX) {
		/* Its objects are somewhere; each of them still gets one writer. */
		c->count = got->parts[0].stripe_count;
		c->size = got->parts[0].stripe_size;
	}
	if (t->stripe_count && !kept && !c->in_turn)
		move_count(&c->m->d->rep->refused);
}

/* Nodes that write objects open the file by its name. */
static mode_t first_mode(const struct lead *c, gid_t gid)
{
	return drain_first_mode(c->m->d, &c->t->e, gid) |
	       (c->t->stripe_count > 1 || c->t->tier ? 0600 : 0);
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

/* The descriptor, of a file with the layout that its task wishes. */
static int open_new(struct lead *c, uint32_t *osts, struct pfs_layout **got, bool *kept,
	struct ebt_err *err)
{
	struct drain *d = c->m->d;
	struct drain_task *t = c->t;
	mode_t mode = first_mode(c, getegid());
	struct pfs_stripes wish = drain_pool_wish(&d->at, t, osts);
	bool wished = d->at.targets && t->stripe_count && !c->in_turn;
	int fd;

	if (!c->noted)
		lead_temp(c->m, c->temp, sizeof(c->temp));
	move_count(&d->rep->creates);
	if (wished)
		move_count(&d->rep->layouts);
	fd = pfs_create(d->dest.pfs, c->dirfd, c->temp, mode, wished ? &wish : NULL,
		got, kept, err);
	if (!t->tier || (fd != -EINVAL && fd != -EOPNOTSUPP))
		return fd;
	/* A server that does not take several components so may still place them itself. */
	move_count(&d->rep->refused);
	move_count(&d->rep->creates);
	t->tier = 0;
	t->stripe_count = 0;
	return pfs_create(d->dest.pfs, c->dirfd, c->temp, mode, NULL, got, kept, err);
}

static int create(struct lead *c, uint32_t *osts, struct move_result *res)
{
	SCOPED_LAYOUT struct pfs_layout *got = NULL;
	struct drain *d = c->m->d;
	const struct drain_task *t = c->t;
	bool kept = true;
	struct ebt_err reason;
	char name[DRAIN_PATH];
	struct stat st;

	c->loss = (struct attr_loss){{0}};
	frames_release(&c->frames);
	c->noted = false;
	c->fd = pack_is_compressed(d, t) ? lead_resume(c, osts, &got) : -ENOENT;
	if (c->fd == -ENOENT)
		c->fd = open_new(c, osts, &got, &kept, &res->err);
	if (c->fd < 0) {
		create_failed(c, c->fd, res);
		/* What was tried, the temporary name and its targets, comes after the file. */
		reason = res->err;
		ebt_failx(&res->err, c->fd, "%s: %.300s",
			drain_path(c->m->d, t->e.name, name), reason.text);
		return c->fd;
	}
	c->temp_there = true;
	if (fstat(c->fd, &st) < 0 || shut(c, &st) < 0) {
		res->code = drain_fail(c->m->d, t->e.name, -errno, "stat", &res->err);
		return res->code;
	}
	c->ino = st.st_ino;
	if (c->noted && !c->frames.n)
		lead_note_frames(c, &c->frames, 0, NULL);
	c->made = (struct attr_made){
		.uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode & 07777};
	if (c->in_turn) {
		if (!lead_went_in_turn(c, got)) {
			res->side = MOVE_TARGET;
			res->target = c->target;
			res->why = HEALTH_SLOW;
			res->code = drain_fail(d, t->e.name, -EAGAIN,
				"its target is bad or late", &res->err);
			return res->code;
		}
		kept = false;
	}
	if (d->at.targets) {
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
			log_warn(&c->m->d->job.log, "%s: cannot remove %s: %s",
				c->t->e.name, c->temp, strerror(errno));
	}
	c->temp_there = false;
}

static void write_content(struct lead *c, bool can_move, struct move_result *res)
{
	struct move_result size = {.target = PLACE_NONE};
	uint64_t end = 0;
	int r;

	for (uint32_t i = 0; i < c->t->n_pieces; i++) {
		if (c->t->pieces[i].off + c->t->pieces[i].len > end)
			end = c->t->pieces[i].off + c->t->pieces[i].len;
	}
	/*
	 * A hole at the end, before anything is synced. And writes beyond the end wait for each
	 * other in a client, writes before it do not.
	 */
	if (end < c->t->e.size || ((c->count > 1 || c->in_parts) && c->t->n_pieces))
		lead_set_size(c, c->t->e.size, &size);
	/* Of several components the size has made all objects; without it nothing is known. */
	if (c->in_parts && size.code == 0 && lead_take_parts(c) < 0)
		size.code = drain_fail(
			c->m->d, c->t->e.name, -ENOMEM, "objects", &size.err);
	if (c->in_parts && size.code < 0) {
		*res = size;
		return;
	}
	if (pack_is_compressed(c->m->d, c->t)) {
		*res = size;
		if (size.code == 0)
			lead_write_frames(c, can_move, res);
		return;
	}
	if (size.code < 0 && (c->count <= 1 || !c->t->n_pieces)) {
		*res = size;
	} else if (c->count > 1 && c->t->n_pieces) {
		/* If it failed, the writes say for which target. */
		lead_write(c, c->t, can_move, res);
		if (res->code == 0 && size.code < 0)
			*res = size;
	} else if (c->t->n_pieces) {
		lead_write(c, c->t, can_move, res);
	} else if (end < c->t->e.size && (r = lead_sync(c)) < 0) {
		res->code = drain_fail(c->m->d, c->t->e.name, r, "sync", &res->err);
		res->side = MOVE_TARGET;
	}
}

/* Attributes @e, seal, name. */
static int name_file(
	struct lead *c, const struct manifest_entry *e, struct ebt_err *err)
{
	struct drain *d = c->m->d;
	struct ebt_err why = {0};
	int r;

	move_count(&d->rep->setattrs);
	r = attr_bring(c->fd, e, &c->made, d->o->strict ? NULL : &c->loss, &why);
	if (r < 0)
		return drain_fail_for(d, e->name, &why, err);
	r = close(c->fd) < 0 ? drain_fail(d, e->name, -errno, "close", err) : 0;
	c->fd = -1;
	/* What is torn is nothing that a later run may build on. */
	if (r == 0 && c->taken != MOVE_TORN)
		r = lead_seal(c, err);
	if (r == 0)
		r = lead_name(c, &c->first, &c->at, err);
	c->temp_there = r != 0;
	c->kept = r == 1;
	if (r == 1)
		lead_discard(c);
	return r < 0 ? r : 0;
}

/* Complete and synced. */
static int finish_file(struct lead *c, struct move_result *res)
{
	struct drain *d = c->m->d;
	struct manifest_entry e = c->t->e;
	struct activity_call call;
	struct ebt_err *err = &res->err;
	enum net_refused how;
	int r;

	if (d->o->no_xattrs)
		e.xattrs_len = 0;
	e.no_owner = d->dest.inherits;
	how = NET_ODD;
	r = c->t->archive ? lead_check_archive(c, res)
			  : lead_check_sources(c, &how, NULL, err);
	if (r < 0 && how != NET_ODD) {
		res->side = MOVE_UNSTEADY;
		if (d->pass.turn == DRAIN_LAST)
			r = lead_take_changed(c, how, res);
	}
	if (r < 0)
		return r;
	res->side = MOVE_SOURCE;
	lead_show(c, &call, "finishing");
	r = name_file(c, &e, err);
	activity_end(&d->job.activity, &call);
	return r;
}

void lead_try_file(
	struct lead *c, uint32_t *osts, bool can_move, struct move_result *res)
{
	struct activity_call call;
	int r;

	*res = (struct move_result){.side = MOVE_SOURCE, .target = PLACE_NONE};
	c->taken = MOVE_WHOLE;
	lead_show(c, &call, "creating");
	r = create(c, osts, res);
	activity_end(&c->m->d->job.activity, &call);
	if (r < 0) {
		lead_discard(c);
		return;
	}
	write_content(c, can_move, res);
	if (res->code == 0) {
		res->side = MOVE_SOURCE;
		res->code = finish_file(c, res);
	}
	/* Not its own failure: the next run goes on with what there is of it. */
	if (res->code < 0 && c->noted && res->side == MOVE_NOBODY)
		c->temp_there = false;
	if (res->code < 0)
		lead_discard(c);
	frames_release(&c->frames);
}
