/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Headers a second time, for what libarchive keeps to itself: parts of multi-volume archives, which
 * it takes for files, extended attributes, of which it does not tell from which of two kinds
 * of records they are, though the names in one kind are coded, and names as they are written. Nothing is decided here that
 * libarchive decides: it has parsed all this before.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "archive/unarchive_internal.h"

#define BLOCK 512

static int hex(unsigned char c)
{
	return !isxdigit(c) ? -1 : isdigit(c) ? c - '0' : (c | 32) - 'a' + 10;
}

/* Digits of @base, or the binary form of GNU tar. UINT64_MAX: neither. */
static uint64_t number(const unsigned char *p, size_t len, unsigned base)
{
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		v = p[0] & 0x3f;
		for (i = 1; i < len; i++)
			v = v >> 55 ? UINT64_MAX >> 8 : v << 8 | p[i];
		return v;
	}
	while (i < len && p[i] == ' ')
		i++;
	for (; i < len && isxdigit(p[i]); i++) {
		unsigned d = (unsigned)hex(p[i]);

		if (d >= base || v > (UINT64_MAX >> 1) / base)
			return UINT64_MAX;
		v = v * base + d;
	}
	return v;
}

/* GNU tar codes '%' and '=' as %XX, libarchive whatever is not plain: each codes every '%'. */
static size_t decode_name(const char *name, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int a = -1, b = -1;

		if (name[i] == '%' && len - i > 2) {
			a = hex((unsigned char)name[i + 1]);
			b = hex((unsigned char)name[i + 2]);
		}
		out[n++] = a < 0 || b < 0 ? name[i] : (char)(a * 16 + b);
		i += a < 0 || b < 0 ? 0 : 2;
	}
	return n;
}

/* Without padding as well, which libarchive leaves out. */
static size_t decode_base64(const char *p, size_t len, unsigned char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *d = p[i] ? strchr(digits, p[i]) : NULL;

		if (!d)
			continue;
		bits = bits << 6 | (uint32_t)(d - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (unsigned char)(bits >> have);
		}
	}
	return n;
}

static bool take_prefix(const char **key, size_t *len, const char *prefix)
{
	size_t n = strlen(prefix);

	if (*len < n || memcmp(*key, prefix, n) != 0)
		return false;
	*key += n;
	*len -= n;
	return true;
}

/* "-5.25" is 5.25 seconds before the epoch: -6 seconds and 0.75. */
static void below_epoch(const char *p, size_t len, struct timespec *t)
{
	long unit = 100000000, ns = 0;
	int64_t s = 0;
	size_t i = 1;

	for (; i < len && isdigit((unsigned char)p[i]); i++)
		if (__builtin_mul_overflow(s, 10, &s) ||
			__builtin_add_overflow(s, p[i] - '0', &s))
			return;
	if (i == len || p[i] != '.')
		return;
	for (i++; i < len && isdigit((unsigned char)p[i]); i++, unit /= 10)
		ns += (p[i] - '0') * unit;
	if (ns && s < INT64_MAX - 1)
		*t = (struct timespec){.tv_sec = -s - 1, .tv_nsec = 1000000000 - ns};
}

static bool is_key(const char *key, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(key, what, len) == 0;
}

/* The last one counts, but that of a sparse member before any other. */
static void keep_names(struct headers *h, const char *key, size_t key_len,
	const char *value, size_t len)
{
	bool sparse = is_key(key, key_len, "GNU.sparse.name");

	if (!len || memchr(value, '\0', len))
		return;
	if (sparse || (is_key(key, key_len, "path") && !h->path_is_sparse)) {
		h->path = value;
		h->path_len = len;
		h->path_is_sparse = sparse;
	} else if (is_key(key, key_len, "linkpath")) {
		h->link = value;
		h->link_len = len;
	}
}

/* libarchive reads ids of ACLs as int, and takes the largest of these for what is larger. */
static bool has_large_id(const char *text, size_t len)
{
	uint64_t id = 0;

	for (size_t i = 0; i < len; i++) {
		id = isdigit((unsigned char)text[i])
			     ? id * 10 + (uint64_t)(text[i] - '0')
			     : 0;
		if (id > INT32_MAX)
			return true;
	}
	return false;
}

