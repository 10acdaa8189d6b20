/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	double factor;
};

/* @s is a non-negative decimal number and then one of @units, in any case; "" is a unit. */
static int parse_units(const char *s, const struct unit *units, const char *what,
	double *out, struct ebt_err *err)
{
	const char *p = s;
	char *end;
	double v;

	/* strtod also takes "inf", "nan", hex and a sign: none of them is meant here */
	if (!isdigit((unsigned char)*p) && *p != '.')
		return ebt_failx(err, -EINVAL, "not a %s: '%s'", what, s);
	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		return ebt_failx(err, -EINVAL, "not a %s: '%s'", what, s);
	v = strtod(s, &end);
	if (end == s)
		return ebt_failx(err, -EINVAL, "not a %s: '%s'", what, s);
	for (; units->name; units++) {
		if (strcasecmp(end, units->name) == 0) {
			*out = v * units->factor;
			return 0;
		}
	}
	return ebt_failx(err, -EINVAL, "not a %s: '%s'", what, s);
}

int text_parse_size(const char *s, uint64_t *bytes, struct ebt_err *err)
{
	static const struct unit units[] = {{"", 1}, {"b", 1}, {"k", 0x1p10},
		{"kib", 0x1p10}, {"m", 0x1p20}, {"mib", 0x1p20}, {"g", 0x1p30},
		{"gib", 0x1p30}, {"t", 0x1p40}, {"tib", 0x1p40}, {NULL, 0}};
	double v;
	int r;

	r = parse_units(s, units, "size", &v, err);
	if (r < 0)
		return r;
	if (!(v < 0x1p63))
		return ebt_failx(err, -ERANGE, "size too large: '%s'", s);
	*bytes = (uint64_t)v;
	return 0;
}

int text_parse_time(const char *s, double *seconds, struct ebt_err *err)
{
	static const struct unit units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3},
		{"us", 1e-6}, {"ns", 1e-9}, {"m", 60}, {"min", 60}, {"h", 3600},
		{NULL, 0}};

	return parse_units(s, units, "time", seconds, err);
}

int text_parse_rate(const char *s, double *rate, struct ebt_err *err)
{
	static const struct unit units[] = {{"", 1}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9},
		{"t", 1e12}, {"B", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
		{"TB", 1e12}, {"bit", 1. / 8}, {"kbit", 1e3 / 8}, {"mbit", 1e6 / 8},
		{"gbit", 1e9 / 8}, {"tbit", 1e12 / 8}, {NULL, 0}};
	char copy[64];
	size_t len = strlen(s);
	double v;
	int r;

	if (len + 2 >= sizeof(copy))
		return ebt_failx(err, -EINVAL, "not a rate: '%s'", s);
	if (len > 2 && strcmp(s + len - 2, "/s") == 0)
		len -= 2;
	memcpy(copy, s, len);
	copy[len] = '\0';
	/* The only letter whose case matters: Mb are bits, MB bytes. */
	if (len && copy[len - 1] == 'b')
		strcpy(copy + len, "it");
	r = parse_units(copy, units, "rate", &v, err);
	if (r < 0)
		return r;
	if (!(v > 0) || isinf(v))
		return ebt_failx(err, -ERANGE, "a rate must be above zero: '%s'", s);
	*rate = v;
	return 0;
}

int text_parse_count(const char *s, uint64_t *n, struct ebt_err *err)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (!isdigit((unsigned char)*s) || *end || errno)
		return ebt_failx(err, -EINVAL, "not a number: '%s'", s);
	*n = v;
	return 0;
}

static const char *scaled(double v, double step, const char *const *names, char *out)
{
	while (v >= step && names[1]) {
		v /= step;
		names++;
	}
	snprintf(out, TEXT_SIZE, v < 10 && v != floor(v) ? "%.2f %s" : "%.1f %s", v,
		*names);
	return out;
}

const char *text_size(double bytes, char *out)
{
	static const char *const names[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", NULL};

	if (bytes < 1024) {
		snprintf(out, TEXT_SIZE, "%.0f B", bytes);
		return out;
	}
	return scaled(bytes, 1024, names, out);
}

const char *text_rate(double rate, char *out)
{
	static const char *const names[] = {
		"B/s", "kB/s", "MB/s", "GB/s", "TB/s", NULL};

	return scaled(rate, 1000, names, out);
}

/* Length of the valid UTF-8 sequence at @s, 0 if there is none. No surrogates, no overlong. */
static size_t utf8_len(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] ? 1 : 0;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if (s[0] >= 0xe0 && s[0] <= 0xef) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 ||
			(s[3] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

const char *text_name(const char *name, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *)name;
	size_t at = 0, n;

	while (*p) {
		if (at + 8 > size) { /* 4 for this one, "..." and NUL */
			memcpy(out + at, "...", 4);
			return out;
		}
		n = utf8_len(p);
		if (*p == '\n') {
			memcpy(out + at, "\\n", 2);
			at += 2, p++;
		} else if (*p == '\\') {
			memcpy(out + at, "\\\\", 2);
			at += 2, p++;
		} else if (n == 0 || *p < 0x20 || *p == 0x7f) {
			snprintf(out + at, 5, "\\%03o", *p);
			at += 4, p++;
		} else {
			memcpy(out + at, p, n);
			at += n, p += n;
		}
	}
	out[at] = '\0';
	return out;
}

const char *text_json(const char *s, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t at = 0, n;

	out[at++] = '"';
	while (*p && at + 8 < size) {
		n = utf8_len(p);
		if (n == 0) {
			memcpy(out + at, "\xef\xbf\xbd", 3);
			at += 3, p++;
		} else if (*p == '"' || *p == '\\') {
			out[at++] = '\\';
			out[at++] = (char)*p++;
		} else if (*p < 0x20) {
			at += (size_t)snprintf(out + at, 7, "\\u%04x", *p++);
		} else {
			memcpy(out + at, p, n);
			at += n, p += n;
		}
	}
	out[at++] = '"';
	out[at] = '\0';
	return out;
}

const char *text_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '%';
}

size_t text_percent(const char *name, char *out)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t at = 0;

	for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
		if (is_plain(*p)) {
			if (out)
				out[at] = (char)*p;
			at++;
			continue;
		}
		if (out) {
			out[at] = '%';
			out[at + 1] = digits[*p >> 4];
			out[at + 2] = digits[*p & 15];
		}
		at += 3;
	}
	if (out)
		out[at] = '\0';
	return at;
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

bool text_unpercent(char *word)
{
	char *to = word;

	for (const char *p = word; *p; p++) {
		int high, low;

		if (*p != '%') {
			if (!is_plain((unsigned char)*p))
				return false;
			*to++ = *p;
			continue;
		}
		high = digit_of(p[1]);
		low = high < 0 ? -1 : digit_of(p[2]);
		/* Each name has one form, and none has a NUL. */
		if (low < 0 || !(high | low) ||
			is_plain((unsigned char)(high << 4 | low)))
			return false;
		*to++ = (char)(high << 4 | low);
		p += 2;
	}
	*to = '\0';
	return true;
}
