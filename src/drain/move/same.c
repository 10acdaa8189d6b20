/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is what is in dest under a name what the file is to hold? Its lead compares, source by source
 * and range by range, before it writes anything: a journal that was lost, or a restart file that
 * the job copied in, must not double the data.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drain/move/lead.h"
#include "fsio/fsio.h"

/* What the sources say of a range, into @to. */
static int read_source(struct lead *c, const struct drain_piece *p, uint64_t off,
	uint32_t len, void *to, struct ebt_err *err)
{
	const struct net_wanted w = {.off = p->from + (off - p->off), .len = len};

	return move_ask(c->m, &c->l->source, &c->t->sources[p->source], &w, to,
		c->t->e.name, err);
}

/* 1: the same, 0: not, negative: the source cannot be read. */
static int same_data(struct lead *c, const struct drain_piece *p, int fd)
{
	uint64_t end = p->off + p->len;
	void *there = c->l->block[0], *here = c->l->block[1];
	uint32_t len;
	int r;

	for (uint64_t at = p->off; at < end; at += len) {
		len = end - at < c->m->block ? (uint32_t)(end - at) : c->m->block;
		if (move_stopped(c->m))
			return -ECANCELED;
		if (fsio_read(fd, there, len, at) != (ssize_t)len)
			return 0;
		r = read_source(c, p, at, len, here, NULL);
		if (r < 0)
			return r;
		if (memcmp(there, here, len) != 0)
			return 0;
	}
	return 1;
}

/* 1: a hole, or as good as one. */
static int same_hole(struct lead *c, int fd, uint64_t from, uint64_t to)
{
	void *there = c->l->block[0];
	uint64_t start, stop;
	uint32_t len;
	int r;

	while (from < to) {
		r = fsio_next_data(fd, from, to, &start, &stop);
		if (r)
			return r > 0;
		for (uint64_t at = start; at < stop; at += len) {
			len = stop - at < c->m->block ? (uint32_t)(stop - at)
						      : c->m->block;
			if (move_stopped(c->m))
				return -ECANCELED;
			if (fsio_read(fd, there, len, at) != (ssize_t)len ||
				!digest_is_zero(there, len))
				return 0;
		}
		from = stop;
	}
	return 1;
}

static int same_content(struct lead *c, int fd)
{
	const struct drain_task *t = c->t;
	uint64_t at = 0;
	int r = 1;

	for (uint32_t i = 0; i < t->n_pieces && r == 1; i++) {
		const struct drain_piece *p = &t->pieces[i];

		if (p->overlaps)
			return 0;
		if (p->off > at)
			r = same_hole(c, fd, at, p->off);
		if (r == 1)
			r = same_data(c, p, fd);
		at = p->off + p->len;
	}
	return r == 1 ? same_hole(c, fd, at, t->e.size) : r;
}

static int same_link(struct lead *c, int dirfd, const char *base)
{
	char says[PATH_MAX];
	ssize_t n = readlinkat(dirfd, base, says, sizeof(says) - 1);

	says[n > 0 ? n : 0] = '\0';
	return n > 0 && strcmp(says, c->t->e.target) == 0;
}

int lead_same(struct lead *c, int dirfd, const char *base, struct stat *st)
{
	const struct manifest_entry *e = &c->t->e;
	SCOPED_FD int fd = -1;
	enum net_refused how;
	int r;

	move_count(&c->m->d->rep->others);
	r = fsio_stat_now(dirfd, base, st);
	if (r < 0)
		return r;
	if (e->kind == MANIFEST_SYMLINK)
		return S_ISLNK(st->st_mode) && same_link(c, dirfd, base);
	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != e->size)
		return 0;
	move_count(&c->m->d->rep->opens);
	fd = openat(
		dirfd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* It may be what is freed next: durable it has to be. */
	return fd >= 0 && fsio_stat_now(fd, "", st) == 0 && S_ISREG(st->st_mode) &&
	       (uint64_t)st->st_size == e->size && same_content(c, fd) == 1 &&
	       lead_check_sources(c, &how, NULL, NULL) == 0 &&
	       (!c->t->archive || lead_is_steady(c)) && fsync(fd) == 0;
}
