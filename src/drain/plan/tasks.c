/* SPDX-License-Identifier: BSD-3-Clause */
/* The tasks of the files and links whose content this node has. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drain/drain_internal.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

struct maker {
	struct drain *d;
	uint64_t where; /* drain_where */
	struct drain_task **tail;
	uint32_t *heads; /* of each entry: the name that has the content, or NONE */
	uint32_t *links; /* of each entry: the next further name of its file, or NONE */
	/* DRAIN_NAME_SIZE bytes: of the entry at hand, as it is called, and with its node */
	char *path, *of, *suffixed;
};

/* The name that entry @i is to get, and what to do if it cannot have it. */
static int put_name(
	const struct maker *k, uint32_t i, struct buf *out, struct ebt_err *err)
{
	const struct drain *d = k->d;
	char *path = k->path, *of = k->of;
	char node[sizeof(d->node_name) + 1];
	struct drain_name n = {.path = path,
		.of = "",
		.was = d->out.was && d->out.was[i] ? d->out.was[i] : "",
		.ending = d->out.marks[i] & DRAIN_BY_NODE ? node : DRAIN_NEW,
		.marks = d->out.marks[i]};
	int r = manifest_path(d->out.m, i, path, DRAIN_NAME_SIZE);

	snprintf(node, sizeof(node), ".%s", d->node_name);
	if (r >= 0 && d->out.n_detours) {
		memcpy(of, path, (size_t)r + 1);
		r = drain_detour(d, false, path, DRAIN_NAME_SIZE);
		n.of = r > 0 ? of : "";
	}
	if (r >= 0 && (n.marks & DRAIN_SUFFIXED)) {
		n.path = k->suffixed;
		r = drain_beside(path, node, 1, k->suffixed, DRAIN_NAME_SIZE);
	}
	if (r < 0)
		return ebt_fail(err, r, "%s", d->out.m->entries[i].name);
	drain_name_put(out, &n);
	return 0;
}

/* Where a file with holes has data. */
static int find_data(struct drain *d, uint32_t i, struct buf *out)
{
	const struct manifest_entry *e = &d->out.m->entries[i];
	struct fsio_patience patience = drain_patience(d);
	struct drain_piece p = {0};
	uint64_t start, stop;
	SCOPED_FREE char *path = manifest_path_new(d->out.m, i);
	SCOPED_FD int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	fd = drain_output_wait(d, path, &patience);
	if (fd < 0)
		return fd;
	for (uint64_t at = 0; at < e->size; at = stop) {
		r = fsio_next_data(fd, at, e->size, &start, &stop);
		if (r)
			return r < 0 ? r : 0;
		p.off = p.from = start;
		p.len = stop - start;
		buf_put(out, &p, sizeof(p));
	}
	return 0;
}

/*
 * Data of a file with holes, of a full one all of it. One that cannot be opened any more, or
 * does not tell, is taken for full: it fails alone, when it is to be read, or reads well.
 */
static void find_pieces(struct drain *d, uint32_t i, struct buf *out)
{
	const struct manifest_entry *e = &d->out.m->entries[i];
	struct drain_piece all = {.len = e->size};

	if (e->size == 0 || (e->allocated < e->size && find_data(d, i, out) == 0))
		return;
	out->len = 0;
	buf_put(out, &all, sizeof(all));
}

/* Which name of a file has the content, the best first. */
enum fit { THERE, FREE, IN_WAY, UNFIT };

static enum fit fit_of(uint8_t verdict, uint8_t marks)
{
	if (verdict == DRAIN_IN_PLACE && !(marks & DRAIN_MIXED))
		return THERE;
	if (verdict != DRAIN_WRITE)
		return UNFIT;
	return marks & (DRAIN_IN_WAY | DRAIN_BY_NODE) ? IN_WAY : FREE;
}

/*
 * Which name of an inode is written, and which are linked to it. To one that is in place they
 * are linked only if the journal proves that what is there is this inode and nothing else: not
 * if other nodes have pieces of it, nor if it just looks the same. See drain_internal.h.
 */
