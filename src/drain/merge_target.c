/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is in dest already. Each directory of ours that exists there is listed once, by the
 * owner of its path, and the names found travel to their owners: two calls for a directory,
 * none for a file, however many nodes ask. A directory is only looked for where its parent's
 * list has it, so the levels of the tree come one after the other.
 *
 * A file is looked at itself only where that decides something: to be updated, or sealed by an
 * earlier run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/journal_format.h"
#include "drain/merge_internal.h"
#include "fsio/fsio.h"

#define TEMPORARY ".ebt-drain-"

enum list_record { LIST_DIR = 1, LIST_NAME = 2 };

struct listing {
	struct merge *g;
	struct buf dirs; /* of const char *: to be listed in this round */
	struct buf next; /* and in the next */
	char mine[64];   /* how temporary names of this drain begin */
	uint32_t *told;  /* a node: number of the directory that it was told last */
	uint32_t number; /* of the directory at hand */
	const char *dir;
	int fd;
	/* The directory that was looked into last. */
	char *parent;
	int parent_fd;
};

static void listing_release(struct listing *l)
{
	buf_release(&l->dirs);
	buf_release(&l->next);
	free(l->told);
	free(l->parent);
	scope_close(&l->parent_fd);
}

static int send_seal(void *arg, const struct journal_seal *s)
{
	struct merge *g = arg;
	const char *name = s->names;

	for (uint32_t i = 0; i < s->n_names; i++, name += strlen(name) + 1) {
		struct buf *b = &g->out[merge_owner(g, name)];

		merge_put_string(b, name);
		buf_put64(b, s->size);
		buf_put64(b, (uint64_t)s->mtime);
		buf_put32(b, s->mtime_ns);
		buf_put32(b, s->n_sources);
		for (uint32_t k = 0; k < s->n_sources; k++)
			journal_put_source(b, &s->sources[k]);
	}
	return 0;
}

static int take_seals(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct merge *g = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		const char *name = merge_get_string(&r);
		uint64_t size = reader_get64(&r), mtime = reader_get64(&r);
		uint32_t ns = reader_get32(&r), n = reader_get32(&r);
		struct merge_spot *spot = name ? merge_find(g, name) : NULL;
		struct merge_seal *s;

		if (!name || n > reader_left(&r) / JOURNAL_SOURCE_LEN)
			return ebt_failx(err, -EBADMSG, "damaged message of node %d", peer);
		if (!spot) {
			reader_take(&r, (size_t)n * JOURNAL_SOURCE_LEN);
			continue;
		}
		s = malloc(sizeof(*s) + n * sizeof(s->sources[0]));
		if (!s)
			return ebt_fail(err, -ENOMEM, "journals");
		*s = (struct merge_seal){.next = spot->seals,
			.size = size,
			.mtime = (int64_t)mtime,
			.mtime_ns = ns,
			.n_sources = n};
		spot->seals = s;
		for (uint32_t k = 0; k < n; k++)
			journal_get_source(&r, &s->sources[k]);
	}
	return 0;
}

static int seals_all(struct merge *g, struct ebt_err *err)
{
	if (g->d->journal)
		journal_each(g->d->journal, send_seal, g);
	return merge_exchange_all(g, 0, take_seals, g, err);
}

