/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One wildcard pattern, compiled. Matching takes time in proportion to the length of
 * the text times that of the pattern at worst, whatever the pattern is. Thread-safe.
 */
#ifndef MANIFEST_FILTER_GLOB_H
#define MANIFEST_FILTER_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/scope.h"

#define GLOB_MAX 4096 /* bytes of a pattern */

struct glob;

/* NULL if memory is short. @len <= GLOB_MAX. */
struct glob *glob_new(const char *pattern, size_t len);
void glob_free(struct glob *g);

struct glob_text {
	const char *text;  /* NUL-terminated */
	bool slash_before; /* as if a '/' stood in front of it */
	bool slash_after;  /* or behind it */
	bool anywhere;	   /* the match may begin after any '/', and runs to the end */
};
bool glob_match(const struct glob *g, const struct glob_text *t);

#endif
