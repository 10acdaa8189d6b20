/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Publishing, tried before anybody writes a record: what it will do in directories that exist.
 * Into each that gets something an empty directory of ours is renamed, and back again, and what
 * may be asked of each that gets attributes is shown by setting those that it has. Only the
 * kernel knows all its reasons to refuse: other mounts, project quotas, encryption, flags,
 * owners that a user namespace does not map, security modules. What is new was made beside,
 * where whatever could fail has failed; a rename brings it whole.
 *
 * One trial for each directory that exists on both sides, and nothing for each file but where a
 * sticky directory may refuse to replace it. Both sides are held open as publishing will have
 * them, so descriptors suffice.
 *
 * The directory for the trials is made with the run, as `trial` beside its tree. While that is
 * missing the trial is out there, under a name that has the run's ID: whoever removes what a
 * dead run left knows where to look.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define TRIAL	   "trial"
#define NAME_BYTES 64 /* of the trial's name in other directories */

struct trial {
	struct store *s;
	const struct manifest *m;
	struct store_walk from, to; /* incoming, the store */
	uint64_t mount;		    /* of the store */
	uint64_t *done;		    /* bit a directory that can be renamed into */
	bool done_top;
	char name[NAME_BYTES];
};

static void trial_name(const char *id, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, ".ebt-trial-%s", id);
}

int store_make_trial(int runfd)
{
	SCOPED_FD int fd = store_private_dir(runfd, TRIAL, NULL);

	return fd < 0 ? fd : 0;
}

