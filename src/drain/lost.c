/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes that dest cannot hold. They do not keep content from coming home: what dest takes
 * is set, each entry that is without something counts and is kept by name, and what kinds of
 * attributes were lost is said once each for the whole drain, however many entries had them.
 *
 * Seals remember it. A later run finds such a file in place, says so again, and does not free
 * it, as the store has the only copy of what is missing; unless it is not asked for any more.
 * Where there was only no room for it, a later run brings the file anew.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "transport/transport.h"

#define BEFORE ATTR_LOST_KINDS

static const struct {
	const char *what;
	enum journal_lack lack;
	const char *option;
} kinds[ATTR_LOST_KINDS] = {
	[ATTR_LOST_OWNER] = {"owners", JOURNAL_LACKS_OWNER, " (see --no-owner)"},
	[ATTR_LOST_MODE] = {"modes", JOURNAL_LACKS_OTHER, ""},
	[ATTR_LOST_TIMES] = {"times", JOURNAL_LACKS_OTHER, ""},
	[ATTR_LOST_USER] = {"user.* attributes", JOURNAL_LACKS_XATTRS,
		" (see --no-xattrs)"},
	[ATTR_LOST_TRUSTED] = {"trusted.* attributes", JOURNAL_LACKS_XATTRS,
		" (see --no-xattrs)"},
	[ATTR_LOST_SECURITY] = {"security.* attributes", JOURNAL_LACKS_XATTRS,
		" (see --no-xattrs)"},
	[ATTR_LOST_ACL] = {"ACLs", JOURNAL_LACKS_XATTRS, " (see --no-xattrs)"},
	[ATTR_LOST_DEFAULT_ACL] = {"default ACLs", JOURNAL_LACKS_XATTRS,
		" (see --no-xattrs)"},
};

unsigned drain_asked(const struct drain *d)
{
	return JOURNAL_LACKS_OTHER | (d->dest.inherits ? 0 : JOURNAL_LACKS_OWNER) |
	       (d->o->no_xattrs ? 0 : JOURNAL_LACKS_XATTRS);
}

unsigned drain_lacks(const struct attr_loss *loss)
{
	unsigned lacks = 0;

	for (int i = 0; i < ATTR_LOST_KINDS; i++)
		lacks |= loss->code[i] ? kinds[i].lack : 0;
	return lacks;
}

bool drain_lost_for_room(const struct attr_loss *loss)
{
	for (int i = 0; i < ATTR_LOST_KINDS; i++) {
		if (loss->code[i] == -ENOSPC || loss->code[i] == -EDQUOT)
			return true;
	}
	return false;
}

static void count_locked(struct drain *d, int kind, int code, const char *path)
{
	struct drain_loss *l = &d->losses[kind];

	if (l->n++ || l->path)
		return;
	l->code = code;
	l->path = strdup(path); /* without memory it is said without a name */
}

void drain_lose(struct drain *d, const char *path, const struct attr_loss *loss)
{
	if (!drain_lacks(loss))
		return;
	drain_look_quietly(d, EBT_LOOK_LOST, path, NULL);
	SCOPED_LOCK(&d->lost_lock);
	for (int i = 0; i < ATTR_LOST_KINDS; i++) {
		if (loss->code[i])
			count_locked(d, i, loss->code[i], path);
	}
}

void drain_lose_before(struct drain *d)
{
	const struct manifest *m = d->out.m;

	for (uint32_t i = 0; i < m->count; i++) {
		SCOPED_FREE char *own = NULL;
		uint32_t g = m->entries[i].group;
		const char *path;

		if (d->out.verdict[i] != DRAIN_IN_PLACE || !d->out.lacks[i])
			continue;
		/* A file counts once, whatever names it has. */
		if (g != MANIFEST_NONE && g != i && d->out.verdict[g] == DRAIN_IN_PLACE)
			continue;
		own = manifest_path_new(m, i);
		path = own ? own : "";
		/* All or nothing: it is not done. */
		drain_look_quietly(
			d, d->o->strict ? EBT_LOOK_MISSING : EBT_LOOK_LOST, path, NULL);
		SCOPED_LOCK(&d->lost_lock);
		count_locked(d, BEFORE, 0, path);
	}
}

static void say(const struct drain *d, int kind, uint64_t n)
{
	const struct drain_loss *l = &d->losses[kind];
	const char *s = n == 1 ? "" : "s";
	char shown[DRAIN_PATH];

	drain_path(d, l->path ? l->path : "", shown);
	if (kind == BEFORE)
		log_warn(&d->job.log,
			"%llu output%s that an earlier run put in place %s without "
			"attributes that are asked for: %s",
			(unsigned long long)n, s, n == 1 ? "is" : "are", shown);
	else
		log_warn(&d->job.log, "%s of %llu output%s cannot be set%s: %s: %s",
			kinds[kind].what, (unsigned long long)n, s, kinds[kind].option,
			shown, strerror(-l->code));
}

void drain_losses_all(struct drain *d)
{
	uint64_t n[DRAIN_LOSSES];
	int first[DRAIN_LOSSES];

	d->lossy = false;
	for (int i = 0; i < DRAIN_LOSSES; i++) {
		n[i] = d->losses[i].n;
		first[i] = n[i] ? d->job.node : INT_MAX;
	}
	transport_reduce_all(&d->job.nodes, n, DRAIN_LOSSES, MPI_UINT64_T, MPI_SUM);
	transport_reduce_all(&d->job.nodes, first, DRAIN_LOSSES, MPI_INT, MPI_MIN);
	for (int i = 0; i < DRAIN_LOSSES; i++) {
		d->lossy |= n[i] > 0;
		if (first[i] == d->job.node && !(d->said_losses >> i & 1))
			say(d, i, n[i]);
		d->said_losses |= (n[i] ? 1u : 0) << i;
		free(TAKE(d->losses[i].path));
		d->losses[i] = (struct drain_loss){0};
	}
}

void drain_losses_release(struct drain *d)
{
	for (int i = 0; i < DRAIN_LOSSES; i++)
		free(TAKE(d->losses[i].path));
}
