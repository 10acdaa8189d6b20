/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>

#include "fsio/fsio.h"
#include "manifests.h"
#include "suite.h"

static const unsigned char two_xattrs[] = {6, 0, 3, 0, 0, 0, 'u', 's', 'e', 'r', '.',
	'a', 1, 0, 2, 6, 0, 0, 0, 0, 0, 'u', 's', 'e', 'r', '.', 'b'};
static const struct manifest_extent two_extents[] = {
	{131072, 131072}, {5ull << 32, 131072}};

/* Everything an entry can be, at its limits. */
static void add_every_kind(struct manifest *m)
{
	char longest[256 + 2];
	struct manifest_entry file = {.mode = 07777,
		.nlink = 1,
		.mtime = -1,
		.mtime_ns = 999999999,
		.atime = INT64_MIN,
		.uid = UINT32_MAX,
		.gid = 1,
		.size = (5ull << 32) + 131072,
		.allocated = 262144,
		.dev = UINT64_MAX,
		.ino = UINT64_MAX,
		.changed = UINT64_MAX,
		.digest = {.lo = 1, .hi = UINT64_MAX},
		.no_owner = true};
	struct manifest_entry link = {.nlink = 2, .dev = 3, .ino = 4, .size = 5};

	memset(longest, 0xfe, 255);
	longest[255] = '\0';
	add(m, "/src", "d/");
	add(m, "/src", "d/s@");
	add(m, "/other", longest);
	add(m, "/src", "new\nline");
	add_full(m, "/src", "d/a", link);
	add_full(m, "/src", "d/b", link);
	file.extents = two_extents;
	file.n_extents = 2;
	add_full(m, "/src", "sparse", file);
	file.extents = NULL;
	file.n_extents = 0;
	file.size = INT64_MAX;
	file.xattrs = two_xattrs;
	file.xattrs_len = sizeof(two_xattrs);
	add_full(m, "/src", "d/x", file);
	memset(m->id, '7', 32);
	m->times = (struct fsio_times){INT32_MIN, INT32_MAX, 2000000000};
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_bytes(const void *a, const void *b, size_t len)
{
	return len == 0 || memcmp(a, b, len) == 0;
}

static bool same_entry(const struct manifest_entry *a, const struct manifest_entry *b)
{
	return strcmp(a->name, b->name) == 0 && same_text(a->target, b->target) &&
	       a->xattrs_len == b->xattrs_len && a->n_extents == b->n_extents &&
	       same_bytes(a->xattrs, b->xattrs, a->xattrs_len) &&
	       same_bytes(a->extents, b->extents, a->n_extents * sizeof(*a->extents)) &&
	       a->size == b->size && a->allocated == b->allocated && a->dev == b->dev &&
	       a->ino == b->ino && a->changed == b->changed &&
	       digest_equal(a->digest, b->digest) && a->mtime == b->mtime &&
	       a->atime == b->atime && a->mtime_ns == b->mtime_ns &&
	       a->atime_ns == b->atime_ns && a->parent == b->parent &&
	       a->group == b->group && a->source == b->source && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid && a->nlink == b->nlink &&
	       a->kind == b->kind && a->no_owner == b->no_owner &&
	       a->copy.ino == b->copy.ino && a->copy.changed == b->copy.changed &&
	       a->copy.uid == b->copy.uid && a->copy.gid == b->copy.gid &&
	       a->copy.mode == b->copy.mode;
}

static bool same(const struct manifest *a, const struct manifest *b)
{
	if (a->count != b->count || a->n_sources != b->n_sources ||
		a->tree != b->tree || strcmp(a->id, b->id) != 0 ||
		a->times.unit != b->times.unit || a->times.min != b->times.min ||
		a->times.max != b->times.max)
		return false;
	for (uint32_t i = 0; i < a->n_sources; i++) {
		if (strcmp(a->sources[i], b->sources[i]) != 0)
			return false;
	}
	for (uint32_t i = 0; i < a->count; i++) {
		if (!same_entry(&a->entries[i], &b->entries[i]))
			return false;
	}
	return true;
}

static void encode(const struct manifest *m, struct buf *b)
{
	struct ebt_err err;

	must(manifest_encode(m, b, &err), &err);
}

/* Makes the digest at the end that of what is before it. */
static void seal(unsigned char *data, size_t len)
{
	struct ebt_digest d = digest_bytes(data, len - DIGEST_BYTES);

	for (int i = 0; i < 8; i++) {
		data[len - 16 + (size_t)i] = (unsigned char)(d.lo >> (8 * i));
		data[len - 8 + (size_t)i] = (unsigned char)(d.hi >> (8 * i));
	}
}

static void what_comes_back_is_what_went_in(void)
{
	for (int tree = 0; tree < 2; tree++) {
		SCOPED_MANIFEST struct manifest *m = empty();
		SCOPED_MANIFEST struct manifest *back = NULL;
		SCOPED_BUF struct buf b = {0};

		add_every_kind(m);
		if (tree)
			arrange(m);
		encode(m, &b);
		CU_ASSERT_EQUAL(manifest_decode(b.data, b.len, &back, NULL), 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(back);
		CU_ASSERT_TRUE(same(m, back));
		CU_ASSERT(digest_equal(manifest_digest(m), manifest_digest(back)));
	}
}

static void an_empty_manifest_travels(void)
{
	for (int tree = 0; tree < 2; tree++) {
		SCOPED_MANIFEST struct manifest *m = empty();
		SCOPED_MANIFEST struct manifest *back = NULL;
		SCOPED_BUF struct buf b = {0};

		m->tree = tree;
		encode(m, &b);
		CU_ASSERT_EQUAL(b.len, 88 + 16);
		CU_ASSERT_EQUAL(manifest_decode(b.data, b.len, &back, NULL), 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(back);
		CU_ASSERT_TRUE(same(m, back));
	}
}

static void encoding_appends(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a/ a/x");
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};

	buf_put(&b, "before", 6);
	encode(m, &b);
	CU_ASSERT_EQUAL(memcmp(b.data, "beforeEBT-MAN\n", 14), 0);
	CU_ASSERT_EQUAL(manifest_decode(b.data + 6, b.len - 6, &back, NULL), 0);
}

/* Of a block of its own length, so that a sanitizer sees a byte read too many. */
static int decode_copy(const unsigned char *data, size_t len, struct manifest **out)
{
	SCOPED_FREE unsigned char *copy = malloc(len ? len : 1);

	if (!copy)
		exit(99);
	if (len)
		memcpy(copy, data, len);
	return manifest_decode(copy, len, out, NULL);
}

static void what_is_cut_off_is_refused(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	SCOPED_BUF struct buf b = {0};

	add_every_kind(m);
	arrange(m);
	encode(m, &b);
	for (size_t len = 0; len < b.len; len++) {
		SCOPED_MANIFEST struct manifest *back = NULL;

		CU_ASSERT_EQUAL(decode_copy(b.data, len, &back), -EBADMSG);
		CU_ASSERT_PTR_NULL(back);
	}
	buf_put8(&b, 0);
	SCOPED_MANIFEST struct manifest *longer = NULL;
	CU_ASSERT_EQUAL(decode_copy(b.data, b.len, &longer), -EBADMSG);
}

static void a_changed_byte_is_noticed(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	SCOPED_BUF struct buf b = {0};
	int r;

	add_every_kind(m);
	arrange(m);
	encode(m, &b);
	for (size_t i = 0; i < b.len; i++) {
		for (int k = 0; k < 8; k++) {
			SCOPED_MANIFEST struct manifest *back = NULL;

			b.data[i] ^= 1u << k;
			r = decode_copy(b.data, b.len, &back);
			CU_ASSERT(r == -EBADMSG ||
				  (r == -EPROTONOSUPPORT && (i & ~1u) == 8));
			b.data[i] ^= 1u << k;
		}
	}
}

/* With a digest that fits again: what is let through is a manifest like any other. */
static void a_forged_byte_gives_a_valid_manifest_or_none(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	SCOPED_BUF struct buf b = {0};
	unsigned accepted = 0, refused = 0;
	int r;

	add_every_kind(m);
	arrange(m);
	encode(m, &b);
	for (size_t i = 0; i < b.len - DIGEST_BYTES; i++) {
		for (int k = 0; k < 8; k++) {
			SCOPED_MANIFEST struct manifest *back = NULL;
			SCOPED_MANIFEST struct manifest *again = NULL;
			SCOPED_BUF struct buf copy = {0};

			b.data[i] ^= 1u << k;
			seal(b.data, b.len);
			r = decode_copy(b.data, b.len, &back);
			b.data[i] ^= 1u << k;
			r < 0 ? refused++ : accepted++;
			CU_ASSERT(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
			if (r < 0)
				continue;
			encode(back, &copy);
			CU_ASSERT_EQUAL(
				manifest_decode(copy.data, copy.len, &again, NULL), 0);
			CU_ASSERT_TRUE(same(back, again));
		}
	}
	CU_ASSERT(accepted > 1000);
	CU_ASSERT(refused > 1000);
}

static void a_later_version_is_not_guessed_at(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a");
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};
	struct ebt_err err;

	encode(m, &b);
	b.data[8] = MANIFEST_VERSION + 1;
	CU_ASSERT_EQUAL(manifest_decode(b.data, b.len, &back, &err), -EPROTONOSUPPORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "version 2"));
	CU_ASSERT_PTR_NULL(back);
}

/* What later minor changes may do: a longer header, longer records. */
static void additions_are_skipped(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a b");
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf more = {0};
	const size_t sources = 88, first = sources + 2 + 4, second = first + 153;

	encode(m, &b);
	CU_ASSERT_EQUAL_FATAL(b.len, second + 153 + 16);
	buf_put(&more, b.data, sources);
	buf_put(&more, "later", 5);
	buf_put(&more, b.data + sources, second - sources);
	buf_put(&more, "more", 4);
	buf_put(&more, b.data + second, b.len - second);
	buf_patch32(&more, 5 + first, 153 + 4);
	buf_patch32(&more, 24, (uint32_t)(more.len - sources - 5 - 16));
	more.data[10] = (unsigned char)sources + 5;
	seal(more.data, more.len);
	CU_ASSERT_EQUAL(manifest_decode(more.data, more.len, &back, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT_TRUE(same(m, back));
}

/* Records of older programs end before the copy, or before the time of the last change. */
static void shorter_records_are_read(void)
{
	static const uint32_t lengths[] = {125, 117};
	const size_t header = 88, first = header + 2 + 4;

	for (size_t i = 0; i < LENGTH(lengths); i++) {
		SCOPED_MANIFEST struct manifest *m = tree_of("a");
		SCOPED_MANIFEST struct manifest *back = NULL;
		SCOPED_BUF struct buf b = {0};
		SCOPED_BUF struct buf less = {0};

		encode(m, &b);
		CU_ASSERT_EQUAL_FATAL(b.len, first + 153 + 16);
		buf_put(&less, b.data, first + lengths[i]);
		buf_put(&less, b.data + first + 153, 16);
		buf_patch32(&less, first, lengths[i]);
		buf_patch32(&less, 24, (uint32_t)(less.len - header - 16));
		seal(less.data, less.len);
		CU_ASSERT_EQUAL(manifest_decode(less.data, less.len, &back, NULL), 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(back);
		CU_ASSERT_TRUE(same(m, back));
	}
}

/* What each node knows of its own copies is kept, and is nothing to agree on. */
static void copies_are_kept_and_not_in_the_digest(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a b");
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};
	struct ebt_digest before = manifest_digest(m);

	m->entries[1].copy = (struct manifest_copy){.ino = UINT64_MAX,
		.changed = 1,
		.uid = UINT32_MAX,
		.gid = 2,
		.mode = 07777};
	CU_ASSERT_TRUE(digest_equal(before, manifest_digest(m)));
	encode(m, &b);
	CU_ASSERT_EQUAL(manifest_decode(b.data, b.len, &back, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT_TRUE(same(m, back));
	CU_ASSERT_TRUE(manifest_untouched(&back->entries[1], UINT64_MAX, 1));
	CU_ASSERT_FALSE(manifest_untouched(&back->entries[1], UINT64_MAX, 2));
	CU_ASSERT_FALSE(manifest_untouched(&back->entries[0], 0, 0));
}

/* As it was written before stores said what they make of times: they were held as given. */
static void a_header_without_times_is_read(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a b");
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf old = {0};

	encode(m, &b);
	buf_put(&old, b.data, 64);
	buf_put(&old, b.data + 88, b.len - 88);
	old.data[10] = 64;
	seal(old.data, old.len);
	CU_ASSERT_EQUAL(manifest_decode(old.data, old.len, &back, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT_TRUE(same(m, back));
	CU_ASSERT_EQUAL(back->times.unit, 1);
	CU_ASSERT_EQUAL(back->times.max, INT64_MAX);
}

static void times_that_nothing_could_hold_are_damage(void)
{
	static const struct fsio_times wrong[] = {
		{0, 0, 1}, {5, -5, 1}, {0, 5, 1ull << 63}, {INT64_MAX, INT64_MIN, 0}};

	for (size_t i = 0; i < LENGTH(wrong); i++) {
		SCOPED_MANIFEST struct manifest *m = tree_of("a");
		SCOPED_MANIFEST struct manifest *back = NULL;
		SCOPED_BUF struct buf b = {0};

		m->times = wrong[i];
		encode(m, &b);
		CU_ASSERT_EQUAL(decode_copy(b.data, b.len, &back), -EBADMSG);
	}
}

/* Nodes whose stores differ in that hold the same all the same. */
static void times_of_the_store_are_not_in_the_digest(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a");
	struct ebt_digest before = manifest_digest(m);

	m->times.unit = 1000000000;
	CU_ASSERT_TRUE(digest_equal(before, manifest_digest(m)));
	m->entries[0].no_owner = true;
	CU_ASSERT_FALSE(digest_equal(before, manifest_digest(m)));
}

/* A few bytes that speak of four billion entries must not cost what those would. */
static void small_lies_cost_little(void)
{
	SCOPED_MANIFEST struct manifest *m = tree_of("a");
	static const size_t counts[] = {16, 20};
	static const uint32_t lies[] = {2, 1000, 1u << 31, UINT32_MAX - 1, UINT32_MAX};

	for (size_t i = 0; i < LENGTH(counts) * LENGTH(lies); i++) {
		SCOPED_MANIFEST struct manifest *back = NULL;
		SCOPED_BUF struct buf b = {0};

		encode(m, &b);
		buf_patch32(&b, counts[i % 2], lies[i / 2]);
		seal(b.data, b.len);
		CU_ASSERT_EQUAL(decode_copy(b.data, b.len, &back), -EBADMSG);
	}
}

/* Each case damages one thing that an entry by itself or among others must be. */
enum damage {
	PARENT,
	GROUP,
	KIND,
	NAME,
	TARGET,
	SIZE,
	MODE,
	NS,
	SOURCE,
	XATTRS,
	EXTENTS
};

static void damage(struct manifest_entry *e, enum damage what, uint64_t v)
{
	static const char *const names[] = {"", ".", "..", "x/y", "zz"};
	static const unsigned char twice[] = {
		1, 0, 0, 0, 0, 0, 'a', 1, 0, 0, 0, 0, 0, 'a'};
	static const unsigned char with_nul[] = {2, 0, 0, 0, 0, 0, 'a', 0};
	static const unsigned char no_name[] = {0, 0, 0, 0, 0, 0};
	static const struct manifest_extent back[] = {{262144, 131072}, {0, 131072}};
	static const struct manifest_extent far[] = {{1ull << 50, 131072}};

	switch (what) {
	case PARENT:
		e->parent = (uint32_t)v;
		break;
	case GROUP:
		e->group = (uint32_t)v;
		break;
	case KIND:
		e->kind = (uint8_t)v;
		break;
	case NAME:
		e->name = names[v];
		break;
	case TARGET:
		e->target = v ? "t" : NULL;
		break;
	case SIZE:
		e->size = v;
		break;
	case MODE:
		e->mode = (uint32_t)v;
		break;
	case NS:
		e->mtime_ns = (uint32_t)v;
		break;
	case SOURCE:
		e->source = (uint32_t)v;
		break;
	case XATTRS:
		e->xattrs = v == 0   ? two_xattrs
			    : v == 1 ? twice
			    : v == 2 ? with_nul
				     : no_name;
		e->xattrs_len = v == 0 ? 26 : v == 1 ? 14 : v == 2 ? 8 : 6;
		break;
	case EXTENTS:
		e->extents = v ? far : back;
		e->n_extents = v ? 1 : 2;
		break;
	}
}

static void a_tree_that_is_none_is_refused(void)
{
	/*
	 * 0 d/  1 d/a  2 d/b  3 d/e/  4 d/e/f  5 s -> elsewhere  6 z; 1 and 2 are one
	 * inode
	 */
	static const struct {
		uint32_t entry;
		enum damage what;
		uint64_t value;
	} cases[] = {{0, PARENT, 0}, {0, PARENT, 3}, {1, PARENT, 1}, {2, PARENT, 1},
		{2, PARENT, 3}, {4, PARENT, 6}, {4, PARENT, 7}, {6, PARENT, 3},
		{6, PARENT, 5}, {6, PARENT, 0xfffffffe}, {1, GROUP, 2},
		{1, GROUP, MANIFEST_NONE}, {2, GROUP, 0}, {2, GROUP, 4},
		{2, GROUP, 100}, {4, GROUP, 1}, {5, GROUP, 5}, {3, GROUP, 3},
		{0, KIND, 2}, {3, KIND, 3}, {6, KIND, 0}, {6, KIND, 4}, {6, KIND, 3},
		{5, KIND, 2}, {1, KIND, 1}, {0, NAME, 0}, {0, NAME, 1}, {3, NAME, 2},
		{6, NAME, 3}, {0, NAME, 4}, {1, NAME, 4}, {5, TARGET, 0},
		{6, TARGET, 1}, {1, SIZE, 6}, {0, SIZE, 1}, {6, SIZE, UINT64_MAX},
		{6, MODE, 010000}, {6, MODE, 0xffff}, {6, NS, 1000000000},
		{6, SOURCE, 1}, {6, SOURCE, UINT32_MAX}, {6, XATTRS, 0}, {6, XATTRS, 1},
		{6, XATTRS, 2}, {6, XATTRS, 3}, {6, EXTENTS, 0}, {6, EXTENTS, 1}};
	struct manifest_entry link = {.nlink = 2, .ino = 4, .size = 5};
	struct manifest_entry large = {.nlink = 1, .size = 1 << 20};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		SCOPED_MANIFEST struct manifest *m = empty();
		SCOPED_MANIFEST struct manifest *back = NULL;
		SCOPED_BUF struct buf b = {0};
		int r;

		add(m, "/src", "d/");
		add_full(m, "/src", "d/a", link);
		add_full(m, "/src", "d/b", link);
		add(m, "/src", "d/e/");
		add(m, "/src", "d/e/f");
		add(m, "/src", "s@");
		add_full(m, "/src", "z", large);
		arrange(m);
		damage(&m->entries[cases[i].entry], cases[i].what, cases[i].value);
		encode(m, &b);
		r = manifest_decode(b.data, b.len, &back, NULL);
		if (r != -EBADMSG)
			fprintf(stderr, "case %zu: %d\n", i, r);
		CU_ASSERT_EQUAL(r, -EBADMSG);
	}
}

static void files_are_trees(void)
{
	SCOPED_MANIFEST struct manifest *m = empty();
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};
	char path[64];
	SCOPED_FD int fd = suite_tmpdir(path);
	struct ebt_err err;

	add_every_kind(m);
	CU_ASSERT_EQUAL(manifest_save(m, fd, "manifest", &err), -EINVAL);
	encode(m, &b);
	must(fsio_save(fd, "flat", b.data, b.len, &err), &err);
	CU_ASSERT_EQUAL(manifest_load(fd, "flat", &back, &err), -EBADMSG);
	CU_ASSERT_PTR_NULL(back);
	arrange(m);
	CU_ASSERT_EQUAL(manifest_save(m, fd, "manifest", &err), 0);
	CU_ASSERT_EQUAL(manifest_load(fd, "manifest", &back, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT_TRUE(same(m, back));
	CU_ASSERT_EQUAL(manifest_load(fd, "absent", &back, &err), -ENOENT);
}

static const struct test tests[] = {
	TEST(what_comes_back_is_what_went_in),
	TEST(an_empty_manifest_travels),
	TEST(encoding_appends),
	TEST(what_is_cut_off_is_refused),
	TEST(a_changed_byte_is_noticed),
	TEST(a_forged_byte_gives_a_valid_manifest_or_none),
	TEST(a_later_version_is_not_guessed_at),
	TEST(additions_are_skipped),
	TEST(shorter_records_are_read),
	TEST(copies_are_kept_and_not_in_the_digest),
	TEST(a_header_without_times_is_read),
	TEST(times_that_nothing_could_hold_are_damage),
	TEST(times_of_the_store_are_not_in_the_digest),
	TEST(small_lies_cost_little),
	TEST(a_tree_that_is_none_is_refused),
	TEST(files_are_trees),
};
SUITE("manifest_format", tests)
