/* SPDX-License-Identifier: BSD-3-Clause */
/* What a drain decides before it moves a byte; each rank is a node with a store of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebt/stage.h"
#include "field.h"
#include "files.h"
#include "fsio/fsio.h"
#include "ranks.h"
#include "transport/transport.h"

#define SHARED (5u << 20) /* bytes of the files that several nodes have pieces of */

static uint64_t sum_all(const struct field *f, uint64_t v)
{
	MPI_Allreduce(MPI_IN_PLACE, &v, 1, MPI_UINT64_T, MPI_SUM, f->comm);
	return v;
}

/* Entry of this rank, NONE if it is no output. */
static uint32_t find(const struct field *f, const char *path)
{
	return manifest_find(f->d.out.m, path);
}

static int verdict(const struct field *f, const char *path)
{
	uint32_t i = find(f, path);

	return i == MANIFEST_NONE ? -1 : f->d.out.verdict[i];
}

static bool marked(const struct field *f, const char *path, enum drain_mark mark)
{
	return (f->d.out.marks[find(f, path)] & mark) != 0;
}

static const struct drain_dir *find_dir(const struct field *f, const char *path)
{
	for (uint32_t i = 0; i < f->d.own.n_dirs; i++) {
		if (strcmp(f->d.own.dirs[i].path, path) == 0)
			return &f->d.own.dirs[i];
	}
	return NULL;
}

/* A failure that all have, with these words in its text. */
static void check_refused(struct field *f, int r, const char *a, const char *b)
{
	CU_ASSERT_EQUAL(r, -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(f->err.text, a));
	CU_ASSERT_PTR_NOT_NULL(strstr(f->err.text, b));
	CU_ASSERT(mpi_same_all(f->comm, f->err.text, strlen(f->err.text) + 1));
	if (r != -EEXIST || !strstr(f->err.text, a) || !strstr(f->err.text, b))
		fprintf(stderr, "got %d: %s\n", r, f->err.text);
}

static void the_namespaces_of_all_nodes_are_united(MPI_Comm comm)
{
	struct field f;
	char name[32];

	open_field_all(&f, comm);
	snprintf(name, sizeof(name), "d/f.%d", f.rank);
	put_dir(f.mine, "d", 0750);
	put_text(f.mine, name, "text", 1000);
	put_link(f.mine, "link", "d/anything");
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(verdict(&f, name), DRAIN_WRITE);
	CU_ASSERT_EQUAL(verdict(&f, "link"), f.rank ? DRAIN_OLDER : DRAIN_WRITE);
	/* d and the root, once each. */
	CU_ASSERT_EQUAL(sum_all(&f, f.d.own.n_dirs), 2);
	CU_ASSERT_EQUAL(sum_all(&f, find_dir(&f, "d") != NULL), 1);
	if (find_dir(&f, "d")) {
		CU_ASSERT_EQUAL(find_dir(&f, "d")->e.mode, 0750);
		CU_ASSERT(!find_dir(&f, "d")->exists);
	}
	CU_ASSERT_EQUAL(sum_all(&f, f.rep.conflicts), 0);
	CU_ASSERT(f.d.dest.fresh);
	close_drain(&f);
}

static void nothing_to_drain_is_no_error(MPI_Comm comm)
{
	struct field f;

	open_field_all(&f, comm);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(f.d.out.m->count, 0);
	CU_ASSERT_EQUAL(sum_all(&f, f.d.own.n_dirs), 1);
	close_drain(&f);
}

