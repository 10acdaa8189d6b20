/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a careful user writes without EBT to bring node-local outputs to a parallel file
 * system. Three ways, all with temporary names, synced, times set, renamed at the end:
 *
 *   own      every rank copies its own files, THREADS at a time, default layout
 *   shared   every rank writes its pieces where they belong in one file, without regard to
 *            stripes
 *   wide     the same, the file being striped over all targets
 *   single   rank 0 receives everything and writes it, default layout; up to BATCH files
 *            are open, so that syncing one does not hold up the next
 *
 * Pieces are what SEEK_DATA finds; a hole at the end of a file is lost. The clock runs from
 * the first look at the store to the last rename; MPI_Init is not in it. Ranks that wait
 * sleep instead of spinning, in favour of these controls: with more ranks than cores spinning
 * would count.
 */
#include "leave.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define CHUNK	  (1 << 20)
#define BATCH	  64
#define MOST	  64		      /* threads */
#define NO_LAYOUT (O_NOCTTY | FASYNC) /* O_LOV_DELAY_CREATE */

struct entry {
	char path[1024]; /* below STORE */
	bool dir, end;	 /* end: of what a rank has */
	mode_t mode;
	struct timespec mtime;
	int64_t size;
};

/* What rank 0 gets after a file's entry, until one with at < 0. */
struct piece {
	int64_t at, len;
	char data[CHUNK];
};

struct outputs {
	struct entry *e;
	size_t count, room;
};

static const char *store, *dest;
static struct outputs outputs;
static int64_t chunk = CHUNK; /* of a read and a write */
static int rank, size;
static pthread_mutex_t next_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t next_file;

static void stop(const char *what, const char *name)
{
	fprintf(stderr, "control_drain: %s %s: %s\n", what, name, strerror(errno));
	MPI_Abort(MPI_COMM_WORLD, 1);
	_exit(1);
}

static void join(char *out, const char *a, const char *b, const char *suffix)
{
	if (snprintf(out, PATH_MAX, "%s/%s%s", a, b, suffix) < PATH_MAX)
		return;
	errno = ENAMETOOLONG;
	stop("path", b);
}

static void patient_wait(MPI_Request *req)
{
	int done = 0;

	for (;;) {
		MPI_Test(req, &done, MPI_STATUS_IGNORE);
		if (done)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
}

static struct entry *new_entry(struct outputs *o)
{
	if (o->count == o->room) {
		o->room = o->room ? 2 * o->room : 256;
		o->e = realloc(o->e, o->room * sizeof(*o->e));
		if (!o->e)
			stop("memory for", "the list of files");
	}
	return memset(&o->e[o->count++], 0, sizeof(*o->e));
}

/* Directories before what is in them. */
static void look(const char *below)
{
	char path[PATH_MAX], name[PATH_MAX];
	struct dirent *de;
	DIR *d;

	join(path, store, below, "");
	d = opendir(path);
	if (!d)
		stop("open", path);
	while ((de = readdir(d))) {
		struct stat st;
		struct entry *e;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			stop("stat", de->d_name);
		join(name, below, de->d_name, "");
		e = new_entry(&outputs);
		if (strlen(name) >= sizeof(e->path)) {
			errno = ENAMETOOLONG;
			stop("path", name);
		}
		strcpy(e->path, name);
		e->dir = S_ISDIR(st.st_mode);
		e->mode = st.st_mode & 07777;
		e->mtime = st.st_mtim;
		e->size = st.st_size;
		if (e->dir)
			look(name);
	}
	closedir(d);
}

static void make_dir(const struct entry *e)
{
	char path[PATH_MAX];

	join(path, dest, e->path, "");
	if (mkdir(path, e->mode) < 0 && errno != EEXIST)
		stop("mkdir", path);
}

static int make_file(const struct entry *e, int flags)
{
	char path[PATH_MAX];
	int fd;

	join(path, dest, e->path, ".tmp");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | flags, e->mode);
	if (fd < 0)
		stop("create", path);
	return fd;
}

static void write_at(
	int fd, const char *data, int64_t len, int64_t at, const char *name)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, (size_t)len, at);

		if (n <= 0)
			stop("write", name);
		data += n;
		len -= n;
		at += n;
	}
}

