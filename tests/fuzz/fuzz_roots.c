/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a list of sources, NUL-separated, after one byte that says how they are meant.
 * The list that comes out must be one that a walk can start from: bases are absolute, names stay
 * below DEST, and a source named again by what came out of it is the same one.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "manifest/manifest.h"
#include "scan/scan.h"
#include "stage/roots.h"

#define SOURCES_MAX 64
#define CWD	    "/some/where"

static const char *string(struct reader *r)
{
	const char *s = (const char *)r->data + r->at;

	FUZZ_CHECK(reader_left(r) && memchr(s, '\0', reader_left(r)));
	r->at += strlen(s) + 1;
	return s;
}

/* No empty component and no "."; @up: ".." may be one. */
static void check_path(const char *path, bool up)
{
	FUZZ_CHECK(path[0] == '/' && strlen(path) < PATH_MAX);
	for (const char *p = path; *p; p += strcspn(p, "/")) {
		size_t len = strcspn(++p, "/");

		FUZZ_CHECK(len > 0 || strcmp(path, "/") == 0);
		FUZZ_CHECK(len != 1 || p[0] != '.');
		FUZZ_CHECK(up || len != 2 || p[0] != '.' || p[1] != '.');
	}
}

/* A root of one source, as it can be named: its base and name, which are the same source. */
static void name_again(const char *base, unsigned flags, const char *name)
{
	char path[2 * PATH_MAX];
	const char *source = path;
	SCOPED_BUF struct buf b = {0};
	struct reader r;

	snprintf(path, sizeof(path), "%s/%s%s", strcmp(base, "/") == 0 ? "" : base,
		*name ? name : ".", *name && (flags & SCAN_FOLLOW) ? "/" : "");
	if (strlen(path) >= PATH_MAX)
		return;
	FUZZ_CHECK(roots_encode(&source, 1, false, CWD, &b, NULL) == 0);
	r = reader_of(b.data, b.len);
	FUZZ_CHECK(reader_get32(&r) == 1 && strcmp(string(&r), base) == 0);
	FUZZ_CHECK(reader_get32(&r) == 1 && reader_get32(&r) == 0);
	FUZZ_CHECK(reader_get8(&r) == flags && strcmp(string(&r), name) == 0);
}

static void use(const struct buf *list, size_t n_sources, bool relative)
{
	struct reader r = reader_of(list->data, list->len);
	uint32_t n_bases = reader_get32(&r), n, own = 0;
	const char *bases[SOURCES_MAX];

	FUZZ_CHECK(n_bases <= n_sources);
	for (uint32_t i = 0; i < n_bases; i++) {
		bases[i] = string(&r);
		check_path(bases[i], true);
	}
	n = reader_get32(&r);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t base = reader_get32(&r);
		unsigned flags = reader_get8(&r);
		const char *name = string(&r);

		FUZZ_CHECK(base < n_bases && !(flags & ~(SCAN_FOLLOW | SCAN_PARENT)));
		FUZZ_CHECK(!*name || manifest_path_ok(name));
		own += !(flags & SCAN_PARENT);
		if (relative)
			continue;
		FUZZ_CHECK(!(flags & SCAN_PARENT) && !strchr(name, '/'));
		name_again(bases[base], flags, name);
	}
	FUZZ_CHECK(!r.failed && !reader_left(&r));
	FUZZ_CHECK(own == n_sources);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_FREE char *text = malloc(size + 1);
	SCOPED_BUF struct buf list = {0};
	const char *sources[SOURCES_MAX];
	bool relative = size && data[0] & 1;
	size_t n = 0;

	FUZZ_CHECK(text);
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t at = 1; at < size && n < SOURCES_MAX; at += strlen(text + at) + 1)
		sources[n++] = text + at;
	if (roots_encode(sources, n, relative, CWD, &list, NULL) == 0)
		use(&list, n, relative);
	return 0;
}

bool fuzz_seed(unsigned n, struct buf *out)
{
	static const char lists[][64] = {"\0a\0/x\0/x/y/\0.\0../b\0/",
		"\1a/b\0a/c/\0/x/./y\0a//d", "\0./s\0s\0.//s/.\0s/..", "\1../s\0/"};

	buf_put(out, lists[n % 4], sizeof(lists[0]));
	return n < 4;
}
