/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers and names as people write them: sizes (K, M, G, T: 1024), times (ms, s, m, h),
 * rates (bytes per second, decimal; "bit" for bits), and file names, which are bytes and may
 * hold anything but '/' and NUL.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebt/err.h"

/* "64M" -> 67108864. Fractions are allowed, negative numbers and overflow are not. */
int text_parse_size(const char *s, uint64_t *bytes, struct ebt_err *err);
/* "30", "30s", "2m", "250ms", "2us" -> seconds. A bare number is seconds. */
int text_parse_time(const char *s, double *seconds, struct ebt_err *err);
/*
 * "25G", "25GB/s" -> 25e9; "200mbit", "200Mbit/s", "200Mb/s" -> 25e6 bytes per second. Decimal, as
 * links are sold; a final "b" is bits, "B" bytes. Must be above zero.
 */
int text_parse_rate(const char *s, double *bytes_per_second, struct ebt_err *err);
int text_parse_count(const char *s, uint64_t *n, struct ebt_err *err);

#define TEXT_SIZE 32 /* enough for any of the formatted figures below */
/* 1536 -> "1.5 KiB". @out holds TEXT_SIZE bytes; returned for use in a printf argument. */
const char *text_size(double bytes, char *out);
/* 25e6 -> "25.0 MB/s" */
const char *text_rate(double bytes_per_second, char *out);

/* The last component of @path: it is behind the last slash. */
const char *text_base(const char *path);
/*
 * A name fit for a terminal or a log line: control bytes, backslash and invalid UTF-8 as
 * \ooo or \n; cut with "..." if @size is too small. Returns @out.
 */
const char *text_name(const char *name, char *out, size_t size);
/*
 * A name as one word of a line that is read again: all but visible ASCII as %XX, and % itself.
 * Without @out only counted: bytes without the NUL, for which there must be room.
 */
size_t text_percent(const char *name, char *out);
/* Back, in place; false: not as text_percent has it. */
bool text_unpercent(char *word);
/* The same as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
const char *text_json(const char *s, char *out, size_t size);

#endif
