/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a manifest. They are tried as they are, and again with length and digest
 * made right, without which a mutation never gets past the door. What is let in must
 * survive everything that is done with manifests and come back the same from another
 * round.
 */
#include <string.h>

#include "fuzz.h"
#include "manifest/manifest.h"

#define HEADER_LEN 64

static void encode(const struct manifest *m, struct buf *b)
{
	FUZZ_CHECK(manifest_encode(m, b, NULL) == 0);
}

static struct manifest *decode(const void *data, size_t len)
{
	struct manifest *m = NULL;

	if (manifest_decode(data, len, &m, NULL) < 0)
		FUZZ_CHECK(!m);
	return m;
}

static void walk(const struct manifest *m)
{
	static char path[2 * MANIFEST_PATH_MAX + 3];

	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		uint32_t end = manifest_subtree_end(m, i);

		FUZZ_CHECK(manifest_source_path(m, i, path, sizeof(path)) > 0);
		FUZZ_CHECK(manifest_path(m, i, path, sizeof(path)) > 0);
		FUZZ_CHECK(manifest_find(m, path) == i);
		FUZZ_CHECK(end > i && end <= m->count);
		FUZZ_CHECK(e->group == MANIFEST_NONE || manifest_has_data(m, e->group));
		for (uint32_t k = 0; k < e->n_extents; k++)
			FUZZ_CHECK(e->extents[k].off + e->extents[k].len <= e->size);
	}
}

static void merge(const struct manifest *base, const struct manifest *top)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_BUF struct buf b = {0};

	if (manifest_unite(
		    (const struct manifest *const[]){base, top}, 2, -1, &m, NULL) < 0)
		return;
	encode(m, &b);
	back = decode(b.data, b.len);
	FUZZ_CHECK(back);
	walk(m);
}

/* @m without its last entries: a tree still. */
static void merge_halves(const struct manifest *m)
{
	struct manifest half = *m;

	half.count = m->count / 2;
	merge(&half, m);
	merge(m, &half);
}

/* Whatever a look may find, right or wrong, a tree stays one. */
static void settle(struct manifest *m)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_FREE uint32_t *found = NULL;
	uint32_t one = 0;

	FUZZ_CHECK(manifest_doubts(m, &d, NULL) == 0);
	if (!d.n)
		return;
	found = calloc(d.first[d.n], sizeof(*found));
	FUZZ_CHECK(found);
	for (uint32_t c = 0; c < d.n; c++) {
		FUZZ_CHECK(d.first[c + 1] >= d.first[c] + 2);
		for (uint32_t k = d.first[c]; k < d.first[c + 1]; k++) {
			FUZZ_CHECK(d.members[k] < m->count);
			found[k] = (uint32_t)m->entries[d.members[k]].mtime % 6;
		}
	}
	FUZZ_CHECK(manifest_settle(m, &d, found, &one) <= d.first[d.n]);
	FUZZ_CHECK(one < m->count);
}

static void use(const struct manifest *m)
{
	SCOPED_MANIFEST struct manifest *back = NULL;
	SCOPED_MANIFEST struct manifest *flat = NULL;
	SCOPED_BUF struct buf b = {0};
	struct manifest_totals t;

	encode(m, &b);
	back = decode(b.data, b.len);
	FUZZ_CHECK(back);
	FUZZ_CHECK(digest_equal(manifest_digest(m), manifest_digest(back)));
	manifest_count(m, &t);
	FUZZ_CHECK(t.files + t.dirs + t.symlinks + t.links == m->count);
	if (m->tree) {
		walk(m);
		merge_halves(m);
		return;
	}
	FUZZ_CHECK(manifest_new(&flat, NULL) == 0);
	FUZZ_CHECK(manifest_append(flat, m, NULL) == 0);
	FUZZ_CHECK(manifest_append(flat, m, NULL) == 0);
	if (manifest_arrange(flat, NULL) < 0)
		return;
	settle(flat);
	merge(flat, flat);
}

static void make_right(unsigned char *data, size_t size)
{
	uint64_t body = size - HEADER_LEN - DIGEST_BYTES;
	struct ebt_digest d;

	for (size_t i = 0; i < 8; i++)
		data[24 + i] = (unsigned char)(body >> (8 * i));
	d = digest_bytes(data, size - DIGEST_BYTES);
	for (size_t i = 0; i < 8; i++) {
		data[size - 16 + i] = (unsigned char)(d.lo >> (8 * i));
		data[size - 8 + i] = (unsigned char)(d.hi >> (8 * i));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_MANIFEST struct manifest *m = decode(data, size);
	SCOPED_MANIFEST struct manifest *right = NULL;
	SCOPED_FREE unsigned char *copy = NULL;

	if (m)
		use(m);
	if (m || size < HEADER_LEN + DIGEST_BYTES)
		return 0;
	copy = malloc(size);
	FUZZ_CHECK(copy);
	memcpy(copy, data, size);
	make_right(copy, size);
	right = decode(copy, size);
	if (right)
		use(right);
	return 0;
}

static void seed_entry(struct manifest *m, uint8_t kind, const char *name)
{
	static const struct manifest_extent data[] = {{0, 131072}, {1 << 20, 131072}};
	static const unsigned char xattrs[] = {6, 0, 3, 0, 0, 0, 'u', 's', 'e', 'r',
		'.', 'a', 1, 0, 2, 6, 0, 0, 0, 0, 0, 'u', 's', 'e', 'r', '.', 'b'};
	struct manifest_entry e = {
		.name = name, .kind = kind, .mode = 0644, .nlink = 1};

	e.target = kind == MANIFEST_SYMLINK ? "target" : NULL;
	if (kind == MANIFEST_FILE) {
		e.size = 1 << 21;
		e.ino = (uint64_t)name[strlen(name) - 1] % 4;
		e.nlink = 2;
		e.dev = name[0] == 'd' ? manifest_dev(1, 2) : manifest_dev(2, 1);
		e.mtime = name[strlen(name) - 1] == 'f' ? 3 : 0;
		e.extents = name[0] == 'd' ? data : NULL;
		e.n_extents = name[0] == 'd' ? 2 : 0;
		e.xattrs = xattrs;
		e.xattrs_len = name[0] == 'd' ? sizeof(xattrs) : 0;
	}
	FUZZ_CHECK(manifest_add_source(
			   m, name[0] == 'd' ? "/one" : "/two", &e.source, NULL) == 0);
	FUZZ_CHECK(manifest_add(m, &e, NULL) == 0);
}

bool fuzz_seed(unsigned n, struct buf *out)
{
	SCOPED_MANIFEST struct manifest *m = NULL;

	FUZZ_CHECK(manifest_new(&m, NULL) == 0);
	if (n > 0) {
		seed_entry(m, MANIFEST_DIR, "d");
		seed_entry(m, MANIFEST_FILE, "d/a");
		seed_entry(m, MANIFEST_DIR, "d/e");
		seed_entry(m, MANIFEST_FILE, "d/e/f");
		seed_entry(m, MANIFEST_SYMLINK, "d/e/s");
		seed_entry(m, MANIFEST_FILE, "e");
		seed_entry(m, MANIFEST_FILE, "f");
		seed_entry(m, MANIFEST_SYMLINK, "g");
	}
	if (n != 1)
		FUZZ_CHECK(manifest_arrange(m, NULL) == 0);
	if (m->count)
		m->entries[m->count - 1].copy =
			(struct manifest_copy){.ino = 7, .changed = 8, .mode = 0644};
	encode(m, out);
	return n < 3;
}
