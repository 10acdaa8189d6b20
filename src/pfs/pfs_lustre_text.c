/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The texts by which a Lustre client shows itself, strictly: what is not as the client
 * writes it (lustre/obdclass/lprocfs_status.c, lustre/lov/lproc_lov.c) is damaged.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pfs/pfs_internal.h"

#define STATES (PFS_DEGRADED | PFS_READONLY | PFS_NOCREATE | PFS_NOSPACE | PFS_NOINODES)

bool pfs_lustre_fsname(const char *source, char fs[PFS_FSNAME])
{
	const char *name = NULL;
	size_t len;

	for (const char *s = source; (s = strstr(s, ":/")); s++)
		name = s + 2;
	if (!name)
		return false;
	len = strcspn(name, "/");
	if (len == 0 || len >= PFS_FSNAME)
		return false;
	memcpy(fs, name, len);
	fs[len] = '\0';
	return true;
}

bool pfs_lustre_osc_name(const char *name, char fs[PFS_FSNAME], uint32_t *index)
{
	const char *osc = strstr(name, "-osc-");
	size_t len = osc ? (size_t)(osc - name) : 0;
	char hex[5] = "";

	/* On servers there are "-osc-MDT0000" besides, for their own traffic. */
	if (len < 9 || osc[5] == '\0' || strncmp(osc + 5, "MDT", 3) == 0)
		return false;
	len -= 8;
	if (len >= PFS_FSNAME || strncmp(name + len, "-OST", 4) != 0)
		return false;
	memcpy(hex, name + len + 4, 4);
	for (int i = 0; i < 4; i++)
		if (!isxdigit((unsigned char)hex[i]))
			return false;
	*index = (uint32_t)strtoul(hex, NULL, 16);
	memcpy(fs, name, len);
	fs[len] = '\0';
	return true;
}

/* Digits of @base up to *at == @end or something else. 0 or -EBADMSG. */
static int digits(
	const unsigned char **at, const unsigned char *end, unsigned base, uint64_t *v)
{
	const unsigned char *p = *at;
	uint64_t sum = 0;

	for (; p < end && isxdigit(*p); p++) {
		unsigned d =
			(unsigned)(isdigit(*p) ? *p - '0' : tolower(*p) - 'a' + 10);

		if (d >= base)
			break;
		if (__builtin_mul_overflow(sum, (uint64_t)base, &sum) ||
			__builtin_add_overflow(sum, (uint64_t)d, &sum))
			return -EBADMSG;
	}
	if (p == *at)
		return -EBADMSG;
	*at = p;
	*v = sum;
	return 0;
}

/* The end of a line that is all of @text, without its newline. */
static const unsigned char *end_of(const struct buf *text)
{
	size_t len = text->len;

	if (len == 0)
		return text->data;
	return text->data + len - (text->data[len - 1] == '\n');
}

int pfs_lustre_number(const struct buf *text, uint64_t *v)
{
	const unsigned char *p = text->data, *end = end_of(text);
	uint64_t n;

	if (p == end || digits(&p, end, 10, &n) < 0 || p != end)
		return -EBADMSG;
	*v = n;
	return 0;
}

static int state_as_number(
	const unsigned char *p, const unsigned char *end, unsigned *state)
{
	bool hex = end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
	uint64_t v;

	p += hex ? 2 : 0;
	if (digits(&p, end, hex ? 16 : 10, &v) < 0 || p != end || v > UINT32_MAX)
		return -EBADMSG;
	*state = (unsigned)v & STATES;
	return 0;
}

int pfs_lustre_state(const struct buf *text, unsigned *state)
{
	static const char letter[] = "DRNSI";
	static const unsigned flag[] = {
		PFS_DEGRADED, PFS_READONLY, PFS_NOCREATE, PFS_NOSPACE, PFS_NOINODES};
	const unsigned char *p = text->data, *end = end_of(text);
	unsigned sum = 0;
	uint64_t other;

	if (text->len == 0)
		return -EBADMSG;
	if (p < end && isdigit(*p))
		return state_as_number(p, end, state);
	for (; p < end && isalpha(*p); p++) {
		const char *known = strchr(letter, *p);

		sum |= known ? flag[known - letter] : 0;
	}
	if (p < end) {
		if (*p++ != '(' || digits(&p, end, 8, &other) < 0 || p + 1 != end ||
			*p != ')')
			return -EBADMSG;
		sum |= (unsigned)other & STATES;
	}
	*state = sum;
	return 0;
}

static int pool_line(
	const unsigned char *p, const unsigned char *end, struct pfs_list *l)
{
	static const char before[] = "-OST", after[] = "_UUID";
	struct pfs_target t = {.state = PFS_UNKNOWN};
	const unsigned char *at = memmem(p, (size_t)(end - p), before, strlen(before));
	uint64_t index;

	if (!at || at == p || at - p >= PFS_FSNAME)
		return -EBADMSG;
	at += strlen(before);
	if (digits(&at, end, 16, &index) < 0 || index > 0xffff ||
		(size_t)(end - at) != strlen(after) ||
		memcmp(at, after, strlen(after)) != 0)
		return -EBADMSG;
	t.index = (uint32_t)index;
	return pfs_list_add(l, &t);
}

static int target_obd_line(
	const unsigned char *p, const unsigned char *end, struct pfs_list *l)
{
	static const char active[] = "ACTIVE", inactive[] = "INACTIVE";
	struct pfs_target t = {.state = PFS_UNKNOWN};
	const unsigned char *blank;
	uint64_t index;

	if (digits(&p, end, 10, &index) < 0 || index > 0xffff)
		return -EBADMSG;
	if (end - p < 3 || p[0] != ':' || p[1] != ' ')
		return -EBADMSG;
	blank = memrchr(p + 2, ' ', (size_t)(end - p - 2));
	if (!blank)
		return -EBADMSG;
	blank++;
	if ((size_t)(end - blank) == strlen(inactive) &&
		memcmp(blank, inactive, strlen(inactive)) == 0)
		t.state |= PFS_INACTIVE;
	else if ((size_t)(end - blank) != strlen(active) ||
		 memcmp(blank, active, strlen(active)) != 0)
		return -EBADMSG;
	t.index = (uint32_t)index;
	return pfs_list_add(l, &t);
}

static int each_line(const struct buf *text, struct pfs_list *l,
	int (*fn)(const unsigned char *p, const unsigned char *end, struct pfs_list *l))
{
	const unsigned char *p = text->data;
	size_t left = text->len;
	int r = 0;

	while (left && r == 0) {
		const unsigned char *nl = memchr(p, '\n', left);
		size_t len = nl ? (size_t)(nl - p) : left;

		r = fn(p, p + len, l);
		left -= len + (nl != NULL);
		p += len + (nl != NULL);
	}
	return r;
}

int pfs_lustre_target_obd(const struct buf *text, struct pfs_list *l)
{
	return each_line(text, l, target_obd_line);
}

int pfs_lustre_pool_text(const struct buf *text, struct pfs_list *l)
{
	return each_line(text, l, pool_line);
}
