/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "drain/task.h"
#include "suite.h"

static const unsigned char xattrs[] = {
	6, 0, 3, 0, 0, 0, 'u', 's', 'e', 'r', '.', 'a', 1, 0, 2};
/* Marks, path, what the job called it, an older version, an ending. */
static const char names[] = "\2d/file\0\0\0.ebt-new\0"
			    "\60other/name\0old\0other/name.n1\0.n1\0"
			    "\0third\0\0\0.ebt-new";
static struct drain_source sources[] = {{.file = {.where = 1ull << 63,
						 .ino = 9,
						 .size = 1 << 20,
						 .mtime = -9,
						 .mtime_ns = 999999999},
						.node = 3,
						.entry = 17},
	{.file = {.size = 5, .mtime = 6, .mtime_ns = 7},
		.node = 0,
		.entry = 1,
		.of = DRAIN_OF_PART}};
static struct drain_piece pieces[] = {{0, 4096, 0, 0, false},
	{4096, 8192, 1ull << 40, 1, true}, {4096, 100, 4096, 0, true},
	{1 << 19, 1 << 19, 512, 0, false}};
static uint32_t targets[] = {5, 0, UINT32_MAX};

static struct drain_task full(void)
{
	return (struct drain_task){.e = {.name = "d/file",
					   .kind = MANIFEST_FILE,
					   .mode = 04755,
					   .uid = 1000,
					   .gid = UINT32_MAX,
					   .nlink = 3,
					   .size = 1 << 20,
					   .allocated = 8192,
					   .mtime = -1,
					   .mtime_ns = 1,
					   .atime = 1ll << 40,
					   .atime_ns = 999999999,
					   .xattrs = xattrs,
					   .xattrs_len = sizeof(xattrs)},
		.contested = true,
		.lacks = 5,
		.n_names = 3,
		.names = names,
		.sources = sources,
		.n_sources = 2,
		.pieces = pieces,
		.n_pieces = 4,
		.stripe_count = 3,
		.stripe_size = 1ull << 33,
		.targets = targets,
		.tier = 3,
		.early = 2,
		.early_target = 70000,
		.pool = 2,
		.big = true,
		.archive = 7};
}

static void encode(const struct drain_task *t, struct buf *b)
{
	drain_task_encode(t, b);
	CU_ASSERT_TRUE_FATAL(buf_ok(b));
}

static struct drain_task *decode(const struct buf *b)
{
	struct drain_task *t = NULL;
	struct reader r = reader_of(b->data, b->len);

	CU_ASSERT_EQUAL_FATAL(drain_task_decode(&r, &t, NULL), 0);
	CU_ASSERT_EQUAL(reader_left(&r), 0);
	return t;
}

static void check_entry(const struct manifest_entry *a, const struct manifest_entry *b)
{
	CU_ASSERT_STRING_EQUAL(a->name, b->name);
	CU_ASSERT_EQUAL(!a->target, !b->target);
	if (a->target && b->target)
		CU_ASSERT_STRING_EQUAL(a->target, b->target);
	CU_ASSERT_EQUAL(a->xattrs_len, b->xattrs_len);
	if (a->xattrs_len == b->xattrs_len && a->xattrs_len)
		CU_ASSERT_EQUAL(memcmp(a->xattrs, b->xattrs, a->xattrs_len), 0);
	CU_ASSERT_EQUAL(a->kind, b->kind);
	CU_ASSERT_EQUAL(a->mode, b->mode);
	CU_ASSERT_EQUAL(a->uid, b->uid);
	CU_ASSERT_EQUAL(a->gid, b->gid);
	CU_ASSERT_EQUAL(a->nlink, b->nlink);
	CU_ASSERT_EQUAL(a->size, b->size);
	CU_ASSERT_EQUAL(a->allocated, b->allocated);
	CU_ASSERT_EQUAL(a->mtime, b->mtime);
	CU_ASSERT_EQUAL(a->mtime_ns, b->mtime_ns);
	CU_ASSERT_EQUAL(a->atime, b->atime);
	CU_ASSERT_EQUAL(a->atime_ns, b->atime_ns);
}

