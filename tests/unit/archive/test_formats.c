/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All formats in all compressions, as libarchive writes them: whole, cut, with flipped bits, with
 * more behind the end. What can be seen of damage has to be seen.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "archives.h"
#include "base/text.h"
#include "codec/decode.h"
#include "suite.h"

#define MTIME 1234567890
#define LARGE 200000 /* bytes: more than a block */

static const struct format {
	const char *name;
	bool xattrs, ns, links, owners, sparse, wide, listed, sums;
} formats[] = {
	{"ustar", .links = true, .owners = true},
	{"gnutar", .links = true, .owners = true, .wide = true},
	{"pax", .xattrs = true, .ns = true, .links = true, .owners = true,
		.sparse = true, .wide = true},
	{"newc", .owners = true, .wide = true},
	{"odc", .owners = true, .wide = true},
	{"zip", .owners = true, .wide = true, .listed = true},
	{"7zip", .wide = true, .listed = true, .sums = true},
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static const char *const codecs[] = {NULL, "gzip", "bzip2", "xz", "zstd", "lz4"};
#define CODECS (sizeof(codecs) / sizeof(codecs[0]))

static la_ssize_t take(struct archive *a, void *arg, const void *data, size_t len)
{
	buf_put(arg, data, len);
	return (la_ssize_t)len;
}

static void put(struct archive *a, const char *name, unsigned type, unsigned mode,
	const char *link, const void *content, size_t len, bool extras)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, name);
	if (type)
		archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, (__LA_MODE_T)mode);
	archive_entry_set_uid(e, 1000);
	archive_entry_set_gid(e, 100);
	archive_entry_set_mtime(e, MTIME, 123456789);
	archive_entry_set_size(e, (la_int64_t)len);
	archive_entry_set_nlink(e, 1);
	if (type == AE_IFLNK)
		archive_entry_set_symlink(e, link);
	else if (link)
		archive_entry_set_hardlink(e, link);
	if (extras) {
		archive_entry_xattr_add_entry(e, "user.b", "\0\1", 2);
		archive_entry_xattr_add_entry(e, "user.a=%", "v", 1);
	}
	CU_ASSERT_FATAL(archive_write_header(a, e) >= ARCHIVE_WARN);
	if (len)
		CU_ASSERT_FATAL(archive_write_data(a, content, len) == (la_ssize_t)len);
	archive_entry_free(e);
}

static void put_sparse(struct archive *a)
{
	struct archive_entry *e = archive_entry_new();
	static const char zeros[8192];

	archive_entry_set_pathname(e, "sparse");
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_uid(e, 1000);
	archive_entry_set_gid(e, 100);
	archive_entry_set_mtime(e, MTIME, 0);
	archive_entry_set_size(e, 8192);
	archive_entry_sparse_add_entry(e, 4096, 3);
	CU_ASSERT_FATAL(archive_write_header(a, e) == ARCHIVE_OK);
	CU_ASSERT_FATAL(archive_write_data(a, zeros, 4096) == 4096);
	CU_ASSERT_FATAL(archive_write_data(a, "abc", 3) == 3);
	CU_ASSERT_FATAL(archive_write_data(a, zeros, 4093) == 4093);
	archive_entry_free(e);
}

static void make(const struct format *f, const char *codec, bool large, struct buf *out)
{
	struct archive *a = archive_write_new();
	SCOPED_FREE char *data = malloc(LARGE);
	uint64_t state = 7;

	for (size_t i = 0; i < LARGE; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		data[i] = (char)(i & 256 ? 'a' : state >> 60);
	}
	CU_ASSERT_FATAL(archive_write_set_format_by_name(a, f->name) == ARCHIVE_OK);
	if (codec)
		CU_ASSERT_FATAL(
			archive_write_add_filter_by_name(a, codec) == ARCHIVE_OK);
	if (codec && strcmp(codec, "lz4") == 0)
		archive_write_set_options(a, "lz4:stream-checksum");
	archive_write_set_bytes_per_block(a, 0);
	CU_ASSERT_FATAL(archive_write_open(a, out, NULL, take, NULL) == ARCHIVE_OK);
	put(a, "d", AE_IFDIR, 0750, NULL, NULL, 0, false);
	put(a, "d/f", AE_IFREG, 04711, NULL, "content", 7, f->xattrs);
	put(a, "empty", AE_IFREG, 0600, NULL, "", 0, false);
	put(a, f->wide ? "d/\xc3\xa9 \n" : "d/e \n", AE_IFREG, 0644, NULL, "x", 1,
		false);
	put(a, "s", AE_IFLNK, 0777, "../up", NULL, 0, false);
	if (f->links)
		put(a, "hard", 0, 04711, "d/f", NULL, 0, false);
	if (large)
		put(a, "large", AE_IFREG, 0644, NULL, data, LARGE, false);
	if (f->sparse)
		put_sparse(a);
	CU_ASSERT_FATAL(archive_write_close(a) == ARCHIVE_OK);
	archive_write_free(a);
}

