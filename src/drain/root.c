/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEST, or what stands in for it, made by the first node, with what is missing above it: as by
 * `mkdir -p`, durably, and never over what somebody else makes at the same time. If nothing is
 * drained what was made goes again, as far as it is empty.
 *
 * Other drains into the same DEST do so too. One that found it there must not lose it to the
 * one that made it: as long as a directory has nothing else in it each keeps a hidden name there,
 * which no rmdir(2) survives.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/drain_internal.h"

/* Not like the names of files under way (lead_temp), which a later run of this drain removes. */
static void hold_name(const struct drain *d, char *out, size_t size)
{
	snprintf(out, size, DRAIN_TEMPORARY "%s.hold", d->id);
}

/* An entry that keeps a directory from being removed whatever drains do. */
static int stays(void *arg, const char *name, unsigned char d_type)
{
	(void)arg;
	(void)d_type;
	return strncmp(name, DRAIN_TEMPORARY, strlen(DRAIN_TEMPORARY)) != 0;
}

static bool filled(const struct drain *d)
{
	SCOPED_FD int fd = openat(d->dest.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fsio_list(fd, stays, NULL) > 0;
}

int drain_root_hold(struct drain *d)
{
	SCOPED_FD int fd = -1;
	char name[64];

	if (filled(d))
		return 0;
	hold_name(d, name, sizeof(name));
	d->rep->creates++;
	fd = openat(d->dest.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == ENOENT || errno == ESTALE))
		return -ENOENT;
	/* Otherwise it may be lost, if there is somebody to remove it. */
	d->dest.held = fd >= 0 || errno == EEXIST;
	return 0;
}

/* For the file that is to be durable below it. */
static int sync_above(const char *path, struct ebt_err *err)
{
	const char *slash = strrchr(path, '/');
	SCOPED_FREE char *above =
		strndup(path, slash == path ? 1 : (size_t)(slash - path));
	SCOPED_FD int fd = above ? open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	/* One that may only be entered cannot be synced. */
	if (fd < 0 || fsync(fd) == 0)
		return 0;
	return ebt_fail(err, -errno, "DEST %s: sync of the directory above", path);
}

/* 1: made. 0: it was there. -ENOENT: what was above it is gone, no text. */
static int make_one(struct drain *d, const char *path, mode_t mode, struct ebt_err *err)
{
	int r;

	d->rep->mkdirs++;
	if (mkdir(path, mode) < 0) {
		if (errno == EEXIST)
			return 0;
		return errno == ENOENT ? -ENOENT
				       : ebt_fail(err, -errno, "DEST %s", path);
	}
	buf_put(&d->dest.made, path, strlen(path) + 1);
	if (!buf_ok(&d->dest.made))
		return ebt_fail(err, -ENOMEM, "DEST %s", path);
	r = sync_above(path, err);
	return r < 0 ? r : 1;
}

/* A typing error above DEST would be made as well: worth more than a word on request. */
static void say_made(struct drain *d, const char *first, bool parents)
{
	char root[512], above[512];

	if (d->dest.said_made)
		return;
	d->dest.said_made = true;
	text_name(d->dest.path, root, sizeof(root));
	if (parents)
		log_warn(&d->job.log, "DEST %s does not exist: made, from %s on", root,
			text_name(first, above, sizeof(above)));
	else
		log_info(&d->job.log, "DEST %s does not exist: made", root);
}

int drain_root_make(struct drain *d, const char *path, size_t there, bool *ours,
	struct ebt_err *err)
{
	SCOPED_FREE char *p = strdup(path);
	SCOPED_FREE char *first = NULL;
	bool parents = false;
	char *slash;
	int r = 0;

	if (!p)
		return ebt_fail(err, -ENOMEM, "DEST %s", path);
	for (slash = p + there; slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		r = make_one(d, p, !slash && d->o->atomic ? 0700 : 0777, err);
		if (r < 0)
			return r;
		parents |= r && slash;
		if (r && !first)
			first = strdup(p);
		if (slash)
			*slash = '/';
	}
	*ours = r > 0;
	if (first)
		say_made(d, first, parents);
	return 0;
}

static void let_go(struct drain *d)
{
	char name[64];

	/* Known: a run that was killed may have left its own. */
	if (!d->dest.held && (!d->dest.known || d->o->atomic || d->o->dry_run))
		return;
	hold_name(d, name, sizeof(name));
	d->rep->others++;
	if (unlinkat(d->dest.fd, name, 0) < 0 && errno != ENOENT)
		log_warn(&d->job.log, "%s: cannot remove %s: %s", d->dest.path, name,
			strerror(errno));
	d->dest.held = false;
}

void drain_root_filled(struct drain *d)
{
	if (d->dest.held && filled(d))
		let_go(d);
}

void drain_root_release(struct drain *d, bool empty)
{
	const char *made = (const char *)d->dest.made.data;

	if (d->job.node != 0)
		return;
	if (d->dest.fd >= 0)
		let_go(d);
	while (empty && buf_ok(&d->dest.made) && d->dest.made.len) {
		const char *last = memrchr(made, '\0', d->dest.made.len - 1);

		last = last ? last + 1 : made;
		rmdir(last);
		d->dest.made.len = (size_t)(last - made);
	}
}
