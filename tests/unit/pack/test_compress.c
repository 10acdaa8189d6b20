/* SPDX-License-Identifier: BSD-3-Clause */
/* Compressed parcels from packer to unpacker, and what may befall them on the way. */
#include "pack/compress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "own_pool.h"
#include "pack/pack.h"
#include "suite.h"

#define PARCEL (256u * 1024)
#define TEXT   (3 * PARCEL + 1000) /* bytes that shrink */
#define NOISE  (2 * PARCEL)	   /* that do not */

struct field {
	char src[64], dst[64];
	int srcfd, dstfd;
	struct manifest *from, *to;
	struct plan *plan;
	struct pool *out, *in, *spares;
	struct packer *packer;
	struct unpacker *unpacker;
	struct block *block;
	struct ebt_err err;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(99);
}

static void put(int dirfd, const char *name, size_t len, bool noise)
{
	unsigned char *p = malloc(len);
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint64_t x = 88172645463325252ull;

	must(p && fd >= 0, name);
	for (size_t i = 0; i < len; i++) {
		if (noise || i % 8 == 0) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
		}
		/* One of 64 words. */
		p[i] = noise ? (unsigned char)(x >> 32)
			     : (unsigned char)('a' + (x >> 32 & 63) * (i % 8 + 1) % 25);
	}
	must(write(fd, p, len) == (ssize_t)len && close(fd) == 0, name);
	free(p);
}

static struct manifest *scan(const struct field *f)
{
	static const char *const names[] = {"noise", "small", "text"};
	struct manifest *m = NULL;

	must(manifest_new(&m, NULL) == 0, "manifest");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct manifest_entry e = {.name = names[i],
			.kind = MANIFEST_FILE,
			.group = MANIFEST_NONE};
		struct stat st;

		must(fstatat(f->srcfd, names[i], &st, 0) == 0, names[i]);
		must(manifest_add_source(m, f->src, &e.source, NULL) == 0, "source");
		e.mode = st.st_mode & 07777;
		e.uid = st.st_uid;
		e.gid = st.st_gid;
		e.mtime = e.atime = st.st_mtim.tv_sec;
		e.mtime_ns = e.atime_ns = (uint32_t)st.st_mtim.tv_nsec;
		e.dev = st.st_dev;
		e.ino = st.st_ino;
		e.nlink = 1;
		e.size = (uint64_t)st.st_size;
		e.allocated = (uint64_t)st.st_blocks * 512;
		must(manifest_add(m, &e, NULL) == 0, names[i]);
	}
	must(manifest_arrange(m, NULL) == 0, "manifest");
	return m;
}

static void open_field(struct field *f)
{
	struct plan_options o = {.nodes = 2,
		.readers = 1,
		.parcel = PARCEL,
		.cost = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE}};

	memset(f, 0, sizeof(*f));
	f->srcfd = suite_tmpdir(f->src);
	f->dstfd = suite_tmpdir(f->dst);
	put(f->srcfd, "noise", NOISE, true);
	put(f->srcfd, "small", 7, false);
	put(f->srcfd, "text", TEXT, false);
	f->from = scan(f);
	f->to = scan(f);
	must(plan_stage(f->from, NULL, &o, &f->plan, NULL) == 0, "plan");
	must(own_pool(PARCEL, 1, &f->out, NULL) == 0, "pool");
	must(own_pool(PARCEL, 1, &f->in, NULL) == 0, "pool");
	must(own_pool(PARCEL, 2, &f->spares, NULL) == 0, "pool");
	must(packer_new(f->from, f->plan, 0, NULL, &f->packer, NULL) == 0, "packer");
	must(unpacker_new(f->to, NULL, f->plan, f->dstfd, &f->unpacker, NULL) == 0,
		"unpacker");
	must(block_new(&f->block, NULL) == 0, "block");
}

static void close_field(struct field *f)
{
	packer_free(f->packer);
	unpacker_free(f->unpacker);
	block_free(f->block);
	pool_free(f->out);
	pool_free(f->in);
	pool_free(f->spares);
	plan_free(f->plan);
	manifest_free(f->from);
	manifest_free(f->to);
	close(f->srcfd);
	close(f->dstfd);
}
#define SCOPED_FIELD SCOPED(close_field)

