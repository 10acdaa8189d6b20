/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is output: everything in the store but what staging put there and nobody changed. The
 * manifest of the staging says which that is: the store's own, or, where the store is a
 * directory of a larger one, that of the nearest store around it.
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
#include "drain/drain_internal.h"
#include "fsio/fsio.h"
#include "scan/scan.h"

#define OWN ".ebt" /* a store's own directory */
#define SCAN_THREADS_DEFAULT 4

/* A staging, and where the store lies in it. */
struct staged {
	struct manifest *m; /* NULL: nothing was staged here */
	char *below;        /* path of the store in it, "" or with a final slash */
};

static void staged_release(struct staged *s)
{
	manifest_free(s->m);
	free(s->below);
}

static int stopped(void *arg, struct ebt_err *err)
{
	return job_stopped(arg, err);
}

/* `.ebt` of directory @path if it can be trusted to be ours, else -1. */
static int open_own(const char *path)
{
	SCOPED_FD int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FD int fd = -1;
	struct stat st;

	if (dir >= 0)
		fd = openat(dir, OWN, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077))
		return -1;
	return TAKE_FD(fd);
}

static int load_around(const char *store, struct staged *out, struct ebt_err *err)
{
	SCOPED_FREE char *path = strdup(store);
	size_t len = path ? strlen(path) : 0;
	char *slash;

	if (!path)
		return ebt_fail(err, -ENOMEM, "%s", store);
	while (len > 1 && (slash = strrchr(path, '/'))) {
		SCOPED_FD int own = -1;

		*slash = '\0';
		own = open_own(slash == path ? "/" : path);
		if (own < 0 || faccessat(own, "manifest", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
			if (slash == path)
				break;
			continue;
		}
		if (asprintf(&out->below, "%s/", store + (slash - path) + 1) < 0) {
			out->below = NULL;
			return ebt_fail(err, -ENOMEM, "%s", store);
		}
		return manifest_load(own, "manifest", &out->m, err);
	}
	return 0;
}

static int load_staged(const struct drain *d, struct staged *out, struct ebt_err *err)
{
	int r = store_manifest(d->store, &out->m, err);

	if (r < 0 || !out->m)
		return r < 0 ? r : load_around(d->store_path, out, err);
	out->below = strdup("");
	return out->below ? 0 : ebt_fail(err, -ENOMEM, "%s", d->store_path);
}

/* Set-id bits that staging could not give are no change. */
static bool same_mode(uint32_t staged, uint32_t now)
{
	return now == staged || now == (staged & ~(uint32_t)(S_ISUID | S_ISGID));
}

static bool same_entry(const struct manifest_entry *staged, const struct manifest_entry *now)
{
	if (staged->kind != now->kind)
		return false;
	if (now->kind == MANIFEST_SYMLINK)
		return strcmp(staged->target, now->target) == 0;
	if (!same_mode(staged->mode, now->mode))
		return false;
	/* A directory's time changes with what is put into it, which speaks for itself. */
	return now->kind == MANIFEST_DIR ||
		(staged->size == now->size && staged->mtime == now->mtime &&
			staged->mtime_ns == now->mtime_ns);
}

static bool unchanged(const struct staged *s, const char *path, const struct manifest_entry *e)
{
	char full[2 * PATH_MAX];
	uint32_t at;

	if (!s->m || snprintf(full, sizeof(full), "%s%s", s->below, path) >= (int)sizeof(full))
		return false;
	at = manifest_find(s->m, full);
	return at != MANIFEST_NONE && same_entry(&s->m->entries[at], e);
}

/* Marks outputs and the directories above them. Returns how many that are, or a failure. */
static int64_t choose(struct drain *d, const struct manifest *m, const struct staged *s,
	uint64_t *keep, struct ebt_err *err)
{
	char path[PATH_MAX];
	int64_t n = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];

		/* A store in the store keeps its books to itself. */
		if (e->kind == MANIFEST_DIR && strcmp(e->name, OWN) == 0) {
			i = manifest_subtree_end(m, i) - 1;
			continue;
		}
		if (manifest_path(m, i, path, sizeof(path)) < 0)
			return ebt_fail(err, -ENAMETOOLONG, "%s", e->name);
		if (unchanged(s, path, e)) {
			d->rep->unchanged += e->kind == MANIFEST_FILE;
			continue;
		}
		for (uint32_t k = i; k != MANIFEST_ROOT && !(keep[k / 64] >> (k % 64) & 1);
			k = m->entries[k].parent) {
			manifest_need(keep, k);
			n++;
		}
	}
	return n;
}

