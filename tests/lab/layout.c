/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layouts as a program sets and reads them: from the byte offsets of the attribute alone.
 *
 *   layout create FILE OSTS [SIZE [PATTERN [OFFSET]]]  delayed creation, explicit list
 *   layout set FILE OSTS                               of a file that is there
 *   layout count FILE N [SIZE]                         delayed creation, V1 without a list
 *   layout empty FILE                                  delayed creation, no layout; write
 *   layout get PATH                                    magic size count offset: OSTs
 *   layout parts PATH PART...                          composite, of a new file, or the
 *                                                      default of a directory
 *   layout pool PATH POOL COUNT [OSTS]                 the same with one V3 layout
 *   layout drain FILE OSTS                             as one drained file: 1 MiB
 *   layout rename FROM TO FLAGS                        renameat2
 *
 * A PART is END:PATTERN:SIZE:COUNT:POOL[:OSTS]; END 0 is the end of the file, sizes are in KiB.
 * Of a composite layout `get` prints a line a part: flags, start, end (KiB), pattern, stripe
 * size (KiB), count, pool ("-" for none): OSTs.
 *
 * Prints "ok", or the call that failed and the name of its errno; status 0 for both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LOV "lustre.lov"

static unsigned char bytes[65536];

static void put(size_t at, uint64_t v, size_t len)
{
	memcpy(bytes + at, &v, len);
}

static uint64_t get(size_t at, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, bytes + at, len);
	return v;
}

static void must(const char *call, long r)
{
	if (r >= 0)
		return;
	printf("%s %s\n", call, strerrorname_np(errno));
	exit(0);
}

static int create(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOCTTY | FASYNC, 0644);

	must("open", fd);
	return fd;
}

/* V1, V3 with a pool, or SPECIFIC with a list, at @at. Its length. */
static size_t put_plain(size_t at, uint64_t pattern, uint64_t size, uint64_t count,
	const char *pool, char *list)
{
	size_t n = 0, head = list || *pool ? 48 : 32;

	put(at, list ? 0x0bd50bd0 : *pool ? 0x0bd30bd0 : 0x0bd10bd0, 4);
	put(at + 4, pattern, 4);
	put(at + 24, size, 4);
	put(at + 28, count, 2);
	put(at + 30, 0xffff, 2);
	if (head == 48)
		strncpy((char *)bytes + at + 32, pool, 15);
	for (char *ost; list && (ost = strsep(&list, ",")); n++)
		put(at + 48 + 24 * n + 20, strtoul(ost, NULL, 0), 4);
	return head + 24 * n;
}

static void set_bytes(const char *path, size_t len)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		must("set", setxattr(path, LOV, bytes, len, 0));
	else
		must("set", fsetxattr(create(path), LOV, bytes, len, 0));
}

static void set_parts(const char *path, int n, char **part)
{
	size_t len = 32 + 48 * (size_t)n;
	uint64_t start = 0;

	put(0, 0x0bd60bd0, 4);
	put(14, (uint64_t)n, 2);
	for (int k = 0; k < n; k++) {
		size_t entry = 32 + 48 * (size_t)k, size;
		uint64_t end = strtoull(strsep(&part[k], ":"), NULL, 0) << 10;
		uint64_t pattern = strtoull(strsep(&part[k], ":"), NULL, 0);
		uint64_t stripe = strtoull(strsep(&part[k], ":"), NULL, 0) << 10;
		uint64_t count = strtoull(strsep(&part[k], ":"), NULL, 0);
		const char *pool = strsep(&part[k], ":");

		size = put_plain(len, pattern, stripe, count, pool, part[k]);
		put(entry + 8, start, 8);
		put(entry + 16, end ? end : UINT64_MAX, 8);
		put(entry + 24, len, 4);
		put(entry + 28, size, 4);
		start = end;
		len += size;
	}
	put(4, len, 4);
	set_bytes(path, len);
}

static void set(int fd, char *list, uint64_t size, uint64_t pattern, uint64_t offset)
{
	size_t n = 0;

	put(0, 0x0bd50bd0, 4);
	put(4, pattern, 4);
	put(24, size, 4);
	put(30, offset, 2);
	for (char *ost; (ost = strsep(&list, ",")); n++)
		put(48 + 24 * n + 20, strtoul(ost, NULL, 0), 4);
	put(28, n, 2);
	must("set", fsetxattr(fd, LOV, bytes, 48 + 24 * n, 0));
}

