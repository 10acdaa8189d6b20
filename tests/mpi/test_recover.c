/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a death may leave on several nodes, put together by hand, and what becomes of it; and
 * the moments of a run in which the nodes wait for one another so that no death leaves more.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "ranks.h"
#include "stage/run.h"

#define ID	 "0123456789abcdef0123456789abcdef"
#define INCOMING ".ebt/incoming/" ID

/* What one node holds of run ID; see src/stage/recover.c. */
enum part {
	NOTHING,
	UNSEALED,
	SEALED,
	RECORDED,
	PUBLISHED,
	UNTIDY,	  /* published, and died before the incoming tree was gone */
	GIVEN_UP, /* recorded, and given up before anything was renamed */
};

/* Stores side by side, one a rank. */
struct field {
	MPI_Comm comm;
	int rank, size;
	char top[64], dest[96], mine[96];
	struct ebt_stage_options o;
	struct ebt_err err;
	bool spoil;   /* the first rank's record cannot be taken back */
	bool limited; /* this rank's files may not grow */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	MPI_Abort(MPI_COMM_WORLD, 99);
}

static void open_field_all(struct field *f, MPI_Comm comm)
{
	memset(f, 0, sizeof(*f));
	f->comm = comm;
	f->rank = mpi_rank(comm);
	f->size = mpi_size(comm);
	mpi_tmpdir_all(comm, f->top);
	snprintf(f->dest, sizeof(f->dest), "%s/t.%%r", f->top);
	snprintf(f->mine, sizeof(f->mine), "%s/t.%d", f->top, f->rank);
	f->o.dest = f->dest;
	f->o.run.per_rank = true;
	f->o.memory = 16 << 20;
}

/* How many match @pattern in the store of @rank. */
static size_t matches(const struct field *f, int rank, const char *pattern)
{
	char path[256];
	glob_t g = {0};
	size_t n;

	snprintf(path, sizeof(path), "%s/t.%d/%s", f->top, rank, pattern);
	n = glob(path, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
	globfree(&g);
	return n;
}

static bool has(const struct field *f, const char *name)
{
	return matches(f, f->rank, name) == 1;
}

static void write_file(int dirfd, const char *name)
{
	static const struct timespec times[2];
	SCOPED_FD int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	must(fd >= 0 && write(fd, "hello", 5) == 5, name);
	must(fchmod(fd, 0600) == 0 && futimens(fd, times) == 0, name);
}

/* Directory d, and in it @n files that say hello. */
static struct manifest *make_manifest(unsigned n)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct manifest_entry e = {.kind = MANIFEST_DIR,
		.name = "d",
		.mode = 0700,
		.group = MANIFEST_NONE,
		.parent = MANIFEST_ROOT,
		.uid = geteuid(),
		.gid = getegid(),
		.nlink = 1};
	char name[16];

	must(manifest_new(&m, NULL) == 0, "manifest");
	must(manifest_add_source(m, "/source", &e.source, NULL) == 0, "manifest");
	must(manifest_add(m, &e, NULL) == 0, "manifest");
	e.kind = MANIFEST_FILE;
	e.name = name;
	e.mode = 0600;
	e.size = e.allocated = 5;
	e.digest = digest_sum(e.digest, digest_leaf("hello", 5, 0));
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "d/f%u", i);
		e.ino = i + 1;
		must(manifest_add(m, &e, NULL) == 0, "manifest");
	}
	must(manifest_arrange(m, NULL) == 0, "manifest");
	strcpy(m->id, ID);
	return TAKE(m);
}

static void bring(struct store *s, const struct manifest *m, bool with_files, bool seal)
{
	SCOPED_FD int tree = -1;

	must(store_begin(s, ID, &tree, NULL) == 0, "begin");
	if (with_files) {
		must(mkdirat(tree, "d", 0700) == 0, "d");
		write_file(tree, "d/f0");
	}
	must(!seal || store_seal(s, m, NULL, false, NULL) == 0, "seal");
}

/* Brings this rank's store from nothing to @part. */
static void put(const struct field *f, enum part part)
{
	SCOPED_MANIFEST struct manifest *m = make_manifest(1);
	SCOPED(store_closep) struct store *s = NULL;

	must(store_open(f->mine, STORE_CREATE, &s, NULL) == 0, f->mine);
	struct store_gave_up gave;

	if (part == NOTHING)
		return;
	bring(s, m, true, part != UNSEALED);
	if (part == GIVEN_UP) {
		must(store_commit(s, ID, STORE_REFUSE, NULL) == 0, "commit");
		must(store_give_up(s, NULL, &gave, NULL) == 1, "give up");
		return;
	}
	if (part >= RECORDED)
		must(store_commit(s, ID, STORE_REFUSE, NULL) == 0, "commit");
	if (part >= PUBLISHED)
		must(store_publish(s, NULL, NULL) == 0, "publish");
	if (part == UNTIDY)
		bring(s, m, false, true);
}

