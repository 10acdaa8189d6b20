/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packer and unpacker back to back, without a network: a real tree is scanned twice, as two
 * nodes would see it, filled into parcels from one manifest and stored with the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pack/pack.h"
#include "suite.h"
#include "own_pool.h"

#define PARCEL (128 * 1024)
#define LARGE  (5 * PARCEL + 777)
#define HOLES  (8u << 20)

struct field {
	char src[64], dst[64];
	int srcfd, dstfd;
	struct manifest *from, *to;
	struct plan *plan;
	struct pool *out, *in; /* one parcel each: the sender's and the receiver's */
	struct packer *packers[3];
	struct unpacker *unpacker;
	struct ebt_err err;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(99);
}

static unsigned char byte_at(unsigned seed, size_t i)
{
	return (unsigned char)(1 + (seed * 37 + i + (i >> 9)) % 255);
}

/* Never a zero byte, so that nothing is taken for a hole. */
static void put(int dirfd, const char *name, size_t len, unsigned seed, mode_t mode)
{
	unsigned char *p = malloc(len + 1);
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	must(p && fd >= 0, name);
	for (size_t i = 0; i < len; i++)
		p[i] = byte_at(seed, i);
	must(write(fd, p, len) == (ssize_t)len && fchmod(fd, mode) == 0 &&
			close(fd) == 0,
		name);
	free(p);
}

static void put_sparse(int dirfd, const char *name, uint64_t size, uint64_t data_at)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, name);
	must(data_at >= size || pwrite(fd, "data", 4, (off_t)data_at) == 4, name);
	must(close(fd) == 0, name);
}

static void make_source(int fd)
{
	char name[32];

	must(mkdirat(fd, "d", 0750) == 0 && mkdirat(fd, "d/e", 0700) == 0, "mkdir");
	put(fd, "a", 100, 1, 0644);
	put(fd, "d/large", LARGE, 2, 0640);
	put(fd, "d/exact", PARCEL, 3, 0400);
	put(fd, "d/none", 0, 4, 0600);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "d/e/f%d", i);
		put(fd, name, 1 + (size_t)i * 501, (unsigned)i, 0644);
	}
	put_sparse(fd, "holes", HOLES, HOLES / 2);
	put_sparse(fd, "nothing", 3 * PARCEL + 5, UINT64_MAX);
	must(symlinkat("d/large", fd, "link") == 0, "link");
	must(linkat(fd, "d/large", fd, "z-hard", 0) == 0, "hard link");
	must(linkat(fd, "a", fd, "d/hard", 0) == 0, "hard link");
}

static void add(struct manifest *m, int dirfd, const char *root, const char *name)
{
	struct manifest_entry e = {.name = name, .group = MANIFEST_NONE};
	char target[64] = "";
	struct stat st;

	must(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0, name);
	must(manifest_add_source(m, root, &e.source, NULL) == 0, root);
	e.kind = S_ISDIR(st.st_mode)   ? MANIFEST_DIR
		 : S_ISLNK(st.st_mode) ? MANIFEST_SYMLINK
				       : MANIFEST_FILE;
	e.mode = st.st_mode & 07777;
	e.uid = st.st_uid;
	e.gid = st.st_gid;
	e.mtime = e.atime = st.st_mtim.tv_sec;
	e.mtime_ns = e.atime_ns = (uint32_t)st.st_mtim.tv_nsec;
	e.dev = st.st_dev;
	e.ino = st.st_ino;
	e.nlink = (uint32_t)st.st_nlink;
	if (e.kind == MANIFEST_FILE) {
		e.size = (uint64_t)st.st_size;
		e.allocated = (uint64_t)st.st_blocks * 512;
	}
	if (e.kind == MANIFEST_SYMLINK) {
		must(readlinkat(dirfd, name, target, sizeof(target) - 1) > 0, name);
		e.target = target;
	}
	must(manifest_add(m, &e, NULL) == 0, name);
}

