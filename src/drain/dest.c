/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEST: one directory that all nodes see. The first node finds out what is there, the others
 * look only at what exists: a name that a network file system was asked for too early may stay
 * missing for a while.
 *
 * With atomic the work goes into a hidden directory beside it, ".NAME.ebt-drain-ID", which is
 * renamed in the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "fsio/fsio.h"
#include "store/store.h"
#include "transport/transport.h"

/* What the first node opened, for the others to compare. */
struct sight {
	uint64_t ino, type;
	bool fresh;          /* the directory above: there is none yet to work in */
	bool published;
	char node_name[300];
};

const char *drain_path(const struct drain *d, const char *path, char *out)
{
	char root[256], name[DRAIN_PATH - 256];

	snprintf(out, DRAIN_PATH, "%s/%s", text_name(d->root, root, sizeof(root)),
		text_name(path, name, sizeof(name)));
	return out;
}

int drain_fail(const struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err)
{
	char shown[DRAIN_PATH];

	return ebt_fail(err, code, "%s: %s", drain_path(d, path, shown), what);
}

static int fail(const char *path, int code, const char *what, struct ebt_err *err)
{
	char shown[512];

	return ebt_fail(err, code, "DEST %s%s", text_name(path, shown, sizeof(shown)), what);
}

static int failx(const char *path, int code, const char *what, struct ebt_err *err)
{
	char shown[512];

	return ebt_failx(err, code, "DEST %s%s", text_name(path, shown, sizeof(shown)), what);
}

/* A directory that is to be made: where it will be. */
static int resolve_missing(const char *dest, char **out, struct ebt_err *err)
{
	SCOPED_FREE char *copy = strdup(dest);
	SCOPED_FREE char *parent = NULL;
	const char *name, *above;
	struct stat st;
	char *slash;

	if (!copy)
		return fail(dest, -ENOMEM, "", err);
	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	if (lstat(copy, &st) == 0)
		return failx(dest, -ENOENT, " is a symlink that leads nowhere", err);
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	above = !slash ? "." : slash == copy ? "/" : copy;
	if (slash && slash != copy)
		*slash = '\0';
	parent = realpath(above, NULL);
	if (!parent)
		return fail(above, -errno, ": only the last component may be missing", err);
	if (asprintf(out, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0) {
		*out = NULL;
		return fail(dest, -ENOMEM, "", err);
	}
	return 0;
}

static int resolve(const char *dest, char **out, struct ebt_err *err)
{
	if (!dest || !*dest)
		return ebt_failx(err, -EINVAL, "DEST is empty");
	*out = realpath(dest, NULL);
	if (*out)
		return 0;
	return errno == ENOENT ? resolve_missing(dest, out, err) : fail(dest, -errno, "", err);
}

int drain_dest_resolve_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	int r = 0;

	if (d->job.node == 0) {
		r = resolve(d->o->dest, &d->root, err);
		if (r == 0)
			buf_put(&b, d->root, strlen(d->root) + 1);
	}
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(d->job.nodes, &b, 0, err);
	if (r == 0 && !d->root) {
		d->root = strdup((const char *)b.data);
		if (!d->root)
			r = ebt_fail(err, -ENOMEM, "DEST");
	}
	return job_agree_all(&d->job, r, err);
}

/* The directory above DEST, and DEST's name in it. */
static char *parent_of(const struct drain *d, const char **name)
{
	const char *slash = strrchr(d->root, '/');

	*name = slash + 1;
	return slash == d->root ? strdup("/") : strndup(d->root, (size_t)(slash - d->root));
}

/* Of what stands in for DEST until an atomic drain is complete. */
static int hidden_name(const struct drain *d, char *out, size_t size, struct ebt_err *err)
{
	const char *name = strrchr(d->root, '/') + 1;

	if (snprintf(out, size, ".%s.ebt-drain-%s", name, d->id) > NAME_MAX)
		return fail(d->root, -ENAMETOOLONG, " with the drain's id added", err);
	return 0;
}

