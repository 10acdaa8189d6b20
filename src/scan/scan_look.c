/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names that may be hard links of one inode, looked at by one node: one lstat each. What it
 * sees as one device and inode, with the attributes that the walk saw, is one inode.
 *
 * More names than the inode has links are no proof: numbers of inodes may collide. Or a file
 * system is mounted at several places, which repeats its names; so they are counted by mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "scan/scan.h"

struct looker {
	const struct scan_look *l;
	uint32_t *found;
	uint64_t next; /* atomic: a class */
	int code;      /* lock: first failure */
	struct ebt_err err;
	pthread_mutex_t lock;
};

/* A class at work. */
struct members {
	const struct manifest *m;
	const uint32_t *entry;
	uint32_t *found;
	uint32_t n;
	struct stat *st;
	char *path; /* SCAN_PATH_SIZE bytes: of the member at hand */
};

static bool as_walked(const struct manifest_entry *e, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size &&
	       st->st_mtim.tv_sec == e->mtime &&
	       (uint32_t)st->st_mtim.tv_nsec == e->mtime_ns &&
	       (st->st_mode & 07777) == e->mode && st->st_uid == e->uid &&
	       st->st_gid == e->gid;
}

static bool one_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size && a->st_mode == b->st_mode &&
	       a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * The name by which calls know member @k, NULL if they do not: its path, or where that is longer
 * than they take what it is called in *dirfd, its directory, which is the caller's then.
 */
static const char *stand(const struct members *c, uint32_t k, int *dirfd)
{
	uint32_t i = c->entry[k];
	const char *base = c->m->sources[c->m->entries[i].source];
	int len = manifest_source_path(c->m, i, c->path, SCAN_PATH_SIZE);
	char *slash;

	if (len < 0 || len < PATH_MAX)
		return len < 0 ? NULL : c->path;
	if (manifest_path(c->m, i, c->path, SCAN_PATH_SIZE) < 0)
		return NULL;
	slash = strrchr(c->path, '/');
	if (slash)
		*slash = '\0';
	*dirfd = scan_open_below(base, slash ? c->path : "", O_PATH | O_DIRECTORY);
	if (*dirfd < 0)
		return NULL;
	return slash ? slash + 1 : c->path;
}

static int dir_or_cwd(int dirfd)
{
	return dirfd < 0 ? AT_FDCWD : dirfd;
}

static bool see(const struct members *c, uint32_t k)
{
	SCOPED_FD int dirfd = -1;
	const char *name = stand(c, k, &dirfd);

	return name &&
	       fstatat(dir_or_cwd(dirfd), name, &c->st[k], AT_SYMLINK_NOFOLLOW) == 0 &&
	       as_walked(&c->m->entries[c->entry[k]], &c->st[k]);
}

/* The mount that member @k is reached by; 0 where the kernel does not say. */
static uint64_t mount_of(const struct members *c, uint32_t k)
{
	SCOPED_FD int dirfd = -1;
	const char *name = stand(c, k, &dirfd);
	struct fsio_place place;

	if (!name || fsio_place_of(dir_or_cwd(dirfd), name, &place) < 0)
		return 0;
	return place.mount;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The members from @head on that are its links, @n in all, are no more than it has. */
static bool has_links(const struct members *c, uint32_t head, uint32_t n)
{
	SCOPED_FREE uint64_t *mounts = NULL;
	uint32_t value = MANIFEST_LINK_OF + head, at = 0, end;
	uint64_t links = UINT64_MAX;

	for (uint32_t k = head; k < c->n; k++) {
		if (c->found[k] == value && c->st[k].st_nlink < links)
			links = c->st[k].st_nlink;
	}
	if (n <= links)
		return true;
	mounts = calloc(n, sizeof(*mounts));
	if (!mounts)
		return false;
	for (uint32_t k = head; k < c->n; k++) {
		if (c->found[k] == value)
			mounts[at++] = mount_of(c, k);
	}
	qsort(mounts, n, sizeof(*mounts), by_value);
	for (uint32_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && mounts[end] == mounts[i]; end++)
			;
		if (end - i > links)
			return false;
	}
	return true;
}