static struct manifest *scan(int dirfd, const char *root)
{
	static const char *const names[] = {"a", "d", "d/e", "d/exact", "d/hard",
		"d/large", "d/none", "holes", "link", "nothing", "z-hard"};
	struct manifest *m = NULL;
	char name[32];

	must(manifest_new(&m, NULL) == 0, "manifest");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		add(m, dirfd, root, names[i]);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "d/e/f%d", i);
		add(m, dirfd, root, name);
	}
	must(manifest_arrange(m, NULL) == 0, "manifest");
	return m;
}

static void open_field(struct field *f, uint32_t readers, const uint64_t *need)
{
	struct plan_options o = {.nodes = 3,
		.readers = readers,
		.parcel = PARCEL,
		.cost = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE}};
	SCOPED_PLACE struct pack_place place = PACK_PLACE_INIT;
	int r;

	memset(f, 0, sizeof(*f));
	f->srcfd = suite_tmpdir(f->src);
	f->dstfd = suite_tmpdir(f->dst);
	make_source(f->srcfd);
	f->from = scan(f->srcfd, f->src);
	f->to = scan(f->srcfd, f->src);
	must(plan_stage(f->from, need, &o, &f->plan, NULL) == 0, "plan");
	must(f->plan->n_streams == readers, "number of streams");
	must(own_pool(f->plan->parcel, 1, &f->out, NULL) == 0, "pool");
	must(own_pool(f->plan->parcel, 1, &f->in, NULL) == 0, "pool");
	for (uint32_t i = 0; i < readers; i++)
		must(packer_new(f->from, f->plan, i, NULL, &f->packers[i], NULL) == 0,
			"packer");
	must(unpacker_new(f->to, need, f->plan, f->dstfd, &f->unpacker, NULL) == 0,
		"unpacker");
	CU_ASSERT_EQUAL(unpacker_begin(f->unpacker, &f->err), 0);
	while ((r = unpacker_small(f->unpacker, &place, &f->err)) == 0)
		;
	CU_ASSERT_EQUAL(r, 1);
}

static void close_field(struct field *f)
{
	for (int i = 0; i < 3; i++)
		packer_free(f->packers[i]);
	unpacker_free(f->unpacker);
	pool_free(f->out);
	pool_free(f->in);
	plan_free(f->plan);
	manifest_free(f->from);
	manifest_free(f->to);
	close(f->srcfd);
	close(f->dstfd);
}
#define SCOPED_FIELD SCOPED(close_field)

/* What spoils a parcel on its way, if anything. */
typedef void spoil_fn(struct parcel *p);

static int carry(struct field *f, uint32_t stream, uint64_t seq, spoil_fn *spoil)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	struct parcel *out = pool_try(f->out), *in = pool_try(f->in);
	int r = packer_fill(f->packers[stream], seq, out, &from, &f->err);

	if (r == 0) {
		/* As a message: header and payload, nothing else. */
		memset(in->header, 0xa5, sizeof(*in->header) + f->plan->parcel);
		memcpy(in->header, out->header,
			sizeof(*out->header) + out->header->length);
		in->stream = stream;
		in->seq = seq;
		if (spoil)
			spoil(in);
		r = unpacker_store(f->unpacker, in, &to, &f->err);
	}
	parcel_unref(out);
	parcel_unref(in);
	return r;
}

/* From the last parcel to the first: order must not matter. */
static int carry_all(struct field *f)
{
	int r = 0;

	for (uint32_t i = 0; i < f->plan->n_streams; i++) {
		for (uint64_t seq = f->plan->streams[i].n_parcels; r == 0 && seq-- > 0;)
			r = carry(f, i, seq, NULL);
	}
	return r;
}