/* Synced, with its times, closed. */
static void finish(int fd, const struct entry *e, bool times)
{
	const struct timespec both[] = {e->mtime, e->mtime};

	if (fsync(fd) < 0 || (times && futimens(fd, both) < 0) || close(fd) < 0)
		stop("sync", e->path);
}

static void show(const struct entry *e)
{
	char from[PATH_MAX], to[PATH_MAX];

	join(from, dest, e->path, ".tmp");
	join(to, dest, e->path, "");
	if (rename(from, to) < 0)
		stop("rename", to);
}

/* Calls @take for each piece of data of the file, a chunk at most. */
static void read_pieces(const struct entry *e, struct piece *p,
	void (*take)(void *arg, const struct entry *e, const struct piece *p),
	void *arg)
{
	char path[PATH_MAX];
	int64_t at = 0, end;
	int fd;

	join(path, store, e->path, "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		stop("open", path);
	while (at < e->size) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0)
			break;
		end = lseek(fd, at, SEEK_HOLE);
		for (; at < end; at += p->len) {
			p->at = at;
			p->len = end - at < chunk ? end - at : chunk;
			p->len = pread(fd, p->data, (size_t)p->len, at);
			if (p->len <= 0)
				stop("read", path);
			take(arg, e, p);
		}
	}
	close(fd);
}

static struct piece *new_piece(void)
{
	struct piece *p = malloc(sizeof(*p));

	if (!p)
		stop("memory for", "a piece");
	return p;
}

static void put_piece(void *arg, const struct entry *e, const struct piece *p)
{
	write_at(*(const int *)arg, p->data, p->len, p->at, e->path);
}

/* --- own ------------------------------------------------------------------------------- */

static const struct entry *take_file(void)
{
	const struct entry *e = NULL;

	pthread_mutex_lock(&next_lock);
	while (next_file < outputs.count && outputs.e[next_file].dir)
		next_file++;
	if (next_file < outputs.count)
		e = &outputs.e[next_file++];
	pthread_mutex_unlock(&next_lock);
	return e;
}

static void *copy_files(void *arg)
{
	struct piece *p = new_piece();
	const struct entry *e;

	while ((e = take_file())) {
		int fd = make_file(e, 0);

		read_pieces(e, p, put_piece, &fd);
		finish(fd, e, true);
		show(e);
	}
	free(p);
	return arg;
}

static void own(int threads)
{
	pthread_t t[MOST];

	for (size_t i = 0; i < outputs.count; i++)
		if (outputs.e[i].dir)
			make_dir(&outputs.e[i]);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, copy_files, NULL) != 0)
			stop("start", "a thread");
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
}

/* --- shared ---------------------------------------------------------------------------- */

/* All targets, stripe size by default: lov_user_md_v1 of Lustre. */
static void stripe_over_all(int fd)
{
	static const struct {
		uint32_t magic, pattern;
		uint64_t object[2];
		uint32_t stripe_size;
		uint16_t count, offset;
	} want = {.magic = 0x0bd10bd0, .pattern = 1, .count = 0xffff, .offset = 0xffff};

	if (fsetxattr(fd, "lustre.lov", &want, sizeof(want), 0) < 0)
		stop("layout of", dest);
}

static void shared(bool wide)
{
	struct piece *p = new_piece();
	const struct entry *e = outputs.e;
	char path[PATH_MAX];
	int fd;

	if (outputs.count != 1) {
		errno = EINVAL;
		stop("not one file in", store);
	}
	if (rank == 0) {
		fd = make_file(e, wide ? NO_LAYOUT : 0);
		if (wide)
			stripe_over_all(fd);
		close(fd);
	}
	patient_barrier();
	join(path, dest, e->path, ".tmp");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		stop("open", path);
	read_pieces(e, p, put_piece, &fd);
	if (fsync(fd) < 0)
		stop("sync", path);
	patient_barrier();
	finish(fd, e, rank == 0);
	if (rank == 0)
		show(e);
	free(p);
}

/* --- single ---------------------------------------------------------------------------- */

static struct {
	struct entry e;
	int fd;
} batch[BATCH];
static int n_batch;

static void finish_batch(void)
{
	for (int i = 0; i < n_batch; i++)
		finish(batch[i].fd, &batch[i].e, true);
	for (int i = 0; i < n_batch; i++)
		show(&batch[i].e);
	n_batch = 0;
}

