/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEST: one directory that all nodes see. The first node finds out what is there. All compare
 * that, or the nearest directory above it that exists; what is missing is made below it by the
 * first node (root.c), and compared in its turn before anything else is written.
 *
 * With atomic the work goes into a hidden directory beside it, ".NAME.ebt-drain-ID", which is
 * renamed in the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "fsio/fsio.h"
#include "store/store.h"
#include "transport/transport.h"

#define ROOT_TRIES 1000 /* while others remove what is made */

/* What the first node opened, for the others to compare. */
struct sight {
	uint64_t ino, dev, changed, type;
	char boot[40];	/* of its kernel */
	bool local;	/* which has the file system for itself */
	bool fresh;	/* a directory above: there is none yet to work in */
	uint64_t there; /* bytes of d->dest.path: that one */
	bool made;	/* by this run: nothing was in it before */
	bool published;
	char node_name[300];
};

static int fail(const char *path, int code, const char *what, struct ebt_err *err)
{
	char shown[512];

	return ebt_fail(
		err, code, "DEST %s%s", text_name(path, shown, sizeof(shown)), what);
}

static int failx(const char *path, int code, const char *what, struct ebt_err *err)
{
	char shown[512];

	return ebt_failx(
		err, code, "DEST %s%s", text_name(path, shown, sizeof(shown)), what);
}

/* Without its last component of @len bytes; 0: a relative name has no more. */
static size_t cut_one(const char *path, size_t len)
{
	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

/* Adds to @base what is to be made below it. */
static int add_missing(const char *base, const char *rest, char **out)
{
	SCOPED_BUF struct buf b = {0};
	size_t len;

	if (strcmp(base, "/") != 0)
		buf_put(&b, base, strlen(base));
	for (; *rest; rest += len + strspn(rest + len, "/")) {
		len = strcspn(rest, "/");
		/* What does not exist has no other name for itself, nor a parent. */
		if (strncmp(rest, "..", len) == 0 && len == 2)
			return -ENOENT;
		if (len == 1 && *rest == '.')
			continue;
		buf_put8(&b, '/');
		buf_put(&b, rest, len);
	}
	buf_put8(&b, 0);
	if (!buf_ok(&b))
		return -ENOMEM;
	*out = (char *)TAKE(b.data);
	return 0;
}

/* A directory that is to be made: where it will be. */
static int resolve_missing(const char *dest, char **out, struct ebt_err *err)
{
	SCOPED_FREE char *base = NULL;
	size_t end = strlen(dest), next;
	const char *rest;
	struct stat st;
	int r;

	do {
		SCOPED_FREE char *above = NULL;

		next = end;
		end = cut_one(dest, end);
		above = end ? strndup(dest, end) : strdup(".");
		if (!above)
			return fail(dest, -ENOMEM, "", err);
		base = realpath(above, NULL);
		if (!base && errno != ENOENT)
			return fail(above, -errno, "", err);
	} while (!base && end > 0 && next != end);
	if (!base)
		return fail(dest, -ENOENT, "", err);
	{
		SCOPED_FREE char *first = strndup(dest, next);

		while (first && next > 1 && first[next - 1] == '/')
			first[--next] = '\0';
		if (first && lstat(first, &st) == 0 && S_ISLNK(st.st_mode))
			return failx(first, -ENOENT, " is a symlink that leads nowhere",
				err);
	}
	rest = dest + end;
	r = add_missing(base, rest + strspn(rest, "/"), out);
	return r < 0 ? fail(dest, r, "", err) : 0;
}

static int resolve(const char *dest, char **out, struct ebt_err *err)
{
	if (!dest || !*dest)
		return ebt_failx(err, -EINVAL, "DEST is empty");
	if (fsio_cwd_gone(dest))
		return failx(dest, -ENOENT, ": " FSIO_CWD_GONE, err);
	*out = realpath(dest, NULL);
	if (*out)
		return 0;
	return errno == ENOENT ? resolve_missing(dest, out, err)
			       : fail(dest, -errno, "", err);
}

int drain_dest_resolve_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	int r = 0;

	if (d->job.node == 0) {
		r = resolve(d->o->dest, &d->dest.path, err);
		if (r == 0)
			buf_put(&b, d->dest.path, strlen(d->dest.path) + 1);
	}
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_bcast_buf_all(&d->job.nodes, &b, 0, err);
	if (r == 0 && !d->dest.path) {
		d->dest.path = strdup((const char *)b.data);
		if (!d->dest.path)
			r = ebt_fail(err, -ENOMEM, "DEST");
	}
	return job_agree_all(&d->job, r, err);
}

