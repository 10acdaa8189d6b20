/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leads: threads that take tasks and see them through. Tasks wait in a queue for each target,
 * of which as many are in work as go round evenly: one slow target does not hold all leads.
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

void lead_temp(struct lead *c)
{
	snprintf(c->temp, sizeof(c->temp), ".ebt-drain-%s-%d-%llu", c->m->d->id, c->m->d->job.node,
		(unsigned long long)__atomic_fetch_add(&c->m->seq, 1, __ATOMIC_RELAXED));
}

int move_lane_init(struct move_lane *l, struct move *m, struct ebt_err *err)
{
	*l = (struct move_lane){.m = m, .source = MOVE_SOURCE_INIT, .dirfd = -1};
	for (int i = 0; i < MOVE_DEPTH; i++) {
		l->block[i] = malloc(m->block);
		if (!l->block[i])
			return ebt_fail(err, -ENOMEM, "buffers to write (see --memory)");
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

static int run_symlink(struct lead *c, struct ebt_err *err)
{
	struct drain *d = c->m->d;
	struct manifest_entry e = c->t->e;
	int r;

	lead_temp(c);
	move_count(&d->rep->creates);
	if (symlinkat(e.target, c->dirfd, c->temp) < 0)
		return drain_fail(c->m->d, e.name, -errno, "symlink", err);
	c->temp_there = true;
	move_count(&d->rep->setattrs);
	e.name = c->temp;
	r = store_set_link_attributes(c->dirfd, &e, err);
	if (r == 0)
		r = lead_seal(c, err);
	if (r == 0)
		r = lead_name(c, c->temp, err);
	if (r == 0)
		c->temp_there = false;
	else
		lead_discard(c);
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
			return drain_fail(c->m->d, name, dirfd, "link", err);
		lead_temp(&to);
		to.dirfd = dirfd;
		to.name = slash ? slash + 1 : name;
		move_count(&d->rep->others);
		if (linkat(c->dirfd, c->name, dirfd, to.temp, 0) < 0)
			r = drain_fail(c->m->d, name, -errno, "link", err);
		if (r == 0)
			r = lead_name(&to, to.temp, err);
		/* A rename onto another name of the same file does nothing at all. */
		if (r < 0 || c->t->replaces)
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
		res->code = drain_fail(l->m->d, t->e.name, c.dirfd, "directory", &res->err);
		return;
	}
	if (!t->in_place && t->e.kind == MANIFEST_SYMLINK)
		res->code = run_symlink(&c, &res->err);
	else if (!t->in_place)
		lead_file(&c, res);
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
	/* No other file would fare better. */
	bool all = res->code < 0 &&
		(res->side == MOVE_ALL || res->code == -EDQUOT || res->code == -ENOSPC ||
			res->code == -EROFS);

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
	struct move_lane *l = arg;
	struct move *m = l->m;
	struct move_result res;
	struct drain_task *t;
	uint32_t queue;

	while ((t = next_task(m, &queue))) {
		run_task(l, t, &res);
		finish_task(m, t, queue, &res);
		drain_task_free(t);
	}
	SCOPED_LOCK(&m->lock);
	m->leads_running--;
	return NULL;
}