/* What is told of it, the members in any order: 7z puts directories last. */
static bool has(const char *told, const char *line)
{
	const char *p = strstr(told, line);

	return p && (p == told || p[-1] == '\n');
}

static void check(const struct format *f, const char *told)
{
	const char *owner = f->owners ? "1000:100" : "nobody";
	char line[300], ns[32];

	snprintf(ns, sizeof(ns), "%d.%s", MTIME,
		f->ns			       ? "123456789"
		: strcmp(f->name, "7zip") == 0 ? "123456700"
					       : "000000000");
	snprintf(line, sizeof(line), "d d%s 750 %s %s\n", f->sums ? " again" : "",
		owner, ns);
	CU_ASSERT(has(told, line));
	snprintf(line, sizeof(line), "f d/f 7 4711 %s %s%s <content>\n", owner, ns,
		f->xattrs ? " user.a=%=v user.b=\\00\\01" : "");
	CU_ASSERT(has(told, line));
	snprintf(line, sizeof(line), "f empty 0 600 %s %s\n", owner, ns);
	CU_ASSERT(has(told, line));
	snprintf(line, sizeof(line), "f d/%s \\n 1 644 %s %s <x>\n",
		f->wide ? "\xc3\xa9" : "e", owner, ns);
	CU_ASSERT(has(told, line));
	snprintf(line, sizeof(line), "l s -> ../up 777 %s %s\n", owner, ns);
	CU_ASSERT(has(told, line));
	if (f->links)
		CU_ASSERT(has(told, "f hard = d/f 0 4711"));
	CU_ASSERT(has(told, "f large 200000 644"));
	if (f->sparse)
		CU_ASSERT(has(told, "f sparse 8192 644"));
}

static void every_format_is_read_in_every_compression(void)
{
	for (size_t i = 0; i < FORMATS; i++)
		for (size_t k = 0; k < (formats[i].listed ? 1 : CODECS); k++) {
			SCOPED_BUF struct buf b = {0};
			SCOPED_BUF struct buf file = {0};
			SCOPED_BUF struct buf pipe = {0};
			struct ebt_err err = {.text = ""};
			int r;

			make(&formats[i], codecs[k], true, &b);
			CU_ASSERT_STRING_EQUAL(codec_name(codec_of(b.data, b.len)),
				codecs[k] ? codecs[k] : "none");
			r = tell(&b, SOURCE_FILE, NULL, TELL_ALL, &file, &err);
			CU_ASSERT_EQUAL(r, 0);
			check(&formats[i], (char *)file.data);
			if (CU_get_number_of_failures())
				printf("%s %s: %s\n%s", formats[i].name,
					codecs[k] ? codecs[k] : "", err.text,
					file.data);
			r = tell(&b, SOURCE_PIPE, NULL, TELL_ALL, &pipe, &err);
			CU_ASSERT_EQUAL(r, formats[i].listed ? -ESPIPE : 0);
			if (r == 0)
				CU_ASSERT_STRING_EQUAL(file.data, pipe.data);
		}
}

static void every_cut_is_seen_in_every_format(void)
{
	for (size_t i = 0; i < FORMATS; i++)
		for (size_t k = 0; k < (formats[i].listed ? 1 : CODECS); k++) {
			SCOPED_BUF struct buf b = {0};

			make(&formats[i], codecs[k], false, &b);
			/* cpio is padded behind its end. */
			if (!codecs[k])
				while (b.len && b.data[b.len - 1] == 0)
					b.len--;
			for (size_t len = 0; len < b.len; len += 1 + b.len / 101) {
				SCOPED_BUF struct buf out = {0};
				struct buf cut = {.data = b.data, .len = len};
				struct ebt_err err;

				CU_ASSERT(tell(&cut, SOURCE_FILE, NULL, TELL_CONTENT,
						  &out, &err) < 0);
			}
		}
}

