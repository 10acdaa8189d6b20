/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories of dest: made by few nodes, a level of the tree after the other, as a parent may
 * be another creator's. They get permissions to work in first, and their own in the end,
 * deepest first: a directory that even its owner may not enter would hide those below.
 *
 * Before it makes any a creator writes down which ones they will be. A later run knows by that
 * which of those it finds it has to finish, and which were there before.
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
#include "fsio/fsio.h"
#include "store/store.h"
#include "transport/transport.h"

#define SEAL_NAMES 1000 /* in one record */

static uint32_t depth_of(const char *path)
{
	uint32_t n = *path != '\0';

	for (; (path = strchr(path, '/')); path++)
		n++;
	return n;
}

static uint32_t deepest_all(const struct drain *d)
{
	uint32_t depth, most = 0;

	for (uint32_t i = 0; i < d->n_dirs; i++) {
		depth = depth_of(d->dirs[i].path);
		if (depth > most)
			most = depth;
	}
	transport_reduce_all(d->job.nodes, &most, 1, MPI_UINT32_T, MPI_MAX);
	return most;
}

static int write_down(struct drain *d, struct ebt_err *err)
{
	SCOPED_BUF struct buf names = {0};
	struct journal_seal s = {0};
	int r = 0;

	for (uint32_t i = 0; i < d->n_dirs && d->journal && r == 0; i++) {
		if (!d->dirs[i].exists && !d->dirs[i].present) {
			buf_put(&names, d->dirs[i].path, strlen(d->dirs[i].path) + 1);
			s.n_names++;
		}
		if (!s.n_names || (s.n_names < SEAL_NAMES && i + 1 < d->n_dirs))
			continue;
		if (!buf_ok(&names))
			return ebt_fail(err, -ENOMEM, "directories");
		s.names = (const char *)names.data;
		r = journal_seal(d->journal, &s, err);
		/* A full store: see lead_seal. */
		if (r == -ENOSPC || r == -EDQUOT)
			r = 0;
		names.len = 0;
		s.n_names = 0;
	}
	return r;
}

/* One that an earlier run made, and perhaps finished: permissions to work in it again. */
static int reopen(struct drain *d, int parent, const char *leaf, mode_t mode)
{
	SCOPED_FD int fd = openat(parent, leaf, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char proc[32];

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) == 0700)
		return 0;
	d->rep->setattrs++;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return chmod(proc, mode) < 0 ? -errno : 0;
}

/* The directories of one depth. Neighbours have the same parent, which is opened once. */
static int make_level(struct drain *d, uint32_t depth, struct ebt_err *err)
{
	SCOPED_FD int fd = -1;
	const char *last = NULL;
	size_t last_len = 0;
	struct stat above;

	for (uint32_t i = 0; i < d->n_dirs; i++) {
		const struct drain_dir *dir = &d->dirs[i];
		const char *slash = strrchr(dir->path, '/');
		size_t len = slash ? (size_t)(slash - dir->path) : 0;
		const char *leaf = slash ? slash + 1 : dir->path;
		mode_t mode;
		int r;

		if (dir->exists || depth_of(dir->path) != depth)
			continue;
		if (!last || len != last_len || memcmp(last, dir->path, len) != 0) {
			SCOPED_FREE char *parent = strndup(dir->path, len);

			scope_close(&fd);
			fd = parent ? fsio_open_beneath(d->rootfd, parent, O_PATH | O_DIRECTORY)
				    : -ENOMEM;
			if (fd < 0)
				return drain_fail(d, dir->path, fd, "its parent", err);
			d->rep->opens++;
			last = dir->path;
			last_len = len;
			if (fstat(fd, &above) < 0)
				return drain_fail(d, dir->path, -errno, "its parent", err);
		}
		mode = 0700 | drain_first_mode(&dir->e,
			above.st_mode & S_ISGID ? above.st_gid : getegid());
		if (dir->present) {
			r = reopen(d, fd, leaf, mode);
			if (r < 0)
				return drain_fail(d, dir->path, r, "open", err);
			continue;
		}
		d->rep->mkdirs++;
		if (mkdirat(fd, leaf, mode) < 0)
			return drain_fail(d, dir->path, -errno,
				errno == EEXIST ? "made by somebody else just now" : "mkdir", err);
		d->rep->dirs++;
	}
	return 0;
}

int drain_dirs_make_all(struct drain *d, struct ebt_err *err)
{
	uint32_t most;
	int r = drain_root_make_all(d, err);

	if (r < 0)
		return r;
	most = deepest_all(d);
	r = job_agree_all(&d->job, write_down(d, err), err);
	for (uint32_t depth = 1; depth <= most && r == 0; depth++)
		r = job_agree_all(&d->job, make_level(d, depth, err), err);
	return r;
}

static int finish(struct drain *d, const struct drain_dir *dir, struct ebt_err *err)
{
	SCOPED_FD int fd = fsio_open_beneath(d->rootfd, dir->path, O_RDONLY | O_DIRECTORY);
	int r = 0;

	d->rep->opens++;
	/* Of others' directories some may be written to, but not read: theirs to be synced. */
	if (fd == -EACCES && dir->exists)
		return 0;
	if (fd < 0)
		return drain_fail(d, dir->path, fd, "open", err);
	if (!dir->exists) {
		r = store_set_attributes(fd, &dir->e, NULL, err);
		d->rep->setattrs++;
	}
	d->rep->others++;
	if (r == 0 && fsync(fd) < 0)
		r = drain_fail(d, dir->path, -errno, "sync", err);
	return r;
}

int drain_dirs_finish_all(struct drain *d, struct ebt_err *err)
{
	int r = 0;

	for (uint32_t depth = deepest_all(d) + 1; depth-- > 0 && r == 0;) {
		for (uint32_t i = 0; i < d->n_dirs && r == 0; i++) {
			if (depth_of(d->dirs[i].path) == depth)
				r = finish(d, &d->dirs[i], err);
		}
		r = job_agree_all(&d->job, r, err);
	}
	/* For a next pass it is a directory like any other. */
	if (r == 0)
		d->root_fresh = false;
	return r;
}
