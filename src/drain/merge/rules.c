/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who wins. Directories are united, links that say the same are one; two files are a matter of
 * policy. Two different things under one name cannot both be: a directory keeps it, what is none
 * gets the name of its node, unless the user wants all or nothing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "drain/merge/merge.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

int merge_compare_claims(const void *a, const void *b)
{
	const struct merge_claim *c = a, *k = b;
	int r = strcmp(c->path, k->path);

	if (r)
		return r;
	/* Directories first: the name is theirs. Of those the first one's attributes count. */
	if ((c->kind == MANIFEST_DIR) != (k->kind == MANIFEST_DIR))
		return c->kind == MANIFEST_DIR ? -1 : 1;
	if (c->made != k->made)
		return c->made ? 1 : -1;
	return c->node < k->node ? -1 : c->node > k->node;
}

/* The first one is taken, the others are the same. */
static enum merge_ruling take_first(struct merge_claim *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		c[i].verdict = i ? DRAIN_OLDER : DRAIN_WRITE;
	return MERGE_TAKE;
}

static bool later(const struct merge_claim *a, const struct merge_claim *b)
{
	if (a->mtime != b->mtime)
		return a->mtime > b->mtime;
	return a->mtime_ns > b->mtime_ns;
}

uint32_t merge_newest(const struct merge_claim *c, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++) {
		if (later(&c[i], &c[best]))
			best = i;
	}
	return best;
}

static enum merge_ruling take_newest(
	struct merge_claim *c, uint32_t n, uint64_t *dropped)
{
	uint32_t best = merge_newest(c, n);

	for (uint32_t i = 0; i < n; i++)
		c[i].verdict = i == best ? DRAIN_WRITE : DRAIN_OLDER;
	*dropped += n - 1;
	return MERGE_TAKE;
}

/*
 * Each that is no directory under its node's name. Those that have it already, and find another
 * output there, go beside that.
 */
static enum merge_ruling take_apart(struct merge_claim *c, uint32_t n)
{
	uint32_t plain = 0;

	for (uint32_t i = 0; i < n; i++)
		plain += !c[i].suffixed;
	for (uint32_t i = 0; i < n; i++) {
		bool dir = c[i].kind == MANIFEST_DIR;

		c[i].verdict = dir && i ? DRAIN_OLDER : DRAIN_WRITE;
		c[i].in_way = c[i].suffixed;
		c[i].by_node = !dir && !c[i].suffixed && plain > 1;
	}
	return MERGE_SPLIT;
}

enum merge_ruling merge_rule(struct merge_claim *c, uint32_t n, enum ebt_conflict how,
	uint32_t *a, uint32_t *b, uint64_t *dropped)
{
	bool differ = false;

	*a = 0;
	*b = n > 1;
	if (n == 1) {
		c->verdict = DRAIN_WRITE;
		return MERGE_TAKE;
	}
	for (uint32_t i = 0; i < n; i++) {
		*b = i ? i : 1;
		if (c[i].suffixed || (i && c[i].kind != c[0].kind))
			return how == EBT_CONFLICT_ERROR ? MERGE_CLASH
							 : take_apart(c, n);
	}
	*b = 1;
	if (c->kind == MANIFEST_DIR)
		return take_first(c, n);
	for (uint32_t i = 1; i < n && c->kind == MANIFEST_SYMLINK && !differ; i++) {
		differ = strcmp(c[i].target, c->target) != 0;
		if (differ)
			*b = i;
	}
	if (c->kind == MANIFEST_SYMLINK && !differ)
		return take_first(c, n);
	if (how == EBT_CONFLICT_NEWEST)
		return take_newest(c, n, dropped);
	if (how == EBT_CONFLICT_SUFFIX)
		return MERGE_RENAME;
	if (differ)
		return how == EBT_CONFLICT_ERROR ? MERGE_CLASH : take_apart(c, n);
	for (uint32_t i = 0; i < n; i++)
		c[i].verdict = DRAIN_PART;
	return MERGE_COMPARE;
}

/* True for claims that are to be put in place. */
static bool live(const struct merge_claim *c)
{
	return c->verdict == DRAIN_WRITE || c->verdict == DRAIN_PART;
}