static bool same_file(const struct field *f, const char *name)
{
	SCOPED_FD int a = openat(f->srcfd, name, O_RDONLY | O_CLOEXEC);
	SCOPED_FD int b = openat(f->dstfd, name, O_RDONLY | O_CLOEXEC);
	static char one[65536], other[65536];
	struct stat x, y;
	ssize_t n;

	if (a < 0 || b < 0 || fstat(a, &x) < 0 || fstat(b, &y) < 0)
		return false;
	if (x.st_size != y.st_size || x.st_mode != y.st_mode || x.st_uid != y.st_uid ||
		x.st_mtim.tv_sec != y.st_mtim.tv_sec ||
		x.st_mtim.tv_nsec != y.st_mtim.tv_nsec)
		return false;
	while ((n = read(a, one, sizeof(one))) > 0) {
		if (read(b, other, sizeof(other)) != n ||
			memcmp(one, other, (size_t)n) != 0)
			return false;
	}
	return n == 0;
}

static struct stat stat_at(int dirfd, const char *name)
{
	struct stat st = {0};

	fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW);
	return st;
}

static bool same_inode(const struct field *f, const char *one, const char *other)
{
	struct stat a = stat_at(f->dstfd, one), b = stat_at(f->dstfd, other);

	return a.st_ino && a.st_ino == b.st_ino;
}

static void check_tree(struct field *f)
{
	char path[256], target[64] = "";
	unsigned bad = 0;

	for (uint32_t i = 0; i < f->to->count; i++) {
		if (f->to->entries[i].kind != MANIFEST_FILE)
			continue;
		manifest_path(f->to, i, path, sizeof(path));
		if (same_file(f, path))
			continue;
		printf("differs: %s\n", path);
		bad++;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(readlinkat(f->dstfd, "link", target, sizeof(target) - 1) == 7);
	CU_ASSERT_STRING_EQUAL(target, "d/large");
	CU_ASSERT(same_inode(f, "d/large", "z-hard"));
	CU_ASSERT(same_inode(f, "a", "d/hard"));
	CU_ASSERT_EQUAL(stat_at(f->dstfd, "a").st_nlink, 2);
	/* What was a hole is one again, within a block. */
	CU_ASSERT(stat_at(f->dstfd, "holes").st_blocks * 512 <= 2 * 4096);
	CU_ASSERT_EQUAL(stat_at(f->dstfd, "nothing").st_blocks, 0);
}

static void round_trip(uint32_t readers)
{
	SCOPED_FIELD struct field f;
	struct manifest_totals t;
	struct ebt_digest a, b;
	uint64_t read = 0;

	open_field(&f, readers, NULL);
	CU_ASSERT_EQUAL(carry_all(&f), 0);
	CU_ASSERT_EQUAL(unpacker_finish(f.unpacker, &f.err), 0);
	check_tree(&f);
	manifest_count(f.from, &t);
	for (uint32_t i = 0; i < readers; i++)
		read += packer_bytes(f.packers[i]);
	CU_ASSERT_EQUAL(read, t.bytes);
	CU_ASSERT_EQUAL(unpacker_bytes(f.unpacker), t.bytes);
	a = manifest_digest(f.from);
	b = manifest_digest(f.to);
	CU_ASSERT(digest_equal(a, b));
	for (uint32_t i = 0; i < f.from->count; i++)
		CU_ASSERT(digest_equal(
			f.from->entries[i].digest, f.to->entries[i].digest));
}

static void one_reader_brings_the_tree(void)
{
	round_trip(1);
}

static void three_readers_bring_the_same_tree(void)
{
	round_trip(3);
}

/* One buffer, however small, and one place of each kind for all parcels. */
static void a_node_alone_copies_the_same_tree(void)
{
	static const size_t sizes[] = {DIGEST_LEAF, 2 * DIGEST_LEAF + 4096};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
		SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
		SCOPED_FREE void *buffer = malloc(sizes[i]);
		SCOPED_FIELD struct field f;

		open_field(&f, 1, NULL);
		for (uint64_t seq = 0; seq < f.plan->streams[0].n_parcels; seq++)
			CU_ASSERT_EQUAL(pack_copy(f.packers[0], f.unpacker, seq, buffer,
						sizes[i], &from, &to, &f.err),
				0);
		CU_ASSERT_EQUAL(unpacker_finish(f.unpacker, &f.err), 0);
		check_tree(&f);
	}
}

