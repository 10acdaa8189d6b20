/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as the index of an archive, at once and in two pieces. Members that are let in lie
 * one behind the other in the archive and lead nowhere else, and, as nothing can be written in two
 * ways, they are the input again when they are written. What is picked of them has the same bounds.
 */
#include <errno.h>
#include <string.h>

#include "archive/index.h"
#include "archive/picks.h"
#include "fuzz.h"
#include "manifest/manifest.h"

#define SEED_SIZE  8000
#define SEED_PLAIN 7680

struct seen {
	struct buf text;
	uint64_t end, members;
};

static int found(void *arg, const struct index_head *head, const struct index_member *m,
	struct ebt_err *err)
{
	struct seen *s = arg;

	if (s->members++ == 0)
		FUZZ_CHECK(index_put_head(&s->text, head, err) == 0);
	FUZZ_CHECK(m->header == s->end && m->data > m->header);
	FUZZ_CHECK(m->data % 512 == 0 && m->packed <= m->size);
	s->end = m->data + (m->packed + 511) / 512 * 512;
	FUZZ_CHECK(s->end > m->header && s->end <= head->unpacked - 1024);
	FUZZ_CHECK(manifest_path_ok(m->path));
	FUZZ_CHECK(strlen(m->path) <= MANIFEST_PATH_MAX);
	FUZZ_CHECK((m->type == INDEX_HARDLINK) == (m->link != NULL));
	FUZZ_CHECK(!m->link || manifest_path_ok(m->link));
	FUZZ_CHECK(index_put(&s->text, m, err) == 0);
	return 0;
}

/* The result, and what was seen in *s. */
static int feed(const uint8_t *data, size_t size, size_t first, struct seen *s)
{
	SCOPED(index_reader_freep) struct index_reader *r = NULL;
	int code;

	FUZZ_CHECK(index_reader_new(found, s, &r, NULL) == 0);
	code = index_feed(r, data, first, NULL);
	if (code == 0)
		code = index_feed(r, data + first, size - first, NULL);
	if (code == 0)
		code = index_finish(r, NULL);
	if (code == 0 && s->members == 0)
		FUZZ_CHECK(index_put_head(&s->text, index_head(r), NULL) == 0);
	FUZZ_CHECK(code == 0 || code == -EBADMSG || code == -EPROTONOSUPPORT);
	return code;
}

static bool wants(void *arg, const char *path, bool dir)
{
	FUZZ_CHECK(manifest_path_ok(path));
	return path[0] != 's' && !strstr(path, "a b");
}

static void pick(const uint8_t *data, size_t size, uint64_t members)
{
	const struct picks_archive archive = {SEED_PLAIN, -5, 0};
	SCOPED(picks_freep) struct picks *p = NULL;
	const struct pick *of;
	uint64_t end = 0;
	size_t n;

	FUZZ_CHECK(picks_new(&archive, wants, NULL, &p, NULL) == 0);
	if (picks_feed(p, data, size, NULL) < 0 || picks_finish(p, NULL) < 0)
		return;
	of = picks_list(p, &n);
	FUZZ_CHECK(picks_members(p) == members && n <= members);
	for (size_t i = 0; i <= n; i++) {
		FUZZ_CHECK(of[i].header >= end && of[i].data > of[i].header);
		FUZZ_CHECK(of[i].end >= of[i].data && of[i].end <= SEED_PLAIN);
		FUZZ_CHECK(i == n || of[i].serial < members);
		end = of[i].end;
	}
	FUZZ_CHECK(end == SEED_PLAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = {0}, parts = {0};
	int code = feed(data, size, size, &whole);

	FUZZ_CHECK(feed(data, size, size ? data[size / 2] % size : 0, &parts) == code);
	FUZZ_CHECK(parts.members == whole.members);
	FUZZ_CHECK(parts.text.len == whole.text.len);
	FUZZ_CHECK(code < 0 || (whole.text.len == size &&
				       memcmp(whole.text.data, data, size) == 0));
	pick(data, size, whole.members);
	buf_release(&whole.text);
	buf_release(&parts.text);
	return 0;
}

/* Seed @n has @n members; the last one as many as it can, and is of what is not compressed. */
bool fuzz_seed(unsigned n, struct buf *out)
{
	static const struct index_member members[] = {
		{0, 512, 0, 0, INDEX_DIR, "d", NULL},
		{512, 2048, 700, 700, INDEX_FILE, "d/a b%c", NULL},
		{3072, 3584, 0, 0, INDEX_SYMLINK, "d/\xc3\xbc\n", NULL},
		{3584, 4096, 0, 0, INDEX_HARDLINK, "h", "d/a b%c"},
		{4096, 5632, 1000, 9ull << 40, INDEX_FILE, "sparse", NULL},
	};
	bool last = n > sizeof(members) / sizeof(members[0]);
	struct index_head head = {.size = last ? SEED_PLAIN : SEED_SIZE,
		.unpacked = SEED_PLAIN,
		.mtime = -5,
		.members = n - last};

	FUZZ_CHECK(index_put_head(out, &head, NULL) == 0);
	for (unsigned i = 0; i < n - last; i++)
		FUZZ_CHECK(index_put(out, &members[i], NULL) == 0);
	return !last;
}