static void one_path_on_two_nodes_is_an_error_that_names_them(MPI_Comm comm)
{
	struct field f;
	char page[8192];
	int r;

	memset(page, 'x', sizeof(page));
	open_field_all(&f, comm);
	f.o.conflict = EBT_CONFLICT_ERROR;
	put_dir(f.mine, "d", 0755);
	put(f.mine, "d/both", page, sizeof(page), 4096 * (uint64_t)f.rank, 1000);
	put(f.mine, "none", page, 4096, 65536 * (uint64_t)f.rank, 1000);
	r = merge_all(&f);
	if (f.size == 1) {
		CU_ASSERT_EQUAL(r, 0);
	} else {
		check_refused(&f, r, "2 conflicts",
			"d/both: on n0 and n1, both have bytes [4096, 8192)");
		check_refused(&f, r, "none: on n0 and n1, no byte in common",
			"--conflict=merge");
		/* What was made for it goes at the end, where nothing was drained. */
		drain_root_release(&f.d, true);
		MPI_Barrier(comm);
		CU_ASSERT_EQUAL(access(f.dest, F_OK), -1);
	}
	close_drain(&f);
}

/* A directory on the last node, a file on the others. */
static void put_kinds(struct field *f)
{
	if (f->rank == f->size - 1)
		put_dir(f->mine, "x", 0755);
	else
		put_text(f->mine, "x", "text", 1000);
}

static void different_kinds_conflict_in_every_policy_of_all_or_nothing(MPI_Comm comm)
{
	struct field f;
	int r;

	for (int how = EBT_CONFLICT_ERROR; how <= EBT_CONFLICT_SUFFIX; how++) {
		open_field_all(&f, comm);
		f.o.conflict = (enum ebt_conflict)how;
		f.o.strict = how != EBT_CONFLICT_ERROR;
		put_kinds(&f);
		r = merge_all(&f);
		if (f.size == 2)
			check_refused(&f, r, "1 conflict",
				"x is a directory on n1 and a file on n0");
		else if (f.size > 2)
			check_refused(
				&f, r, "x is a directory on n", "and a file on n0");
		close_drain(&f);
	}
}

static void a_directory_keeps_its_name_and_files_get_those_of_their_nodes(MPI_Comm comm)
{
	struct field f;

	for (int how = EBT_CONFLICT_AUTO; how <= EBT_CONFLICT_NEWEST; how++) {
		if (how == EBT_CONFLICT_ERROR)
			continue;
		open_field_all(&f, comm);
		f.o.conflict = (enum ebt_conflict)how;
		put_kinds(&f);
		CU_ASSERT_EQUAL(merge_all(&f), 0);
		CU_ASSERT_EQUAL(verdict(&f, "x"), DRAIN_WRITE);
		CU_ASSERT_EQUAL(marked(&f, "x", DRAIN_BY_NODE), f.rank != f.size - 1);
		CU_ASSERT_EQUAL(sum_all(&f, f.d.own.n_dirs), 2);
		CU_ASSERT_EQUAL(sum_all(&f, f.rep.conflicts), f.size > 1);
		close_drain(&f);
	}
}

static void the_newest_version_is_taken(MPI_Comm comm)
{
	struct field f;

	open_field_all(&f, comm);
	f.o.conflict = EBT_CONFLICT_NEWEST;
	put_text(f.mine, "x", "text", 1000 + f.rank);
	put_text(f.mine, "tie", "text", 1000);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(
		verdict(&f, "x"), f.rank == f.size - 1 ? DRAIN_WRITE : DRAIN_OLDER);
	CU_ASSERT_EQUAL(verdict(&f, "tie"), f.rank == 0 ? DRAIN_WRITE : DRAIN_OLDER);
	CU_ASSERT_EQUAL(sum_all(&f, f.rep.dropped), 2 * (unsigned)(f.size - 1));
	CU_ASSERT_EQUAL(sum_all(&f, f.rep.conflicts), f.size > 1 ? 2 : 0);
	close_drain(&f);
}