/* Against the definition of the digest, not against the other side. */
static void digests_are_those_of_the_content(void)
{
	SCOPED_FIELD struct field f;
	unsigned char *p = malloc(LARGE);
	struct ebt_digest want = {0};
	uint32_t i;

	open_field(&f, 3, NULL);
	CU_ASSERT_EQUAL(carry_all(&f), 0);
	for (size_t k = 0; k < LARGE; k++)
		p[k] = byte_at(2, k);
	for (size_t at = 0; at < LARGE; at += DIGEST_LEAF)
		want = digest_sum(want,
			digest_leaf(p + at,
				LARGE - at < DIGEST_LEAF ? LARGE - at : DIGEST_LEAF,
				at / DIGEST_LEAF));
	free(p);
	i = manifest_find(f.to, "d/large");
	CU_ASSERT(digest_equal(f.to->entries[i].digest, want));
	i = manifest_find(f.to, "nothing");
	CU_ASSERT(digest_equal(f.to->entries[i].digest, (struct ebt_digest){0}));
}

/* The parcel that holds the first byte of @path. */
static uint64_t parcel_of(const struct field *f, const char *path)
{
	uint32_t entry = manifest_find(f->from, path);
	struct plan_piece piece;
	struct plan_walk w;

	for (uint64_t seq = 0; seq < f->plan->streams[0].n_parcels; seq++) {
		plan_walk_start(f->plan, 0, seq, &w);
		while (plan_walk_next(&w, &piece)) {
			if (piece.entry == entry)
				return seq;
		}
	}
	must(false, path);
	return 0;
}

static void parcels_of_holes_travel_without_payload(void)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	SCOPED_FIELD struct field f;
	uint64_t empty = 0, sent = 0;

	open_field(&f, 1, NULL);
	for (uint64_t seq = 0; seq < f.plan->streams[0].n_parcels; seq++) {
		struct parcel *p = pool_try(f.out);

		CU_ASSERT_EQUAL(packer_fill(f.packers[0], seq, p, &from, &f.err), 0);
		CU_ASSERT_EQUAL(p->header->magic, PARCEL_MAGIC);
		CU_ASSERT_EQUAL(p->header->seq, seq);
		CU_ASSERT(p->local);
		if (p->header->flags & PARCEL_ZERO) {
			CU_ASSERT_EQUAL(p->header->length, 0);
			empty++;
		} else {
			CU_ASSERT_EQUAL(
				p->header->length, plan_parcel_bytes(f.plan, 0, seq));
		}
		sent += p->header->length;
		parcel_unref(p);
	}
	/* All but one or two of "holes", those of "nothing" that it does not share. */
	CU_ASSERT(empty >= HOLES / PARCEL - 2 + 1);
	CU_ASSERT(sent < 2u << 20);
}

static void flip_payload(struct parcel *p)
{
	p->payload[p->header->length / 2] ^= 0x10;
}
static void flip_last(struct parcel *p)
{
	p->payload[p->header->length - 1] ^= 1;
}
static void flip_digest_low(struct parcel *p)
{
	p->header->digest.lo ^= 1;
}
static void flip_digest_high(struct parcel *p)
{
	p->header->digest.hi ^= 1ull << 63;
}
static void claim_zeros(struct parcel *p)
{
	p->header->flags |= PARCEL_ZERO;
}