static void sort_names(struct maker *k)
{
	const struct manifest *m = k->d->out.m;
	const uint8_t *v = k->d->out.verdict;
	uint32_t *last = k->links;

	for (uint32_t i = 0; i < m->count; i++)
		k->heads[i] = last[i] = MANIFEST_NONE;
	for (enum fit want = THERE; want < UNFIT; want++) {
		for (uint32_t i = 0; i < m->count; i++) {
			const struct manifest_entry *e = &m->entries[i];
			uint32_t g = e->group == MANIFEST_NONE ? i : e->group;

			if (e->kind == MANIFEST_FILE && !pack_has(k->d, i) &&
				k->heads[g] == MANIFEST_NONE &&
				fit_of(v[i], k->d->out.marks[i]) == want)
				k->heads[g] = i;
		}
	}
	/* Backwards, so that lists ascend. */
	for (uint32_t i = m->count; i-- > 0;) {
		const struct manifest_entry *e = &m->entries[i];
		uint32_t g = e->group == MANIFEST_NONE ? i : e->group;
		uint32_t head = k->heads[g];

		if (e->kind != MANIFEST_FILE || v[i] != DRAIN_WRITE || head == i ||
			pack_has(k->d, i))
			continue;
		k->links[i] = k->links[head];
		k->links[head] = i;
	}
}

/*
 * A task is built as bytes and decoded: one form, one block of memory. What comes without
 * attributes that nobody could read is no file of this inode: once they can be read it comes anew.
 */
static int make_task(struct maker *k, uint32_t i, struct ebt_err *err)
{
	struct drain *d = k->d;
	SCOPED_BUF struct buf pieces = {0}, names = {0};
	const struct manifest_entry *e = &d->out.m->entries[i];
	struct drain_source source = {
		.file = {.where = k->where,
			.ino = drain_lacks_attributes(d, i) ? 0 : e->ino,
			.size = e->size,
			.mtime = e->mtime,
			.mtime_ns = e->mtime_ns},
		.node = (uint32_t)d->job.node,
		.entry = i};
	struct drain_task t = {.e = *e, .sources = &source, .n_sources = 1}, *made;
	struct drain_name first;
	int code;

	t.in_place = d->out.verdict[i] != DRAIN_WRITE;
	t.lacks = t.in_place ? d->out.lacks[i] : 0;
	if (!t.in_place && e->kind == MANIFEST_FILE)
		find_pieces(d, i, &pieces);
	code = 0;
	for (uint32_t l = i; l != MANIFEST_NONE && code == 0; l = k->links[l]) {
		code = put_name(k, l, &names, err);
		t.contested |= (d->out.marks[l] & DRAIN_CONTESTED) != 0;
		t.n_names++;
	}
	if (code < 0)
		return code;
	if (!buf_ok(&names))
		return ebt_fail(err, -ENOMEM, "tasks");
	t.names = (const char *)names.data;
	drain_name_next(t.names, &first);
	t.e.name = first.path;
	t.pieces = (struct drain_piece *)pieces.data;
	t.n_pieces = (uint32_t)(pieces.len / sizeof(*t.pieces));
	if (!buf_ok(&pieces))
		return ebt_fail(err, -ENOMEM, "tasks");
	code = drain_task_copy(&t, &made, err);
	if (code < 0)
		return code;
	*k->tail = made;
	k->tail = &made->next;
	return 0;
}

int drain_make_tasks(struct drain *d, struct drain_task **list, struct ebt_err *err)
{
	struct maker k = {.d = d, .where = drain_where(d), .tail = list};
	SCOPED_FREE uint32_t *heads =
		calloc((size_t)d->out.m->count + 1, sizeof(*heads));
	SCOPED_FREE uint32_t *links =
		calloc((size_t)d->out.m->count + 1, sizeof(*links));
	SCOPED_FREE char *paths = malloc(3 * (size_t)DRAIN_NAME_SIZE);
	int r = 0;

	if (!heads || !links || !paths)
		return ebt_fail(err, -ENOMEM, "tasks");
	k.path = paths;
	k.of = k.path + DRAIN_NAME_SIZE;
	k.suffixed = k.of + DRAIN_NAME_SIZE;
	k.heads = heads;
	k.links = links;
	sort_names(&k);
	for (uint32_t i = 0; i < d->out.m->count && r == 0; i++) {
		const struct manifest_entry *e = &d->out.m->entries[i];
		uint32_t g = e->group == MANIFEST_NONE ? i : e->group;

		if (e->kind != MANIFEST_DIR && (d->out.verdict[i] == DRAIN_IN_PLACE ||
						       d->out.verdict[i] == DRAIN_SAME))
			d->rep->in_place++;
		if (pack_has(d, i))
			continue;
		if (e->kind == MANIFEST_SYMLINK && d->out.verdict[i] == DRAIN_WRITE)
			r = make_task(&k, i, err);
		else if (e->kind == MANIFEST_FILE && heads[g] == i &&
			 (d->out.verdict[i] == DRAIN_WRITE ||
				 links[i] != MANIFEST_NONE))
			r = make_task(&k, i, err);
	}
	*k.tail = TAKE(d->own.shared);
	return r;
}
