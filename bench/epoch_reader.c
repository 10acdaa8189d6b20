/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader of a training as MLPerf Storage emulates it: records in files of many, all of
 * them once an epoch in an order shuffled anew, a fixed time of computation per batch (a
 * sleep), threads that read ahead meanwhile.
 *
 *   make DIR FILES RECORDS LENGTH               the data set: FILES of RECORDS each
 *   [OPTION...] read DIR FILES RECORDS LENGTH   under MPI; every rank is an accelerator
 *     -e EPOCHS -b BATCH -c MICROSECONDS (per batch) -t THREADS -a BATCHES (ahead)
 *     -x COMMAND    rank 0 runs it before the first epoch and after each, while all wait;
 *                   in no epoch's time
 *
 * Rank r of n takes each n-th record of the shuffled order, so that its files change from
 * epoch to epoch. A record holds its number and a digest; that all were read exactly once is
 * seen in their number and in the sum of their mixed numbers. A last batch that is not full
 * computes for its share of the time.
 *
 * Accelerator utilisation is that of the rules of MLPerf Storage: time of computation, were
 * nothing else, by time of the epoch. Their leaving out of the first step is not done here.
 */
#include "leave.h"
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#define MOST_THREADS 64
#define MOST_EPOCHS  1000

/* Of a record, before its content. */
struct header {
	uint64_t number, length, digest;
};

struct data_set {
	const char *dir;
	long files, records; /* of a file */
	long length;
};

struct reader {
	struct data_set set;
	int epochs, threads, rank, size;
	long batch, ahead, micros;
	const char *between;
	uint32_t *order; /* of all records in this epoch */
	int *fds;	 /* of this epoch, -1: not open; under the lock */
	long mine;	 /* records of this rank in an epoch */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	/* All below under the lock. */
	long next;	/* position to be read */
	long *complete; /* records of each batch that are there */
	long consumed;	/* batches */
	uint64_t count, sum;
};

static void stop(const char *what, const char *name)
{
	int started = 0;

	fprintf(stderr, "epoch_reader: %s %s: %s\n", what, name, strerror(errno));
	MPI_Initialized(&started);
	if (started)
		give_up();
	_exit(1);
}

static void *room(size_t len)
{
	void *p = calloc(1, len ? len : 1);

	if (!p)
		stop("memory for", "records");
	return p;
}

static long total(const struct data_set *s)
{
	return s->files * s->records;
}

static void file_path(const struct data_set *s, long k, char *out)
{
	snprintf(out, PATH_MAX, "%s/part-%05ld-of-%05ld", s->dir, k, s->files);
}

/* --- make ------------------------------------------------------------------------------ */

static void make_file(const struct data_set *s, long k)
{
	char path[PATH_MAX], *record = room((size_t)s->length);
	char *content = record + sizeof(struct header);
	size_t len = (size_t)s->length - sizeof(struct header);
	FILE *f;

	file_path(s, k, path);
	f = fopen(path, "wx");
	if (!f)
		stop("create", path);
	for (long j = 0; j < s->records; j++) {
		struct header h = {
			.number = (uint64_t)(k * s->records + j), .length = len};

		fill_random(mixed(h.number), content, len);
		h.digest = digest_of(content, len) ^ mixed(h.number);
		memcpy(record, &h, sizeof(h));
		if (fwrite(record, (size_t)s->length, 1, f) != 1)
			stop("write", path);
	}
	if (fclose(f) != 0)
		stop("write", path);
	free(record);
}

static void make(const struct data_set *s)
{
	for (long k = 0; k < s->files; k++)
		make_file(s, k);
	printf("{\"schema\":\"ebt.control/1\",\"type\":\"records\",\"files\":%ld,"
	       "\"records\":%ld,\"bytes\":%ld}\n",
		s->files, total(s), total(s) * s->length);
}

/* --- read ------------------------------------------------------------------------------ */

/* The same on all ranks: Fisher and Yates. */
static void shuffle(struct reader *r, int epoch)
{
	uint64_t state = mixed((uint64_t)epoch);
	long n = total(&r->set);

	for (long i = 0; i < n; i++)
		r->order[i] = (uint32_t)i;
	for (long i = n - 1; i > 0; i--) {
		long j = (long)(mixed(state++) % (uint64_t)(i + 1));
		uint32_t swap = r->order[i];

		r->order[i] = r->order[j];
		r->order[j] = swap;
	}
}