static void set_all(struct merge_claim *c, uint32_t n, enum drain_verdict verdict)
{
	for (uint32_t i = 0; i < n; i++) {
		if (live(&c[i]))
			c[i].verdict = (uint8_t)verdict;
	}
}

static void replace_all(struct merge_claim *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		c[i].replaces = true;
}

void merge_step_aside(struct merge_claim *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		c[i].in_way |= c[i].kind != MANIFEST_DIR && live(&c[i]);
}

/*
 * Every node that had a part in what is there has its say in what comes: what one of them
 * has freed since is nowhere else.
 */
static bool represented(
	const struct merge_claim *c, uint32_t n, const struct merge_seal *s)
{
	for (uint32_t i = 0; i < s->n_sources; i++) {
		uint32_t k = 0;

		while (k < n && !(live(&c[k]) && c[k].where == s->sources[i].where))
			k++;
		if (k == n)
			return false;
	}
	return true;
}

/* Links that say the same are one, whichever node's it was. */
static bool says_same(const struct merge_claim *c, const struct merge_target *t)
{
	return c->kind == MANIFEST_SYMLINK && t->kind == MANIFEST_SYMLINK &&
	       t->target && strcmp(t->target, c->target) == 0;
}

static bool among(const struct merge_claim *c, const struct merge_seal *s)
{
	for (uint32_t i = 0; i < s->n_sources; i++) {
		if (s->sources[i].where == c->where && s->sources[i].ino == c->ino &&
			s->sources[i].size == c->size &&
			s->sources[i].mtime == c->mtime &&
			s->sources[i].mtime_ns == c->mtime_ns)
			return true;
	}
	return false;
}

/* A time as it was given to the target, and as the target shows it. */
static bool same_time(int64_t sec, uint32_t ns, const struct merge_target *t)
{
	return fsio_time_could_be((struct timespec){.tv_sec = sec, .tv_nsec = ns},
		(struct timespec){.tv_sec = t->mtime, .tv_nsec = t->mtime_ns});
}

/*
 * The seal speaks of what is there. Its inode tells it from what was there before, which may
 * look the same, and from what a later seal was about. The size of a link is the length of what
 * it says.
 */
static bool seals(const struct merge_seal *s, const struct merge_target *t)
{
	return s->n_sources && (!s->ino || s->ino == t->ino) &&
	       same_time(s->mtime, s->mtime_ns, t) &&
	       (s->size == t->size || t->kind == MANIFEST_SYMLINK);
}

bool merge_is_ours(const struct merge_seal *s, const struct merge_target *t)
{
	while (s && !seals(s, t))
		s = s->next;
	return s != NULL;
}

/* All that is to come is in what is there. */
static bool holds_all(const struct merge_claim *c, uint32_t n,
	const struct merge_target *t, const struct merge_seal *s)
{
	for (uint32_t i = 0; i < n; i++) {
		if (live(&c[i]) && !among(&c[i], s) && !says_same(&c[i], t))
			return false;
	}
	return true;
}

/* What is there, of a node that has no say any more, is as new as all that could come. */
static bool newest_is_there(
	const struct merge_claim *c, uint32_t n, const struct merge_seal *s)
{
	const struct merge_claim there = {.mtime = s->mtime, .mtime_ns = s->mtime_ns};

	for (uint32_t i = 0; i < n; i++) {
		if (live(&c[i]) && later(&c[i], &there))
			return false;
	}
	return true;
}

/* As what is drained here would look: the longest of its parts, the latest time. */
static bool looks_same(
	const struct merge_claim *c, uint32_t n, const struct merge_target *t)
{
	const struct merge_claim *newest = NULL;
	uint64_t size = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!live(&c[i]))
			continue;
		if (!newest || later(&c[i], newest))
			newest = &c[i];
		if (c[i].size > size)
			size = c[i].size;
	}
	if (!newest || newest->kind != t->kind)
		return false;
	if (t->kind == MANIFEST_SYMLINK)
		return says_same(newest, t);
	return size == t->size && same_time(newest->mtime, newest->mtime_ns, t);
}

/* What is there, and is not ours, is not replaced. */
static bool stays(enum ebt_overwrite how)
{
	return how != EBT_OVERWRITE_ALWAYS && how != EBT_OVERWRITE_UPDATE;
}

