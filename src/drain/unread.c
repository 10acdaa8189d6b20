/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs that could not be read in the scan as a whole. Each is named, the others come; and
 * what it is about stays in the store. A file whose extended attributes could not be read comes
 * without them: its seal must not speak for the file with all of them, see plan/tasks.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/drain_internal.h"
#include "scan/scan.h"

void drain_keep(struct drain *d, enum scan_unread what, const char *path)
{
	SCOPED_LOCK(&d->lost_lock);

	buf_put8(&d->out.unread, (uint8_t)what);
	buf_put(&d->out.unread, path, strlen(path) + 1);
}

void drain_unread(
	void *arg, enum scan_unread what, const char *path, const struct ebt_err *why)
{
	struct drain *d = arg;

	if (what == SCAN_ATTRIBUTES)
		drain_look(d, EBT_LOOK_LOST, path, NULL,
			"%.900s; it comes without them", why->text);
	else
		drain_look(d, EBT_LOOK_MISSING, path, NULL, "%s", why->text);
	drain_keep(d, what, path);
}

/* Entry @i, and what is below it, or all for NONE. */
static void mark(struct drain *d, enum scan_unread what, uint32_t i)
{
	uint32_t end = d->out.m->count;

	if (i == MANIFEST_NONE)
		i = 0;
	else
		end = what == SCAN_UNREAD ? manifest_subtree_end(d->out.m, i) : i + 1;
	for (; i < end; i++) {
		if (!d->out.partial[i] || what == SCAN_ATTRIBUTES)
			d->out.partial[i] = (uint8_t)(1 + what);
	}
}

int drain_mark_unread(struct drain *d, struct ebt_err *err)
{
	struct reader r = reader_of(d->out.unread.data, d->out.unread.len);
	enum scan_unread what;
	const char *path;
	uint32_t i;

	if (!buf_ok(&d->out.unread))
		return ebt_fail(err, -ENOMEM, "outputs that cannot be read");
	if (!d->out.unread.len)
		return 0;
	d->out.partial = calloc((size_t)d->out.m->count + 1, sizeof(*d->out.partial));
	if (!d->out.partial)
		return ebt_fail(err, -ENOMEM, "outputs that cannot be read");
	while (reader_left(&r)) {
		what = (enum scan_unread)reader_get8(&r);
		path = (const char *)r.data + r.at;
		reader_take(&r, strlen(path) + 1);
		i = *path ? manifest_find(d->out.m, path) : MANIFEST_NONE;
		if (!*path || i != MANIFEST_NONE)
			mark(d, what, i);
	}
	return 0;
}

bool drain_stays(const struct drain *d, uint32_t i)
{
	return d->out.partial && d->out.partial[i];
}

bool drain_lacks_attributes(const struct drain *d, uint32_t i)
{
	return d->out.partial && d->out.partial[i] == 1 + SCAN_ATTRIBUTES;
}
