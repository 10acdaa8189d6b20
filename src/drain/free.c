/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Freeing local space once everything is durable. Only what is proven to be in place, and
 * only as long as it is what was scanned: a file written to in the meantime stays.
 * Directories stay too, as with rsync --remove-source-files. What cannot be removed is named: it
 * is home, so that is no failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drain/drain_internal.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

static bool is_set(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= (uint64_t)1 << (i % 64);
}

/*
 * All names of a file of which something is in the store alone: attributes, or a name, which a
 * later run links to the others only as long as all are here.
 */
static void keep_lacking(const struct drain *d, uint64_t *groups, uint64_t *bits)
{
	const struct manifest_entry *e = d->out.m->entries;

	memset(groups, 0, ((size_t)d->out.m->count / 64 + 1) * sizeof(*groups));
	for (uint32_t i = 0; i < d->out.m->count; i++) {
		if (d->out.lacks[i] ||
			(d->out.verdict[i] == DRAIN_WRITE && !is_set(bits, i)))
			set(groups, e[i].group == MANIFEST_NONE ? i : e[i].group);
	}
	for (uint32_t i = 0; i < d->out.m->count; i++) {
		if (is_set(groups, e[i].group == MANIFEST_NONE ? i : e[i].group))
			bits[i / 64] &= ~((uint64_t)1 << (i % 64));
	}
}

/* Names linked to a file that was put in place by this run are in place with it. */
static void add_links(
	const struct drain *d, const uint64_t *done, uint64_t *groups, uint64_t *bits)
{
	const struct manifest_entry *e = d->out.m->entries;

	for (uint32_t i = 0; i < d->out.m->count; i++) {
		if (d->out.verdict[i] == DRAIN_IN_PLACE)
			set(bits, i);
		/* A piece of a shared file, or of an archive, speaks for its own name only. */
		if (e[i].group != MANIFEST_NONE && is_set(done, i) && !pack_has(d, i) &&
			(d->out.verdict[i] == DRAIN_WRITE ||
				d->out.verdict[i] == DRAIN_IN_PLACE))
			set(groups, e[i].group);
	}
	for (uint32_t i = 0; i < d->out.m->count; i++) {
		if (e[i].group != MANIFEST_NONE && d->out.verdict[i] == DRAIN_WRITE &&
			!pack_has(d, i) && is_set(groups, e[i].group))
			set(bits, i);
	}
}

/* The mode of a directory of ours may forbid it: not if we ask for it. */
static int remove_from(int dir, const char *name, const struct stat *above)
{
	int r = unlinkat(dir, name, 0) < 0 ? -errno : 0;

	if (r != -EACCES ||
		fchmod(dir, (above->st_mode & 07777) | S_IWUSR | S_IXUSR) < 0)
		return r;
	r = unlinkat(dir, name, 0) < 0 ? -errno : 0;
	fchmod(dir, above->st_mode & 07777);
	return r;
}

/* Output @e, @name of directory @path. 0, 1: it is no more what was scanned, or an errno. */
static int remove_output(struct drain *d, const char *path, const char *name,
	const struct manifest_entry *e)
{
	SCOPED_FD int dir =
		fsio_open_beneath(store_dirfd(d->store), path, O_RDONLY | O_DIRECTORY);
	struct stat st, above;
	int r;

	if (dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP)
		return 1;
	if (dir < 0)
		return dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : -errno;
	if (!manifest_unchanged(e, &st))
		return 1;
	if (fstat(dir, &above) < 0)
		return -errno;
	r = remove_from(dir, name, &above);
	/* The next drain must not take our removing for a change of the directory. */
	if (r == 0)
		futimens(dir, (struct timespec[2]){above.st_atim, above.st_mtim});
	return r;
}

static int free_one(struct drain *d, uint32_t i, struct ebt_err *err)
{
	const struct manifest_entry *e = &d->out.m->entries[i];
	SCOPED_FREE char *path = manifest_path_new(d->out.m, i);
	struct ebt_err why = {0};
	char *slash;
	int r;

	if (!path)
		return ebt_fail(err, -ENOMEM, "%s", d->store_path);
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	r = remove_output(d, slash ? path : "", slash ? slash + 1 : path, e);
	if (slash)
		*slash = '/';
	d->rep->freed += r == 0;
	if (r >= 0)
		return 0;
	drain_output_fail(d, path, r, "remove", &why);
	drain_look(d, EBT_LOOK_UNFREED, path, NULL, "%s", why.text);
	return 0;
}

int drain_free(struct drain *d, const uint64_t *done, struct ebt_err *err)
{
	size_t words = (size_t)d->out.m->count / 64 + 1;
	SCOPED_FREE uint64_t *bits = malloc(words * sizeof(*bits));
	SCOPED_FREE uint64_t *groups = calloc(words, sizeof(*groups));
	int r = 0;

	if (!bits || !groups)
		return ebt_fail(err, -ENOMEM, "freeing local files");
	memcpy(bits, done, words * sizeof(*bits));
	add_links(d, done, groups, bits);
	keep_lacking(d, groups, bits);
	for (uint32_t i = 0; i < d->out.m->count && r == 0; i++) {
		/*
		 * Its new name is where a later run looks only if it knows that it was split;
		 * and an archive it leaves alone only if it knows that its members were freed.
		 */
		if (d->proof.splits_lost &&
			(pack_has(d, i) ||
				(d->out.marks[i] & (DRAIN_SUFFIXED | DRAIN_BY_NODE))))
			continue;
		if (is_set(bits, i) && !drain_stays(d, i) &&
			d->out.m->entries[i].kind != MANIFEST_DIR)
			r = free_one(d, i, err);
	}
	return r;
}
