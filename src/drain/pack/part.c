/* SPDX-License-Identifier: BSD-3-Clause */
/* What this node has of each archive: members, and the headers that they get. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drain/pack/pack.h"

void pack_release(struct drain *d)
{
	uint32_t n = patterns_count(d->pack.patterns);
	struct pack_owned *o;

	pack_drop_drafts(d);
	for (uint32_t a = 0; a < n && d->pack.parts; a++) {
		struct pack_part *p = &d->pack.parts[a];

		for (size_t k = 0; k < p->places.n; k++)
			free(p->member[k].path);
		free(p->member);
		free(p->as);
		members_release(&p->places);
	}
	for (uint32_t a = 0; a < n && d->pack.name; a++)
		free(d->pack.name[a]);
	free(TAKE(d->pack.parts));
	free(TAKE(d->pack.name));
	free(TAKE(d->pack.of));
	free(TAKE(d->pack.room));
	free(TAKE(d->pack.state));
	while ((o = d->pack.owned)) {
		d->pack.owned = o->next;
		pack_owned_free(o);
	}
	buf_release(&d->pack.named);
}

int pack_path(const struct drain *d, const struct pack_part *p, size_t k, char *out,
	size_t cap)
{
	const char *own = p->member[k].path;
	size_t len = own ? strlen(own) : 0;

	if (!own)
		return manifest_path(d->out.m, p->member[k].entry, out, cap);
	if (len >= cap)
		return -ENAMETOOLONG;
	memcpy(out, own, len + 1);
	return (int)len;
}

unsigned pack_member_state(const struct drain *d, const struct pack_part *p, size_t k)
{
	uint32_t head = p->member[k].head;

	return pack_state(d, p->member[head == PACK_NONE ? k : head].entry) &
	       (PACK_TORN | PACK_LOST);
}

int pack_final_path(const struct drain *d, const struct pack_part *p, size_t k,
	char *out, size_t cap)
{
	unsigned state = pack_member_state(d, p, k);
	const char *ending = state & PACK_LOST ? DRAIN_GAP : DRAIN_TORN;
	SCOPED_FREE char *path = NULL;
	int r = pack_path(d, p, k, out, cap);

	if (r < 0 || !state)
		return r < 0 ? r : 0;
	path = strdup(out);
	r = path ? drain_beside(path, ending, 1, out, cap) : -ENOMEM;
	/* As long as an output of ours has that name. Its number has room too. */
	for (unsigned i = 2;
		r == 0 && i < 1000 && manifest_find(d->out.m, out) != MANIFEST_NONE;
		i++)
		r = drain_beside(path, ending, i, out, cap);
	return r < 0 ? r : 1;
}

/* What member @k is to look like. @path and @link hold DRAIN_NAME_SIZE bytes each. */
static int describe(const struct drain *d, const struct pack_part *p, size_t k,
	struct manifest_entry *e, char *path, char *link, struct header *h)
{
	const struct pack_member *m = &p->member[k];
	int r = pack_final_path(d, p, k, path, DRAIN_NAME_SIZE);

	*e = pack_entry(d, m->entry);
	*h = (struct header){.e = e, .path = path, .sparse = header_sparse(e)};
	if (m->joined) {
		e->size = m->size;
		h->sparse = false;
	}
	if (r >= 0 && m->head != PACK_NONE) {
		r = pack_final_path(d, p, m->head, link, DRAIN_NAME_SIZE);
		h->link = link;
	}
	return r < 0 ? r : 0;
}

static int no_memory(struct ebt_err *err)
{
	return ebt_fail(err, -ENOMEM, "members of an archive");
}

int pack_header(const struct drain *d, const struct pack_part *p, size_t k,
	struct buf *out, struct ebt_err *err)
{
	const struct members_place *place = &p->places.places[k];
	SCOPED_FREE char *path = malloc(2 * (size_t)DRAIN_NAME_SIZE);
	struct manifest_entry e;
	struct header h;
	int r;

	if (!path)
		return no_memory(err);
	r = describe(d, p, k, &e, path, path + DRAIN_NAME_SIZE, &h);
	if (r < 0)
		return ebt_fail(
			err, r, "%s", d->out.m->entries[p->member[k].entry].name);
	return header_make(d->pack.maker, &h, place->data - place->header, out, err);
}

struct builder {
	struct drain *d;
	const struct pack_join *joins;
	size_t n_joins, next_join;
	uint32_t *
		heads; /* of each group: the member of its archive that has the content, or PACK_NONE */
	char *path, *link;
};

