/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which targets a pool has, from one text file a pool:
 *
 *	lov/<fs>-clilov-<mount>/pools/<pool>	<fs>-OST0007_UUID, a line a target
 *
 * Clients show it under /proc/fs/lustre, newer ones under /sys/fs/lustre or, for root alone,
 * in debugfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fsio/fsio.h"
#include "pfs/pfs_internal.h"

#define FILE_MAX (4u << 20) /* bytes */

struct search {
	const char *fs, *pool;
	int lov;
	struct pfs_list *list;
	char first[PFS_FSNAME]; /* file system of the first that was found */
	bool several;		/* of different file systems: which one is not known */
	struct ebt_err *err;
};

bool pfs_pool_name_ok(const char *pool)
{
	size_t len = strlen(pool);

	return len > 0 && len < PFS_POOL_NAME && pool[0] != '.' && !strchr(pool, '/');
}

static int add_lov(void *arg, const char *name, unsigned char d_type)
{
	struct search *s = arg;
	const char *middle = strstr(name, "-clilov-");
	size_t len = middle ? (size_t)(middle - name) : 0;
	SCOPED_BUF struct buf b = {0};
	char path[512];
	int r;

	if (len == 0 || len >= PFS_FSNAME)
		return 0;
	if (*s->fs && (strlen(s->fs) != len || memcmp(name, s->fs, len) != 0))
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/pools/%s", name, s->pool) >=
		sizeof(path))
		return 0;
	r = fsio_load(s->lov, path, FILE_MAX, &b, NULL);
	if (r < 0)
		return r == -ENOMEM ? ebt_fail(s->err, r, "lov/%s", path) : 0;
	if (*s->first && (strlen(s->first) != len || memcmp(name, s->first, len) != 0))
		s->several = true;
	memcpy(s->first, name, len);
	r = pfs_lustre_pool_text(&b, s->list);
	return r < 0 ? ebt_fail(s->err, r, "lov/%s", path) : 0;
}

int pfs_lustre_pool_tree(const char *root, const char *fs, const char *pool,
	struct pfs_list *l, struct ebt_err *err)
{
	SCOPED_FD int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FD int lov =
		dir < 0 ? -1 : openat(dir, "lov", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct search s = {.fs = fs, .pool = pool, .lov = lov, .list = l, .err = err};
	int r = lov < 0 ? 0 : fsio_list(lov, add_lov, &s);

	if (s.several)
		pfs_list_release(l);
	return r;
}

static bool among(const struct pfs_list *l, uint32_t index)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].index == index)
			return true;
	return false;
}

int pfs_lustre_pool(const char *path, const char *pool, const struct pfs_targets *t,
	bool *in, struct ebt_err *err)
{
	static const char *const usual[] = {
		"/sys/fs/lustre", "/proc/fs/lustre", "/sys/kernel/debug/lustre"};
	const char *given = getenv("EBT_LUSTRE_SYSFS");
	SCOPED_LIST struct pfs_list list = {0};
	char fs[PFS_FSNAME];
	int r = 0;

	if (!pfs_pool_name_ok(pool))
		return 0;
	pfs_lustre_find_fs(path, fs);
	if (given)
		r = pfs_lustre_pool_tree(given, fs, pool, &list, err);
	for (size_t i = 0; !given && *fs && r == 0 && list.n == 0 &&
			   i < sizeof(usual) / sizeof(usual[0]);
		i++)
		r = pfs_lustre_pool_tree(usual[i], fs, pool, &list, err);
	if (r < 0 || list.n == 0)
		return r;
	for (size_t i = 0; i < t->count; i++)
		in[i] = among(&list, t->target[i].index);
	return 1;
}
