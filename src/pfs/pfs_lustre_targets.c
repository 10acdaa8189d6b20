/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets by what a Lustre client shows of itself, to everybody, as files under
 * /sys/fs/lustre (older ones: /proc/fs/lustre):
 *
 *	osc/<fs>-OST<hex>-osc-<mount>/	kbytestotal kbytesavail filesfree statfs_state active
 *	lov/<fs>-clilov-<mount>/	target_obd
 *
 * Reading one asks the client, which asks the OST only where its figures are old and does not
 * wait for one that is gone: such a read fails, and the target's space is unknown. Only
 * where no target tells its space is liblustreapi asked, if there is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fsio/fsio.h"
#include "pfs/pfs_internal.h"

#define FILE_MAX   (4u << 20) /* bytes; target_obd has some 40 an OST */
#define NUMBER_MAX 65536      /* sysfs says 4096 or 65536, whatever there is */

struct search {
	char fs[PFS_FSNAME]; /* "" until the first name, where none was given */
	bool named;	     /* it was given */
	bool several;	     /* file systems were met without one */
	bool told;	     /* err is filled */
	int osc, lov;	     /* directories */
	struct pfs_list *list;
	struct ebt_err *err;
};

/* 1: read; 0: not there or not to be had; negative only when memory is short. */
static int read_text(int dir, const char *name, size_t max, struct buf *out)
{
	int r = fsio_load(dir, name, max, out, NULL);

	return r == -ENOMEM ? r : r == 0;
}

/* As read_text, and -EBADMSG. */
static int read_number(int dir, const char *name, uint64_t *v)
{
	SCOPED_BUF struct buf b = {0};
	int r = read_text(dir, name, NUMBER_MAX, &b);

	if (r > 0 && pfs_lustre_number(&b, v) < 0)
		return -EBADMSG;
	return r;
}

static int read_state(int dir, const char *name, unsigned *state)
{
	SCOPED_BUF struct buf b = {0};
	int r = read_text(dir, name, NUMBER_MAX, &b);

	if (r > 0 && pfs_lustre_state(&b, state) < 0)
		return -EBADMSG;
	return r;
}

static int read_bytes(int dir, const char *name, uint64_t *bytes)
{
	uint64_t kb;
	int r = read_number(dir, name, &kb);

	if (r <= 0)
		return r;
	return __builtin_mul_overflow(kb, (uint64_t)1024, bytes) ? -EBADMSG : 1;
}

/* The file at fault, on failure, in *file. */
static int read_osc(int dir, struct pfs_target *t, const char **file)
{
	uint64_t active = 1, inodes = 1;
	unsigned state = 0;
	int avail, total, r;

	r = read_number(dir, *file = "active", &active);
	if (r < 0)
		return r;
	r = read_state(dir, *file = "statfs_state", &state);
	if (r < 0)
		return r;
	r = read_number(dir, *file = "filesfree", &inodes);
	if (r < 0)
		return r;
	total = read_bytes(dir, *file = "kbytestotal", &t->total);
	if (total < 0)
		return total;
	avail = read_bytes(dir, *file = "kbytesavail", &t->avail);
	if (avail < 0)
		return avail;
	t->state = state | (active ? 0 : PFS_INACTIVE);
	if (!total || !avail) {
		t->total = t->avail = 0;
		t->state |= PFS_UNKNOWN;
	} else if (inodes == 0) {
		t->state |= PFS_NOINODES;
	}
	return 0;
}

static int fail(struct search *s, int code, const char *folder, const char *name,
	const char *file)
{
	s->told = true;
	return ebt_fail(s->err, code, "%s/%s/%s", folder, name, file);
}

