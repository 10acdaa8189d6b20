/* SPDX-License-Identifier: BSD-3-Clause */
/* Staging as a library, on trees made on the spot; each rank is a node unless said otherwise. */
#include "ebt/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ranks.h"

#define BIG (24u << 20) /* bytes, so that a run has a middle */

/* One test's directory: the source below it, destinations beside. */
struct field {
	MPI_Comm comm;
	int rank, size;
	char top[64], source[96], dest[96], mine[96]; /* mine: this rank's store */
	const char *sources[1];
	struct ebt_stage_options o;
	struct ebt_stage_report rep;
	struct ebt_err err;
	int told; /* calls of o.failing */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	MPI_Abort(MPI_COMM_WORLD, 99);
}

static void put_file(const char *dir, const char *name, const char *text, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0, path);
	must(fchmod(fd, 0666) == 0, path);
	for (size_t at = 0; at < len; at += strlen(text))
		must(write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	must(close(fd) == 0, path);
}

static bool file_is(const char *dir, const char *name, const char *text)
{
	char path[256], got[64] = "";
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, got, sizeof(got) - 1);
		close(fd);
	}
	return n == (ssize_t)strlen(text) && strcmp(got, text) == 0;
}

static bool exists(const char *dir, const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return lstat(path, &st) == 0;
}

/* Matches below this rank's store. */
static size_t matches(const struct field *f, const char *pattern)
{
	char path[256];
	glob_t g = {0};
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", f->mine, pattern);
	n = glob(path, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
	globfree(&g);
	return n;
}

static void note_failing(void *arg, double timeout, const char *text)
{
	((struct field *)arg)->told++;
}

static void make_source(const char *source)
{
	char path[256], other[256];

	snprintf(path, sizeof(path), "%s/d", source);
	must(mkdir(source, 0755) == 0 && mkdir(path, 0755) == 0, path);
	put_file(source, "hello", "hello", 5);
	put_file(source, "none", "", 0);
	put_file(path, "deep", "deep", 4);
	snprintf(path, sizeof(path), "%s/hello", source);
	snprintf(other, sizeof(other), "%s/d/again", source);
	must(link(path, other) == 0, other);
	snprintf(path, sizeof(path), "%s/link", source);
	must(symlink("d/deep", path) == 0, path);
}

/* Collective. Only the first rank knows the sources. */
static void open_field_all(struct field *f, MPI_Comm comm)
{
	char content[112];

	memset(f, 0, sizeof(*f));
	f->comm = comm;
	f->rank = mpi_rank(comm);
	f->size = mpi_size(comm);
	mpi_tmpdir_all(comm, f->top);
	snprintf(f->source, sizeof(f->source), "%s/s", f->top);
	snprintf(f->dest, sizeof(f->dest), "%s/t.%%r", f->top);
	snprintf(f->mine, sizeof(f->mine), "%s/t.%d", f->top, f->rank);
	if (f->rank == 0) {
		make_source(f->source);
		snprintf(content, sizeof(content), "%s/.", f->source);
		f->sources[0] = strdup(content);
		f->o.sources = f->sources;
		f->o.n_sources = 1;
	}
	f->o.dest = f->dest;
	f->o.run.per_rank = true;
	f->o.memory = 16 << 20;
	f->o.run.failing = note_failing;
	f->o.run.failing_arg = f;
	MPI_Barrier(comm);
}

static void close_field(struct field *f)
{
	free((char *)f->sources[0]);
	ebt_stage_report_free(&f->rep);
}

static int stage_field_all(struct field *f)
{
	ebt_stage_report_free(&f->rep);
	memset(&f->err, 0, sizeof(f->err));
	f->told = 0;
	return ebt_stage_all(f->comm, &f->o, &f->rep, &f->err);
}

/* A failed run: the same code and text everywhere. */
static void check_failed(struct field *f, int r, int code, const char *text)
{
	CU_ASSERT_EQUAL(r, code);
	CU_ASSERT_EQUAL(f->err.code, code);
	CU_ASSERT_PTR_NOT_NULL(strstr(f->err.text, text));
	CU_ASSERT_PTR_NOT_NULL(strstr(f->err.text, "(rank "));
	CU_ASSERT(mpi_same_all(f->comm, &f->err, sizeof(f->err)));
}

static void check_staged(const struct field *f, const char *store)
{
	char a[256], b[256];
	struct stat st, other;

	CU_ASSERT(file_is(store, "hello", "hello"));
	CU_ASSERT(file_is(store, "none", ""));
	CU_ASSERT(file_is(store, "d/deep", "deep"));
	CU_ASSERT(file_is(store, "link", "deep"));
	snprintf(a, sizeof(a), "%s/hello", store);
	snprintf(b, sizeof(b), "%s/d/again", store);
	CU_ASSERT(
		stat(a, &st) == 0 && stat(b, &other) == 0 && st.st_ino == other.st_ino);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0666);
}

