/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which outputs go into which archive. What cannot be said in one stays a file of its own, and
 * is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"
#include "transport/transport.h"

uint32_t pack_match(const struct patterns *p, const char *path, bool is_dir)
{
	uint32_t archive = patterns_match(p, path, is_dir);
	SCOPED_FREE char *above = NULL;
	char *slash;

	if (archive != PATTERN_NONE || !strchr(path, '/'))
		return archive;
	above = strdup(path);
	while (above && archive == PATTERN_NONE && (slash = strrchr(above, '/'))) {
		*slash = '\0';
		archive = patterns_match(p, above, true);
	}
	return archive;
}

struct manifest_entry pack_entry(const struct drain *d, uint32_t i)
{
	struct manifest_entry e = d->out.m->entries[i];

	if (d->o->no_xattrs)
		e.xattrs_len = 0;
	return e;
}

/* The room that its header needs, for later; or a failure: there can be none. */
static int find_room(struct drain *d, uint32_t i, const char *path, struct ebt_err *err)
{
	struct manifest_entry e = pack_entry(d, i);
	struct header h = {.e = &e, .path = path, .sparse = header_sparse(&e)};
	uint64_t room = 0;
	int r = header_room(d->pack.maker, &h, &room, err);

	if (r == 0 && room > UINT32_MAX / 2)
		r = ebt_failx(err, -EINVAL, "a header of %llu bytes",
			(unsigned long long)room);
	d->pack.room[i] = (uint32_t)room;
	return r;
}

static void tell_unfit(
	struct drain *d, uint32_t archive, const char *path, const struct ebt_err *why)
{
	char shown[512], name[256];

	drain_look(d, EBT_LOOK_BESIDE, path, path,
		"%s/%s on %s: does not go into %s, comes as a file: %.400s",
		d->store_path, text_name(path, shown, sizeof(shown)), d->node_name,
		text_name(d->pack.name[archive], name, sizeof(name)), why->text);
}

static bool has_acl(const struct manifest_entry *e)
{
	struct reader r = reader_of(e->xattrs, e->xattrs_len);
	struct fsio_xattr x;

	while (e->xattrs_len && fsio_xattrs_next(&r, &x) > 0) {
		if (strcmp(x.name, "system.posix_acl_access") == 0)
			return true;
	}
	return false;
}

/*
 * Who may read all of what lies on the way to it. Where there is an ACL modes do not say: nobody
 * but the owner.
 */
static uint32_t readers(const struct manifest *m, uint32_t i)
{
	uint32_t bits = 044, mode;

	for (; i != MANIFEST_ROOT; i = m->entries[i].parent) {
		mode = m->entries[i].mode;
		if (has_acl(&m->entries[i]))
			bits = 0;
		else if (m->entries[i].kind == MANIFEST_DIR)
			bits &= mode & mode << 2;
		else if (m->entries[i].kind == MANIFEST_FILE)
			bits &= mode;
	}
	return bits;
}

static bool later(const struct manifest_entry *e, const struct pack_part *p)
{
	return e->mtime > p->mtime ||
	       (e->mtime == p->mtime && e->mtime_ns > p->mtime_ns);
}

/* Its version, @b, makes another one of its archive. */
static int add_version(struct drain *d, struct pack_part *p, uint32_t i, struct buf *b,
	struct ebt_err *err)
{
	const struct manifest_entry *e = &d->out.m->entries[i];

	/* What several nodes have may come to something else. */
	buf_put8(b, (uint8_t)d->o->conflict);
	if (!buf_ok(b))
		return ebt_fail(err, -ENOMEM, "archives");
	p->version = digest_sum(p->version, digest_bytes(b->data, b->len));
	p->bytes += e->size;
	if (!p->claimed || later(e, p)) {
		p->mtime = e->mtime;
		p->mtime_ns = e->mtime_ns;
	}
	if (!p->claimed) {
		p->uid = e->uid;
		p->gid = e->gid;
		p->mode = 0644;
	}
	p->uids |= e->uid != p->uid;
	p->gids |= e->gid != p->gid;
	p->mode &= 0600 | readers(d->out.m, i);
	p->claimed = true;
	return 0;
}

/* Directories that are above what comes by itself are made for it. */
static void mark_above(struct drain *d)
{
	const struct manifest *m = d->out.m;

	for (uint32_t i = m->count; i-- > 0;) {
		uint32_t parent = m->entries[i].parent;

		if (parent != MANIFEST_ROOT && pack_has(d, parent) &&
			(!pack_has(d, i) || (pack_state(d, i) & PACK_ABOVE)))
			pack_note(d, parent, PACK_ABOVE);
	}
}

static int pick_open(struct drain *d, uint32_t n, struct ebt_err *err)
{
	size_t count = (size_t)d->out.m->count + 1;
	bool ok;

	d->pack.of = calloc(count, sizeof(*d->pack.of));
	d->pack.room = calloc(count, sizeof(*d->pack.room));
	d->pack.state = calloc(count, sizeof(*d->pack.state));
	d->pack.parts = calloc(n, sizeof(*d->pack.parts));
	d->pack.name = calloc(n, sizeof(*d->pack.name));
	ok = d->pack.of && d->pack.room && d->pack.state && d->pack.parts &&
	     d->pack.name;
	for (uint32_t a = 0; a < n && ok; a++) {
		d->pack.name[a] = strdup(patterns_archive(d->pack.patterns, a)->name);
		ok = d->pack.name[a] != NULL;
	}
	return ok ? 0 : ebt_fail(err, -ENOMEM, "archives");
}

