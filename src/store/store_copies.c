/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What published files look like, noted at the end of a publication: inode and ctime, by which a
 * later look knows without reading that nothing was changed since, also where somebody put size
 * and time back. Renaming changes the ctime on many file systems, of hard links that of all
 * names, so it is taken when all is in place.
 *
 * Only of what this process moved there itself. A publication that goes on after a crash finds
 * the rest under its final name, where it lay for as long as nobody looked. An entry of which
 * nothing is noted is compared by content, which is always right.
 *
 * File systems take the ctime from a clock that goes in steps. One that is as young as such a
 * step says nothing: a change right after the look may get the same. So the look waits for the
 * end of the step, and what is too young all the same, as by another machine's clock, is left
 * out.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "store/store_internal.h"

#define THREADS 4
#define RUN	256 /* entries taken at a time: neighbours, mostly in one directory */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return manifest_time(t);
}

static void wait_a_tick(void)
{
	struct timespec left = {.tv_nsec = MANIFEST_TICK};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static bool is_copy(const struct manifest_entry *e, const struct stat *st)
{
	if (e->kind == MANIFEST_FILE)
		return S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size;
	return e->kind == MANIFEST_DIR ? S_ISDIR(st->st_mode) : S_ISLNK(st->st_mode);
}

/* Some of the entries, and how far all threads are. */
struct noting {
	struct store *s;
	struct manifest *m; /* each entry by one thread */
	const uint64_t *moved;
	uint64_t start; /* nanoseconds since 1970 */
	uint64_t next;	/* atomic */
};

static void note(struct noting *n, struct store_walk *w, uint32_t i)
{
	struct manifest_entry *e = &n->m->entries[i];
	int dirfd = store_walk_to(w, e->parent);
	struct stat st;

	if (dirfd >= 0 && fstatat(dirfd, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		is_copy(e, &st) &&
		manifest_settled(manifest_time(st.st_ctim), n->start))
		e->copy = manifest_copy_of(&st);
}

static void *work(void *arg)
{
	struct noting *n = arg;
	SCOPED_WALK struct store_walk w = {
		.m = n->m, .root = n->s->dirfd, .flags = O_PATH};
	uint64_t from;

	while ((from = __atomic_fetch_add(&n->next, RUN, __ATOMIC_RELAXED)) <
		n->m->count)
		for (uint64_t i = from; i < from + RUN && i < n->m->count; i++)
			if (manifest_needed(n->moved, (uint32_t)i))
				note(n, &w, (uint32_t)i);
	return NULL;
}

void store_note_copies(struct store *s, struct manifest *m, const uint64_t *moved)
{
	struct noting n = {.s = s, .m = m, .moved = moved};

	wait_a_tick();
	n.start = now();
	store_run_threads(THREADS, m->count / RUN + 1, work, &n);
}