/* Told lines that are not those of the whole archive. */
static bool is_wrong(const char *whole, char *told, bool names_are_checked)
{
	char *line, *end;

	for (line = told; (end = strchr(line, '\n')); line = end + 1) {
		char *content = strchr(line, '<');

		end[0] = '\0';
		if (!names_are_checked &&
			(!content || strncmp(line, "f d/f 7", 7) != 0))
			continue;
		if (!strstr(whole, line))
			return true;
	}
	return false;
}

static void flipped_bits_are_seen_where_there_are_sums(void)
{
	for (size_t i = 0; i < FORMATS; i++)
		for (size_t k = 0; k < (formats[i].listed ? 1 : CODECS); k++) {
			SCOPED_BUF struct buf b = {0};
			SCOPED_BUF struct buf whole = {0};
			size_t wrong = 0;

			/* zstd as libarchive writes it has none. */
			if ((!codecs[k] && !formats[i].listed) ||
				(codecs[k] && strcmp(codecs[k], "zstd") == 0))
				continue;
			make(&formats[i], codecs[k], false, &b);
			CU_ASSERT(tell(&b, SOURCE_FILE, NULL, TELL_CONTENT, &whole,
					  NULL) == 0);
			for (size_t bit = 3; bit < 8 * b.len;
				bit += 8 * b.len / 211 + 1) {
				SCOPED_BUF struct buf out = {0};
				int r;

				b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
				r = tell(&b, SOURCE_FILE, NULL, TELL_CONTENT, &out,
					NULL);
				b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
				wrong += r == 0 &&
					 is_wrong((char *)whole.data, (char *)out.data,
						 codecs[k] || formats[i].sums);
			}
			CU_ASSERT_EQUAL(wrong, 0);
			if (wrong)
				printf("%s %s: %zu\n", formats[i].name,
					codecs[k] ? codecs[k] : "", wrong);
		}
}

static void more_behind_the_end_is_told_and_zeros_are_not(void)
{
	for (size_t i = 0; i < FORMATS; i++)
		for (size_t k = 0; k < (formats[i].listed ? 1 : CODECS); k++) {
			static const char garbage[] = "garbage";
			SCOPED_BUF struct buf b = {0};
			size_t len;

			make(&formats[i], codecs[k], false, &b);
			len = b.len;
			for (int more = 0; more < 3; more++) {
				SCOPED_BUF struct buf out = {0};
				struct ebt_err err = {.text = ""};
				int r;

				b.len = len;
				memset(buf_extend(&b, 20000), 0, 20000);
				if (more)
					b.len = more == 1 ? len : len + 512;
				if (more)
					buf_put(&b, garbage, sizeof(garbage));
				r = tell(&b, SOURCE_FILE, NULL, 0, &out, &err);
				CU_ASSERT(more ? r < 0 : r == 0);
				if (more ? r >= 0 : r < 0)
					printf("%s %s %d: %s\n", formats[i].name,
						codecs[k] ? codecs[k] : "", more,
						err.text);
			}
		}
}

static void joined_archives_are_two_unless_they_are_meant_to_be_one(void)
{
	const struct unarchive_options o = {.concatenated = true};

	for (size_t i = 0; i < FORMATS; i++)
		for (size_t k = 0; k < (formats[i].listed ? 1 : CODECS); k++) {
			SCOPED_BUF struct buf b = {0};
			SCOPED_BUF struct buf out = {0};
			SCOPED_BUF struct buf one = {0};
			bool tar = formats[i].links;
			struct ebt_err err;
			int r;

			make(&formats[i], codecs[k], false, &b);
			make(&formats[i], codecs[k], false, &b);
			CU_ASSERT(tell(&b, SOURCE_FILE, NULL, 0, &out, &err) < 0);
			r = tell(&b, SOURCE_FILE, &o, 0, &one, &err);
			CU_ASSERT(tar ? r == 0 : r < 0);
			if (tar)
				CU_ASSERT_PTR_NOT_NULL(
					strstr((char *)one.data, "f d/f again 7\n"));
		}
}