/* Output @i, of @path, if it matches. */
static int pick_one(struct drain *d, uint32_t i, const char *path,
	const struct pack_home *home, struct buf *b, struct ebt_err *err)
{
	bool dir = d->out.m->entries[i].kind == MANIFEST_DIR;
	uint32_t a = pack_match(d->pack.patterns, path, dir);
	struct ebt_err why = {0};
	unsigned was;
	int r;

	d->pack.of[i] = a;
	if (a == PATTERN_NONE)
		return 0;
	if (pack_version(d, i, path, b) < 0)
		return ebt_fail(err, -ENOMEM, "archives");
	was = dir ? 0 : pack_is_home(home, digest_bytes(b->data, b->len).lo);
	if (was) {
		pack_note(d, i, was);
		return 0;
	}
	r = find_room(d, i, path, &why);
	if (r == -ENOMEM)
		return ebt_failx(err, r, "%s", why.text);
	if (r == 0)
		return add_version(d, &d->pack.parts[a], i, b, err);
	d->pack.of[i] = PATTERN_NONE;
	tell_unfit(d, a, path, &why);
	return 0;
}

int pack_pick(struct drain *d, struct ebt_err *err)
{
	const struct manifest *m = d->out.m;
	uint32_t n = patterns_count(d->pack.patterns);
	SCOPED(pack_home_release) struct pack_home home = {0};
	SCOPED_FREE char *path = NULL;
	SCOPED_BUF struct buf b = {0};
	int r;

	if (!n)
		return 0;
	path = malloc(MANIFEST_PATH_SIZE);
	r = path ? pick_open(d, n, err) : ebt_fail(err, -ENOMEM, "archives");
	if (r == 0)
		r = pack_home_open(d, &home, err);
	for (uint32_t i = 0; i < m->count && r == 0; i++) {
		r = manifest_path(m, i, path, MANIFEST_PATH_SIZE);
		if (r < 0)
			return ebt_fail(err, r, "%s", d->store_path);
		r = pick_one(d, i, path, &home, &b, err);
	}
	if (r == 0)
		mark_above(d);
	return r;
}

/* An output comes by itself with that name, or has something below it. */
static bool has_output(const struct drain *d, const char *name)
{
	uint32_t i = manifest_find(d->out.m, name);

	return i != MANIFEST_NONE &&
	       (!pack_has(d, i) || (pack_state(d, i) & PACK_ABOVE));
}

static bool is_taken(const struct drain *d, const char *name, char *index)
{
	snprintf(index, DRAIN_NAME_SIZE, "%s" PATTERN_INDEX, name);
	return has_output(d, name) || has_output(d, index);
}

static int rename_archive(
	struct drain *d, uint32_t a, unsigned k, char *path, struct ebt_err *err)
{
	const char *own = patterns_archive(d->pack.patterns, a)->name;
	char shown[DRAIN_PATH];
	int r = drain_beside(own, DRAIN_NEW, k, path, DRAIN_NAME_SIZE);

	if (r == 0 && d->o->strict)
		return ebt_failx(err, -EEXIST,
			"%s: is the name of an output, and of an archive",
			text_name(own, shown, sizeof(shown)));
	if (r < 0)
		return drain_fail(d, own, r, "another name", err);
	free(d->pack.name[a]);
	d->pack.name[a] = strdup(path);
	if (!d->pack.name[a])
		return ebt_fail(err, -ENOMEM, "archives");
	return 0;
}

int pack_names_all(struct drain *d, struct ebt_err *err)
{
	uint32_t n = patterns_count(d->pack.patterns);
	SCOPED_FREE int *taken = NULL;
	SCOPED_FREE char *path = NULL;
	char shown[DRAIN_PATH], as[DRAIN_PATH];
	int r = 0, any = n > 0;

	if (!d->pack.of)
		return 0;
	taken = calloc(n, sizeof(*taken));
	path = malloc(DRAIN_NAME_SIZE);
	r = taken && path ? 0 : ebt_fail(err, -ENOMEM, "archives");
	r = job_agree_all(&d->job, r, err);
	for (unsigned k = 1; r == 0 && any; k++) {
		any = 0;
		for (uint32_t a = 0; a < n; a++)
			taken[a] = is_taken(d, d->pack.name[a], path);
		transport_reduce_all(&d->job.nodes, taken, (int)n, MPI_INT, MPI_MAX);
		for (uint32_t a = 0; a < n && r == 0; a++) {
			any |= taken[a];
			if (taken[a])
				r = rename_archive(d, a, k, path, err);
		}
		r = job_agree_all(&d->job, r, err);
	}
	for (uint32_t a = 0; a < n && r == 0 && d->job.node == 0; a++) {
		const char *own = patterns_archive(d->pack.patterns, a)->name;

		if (strcmp(own, d->pack.name[a]) != 0)
			drain_look_of(d, DRAIN_NODES, EBT_LOOK_BESIDE, own,
				d->pack.name[a],
				"%s is an output of the job: the archive is %s",
				text_name(own, shown, sizeof(shown)),
				text_name(d->pack.name[a], as, sizeof(as)));
	}
	return r;
}
