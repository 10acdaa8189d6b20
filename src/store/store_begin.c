/* SPDX-License-Identifier: BSD-3-Clause */
/* Incoming trees: made, found again, removed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define INCOMING "incoming"

/* IDs come from records and from other nodes: nothing that could leave incoming. */
bool store_id_ok(const char *id)
{
	return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}

static int fail(const struct store *s, int code, const char *id, struct ebt_err *err)
{
	char shown[512];

	return ebt_fail(err, code, "%s/" STORE_OWN "/" INCOMING "/%s",
		text_name(s->path, shown, sizeof(shown)), id);
}

static int open_incoming(const struct store *s)
{
	int fd = openat(
		s->ebtfd, INCOMING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void store_close_run(struct store *s)
{
	scope_close(&s->runfd);
	s->runfd = -1;
	s->id[0] = '\0';
}

int store_open_run(struct store *s, const char *id, struct ebt_err *err)
{
	SCOPED_FD int incoming = -1;
	int fd;

	if (!store_id_ok(id))
		return fail(s, -EINVAL, "(bad ID)", err);
	if (s->runfd >= 0 && strcmp(s->id, id) == 0)
		return 0;
	incoming = open_incoming(s);
	if (incoming < 0)
		return fail(s, incoming, id, err);
	fd = openat(incoming, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(s, -errno, id, err);
	store_close_run(s);
	s->runfd = fd;
	strcpy(s->id, id);
	return 0;
}

int store_has_incoming(struct store *s, const char *id)
{
	SCOPED_FD int incoming = -1;
	char name[64];

	if (!store_id_ok(id))
		return -EINVAL;
	incoming = open_incoming(s);
	if (incoming < 0)
		return incoming == -ENOENT ? 0 : incoming;
	/*
	 * The manifest is the last thing that sealing writes and the first that goes.
	 */
	snprintf(name, sizeof(name), "%s/manifest", id);
	if (faccessat(incoming, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int store_begin(struct store *s, const char *id, int *treefd, struct ebt_err *err)
{
	SCOPED_FD int incoming = -1;
	SCOPED_FD int run = -1;
	SCOPED_FD int tree = -1;
	bool made;

	if (!store_id_ok(id))
		return fail(s, -EINVAL, "(bad ID)", err);
	incoming = store_private_dir(s->ebtfd, INCOMING, NULL);
	if (incoming < 0)
		return fail(s, incoming, id, err);
	run = store_private_dir(incoming, id, &made);
	if (run < 0 || !made)
		return fail(s, run < 0 ? run : -EEXIST, id, err);
	tree = store_private_dir(run, "tree", NULL);
	if (tree < 0)
		return fail(s, tree, id, err);
	s->takes_xattrs = fsetxattr(tree, "user.ebt", "", 0, 0) == 0;
	fremovexattr(tree, "user.ebt");
	store_close_run(s);
	s->runfd = TAKE_FD(run);
	strcpy(s->id, id);
	*treefd = TAKE_FD(tree);
	return 0;
}

bool store_takes_xattrs(const struct store *s)
{
	return s->takes_xattrs;
}

int store_remove_run(struct store *s, const char *id, struct ebt_err *err)
{
	SCOPED_FD int incoming = open_incoming(s);
	char name[64];

	if (incoming == -ENOENT)
		return 0;
	if (incoming < 0)
		return fail(s, incoming, id, err);
	if (strcmp(s->id, id) == 0)
		store_close_run(s);
	if (store_id_ok(id)) {
		snprintf(name, sizeof(name), "%s/manifest", id);
		if (unlinkat(incoming, name, 0) < 0 && errno != ENOENT &&
			errno != ENOTDIR)
			return fail(s, -errno, id, err);
		store_step(s);
	}
	return fsio_remove_tree(incoming, id, err);
}

struct cleaning {
	struct store *s;
	const char *keep;
	struct ebt_err *err;
	int failed; /* what removing said, and has put into err */
};

static int clean_one(void *arg, const char *name, unsigned char d_type)
{
	struct cleaning *c = arg;

	if (!c->keep || strcmp(name, c->keep) != 0)
		c->failed = store_remove_run(c->s, name, c->err);
	return c->failed;
}

int store_clean(struct store *s, const char *keep, struct ebt_err *err)
{
	struct cleaning c = {.s = s, .keep = keep, .err = err};
	SCOPED_FD int incoming = -1;
	char pending[33];
	int r;

	r = store_pending(s, pending, NULL, err);
	if (r < 0)
		return r;
	/* A record must not outlive what it speaks of. */
	if (pending[0] && (!keep || strcmp(pending, keep) != 0)) {
		r = store_record_drop(s, err);
		if (r < 0)
			return r;
	}
	r = fsio_save_clean(s->ebtfd);
	if (r < 0)
		return fail(s, r, "", err);
	incoming = open_incoming(s);
	if (incoming == -ENOENT)
		return 0;
	if (incoming < 0)
		return fail(s, incoming, "", err);
	r = fsio_list(incoming, clean_one, &c);
	return r < 0 && !c.failed ? fail(s, r, "", err) : r;
}

/* `.ebt` and DEST as far as this process made them and nothing was put there. */
static void remove_store(struct store *s)
{
	struct stat a, b;

	if (!s->made_ebt ||
		faccessat(s->ebtfd, "manifest", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	if (unlinkat(s->ebtfd, INCOMING, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return;
	/*
	 * The lock is held: who waits for it sees that its file has no name any more.
	 */
	unlinkat(s->ebtfd, "lock", 0);
	unlinkat(s->dirfd, STORE_OWN, AT_REMOVEDIR);
	if (s->made_dest && fstat(s->dirfd, &a) == 0 && stat(s->path, &b) == 0 &&
		a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		rmdir(s->path); /* refused if anybody put something there */
}

int store_abandon(struct store *s, const char *id, struct ebt_err *err)
{
	char pending[33];
	int r;

	if (!store_id_ok(id))
		return fail(s, -EINVAL, "(bad ID)", err);
	r = store_pending(s, pending, NULL, err);
	if (r == 0 && strcmp(pending, id) == 0)
		r = fail(s, -EBUSY, id, err);
	if (r == 0)
		r = store_remove_run(s, id, err);
	if (r == 0)
		remove_store(s);
	return r;
}
