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

#include "archive/header.h"
#include "base/text.h"
#include "drain/drain_internal.h"
#include "fsio/fsio.h"
#include "scan/scan.h"

#define OWN		     ".ebt" /* a store's own directory */
#define SCAN_THREADS_DEFAULT 4
#define SCANS		     4 /* of a last pass, at most */

/* A staging, and where the store lies in it. */
struct staged {
	struct manifest *m;   /* NULL: nothing was staged here, or nobody knows */
	struct manifest *run; /* of one that did not end, in place or not; or NULL */
	char *below;	      /* path of the store in it, "" or with a final slash */
};

static void staged_release(struct staged *s)
{
	manifest_free(s->m);
	manifest_free(s->run);
	free(s->below);
}

static int stopped(void *arg, struct ebt_err *err)
{
	return job_stopped(arg, err);
}

int drain_own_open(const char *path)
{
	SCOPED_FD int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FD int fd = -1;
	struct stat st;

	if (dir >= 0)
		fd = openat(dir, OWN, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() ||
		(st.st_mode & 077))
		return -1;
	return TAKE_FD(fd);
}

/* What staging put here cannot be told, or not all: a look, and with --strict the end. */
static int in_doubt(
	void *arg, const char *name, const struct ebt_err *why, struct ebt_err *err)
{
	struct drain *d = arg;
	bool manifest = strcmp(name, "manifest") == 0;
	char path[64];

	if (d->o->strict)
		return ebt_failx(err, why->code, "%.800s%s", why->text,
			manifest ? "; it may be removed: what was staged here then "
				   "counts as output of the job, and is staged anew"
				 : "");
	snprintf(path, sizeof(path), OWN "/%s", name);
	drain_look(d, EBT_LOOK_DOUBT, path, NULL, "%.900s", why->text);
	return 0;
}

static int load_from(struct drain *d, int own, const char *store, const char *below,
	struct staged *out, struct ebt_err *err)
{
	SCOPED(store_staged_release) struct store_staged staged = {0};
	char shown[512];
	int r = store_staged(own, store, &staged, in_doubt, d, err);

	if (r < 0)
		return r;
	/* It counts as output: but what the job runs may be among it. */
	if (staged.unknown) {
		log_warn(&d->job.log,
			"%s: what was staged there counts as output of the job%s",
			text_name(store, shown, sizeof(shown)),
			d->o->free_local ? ", and nothing is freed" : "");
		drain_keep(d, SCAN_UNREAD, "");
	}
	out->m = TAKE(staged.m);
	out->run = TAKE(staged.run);
	out->below = strdup(below);
	return out->below ? 0 : ebt_fail(err, -ENOMEM, "%s", d->store_path);
}

/* Was anything staged to the store with this `.ebt`, as far as that shows? */
static bool was_staged_to(int own)
{
	static const char *const names[] = {"manifest", "publish"};

	for (int i = 0; i < 2; i++) {
		if (faccessat(own, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
			errno != ENOENT)
			return true;
	}
	return false;
}

/* The staging to the store, or to the nearest one around it. */
static int load_staged(struct drain *d, struct staged *out, struct ebt_err *err)
{
	SCOPED_FREE char *path = strdup(d->store_path);
	SCOPED_FREE char *below = NULL;
	char *slash = path ? path + strlen(path) : NULL;

	if (!path)
		return ebt_fail(err, -ENOMEM, "%s", d->store_path);
	for (; slash; slash = strrchr(path, '/')) {
		SCOPED_FD int own = -1;

		*slash = '\0';
		own = drain_own_open(*path ? path : "/");
		if (own < 0 || !was_staged_to(own))
			continue;
		if (d->store_path[slash - path] &&
			asprintf(&below, "%s/", d->store_path + (slash - path) + 1) <
				0) {
			below = NULL;
			return ebt_fail(err, -ENOMEM, "%s", d->store_path);
		}
		return load_from(d, own, path, below ? below : "", out, err);
	}
	return 0;
}

/* Directories that a run which did not end has put there, or may have: they are on their way yet. */
static int mark_run_dirs(const struct staged *s, const struct manifest *m,
	uint64_t *same, struct ebt_err *err)
{
	size_t len = strlen(s->below);
	SCOPED_FREE char *full = malloc(len + MANIFEST_PATH_SIZE);
	uint32_t at;

	if (!full)
		return ebt_fail(err, -ENOMEM, "directories");
	memcpy(full, s->below, len);
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->entries[i].kind != MANIFEST_DIR ||
			manifest_path(m, i, full + len, MANIFEST_PATH_SIZE) < 0)
			continue;
		at = manifest_find(s->run, full);
		if (at != MANIFEST_NONE && s->run->entries[at].kind == MANIFEST_DIR)
			manifest_need(same, i);
	}
	return 0;
}

