/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much may be put into a tmpfs. What the machine has is one bound; a batch system
 * often sets a narrower one by a memory cgroup, and running into that kills the job.
 * Page cache counts as used there although the kernel gives it up when pressed, and a
 * job that just read its input has plenty: file pages are therefore counted as free.
 * The pages of tmpfs itself are not among them ("file" LRU lists hold no shared
 * memory).
 */
#include "fsio/fsio_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/scope.h"

/* Names of the files of one cgroup version. */
struct cgroup_files {
	const char *fs_type, *limit, *usage, *inactive, *active;
};
static const struct cgroup_files cgroup_v2 = {
	"cgroup2", "memory.max", "memory.current", "inactive_file", "active_file"};
static const struct cgroup_files cgroup_v1 = {"cgroup", "memory.limit_in_bytes",
	"memory.usage_in_bytes", "total_inactive_file", "total_active_file"};

static void file_close(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define SCOPED_FILE SCOPED(file_close)

static FILE *open_below(const char *root, const char *dir, const char *name)
{
	char path[2 * PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s/%s", root, dir, name);

	return n < (int)sizeof(path) ? fopen(path, "re") : NULL;
}

/*
 * The number in a file of one number; false if there is none ("max") or no such file.
 */
static bool read_number(
	const char *root, const char *dir, const char *name, uint64_t *out)
{
	SCOPED_FILE FILE *f = open_below(root, dir, name);
	unsigned long long v;

	if (!f || fscanf(f, "%llu", &v) != 1)
		return false;
	*out = v;
	return true;
}

/* The number after @key at the start of a line; 0 if it is not there. */
static uint64_t read_key(
	const char *root, const char *dir, const char *name, const char *key)
{
	SCOPED_FILE FILE *f = open_below(root, dir, name);
	size_t len = strlen(key);
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, len) == 0 &&
			(line[len] == ' ' || line[len] == ':'))
			return strtoull(line + len + 1, NULL, 10);
	return 0;
}

/* Lower *bytes to what the cgroup in directory @dir has left. */
static void bound_by_group(const char *root, const char *dir,
	const struct cgroup_files *v, uint64_t *bytes)
{
	uint64_t limit, used, cache, left;

	if (!read_number(root, dir, v->limit, &limit) ||
		!read_number(root, dir, v->usage, &used))
		return;
	cache = read_key(root, dir, "memory.stat", v->inactive) +
		read_key(root, dir, "memory.stat", v->active);
	used -= cache < used ? cache : used;
	left = limit > used ? limit - used : 0;
	if (left < *bytes)
		*bytes = left;
}

static bool has_word(char *list, const char *word)
{
	char *save = NULL, *w;

	for (w = strtok_r(list, ",\n", &save); w; w = strtok_r(NULL, ",\n", &save))
		if (strcmp(w, word) == 0)
			return true;
	return false;
}

/*
 * Where cgroups of version @v that limit memory are mounted, and what of them is seen
 * there.
 */
static bool find_mount(const char *root, const struct cgroup_files *v,
	char at[PATH_MAX], char seen[PATH_MAX])
{
	SCOPED_FILE FILE *f = open_below(root, "/proc/self", "mountinfo");
	char line[3 * PATH_MAX], type[64], options[1024];
	char *rest;

	/* id parent dev root point options [tags...] - type source options, proc(5) */
	while (f && fgets(line, sizeof(line), f)) {
		rest = strstr(line, " - ");
		if (!rest || sscanf(rest, " - %63s %*s %1023s", type, options) != 2 ||
			strcmp(type, v->fs_type) != 0)
			continue;
		if (v == &cgroup_v1 && !has_word(options, "memory"))
			continue;
		if (sscanf(line, "%*s %*s %*s %4095s %4095s", seen, at) == 2)
			return true;
	}
	return false;
}

/* Our cgroup in hierarchy @v: "0::/path", or "4:memory:/path" of version 1. */
static bool find_group(
	const char *root, const struct cgroup_files *v, char group[PATH_MAX])
{
	SCOPED_FILE FILE *f = open_below(root, "/proc/self", "cgroup");
	char line[2 * PATH_MAX], *list, *path;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (!path || strlen(path + 1) >= PATH_MAX)
			continue;
		*path++ = '\0';
		list++;
		if (v == &cgroup_v2 ? *list == '\0' : has_word(list, "memory")) {
			strcpy(group, path);
			return true;
		}
	}
	return false;
}

/* Our cgroup and its parents, as far as they are visible here. */
static void bound_by_groups(
	const char *root, const struct cgroup_files *v, uint64_t *bytes)
{
	char at[PATH_MAX], seen[PATH_MAX], group[PATH_MAX], dir[2 * PATH_MAX];
	const char *below;
	size_t len, base;

	if (!find_mount(root, v, at, seen) || !find_group(root, v, group))
		return;
	/*
	 * In a container a part of the hierarchy may be mounted: drop the part above
	 * it.
	 */
	len = strcmp(seen, "/") == 0 ? 0 : strlen(seen);
	below = strncmp(group, seen, len) == 0 ? group + len : "";
	base = strlen(at);
	snprintf(dir, sizeof(dir), "%s%s", at, below);
	for (;;) {
		bound_by_group(root, dir, v, bytes);
		len = strlen(dir);
		while (len > base && dir[len - 1] != '/')
			len--;
		if (len <= base)
			break;
		dir[len - 1] = '\0';
	}
}

int fsio_free_memory_below(const char *root, uint64_t *bytes)
{
	uint64_t kib = read_key(root, "/proc", "meminfo", "MemAvailable");

	if (kib == 0)
		return -ENOENT;
	*bytes = kib * 1024;
	bound_by_groups(root, &cgroup_v2, bytes);
	bound_by_groups(root, &cgroup_v1, bytes);
	return 0;
}

int fsio_free_memory(uint64_t *bytes)
{
	return fsio_free_memory_below("", bytes);
}

bool fsio_in_memory(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 &&
	       (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC);
}

/* Of statfs(2), where <linux/magic.h> has none. */
#define ZFS_MAGIC      0x2fc12fc1
#define BCACHEFS_MAGIC 0xca451a4e
#define JFS_MAGIC      0x3153464a

bool fsio_is_local(int fd)
{
	static const unsigned long local[] = {TMPFS_MAGIC, RAMFS_MAGIC,
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
		OVERLAYFS_SUPER_MAGIC, REISERFS_SUPER_MAGIC, NILFS_SUPER_MAGIC,
		MSDOS_SUPER_MAGIC, ZFS_MAGIC, BCACHEFS_MAGIC, JFS_MAGIC};
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		if ((uint32_t)st.f_type == local[i])
			return true;
	}
	return false;
}

int fsio_boot_id(char boot[40])
{
	SCOPED_FD int fd =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fsio_read(fd, boot, 36, 0);
	if (n != 36)
		return n < 0 ? (int)n : -EIO;
	boot[36] = '\0';
	return 0;
}
