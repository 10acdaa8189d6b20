/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a file that is complete gets its names. The plain one, unless something is there that
 * stays: then the next one that is free of those that tell what it is. Each name is sealed
 * before it appears, and each but those that may be replaced appears only where nothing is, so
 * that neither another drain nor anybody else loses a file to us.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "drain/move/lead.h"
#include "fsio/fsio.h"

#define TRIES 100000 /* names of one file */

/* What the job called it. */
static const char *own_name(const struct drain_name *n)
{
	return *n->of ? n->of : n->path;
}

/*
 * The journal gets to know @n names of the inode that c->ino is, or of @there, which is not
 * ours but says the same.
 */
static int seal(struct lead *c, const char *names, uint32_t n, const char *of,
	const struct stat *there, struct ebt_err *err)
{
	const struct drain_task *t = c->t;
	SCOPED_FREE struct journal_source *sources =
		calloc(t->n_sources, sizeof(*sources));
	struct drain *d = c->m->d;
	struct journal_seal s = {
		.names = names,
		.n_names = n,
		.of = of,
		.ino = d->dest.inodes_differ ? 0
		       : there		     ? there->st_ino
					     : c->ino,
		.size = c->packed ? c->packed : t->e.size,
		.mtime = there ? there->st_mtim.tv_sec : t->e.mtime,
		.mtime_ns = there ? (uint32_t)there->st_mtim.tv_nsec : t->e.mtime_ns,
		.sources = sources,
		.lacks = (uint8_t)(t->lacks | drain_lacks(&c->loss)),
		.n_sources = t->n_sources,
	};
	bool proven;
	int r;

	if (!sources)
		return drain_fail(d, t->e.name, -ENOMEM, "journal", err);
	for (uint32_t i = 0; i < t->n_sources; i++) {
		sources[i] = t->sources[i].file;
		/* It is ours, and no version that a store has: the next one replaces it. */
		if (c->taken != MOVE_WHOLE || drain_lost_for_room(&c->loss))
			sources[i].ino = 0;
	}
	r = drain_seal(d, &s, &proven, err);
	c->unproven |= r == 0 && !proven;
	return r;
}

/* Names that the file gets if nobody is faster: those that are not known to be taken. */
static bool plain(const struct drain_name *n)
{
	return !(n->marks & (DRAIN_IN_WAY | DRAIN_BY_NODE)) && !*n->was;
}

int lead_seal(struct lead *c, struct ebt_err *err)
{
	const struct drain_task *t = c->t;
	SCOPED_BUF struct buf names = {0};
	const char *at = t->names;
	struct drain_name n;
	uint32_t count = 0;
	int r = 0;

	for (uint32_t i = 0; i < t->n_names && r == 0; i++) {
		at = drain_name_next(at, &n);
		if (!plain(&n) || (i == 0 && t->in_place))
			continue;
		if (*n.of) {
			r = seal(c, n.path, 1, n.of, NULL, err);
			continue;
		}
		buf_put(&names, n.path, strlen(n.path) + 1);
		count++;
	}
	if (!buf_ok(&names))
		return drain_fail(c->m->d, t->e.name, -ENOMEM, "journal", err);
	if (r == 0 && count)
		r = seal(c, (const char *)names.data, count, NULL, NULL, err);
	return r;
}

static void tell(struct lead *c, const struct drain_name *n, const char *as)
{
	char path[DRAIN_PATH], other[DRAIN_PATH];
	struct drain *d = c->m->d;

	if (n->marks & DRAIN_BY_NODE)
		drain_look_of(d, lead_node(c->t), EBT_LOOK_BESIDE, n->path, as,
			"%s: several nodes have it, and not the same: this one is %s%s",
			drain_path(d, n->path, path),
			text_name(text_base(as), other, sizeof(other)),
			c->t->e.kind == MANIFEST_FILE
				? " (pieces of one file? --conflict=merge joins them)"
				: "");
	else
		drain_look_of(d, lead_node(c->t), EBT_LOOK_BESIDE, n->path, as,
			"%s is there already, and not the same: this one is %s",
			drain_path(d, n->path, path),
			text_name(text_base(as), other, sizeof(other)));
}

static void tell_kept(struct lead *c, const struct drain_name *n)
{
	char path[DRAIN_PATH];

	drain_look_of(c->m->d, lead_node(c->t), EBT_LOOK_KEPT, n->path, NULL,
		"%s is there already, and not the same: it stays, this one does not "
		"come",
		drain_path(c->m->d, n->path, path));
}

static int take(struct lead_at *at, const char *path, bool replace)
{
	const char *base = text_base(path);
	int r;

	if (replace)
		r = renameat(at->dirfd, at->temp, at->dirfd, base) < 0 ? -errno : 0;
	else
		r = fsio_name_new(at->dirfd, at->temp, base);
	if (r == 0)
		snprintf(at->base, sizeof(at->base), "%s", base);
	return r;
}

static int fail(struct lead *c, const char *path, int code, struct ebt_err *err)
{
	return drain_fail(c->m->d, path, code, "rename", err);
}