static void a_damaged_parcel_is_refused_whole(void)
{
	static spoil_fn *const spoils[] = {flip_payload, flip_last, flip_digest_low,
		flip_digest_high, claim_zeros};
	static const char *const paths[] = {"d/e/f20", "d/large", "d/exact"};

	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		SCOPED_FIELD struct field f;
		struct ebt_digest before;

		open_field(&f, 1, NULL);
		before = manifest_digest(f.to);
		for (size_t k = 0; k < sizeof(paths) / sizeof(paths[0]); k++) {
			struct plan_piece piece;
			struct plan_walk w;
			char path[64];

			CU_ASSERT_EQUAL(
				carry(&f, 0, parcel_of(&f, paths[k]), spoils[i]),
				-EBADMSG);
			CU_ASSERT_EQUAL(f.err.code, -EBADMSG);
			plan_walk_start(f.plan, 0, parcel_of(&f, paths[k]), &w);
			while (plan_walk_next(&w, &piece)) {
				manifest_path(f.to, piece.entry, path, sizeof(path));
				CU_ASSERT(faccessat(f.dstfd, path, F_OK, 0) < 0);
			}
		}
		CU_ASSERT_EQUAL(unpacker_bytes(f.unpacker), 0);
		CU_ASSERT(digest_equal(manifest_digest(f.to), before));
		CU_ASSERT_EQUAL(unpacker_finish(f.unpacker, NULL), -EIO);
	}
}

static void grow(int fd)
{
	must(fchmodat(fd, "d/large", 0600, 0) == 0, "grow");
	SCOPED_FD int f = openat(fd, "d/large", O_WRONLY | O_APPEND | O_CLOEXEC);
	must(write(f, "x", 1) == 1, "grow");
}
static void shrink(int fd)
{
	SCOPED_FD int f = openat(fd, "d/large", O_WRONLY | O_CLOEXEC);
	must(ftruncate(f, LARGE - 1) == 0, "shrink");
}
static void touch(int fd)
{
	struct stat st = stat_at(fd, "d/large");
	struct timespec t[2] = {st.st_atim, st.st_mtim};

	t[1].tv_nsec ^= 1;
	must(utimensat(fd, "d/large", t, 0) == 0, "touch");
}
static void replace(int fd)
{
	struct stat st = stat_at(fd, "d/large");
	struct timespec t[2] = {st.st_atim, st.st_mtim};

	put(fd, "d/new", LARGE, 2, 0640);
	must(utimensat(fd, "d/new", t, 0) == 0 &&
			renameat(fd, "d/new", fd, "d/large") == 0,
		"replace");
}
static void vanish(int fd)
{
	must(unlinkat(fd, "d/large", 0) == 0, "vanish");
}
static void become_fifo(int fd)
{
	vanish(fd);
	must(mkfifoat(fd, "d/large", 0600) == 0, "fifo");
}
static void become_link(int fd)
{
	must(renameat(fd, "d/large", fd, "d/other") == 0 &&
			symlinkat("other", fd, "d/large") == 0,
		"link");
}
static void become_directory(int fd)
{
	vanish(fd);
	must(mkdirat(fd, "d/large", 0700) == 0, "mkdir");
}

static void a_source_that_changed_after_the_scan_is_named(void)
{
	static const struct {
		void (*change)(int fd);
		int code;
	} rows[] = {{grow, -ESTALE}, {shrink, -ESTALE}, {touch, -ESTALE},
		{replace, -ESTALE}, {vanish, -ENOENT}, {become_fifo, 0},
		{become_link, -ELOOP}, {become_directory, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SCOPED_FIELD struct field f;
		int r;

		open_field(&f, 1, NULL);
		rows[i].change(f.srcfd);
		r = carry_all(&f);
		CU_ASSERT(r < 0);
		if (rows[i].code)
			CU_ASSERT_EQUAL(r, rows[i].code);
		CU_ASSERT_EQUAL(f.err.code, r);
		CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "d/large"));
		CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, f.src));
	}
}

