/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where content comes from, one interface for who reads it: a file, a member of an archive at its
 * place in that file, bytes that are in memory already, or what somebody brings forth in order
 * only, as a decoder does.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"

/* What comes in order only. */
struct source_feed {
	uint64_t dev, ino; /* of the entry whose content it is, as there */
	/*
	 * [off, off + len) to @to. Any thread: who is too early waits until all before was read. A
	 * negative code comes with a whole text, as does -ECANCELED where nobody needs it any more.
	 */
	int (*read)(struct source_feed *f, uint64_t off, void *to, size_t len,
		struct ebt_err *err);
	/* Any thread: there is no use in waiting. NULL: there is. Set by who reads. */
	bool (*stopped)(void *arg);
	void *stopped_arg;
};

/* By value; the descriptor of a file is its own. */
struct source {
	enum { SOURCE_NONE, SOURCE_FILE, SOURCE_MEMORY, SOURCE_FEED } kind;
	int fd;			   /* of a file */
	uint64_t at;		   /* byte of the file where the content begins */
	const unsigned char *data; /* in memory: the caller's */
	struct source_feed *feed;  /* the caller's */
};

static inline struct source source_of_file(int fd, uint64_t at)
{
	return (struct source){.kind = SOURCE_FILE, .fd = fd, .at = at};
}
static inline struct source source_of_memory(const unsigned char *data)
{
	return (struct source){.kind = SOURCE_MEMORY, .fd = -1, .data = data};
}
static inline struct source source_of_feed(struct source_feed *f)
{
	return (struct source){.kind = SOURCE_FEED, .fd = -1, .feed = f};
}
/* Also by SCOPED(source_close): none is left. */
void source_close(struct source *s);

/*
 * Bytes that are in @to now: fewer than @len only where a file has no more. Negative: errno, and
 * err->text is empty where the caller knows better of what it speaks.
 */
ssize_t source_read(const struct source *s, uint64_t off, void *to, size_t len,
	struct ebt_err *err);

enum source_state {
	SOURCE_SAME = 0, /* what was scanned; also where that cannot change */
	SOURCE_CHANGED,	 /* another size, time or, where it tells, inode */
	SOURCE_ODD,	 /* it has content although its size is 0, as below /proc */
};
/*
 * Once all was read, by node @node: is it still what was scanned as @e? Of a file; a member's archive
 * must be the same one, untouched. *now, if not NULL, gets how it looks. Or a negative errno.
 */
int source_state(const struct source *s, const struct manifest_entry *e, uint32_t node,
	struct stat *now);

#endif
