/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `import` of a large package asks of a file system, without Python: every rank does what
 * is in TRACE (import_make), all start together. Contents, sizes, kinds and numbers of entries
 * are checked.
 *
 * A client of Lustre answers the steps along a path from its dentry cache in next to no time, a
 * FUSE client that must hear of every change cannot. So directories are held open, and one
 * name is looked up at a time. What the steps would cost is in favour of the file system, in
 * all ways alike.
 *
 * TABLE stands for the page cache of a node's client, which the emulated one does not have: in
 * a file that all ranks of the node map, one byte for each line of the trace. Who comes first
 * reads the file, others wait for it and then open it only; and so does a later job with the
 * same TABLE.
 *
 * -p: directories hold only what is touched, so that listing them finds fewer entries.
 */
#include "import_trace.h"
#include "leave.h"
#include "random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct step {
	enum op op;
	long size; /* of a file; entries of a directory that is listed */
	uint64_t digest;
	char *path; /* below the environment */
	int parent; /* the first step in the same directory */
	const char *name;
};

struct replay {
	const char *root;
	bool partial; /* directories hold only what is touched */
	struct step *steps;
	long count;
	_Atomic unsigned char *table; /* NULL: no page cache */
	char *data;
	int64_t operations, bytes, cached;
};

enum page { PAGE_ABSENT, PAGE_COMING, PAGE_HERE };

static void stop(const char *what, const char *name)
{
	int started = 0;

	fprintf(stderr, "import_storm: %s %s: %s\n", what, name, strerror(errno));
	MPI_Initialized(&started);
	if (started)
		give_up();
	_exit(1);
}

static void differs(const char *what, const char *name)
{
	errno = EBADMSG;
	stop(what, name);
}

static char *room(size_t len)
{
	char *p = malloc(len ? len : 1);

	if (!p)
		stop("memory for", "content");
	return p;
}

static long count_entries(DIR *d)
{
	struct dirent *de;
	long n = 0;

	while ((de = readdir(d)))
		n += strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0;
	return n;
}

static void load(struct replay *r, const char *path)
{
	FILE *f = fopen(path, "r");
	char op[16], rel[PATH_MAX];
	unsigned long long digest;
	long size, most = MAP_RUN, room_for = 0;

	if (!f)
		stop("open", path);
	while (fscanf(f, "%15s %ld %llx %4095s", op, &size, &digest, rel) == 4) {
		struct step *s;
		int k = 0;

		if (r->count == room_for) {
			room_for = room_for ? 2 * room_for : 4096;
			r->steps = realloc(r->steps, (size_t)room_for * sizeof(*s));
			if (!r->steps)
				stop("memory for", path);
		}
		while (k < N_OPS && strcmp(op, op_names[k]) != 0)
			k++;
		if (k == N_OPS)
			differs("trace", op);
		s = &r->steps[r->count++];
		*s = (struct step){.op = (enum op)k, .size = size, .digest = digest};
		s->path = strdup(rel);
		s->parent = -1;
		if (!s->path)
			stop("memory for", path);
		most = size > most ? size : most;
	}
	if (!feof(f) || !r->count)
		differs("trace", path);
	fclose(f);
	r->data = room((size_t)most);
}

/* Not timed. */
static void find_parents(struct replay *r)
{
	for (long k = 0; k < r->count; k++) {
		struct step *s = &r->steps[k];
		char *slash = strrchr(s->path, '/');

		s->name = slash ? slash + 1 : s->path;
		for (long j = 0; j < k && s->parent < 0; j++) {
			const struct step *o = &r->steps[j];

			if (o->name - o->path == s->name - s->path &&
				memcmp(o->path, s->path, (size_t)(s->name - s->path)) ==
					0)
				s->parent = o->parent;
		}
		if (s->parent < 0)
			s->parent = (int)k;
	}
}

/* Of all steps in one directory the first one's place in @fds holds it open. */
static int directory(struct replay *r, int *fds, const struct step *s)
{
	char path[PATH_MAX];

	if (fds[s->parent] >= 0)
		return fds[s->parent];
	snprintf(path, sizeof(path), "%s/%.*s", r->root, (int)(s->name - s->path),
		s->path);
	fds[s->parent] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fds[s->parent] < 0 && errno != ENOENT)
		stop("open", path);
	return fds[s->parent];
}