/* The directory above DEST, and DEST's name in it. */
static char *parent_of(const struct drain *d, const char **name)
{
	const char *slash = strrchr(d->dest.path, '/');

	*name = slash + 1;
	return slash == d->dest.path
		       ? strdup("/")
		       : strndup(d->dest.path, (size_t)(slash - d->dest.path));
}

/* Of what stands in for DEST until an atomic drain is complete. */
static int hidden_name(
	const struct drain *d, char *out, size_t size, struct ebt_err *err)
{
	const char *name = strrchr(d->dest.path, '/') + 1;

	if (snprintf(out, size, ".%s.ebt-drain-%s", name, d->id) > NAME_MAX)
		return fail(
			d->dest.path, -ENAMETOOLONG, " with the drain's id added", err);
	return 0;
}

/* What is to be worked in. */
static int work_path(const struct drain *d, char **out, struct ebt_err *err)
{
	SCOPED_FREE char *parent = NULL;
	char hidden[NAME_MAX + 64];
	const char *name;
	int r = 0;

	*out = NULL;
	parent = parent_of(d, &name);
	if (!parent)
		return fail(d->dest.path, -ENOMEM, "", err);
	if (!d->o->atomic || d->dest.published) {
		*out = strdup(d->dest.path);
	} else {
		r = hidden_name(d, hidden, sizeof(hidden), err);
		if (r == 0 && asprintf(out, "%s/%s", strcmp(parent, "/") ? parent : "",
				      hidden) < 0)
			*out = NULL;
	}
	if (r == 0 && !*out)
		r = fail(d->dest.path, -ENOMEM, "", err);
	return r;
}

/* The same, or what exists above it if that is still to be made. */
static int existing_path(
	const struct drain *d, const struct sight *s, char **out, struct ebt_err *err)
{
	if (!s->fresh)
		return work_path(d, out, err);
	*out = s->there ? strndup(d->dest.path, s->there) : strdup("/");
	return *out ? 0 : fail(d->dest.path, -ENOMEM, "", err);
}

/* The nearest directory above DEST that exists. */
static int find_above(const struct drain *d, uint64_t *there, struct ebt_err *err)
{
	SCOPED_FREE char *path = strdup(d->dest.path);
	struct stat st;
	int r = path ? -ENOENT : -ENOMEM;

	*there = strlen(d->dest.path);
	while (r == -ENOENT && *there) {
		while (path[--*there] != '/')
			;
		path[*there] = '\0';
		r = *there ? fsio_stat_now(AT_FDCWD, path, &st) : 0;
	}
	if (r < 0)
		return fail(path ? path : d->dest.path, r, "", err);
	return *there && !S_ISDIR(st.st_mode) ? fail(path, -ENOTDIR, "", err) : 0;
}

/* What an atomic drain works in, if there is one, shut to others again. */
static int find_hidden(
	const struct drain *d, const char *work, bool *fresh, struct ebt_err *err)
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
static int find(const struct drain *d, struct sight *s, struct ebt_err *err)
{
	SCOPED_FREE char *work = NULL;
	struct stat st;
	int r = fsio_stat_now(AT_FDCWD, d->dest.path, &st);

	s->fresh = r < 0;
	if (s->fresh && r != -ENOENT)
		return fail(d->dest.path, r, "", err);
	s->published =
		!s->fresh && d->o->atomic && d->dest.known && S_ISDIR(st.st_mode);
	if (s->published)
		return 0;
	if (!s->fresh && d->o->atomic)
		return failx(d->dest.path, -EEXIST,
			" exists, and an atomic drain makes it as a whole", err);
	if (!s->fresh && !S_ISDIR(st.st_mode))
		return fail(d->dest.path, -ENOTDIR, "", err);
	if (d->o->atomic) {
		r = work_path(d, &work, err);
		if (r == 0)
			r = find_hidden(d, work, &s->fresh, err);
		if (r < 0)
			return r;
	}
	return s->fresh ? find_above(d, &s->there, err) : 0;
}

