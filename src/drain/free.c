/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Freeing local space once everything is durable. Only what is proven to be in place, and
 * only as long as it is what was scanned: a file written to in the meantime stays.
 * Directories stay too, as with rsync --remove-source-files.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "fsio/fsio.h"

static bool is_set(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= (uint64_t)1 << (i % 64);
}

/* Names linked to a file that was put in place by this run are in place with it. */
static void add_links(const struct drain *d, const uint64_t *done, uint64_t *groups,
	uint64_t *bits)
{
	const struct manifest_entry *e = d->m->entries;

	for (uint32_t i = 0; i < d->m->count; i++) {
		if (d->verdict[i] == DRAIN_IN_PLACE)
			set(bits, i);
		/* A piece of a shared file speaks for its own name only. */
		if (e[i].group != MANIFEST_NONE && is_set(done, i) &&
			(d->verdict[i] == DRAIN_WRITE || d->verdict[i] == DRAIN_IN_PLACE))
			set(groups, e[i].group);
	}
	for (uint32_t i = 0; i < d->m->count; i++) {
		if (e[i].group != MANIFEST_NONE && d->verdict[i] == DRAIN_WRITE &&
			is_set(groups, e[i].group))
			set(bits, i);
	}
}

static int free_one(struct drain *d, uint32_t i, struct ebt_err *err)
{
	const struct manifest_entry *e = &d->m->entries[i];
	char path[PATH_MAX], name[PATH_MAX];
	char *slash;
	struct stat st, above;
	int r = manifest_path(d->m, i, path, sizeof(path));

	if (r < 0)
		return ebt_fail(err, r, "%s", d->store_path);
	text_name(path, name, sizeof(name));
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	{
		SCOPED_FD int dir = fsio_open_beneath(store_dirfd(d->store), slash ? path : "",
			O_RDONLY | O_DIRECTORY);
		const char *last = slash ? slash + 1 : path;

		if (dir < 0)
			return ebt_fail(err, dir, "%s/%s: remove", d->store_path, name);
		if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) < 0 || !manifest_unchanged(e, &st))
			return 0;
		if (fstat(dir, &above) < 0 || unlinkat(dir, last, 0) < 0)
			return ebt_fail(err, -errno, "%s/%s: remove", d->store_path, name);
		/* The next drain must not take our removing for a change of the directory. */
		futimens(dir, (struct timespec[2]){above.st_atim, above.st_mtim});
	}
	d->rep->freed++;
	return 0;
}

int drain_free(struct drain *d, const uint64_t *done, struct ebt_err *err)
{
	size_t words = (size_t)d->m->count / 64 + 1;
	SCOPED_FREE uint64_t *bits = malloc(words * sizeof(*bits));
	SCOPED_FREE uint64_t *groups = calloc(words, sizeof(*groups));
	int r = 0;

	if (!bits || !groups)
		return ebt_fail(err, -ENOMEM, "freeing local files");
	memcpy(bits, done, words * sizeof(*bits));
	/* Known by size and time alone; it got new links. */
	for (uint32_t i = 0; i < d->m->count; i++) {
		if (d->verdict[i] == DRAIN_SAME)
			bits[i / 64] &= ~((uint64_t)1 << (i % 64));
	}
	add_links(d, done, groups, bits);
	for (uint32_t i = 0; i < d->m->count && r == 0; i++) {
		if (is_set(bits, i) && d->m->entries[i].kind != MANIFEST_DIR)
			r = free_one(d, i, err);
	}
	return r;
}