static int recover_all(struct field *f, uint32_t *done)
{
	memset(&f->err, 0, sizeof(f->err));
	*done = 99;
	return ebt_stage_recover_all(f->comm, &f->o, done, &f->err);
}

static void check_settled(struct field *f, bool published)
{
	uint64_t bad = 1;

	CU_ASSERT_EQUAL(has(f, "d/f0"), published);
	CU_ASSERT_FALSE(has(f, ".ebt/publish"));
	CU_ASSERT_EQUAL(matches(f, f->rank, ".ebt/incoming/*"), 0);
	if (published) {
		CU_ASSERT_EQUAL(ebt_stage_verify_all(f->comm, &f->o, &bad, &f->err), 0);
		CU_ASSERT_EQUAL(bad, 0);
	}
}

/* Nodes in turn hold one and the other. */
static void all_that_a_death_leaves_is_finished_or_removed(MPI_Comm comm)
{
	static const struct {
		enum part part[2];
		bool published;
	} cases[] = {
		{{NOTHING, NOTHING}, false},
		{{UNSEALED, SEALED}, false},
		{{SEALED, NOTHING}, false},
		{{SEALED, SEALED}, false},
		{{RECORDED, SEALED}, true},
		{{RECORDED, RECORDED}, true},
		{{RECORDED, PUBLISHED}, true},
		{{UNTIDY, RECORDED}, true},
		{{UNTIDY, PUBLISHED}, true},
	};
	struct field f;
	uint32_t done, want;
	bool forward;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_field_all(&f, comm);
		put(&f, cases[i].part[f.rank % 2]);
		want = 0;
		forward = cases[i].part[0] == RECORDED ||
			  (f.size > 1 && cases[i].part[1] == RECORDED);
		for (int k = 0; forward && k < f.size; k++)
			want += cases[i].part[k % 2] < PUBLISHED;
		MPI_Barrier(comm);
		CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
		CU_ASSERT_EQUAL(done, want);
		check_settled(&f, cases[i].published);
	}
}

/* No death leaves these: a record, and a node that has nothing of what it speaks of. */
static void a_node_that_lost_its_part_is_named_and_nothing_touched(MPI_Comm comm)
{
	static const enum part lost[] = {NOTHING, UNSEALED};
	struct field f;
	uint32_t done;
	bool victim;

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]) && mpi_size(comm) > 1;
		i++) {
		open_field_all(&f, comm);
		victim = f.rank == f.size - 1;
		put(&f, victim ? lost[i] : f.rank % 2 ? SEALED : RECORDED);
		MPI_Barrier(comm);
		CU_ASSERT_EQUAL(recover_all(&f, &done), -ENODATA);
		CU_ASSERT_EQUAL(done, 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "has nothing of run " ID));
		CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "--recover --give-up "));
		CU_ASSERT(mpi_same_all(comm, &f.err, sizeof(f.err)));
		CU_ASSERT_FALSE(has(&f, "d"));
		CU_ASSERT_EQUAL(has(&f, ".ebt/publish"), !victim && f.rank % 2 == 0);
		CU_ASSERT_EQUAL(has(&f, INCOMING "/manifest"), !victim);
		CU_ASSERT_EQUAL(
			has(&f, INCOMING "/tree/d/f0"), !victim || lost[i] != NOTHING);
		/* The way out that the message names. */
		MPI_Barrier(comm);
		f.o.give_up = true;
		CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
		CU_ASSERT_EQUAL(done, (uint32_t)f.size - 1);
		check_settled(&f, false);
		f.o.give_up = false;
		CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
		CU_ASSERT_EQUAL(done, 0);
	}
}

