/* SPDX-License-Identifier: BSD-3-Clause */
#include "archive/members.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define BLOCK 512u

void members_release(struct members *m)
{
	int saved = errno;

	free(m->places);
	*m = (struct members){0};
	errno = saved;
}

/* Offsets are those of off_t, which is signed, and the end mark must have one, too. */
static bool fits(uint64_t start, uint64_t len)
{
	return len <= INT64_MAX - MEMBERS_END && start <= INT64_MAX - MEMBERS_END - len;
}

static uint64_t padded(uint64_t len)
{
	return (len + BLOCK - 1) / BLOCK * BLOCK;
}

static int fail_large(struct ebt_err *err)
{
	return ebt_failx(err, -EOVERFLOW, "archive of more than %" PRIu64 " bytes",
		(uint64_t)INT64_MAX);
}

int members_end(uint64_t *end, uint64_t room, uint64_t packed, struct ebt_err *err)
{
	if (!fits(*end, room) || !fits(*end + room, packed) ||
		!fits(*end + room, padded(packed)))
		return fail_large(err);
	*end += room + padded(packed);
	return 0;
}

static int add(struct members *m, uint64_t room, struct members_place place,
	struct ebt_err *err)
{
	struct members_place *p;
	uint64_t end = m->end;
	size_t cap;

	assert(room % BLOCK == 0);
	if (members_end(&end, room, place.packed, err) < 0)
		return -EOVERFLOW;
	if (m->n == m->cap) {
		cap = m->cap * 2 + 64;
		p = realloc(m->places, cap * sizeof(*p));
		if (!p)
			return ebt_fail(
				err, -ENOMEM, "archive of %zu members", m->n + 1);
		m->places = p;
		m->cap = cap;
	}
	place.header = m->end;
	place.data = m->end + room;
	m->places[m->n++] = place;
	m->end = end;
	return 0;
}

int members_add(struct members *m, uint64_t room, uint64_t packed, struct ebt_err *err)
{
	return add(m, room, (struct members_place){.packed = packed}, err);
}

int members_add_sparse(struct members *m, uint64_t room,
	const struct manifest_extent *extents, uint32_t n, struct ebt_err *err)
{
	struct members_place place = {.extents = extents, .n_extents = n};

	for (uint32_t i = 0; i < n; i++) {
		if (extents[i].len > INT64_MAX - place.packed)
			return fail_large(err);
		place.packed += extents[i].len;
	}
	return add(m, room, place, err);
}

size_t members_find(const struct members *m, uint64_t off)
{
	size_t lo = 0, hi = m->n, mid;

	if (off >= m->end)
		return m->n;
	/* The last that begins at or before @off. */
	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (m->places[mid].header <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Byte of the archive where the padding of member @i ends. */
static uint64_t member_end(const struct members *m, size_t i)
{
	return i + 1 < m->n ? m->places[i + 1].header : m->end;
}

/* The walk has come to another member. */
static void enter(struct members_walk *w, size_t member)
{
	w->member = member;
	w->extent = 0;
	if (member < w->m->n)
		w->extent_at = w->m->places[member].data;
}

struct members_walk members_walk(const struct members *m, uint64_t off, uint64_t len)
{
	struct members_walk w = {.m = m, .at = off};

	w.end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	enter(&w, members_find(m, off));
	return w;
}

/* Content from w->at on: where it comes from, and the byte of the archive where that ends. */
static uint64_t content(struct members_walk *w, const struct members_place *p,
	struct members_piece *piece)
{
	if (!p->extents) {
		piece->from = w->at - p->data;
		return p->data + p->packed;
	}
	while (w->at - w->extent_at >= p->extents[w->extent].len)
		w->extent_at += p->extents[w->extent++].len;
	piece->from = p->extents[w->extent].off + (w->at - w->extent_at);
	return w->extent_at + p->extents[w->extent].len;
}

bool members_next(struct members_walk *w, struct members_piece *piece)
{
	const struct members *m = w->m;
	const struct members_place *p;
	uint64_t end = UINT64_MAX;

	if (w->at == w->end)
		return false;
	*piece = (struct members_piece){.at = w->at, .kind = MEMBERS_ZEROS};
	/* Without room and content a member has no byte. */
	while (w->member < m->n && w->at >= member_end(m, w->member))
		enter(w, w->member + 1);
	piece->member = w->member;
	if (w->member < m->n) {
		p = &m->places[w->member];
		if (w->at < p->data) {
			piece->kind = MEMBERS_HEADER;
			piece->from = w->at - p->header;
			end = p->data;
		} else if (w->at - p->data < p->packed) {
			piece->kind = MEMBERS_CONTENT;
			end = content(w, p, piece);
		} else {
			end = member_end(m, w->member);
		}
	}
	piece->len = (end < w->end ? end : w->end) - w->at;
	w->at += piece->len;
	return true;
}