/* The mask belongs to the process the library lives in: modes must not depend on it. */
static void a_tree_reaches_every_node(MPI_Comm comm)
{
	mode_t mask = umask(077);
	struct field f;
	uint64_t bad = 1;
	uint32_t done = 1;

	open_field_all(&f, comm);
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	check_staged(&f, f.mine);
	CU_ASSERT_EQUAL(f.told, 0);
	CU_ASSERT_EQUAL(f.rep.files, 3);
	CU_ASSERT_EQUAL(f.rep.links, 1);
	CU_ASSERT_EQUAL(f.rep.symlinks, 1);
	CU_ASSERT_EQUAL(f.rep.bytes, 9);
	CU_ASSERT_EQUAL(f.rep.nodes, (uint32_t)f.size);
	CU_ASSERT_EQUAL(f.rep.node != NULL, f.rank == 0);
	for (int i = 0; f.rep.node && i < f.size; i++) {
		CU_ASSERT_EQUAL(f.rep.node[i].rank, i);
		CU_ASSERT_EQUAL(f.rep.node[i].bytes_written, 9);
		CU_ASSERT_EQUAL(f.rep.node[i].bytes_in, i == 0 ? 0 : 9);
	}
	CU_ASSERT_EQUAL(ebt_stage_verify_all(comm, &f.o, &bad, &f.err), 0);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(ebt_stage_recover_all(comm, &f.o, &done, &f.err), 0);
	CU_ASSERT_EQUAL(done, 0);
	check_staged(&f, f.mine);
	umask(mask);
	close_field(&f);
}

static void damage_on_one_node_is_counted_on_all(MPI_Comm comm)
{
	struct field f;
	uint64_t bad = 0;

	open_field_all(&f, comm);
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	if (f.rank == f.size - 1)
		put_file(f.mine, "hello", "hellO", 5);
	CU_ASSERT_EQUAL(ebt_stage_verify_all(comm, &f.o, &bad, &f.err), 0);
	CU_ASSERT(bad >= 1);
	CU_ASSERT(mpi_same_all(comm, &bad, sizeof(bad)));
	close_field(&f);
}

static void dry_run_touches_nothing(MPI_Comm comm)
{
	struct field f;

	open_field_all(&f, comm);
	f.o.dry_run = true;
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	CU_ASSERT(access(f.mine, F_OK) < 0);
	CU_ASSERT_EQUAL(f.rep.plan != NULL, f.rank == 0);
	CU_ASSERT_EQUAL(f.rep.files, 3);
	CU_ASSERT_EQUAL(f.rep.bytes, 9);
	close_field(&f);
}

static void a_target_that_exists_on_one_node_is_refused_on_all(MPI_Comm comm)
{
	struct field f;
	int r;

	open_field_all(&f, comm);
	if (f.rank == f.size - 1) {
		must(mkdir(f.mine, 0755) == 0, f.mine);
		put_file(f.mine, "hello", "mine", 4);
	}
	r = stage_field_all(&f);
	check_failed(&f, r, -EEXIST, "hello");
	if (f.rank == f.size - 1)
		CU_ASSERT(file_is(f.mine, "hello", "mine"));
	CU_ASSERT_FALSE(exists(f.mine, "d"));
	CU_ASSERT_FALSE(exists(f.mine, ".ebt/incoming"));
	f.o.overwrite = EBT_OVERWRITE_ALWAYS;
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	check_staged(&f, f.mine);
	close_field(&f);
}

static void a_missing_source_fails_all_alike(MPI_Comm comm)
{
	struct field f;
	int r;

	open_field_all(&f, comm);
	if (f.rank == 0) {
		free((char *)f.sources[0]);
		f.sources[0] = strdup("/no/such/source");
	}
	r = stage_field_all(&f);
	check_failed(&f, r, -ENOENT, "/no/such/source");
	CU_ASSERT_FALSE(exists(f.mine, ".ebt"));
	close_field(&f);
}