/* Members that @head is followed by become its links, if there are any and it may have them. */
static void settle_head(const struct members *c, uint32_t head)
{
	uint32_t value = MANIFEST_LINK_OF + head, n = 0;
	const struct manifest_entry *e = &c->m->entries[c->entry[head]];

	for (uint32_t k = head; k < c->n; k++) {
		if (c->found[k] != MANIFEST_LINK_UNSEEN ||
			!one_inode(&c->st[head], &c->st[k]))
			continue;
		c->found[k] = value;
		n++;
	}
	if (n == 1)
		c->found[head] = c->st[head].st_ino == e->ino ? MANIFEST_LINK_OTHER
							      : MANIFEST_LINK_APART;
	if (n == 1 || has_links(c, head, n))
		return;
	for (uint32_t k = head; k < c->n; k++) {
		if (c->found[k] == value)
			c->found[k] = MANIFEST_LINK_APART;
	}
}

static int look_at_class(
	const struct scan_look *l, uint32_t class, uint32_t *found, struct ebt_err *err)
{
	uint32_t at = l->doubts->first[class];
	struct members c = {.m = l->m,
		.entry = l->doubts->members + at,
		.found = found + at,
		.n = l->doubts->first[class + 1] - at};
	SCOPED_FREE struct stat *st = calloc(c.n, sizeof(*st));
	SCOPED_FREE char *path = malloc(SCAN_PATH_SIZE);

	if (!st || !path)
		return ebt_fail(err, -ENOMEM, "hard links: %u names", c.n);
	c.st = st;
	c.path = path;
	for (uint32_t k = 0; k < c.n; k++)
		c.found[k] = see(&c, k) ? MANIFEST_LINK_UNSEEN : MANIFEST_LINK_APART;
	for (uint32_t k = 0; k < c.n; k++) {
		if (c.found[k] == MANIFEST_LINK_UNSEEN)
			settle_head(&c, k);
	}
	return 0;
}

static void *look(void *arg)
{
	struct looker *w = arg;
	const struct scan_look *l = w->l;
	struct ebt_err err = {0};
	uint64_t class;
	int r = 0;

	while (r == 0) {
		class = __atomic_fetch_add(&w->next, l->step, __ATOMIC_RELAXED);
		if (class >= l->doubts->n)
			break;
		r = l->stopped ? l->stopped(l->stopped_arg, &err) : 0;
		if (r == 0)
			r = look_at_class(l, (uint32_t) class, w->found, &err);
	}
	if (r < 0) {
		SCOPED_LOCK(&w->lock);
		if (!w->code)
			w->err = err;
		w->code = r;
		__atomic_store_n(&w->next, l->doubts->n, __ATOMIC_RELAXED);
	}
	return NULL;
}

int scan_look(const struct scan_look *l, uint32_t *found, struct ebt_err *err)
{
	struct looker w = {.l = l, .found = found, .next = l->first};
	pthread_t thread[SCAN_THREADS];
	unsigned started = 0, most = l->threads;
	uint32_t own;

	if (l->first >= l->doubts->n)
		return 0;
	own = (l->doubts->n - l->first - 1) / l->step + 1;
	if (most > own)
		most = own;
	if (most > SCAN_THREADS)
		most = SCAN_THREADS;
	pthread_mutex_init(&w.lock, NULL);
	/* The caller is a thread too, and enough if others cannot be had. */
	while (started + 1 < most &&
		pthread_create(&thread[started], NULL, look, &w) == 0)
		started++;
	look(&w);
	while (started)
		pthread_join(thread[--started], NULL);
	pthread_mutex_destroy(&w.lock);
	if (w.code < 0 && err)
		*err = w.err;
	return w.code;
}

void scan_warn_apart(
	const struct log *log, const struct manifest *m, uint64_t n, uint32_t one)
{
	SCOPED_FREE char *path = n ? malloc(SCAN_PATH_SIZE) : NULL;
	char name[512];

	if (!n)
		return;
	if (!path || manifest_source_path(m, one, path, SCAN_PATH_SIZE) < 0)
		strcpy(name, "?");
	else
		text_name(path, name, sizeof(name));
	if (n == 1)
		log_warn(log,
			"%s: comes as a file of its own, it could not be confirmed as "
			"a "
			"hard link",
			name);
	else
		log_warn(log,
			"%s and %llu more: come as files of their own, they could not "
			"be "
			"confirmed as hard links",
			name, (unsigned long long)n - 1);
}