static int add_osc(void *arg, const char *name, unsigned char d_type)
{
	struct search *s = arg;
	struct pfs_target t = {0};
	char fs[PFS_FSNAME];
	const char *file = "";
	SCOPED_FD int dir = -1;
	int r;

	if (!pfs_lustre_osc_name(name, fs, &t.index))
		return 0;
	if (!s->fs[0])
		strcpy(s->fs, fs);
	if (strcmp(s->fs, fs) != 0) {
		s->several = !s->named;
		return 0;
	}
	dir = openat(s->osc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	r = read_osc(dir, &t, &file);
	if (r < 0)
		return fail(s, r, "osc", name, file);
	r = pfs_list_add(s->list, &t);
	return r < 0 ? fail(s, r, "osc", name, "") : 0;
}

static int add_lov(void *arg, const char *name, unsigned char d_type)
{
	static const char middle[] = "-clilov-";
	SCOPED_BUF struct buf b = {0};
	struct search *s = arg;
	size_t len = strlen(s->fs);
	SCOPED_FD int dir = -1;
	int r;

	if (strncmp(name, s->fs, len) != 0 ||
		strncmp(name + len, middle, strlen(middle)) != 0)
		return 0;
	dir = openat(s->lov, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? 0 : read_text(dir, "target_obd", FILE_MAX, &b);
	if (r > 0)
		r = pfs_lustre_target_obd(&b, s->list);
	return r < 0 ? fail(s, r, "lov", name, "target_obd") : 0;
}

int pfs_lustre_tree(
	const char *root, const char *fs, struct pfs_list *l, struct ebt_err *err)
{
	struct search s = {.named = fs[0], .list = l, .err = err};
	SCOPED_FD int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FD int osc = -1, lov = -1;
	int r = 0;

	if (dir < 0)
		return 0;
	memcpy(s.fs, fs, strlen(fs) + 1);
	s.osc = osc = openat(dir, "osc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (osc >= 0)
		r = fsio_list(osc, add_osc, &s);
	s.lov = lov = openat(dir, "lov", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lov >= 0 && r == 0 && s.fs[0])
		r = fsio_list(lov, add_lov, &s);
	if (s.several)
		pfs_list_release(l);
	return r < 0 && !s.told ? ebt_fail(err, r, "list %s", root) : r;
}

void pfs_lustre_find_fs(const char *path, char fs[PFS_FSNAME])
{
	SCOPED_BUF struct buf b = {0};
	SCOPED_FREE char *real = realpath(path, NULL);
	char source[PATH_MAX];
	struct stat st;

	fs[0] = '\0';
	if (!real || stat(real, &st) < 0)
		return;
	if (fsio_load(AT_FDCWD, "/proc/self/mountinfo", FILE_MAX, &b, NULL) < 0)
		return;
	buf_put8(&b, 0);
	if (buf_ok(&b) &&
		pfs_mount_source((const char *)b.data, major(st.st_dev),
			minor(st.st_dev), real, source, sizeof(source)) &&
		!pfs_lustre_fsname(source, fs))
		fs[0] = '\0';
}

/* A tree that the environment names counts even where no mount tells whose it is. */
static int read_trees(const char *path, struct pfs_list *l, struct ebt_err *err)
{
	const char *given = getenv("EBT_LUSTRE_SYSFS");
	char fs[PFS_FSNAME];
	int r;

	pfs_lustre_find_fs(path, fs);
	if (given && access(given, R_OK | X_OK) < 0)
		return ebt_fail(err, -errno, "EBT_LUSTRE_SYSFS=%s", given);
	if (given)
		return pfs_lustre_tree(given, fs, l, err);
	if (!fs[0])
		return 0;
	r = pfs_lustre_tree("/sys/fs/lustre", fs, l, err);
	return r < 0 ? r : pfs_lustre_tree("/proc/fs/lustre", fs, l, err);
}

int pfs_lustre_targets(const char *path, struct pfs_targets **out, struct ebt_err *err)
{
	SCOPED_LIST struct pfs_list list = {0};
	int r = read_trees(path, &list, err);

	if (r < 0)
		return r;
	r = pfs_list_finish(&list, out);
	if (r == 0) {
		pfs_list_release(&list);
		r = pfs_lustre_llapi(path, &list, err);
		if (r < 0)
			return r;
		r = pfs_list_finish(&list, out);
	}
	return r < 0 ? ebt_fail(err, r, "targets of %s", path) : r;
}