static void versions_get_names_of_their_own_unless_these_are_taken(MPI_Comm comm)
{
	struct field f;
	int r;

	open_field_all(&f, comm);
	f.o.conflict = EBT_CONFLICT_SUFFIX;
	put_text(f.mine, "x", "text", 1000);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(verdict(&f, "x"), DRAIN_WRITE);
	CU_ASSERT_EQUAL(marked(&f, "x", DRAIN_SUFFIXED), f.size > 1);
	CU_ASSERT_EQUAL(sum_all(&f, f.rep.conflicts), f.size > 1);
	if (f.rank == 0)
		put_text(f.mine, "x.n0", "taken", 1000);
	/* Something else comes to have the name; the journal does not speak of it. */
	f.o.strict = true;
	r = merge_all(&f);
	if (f.size > 1)
		check_refused(
			&f, r, "1 conflict", "x.n0: a new name on n0 that n0 has too");
	f.o.strict = false;
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(marked(&f, "x", DRAIN_IN_WAY), f.rank == 0 && f.size > 1);
	/* A target of the new name counts as much as one of the old one. */
	if (f.rank == 0) {
		char path[128];

		snprintf(path, sizeof(path), "%s/x.n0", f.mine);
		must(unlink(path) == 0, path);
		put_dest(&f);
		put_text(f.dest, f.size > 1 ? "x.n0" : "x", "old", 1000);
	}
	MPI_Barrier(comm);
	f.o.overwrite = EBT_OVERWRITE_REFUSE;
	check_refused(&f, merge_all(&f), "1 target exists already",
		f.size > 1 ? "x.n0" : "x");
	close_drain(&f);
}

/* What a byte of the shared file is: never zero, the same on all nodes. */
static unsigned char shared_byte(uint64_t off)
{
	return (unsigned char)(1 + (off * 31 + (off >> 12)) % 255);
}

static void put_shared(const struct field *f, uint64_t off, uint64_t len)
{
	unsigned char *data = malloc(len);

	for (uint64_t i = 0; i < len; i++)
		data[i] = shared_byte(off + i);
	put(f->mine, "shared", data, len, off, 1000 + f->rank);
	free(data);
}

/* Puts the file together from its pieces as a writer would. All stores are on this machine. */
static void carry_out(
	const struct field *f, const struct drain_task *t, unsigned char *got)
{
	unsigned char *piece = malloc(SHARED);
	char path[192];

	for (uint32_t i = 0; i < t->n_pieces; i++) {
		const struct drain_piece *p = &t->pieces[i];
		int fd;

		snprintf(path, sizeof(path), "%s/s.%u/shared", f->top,
			t->sources[p->source].node);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		must(fd >= 0 && fsio_read(fd, piece, p->len, p->off) == (ssize_t)p->len,
			path);
		close(fd);
		for (uint64_t k = 0; k < p->len; k++) {
			/* What does not overlap is written by nobody else. */
			CU_ASSERT(p->overlaps || got[p->off + k] == 0);
			got[p->off + k] |= piece[k];
		}
	}
	free(piece);
}

/*
 * A header that all have, pieces of odd lengths in turns, so that nodes meet inside of blocks,
 * and a long range that is the same everywhere.
 */
