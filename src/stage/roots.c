/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/roots.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "manifest/manifest.h"
#include "scan/scan.h"

struct roots {
	struct buf bases; /* paths, NUL-terminated */
	struct buf list;
	uint32_t n_bases, n_roots;
	size_t last_at; /* of the last base, see base_index */
	/* --relative: the root before, whose parents are listed already, and where it lies */
	char last[PATH_MAX];
	bool last_absolute;
};

static void roots_release(struct roots *r)
{
	buf_release(&r->bases);
	buf_release(&r->list);
}

/* Neighbours share their base, so only the last one is compared; doubles do no harm. */
static uint32_t base_index(struct roots *r, const char *path)
{
	if (r->n_bases && strcmp((const char *)r->bases.data + r->last_at, path) == 0)
		return r->n_bases - 1;
	r->last_at = r->bases.len;
	buf_put(&r->bases, path, strlen(path) + 1);
	return buf_ok(&r->bases) ? r->n_bases++ : 0;
}

static void put_root(
	struct roots *r, const char *base, unsigned flags, const char *name)
{
	buf_put32(&r->list, base_index(r, base));
	buf_put8(&r->list, (uint8_t)flags);
	buf_put(&r->list, name, strlen(name) + 1);
	r->n_roots++;
}

int roots_normalise(char *path, bool up)
{
	char *out = path, *p = path;
	size_t len;

	while (*p) {
		len = strcspn(p, "/");
		if (!up && len == 2 && p[0] == '.' && p[1] == '.')
			return -EINVAL;
		if (len && !(len == 1 && p[0] == '.')) {
			if (out != path)
				*out++ = '/';
			memmove(out, p, len);
			out += len;
		}
		p += len;
		while (*p == '/')
			p++;
	}
	*out = '\0';
	return 0;
}

/* The directories above @name that the root before did not have above it. */
static void put_parents(struct roots *r, const char *base, const char *name)
{
	char dir[PATH_MAX];

	for (const char *slash = strchr(name, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - name);

		if (strncmp(r->last, name, len + 1) == 0)
			continue;
		memcpy(dir, name, len);
		dir[len] = '\0';
		put_root(r, base, SCAN_PARENT, dir);
	}
	snprintf(r->last, sizeof(r->last), "%s", name);
}

static int add_relative(
	struct roots *r, const char *source, const char *cwd, struct ebt_err *err)
{
	const char *base = source[0] == '/' ? "/" : cwd;
	size_t len = strlen(source);
	char name[PATH_MAX];

	memcpy(name, source, len + 1);
	if (roots_normalise(name, false) < 0)
		return ebt_failx(err, -EINVAL, "%s: '..' cannot be kept below DEST",
			text_name(source, name, sizeof(name)));
	if (r->last_absolute != (source[0] == '/'))
		r->last[0] = '\0';
	r->last_absolute = source[0] == '/';
	put_parents(r, base, name);
	put_root(r, base, len && source[len - 1] == '/' ? SCAN_FOLLOW : 0, name);
	return 0;
}

static void add_named(struct roots *r, char *path)
{
	size_t len = strlen(path);
	unsigned flags = 0;
	bool content;
	char *name;

	while (len > 1 && path[len - 1] == '/') {
		path[--len] = '\0';
		flags = SCAN_FOLLOW;
	}
	name = strrchr(path, '/') + 1;
	content = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !*name;
	roots_normalise(path + 1, true);
	if (content) {
		put_root(r, path, SCAN_FOLLOW, "");
		return;
	}
	name = strrchr(path, '/') + 1;
	/* "/x" lies in "/" */
	if (name == path + 1) {
		put_root(r, "/", flags, name);
		return;
	}
	name[-1] = '\0';
	put_root(r, path, flags, name);
}

int roots_encode(const char *const *sources, size_t n, bool relative, const char *cwd,
	struct buf *out, struct ebt_err *err)
{
	SCOPED(roots_release) struct roots r = {0};
	char path[PATH_MAX];
	int code;

	for (size_t i = 0; i < n; i++) {
		const char *s = sources[i];
		int len = snprintf(path, sizeof(path), "%s%s%s", s[0] == '/' ? "" : cwd,
			s[0] == '/' ? "" : "/", s);

		if (!*s)
			return ebt_failx(err, -ENOENT, "a source has an empty name");
		if (len >= (int)sizeof(path))
			return ebt_fail(
				err, -ENAMETOOLONG, "%s", text_name(s, path, 256));
		if (!relative) {
			add_named(&r, path);
			continue;
		}
		code = add_relative(&r, s, cwd, err);
		if (code < 0)
			return code;
	}
	buf_put32(out, r.n_bases);
	buf_put(out, r.bases.data, r.bases.len);
	buf_put32(out, r.n_roots);
	buf_put(out, r.list.data, r.list.len);
	if (!buf_ok(out) || !buf_ok(&r.bases) || !buf_ok(&r.list))
		return ebt_fail(err, -ENOMEM, "list of sources");
	return 0;
}

static int by_path(const void *x, const void *y)
{
	return manifest_path_compare(*(const char *const *)x, *(const char *const *)y);
}

static bool lies_in(const char *name, const char *dir)
{
	size_t len = strlen(dir);

	return len == 0 || (strncmp(name, dir, len) == 0 &&
				   (name[len] == '/' || name[len] == '\0'));
}

/* The next string, which stays where it is. */
static const char *next_text(struct reader *r)
{
	const char *text = (const char *)r->data + r->at;

	reader_take(r, strlen(text) + 1);
	return text;
}

int roots_bases(struct reader *r, const char ***bases, uint32_t *n)
{
	*n = reader_get32(r);
	*bases = calloc((size_t)*n + 1, sizeof(**bases));
	if (!*bases)
		return -ENOMEM;
	for (uint32_t i = 0; i < *n; i++)
		(*bases)[i] = next_text(r);
	return 0;
}

struct root roots_next(struct reader *r)
{
	struct root root = {.base = reader_get32(r)};

	root.flags = reader_get8(r);
	root.name = next_text(r);
	return root;
}

uint32_t roots_count(const struct buf *list)
{
	struct reader r = reader_of(list->data, list->len);
	uint32_t bases = reader_get32(&r);

	for (uint32_t i = 0; i < bases; i++)
		next_text(&r);
	return reader_get32(&r);
}

bool roots_meet(const struct buf *list)
{
	struct reader r = reader_of(list->data, list->len);
	SCOPED_FREE const char **bases = NULL;
	SCOPED_FREE const char **names = NULL;
	uint32_t n, kept = 0;

	if (roots_bases(&r, &bases, &n) < 0)
		return true;
	n = reader_get32(&r);
	names = calloc((size_t)n + 1, sizeof(*names));
	if (!names)
		return true;
	for (uint32_t i = 0; i < n; i++) {
		struct root root = roots_next(&r);

		if (!(root.flags & SCAN_PARENT))
			names[kept++] = root.name;
	}
	qsort(names, kept, sizeof(*names), by_path);
	for (uint32_t i = 1; i < kept; i++) {
		if (lies_in(names[i], names[i - 1]))
			return true;
	}
	return false;
}
