/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "field.h"

static void load(int dir, struct buf *out)
{
	CU_ASSERT_EQUAL_FATAL(fsio_load(dir, NAME, 1 << 20, out, NULL), 0);
}

static void save(int dir, const void *data, size_t len)
{
	CU_ASSERT_EQUAL_FATAL(fsio_save(dir, NAME, data, len, NULL), 0);
}

static void without_a_file_no_drain_was_begun(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);

	CU_ASSERT_PTR_NULL(journal_head(j));
	CU_ASSERT_EQUAL(seals(j), 0);
	CU_ASSERT_EQUAL(seal(j, 0), -EINVAL);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), -EINVAL);
	CU_ASSERT_NOT_EQUAL(faccessat(dir, NAME, F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

static void what_was_sealed_is_read_back(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;
	const struct journal_head *h;
	struct stat st;

	make(dir, 20);
	j = open_ok(dir);
	h = journal_head(j);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_STRING_EQUAL(h->id, ID_A);
	CU_ASSERT_STRING_EQUAL(h->dest, DEST);
	CU_ASSERT_TRUE(h->atomic);
	CU_ASSERT_FALSE(h->finished);
	CU_ASSERT_EQUAL(seals(j), 20);
	CU_ASSERT_EQUAL(fstatat(dir, NAME, &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
}

static void seals_of_this_process_are_seen_too(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 3);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(seal(j, 3), 0);
	CU_ASSERT_EQUAL(seal(j, 4), 0);
	CU_ASSERT_EQUAL(seals(j), 5);
}

static int stop_at_two(void *arg, const struct journal_seal *s)
{
	return s->size == 2 ? 42 : 0;
}

static void reading_stops_when_told(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 5);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_each(j, stop_at_two, NULL), 42);
}

static void a_finished_drain_takes_no_seals(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 3);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	CU_ASSERT_TRUE(journal_head(j)->finished);
	CU_ASSERT_EQUAL(seal(j, 3), -EINVAL);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_TRUE(journal_head(j)->finished);
	CU_ASSERT_EQUAL(seals(j), 3);
	CU_ASSERT_EQUAL(seal(j, 3), -EINVAL);
}

static int count_one(void *arg, const struct journal_seal *s)
{
	(void)s;
	++*(int *)arg;
	return 0;
}

static int count_seals(const struct journal *j)
{
	int n = 0;

	return journal_each(j, count_one, &n) == 0 ? n : -1;
}

static void the_next_drain_keeps_seals_or_drops_them(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 3);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(seal(j, 3), 0);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, false, true, NULL), 0);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->id, ID_B);
	CU_ASSERT_FALSE(journal_head(j)->finished);
	CU_ASSERT_EQUAL(seal(j, 4), 0);
	CU_ASSERT_EQUAL(seals(j), 5);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->id, ID_B);
	CU_ASSERT_FALSE(journal_head(j)->atomic);
	CU_ASSERT_EQUAL(seals(j), 5);
	CU_ASSERT_EQUAL(journal_begin(j, ID_A, "/elsewhere", false, false, NULL), 0);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->dest, "/elsewhere");
	CU_ASSERT_EQUAL(seals(j), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_STRING_EQUAL(journal_head(j)->dest, "/elsewhere");
	CU_ASSERT_EQUAL(seals(j), 0);
}

static void directories_of_a_finished_drain_are_forgotten(void)
{
	struct journal_seal dirs = {.names = "a\0b", .n_names = 2};

	for (int finished = 0; finished < 2; finished++) {
		char tmp[64];
		SCOPED_FD int dir = suite_tmpdir(tmp);
		SCOPED_JOURNAL struct journal *j = NULL;

		make(dir, 3);
		j = open_ok(dir);
		CU_ASSERT_EQUAL(journal_seal(j, &dirs, NULL), 0);
		if (finished)
			CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
		CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, false, true, NULL), 0);
		CU_ASSERT_EQUAL(count_seals(j), finished ? 3 : 4);
	}
}

static int add_path(void *arg, const char *path)
{
	strcat(strcat(arg, path), " ");
	return strcmp(path, "stop") == 0 ? 7 : 0;
}

