/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An environment as of `import` of a large package in DIR and, in TRACE, what one process
 * asks for during the import (import_trace.h; import_storm replays it).
 *
 * The published counts (below) come from a FUSE file system under `import torch` in 2 nodes,
 * measured with the kernel's caches off; there every step of the kernel along a path counts as
 * a getattr, so that 93 to 95 % of all calls are such, most of them of parent directories. The
 * share here, counted alike, is in the result.
 *
 * SCALE divides numbers of paths, not sizes of files. MEAN is the size of files that are not
 * read, which nobody published.
 */
#include "import_trace.h"
#include "random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Per process, as published for 12 processes a node: an environment of 44,262 paths, of which
 * 2,350 are touched; 559 names that do not exist; 690 .pyc, 27 .so and 11 .py read, 36.6 MB
 * without libraries above 10 MiB. How the bytes divide is assumed. 96 directories are listed:
 * 2,304 in 2 nodes by 12 processes each.
 */
#define PATHS	  44262
#define TOUCHED	  2350
#define MISSING	  559
#define PYC	  690
#define SO	  27
#define PY	  11
#define LISTED	  96
#define PYC_BYTES 20000
#define SO_BYTES  830000
#define PY_BYTES  20000

#define MODULES 8 /* of a package that nobody imports */
#define SITES	5

/* sys.path; the second one is missing, as in every Python. */
static const char *const sites[SITES] = {"app", "lib/python311.zip", "lib/python3.11",
	"lib/python3.11/lib-dynload", "lib/python3.11/site-packages"};

struct maker {
	const char *root;
	FILE *trace; /* NULL while the tree is made */
	long scale, mean;
	long made;   /* paths */
	long extra;  /* files that are looked at and not read */
	long others; /* packages that nobody imports */
	long steps, calls;
};

static void stop(const char *what, const char *name)
{
	fprintf(stderr, "import_make: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

static char *room(size_t len)
{
	char *p = malloc(len ? len : 1);

	if (!p)
		stop("memory for", "content");
	return p;
}

static long scaled(const struct maker *m, long n)
{
	return (n + m->scale / 2) / m->scale > 0 ? (n + m->scale / 2) / m->scale : 1;
}

/* The share of item @k of @of in @n things. */
static long share(long n, long k, long of)
{
	return n * (k + 1) / of - n * k / of;
}

static void make_dir(struct maker *m, const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + strlen(m->root) + 1, '/');;
		slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = 0;
		if (mkdir(part, 0755) == 0)
			m->made++;
		else if (errno != EEXIST)
			stop("mkdir", part);
		if (!slash)
			return;
		*slash = '/';
	}
}

static uint64_t seed_of(const char *path)
{
	return digest_of(path, strlen(path));
}