static int open_file(struct reader *r, long k)
{
	char path[PATH_MAX];
	int fd;

	pthread_mutex_lock(&r->lock);
	if (r->fds[k] < 0) {
		file_path(&r->set, k, path);
		r->fds[k] = open(path, O_RDONLY | O_CLOEXEC);
		if (r->fds[k] < 0)
			stop("open", path);
	}
	fd = r->fds[k];
	pthread_mutex_unlock(&r->lock);
	return fd;
}

static void close_files(struct reader *r)
{
	for (long k = 0; k < r->set.files; k++) {
		if (r->fds[k] >= 0)
			close(r->fds[k]);
		r->fds[k] = -1;
	}
}

static void read_record(struct reader *r, uint32_t number, char *record)
{
	const struct data_set *s = &r->set;
	size_t len = (size_t)s->length - sizeof(struct header);
	long k = number / s->records;
	int fd = open_file(r, k);
	char path[PATH_MAX];
	struct header h;

	file_path(s, k, path);
	for (long at = 0, n; at < s->length; at += n) {
		n = pread(fd, record + at, (size_t)(s->length - at),
			number % s->records * s->length + at);
		if (n <= 0) {
			errno = n ? errno : ENODATA;
			stop("read", path);
		}
	}
	memcpy(&h, record, sizeof(h));
	if (h.number != number || h.length != len ||
		(digest_of(record + sizeof(h), len) ^ mixed(number)) != h.digest) {
		errno = EBADMSG;
		stop("record in", path);
	}
}

static long take_position(struct reader *r)
{
	long p = -1;

	pthread_mutex_lock(&r->lock);
	while (r->next < r->mine && r->next >= (r->consumed + r->ahead) * r->batch)
		pthread_cond_wait(&r->moved, &r->lock);
	if (r->next < r->mine)
		p = r->next++;
	pthread_mutex_unlock(&r->lock);
	return p;
}

static void *prefetch(void *arg)
{
	struct reader *r = arg;
	char *record = room((size_t)r->set.length);
	long p;

	while ((p = take_position(r)) >= 0) {
		uint32_t number = r->order[p * r->size + r->rank];

		read_record(r, number, record);
		pthread_mutex_lock(&r->lock);
		r->complete[p / r->batch]++;
		r->count++;
		r->sum += mixed(number);
		pthread_cond_broadcast(&r->moved);
		pthread_mutex_unlock(&r->lock);
	}
	free(record);
	return NULL;
}

