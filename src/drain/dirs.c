/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories of dest: made by few nodes, a level of the tree after the other, as a parent may
 * be another creator's. They get permissions to work in first, and their own in the end,
 * deepest first: a directory that even its owner may not enter would hide those below.
 *
 * Before it makes any a creator writes down which ones they will be. A later run knows by that
 * which of those it finds it has to finish, and which were there before.
 *
 * One for which there is no room is named and missing, and so is what falls under it, on all
 * nodes: they hear of it after each level. Others may still be made, by a quota of another group or
 * in another directory. Only where DIRS_TRIES failed in a row in one directory no more are tried
 * in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "drain/quota.h"
#include "fsio/fsio.h"
#include "store/store.h"
#include "transport/transport.h"

#define SEAL_NAMES 1000 /* in one record */
#define DIR_BYTES  4096 /* that one takes, mostly */
#define DIRS_TRIES 16
#define DIRS_SAID  3 /* failures with a line of their own */

static uint32_t deepest_all(const struct drain *d)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < d->own.n_dirs; i++) {
		if (d->own.dirs[i].depth > most)
			most = d->own.dirs[i].depth;
	}
	transport_reduce_all(&d->job.nodes, &most, 1, MPI_UINT32_T, MPI_MAX);
	return most;
}

/*
 * Those that are to be made; afterwards, with @taken, those of them that we did not make, as
 * somebody else has meanwhile or there was no room: a seal with an inode, which overrides.
 */
static int write_down(struct drain *d, bool taken, struct ebt_err *err)
{
	SCOPED_BUF struct buf names = {0};
	struct journal_seal s = {.ino = taken ? 1 : 0};
	bool proven;
	int r = 0;

	for (uint32_t i = 0; i < d->own.n_dirs && r == 0; i++) {
		if (taken ? d->own.dirs[i].taken || d->own.dirs[i].missing
			  : !d->own.dirs[i].exists && !d->own.dirs[i].present) {
			buf_put(&names, d->own.dirs[i].path,
				strlen(d->own.dirs[i].path) + 1);
			s.n_names++;
		}
		if (!s.n_names || (s.n_names < SEAL_NAMES && i + 1 < d->own.n_dirs))
			continue;
		if (!buf_ok(&names))
			return ebt_fail(err, -ENOMEM, "directories");
		s.names = (const char *)names.data;
		r = drain_seal(d, &s, &proven, err);
		names.len = 0;
		s.n_names = 0;
	}
	return r;
}

/* One that an earlier run made, and perhaps finished: permissions to work in it again. */
static int reopen(struct drain *d, int parent, const char *leaf, mode_t mode)
{
	SCOPED_FD int fd =
		openat(parent, leaf, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char proc[32];

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) == 0700)
		return 0;
	d->rep->setattrs++;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return chmod(proc, mode | (st.st_mode & 07000)) < 0 ? -errno : 0;
}

/* The directory that others are made in. */
struct above {
	int fd;
	const char *path; /* @len bytes of it; NULL: none yet */
	size_t len;
	struct stat st;
	unsigned in_a_row; /* of those in it, that there was no room for */
};

/* What there was no room for on this node. */
struct lacking {
	uint64_t n, out;    /* all of them; of these, without a try */
	struct buf names;   /* of this level, with NULs */
	struct ebt_err why; /* of the last one that was tried */
};

static int open_above(
	struct drain *d, struct above *a, const char *path, struct ebt_err *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	SCOPED_FREE char *parent = NULL;

	if (a->path && len == a->len && memcmp(a->path, path, len) == 0)
		return 0;
	parent = strndup(path, len);
	scope_close(&a->fd);
	a->fd = parent ? drain_open_made(d, parent, O_PATH | O_DIRECTORY) : -ENOMEM;
	if (a->fd < 0)
		return drain_fail(d, path, a->fd, "its parent", err);
	d->rep->opens++;
	a->path = path;
	a->len = len;
	a->in_a_row = 0;
	return fstat(a->fd, &a->st) < 0 ? drain_fail(d, path, -errno, "its parent", err)
					: 0;
}

static int make(struct drain *d, struct drain_dir *dir, const struct above *a,
	struct ebt_err *err)
{
	const char *slash = strrchr(dir->path, '/');
	const char *leaf = slash ? slash + 1 : dir->path;
	mode_t mode =
		0700 | drain_first_mode(d, &dir->e,
			       a->st.st_mode & S_ISGID ? a->st.st_gid : getegid());
	struct stat st;
	int r;

	if (dir->present) {
		r = reopen(d, a->fd, leaf, mode);
		return r < 0 ? drain_fail(d, dir->path, r, "open", err) : 0;
	}
	d->rep->mkdirs++;
	if (mkdirat(a->fd, leaf, mode) == 0) {
		d->rep->dirs++;
		return 0;
	}
	if (errno != EEXIST)
		return drain_fail(d, dir->path, -errno, "mkdir", err);
	/* By another drain, most likely. As if it had been there before. */
	if (fsio_stat_now(a->fd, leaf, &st) < 0 || !S_ISDIR(st.st_mode))
		return drain_fail(
			d, dir->path, -EEXIST, "made by somebody else just now", err);
	dir->exists = dir->taken = true;
	return 0;
}

/* Adds to @why whose quota it is. */
static void add_whose(const struct above *a, struct ebt_err *why)
{
	struct quota_of of;
	unsigned whose;

	quota_of_dir(a->fd, &of);
	whose = quota_ask(a->fd, &of, why->code, DIR_BYTES, DIR_BYTES);
	quota_add(why, whose, &of);
}