static void make_file(struct maker *m, const char *path, const char *rel, long size)
{
	char dir[PATH_MAX], *data;
	int fd;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = 0;
	make_dir(m, dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return;
	if (fd < 0)
		stop("create", path);
	data = room((size_t)size);
	fill_random(seed_of(rel), data, (size_t)size);
	for (long at = 0, n; at < size; at += n) {
		n = write(fd, data + at, (size_t)(size - at));
		if (n <= 0)
			stop("write", path);
	}
	free(data);
	if (close(fd) < 0)
		stop("close", path);
	m->made++;
}

static long count_entries(DIR *d)
{
	struct dirent *de;
	long n = 0;

	while ((de = readdir(d)))
		n += strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0;
	return n;
}

static void write_step(
	struct maker *m, enum op op, long size, const char *path, const char *rel)
{
	uint64_t digest = 0;
	char *data;
	DIR *d;

	if (op == OP_READ || op == OP_MAP) {
		data = room((size_t)size);
		fill_random(seed_of(rel), data, (size_t)size);
		digest = digest_of(data, (size_t)size);
		free(data);
	}
	if (op == OP_LIST) {
		d = opendir(path);
		if (!d)
			stop("open", path);
		size = count_entries(d);
		closedir(d);
	}
	fprintf(m->trace, "%s %ld %016llx %s\n", op_names[op], size,
		(unsigned long long)digest, rel);
	/* Names from the mount point on: DIR is one below it. */
	m->steps += 2;
	for (const char *c = rel; *c; c++)
		m->steps += *c == '/';
	/* open, fstat and one read; more for a mapped one */
	m->calls += op == OP_LIST   ? 1
		    : op == OP_READ ? 2
		    : op == OP_MAP  ? 3 + size / MAP_RUN
				    : 0;
}

__attribute__((format(printf, 4, 5))) static void step(
	struct maker *m, enum op op, long size, const char *fmt, ...)
{
	char rel[PATH_MAX / 2], path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rel, sizeof(rel), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", m->root, rel);
	if (m->trace)
		write_step(m, op, size, path, rel);
	else if (op == OP_DIR || op == OP_LIST)
		make_dir(m, path);
	else if (op != OP_MISSING)
		make_file(m, path, rel, size);
}

/* Around the mean, and the same each time. */
static long some_size(const struct maker *m, long k)
{
	return m->mean / 2 + (long)(mixed((uint64_t)k) % (uint64_t)m->mean);
}

static void package_path(char *out, size_t room_for, long k, int *site)
{
	*site = k % 4 ? SITES - 1 : 2;
	snprintf(out, room_for, "%s/p%03ld/q%05ld", sites[*site], k / 10, k);
}

/*
 * Package @k of @packages: looked for along sys.path, listed once, its modules found and read.
 * Names that do not exist: the package in each entry before the right one, then modules under
 * suffixes they could have.
 */
static void import_package(struct maker *m, long k, long packages)
{
	long modules = share(scaled(m, PYC), k, packages);
	long missing = share(scaled(m, MISSING), k, packages);
	char dir[256];
	int site;

	package_path(dir, sizeof(dir), k, &site);
	for (int i = 0; i <= site; i++) {
		if (i != 1)
			step(m, OP_DIR, 0, "%s", sites[i]);
		if (i < site && missing-- > 0)
			step(m, OP_MISSING, 0, "%s/q%05ld", sites[i], k);
	}
	step(m, OP_DIR, 0, "%s", dir);
	step(m, OP_DIR, 0, "%s/__pycache__", dir);
	step(m, OP_LIST, 0, "%s", dir);
	for (long j = 0; j < modules; j++) {
		step(m, OP_DIR, 0, "%s", dir);
		step(m, OP_STAT, some_size(m, k * MODULES + j), "%s/m%ld.py", dir, j);
		step(m, OP_READ, PYC_BYTES, "%s/__pycache__/m%ld.cpython-311.pyc", dir,
			j);
	}
	for (long j = 0; j < missing; j++)
		step(m, OP_MISSING, 0, "%s/m%ld.abi3.so", dir, j);
	for (long j = 0; j < share(scaled(m, SO), k, packages); j++)
		step(m, OP_MAP, SO_BYTES, "%s/c%ld.cpython-311-x86_64-linux-gnu.so",
			dir, j);
	for (long j = 0; j < share(m->extra, k, packages); j++)
		step(m, OP_STAT, some_size(m, k + j), "%s/data%ld", dir, j);
}

static void import_all(struct maker *m)
{
	long packages = scaled(m, LISTED);

	for (long j = 0; j < scaled(m, PY); j++)
		step(m, OP_READ, PY_BYTES, "app/s%ld.py", j);
	step(m, OP_STAT, m->mean, "%s/b.so", sites[3]);
	for (long k = 0; k < packages; k++)
		import_package(m, k, packages);
}

static void other_packages(struct maker *m)
{
	long k = scaled(m, LISTED);

	for (; m->made < scaled(m, PATHS); k++) {
		char dir[256];
		int site;

		package_path(dir, sizeof(dir), k, &site);
		step(m, OP_DIR, 0, "%s/__pycache__", dir);
		for (long j = 0; j < MODULES; j++) {
			long size = some_size(m, k * MODULES + j);

			step(m, OP_STAT, size, "%s/m%ld.py", dir, j);
			step(m, OP_STAT, size, "%s/__pycache__/m%ld.cpython-311.pyc",
				dir, j);
		}
		m->others++;
	}
}

int main(int argc, char **argv)
{
	struct maker m = {0};
	long touched;

	if (argc == 5) {
		m.root = argv[1];
		m.scale = atol(argv[3]);
		m.mean = atol(argv[4]);
	}
	if (m.scale < 1 || m.mean < 2) {
		fprintf(stderr, "usage: import_make DIR TRACE SCALE MEAN\n");
		return 2;
	}
	umask(022);
	if (mkdir(m.root, 0755) < 0)
		stop("mkdir", m.root);
	import_all(&m);
	m.extra = scaled(&m, TOUCHED) - m.made;
	if (m.extra < 0)
		m.extra = 0;
	import_all(&m);
	touched = m.made;
	other_packages(&m);
	m.trace = fopen(argv[2], "w");
	if (!m.trace)
		stop("create", argv[2]);
	import_all(&m);
	if (fclose(m.trace) != 0)
		stop("write", argv[2]);
	printf("{\"schema\":\"ebt.control/"
	       "1\",\"type\":\"trace\",\"paths\":%ld,\"touched\":%ld,"
	       "\"steps\":%ld,\"getattr_share\":%.4f}\n",
		m.made, touched, m.steps,
		(double)m.steps / (double)(m.steps + m.calls));
	return 0;
}