static void splits_are_kept_from_drain_to_drain(void)
{
	char tmp[64], seen[64] = "";
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 2);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_split(j, "d/a\0b", 2, NULL), 0);
	CU_ASSERT_EQUAL(seal(j, 2), 0);
	CU_ASSERT_EQUAL(journal_split(j, "c", 1, NULL), 0);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, true, true, NULL), 0);
	CU_ASSERT_EQUAL(journal_each_split(j, add_path, seen), 0);
	CU_ASSERT_STRING_EQUAL(seen, "d/a b c ");
	CU_ASSERT_EQUAL(seals(j), 3);
	CU_ASSERT_EQUAL(journal_split(j, "stop\0more", 2, NULL), 0);
	CU_ASSERT_EQUAL(journal_each_split(j, add_path, seen), 7);
	seen[0] = '\0';
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, true, false, NULL), 0);
	CU_ASSERT_EQUAL(journal_each_split(j, add_path, seen), 0);
	CU_ASSERT_STRING_EQUAL(seen, "");
}

struct seen_frames {
	uint32_t n, records;
	uint64_t ino;
	bool right;
};

static int add_frames(void *arg, const struct journal_frames *f)
{
	struct seen_frames *seen = arg;

	seen->records++;
	seen->ino = f->ino;
	seen->right &= f->first == seen->n && f->version.hi == 9 &&
		       strcmp(f->path, "d/.hidden") == 0;
	for (uint32_t i = 0; i < f->n; i++) {
		const struct journal_frame one = journal_frame(f, i);

		seen->right &= one.packed == 100 + f->first + i &&
			       one.digest.lo == one.packed && one.digest.hi == 7;
	}
	seen->n += f->n;
	return 0;
}

static int note_frames(struct journal *j, uint32_t first, uint32_t n)
{
	SCOPED_BUF struct buf list = {0};
	SCOPED_BUF struct buf rec = {0};
	struct journal_frames f = {.path = "d/.hidden",
		.ino = 77,
		.version = {8, 9},
		.first = first,
		.n = n};

	for (uint32_t i = 0; i < n; i++)
		journal_put_frame(
			&list, &(struct journal_frame){.packed = 100 + first + i,
				       .digest = {100 + first + i, 7}});
	f.list = list.data;
	journal_put_frames(&rec, &f);
	return journal_add(j, &rec, NULL);
}

static void frames_are_there_until_the_drain_is_finished(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;
	struct seen_frames seen = {.right = true};

	make(dir, 2);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(note_frames(j, 0, 0), 0);
	CU_ASSERT_EQUAL(note_frames(j, 0, 3), 0);
	CU_ASSERT_EQUAL(seal(j, 2), 0);
	CU_ASSERT_EQUAL(note_frames(j, 3, 2), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_each_frames(j, add_frames, &seen), 0);
	CU_ASSERT_EQUAL(seen.n, 5);
	CU_ASSERT_EQUAL(seen.records, 3);
	CU_ASSERT_EQUAL(seen.ino, 77);
	CU_ASSERT_TRUE(seen.right);
	CU_ASSERT_EQUAL(seals(j), 3);
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, true, true, NULL), 0);
	seen = (struct seen_frames){.right = true};
	CU_ASSERT_EQUAL(journal_each_frames(j, add_frames, &seen), 0);
	CU_ASSERT_EQUAL(seen.records, 0);
	CU_ASSERT_EQUAL(seals(j), 3);
}

static int add_packed(void *arg, const struct journal_packed *p)
{
	unsigned *sum = arg;

	CU_ASSERT_STRING_EQUAL(p->path, "d/all.tar");
	for (uint32_t i = 0; i < p->n; i++) {
		struct reader r = reader_of(p->keys + i * 8, 8);

		*sum += (unsigned)reader_get64(&r) * (p->older ? 100 : 1);
	}
	return p->ino == 99 ? 5 : 0;
}