static void a_task_comes_back_with_all_it_points_to(void)
{
	const struct drain_task t = full();
	SCOPED_BUF struct buf b = {0};
	SCOPED_TASK struct drain_task *got = NULL;
	struct drain_name n;
	const char *at;

	encode(&t, &b);
	got = decode(&b);
	memset(b.data, 0xee, b.len); /* nothing points back */
	check_entry(&t.e, &got->e);
	CU_ASSERT_FALSE(got->in_place);
	CU_ASSERT_TRUE(got->contested);
	CU_ASSERT_EQUAL(got->lacks, 5);
	CU_ASSERT_EQUAL(got->archive, 7);
	CU_ASSERT_EQUAL(got->n_names, 3);
	CU_ASSERT_EQUAL(memcmp(got->names, names, sizeof(names)), 0);
	at = drain_name_next(got->names, &n);
	CU_ASSERT_EQUAL(n.marks, DRAIN_REPLACES);
	CU_ASSERT_STRING_EQUAL(n.path, "d/file");
	at = drain_name_next(at, &n);
	CU_ASSERT_EQUAL(n.marks, DRAIN_IN_WAY | DRAIN_BY_NODE);
	CU_ASSERT_STRING_EQUAL(n.of, "old");
	CU_ASSERT_STRING_EQUAL(n.was, "other/name.n1");
	CU_ASSERT_STRING_EQUAL(n.ending, ".n1");
	at = drain_name_next(at, &n);
	CU_ASSERT_STRING_EQUAL(n.path, "third");
	CU_ASSERT_EQUAL(at, got->names + sizeof(names));
	CU_ASSERT_EQUAL_FATAL(got->n_sources, 2);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(got->sources[i].node, sources[i].node);
		CU_ASSERT_EQUAL(got->sources[i].entry, sources[i].entry);
		CU_ASSERT_EQUAL(got->sources[i].of, sources[i].of);
		CU_ASSERT_EQUAL(got->sources[i].file.where, sources[i].file.where);
		CU_ASSERT_EQUAL(got->sources[i].file.ino, sources[i].file.ino);
		CU_ASSERT_EQUAL(got->sources[i].file.size, sources[i].file.size);
		CU_ASSERT_EQUAL(got->sources[i].file.mtime, sources[i].file.mtime);
		CU_ASSERT_EQUAL(
			got->sources[i].file.mtime_ns, sources[i].file.mtime_ns);
	}
	CU_ASSERT_EQUAL_FATAL(got->n_pieces, 4);
	for (int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(got->pieces[i].off, pieces[i].off);
		CU_ASSERT_EQUAL(got->pieces[i].len, pieces[i].len);
		CU_ASSERT_EQUAL(got->pieces[i].from, pieces[i].from);
		CU_ASSERT_EQUAL(got->pieces[i].source, pieces[i].source);
		CU_ASSERT_EQUAL(got->pieces[i].overlaps, pieces[i].overlaps);
	}
	CU_ASSERT_EQUAL_FATAL(got->stripe_count, 3);
	CU_ASSERT_EQUAL(memcmp(got->targets, targets, sizeof(targets)), 0);
	CU_ASSERT_EQUAL(got->stripe_size, 1ull << 33);
	CU_ASSERT_TRUE(got->big);
	CU_ASSERT_EQUAL(got->tier, 3);
	CU_ASSERT_EQUAL(got->early, 2);
	CU_ASSERT_EQUAL(got->early_target, 70000);
	CU_ASSERT_EQUAL(got->pool, 2);
	CU_ASSERT_PTR_NULL(got->next);
}

static void a_symlink_in_place_needs_little(void)
{
	const struct drain_task t = {.e = {.name = "l",
					     .kind = MANIFEST_SYMLINK,
					     .mode = 0777,
					     .target = "../somewhere"},
		.in_place = true,
		.names = "\0l\0\0\0",
		.n_names = 1,
		.sources = sources,
		.n_sources = 1,
		.stripe_count = 4};
	SCOPED_BUF struct buf b = {0};
	SCOPED_TASK struct drain_task *got = NULL;

	encode(&t, &b);
	got = decode(&b);
	check_entry(&t.e, &got->e);
	CU_ASSERT_TRUE(got->in_place);
	CU_ASSERT_EQUAL(got->n_pieces, 0);
	CU_ASSERT_EQUAL(got->n_names, 1);
	/* A number of stripes without targets is no placement. */
	CU_ASSERT_EQUAL(got->stripe_count, 0);
	CU_ASSERT_PTR_NULL(got->targets);
}

static void tasks_stand_one_after_the_other(void)
{
	const struct drain_task t = full();
	SCOPED_BUF struct buf b = {0};
	struct reader r;

	encode(&t, &b);
	encode(&t, &b);
	r = reader_of(b.data, b.len);
	for (int i = 0; i < 2; i++) {
		SCOPED_TASK struct drain_task *got = NULL;

		CU_ASSERT_EQUAL(drain_task_decode(&r, &got, NULL), 0);
	}
	CU_ASSERT_EQUAL(reader_left(&r), 0);
}

static void a_task_cut_anywhere_is_damaged(void)
{
	const struct drain_task t = full();
	SCOPED_BUF struct buf b = {0};

	encode(&t, &b);
	for (size_t len = 0; len < b.len; len++) {
		/* Of a block of its own length, so that a sanitizer sees a byte too many. */
		SCOPED_FREE unsigned char *copy = malloc(len + 1);
		struct reader r = reader_of(copy + 1, len);
		struct drain_task *got = NULL;
		struct ebt_err err = {0};

		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy + 1, b.data, len);
		CU_ASSERT_EQUAL(drain_task_decode(&r, &got, &err), -EBADMSG);
		CU_ASSERT_PTR_NULL(got);
		CU_ASSERT_NOT_EQUAL(err.text[0], '\0');
	}
}

