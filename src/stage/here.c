/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an earlier batch brought, named again for its hard links: of a group that has such a name
 * nothing comes, and its other names are made links of that one. Where the name was not brought
 * because the store has the same already, it is copied from there: the content is gone by.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attr/attr.h"
#include "base/text.h"
#include "fsio/fsio.h"
#include "stage/stage_internal.h"

#define BLOCK (8 * DIGEST_LEAF)

/* A group, by its first name, and the name of it that is here. */
struct here {
	uint32_t head, entry;
};
struct heres {
	struct here *of;
	size_t n;
};

static void heres_release(struct heres *h)
{
	free(h->of);
}

static int by_head(const void *a, const void *b)
{
	const struct here *x = a, *y = b;

	return x->head < y->head ? -1 : x->head > y->head;
}

static int find_heres(const struct manifest *m, struct heres *h, struct ebt_err *err)
{
	size_t n = 0;

	for (uint32_t i = 0; i < m->count; i++)
		n += (m->entries[i].marks & MANIFEST_HERE) != 0;
	h->n = n;
	if (!n)
		return 0;
	h->of = calloc(n, sizeof(*h->of));
	if (!h->of)
		return ebt_fail(err, -ENOMEM, "hard links");
	n = 0;
	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];

		if (e->marks & MANIFEST_HERE)
			h->of[n++] = (struct here){
				e->group == MANIFEST_NONE ? i : e->group, i};
	}
	qsort(h->of, n, sizeof(*h->of), by_head);
	return 0;
}

/* The name that is here of what entry @i is a name of, or NONE. */
static uint32_t here_of(const struct heres *h, const struct manifest *m, uint32_t i)
{
	uint32_t group = m->entries[i].group;
	struct here key = {.head = group == MANIFEST_NONE ? i : group}, *found;

	found = h->n ? bsearch(&key, h->of, h->n, sizeof(*h->of), by_head) : NULL;
	return found ? found->entry : MANIFEST_NONE;
}

int stage_here_begin(struct stage *st, struct ebt_err *err)
{
	SCOPED(heres_release) struct heres h = {0};
	const struct manifest *m = st->b.m;
	size_t words = (size_t)m->count / 64 + 1;
	int r = find_heres(m, &h, err);

	if (r < 0 || !h.n)
		return r;
	st->b.moves = calloc(words, sizeof(*st->b.moves));
	if (!st->b.moves)
		return ebt_fail(err, -ENOMEM, "hard links");
	for (uint32_t i = 0; i < m->count; i++) {
		if (manifest_needed(st->b.need, i) &&
			here_of(&h, m, i) == MANIFEST_NONE)
			manifest_need(st->b.moves, i);
	}
	return 0;
}

static int fail_at(const struct manifest *m, uint32_t i, int code, const char *what,
	struct ebt_err *err)
{
	SCOPED_FREE char *path = manifest_path_new(m, i);
	char name[512];

	return ebt_fail(err, code, "%s: %s",
		text_name(path ? path : "", name, sizeof(name)), what);
}

/* @why knows all but the path. */
static int fail_for(const struct manifest *m, uint32_t i, const struct ebt_err *why,
	struct ebt_err *err)
{
	SCOPED_FREE char *path = manifest_path_new(m, i);
	char name[512];

	return ebt_failx(err, why->code, "%s: %.400s",
		text_name(path ? path : "", name, sizeof(name)), why->text);
}

/* All of @from to @to, which is new: the digest of what was read. */
static int copy_all(int from, int to, const struct manifest_entry *e, char *data,
	struct ebt_digest *sum)
{
	ssize_t n = 0;