static void what_is_packed_is_kept_from_drain_to_drain(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = NULL;
	unsigned sum = 0;

	make(dir, 2);
	j = open_ok(dir);
	for (unsigned i = 0; i < 3; i++) {
		SCOPED_BUF struct buf keys = {0};
		SCOPED_BUF struct buf rec = {0};

		buf_put64(&keys, i + 1);
		buf_put64(&keys, 10);
		journal_put_packed(&rec, &(struct journal_packed){.path = "d/all.tar",
						 .ino = i == 2 ? 99 : 7,
						 .older = i == 1,
						 .n = 2,
						 .keys = keys.data});
		CU_ASSERT_EQUAL(journal_add(j, &rec, NULL), 0);
	}
	CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, true, true, NULL), 0);
	CU_ASSERT_EQUAL(journal_each_packed(j, add_packed, &sum), 5);
	CU_ASSERT_EQUAL(sum, 11 + 1200 + 13);
}

static void an_id_is_hex_and_dest_absolute(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);

	CU_ASSERT_EQUAL(journal_begin(j, "../x", DEST, false, false, NULL), -EINVAL);
	CU_ASSERT_EQUAL(journal_begin(j, ID_A "0", DEST, false, false, NULL), -EINVAL);
	CU_ASSERT_EQUAL(
		journal_begin(j, ID_A, "relative", false, false, NULL), -EINVAL);
	CU_ASSERT_PTR_NULL(journal_head(j));
	CU_ASSERT_EQUAL(journal_begin(j, ID_A, "/", false, false, NULL), 0);
	journal_close(TAKE(j));
	j = open_ok(dir);
	CU_ASSERT_PTR_NOT_NULL_FATAL(journal_head(j));
	CU_ASSERT_STRING_EQUAL(journal_head(j)->dest, "/");
}

/* Where each of the first @n seals ends. */
static void ends(uint64_t n, size_t *end)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(journal_begin(j, ID_A, DEST, true, false, NULL), 0);
	for (uint64_t i = 0; i <= n; i++) {
		CU_ASSERT_EQUAL_FATAL(fstatat(dir, NAME, &st, 0), 0);
		end[i] = (size_t)st.st_size;
		CU_ASSERT_EQUAL_FATAL(seal(j, i), 0);
	}
}

static void a_tail_torn_anywhere_is_cut_off(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	size_t end[5];
	uint64_t whole;

	ends(4, end);
	make(dir, 4);
	load(dir, &all);
	CU_ASSERT_EQUAL_FATAL(all.len, end[4]);
	for (size_t len = 0; len < all.len; len++) {
		SCOPED_JOURNAL struct journal *j = NULL;
		SCOPED_JOURNAL struct journal *again = NULL;

		save(dir, all.data, len);
		j = open_ok(dir);
		if (len < end[0]) {
			CU_ASSERT_PTR_NULL(journal_head(j));
			continue;
		}
		for (whole = 0; end[whole + 1] <= len; whole++)
			;
		CU_ASSERT_PTR_NOT_NULL(journal_head(j));
		CU_ASSERT_EQUAL(seals(j), whole);
		CU_ASSERT_EQUAL(seal(j, whole), 0);
		again = open_ok(dir);
		CU_ASSERT_EQUAL(seals(again), whole + 1);
	}
}

static void nothing_counts_after_a_damaged_byte(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	size_t end[5];
	uint64_t whole;

	ends(4, end);
	make(dir, 4);
	load(dir, &all);
	for (size_t at = 12; at < all.len; at++) {
		SCOPED_JOURNAL struct journal *j = NULL;
		SCOPED_JOURNAL struct journal *again = NULL;

		all.data[at] ^= 0x40;
		save(dir, all.data, all.len);
		all.data[at] ^= 0x40;
		j = open_ok(dir);
		if (at < end[0]) {
			CU_ASSERT_PTR_NULL(journal_head(j));
			CU_ASSERT_EQUAL(seals(j), 0);
			continue;
		}
		for (whole = 0; end[whole + 1] <= at; whole++)
			;
		CU_ASSERT_EQUAL(seals(j), whole);
		CU_ASSERT_EQUAL(seal(j, whole), 0);
		again = open_ok(dir);
		CU_ASSERT_EQUAL(seals(again), whole + 1);
	}
}