static void any_byte_may_be_wrong(void)
{
	const struct drain_task t = full();
	SCOPED_BUF struct buf b = {0};
	static const unsigned char odd[] = {0, 1, 0x7f, 0x80, 0xff};

	encode(&t, &b);
	for (size_t at = 0; at < b.len; at++) {
		unsigned char was = b.data[at];

		for (size_t k = 0; k < sizeof(odd); k++) {
			struct reader r = reader_of(b.data, b.len);
			SCOPED_TASK struct drain_task *got = NULL;
			int rc;

			b.data[at] = odd[k];
			rc = drain_task_decode(&r, &got, NULL);
			CU_ASSERT_TRUE(rc == 0 || rc == -EBADMSG);
			CU_ASSERT_EQUAL(rc == 0, got != NULL);
		}
		b.data[at] = was;
	}
}

static void what_contradicts_itself_is_damaged(void)
{
	struct drain_piece beyond[] = {{1 << 20, 1, 0, 0, false}};
	struct drain_piece wraps[] = {{8, UINT64_MAX, 0, 0, false}};
	struct drain_piece stranger[] = {{0, 1, 0, 2, false}};
	struct drain_piece backwards[] = {{4096, 1, 0, 0, false}, {0, 1, 0, 0, false}};
	struct drain_task bad[20];
	size_t n = 0;

#define BAD(...)                                                                       \
	do {                                                                           \
		struct drain_task *x = &bad[n++];                                      \
		*x = full();                                                           \
		__VA_ARGS__;                                                           \
	} while (0)
	BAD(x->pieces = beyond; x->n_pieces = 1);
	BAD(x->pieces = wraps; x->n_pieces = 1);
	BAD(x->pieces = stranger; x->n_pieces = 1);
	BAD(x->pieces = backwards; x->n_pieces = 2);
	BAD(x->n_sources = 0; x->n_pieces = 0);
	BAD(x->e.name = "../x");
	BAD(x->e.name = "");
	BAD(x->names = "\0/etc/passwd\0\0\0"; x->n_names = 1);
	BAD(x->names = "\0other\0\0\0"; x->n_names = 1);
	BAD(x->names = "\0d/file\0../x\0\0"; x->n_names = 1);
	BAD(x->names = "\0d/file\0\0/x\0"; x->n_names = 1);
	BAD(x->names = "\0d/file\0\0\0/x"; x->n_names = 1);
	BAD(x->n_names = 0);
	BAD(x->e.kind = MANIFEST_DIR; x->e.size = 0; x->n_pieces = 0);
	BAD(x->e.mtime_ns = 1000000000);
	BAD(x->e.target = "t");
	for (size_t i = 0; i < n; i++) {
		SCOPED_BUF struct buf b = {0};
		struct drain_task *got = NULL;
		struct reader r;

		encode(&bad[i], &b);
		r = reader_of(b.data, b.len);
		CU_ASSERT_EQUAL(drain_task_decode(&r, &got, NULL), -EBADMSG);
		CU_ASSERT_PTR_NULL(got);
	}
}

static void an_entry_takes_another_name(void)
{
	const struct drain_task t = full();
	SCOPED_BUF struct buf b = {0};
	struct manifest_entry want = t.e, got;
	struct reader r;

	drain_entry_encode(&t.e, "d/file.node7", &b);
	r = reader_of(b.data, b.len);
	CU_ASSERT_EQUAL_FATAL(drain_entry_decode(&r, &got, NULL), 0);
	want.name = "d/file.node7";
	check_entry(&want, &got);
	CU_ASSERT_EQUAL(got.group, MANIFEST_NONE);
	CU_ASSERT_EQUAL(reader_left(&r), 0);
}

static void the_root_is_a_directory_without_a_name(void)
{
	struct manifest_entry root = {.kind = MANIFEST_DIR, .mode = 0755}, got;
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf file = {0};
	struct reader r;

	drain_entry_encode(&root, "", &b);
	r = reader_of(b.data, b.len);
	CU_ASSERT_EQUAL(drain_entry_decode(&r, &got, NULL), 0);
	CU_ASSERT_STRING_EQUAL(got.name, "");
	root.kind = MANIFEST_FILE;
	drain_entry_encode(&root, "", &file);
	r = reader_of(file.data, file.len);
	CU_ASSERT_EQUAL(drain_entry_decode(&r, &got, NULL), -EBADMSG);
}

static void a_list_goes_as_a_whole(void)
{
	const struct drain_task t = full();
	SCOPED_BUF struct buf b = {0};
	struct drain_task *first, *second;

	encode(&t, &b);
	first = decode(&b);
	second = decode(&b);
	first->next = second;
	drain_task_free_list(first); /* a sanitizer sees what is left */
	drain_task_free_list(NULL);
	drain_task_free(NULL);
}

static const struct test tests[] = {
	TEST(a_task_comes_back_with_all_it_points_to),
	TEST(a_symlink_in_place_needs_little),
	TEST(tasks_stand_one_after_the_other),
	TEST(a_task_cut_anywhere_is_damaged),
	TEST(any_byte_may_be_wrong),
	TEST(what_contradicts_itself_is_damaged),
	TEST(an_entry_takes_another_name),
	TEST(the_root_is_a_directory_without_a_name),
	TEST(a_list_goes_as_a_whole),
};
SUITE("drain_task", tests)