static int open_dir(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* What is to be worked in, or the directory above if that is still to be made. */
static int work_path(const struct drain *d, bool fresh, char **out, struct ebt_err *err)
{
	SCOPED_FREE char *parent = NULL;
	char hidden[NAME_MAX + 64];
	const char *name;
	int r = 0;

	*out = NULL;
	parent = parent_of(d, &name);
	if (!parent)
		return fail(d->root, -ENOMEM, "", err);
	if (fresh) {
		*out = TAKE(parent);
		return 0;
	}
	if (!d->o->atomic || d->published) {
		*out = strdup(d->root);
	} else {
		r = hidden_name(d, hidden, sizeof(hidden), err);
		if (r == 0 && asprintf(out, "%s/%s", strcmp(parent, "/") ? parent : "", hidden) < 0)
			*out = NULL;
	}
	if (r == 0 && !*out)
		r = fail(d->root, -ENOMEM, "", err);
	return r;
}

/* What an atomic drain works in, if there is one, shut to others again. */
static int find_hidden(const struct drain *d, const char *work, bool *fresh, struct ebt_err *err)
{
	SCOPED_FD int fd = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	*fresh = fd < 0 && errno == ENOENT;
	if (*fresh)
		return 0;
	if (fd < 0 && errno != ENOTDIR && errno != ELOOP)
		return fail(work, -errno, "", err);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return failx(work, -EPERM, " is not ours", err);
	/* It was opened up for its rename, and that did not come to pass. */
	if ((st.st_mode & 077) && !d->o->dry_run &&
		fchmod(fd, (st.st_mode & 07000) | 0700) < 0)
		return fail(work, -errno, "", err);
	return 0;
}

/* On the first node: is there something to go on with? */
static int find(const struct drain *d, bool *fresh, bool *published, struct ebt_err *err)
{
	SCOPED_FREE char *work = NULL;
	struct stat st;
	int r;

	*fresh = lstat(d->root, &st) < 0;
	if (*fresh && errno != ENOENT)
		return fail(d->root, -errno, "", err);
	*published = !*fresh && d->o->atomic && d->known && S_ISDIR(st.st_mode);
	if (*published)
		return 0;
	if (!*fresh && d->o->atomic)
		return failx(d->root, -EEXIST,
			" exists, and an atomic drain makes it as a whole", err);
	if (!*fresh && !S_ISDIR(st.st_mode))
		return fail(d->root, -ENOTDIR, "", err);
	if (!d->o->atomic)
		return 0;
	r = work_path(d, false, &work, err);
	if (r < 0)
		return r;
	return find_hidden(d, work, fresh, err);
}

/* True if @path is @dir or below it. */
static bool lies_in(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int look(struct drain *d, bool fresh, struct sight *s, struct ebt_err *err)
{
	SCOPED_FREE char *work = NULL;
	SCOPED_FD int fd = -1;
	struct statfs fs;
	struct stat st;
	int r;

	if (d->store_path && lies_in(d->root, d->store_path))
		return failx(d->root, -EINVAL, " lies inside STORE", err);
	if (d->store_path && lies_in(d->store_path, d->root))
		return failx(d->root, -EINVAL, " holds STORE", err);
	r = work_path(d, fresh, &work, err);
	if (r < 0)
		return r;
	fd = open_dir(work);
	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0) {
		char where[320];

		snprintf(where, sizeof(where), " on %s", d->node_name);
		return fail(work, fd < 0 ? fd : -errno, where, err);
	}
	s->ino = st.st_ino;
	s->type = (uint64_t)fs.f_type;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return fail(work, -errno, ": cannot be written to", err);
	d->pfs = pfs_probe(work);
	free(d->visible);
	d->visible = TAKE(work);
	d->root_fresh = fresh;
	d->rootfd = fresh ? -1 : TAKE_FD(fd);
	return 0;
}

int drain_dest_open_all(struct drain *d, struct ebt_err *err)
{
	struct sight first = {0}, mine = {0};
	char shown[512];
	int r = 0;

	if (d->job.node == 0) {
		snprintf(first.node_name, sizeof(first.node_name), "%s", d->node_name);
		r = find(d, &first.fresh, &first.published, err);
		d->published = first.published;
		if (r == 0)
			r = look(d, first.fresh, &first, err);
	}
	r = job_agree_all(&d->job, r, err);
	if (r < 0)
		return r;
	transport_bcast_all(d->job.nodes, &first, sizeof(first), 0);
	d->published = first.published;
	if (d->job.node != 0) {
		r = look(d, first.fresh, &mine, err);
		if (r == 0 && (mine.ino != first.ino || mine.type != first.type))
			r = ebt_failx(err, -EXDEV,
				"DEST %s is not the same directory on %s and %s: is it node-local?",
				text_name(d->root, shown, sizeof(shown)), first.node_name,
				d->node_name);
	}
	return job_agree_all(&d->job, r, err);
}

/* DEST, or what stands in for it, on the first node. */
static int make_root(struct drain *d, struct ebt_err *err)
{
	SCOPED_FREE char *work = NULL;
	SCOPED_FD int above = -1;
	int r = work_path(d, false, &work, err);

	if (r < 0)
		return r;
	d->rep->mkdirs++;
	if (mkdir(work, d->o->atomic ? 0700 : 0777) < 0)
		return fail(work, -errno, errno == EEXIST ? ": made by somebody else just now" : "",
			err);
	/* Local files are freed in the end: its own name has to last as well. */
	above = d->o->atomic ? -1 : open(d->visible, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above >= 0 && fsync(above) < 0)
		return fail(work, -errno, ": sync of the directory above", err);
	return 0;
}

static int open_root(struct drain *d, struct ebt_err *err)
{
	SCOPED_FREE char *work = NULL;
	int r = work_path(d, false, &work, err);

	if (r < 0)
		return r;
	d->rootfd = open(work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return d->rootfd < 0 ? fail(work, -errno, "", err) : 0;
}

int drain_root_make_all(struct drain *d, struct ebt_err *err)
{
	int r = 0;

	if (d->rootfd >= 0)
		return 0;
	r = job_agree_all(&d->job, d->job.node == 0 ? make_root(d, err) : 0, err);
	if (r == 0)
		r = job_agree_all(&d->job, open_root(d, err), err);
	return r;
}

/* Permissions as mkdir would have given them: what it hands down stays. */
static int open_up(int fd)
{
	uint32_t mode = store_made_file().mode;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	mode |= 0700 | (mode & 0444) >> 2;
	return fchmod(fd, mode | (st.st_mode & 07000)) < 0 ? -errno : 0;
}

static int publish(struct drain *d, struct ebt_err *err)
{
	SCOPED_FREE char *parent = NULL;
	SCOPED_FD int above = -1;
	SCOPED_FD int fd = -1;
	char hidden[NAME_MAX + 64];
	const char *name;
	int r = hidden_name(d, hidden, sizeof(hidden), err);

	if (r < 0)
		return r;
	parent = parent_of(d, &name);
	if (!parent)
		return fail(d->root, -ENOMEM, "", err);
	above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above >= 0)
		fd = openat(above, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(d->root, -errno, ": its hidden directory", err);
	r = open_up(fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return fail(d->root, r, ": its hidden directory", err);
	r = fsio_rename_new(above, hidden, above, name);
	d->rep->setattrs++;
	d->rep->renames++;
	d->rep->others += 2;
	if (r == 0 && fsync(above) < 0)
		r = -errno;
	return r < 0 ? fail(d->root, r, ": rename", err) : 0;
}

int drain_dest_publish_all(struct drain *d, struct ebt_err *err)
{
	return job_agree_all(&d->job, d->job.node == 0 ? publish(d, err) : 0, err);
}