/* Its name with that of the node, where several nodes have it; NULL: as it is. */
static int name_apart(struct builder *b, uint32_t i, char **out, struct ebt_err *err)
{
	struct drain *d = b->d;
	char ending[sizeof(d->node_name) + 1];
	int r;

	*out = NULL;
	if (!(d->out.marks[i] & (DRAIN_SUFFIXED | DRAIN_BY_NODE)))
		return 0;
	snprintf(ending, sizeof(ending), ".%s", d->node_name);
	r = manifest_path(d->out.m, i, b->path, DRAIN_NAME_SIZE);
	if (r >= 0)
		r = drain_beside(b->path, ending, 1, b->link, DRAIN_NAME_SIZE);
	if (r < 0)
		return ebt_fail(err, r, "%s", d->out.m->entries[i].name);
	*out = strdup(b->link);
	return *out ? 0 : no_memory(err);
}

static int add_place(struct pack_part *p, const struct header *h, uint64_t room,
	bool joined, struct ebt_err *err)
{
	if (joined)
		return members_add(&p->places, room, 0, err);
	if (h->sparse && !h->link)
		return members_add_sparse(
			&p->places, room, h->e->extents, h->e->n_extents, err);
	return members_add(&p->places, room, header_packed(h), err);
}

static int add_member(struct builder *b, struct pack_part *p, uint32_t i,
	const struct pack_join *join, struct ebt_err *err)
{
	struct drain *d = b->d;
	const struct manifest_entry *from = &d->out.m->entries[i];
	struct pack_member *m;
	struct manifest_entry e;
	struct header h;
	uint64_t room = 0;
	size_t k = p->places.n;
	int r;

	if (k == p->cap) {
		p->cap = p->cap * 2 + 64;
		m = reallocarray(p->member, p->cap, sizeof(*m));
		if (!m)
			return no_memory(err);
		p->member = m;
	}
	m = &p->member[k];
	*m = (struct pack_member){.entry = i,
		.head = PACK_NONE,
		.size = join ? join->size : from->size,
		.joined = join != NULL};
	r = name_apart(b, i, &m->path, err);
	if (r < 0)
		return r;
	if (from->group != MANIFEST_NONE && !join) {
		uint32_t *head = &b->heads[from->group];

		m->head = *head;
		*head = *head == PACK_NONE ? (uint32_t)k : *head;
	}
	r = describe(d, p, k, &e, b->path, b->link, &h);
	if (r < 0)
		ebt_fail(err, r, "%s", from->name);
	if (r == 0 && !m->path && !h.link && !m->joined)
		room = d->pack.room[i];
	else if (r == 0)
		r = header_room(d->pack.maker, &h, &room, err);
	if (r == 0 && room > UINT32_MAX)
		r = ebt_failx(err, -EINVAL, "%s: a header of %llu bytes", from->name,
			(unsigned long long)room);
	if (r == 0)
		r = add_place(p, &h, room, join != NULL, err);
	if (r < 0)
		free(m->path);
	return r;
}

static const struct pack_join *join_of(struct builder *b, uint32_t i)
{
	while (b->next_join < b->n_joins && b->joins[b->next_join].entry < i)
		b->next_join++;
	return b->next_join < b->n_joins && b->joins[b->next_join].entry == i
		       ? &b->joins[b->next_join]
		       : NULL;
}

/* An inode has a head in each archive that it is in. */
static int build_part(struct builder *b, uint32_t a, struct ebt_err *err)
{
	struct drain *d = b->d;
	int r = 0;

	b->next_join = 0;
	memset(b->heads, 0xff, ((size_t)d->out.m->count + 1) * sizeof(*b->heads));
	for (uint32_t i = 0; i < d->out.m->count && r == 0; i++) {
		const struct pack_join *join;

		if (d->pack.of[i] != a)
			continue;
		join = join_of(b, i);
		if (join || d->out.verdict[i] == DRAIN_WRITE)
			r = add_member(b, &d->pack.parts[a], i, join, err);
	}
	return r;
}

int pack_build(
	struct drain *d, const struct pack_join *joins, size_t n, struct ebt_err *err)
{
	SCOPED_FREE char *path = malloc(2 * (size_t)DRAIN_NAME_SIZE);
	SCOPED_FREE uint32_t *heads =
		malloc(((size_t)d->out.m->count + 1) * sizeof(*heads));
	struct builder b = {.d = d,
		.joins = joins,
		.n_joins = n,
		.heads = heads,
		.path = path,
		.link = path ? path + DRAIN_NAME_SIZE : NULL};
	int r = 0;

	if (!path || !heads)
		return no_memory(err);
	for (uint32_t a = 0; a < patterns_count(d->pack.patterns) && r == 0; a++) {
		if (d->pack.parts[a].claimed)
			r = build_part(&b, a, err);
	}
	return r;
}