static void compute(const struct reader *r, long records)
{
	int64_t nanos = r->micros * 1000 * records / r->batch;
	struct timespec t = {
		.tv_sec = nanos / 1000000000, .tv_nsec = nanos % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

static long batches(const struct reader *r)
{
	return (r->mine + r->batch - 1) / r->batch;
}

static void train(struct reader *r)
{
	for (long b = 0; b < batches(r); b++) {
		long left = r->mine - b * r->batch;
		long want = left < r->batch ? left : r->batch;

		pthread_mutex_lock(&r->lock);
		while (r->complete[b] < want)
			pthread_cond_wait(&r->moved, &r->lock);
		/* Its memory is free again when the accelerator has it. */
		r->consumed++;
		pthread_cond_broadcast(&r->moved);
		pthread_mutex_unlock(&r->lock);
		compute(r, want);
	}
}

static void one_epoch(struct reader *r)
{
	pthread_t t[MOST_THREADS];

	r->next = r->consumed = 0;
	memset(r->complete, 0, (size_t)(batches(r) + 1) * sizeof(*r->complete));
	for (int i = 0; i < r->threads; i++)
		if (pthread_create(&t[i], NULL, prefetch, r) != 0)
			stop("start", "a thread");
	train(r);
	for (int i = 0; i < r->threads; i++)
		pthread_join(t[i], NULL);
	close_files(r);
}

/* Collective: every record once, over all ranks. */
static void check_sum(struct reader *r)
{
	uint64_t got[2] = {r->count, r->sum}, want[2] = {(uint64_t)total(&r->set), 0};

	for (uint64_t i = 0; i < want[0]; i++)
		want[1] += mixed(i);
	MPI_Allreduce(MPI_IN_PLACE, got, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	if (got[0] != want[0] || got[1] != want[1]) {
		errno = EBADMSG;
		stop("not every record once in", r->set.dir);
	}
	r->count = r->sum = 0;
}

static void run_between(const struct reader *r)
{
	patient_barrier();
	if (r->rank == 0 && r->between && system(r->between) != 0) {
		errno = ECHILD;
		stop("failed:", r->between);
	}
	patient_barrier();
}

static void print_times(const struct reader *r, const char *name, const double *of)
{
	printf(",\"%s\":[", name);
	for (int e = 0; e < r->epochs; e++)
		printf("%s%.6f", e ? "," : "", of[e]);
	putchar(']');
}

static void read_all(struct reader *r)
{
	double *took = room((size_t)r->epochs * sizeof(*took));
	double *use = room((size_t)r->epochs * sizeof(*use));
	double ideal; /* computation of an epoch */

	MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &r->size);
	ideal = (double)total(&r->set) / r->size / (double)r->batch *
		(double)r->micros / 1e6;
	r->mine = (total(&r->set) - r->rank + r->size - 1) / r->size;
	r->order = room((size_t)total(&r->set) * sizeof(*r->order));
	r->complete = room((size_t)(batches(r) + 1) * sizeof(*r->complete));
	r->fds = room((size_t)r->set.files * sizeof(*r->fds));
	memset(r->fds, 0xff, (size_t)r->set.files * sizeof(*r->fds));
	run_between(r);
	for (int e = 0; e < r->epochs; e++) {
		double start = MPI_Wtime();

		shuffle(r, e);
		one_epoch(r);
		patient_barrier();
		took[e] = MPI_Wtime() - start;
		use[e] = ideal / took[e];
		check_sum(r);
		run_between(r);
	}
	if (r->rank == 0) {
		printf("{\"schema\":\"ebt.control/"
		       "1\",\"type\":\"epochs\",\"readers\":%d,"
		       "\"records\":%ld,\"bytes\":%ld,\"compute_seconds\":%.6f",
			r->size, total(&r->set), total(&r->set) * r->set.length, ideal);
		print_times(r, "epoch_seconds", took);
		print_times(r, "epoch_au", use);
		printf("}\n");
	}
}

static bool parse(struct reader *r, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "+e:b:c:t:a:x:")) != -1) {
		switch (opt) {
		case 'e':
			r->epochs = atoi(optarg);
			break;
		case 'b':
			r->batch = atol(optarg);
			break;
		case 'c':
			r->micros = atol(optarg);
			break;
		case 't':
			r->threads = atoi(optarg);
			break;
		case 'a':
			r->ahead = atol(optarg);
			break;
		case 'x':
			r->between = optarg;
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 5)
		return false;
	r->set.dir = argv[optind + 1];
	r->set.files = atol(argv[optind + 2]);
	r->set.records = atol(argv[optind + 3]);
	r->set.length = atol(argv[optind + 4]);
	return r->set.files > 0 && r->set.records > 0 && total(&r->set) <= INT_MAX &&
	       r->set.length > (long)sizeof(struct header) && r->epochs > 0 &&
	       r->epochs <= MOST_EPOCHS && r->batch > 0 && r->micros >= 0 &&
	       r->threads > 0 && r->threads <= MOST_THREADS && r->ahead > 0;
}

int main(int argc, char **argv)
{
	struct reader r = {
		.epochs = 3,
		.threads = 4,
		.batch = 16,
		.ahead = 2,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.moved = PTHREAD_COND_INITIALIZER,
	};
	bool right = parse(&r, argc, argv);
	int given;

	if (right && strcmp(argv[optind], "make") == 0) {
		make(&r.set);
		return 0;
	}
	if (right && strcmp(argv[optind], "read") == 0) {
		MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
		read_all(&r);
		leave(0);
	}
	fprintf(stderr, "usage: epoch_reader make DIR FILES RECORDS LENGTH\n"
			"       epoch_reader [-e EPOCHS] [-b BATCH] [-c MICROSECONDS] "
			"[-t THREADS]\n"
			"                    [-a BATCHES] [-x COMMAND] read DIR FILES "
			"RECORDS LENGTH\n");
	return 2;
}