/*
 * Entries that are kept, as a tree of their own: an inode of which one name was staged and
 * another is new has then only the new one, which carries the content.
 */
static int extract(const struct manifest *from, const uint64_t *keep, struct manifest **out,
	struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	char path[PATH_MAX];
	uint32_t source;
	int r = manifest_new(&m, err);

	if (r == 0)
		r = manifest_add_source(m, from->sources[0], &source, err);
	for (uint32_t i = 0; i < from->count && r == 0; i++) {
		struct manifest_entry e = from->entries[i];

		if (!manifest_needed(keep, i))
			continue;
		manifest_path(from, i, path, sizeof(path));
		e.name = path;
		e.source = source;
		e.parent = MANIFEST_ROOT;
		e.group = MANIFEST_NONE;
		r = manifest_add(m, &e, err);
	}
	if (r == 0)
		r = manifest_arrange(m, err);
	if (r == 0)
		*out = TAKE(m);
	return r;
}

static int scan(struct drain *d, struct manifest **out, struct ebt_err *err)
{
	SCOPED(scan_release) struct scan s = {
		.filter = d->job.filter,
		.no_xattrs = d->o->no_xattrs,
		.shrinks = true, /* the job may still run */
		.found = &d->job.entries_found,
		.stopped = stopped,
		.stopped_arg = &d->job,
	};
	unsigned threads = d->o->io_threads ? d->o->io_threads : SCAN_THREADS_DEFAULT;
	int r;

	scan_init(&s);
	r = scan_tree(&s, d->store_path, threads, out, err);
	if (r == 0)
		r = manifest_arrange(*out, err);
	if (r == 0)
		d->rep->skipped += scan_warn_skipped(
			d->rep->passes ? NULL : &d->job.log, &s.skipped);
	return r;
}

static int no_outputs(struct drain *d, struct ebt_err *err)
{
	int r = manifest_new(&d->m, err);

	return r < 0 ? r : manifest_arrange(d->m, err);
}

int drain_outputs(struct drain *d, struct ebt_err *err)
{
	SCOPED(staged_release) struct staged staged = {0};
	SCOPED_MANIFEST struct manifest *all = NULL;
	SCOPED_FREE uint64_t *keep = NULL;
	int64_t n;
	int r;

	if (!d->store)
		return no_outputs(d, err);
	r = load_staged(d, &staged, err);
	if (r == 0)
		r = scan(d, &all, err);
	if (r < 0)
		return r;
	keep = calloc((size_t)all->count / 64 + 1, sizeof(*keep));
	if (!keep)
		return ebt_fail(err, -ENOMEM, "%s: %u entries", d->store_path, all->count);
	n = choose(d, all, &staged, keep, err);
	if (n < 0)
		return (int)n;
	if (n < all->count)
		return extract(all, keep, &d->m, err);
	d->m = TAKE(all);
	return 0;
}

int drain_output_open(const struct drain *d, const char *path)
{
	return fsio_open_beneath(store_dirfd(d->store), path,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

int drain_output_fail(const struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err)
{
	char name[512];

	text_name(path, name, sizeof(name));
	if (code == -ESTALE)
		return ebt_failx(
			err, code, "%s/%s on %s: %s", d->store_path, name, d->node_name, what);
	return ebt_fail(err, code, "%s/%s on %s: %s", d->store_path, name, d->node_name, what);
}
