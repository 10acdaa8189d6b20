/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a parcel that a node received. They are tried as they are, and again with header
 * and digest made right. What is let in is in the files afterwards, byte for byte; of what is
 * not, no file has been made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "pack/compress.h"
#include "pack/pack_internal.h"
#include "../unit/pack/own_pool.h"

#define HEADER sizeof(struct parcel_header)
#define FILES  4

static const uint64_t sizes[FILES] = {10, 0, 700, 1};

/* Made once: a tree of small files that travel in one parcel, and where they go. */
struct field {
	struct manifest *m;
	struct plan *plan;
	struct pool *pool, *spares;
	struct block *block;
	int fd;
};

static void add_file(struct manifest *m, char letter, uint64_t size)
{
	char name[2] = {letter, '\0'};
	struct manifest_entry e = {.name = name,
		.kind = MANIFEST_FILE,
		.mode = 0600,
		.nlink = 1,
		.uid = geteuid(),
		.gid = getegid(),
		.size = size,
		.allocated = size};

	FUZZ_CHECK(manifest_add_source(m, "/nowhere", &e.source, NULL) == 0);
	FUZZ_CHECK(manifest_add(m, &e, NULL) == 0);
}

static char dir[256];

static void remove_dir(void)
{
	rmdir(dir);
}

static int make_dir(void)
{
	const char *base = getenv("TMPDIR");
	int fd;

	snprintf(dir, sizeof(dir), "%.200s/ebt-fuzz.XXXXXX", base ? base : "/tmp");
	FUZZ_CHECK(mkdtemp(dir) && atexit(remove_dir) == 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0);
	return fd;
}

static const struct field *field(void)
{
	static struct field f = {.fd = -1};
	struct plan_options o = {.nodes = 2,
		.readers = 1,
		.parcel = PLAN_PARCEL_MIN,
		.cost = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE}};

	if (f.m)
		return &f;
	FUZZ_CHECK(manifest_new(&f.m, NULL) == 0);
	for (int i = 0; i < FILES; i++)
		add_file(f.m, (char)('a' + i), sizes[i]);
	FUZZ_CHECK(manifest_arrange(f.m, NULL) == 0);
	FUZZ_CHECK(plan_stage(f.m, NULL, &o, &f.plan, NULL) == 0);
	FUZZ_CHECK(f.plan->n_streams == 1 && f.plan->n_parcels == 1);
	FUZZ_CHECK(own_pool(f.plan->parcel, 1, &f.pool, NULL) == 0);
	FUZZ_CHECK(own_pool(f.plan->parcel, 1, &f.spares, NULL) == 0);
	FUZZ_CHECK(block_new(&f.block, NULL) == 0);
	f.fd = make_dir();
	return &f;
}

/* Every file with the bytes that @p has for it. */
static void check_files(const struct field *f, const struct parcel *p)
{
	unsigned char got[1024];
	struct plan_piece piece;
	struct plan_walk w;

	plan_walk_start(f->plan, 0, 0, &w);
	while (plan_walk_next(&w, &piece)) {
		const char *name = f->m->entries[piece.entry].name;
		SCOPED_FD int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC);

		FUZZ_CHECK(fd >= 0 && read(fd, got, sizeof(got)) == (ssize_t)piece.len);
		if (p->header->flags & PARCEL_ZERO)
			FUZZ_CHECK(digest_is_zero(got, piece.len));
		else
			FUZZ_CHECK(memcmp(got, p->content + piece.at, piece.len) == 0);
	}
}

/* What is left for the next input: nothing. Returns the number of files there were. */
static int remove_files(const struct field *f)
{
	int n = 0;

	for (uint32_t i = 0; i < f->m->count; i++)
		n += unlinkat(f->fd, f->m->entries[i].name, 0) == 0;
	return n;
}

/* As the main thread and a writer do with what MPI has put into the buffer. */
static void receive(const struct field *f, struct parcel *p)
{
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	SCOPED(unpacker_freep) struct unpacker *u = NULL;
	struct parcel *spare;
	int r;

	if (parcel_check(p, plan_parcel_bytes(f->plan, 0, 0), NULL) < 0)
		return;
	spare = pool_try(f->spares);
	FUZZ_CHECK(unpacker_new(f->m, NULL, f->plan, f->fd, &u, NULL) == 0);
	r = parcel_uncompress(p, spare, f->block, NULL);
	if (r == 0)
		r = unpacker_store(u, p, &to, NULL);
	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -ENOTSUP);
	if (r == 0)
		check_files(f, p);
	FUZZ_CHECK(remove_files(f) == (r == 0 ? FILES - 1 : 0));
	parcel_unref(spare);
	p->content = p->payload;
}

/* The header as the packer would have written it for this payload. */
static void make_right(const struct field *f, struct parcel *p)
{
	struct parcel_header *h = p->header;
	struct digest_run run = {0};
	struct plan_piece piece;
	struct plan_walk w;

	h->magic = PARCEL_MAGIC;
	h->stream = 0;
	h->seq = 0;
	h->flags = 0;
	h->codec = BLOCK_NONE;
	h->content = h->length = (uint32_t)plan_parcel_bytes(f->plan, 0, 0);
	plan_walk_start(f->plan, 0, 0, &w);
	while (plan_walk_next(&w, &piece))
		pack_digest(p->payload + piece.at, &piece, &run);
	h->digest = digest_run_end(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct field *f = field();
	struct parcel *p = pool_try(f->pool);
	size_t most = HEADER + f->plan->parcel;

	FUZZ_CHECK(p);
	p->stream = 0;
	p->seq = 0;
	p->local = false;
	memset(p->header, 0xa5, HEADER + 1024);
	memcpy(p->header, data, size < most ? size : most);
	receive(f, p);
	make_right(f, p);
	receive(f, p);
	parcel_unref(p);
	return 0;
}

/* 0 to 2: a plain one, one of zeros, one that says that its sender ends; then one of each codec. */
bool fuzz_seed(unsigned n, struct buf *out)
{
	const struct field *f = field();
	struct parcel *p = pool_try(f->pool), *spare = pool_try(f->spares);
	struct block_way way = {.codec = n < 3 ? BLOCK_NONE : block_at(n - 3)};

	FUZZ_CHECK(p);
	memset(p->header, 0, HEADER);
	for (size_t i = 0; i < 711; i++)
		p->payload[i] = (unsigned char)(n == 1 ? 0 : 1 + i % 255);
	make_right(f, p);
	if (n == 2)
		p->header->flags = PARCEL_ABORT;
	if (way.codec != BLOCK_NONE)
		FUZZ_CHECK(parcel_compress(p, spare, f->block, &way, NULL) == 1);
	buf_put(out, p->header, HEADER + p->header->length);
	parcel_unref(p);
	parcel_unref(spare);
	return n < 3 || way.codec != BLOCK_NONE;
}
