/* SPDX-License-Identifier: BSD-3-Clause */
/* Incoming trees: made and removed, and with the last one what we put into a store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

int store_begin(struct store *s, const char *id, int *treefd, struct ebt_err *err)
{
	SCOPED_FD int incoming = -1;
	SCOPED_FD int run = -1;
	SCOPED_FD int tree = -1;
	bool made;
	int r;

	if (!store_id_ok(id))
		return store_fail_run(s, -EINVAL, "(bad ID)", err);
	incoming = store_private_dir(s->ebtfd, STORE_INCOMING, NULL);
	if (incoming < 0)
		return store_fail_run(s, incoming, id, err);
	run = store_private_dir(incoming, id, &made);
	if (run < 0 || !made)
		return store_fail_run(s, run < 0 ? run : -EEXIST, id, err);
	tree = store_private_dir(run, "tree", NULL);
	r = tree < 0 ? tree : store_make_trial(run);
	if (r < 0)
		return store_fail_run(s, r, id, err);
	store_close_run(s);
	s->runfd = TAKE_FD(run);
	strcpy(s->id, id);
	*treefd = TAKE_FD(tree);
	return 0;
}

/* What run @id left in the store when it died in a trial: nothing, or one empty directory. */
static int end_trial(struct store *s, int incoming, const char *id, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	char name[64];
	int r;

	if (store_has_incoming(s, id) != 1 || store_trial_is_home(incoming, id))
		return 0;
	snprintf(name, sizeof(name), "%s/manifest", id);
	/* Damaged, it leads nowhere. */
	if (manifest_load_in(store_room(s), incoming, name, &m, NULL) < 0)
		return 0;
	r = store_end_trial(s, m, id);
	return r < 0 ? store_fail_run(s, r, id, err) : 0;
}

int store_remove_run(struct store *s, const char *id, struct ebt_err *err)
{
	SCOPED_FD int incoming = store_open_incoming(s);
	char name[64];
	int r;

	if (incoming == -ENOENT)
		return 0;
	if (incoming < 0)
		return store_fail_run(s, incoming, id, err);
	if (strcmp(s->id, id) == 0)
		store_close_run(s);
	if (store_id_ok(id)) {
		r = end_trial(s, incoming, id, err);
		if (r < 0)
			return r;
		snprintf(name, sizeof(name), "%s/manifest", id);
		if (unlinkat(incoming, name, 0) < 0 && errno != ENOENT &&
			errno != ENOTDIR)
			return store_fail_run(s, -errno, id, err);
		store_step(s);
	}
	return fsio_remove_tree_until(incoming, id, s->enough, s->enough_arg, err);
}

void store_limit_removal(struct store *s, bool (*enough)(void *arg), void *arg)
{
	s->enough = enough;
	s->enough_arg = arg;
}

struct cleaning {
	struct store *s;
	const char *keep;
	struct ebt_err *err;
	int said; /* what removing said, and has put into err */
};

static int clean_one(void *arg, const char *name, unsigned char d_type)
{
	struct cleaning *c = arg;

	if (!c->keep || strcmp(name, c->keep) != 0)
		c->said = store_remove_run(c->s, name, c->err);
	return c->said;
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
		return store_fail_run(s, r, "", err);
	incoming = store_open_incoming(s);
	if (incoming == -ENOENT)
		return 0;
	if (incoming < 0)
		return store_fail_run(s, incoming, "", err);
	r = fsio_list(incoming, clean_one, &c);
	return r < 0 && !c.said ? store_fail_run(s, r, "", err) : r;
}

/* `.ebt` as far as this process made it and nothing was put there. */
static void remove_store(struct store *s)
{
	if (!s->made_ebt ||
		faccessat(s->ebtfd, "manifest", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	if (unlinkat(s->ebtfd, STORE_INCOMING, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return;
	/*
	 * The lock is held: who waits for it sees that its file has no name any more.
	 */
	unlinkat(s->ebtfd, "lock", 0);
	s->gone = unlinkat(s->dirfd, STORE_OWN, AT_REMOVEDIR) == 0;
}

bool store_unmake(struct store *s)
{
	return (s->gone || !store_locked(s)) && store_way_unmake(&s->way);
}

int store_abandon(struct store *s, const char *id, struct ebt_err *err)
{
	char pending[33];
	int r;

	if (!store_id_ok(id))
		return store_fail_run(s, -EINVAL, "(bad ID)", err);
	r = store_pending(s, pending, NULL, err);
	if (r == 0 && strcmp(pending, id) == 0)
		r = store_fail_run(s, -EBUSY, id, err);
	if (r == 0)
		r = store_remove_run(s, id, err);
	if (r == 0)
		remove_store(s);
	if (r == 0)
		store_unmake(s);
	return r;
}
