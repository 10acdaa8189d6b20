/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ordered include and exclude rules with rsync's meaning: the first rule that matches
 * decides, no match includes, an excluded directory is not entered. Pure, and
 * thread-safe once built.
 *
 *   *        any bytes but '/'       **   any bytes
 *   ?        one byte but '/'        [a]  a class, also [!a], [^a], [a-z], [[:alpha:]]
 *   /x       anchored at the top of the transfer (names below DEST)
 *   x/       directories only        x/y  the last components of the path
 *   ***      after a final '/', as one word: that directory and all below it
 */
#ifndef MANIFEST_FILTER_H
#define MANIFEST_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/scope.h"
#include "ebt/err.h"

#define FILTER_PATTERN_MAX 4096 /* bytes */

struct filter;

int filter_new(struct filter **out, struct ebt_err *err);
void filter_free(struct filter *f);
DEFINE_SCOPED(struct filter, filter_free)

/*
 * One more rule, after those before: a pattern to include or exclude. As with rsync's
 * --include and --exclude, "+ " or "- " before it decides instead of @include, and a lone
 * "!" forgets all rules before. -EINVAL for an empty pattern, -ENAMETOOLONG above
 * FILTER_PATTERN_MAX bytes.
 */
int filter_add(struct filter *f, bool include, const char *rule, struct ebt_err *err);
/*
 * Rules from text, one a line: "- pattern", "+ pattern", a bare pattern excludes; blank
 * lines and lines starting with '#' or ';' are skipped, a lone "!" forgets all rules
 * before. Lines end in \n, \r or both; with @null in NUL, as with rsync --from0. White
 * space belongs to the pattern. The rules before a wrong one are kept.
 */
int filter_add_text(
	struct filter *f, const char *text, size_t len, bool null, struct ebt_err *err);

/*
 * @path: below DEST, without leading or trailing '/'. NULL filter: everything is
 * wanted. Looks at this path alone: who walks a tree does not ask about what is below
 * an excluded directory.
 */
bool filter_wants(const struct filter *f, const char *path, bool is_dir);

#endif