/* There was no room for it, or there would not be: @why. Others may fare better. */
static void miss(struct drain *d, struct drain_dir *dir, struct above *a,
	const struct ebt_err *why, struct lacking *x)
{
	bool tried = a->in_a_row++ < DIRS_TRIES;

	dir->missing = true;
	buf_put(&x->names, dir->path, strlen(dir->path) + 1);
	x->n++;
	x->out += !tried;
	if (x->n <= DIRS_SAID)
		drain_look(d, EBT_LOOK_MISSING, dir->path, NULL,
			"%s: what falls under it is not brought", why->text);
	else
		drain_look_quietly(d, EBT_LOOK_MISSING, dir->path, NULL);
}

/* One of a level. Neighbours have the same parent, which is opened once. */
static int make_one(struct drain *d, struct drain_dir *dir, struct above *a,
	struct lacking *x, struct ebt_err *err)
{
	struct ebt_err why = {0};
	int r;

	if (drain_is_missing(&d->missing, dir->path)) {
		dir->missing = true;
		drain_look_quietly(d, EBT_LOOK_MISSING, dir->path, NULL);
		return 0;
	}
	r = open_above(d, a, dir->path, err);
	if (r < 0)
		return r;
	if (a->in_a_row >= DIRS_TRIES && !dir->present) {
		miss(d, dir, a, &x->why, x);
		return 0;
	}
	r = make(d, dir, a, &why);
	if (r == -ENOSPC || r == -EDQUOT) {
		if (x->n < DIRS_SAID)
			add_whose(a, &why);
		if (!d->o->strict) {
			x->why = why;
			miss(d, dir, a, &why, x);
			return 0;
		}
	}
	a->in_a_row = 0;
	if (r < 0 && err)
		*err = why;
	return r;
}

/* The directories of one depth, on a node. */
struct level {
	struct drain *d;
	uint32_t depth;
	struct lacking *x;
};

static int make_level(void *arg, struct ebt_err *err)
{
	const struct level *l = arg;
	struct drain *d = l->d;
	struct above a = {.fd = -1};
	struct activity_call call;
	int r = 0;

	for (uint32_t i = 0; i < d->own.n_dirs && r == 0; i++) {
		struct drain_dir *dir = &d->own.dirs[i];

		if (dir->exists || dir->depth != l->depth)
			continue;
		activity_begin(&d->job.activity, &call, "making", drain_show_path, d,
			(uintptr_t)dir->path);
		r = make_one(d, dir, &a, l->x, err);
		activity_end(&d->job.activity, &call);
	}
	scope_close(&a.fd);
	return r < 0 || buf_ok(&l->x->names) ? r
					     : ebt_fail(err, -ENOMEM, "directories");
}

static void tell_lacking(const struct drain *d, const struct lacking *x)
{
	if (x->n > DIRS_SAID)
		log_say(&d->job.log, LOG_LEVEL_ERROR,
			"%s: no room for %llu directories, %llu of them were not tried",
			d->dest.path, (unsigned long long)x->n,
			(unsigned long long)x->out);
}

int drain_dirs_make_all(struct drain *d, struct ebt_err *err)
{
	uint32_t most = deepest_all(d);
	struct lacking x = {0};
	int r = job_agree_all(&d->job, write_down(d, false, err), err);

	for (uint32_t depth = 1; depth <= most && r == 0; depth++) {
		struct level l = {.d = d, .depth = depth, .x = &x};

		r = job_away_all(&d->job, make_level, &l, err);
		if (r == 0)
			r = drain_miss_all(d, &x.names, err);
		x.names.len = 0;
	}
	buf_release(&x.names);
	tell_lacking(d, &x);
	if (r == 0)
		r = job_agree_all(&d->job, write_down(d, true, err), err);
	return r;
}

static int finish(struct drain *d, const struct drain_dir *dir, struct ebt_err *err)
{
	SCOPED_FD int fd = drain_open_made(d, dir->path, O_RDONLY | O_DIRECTORY);
	struct manifest_entry e = dir->e;
	struct attr_loss loss = {{0}};
	struct ebt_err why = {0};
	int r = 0;

	d->rep->opens++;
	/* Of others' directories some may be written to, but not read: theirs to be synced. */
	if (fd == -EACCES && dir->exists)
		return 0;
	if (fd < 0)
		return drain_fail(d, dir->path, fd, "open", err);
	if (!dir->exists) {
		e.no_owner = d->dest.inherits;
		r = attr_bring(fd, &e, NULL, d->o->strict ? NULL : &loss, &why);
		d->rep->setattrs++;
		drain_lose(d, dir->path, &loss);
		if (r < 0)
			return drain_fail_for(d, dir->path, &why, err);
	}
	d->rep->others++;
	if (r == 0 && fsync(fd) < 0)
		r = drain_fail(d, dir->path, -errno, "sync", err);
	return r;
}

static int finish_level(void *arg, struct ebt_err *err)
{
	const struct level *l = arg;
	struct drain *d = l->d;
	struct activity_call call;
	int r = 0;

	for (uint32_t i = 0; i < d->own.n_dirs && r == 0; i++) {
		const struct drain_dir *dir = &d->own.dirs[i];

		if (dir->missing || dir->depth != l->depth)
			continue;
		activity_begin(&d->job.activity, &call, "finishing", drain_show_path, d,
			(uintptr_t)dir->path);
		r = finish(d, dir, err);
		activity_end(&d->job.activity, &call);
	}
	return r;
}

int drain_dirs_finish_all(struct drain *d, struct ebt_err *err)
{
	int r = 0;

	for (uint32_t depth = deepest_all(d) + 1; depth-- > 0 && r == 0;) {
		struct level l = {.d = d, .depth = depth};

		r = job_away_all(&d->job, finish_level, &l, err);
	}
	/* For a next pass it is a directory like any other. */
	if (r == 0)
		d->dest.fresh = false;
	drain_root_filled(d);
	return r;
}
