/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whom a directory keeps out. Whoever owns it, or may write in it where no sticky bit keeps
 * everybody to his own, can rename what lies in it and put something else under the name.
 *
 * Three cases have no plain answer:
 *
 * - Write permission of the group. Where users have groups of their own, as on Debian and
 *   Red Hat, umask 002 gives it to everything they make, and nobody gets it. Such a group has
 *   the name of the owner, is his primary one and has no other member. Any other group lets
 *   somebody in, and so may an access control list, whose mask stands in these bits.
 * - A user namespace that knows only some users, as in a container without root. All the others
 *   are shown as one, root outside among them, who owns nearly every directory above.
 * - Mode 0700. What lies below such a directory of ours is out of reach of others, whatever its
 *   own mode is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

static bool read_number(const char *path, unsigned *n)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fscanf(f, "%u", n) == 1;

	if (f)
		fclose(f);
	return ok;
}

/* Does our user namespace leave out users? All 2^32 - 1 are known in the first one. */
static bool users_left_out(void)
{
	FILE *f = fopen("/proc/self/uid_map", "re");
	unsigned long long known = 0, n;

	if (!f)
		return false;
	while (fscanf(f, "%*u %*u %llu", &n) == 1)
		known += n;
	fclose(f);
	return known < UINT32_MAX;
}

bool store_stranger(uid_t uid)
{
	unsigned shown = 65534;

	if (uid == geteuid() || uid == 0)
		return false;
	if (!users_left_out())
		return true;
	read_number("/proc/sys/kernel/overflowuid", &shown);
	return uid != shown;
}

bool store_closed(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & 077);
}

/* The group of user @uid alone. */
static bool look_up(uid_t uid, gid_t gid)
{
	SCOPED_FREE char *users = NULL;
	SCOPED_FREE char *groups = NULL;
	struct passwd user, *pw = fsio_user(uid, &user, &users);
	struct group group, *gr = pw ? fsio_group(gid, &group, &groups) : NULL;

	if (!gr || pw->pw_gid != gid || strcmp(gr->gr_name, pw->pw_name) != 0)
		return false;
	for (char **member = gr->gr_mem; *member; member++)
		if (strcmp(*member, pw->pw_name) != 0)
			return false;
	return true;
}

/* The databases may be a server's: neighbours mostly have one owner and one group. */
static bool own_group(struct store_guard *g, uid_t uid, gid_t gid)
{
	if (!g->asked || g->uid != uid || g->gid != gid)
		g->own = look_up(uid, gid);
	g->asked = true;
	g->uid = uid;
	g->gid = gid;
	return g->own;
}

static bool has_acl(int dirfd, const char *name)
{
	char path[64 + NAME_MAX];

	/* There is no getxattrat(2) to rely on. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	return lgetxattr(path, "system.posix_acl_access", NULL, 0) >= 0 ||
	       (errno != ENODATA && errno != ENOTSUP);
}

enum store_danger store_danger(
	struct store_guard *g, int dirfd, const char *name, const struct stat *st)
{
	mode_t writers = st->st_mode & (S_IWGRP | S_IWOTH);

	/* Only root gives directories away. */
	if (store_stranger(st->st_uid) &&
		!(g->named && g->named->uid == st->st_uid && geteuid() == 0))
		return STORE_FOREIGN;
	if (g->named)
		writers &= ~g->named->mode;
	if (g->closed || st->st_mode & S_ISVTX || !writers)
		return STORE_SAFE;
	if (writers & S_IWOTH)
		return STORE_WORLD;
	return own_group(g, st->st_uid, st->st_gid) && !has_acl(dirfd, name)
		       ? STORE_SAFE
		       : STORE_GROUP;
}

int store_refuse(const char *path, const char *where, enum store_danger danger,
	const struct stat *st, struct ebt_err *err)
{
	char shown[320], there[320];

	text_name(path, shown, sizeof(shown));
	text_name(where, there, sizeof(there));
	if (strcmp(path, where) == 0)
		strcpy(there, "it");
	if (danger == STORE_FOREIGN)
		return ebt_failx(err, -EPERM,
			"%s: others could replace what is in it: %s belongs to user %u",
			shown, there, (unsigned)st->st_uid);
	if (danger == STORE_GROUP)
		return ebt_failx(err, -EPERM,
			"%s: others could replace what is in it: group %u may write to "
			"%s, "
			"which is not sticky (chmod g-w or chmod +t)",
			shown, (unsigned)st->st_gid, there);
	return ebt_failx(err, -EPERM,
		"%s: others could replace what is in it: all may write to %s, which is "
		"not "
		"sticky (chmod o-w or chmod +t)",
		shown, there);
}
