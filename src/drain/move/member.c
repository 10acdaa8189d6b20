/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of an archive that this node has, as if it were a file: headers, content and padding
 * are put together where they are asked for. A member that cannot be read is no reason not to
 * write all others: it is zeros, and its state says so, which its header then tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "drain/move/move.h"
#include "drain/pack/pack.h"

static const struct pack_part *part_of(
	const struct move *m, const struct net_wanted *w, struct ebt_err *err)
{
	if (w->entry < patterns_count(m->d->pack.patterns))
		return &m->d->pack.parts[w->entry];
	ebt_failx(err, -EPROTO, "part %u is asked for, which is none", w->entry);
	return NULL;
}

static int read_header(const struct move *m, const struct pack_part *p,
	const struct members_piece *piece, unsigned char *to, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	int r = pack_header(m->d, p, piece->member, &b, err);

	if (r == 0)
		memcpy(to, b.data + piece->from, piece->len);
	return r;
}

/*
 * In the end its node is told what became of the member. Where that is that the archive does not
 * come, as all of it is to be as it was scanned, nobody else says why.
 */
void move_spoil(
	struct move *m, uint32_t entry, enum pack_state what, const struct ebt_err *why)
{
	bool known = pack_state(m->d, entry) & (PACK_TORN | PACK_LOST);

	pack_note(m->d, entry, what);
	log_say(&m->d->job.log,
		m->d->pass.turn == DRAIN_ONCE && !known ? LOG_LEVEL_WARN
							: LOG_LEVEL_INFO,
		"%s", why->text);
}

/* Member @entry was not read as it was scanned, but with @code. */
static void note_state(struct move *m, const struct move_source *s, uint32_t entry,
	int code, const struct ebt_err *why)
{
	bool torn = s->refused && !drain_output_gone(code);

	if (s->refused && s->refused != NET_ODD)
		pack_note(m->d, entry, PACK_MOVING);
	move_spoil(m, entry, torn ? PACK_TORN : PACK_LOST, why);
}

static int read_content(struct move *m, struct move_source *s,
	const struct pack_part *p, const struct members_piece *piece, unsigned char *to,
	bool *gaps, struct ebt_err *err)
{
	uint32_t entry = p->member[piece->member].entry;
	struct ebt_err why = {0};
	/* What is as it was scanned after this is so up to here, whoever read before. */
	int r = move_read(
		m, s, entry, piece->from, to, (uint32_t)piece->len, true, &why);

	if (r == -ENOMEM)
		return ebt_failx(err, r, "%s", why.text);
	if (r == 0)
		return 0;
	note_state(m, s, entry, r, &why);
	/* In a last pass what there is of it was read, and is worth more than zeros. */
	if (!m->torn || !s->refused || s->refused == NET_ODD || drain_output_gone(r))
		memset(to, 0, piece->len);
	*gaps = true;
	return 0;
}

static int read_part(struct move *m, struct move_source *s, const struct pack_part *p,
	const struct net_wanted *w, unsigned char *to, struct ebt_err *err)
{
	struct members_walk walk = members_walk(&p->places, w->off, w->len);
	struct members_piece piece;
	bool gaps = false;
	int r = 0;

	while (r == 0 && members_next(&walk, &piece)) {
		unsigned char *at = to + (piece.at - w->off);

		if (piece.kind == MEMBERS_HEADER)
			r = read_header(m, p, &piece, at, err);
		else if (piece.kind == MEMBERS_CONTENT)
			r = read_content(m, s, p, &piece, at, &gaps, err);
		else
			memset(at, 0, piece.len);
	}
	s->refused = r == 0 && gaps ? NET_GAPS : NET_TAKEN;
	return r;
}

/*
 * What was read of member @k is as it was scanned. Has its name come to mean something else since? An
 * empty one was not read: what says that it is empty may have something in it, below /proc.
 */