static void a_publication_that_cannot_end_names_the_way_out(MPI_Comm comm)
{
	struct field f;
	uint32_t done;
	char path[128];

	open_field_all(&f, comm);
	put(&f, RECORDED);
	snprintf(path, sizeof(path), "%s/d", f.mine);
	if (f.rank == f.size - 1)
		must(symlink("elsewhere", path) == 0, path);
	MPI_Barrier(comm);
	CU_ASSERT(recover_all(&f, &done) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "the next run tries again"));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "move it away"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(f.err.text, "ebt-stage --per-rank --recover --give-up "));
	CU_ASSERT_EQUAL(has(&f, ".ebt/publish"), f.rank == f.size - 1);
	MPI_Barrier(comm);
	if (f.rank == f.size - 1)
		must(unlink(path) == 0, path);
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
	check_settled(&f, true);
}

/* Nodes in turn: one gave up, the others are as a death leaves them. None is stuck. */
static void a_node_that_gave_up_holds_up_no_other(MPI_Comm comm)
{
	static const struct {
		enum part part[2]; /* of the last node, of all others */
		bool published;	   /* there */
	} cases[] = {
		{{GIVEN_UP, RECORDED}, true},
		{{GIVEN_UP, SEALED}, false},
		{{GIVEN_UP, PUBLISHED}, true},
		{{GIVEN_UP, NOTHING}, false},
		{{GIVEN_UP, GIVEN_UP}, false},
	};
	struct field f;
	uint32_t done;
	bool gave_up;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_field_all(&f, comm);
		gave_up = f.rank == f.size - 1;
		put(&f, cases[i].part[!gave_up]);
		MPI_Barrier(comm);
		CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
		CU_ASSERT_EQUAL(
			done, cases[i].part[1] == RECORDED ? (uint32_t)f.size - 1 : 0);
		CU_ASSERT_EQUAL(has(&f, "d/f0"), !gave_up && cases[i].published);
		CU_ASSERT_FALSE(has(&f, ".ebt/publish"));
		CU_ASSERT_EQUAL(matches(&f, f.rank, ".ebt/incoming/*"), 0);
		MPI_Barrier(comm);
		CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
		CU_ASSERT_EQUAL(done, 0);
	}
}

/* A death between the steps of giving up: the ID is noted, the sealed tree still there. */
static void a_node_that_died_giving_up_has_given_up(MPI_Comm comm)
{
	struct field f;
	uint32_t done;
	bool gave_up;

	if (mpi_size(comm) < 2)
		return;
	open_field_all(&f, comm);
	gave_up = f.rank == f.size - 1;
	put(&f, gave_up ? GIVEN_UP : RECORDED);
	if (gave_up) {
		SCOPED_MANIFEST struct manifest *m = make_manifest(1);
		SCOPED(store_closep) struct store *s = NULL;

		must(store_open(f.mine, STORE_CREATE, &s, NULL) == 0, f.mine);
		bring(s, m, false, true);
	}
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
	CU_ASSERT_EQUAL(done, (uint32_t)f.size - 1);
	CU_ASSERT_EQUAL(has(&f, "d/f0"), !gave_up);
	CU_ASSERT_FALSE(has(&f, ".ebt/publish"));
}

/* Something is in the way on one node: it gives up alone, the others keep what they have. */
static void one_node_may_give_up_by_itself(MPI_Comm comm)
{
	struct field f, alone;
	uint32_t done;
	char path[128];
	bool stuck;

	open_field_all(&f, comm);
	stuck = f.rank == f.size - 1;
	put(&f, RECORDED);
	snprintf(path, sizeof(path), "%s/d", f.mine);
	if (stuck)
		must(symlink("elsewhere", path) == 0, path);
	MPI_Barrier(comm);
	CU_ASSERT(recover_all(&f, &done) < 0);
	MPI_Barrier(comm);
	if (stuck) {
		alone = f;
		alone.comm = MPI_COMM_SELF;
		alone.o.dest = f.mine;
		alone.o.give_up = true;
		CU_ASSERT_EQUAL(recover_all(&alone, &done), 0);
		CU_ASSERT_EQUAL(done, 1);
	}
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
	CU_ASSERT_EQUAL(done, 0);
	CU_ASSERT_EQUAL(has(&f, "d/f0"), !stuck);
	CU_ASSERT_EQUAL(has(&f, ".ebt/manifest"), !stuck);
	if (stuck)
		must(unlink(path) == 0, path);
}

