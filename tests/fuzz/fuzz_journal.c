/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a journal. They are tried as they are, and again with the digests of all records
 * made right. What counts as proven must be in order, and must be the same bytes when it is
 * written again.
 */
#include <errno.h>
#include <string.h>

#include "journal/journal_format.h"
#include "fuzz.h"
#include "manifest/manifest.h"

#define START 12 /* magic and version */

static void use_seal(const struct journal_seal *s)
{
	const char *name = s->names;

	FUZZ_CHECK(s->n_names > 0 && s->mtime_ns < 1000000000);
	for (uint32_t i = 0; i < s->n_names; i++, name += strlen(name) + 1)
		FUZZ_CHECK(manifest_path_ok(name));
	for (uint32_t i = 0; i < s->n_sources; i++)
		FUZZ_CHECK(s->sources[i].mtime_ns < 1000000000);
}

/* Bytes that are proven. */
static void use_frames(const struct journal_frames *f)
{
	uint64_t sum = 0;

	FUZZ_CHECK(manifest_path_ok(f->path));
	for (uint32_t i = 0; i < f->n; i++)
		sum += journal_frame(f, i).packed;
	FUZZ_CHECK(sum <= (uint64_t)f->n * UINT32_MAX);
}

static size_t use(const uint8_t *data, size_t size)
{
	SCOPED_JOURNAL_SCAN struct journal_scan s = {.data = data, .len = size};
	SCOPED_BUF struct buf again = {0};
	struct journal_record rec;
	bool ended = false;
	int r;

	while ((r = journal_scan_next(&s, &rec, NULL)) > 0) {
		FUZZ_CHECK(rec.start < rec.end && rec.end == s.at && s.at <= size);
		FUZZ_CHECK(
			(rec.kind == JOURNAL_HEAD) == (rec.start == START) && !ended);
		if (rec.kind == JOURNAL_HEAD) {
			FUZZ_CHECK(
				strlen(rec.head.id) == 32 && rec.head.dest[0] == '/');
			journal_put_head(
				&again, rec.head.id, rec.head.dest, rec.head.atomic);
		} else if (journal_is_seal(&rec)) {
			use_seal(&rec.seal);
			journal_put_seal(&again, &rec.seal);
		} else if (rec.kind == JOURNAL_SPLIT) {
			journal_put_split(&again, rec.paths, rec.n_paths);
		} else if (rec.kind == JOURNAL_FRAMES) {
			use_frames(&rec.frames);
			journal_put_frames(&again, &rec.frames);
		} else if (rec.kind == JOURNAL_PACKED) {
			FUZZ_CHECK(manifest_path_ok(rec.packed.path));
			journal_put_packed(&again, &rec.packed);
		} else {
			journal_put_end(&again);
			ended = true;
		}
	}
	FUZZ_CHECK(r == 0 || (r == -EPROTONOSUPPORT && s.at == 0));
	FUZZ_CHECK(buf_ok(&again) && again.len == s.at);
	/* But for the version: earlier ones are read as well. */
	FUZZ_CHECK(s.at == 0 ||
		   memcmp(again.data + START, data + START, s.at - START) == 0);
	return s.at;
}

/* The digests of all records that are whole. */
static void make_right(uint8_t *data, size_t size)
{
	size_t at = START, len;
	struct ebt_digest d;
	struct reader r;

	while (size - at >= 5 + DIGEST_BYTES) {
		r = reader_of(data + at, 4);
		len = reader_get32(&r);
		if (len > size - at - 5 - DIGEST_BYTES)
			return;
		d = digest_bytes(data + at, 5 + len);
		at += 5 + len;
		for (size_t i = 0; i < 8; i++) {
			data[at + i] = (uint8_t)(d.lo >> (8 * i));
			data[at + 8 + i] = (uint8_t)(d.hi >> (8 * i));
		}
		at += DIGEST_BYTES;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_FREE uint8_t *copy = malloc(size ? size : 1);
	size_t proven = use(data, size);

	FUZZ_CHECK(copy);
	if (size < START)
		return 0;
	memcpy(copy, data, size);
	make_right(copy, size);
	FUZZ_CHECK(use(copy, size) >= proven);
	return 0;
}

static void put_frames(struct buf *out)
{
	SCOPED_BUF struct buf list = {0};
	struct journal_frames f = {
		.path = "d/.hidden", .ino = 9, .version = {1, 2}, .first = 4, .n = 2};

	for (uint32_t i = 0; i < f.n; i++)
		journal_put_frame(&list,
			&(struct journal_frame){.packed = i + 1, .digest = {i, 3}});
	f.list = list.data;
	journal_put_frames(out, &f);
}

bool fuzz_seed(unsigned n, struct buf *out)
{
	static const char names[] = "d/first\0second\0d/third";
	static const struct journal_source sources[] = {
		{.where = 7, .ino = 8, .size = 1, .mtime = 2, .mtime_ns = 3},
		{.size = 1ull << 40, .mtime = -1, .mtime_ns = 999999999}};
	struct journal_seal s = {.names = names,
		.n_names = 3,
		.size = 1ull << 40,
		.mtime = -1,
		.mtime_ns = 999999999,
		.sources = sources,
		.n_sources = 2};

	journal_put_head(
		out, "0123456789abcdef0123456789abcdef", "/scratch/dest", n & 1);
	if (n > 0)
		journal_put_seal(out, &s);
	s.n_names = 1;
	s.ino = 1ull << 63;
	if (n > 1)
		journal_put_seal(out, &s);
	if (n > 2)
		journal_put_split(out, names, 3);
	if (n > 3)
		put_frames(out);
	if (n > 4)
		journal_put_packed(out,
			&(struct journal_packed){.path = "d/all.tar",
				.ino = 7,
				.older = n & 1,
				.n = 2,
				.keys = (const unsigned char *)"0123456789abcdef"});
	if (n > 5)
		journal_put_end(out);
	return n < 7;
}
