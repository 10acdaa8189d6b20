/* SPDX-License-Identifier: BSD-3-Clause */
#include "source/source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsio/fsio.h"

void source_close(struct source *s)
{
	if (s->kind == SOURCE_FILE)
		scope_close(&s->fd);
	*s = (struct source){.fd = -1};
}

ssize_t source_read(
	const struct source *s, uint64_t off, void *to, size_t len, struct ebt_err *err)
{
	int r;

	switch (s->kind) {
	case SOURCE_MEMORY:
		memcpy(to, s->data + off, len);
		return (ssize_t)len;
	case SOURCE_FEED:
		r = s->feed->read(s->feed, off, to, len, err);
		return r < 0 ? r : (ssize_t)len;
	case SOURCE_FILE:
		return fsio_read(s->fd, to, len, s->at + off);
	default:
		return -EBADF;
	}
}

/* The archive of a member is known by the time of its last change. */
static bool same_archive(const struct manifest_entry *e, const struct stat *st)
{
	return S_ISREG(st->st_mode) && manifest_time(st->st_ctim) == e->changed;
}

int source_state(const struct source *s, const struct manifest_entry *e, uint32_t node,
	struct stat *now)
{
	bool member = e->marks & MANIFEST_MEMBER;
	struct stat own;
	char byte;
	ssize_t n;

	if (s->kind != SOURCE_FILE)
		return SOURCE_SAME;
	/* Of a file without content nothing was read so far: those below /proc have some. */
	n = e->size || member ? 0 : fsio_read(s->fd, &byte, 1, 0);
	if (n < 0)
		return (int)n;
	if (!now)
		now = &own;
	if (fstat(s->fd, now) < 0)
		return -errno;
	if (member ? !same_archive(e, now) : !manifest_unchanged_on(node, e, now))
		return SOURCE_CHANGED;
	return n ? SOURCE_ODD : SOURCE_SAME;
}