typedef void spoil_fn(struct parcel *p);

static int receive(struct field *f, struct parcel *in)
{
	SCOPED_PLACE struct pack_place to = PACK_PLACE_INIT;
	struct parcel *spare = pool_try(f->spares);
	struct ebt_err why = {0};
	int r = parcel_check(in, plan_parcel_bytes(f->plan, 0, in->seq), &f->err);

	if (r == 0) {
		r = parcel_uncompress(in, spare, f->block, &why);
		if (r < 0)
			r = unpacker_damaged(f->unpacker, in, &why, &f->err);
	}
	if (r == 0)
		r = unpacker_store(f->unpacker, in, &to, &f->err);
	parcel_unref(spare);
	return r;
}

/* Adds what travelled to *sent. What is stored is the receiver's, or with @here the sender's own. */
static int carry(struct field *f, uint64_t seq, const struct block_way *way, bool here,
	spoil_fn *spoil, uint64_t *sent)
{
	SCOPED_PLACE struct pack_place from = PACK_PLACE_INIT;
	struct parcel *out = pool_try(f->out), *in = pool_try(f->in),
		      *spare = pool_try(f->spares);
	int r = packer_fill(f->packer, seq, out, &from, &f->err);

	CU_ASSERT_EQUAL(r, 0);
	r = parcel_compress(out, spare, f->block, way, &f->err);
	CU_ASSERT(r >= 0);
	CU_ASSERT_EQUAL(r == 1, (out->header->flags & PARCEL_COMPRESSED) != 0);
	parcel_unref(spare);
	*sent += out->header->length;
	memcpy(in->header, out->header, sizeof(*in->header) + out->header->length);
	in->stream = 0;
	in->seq = seq;
	if (spoil)
		spoil(here ? out : in);
	r = receive(f, here ? out : in);
	parcel_unref(out);
	parcel_unref(in);
	return r;
}

