/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio_internal.h"
#include "suite.h"

/* A machine as /proc and /sys/fs/cgroup would show it, in a directory. */
static void put(const char *root, const char *dir, const char *name, const char *text)
{
	char path[512];
	size_t at = strlen(root);

	snprintf(path, sizeof(path), "%s%s/", root, dir);
	for (char *slash; (slash = strchr(path + at + 1, '/'));
		at = (size_t)(slash - path)) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	SCOPED_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(fsio_save(fd, name, text, strlen(text), NULL), 0);
}

static void machine(const char *root)
{
	put(root, "/proc", "meminfo", "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n");
}

static uint64_t free_memory(const char *root)
{
	uint64_t bytes = 42;

	CU_ASSERT_EQUAL(fsio_free_memory_below(root, &bytes), 0);
	return bytes;
}

static void without_cgroups_the_machine_decides(void)
{
	char root[64];
	close(suite_tmpdir(root));
	uint64_t bytes = 42;

	CU_ASSERT_EQUAL(fsio_free_memory_below(root, &bytes), -ENOENT);
	CU_ASSERT_EQUAL(bytes, 42);
	machine(root);
	CU_ASSERT_EQUAL(free_memory(root), 1000 * 1024);
}

static void v2(const char *root, const char *seen)
{
	char line[256];

	machine(root);
	snprintf(line, sizeof(line),
		"22 1 0:21 / /proc rw - proc proc rw\n"
		"30 23 0:26 %s /cg rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
		seen);
	put(root, "/proc/self", "mountinfo", line);
	put(root, "/proc/self", "cgroup", "0::/jobs/j1/step\n");
}

static void the_narrowest_parent_decides(void)
{
	char root[64];
	close(suite_tmpdir(root));

	v2(root, "/");
	put(root, "/cg/jobs/j1/step", "memory.max", "max\n");
	put(root, "/cg/jobs/j1/step", "memory.current", "5000\n");
	put(root, "/cg/jobs/j1", "memory.max", "100000\n");
	put(root, "/cg/jobs/j1", "memory.current", "30000\n");
	put(root, "/cg/jobs", "memory.max", "900000\n");
	put(root, "/cg/jobs", "memory.current", "0\n");
	CU_ASSERT_EQUAL(free_memory(root), 70000);
}

static void page_cache_counts_as_free(void)
{
	char root[64];
	close(suite_tmpdir(root));

	v2(root, "/");
	put(root, "/cg/jobs/j1", "memory.max", "100000\n");
	put(root, "/cg/jobs/j1", "memory.current", "100000\n");
	put(root, "/cg/jobs/j1", "memory.stat",
		"anon 1\nfile 60000\nshmem 20000\ninactive_file 30000\nactive_file "
		"10000\n");
	CU_ASSERT_EQUAL(free_memory(root), 40000);
}

static void a_group_over_its_limit_has_nothing_left(void)
{
	char root[64];
	close(suite_tmpdir(root));

	v2(root, "/");
	put(root, "/cg/jobs/j1/step", "memory.max", "1000\n");
	put(root, "/cg/jobs/j1/step", "memory.current", "5000\n");
	CU_ASSERT_EQUAL(free_memory(root), 0);
}

static void in_a_container_the_mount_shows_a_part(void)
{
	char root[64];
	close(suite_tmpdir(root));

	v2(root, "/jobs/j1");
	put(root, "/cg/step", "memory.max", "3000\n");
	put(root, "/cg/step", "memory.current", "1000\n");
	CU_ASSERT_EQUAL(free_memory(root), 2000);
}

static void version_one_is_understood(void)
{
	char root[64];
	close(suite_tmpdir(root));

	machine(root);
	put(root, "/proc/self", "mountinfo",
		"32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
		"35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n");
	put(root, "/proc/self", "cgroup", "4:cpu,memory:/slurm/j1\n0::/\n");
	put(root, "/cg/memory/slurm", "memory.limit_in_bytes", "50000\n");
	put(root, "/cg/memory/slurm", "memory.usage_in_bytes", "20000\n");
	put(root, "/cg/memory/slurm", "memory.stat", "total_inactive_file 5000\n");
	CU_ASSERT_EQUAL(free_memory(root), 35000);
}

static void the_real_machine_has_some(void)
{
	uint64_t bytes = 0;

	CU_ASSERT_EQUAL(fsio_free_memory(&bytes), 0);
	CU_ASSERT_TRUE(bytes > 0);
}

static const struct test tests[] = {
	TEST(without_cgroups_the_machine_decides),
	TEST(the_narrowest_parent_decides),
	TEST(page_cache_counts_as_free),
	TEST(a_group_over_its_limit_has_nothing_left),
	TEST(in_a_container_the_mount_shows_a_part),
	TEST(version_one_is_understood),
	TEST(the_real_machine_has_some),
};
SUITE("fsio_memory", tests)