static void show_parts(void)
{
	for (size_t k = 0; k < get(14, 2); k++) {
		size_t entry = 32 + 48 * k, at = get(entry + 24, 4);
		size_t end = at + get(entry + 28, 4);
		bool v3 = get(at, 4) == 0x0bd30bd0;

		printf("%#x %llu %llu %#x %llu %llu %s:", (unsigned)get(entry + 4, 4),
			(unsigned long long)get(entry + 8, 8) >> 10,
			(unsigned long long)(get(entry + 16, 8) + 1) >> 10,
			(unsigned)get(at + 4, 4),
			(unsigned long long)get(at + 24, 4) >> 10,
			(unsigned long long)get(at + 28, 2),
			v3 && bytes[at + 32] ? (char *)bytes + at + 32 : "-");
		for (at += v3 ? 48 : 32; at < end; at += 24)
			printf(" %u", (unsigned)get(at + 20, 4));
		printf("\n");
	}
	exit(0);
}

static void show(const char *path)
{
	ssize_t len = getxattr(path, LOV, bytes, sizeof(bytes));
	size_t head;

	must("get", len);
	if (get(0, 4) == 0x0bd60bd0)
		show_parts();
	head = get(0, 4) == 0x0bd10bd0 ? 32 : 48;
	printf("%#x %#x %u %u %#x:", (unsigned)get(0, 4), (unsigned)get(4, 4),
		(unsigned)get(24, 4), (unsigned)get(28, 2), (unsigned)get(30, 2));
	for (size_t at = head; at < (size_t)len; at += 24)
		printf(" %u", (unsigned)get(at + 20, 4));
	printf("\n");
	exit(0);
}

static void drain(const char *path, char *list)
{
	static char data[1 << 20];
	struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	char fresh[4096];
	struct stat st;
	int fd;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = create(fresh);
	set(fd, list, 1 << 20, 1, 0xffff);
	must("get", fgetxattr(fd, LOV, bytes, sizeof(bytes)));
	must("write", write(fd, data, sizeof(data)));
	must("futimens", futimens(fd, times));
	must("fstat", fstat(fd, &st));
	must("close", close(fd));
	must("rename", rename(fresh, path));
}

static uint64_t number(int argc, char **argv, int k, uint64_t usual)
{
	return k < argc ? strtoull(argv[k], NULL, 0) : usual;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "create") == 0 && argc > 3) {
		set(create(argv[2]), argv[3], number(argc, argv, 4, 1 << 20),
			number(argc, argv, 5, 1), number(argc, argv, 6, 0xffff));
	} else if (strcmp(what, "set") == 0 && argc > 3) {
		int fd = open(argv[2], O_WRONLY);

		must("open", fd);
		set(fd, argv[3], 1 << 20, 1, 0xffff);
	} else if (strcmp(what, "count") == 0 && argc > 3) {
		put(0, 0x0bd10bd0, 4);
		put(4, 1, 4);
		put(24, number(argc, argv, 4, 0), 4);
		put(28, number(argc, argv, 3, 0), 2);
		put(30, 0xffff, 2);
		must("set", fsetxattr(create(argv[2]), LOV, bytes, 32, 0));
	} else if (strcmp(what, "parts") == 0 && argc > 3) {
		set_parts(argv[2], argc - 3, argv + 3);
	} else if (strcmp(what, "pool") == 0 && argc > 4) {
		set_bytes(argv[2], put_plain(0, 1, 1 << 20, number(argc, argv, 4, 0),
					   argv[3], argc > 5 ? argv[5] : NULL));
	} else if (strcmp(what, "empty") == 0) {
		must("write", write(create(argv[2]), "x", 1));
	} else if (strcmp(what, "get") == 0) {
		show(argv[2]);
	} else if (strcmp(what, "drain") == 0 && argc > 3) {
		drain(argv[2], argv[3]);
	} else if (strcmp(what, "rename") == 0 && argc > 4) {
		must("rename", syscall(SYS_renameat2, AT_FDCWD, argv[2], AT_FDCWD,
				       argv[3], (unsigned)number(argc, argv, 4, 0)));
	} else {
		return 2;
	}
	printf("ok\n");
	return 0;
}