static bool same_file(const struct field *f, const char *name)
{
	static unsigned char one[TEXT + 1], other[TEXT + 1];
	SCOPED_FD int a = openat(f->srcfd, name, O_RDONLY | O_CLOEXEC);
	SCOPED_FD int b = openat(f->dstfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(a, one, sizeof(one));

	return n >= 0 && read(b, other, sizeof(other)) == n &&
	       memcmp(one, other, (size_t)n) == 0;
}

static void content_arrives_as_it_was_and_shorter(void)
{
	for (unsigned i = 0; block_at(i) != BLOCK_NONE; i++) {
		for (int here = 0; here <= 1; here++) {
			SCOPED_FIELD struct field f;
			struct block_way way = {.codec = block_at(i)};
			uint64_t sent = 0;

			open_field(&f);
			for (uint64_t seq = 0; seq < f.plan->streams[0].n_parcels;
				seq++)
				CU_ASSERT_EQUAL(
					carry(&f, seq, &way, here, NULL, &sent), 0);
			CU_ASSERT_EQUAL(unpacker_finish(f.unpacker, &f.err), 0);
			CU_ASSERT(same_file(&f, "noise") && same_file(&f, "small") &&
				  same_file(&f, "text"));
			CU_ASSERT(digest_equal(
				manifest_digest(f.from), here ? manifest_digest(f.from)
							      : manifest_digest(f.to)));
			CU_ASSERT(sent > NOISE && sent < NOISE + TEXT * 3 / 4);
		}
	}
}

static void flip_first(struct parcel *p)
{
	p->payload[0] ^= 0x40;
}
static void flip_middle(struct parcel *p)
{
	p->payload[p->header->length / 2] ^= 0x10;
}
static void flip_last(struct parcel *p)
{
	p->payload[p->header->length - 1] ^= 1;
}
static void flip_digest(struct parcel *p)
{
	p->header->digest.lo ^= 1;
}
static void cut_short(struct parcel *p)
{
	p->header->length -= 1;
}
static void erase(struct parcel *p)
{
	memset(p->payload, 0, p->header->length);
}

/* The last parcel has text alone. */
static void damage_on_the_way_names_a_file_and_writes_none(void)
{
	static spoil_fn *const spoils[] = {
		flip_first, flip_middle, flip_last, flip_digest, cut_short, erase};

	for (unsigned i = 0; block_at(i) != BLOCK_NONE; i++) {
		for (size_t k = 0; k < 2 * sizeof(spoils) / sizeof(spoils[0]); k++) {
			SCOPED_FIELD struct field f;
			struct block_way way = {.codec = block_at(i)};
			uint64_t sent = 0;

			open_field(&f);
			CU_ASSERT_EQUAL(carry(&f, f.plan->streams[0].n_parcels - 1,
						&way, k % 2, spoils[k / 2], &sent),
				-EBADMSG);
			CU_ASSERT_EQUAL(f.err.code, -EBADMSG);
			CU_ASSERT_EQUAL(strncmp(f.err.text, "text: damaged", 13), 0);
			CU_ASSERT(faccessat(f.dstfd, "text", F_OK, 0) < 0);
			CU_ASSERT_EQUAL(unpacker_bytes(f.unpacker), 0);
		}
	}
}

static void other_codec(struct parcel *p)
{
	p->header->codec = 77;
}

static void a_codec_that_nobody_knows_is_refused(void)
{
	SCOPED_FIELD struct field f;
	struct block_way way = {.codec = block_at(0)};
	uint64_t sent = 0;

	open_field(&f);
	if (way.codec == BLOCK_NONE)
		return;
	CU_ASSERT_EQUAL(carry(&f, f.plan->streams[0].n_parcels - 1, &way, false,
				other_codec, &sent),
		-ENOTSUP);
	CU_ASSERT(faccessat(f.dstfd, "text", F_OK, 0) < 0);
}

static void lengths_that_cannot_be_are_refused(void)
{
	static const struct {
		uint32_t flags, length, codec, content;
		bool good;
	} rows[] = {
		{0, 1000, BLOCK_NONE, 1000, true},
		{PARCEL_ZERO, 0, BLOCK_NONE, 1000, true},
		{PARCEL_COMPRESSED, 1, BLOCK_LZ4, 1000, true},
		{PARCEL_COMPRESSED, 999, BLOCK_ZSTD, 1000, true},
		{0, 999, BLOCK_NONE, 1000, false},
		{0, 1000, BLOCK_LZ4, 1000, false},
		{0, 1000, BLOCK_NONE, 999, false},
		{0, 0, BLOCK_NONE, 0, false},
		{PARCEL_ZERO, 1, BLOCK_NONE, 1000, false},
		{PARCEL_ZERO, 0, BLOCK_ZSTD, 1000, false},
		{PARCEL_ZERO, 0, BLOCK_NONE, 1001, false},
		{PARCEL_COMPRESSED, 0, BLOCK_LZ4, 1000, false},
		{PARCEL_COMPRESSED, 1000, BLOCK_LZ4, 1000, false},
		{PARCEL_COMPRESSED, UINT32_MAX, BLOCK_LZ4, 1000, false},
		{PARCEL_COMPRESSED, 999, BLOCK_LZ4, UINT32_MAX, false},
		{PARCEL_COMPRESSED, 500, BLOCK_NONE, 1000, false},
		{PARCEL_COMPRESSED | PARCEL_ZERO, 500, BLOCK_LZ4, 1000, false},
		{PARCEL_COMPRESSED | PARCEL_ZERO, 0, BLOCK_LZ4, 1000, false},
		{PARCEL_ABORT, 0, BLOCK_NONE, 1000, false},
		{8, 1000, BLOCK_NONE, 1000, false},
		{UINT32_MAX, 1000, BLOCK_LZ4, 1000, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct parcel_header h = {.magic = PARCEL_MAGIC,
			.flags = rows[i].flags,
			.length = rows[i].length,
			.codec = rows[i].codec,
			.content = rows[i].content};
		struct parcel p = {.header = &h};

		CU_ASSERT_EQUAL(
			parcel_check(&p, 1000, NULL), rows[i].good ? 0 : -EPROTO);
	}
}

static const struct test tests[] = {
	TEST(content_arrives_as_it_was_and_shorter),
	TEST(damage_on_the_way_names_a_file_and_writes_none),
	TEST(a_codec_that_nobody_knows_is_refused),
	TEST(lengths_that_cannot_be_are_refused),
};
SUITE("pack_compress", tests)
