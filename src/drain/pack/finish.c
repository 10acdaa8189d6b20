/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Archives that have their names. The lead of one tells all nodes that have a part of it, and its
 * owner: the members are in place. Those that are torn or lost are told where they come from, and
 * the owner learns what they are called, for the index.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "drain/pack/pack.h"
#include "transport/transport.h"

/* What got the name of its node is told by that node. */
void pack_tell_named(struct drain *d, uint32_t a, char *path)
{
	const struct pack_part *p = &d->pack.parts[a];
	char shown[512], name[256], as[512];

	for (size_t k = 0; k < p->places.n; k++) {
		if (!p->member[k].path || p->in_place ||
			manifest_path(d->out.m, p->member[k].entry, path,
				DRAIN_NAME_SIZE) < 0)
			continue;
		drain_look(d, EBT_LOOK_BESIDE, path, p->member[k].path,
			"%s: several nodes have %s, and not the same: that of %s is %s",
			text_name(d->pack.name[a], name, sizeof(name)),
			text_name(path, shown, sizeof(shown)), d->node_name,
			text_name(p->member[k].path, as, sizeof(as)));
	}
}

/*
 * Of each that has its name, in d->pack.named:
 *
 *	 4  its number
 *	 1  1: the journal does not have it, so nothing of it is to be freed
 *	    its path, with a NUL
 *	 4  number of nodes, each 4 bytes
 */
void pack_named(
	struct drain *d, const struct drain_task *t, const char *path, bool unproven)
{
	struct buf *b = &d->pack.named;
	/* What is asked to be replaced is, as long as nobody knows that it is ours. */
	bool alone = !t->contested && d->o->overwrite != EBT_OVERWRITE_ALWAYS &&
		     d->o->overwrite != EBT_OVERWRITE_UPDATE;
	uint32_t n = 0;
	SCOPED_LOCK(&d->lost_lock);
	size_t before = b->len;

	while (n < t->n_sources && t->sources[n].of == DRAIN_OF_PART)
		n++;
	buf_put32(b, t->archive - 1);
	buf_put8(b, !alone && unproven);
	buf_put(b, path, strlen(path) + 1);
	buf_put32(b, n);
	for (uint32_t i = 0; i < n; i++)
		buf_put32(b, t->sources[i].node);
	/* Without memory to say so nothing of it is freed, and it has no index. */
	if (!buf_ok(b)) {
		b->len = before;
		b->failed = false;
	}
}

enum { TO_PART, TO_OWNER };

static void put_path(struct buf *b, const char *path)
{
	buf_put32(b, (uint32_t)strlen(path));
	buf_put(b, path, strlen(path) + 1);
}

static void put_named(
	struct buf *b, unsigned to, uint32_t archive, bool unproven, const char *path)
{
	buf_put8(b, (uint8_t)to);
	buf_put32(b, archive);
	buf_put8(b, unproven);
	put_path(b, path);
}

static const char *get_path(struct reader *r)
{
	uint32_t len = reader_get32(r);
	const char *path = reader_take(r, (size_t)len + 1);

	return path && strnlen(path, (size_t)len + 1) == len ? path : NULL;
}

static int damaged(int peer, struct ebt_err *err)
{
	return ebt_failx(err, -EBADMSG, "damaged message of node %d", peer);
}

static struct pack_owned *owned(struct drain *d, uint32_t a)
{
	struct pack_owned *o = d->pack.owned;

	while (o && o->archive != a)
		o = o->next;
	return o;
}

static int take_named(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct drain *d = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		unsigned to = reader_get8(&r);
		uint32_t a = reader_get32(&r);
		bool unproven = reader_get8(&r) != 0;
		const char *path = get_path(&r);
		struct pack_owned *o;

		if (!path || a >= patterns_count(d->pack.patterns))
			return damaged(peer, err);
		if (to == TO_PART) {
			d->pack.parts[a].done = true;
			d->pack.parts[a].unproven = unproven;
			free(d->pack.parts[a].as);
			d->pack.parts[a].as = strdup(path);
			continue;
		}
		o = owned(d, a);
		if (!o)
			return damaged(peer, err);
		free(o->as);
		o->as = strdup(path);
		o->done = o->as != NULL;
	}
	return 0;
}

