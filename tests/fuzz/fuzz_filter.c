/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as filter rules: a byte of flags, a path, NUL, the rules. Besides surviving
 * them, the matcher must find that a path matches itself when all its bytes are
 * escaped.
 */
#include <string.h>

#include "fuzz.h"
#include "manifest/filter.h"

static void escaped_path_matches_itself(const char *path, size_t len)
{
	SCOPED(filter_freep) struct filter *f = NULL;
	SCOPED_FREE char *pattern = malloc(2 * len + 3);
	size_t at = 0;

	FUZZ_CHECK(pattern && filter_new(&f, NULL) == 0);
	if (len == 0 || 2 * len + 2 > FILTER_PATTERN_MAX)
		return;
	pattern[at++] = '/';
	for (size_t i = 0; i < len; i++) {
		pattern[at++] = '\\';
		pattern[at++] = path[i];
	}
	pattern[at++] = '*'; /* without a wildcard nothing would be escaped */
	pattern[at] = '\0';
	FUZZ_CHECK(filter_add(f, false, pattern, NULL) == 0);
	FUZZ_CHECK(!filter_wants(f, path, false));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED(filter_freep) struct filter *f = NULL;
	SCOPED_FREE char *path = NULL;
	size_t len;

	if (size < 1)
		return 0;
	path = strndup((const char *)data + 1, size - 1);
	FUZZ_CHECK(path && filter_new(&f, NULL) == 0);
	len = strlen(path);
	if (len + 2 < size)
		filter_add_text(f, (const char *)data + len + 2, size - len - 2,
			data[0] & 1, NULL);
	filter_wants(f, path, false);
	filter_wants(f, path, true);
	if (data[0] & 2)
		escaped_path_matches_itself(path, len);
	return 0;
}

bool fuzz_seed(unsigned n, struct buf *out)
{
	static const struct {
		const char *path, *rules;
	} seeds[] = {
		{"a/foo/x/y.o", "*.o\n+ /a/**/x/\n- foo/***\n"},
		{"a]b-c^!", "+ a[]-]b[!a-z]*\n- [[:alpha:][:digit:]]*\n[^\\]a]\\*?\n"},
		{"aaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaa", "*a*a**a*a*b\n**a/**/a*?a\n"},
		{"x/y/z", "# comment\n; too\n!\n- x/y/\n+ /x/*/z\n- *\n"},
	};

	if (n / 2 >= sizeof(seeds) / sizeof(seeds[0]))
		return false;
	buf_put8(out, n % 2 ? 3 : 2);
	buf_put(out, seeds[n / 2].path, strlen(seeds[n / 2].path) + 1);
	buf_put(out, seeds[n / 2].rules, strlen(seeds[n / 2].rules));
	return true;
}
