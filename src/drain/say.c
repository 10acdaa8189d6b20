/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words that all steps have in common: how messages name what lies below DEST, and a line a
 * step for -vv.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "drain/drain_internal.h"

void drain_note(const struct drain *d, const char *step)
{
	if (d->job.node == 0)
		log_debug(&d->job.log, "%8.4f s %s", clock_now() - d->job.began, step);
}

const char *drain_path(const struct drain *d, const char *path, char *out)
{
	char root[256], name[DRAIN_PATH - 256];

	snprintf(out, DRAIN_PATH, "%s/%s", text_name(d->dest.path, root, sizeof(root)),
		text_name(path, name, sizeof(name)));
	return out;
}

void drain_show_path(const void *arg, uint64_t index, char *out, size_t size)
{
	char name[DRAIN_PATH];

	snprintf(out, size, "%.180s",
		drain_path(arg, (const char *)(uintptr_t)index, name));
}

int drain_fail(const struct drain *d, const char *path, int code, const char *what,
	struct ebt_err *err)
{
	char shown[DRAIN_PATH];

	return ebt_fail(err, code, "%s: %s", drain_path(d, path, shown), what);
}

int drain_fail_for(const struct drain *d, const char *path, const struct ebt_err *why,
	struct ebt_err *err)
{
	char shown[DRAIN_PATH];

	return ebt_failx(
		err, why->code, "%s: %.200s", drain_path(d, path, shown), why->text);
}