static const char *by_proc(int fd, char path[32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return path;
}

/* In and out; a trial that does not come back is removed where it is. */
static int rename_trial(struct trial *t, int fd)
{
	int r = 0;

	if (renameat(t->s->runfd, TRIAL, fd, t->name) < 0)
		return -errno;
	store_step(t->s);
	if (renameat(fd, t->name, t->s->runfd, TRIAL) < 0) {
		r = -errno;
		if (unlinkat(fd, t->name, AT_REMOVEDIR) == 0)
			mkdirat(t->s->runfd, TRIAL, 0700);
	}
	return r;
}

/* As it will be published into: with the bits that its owner needs, for so long. */
static int try_directory(struct trial *t, int fd)
{
	const mode_t need = 0300;
	struct fsio_place place;
	struct stat st;
	char proc[32];
	bool lend;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	r = fsio_place_of(fd, "", &place);
	if (r == 0)
		r = fsio_place_refuses(&place, t->mount);
	if (r < 0)
		return r;
	by_proc(fd, proc);
	lend = st.st_uid == geteuid() && geteuid() != 0 && (st.st_mode & need) != need;
	if (lend && chmod(proc, (st.st_mode & 07777) | need) < 0)
		return -errno;
	r = rename_trial(t, fd);
	if (lend && chmod(proc, st.st_mode & 07777) < 0 && r == 0)
		r = -errno;
	if (store_may_change(&st))
		utimensat(AT_FDCWD, proc, (struct timespec[2]){st.st_atim, st.st_mtim},
			0);
	return r;
}

/* May something be renamed into directory @dir of the store? */
static int try_put(struct trial *t, uint32_t dir, struct ebt_err *err)
{
	int fd, r;

	if (dir == MANIFEST_ROOT ? t->done_top : manifest_needed(t->done, dir))
		return 0;
	fd = store_walk_to(&t->from, dir);
	/* Only what nobody brought is not there; it will be made. */
	if (fd < 0 && fd != -ENOENT)
		return store_fail_walk(t->s, fd, &t->from, err);
	fd = store_walk_to(&t->to, dir);
	if (fd < 0)
		return store_fail_walk(t->s, fd, &t->to, err);
	r = try_directory(t, fd);
	if (r < 0)
		return store_fail(t->s, r, "put something into", t->m, dir, err);
	if (dir == MANIFEST_ROOT)
		t->done_top = true;
	else
		manifest_need(t->done, dir);
	return 0;
}

/* May directory @i, which exists, get its owner, mode and times? */
static int try_attributes(struct trial *t, uint32_t i, struct ebt_err *err)
{
	const struct manifest_entry *e = &t->m->entries[i];
	struct timespec times[2];
	struct stat st;
	char proc[32];
	int fd = store_walk_to(&t->to, i);

	if (fd < 0)
		return store_fail_walk(t->s, fd, &t->to, err);
	if (fstat(fd, &st) < 0)
		return store_fail(t->s, -errno, "look at", t->m, i, err);
	if (!store_may_change(&st))
		return 0; /* it stays as it is */
	by_proc(fd, proc);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	/* What chmod(2) asks for, without the set-group-ID bit that it may take away. */
	if (utimensat(AT_FDCWD, proc, times, 0) < 0 ||
		(geteuid() == 0 && !e->no_owner &&
			(st.st_uid != e->uid || st.st_gid != e->gid) &&
			chown(proc, st.st_uid, st.st_gid) < 0))
		return store_fail(t->s, -errno, "change attributes of", t->m, i, err);
	return 0;
}

/*
 * May entry @i take the place of @st? Root may replace what is another's in a sticky directory
 * unless its user namespace does not map that owner, which shows in the same right to the times.
 */
static int try_replace(
	struct trial *t, uint32_t i, const struct stat *st, struct ebt_err *err)
{
	const struct manifest_entry *e = &t->m->entries[i];
	struct timespec times[2] = {st->st_atim, {.tv_nsec = UTIME_OMIT}};
	struct stat dir;
	int fd = store_walk_to(&t->to, e->parent);

	if (fd < 0)
		return store_fail_walk(t->s, fd, &t->to, err);
	if (geteuid() != 0 || st->st_uid == 0)
		return 0;
	if (fstat(fd, &dir) < 0 ||
		(dir.st_mode & S_ISVTX && dir.st_uid != 0 &&
			utimensat(fd, e->name, times, AT_SYMLINK_NOFOLLOW) < 0))
		return store_fail(t->s, -errno, "replace", t->m, i, err);
	return 0;
}

/* Entry @i; *next is the one to go on with. */
static int try_entry(struct trial *t, uint32_t i, const uint64_t *need, uint32_t *next,
	struct ebt_err *err)
{
	const struct manifest_entry *e = &t->m->entries[i];
	struct stat st;
	int fd = store_walk_to(&t->to, e->parent), r = 0;

	*next = i + 1;
	store_walk_passed(&t->to, i);
	if (fd < 0)
		return store_fail_walk(t->s, fd, &t->to, err);
	if (e->kind != MANIFEST_DIR && !manifest_needed(need, i))
		return 0;
	if (fstatat(fd, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return store_fail(t->s, -errno, "look at", t->m, i, err);
		*next = manifest_subtree_end(t->m, i);
		return try_put(t, e->parent, err);
	}
	if (e->kind == MANIFEST_DIR)
		return try_attributes(t, i, err);
	r = try_put(t, e->parent, err);
	return r < 0 ? r : try_replace(t, i, &st, err);
}

int store_try(struct store *s, const struct manifest *m, const uint64_t *need,
	struct ebt_err *err)
{
	SCOPED_FREE uint64_t *done = calloc((size_t)m->count / 64 + 1, sizeof(*done));
	SCOPED_FD int tree =
		openat(s->runfd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Two more than publishing will have open at any time. */
	SCOPED_FD int spare = dup(s->dirfd);
	SCOPED_FD int another = dup(s->dirfd);
	struct trial t = {
		.s = s,
		.m = m,
		.done = done,
		.from = {.m = m, .root = tree, .flags = O_PATH, .force = true},
		.to = {.m = m, .root = s->dirfd, .flags = O_PATH},
	};
	struct fsio_place top;
	uint32_t i = 0;
	int r;

	if (!done)
		return ebt_fail(err, -ENOMEM, "%s", s->path);
	if (tree < 0 || spare < 0 || another < 0)
		return store_fail(s, -errno, "publish in", m, MANIFEST_ROOT, err);
	r = fsio_place_of(s->dirfd, "", &top);
	if (r < 0)
		return store_fail(s, r, "look at", m, MANIFEST_ROOT, err);
	t.mount = top.mount;
	trial_name(s->id, t.name);
	while (i < m->count && r == 0)
		r = try_entry(&t, i, need, &i, err);
	store_walk_release(&t.from);
	store_walk_release(&t.to);
	return r;
}

bool store_trial_is_home(int incoming, const char *id)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "%s/" TRIAL, id);
	return faccessat(incoming, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_end_trial(struct store *s, const struct manifest *m, const char *id)
{
	SCOPED_WALK struct store_walk w = {.m = m, .root = s->dirfd, .flags = O_PATH};
	char name[NAME_BYTES];
	uint32_t i = 0;
	int fd;

	trial_name(id, name);
	if (unlinkat(s->dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	while (i < m->count && errno == ENOENT) {
		if (m->entries[i].kind == MANIFEST_DIR) {
			fd = store_walk_to(&w, i);
			if (fd < 0) {
				i = manifest_subtree_end(m, i);
				errno = ENOENT;
				continue;
			}
			if (unlinkat(fd, name, AT_REMOVEDIR) == 0)
				return 0;
		}
		i++;
	}
	return errno == ENOENT ? 0 : -errno;
}
