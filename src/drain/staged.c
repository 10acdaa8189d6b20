/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What of the store is still as it was staged. The walk has seen everything but content, and the
 * manifest of the staging says what it was. Kind, size, time and mode decide most; a file with
 * the inode and the ctime that it was published with is unchanged in everything. Where the ctime
 * moved, or is not known, somebody changed something since: owner and extended attributes are
 * compared, and the content by its digest, as size and time may have been put back.
 *
 * The names of one inode are read once. Watching, what was read and found equal is remembered
 * with its ctime, so that the next pass does not read it again.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "drain/drain_internal.h"

#define IO_THREADS_DEFAULT 4
#define PATH		   (PATH_MAX + MANIFEST_PATH_MAX + 1)

enum staged {
	STAGED_CHANGED, /* or never staged */
	STAGED_SAME,
	STAGED_READ, /* it looks the same: its content decides */
};

struct comparison {
	struct drain *d;
	const struct manifest *now, *was;
	const char *below;
	struct buf files;  /* struct store_content, ascending by entry */
	struct buf links;  /* struct link */
	struct buf proven; /* struct drain_proven, for the next pass */
	char *path;	   /* PATH bytes */
	uint64_t blank;	   /* files of which the manifest has no inode */
	bool unfinished;   /* nobody could note inodes yet */
	uint64_t *same;
};

/* A further name of an inode that is read by another one. */
struct link {
	uint32_t entry;
	size_t file; /* place in files */
};

static void comparison_release(struct comparison *c)
{
	buf_release(&c->files);
	buf_release(&c->links);
	buf_release(&c->proven);
	free(c->path);
}

static bool same_owner_and_mode(
	const struct manifest_entry *was, const struct manifest_entry *now)
{
	const struct manifest_copy *copy = &was->copy;

	if (copy->ino)
		return now->uid == copy->uid && now->gid == copy->gid &&
		       now->mode == copy->mode;
	/* Which owner the copy of another user got is not known, nor of an old manifest's. */
	if (geteuid() == 0 && !was->no_owner &&
		(now->uid != was->uid || now->gid != was->gid))
		return false;
	return true;
}

/* Set-id bits that staging could not give, one or both, are no change. */
static bool same_mode(uint32_t was, uint32_t now)
{
	return (was & ~now & ~(uint32_t)(S_ISUID | S_ISGID)) == 0 && (now & ~was) == 0;
}

static bool same_xattrs(
	const struct manifest_entry *was, const struct manifest_entry *now)
{
	return was->xattrs_len == now->xattrs_len &&
	       (!was->xattrs_len ||
		       memcmp(was->xattrs, now->xattrs, was->xattrs_len) == 0);
}

static enum staged compare(const struct comparison *c, const struct manifest_entry *was,
	const struct manifest_entry *now)
{
	if (was->kind != now->kind)
		return STAGED_CHANGED;
	if (now->kind == MANIFEST_SYMLINK && strcmp(was->target, now->target) != 0)
		return STAGED_CHANGED;
	if (now->kind != MANIFEST_SYMLINK && !same_mode(was->mode, now->mode))
		return STAGED_CHANGED;
	/* A directory's time changes with what is put into it, which speaks for itself. */
	if (now->kind == MANIFEST_FILE &&
		(was->size != now->size ||
			!manifest_same_time(c->was, was, now->mtime, now->mtime_ns)))
		return STAGED_CHANGED;
	if (manifest_untouched(was, now->ino, now->changed))
		return STAGED_SAME;
	if (!same_owner_and_mode(was, now) ||
		(!c->d->o->no_xattrs && !same_xattrs(was, now)))
		return STAGED_CHANGED;
	return now->kind == MANIFEST_FILE && now->size ? STAGED_READ : STAGED_SAME;
}

/* The entry of the staging with the path of entry @i, or NULL. */
static const struct manifest_entry *find(const struct comparison *c, uint32_t i)
{
	size_t len = strlen(c->below);
	uint32_t at;

	if (len >= PATH || manifest_path(c->now, i, c->path + len, PATH - len) < 0)
		return NULL;
	memcpy(c->path, c->below, len);
	at = manifest_find(c->was, c->path);
	return at == MANIFEST_NONE ? NULL : &c->was->entries[at];
}

static int by_inode(const void *a, const void *b)
{
	const struct drain_proven *x = a, *y = b;

	return x->ino != y->ino		  ? (x->ino < y->ino ? -1 : 1)
	       : x->changed != y->changed ? (x->changed < y->changed ? -1 : 1)
					  : 0;
}

/* A pass before read it, and nothing was changed since. */
static bool is_proven(const struct drain *d, const struct manifest_entry *now,
	struct ebt_digest digest)
{
	const struct drain_proven key = {.ino = now->ino, .changed = now->changed};
	const struct drain_proven *p =
		d->pass.n_proven ? bsearch(&key, d->pass.proven, d->pass.n_proven,
					   sizeof(key), by_inode)
				 : NULL;

	return p && digest_equal(p->digest, digest);
}

static void put_proven(
	struct comparison *c, uint64_t ino, uint64_t changed, struct ebt_digest digest)
{
	struct drain_proven p = {.ino = ino, .changed = changed, .digest = digest};

	if (c->d->o->watch > 0)
		buf_put(&c->proven, &p, sizeof(p));
}