/* Its content is merged into: it has to be known before anything gets a name. */
static void a_manifest_that_cannot_be_read_stops_a_run_at_its_start(MPI_Comm comm)
{
	struct field f;
	const char *source = "/etc/hostname";
	struct ebt_stage_report rep;
	char path[128];
	uint32_t done;
	bool victim;

	open_field_all(&f, comm);
	victim = f.rank == f.size - 1;
	snprintf(path, sizeof(path), "%s/.ebt/manifest", f.mine);
	put(&f, PUBLISHED);
	if (victim)
		must(truncate(path, 100) == 0, path);
	if (f.rank == 0) {
		f.o.sources = &source;
		f.o.n_sources = 1;
	}
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(ebt_stage_all(comm, &f.o, &rep, &f.err), -EBADMSG);
	ebt_stage_report_free(&rep);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "/.ebt/manifest: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "may be removed"));
	CU_ASSERT(mpi_same_all(comm, &f.err, sizeof(f.err)));
	CU_ASSERT_FALSE(has(&f, "hostname"));
	CU_ASSERT_FALSE(has(&f, ".ebt/publish"));
	CU_ASSERT_EQUAL(matches(&f, f.rank, ".ebt/incoming/*"), 0);
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(recover_all(&f, &done), -EBADMSG);
	MPI_Barrier(comm);
	if (victim)
		must(unlink(path) == 0, path);
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(ebt_stage_all(comm, &f.o, &rep, &f.err), 0);
	ebt_stage_report_free(&rep);
	CU_ASSERT(has(&f, "hostname"));
}

/*
 * The incoming directory of the last node becomes a link, which a commit does not follow, so
 * that its record cannot be written: as if it died before.
 */
static void nobody_publishes_before_all_have_a_record(MPI_Comm comm)
{
	struct field f;
	char path[160], aside[128];
	uint32_t done;
	bool victim;

	if (mpi_size(comm) < 2)
		return;
	open_field_all(&f, comm);
	victim = f.rank == f.size - 1;
	put(&f, victim ? SEALED : RECORDED);
	snprintf(path, sizeof(path), "%s/" INCOMING, f.mine);
	snprintf(aside, sizeof(aside), "%s/aside", f.mine);
	if (victim)
		must(rename(path, aside) == 0 && symlink("../../aside", path) == 0,
			path);
	MPI_Barrier(comm);
	CU_ASSERT(recover_all(&f, &done) < 0);
	CU_ASSERT_FALSE(has(&f, "d"));
	CU_ASSERT_EQUAL(has(&f, ".ebt/publish"), !victim);
	MPI_Barrier(comm);
	if (victim)
		must(unlink(path) == 0 && rename(aside, path) == 0, path);
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
	CU_ASSERT_EQUAL(done, (uint32_t)f.size);
	check_settled(&f, true);
}

static void limit_files(struct field *f, bool on)
{
	struct rlimit now;

	must(getrlimit(RLIMIT_FSIZE, &now) == 0, "limit");
	now.rlim_cur = on ? 0 : now.rlim_max;
	signal(SIGXFSZ, on ? SIG_IGN : SIG_DFL);
	must(setrlimit(RLIMIT_FSIZE, &now) == 0, "limit");
	f->limited = on;
}

/* Asked once more between the sealing of a run and its commit. */
static int limit_when_sealed(void *arg)
{
	struct field *f = arg;

	if (!f->limited && matches(f, f->rank, ".ebt/incoming/*/manifest"))
		limit_files(f, true);
	return 0;
}

static void swap_record(const struct field *f, bool away)
{
	char path[128], aside[128];

	snprintf(path, sizeof(path), "%s/.ebt/publish", f->mine);
	snprintf(aside, sizeof(aside), "%s/.ebt/aside", f->mine);
	if (away)
		must(rename(path, aside) == 0 && mkdir(path, 0700) == 0, path);
	else
		must(rmdir(path) == 0 && rename(aside, path) == 0, path);
}

/* The last rank could not commit. */
static void note_failing(void *arg, double timeout, const char *text)
{
	struct field *f = arg;

	if (f->limited)
		limit_files(f, false);
	else if (f->spoil && f->rank == 0)
		swap_record(f, true);
}

/* Collective. A run of one file, f0, whose last rank cannot commit. */
static void fail_to_commit_all(struct field *f)
{
	struct ebt_stage_report rep;
	char path[128], content[136];
	const char *source = content;
	int dir;

	snprintf(path, sizeof(path), "%s/s", f->top);
	snprintf(content, sizeof(content), "%s/.", path);
	if (f->rank == 0) {
		must(mkdir(path, 0700) == 0, path);
		dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		write_file(dir, "f0");
		close(dir);
		f->o.sources = &source;
		f->o.n_sources = 1;
	}
	f->o.run.failing = note_failing;
	f->o.run.failing_arg = f;
	f->o.run.stopped = f->rank == f->size - 1 ? limit_when_sealed : NULL;
	f->o.run.stopped_arg = f;
	MPI_Barrier(f->comm);
	CU_ASSERT_EQUAL(ebt_stage_all(f->comm, &f->o, &rep, &f->err), -EFBIG);
	ebt_stage_report_free(&rep);
}

