/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leads: threads that take tasks and see them through. Tasks wait in a queue for each target,
 * of which as many are in work as go round evenly: one slow target does not hold all leads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/move/lead.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

/* What is under @name, beside the file's own, as what it has to be. */
static int find_inode(struct lead *c, const char *name, struct ebt_err *err)
{
	const struct manifest_entry *e = &c->t->e;
	char shown[DRAIN_PATH];
	struct stat st;
	int r;

	move_count(&c->m->d->rep->others);
	r = fsio_stat_now(c->dirfd, name, &st);
	if (r < 0)
		return drain_fail(c->m->d, e->name, r, "stat", err);
	if (e->kind == MANIFEST_SYMLINK
			? !S_ISLNK(st.st_mode)
			: !S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size)
		return ebt_failx(err, -ESTALE, "%s: was replaced by somebody else",
			drain_path(c->m->d, e->name, shown));
	c->ino = st.st_ino;
	return 0;
}

static int run_symlink(struct lead *c, struct ebt_err *err)
{
	struct drain *d = c->m->d;
	struct manifest_entry e = c->t->e;
	struct ebt_err why = {0};
	int r;

	lead_temp(c->m, c->temp, sizeof(c->temp));
	move_count(&d->rep->creates);
	if (symlinkat(e.target, c->dirfd, c->temp) < 0)
		return drain_fail(c->m->d, e.name, -errno, "symlink", err);
	c->temp_there = true;
	move_count(&d->rep->setattrs);
	e.name = c->temp;
	e.no_owner = d->dest.inherits;
	r = attr_bring_link(c->dirfd, &e, d->o->strict ? NULL : &c->loss, &why);
	if (r < 0)
		drain_fail_for(d, c->t->e.name, &why, err);
	if (r == 0)
		r = find_inode(c, c->temp, err);
	if (r == 0)
		r = lead_seal(c, err);
	if (r == 0)
		r = lead_name(c, &c->first, &c->at, err);
	c->kept = r == 1;
	if (r == 0)
		c->temp_there = false;
	else
		lead_discard(c);
	return r < 0 ? r : 0;
}

/* One more name for what is under c->at. */
static int add_name(struct lead *c, const struct drain_name *n, struct ebt_err *err)
{
	struct drain *d = c->m->d;
	const char *slash = strrchr(n->path, '/');
	SCOPED_FREE char *dir = strndup(n->path, slash ? (size_t)(slash - n->path) : 0);
	SCOPED_FD int dirfd = -1;
	struct lead_at at = {0};
	char temp[sizeof(c->temp)];
	int r;

	dirfd = dir ? drain_open_made(d, dir, O_PATH | O_DIRECTORY) : -ENOMEM;
	if (dirfd < 0)
		return drain_fail(d, n->path, dirfd, "link", err);
	at.dirfd = dirfd;
	at.temp = temp;
	r = lead_is_there(c, n, &at, err);
	c->kept |= r == 2;
	if (r || c->absent)
		return r < 0 ? r : 0;
	lead_temp(c->m, temp, sizeof(temp));
	move_count(&d->rep->others);
	if (linkat(c->dirfd, c->at.base, dirfd, temp, 0) < 0)
		return drain_fail(d, n->path, -errno, "link", err);
	r = lead_name(c, n, &at, err);
	/* A rename onto another name of the same file does nothing at all. */
	if (r || (n->marks & DRAIN_REPLACES) || *n->was)
		unlinkat(dirfd, temp, 0);
	c->kept |= r == 1;
	if (r == 0)
		move_count(&d->rep->links);
	return r < 0 ? r : 0;
}

/* Further names of a file that is in place. */
static int run_links(struct lead *c, const char *names, struct ebt_err *err)
{
	struct drain_name n;
	int r = 0;

	/* Each name has its proof before it is there: these were not sealed with the file. */
	if (c->t->in_place) {
		r = find_inode(c, c->at.base, err);
		if (r == 0)
			r = lead_seal(c, err);
	}
	for (uint32_t i = 1; i < c->t->n_names && r == 0; i++) {
		names = drain_name_next(names, &n);
		r = add_name(c, &n, err);
	}
	return r;
}

/* The first name, with content and all. 1: what is there says the same. */
static int run_first(struct lead *c, struct move_result *res)
{
	int r = c->t->in_place ? 1 : lead_is_there(c, &c->first, &c->at, &res->err);

	c->kept = r == 2;
	if (r < 0)
		res->code = r;
	else if (r == 0 && c->t->e.kind == MANIFEST_SYMLINK)
		res->code = run_symlink(c, &res->err);
	else if (r == 0)
		lead_file(c, res);
	return r;
}

/* Of a file that did not come to rest: what there is in dest. */
static void tell_taken(const struct lead *c)
{
	struct drain *d = c->m->d;
	const char *name = c->t->e.name;
	char path[DRAIN_PATH], as[DRAIN_PATH];

	drain_path(d, name, path);
	if (c->taken == MOVE_GREW)
		drain_look_of(d, lead_node(c->t), EBT_LOOK_GREW, name, NULL,
			"%s: did not stop changing: is as it was at one moment, not as "
			"it is now",
			path);
	else
		drain_look_of(d, lead_node(c->t), EBT_LOOK_TORN, name, c->as,
			"%s: changed while it was read: what was read is %s", path,
			drain_path(d, c->as ? c->as : "", as));
}