/* True if @path is @dir or below it. */
static bool lies_in(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/*
 * One node alone cannot tell by the others that a shared file system is not mounted. What is
 * there is used as it is, but nothing is made on what looks like the node's own.
 */
static int refuse_own(
	const struct drain *d, int fd, const struct stat *st, struct ebt_err *err)
{
	char root[512], above[512];
	struct stat store;
	bool own;

	if (d->job.n_nodes > 1 || d->o->run.per_rank || d->o->local_dest)
		return 0;
	own = fsio_is_local(fd);
	if (!own && (d->storefd < 0 || fstat(d->storefd, &store) < 0 ||
			    store.st_dev != st->st_dev))
		return 0;
	return ebt_failx(err, -EXDEV,
		"DEST %s does not exist, and %s is on %s: is a shared file system not "
		"mounted? (--local-dest makes DEST there)",
		text_name(d->dest.path, root, sizeof(root)),
		text_name(d->dest.visible, above, sizeof(above)),
		own ? "a file system of this node alone" : "the file system of STORE");
}

/* On other nodes than the first, which saw it: until it is there. */
static int open_seen(struct drain *d, const char *path, struct stat *st)
{
	struct fsio_lag lag = {0};
	int fd, r;

	do {
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : fsio_stat_now(fd, "", st);
		if (fd >= 0 && r < 0)
			close(fd);
	} while (d->job.node != 0 && drain_lags(d, &lag, AT_FDCWD, path, r));
	return r < 0 ? r : fd;
}

static int look_failed(const struct drain *d, const struct sight *first,
	const char *path, int code, struct ebt_err *err)
{
	char shown[512], where[320];

	if (d->job.node != 0 && code == -ENOENT)
		return ebt_failx(err, code,
			"DEST %s is not there on %s as it is on %s: is it node-local?",
			text_name(path, shown, sizeof(shown)), d->node_name,
			first->node_name);
	snprintf(where, sizeof(where), " on %s", d->node_name);
	return fail(path, code, where, err);
}

/* At what the first node found. -ENOENT there: it is gone again. */
static int look(struct drain *d, const struct sight *first, struct sight *s,
	struct ebt_err *err)
{
	SCOPED_FD int fd = -1;
	struct statfs fs;
	struct stat st;
	char *work;
	int r;

	if (d->store_path && lies_in(d->dest.path, d->store_path))
		return failx(d->dest.path, -EINVAL, " lies inside STORE", err);
	if (d->store_path && lies_in(d->store_path, d->dest.path))
		return failx(d->dest.path, -EINVAL, " holds STORE", err);
	r = existing_path(d, first, &work, err);
	if (r < 0)
		return r;
	free(d->dest.visible);
	d->dest.visible = work;
	fd = open_seen(d, work, &st);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return look_failed(d, first, work, fd < 0 ? fd : -errno, err);
	s->ino = st.st_ino;
	s->dev = st.st_dev;
	s->changed = manifest_time(st.st_ctim);
	s->local = fsio_is_local(fd);
	if (s->local)
		fsio_boot_id(s->boot); /* one that cannot be told is like another's */
	s->type = (uint64_t)fs.f_type;
	r = first->fresh ? refuse_own(d, fd, &st, err) : 0;
	if (r < 0)
		return r;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return fail(work, -errno, ": cannot be written to", err);
	d->dest.pfs = pfs_probe(work);
	d->dest.fresh = first->fresh || first->made;
	scope_close(&d->dest.fd);
	d->dest.fd = first->fresh ? -1 : TAKE_FD(fd);
	return 0;
}

/*
 * What one kernel has for itself is told by its device there: the roots of all tmpfs have one
 * inode number. Of file systems that machines share, some number inodes differently on each node.
 * What was last changed at the same nanosecond is the same directory all the same; whole seconds
 * would say too little.
 */
static bool same_dir(const struct sight *a, const struct sight *b)
{
	if (a->local || b->local)
		return a->type == b->type && a->dev == b->dev && a->ino == b->ino &&
		       strcmp(a->boot, b->boot) == 0;
	return a->type == b->type &&
	       (a->ino == b->ino ||
		       (a->changed == b->changed && a->changed % 1000000000 != 0));
}

static int compare(struct drain *d, const struct sight *first, struct ebt_err *err)
{
	struct sight mine = {0};
	char shown[512];
	int r;

	d->dest.published = first->published;
	r = look(d, first, &mine, err);
	if (r == 0 && !same_dir(&mine, first))
		r = ebt_failx(err, -EXDEV,
			"DEST %s is not the same directory on %s and %s: is it "
			"node-local?",
			text_name(d->dest.visible, shown, sizeof(shown)),
			first->node_name, d->node_name);
	d->dest.inodes_differ = mine.ino != first->ino;
	return r;
}

/* Collective: what the first node saw, if that came to @r, the others see as well. */
static int compare_all(struct drain *d, struct sight *first, int r, struct ebt_err *err)
{
	int other;

	r = job_agree_all(&d->job, r, err);
	if (r < 0)
		return r;
	transport_bcast_all(&d->job.nodes, first, sizeof(*first), 0);
	r = d->job.node != 0 ? compare(d, first, err) : 0;
	r = job_agree_all(&d->job, r, err);
	if (r < 0)
		return r;
	other = d->dest.inodes_differ;
	transport_reduce_all(&d->job.nodes, &other, 1, MPI_INT, MPI_MAX);
	d->dest.inodes_differ = other;
	return 0;
}

/*
 * On the first node: what is worked in exists from here on. Others may make and remove the same
 * directories meanwhile. 1: it was made; 0: it was there.
 */
static int take_root(struct drain *d, struct sight *s, struct ebt_err *err)
{
	bool made = false;
	struct stat st;
	int r = 0;

	for (int i = 0; i < ROOT_TRIES; i++) {
		SCOPED_FREE char *work = NULL;

		if (s->fresh) {
			made = true;
			r = work_path(d, &work, err);
			if (r == 0)
				r = drain_root_make(d, work, s->there, &s->made, err);
		}
		if (r == 0 || r == -ENOENT)
			r = find(d, s, err);
		if (r < 0)
			return r;
		if (s->fresh)
			continue;
		r = made ? look(d, s, s, err) : 0;
		if (r == 0)
			r = d->o->atomic ? 0 : drain_root_hold(d);
		if (r != -ENOENT) {
			/* Of our name in it, too. */
			if (r == 0 && fsio_stat_now(d->dest.fd, "", &st) == 0)
				s->changed = manifest_time(st.st_ctim);
			return r < 0 ? r : made;
		}
		s->fresh = made = true;
		r = find_above(d, &s->there, err);
		if (r < 0)
			return r;
	}
	return failx(
		d->dest.path, -EBUSY, " is removed again and again by somebody", err);
}

int drain_dest_open_all(struct drain *d, struct ebt_err *err)
{
	struct sight first = {0};
	int r = 0, made = 0;

	if (d->job.node == 0) {
		snprintf(first.node_name, sizeof(first.node_name), "%s", d->node_name);
		r = find(d, &first, err);
		d->dest.published = first.published;
		if (r == 0)
			r = look(d, &first, &first, err);
	}
	r = compare_all(d, &first, r, err);
	if (r < 0 || d->o->dry_run || d->dest.published)
		return r;
	/* A run that is killed from here on must be known to the one that tidies up after it. */
	r = job_agree_all(&d->job, drain_journal_begin(d, err), err);
	if (r < 0)
		return r;
	if (d->job.node == 0)
		made = take_root(d, &first, err);
	r = job_agree_all(&d->job, made < 0 ? made : 0, err);
	if (r < 0)
		return r;
	transport_bcast_all(&d->job.nodes, &made, sizeof(made), 0);
	if (made)
		r = compare_all(d, &first, 0, err);
	return r;
}

/*
 * Permissions as mkdir would have given them: what it hands down stays. Where there is a default
 * ACL that is what counts, instead of the umask.
 */
static int open_up(int fd)
{
	SCOPED_FREE void *acl = malloc(XATTR_SIZE_MAX);
	uint32_t mode = attr_made_file().mode;
	struct stat st;
	ssize_t n;

	if (!acl)
		return -ENOMEM;
	n = fgetxattr(fd, "system.posix_acl_default", acl, XATTR_SIZE_MAX);
	if (n > 0)
		return fsetxattr(fd, "system.posix_acl_access", acl, (size_t)n, 0) < 0
			       ? -errno
			       : 0;
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
		return fail(d->dest.path, -ENOMEM, "", err);
	above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above >= 0)
		fd = openat(
			above, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(d->dest.path, -errno, ": its hidden directory", err);
	r = open_up(fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return fail(d->dest.path, r, ": its hidden directory", err);
	r = fsio_rename_new(above, hidden, above, name);
	d->rep->setattrs++;
	d->rep->renames++;
	d->rep->others += 2;
	if (r == 0 && fsync(above) < 0)
		r = -errno;
	return r < 0 ? fail(d->dest.path, r, ": rename", err) : 0;
}

int drain_dest_publish_all(struct drain *d, struct ebt_err *err)
{
	return job_agree_all(&d->job, d->job.node == 0 ? publish(d, err) : 0, err);
}