/* A record KEY=VALUE. */
static int record(
	struct headers *h, const char *key, size_t len, headers_attr_fn attr, void *arg)
{
	const char *value = memchr(key, '=', len);
	size_t key_len = value ? (size_t)(value - key) : len;
	size_t value_len = value ? len - key_len - 1 : 0;
	SCOPED_FREE unsigned char *copy = NULL;
	bool coded;

	if (!value)
		return 0;
	value++;
	if (value_len && *value == '-' && key_len == 5 && memcmp(key, "mtime", 5) == 0)
		below_epoch(value, value_len, &h->mtime);
	if (value_len && *value == '-' && key_len == 5 && memcmp(key, "atime", 5) == 0)
		below_epoch(value, value_len, &h->atime);
	keep_names(h, key, key_len, value, value_len);
	h->large_acl |= (is_key(key, key_len, "SCHILY.acl.access") ||
				is_key(key, key_len, "SCHILY.acl.default")) &&
			has_large_id(value, value_len);
	h->map |= take_prefix(&key, &key_len, "GNU.sparse.") ||
		  take_prefix(&key, &key_len, "SUN.holesdata");
	h->volume |= take_prefix(&key, &key_len, "GNU.volume.");
	coded = take_prefix(&key, &key_len, "LIBARCHIVE.xattr.");
	if (!coded && !take_prefix(&key, &key_len, "SCHILY.xattr."))
		return 0;
	if (!attr)
		return 0;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	key_len = decode_name(key, key_len, (char *)copy);
	if (!coded)
		return attr(arg, (char *)copy, key_len, value, value_len);
	value_len = decode_base64(value, value_len, copy + key_len);
	return attr(arg, (char *)copy, key_len, copy + key_len, value_len);
}

/* The body of an 'x' header: records that begin with their length. */
static int records(
	const char *p, size_t len, struct headers *h, headers_attr_fn attr, void *arg)
{
	int r = 0;

	while (r == 0 && len) {
		size_t n = 0, at = 0;

		for (; at < len && at < 10 && isdigit((unsigned char)p[at]); at++)
			n = n * 10 + (size_t)(p[at] - '0');
		if (at == len || p[at] != ' ' || n > len || n < at + 3)
			break;
		at++;
		r = record(h, p + at, n - at - 1, attr, arg);
		p += n;
		len -= n;
	}
	return r;
}

int headers_tar(const unsigned char *p, size_t len, struct headers *h,
	headers_attr_fn attr, void *arg)
{
	uint64_t body, padded;
	int r = 0;

	*h = (struct headers){0};
	while (r == 0) {
		if (len < BLOCK)
			return -EBADMSG;
		/* The end mark of the archive before, where several are one. */
		if (digest_is_zero(p, BLOCK)) {
			p += BLOCK;
			len -= BLOCK;
			continue;
		}
		h->type = (char)p[156];
		if (!h->type || !strchr("xXgLKVA", h->type))
			break;
		body = number(p + 124, 12, 8);
		/* A volume's name has a size that nothing follows. */
		if (h->type == 'V')
			body = 0;
		padded = body > len ? body : (body + BLOCK - 1) / BLOCK * BLOCK;
		if (padded > len - BLOCK)
			return -EBADMSG;
		if (h->type == 'x' || h->type == 'X')
			r = records(
				(const char *)p + BLOCK, (size_t)body, h, attr, arg);
		p += BLOCK + padded;
		len -= BLOCK + (size_t)padded;
	}
	h->map |= h->type == 'S';
	h->volume |= h->type == 'M';
	return r;
}

void headers_cpio(const unsigned char *p, size_t len, struct headers *h)
{
	*h = (struct headers){0};
	if (len < 110 || memcmp(p, "070702", 6) != 0)
		return;
	h->is_crc = true;
	h->crc = (uint32_t)number(p + 102, 8, 16);
}