/* Which node owns the name of each archive: known to itself alone. */
static int find_owners_all(struct drain *d, uint32_t **out, struct ebt_err *err)
{
	uint32_t n = patterns_count(d->pack.patterns);
	uint32_t *owners = calloc(n, sizeof(*owners));
	int r = job_agree_all(
		&d->job, owners ? 0 : ebt_fail(err, -ENOMEM, "archives"), err);

	*out = owners;
	if (r < 0)
		return r;
	for (const struct pack_owned *o = d->pack.owned; o; o = o->next)
		owners[o->archive] = (uint32_t)d->job.node;
	transport_reduce_all(&d->job.nodes, owners, (int)n, MPI_UINT32_T, MPI_MAX);
	return 0;
}

static int send_named(
	struct drain *d, uint32_t *owners, struct buf *out, struct ebt_err *err)
{
	struct reader r = reader_of(d->pack.named.data, d->pack.named.len);
	bool lost = d->proof.lost.len > 0;

	while (reader_left(&r)) {
		uint32_t a = reader_get32(&r);
		bool unproven = reader_get8(&r) != 0 && lost;
		const char *path = (const char *)r.data + r.at;
		uint32_t n;

		reader_take(&r, strlen(path) + 1);
		n = reader_get32(&r);
		for (uint32_t i = 0; i < n; i++)
			put_named(&out[reader_get32(&r)], TO_PART, a, unproven, path);
		put_named(&out[owners[a]], TO_OWNER, a, unproven, path);
	}
	for (int i = 0; i < d->job.n_nodes; i++) {
		if (!buf_ok(&out[i]))
			return ebt_fail(err, -ENOMEM, "archives");
	}
	return 0;
}

/* A member that has another name, for what it is. */
static void tell(struct drain *d, const struct pack_part *p, size_t k, uint32_t a,
	const char *path, const char *as)
{
	bool lost = pack_member_state(d, p, k) & PACK_LOST;
	char shown[512], name[256], other[512];

	drain_look(d, EBT_LOOK_TORN, path, as, "%s/%s on %s: %s: in %s it is %s",
		d->store_path, text_name(path, shown, sizeof(shown)), d->node_name,
		lost ? "could not be read" : "changed while it was read",
		text_name(d->pack.name[a], name, sizeof(name)),
		text_name(text_base(as), other, sizeof(other)));
}

static void tell_stale(struct drain *d, uint32_t a, const char *path)
{
	char shown[512], name[256];

	drain_look(d, EBT_LOOK_GREW, path, NULL,
		"%s/%s on %s: did not stop changing: in %s it is as it was at one "
		"moment, not as it is now",
		d->store_path, text_name(path, shown, sizeof(shown)), d->node_name,
		text_name(d->pack.name[a], name, sizeof(name)));
}

/* Members of this node that are in place; to the owner the names of those that have others. */
static int finish_part(struct drain *d, uint32_t a, uint64_t *done, char *path,
	struct buf *out, struct ebt_err *err)
{
	const struct pack_part *p = &d->pack.parts[a];
	char *as = path + DRAIN_NAME_SIZE;

	if (p->unproven && d->o->free_local)
		log_warn(&d->job.log,
			"%s: no room in the journal for %s: what is in it is not "
			"deleted",
			d->store_path, d->pack.name[a]);
	for (uint32_t i = 0; i < d->out.m->count && !p->unproven; i++) {
		if (d->pack.of[i] == a && pack_is_copy(d, i))
			done[i / 64] |= (uint64_t)1 << (i % 64);
	}
	for (size_t k = 0; k < p->places.n; k++) {
		uint32_t i = p->member[k].entry;
		int r = pack_final_path(d, p, k, as, DRAIN_NAME_SIZE);

		if (r == 0 && (pack_state(d, i) & PACK_STALE)) {
			r = pack_path(d, p, k, path, DRAIN_NAME_SIZE);
			if (r < 0)
				return ebt_fail(
					err, r, "%s", d->out.m->entries[i].name);
			tell_stale(d, a, path);
			continue;
		}
		if (r == 0 && !p->member[k].joined && !p->unproven)
			done[i / 64] |= (uint64_t)1 << (i % 64);
		if (r > 0)
			r = pack_path(d, p, k, path, DRAIN_NAME_SIZE);
		else if (r == 0)
			continue;
		if (r < 0)
			return ebt_fail(err, r, "%s", d->out.m->entries[i].name);
		tell(d, p, k, a, path, as);
		r = manifest_path(d->out.m, i, path, DRAIN_NAME_SIZE);
		if (r < 0)
			return ebt_fail(err, r, "%s", d->out.m->entries[i].name);
		buf_put32(out, a);
		buf_put32(out, (uint32_t)k);
		put_path(out, path);
		put_path(out, as);
	}
	return buf_ok(out) ? 0 : ebt_fail(err, -ENOMEM, "archives");
}

