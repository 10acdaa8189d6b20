/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libarchive is only shown what it was found to be, so that nothing else is taken for an archive
 * by one of its many other formats. Zip and 7z are lists at the end of a file; libarchive finds
 * them, but does not see whether something was cut off or added.
 */
#include <errno.h>
#include <string.h>

#include "archive/unarchive_internal.h"

#define BLOCK 512 /* bytes of tar */

static uint32_t le16(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint64_t le32(const unsigned char *p)
{
	return le16(p) | (uint64_t)le16(p + 2) << 16;
}

static uint64_t le64(const unsigned char *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

/* A header has the sum of its bytes, which old writers took for signed ones. */
static bool is_tar(const unsigned char *p)
{
	long sum = 0, signed_sum = 0, want = 0;
	size_t i = 148;

	if (digest_is_zero(p, BLOCK))
		return true;
	for (size_t k = 0; k < BLOCK; k++) {
		bool blank = k >= 148 && k < 156;

		sum += blank ? ' ' : p[k];
		signed_sum += blank ? ' ' : (signed char)p[k];
	}
	while (i < 156 && p[i] == ' ')
		i++;
	for (; i < 156 && p[i] >= '0' && p[i] <= '7'; i++)
		want = want * 8 + (p[i] - '0');
	return want == sum || want == signed_sum;
}

enum kind kind_of(const unsigned char *head, size_t len, const char **what)
{
	static const struct {
		enum kind kind;
		const char *what;
		size_t len;
		unsigned char magic[8];
	} magics[] = {
		{KIND_CPIO, NULL, 6, "070701"},
		{KIND_CPIO, NULL, 6, "070702"},
		{KIND_CPIO, NULL, 6, "070707"},
		{KIND_ZIP, NULL, 4, {'P', 'K', 3, 4}},
		{KIND_ZIP, NULL, 4, {'P', 'K', 5, 6}},
		{KIND_ZIP, NULL, 4, {'P', 'K', 7, 8}},
		{KIND_ZIP, NULL, 4, {'P', 'K', '0', '0'}},
		{KIND_7Z, NULL, 6, {'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}},
		{KIND_UNKNOWN, "an old binary cpio archive", 2, {0xc7, 0x71}},
		{KIND_UNKNOWN, "an old binary cpio archive", 2, {0x71, 0xc7}},
		{KIND_UNKNOWN, "a large ASCII cpio archive", 6, "070727"},
		{KIND_UNKNOWN, "compressed with compress", 2, {0x1f, 0x9d}},
		{KIND_UNKNOWN, "compressed with lzip", 4, "LZIP"},
		{KIND_UNKNOWN, "compressed with lzop", 4, {0x89, 'L', 'Z', 'O'}},
		{KIND_UNKNOWN, "compressed with lzma", 3, {0x5d, 0, 0}},
		{KIND_UNKNOWN, "a rar archive", 4, "Rar!"},
		{KIND_UNKNOWN, "an ar archive", 7, "!<arch>"},
		{KIND_UNKNOWN, "a xar archive", 4, "xar!"},
		{KIND_UNKNOWN, "a squashfs image", 4, "hsqs"},
	};

	*what = NULL;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (len < magics[i].len ||
			memcmp(head, magics[i].magic, magics[i].len) != 0)
			continue;
		/* The name of a tar's first member can begin with anything. */
		if (!magics[i].what || len < BLOCK || !is_tar(head)) {
			*what = magics[i].what;
			return magics[i].kind;
		}
	}
	return len >= BLOCK && is_tar(head) ? KIND_TAR : KIND_UNKNOWN;
}

#define EOCD	   22 /* bytes of the record at the end of a zip, without its comment */
#define EOCD_SPACE (EOCD + 65535)

/* Padding is no part of it: libarchive would look for the end of a zip there. */
static int more_behind(struct input *in, uint64_t end, struct ebt_err *err)
{
	int r = input_zeros_behind(in, end, err);

	in->end = end;
	return r > 0 ? ebt_failx(err, -EBADMSG, "more data behind its end") : r;
}

#define LOCATOR                                                                        \
	20 /* bytes: right before it, where the numbers of this one do not suffice */
#define EOCD64 56 /* bytes of what that leads to */

/* Where the list of members ends has to be where it is said to: else two zips are one file. */
static int check_place(
	struct input *in, const unsigned char *eocd, uint64_t at, struct ebt_err *err)
{
	unsigned char p[EOCD64];
	uint64_t end = le32(eocd + 12) + le32(eocd + 16);
	int r;

	if (at >= LOCATOR) {
		r = input_pread(in, p, LOCATOR, at - LOCATOR, err);
		if (r < 0)
			return r;
		if (memcmp(p, "PK\6\7", 4) == 0) {
			at = le64(p + 8);
			r = input_pread(in, p, EOCD64, at, err);
			if (r < 0)
				return r;
			end = le64(p + 40);
			if (memcmp(p, "PK\6\6", 4) != 0 ||
				__builtin_add_overflow(end, le64(p + 48), &end))
				end = UINT64_MAX;
		}
	}
	return end == at ? 0
			 : ebt_failx(err, -EBADMSG,
				   "its list of members is not where it should be: "
				   "damaged, "
				   "or two archives in one file");
}

int kind_check_zip(struct input *in, struct ebt_err *err)
{
	size_t len = in->size < EOCD_SPACE ? (size_t)in->size : EOCD_SPACE;
	SCOPED_FREE unsigned char *tail = malloc(len + 1);
	uint64_t start = in->size - len;
	const unsigned char *p = NULL;
	int r;

	if (!tail)
		return ebt_fail(err, -ENOMEM, "its end");
	r = input_pread(in, tail, len, start, err);
	if (r < 0)
		return r;
	for (size_t i = len < EOCD ? 0 : len - EOCD + 1; i-- > 0 && !p;)
		if (memcmp(tail + i, "PK\5\6", 4) == 0)
			p = tail + i;
	if (!p)
		return ebt_failx(err, -EBADMSG,
			"cut off: a zip archive without its list of members, or much "
			"data behind that");
	if (le16(p + 4) || le16(p + 6))
		return ebt_failx(
			err, -EINVAL, "a part of a zip archive of several files");
	if (le16(p + 20) > len - (size_t)(p - tail) - EOCD)
		return ebt_failx(err, -EBADMSG, "cut off");
	start += (uint64_t)(p - tail);
	r = check_place(in, p, start, err);
	if (r == 0)
		r = more_behind(in, start + EOCD + le16(p + 20), err);
	if (r < 0)
		return r;
	/* A list without members at the very front is where libarchive does not look. */
	return start == 0;
}

#define START_7Z                                                                       \
	32 /* bytes: the header at the front, which tells of the one at the end */

int kind_check_7z(struct input *in, struct ebt_err *err)
{
	unsigned char p[START_7Z];
	uint64_t off, len;
	int r = input_pread(in, p, sizeof(p), 0, err);

	if (r < 0)
		return r;
	off = le64(p + 12);
	len = le64(p + 20);
	if (off > in->size - START_7Z || len > in->size - START_7Z - off)
		return ebt_failx(err, -EBADMSG, "cut off, or damaged");
	r = more_behind(in, START_7Z + off + len, err);
	return r < 0 ? r : len == 0;
}