static void a_zip_whose_content_is_longer_than_it_says_is_refused(void)
{
	static const struct format *zip = &formats[5];
	SCOPED_BUF struct buf b = {0};
	bool found = false;

	make(zip, NULL, false, &b);
	/* The size in the list at the end; "d/f" is of 7 bytes, stored or deflated. */
	for (size_t i = 0; i + 49 < b.len; i++) {
		if (memcmp(b.data + i, "PK\1\2", 4) != 0 ||
			memcmp(b.data + i + 46, "d/f", 3) != 0)
			continue;
		found = true;
		b.data[i + 24] = 3;
	}
	CU_ASSERT(found);
	{
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err;

		CU_ASSERT(tell(&b, SOURCE_FILE, NULL, TELL_CONTENT, &out, &err) < 0);
	}
}

static void an_encrypted_zip_is_refused_before_anything_is_read(void)
{
	static const struct format *zip = &formats[5];
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};
	struct ebt_err err;

	make(zip, NULL, false, &b);
	for (size_t i = 0; i + 49 < b.len; i++) {
		if (memcmp(b.data + i, "PK\1\2", 4) == 0 &&
			memcmp(b.data + i + 46, "d/f", 3) == 0)
			b.data[i + 8] |= 1;
		if (memcmp(b.data + i, "PK\3\4", 4) == 0 &&
			memcmp(b.data + i + 30, "d/f", 3) == 0)
			b.data[i + 6] |= 1;
	}
	CU_ASSERT(tell(&b, SOURCE_FILE, NULL, 0, &out, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "encrypted"));
}

static void an_empty_zip_has_nothing_in_it(void)
{
	static const unsigned char empty[22] = {'P', 'K', 5, 6};
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf out = {0};
	struct ebt_err err;

	buf_put(&b, empty, sizeof(empty));
	CU_ASSERT_EQUAL(tell(&b, SOURCE_FILE, NULL, 0, &out, &err), 0);
	CU_ASSERT_STRING_EQUAL(out.data, "");
}

static void compressed_twice_is_refused_by_name(void)
{
	struct archive *a = archive_write_new();
	SCOPED_BUF struct buf b = {0};
	SCOPED_BUF struct buf zip = {0};
	SCOPED_BUF struct buf out = {0};
	struct archive_entry *e = archive_entry_new();
	struct ebt_err err;

	make(&formats[5], NULL, false, &zip);
	CU_ASSERT_FATAL(archive_write_set_format_raw(a) == ARCHIVE_OK);
	CU_ASSERT_FATAL(archive_write_add_filter_gzip(a) == ARCHIVE_OK);
	CU_ASSERT_FATAL(archive_write_open(a, &b, NULL, take, NULL) == ARCHIVE_OK);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_pathname(e, "f");
	CU_ASSERT_FATAL(archive_write_header(a, e) == ARCHIVE_OK);
	CU_ASSERT_FATAL(
		archive_write_data(a, zip.data, zip.len) == (la_ssize_t)zip.len);
	CU_ASSERT_FATAL(archive_write_close(a) == ARCHIVE_OK);
	archive_entry_free(e);
	archive_write_free(a);
	CU_ASSERT(tell(&b, SOURCE_FILE, NULL, 0, &out, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "compressed once more"));
}

static const struct test tests[] = {
	TEST(every_format_is_read_in_every_compression),
	TEST(every_cut_is_seen_in_every_format),
	TEST(flipped_bits_are_seen_where_there_are_sums),
	TEST(more_behind_the_end_is_told_and_zeros_are_not),
	TEST(joined_archives_are_two_unless_they_are_meant_to_be_one),
	TEST(a_zip_whose_content_is_longer_than_it_says_is_refused),
	TEST(an_encrypted_zip_is_refused_before_anything_is_read),
	TEST(an_empty_zip_has_nothing_in_it),
	TEST(compressed_twice_is_refused_by_name),
};

/* Of names, the writer asks the locale; the reader does not. */
int main(int argc, char **argv)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	if (!utf8)
		return 77;
	uselocale(utf8);
	return suite_main(
		"archive_formats", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