static int finish_parts(struct drain *d, uint32_t *owners, uint64_t *done,
	struct buf *out, struct ebt_err *err)
{
	SCOPED_FREE char *path = malloc(2 * (size_t)DRAIN_NAME_SIZE);
	int r = path ? 0 : ebt_fail(err, -ENOMEM, "archives");

	for (uint32_t a = 0; a < patterns_count(d->pack.patterns) && r == 0; a++) {
		if (d->pack.parts[a].done)
			r = finish_part(d, a, done, path, &out[owners[a]], err);
	}
	return r;
}

static struct pack_item *item_of(
	struct pack_owned *o, const char *key, uint32_t node, uint32_t number)
{
	for (size_t i = pack_find(o, key); pack_is_key(o, i, key); i++) {
		if (o->item[i].node == node && o->item[i].number == number)
			return &o->item[i];
	}
	return NULL;
}

static int take_renamed(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct drain *d = arg;
	struct reader r = reader_of(b->data, b->len);

	while (reader_left(&r)) {
		uint32_t a = reader_get32(&r), k = reader_get32(&r);
		const char *key = get_path(&r), *path = get_path(&r);
		struct pack_owned *o = key && path ? owned(d, a) : NULL;
		struct pack_item *m = o ? item_of(o, key, (uint32_t)peer, k) : NULL;
		char *copy = m ? strdup(path) : NULL;

		if (!m)
			return damaged(peer, err);
		if (!copy)
			return ebt_fail(err, -ENOMEM, "archives");
		pack_drop_named(o);
		if (m->renamed)
			free((char *)m->path);
		m->path = copy;
		o->mended = true;
		m->renamed = true;
	}
	return 0;
}

/*
 * Members are freed next. From then on the archive is the only place that has them, also those of
 * which a node makes something new under the same name: it is not to be replaced any more.
 */
static int note_freed(struct drain *d, struct ebt_err *err)
{
	SCOPED_BUF struct buf keys = {0};
	uint32_t n = 0;

	for (const struct pack_owned *o = d->pack.owned; o; o = o->next) {
		SCOPED_FREE char *key = NULL;

		if (o->freed || !(o->done || o->in_place) || pack_is_bare(o))
			continue;
		key = pack_freed_key(d->pack.name[o->archive]);
		if (!key)
			return ebt_fail(err, -ENOMEM, "archives");
		buf_put(&keys, key, strlen(key) + 1);
		n++;
	}
	if (!buf_ok(&keys))
		return ebt_fail(err, -ENOMEM, "archives");
	return n ? drain_split(d, (const char *)keys.data, n, err) : 0;
}

int pack_finish_all(struct drain *d, uint64_t *done, struct ebt_err *err)
{
	SCOPED_FREE uint32_t *owners = NULL;
	SCOPED_FREE struct buf *out = NULL;
	int r;

	if (!d->pack.of)
		return 0;
	r = find_owners_all(d, &owners, err);
	if (r < 0)
		return r;
	out = calloc((size_t)d->job.n_nodes, sizeof(*out));
	r = out ? send_named(d, owners, out, err) : ebt_fail(err, -ENOMEM, "archives");
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_exchange_all(&d->job.nodes, out, take_named, d, err);
	if (r == 0)
		r = job_agree_all(
			&d->job, finish_parts(d, owners, done, out, err), err);
	if (r == 0)
		r = transport_exchange_all(&d->job.nodes, out, take_renamed, d, err);
	if (r == 0 && d->o->free_local)
		r = job_agree_all(&d->job, note_freed(d, err), err);
	if (r == 0)
		r = job_away_all(&d->job, pack_list, d, err);
	return r;
}
