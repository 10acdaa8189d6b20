/* SPDX-License-Identifier: BSD-3-Clause */
/* Large manifests: in files, of which a part is in memory, and put together from many parts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "manifests.h"
#include "suite.h"

#define MANY 200000 /* entries, some 55 MB */

static uint64_t state = 1;

static uint32_t any(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % n;
}

/* Bytes of files that are in the memory of this process. */
static long resident(void)
{
	SCOPED_FREE char *line = NULL;
	size_t cap = 0;
	long sum = 0, n;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && getline(&line, &cap, f) > 0)
		if (sscanf(line, "RssFile: %ld", &n) == 1 ||
			sscanf(line, "RssShmem: %ld", &n) == 1)
			sum += n * 1024;
	if (f)
		fclose(f);
	return sum;
}

/* A directory whose file system promises room, or -1, and the reason is printed. */
static int room(void)
{
	int fd = open("/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC);
	void *p = fsio_room_new(fd, 4096);

	if (!p)
		fprintf(stderr, "not tried: no nameless files in /dev/shm\n");
	fsio_room_free(p, 4096);
	if (p)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct manifest *in_room(int dirfd)
{
	struct manifest *m = NULL;
	struct ebt_err err;

	must(manifest_new_in(dirfd, &m, &err), &err);
	return m;
}

static void add_many(struct manifest *m, uint32_t n)
{
	char name[64];

	for (uint32_t i = 0; i < n; i++) {
		if (i % 1000 == 0) {
			snprintf(name, sizeof(name), "d%05u/", i / 1000);
			add(m, "/s", name);
		}
		snprintf(name, sizeof(name), "d%05u/file%03u", i / 1000, i % 1000);
		add_full(m, "/s", name,
			(struct manifest_entry){
				.mode = 0644, .nlink = 1, .size = i, .ino = i + 1});
	}
}

static void encoded(const struct manifest *m, struct buf *b)
{
	struct ebt_err err;

	must(manifest_encode(m, b, &err), &err);
}

static bool alike(const struct manifest *a, const struct manifest *b)
{
	SCOPED_BUF struct buf x = {0};
	SCOPED_BUF struct buf y = {0};

	encoded(a, &x);
	encoded(b, &y);
	return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

static void what_was_passed_leaves_memory(void)
{
	SCOPED_FD int dirfd = room();
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_MANIFEST struct manifest *heap = NULL;
	SCOPED_MANIFEST struct manifest *copy = NULL;
	SCOPED_MANIFEST struct manifest *back = NULL;
	struct manifest_totals totals;
	struct ebt_err err;
	long before;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	if (dirfd < 0)
		return;
	heap = in_room(-1);
	add_many(heap, MANY);
	must(manifest_arrange(heap, &err), &err);
	before = resident();
	must(manifest_unite((const struct manifest *const[]){heap}, 1, dirfd, &m, &err),
		&err);
	CU_ASSERT(m->mapped > 0);
	CU_ASSERT(resident() - before < 1 << 20);
	CU_ASSERT(alike(m, heap));
	manifest_let_go(m);
	manifest_count(m, &totals);
	CU_ASSERT_EQUAL(totals.files, MANY);
	/* A window and what lies around it */
	CU_ASSERT(resident() - before < 12 << 20);
	manifest_let_go(m);
	CU_ASSERT(resident() - before < 1 << 20);
	must(manifest_save(m, dir, "manifest", &err), &err);
	CU_ASSERT(resident() - before < 12 << 20);
	must(manifest_load_in(dirfd, dir, "manifest", &back, &err), &err);
	CU_ASSERT(back->mapped > 0);
	CU_ASSERT(resident() - before < 12 << 20);
	CU_ASSERT(alike(back, heap));
	must(manifest_unite(
		     (const struct manifest *const[]){back, m}, 2, dirfd, &copy, &err),
		&err);
	CU_ASSERT(resident() - before < 1 << 20);
	CU_ASSERT(alike(copy, heap));
}

/* Entries and strings that move from memory to a file while there are more and more. */
static void it_grows_into_files(void)
{
	SCOPED_FD int dirfd = room();
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_MANIFEST struct manifest *heap = in_room(-1);

	if (dirfd < 0)
		return;
	m = in_room(dirfd);
	add_many(m, 100000);
	add_many(heap, 100000);
	CU_ASSERT(m->mapped > 0);
	CU_ASSERT(alike(m, heap));
}

static void without_room_it_is_memory(void)
{
	SCOPED_FD int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SCOPED_MANIFEST struct manifest *m = in_room(proc);

	CU_ASSERT_PTR_NULL(fsio_room_new(proc, 4096));
	CU_ASSERT_PTR_NULL(fsio_room_new(-1, 4096));
	add_many(m, 50000);
	CU_ASSERT_EQUAL(m->mapped, 0);
	CU_ASSERT_EQUAL(m->count, 50050);
	manifest_let_go(m);
}

/* Trees that overlap in directories, as batches of one scan do: the same as arranged at once. */
static void parts_are_the_whole(void)
{
	for (int round = 0; round < 200; round++) {
		struct manifest *parts[40];
		size_t n = 1 + any(40);
		SCOPED_MANIFEST struct manifest *all = empty();
		SCOPED_MANIFEST struct manifest *one = NULL;
		struct ebt_err err;
		char name[64];

		for (size_t i = 0; i < n; i++) {
			parts[i] = empty();
			for (uint32_t k = any(12); k > 0; k--) {
				uint32_t a = any(4), b = any(4), leaf = any(100000);

				snprintf(name, sizeof(name), "%c/", 'a' + a);
				add(parts[i], "/s", name);
				snprintf(name, sizeof(name), "%c/%c-/", 'a' + a,
					'a' + b);
				add(parts[i], "/s", name);
				snprintf(name, sizeof(name), "%c/%c-/%u", 'a' + a,
					'a' + b, leaf);
				add(parts[i], "/s", name);
			}
			must(manifest_append(all, parts[i], &err), &err);
			must(manifest_arrange(parts[i], &err), &err);
		}
		must(manifest_arrange(all, &err), &err);
		must(manifest_unite(
			     (const struct manifest *const *)parts, n, -1, &one, &err),
			&err);
		/* Sources may be numbered otherwise, but here there is one. */
		CU_ASSERT(all->count == 0 || alike(all, one));
		for (size_t i = 0; i < n; i++)
			manifest_free(parts[i]);
	}
}

/* Of three with one path the last decides, also about what is below the first. */
static void the_last_is_on_top(void)
{
	SCOPED_MANIFEST struct manifest *a = tree_of("d/ d/x e/ e/1");
	SCOPED_MANIFEST struct manifest *b = tree_of("d/ d/y e/ e/2");
	SCOPED_MANIFEST struct manifest *c = tree_of("d e/ e/3 f");
	SCOPED_MANIFEST struct manifest *want = tree_of("d e/ e/1 e/2 e/3 f");
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct ebt_err err;

	must(manifest_unite((const struct manifest *const[]){a, b, c}, 3, -1, &m, &err),
		&err);
	CU_ASSERT(alike(m, want));
	manifest_free(TAKE(m));
	must(manifest_unite(NULL, 0, -1, &m, &err), &err);
	CU_ASSERT_EQUAL(m->count, 0);
	CU_ASSERT(m->tree);
}

/* What is saved a piece at a time is what is encoded at once, also with records of any length. */
static void files_are_the_format(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FREE unsigned char *value = calloc(1, 3 << 20);
	SCOPED_BUF struct buf xattrs = {0};
	SCOPED_BUF struct buf file = {0};
	SCOPED_BUF struct buf memory = {0};
	SCOPED_MANIFEST struct manifest *m = empty();
	SCOPED_MANIFEST struct manifest *back = NULL;
	struct ebt_err err;

	buf_put16(&xattrs, 6);
	buf_put32(&xattrs, 3 << 20);
	buf_put(&xattrs, "user.a", 6);
	buf_put(&xattrs, value, 3 << 20);
	add_many(m, 30000);
	add_full(m, "/s", "a",
		(struct manifest_entry){
			.xattrs = xattrs.data, .xattrs_len = (uint32_t)xattrs.len});
	add_full(m, "/t", "z",
		(struct manifest_entry){
			.xattrs = xattrs.data, .xattrs_len = (uint32_t)xattrs.len});
	must(manifest_arrange(m, &err), &err);
	must(manifest_save(m, dir, "manifest", &err), &err);
	must(fsio_load(dir, "manifest", SIZE_MAX / 2, &file, &err), &err);
	encoded(m, &memory);
	CU_ASSERT(file.len == memory.len &&
		  memcmp(file.data, memory.data, file.len) == 0);
	must(manifest_load(dir, "manifest", &back, &err), &err);
	CU_ASSERT(alike(m, back));
}

/* A damaged file is one whether it is read in pieces or at once. */
static void damage_is_found(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_MANIFEST struct manifest *m = tree_of("a b@ d/ d/e d/f");
	SCOPED_BUF struct buf good = {0};
	struct ebt_err err;

	encoded(m, &good);
	for (size_t i = 0; i < good.len; i++) {
		SCOPED_BUF struct buf bad = {0};
		SCOPED_MANIFEST struct manifest *one = NULL;
		SCOPED_MANIFEST struct manifest *two = NULL;

		buf_put(&bad, good.data, good.len);
		bad.data[i] ^= (unsigned char)(1u << any(8));
		must(fsio_save(dir, "bad", bad.data, bad.len, &err), &err);
		CU_ASSERT(manifest_load(dir, "bad", &one, NULL) < 0);
		CU_ASSERT(manifest_decode(bad.data, bad.len, &two, NULL) < 0);
		/* Cut there, and with more behind */
		must(fsio_save(dir, "bad", good.data, i, &err), &err);
		CU_ASSERT(manifest_load(dir, "bad", &one, NULL) < 0);
	}
	buf_put8(&good, 0);
	must(fsio_save(dir, "bad", good.data, good.len, &err), &err);
	CU_ASSERT_EQUAL(manifest_load(dir, "bad", &m, NULL), -EBADMSG);
}

static const struct test tests[] = {
	TEST(what_was_passed_leaves_memory),
	TEST(it_grows_into_files),
	TEST(without_room_it_is_memory),
	TEST(parts_are_the_whole),
	TEST(the_last_is_on_top),
	TEST(files_are_the_format),
	TEST(damage_is_found),
};

SUITE("manifest_room", tests)