static void pieces_of_a_shared_file_are_joined(MPI_Comm comm)
{
	unsigned char *got = calloc(1, SHARED);
	uint64_t bad = 0, tasks = 0;
	struct field f;

	open_field_all(&f, comm);
	f.o.conflict = EBT_CONFLICT_MERGE;
	put_shared(&f, 0, 3000);
	for (uint64_t off = 3000, k = 0; off < 1 << 20; off += 10007, k++) {
		if (k % (unsigned)f.size == (unsigned)f.rank)
			put_shared(&f, off, 10007);
	}
	put_shared(&f, 2 << 20, 2 << 20);
	if (f.rank == f.size - 1)
		put_shared(&f, SHARED - 1, 1);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(verdict(&f, "shared"), f.size > 1 ? DRAIN_PART : DRAIN_WRITE);
	for (const struct drain_task *t = f.d.own.shared; t; t = t->next, tasks++) {
		CU_ASSERT_STRING_EQUAL(t->e.name, "shared");
		CU_ASSERT_EQUAL(t->e.size, SHARED);
		CU_ASSERT_EQUAL(t->e.mtime, 1000 + f.size - 1);
		CU_ASSERT_EQUAL(t->n_sources, (unsigned)f.size);
		carry_out(&f, t, got);
		for (uint64_t i = 0; i < SHARED; i++) {
			bool data = i < 1 << 20 || (i >= 2 << 20 && i < 4 << 20) ||
				    i == SHARED - 1;
			/* The last piece in turn goes past the first MiB. */
			bool either = i >= 1 << 20 && i < (1 << 20) + 10007;

			bad += got[i] != (data ? shared_byte(i) : 0) &&
			       !(either && got[i] == shared_byte(i));
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(sum_all(&f, tasks), f.size > 1);
	CU_ASSERT_EQUAL(sum_all(&f, f.rep.conflicts), f.size > 1);
	close_drain(&f);
	free(got);
}

static void different_bytes_are_a_conflict_with_their_range(MPI_Comm comm)
{
	struct field f;
	int r;

	open_field_all(&f, comm);
	f.o.conflict = EBT_CONFLICT_MERGE;
	put_shared(&f, 0, 3 << 20);
	if (f.rank == f.size - 1)
		put(f.mine, "shared", "!!", 2, 0x212345, 1000);
	if (f.rank == 0)
		put(f.mine, "shared", "??", 2, 0x212345, 1000);
	r = merge_all(&f);
	if (f.size == 2)
		check_refused(&f, r, "1 conflict",
			"shared: n0 and n1 differ in bytes [2171717, 2171719)");
	else if (f.size > 2)
		check_refused(&f, r, "shared: n0 and n",
			"differ in bytes [2171717, 2171719)");
	CU_ASSERT_EQUAL(r == 0, f.size == 1);
	close_drain(&f);
}

static void existing_targets_are_refused_replaced_or_compared(MPI_Comm comm)
{
	struct field f;
	bool last;

	open_field_all(&f, comm);
	last = f.rank == f.size - 1;
	put_dir(f.mine, "d", 0700);
	if (last)
		put_text(f.mine, "d/x", "text", 1000);
	if (last)
		put_text(f.mine, "d/y", "text", 1000);
	if (f.rank == 0) {
		put_dest(&f);
		put_dir(f.dest, "d", 0711);
		put_text(f.dest, "d/x", "1234", 1000);
		put_text(f.dest, "d/y", "1234", 1001);
		put_text(f.dest, "d/other", "theirs", 1000);
	}
	MPI_Barrier(comm);
	f.o.overwrite = EBT_OVERWRITE_REFUSE;
	check_refused(&f, merge_all(&f), "2 targets exist already (see --overwrite)",
		"d/x; d/y");
	for (int i = 0; i < 2; i++) {
		f.o.overwrite = i ? EBT_OVERWRITE_KEEP : EBT_OVERWRITE_AUTO;
		CU_ASSERT_EQUAL(merge_all(&f), 0);
		CU_ASSERT(!last || (verdict(&f, "d/x") == DRAIN_WRITE &&
					   marked(&f, "d/x", DRAIN_IN_WAY) &&
					   !marked(&f, "d/x", DRAIN_REPLACES)));
	}
	f.o.overwrite = EBT_OVERWRITE_ALWAYS;
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT(!last || (verdict(&f, "d/x") == DRAIN_WRITE &&
				   marked(&f, "d/x", DRAIN_REPLACES)));
	CU_ASSERT_EQUAL(sum_all(&f, find_dir(&f, "d") && find_dir(&f, "d")->exists), 1);
	f.o.overwrite = EBT_OVERWRITE_UPDATE;
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT(!last || verdict(&f, "d/x") == DRAIN_SAME);
	CU_ASSERT(!last || (verdict(&f, "d/y") == DRAIN_WRITE &&
				   marked(&f, "d/y", DRAIN_REPLACES)));
	/* A directory against something else, in every mode. */
	if (f.rank == 0) {
		char path[128];

		snprintf(path, sizeof(path), "%s/d/y", f.dest);
		must(unlink(path) == 0, path);
		put_dir(f.dest, "d/y", 0755);
	}
	MPI_Barrier(comm);
	f.o.overwrite = EBT_OVERWRITE_ALWAYS;
	f.o.strict = true;
	check_refused(&f, merge_all(&f), "1 target cannot be replaced", "d/y");
	f.o.strict = false;
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT(!last || marked(&f, "d/y", DRAIN_IN_WAY));
	close_drain(&f);
}

static void sealed_files_are_in_place_and_leftovers_go(MPI_Comm comm)
{
	struct journal_source source = {.size = 4, .mtime = 1000};
	struct journal_seal seal = {.names = "d/x",
		.n_names = 1,
		.size = 4,
		.mtime = 1000,
		.sources = &source,
		.n_sources = 1};
	struct stat st;
	struct field f;
	char path[160];
	bool last;

	open_field_all(&f, comm);
	last = f.rank == f.size - 1;
	snprintf(path, sizeof(path), "n%d", f.size - 1);
	source.where = digest_bytes(path, strlen(path)).lo;
	put_dir(f.mine, "d", 0755);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	/* The first node led the file, the last has it. */
	if (last) {
		put_text(f.mine, "d/x", "text", 1000);
		snprintf(path, sizeof(path), "%s/d/x", f.mine);
		must(stat(path, &st) == 0, path);
		source.ino = st.st_ino;
	}
	MPI_Bcast(&source.ino, 1, MPI_UINT64_T, f.size - 1, comm);
	if (f.rank == 0) {
		must(journal_seal(f.d.proof.journal, &seal, NULL) == 0, "seal");
		put_dest(&f);
		put_dir(f.dest, "d", 0755);
		put_text(f.dest, "d/x", "text", 1000);
		put_text(f.dest, "d/.ebt-drain-0123456789abcdef0123456789abcdef-0-7",
			"torn", 1);
		put_text(f.dest, "d/.ebt-drain-ffffffffffffffffffffffffffffffff-0-7",
			"his", 1);
	}
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT(!last || verdict(&f, "d/x") == DRAIN_IN_PLACE);
	snprintf(path, sizeof(path),
		"%s/d/.ebt-drain-0123456789abcdef0123456789abcdef-0-7", f.dest);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	snprintf(path, sizeof(path),
		"%s/d/.ebt-drain-ffffffffffffffffffffffffffffffff-0-7", f.dest);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	/* Changed since: ours in dest is older and may be replaced. */
	if (last)
		put_text(f.mine, "d/x", "text", 2000);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT(!last || (verdict(&f, "d/x") == DRAIN_WRITE &&
				   marked(&f, "d/x", DRAIN_REPLACES)));
	/* Somebody else's file by now. */
	if (f.rank == 0)
		put_text(f.dest, "d/x", "changed", 3000);
	MPI_Barrier(comm);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT(!last || (verdict(&f, "d/x") == DRAIN_WRITE &&
				   marked(&f, "d/x", DRAIN_IN_WAY)));
	f.o.overwrite = EBT_OVERWRITE_REFUSE;
	check_refused(&f, merge_all(&f), "1 target exists already", "d/x");
	close_drain(&f);
}

static bool mode_is(const struct field *f, const char *path, mode_t mode, long mtime)
{
	char full[192];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", f->dest, path);
	return stat(full, &st) == 0 && (st.st_mode & 07777) == mode &&
	       st.st_mtime == mtime;
}

static void directories_are_made_and_finished_also_by_the_next_run(MPI_Comm comm)
{
	struct field f;
	char path[192];

	open_field_all(&f, comm);
	f.o.creators = 3;
	put_dir(f.mine, "a", 0755);
	put_dir(f.mine, "a/b", 0755);
	put_dir(f.mine, "a/b/c", 0755);
	put_text(f.mine, f.rank ? "a/b/c/none" : "a/b/zero", "", 1000);
	f.o.conflict = EBT_CONFLICT_NEWEST;
	for (int i = 3; i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%.*s", f.mine, 1 + 2 * i, "a/b/c");
		must(chmod(path, 0555) == 0, path);
		set_time(path, 5000 + i);
	}
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(drain_dirs_make_all(&f.d, &f.err), 0);
	CU_ASSERT_EQUAL(sum_all(&f, f.rep.dirs), 3);
	snprintf(path, sizeof(path), "%s/a/b/c", f.dest);
	CU_ASSERT_EQUAL(access(path, W_OK | X_OK), 0);
	MPI_Barrier(comm);
	/* That run ends here. The next one knows which directories are its own. */
	if (f.rank == 0)
		put_dir(f.dest, "theirs", 0711);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(
		sum_all(&f, find_dir(&f, "a/b") && find_dir(&f, "a/b")->present), 1);
	CU_ASSERT_EQUAL(drain_dirs_make_all(&f.d, &f.err), 0);
	CU_ASSERT_EQUAL(sum_all(&f, f.rep.dirs), 0);
	CU_ASSERT_EQUAL(drain_dirs_finish_all(&f.d, &f.err), 0);
	MPI_Barrier(comm);
	CU_ASSERT(mode_is(&f, "a", 0555, 5000));
	CU_ASSERT(mode_is(&f, "a/b", 0555, 5001));
	CU_ASSERT(mode_is(&f, "a/b/c", 0555, 5002));
	MPI_Barrier(comm);
	for (int i = 0; i < 3 && f.rank == 0; i++) {
		snprintf(path, sizeof(path), "%s/%.*s", f.dest, 1 + 2 * i, "a/b/c");
		must(chmod(path, 0755) == 0, path);
	}
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%.*s", f.mine, 1 + 2 * i, "a/b/c");
		must(chmod(path, 0755) == 0, path);
	}
	close_drain(&f);
}

static void an_atomic_dest_appears_at_the_end(MPI_Comm comm)
{
	struct field f;
	struct stat st;
	char path[192];

	open_field_all(&f, comm);
	f.o.atomic = true;
	put_dir(f.mine, "d", 0755);
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(drain_dirs_make_all(&f.d, &f.err), 0);
	CU_ASSERT_EQUAL(access(f.dest, F_OK), -1);
	/* Cut short and gone on with. */
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT(!f.d.dest.fresh);
	CU_ASSERT_EQUAL(drain_dirs_make_all(&f.d, &f.err), 0);
	CU_ASSERT_EQUAL(drain_dirs_finish_all(&f.d, &f.err), 0);
	CU_ASSERT_EQUAL(drain_dest_publish_all(&f.d, &f.err), 0);
	snprintf(path, sizeof(path), "%s/d", f.dest);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT(stat(f.dest, &st) == 0 && (st.st_mode & 0700) == 0700);
	snprintf(path, sizeof(path), "%s/.dest.ebt-drain-%s", f.top, f.d.id);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	MPI_Barrier(comm);
	check_refused(&f, merge_all(&f), f.dest, "exists, and an atomic drain");
	close_drain(&f);
}

static void a_dest_that_cannot_be_is_refused_by_name(MPI_Comm comm)
{
	struct field f;
	char dest[160];
	int r;

	open_field_all(&f, comm);
	if (f.rank == 0)
		put_text(f.top, "file", "text", 1000);
	MPI_Barrier(comm);
	f.o.dest = dest;
	snprintf(dest, sizeof(dest), "%s/file", f.top);
	CU_ASSERT_EQUAL(merge_all(&f), -ENOTDIR);
	snprintf(dest, sizeof(dest), "%s/s.0/dest", f.top);
	CU_ASSERT_EQUAL(merge_all(&f), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "inside STORE"));
	snprintf(dest, sizeof(dest), "%s", f.top);
	r = merge_all(&f);
	CU_ASSERT_EQUAL(r, -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "holds STORE"));
	CU_ASSERT(mpi_same_all(comm, f.err.text, strlen(f.err.text) + 1));
	close_drain(&f);
}