static void a_long_path_leaves_room_for_the_reason(void)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED(plan_freep) struct plan *plan = NULL;
	SCOPED(packer_freep) struct packer *p = NULL;
	SCOPED(pool_freep) struct pool *pool = NULL;
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	struct plan_options o = {.nodes = 1,
		.readers = 1,
		.parcel = PARCEL,
		.cost = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE}};
	struct manifest_entry e = {.kind = MANIFEST_DIR, .group = MANIFEST_NONE};
	char path[3000] = "";
	struct parcel *parcel;
	struct ebt_err err;

	must(manifest_new(&m, NULL) == 0 &&
			manifest_add_source(m, "/nowhere", &e.source, NULL) == 0,
		"manifest");
	e.name = path;
	for (int i = 0; i < 10; i++) {
		memset(path + strlen(path), 'a' + i, 250);
		e.kind = i < 9 ? MANIFEST_DIR : MANIFEST_FILE;
		e.size = i < 9 ? 0 : 1;
		must(manifest_add(m, &e, NULL) == 0, "manifest");
		strcat(path, "/");
	}
	must(manifest_arrange(m, NULL) == 0 &&
			plan_stage(m, NULL, &o, &plan, NULL) == 0 &&
			packer_new(m, plan, 0, NULL, &p, NULL) == 0 &&
			own_pool(PARCEL, 1, &pool, NULL) == 0,
		"packer");
	parcel = pool_try(pool);
	CU_ASSERT_EQUAL(packer_fill(p, 0, parcel, &from, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ": open: No such file"));
	parcel_unref(parcel);
}

static void what_is_not_needed_is_left_out(void)
{
	SCOPED_FIELD struct field f;
	uint64_t need[2] = {0};
	struct manifest *m;
	struct field all;

	open_field(&all, 1, NULL);
	m = all.from;
	for (uint32_t i = 0; i < m->count; i++) {
		if (i == manifest_find(m, "d/exact") ||
			i == manifest_find(m, "d/none") ||
			i == manifest_find(m, "holes"))
			need[i / 64] |= 1ull << (i % 64);
	}
	close_field(&all);
	open_field(&f, 1, need);
	CU_ASSERT_EQUAL(carry_all(&f), 0);
	CU_ASSERT_EQUAL(unpacker_finish(f.unpacker, &f.err), 0);
	CU_ASSERT(same_file(&f, "d/exact"));
	CU_ASSERT(same_file(&f, "d/none"));
	CU_ASSERT(same_file(&f, "holes"));
	CU_ASSERT(faccessat(f.dstfd, "d/large", F_OK, 0) < 0);
	CU_ASSERT(faccessat(f.dstfd, "link", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	CU_ASSERT(faccessat(f.dstfd, "z-hard", F_OK, 0) < 0);
	CU_ASSERT_EQUAL(packer_bytes(f.packers[0]), PARCEL + HOLES);
}

static void a_missing_parcel_is_noticed_at_the_end(void)
{
	SCOPED_FIELD struct field f;

	open_field(&f, 1, NULL);
	for (uint64_t seq = 1; seq < f.plan->streams[0].n_parcels; seq++)
		CU_ASSERT_EQUAL(carry(&f, 0, seq, NULL), 0);
	CU_ASSERT_EQUAL(unpacker_finish(f.unpacker, &f.err), -EIO);
	CU_ASSERT_EQUAL(carry(&f, 0, 0, NULL), 0);
	CU_ASSERT_EQUAL(unpacker_finish(f.unpacker, &f.err), 0);
	check_tree(&f);
}

static void what_stands_in_the_way_is_not_replaced(void)
{
	SCOPED_FIELD struct field f;

	open_field(&f, 1, NULL);
	must(symlinkat("/etc/passwd", f.dstfd, "d/large") == 0, "link");
	CU_ASSERT_EQUAL(carry_all(&f), -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "d/large"));
}

static const struct test tests[] = {
	TEST(one_reader_brings_the_tree),
	TEST(three_readers_bring_the_same_tree),
	TEST(a_node_alone_copies_the_same_tree),
	TEST(digests_are_those_of_the_content),
	TEST(parcels_of_holes_travel_without_payload),
	TEST(a_damaged_parcel_is_refused_whole),
	TEST(a_source_that_changed_after_the_scan_is_named),
	TEST(a_long_path_leaves_room_for_the_reason),
	TEST(what_is_not_needed_is_left_out),
	TEST(a_missing_parcel_is_noticed_at_the_end),
	TEST(what_stands_in_the_way_is_not_replaced),
};
SUITE("pack_parcels", tests)