/* Nodes that have members of it are to know. */
static void name_archive(const struct lead *c)
{
	const char *slash = strrchr(c->t->e.name, '/');
	int above = slash ? (int)(slash + 1 - c->t->e.name) : 0;
	SCOPED_FREE char *path = NULL;

	/* Without memory to say so nothing of it is freed, and it has no index. */
	if (asprintf(&path, "%.*s%s", above, c->t->e.name, c->at.base) < 0)
		path = NULL;
	if (path)
		pack_named(c->m->d, c->t, path, c->unproven);
}

static void run_task(struct move_lane *l, struct drain_task *t, struct move_result *res)
{
	struct lead c = {.l = l, .m = l->m, .t = t, .fd = -1};
	const char *more = drain_name_next(t->names, &c.first);
	const char *slash = strrchr(t->e.name, '/');
	struct ebt_drain_report *rep = l->m->d->rep;
	int there;

	*res = (struct move_result){.side = MOVE_SOURCE, .target = PLACE_NONE};
	snprintf(c.at.base, sizeof(c.at.base), "%s", slash ? slash + 1 : t->e.name);
	c.dirfd = move_dir(l, t->e.name);
	if (c.dirfd < 0) {
		res->code =
			drain_fail(l->m->d, t->e.name, c.dirfd, "directory", &res->err);
		return;
	}
	c.at.dirfd = c.dirfd;
	c.at.temp = c.temp;
	there = run_first(&c, res);
	free(c.objects);
	free(c.wide);
	if (c.wide)
		t->targets = NULL;
	if (res->code < 0) {
		free(c.as);
		return;
	}
	if (there == 1 && !t->in_place)
		move_count(&rep->in_place);
	if (there == 0 && !c.kept) {
		move_count(
			t->e.kind == MANIFEST_SYMLINK ? &rep->symlinks : &rep->files);
		if (t->e.kind == MANIFEST_FILE)
			__atomic_add_fetch(&rep->bytes, res->bytes, __ATOMIC_RELAXED);
	}
	/* Of what does not come each name is told. */
	c.absent = c.kept;
	if (t->n_names > 1)
		res->code = run_links(&c, more, &res->err);
	if (there == 0 && !c.kept)
		drain_lose(l->m->d, t->e.name, &c.loss);
	res->lacks = drain_lacks(&c.loss) || t->lacks;
	res->unproven = c.unproven;
	res->taken = c.taken;
	if ((c.taken == MOVE_GREW || c.taken == MOVE_TORN) && !c.kept)
		tell_taken(&c);
	if (t->archive && !c.kept && res->code == 0)
		name_archive(&c);
	free(c.as);
	/* Told already, and not in dest. */
	if (c.kept && res->code == 0) {
		res->code = -EEXIST;
		res->side = MOVE_NOBODY;
	}
}

static bool may_take_locked(const struct move *m, uint32_t i)
{
	if (!m->queue[i] || i + 1 == m->n_queues)
		return m->queue[i] != NULL;
	return m->in_work[i] < m->per_queue &&
	       !(m->hold && m->tried[i] && !m->queue[i]->big);
}

/* The queue with the fewest in work; those of bad targets are anybody's. */
static struct drain_task *take_locked(struct move *m, uint32_t *queue)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < m->n_queues; i++) {
		if (!may_take_locked(m, i))
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
			m->tried[*queue] = true;
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

static void finish_task(struct move_lane *l, struct drain_task *t, uint32_t queue,
	const struct move_result *res)
{
	struct move *m = l->m;
	bool no_room = move_lacks_room(m, res);
	struct move_outcome *ends = NULL, *o;
	/* No other file would fare better, unless it comes to lie in another pool. */
	bool all = res->code < 0 && res->side != MOVE_NOBODY && !no_room &&
		   (res->side == MOVE_ALL || res->code == -EDQUOT ||
			   res->code == -ENOSPC ||
			   (res->code == -EROFS && !m->d->at.tiered));
	/* What is without attributes or a name is not all there: nobody frees it. */
	bool whole =
		res->code == 0 && !res->lacks && res->taken == MOVE_WHOLE && !t->some;

	for (uint32_t i = 0; i < t->n_sources && whole; i++) {
		if (t->sources[i].of == DRAIN_OF_PART)
			continue;
		o = calloc(1, sizeof(*o));
		if (!o)
			break; /* its source is kept, which is never wrong */
		*o = (struct move_outcome){.next = ends,
			.node = t->sources[i].node,
			.entry = t->sources[i].entry,
			.unproven = t->contested && res->unproven};
		ends = o;
	}
	if (res->code == 0)
		room_was_there(l, t);
	if (all) {
		room_ends(l, t, res);
	} else if (no_room) {
		room_was_missing(l, t, res);
	} else if (res->code < 0 && res->side == MOVE_UNSTEADY &&
		   m->d->pass.turn == DRAIN_TRY) {
		drain_hold(m->d, t->e.name, res->err.text);
	} else if (res->code < 0 && res->side != MOVE_NOBODY) {
		drain_look_of(m->d, lead_node(t), EBT_LOOK_MISSING, t->e.name, NULL,
			"%s", res->err.text);
	}
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
	struct move_lane *l = arg;
	struct move *m = l->m;
	struct move_result res;
	struct drain_task *t;
	uint32_t queue;

	while ((t = next_task(m, &queue))) {
		if (room_is_used_up(l, t, &res.code)) {
			drain_look_quietly(m->d, EBT_LOOK_MISSING, t->e.name, NULL);
			res.side = MOVE_NOBODY;
		} else {
			run_task(l, t, &res);
		}
		finish_task(l, t, queue, &res);
		drain_task_free(t);
	}
	SCOPED_LOCK(&m->lock);
	m->leads_running--;
	return NULL;
}