/* A cut leaves no damage; a byte that changed does, unless it makes the last record too long. */
static void damage_is_told_from_a_torn_end(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	unsigned char zeros[100] = {0};
	size_t end[5];

	ends(4, end);
	make(dir, 4);
	load(dir, &all);
	for (size_t len = 0; len <= all.len; len += 3) {
		SCOPED_JOURNAL struct journal *j = NULL;

		save(dir, all.data, len);
		j = open_ok(dir);
		CU_ASSERT_FALSE(journal_damaged(j));
	}
	for (int i = 0; i < 5; i++) {
		SCOPED_JOURNAL struct journal *j = NULL;
		size_t at = i ? end[i] - 1 : 0; /* of the digest, of the magic */

		all.data[at] ^= 0x40;
		save(dir, all.data, all.len);
		all.data[at] ^= 0x40;
		j = open_ok(dir);
		CU_ASSERT_TRUE(journal_damaged(j));
	}
	buf_put(&all, zeros, sizeof(zeros));
	save(dir, all.data, all.len);
	{
		SCOPED_JOURNAL struct journal *j = open_ok(dir);

		CU_ASSERT_FALSE(journal_damaged(j));
		CU_ASSERT_EQUAL(seals(j), 4);
	}
}

static void what_is_damaged_is_kept_and_what_is_proven_goes_on(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	SCOPED_BUF struct buf kept = {0};
	size_t end[5];

	ends(4, end);
	make(dir, 4);
	load(dir, &all);
	all.data[end[3] - 1] ^= 0x40;
	save(dir, all.data, all.len);
	{
		SCOPED_JOURNAL struct journal *j = open_ok(dir);

		CU_ASSERT_TRUE(journal_damaged(j));
		CU_ASSERT_EQUAL(journal_mend(j, NULL), 0);
		CU_ASSERT_FALSE(journal_damaged(j));
		CU_ASSERT_EQUAL(seals(j), 2);
		CU_ASSERT_EQUAL(seal(j, 2), 0);
	}
	{
		SCOPED_JOURNAL struct journal *j = open_ok(dir);

		CU_ASSERT_FALSE(journal_damaged(j));
		CU_ASSERT_EQUAL(seals(j), 3);
	}
	CU_ASSERT_EQUAL(fsio_load(dir, "drain.damaged", 1 << 20, &kept, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(kept.len, all.len);
	CU_ASSERT_EQUAL(memcmp(kept.data, all.data, all.len), 0);
	/* Of what proves nothing at all, or cannot be read, just the name changes. */
	save(dir, "rubbish, of some length", 23);
	{
		SCOPED_JOURNAL struct journal *j = open_ok(dir);

		CU_ASSERT_TRUE(journal_damaged(j));
		CU_ASSERT_EQUAL(journal_mend(j, NULL), 0);
		CU_ASSERT_EQUAL(faccessat(dir, NAME, F_OK, 0), -1);
	}
	CU_ASSERT_EQUAL(faccessat(dir, "drain.damaged.2", F_OK, 0), 0);
	CU_ASSERT_EQUAL(symlinkat("elsewhere", dir, NAME), 0);
	CU_ASSERT_EQUAL(journal_set_aside(dir, NULL), 0);
	CU_ASSERT_EQUAL(
		faccessat(dir, "drain.damaged.3", F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

static void a_later_version_is_refused_and_other_bytes_are_nothing(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	SCOPED_JOURNAL struct journal *j = NULL;
	SCOPED_JOURNAL struct journal *none = NULL;

	make(dir, 2);
	load(dir, &all);
	all.data[8] = JOURNAL_VERSION + 1;
	save(dir, all.data, all.len);
	CU_ASSERT_EQUAL(journal_open(dir, &j, NULL), -EPROTONOSUPPORT);
	CU_ASSERT_PTR_NULL(j);
	all.data[8] = 1;
	all.data[0] = 'X';
	save(dir, all.data, all.len);
	none = open_ok(dir);
	CU_ASSERT_PTR_NULL(journal_head(none));
	CU_ASSERT_EQUAL(journal_begin(none, ID_B, DEST, false, true, NULL), 0);
	CU_ASSERT_EQUAL(seals(none), 0);
}

static void an_earlier_version_is_read_and_written_anew_as_this_one(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_BUF struct buf all = {0};
	SCOPED_BUF struct buf now = {0};
	SCOPED_JOURNAL struct journal *j = NULL;

	make(dir, 1); /* the first seal has no inode: none of version 2 had one */
	load(dir, &all);
	all.data[8] = 2;
	save(dir, all.data, all.len);
	j = open_ok(dir);
	CU_ASSERT_EQUAL(journal_head(j)->version, 2);
	CU_ASSERT_FALSE(journal_head(j)->finished);
	CU_ASSERT_EQUAL(seals(j), 1);
	CU_ASSERT_EQUAL(journal_begin(j, ID_A, DEST, true, true, NULL), 0);
	CU_ASSERT_EQUAL(journal_head(j)->version, JOURNAL_VERSION);
	CU_ASSERT_EQUAL(seal(j, 1), 0);
	CU_ASSERT_EQUAL(seals(j), 2);
	load(dir, &now);
	CU_ASSERT_EQUAL(now.data[8], JOURNAL_VERSION);
}

struct seen_lacks {
	struct journal_seal poor;
	unsigned n;
};

static int see_lacks(void *arg, const struct journal_seal *s)
{
	struct seen_lacks *seen = arg;

	if (s->lacks)
		seen->poor = *s;
	seen->n++;
	return 0;
}

static void what_a_target_lacks_is_in_its_seal(void)
{
	char tmp[64];
	SCOPED_FD int dir = suite_tmpdir(tmp);
	SCOPED_JOURNAL struct journal *j = open_ok(dir);
	struct journal_source source = {.where = 1, .ino = 2, .size = 3};
	struct journal_seal s = {.names = "f",
		.n_names = 1,
		.size = 3,
		.sources = &source,
		.n_sources = 1};
	struct seen_lacks seen;

	for (unsigned lacks = 1; lacks <= JOURNAL_LACKS; lacks++) {
		s.lacks = (uint8_t)lacks;
		s.ino = lacks % 2 ? 77 : 0;
		CU_ASSERT_EQUAL(journal_begin(j, ID_A, DEST, false, false, NULL), 0);
		CU_ASSERT_EQUAL(journal_seal(j, &s, NULL), 0);
		s.lacks = 0;
		CU_ASSERT_EQUAL(journal_seal(j, &s, NULL), 0);
		/* Both kinds are copied into the next journal. */
		CU_ASSERT_EQUAL(journal_finish(j, NULL), 0);
		CU_ASSERT_EQUAL(journal_begin(j, ID_B, DEST, false, true, NULL), 0);
		seen = (struct seen_lacks){0};
		CU_ASSERT_EQUAL(journal_each(j, see_lacks, &seen), 0);
		CU_ASSERT_EQUAL(seen.n, 2);
		CU_ASSERT_EQUAL(seen.poor.lacks, lacks);
		CU_ASSERT_EQUAL(seen.poor.ino, s.ino);
		CU_ASSERT_EQUAL(seen.poor.size, 3);
		CU_ASSERT_EQUAL(seen.poor.n_sources, 1);
	}
	/* A bit that no writer knows is damage. */
	s.lacks = JOURNAL_LACKS + 1;
	CU_ASSERT_EQUAL(journal_seal(j, &s, NULL), 0);
	seen = (struct seen_lacks){0};
	CU_ASSERT_EQUAL(journal_each(j, see_lacks, &seen), 0);
	CU_ASSERT_EQUAL(seen.n, 2);
}

static const struct test tests[] = {
	TEST(without_a_file_no_drain_was_begun),
	TEST(what_was_sealed_is_read_back),
	TEST(seals_of_this_process_are_seen_too),
	TEST(reading_stops_when_told),
	TEST(a_finished_drain_takes_no_seals),
	TEST(the_next_drain_keeps_seals_or_drops_them),
	TEST(directories_of_a_finished_drain_are_forgotten),
	TEST(splits_are_kept_from_drain_to_drain),
	TEST(frames_are_there_until_the_drain_is_finished),
	TEST(what_is_packed_is_kept_from_drain_to_drain),
	TEST(an_id_is_hex_and_dest_absolute),
	TEST(a_tail_torn_anywhere_is_cut_off),
	TEST(nothing_counts_after_a_damaged_byte),
	TEST(damage_is_told_from_a_torn_end),
	TEST(what_is_damaged_is_kept_and_what_is_proven_goes_on),
	TEST(a_later_version_is_refused_and_other_bytes_are_nothing),
	TEST(what_a_target_lacks_is_in_its_seal),
	TEST(an_earlier_version_is_read_and_written_anew_as_this_one),
};
SUITE("journal_records", tests)