	*sum = (struct ebt_digest){0};
	for (uint64_t off = 0; off < e->size; off += (uint64_t)n) {
		n = fsio_read(from, data, BLOCK, off);
		if (n <= 0)
			return n < 0 ? (int)n : -ESTALE;
		for (ssize_t at = 0; at < n; at += DIGEST_LEAF) {
			size_t len = (size_t)(n - at);
			int r;

			if (len > DIGEST_LEAF)
				len = DIGEST_LEAF;
			if (digest_is_zero(data + at, len))
				continue;
			*sum = digest_sum(
				*sum, digest_leaf(data + at, len,
					      (off + (uint64_t)at) / DIGEST_LEAF));
			r = fsio_write(to, data + at, len, off + (uint64_t)at);
			if (r < 0)
				return r;
		}
	}
	return ftruncate(to, (off_t)e->size) < 0 ? -errno : 0;
}

/* Entry @i, whose content the store was found to have, into the tree of the run. */
static int copy_here(
	struct stage *st, uint32_t i, const char *path, struct ebt_err *err)
{
	const struct manifest *m = st->b.m;
	const struct manifest_entry *e = &m->entries[i];
	SCOPED_FREE char *data = malloc(BLOCK);
	SCOPED_FD int from = fsio_open_beneath(
		store_dirfd(st->store), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	SCOPED_FD int to = -1;
	struct ebt_digest sum;
	struct ebt_err why = {0};
	int r;

	if (!data)
		return fail_at(m, i, -ENOMEM, "copy", err);
	if (from < 0)
		return fail_at(m, i, from, "copy", err);
	to = openat(st->treefd, path,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return fail_at(m, i, -errno, "create", err);
	r = copy_all(from, to, e, data, &sum);
	if (r == 0 && !digest_equal(sum, e->digest))
		r = -ESTALE;
	if (r < 0)
		return fail_at(m, i, r, "copy", err);
	r = attr_set(to, e, NULL, &why);
	if (r < 0)
		return fail_for(m, i, &why, err);
	r = close(TAKE_FD(to));
	return r < 0 ? fail_at(m, i, -errno, "close", err) : 0;
}

static int be_here(struct stage *st, uint32_t i, struct ebt_err *err)
{
	char path[PATH_MAX];
	struct stat now;
	int r = manifest_path(st->b.m, i, path, sizeof(path));

	if (r < 0)
		return fail_at(st->b.m, i, r, "link", err);
	if (fstatat(st->treefd, path, &now, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT ? copy_here(st, i, path, err)
			       : fail_at(st->b.m, i, -errno, "stat", err);
}

/* Entry @i becomes another name of entry @here. */
static int link_to(struct stage *st, uint32_t here, uint32_t i, struct ebt_err *err)
{
	const struct manifest *m = st->b.m;
	char from[PATH_MAX], to[PATH_MAX];
	int r = manifest_path(m, here, from, sizeof(from));

	if (r >= 0)
		r = manifest_path(m, i, to, sizeof(to));
	if (r < 0)
		return fail_at(m, i, r, "link", err);
	if (m->entries[i].marks & MANIFEST_AGAIN && unlinkat(st->treefd, to, 0) < 0 &&
		errno != ENOENT)
		return fail_at(m, i, -errno, "unlink", err);
	return linkat(st->treefd, from, st->treefd, to, 0) < 0
		       ? fail_at(m, i, -errno, "link", err)
		       : 0;
}

int stage_here_finish(struct stage *st, struct ebt_err *err)
{
	SCOPED(heres_release) struct heres h = {0};
	const struct manifest *m = st->b.m;
	int r = st->b.moves ? find_heres(m, &h, err) : 0;

	/* A group is needed as a whole, see need_groups. */
	for (size_t k = 0; k < h.n && r == 0; k++) {
		if (manifest_needed(st->b.need, h.of[k].entry))
			r = be_here(st, h.of[k].entry, err);
	}
	for (uint32_t i = 0; i < m->count && h.n && r == 0; i++) {
		uint32_t here = here_of(&h, m, i);

		if (here != MANIFEST_NONE && here != i &&
			manifest_needed(st->b.need, i))
			r = link_to(st, here, i, err);
	}
	return r;
}
