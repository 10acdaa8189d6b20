/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the file system of a store can hold, tried out on a file and a directory of ours
 * before anything is brought: of each kind of extended attribute and of foreign owners the
 * first, so the cost does not grow with the entries. Some file systems refuse, others take
 * and forget: squashed roots, FUSE file systems, Windows shares.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define PROBE	  "probe"
#define PROBE_DIR "probe.d"

/* Attributes that a file system takes all or none of. */
static const char *const kinds[] = {"user.", "trusted.", "security.capability",
	"system.posix_acl_access", "system.posix_acl_default"};

struct probe {
	const struct store *s;
	const struct manifest *m;
	int file, dir;
	unsigned tried[2]; /* bit a kind; of the file, of the directory */
};

static void probe_release(struct probe *p)
{
	scope_close(&p->file);
	scope_close(&p->dir);
	unlinkat(p->s->runfd, PROBE, 0);
	unlinkat(p->s->runfd, PROBE_DIR, AT_REMOVEDIR);
}

static int probe_open(struct probe *p, struct ebt_err *err)
{
	int run = p->s->runfd;

	p->file = openat(
		run, PROBE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	p->dir = p->file < 0 ? -1 : store_private_dir(run, PROBE_DIR, NULL);
	if (p->file < 0 || p->dir < 0)
		return ebt_fail(err, p->file < 0 ? -errno : p->dir,
			"%s: a file to try attributes on", p->s->path);
	return 0;
}

/* "PATH: @what of the file system of STORE (see @option): why" */
static int cannot(const struct probe *p, uint32_t i, int code, const char *what,
	const char *option, struct ebt_err *err)
{
	SCOPED_FREE char *path = store_entry_path(p->m, i);
	char shown[400], store[256];

	return ebt_fail(err, code, "%s: %s on the file system of %s (see %s)",
		text_name(path ? path : p->m->entries[i].name, shown, sizeof(shown)),
		what, text_name(p->s->path, store, sizeof(store)), option);
}

/* True if an attribute like @name was tried before. */
static bool was_tried(unsigned *tried, const char *name)
{
	bool was;

	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strncmp(name, kinds[k], strlen(kinds[k])) != 0)
			continue;
		was = *tried >> k & 1;
		*tried |= 1u << k;
		return was;
	}
	return false;
}

static int try_xattrs(struct probe *p, uint32_t i, struct ebt_err *err)
{
	const struct manifest_entry *e = &p->m->entries[i];
	struct reader r = reader_of(e->xattrs, e->xattrs_len);
	bool dir = e->kind == MANIFEST_DIR;
	struct fsio_xattr x;
	char what[64 + FSIO_XATTR_NAME];

	while (fsio_xattrs_next(&r, &x) == 1) {
		if (was_tried(&p->tried[dir], x.name))
			continue;
		if (fsetxattr(dir ? p->dir : p->file, x.name, x.value, x.len, 0) == 0)
			continue;
		snprintf(what, sizeof(what), "its attribute %s cannot be set", x.name);
		return cannot(p, i, -errno, what, "--no-xattrs", err);
	}
	return 0;
}

/* The first one that is not what new files are: all of them, or none, can be given away. */
static int try_owner(struct probe *p, const uint64_t *need, struct ebt_err *err)
{
	const struct manifest_entry *e = p->m->entries;
	struct stat st;
	char what[96];
	uint32_t i;
	int code;

	if (geteuid() != 0)
		return 0;
	if (fstat(p->file, &st) < 0)
		return ebt_fail(err, -errno, "%s: a file just made", p->s->path);
	for (i = 0; i < p->m->count; i++)
		if (!e[i].no_owner &&
			(e[i].uid != st.st_uid || e[i].gid != st.st_gid) &&
			(e[i].kind == MANIFEST_DIR || manifest_needed(need, i)))
			break;
	if (i == p->m->count)
		return 0;
	code = fchown(p->file, e[i].uid, e[i].gid) < 0 ? -errno : -ENOTSUP;
	if (code == -ENOTSUP && fstat(p->file, &st) == 0 && st.st_uid == e[i].uid &&
		st.st_gid == e[i].gid)
		return 0;
	snprintf(what, sizeof(what), "cannot be given to its owner %u:%u", e[i].uid,
		e[i].gid);
	return cannot(p, i, code, what, "--no-owner", err);
}

int store_can_hold(
	struct store *s, struct manifest *m, const uint64_t *need, struct ebt_err *err)
{
	SCOPED(probe_release) struct probe p = {.s = s, .m = m, .file = -1, .dir = -1};
	int r = probe_open(&p, err);

	if (r < 0)
		return r;
	fsio_times_find(p.file, &m->times);
	for (uint32_t i = 0; i < m->count && r == 0; i++)
		if (m->entries[i].xattrs_len && (m->entries[i].kind == MANIFEST_DIR ||
							manifest_needed(need, i)))
			r = try_xattrs(&p, i, err);
	return r < 0 ? r : try_owner(&p, need, err);
}
