/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --pack=PATTERN=NAME: which outputs go into which archive. Patterns have the meaning that they have
 * in filters (manifest/filter.h): "logs/" + "**" is all that lies below a directory logs, "*.npy"
 * what is called so anywhere. The first that matches decides. Several may name the same archive.
 * Thread-safe once built.
 */
#ifndef ARCHIVE_PATTERN_H
#define ARCHIVE_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"

#define PATTERN_NONE  UINT32_MAX
#define PATTERN_INDEX ".idx" /* behind the name of an archive: that of its index */

struct pattern_archive {
	char *name; /* below DEST, ends in ".tar" or ".tar.zst" */
	bool zstd;  /* in the latter */
};

struct patterns;

int patterns_new(struct patterns **out, struct ebt_err *err);
void patterns_free(struct patterns *p);
DEFINE_SCOPED(struct patterns, patterns_free)

/*
 * One more, after those before; the last '=' is where the name begins. -EINVAL and a text that
 * says what is wrong, with "PATTERN=NAME" in front of it.
 */
int patterns_add(struct patterns *p, const char *text, struct ebt_err *err);

/* Archives in the order in which they were first named. */
uint32_t patterns_count(const struct patterns *p);
const struct pattern_archive *patterns_archive(const struct patterns *p, uint32_t i);
/*
 * The archive of @path, below DEST and without leading or trailing '/'; PATTERN_NONE if no pattern
 * matches. NULL patterns match nothing.
 */
uint32_t patterns_match(const struct patterns *p, const char *path, bool is_dir);

#endif
