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
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "journal/journal_format.h"
#include "drain/merge/merge.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

enum list_record { LIST_DIR = 1, LIST_NAME = 2 };

struct listing {
	struct merge *g;
	struct buf dirs; /* of const char *: to be listed in this round */
	struct buf next; /* and in the next */
	char mine[64];	 /* how temporary names of this drain begin */
	char frames[64]; /* and those of archives that it may go on with */
	char *path;	 /* DRAIN_NAME_SIZE bytes: of the name at hand */
	uint32_t *told;	 /* a node: number of the directory that it was told last */
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
	free(l->path);
	free(l->told);
	free(l->parent);
	scope_close(&l->parent_fd);
}

static struct merge_spot *find_spot(const struct merge *g, const char *path)
{
	size_t lo = 0, hi = g->n_spots, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = strcmp(g->spots[mid].c->path, path);
		if (c == 0)
			return &g->spots[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void put_seal(
	struct merge *g, uint32_t owner, const struct journal_seal *s, const char *name)
{
	struct buf *b = &g->out[owner];

	merge_put_string(b, name);
	merge_put_string(b, s->of ? s->of : "");
	buf_put64(b, s->ino);
	buf_put64(b, s->size);
	buf_put64(b, (uint64_t)s->mtime);
	buf_put32(b, s->mtime_ns);
	buf_put8(b, s->lacks & drain_asked(g->d));
	buf_put32(b, s->n_sources);
	for (uint32_t k = 0; k < s->n_sources; k++)
		journal_put_source(b, &s->sources[k]);
}

/* To the owner of the name, and of what the job called it. */
static int send_seal(void *arg, const struct journal_seal *s)
{
	struct merge *g = arg;
	const char *name = s->names;

	for (uint32_t i = 0; i < s->n_names; i++, name += strlen(name) + 1) {
		uint32_t owner = merge_owner(g, name);

		put_seal(g, owner, s, name);
		if (s->of && merge_owner(g, s->of) != owner)
			put_seal(g, merge_owner(g, s->of), s, name);
	}
	return 0;
}

/*
 * Whose it is: of the spot of its name, if that is the one that the job gave; or as an alias of
 * the spot of the name that the job gave. NULL: of none, then *alias is not set.
 */
static struct merge_spot *spot_of(
	const struct merge *g, const char *name, const char *of, bool *alias)
{
	struct merge_spot *s = find_spot(g, name);

	*alias = false;
	if (s && strcmp(s->c->of, of) == 0)
		return s;
	*alias = *of != '\0';
	return *of ? find_spot(g, of) : NULL;
}

static int take_seals(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct merge *g = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		const char *name = merge_get_string(&r);
		const char *of = merge_get_string(&r);
		uint64_t ino = reader_get64(&r);
		uint64_t size = reader_get64(&r), mtime = reader_get64(&r);
		uint32_t ns = reader_get32(&r);
		uint8_t lacks = reader_get8(&r);
		uint32_t n = reader_get32(&r);
		struct merge_spot *spot;
		struct merge_seal *s;
		bool alias;

		if (!name || !of || n > reader_left(&r) / JOURNAL_SOURCE_LEN)
			return ebt_failx(
				err, -EBADMSG, "damaged message of node %d", peer);
		/* Those of directories have no sources, and are about a name. */
		alias = false;
		spot = n ? spot_of(g, name, of, &alias) : find_spot(g, name);
		if (!spot) {
			reader_take(&r, (size_t)n * JOURNAL_SOURCE_LEN);
			continue;
		}
		s = malloc(sizeof(*s) + n * sizeof(s->sources[0]));
		if (!s)
			return ebt_fail(err, -ENOMEM, "journals");
		*s = (struct merge_seal){.as = alias ? name : NULL,
			.next = alias ? spot->aliases : spot->seals,
			.ino = ino,
			.size = size,
			.mtime = (int64_t)mtime,
			.mtime_ns = ns,
			.lacks = lacks,
			.n_sources = n};
		*(alias ? &spot->aliases : &spot->seals) = s;
		for (uint32_t k = 0; k < n; k++)
			journal_get_source(&r, &s->sources[k]);
	}
	/* Other names are used where they lie. */
	return merge_keep(g, b, err);
}

static int seals_all(struct merge *g, struct ebt_err *err)
{
	/* In a dry run it may be that of a drain to somewhere else. */
	if (drain_journal_same(g->d))
		journal_each(g->d->proof.journal, send_seal, g);
	return merge_exchange_all(g, 0, take_seals, g, err);
}

/* l->path is @name in @dir: false if it does not fit. */
static bool set_path(struct listing *l, const char *dir, const char *name)
{
	return snprintf(l->path, DRAIN_NAME_SIZE, "%s%s%s", dir, *dir ? "/" : "",
		       name) < DRAIN_NAME_SIZE;
}

/* A dead run of this drain has left it, and nobody goes on with it. */
static bool is_left(const struct listing *l, const char *name)
{
	return strncmp(name, l->mine, strlen(l->mine)) == 0 ||
	       (strncmp(name, l->frames, strlen(l->frames)) == 0 &&
		       !pack_compresses(l->g->d));
}

static int send_name(void *arg, const char *name, unsigned char d_type)
{
	struct listing *l = arg;
	struct merge *g = l->g;
	uint32_t owner;
	struct buf *b;

	if (strncmp(name, DRAIN_TEMPORARY, strlen(DRAIN_TEMPORARY)) == 0) {
		if (g->d->o->dry_run || !is_left(l, name))
			return 0;
		g->d->rep->others++;
		return unlinkat(l->fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	}
	if (!set_path(l, l->dir, name))
		return 0; /* longer than any output's */
	owner = merge_owner(g, l->path);
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

/* A drain that is not finished made it, and this one gives it its attributes in the end. */
static bool to_be_finished(const struct merge *g, const char *dir)
{
	const struct merge_spot *spot = find_spot(g, dir);

	for (const struct merge_seal *s = spot ? spot->seals : NULL; s; s = s->next) {
		if (!s->n_sources)
			return true;
	}
	return false;
}

/* To be listed. What it had from a directory of the job's that nobody may read is undone. */
static int open_dir(struct listing *l, const char *dir)
{
	struct drain *d = l->g->d;
	int fd = drain_open_made(d, dir, O_RDONLY | O_DIRECTORY);
	SCOPED_FD int closed = -1;
	struct stat st;
	char proc[32];

	if (fd != -EACCES || !to_be_finished(l->g, dir))
		return fd;
	if (d->o->dry_run)
		return -ENOENT;
	closed = fsio_open_beneath(d->dest.fd, dir, O_PATH | O_DIRECTORY);
	if (closed < 0 || fstat(closed, &st) < 0)
		return fd;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", closed);
	if (chmod(proc, (st.st_mode & 07777) | 0700) < 0)
		return fd;
	return fsio_open_beneath(d->dest.fd, dir, O_RDONLY | O_DIRECTORY);
}

static int list_dir(struct listing *l, const char *dir, struct ebt_err *err)
{
	struct drain *d = l->g->d;
	SCOPED_FD int fd = open_dir(l, dir);
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
	int r;

	*leaf = slash ? slash + 1 : path;
	if (!l->parent || strlen(l->parent) != len ||
		strncmp(l->parent, path, len) != 0) {
		scope_close(&l->parent_fd);
		free(l->parent);
		l->parent_fd = -1;
		l->parent = strndup(path, len);
		if (!l->parent)
			return drain_fail(l->g->d, path, -ENOMEM, "stat", err);
		l->parent_fd =
			drain_open_made(l->g->d, l->parent, O_PATH | O_DIRECTORY);
		l->g->d->rep->opens++;
	}
	if (l->parent_fd == -ENOENT || l->parent_fd == -ENOTDIR ||
		l->parent_fd == -ELOOP)
		return 1;
	if (l->parent_fd < 0)
		return drain_fail(l->g->d, path, l->parent_fd, "open", err);
	l->g->d->rep->others++;
	r = fsio_stat_now(l->parent_fd, *leaf, st);
	return r == -ENOENT ? 1 : r < 0 ? drain_fail(l->g->d, path, r, "stat", err) : 0;
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
	unsigned char type;
	int code = 0;

	while (reader_left(&r) && code == 0) {
		if (reader_get8(&r) == LIST_DIR) {
			dir = merge_get_string(&r);
			continue;
		}
		type = reader_get8(&r);
		name = merge_get_string(&r);
		if (!name || !dir || !set_path(l, dir, name))
			return ebt_failx(
				err, -EBADMSG, "damaged message of node %d", peer);
		s = find_spot(l->g, l->path);
		if (s)
			code = found(l, s, type, err);
	}
	return code;
}

static int list_level(void *arg, struct ebt_err *err)
{
	struct listing *l = arg;
	const char *const *dirs = (const char *const *)l->dirs.data;
	int r = 0;

	for (size_t i = 0; i < l->dirs.len / sizeof(*dirs) && r == 0; i++)
		r = list_dir(l, dirs[i], err);
	return r;
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
		transport_reduce_all(&j->nodes, &left, 1, MPI_UINT64_T, MPI_SUM);
		if (!left)
			return 0;
		r = job_away(j, NULL, NULL, list_level, l, err);
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

/* What is under @path, as far as @says has room for what a link says. 1: nothing is. */
static int find_target(struct listing *l, const char *path, struct merge_target *t,
	char *says, size_t cap, struct ebt_err *err)
{
	const char *leaf;
	struct stat st;
	ssize_t n;
	int r = look(l, path, &st, &leaf, err);

	if (r)
		return r;
	*t = (struct merge_target){.kind = kind_of(IFTODT(st.st_mode)),
		.ino = st.st_ino,
		.size = (uint64_t)st.st_size,
		.mtime = st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st.st_mtim.tv_nsec};
	if (t->kind == MANIFEST_SYMLINK) {
		n = readlinkat(l->parent_fd, leaf, says, cap - 1);
		l->g->d->rep->others++;
		says[n > 0 ? n : 0] = '\0';
		t->target = says;
	}
	return 0;
}

/* An archive is in place as a whole, or is made again as a whole, in place of an older one. */
static void unsettle(struct merge_spot *s)
{
	const char *was = NULL;

	for (uint32_t i = 0; i < s->n; i++) {
		was = s->c[i].as ? s->c[i].as : s->c[i].was ? s->c[i].was : was;
		s->c[i].verdict = DRAIN_PART;
		s->c[i].as = NULL;
	}
	for (uint32_t i = 0; i < s->n; i++)
		s->c[i].was = was;
}

/* What has another name by an earlier run. */
static int settle_aliases(
	struct listing *l, struct merge_spot *s, bool freed, struct ebt_err *err)
{
	char says[PATH_MAX];
	struct merge_target t;
	uint32_t found = 0;
	int r;

	for (struct merge_seal *a = s->aliases; a; a = a->next) {
		r = find_target(l, a->as, &t, says, sizeof(says), err);
		if (r < 0)
			return r;
		if (r == 0)
			found += merge_settle_alias(s->c, s->n, a, &t);
	}
	for (uint32_t i = 0; i < s->n && freed; i++)
		s->c[i].was = NULL;
	s->settled = found == s->n;
	if (s->ruling == MERGE_PACK && !s->settled)
		unsettle(s);
	/* Those that are left go for themselves, as the others did. */
	for (uint32_t i = 0; i < s->n && found && s->ruling == MERGE_COMPARE; i++) {
		s->settled = true;
		if (s->c[i].verdict != DRAIN_PART)
			continue;
		s->ruling = MERGE_SPLIT;
		s->c[i].verdict = DRAIN_WRITE;
		s->c[i].by_node = true;
	}
	return 0;
}

static struct merge_policy policy(const struct drain *d)
{
	/* What lies in the hidden stand-in of an atomic drain was put there by that drain. */
	return (struct merge_policy){.conflict = d->o->conflict,
		.overwrite = d->o->atomic ? EBT_OVERWRITE_ALWAYS : d->o->overwrite,
		.frees = d->o->watch > 0 && d->o->free_local,
		.strict = d->o->strict};
}

/* Is it the policy that one of two keeps the name, and the other comes with another one? */
static bool steps_aside(const struct merge_policy *how, enum merge_wrong wrong)
{
	if (how->strict)
		return false;
	return how->overwrite == EBT_OVERWRITE_AUTO ||
	       (how->overwrite == EBT_OVERWRITE_KEEP && wrong == MERGE_EXISTS) ||
	       (how->overwrite != EBT_OVERWRITE_REFUSE && wrong == MERGE_STUCK);
}

/* Next to what is there, where nothing is or a directory: an earlier run's, most likely. */
static int find_detour(struct listing *l, const char *path, struct ebt_err *err)
{
	struct merge_target t = {0};
	char says[PATH_MAX], *as = l->path;
	int r = 0;

	for (unsigned k = 1; r == 0 && t.kind != MANIFEST_DIR; k++) {
		r = drain_beside(path, DRAIN_NEW, k, as, DRAIN_NAME_SIZE);
		if (r < 0)
			return drain_fail(l->g->d, path, r, "another name", err);
		r = find_target(l, as, &t, says, sizeof(says), err);
		if (r || t.kind == MANIFEST_DIR)
			merge_detour(l->g, path, as);
	}
	return r < 0 ? r : 0;
}

static int settle(
	struct listing *l, struct merge_spot *s, bool freed, struct ebt_err *err)
{
	struct merge_policy how = policy(l->g->d);
	struct merge_target t = {.kind = kind_of(s->d_type)};
	char says[PATH_MAX], shown[MERGE_PATH];
	enum merge_wrong wrong;
	int r;

	how.freed = freed;
	/* How an archive would look is not known yet. */
	if (s->ruling == MERGE_PACK && how.overwrite == EBT_OVERWRITE_UPDATE)
		how.overwrite = EBT_OVERWRITE_ALWAYS;
	if (t.kind != MANIFEST_DIR && s->c->kind != MANIFEST_DIR &&
		(s->seals || how.overwrite == EBT_OVERWRITE_UPDATE ||
			(how.overwrite == EBT_OVERWRITE_AUTO &&
				s->c->kind == MANIFEST_SYMLINK))) {
		r = find_target(l, s->c->path, &t, says, sizeof(says), err);
		if (r)
			return r < 0 ? r : 0;
	}
	s->ours = merge_is_ours(s->seals, &t);
	wrong = merge_settle(s->c, s->n, &how, &t, s->seals, &s->settled);
	if (wrong == MERGE_WRONGS)
		return 0;
	if (steps_aside(&how, wrong) && s->c->kind == MANIFEST_DIR)
		return find_detour(l, s->c->path, err);
	/* Of nodes that have nothing left the archive says nothing against those that have. */
	if (steps_aside(&how, wrong) ||
		(s->ruling == MERGE_PACK && s->ours && !how.strict))
		merge_step_aside(s->c, s->n);
	else
		merge_complain(&l->g->wrong, wrong, "%s%s",
			merge_shown(s->c->path, shown),
			wrong == MERGE_EXISTS && how.overwrite > EBT_OVERWRITE_REFUSE
				? ", which another node freed"
				: "");
	return 0;
}

/*
 * What is there was an archive once, and that is the only place of what was in it: an output that
 * has its name now is no newer version of that. 0, 1 or a negative errno.
 */
static int was_archive(
	const struct listing *l, const struct merge_spot *s, struct ebt_err *err)
{
	const char *name = *s->c->of ? s->c->of : s->c->path;
	int r = 0;

	if ((s->seals || s->aliases) && s->ruling != MERGE_PACK)
		r = merge_was_freed(l->g, name);
	return r < 0 ? ebt_fail(err, r, "%s", name) : r;
}

static int settle_spots(struct listing *l, struct ebt_err *err)
{
	int r = 0;

	for (size_t i = 0; i < l->g->n_spots && r == 0; i++) {
		struct merge_spot *s = &l->g->spots[i];
		/* Under their nodes' names: what has the plain one is not in their way. */
		bool split = s->ruling == MERGE_SPLIT && s->c->kind != MANIFEST_DIR;
		bool freed;

		r = was_archive(l, s, err);
		freed = r > 0;
		if (r >= 0)
			r = s->aliases ? settle_aliases(l, s, freed, err) : 0;
		if (r == 0 && s->exists && s->ruling != MERGE_CLASH && !s->settled &&
			!split)
			r = settle(l, s, freed, err);
	}
	return r;
}

int merge_targets_all(struct merge *g, struct ebt_err *err)
{
	SCOPED(listing_release) struct listing l = {.g = g, .fd = -1, .parent_fd = -1};
	int r = seals_all(g, err);

	if (r < 0)
		return r;
	snprintf(l.mine, sizeof(l.mine), DRAIN_TEMPORARY "%s-", g->d->id);
	snprintf(l.frames, sizeof(l.frames), DRAIN_TEMPORARY "%s" DRAIN_FRAMES,
		g->d->id);
	l.told = calloc((size_t)g->d->job.n_nodes, sizeof(*l.told));
	l.path = malloc(DRAIN_NAME_SIZE);
	r = l.told && l.path ? 0 : ebt_fail(err, -ENOMEM, "merge");
	r = job_agree_all(&g->d->job, r, err);
	if (r == 0)
		r = lists_all(&l, err);
	if (r < 0)
		return r;
	return job_agree_all(&g->d->job, settle_spots(&l, err), err);
}