static void a_commit_that_fails_somewhere_leaves_nothing(MPI_Comm comm)
{
	struct field f;

	open_field_all(&f, comm);
	fail_to_commit_all(&f);
	CU_ASSERT_EQUAL(matches(&f, f.rank, "*"), 0);
	CU_ASSERT_FALSE(has(&f, ".ebt"));
}

/* Else recovery would find a record here and nothing there. */
static void no_tree_goes_while_a_record_is_left(MPI_Comm comm)
{
	struct field f;
	uint32_t done;

	if (mpi_size(comm) < 2)
		return;
	open_field_all(&f, comm);
	f.spoil = true;
	fail_to_commit_all(&f);
	CU_ASSERT(has(&f, ".ebt/incoming/*/tree/f0"));
	CU_ASSERT_FALSE(has(&f, "f0"));
	if (f.rank == 0)
		swap_record(&f, false);
	CU_ASSERT_EQUAL(has(&f, ".ebt/publish"), f.rank == 0);
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(recover_all(&f, &done), 0);
	CU_ASSERT_EQUAL(done, (uint32_t)f.size);
	CU_ASSERT(has(&f, "f0"));
}

/* Different content of entry @at on the @wrong ranks from rank 1 on, each its own. */
static int disagree_all(
	MPI_Comm comm, uint32_t at, int wrong, bool head, struct ebt_err *err)
{
	SCOPED(stage_close) struct stage st;
	struct ebt_stage_options o = {.run.per_rank = true};
	bool keep = true;
	int r, rank = mpi_rank(comm);

	memset(err, 0, sizeof(*err));
	CU_ASSERT_EQUAL(stage_open_all(&st, comm, &o, err), 0);
	st.b.m = make_manifest(9);
	if (rank >= 1 && rank <= wrong && head)
		st.b.m->id[0] = '9';
	else if (rank >= 1 && rank <= wrong)
		manifest_sum_digest(
			st.b.m, at, (struct ebt_digest){.lo = (uint64_t)rank});
	r = stage_publish_all(&st, &keep, err);
	CU_ASSERT(keep); /* untouched: it ended long before a record */
	return r;
}

static void nodes_that_received_something_else_are_named(MPI_Comm comm)
{
	struct ebt_err err;
	char name[16];
	int size = mpi_size(comm);

	for (uint32_t i = 1; i < 10 && size > 1; i++) {
		CU_ASSERT_EQUAL(disagree_all(comm, i, 1, false, &err), -EBADMSG);
		snprintf(name, sizeof(name), "d/f%u: ", i - 1);
		CU_ASSERT_PTR_EQUAL(strstr(err.text, name), err.text);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ": rank 1 on "));
		CU_ASSERT_PTR_NULL(strstr(err.text, "rank 0"));
		CU_ASSERT(mpi_same_all(comm, &err, sizeof(err)));
	}
	if (size == 7) {
		CU_ASSERT_EQUAL(disagree_all(comm, 5, 4, false, &err), -EBADMSG);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ": rank 1 on "));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ", rank 3 on "));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ", 1 more"));
		CU_ASSERT_PTR_NULL(strstr(err.text, "rank 4"));
	}
	if (size > 1)
		CU_ASSERT_EQUAL(disagree_all(comm, 0, 1, true, &err), -EBADMSG);
}

const struct mpi_test recover_tests[] = {
	MPI_TEST(all_that_a_death_leaves_is_finished_or_removed),
	MPI_TEST(a_node_that_lost_its_part_is_named_and_nothing_touched),
	MPI_TEST(a_publication_that_cannot_end_names_the_way_out),
	MPI_TEST(a_node_that_gave_up_holds_up_no_other),
	MPI_TEST(a_node_that_died_giving_up_has_given_up),
	MPI_TEST(one_node_may_give_up_by_itself),
	MPI_TEST(a_manifest_that_cannot_be_read_stops_a_run_at_its_start),
	MPI_TEST(nobody_publishes_before_all_have_a_record),
	MPI_TEST(a_commit_that_fails_somewhere_leaves_nothing),
	MPI_TEST(no_tree_goes_while_a_record_is_left),
	MPI_TEST(nodes_that_received_something_else_are_named),
	{0},
};