/* Stages a tree into every rank's store, then the job changes some of it. */
static void what_was_staged_and_not_changed_is_no_output(MPI_Comm comm)
{
	struct ebt_stage_options so = {.memory = 16 << 20, .run.per_rank = true};
	struct ebt_stage_report srep = {0};
	char source[96], dest[96], path[160], other[160];
	const char *sources[1] = {source};
	struct field f;

	open_field_all(&f, comm);
	snprintf(source, sizeof(source), "%s/in", f.top);
	snprintf(dest, sizeof(dest), "%s/s.%%r", f.top);
	if (f.rank == 0) {
		put_dir(f.top, "in", 0755);
		put_dir(f.top, "in/quiet", 0755);
		put_dir(f.top, "in/busy", 0755);
		put_text(f.top, "in/quiet/same", "same", 1000);
		put_text(f.top, "in/busy/same", "same", 1000);
		put_text(f.top, "in/busy/edited", "edit", 1000);
		put_link(f.top, "in/busy/link", "same");
	}
	MPI_Barrier(comm);
	so.sources = sources;
	so.n_sources = f.rank == 0;
	so.dest = dest;
	must(ebt_stage_all(comm, &so, &srep, &f.err) == 0, f.err.text);
	ebt_stage_report_free(&srep);
	put_text(f.mine, "in/busy/edited", "EDIT", 2000);
	snprintf(path, sizeof(path), "%s/in/quiet/same", f.mine);
	snprintf(other, sizeof(other), "%s/in/busy/again", f.mine);
	must(link(path, other) == 0, other);
	f.o.conflict = EBT_CONFLICT_MERGE;
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	/* in, in/busy and two files. */
	CU_ASSERT_EQUAL(f.d.out.m->count, 4);
	CU_ASSERT_EQUAL(f.rep.unchanged, 2);
	CU_ASSERT(verdict(&f, "in/busy/edited") >= 0);
	CU_ASSERT(verdict(&f, "in/busy/again") >= 0);
	CU_ASSERT(manifest_has_data(f.d.out.m, find(&f, "in/busy/again")));
	/* A directory of the store is drained by the same manifest. */
	strcat(f.mine, "/in/busy");
	CU_ASSERT_EQUAL(merge_all(&f), 0);
	CU_ASSERT_EQUAL(f.d.out.m->count, 2);
	CU_ASSERT_EQUAL(f.rep.unchanged, 1);
	close_drain(&f);
}

const struct mpi_test drain_merge_tests[] = {
	MPI_TEST(the_namespaces_of_all_nodes_are_united),
	MPI_TEST(nothing_to_drain_is_no_error),
	MPI_TEST(one_path_on_two_nodes_is_an_error_that_names_them),
	MPI_TEST(different_kinds_conflict_in_every_policy_of_all_or_nothing),
	MPI_TEST(a_directory_keeps_its_name_and_files_get_those_of_their_nodes),
	MPI_TEST(the_newest_version_is_taken),
	MPI_TEST(versions_get_names_of_their_own_unless_these_are_taken),
	MPI_TEST(pieces_of_a_shared_file_are_joined),
	MPI_TEST(different_bytes_are_a_conflict_with_their_range),
	MPI_TEST(existing_targets_are_refused_replaced_or_compared),
	MPI_TEST(sealed_files_are_in_place_and_leftovers_go),
	MPI_TEST(directories_are_made_and_finished_also_by_the_next_run),
	MPI_TEST(an_atomic_dest_appears_at_the_end),
	MPI_TEST(a_dest_that_cannot_be_is_refused_by_name),
	MPI_TEST(what_was_staged_and_not_changed_is_no_output),
	{0},
};
