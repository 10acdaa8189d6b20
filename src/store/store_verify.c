/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading everything again. Threads take runs of neighbouring entries, so each keeps
 * its place in the tree, and a large file occupies one of them. Hard links are compared
 * at the end, when it is known where each name led.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "store/store_internal.h"

#define RUN 32 /* entries taken at a time */

struct verify_job {
	const struct store_verify *v;
	struct store_ident *idents; /* each element by one thread */
	uint64_t next;		    /* atomic */
	pthread_mutex_t lock;
	uint64_t bad; /* lock */
	int failed;   /* lock: the first that ended the job, as lack of memory */
};

/* What one thread has for itself. */
struct verifier {
	struct verify_job *job;
	struct store_walk walks[2]; /* one a root */
	struct buf scratch;
	void *data; /* STORE_BUFFER */
};

static void verifier_release(struct verifier *t)
{
	store_walk_release(&t->walks[0]);
	store_walk_release(&t->walks[1]);
	buf_release(&t->scratch);
	scope_free(&t->data);
}

static void report(struct verify_job *job, uint32_t i, int bits)
{
	SCOPED_FREE char *path = store_entry_path(job->v->m, i);
	char what[256];

	SCOPED_LOCK(&job->lock);
	job->bad++;
	if (job->v->tell)
		job->v->tell(job->v->arg, path ? path : job->v->m->entries[i].name,
			store_diff_text(bits, what, sizeof(what)));
}

/*
 * Directory and lstat of entry @i in the first root that has it; -ENOENT if none does.
 */
static int find(struct verifier *t, uint32_t i, struct stat *st)
{
	const struct store_verify *v = t->job->v;
	const struct manifest_entry *e = &v->m->entries[i];
	int fd = -ENOENT;

	for (int k = 0; k < 2 && v->roots[k] >= 0; k++) {
		fd = store_walk_to(&t->walks[k], e->parent);
		if (fd >= 0 && fstatat(fd, e->name, st, AT_SYMLINK_NOFOLLOW) == 0)
			return fd;
		fd = fd >= 0 ? -errno : fd;
		if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
			return fd;
	}
	return -ENOENT;
}

/* A file: what store_diff finds, and its content if the size is right. */
static int check_file(struct verifier *t, uint32_t i, int dirfd, const struct stat *st)
{
	const struct manifest_entry *e = &t->job->v->m->entries[i];
	struct ebt_digest digest;
	bool opened;
	SCOPED_FD int fd = store_open_file(dirfd, e->name, st, &opened);
	int bits, r = 0;

	if (fd < 0)
		return fd;
	bits = store_diff(dirfd, t->job->v->m, e, st, &t->scratch);
	if (bits >= 0 && !(bits & STORE_DIFF_SIZE) &&
		manifest_has_data(t->job->v->m, i)) {
		r = store_digest(fd, e->size, t->data, NULL, NULL, &digest);
		if (r == 1 || (r == 0 && !digest_equal(digest, e->digest)))
			bits |= STORE_DIFF_CONTENT;
	}
	if (opened)
		fchmod(fd, st->st_mode & 07777);
	return r < 0 ? r : bits;
}

static int check_entry(struct verifier *t, uint32_t i)
{
	const struct manifest_entry *e = &t->job->v->m->entries[i];
	struct stat st;
	int bits, dirfd = find(t, i, &st);

	if (dirfd == -ENOENT)
		bits = STORE_DIFF_MISSING;
	else if (dirfd < 0)
		bits = dirfd;
	else if (e->kind == MANIFEST_FILE && S_ISREG(st.st_mode))
		bits = check_file(t, i, dirfd, &st);
	else
		bits = store_diff(dirfd, t->job->v->m, e, &st, &t->scratch);
	if (bits == -ENOMEM || bits == -EMFILE || bits == -ENFILE)
		return bits;
	if (dirfd >= 0 && t->job->idents)
		t->job->idents[i] =
			(struct store_ident){.dev = st.st_dev, .ino = st.st_ino};
	if (bits != 0)
		report(t->job, i, bits < 0 ? STORE_DIFF_UNREADABLE : bits);
	return 0;
}

static int check_run(struct verifier *t, uint32_t from, uint32_t end)
{
	const struct store_verify *v = t->job->v;
	int r = 0;

	for (uint32_t i = from; i < end && r == 0; i++) {
		bool dir = v->m->entries[i].kind == MANIFEST_DIR;

		if (dir ? !v->skip_dirs : manifest_needed(v->need, i))
			r = check_entry(t, i);
	}
	return r;
}

static void *work(void *arg)
{
	struct verify_job *job = arg;
	const struct store_verify *v = job->v;
	SCOPED(verifier_release) struct verifier t = {.job = job,
		.walks = {{.m = v->m,
				  .root = v->roots[0],
				  .flags = O_PATH,
				  .force = v->force},
			{.m = v->m,
				.root = v->roots[1],
				.flags = O_PATH,
				.force = v->force}},
		.data = malloc(STORE_BUFFER)};
	uint64_t from;
	int r = t.data ? 0 : -ENOMEM;

	while (r == 0) {
		from = __atomic_fetch_add(&job->next, RUN, __ATOMIC_RELAXED);
		if (from >= v->m->count)
			return NULL;
		r = check_run(&t, (uint32_t)from,
			from + RUN < v->m->count ? (uint32_t)from + RUN : v->m->count);
	}
	SCOPED_LOCK(&job->lock);
	if (job->failed == 0)
		job->failed = r;
	__atomic_store_n(&job->next, (uint64_t)v->m->count, __ATOMIC_RELAXED);
	return NULL;
}

int store_verify_run(const struct store_verify *v, uint64_t *bad, struct ebt_err *err)
{
	struct verify_job job = {.v = v, .lock = PTHREAD_MUTEX_INITIALIZER};
	SCOPED_FREE struct store_ident *idents = NULL;

	if (store_idents_new(v->m, &idents) < 0)
		return ebt_fail(err, -ENOMEM, "verification");
	job.idents = idents;
	store_run_threads(v->threads, v->m->count / RUN + 1, work, &job);
	for (uint32_t i = 0; idents && i < v->m->count; i++)
		if (store_ident_differs(v->m, idents, i))
			report(&job, i, STORE_DIFF_LINKS);
	pthread_mutex_destroy(&job.lock);
	if (job.failed)
		return ebt_fail(err, job.failed, "verification");
	*bad = job.bad;
	return 0;
}

int store_verify(int dirfd, const struct manifest *m, unsigned threads,
	void (*tell)(void *arg, const char *path, const char *what), void *arg,
	uint64_t *bad, struct ebt_err *err)
{
	struct store_verify v = {.m = m,
		.roots = {dirfd, -1},
		.threads = threads,
		.tell = tell,
		.arg = arg};

	return store_verify_run(&v, bad, err);
}
