/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a task of a drain. What is let in must be in order, and must come back the same
 * from another round.
 */
#include <string.h>

#include "drain/task.h"
#include "fuzz.h"

static void check_pieces(const struct drain_task *t)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < t->n_pieces; i++) {
		const struct drain_piece *p = &t->pieces[i];

		FUZZ_CHECK(p->source < t->n_sources && p->off >= before);
		FUZZ_CHECK(p->off <= t->e.size && p->len <= t->e.size - p->off);
		FUZZ_CHECK(p->from <= INT64_MAX && p->len <= INT64_MAX - p->from);
		before = p->off;
	}
}

static void use(const struct drain_task *t)
{
	const char *at = t->names;
	struct drain_name n;
	uint64_t sum = 0;

	FUZZ_CHECK(manifest_path_ok(t->e.name));
	FUZZ_CHECK(t->e.kind == MANIFEST_FILE || t->e.kind == MANIFEST_SYMLINK);
	FUZZ_CHECK((t->e.kind == MANIFEST_SYMLINK) == (t->e.target != NULL));
	FUZZ_CHECK(t->n_sources > 0 && t->sources);
	FUZZ_CHECK(t->n_names > 0);
	for (uint32_t i = 0; i < t->n_names; i++) {
		at = drain_name_next(at, &n);
		FUZZ_CHECK(manifest_path_ok(n.path));
		FUZZ_CHECK(i || strcmp(n.path, t->e.name) == 0);
		FUZZ_CHECK(!*n.of || manifest_path_ok(n.of));
		FUZZ_CHECK(!*n.was || manifest_path_ok(n.was));
	}
	for (uint32_t i = 0; i < t->n_sources; i++)
		FUZZ_CHECK(t->sources[i].file.mtime_ns < 1000000000 &&
			   t->sources[i].of <= DRAIN_OF_FRAME);
	for (uint32_t i = 0; i < t->stripe_count; i++)
		sum += t->targets[i]; /* all of them can be read */
	for (uint32_t i = 0; i < t->e.xattrs_len; i++)
		sum += ((const unsigned char *)t->e.xattrs)[i];
	FUZZ_CHECK(sum <= UINT64_MAX / 2);
	check_pieces(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_TASK struct drain_task *t = NULL;
	SCOPED_TASK struct drain_task *back = NULL;
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf again = {0};
	struct reader r = reader_of(data, size);

	if (drain_task_decode(&r, &t, NULL) < 0) {
		FUZZ_CHECK(!t);
		return 0;
	}
	use(t);
	drain_task_encode(t, &b);
	FUZZ_CHECK(buf_ok(&b));
	r = reader_of(b.data, b.len);
	FUZZ_CHECK(drain_task_decode(&r, &back, NULL) == 0 && reader_left(&r) == 0);
	use(back);
	drain_task_encode(back, &again);
	FUZZ_CHECK(buf_ok(&again) && again.len == b.len);
	FUZZ_CHECK(memcmp(again.data, b.data, b.len) == 0);
	return 0;
}

bool fuzz_seed(unsigned n, struct buf *out)
{
	static const unsigned char xattrs[] = {
		6, 0, 3, 0, 0, 0, 'u', 's', 'e', 'r', '.', 'a', 1, 0, 2};
	static const char names[] = "\2d/file\0\0\0.ebt-new\0"
				    "\60other/name\0old\0was\0.n1\0"
				    "\0third\0\0\0.ebt-new";
	static struct drain_source sources[] = {
		{.file = {.where = 1, .ino = 9, .size = 1 << 20, .mtime = -9},
			.node = 3,
			.entry = 17},
		{.file = {.size = 5, .mtime = 6, .mtime_ns = 7}, .entry = 1}};
	static struct drain_piece pieces[] = {{0, 4096, 0, 0, false},
		{4096, 8192, 9, 1, true}, {1 << 19, 9, 0, 0, false}};
	static uint32_t targets[] = {5, 0, 7};
	struct drain_task t = {.e = {.name = "d/file",
				       .kind = MANIFEST_FILE,
				       .mode = 0644,
				       .nlink = 3,
				       .size = 1 << 20},
		.names = names,
		.n_names = 1,
		.sources = sources,
		.n_sources = 1};

	if (n == 1) {
		t.e.kind = MANIFEST_SYMLINK;
		t.e.target = "there";
		t.e.size = 0;
	}
	if (n > 1) {
		t.e.xattrs = xattrs;
		t.e.xattrs_len = sizeof(xattrs);
		t.n_names = 3;
		t.n_sources = 2;
		t.pieces = pieces;
		t.n_pieces = 3;
	}
	if (n > 2) {
		t.targets = targets;
		t.stripe_count = 3;
		t.stripe_size = 1 << 22;
		t.big = true;
	}
	drain_task_encode(&t, out);
	return n < 4;
}