static int by_entry(const void *a, const void *b)
{
	const struct store_content *x = a, *y = b;

	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* The content of entry @i is to be read, unless that of another name of it is. */
static void put_file(struct comparison *c, uint32_t i, const struct manifest_entry *was)
{
	const struct manifest_entry *now = &c->now->entries[i];
	struct store_content x = {.entry = i, .was = was, .digest = was->digest},
			     *first;

	if (was->group != MANIFEST_NONE)
		x.digest = c->was->entries[was->group].digest;
	c->blank += !was->copy.ino;
	if (is_proven(c->d, now, x.digest)) {
		manifest_need(c->same, i);
		put_proven(c, now->ino, now->changed, x.digest);
		return;
	}
	if (now->group != MANIFEST_NONE && now->group != i) {
		const struct store_content key = {.entry = now->group};

		first = c->files.len ? bsearch(&key, c->files.data,
					       c->files.len / sizeof(key), sizeof(key),
					       by_entry)
				     : NULL;
		if (first && digest_equal(first->digest, x.digest)) {
			struct link l = {.entry = i,
				.file = (size_t)(first - (struct store_content *)
								 c->files.data)};

			buf_put(&c->links, &l, sizeof(l));
			return;
		}
	}
	buf_put(&c->files, &x, sizeof(x));
}

static int compare_entries(struct comparison *c, struct ebt_err *err)
{
	const struct manifest_entry *was;

	c->path = malloc(PATH);
	for (uint32_t i = 0; c->path && i < c->now->count; i++) {
		manifest_passed(c->was, i);
		was = find(c, i);
		if (!was)
			continue;
		switch (compare(c, was, &c->now->entries[i])) {
		case STAGED_SAME:
			manifest_need(c->same, i);
			break;
		case STAGED_READ:
			put_file(c, i, was);
			break;
		case STAGED_CHANGED:
			break;
		}
	}
	return c->path && buf_ok(&c->files) && buf_ok(&c->links)
		       ? 0
		       : ebt_fail(
				 err, -ENOMEM, "%s: what was staged", c->d->store_path);
}

static bool stopped(void *arg)
{
	return job_stopped(arg, NULL) < 0;
}

/* Reads what has to be, and says so: after an old staging that is all there is. */
static int compare_contents(struct comparison *c, struct ebt_err *err)
{
	struct drain *d = c->d;
	struct store_contents contents = {
		.m = c->now,
		.dirfd = d->storefd,
		.files = (struct store_content *)c->files.data,
		.n = c->files.len / sizeof(struct store_content),
		.threads = d->o->io_threads ? d->o->io_threads : IO_THREADS_DEFAULT,
		.stopped = stopped,
		.arg = &d->job,
	};
	char store[512];
	bool old = c->blank > 0 && !c->unfinished;
	int r;

	for (uint32_t i = 0; i < c->was->count && old; i++)
		old = !c->was->entries[i].copy.ino;
	text_name(d->store_path, store, sizeof(store));
	if (old && contents.n && !d->pass.said_old) {
		d->pass.said_old = true;
		log_warn(&d->job.log,
			"%s: its manifest is of an older version of EBT and names no "
			"inodes; staged files are compared by content",
			store);
	}
	r = store_compare_contents(&contents);
	if (r < 0)
		return job_stopped(&d->job, err) < 0
			       ? r
			       : ebt_fail(err, r, "%s: comparison", store);
	if (contents.n)
		log_info(&d->job.log, "%s: %zu staged files compared by content", store,
			contents.n);
	return 0;
}

/* For the next pass: what this one has read, and what it had from the one before. */
static int remember(struct comparison *c, struct ebt_err *err)
{
	const struct store_content *x = (const struct store_content *)c->files.data;
	struct drain *d = c->d;

	for (size_t i = 0; i < c->files.len / sizeof(*x); i++)
		if (x[i].copy.ino)
			put_proven(c, x[i].copy.ino, x[i].copy.changed, x[i].digest);
	if (!buf_ok(&c->proven))
		return ebt_fail(err, -ENOMEM, "%s: what was staged", d->store_path);
	free(d->pass.proven);
	d->pass.proven = (struct drain_proven *)TAKE(c->proven.data);
	d->pass.n_proven = c->proven.len / sizeof(*d->pass.proven);
	if (d->pass.n_proven)
		qsort(d->pass.proven, d->pass.n_proven, sizeof(*d->pass.proven),
			by_inode);
	return 0;
}

int drain_unchanged(struct drain *d, const struct manifest *now,
	const struct manifest *was, bool unfinished, const char *below, uint64_t *same,
	struct ebt_err *err)
{
	SCOPED(comparison_release) struct comparison c = {.d = d,
		.now = now,
		.was = was,
		.below = below,
		.unfinished = unfinished,
		.same = same};
	const struct store_content *x;
	const struct link *l;
	int r;

	if (!was)
		return 0;
	r = compare_entries(&c, err);
	if (r == 0)
		r = compare_contents(&c, err);
	if (r == 0)
		r = remember(&c, err);
	if (r < 0)
		return r;
	x = (const struct store_content *)c.files.data;
	for (size_t i = 0; i < c.files.len / sizeof(*x); i++)
		if (x[i].same)
			manifest_need(same, x[i].entry);
	l = (const struct link *)c.links.data;
	for (size_t i = 0; i < c.links.len / sizeof(*l); i++)
		if (x[l[i].file].same)
			manifest_need(same, l[i].entry);
	return 0;
}
