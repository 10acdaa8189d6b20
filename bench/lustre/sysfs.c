/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of /sys/fs/lustre that tells which OSTs there are and what room they have, as
 * plain files:
 *
 *   lov/FS-clilov-X/target_obd            "0: FS-OST0000_UUID ACTIVE", a line an OST
 *   lov/FS-clilov-X/target_obds/...       links to the folders of osc
 *   lov/FS-clilov-X/pools/NAME            "FS-OST0000_UUID", a line an OST of the pool
 *   osc/FS-OST0000-osc-X/kbytesavail ...  statfs_state: letters, as the kernel prints it
 *
 * Files are replaced as a whole and only when they change, so a reader never sees half.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "emul.h"

#define LOV_DIR "lov/" EMUL_FS "-clilov-" EMUL_INSTANCE
#define TEXT	4096

static int put(int dir, const char *name, const char *text)
{
	char old[TEXT], fresh[300];
	size_t len = strlen(text);
	SCOPED_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, old, sizeof(old)) == (ssize_t)len &&
		memcmp(old, text, len) == 0)
		return 0;
	scope_close(&fd);
	snprintf(fresh, sizeof(fresh), "%s.new", name);
	fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len ||
		renameat(dir, fresh, dir, name) < 0)
		return -errno;
	return 0;
}

static int put_number(int dir, const char *name, uint64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 "\n", n);
	return put(dir, name, text);
}

static int folder(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const char *state_of(unsigned faults, bool full, char *out)
{
	snprintf(out, 8, "%s%s%s\n", faults & OST_DEGRADED ? "D" : "",
		faults & OST_READONLY ? "R" : "", full ? "S" : "");
	return out;
}

static int write_ost(struct ost *o, int dir)
{
	uint64_t available = ost_available(o), used, capacity, objects;
	unsigned faults;
	char text[64];
	int r = 0;

	pthread_mutex_lock(&o->lock);
	used = o->used;
	capacity = o->capacity;
	objects = o->objects;
	faults = o->faults;
	pthread_mutex_unlock(&o->lock);
	r |= put_number(dir, "kbytestotal", capacity / 1024);
	r |= put_number(dir, "kbytesfree", available ? (capacity - used) / 1024 : 0);
	r |= put_number(dir, "kbytesavail", available / 1024);
	r |= put_number(dir, "filestotal", available / 4096 + objects);
	r |= put_number(dir, "filesfree", available / 4096);
	r |= put_number(dir, "active", !(faults & OST_INACTIVE));
	r |= put(dir, "statfs_state", state_of(faults, !available, text));
	r |= put(dir, "ost_conn_uuid", EMUL_SERVER "\n");
	snprintf(text, sizeof(text), EMUL_FS "-OST%04x_UUID\n", o->index);
	r |= put(dir, "ost_server_uuid", text);
	return r ? -EIO : 0;
}

static int write_pool(const struct emul *e, const struct pool *p, int dir)
{
	SCOPED_FREE char *list = calloc(e->n_osts + 1, 64);
	size_t at = 0;

	if (!list)
		return -ENOMEM;
	for (unsigned k = 0; k < e->n_osts; k++)
		if (p->has[k])
			at += (size_t)snprintf(
				list + at, 64, EMUL_FS "-OST%04x_UUID\n", k);
	return put(dir, p->name, list);
}

int sysfs_write(struct emul *e)
{
	SCOPED_LOCK(&e->sysfs_lock);
	SCOPED_FREE char *list = calloc(e->n_osts + 1, 64);
	SCOPED_FD int top = open(e->sysfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FD int lovs = top < 0 ? -1 : folder(top, "lov");
	SCOPED_FD int oscs = top < 0 ? -1 : folder(top, "osc");
	SCOPED_FD int lov = top < 0 ? -1 : folder(top, LOV_DIR);
	SCOPED_FD int pools = lov < 0 ? -1 : folder(lov, "pools");
	SCOPED_FD int links = lov < 0 ? -1 : folder(lov, "target_obds");
	size_t at = 0;
	int r = 0;

	if (e->sw.state_stale)
		return 0;
	if (!list || lovs < 0 || pools < 0 || links < 0 || oscs < 0)
		return -EIO;
	for (unsigned k = 0; k < e->n_osts && r == 0; k++) {
		char name[64], target[96];
		SCOPED_FD int dir = -1;

		snprintf(name, sizeof(name), EMUL_FS "-OST%04x-osc-" EMUL_INSTANCE, k);
		snprintf(target, sizeof(target), "../../../osc/%s", name);
		dir = folder(oscs, name);
		if (dir < 0 || (symlinkat(target, links, name) < 0 && errno != EEXIST))
			return -EIO;
		r = write_ost(&e->osts[k], dir);
		at += (size_t)snprintf(list + at, 64,
			"%u: " EMUL_FS "-OST%04x_UUID %s\n", k, k,
			e->osts[k].faults & OST_INACTIVE ? "INACTIVE" : "ACTIVE");
	}
	for (unsigned k = 0; k < e->n_pools && r == 0; k++)
		r = write_pool(e, &e->pool[k], pools);
	return r == 0 ? put(lov, "target_obd", list) : r;
}
