/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is a file that looks like what was staged still that? Size and time can be put back, as by
 * touch -r or rsync -t; inode and ctime cannot. So a file with the inode and the ctime that were
 * noted when it was published is, and any other is read and its digest compared. Backups and
 * chmod change a ctime, too: those files are read and found equal.
 *
 * Threads take one file at a time; each has a place in the tree and a buffer of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/store_internal.h"

#define THREADS_MAX 64 /* the caller's word counts up to here */

struct contents_job {
	const struct store_contents *c;
	uint64_t start; /* nanoseconds since 1970 */
	size_t next;	/* atomic */
	int failed;	/* atomic: what ended it */
};

struct contents_thread {
	struct contents_job *job;
	struct store_walk walk;
	void *data; /* STORE_BUFFER */
};

static void contents_thread_release(struct contents_thread *t)
{
	store_walk_release(&t->walk);
	scope_free(&t->data);
}

/* The content of what @st describes. Negative only for what ends the job. */
static int read_one(struct contents_thread *t, struct store_content *x, int dirfd,
	const struct stat *st)
{
	const struct store_contents *c = t->job->c;
	const struct manifest_entry *e = &c->m->entries[x->entry];
	struct ebt_digest digest;
	struct stat after;
	bool opened;
	SCOPED_FD int fd = store_open_file(dirfd, e->name, st, &opened);
	int r;

	if (fd < 0)
		return fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ? fd : 0;
	r = store_digest(fd, x->was->size, t->data, c->stopped, c->arg, &digest);
	if (opened)
		fchmod(fd, st->st_mode & 07777);
	x->read = true;
	x->same = r == 0 && digest_equal(digest, x->digest);
	/* Another look at the same inode and ctime need not read again. */
	if (x->same && fstat(fd, &after) == 0 && after.st_ino == st->st_ino &&
		manifest_time(after.st_ctim) == manifest_time(st->st_ctim) &&
		manifest_settled(manifest_time(st->st_ctim), t->job->start))
		x->copy = manifest_copy_of(st);
	return r == -EINTR && c->stopped && c->stopped(c->arg) ? r : 0;
}

static int look(struct contents_thread *t, struct store_content *x)
{
	const struct manifest_entry *e = &t->job->c->m->entries[x->entry];
	int dirfd = store_walk_to(&t->walk, e->parent);
	struct stat st;

	if (dirfd == -EMFILE || dirfd == -ENFILE || dirfd == -ENOMEM)
		return dirfd;
	if (dirfd < 0 || fstatat(dirfd, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode) || (uint64_t)st.st_size != x->was->size)
		return 0;
	if (manifest_untouched(x->was, st.st_ino, manifest_time(st.st_ctim))) {
		x->same = true;
		return 0;
	}
	return read_one(t, x, dirfd, &st);
}

static void *work(void *arg)
{
	struct contents_job *job = arg;
	const struct store_contents *c = job->c;
	SCOPED(contents_thread_release)
	struct contents_thread t = {.job = job,
		.walk = {.m = c->m, .root = c->dirfd, .flags = O_PATH},
		.data = malloc(STORE_BUFFER)};
	int r = t.data ? 0 : -ENOMEM;
	size_t i;

	while (r == 0 && __atomic_load_n(&job->failed, __ATOMIC_RELAXED) == 0) {
		i = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
		if (i >= c->n)
			return NULL;
		r = look(&t, &c->files[i]);
		if (r == 0 && c->stopped && c->stopped(c->arg))
			r = -EINTR;
	}
	if (r < 0)
		__atomic_store_n(&job->failed, r, __ATOMIC_RELAXED);
	return NULL;
}

int store_compare_contents(const struct store_contents *c)
{
	struct contents_job job = {.c = c};
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	job.start = manifest_time(t);
	store_run_threads(
		c->threads < THREADS_MAX ? c->threads : THREADS_MAX, c->n, work, &job);
	return job.failed;
}