/* The same path may come from several ranks. */
static int in_batch(const struct entry *e)
{
	for (int i = 0; i < n_batch; i++)
		if (strcmp(batch[i].e.path, e->path) == 0)
			return batch[i].fd;
	if (n_batch == BATCH)
		finish_batch();
	batch[n_batch].e = *e;
	batch[n_batch].fd = make_file(e, 0);
	return batch[n_batch++].fd;
}

static void send_piece(void *arg, const struct entry *e, const struct piece *p)
{
	MPI_Request req;

	(void)arg;
	(void)e;
	MPI_Isend(p, (int)(sizeof(*p) - CHUNK + (size_t)p->len), MPI_BYTE, 0, 1,
		MPI_COMM_WORLD, &req);
	patient_wait(&req);
}

static void send_entry(const struct entry *e)
{
	MPI_Request req;

	MPI_Isend(e, sizeof(*e), MPI_BYTE, 0, 0, MPI_COMM_WORLD, &req);
	patient_wait(&req);
}

static void send_all(void)
{
	struct piece *p = new_piece();

	for (size_t i = 0; i < outputs.count; i++) {
		send_entry(&outputs.e[i]);
		if (outputs.e[i].dir)
			continue;
		read_pieces(&outputs.e[i], p, send_piece, NULL);
		p->at = -1;
		p->len = 0;
		send_piece(NULL, NULL, p);
	}
	send_entry(&(struct entry){.end = true});
	free(p);
}

static void receive(struct piece *p, int from, MPI_Request *req)
{
	MPI_Irecv(p, sizeof(*p), MPI_BYTE, from, 1, MPI_COMM_WORLD, req);
}

/* One piece is written while the next one comes. */
static void receive_file(int from, int fd, const struct entry *e, struct piece *two[2])
{
	MPI_Request req;
	int k = 0;

	receive(two[k], from, &req);
	for (;;) {
		struct piece *p = two[k];

		patient_wait(&req);
		if (p->at < 0)
			break;
		k = !k;
		receive(two[k], from, &req);
		write_at(fd, p->data, p->len, p->at, e->path);
	}
}

static void receive_all(void)
{
	struct piece *two[2] = {new_piece(), new_piece()};
	struct entry e;
	MPI_Request req;

	for (size_t i = 0; i < outputs.count; i++) {
		int fd;

		if (outputs.e[i].dir) {
			make_dir(&outputs.e[i]);
			continue;
		}
		fd = in_batch(&outputs.e[i]);
		read_pieces(&outputs.e[i], two[0], put_piece, &fd);
	}
	for (int from = 1; from < size; from++) {
		for (;;) {
			MPI_Irecv(
				&e, sizeof(e), MPI_BYTE, from, 0, MPI_COMM_WORLD, &req);
			patient_wait(&req);
			if (e.end)
				break;
			if (e.dir)
				make_dir(&e);
			else
				receive_file(from, in_batch(&e), &e, two);
		}
	}
	finish_batch();
	free(two[0]);
	free(two[1]);
}

int main(int argc, char **argv)
{
	int threads = 1, given;
	int64_t files = 0;
	double start;

	MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &given);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (argc > 4)
		threads = atoi(argv[4]);
	if (argc < 4 || threads < 1 || threads > MOST) {
		if (rank == 0)
			fprintf(stderr, "usage: control_drain own|shared|single STORE "
					"DEST [THREADS]\n");
		leave(2);
	}
	store = argv[2];
	dest = argv[3];
	umask(0);
	patient_barrier();
	start = MPI_Wtime();
	look(".");
	if (strcmp(argv[1], "own") == 0)
		own(threads);
	else if (strcmp(argv[1], "single") != 0)
		shared(strcmp(argv[1], "wide") == 0);
	else if (rank == 0)
		receive_all();
	else
		send_all();
	patient_barrier();
	start = MPI_Wtime() - start;
	for (size_t i = 0; i < outputs.count; i++)
		files += !outputs.e[i].dir;
	MPI_Allreduce(MPI_IN_PLACE, &files, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
	if (rank == 0)
		printf("{\"schema\":\"ebt.control/1\",\"way\":\"%s\",\"nodes\":%d,"
		       "\"files\":%lld,\"seconds\":%.6f}\n",
			argv[1], size, (long long)files, start);
	free(outputs.e);
	leave(0);
}