static void map_table(struct replay *r, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *p;

	if (fd < 0 || ftruncate(fd, r->count) < 0)
		stop("create", path);
	p = mmap(NULL, (size_t)r->count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		stop("map", path);
	close(fd);
	r->table = p;
}

/* Is the file in the page cache? If not, the caller reads it and says so. */
static bool in_cache(struct replay *r, long k)
{
	unsigned char was = PAGE_ABSENT;

	if (!r->table ||
		atomic_compare_exchange_strong(&r->table[k], &was, PAGE_COMING))
		return false;
	while (atomic_load(&r->table[k]) != PAGE_HERE)
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	return true;
}

static void read_range(
	struct replay *r, int fd, const struct step *s, long at, long len)
{
	while (len > 0) {
		ssize_t n = pread(fd, r->data + at, (size_t)len, at);

		if (n <= 0)
			stop("read", s->path);
		at += n;
		len -= n;
		r->bytes += n;
	}
}

static void read_file(struct replay *r, int dir, long k)
{
	const struct step *s = &r->steps[k];
	int fd = openat(dir, s->name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	long at = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		stop("open", s->path);
	if (st.st_size != s->size)
		differs("size of", s->path);
	if (in_cache(r, k)) {
		r->cached++;
		close(fd);
		return;
	}
	if (s->op == OP_MAP) {
		read_range(r, fd, s, 0, s->size < MAP_HEADER ? s->size : MAP_HEADER);
		for (; at < s->size; at += MAP_RUN)
			read_range(r, fd, s, at,
				s->size - at < MAP_RUN ? s->size - at : MAP_RUN);
	} else {
		read_range(r, fd, s, 0, s->size);
	}
	close(fd);
	if (digest_of(r->data, (size_t)s->size) != s->digest)
		differs("content of", s->path);
	if (r->table)
		atomic_store(&r->table[k], PAGE_HERE);
}

static void list(struct replay *r, int dir, const struct step *s)
{
	int fd = openat(dir, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	long n;

	if (!d)
		stop("list", s->path);
	n = count_entries(d);
	closedir(d);
	if (r->partial ? n > s->size : n != s->size)
		differs("entries of", s->path);
}

static void look(int dir, const struct step *s)
{
	struct stat st;
	int status = dir < 0 ? -1 : fstatat(dir, s->name, &st, AT_SYMLINK_NOFOLLOW);

	if (s->op == OP_MISSING) {
		if (status == 0 || errno != ENOENT)
			differs("there is", s->path);
		return;
	}
	if (status < 0)
		stop("stat", s->path);
	if (s->op == OP_STAT ? st.st_size != s->size : !S_ISDIR(st.st_mode))
		differs("size or kind of", s->path);
}

static void replay_all(struct replay *r, int *fds)
{
	for (long k = 0; k < r->count; k++) {
		const struct step *s = &r->steps[k];
		int dir = directory(r, fds, s);

		r->operations++;
		if (s->op == OP_READ || s->op == OP_MAP)
			read_file(r, dir, k);
		else if (s->op == OP_LIST)
			list(r, dir, s);
		else
			look(dir, s);
	}
}

static void replay(struct replay *r, const char *trace, const char *table)
{
	int rank, size, *fds;
	int64_t sums[3];
	double start, took;

	MPI_Init(NULL, NULL);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	load(r, trace);
	find_parents(r);
	if (table)
		map_table(r, table);
	fds = (int *)room((size_t)r->count * sizeof(*fds));
	memset(fds, 0xff, (size_t)r->count * sizeof(*fds));
	patient_barrier();
	start = MPI_Wtime();
	replay_all(r, fds);
	took = MPI_Wtime() - start;
	patient_barrier();
	sums[0] = r->operations;
	sums[1] = r->bytes;
	sums[2] = r->cached;
	MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
	MPI_Allreduce(MPI_IN_PLACE, &took, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	if (rank == 0)
		printf("{\"schema\":\"ebt.control/"
		       "1\",\"type\":\"replay\",\"processes\":%d,"
		       "\"seconds\":%.6f,\"operations\":%lld,\"bytes\":%lld,"
		       "\"cached\":%lld}\n",
			size, took, (long long)sums[0], (long long)sums[1],
			(long long)sums[2]);
	leave(0);
}

int main(int argc, char **argv)
{
	struct replay r = {0};
	const char *table = NULL;
	bool right = true;
	int opt;

	while ((opt = getopt(argc, argv, "+pc:")) != -1) {
		if (opt == 'p')
			r.partial = true;
		else if (opt == 'c')
			table = optarg;
		else
			right = false;
	}
	if (!right || argc - optind != 2) {
		fprintf(stderr, "usage: import_storm [-p] [-c TABLE] DIR TRACE\n");
		return 2;
	}
	r.root = argv[optind];
	replay(&r, argv[optind + 1], table);
}