/* Marks outputs and the directories above them. Returns how many that are. */
static uint32_t choose(
	struct drain *d, const struct manifest *m, const uint64_t *same, uint64_t *keep)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		if (manifest_needed(same, i)) {
			d->rep->unchanged += m->entries[i].kind == MANIFEST_FILE;
			continue;
		}
		for (uint32_t k = i;
			k != MANIFEST_ROOT && !(keep[k / 64] >> (k % 64) & 1);
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
static int extract(const struct manifest *from, const uint64_t *keep,
	struct manifest **out, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_FREE char *path = malloc(MANIFEST_PATH_SIZE);
	uint32_t source;
	int r = path ? manifest_new(&m, err) : ebt_fail(err, -ENOMEM, "outputs");

	if (r == 0)
		r = manifest_add_source(m, from->sources[0], &source, err);
	for (uint32_t i = 0; i < from->count && r == 0; i++) {
		struct manifest_entry e = from->entries[i];

		if (!manifest_needed(keep, i))
			continue;
		manifest_path(from, i, path, MANIFEST_PATH_SIZE);
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

/* Hard links that changed while the walk came by, or that are reached by several mounts. */
static int settle_links(
	struct drain *d, struct manifest *m, unsigned threads, struct ebt_err *err)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts doubts = {0};
	SCOPED_FREE uint32_t *found = NULL;
	uint32_t one = 0;
	uint64_t n;
	int r = manifest_doubts(m, &doubts, err);

	if (r < 0 || !doubts.n)
		return r;
	found = calloc(doubts.first[doubts.n], sizeof(*found));
	if (!found)
		return ebt_fail(err, -ENOMEM, "%s: hard links", d->store_path);
	r = scan_look(
		&(struct scan_look){
			.m = m,
			.doubts = &doubts,
			.step = 1,
			.threads = threads,
			.stopped = stopped,
			.stopped_arg = &d->job,
		},
		found, err);
	if (r < 0)
		return r;
	n = manifest_settle(m, &doubts, found, &one);
	scan_warn_apart(d->rep->passes ? NULL : &d->job.log, m, n, one);
	return 0;
}

static int scan(struct drain *d, struct manifest **out, struct ebt_err *err)
{
	SCOPED(scan_release) struct scan s = {
		.filter = d->job.filter,
		.no_xattrs = d->o->no_xattrs,
		.map_holes = d->pack.patterns ? HEADER_HOLES : 0,
		.shrinks = true, /* the job may still run */
		.deep = true,
		.found = &d->job.entries_found,
		.vanished = &d->pass.unsettled,
		.stopped = stopped,
		.stopped_arg = &d->job,
		.unread = d->o->strict ? NULL : drain_unread,
		.unread_arg = d,
		.activity = &d->job.activity,
	};
	unsigned threads = d->o->io_threads ? d->o->io_threads : SCAN_THREADS_DEFAULT;
	int r;

	scan_init(&s);
	r = scan_tree(&s, d->store_path, threads, out, err);
	if (r == 0)
		r = manifest_arrange(*out, err);
	if (r == 0)
		r = settle_links(d, *out, threads, err);
	if (r == 0)
		d->rep->skipped += scan_warn_skipped(
			d->rep->passes ? NULL : &d->job.log, &s.skipped);
	return r;
}

static int no_outputs(struct drain *d, struct ebt_err *err)
{
	int r = manifest_new(&d->out.m, err);

	return r < 0 ? r : manifest_arrange(d->out.m, err);
}

/*
 * What went away between two looks may have got another name, which the list had not: then
 * there is a further pass, but for the last one, which lists again at once.
 */
static int scan_whole(struct drain *d, struct manifest **out, struct ebt_err *err)
{
	int r = scan(d, out, err);

	for (int i = 1; r == 0 && d->pass.turn == DRAIN_LAST && d->pass.unsettled;
		i++) {
		if (i == SCANS) {
			drain_look(d, EBT_LOOK_MISSING, ".", NULL,
				"%s on %s: files come and go while it is listed: some "
				"may be missing",
				d->store_path, d->node_name);
			break;
		}
		d->pass.unsettled = d->rep->skipped = 0;
		drain_looks_forget(d);
		buf_release(&d->out.unread);
		manifest_free(TAKE(*out));
		r = scan(d, out, err);
	}
	return r;
}

int drain_outputs(struct drain *d, struct ebt_err *err)
{
	SCOPED(staged_release) struct staged staged = {0};
	SCOPED_MANIFEST struct manifest *all = NULL;
	SCOPED_FREE uint64_t *keep = NULL;
	SCOPED_FREE uint64_t *same = NULL;
	int r;

	if (d->storefd < 0)
		return no_outputs(d, err);
	r = load_staged(d, &staged, err);
	if (r == 0)
		r = scan_whole(d, &all, err);
	if (r < 0)
		return r;
	keep = calloc((size_t)all->count / 64 + 1, sizeof(*keep));
	same = calloc((size_t)all->count / 64 + 1, sizeof(*same));
	if (!keep || !same)
		return ebt_fail(
			err, -ENOMEM, "%s: %u entries", d->store_path, all->count);
	r = drain_unchanged(d, all, staged.m, false, staged.below, same, err);
	if (r == 0)
		r = drain_unchanged(d, all, staged.run, true, staged.below, same, err);
	if (r == 0 && staged.run)
		r = mark_run_dirs(&staged, all, same, err);
	if (r < 0)
		return r;
	if (choose(d, all, same, keep) < all->count)
		return extract(all, keep, &d->out.m, err);
	d->out.m = TAKE(all);
	return 0;
}

int drain_output_open(const struct drain *d, const char *path)
{
	return fsio_open_beneath(
		d->storefd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

int drain_output_wait(
	const struct drain *d, const char *path, const struct fsio_patience *p)
{
	struct fsio_again again = {0};
	int fd;

	while (fsio_again(&again, p, fd = drain_output_open(d, path)))
		;
	return fd;
}

static bool gives_up(void *arg)
{
	return job_stopped(arg, NULL) < 0;
}

struct fsio_patience drain_patience(struct drain *d)
{
	return (struct fsio_patience){
		.stopped = gives_up, .arg = &d->job, .count = &d->rep->reopened};
}

#define NAME 512 /* bytes of an output in a message */

bool drain_output_gone(int code)
{
	return code == -ENOENT || code == -ENOTDIR || code == -ELOOP || code == -ENXIO;
}

int drain_output_fail(struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err)
{
	char name[NAME];

	if (drain_output_gone(code))
		drain_unsettled(d, path);
	return ebt_fail(err, code, "%s/%s on %s: %s", d->store_path,
		text_name(path, name, sizeof(name)), d->node_name, what);
}

int drain_output_refuse(
	struct drain *d, const char *path, const char *what, struct ebt_err *err)
{
	drain_unsettled(d, NULL);
	return drain_output_odd(d, path, what, err);
}

int drain_output_odd(
	const struct drain *d, const char *path, const char *what, struct ebt_err *err)
{
	char name[NAME];

	return ebt_failx(err, -ESTALE, "%s/%s on %s: %s", d->store_path,
		text_name(path, name, sizeof(name)), d->node_name, what);
}