static void who_failed_is_named_once(MPI_Comm comm)
{
	struct field f;
	char *rank;

	open_field_all(&f, comm);
	if (f.rank == f.size - 1)
		f.o.dest = "%?";
	CU_ASSERT_EQUAL(stage_field_all(&f), -EINVAL);
	rank = strstr(f.err.text, "(rank ");
	CU_ASSERT_PTR_NOT_NULL(rank);
	CU_ASSERT_PTR_NULL(rank ? strstr(rank + 1, "(rank ") : NULL);
	/* One rank failed; the others only followed. */
	CU_ASSERT_PTR_NULL(rank ? strchr(rank, ',') : NULL);
	close_field(&f);
}

static void no_sources_is_the_same_on_all(MPI_Comm comm)
{
	struct field f;
	int r;

	open_field_all(&f, comm);
	f.o.n_sources = 0;
	r = stage_field_all(&f);
	CU_ASSERT(mpi_same_all(comm, &r, sizeof(r)));
	close_field(&f);
}

static void failing_is_told_once(MPI_Comm comm)
{
	struct field f;

	open_field_all(&f, comm);
	if (f.rank == f.size - 1)
		f.o.dest = "%?";
	CU_ASSERT_EQUAL(stage_field_all(&f), -EINVAL);
	CU_ASSERT_EQUAL(f.told, 1);
	close_field(&f);
}

static int stop_at_once(void *arg)
{
	return SIGTERM;
}

/* From the moment that the big file has begun to arrive on this rank. */
static int stop_in_the_middle(void *arg)
{
	return matches(arg, ".ebt/incoming/*/tree/big") ? SIGUSR1 : 0;
}

static void check_stopped(struct field *f, int r, const char *signal_text)
{
	check_failed(f, r, -EINTR, signal_text);
	CU_ASSERT_FALSE(exists(f->mine, "hello"));
	CU_ASSERT_FALSE(exists(f->mine, "big"));
	CU_ASSERT_EQUAL(matches(f, ".ebt/incoming/*"), 0);
	CU_ASSERT_FALSE(exists(f->mine, ".ebt/publish"));
}

static void a_stop_on_one_rank_stops_all(MPI_Comm comm)
{
	static int (*const when[])(void *) = {stop_at_once, stop_in_the_middle};
	static const int signals[] = {SIGTERM, SIGUSR1};
	struct field f;
	char text[32];
	int r;

	open_field_all(&f, comm);
	if (f.rank == 0)
		put_file(f.source, "big", "0123456789abcdef0123456789abcdef", BIG);
	f.o.parcel = 128 << 10;
	f.o.memory = 4 << 20;
	f.o.readers = 1;
	f.o.run.stopped_arg = &f;
	for (int victim = 0; victim < f.size; victim++) {
		for (int i = 0; i < 2; i++) {
			f.o.run.stopped = f.rank == victim ? when[i] : NULL;
			MPI_Barrier(comm);
			r = stage_field_all(&f);
			snprintf(text, sizeof(text), "signal %d", signals[i]);
			check_stopped(&f, r, text);
			snprintf(text, sizeof(text), "(rank %d on ", victim);
			CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, text));
		}
	}
	f.o.run.stopped = NULL;
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	check_staged(&f, f.mine);
	CU_ASSERT(exists(f.mine, "big"));
	close_field(&f);
}

static bool always(void *arg)
{
	return true;
}

static void a_run_in_a_hurry_leaves_the_rest_to_the_next(MPI_Comm comm)
{
	struct field f;
	int left;

	open_field_all(&f, comm);
	if (f.rank == 0)
		put_file(f.source, "big", "0123456789abcdef0123456789abcdef", BIG);
	f.o.parcel = 128 << 10;
	f.o.memory = 4 << 20;
	f.o.readers = 1;
	f.o.run.stopped = stop_in_the_middle;
	f.o.run.stopped_arg = &f;
	f.o.run.hurried = always;
	MPI_Barrier(comm);
	check_failed(&f, stage_field_all(&f), -EINTR, "signal 10");
	CU_ASSERT_FALSE(exists(f.mine, "big"));
	CU_ASSERT_FALSE(exists(f.mine, ".ebt/publish"));
	left = matches(&f, ".ebt/incoming/*/tree/big") > 0;
	MPI_Allreduce(MPI_IN_PLACE, &left, 1, MPI_INT, MPI_MAX, comm);
	CU_ASSERT_EQUAL(left, 1);
	f.o.run.stopped = NULL;
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	check_staged(&f, f.mine);
	CU_ASSERT(exists(f.mine, "big"));
	CU_ASSERT_EQUAL(matches(&f, ".ebt/incoming/*"), 0);
	close_field(&f);
}