static int check_member(struct move *m, struct move_source *s,
	const struct pack_part *p, size_t k, char *path, struct ebt_err *err)
{
	const struct pack_member *one = &p->member[k];
	const struct manifest_entry *e = &m->d->out.m->entries[one->entry];
	struct ebt_err why = {0};
	struct stat st;
	int r;

	if (e->kind != MANIFEST_FILE || one->joined || pack_member_state(m->d, p, k))
		return 0;
	if (!e->size && one->head == PACK_NONE) {
		r = move_read(m, s, one->entry, 0, NULL, 0, true, &why);
		if (r == -ENOMEM)
			return ebt_failx(err, r, "%s", why.text);
		if (r < 0)
			note_state(m, s, one->entry, r, &why);
		return 0;
	}
	r = manifest_path(m->d->out.m, one->entry, path, MANIFEST_PATH_SIZE);
	if (r < 0)
		return ebt_fail(err, r, "%s", e->name);
	if (strlen(path) >= PATH_MAX)
		return 0; /* by a call for it alone nobody gets there */
	r = fstatat(m->d->storefd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	if (r == 0 && manifest_unchanged(e, &st))
		return 0;
	pack_note(m->d, one->entry, PACK_STALE | PACK_MOVING);
	drain_unsettled(m->d, drain_output_gone(r) ? path : NULL);
	return 0;
}

static int check_part(struct move *m, struct move_source *s, const struct pack_part *p,
	struct net_checked *out, struct ebt_err *err)
{
	SCOPED_FREE char *path = malloc(MANIFEST_PATH_SIZE);
	int r = path ? 0 : ebt_fail(err, -ENOMEM, "members");

	*out = (struct net_checked){0};
	for (size_t k = 0; k < p->places.n && r == 0; k++)
		r = check_member(m, s, p, k, path, err);
	for (size_t k = 0; k < p->places.n; k++) {
		unsigned state = pack_member_state(m->d, p, k);

		out->mended += state != 0;
		out->stale +=
			!state && (pack_state(m->d, p->member[k].entry) & PACK_STALE);
		out->unsteady += (p->member[k].joined && state == PACK_TORN) ||
				 (pack_state(m->d, p->member[k].entry) & PACK_MOVING);
	}
	return r;
}

/* Headers from number @w->off on, as many as there is room for. */
static void put_mended(const struct move *m, const struct pack_part *p,
	const struct net_wanted *w, struct net_mended *to)
{
	size_t room = w->len / sizeof(*to), n = 0;
	uint64_t number = 0;

	memset(to, 0, w->len);
	for (size_t k = 0; k < p->places.n && n < room; k++) {
		const struct members_place *place = &p->places.places[k];

		if (!pack_member_state(m->d, p, k) || number++ < w->off)
			continue;
		to[n++] = (struct net_mended){
			.off = place->header, .len = place->data - place->header};
	}
}

static int spoil(struct move *m, const struct pack_part *p, uint64_t off,
	enum pack_state what, struct ebt_err *err)
{
	size_t k = members_find(&p->places, off);

	if (k >= p->places.n)
		return ebt_failx(err, -EPROTO, "no member is at that byte");
	pack_note(m->d, p->member[k].entry, what);
	return 0;
}

int move_serve_part(struct move *m, struct move_source *s, const struct net_wanted *w,
	void *to, struct ebt_err *err)
{
	const struct pack_part *p = part_of(m, w, err);

	s->refused = NET_TAKEN;
	if (!p)
		return -EPROTO;
	switch (w->what) {
	case NET_READ:
		return read_part(m, s, p, w, to, err);
	case NET_CHECK:
		if (w->len != sizeof(struct net_checked))
			break;
		return check_part(m, s, p, to, err);
	case NET_MENDED:
		put_mended(m, p, w, to);
		return 0;
	case NET_TEAR:
		return spoil(m, p, w->off, PACK_TORN, err);
	case NET_LOSE:
		return spoil(m, p, w->off, PACK_LOST, err);
	}
	return ebt_failx(err, -EPROTO, "a part cannot answer that");
}
