/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/unpack_index.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"

#define BLOCK (256u << 10) /* bytes of an index that are read at a time */

static bool stopped(const struct unpack_index *x)
{
	return x->how->stopped && x->how->stopped(x->how->arg);
}

/*
 * The index, open; -ENOENT: there is none. It says where headers are, and a header could be forged
 * where in truth there is content: so it has to be of who could have forged the archive, and is not
 * looked for behind a link. One that is larger than its archive saves nothing.
 */
static int open_beside(const struct unpack_index *x, struct ebt_err *err)
{
	SCOPED_FD int fd = -1;
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s" UNPACK_INDEX, x->path) >=
		(int)sizeof(path))
		return ebt_fail(err, -ENOENT, "index");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return ebt_fail(err, -errno, "open");
	if (fstat(fd, &st) < 0)
		return ebt_fail(err, -errno, "fstat");
	if (!S_ISREG(st.st_mode))
		return ebt_failx(err, -EINVAL, "no regular file");
	if (st.st_uid != x->st->st_uid && st.st_uid != geteuid() && st.st_uid != 0)
		return ebt_failx(err, -EPERM, "of another owner than the archive");
	if (st.st_size > x->st->st_size)
		return ebt_failx(err, -EFBIG, "larger than the archive");
	return TAKE_FD(fd);
}

static int load(const struct unpack_index *x, struct picks *p, struct ebt_err *err)
{
	SCOPED_FREE unsigned char *block = malloc(BLOCK);
	SCOPED_FD int fd = open_beside(x, err);
	struct activity_call call;
	ssize_t n = 1;
	int r = 0;

	if (fd < 0)
		return fd;
	if (!block)
		return ebt_fail(err, -ENOMEM, "memory");
	for (uint64_t at = 0; r == 0 && n > 0; at += (uint64_t)n) {
		activity_begin(x->activity, &call, "reading the index of",
			activity_text, x->path, 0);
		n = fsio_read(fd, block, BLOCK, at);
		activity_end(x->activity, &call);
		if (n < 0)
			return ebt_fail(err, (int)n, "read");
		if (stopped(x))
			return ebt_failx(err, -EINTR, "stopped");
		r = picks_feed(p, block, (size_t)n, err);
	}
	if (r == 0)
		r = picks_finish(p, err);
	return r == 0 && !picks_pay(p)
		       ? ebt_failx(err, -ENOTSUP, "most of the archive is wanted")
		       : r;
}

/* All headers that are to be read are those that were picked. -ENOTSUP: of no use here. */
static int look(const struct unpack_index *x, const char *name, const struct picks *p,
	struct ebt_err *err)
{
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	struct unarchive_options how = *x->how;
	struct activity_call call;
	struct member m;
	int r;

	how.picks = p;
	how.heads = true;
	r = unarchive_open(x->fd, name, &how, &u, err);
	for (bool more = r == 0; more;) {
		activity_begin(x->activity, &call, "looking at members of",
			activity_text, x->path, 0);
		r = unarchive_next(u, &m, err);
		activity_end(x->activity, &call);
		more = r > 0;
	}
	for (int i = 0; r == 0 && i < UNARCHIVE_LEFT_KINDS; i++) {
		const char *first;

		/* Who tells of them tells of all. */
		if (unarchive_left(u, (enum unarchive_left)i, &first))
			r = ebt_failx(err, -ENOTSUP, "of things to be left out");
	}
	return r;
}

struct picks *unpack_index_picks(const struct unpack_index *x)
{
	struct picks_archive archive = {.size = (uint64_t)x->st->st_size,
		.mtime = x->st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)x->st->st_mtim.tv_nsec};
	SCOPED(picks_freep) struct picks *p = NULL;
	struct ebt_err err = {0};
	char name[512];
	size_t n;
	int r;

	if (!S_ISREG(x->st->st_mode))
		return NULL;
	text_name(x->path, name, sizeof(name));
	r = picks_new(&archive, x->wants, x->arg, &p, &err);
	if (r == 0)
		r = load(x, p, &err);
	if (r == 0) {
		r = look(x, name, p, &err);
		if (r < 0 && r != -ENOTSUP && !stopped(x)) {
			log_warn(x->log, "%s; its index is not used", err.text);
			return NULL;
		}
	}
	if (r < 0) {
		if (r != -ENOENT && !stopped(x))
			log_info(x->log, "%s" UNPACK_INDEX ": not used: %s", name,
				err.text);
		return NULL;
	}
	picks_list(p, &n);
	log_info(x->log, "%s: %zu members of %llu are read, as its index says", name, n,
		(unsigned long long)picks_members(p));
	return TAKE(p);
}