/* The first name beside its own that is free. */
static int beside(struct lead *c, const struct drain_name *n, struct lead_at *at,
	struct ebt_err *err)
{
	char *path = c->l->name;
	struct stat st;
	int r = -EEXIST;

	for (unsigned k = 1; k < TRIES && r == -EEXIST; k++) {
		r = drain_beside(n->path, n->ending, k, path, DRAIN_NAME_SIZE);
		if (r < 0)
			break;
		move_count(&c->m->d->rep->others);
		r = -EEXIST;
		if (fstatat(at->dirfd, text_base(path), &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		r = seal(c, path, 1, own_name(n), NULL, err);
		if (r < 0)
			return r;
		move_count(&c->m->d->rep->renames);
		r = take(at, path, false);
	}
	if (r < 0)
		return fail(c, n->path, r, err);
	tell(c, n, path);
	return 0;
}

/* Not sealed: nothing that a later run may build on, nor replace. */
static int torn(struct lead *c, const struct drain_name *n, struct lead_at *at,
	struct ebt_err *err)
{
	char *path = c->l->name;
	int r = -EEXIST;

	for (unsigned k = 1; k < TRIES && r == -EEXIST; k++) {
		r = drain_beside(n->path, DRAIN_TORN, k, path, DRAIN_NAME_SIZE);
		if (r < 0)
			break;
		move_count(&c->m->d->rep->renames);
		r = take(at, path, false);
	}
	if (r < 0)
		return fail(c, n->path, r, err);
	if (!c->as)
		c->as = strdup(path);
	return 0;
}

/* What is there is not replaced: does the file come with another name? */
static bool steps_aside(const struct drain *d)
{
	return d->o->overwrite == EBT_OVERWRITE_AUTO ||
	       d->o->overwrite == EBT_OVERWRITE_KEEP;
}

bool lead_keeps(const struct lead *c, const struct drain_name *n)
{
	return c->m->d->o->overwrite == EBT_OVERWRITE_KEEP &&
	       !(n->marks & DRAIN_BY_NODE);
}

int lead_name(struct lead *c, const struct drain_name *n, struct lead_at *at,
	struct ebt_err *err)
{
	int r;

	if (c->taken == MOVE_TORN)
		return torn(c, n, at, err);
	if (*n->was) {
		r = seal(c, n->was, 1, own_name(n), NULL, err);
		if (r < 0)
			return r;
		move_count(&c->m->d->rep->renames);
		r = take(at, n->was, true);
		if (r < 0)
			return fail(c, n->was, r, err);
		tell(c, n, n->was);
		return 0;
	}
	if (plain(n)) {
		move_count(&c->m->d->rep->renames);
		r = take(at, n->path, (n->marks & DRAIN_REPLACES) != 0);
		if (r != -EEXIST || !steps_aside(c->m->d))
			return r < 0 ? fail(c, n->path, r, err) : 0;
	}
	/* Also what somebody else has put there since. */
	if (!lead_keeps(c, n))
		return beside(c, n, at, err);
	tell_kept(c, n);
	return 1;
}

/*
 * @path, of the names that @n may get, holds it already. What has its own name there without
 * us is not on record as ours, or the next version would replace it; but where nodes free their
 * versions one by one, what is left has to know that it is in place.
 */
static int found(struct lead *c, const struct drain_name *n, struct lead_at *at,
	const char *path, const struct stat *st, struct ebt_err *err)
{
	const char *own = own_name(n);
	bool other = strcmp(path, n->path) != 0;
	int r = 0;

	if (other || *n->of || c->t->contested)
		r = seal(c, path, 1, other || *n->of ? own : NULL, st, err);
	if (r < 0)
		return r;
	if (other)
		tell(c, n, path);
	snprintf(at->base, sizeof(at->base), "%.255s", text_base(path));
	return 1;
}

int lead_is_there(struct lead *c, const struct drain_name *n, struct lead_at *at,
	struct ebt_err *err)
{
	/* Where others come under their nodes' names, nobody has the plain one. */
	unsigned first = n->marks & DRAIN_IN_WAY ? 0 : 1;
	char *path = c->l->name;
	struct stat st;
	int r;

	if (plain(n) || *n->was || c->taken == MOVE_TORN)
		return 0;
	/* Also what a run brought beside it whose journal is lost. */
	for (unsigned k = first; k < TRIES; k++) {
		r = 0;
		if (k == 0)
			snprintf(path, DRAIN_NAME_SIZE, "%s", n->path);
		else
			r = drain_beside(n->path, n->ending, k, path, DRAIN_NAME_SIZE);
		if (r < 0)
			return fail(c, n->path, r, err);
		r = lead_same(c, at->dirfd, text_base(path), &st);
		if (r == 1)
			return found(c, n, at, path, &st, err);
		if (k == 0 && lead_keeps(c, n)) {
			tell_kept(c, n);
			return 2;
		}
		if (k > 0 && r < 0)
			break;
	}
	return 0;
}
