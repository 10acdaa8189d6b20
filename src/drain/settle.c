/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * While the job still runs: which outputs are finished. A file is, when nobody has it open for
 * writing and it has not changed for as long as a pass takes to come round. The kernel tells
 * the first by granting a read lease, fcntl(2), which it does only then. Where it cannot tell
 * (a file system without leases) the second must do. Should it be written to after all, the
 * move finds out and the file waits for the next pass.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "drain/drain_internal.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

static bool open_for_writing(const struct drain *d, const char *path)
{
	SCOPED_FD int fd = drain_output_open(d, path);

	if (fd < 0)
		return fd != -EACCES; /* gone or replaced: not finished either */
	/* Whoever opens it in between makes the kernel send a signal: one that is ignored. */
	fcntl(fd, F_SETSIG, SIGURG);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return false;
	}
	return errno == EAGAIN || errno == EWOULDBLOCK;
}

static bool settled(const struct drain *d, const struct manifest_entry *e,
	const char *path, const struct timespec *now)
{
	double age = (double)(now->tv_sec - e->mtime) +
		     ((double)now->tv_nsec - (double)e->mtime_ns) * 1e-9;

	/* Archives are made when the job is over, of all that there is then. */
	if (pack_match(d->pack.patterns, path, e->kind == MANIFEST_DIR) != PATTERN_NONE)
		return false;
	if (e->kind != MANIFEST_FILE)
		return true;
	/* It may be a piece, whose others come yet: the last drain sees them together. */
	if (d->o->conflict == EBT_CONFLICT_AUTO && e->allocated < e->size)
		return false;
	/* A time in the future was set by somebody: it says nothing. */
	if (age >= 0 && age < d->o->watch)
		return false;
	return !open_for_writing(d, path);
}

int drain_settle(struct drain *d, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_FREE char *path = malloc(MANIFEST_PATH_SIZE);
	struct timespec now;
	uint32_t source;
	int r = path ? manifest_new(&m, err)
		     : ebt_fail(err, -ENOMEM, "%s", d->store_path);

	clock_gettime(CLOCK_REALTIME, &now);
	if (r == 0)
		r = manifest_add_source(m, d->store_path, &source, err);
	for (uint32_t i = 0; i < d->out.m->count && r == 0; i++) {
		struct manifest_entry e = d->out.m->entries[i];

		r = manifest_path(d->out.m, i, path, MANIFEST_PATH_SIZE);
		if (r < 0)
			return ebt_fail(err, r, "%s", d->store_path);
		r = 0;
		e.name = path;
		e.source = source;
		e.parent = MANIFEST_ROOT;
		e.group = MANIFEST_NONE;
		if (settled(d, &e, path, &now))
			r = manifest_add(m, &e, err);
	}
	if (r == 0)
		r = manifest_arrange(m, err);
	if (r < 0)
		return r;
	manifest_free(d->out.m);
	d->out.m = TAKE(m);
	return 0;
}