static bool all_say_same(
	const struct merge_claim *c, uint32_t n, const struct merge_target *t)
{
	for (uint32_t i = 0; i < n; i++) {
		if (live(&c[i]) && !says_same(&c[i], t))
			return false;
	}
	return true;
}

uint32_t merge_settle_alias(struct merge_claim *c, uint32_t n,
	const struct merge_seal *seal, const struct merge_target *t)
{
	bool whole = seal->n_sources > 1 && represented(c, n, seal);
	uint32_t found = 0;

	if (!seals(seal, t))
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!live(&c[i]) || c[i].kind == MANIFEST_DIR)
			continue;
		if (among(&c[i], seal)) {
			c[i].verdict = DRAIN_IN_PLACE;
			/* Nothing is linked to it: the name is another. */
			c[i].mixed = true;
			c[i].as = seal->as;
			c[i].lacks |= seal->lacks;
			found++;
		} else if (whole || represented(&c[i], 1, seal)) {
			c[i].was = seal->as;
		}
	}
	return found;
}

enum merge_wrong merge_settle(struct merge_claim *c, uint32_t n,
	const struct merge_policy *how, const struct merge_target *t,
	const struct merge_seal *seal, bool *settled)
{
	bool ours = false, others = false, newest = false, whole = false;

	if ((c->kind == MANIFEST_DIR) != (t->kind == MANIFEST_DIR))
		return MERGE_STUCK;
	if (c->kind == MANIFEST_DIR) {
		for (uint32_t i = 0; i < n; i++) {
			if (c[i].kind == MANIFEST_DIR)
				set_all(&c[i], 1, DRAIN_SAME);
		}
		return MERGE_WRONGS;
	}
	for (; seal; seal = seal->next) {
		if (!seals(seal, t))
			continue;
		ours |= !how->freed && represented(c, n, seal);
		others |= !represented(c, n, seal);
		newest |= newest_is_there(c, n, seal);
		if (!holds_all(c, n, t, seal))
			continue;
		whole = true;
		/* Also when all pieces but one node's are freed already. */
		for (uint32_t i = 0; i < n; i++) {
			c[i].mixed |= seal->n_sources > 1;
			c[i].lacks |= seal->lacks;
		}
	}
	if (whole) {
		set_all(c, n, DRAIN_IN_PLACE);
		*settled = true;
		return MERGE_WRONGS;
	}
	if (!ours && newest && how->conflict == EBT_CONFLICT_NEWEST) {
		set_all(c, n, DRAIN_OLDER);
		*settled = true;
		return MERGE_WRONGS;
	}
	/* By content, so there is nothing to keep them for. */
	if (how->overwrite == EBT_OVERWRITE_AUTO && all_say_same(c, n, t)) {
		set_all(c, n, DRAIN_IN_PLACE);
		*settled = true;
		return MERGE_WRONGS;
	}
	if (how->overwrite == EBT_OVERWRITE_UPDATE && looks_same(c, n, t)) {
		set_all(c, n, DRAIN_SAME);
		*settled = true;
		return MERGE_WRONGS;
	}
	/* What another node had there, which has freed it: that of this one has its name. */
	for (uint32_t i = 0; i < n && !ours; i++)
		c[i].by_node |= others && how->overwrite == EBT_OVERWRITE_AUTO;
	if (!ours && (stays(how->overwrite) || (others && how->frees)))
		return MERGE_EXISTS;
	replace_all(c, n);
	return MERGE_WRONGS;
}

const char *merge_plain(const char *path)
{
	size_t len = strlen(PACK_KEYS);

	return strncmp(path, PACK_KEYS, len) == 0 ? path + len : path;
}

const char *merge_shown(const char *path, char *out)
{
	return text_name(merge_plain(path), out, MERGE_PATH);
}

void merge_complain(struct merge_wrongs *w, enum merge_wrong kind, const char *fmt, ...)
{
	uint32_t at = w->named[kind];
	va_list ap;

	w->count[kind]++;
	if (at >= MERGE_NAMED)
		return;
	w->named[kind]++;
	va_start(ap, fmt);
	vsnprintf(w->text[kind][at], MERGE_SHOWN, fmt, ap);
	va_end(ap);
}