static int send_name(void *arg, const char *name, unsigned char d_type)
{
	struct listing *l = arg;
	struct merge *g = l->g;
	char path[2 * PATH_MAX];
	uint32_t owner;
	struct buf *b;

	if (strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0) {
		if (g->d->o->dry_run || strncmp(name, l->mine, strlen(l->mine)) != 0)
			return 0;
		g->d->rep->others++;
		return unlinkat(l->fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	}
	if (snprintf(path, sizeof(path), "%s%s%s", l->dir, *l->dir ? "/" : "", name) >=
		PATH_MAX)
		return 0; /* longer than any output's */
	owner = merge_owner(g, path);
	b = &g->out[owner];
	if (l->told[owner] != l->number) {
		l->told[owner] = l->number;
		buf_put8(b, LIST_DIR);
		merge_put_string(b, l->dir);
	}
	buf_put8(b, LIST_NAME);
	buf_put8(b, d_type);
	merge_put_string(b, name);
	return 0;
}

static int list_dir(struct listing *l, const char *dir, struct ebt_err *err)
{
	struct drain *d = l->g->d;
	SCOPED_FD int fd = fsio_open_beneath(d->rootfd, dir, O_RDONLY | O_DIRECTORY);
	int r;

	d->rep->opens++;
	d->rep->others++;
	/* Gone again, or replaced: making it will tell. */
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return drain_fail(l->g->d, dir, fd, "open", err);
	l->dir = dir;
	l->fd = fd;
	l->number++;
	r = fsio_list(fd, send_name, l);
	return r < 0 ? drain_fail(l->g->d, dir, r, "list", err) : 0;
}

/* lstat of @path in dest. 1: there is nothing. */
static int look(struct listing *l, const char *path, struct stat *st, const char **leaf,
	struct ebt_err *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	*leaf = slash ? slash + 1 : path;
	if (!l->parent || strlen(l->parent) != len || strncmp(l->parent, path, len) != 0) {
		scope_close(&l->parent_fd);
		free(l->parent);
		l->parent_fd = -1;
		l->parent = strndup(path, len);
		if (!l->parent)
			return drain_fail(l->g->d, path, -ENOMEM, "stat", err);
		l->parent_fd =
			fsio_open_beneath(l->g->d->rootfd, l->parent, O_PATH | O_DIRECTORY);
		l->g->d->rep->opens++;
	}
	if (l->parent_fd == -ENOENT || l->parent_fd == -ENOTDIR || l->parent_fd == -ELOOP)
		return 1;
	if (l->parent_fd < 0)
		return drain_fail(l->g->d, path, l->parent_fd, "open", err);
	l->g->d->rep->others++;
	if (fstatat(l->parent_fd, *leaf, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT ? 1 : drain_fail(l->g->d, path, -errno, "stat", err);
}

static int found(struct listing *l, struct merge_spot *s, unsigned char d_type,
	struct ebt_err *err)
{
	const char *leaf;
	struct stat st;
	int r;

	if (d_type == DT_UNKNOWN) {
		r = look(l, s->c->path, &st, &leaf, err);
		if (r)
			return r < 0 ? r : 0;
		d_type = IFTODT(st.st_mode);
	}
	s->exists = true;
	s->d_type = d_type;
	if (d_type == DT_DIR && s->c->kind == MANIFEST_DIR)
		buf_put(&l->next, &s->c->path, sizeof(s->c->path));
	return buf_ok(&l->next) ? 0 : ebt_fail(err, -ENOMEM, "directories");
}

static int take_names(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct listing *l = arg;
	struct reader r = reader_of(b->data, b->len);
	const char *dir = NULL, *name;
	struct merge_spot *s;
	char path[PATH_MAX];
	unsigned char type;
	int code = 0;

	while (reader_left(&r) && code == 0) {
		if (reader_get8(&r) == LIST_DIR) {
			dir = merge_get_string(&r);
			continue;
		}
		type = reader_get8(&r);
		name = merge_get_string(&r);
		if (!name || !dir ||
			snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "", name) >=
				(int)sizeof(path))
			return ebt_failx(err, -EBADMSG, "damaged message of node %d", peer);
		s = merge_find(l->g, path);
		if (s)
			code = found(l, s, type, err);
	}
	return code;
}

/* Level by level, until no node has a directory left to be listed. */
static int lists_all(struct listing *l, struct ebt_err *err)
{
	static const char *const root = "";
	struct job *j = &l->g->d->job;
	uint64_t left;
	int r = 0;

	if (merge_owner(l->g, root) == (uint32_t)j->node)
		buf_put(&l->next, &root, sizeof(root));
	for (;;) {
		buf_release(&l->dirs);
		l->dirs = l->next;
		l->next = (struct buf){0};
		left = l->dirs.len;
		transport_reduce_all(j->nodes, &left, 1, MPI_UINT64_T, MPI_SUM);
		if (!left)
			return 0;
		for (size_t i = 0; i < l->dirs.len / sizeof(root) && r == 0; i++)
			r = list_dir(l, ((const char *const *)l->dirs.data)[i], err);
		r = merge_exchange_all(l->g, r, take_names, l, err);
		if (r < 0)
			return r;
	}
}

static uint8_t kind_of(unsigned char d_type)
{
	switch (d_type) {
	case DT_DIR:
		return MANIFEST_DIR;
	case DT_REG:
		return MANIFEST_FILE;
	case DT_LNK:
		return MANIFEST_SYMLINK;
	default:
		return 0;
	}
}

static int settle(struct listing *l, struct merge_spot *s, struct ebt_err *err)
{
	struct drain *d = l->g->d;
	/* What lies in the hidden stand-in of an atomic drain was put there by that drain. */
	const struct merge_policy how = {.conflict = d->o->conflict,
		.overwrite = d->o->atomic ? EBT_OVERWRITE_ALWAYS : d->o->overwrite,
		.frees = d->o->watch > 0 && d->o->free_local};
	struct merge_target t = {.kind = kind_of(s->d_type)};
	char says[PATH_MAX], shown[MERGE_PATH];
	const char *leaf;
	enum merge_wrong wrong;
	struct stat st;
	ssize_t n;
	int r;

	if (t.kind != MANIFEST_DIR && s->c->kind != MANIFEST_DIR &&
		(s->seals || how.overwrite == EBT_OVERWRITE_UPDATE)) {
		r = look(l, s->c->path, &st, &leaf, err);
		if (r)
			return r < 0 ? r : 0;
		t.kind = kind_of(IFTODT(st.st_mode));
		t.size = (uint64_t)st.st_size;
		t.mtime = st.st_mtim.tv_sec;
		t.mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	}
	if (t.kind == MANIFEST_SYMLINK && s->c->kind == MANIFEST_SYMLINK &&
		(s->seals || how.overwrite == EBT_OVERWRITE_UPDATE)) {
		n = readlinkat(l->parent_fd, leaf, says, sizeof(says) - 1);
		d->rep->others++;
		says[n > 0 ? n : 0] = '\0';
		t.target = says;
	}
	wrong = merge_settle(s->c, s->n, &how, &t, s->seals, &s->settled);
	if (wrong != MERGE_WRONGS)
		merge_complain(&l->g->wrong, wrong, "%s%s", merge_shown(s->c->path, shown),
			wrong == MERGE_EXISTS && how.overwrite != EBT_OVERWRITE_REFUSE
				? ", which another node freed" : "");
	return 0;
}

static int settle_spots(struct listing *l, struct ebt_err *err)
{
	int r = 0;

	for (size_t i = 0; i < l->g->n_spots && r == 0; i++) {
		struct merge_spot *s = &l->g->spots[i];

		if (s->exists && s->ruling != MERGE_CLASH)
			r = settle(l, s, err);
	}
	return r;
}

int merge_targets_all(struct merge *g, struct ebt_err *err)
{
	SCOPED(listing_release) struct listing l = {.g = g, .fd = -1, .parent_fd = -1};
	int r = seals_all(g, err);

	if (r < 0)
		return r;
	snprintf(l.mine, sizeof(l.mine), TEMPORARY "%s-", g->d->id);
	l.told = calloc((size_t)g->d->job.n_nodes, sizeof(*l.told));
	r = job_agree_all(&g->d->job, l.told ? 0 : ebt_fail(err, -ENOMEM, "merge"), err);
	if (r == 0)
		r = lists_all(&l, err);
	if (r < 0)
		return r;
	return job_agree_all(&g->d->job, settle_spots(&l, err), err);
}