/* The caller arms its watchdog with this: it has to come before others are waited for. */
struct late {
	struct field *f;
	double told_at, stopped_at;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void note_when(void *arg, double timeout, const char *text)
{
	struct late *l = arg;

	if (l->told_at == 0)
		l->told_at = now();
}

static int stop_and_note(void *arg)
{
	struct late *l = arg;

	if (l->stopped_at == 0 && exists(l->f->top, "asleep"))
		l->stopped_at = now();
	return l->stopped_at > 0 ? SIGTERM : 0;
}

/*
 * The only reader does nothing for a while: its progress is asked for on the thread that
 * serves the others. They cannot be done before it wakes up.
 */
static void sleep_once(void *arg, const struct ebt_progress *p)
{
	struct field *f = arg;

	if (p->phase != EBT_PHASE_MOVE || exists(f->top, "asleep"))
		return;
	put_file(f->top, "asleep", "", 0);
	nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
}

static void failing_is_told_before_others_are_waited_for(MPI_Comm comm)
{
	struct field f;
	struct late l = {.f = &f};

	if (mpi_size(comm) < 2)
		return;
	open_field_all(&f, comm);
	if (f.rank == 0)
		put_file(f.source, "big", "0123456789abcdef0123456789abcdef", BIG);
	f.o.parcel = 128 << 10;
	f.o.memory = 4 << 20;
	f.o.readers = 1;
	f.o.run.progress = sleep_once;
	f.o.run.progress_arg = &f;
	f.o.run.failing = note_when;
	f.o.run.failing_arg = &l;
	if (f.rank == f.size - 1) {
		f.o.run.stopped = stop_and_note;
		f.o.run.stopped_arg = &l;
	}
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(stage_field_all(&f), -EINTR);
	if (f.rank == f.size - 1)
		CU_ASSERT(l.told_at > 0 && l.told_at - l.stopped_at < 1);
	close_field(&f);
}

static void ranks_that_share_a_node_share_its_store(MPI_Comm comm)
{
	struct field f;
	char first[96];
	int r;

	open_field_all(&f, comm);
	f.o.run.per_rank = false;
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	snprintf(first, sizeof(first), "%s/t.0", f.top);
	check_staged(&f, first);
	CU_ASSERT_EQUAL(access(f.mine, F_OK) == 0, f.rank == 0);
	if (f.rank == 0) {
		CU_ASSERT_EQUAL(f.rep.nodes, 1);
		CU_ASSERT_EQUAL(f.rep.ranks, (uint32_t)f.size);
	}
	/* Nobody gets ahead of the only rank that works. */
	f.o.overwrite = EBT_OVERWRITE_REFUSE;
	r = stage_field_all(&f);
	check_failed(&f, r, -EEXIST, "hello");
	close_field(&f);
}

static void parts_of_a_job_stage_side_by_side(MPI_Comm comm)
{
	struct field f;
	MPI_Comm half;

	MPI_Comm_split(comm, mpi_rank(comm) % 2, -mpi_rank(comm), &half);
	open_field_all(&f, half);
	CU_ASSERT_EQUAL(stage_field_all(&f), 0);
	check_staged(&f, f.mine);
	CU_ASSERT_EQUAL(f.rep.nodes, (uint32_t)f.size);
	close_field(&f);
	MPI_Comm_free(&half);
}

const struct mpi_test stage_tests[] = {
	MPI_TEST(a_tree_reaches_every_node),
	MPI_TEST(damage_on_one_node_is_counted_on_all),
	MPI_TEST(dry_run_touches_nothing),
	MPI_TEST(a_target_that_exists_on_one_node_is_refused_on_all),
	MPI_TEST(a_missing_source_fails_all_alike),
	MPI_TEST(who_failed_is_named_once),
	MPI_TEST(no_sources_is_the_same_on_all),
	MPI_TEST(failing_is_told_once),
	MPI_TEST(a_stop_on_one_rank_stops_all),
	MPI_TEST(a_run_in_a_hurry_leaves_the_rest_to_the_next),
	MPI_TEST(failing_is_told_before_others_are_waited_for),
	MPI_TEST(ranks_that_share_a_node_share_its_store),
	MPI_TEST(parts_of_a_job_stage_side_by_side),
	{0},
};
